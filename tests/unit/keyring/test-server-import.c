/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The door's method about pairs that are brought along: what the other end reads when it is
 * refused. That it works is told by tests/unit/keys/test-identities.c.
 */

#include "base/memfd.h"
#include "door.h"

#include <unistd.h>

#define ALICE 1000

static void refused(Door *door, const char *form, int key_fd, const char *error, const char *text) {
        g_autoptr(sd_bus_message) m = door_new_call(door, "StoreIdentity");

        g_assert_cmpint(
                sd_bus_message_append(m, "usaayshah", ALICE, "u/1000/x", 0, form, key_fd, 0), >=,
                0);
        door_refuses(door, m, error, text);
}

static void a_secret_is_a_sealed_memfd(Door *door, gconstpointer data) {
        refused(door, "key", STDIN_FILENO, "BadSecret", "memfd");
}

static void a_key_has_a_form(Door *door, gconstpointer data) {
        int fd;

        g_assert_cmpint(memfd_new("x", 1, &fd), ==, 0);
        refused(door, "jks", fd, "BadSecret", "form");
        refused(door, "pkcs12", fd, "Failed", "--store");
        (void)close(fd);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/server-import/a-secret-is-a-sealed-memfd", Door, NULL, door_set_up,
                   a_secret_is_a_sealed_memfd, door_tear_down);
        g_test_add("/server-import/a-key-has-a-form", Door, NULL, door_set_up, a_key_has_a_form,
                   door_tear_down);
        return g_test_run();
}
