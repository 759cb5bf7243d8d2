/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * kill -9 of each party: the application, the keyring, the peer.
 */

#include "pair.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct World {
        Service *service;
        sd_bus *bus;
        uint16_t port;
        int queue;
        char *listener;
} World;

static void set_up(World *world, const void *unused) {
        world->service = service_start(NULL);
        world->bus = service_bus(world->service, UID_ALICE);
        world->listener = listen_queue(world->bus, &world->port, &world->queue);
}

static void tear_down(World *world, const void *unused) {
        (void)close(world->queue);
        g_free(world->listener);
        (void)bus_leave(world->bus);
        service_stop(world->service);
}

static void test_application_killed(World *world, const void *unused) {
        int ready[2], server;
        pid_t pid;
        char byte;

        g_assert_cmpint(pipe(ready), ==, 0);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) { /* an application with an open channel */
                sd_bus *bus = service_bus(world->service, UID_ALICE);
                int fd;

                g_free(connect_client(bus, world->port, &fd));
                g_assert_cmpint(write(ready[1], "x", 1), ==, 1);
                for (;;)
                        (void)pause();
        }

        (void)close(ready[1]);
        g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
        server = accept_channel(world->queue);
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        /* its connection says goodbye to the peer */
        g_assert_cmpint(wait_fd(server) & POLLHUP, !=, 0);
        (void)close(server);
        (void)close(ready[0]);
}

static bool keyring_is_another(void *userdata) {
        const pid_t *old = ((void **)userdata)[0];
        pid_t now = service_keyring_pid(((void **)userdata)[1]);

        return now != 0 && now != *old;
}

static void test_keyring_killed(World *world, const void *unused) {
        int client_fd, server;
        g_autofree char *client = connect_client(world->bus, world->port, &client_fd);
        g_autofree char *stale = create_client(world->bus, world->port, false);
        g_autofree char *next = NULL, *text = NULL, *other = NULL;
        pid_t pid = service_keyring_pid(world->service);
        char buffer[16];
        int queue;
        uint16_t port;

        server = accept_channel(world->queue);
        g_assert_cmpint(pid, >, 0);
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        bus_wait(world->bus, keyring_is_another, (void *[]){&pid, world->service}, "a new keyring");

        /* open connections live on */
        g_assert_cmpint(send(client_fd, "still", 5, 0), ==, 5);
        (void)wait_fd(server);
        g_assert_cmpint(recv(server, buffer, sizeof buffer, 0), ==, 5);

        /* a handshake that needs a key that died with it says so, and at the other end it fails */
        text = call_refused("TlsInitializationError", world->bus, stale, CONNECTION, "DoHandshake",
                            "ay", 0);
        g_assert_nonnull(strstr(text, "keyring"));
        next = create_client(world->bus, world->port, false);
        (void)sd_bus_message_unref(call(world->bus, next, CONNECTION, "DoHandshake", "ay", 0));
        wait_string(world->bus, next, CONNECTION, "HandshakeState", "HandshakeNotStarted");

        /* and new objects work again */
        g_free(listen_queue(world->bus, &port, &queue));
        (void)close(client_fd);
        other = connect_client(world->bus, port, &client_fd);

        (void)close(queue);
        (void)close(server);
        (void)close(client_fd);
}

static void test_peer_killed(World *world, const void *unused) {
        /* a peer that vanishes says nothing: a datagram to it is lost, the connection stays, and an
         * ICMP error is only a hint */
        sd_bus *bus;
        Service *other = service_start(NULL);
        int client_fd, server;
        g_autofree char *client = NULL;
        struct pollfd p;

        bus = service_bus(other, UID_ALICE);
        client = connect_client(bus, world->port, &client_fd);
        server = accept_channel(world->queue);
        g_assert_cmpint(kill(service_pid(world->service), SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(service_pid(world->service), NULL, 0), >, 0);

        for (int i = 0; i < 20; i++) {
                g_assert_cmpint(send(client_fd, "anybody?", 8, MSG_NOSIGNAL), ==, 8);
                write_datagram(bus, client, "over the bus", 12);
        }
        wait_string(bus, client, CONNECTION, "HandshakeState", "HandshakeComplete");
        p = (struct pollfd){.fd = client_fd, .events = POLLIN};
        g_assert_cmpint(poll(&p, 1, 0), ==, 0);

        (void)close(client_fd);
        (void)close(server);
        (void)bus_leave(bus);
        service_stop(other);
        service_restart(world->service);
}

#define ADD(path, function) g_test_add("/death/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("of-the-application-ends-its-connections", test_application_killed);
        ADD("of-the-keyring-ends-only-what-needs-it", test_keyring_killed);
        ADD("of-the-peer-is-only-silence", test_peer_killed);
        return g_test_run();
}
