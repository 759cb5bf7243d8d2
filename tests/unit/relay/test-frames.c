/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* frames: what an application writes goes where its numbers say, or nowhere. */

#include "app.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "lib/capture.h"
#include "relay/private.h"

#include <string.h>
#include <sys/socket.h>

static uint32_t id_of(const Connection *connection) {
        return connection_facts(connection).id;
}

static uint64_t counter_of(App *app, const char *name) {
        return world_counter(relay_counters(app->world.relay), name);
}

/* As app_pair(), and opened is read. The number. */
static uint32_t pair(App *app, Connection **ret_client) {
        Connection *server;

        app_pair(app, ret_client, &server);
        app_expects(app, "%u opened", id_of(server));
        return id_of(server);
}

static void assert_reads(App *app, Connection *client, const char *text) {
        g_autofree char *read = world_read(&app->world, client);

        g_assert_cmpstr(read, ==, text);
}

static void add_text(App *app, uint32_t number, const char *text) {
        app_add(app, number, FRAME_DATA, text, strlen(text));
}

static void test_a_packet_reaches_many(App *app, gconstpointer unused) {
        Connection *clients[3];
        uint32_t numbers[3];

        for (int i = 0; i < 3; i++)
                numbers[i] = pair(app, &clients[i]);
        for (int i = 0; i < 3; i++) {
                add_text(app, numbers[i], "first");
                add_text(app, numbers[i], "second");
        }
        add_text(app, numbers[0], "third");
        app_flush(app);

        for (int i = 0; i < 3; i++) {
                assert_reads(app, clients[i], "first");
                assert_reads(app, clients[i], "second");
        }
        assert_reads(app, clients[0], "third");
        g_assert_cmpuint(counter_of(app, "DatagramsCollected"), ==, 7);
}

static void test_sockets_of_several_connections_are_kept_apart(App *app, gconstpointer unused) {
        Connection *client, *own[2];
        uint32_t number = pair(app, &client);

        for (int i = 0; i < 2; i++) {
                own[i] = world_start(&app->world, app_client_spec(app), app->listener, "127.0.0.1");
                world_wait_state(&app->world, own[i], HANDSHAKE_COMPLETE);
        }
        for (int round = 0; round < 3; round++) {
                add_text(app, id_of(own[0]), "from the first");
                add_text(app, number, "from the listener");
                add_text(app, id_of(own[1]), "from the second");
        }
        app_flush(app);

        for (int i = 0; i < 3; i++)
                assert_reads(app, client, "from the listener");
        for (int n = 0; n < 6;) {
                g_autofree char *frame = app_next(app);

                n += strstr(frame, "data from the first") || strstr(frame, "data from the second");
                g_assert_null(strstr(frame, "dropped"));
        }
}

static void test_numbers_of_others_are_nobodys(App *app, gconstpointer unused) {
        Spec *spec = world_listener_spec("127.0.0.1", 0), *client_spec = world_client_spec();
        g_autofd int other_fd = -1;
        Connection *client, *server, *plain;
        Listener *listener;
        uint32_t other_id, number;
        Reason reason;

        /* another user's, on its own channel */
        g_assert_cmpint(relay_open_channel(app->world.relay, WORLD_OTHER_UID, WORLD_OTHER_OWNER,
                                           &other_fd, &other_id, &reason),
                        ==, 0);
        spec->uid = WORLD_OTHER_UID;
        g_free(spec->owner);
        spec->owner = g_strdup(WORLD_OTHER_OWNER);
        spec->channel = other_id;
        listener = world_listen(&app->world, spec);
        client = world_start(&app->world, client_spec, listener, "127.0.0.1");
        world_wait_state(&app->world, client, HANDSHAKE_COMPLETE);
        server = world_other_end(&app->world, client);
        world_wait_state(&app->world, server, HANDSHAKE_COMPLETE);
        number = id_of(server);

        /* this user's, but without a channel, and one that never was */
        plain = client;
        add_text(app, number, "intruder");
        add_text(app, number, "intruder");
        app_add(app, number, FRAME_CLOSED, NULL, 0);
        add_text(app, id_of(plain), "intruder");
        add_text(app, 0, "intruder");
        add_text(app, 4000000000, "intruder");
        app_flush(app);

        app_expects(app, "%u dropped 2 NotOpen", number);
        app_expects(app, "%u dropped 1 NotOpen", id_of(plain));
        app_expects(app, "0 dropped 1 NotOpen");
        app_expects(app, "4000000000 dropped 1 NotOpen");
        g_assert_cmpuint(counter_of(app, "DroppedNotOpen"), ==, 5);

        g_assert_cmpint(connection_facts(server).state, ==, HANDSHAKE_COMPLETE);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_COMPLETE);
        g_assert_cmpuint(world_counter(connection_counters(server), "DatagramsCollected"), ==, 0);
        g_assert_cmpuint(world_counter(connection_counters(client), "RecordsAccepted"), ==,
                         world_counter(connection_counters(client), "RecordsAccepted"));
        world_send(client, "still here");
        world_wait(&app->world,
                   world_counter(connection_counters(server), "DatagramsDelivered") == 1);
}

