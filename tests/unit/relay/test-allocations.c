/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Once a connection is open, a datagram costs no allocation, whichever way it goes. */

#include "allocations.h"
#include "app.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define N_DATAGRAMS 200
#define BURST 20
#define SIZE 200

static void turn(World *world) {
        g_assert_cmpint(sd_event_run(world->event, 1000), >=, 0);
}

/* By plain channels, some at once. */
static void send_all(World *world, int from, int to, unsigned n) {
        char datagram[SIZE] = {0};

        for (unsigned sent = 0; sent < n; sent += BURST) {
                for (unsigned i = 0; i < BURST; i++)
                        g_assert_cmpint(send(from, datagram, SIZE, 0), ==, SIZE);
                for (unsigned i = 0; i < BURST; i++)
                        while (recv(to, datagram, SIZE, MSG_DONTWAIT) != SIZE)
                                turn(world);
        }
}

static void over_channels(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int near = -1, far = -1;
        Reason reason = {0};
        uint32_t mtu;

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(client, &near, &mtu, &reason), ==, 0);
        g_assert_cmpint(connection_open_channel(server, &far, &mtu, &reason), ==, 0);
        send_all(world, near, far, N_DATAGRAMS);
        send_all(world, far, near, N_DATAGRAMS);

        allocations_begin();
        send_all(world, near, far, N_DATAGRAMS);
        send_all(world, far, near, N_DATAGRAMS);
        g_assert_cmpuint(allocations_end(), ==, 0);
}

/* Bytes that come in frames and packets, as long as there are fewer. */
static void read_all(World *world, int fd, size_t size) {
        static char packet[65536];

        while (size > 0) {
                ssize_t n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);

                if (n > 0)
                        size -= MIN(size, (size_t)n);
                else
                        turn(world);
        }
}

static void send_frames(App *app, uint32_t number, int far, unsigned n) {
        static const char datagram[SIZE];
        char read[SIZE];

        for (unsigned sent = 0; sent < n; sent += BURST) {
                for (unsigned i = 0; i < BURST; i++)
                        app_add(app, number, FRAME_DATA, datagram, SIZE);
                app_flush(app);
                for (unsigned i = 0; i < BURST; i++)
                        while (recv(far, read, SIZE, MSG_DONTWAIT) != SIZE)
                                turn(&app->world);
                for (unsigned i = 0; i < BURST; i++)
                        g_assert_cmpint(send(far, datagram, SIZE, 0), ==, SIZE);
                read_all(&app->world, app->fd, BURST * (8 + SIZE));
        }
}

static void over_a_shared_channel(App *app, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int far = -1;
        Reason reason = {0};
        uint32_t mtu, number;

        app_pair(app, &client, &server);
        number = connection_facts(server).id;
        g_free(app_next(app)); /* opened */
        g_assert_cmpint(connection_open_channel(client, &far, &mtu, &reason), ==, 0);
        send_frames(app, number, far, N_DATAGRAMS);

        allocations_begin();
        send_frames(app, number, far, N_DATAGRAMS);
        g_assert_cmpuint(allocations_end(), ==, 0);
}

static uint64_t accepted(const Connection *connection) {
        return world_counter(connection_counters(connection), "RecordsAccepted");
}

/* Who reads one for each that comes, behind a burst of which some is still kept. */
static void for_a_slow_reader(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int near = -1, far = -1;
        char datagram[SIZE] = {0};
        Reason reason = {0};
        uint64_t n;
        uint32_t mtu;

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(client, &near, &mtu, &reason), ==, 0);
        g_assert_cmpint(connection_open_channel(server, &far, &mtu, &reason), ==, 0);
        while (world_counter(connection_counters(server), "DroppedAppFull") < N_DATAGRAMS) {
                (void)send(near, datagram, SIZE, MSG_DONTWAIT);
                turn(world);
        }

        allocations_begin();
        for (unsigned i = 0; i < N_DATAGRAMS; i++) {
                n = accepted(server);
                g_assert_cmpint(recv(far, datagram, SIZE, MSG_DONTWAIT), ==, SIZE);
                g_assert_cmpint(send(near, datagram, SIZE, 0), ==, SIZE);
                while (accepted(server) == n)
                        turn(world);
        }
        g_assert_cmpuint(allocations_end(), <, N_DATAGRAMS / 10);
}

/* What is kept for who has no channel is kept one by one: the count counts. */
static void are_seen_where_there_are_some(World *world, gconstpointer unused) {
        Connection *client, *server;

        world_pair(world, &client, &server);
        allocations_begin();
        for (unsigned i = 0; i < BURST; i++)
                world_send(client, "to be read later");
        world_wait(world, world->n_datagrams == BURST);
        g_assert_cmpuint(allocations_end(), >=, BURST);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);
        g_test_add("/allocations/over-channels", World, NULL, world_setup, over_channels,
                   world_teardown);
        g_test_add("/allocations/over-a-shared-channel", App, NULL, app_setup,
                   over_a_shared_channel, app_teardown);
        g_test_add("/allocations/for-a-slow-reader", World, NULL, world_setup, for_a_slow_reader,
                   world_teardown);
        g_test_add("/allocations/are-seen-where-there-are-some", World, NULL, world_setup,
                   are_seen_where_there_are_some, world_teardown);
        return g_test_run();
}
