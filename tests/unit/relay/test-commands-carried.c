/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/cleanup.h"
#include "base/datagram.h"
#include "session/session.h"

#include <string.h>

static Connection *create(World *world, DtlsRole role, bool external) {
        Spec *spec = spec_new(role, WORLD_UID, NULL);
        Connection *connection;
        Reason reason = {0};

        spec->external = external;
        spec->persistent = true;
        g_assert_cmpint(address_parse("192.0.2.1", 7, &spec->peer), ==, 0);
        g_assert_cmpint(relay_create_connection(world->relay, spec, &connection, &reason), ==, 0);
        return connection;
}

static int decrypt(Connection *connection, const char *text, Reason *reason) {
        g_autoptr(GPtrArray) plain = NULL;

        return connection_decrypt(connection, text, strlen(text), &plain, reason);
}

static void takes_none_where_the_service_has_the_socket(World *world, gconstpointer unused) {
        Connection *connection = create(world, DTLS_CLIENT, false);
        Reason reason = {0};
        int fd = -1;

        g_assert_cmpint(connection_continue_handshake(connection, "x", 1, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        g_assert_cmpint(decrypt(connection, "x", &reason), ==, RELAY_E_INVALID_OPERATION);
        g_assert_cmpint(connection_open_carrier(connection, &fd, &reason), ==,
                        RELAY_E_INVALID_OPERATION);
        g_assert_cmpint(fd, ==, -1);
}

static void takes_none_beside_a_carrier(World *world, gconstpointer unused) {
        Connection *connection = create(world, DTLS_CLIENT, true);
        Reason reason = {0};
        g_autofd int fd = -1;

        g_assert_cmpint(connection_do_handshake(connection, &reason), ==, 0);
        g_assert_cmpint(connection_open_carrier(connection, &fd, &reason), ==, 0);
        g_assert_cmpint(connection_continue_handshake(connection, "x", 1, &reason), ==,
                        RELAY_E_INVALID_OPERATION);
        g_assert_nonnull(strstr(reason.text, "carrier"));
}

static void takes_none_that_no_network_carries(World *world, gconstpointer unused) {
        Connection *connection = create(world, DTLS_CLIENT, true);
        g_autofree char *large = g_malloc0(DATAGRAM_SIZE_MAX + 1);
        Reason reason = {0};

        g_assert_cmpint(connection_do_handshake(connection, &reason), ==, 0);
        g_assert_cmpint(
                connection_continue_handshake(connection, large, DATAGRAM_SIZE_MAX + 1, &reason),
                ==, RELAY_E_TOO_LONG);
        g_assert_cmpint(connection_facts(connection).state, ==, HANDSHAKE_IN_PROGRESS);
}

static void begins_a_server_with_a_hello_alone(World *world, gconstpointer unused) {
        Connection *connection = create(world, DTLS_SERVER, true);
        Reason reason = {0};

        g_assert_cmpint(connection_do_handshake(connection, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        g_assert_cmpint(connection_continue_handshake(connection, "noise", 5, &reason), ==,
                        RELAY_E_TLS_FATAL);
        g_assert_cmpint(connection_facts(connection).state, ==, HANDSHAKE_NOT_STARTED);
}

#define CASE(name, function)                                                                       \
        g_test_add("/commands-carried/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("takes-none-where-the-service-has-the-socket",
             takes_none_where_the_service_has_the_socket);
        CASE("takes-none-beside-a-carrier", takes_none_beside_a_carrier);
        CASE("takes-none-that-no-network-carries", takes_none_that_no_network_carries);
        CASE("begins-a-server-with-a-hello-alone", begins_a_server_with_a_hello_alone);
        return g_test_run();
}