static void test_nothing_is_sent_before_it_is_open(App *app, gconstpointer unused) {
        Connection *client;
        uint32_t number;

        client = world_start(&app->world, app_client_spec(app), app->listener, "127.0.0.1");
        number = id_of(client);
        add_text(app, number, "too early");
        app_add(app, number, FRAME_CLOSED, NULL, 0);
        app_flush(app);
        app_expects(app, "%u dropped 1 NotOpen", number);
        world_wait_state(&app->world, client, HANDSHAKE_COMPLETE);
}

static void test_what_is_too_long_is_told(App *app, gconstpointer unused) {
        g_autofree char *longest = g_strnfill(SESSION_PAYLOAD_MAX, 'x');
        g_autofree char *too_long = g_strnfill(SESSION_PAYLOAD_MAX + 1, 'x');
        Connection *client;
        uint32_t number = pair(app, &client);

        add_text(app, number, too_long);
        add_text(app, number, "");
        add_text(app, number, longest);
        add_text(app, number, too_long);
        app_flush(app);

        app_expects(app, "%u dropped 2 TooLong", number);
        assert_reads(app, client, longest);
}

/* Loopback takes whatever is sent, so the endpoint is told that its socket is full. */
static void test_a_full_socket_stops_nobody_else(App *app, gconstpointer unused) {
        Connection *client, *own;
        uint32_t number = pair(app, &client);
        Endpoint *endpoint = app->listener->endpoint;

        own = world_start(&app->world, app_client_spec(app), app->listener, "127.0.0.1");
        world_wait_state(&app->world, own, HANDSHAKE_COMPLETE);
        for (int i = 0; i < 2; i++)
                g_free(app_next(app)); /* both ends opened */

        endpoint->waiting = datagram_batch_new(1, 1);
        add_text(app, number, "lost");
        add_text(app, number, "lost too");
        add_text(app, id_of(own), "not lost");
        app_flush(app);
        app_expects(app, "%u dropped 2 SocketFull", number);
        app_expects(app, "%u data not lost", id_of(own) + 1);
        g_assert_cmpuint(counter_of(app, "DroppedSocketFull"), ==, 2);

        endpoint_drain(endpoint);
        add_text(app, number, "room again");
        app_flush(app);
        assert_reads(app, client, "room again");
}

static void test_what_cannot_be_ends_its_packet_alone(App *app, gconstpointer unused) {
        Connection *client;
        uint32_t number = pair(app, &client);

        for (uint16_t kind = 0; kind < 8; kind++) {
                if (kind == FRAME_DATA || kind == FRAME_CLOSED)
                        continue;

                add_text(app, number, "before");
                app_add(app, number, kind, "PeerClosed", 10);
                add_text(app, number, "after");
                app_flush(app);
                assert_reads(app, client, "before");
        }
        g_assert_cmpuint(counter_of(app, "DroppedFrames"), ==, 6);

        add_text(app, number, "and on it goes");
        app_flush(app);
        assert_reads(app, client, "and on it goes");
}

/* A new channel is no new ration of lines. */
static void test_nonsense_is_told_within_the_users_ration(App *app, gconstpointer unused) {
        g_autofree char *told = NULL;
        g_auto(GStrv) lines = NULL;

        log_set_level(LOG_INFO);
        capture_begin();
        for (unsigned i = 1; i <= 100; i++) {
                g_autofd int fd = -1;
                uint32_t number;
                Reason reason;

                g_assert_cmpint(relay_open_channel(app->world.relay, WORLD_UID, WORLD_OWNER, &fd,
                                                   &number, &reason),
                                ==, 0);
                g_assert_cmpint(send(fd, "nonsense", 8, MSG_NOSIGNAL), ==, 8);
                world_wait(&app->world, counter_of(app, "DroppedFrames") == i);
        }
        told = capture_end();
        lines = g_strsplit(told, "\n", 0);
        g_assert_cmpuint(g_strv_length(lines), >, 10);
        g_assert_cmpuint(g_strv_length(lines), <=, 21);
}

