/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of a connection: opened, used, ended, gone. */

#include "world.h"

#include "relay/private.h"
#include "session/session.h"

#include <string.h>

static void opens_and_carries_datagrams(World *world, gconstpointer unused) {
        Connection *client, *server;
        ConnectionFacts facts;

        world_pair(world, &client, &server);

        world_send(client, "there");
        world_send(server, "and back");
        g_autofree char *there = world_read(world, server);
        g_autofree char *back = world_read(world, client);
        g_assert_cmpstr(there, ==, "there");
        g_assert_cmpstr(back, ==, "and back");

        facts = connection_facts(client);
        g_assert_true(facts.encrypted);
        g_assert_cmpstr(facts.session.protocol, ==, "DtlsV1_2");
        g_assert_cmpstr(facts.session.cipher_name, !=, "");
        g_assert_cmpuint(facts.data_mtu, >, 1000);
        g_assert_cmpuint(address_port(&facts.local), !=, 0);
        g_assert_cmpint(facts.error, ==, DTLS_NO_ERROR);
        facts = connection_facts(server);
        g_assert_cmpmem("someone", 7, g_bytes_get_data(facts.psk_identity, NULL),
                        g_bytes_get_size(facts.psk_identity));
        g_assert_nonnull(facts.listener);
        g_assert_cmpuint(world_counter(connection_counters(server), "DatagramsDelivered"), ==, 1);
        g_assert_cmpuint(world_counter(connection_counters(server), "DatagramsReceived"), >=, 3);
        g_assert_cmpuint(world_counter(connection_counters(server), "DatagramsSent"), >=, 3);
}

static void tells_every_transition(World *world, gconstpointer unused) {
        Connection *client, *server;
        Reason reason = {0};

        world_pair(world, &client, &server);
        g_assert_nonnull(strstr(world->states->str, "1:HandshakeInProgress:NoError "));
        g_assert_nonnull(strstr(world->states->str, "1:HandshakeComplete:NoError "));
        g_assert_nonnull(strstr(world->states->str, "2:HandshakeComplete:NoError "));
        g_assert_cmpuint(world->n_added, ==, 2);
        g_assert_cmpuint(world->n_psk_required, ==, 2);

        g_assert_cmpint(connection_shutdown(client, &reason), ==, 0);
        g_assert_nonnull(strstr(world->states->str, "1:HandshakeNotStarted:NoError "));
        g_assert_cmpstr(world->closed->str, ==, "1:Shutdown ");
        world_wait_state(world, server, HANDSHAKE_NOT_STARTED);
        g_assert_nonnull(
                strstr(world->states->str, "2:HandshakeNotStarted:RemoteClosedConnectionError "));
        g_assert_cmpstr(world->closed->str, ==, "1:Shutdown 2:PeerClosed ");
}

static void stays_readable_after_the_peer_closed(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autoptr(GBytes) bytes = NULL;
        ConnectionFacts facts;
        Reason reason = {0};

        world_pair(world, &client, &server);
        world_send(client, "last words");
        g_assert_cmpint(connection_shutdown(client, &reason), ==, 0);
        world_wait_state(world, server, HANDSHAKE_NOT_STARTED);

        g_assert_cmpint(connection_read(server, &bytes, &reason), ==, 0);
        g_assert_cmpmem("last words", 10, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
        facts = connection_facts(server);
        g_assert_cmpint(facts.error, ==, DTLS_REMOTE_CLOSED_CONNECTION_ERROR);
        g_assert_false(facts.encrypted);
        g_assert_cmpuint(facts.data_mtu, ==, 0);
        g_assert_cmpstr(facts.session.protocol, ==, "DtlsV1_2"); /* as in Qt */
        g_assert_cmpstr(facts.session.cipher_name, !=, "");
        g_assert_cmpint(connection_read(server, &bytes, &reason), ==, RELAY_E_CLOSED);
        g_assert_cmpstr(reason.text, !=, "");
}

static void shakes_hands_again_after_shutdown(World *world, gconstpointer unused) {
        Connection *client, *server;
        Reason reason = {0};
        Address before, after;

        world_pair(world, &client, &server);
        before = connection_facts(client).local;
        g_assert_cmpint(connection_shutdown(client, &reason), ==, 0);
        g_assert_false(connection_facts(client).encrypted);
        g_assert_cmpstr(connection_facts(client).session.protocol, ==, "UnknownProtocol");

        g_assert_cmpint(connection_do_handshake(client, &reason), ==, 0);
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        after = connection_facts(client).local;
        g_assert_false(address_equal(&before, &after));
        world_wait(world, world->n_announced == 2);
        world_send(client, "again");
        g_autofree char *again =
                world_read(world, relay_find_connection(world->relay, world->last_accepted));
        g_assert_cmpstr(again, ==, "again");
}

static void takes_the_same_port_again_after_shutdown(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Spec *spec = world_client_spec();
        Connection *client;
        Reason reason = {0};
        int probe;
        Address own, after;
        socklen_t size = sizeof(own);

        /* a port that is free now */
        probe = world_udp("127.0.0.1", 9);
        g_assert_cmpint(getsockname(probe, &own.sa, &size), ==, 0);
        close(probe);
        g_assert_cmpint(address_parse("127.0.0.1", address_port(&own), &spec->local), ==, 0);

        world_use_psk(world, "someone", "secret");
        client = world_start(world, spec, listener, "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        g_assert_cmpint(connection_shutdown(client, &reason), ==, 0);
        world_spend(world, 1000);
        g_assert_cmpint(connection_do_handshake(client, &reason), ==, 0);
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        after = connection_facts(client).local;
        g_assert_cmpuint(address_port(&own), ==, address_port(&after));
}

static void carries_datagrams_over_ipv6(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("::1", 0));
        Connection *client;

        world_use_psk(world, "someone", "secret");
        client = world_start(world, world_client_spec(), listener, "::1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        world_wait(world, world->n_announced == 1);
        world_send(client, "six");
        g_autofree char *six =
                world_read(world, relay_find_connection(world->relay, world->last_accepted));
        g_assert_cmpstr(six, ==, "six");
}

#define CASE(name, function)                                                                       \
        g_test_add("/connection/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("opens-and-carries-datagrams-both-ways", opens_and_carries_datagrams);
        CASE("tells-the-observer-every-transition", tells_every_transition);
        CASE("stays-readable-after-the-peer-closed", stays_readable_after_the_peer_closed);
        CASE("shakes-hands-again-after-shutdown", shakes_hands_again_after_shutdown);
        CASE("takes-the-same-port-again-after-shutdown", takes_the_same_port_again_after_shutdown);
        CASE("carries-datagrams-over-ipv6", carries_datagrams_over_ipv6);
        return g_test_run();
}
