/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The door's methods about keys that are made here: what the other end reads when it is refused.
 * That they work is told by tests/unit/keys/test-generate.c.
 */

#include "door.h"

#define ALICE 1000

static void generate_refused(Door *door, const char *name, const char *error, const char *text) {
        g_autoptr(sd_bus_message) m = door_new_call(door, "GenerateIdentity");

        g_assert_cmpint(sd_bus_message_append(m, "usssas", ALICE, name, "ECDSA-P256", "CN=x", 0),
                        >=, 0);
        door_refuses(door, m, error, text);
}

static void install_refused(Door *door, const char *name, const char *error, const char *text) {
        g_autoptr(sd_bus_message) m = door_new_call(door, "InstallCertificate");

        g_assert_cmpint(sd_bus_message_append(m, "usaay", ALICE, name, 0), >=, 0);
        door_refuses(door, m, error, text);
}

static void says_why_a_name_is_refused(Door *door, gconstpointer data) {
        generate_refused(door, "..", "BadSecret", "1 to 64");
        generate_refused(door, "u/1001/x", "NotAuthorized", "another");
        install_refused(door, "..", "BadSecret", "1 to 64");
        install_refused(door, "u/1001/x", "NotAuthorized", "another");
}

static void without_a_store_it_makes_nothing(Door *door, gconstpointer data) {
        generate_refused(door, "u/1000/x", "Failed", "--store");
        install_refused(door, "u/1000/x", "Failed", "--store");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/server-generate/says-why-a-name-is-refused", Door, NULL, door_set_up,
                   says_why_a_name_is_refused, door_tear_down);
        g_test_add("/server-generate/without-a-store-it-makes-nothing", Door, NULL, door_set_up,
                   without_a_store_it_makes_nothing, door_tear_down);
        return g_test_run();
}
