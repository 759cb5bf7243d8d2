/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lane: opened, data, closed, in this order, and nothing of it is lost but data. */

#include "app.h"

#include "channel/opened.h"

#include <stdio.h>
#include <string.h>

static uint32_t id_of(const Connection *connection) {
        return connection_facts(connection).id;
}

static void assert_field(App *app, uint32_t number, uint16_t type, const void *value, size_t size) {
        g_autoptr(GBytes) field = app_opened_field(app, number, type);

        g_assert_nonnull(field);
        g_assert_cmpmem(g_bytes_get_data(field, NULL), g_bytes_get_size(field), value, size);
}

static void test_opened_says_who_came(App *app, gconstpointer unused) {
        uint32_t listener = listener_facts(app->listener).id, data_mtu, number;
        Connection *client, *server;
        uint16_t peer_port;
        Address local;

        app_pair(app, &client, &server);
        number = id_of(server);
        data_mtu = connection_facts(server).data_mtu;
        local = connection_facts(client).local;
        peer_port = address_port(&local);

        app_expects(app, "%u opened", number);
        assert_field(app, number, OPENED_CONNECTION, &number, sizeof(number));
        assert_field(app, number, OPENED_LISTENER, &listener, sizeof(listener));
        assert_field(app, number, OPENED_PEER, "127.0.0.1", 9);
        assert_field(app, number, OPENED_PEER_PORT, &peer_port, sizeof(peer_port));
        assert_field(app, number, OPENED_DATA_MTU, &data_mtu, sizeof(data_mtu));
        assert_field(app, number, OPENED_PSK_IDENTITY, "someone", 7);
        g_assert_null(app_opened_field(app, number, OPENED_NEXT_PROTOCOL));
        g_assert_null(app_opened_field(app, number, OPENED_SERVER_NAME));
}

static void test_opened_says_what_was_asked_for(App *app, gconstpointer unused) {
        Spec *spec = world_client_spec();
        Connection *client;
        uint32_t number;

        g_free(spec->verification_name);
        spec->verification_name = g_strdup("device.example");
        client = world_start(&app->world, spec, app->listener, "127.0.0.1");
        number = id_of(client) + 1;
        app_expects(app, "%u opened", number);
        assert_field(app, number, OPENED_SERVER_NAME, "device.example", 14);
}

static void test_from_opened_to_closed(App *app, gconstpointer unused) {
        Connection *client, *server;
        uint32_t number;

        app_pair(app, &client, &server);
        number = id_of(server);
        world_send(client, "hello");
        world_send(client, "and more");
        connection_close(client, END_CLOSE);

        app_expects(app, "%u opened", number);
        app_expects(app, "%u data hello", number);
        app_expects(app, "%u data and more", number);
        app_expects(app, "%u closed PeerClosed", number);
        g_assert_false(world_has(&app->world, number)); /* the application knows all there is */
}

static void test_what_comes_in_a_turn_leaves_in_a_packet(App *app, gconstpointer unused) {
        Connection *client, *server;
        size_t n_before;

        app_pair(app, &client, &server);
        app_expects(app, "%u opened", id_of(server));
        n_before = app->n_packets;
        for (int i = 0; i < 20; i++)
                world_send(client, "hello");
        for (int i = 0; i < 20; i++)
                app_expects(app, "%u data hello", id_of(server));
        g_assert_cmpuint(app->n_packets - n_before, <, 4); /* as the kernel gives them out */
}

/* Sends until some is dropped. */
static void fill(App *app, Connection *client, const Connection *server) {
        g_autofree char *text = g_strnfill(1200, 'x');

        while (world_counter(connection_counters(server), "DroppedAppFull") == 0) {
                for (int i = 0; i < 50; i++)
                        world_send(client, text);
                world_turn_quickly(&app->world, world_limit(&app->world));
        }
}

static void test_a_slow_reader_loses_data_and_nothing_else(App *app, gconstpointer unused) {
        Connection *client, *server, *other, *other_server;
        g_autoptr(GString) kinds = g_string_new(NULL);
        uint32_t number, other_number, n_dropped = 0, n;
        size_t n_data = 0;
        uint64_t n_sent, n_lost;
        bool over = false;

        app_pair(app, &client, &server);
        number = id_of(server);
        fill(app, client, server);
        app_pair(app, &other, &other_server); /* opens and ends while nobody reads */
        other_number = id_of(other_server);
        world_send(other, "x"); /* for which there would be room, but not before opened */
        world_wait(&app->world,
                   world_counter(connection_counters(other_server), "DroppedAppFull") == 1);
        connection_close(other, END_CLOSE);
        world_wait(&app->world, !world_has(&app->world, other_number));
        n_sent = world_counter(connection_counters(server), "DatagramsDelivered");
        n_lost = world_counter(connection_counters(server), "DroppedAppFull");
        connection_close(client, END_CLOSE);
        world_wait(&app->world, !world_has(&app->world, number));

        while (!over) {
                g_autofree char *frame = app_next(app);
                uint32_t from = (uint32_t)g_ascii_strtoull(frame, NULL, 10);

                if (strstr(frame, " data ") && from == number)
                        n_data++;
                else if (from == number)
                        g_string_append_printf(kinds, "%s;", strchr(frame, ' '));
                if (sscanf(frame, "%*u dropped %u ChannelFull", &n) == 1)
                        n_dropped += n;
                if (from == other_number)
                        g_string_append_printf(kinds, " other%s;", strchr(frame, ' '));
                over = strstr(kinds->str, "other closed PeerClosed");
        }

        g_assert_cmpuint(n_data, ==, n_sent);
        g_assert_cmpuint(n_dropped, ==, n_lost + 1); /* the other one's */
        g_test_message("%s", kinds->str);
        g_assert_nonnull(strstr(kinds->str, " opened;"));
        g_assert_nonnull(strstr(kinds->str, "ChannelFull;"));
        g_assert_nonnull(strstr(kinds->str, "other opened; other dropped 1 ChannelFull;"));
}

