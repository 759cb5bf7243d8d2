/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The door's methods about trust sets: what the other end reads when it is refused. That they work
 * is told by tests/unit/keys/test-trusts.c.
 */

#include "door.h"

#define ALICE 1000

static sd_bus_message *new_add(Door *door, uid_t uid, const char *name) {
        sd_bus_message *m = door_new_call(door, "AddTrustAnchors");

        g_assert_cmpint(sd_bus_message_append(m, "usaay", (uint32_t)uid, name, 0), >=, 0);
        return m;
}

static void add_refused(Door *door, uid_t uid, const char *name, const char *error,
                        const char *text) {
        g_autoptr(sd_bus_message) m = new_add(door, uid, name);

        door_refuses(door, m, error, text);
}

static void says_why_it_refuses(Door *door, gconstpointer data) {
        g_autoptr(sd_bus_message) m = door_new_call(door, "RemoveTrustAnchor");

        add_refused(door, 0, "..", "BadSecret", "1 to 64");
        add_refused(door, ALICE, "u/1001/x", "NotAuthorized", "another");
        add_refused(door, ALICE, "u/1000/x", "Failed", "--store");
        g_assert_cmpint(sd_bus_message_append(m, "usay", ALICE, "u/1001/x", 0), >=, 0);
        door_refuses(door, m, "NotAuthorized", "another");
}

static void without_a_store_it_keeps_nothing(Door *door, gconstpointer data) {
        door_lists_nothing(door, "ListTrusts", "(saay)");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/server-trust/says-why-it-refuses", Door, NULL, door_set_up,
                   says_why_it_refuses, door_tear_down);
        g_test_add("/server-trust/without-a-store-it-keeps-nothing", Door, NULL, door_set_up,
                   without_a_store_it_keeps_nothing, door_tear_down);
        return g_test_run();
}
