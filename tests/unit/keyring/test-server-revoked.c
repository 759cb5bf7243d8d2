/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The door's methods about what is taken back: what the other end reads when it is refused. That
 * they work is told by tests/unit/keys/test-revoked.c.
 */

#include "door.h"

#define ALICE 1000

static void store_refused(Door *door, uid_t uid, const char *name, const char *error,
                          const char *text) {
        g_autoptr(sd_bus_message) m = door_new_call(door, "StoreRevocations");

        g_assert_cmpint(sd_bus_message_append(m, "usay", (uint32_t)uid, name, 0), >=, 0);
        door_refuses(door, m, error, text);
}

static void says_why_it_refuses(Door *door, gconstpointer data) {
        store_refused(door, 0, "..", "BadSecret", "1 to 64");
        store_refused(door, ALICE, "u/1001/x", "NotAuthorized", "another");
        store_refused(door, ALICE, "u/1000/x", "Failed", "--store");
        door_refuses_names(door, "RemoveRevocations");
}

static void without_a_store_it_keeps_nothing(Door *door, gconstpointer data) {
        door_lists_nothing(door, "ListRevocations", "(say)");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/server-revoked/says-why-it-refuses", Door, NULL, door_set_up,
                   says_why_it_refuses, door_tear_down);
        g_test_add("/server-revoked/without-a-store-it-keeps-nothing", Door, NULL, door_set_up,
                   without_a_store_it_keeps_nothing, door_tear_down);
        return g_test_run();
}
