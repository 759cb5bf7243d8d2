/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A datagram's way in. */

#include "stranger.h"
#include "world.h"

#include "base/cleanup.h"
#include "relay/private.h"

#include <string.h>
#include <sys/socket.h>

static void keeps_boundaries_and_order(World *world, gconstpointer unused) {
        Connection *client, *server;
        char text[32];

        /* more than one batch of the socket in one go */
        world_pair(world, &client, &server);
        for (int i = 0; i < 60; i++) {
                (void)g_snprintf(text, sizeof(text), "number %d", i);
                world_send(client, text);
        }
        for (int i = 0; i < 60; i++) {
                g_autofree char *heard = world_read(world, server);

                (void)g_snprintf(text, sizeof(text), "number %d", i);
                g_assert_cmpstr(heard, ==, text);
        }
}

static void delivers_what_came_before_a_goodbye(World *world, gconstpointer unused) {
        Connection *client, *server;
        Reason reason = {0};

        /* data and close_notify wait in the socket together */
        world_pair(world, &client, &server);
        world_send(client, "last words");
        g_assert_cmpint(connection_shutdown(client, &reason), ==, 0);
        world_wait_state(world, server, HANDSHAKE_NOT_STARTED);
        g_autofree char *heard = world_read(world, server);
        g_assert_cmpstr(heard, ==, "last words");
}

/* Handshakes have had their share, so what is nobody's waits; but not at a socket that the goodbye
 * before it has ended. */
static void a_socket_that_ended_has_no_turn_again(World *world, gconstpointer unused) {
        static const char junk[] = "\x17\xfe\xfd junk";
        Connection *client, *server;
        Reason reason = {0};
        Address there;

        world_pair(world, &client, &server);
        there = connection_facts(client).local;
        world->relay->shakes_spell_usec = g_get_monotonic_time();
        world->relay->shakes_spent_usec = G_USEC_PER_SEC;
        world->relay->n_passed = 1;
        g_assert_cmpint(connection_shutdown(server, &reason), ==, 0);
        g_assert_cmpint(sendto(udp_fd(server->listener->endpoint->udp), junk, sizeof junk, 0,
                               &there.sa, address_size(&there)),
                        ==, sizeof junk);
        world_wait_state(world, client, HANDSHAKE_NOT_STARTED);
        g_assert_true(g_queue_is_empty(&world->relay->shakers));
        world_spend(world, 10 * 1000);
}

static void drops_what_is_not_from_the_peer(World *world, gconstpointer unused) {
        static const char garbage[] = "\x17\xfe\xfd garbage of another source";
        g_autofd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        Connection *client, *server;
        Address there;

        world_pair(world, &client, &server);
        there = connection_facts(client).local;
        for (int i = 0; i < 10; i++)
                (void)sendto(fd, garbage, sizeof(garbage), 0, &there.sa, address_size(&there));
        world_send(server, "genuine");
        g_autofree char *heard = world_read(world, client);
        g_assert_cmpstr(heard, ==, "genuine");
        g_assert_true(connection_facts(client).encrypted);
        g_assert_cmpuint(world_counter(connection_counters(client), "DroppedNotAuthentic"), ==, 0);
}

static void survives_noise_from_the_peers_own_address(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autoptr(GRand) random = g_rand_new_with_seed(7);
        uint8_t noise[64];

        /* as a spoofer would: through the client's own socket, past its session */
        world_pair(world, &client, &server);
        for (int i = 0; i < 100; i++) {
                for (size_t k = 0; k < sizeof(noise); k++)
                        noise[k] = (uint8_t)g_rand_int_range(random, 0, 256);
                noise[0] = (uint8_t)g_rand_int_range(random, 20, 25);
                (void)send(udp_fd(client->endpoint->udp), noise,
                           (size_t)g_rand_int_range(random, 0, sizeof(noise)), 0);
        }
        world_send(client, "genuine");
        g_autofree char *heard = world_read(world, server);
        g_assert_cmpstr(heard, ==, "genuine");
        g_assert_true(connection_facts(server).encrypted);
}

static void ends_one_and_goes_on_with_the_rest(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Connection *clients[4];
        Reason reason = {0};

        world_use_psk(world, "someone", "secret");
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
                clients[i] = world_start(world, world_client_spec(), listener, "127.0.0.1");
                world_wait_state(world, clients[i], HANDSHAKE_COMPLETE);
        }
        world_wait(world, world->n_announced == G_N_ELEMENTS(clients));

        /* one batch: a goodbye, then data of others */
        g_assert_cmpint(connection_shutdown(clients[1], &reason), ==, 0);
        for (size_t i = 2; i < G_N_ELEMENTS(clients); i++)
                world_send(clients[i], "going on");
        for (size_t i = 2; i < G_N_ELEMENTS(clients); i++) {
                g_autofree char *heard = world_read(world, world_other_end(world, clients[i]));

                g_assert_cmpstr(heard, ==, "going on");
        }
}