#define CROWD 10

static void crowd_setup(App *app, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(4096);

        limits.per_uid[QUOTA_CONNECTIONS] = CROWD;
        app_setup_limits(app, &limits);
}

/* What is to be told of those that came and went is as bounded as those that are there. */
static void test_nobody_is_told_of_without_bound(App *app, gconstpointer unused) {
        unsigned n_opened = 0, n_closed = 0;
        Connection *client, *server;

        app_pair(app, &client, &server);
        fill(app, client, server);
        for (unsigned i = 0; i < 2 * CROWD; i++) {
                Spec *spec = world_client_spec();
                Connection *other;
                uint64_t n_before;

                spec->uid = WORLD_OTHER_UID;
                n_before = world_counter(relay_counters(app->world.relay), "DroppedQuota");
                other = world_start(&app->world, spec, app->listener, "127.0.0.1");
                world_wait(&app->world, connection_facts(other).encrypted ||
                                                world_counter(relay_counters(app->world.relay),
                                                              "DroppedQuota") > n_before);
                connection_close(other, END_CLOSE);
        }
        /* the pair are two of them */
        g_assert_cmpuint(quota_used(app->world.quota, WORLD_UID, QUOTA_CONNECTIONS), <=, CROWD);
        g_assert_cmpuint(world_counter(relay_counters(app->world.relay), "DroppedQuota"), >=,
                         CROWD);

        connection_close(client, END_CLOSE);
        while (n_closed < 1 || n_closed < n_opened ||
               quota_used(app->world.quota, WORLD_UID, QUOTA_CONNECTIONS) > 0) {
                world_turn_quickly(&app->world, world_limit(&app->world));
                app_read(app);
                while (!g_queue_is_empty(app->frames)) {
                        g_autofree char *frame = g_queue_pop_head(app->frames);

                        n_opened += g_str_has_suffix(frame, " opened");
                        n_closed += strstr(frame, " closed ") != NULL;
                }
        }
        g_assert_cmpuint(n_opened, ==, n_closed);
        g_assert_cmpuint(n_opened, >, CROWD / 2);
}

static void test_a_shutdown_is_told_and_the_next_number_is_new(App *app, gconstpointer unused) {
        Connection *client;
        Reason reason;
        uint32_t id;
        char *frame;
        uint32_t numbers[2];

        client = world_start(&app->world, app_client_spec(app), app->listener, "127.0.0.1");
        id = id_of(client);
        for (int i = 0; i < 2; i++) {
                world_wait_state(&app->world, client, HANDSHAKE_COMPLETE);
                for (;;) {
                        g_autoptr(GBytes) port = NULL;
                        uint32_t from;

                        frame = app_next(app);
                        from = (uint32_t)g_ascii_strtoull(frame, NULL, 10);
                        if (strstr(frame, " opened")) {
                                g_autoptr(GBytes) listener =
                                        app_opened_field(app, from, OPENED_LISTENER);

                                g_free(frame);
                                if (listener)
                                        continue; /* the other end */
                                numbers[i] = from;
                                assert_field(app, from, OPENED_CONNECTION, &id, sizeof(id));
                                break;
                        }
                        g_free(frame);
                }
                g_assert_cmpint(connection_shutdown(client, &reason), ==, 0);
                for (;;) {
                        g_autofree char *expected =
                                g_strdup_printf("%u closed Shutdown", numbers[i]);
                        g_autofree char *next = app_next(app);

                        if (g_str_equal(next, expected))
                                break;
                }
                if (i == 0)
                        g_assert_cmpint(connection_do_handshake(client, &reason), ==, 0);
        }

        g_assert_cmpuint(numbers[0], ==, id);
        g_assert_cmpuint(numbers[1], !=, id);
        g_assert_false(world_has(&app->world, numbers[1]));
}

static void add(const char *name, void (*body)(App *, gconstpointer)) {
        g_autofree char *path = g_strconcat("/lane/", name, NULL);

        g_test_add(path, App, NULL, app_setup, body, app_teardown);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);
        add("opened-says-who-came", test_opened_says_who_came);
        add("opened-says-what-was-asked-for", test_opened_says_what_was_asked_for);
        add("from-opened-to-closed", test_from_opened_to_closed);
        add("what-comes-in-a-turn-leaves-in-a-packet",
            test_what_comes_in_a_turn_leaves_in_a_packet);
        add("a-slow-reader-loses-data-and-nothing-else",
            test_a_slow_reader_loses_data_and_nothing_else);
        g_test_add("/lane/nobody-is-told-of-without-bound", App, NULL, crowd_setup,
                   test_nobody_is_told_of_without_bound, app_teardown);
        add("a-shutdown-is-told-and-the-next-number-is-new",
            test_a_shutdown_is_told_and_the_next_number_is_new);
        return g_test_run();
}
