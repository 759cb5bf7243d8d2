/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The door's methods about pre-shared keys that are kept: what the other end reads when it is
 * refused. That they work is told by tests/unit/keys/test-psks.c.
 */

#include "door.h"

#include <unistd.h>

#define ALICE 1000

static void says_why_a_name_is_refused(Door *door, gconstpointer data) {
        door_refuses_names(door, "RemovePsk");
}

static void a_secret_is_a_sealed_memfd(Door *door, gconstpointer data) {
        g_autoptr(sd_bus_message) m = door_new_call(door, "StorePsk");

        g_assert_cmpint(sd_bus_message_append(m, "us", ALICE, "u/1000/x"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', "i", 1), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "h", STDIN_FILENO), >=, 0);
        door_refuses(door, m, "BadSecret", "memfd");
}

static void without_a_store_it_keeps_nothing(Door *door, gconstpointer data) {
        door_lists_nothing(door, "ListPsks", "(stay)");
}

#define ADD(path, function)                                                                        \
        g_test_add("/server-psk/" path, Door, NULL, door_set_up, function, door_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("says-why-a-name-is-refused", says_why_a_name_is_refused);
        ADD("a-secret-is-a-sealed-memfd", a_secret_is_a_sealed_memfd);
        ADD("without-a-store-it-keeps-nothing", without_a_store_it_keeps_nothing);
        return g_test_run();
}
