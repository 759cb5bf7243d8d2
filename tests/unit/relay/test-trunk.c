/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trunk: a shared channel is one name's, and what was made with it goes when it goes. */

#include "app.h"

#include "base/cleanup.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static uint32_t id_of(const Connection *connection) {
        return connection_facts(connection).id;
}

static char *refusal(App *app, const char *owner, uint32_t id) {
        Spec *spec = world_client_spec();
        Connection *connection;
        Reason reason = {0};

        g_free(spec->owner);
        spec->owner = g_strdup(owner);
        spec->channel = id;
        g_assert_cmpint(relay_create_connection(app->world.relay, spec, &connection, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        return g_strdup(reason.text);
}

static void test_anothers_is_as_unknown_as_none(App *app, gconstpointer unused) {
        g_autofree char *anothers = refusal(app, WORLD_OTHER_OWNER, app->id);
        g_autofree char *none = refusal(app, WORLD_OWNER, app->id + 1);
        g_autofree char *expected = g_strdup_printf("You have no shared channel %u;", app->id);
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        Listener *listener;
        Reason reason = {0};

        g_assert_true(g_str_has_prefix(anothers, expected));
        g_assert_true(g_str_has_prefix(none, "You have no shared channel "));

        g_free(spec->owner);
        spec->owner = g_strdup(WORLD_OTHER_OWNER);
        spec->channel = app->id;
        g_assert_cmpint(relay_listen(app->world.relay, spec, &listener, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        g_assert_cmpstr(reason.text, ==, anothers);
}

static void test_a_closed_fd_ends_all_that_was_made_with_it(App *app, gconstpointer unused) {
        uint32_t listener = listener_facts(app->listener).id, number, own_number, idle_number;
        Connection *client, *server, *own, *idle, *plain, *plain_server;
        g_autofree char *expected = NULL;
        Reason reason;

        app_pair(app, &client, &server);
        own = world_start(&app->world, app_client_spec(app), app->listener, "127.0.0.1");
        g_assert_cmpint(
                relay_create_connection(app->world.relay, app_client_spec(app), &idle, &reason), ==,
                0);
        world_wait_state(&app->world, own, HANDSHAKE_COMPLETE);
        world_pair(&app->world, &plain, &plain_server);
        number = id_of(server);
        own_number = id_of(own);
        idle_number = id_of(idle);

        app_says(app, number, "last words");
        app_closes_fd(app);
        world_wait(&app->world, !relay_find_listener(app->world.relay, listener));
        g_assert_false(world_has(&app->world, number));
        g_assert_false(world_has(&app->world, own_number));
        g_assert_false(world_has(&app->world, idle_number));
        expected = g_strdup_printf("%u:ChannelClosed ", number);
        g_assert_nonnull(strstr(app->world.closed->str, expected));

        /* what was written before still went out, and the peer hears of the end */
        world_wait_state(&app->world, client, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_REMOTE_CLOSED_CONNECTION_ERROR);
        {
                g_autofree char *text = world_read(&app->world, client);

                g_assert_cmpstr(text, ==, "last words");
        }

        g_assert_cmpint(connection_facts(plain).state, ==, HANDSHAKE_COMPLETE);
        g_assert_cmpint(connection_facts(plain_server).state, ==, HANDSHAKE_COMPLETE);
}

static void test_a_name_that_leaves_ends_it(App *app, gconstpointer unused) {
        struct pollfd look = {.fd = app->fd, .events = POLLIN};
        uint32_t number, listener = listener_facts(app->listener).id;
        Connection *client, *server;

        app_pair(app, &client, &server);
        number = id_of(server);
        relay_owner_gone(app->world.relay, WORLD_OWNER);
        g_assert_null(relay_find_listener(app->world.relay, listener));
        app_expects(app, "%u opened", number);
        app_expects(app, "%u closed OwnerGone", number);
        world_wait(&app->world, poll(&look, 1, 0) == 1 && (look.revents & POLLHUP));
}

/* Somebody else's event: how many connections there are still. */
static int on_other(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        App *app = userdata;

        app->n_packets = (size_t)quota_used(app->world.quota, WORLD_UID, QUOTA_CONNECTIONS);
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static void test_others_have_their_turns_meanwhile(App *app, gconstpointer unused) {
        uint32_t listener = listener_facts(app->listener).id;
        sd_event_source *source = NULL;
        Connection *connection;
        int ends[2];

        for (int i = 0; i < 1000; i++)
                g_assert_cmpint(relay_create_connection(app->world.relay, app_client_spec(app),
                                                        &connection, NULL),
                                ==, 0);
        g_assert_cmpint(pipe(ends), ==, 0);
        g_assert_cmpint(write(ends[1], "x", 1), ==, 1);

        app_closes_fd(app);
        while (quota_used(app->world.quota, WORLD_UID, QUOTA_CONNECTIONS) == 1000)
                world_turn(&app->world, world_limit(&app->world));
        g_assert_cmpint(sd_event_add_io(app->world.event, &source, ends[0], EPOLLIN, on_other, app),
                        >=, 0);
        world_wait(&app->world, !relay_find_listener(app->world.relay, listener));
        g_assert_cmpuint(app->n_packets, >, 500);
        sd_event_source_unref(source);
        close(ends[0]);
        close(ends[1]);
}

#define N_SOCKETS 4

static void test_what_comes_on_several_sockets_leaves_in_a_packet(App *app, gconstpointer unused) {
        Listener *listener = world_listen(&app->world, world_listener_spec("127.0.0.1", 0));
        Connection *servers[N_SOCKETS];
        uint32_t numbers[N_SOCKETS];
        size_t n_packets = N_SOCKETS;

        for (int i = 0; i < N_SOCKETS; i++) {
                Connection *client =
                        world_start(&app->world, app_client_spec(app), listener, "127.0.0.1");

                numbers[i] = id_of(client);
                app_expects(app, "%u opened", numbers[i]);
                servers[i] = world_other_end(&app->world, client);
                world_wait_state(&app->world, servers[i], HANDSHAKE_COMPLETE);
        }

        /* again where all took their time, for want of a processor */
        for (int n_tries = 0; n_packets >= N_SOCKETS; n_tries++) {
                size_t n_before = app->n_packets;

                g_assert_cmpint(n_tries, <, 100);
                for (int i = 0; i < N_SOCKETS; i++)
                        world_send(servers[i], "hello");
                for (int i = 0; i < N_SOCKETS; i++)
                        app_expects(app, "%u data hello", numbers[i]);
                n_packets = app->n_packets - n_before;
        }
}

static void test_many_go_in_turns(App *app, gconstpointer unused) {
        uint64_t n = 1000, n_before;

        for (uint64_t i = 0; i < n; i++) {
                Connection *connection;

                g_assert_cmpint(relay_create_connection(app->world.relay, app_client_spec(app),
                                                        &connection, NULL),
                                ==, 0);
        }

        app_closes_fd(app);
        while (n > 0) {
                n_before = n;
                world_turn(&app->world, world_limit(&app->world));
                n = quota_used(app->world.quota, WORLD_UID, QUOTA_CONNECTIONS);
                g_assert_cmpuint(n_before - n, <=, 128); /* a burial may come after two turns */
        }
        world_wait(&app->world, quota_used(app->world.quota, WORLD_UID, QUOTA_LISTENERS) == 0);
}

static void test_several_are_kept_apart(App *app, gconstpointer unused) {
        Spec *spec = app_client_spec(app);
        g_autofd int second_fd = -1;
        Connection *client, *own;
        Connection *server;
        uint32_t second, own_id;
        Reason reason;

        g_assert_cmpint(relay_open_channel(app->world.relay, WORLD_UID, WORLD_OWNER, &second_fd,
                                           &second, &reason),
                        ==, 0);
        g_assert_cmpuint(second, !=, app->id);
        spec->channel = second;
        own = world_start(&app->world, spec, app->listener, "127.0.0.1");
        world_wait_state(&app->world, own, HANDSHAKE_COMPLETE);
        app_pair(app, &client, &server);

        own_id = id_of(own);
        autofd_close(&second_fd);
        second_fd = -1;
        world_wait(&app->world, !world_has(&app->world, own_id));
        g_assert_cmpint(connection_facts(server).state, ==, HANDSHAKE_COMPLETE);
        spec = app_client_spec(app);
        spec->channel = second; /* and it does not come again */
        g_assert_cmpint(relay_create_connection(app->world.relay, spec, &own, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
}

static void test_it_takes_the_place_of_other_channels(App *app, gconstpointer unused) {
        g_autoptr(GArray) attached = NULL;
        Connection *client, *server;
        uint32_t data_mtu;
        GBytes *bytes;
        Reason reason;
        int fd;

        app_pair(app, &client, &server);
        attached = connection_attached(server);
        g_assert_cmpuint(attached->len, ==, 1);
        g_assert_cmpstr(g_array_index(attached, Attached, 0).name, ==, WORLD_OWNER);
        g_assert_true(connection_facts(server).channel_open);
        g_assert_false(connection_facts(server).announced);
        g_assert_cmpuint(app->world.n_announced, ==, 0);
        g_assert_cmpint(connection_open_channel(server, &fd, &data_mtu, &reason), ==,
                        RELAY_E_CHANNEL_IN_USE);
        g_assert_cmpint(connection_read(server, &bytes, &reason), ==, RELAY_E_CHANNEL_IN_USE);
        g_assert_cmpint(listener_open_accept_queue(app->listener, &fd, &reason), ==,
                        RELAY_E_CHANNEL_IN_USE);
}

static void test_announced_if_told_so(App *app, gconstpointer unused) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        Connection *client, *server;
        Listener *listener;

        spec->channel = app->id;
        spec->announce = true;
        listener = world_listen(&app->world, spec);
        client = world_start(&app->world, world_client_spec(), listener, "127.0.0.1");
        world_wait(&app->world, app->world.n_announced == 1);
        world_wait_state(&app->world, client, HANDSHAKE_COMPLETE);
        server = relay_find_connection(app->world.relay, app->world.last_accepted);
        g_assert_true(connection_facts(server).announced);
        app_expects(app, "%u opened", id_of(server));
        connection_close(client, END_CLOSE);
        app_expects(app, "%u closed PeerClosed", id_of(server));
        g_assert_true(world_has(&app->world, id_of(server))); /* to be read for a while */
}

/* Also where something comes at the same time, which finds nobody. */
static void test_last_words_go_out_against_what_comes(App *app, gconstpointer unused) {
        Connection *client, *server;

        app_pair(app, &client, &server);
        world_send(client, "nobody hears this");
        for (int i = 0; i < 50; i++)
                app_says(app, id_of(server), "last words");
        app_closes_fd(app);

        for (int i = 0; i < 50; i++) {
                g_autofree char *text = world_read(&app->world, client);

                g_assert_cmpstr(text, ==, "last words");
        }
        world_wait_state(&app->world, client, HANDSHAKE_NOT_STARTED);
}

static void add(const char *name, void (*body)(App *, gconstpointer)) {
        g_autofree char *path = g_strconcat("/trunk/", name, NULL);

        g_test_add(path, App, NULL, app_setup, body, app_teardown);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);
        add("anothers-is-as-unknown-as-none", test_anothers_is_as_unknown_as_none);
        add("a-closed-fd-ends-all-that-was-made-with-it",
            test_a_closed_fd_ends_all_that_was_made_with_it);
        add("a-name-that-leaves-ends-it", test_a_name_that_leaves_ends_it);
        add("last-words-go-out-against-what-comes", test_last_words_go_out_against_what_comes);
        add("many-go-in-turns", test_many_go_in_turns);
        add("others-have-their-turns-meanwhile", test_others_have_their_turns_meanwhile);
        add("several-are-kept-apart", test_several_are_kept_apart);
        add("what-comes-on-several-sockets-leaves-in-a-packet",
            test_what_comes_on_several_sockets_leaves_in_a_packet);
        add("it-takes-the-place-of-other-channels", test_it_takes_the_place_of_other_channels);
        add("announced-if-told-so", test_announced_if_told_so);
        return g_test_run();
}
