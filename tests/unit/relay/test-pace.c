/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pace: who has sent what it may in a second is not read, loses nothing, and delays nobody else. */

#include "app.h"

#include "base/cleanup.h"
#include "relay/private.h"

#include <string.h>
#include <sys/socket.h>

static void set_rate(World *world, uint64_t rate) {
        quota_set_user_limit(world->quota, WORLD_UID, QUOTA_DATAGRAMS, rate);
}

/* Both ends of one user. */
static Connection *start(World *world, Listener *listener) {
        Connection *client = world_start(world, world_client_spec(), listener, "127.0.0.1");

        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        return client;
}

static void send_many(int fd, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                g_assert_cmpint(send(fd, "x", 1, 0), ==, 1);
}

static uint64_t collected(const Connection *connection) {
        return world_counter(connection_counters(connection), "DatagramsCollected");
}

/* That no more was sent than the rate allows since then, however slow this machine is. */
static void assert_in_time(uint64_t n, uint64_t rate, gint64 begun_usec) {
        uint64_t usec = (uint64_t)(g_get_monotonic_time() - begun_usec);

        g_assert_cmpuint(n, <=, MAX(rate / 10, 1) + 1 + rate * usec / 1000000);
}

static void lets_the_sender_feel_its_limit(World *world, gconstpointer unused) {
        gint64 begun_usec = g_get_monotonic_time();
        Connection *client, *server;
        g_autofd int fd = -1;

        world_pair(world, &client, &server);
        set_rate(world, 100);
        fd = world_open_channel(client);
        send_many(fd, 60);
        while (collected(client) < 60) {
                world_turn(world, world_limit(world));
                assert_in_time(collected(client), 100, begun_usec);
        }
        g_assert_cmpuint(world_counter(connection_counters(client), "DroppedQuota"), ==, 0);
        world_wait(world, world_counter(connection_counters(server), "DatagramsDelivered") == 60);
}

/* And one that is new to the limit has all of it. */
static void does_not_delay_another_user(World *world, gconstpointer unused) {
        Spec *spec = world_client_spec();
        Connection *client, *server, *other;
        g_autofd int fd = -1;
        g_autofd int other_fd = -1;

        world_pair(world, &client, &server);
        spec->uid = WORLD_OTHER_UID;
        other = world_start(world, spec, server->listener, "127.0.0.1");
        world_wait_state(world, other, HANDSHAKE_COMPLETE);
        set_rate(world, 0);
        fd = world_open_channel(client);
        other_fd = world_open_channel(other);
        for (int i = 0; i < 20; i++) {
                send_many(fd, 5);
                send_many(other_fd, 5);
                world_wait(world, collected(other) == 5 * (uint64_t)(i + 1));
        }
        g_assert_cmpuint(collected(client), ==, 0);

        set_rate(world, QUOTA_RATE_NONE);
        world_wait(world, collected(client) == 100);
}

/* However many go in a turn: that is more, the later it comes. */
static void lets_channels_of_a_user_take_turns(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        uint64_t limit_usec, one_had = 0, other_had = 0;
        int one_turns = 0, other_turns = 0;
        Connection *one, *other;
        g_autofd int one_fd = -1;
        g_autofd int other_fd = -1;

        world_use_psk(world, "someone", "secret");
        one = start(world, listener);
        other = start(world, listener);
        set_rate(world, 100);
        one_fd = world_open_channel(one);
        other_fd = world_open_channel(other);
        send_many(one_fd, 40);
        send_many(other_fd, 40);
        limit_usec = world_limit(world);
        while (one_had < 40 && other_had < 40) {
                world_turn(world, limit_usec);
                one_turns += collected(one) > one_had;
                other_turns += collected(other) > other_had;
                one_had = collected(one);
                other_had = collected(other);
                /* more may be sent by the time that one has found nothing */
                g_assert_cmpint(ABS(one_turns - other_turns), <=, 2);
        }
}

static void refuses_a_call_over_the_limit(World *world, gconstpointer unused) {
        Connection *client, *server;
        Reason reason = {0};

        world_pair(world, &client, &server);
        set_rate(world, 1);
        g_assert_cmpint(connection_write(client, WORLD_OTHER_UID, "x", 1, &reason), ==, 0);
        g_assert_cmpint(connection_write(client, WORLD_UID, "x", 1, &reason), ==, 0);
        set_rate(world, 0);
        g_assert_cmpint(connection_write(client, WORLD_UID, "x", 1, &reason), ==, RELAY_E_QUOTA);
        g_assert_nonnull(strstr(reason.text, "may send 0 datagrams a second"));
        g_assert_cmpuint(quota_refused(world->quota, QUOTA_DATAGRAMS), ==, 1);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_COMPLETE);
        g_assert_cmpint(connection_write(client, WORLD_OTHER_UID, "x", 1, &reason), ==, 0);
}