static void keeps_apart_what_came_together(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Connection *clients[2];
        char text[32];

        world_use_psk(world, "someone", "secret");
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
                clients[i] = world_start(world, world_client_spec(), listener, "127.0.0.1");
                world_wait_state(world, clients[i], HANDSHAKE_COMPLETE);
        }
        world_wait(world, world->n_announced == G_N_ELEMENTS(clients));

        /* runs of one to four, of either in turn, and a forged hello in the middle of one */
        for (int i = 0; i < 60; i++) {
                (void)g_snprintf(text, sizeof(text), "number %d", i);
                world_send(clients[i / 4 % 2], text);
                if (i % 10 == 5)
                        (void)send(udp_fd(clients[i / 4 % 2]->endpoint->udp),
                                   "\x16\xfe\xff\0\0\0\0\0\0\0\0\0\0", 13, 0);
        }
        for (int i = 0; i < 60; i++) {
                Connection *end = world_other_end(world, clients[i / 4 % 2]);
                g_autofree char *heard = world_read(world, end);

                (void)g_snprintf(text, sizeof(text), "number %d", i);
                g_assert_cmpstr(heard, ==, text);
        }
}

static void lets_handshakes_wait_for_established_traffic(World *world, gconstpointer unused) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        Stranger *strangers[120];
        Connection *client;
        Listener *listener;

        spec->cookies = false; /* each hello begins a handshake */
        listener = world_listen(world, spec);
        world_use_psk(world, "someone", "secret");
        client = world_start(world, world_client_spec(), listener, "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        world_wait(world, world->n_announced == 1);

        for (size_t i = 0; i < G_N_ELEMENTS(strangers); i++) {
                strangers[i] = stranger_new(world, listener, NULL);
                stranger_start(strangers[i]);
        }
        world_send(client, "behind all of them");
        g_autofree char *heard = world_read(world, world_other_end(world, client));
        g_assert_cmpstr(heard, ==, "behind all of them");
        g_assert_cmpuint(listener_facts(listener).n_connections, <,
                         1 + G_N_ELEMENTS(strangers) * 3 / 4);

        /* and none is forgotten */
        world_wait(world, listener_facts(listener).n_connections == 1 + G_N_ELEMENTS(strangers));
        g_assert_false(endpoint_has_later(listener->endpoint));
        for (size_t i = 0; i < G_N_ELEMENTS(strangers); i++)
                stranger_free(strangers[i]);
}

/* ---- flights ---- */

typedef struct Flight {
        Stranger *stranger;
        Connection *server;
        size_t done; /* bytes of it that are at the listener */
} Flight;

/* Up to the point where the client's last flight is due; each of its records will be a datagram. */
static Flight flight_prepare(World *world, Listener *listener) {
        Flight flight = {.stranger = stranger_new(world, listener, NULL)};
        Stranger *stranger = flight.stranger;
        g_autoptr(GBytes) identity = g_bytes_new("stranger", 8);
        g_autoptr(Secret) key = secret_new("secret", 6);

        stranger_start(stranger);
        stranger_wait(stranger, session_question(stranger->session));
        flight.server = relay_find_connection(world->relay, world->relay->last_connection);
        g_assert_cmpint(session_answer_psk(stranger->session,
                                           session_question(stranger->session)->serial,
                                           (uint64_t)g_get_monotonic_time(), identity, key,
                                           stranger->net, stranger->app),
                        ==, 0);
        g_assert_cmpuint(datagram_batch_count(stranger->net), ==, 1);
        return flight;
}

/* The next @n, behind what waits at the listener's socket already. */
static void flight_bring(Flight *flight, unsigned n) {
        const Datagram all = datagram_batch_at(flight->stranger->net, 0);
        const Connection *server = flight->server;
        Later *later = &server->endpoint->later[LATER_GOES_ON];

        if (!later->batch)
                later->batch = datagram_batch_new(16, 4096);
        datagram_batch_address(later->batch, &server->spec->peer, &server->local);
        for (; n > 0; n--) {
                const uint8_t *record = all.data + flight->done;
                size_t size = 13u + ((size_t)record[11] << 8) + record[12];

                g_assert_true(datagram_batch_append(later->batch, record, size));
                flight->done += size;
        }
}

