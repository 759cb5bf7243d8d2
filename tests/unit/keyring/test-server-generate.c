/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The door's methods about keys that are made here: what the other end reads when it is refused.
 * That they work is told by tests/unit/keys/test-generate.c.
 */

#include "door.h"

#include "identity/chain.h"

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

/* dtlsd's word that there are few is not taken: read in a time that grows with the square of their
 * number these would take hours. */
static void too_many_are_refused_at_once(Door *door, gconstpointer data) {
        const size_t n = 1000000;
        g_autofree char **names = g_new0(char *, n + 1);
        g_autoptr(sd_bus_message) m = door_new_call(door, "GenerateIdentity");
        g_autoptr(sd_bus_message) install = door_new_call(door, "InstallCertificate");

        for (size_t i = 0; i < n; i++)
                names[i] = (char *)"a";
        g_assert_cmpint(sd_bus_message_append(m, "usss", ALICE, "u/1000/x", "ECDSA-P256", "CN=x"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_strv(m, names), >=, 0);
        door_refuses(door, m, "Failed", "--store");

        g_assert_cmpint(sd_bus_message_append(install, "us", ALICE, "u/1000/x"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(install, 'a', "ay"), >=, 0);
        for (size_t i = 0; i < CHAIN_LENGTH_MAX + 1; i++)
                g_assert_cmpint(sd_bus_message_append_array(install, 'y', "x", 1), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(install), >=, 0);
        door_call(door, install);
        g_assert_true(sd_bus_message_is_method_error(door->reply, "System.Error.E2BIG"));
}

static void without_a_store_it_makes_nothing(Door *door, gconstpointer data) {
        generate_refused(door, "u/1000/x", "Failed", "--store");
        install_refused(door, "u/1000/x", "Failed", "--store");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/server-generate/says-why-a-name-is-refused", Door, NULL, door_set_up,
                   says_why_a_name_is_refused, door_tear_down);
        g_test_add("/server-generate/too-many-are-refused-at-once", Door, NULL, door_set_up,
                   too_many_are_refused_at_once, door_tear_down);
        g_test_add("/server-generate/without-a-store-it-makes-nothing", Door, NULL, door_set_up,
                   without_a_store_it_makes_nothing, door_tear_down);
        return g_test_run();
}
