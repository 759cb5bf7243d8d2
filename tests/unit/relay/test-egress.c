/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A datagram's way out. */

#include "world.h"

#include "base/cleanup.h"
#include "relay/private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static void sends_every_packet_as_one_datagram(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int fd = -1;
        char text[32];

        world_pair(world, &client, &server);
        fd = world_open_channel(client);
        for (int i = 0; i < 60; i++) {
                (void)g_snprintf(text, sizeof(text), "number %d", i);
                g_assert_cmpint(send(fd, text, strlen(text), 0), ==, strlen(text));
        }
        for (int i = 0; i < 60; i++) {
                g_autofree char *heard = world_read(world, server);

                (void)g_snprintf(text, sizeof(text), "number %d", i);
                g_assert_cmpstr(heard, ==, text);
        }
}

static void drops_and_counts_what_is_too_long(World *world, gconstpointer unused) {
        g_autofree char *payload = g_strnfill(20000, 'x');
        Connection *client, *server;
        g_autofd int fd = -1;

        world_pair(world, &client, &server);
        fd = world_open_channel(client);
        g_assert_cmpint(send(fd, payload, 20000, 0), ==, 20000);
        g_assert_cmpint(send(fd, "", 0, 0), ==, 0);
        g_assert_cmpint(send(fd, "short", 5, 0), ==, 5);
        g_autofree char *heard = world_read(world, server);
        g_assert_cmpstr(heard, ==, "short");
        g_assert_cmpuint(world_counter(connection_counters(client), "DroppedTooLong"), ==, 1);
}

static void keeps_to_the_path_when_told_not_to_fragment(World *world, gconstpointer unused) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        g_autofree char *payload = NULL;
        Connection *server;
        uint32_t mtu;
        Reason reason = {0};

        spec->dont_fragment = true;
        world_use_psk(world, "someone", "secret");
        (void)world_start(world, world_client_spec(), world_listen(world, spec), "127.0.0.1");
        world_wait(world, world->n_announced == 1);
        server = relay_find_connection(world->relay, world->last_accepted);
        mtu = connection_facts(server).data_mtu;
        payload = g_strnfill(mtu + 1, 'x');
        g_assert_cmpint(connection_write(server, WORLD_UID, payload, mtu + 1, &reason), ==,
                        RELAY_E_TOO_LONG);
        g_assert_cmpint(connection_write(server, WORLD_UID, payload, mtu, &reason), ==, 0);
}

/* Loopback takes whatever is sent, so the endpoint is told that its socket is full. */
static void fill(Connection *connection) {
        Endpoint *endpoint = connection->endpoint;

        endpoint->waiting = datagram_batch_new(RELAY_NET_DATAGRAMS, RELAY_NET_BYTES);
        endpoint->waiting_index = 0;
}

static void lets_the_sender_feel_a_full_socket(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int fd = -1;
        ssize_t n = 0;
        unsigned n_sent = 0;

        world_pair(world, &client, &server);
        fd = world_open_channel(client);
        fill(client);

        while (n >= 0) {
                n = send(fd, "more and more", 13, MSG_DONTWAIT);
                n_sent += n >= 0;
        }
        g_assert_cmpint(errno, ==, EAGAIN);
        world_spend(world, 20 * 1000);
        g_assert_cmpint(send(fd, "x", 1, MSG_DONTWAIT), <, 0);
        g_assert_cmpuint(world_counter(connection_counters(client), "DatagramsCollected"), ==, 0);

        /* it drains, and everything comes */
        endpoint_drain(client->endpoint);
        g_assert_false(endpoint_is_full(client->endpoint));
        world_wait(world,
                   world_counter(connection_counters(client), "DatagramsCollected") == n_sent);
        g_assert_cmpuint(world_counter(connection_counters(client), "DroppedSocketFull"), ==, 0);
}

static void a_write_to_a_full_socket_can_be_tried_again(World *world, gconstpointer unused) {
        Connection *client, *server;
        Reason reason = {0};

        world_pair(world, &client, &server);
        fill(client);

        g_assert_cmpint(connection_write(client, WORLD_UID, "lost", 4, &reason), ==,
                        RELAY_E_TLS_NON_FATAL);
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_TLS_NON_FATAL_ERROR);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_COMPLETE);

        endpoint_drain(client->endpoint);
        world_send(client, "again");
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_NO_ERROR);
        g_autofree char *heard = world_read(world, server);
        g_assert_cmpstr(heard, ==, "again"); /* and nothing before it */
}

static void does_not_let_a_bulk_sender_starve_others(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Connection *bulk, *small;
        g_autofd int bulk_fd = -1;
        g_autofd int small_fd = -1;

        world_use_psk(world, "someone", "secret");
        bulk = world_start(world, world_client_spec(), listener, "127.0.0.1");
        small = world_start(world, world_client_spec(), listener, "127.0.0.1");
        world_wait_state(world, bulk, HANDSHAKE_COMPLETE);
        world_wait_state(world, small, HANDSHAKE_COMPLETE);
        world_wait(world, world->n_announced == 2);
        bulk_fd = world_open_channel(bulk);
        small_fd = world_open_channel(small);

        while (send(bulk_fd, "bulk", 4, MSG_DONTWAIT) >= 0)
                ;
        g_assert_cmpint(send(small_fd, "small", 5, 0), ==, 5);
        world_wait(world, world_counter(connection_counters(small), "DatagramsCollected") == 1);
        g_assert_cmpuint(world_counter(connection_counters(bulk), "DatagramsCollected"), <=,
                         3 * CHANNEL_PACKETS_MAX);
}

/* At a listener, where the batch may hold what is for others, or much of it. */
static void knows_whom_it_is_for_after_a_flush(World *world, gconstpointer unused) {
        g_autofree char *junk = g_strnfill(16000, 'x');
        Connection *client, *server;

        world_pair(world, &client, &server);
        connection_prepare(server);
        while (datagram_batch_append(world->relay->net, junk, 16000))
                ;
        g_autofree char *payload = g_strnfill(16000, 'y');
        g_assert_cmpint(connection_seal(server, payload, 16000), ==, 0);
        endpoint_flush(server->endpoint);
        g_autofree char *heard = world_read(world, client);
        g_assert_cmpstr(heard, ==, payload);
}

#define CASE(name, function)                                                                       \
        g_test_add("/egress/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("sends-every-packet-as-one-datagram", sends_every_packet_as_one_datagram);
        CASE("drops-and-counts-what-is-too-long", drops_and_counts_what_is_too_long);
        CASE("keeps-to-the-path-when-told-not-to-fragment",
             keeps_to_the_path_when_told_not_to_fragment);
        CASE("lets-the-sender-feel-a-full-socket", lets_the_sender_feel_a_full_socket);
        CASE("a-write-to-a-full-socket-can-be-tried-again",
             a_write_to_a_full_socket_can_be_tried_again);
        CASE("does-not-let-a-bulk-sender-starve-others", does_not_let_a_bulk_sender_starve_others);
        CASE("knows-whom-it-is-for-after-a-flush", knows_whom_it_is_for_after_a_flush);
        return g_test_run();
}
