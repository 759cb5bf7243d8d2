/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Two users: while alice's listeners are flooded by peers that return good cookies, bob listens,
 * shakes hands and talks.
 */

#include "stage.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_LISTENERS 20 /* so many that at each moment some are ready */
#define N_HELLOS_MAX (20 * 1000 * 1000)
#define N_HANDSHAKES 5
#define N_ROUNDS 50

typedef struct Peer {
        int fd, queue;
        uint16_t port; /* of the listener */
        uint8_t cookie[32];
        size_t cookie_size;
} Peer;

typedef struct World {
        Service *service;
        bool has_queues; /* else connections are announced on the bus, by several signals each */
        sd_bus *alice, *bob;
        Peer peers[N_LISTENERS];
        pid_t flood;
} World;

/* Each hello has another random: with a good cookie it begins a handshake anew. Until it is killed,
 * or the test is over. */
static void flood(const World *world) {
        uint8_t random[32] = {0}, hello[HELLO_MAX];

        for (unsigned i = 0; i < N_HELLOS_MAX; i++) {
                const Peer *peer = &world->peers[i % N_LISTENERS];

                memcpy(random, &i, sizeof i);
                udp_send(peer->fd, peer->port, hello,
                         hello_write(hello, random, peer->cookie, peer->cookie_size));
        }
}

static void flood_begin(World *world) {
        pid_t parent = getpid();

        for (size_t i = 0; i < N_LISTENERS; i++) {
                static const uint8_t random[32];
                Peer *peer = &world->peers[i];
                uint16_t unused;

                peer->queue = -1;
                g_free(world->has_queues ? listen_queue(world->alice, &peer->port, &peer->queue)
                                         : listen_psk(world->alice, &peer->port));
                peer->fd = udp_bind(&unused);
                peer->cookie_size = hello_ask(peer->fd, peer->port, random, peer->cookie);
        }

        world->flood = fork();
        g_assert_cmpint(world->flood, >=, 0);
        if (world->flood > 0)
                return;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
                flood(world);
        _exit(0);
}

static void flood_end(World *world) {
        g_assert_cmpint(waitpid(world->flood, NULL, WNOHANG), ==, 0); /* it still is */
        g_assert_cmpint(kill(world->flood, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(world->flood, NULL, 0), ==, world->flood);
        for (size_t i = 0; i < N_LISTENERS; i++) {
                (void)close(world->peers[i].fd);
                if (world->has_queues)
                        (void)close(world->peers[i].queue);
        }
}

static void talk(int from, int to) {
        char byte;

        for (int i = 0; i < N_ROUNDS; i++) {
                g_assert_cmpint(send(from, "x", 1, 0), ==, 1);
                (void)wait_fd(to);
                g_assert_cmpint(recv(to, &byte, 1, 0), ==, 1);
                g_assert_cmpint(send(to, "y", 1, 0), ==, 1);
                (void)wait_fd(from);
                g_assert_cmpint(recv(from, &byte, 1, 0), ==, 1);
        }
}

/* Each call within CALL_USEC, each datagram within the limit of wait_fd(). */
static void are_answered(bool has_queues) {
        World world = {.has_queues = has_queues};
        int queue;
        uint16_t port;

        if (!service_has_users())
                return;

        world.service = service_start("[Limits]\nListenersPerUser=100\n");
        world.alice = service_bus(world.service, UID_ALICE);
        world.bob = service_bus(world.service, UID_BOB);
        flood_begin(&world);
        wait_statistic_reaches(world.alice, "HandshakesStarted", N_LISTENERS);

        g_free(listen_queue(world.bob, &port, &queue));
        for (int i = 0; i < N_HANDSHAKES; i++) {
                int near, far;

                g_free(connect_client(world.bob, port, &near));
                far = accept_channel(queue);
                talk(near, far);
                (void)close(near);
                (void)close(far);
        }

        flood_end(&world);
        (void)close(queue);
        (void)bus_leave(world.alice);
        (void)bus_leave(world.bob);
        service_stop(world.service);
}

static void test_beside_flooded_queues(void) {
        are_answered(/* has_queues= */ true);
}

static void test_beside_flooded_announcements(void) {
        are_answered(/* has_queues= */ false);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/shakes/of-another-are-answered-beside-flooded-listeners",
                        test_beside_flooded_queues);
        g_test_add_func("/shakes/of-another-are-answered-beside-flooded-announcements",
                        test_beside_flooded_announcements);
        return g_test_run();
}