/* What was written before the fd was closed leaves in its time. */
static void sends_all_before_a_hang_up(World *world, gconstpointer unused) {
        Connection *client, *server;
        uint32_t id;
        int fd;

        world_pair(world, &client, &server);
        set_rate(world, 100);
        id = connection_facts(client).id;
        fd = world_open_channel(client);
        send_many(fd, 50);
        (void)close(fd);
        world_wait(world, !world_has(world, id));
        g_assert_cmpuint(world_counter(relay_counters(world->relay), "DatagramsCollected"), ==, 50);
        g_assert_cmpuint(world_counter(relay_counters(world->relay), "DroppedQuota"), ==, 0);
}

/* A close does not wait: a second's worth goes ahead, and the rest is dropped. */
static void sends_a_seconds_worth_when_closed(World *world, gconstpointer unused) {
        gint64 begun_usec = g_get_monotonic_time();
        Connection *client, *server;
        g_autofd int fd = -1;
        uint64_t n_dropped;

        world_pair(world, &client, &server);
        set_rate(world, 20);
        fd = world_open_channel(client);
        send_many(fd, 60);
        connection_close(client, END_CLOSE);
        n_dropped = world_counter(relay_counters(world->relay), "DroppedQuota");
        g_assert_cmpuint(60 - n_dropped, >=, 20);
        g_assert_cmpuint(n_dropped, >, 0);
        assert_in_time(60 - n_dropped - 20, 20, begun_usec);
        world_wait(world, world_counter(connection_counters(server), "DatagramsDelivered") ==
                                  60 - n_dropped);
}

static void say(Connection *connection, const char *text) {
        Reason reason;

        g_assert_cmpint(connection_write(connection, WORLD_OTHER_UID, text, strlen(text), &reason),
                        ==, 0);
}

/* Each datagram of a packet counts; what comes meanwhile is delivered. */
static void holds_for_a_shared_channel(App *app, gconstpointer unused) {
        World *world = &app->world;
        Connection *client, *server;
        uint32_t number;

        app_pair(app, &client, &server);
        number = connection_facts(server).id;
        app_expects(app, "%u opened", number);
        set_rate(world, 0);
        for (int i = 0; i < 50; i++)
                app_add(app, number, FRAME_DATA, "x", 1);
        app_flush(app);
        for (int i = 0; i < 3; i++) {
                say(client, "meanwhile");
                app_expects(app, "%u data meanwhile", number);
        }
        g_assert_cmpuint(collected(server), ==, 0);

        set_rate(world, 200);
        world_wait(world, collected(server) > 0);
        g_assert_cmpuint(collected(server), <=, 20);
        world_wait(world, collected(server) == 50);
        world_wait(world, world_counter(connection_counters(client), "DatagramsDelivered") == 50);
}

static void forgets_a_shared_channel_that_waits(App *app, gconstpointer unused) {
        World *world = &app->world;
        Connection *client, *server;
        uint32_t id;

        app_pair(app, &client, &server);
        id = connection_facts(server).id;
        app_expects(app, "%u opened", id);
        set_rate(world, 0);
        app_says(app, id, "never sent");
        world_spend(world, 20 * 1000);
        relay_owner_gone(world->relay, WORLD_OWNER);
        world_wait(world, !world_has(world, id));
}

#define CASE(name, function)                                                                       \
        g_test_add("/pace/" name, World, NULL, world_setup, function, world_teardown)
#define SHARED(name, function)                                                                     \
        g_test_add("/pace/" name, App, NULL, app_setup, function, app_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("lets-the-sender-feel-its-limit", lets_the_sender_feel_its_limit);
        CASE("does-not-delay-another-user", does_not_delay_another_user);
        CASE("lets-channels-of-a-user-take-turns", lets_channels_of_a_user_take_turns);
        CASE("refuses-a-call-over-the-limit", refuses_a_call_over_the_limit);
        CASE("sends-all-before-a-hang-up", sends_all_before_a_hang_up);
        CASE("sends-a-seconds-worth-when-closed", sends_a_seconds_worth_when_closed);
        SHARED("holds-for-a-shared-channel", holds_for_a_shared_channel);
        SHARED("forgets-a-shared-channel-that-waits", forgets_a_shared_channel_that_waits);
        return g_test_run();
}
