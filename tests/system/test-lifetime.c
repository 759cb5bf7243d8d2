/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Whose an object is, and how long it lives.
 */

#include "pair.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UNKNOWN "org.freedesktop.DBus.Error.UnknownObject"

typedef struct Count {
        sd_bus *bus;
        const char *counter;
        uint64_t wanted;
} Count;

static bool count_is(void *userdata) {
        const Count *count = userdata;

        return get_counter(count->bus, ROOT, MANAGER, "Statistics", count->counter) ==
               count->wanted;
}

typedef struct Object {
        sd_bus *bus;
        const char *path;
} Object;

static bool object_is_gone(void *userdata) {
        const Object *object = userdata;
        char *state = NULL;
        int r;

        r = sd_bus_get_property_string(object->bus, NAME, object->path, CONNECTION,
                                       "HandshakeState", NULL, &state);
        free(state);
        return r < 0;
}

static void test_object_goes_with_its_name(void) {
        Service *service = service_start(NULL);
        sd_bus *owner = service_bus(service, UID_ALICE), *other = service_bus(service, UID_ALICE);
        uint16_t port;
        g_autofree char *listener = listen_psk(other, &port);
        g_autofree char *client = open_client(owner, port, false);
        g_autofree char *text = NULL;

        wait_string(other, client, CONNECTION, "HandshakeState", "HandshakeComplete");
        (void)bus_leave(owner);
        /* the client's object goes; close_notify ends the other, which is the listener's */
        bus_wait(other, count_is, &(Count){other, "HandshakesCompleted", 2}, "both handshakes");
        bus_wait(other, object_is_gone, &(Object){other, client}, "the end of the client");
        text = call_refused(UNKNOWN, other, client, CONNECTION, "Shutdown", "");
        (void)bus_leave(other);
        service_stop(service);
}

static void test_persistent_object_stays(void) {
        Service *service = service_start(NULL);
        sd_bus *owner = service_bus(service, UID_ALICE), *other = service_bus(service, UID_ALICE);
        uint16_t port;
        g_autofree char *listener = listen_psk(other, &port);
        g_autofree char *client = open_client(owner, port, true);

        (void)bus_leave(owner);
        /* another caller of the same user drives it on */
        write_datagram(other, client, "still here", 10);
        (void)sd_bus_message_unref(call(other, client, CONNECTION, "Close", ""));
        (void)bus_leave(other);
        service_stop(service);
}

static void test_only_the_owner_controls(void) {
        Service *service = service_start(NULL);
        sd_bus *owner = service_bus(service, UID_ALICE),
               *same_user = service_bus(service, UID_ALICE);
        uint16_t port;
        g_autofree char *listener = listen_psk(owner, &port);
        g_autofree char *client = open_client(owner, port, false);
        g_autofree char *text = NULL;

        /* another program of the user may look, but not act */
        wait_string(same_user, client, CONNECTION, "HandshakeState", "HandshakeComplete");
        text = call_refused("NotAuthorized", same_user, client, CONNECTION, "Shutdown", "");
        (void)bus_leave(owner);
        (void)bus_leave(same_user);
        service_stop(service);
}

static void test_channel_ends_with_hang_up_after_all_was_read(void) {
        Service *service = service_start(NULL);
        sd_bus *bus = service_bus(service, UID_ALICE);
        uint16_t port;
        int queue, server, client_fd;
        g_autofree char *listener = listen_queue(bus, &port, &queue);
        g_autofree char *client = connect_client(bus, port, &client_fd);
        char buffer[64];

        server = accept_channel(queue);
        g_assert_cmpint(send(client_fd, "one", 3, 0), ==, 3);
        g_assert_cmpint(send(client_fd, "two", 3, 0), ==, 3);
        (void)wait_fd(server);
        /* both were delivered before the goodbye */
        (void)sd_bus_message_unref(call(bus, client, CONNECTION, "Close", ""));
        g_assert_cmpint(recv(server, buffer, sizeof buffer, 0), ==, 3);
        g_assert_cmpmem(buffer, 3, "one", 3);
        (void)wait_fd(server);
        g_assert_cmpint(recv(server, buffer, sizeof buffer, 0), ==, 3);
        g_assert_cmpmem(buffer, 3, "two", 3);
        g_assert_cmpint(wait_fd(server) & POLLHUP, !=, 0);
        g_assert_cmpint(recv(server, buffer, sizeof buffer, 0), ==, 0);

        (void)close(queue);
        (void)close(server);
        (void)close(client_fd);
        (void)bus_leave(bus);
        service_stop(service);
}

