/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * kill -9 of each party: the application, the keyring, the service, the peer.
 */

#include "stage.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
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

/* It cannot see that end, and would have its keys for as long as it is not looked for. */
static void test_service_killed_with_a_stopped_keyring(World *world, const void *unused) {
        pid_t pid = service_keyring_pid(world->service), daemon = service_pid(world->service);
        int keyring = pidfd_open(pid, 0);

        g_assert_cmpint(keyring, >=, 0);
        g_assert_cmpint(kill(pid, SIGSTOP), ==, 0);
        g_assert_cmpint(kill(daemon, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(daemon, NULL, 0), ==, daemon);
        (void)wait_fd(keyring);
        (void)close(keyring);
        service_restart(world->service);
}

static void expect_passed_on(int from, int to) {
        char buffer[16];

        g_assert_cmpint(send(from, "on and on", 9, MSG_NOSIGNAL), ==, 9);
        g_assert_cmpint(wait_fd(to) & POLLIN, !=, 0);
        g_assert_cmpint(recv(to, buffer, sizeof buffer, 0), ==, 9);
}

/* What a daemon waits for that comes on the bus again, channels do not. */
static void test_bus_killed_and_another_deaf(World *world, const void *unused) {
        g_autofree char *path = NULL, *again = NULL;
        int client, server, deaf, attempt;

        path = connect_client(world->bus, world->port, &client);
        server = accept_channel(world->queue);
        deaf = service_lose_bus(world->service);
        g_assert_cmpint(wait_fd(deaf) & POLLIN, !=, 0);
        attempt = accept(deaf, NULL, NULL);
        g_assert_cmpint(attempt, >=, 0);
        g_assert_cmpint(wait_fd(attempt) & POLLIN, !=, 0); /* its greeting */
        expect_passed_on(client, server);
        expect_passed_on(server, client);

        service_return_bus(world->service, deaf);
        (void)close(attempt);
        (void)bus_leave(world->bus);
        world->bus = service_bus(world->service, UID_ALICE);
        again = get_string(world->bus, path, CONNECTION, "HandshakeState");
        g_assert_cmpstr(again, ==, "HandshakeComplete");
        expect_passed_on(client, server);
        (void)close(client);
        (void)close(server);
}

static void restart_bus(World *world) {
        int deaf = service_lose_bus(world->service);

        service_return_bus(world->service, deaf);
        (void)bus_leave(world->bus);
        world->bus = service_bus(world->service, UID_ALICE);
}

/* No name leaves any more when a program ends; its descriptors still close. */
static void test_bus_killed_and_then_the_listening_program(World *world, const void *unused) {
        int client, server;

        g_free(connect_client(world->bus, world->port, &client));
        server = accept_channel(world->queue);
        restart_bus(world);
        expect_passed_on(client, server);

        (void)close(world->queue);
        world->queue = -1;
        expect_passed_on(client, server);
        (void)close(server);
        /* the client's program is there still, and can do nothing with an object that is over */
        g_assert_cmpint(wait_fd(client) & POLLHUP, !=, 0);
        wait_nothing_used(world->bus);
        (void)close(client);
}

/* Whose connections were told over the bus that is lost. */
static void test_bus_killed_with_a_listener_without_queue(World *world, const void *unused) {
        g_autoptr(Ear) ear = ear_new(world->bus);
        g_autofree char *listener = NULL, *path = NULL;
        uint16_t port;
        int client, server;

        listener = listen_psk(world->bus, &port);
        g_free(connect_client(world->bus, port, &client));
        path = ear_wait_connection(ear, listener, 1);
        server = open_channel(world->bus, path);
        ear = ear_free(ear);
        restart_bus(world);
        expect_passed_on(client, server);
        expect_passed_on(server, client);

        (void)close(world->queue);
        world->queue = -1;
        (void)close(server);
        g_assert_cmpint(wait_fd(client) & POLLHUP, !=, 0);
        wait_nothing_used(world->bus);
        (void)close(client);
}

static void test_bus_killed_and_closed_by_the_user(World *world, const void *unused) {
        g_autofree char *text = NULL;

        restart_bus(world);
        text = call_refused("NotAuthorized", world->bus, world->listener, LISTENER,
                            "OpenAcceptQueue", "");
        g_assert_nonnull(strstr(text, "The bus was lost"));
        close_object(world->bus, world->listener, LISTENER);
        g_assert_cmpint(wait_fd(world->queue) & POLLHUP, !=, 0);
        wait_nothing_used(world->bus);
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
        ADD("of-the-service-ends-a-stopped-keyring", test_service_killed_with_a_stopped_keyring);
        ADD("of-the-bus-holds-up-no-channel", test_bus_killed_and_another_deaf);
        ADD("of-the-bus-and-then-its-program-ends-a-listener",
            test_bus_killed_and_then_the_listening_program);
        ADD("of-the-bus-ends-no-channel-of-a-listener-without-queue",
            test_bus_killed_with_a_listener_without_queue);
        ADD("of-the-bus-leaves-what-its-user-may-close", test_bus_killed_and_closed_by_the_user);
        ADD("of-the-peer-is-only-silence", test_peer_killed);
        return g_test_run();
}
