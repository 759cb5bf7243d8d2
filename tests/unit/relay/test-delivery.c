/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between a session and the application. */

#include "world.h"

#include "base/cleanup.h"
#include "session/session.h"

#include <string.h>
#include <sys/socket.h>

static void drops_the_oldest_of_a_queue_nobody_reads(World *world, gconstpointer unused) {
        Connection *client, *server;
        char text[16];

        world_pair(world, &client, &server);
        for (int i = 0; i < 100; i++) {
                (void)g_snprintf(text, sizeof(text), "%d", i);
                world_send(client, text);
                world_wait(world, world->n_datagrams == (unsigned)i + 1);
        }

        g_assert_cmpuint(world_counter(connection_counters(server), "DroppedQueueFull"), ==, 36);
        g_autofree char *first = world_read(world, server);
        g_assert_cmpstr(first, ==, "36");
}

static void carries_packets_over_a_channel(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int near = -1;
        g_autofd int far = -1;
        uint32_t mtu;
        Reason reason = {0};

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(client, &near, &mtu, &reason), ==, 0);
        g_assert_cmpint(connection_open_channel(server, &far, &mtu, &reason), ==, 0);
        g_assert_cmpuint(mtu, ==, connection_facts(server).data_mtu);
        g_assert_true(connection_facts(server).channel_open);

        g_assert_cmpint(send(near, "one", 3, 0), ==, 3);
        g_assert_cmpint(send(near, "two", 3, 0), ==, 3);
        g_autofree char *one = world_recv(world, far);
        g_autofree char *two = world_recv(world, far);
        g_assert_cmpstr(one, ==, "one");
        g_assert_cmpstr(two, ==, "two");
        g_assert_cmpuint(world->n_datagrams, ==, 0);

        /* only one, and nothing for read while it is open */
        g_assert_cmpint(connection_open_channel(client, &near, &mtu, &reason), ==,
                        RELAY_E_CHANNEL_IN_USE);
}

static void hangs_up_after_everything_was_read(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int near = -1;
        g_autofd int far = -1;
        uint32_t mtu;
        Reason reason = {0};

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(client, &near, &mtu, &reason), ==, 0);
        g_assert_cmpint(connection_open_channel(server, &far, &mtu, &reason), ==, 0);

        /* written, and at once shut down: what is in the channel still goes out */
        for (int i = 0; i < 50; i++)
                g_assert_cmpint(send(near, "word", 4, 0), ==, 4);
        g_assert_cmpint(connection_shutdown(client, &reason), ==, 0);

        for (int i = 0; i < 50; i++) {
                g_autofree char *word = world_recv(world, far);

                g_assert_cmpstr(word, ==, "word");
        }
        g_assert_null(world_recv(world, far));
        g_assert_null(world_recv(world, near));
}

static void gives_a_new_channel_what_came_before(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int fd = -1;
        uint32_t mtu;
        Reason reason = {0};

        world_pair(world, &client, &server);
        world_send(client, "early");
        world_wait(world, world->n_datagrams == 1);
        g_assert_cmpint(connection_open_channel(server, &fd, &mtu, &reason), ==, 0);
        world_send(client, "late");

        g_autofree char *early = world_recv(world, fd);
        g_autofree char *late = world_recv(world, fd);
        g_assert_cmpstr(early, ==, "early");
        g_assert_cmpstr(late, ==, "late");
        g_assert_cmpuint(world_counter(connection_counters(server), "DatagramsDelivered"), ==, 2);
}

static void ends_when_its_channel_is_closed(World *world, gconstpointer unused) {
        Connection *client, *server;
        uint32_t id, mtu;
        int fd;
        Reason reason = {0};

        world_pair(world, &client, &server);
        id = connection_facts(client).id;
        g_assert_cmpint(connection_open_channel(client, &fd, &mtu, &reason), ==, 0);
        g_assert_cmpint(send(fd, "bye", 3, 0), ==, 3);
        close(fd);

        world_wait(world, !world_has(world, id));
        g_assert_nonnull(strstr(world->closed->str, "1:ChannelClosed "));
        g_autofree char *bye = world_read(world, server);
        g_assert_cmpstr(bye, ==, "bye");
        world_wait_state(world, server, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(server).error, ==, DTLS_REMOTE_CLOSED_CONNECTION_ERROR);
}

static void survives_its_channel_when_persistent(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Spec *spec = spec_new(DTLS_CLIENT, WORLD_UID, NULL);
        Connection *client;
        uint32_t mtu;
        int fd;
        Reason reason = {0};

        world_use_psk(world, "someone", "secret");
        client = world_start(world, spec, listener, "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        g_assert_cmpint(connection_open_channel(client, &fd, &mtu, &reason), ==, 0);
        close(fd);
        world_wait(world, !connection_facts(client).channel_open);

        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_COMPLETE);
        g_assert_cmpint(connection_open_channel(client, &fd, &mtu, &reason), ==, 0);
        close(fd);
}

static void counts_what_a_full_channel_drops(World *world, gconstpointer unused) {
        g_autofree char *payload = g_strnfill(1200, 'x');
        Connection *client, *server;
        g_autofd int fd = -1;
        uint32_t mtu;
        uint64_t dropped = 0;
        Reason reason = {0};

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(server, &fd, &mtu, &reason), ==, 0);

        /* nobody reads fd */
        for (int i = 0; i < 4000 && dropped == 0; i++) {
                world_send(client, payload);
                world_turn(world, world_limit(world));
                dropped = world_counter(connection_counters(server), "DroppedAppFull");
        }
        g_assert_cmpuint(dropped, >, 0);

        /* the connection lives, and a reader gets on */
        g_assert_true(connection_facts(server).encrypted);
        g_autofree char *first = world_recv(world, fd);
        g_assert_cmpuint(strlen(first), ==, 1200);
}

#define CASE(name, function)                                                                       \
        g_test_add("/delivery/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("drops-the-oldest-of-a-queue-nobody-reads", drops_the_oldest_of_a_queue_nobody_reads);
        CASE("carries-packets-over-a-channel", carries_packets_over_a_channel);
        CASE("hangs-up-after-everything-was-read", hangs_up_after_everything_was_read);
        CASE("gives-a-new-channel-what-came-before", gives_a_new_channel_what_came_before);
        CASE("ends-when-its-channel-is-closed", ends_when_its_channel_is_closed);
        CASE("survives-its-channel-when-persistent", survives_its_channel_when_persistent);
        CASE("counts-what-a-full-channel-drops", counts_what_a_full_channel_drops);
        return g_test_run();
}
