/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cleanup.h"
#include "relay/private.h"
#include "world.h"

#include <sys/socket.h>

static Connection *carrier_client(World *world) {
        Spec *spec = world_client_spec();
        Connection *connection;
        Reason reason = {0};

        spec->external = true;
        g_assert_cmpint(address_parse("192.0.2.1", 7, &spec->peer), ==, 0);
        g_assert_cmpint(relay_create_connection(world->relay, spec, &connection, &reason), ==, 0);
        return connection;
}

static uint64_t counter(const Connection *connection, const char *name) {
        return world_counter(connection_counters(connection), name);
}

/* Nobody who listens to signals: that is a bad link, and nothing worse. */
static void without_a_taker_datagrams_are_lost(World *world, gconstpointer unused) {
        Connection *connection = carrier_client(world);
        Reason reason = {0};

        g_assert_cmpint(connection_do_handshake(connection, &reason), ==, 0);
        g_assert_cmpuint(counter(connection, "DroppedSocketFull"), ==, 1);
        g_assert_cmpuint(counter(connection, "DatagramsSent"), ==, 0);
        connection_close(connection, END_CLOSE);
}

static void is_charged_until_it_is_closed(World *world, gconstpointer unused) {
        Connection *connection = carrier_client(world);
        uint64_t before = quota_used(world->quota, WORLD_UID, QUOTA_FDS);
        Reason reason = {0};
        int fd, other_fd;

        g_assert_cmpint(connection_open_carrier(connection, &fd, &reason), ==, 0);
        g_assert_cmpint(connection_open_carrier(connection, &other_fd, &reason), ==,
                        RELAY_E_CHANNEL_IN_USE);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_FDS), ==, before + 1);
        autofd_close(&fd);
        world_wait(world, connection_facts(connection).error == DTLS_UNDERLYING_SOCKET_ERROR);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_FDS), ==, before);
        connection_close(connection, END_CLOSE);
}

static void empty_and_foreign_packets_move_nothing(World *world, gconstpointer unused) {
        Connection *connection = carrier_client(world);
        Reason reason = {0};
        g_autofd int fd = -1;

        g_assert_cmpint(connection_open_carrier(connection, &fd, &reason), ==, 0);
        g_assert_cmpint(send(fd, "", 0, MSG_NOSIGNAL), ==, 0);
        g_assert_cmpint(send(fd, "noise", 5, MSG_NOSIGNAL), ==, 5);
        world_wait(world, counter(connection, "DroppedStranger") == 1);
        g_assert_cmpuint(counter(connection, "DatagramsReceived"), ==, 1);
        g_assert_cmpint(connection_facts(connection).state, ==, HANDSHAKE_NOT_STARTED);
        connection_close(connection, END_CLOSE);
}

static void note_turn(Connection *connection, unsigned mask, void *userdata) {
        const WatchUser **ret = userdata;

        *ret = connection->relay->watches.serving;
}

/* As its sockets and channels are: however busy it is, others have theirs between. */
static void is_read_in_its_users_turn(World *world, gconstpointer unused) {
        static const RelayObserver observer = {.connection_changed = note_turn};
        Connection *connection = carrier_client(world);
        const WatchUser *turn = NULL;
        Reason reason = {0};
        int fd;

        g_assert_cmpint(connection_open_carrier(connection, &fd, &reason), ==, 0);
        relay_observe(world->relay, &observer, &turn);
        autofd_close(&fd);
        world_wait(world, connection_facts(connection).error == DTLS_UNDERLYING_SOCKET_ERROR);
        relay_observe(world->relay, NULL, NULL);
        g_assert_nonnull(turn);
        connection_close(connection, END_CLOSE);
}

#define ADD(path, test) g_test_add("/carrier/" path, World, NULL, world_setup, test, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);
        ADD("without-a-taker-datagrams-are-lost", without_a_taker_datagrams_are_lost);
        ADD("is-charged-until-it-is-closed", is_charged_until_it_is_closed);
        ADD("empty-and-foreign-packets-move-nothing", empty_and_foreign_packets_move_nothing);
        ADD("is-read-in-its-users-turn", is_read_in_its_users_turn);
        return g_test_run();
}