static void flight_end(World *world, Flight *flight) {
        g_assert_cmpuint(flight->done, ==, datagram_batch_at(flight->stranger->net, 0).size);
        datagram_batch_reset(flight->stranger->net);
        stranger_wait(flight->stranger, stranger_is_open(flight->stranger));
        world_wait_state(world, flight->server, HANDSHAKE_COMPLETE);
        stranger_free(flight->stranger);
}

/* ClientKeyExchange, ChangeCipherSpec, Finished: as much of a peer as lies side by side at a time,
 * though there is time for one thing only. */
static void takes_a_flight_as_one(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Endpoint *endpoint = listener->endpoint;
        Flight one, two;

        world_use_psk(world, "someone", "secret");
        one = flight_prepare(world, listener);
        flight_bring(&one, 3);
        ingress_catch_up(endpoint, /* until_usec= */ 0);
        g_assert_false(endpoint_has_later(endpoint));
        flight_end(world, &one);

        one = flight_prepare(world, listener);
        two = flight_prepare(world, listener);
        flight_bring(&one, 2);
        flight_bring(&two, 3);
        flight_bring(&one, 1);
        ingress_catch_up(endpoint, 0);
        g_assert_cmpuint(endpoint->later[LATER_GOES_ON].index, ==, 2);
        ingress_catch_up(endpoint, 0);
        g_assert_cmpuint(endpoint->later[LATER_GOES_ON].index, ==, 5);
        ingress_catch_up(endpoint, 0);
        g_assert_false(endpoint_has_later(endpoint));
        flight_end(world, &one);
        flight_end(world, &two);
}

/* A handshake in progress is not behind those that begin, however many these are. */
static void lets_those_that_begin_wait_for_those_that_go_on(World *world, gconstpointer unused) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        Stranger *strangers[120], *first;
        Listener *listener;
        Connection *server;

        spec->cookies = false;
        listener = world_listen(world, spec);
        world_use_psk(world, "stranger", "secret");
        first = stranger_new(world, listener, NULL);
        stranger_start(first);
        stranger_wait(first, session_question(first->session)); /* its peer waits for it */
        server = listener->connections.head->data;

        for (size_t i = 0; i < G_N_ELEMENTS(strangers); i++) {
                strangers[i] = stranger_new(world, listener, NULL);
                stranger_start(strangers[i]);
        }
        first->psk = "secret";
        stranger_answer(first);
        world_wait_state(world, server, HANDSHAKE_COMPLETE);
        g_assert_true(endpoint_has_later(listener->endpoint));

        world_wait(world, !endpoint_has_later(listener->endpoint));
        for (size_t i = 0; i < G_N_ELEMENTS(strangers); i++)
                stranger_free(strangers[i]);
        stranger_free(first);
}

/* Who shakes hands once needs the place for what waits but once. */
static void keeps_no_place_for_what_waited(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Endpoint *endpoint;
        Connection *client;

        world_use_psk(world, "someone", "secret");
        client = world_start(world, world_client_spec(), listener, "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        endpoint = client->endpoint;

        endpoint->later[LATER_BEGINS].batch = datagram_batch_new(1, 16);
        datagram_batch_address(endpoint->later[LATER_BEGINS].batch, &client->spec->peer,
                               &client->local);
        g_assert_true(datagram_batch_append(endpoint->later[LATER_BEGINS].batch, "noise", 5));
        shakes_wait(endpoint);
        world_wait(world, !endpoint_has_later(endpoint));
        g_assert_null(endpoint->later[LATER_BEGINS].batch);
        g_assert_cmpint(client->state, ==, HANDSHAKE_COMPLETE);
}

#define CASE(name, function)                                                                       \
        g_test_add("/ingress/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("keeps-boundaries-and-order", keeps_boundaries_and_order);
        CASE("delivers-what-came-before-a-goodbye", delivers_what_came_before_a_goodbye);
        CASE("a-socket-that-ended-has-no-turn-again", a_socket_that_ended_has_no_turn_again);
        CASE("drops-what-is-not-from-the-peer", drops_what_is_not_from_the_peer);
        CASE("survives-noise-from-the-peers-own-address",
             survives_noise_from_the_peers_own_address);
        CASE("ends-one-and-goes-on-with-the-rest", ends_one_and_goes_on_with_the_rest);
        CASE("lets-handshakes-wait-for-established-traffic",
             lets_handshakes_wait_for_established_traffic);
        CASE("takes-a-flight-as-one", takes_a_flight_as_one);
        CASE("lets-those-that-begin-wait-for-those-that-go-on",
             lets_those_that_begin_wait_for_those_that_go_on);
        CASE("keeps-no-place-for-what-waited", keeps_no_place_for_what_waited);
        CASE("keeps-apart-what-came-together", keeps_apart_what_came_together);
        return g_test_run();
}
