/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/cleanup.h"
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

static void needs_a_peer_to_start(World *world, gconstpointer unused) {
        Connection *connection = create(world);
        Reason reason = {0};

        g_assert_cmpint(connection_do_handshake(connection, &reason), ==,
                        RELAY_E_INVALID_OPERATION);
        g_assert_nonnull(strstr(reason.text, "SetPeer"));
}

static void aborts_what_goes_on(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Connection *client = world_start(world, world_client_spec(), listener, "127.0.0.1");
        Reason reason = {0};

        world_wait(world, connection_facts(client).psk.pending);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_SUSPENDED), ==, 1);
        g_assert_cmpint(connection_abort_handshake(client, &reason), ==, 0);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_NO_ERROR);
        g_assert_false(connection_facts(client).psk.pending);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_SUSPENDED), ==, 0);
}

static void refuses_psks_that_are_none(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Connection *client = world_start(world, world_client_spec(), listener, "127.0.0.1");
        g_autoptr(Secret) empty = secret_new("", 0);
        g_autoptr(Secret) long_one = secret_new_zero(513);
        g_autoptr(Secret) good = secret_new("secret", 6);
        g_autofree char *name = g_strnfill(256, 'n');
        g_autoptr(GBytes) long_name = g_bytes_new(name, 256);
        Reason reason = {0};

        world_wait(world, connection_facts(client).psk.pending);
        g_assert_cmpuint(connection_facts(client).psk.max_key, ==, 512);
        g_assert_cmpint(connection_provide_psk(client, NULL, empty, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        g_assert_cmpint(connection_provide_psk(client, NULL, long_one, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        g_assert_cmpint(connection_provide_psk(client, long_name, good, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        g_assert_true(connection_facts(client).psk.pending); /* and may be tried again */

        g_assert_cmpint(connection_refuse_psk(client, &reason), ==, 0);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(client).error, !=, DTLS_NO_ERROR);
}

static void retransmits_by_hand_when_told_to(World *world, gconstpointer unused) {
        g_autofd int silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        Spec *spec = world_client_spec();
        socklen_t size = sizeof(spec->peer);
        Connection *client;
        char buffer[2048];
        Reason reason = {0};
        bool occurred = true;
        Address any;

        g_assert_cmpint(address_parse("127.0.0.1", 0, &any), ==, 0);
        g_assert_cmpint(bind(silent, &any.sa, address_size(&any)), ==, 0);
        g_assert_cmpint(getsockname(silent, &spec->peer.sa, &size), ==, 0);
        spec->manual = true;
        g_assert_cmpint(relay_create_connection(world->relay, spec, &client, &reason), ==, 0);

        g_assert_cmpint(connection_handle_timeout(client, &occurred, &reason), ==, 0);
        g_assert_false(occurred);
        g_assert_cmpint(connection_do_handshake(client, &reason), ==, 0);
        g_assert_cmpint(recv(silent, buffer, sizeof(buffer), 0), >, 0);

        world_wait(world, world->n_timeouts == 1);
        g_assert_cmpint(recv(silent, buffer, sizeof(buffer), 0), <, 0);
        g_assert_cmpint(connection_handle_timeout(client, &occurred, &reason), ==, 0);
        g_assert_true(occurred);
        g_assert_cmpint(recv(silent, buffer, sizeof(buffer), 0), >, 0);
}

#define CASE(name, function)                                                                       \
        g_test_add("/commands-handshake/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("needs-a-peer-to-start", needs_a_peer_to_start);
        CASE("aborts-what-goes-on", aborts_what_goes_on);
        CASE("refuses-psks-that-are-none", refuses_psks_that_are_none);
        CASE("retransmits-by-hand-when-told-to", retransmits_by_hand_when_told_to);
        return g_test_run();
}
