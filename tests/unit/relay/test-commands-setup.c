/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "session/session.h"

#include <string.h>

static Connection *create(World *world) {
        Connection *connection = NULL;
        Reason reason = {0};

        g_assert_cmpint(
                relay_create_connection(world->relay, world_client_spec(), &connection, &reason),
                ==, 0);
        return connection;
}

static int set_peer(Connection *connection, const char *text, uint16_t port, Reason *reason) {
        Address address = {0};

        if (text)
                g_assert_cmpint(address_parse(text, port, &address), ==, 0);
        return connection_set_peer(connection, &address, "name.example", reason);
}

static void refuses_addresses_that_are_no_peer(World *world, gconstpointer unused) {
        static const struct {
                const char *text;
                uint16_t port;
        } bad[] = {{NULL, 0},           {"0.0.0.0", 5684}, {"255.255.255.255", 5684},
                   {"224.0.0.1", 5684}, {"ff02::1", 5684}, {"127.0.0.1", 0}};
        Connection *connection = create(world);
        ConnectionFacts facts;
        Reason reason;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                reason = (Reason){0};
                g_assert_cmpint(set_peer(connection, bad[i].text, bad[i].port, &reason), ==,
                                RELAY_E_INVALID_PARAMETERS);
                g_assert_cmpstr(reason.text, !=, "");
                facts = connection_facts(connection);
                g_assert_false(address_is_set(&facts.peer));
                g_assert_cmpstr(facts.spec->verification_name, ==, "");
                g_assert_cmpint(facts.error, ==, DTLS_INVALID_INPUT_PARAMETERS);
                g_assert_cmpstr(facts.error_text, ==, reason.text);
        }

        /* and what works clears it */
        g_assert_cmpint(set_peer(connection, "127.0.0.1", 5684, &reason), ==, 0);
        facts = connection_facts(connection);
        g_assert_cmpint(facts.error, ==, DTLS_NO_ERROR);
        g_assert_cmpstr(facts.error_text, ==, "");
        g_assert_cmpstr(facts.spec->verification_name, ==, "name.example");
}

static void refuses_mtu_hints_that_cannot_work(World *world, gconstpointer unused) {
        Connection *connection = create(world);
        Reason reason = {0};

        g_assert_cmpint(connection_set_mtu_hint(connection, 255, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        g_assert_nonnull(strstr(reason.text, "256"));
        g_assert_cmpint(connection_set_mtu_hint(connection, 256, &reason), ==, 0);
        g_assert_cmpint(connection_set_mtu_hint(connection, 0, &reason), ==, 0);
}

static void keeps_whose_it_is_over_a_new_configuration(World *world, gconstpointer unused) {
        Connection *connection = create(world);
        Spec *spec = spec_new(DTLS_SERVER, WORLD_OTHER_UID, NULL);
        Reason reason = {0};
        const Spec *now;

        g_assert_cmpint(set_peer(connection, "127.0.0.1", 5684, &reason), ==, 0);
        spec->manual = true;
        g_assert_cmpint(connection_set_spec(connection, spec, &reason), ==, 0);
        now = connection_facts(connection).spec;
        g_assert_true(now->manual);
        g_assert_cmpuint(now->uid, ==, WORLD_UID);
        g_assert_cmpstr(now->owner, ==, WORLD_OWNER);
        g_assert_cmpint(now->role, ==, DTLS_CLIENT);
        g_assert_cmpstr(now->verification_name, ==, "name.example");
        g_assert_cmpuint(address_port(&now->peer), ==, 5684);
}

#define CASE(name, function)                                                                       \
        g_test_add("/commands-setup/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("refuses-addresses-that-are-no-peer", refuses_addresses_that_are_no_peer);
        CASE("refuses-mtu-hints-that-cannot-work", refuses_mtu_hints_that_cannot_work);
        CASE("keeps-whose-it-is-over-a-new-configuration",
             keeps_whose_it_is_over_a_new_configuration);
        return g_test_run();
}