static void test_please_close(App *app, gconstpointer unused) {
        Connection *client, *other;
        uint32_t number = pair(app, &client), other_number = pair(app, &other);

        add_text(app, number, "last words");
        app_add(app, number, FRAME_CLOSED, "whatever", 8);
        add_text(app, number, "and then?");
        add_text(app, other_number, "stays");
        app_flush(app);

        assert_reads(app, client, "last words");
        assert_reads(app, other, "stays");
        world_wait_state(&app->world, client, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_REMOTE_CLOSED_CONNECTION_ERROR);
        app_expects(app, "%u dropped 1 NotOpen", number);
        app_expects(app, "%u closed Close", number);
        g_assert_false(world_has(&app->world, number));
        g_assert_true(world_has(&app->world, other_number));
}

/* Who closes knows it. */
static void test_an_own_close_wakes_nobody_at_once(App *app, gconstpointer unused) {
        Connection *client;
        uint32_t number = pair(app, &client);
        gint64 closed_usec = g_get_monotonic_time();

        app_add(app, number, FRAME_CLOSED, NULL, 0);
        app_flush(app);
        app_expects(app, "%u closed Close", number);
        g_assert_cmpint(g_get_monotonic_time() - closed_usec, >=, 5000);
}

static void test_a_long_packet_takes_turns(App *app, gconstpointer unused) {
        Connection *client;
        uint32_t number = pair(app, &client);
        uint64_t n = 0, n_before;

        for (int i = 0; i < 4000; i++)
                add_text(app, number, "exactly8");
        app_flush(app);

        while (n < 4000) {
                n_before = n;
                world_turn(&app->world, world_limit(&app->world));
                n = counter_of(app, "DatagramsCollected");
                g_assert_cmpuint(n - n_before, <=, 256);
        }
}

static void test_many_ends_take_turns(App *app, gconstpointer unused) {
        uint64_t n_open = 40, n_before;

        for (uint64_t i = 0; i < n_open; i++) {
                Connection *client;

                app_add(app, pair(app, &client), FRAME_CLOSED, NULL, 0);
        }
        app_flush(app);

        while (n_open > 0) {
                n_before = n_open;
                world_turn(&app->world, world_limit(&app->world));
                n_open = g_hash_table_size(app->listener->trunk->lanes);
                g_assert_cmpuint(n_before - n_open, <=, TRUNK_CLOSE_MAX);
        }
}

static void test_noise_does_no_harm(App *app, gconstpointer unused) {
        g_autoptr(GRand) random = g_rand_new_with_seed(9);
        Connection *client;
        uint32_t number = pair(app, &client);

        for (int i = 0; i < 500; i++) {
                g_byte_array_set_size(app->packet, (guint)g_rand_int_range(random, 1, 4096));
                for (guint at = 0; at < app->packet->len; at++)
                        app->packet->data[at] =
                                g_rand_int_range(random, 0, 4) ? 0 : (uint8_t)g_rand_int(random);
                app_flush(app);
                world_turn_quickly(&app->world, world_limit(&app->world));
        }

        /* nobody reads what it is answered, and that harms nobody either */
        add_text(app, number, "still here");
        app_flush(app);
        assert_reads(app, client, "still here");
        g_assert_cmpuint(counter_of(app, "DroppedFrames"), >, 100);
}

static void add(const char *name, void (*body)(App *, gconstpointer)) {
        g_autofree char *path = g_strconcat("/frames/", name, NULL);

        g_test_add(path, App, NULL, app_setup, body, app_teardown);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);
        add("a-packet-reaches-many", test_a_packet_reaches_many);
        add("sockets-of-several-connections-are-kept-apart",
            test_sockets_of_several_connections_are_kept_apart);
        add("numbers-of-others-are-nobodys", test_numbers_of_others_are_nobodys);
        add("nothing-is-sent-before-it-is-open", test_nothing_is_sent_before_it_is_open);
        add("what-is-too-long-is-told", test_what_is_too_long_is_told);
        add("a-full-socket-stops-nobody-else", test_a_full_socket_stops_nobody_else);
        add("what-cannot-be-ends-its-packet-alone", test_what_cannot_be_ends_its_packet_alone);
        add("nonsense-is-told-within-the-users-ration",
            test_nonsense_is_told_within_the_users_ration);
        add("please-close", test_please_close);
        add("an-own-close-wakes-nobody-at-once", test_an_own_close_wakes_nobody_at_once);
        add("a-long-packet-takes-turns", test_a_long_packet_takes_turns);
        add("many-ends-take-turns", test_many_ends_take_turns);
        add("noise-does-no-harm", test_noise_does_no_harm);
        return g_test_run();
}