static void test_closed_channel_ends_the_connection(void) {
        Service *service = service_start(NULL);
        sd_bus *bus = service_bus(service, UID_ALICE);
        uint16_t port;
        int queue, server, client_fd;
        g_autofree char *listener = listen_queue(bus, &port, &queue);
        g_autofree char *client = connect_client(bus, port, &client_fd);
        char buffer[64];

        server = accept_channel(queue);
        (void)close(client_fd);
        g_assert_cmpint(wait_fd(server) & POLLHUP, !=, 0);
        g_assert_cmpint(recv(server, buffer, sizeof buffer, 0), ==, 0);

        (void)close(queue);
        (void)close(server);
        (void)bus_leave(bus);
        service_stop(service);
}

static void test_datagrams_go_both_ways_over_the_bus(void) {
        Service *service = service_start(NULL);
        sd_bus *bus = service_bus(service, UID_ALICE);
        uint16_t port;
        int queue, server;
        g_autofree char *listener = listen_queue(bus, &port, &queue);
        g_autofree char *client = open_client(bus, port, true);
        char buffer[64];

        server = accept_channel(queue);
        write_datagram(bus, client, "ping", 4);
        (void)wait_fd(server);
        g_assert_cmpint(recv(server, buffer, sizeof buffer, 0), ==, 4);
        g_assert_cmpint(send(server, "pong", 4, 0), ==, 4);
        read_datagram(bus, client, "pong");

        (void)close(queue);
        (void)close(server);
        (void)bus_leave(bus);
        service_stop(service);
}

static void test_shut_down_connection_shakes_hands_again(void) {
        Service *service = service_start(NULL);
        sd_bus *bus = service_bus(service, UID_ALICE);
        uint16_t port;
        g_autofree char *listener = listen_psk(bus, &port);
        g_autofree char *client = open_client(bus, port, false);
        g_autofree char *text = NULL;

        (void)sd_bus_message_unref(call(bus, client, CONNECTION, "Shutdown", ""));
        wait_string(bus, client, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        text = call_refused("InvalidOperation", bus, client, CONNECTION, "Shutdown", "");
        (void)sd_bus_message_unref(call(bus, client, CONNECTION, "DoHandshake", "ay", 0));
        wait_string(bus, client, CONNECTION, "HandshakeState", "HandshakeComplete");
        (void)bus_leave(bus);
        service_stop(service);
}

static void test_idle_connection_ends(void) {
        Service *service = service_start(NULL);
        sd_bus *bus = service_bus(service, UID_ALICE);
        uint16_t port;
        int fd;
        g_autofree char *listener = listen_psk(bus, &port);
        g_autofree char *client = connect_client_with(bus, port, "IdleTimeout", 1000, &fd);
        char byte;

        g_assert_cmpint(wait_fd(fd) & POLLHUP, !=, 0);
        g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 0);
        (void)close(fd);
        (void)bus_leave(bus);
        service_stop(service);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/lifetime/object-goes-with-its-name", test_object_goes_with_its_name);
        g_test_add_func("/lifetime/persistent-object-stays", test_persistent_object_stays);
        g_test_add_func("/lifetime/only-the-owner-controls", test_only_the_owner_controls);
        g_test_add_func("/lifetime/channel-ends-with-hang-up-after-all-was-read",
                        test_channel_ends_with_hang_up_after_all_was_read);
        g_test_add_func("/lifetime/closed-channel-ends-the-connection",
                        test_closed_channel_ends_the_connection);
        g_test_add_func("/lifetime/datagrams-go-both-ways-over-the-bus",
                        test_datagrams_go_both_ways_over_the_bus);
        g_test_add_func("/lifetime/shut-down-connection-shakes-hands-again",
                        test_shut_down_connection_shakes_hands_again);
        g_test_add_func("/lifetime/idle-connection-ends", test_idle_connection_ends);
        return g_test_run();
}
