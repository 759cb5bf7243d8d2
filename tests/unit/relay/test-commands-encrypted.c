/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "session/session.h"

#include <string.h>

static void says_how_long_a_datagram_may_be(World *world, gconstpointer unused) {
        g_autofree char *payload = g_strnfill(17 * 1024, 'x');
        Connection *client, *server;
        Reason reason = {0};

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_write(client, WORLD_UID, payload, 17 * 1024, &reason), ==,
                        RELAY_E_TOO_LONG);
        g_assert_nonnull(strstr(reason.text, "16347"));
        g_assert_cmpint(connection_facts(client).error, !=, DTLS_NO_ERROR);
        g_assert_cmpint(connection_write(client, WORLD_UID, "", 0, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);

        /* the connection is usable, and what works clears the error */
        world_send(client, "small");
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_NO_ERROR);
        g_autofree char *small = world_read(world, server);
        g_assert_cmpstr(small, ==, "small");
        g_assert_cmpint(connection_write(client, WORLD_UID, payload, 16000, &reason), ==, 0);
        g_autofree char *large = world_read(world, server);
        g_assert_cmpuint(strlen(large), ==, 16000);
}

static void exports_the_same_at_both_ends(World *world, gconstpointer unused) {
        g_autoptr(GBytes) context = g_bytes_new_static("context", 7);
        g_autoptr(Secret) of_client = NULL, of_server = NULL, none = NULL;
        Connection *client, *server;
        Reason reason = {0};

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_export_keying_material(client, "EXPORTER-test", context, 32,
                                                          &of_client, &reason),
                        ==, 0);
        g_assert_cmpint(connection_export_keying_material(server, "EXPORTER-test", context, 32,
                                                          &of_server, &reason),
                        ==, 0);
        g_assert_cmpmem(secret_peek(of_client), secret_size(of_client), secret_peek(of_server), 32);

        g_assert_cmpint(connection_export_keying_material(client, "key expansion", NULL, 32, &none,
                                                          &reason),
                        ==, RELAY_E_INVALID_PARAMETERS);
        g_assert_null(none);
        g_assert_nonnull(strstr(reason.text, "key expansion"));
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_INVALID_INPUT_PARAMETERS);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_COMPLETE);
}

#define CASE(name, function)                                                                       \
        g_test_add("/commands-encrypted/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("says-how-long-a-datagram-may-be", says_how_long_a_datagram_may_be);
        CASE("exports-the-same-at-both-ends", exports_the_same_at_both_ends);
        return g_test_run();
}
