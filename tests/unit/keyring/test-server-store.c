/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The door's methods about what is kept: what the other end reads when it is refused. That they
 * work is told by tests/unit/keys/test-identities.c.
 */

#include "door.h"

#define ALICE 1000

static void remove_refused(Door *door, uid_t uid, const char *name, const char *error,
                           const char *text) {
        g_autoptr(sd_bus_message) m = door_new_call(door, "RemoveIdentity");

        g_assert_cmpint(sd_bus_message_append(m, "us", (uint32_t)uid, name), >=, 0);
        door_refuses(door, m, error, text);
}

static void says_why_a_name_is_refused(Door *door, gconstpointer data) {
        remove_refused(door, 0, "..", "BadSecret", "1 to 64");
        remove_refused(door, ALICE, "u/1001/x", "NotAuthorized", "another");
        remove_refused(door, ALICE, "u/1000/x", "Failed", "--store");
}

static void without_a_store_it_keeps_nothing(Door *door, gconstpointer data) {
        g_autoptr(sd_bus_message) m = door_new_call(door, "ListIdentities");

        door_call(door, m);
        g_assert_false(sd_bus_message_is_method_error(door->reply, NULL));
        g_assert_cmpint(sd_bus_message_enter_container(door->reply, 'a', "(stayaayb)"), >, 0);
        g_assert_cmpint(sd_bus_message_at_end(door->reply, false), >, 0);
}

#define ADD(path, function)                                                                        \
        g_test_add("/server-store/" path, Door, NULL, door_set_up, function, door_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("says-why-a-name-is-refused", says_why_a_name_is_refused);
        ADD("without-a-store-it-keeps-nothing", without_a_store_it_keeps_nothing);
        return g_test_run();
}
