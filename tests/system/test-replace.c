/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A peer that restarts on the same address and port (RFC 6347, 4.2.8): it gets through, and what it
 * was before ends; but nobody who only says hello in its name ends anything.
 */

#include "interop/peer.h"
#include "stage.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY_HEX "7369787465656e206279746573206f6b" /* PSK_KEY */

typedef struct World {
        Service *service;
        sd_bus *bus;
        uint16_t port;
        char *listener;
        Ear *ear;
} World;

static void set_up(World *world, const void *unused) {
        world->service = service_start(NULL);
        world->bus = service_bus(world->service, UID_ALICE);
        world->ear = ear_new(world->bus);
        world->listener = listen_psk(world->bus, &world->port);
}

static void tear_down(World *world, const void *unused) {
        world->ear = ear_free(world->ear);
        g_free(world->listener);
        (void)bus_leave(world->bus);
        service_stop(world->service);
}

static void assert_hung_up(int fd) {
        char byte;

        g_assert_cmpint(wait_fd(fd) & POLLHUP, !=, 0);
        g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 0);
}

/* @from NULL: the kernel picks. */
static Peer *start_client(const World *world, const char *from) {
        g_autofree char *target = g_strdup_printf("127.0.0.1:%u", world->port);

        return peer_start((const char *const[]){"openssl", "s_client", "-dtls1_2", "-connect",
                                                target, "-psk_identity", PSK_IDENTITY, "-psk",
                                                KEY_HEX, "-cipher", "PSK-AES128-GCM-SHA256",
                                                from ? "-bind" : NULL, from, NULL});
}

static char *peer_of(const World *world, const char *connection) {
        uint16_t port;

        g_assert_cmpint(sd_bus_get_property_trivial(world->bus, NAME, connection, CONNECTION,
                                                    "PeerPort", NULL, 'q', &port),
                        >=, 0);
        return g_strdup_printf("127.0.0.1:%u", port);
}

static void test_restarted_peer_gets_through(World *world, const void *unused) {
        Peer *peer = start_client(world, NULL);
        g_autofree char *old = ear_wait_connection(world->ear, NULL, 1), *new = NULL,
                        *closed = NULL;
        g_autofree char *from = peer_of(world, old);
        int channel = open_channel(world->bus, old);

        peer_say(peer, "first\n");
        (void)wait_fd(channel);
        (void)peer_kill(peer);
        {
                char buffer[16];

                g_assert_cmpint(recv(channel, buffer, sizeof buffer, 0), ==, 6);
        }

        peer = start_client(world, from);
        new = ear_wait_connection(world->ear, NULL, 2);
        closed = g_strdup_printf("Closed|%s|Replaced", old);
        (void)ear_wait(world->ear, closed);
        assert_hung_up(channel);
        (void)close(channel);

        /* and the new one works */
        peer_say(peer, "second\n");
        read_datagram(world->bus, new, "second\n");
        write_datagram(world->bus, new, "answer\n", 7);
        g_free(peer_wait_for(peer, "^answer"));
        g_assert_cmpuint(get_statistic(world->bus, "Replaced"), ==, 1);
        (void)peer_stop(peer);
}

/* ---- somebody who speaks in the client's name ---- */

typedef struct Victim {
        Wire *wire;
        char *client, *server;
        int channel;
} Victim;

static void victim_set_up(World *world, Victim *victim) {
        victim->wire = wire_new();
        victim->client = open_client(world->bus, wire_lane(victim->wire, world->port), false);
        victim->server = ear_wait_connection(world->ear, NULL, 1);
        victim->channel = open_channel(world->bus, victim->server);
}

static void assert_works(World *world, const Victim *victim, const char *text) {
        char buffer[64];

        write_datagram(world->bus, victim->client, text, strlen(text));
        (void)wait_fd(victim->channel);
        g_assert_cmpint(recv(victim->channel, buffer, sizeof buffer, 0), ==, (ssize_t)strlen(text));
        g_assert_cmpmem(buffer, strlen(text), text, strlen(text));
        g_assert_cmpint(send(victim->channel, "back", 4, 0), ==, 4);
        read_datagram(world->bus, victim->client, "back");
}

static void victim_tear_down(World *world, Victim *victim) {
        g_assert_cmpuint(ear_count(world->ear, "Closed|"), ==, 0);
        g_assert_cmpuint(get_statistic(world->bus, "Replaced"), ==, 0);
        (void)close(victim->channel);
        (void)wire_free(victim->wire);
        g_free(victim->client);
        g_free(victim->server);
}

static void test_hello_without_cookie_ends_nothing(World *world, const void *unused) {
        uint8_t random[32] = "thirty-two bytes that are random", hello[HELLO_MAX];
        uint64_t asked;
        Victim victim;

        victim_set_up(world, &victim);
        asked = get_statistic(world->bus, "CookiesAsked");
        for (uint8_t i = 0; i < 100; i++) {
                random[0] = i;
                udp_send(wire_back_fd(victim.wire), world->port, hello,
                         hello_write(hello, random, NULL, 0));
        }
        /* all were taken, and only answered */
        wait_statistic(world->bus, "CookiesAsked", asked + 100);
        g_assert_cmpuint(get_statistic(world->bus, "HalfOpenInUse"), ==, 0);
        assert_works(world, &victim, "after a hundred hellos");
        victim_tear_down(world, &victim);
}

/* Who gets the cookie has the address; what it then does not finish ends nothing either. */
static void test_unfinished_handshake_ends_nothing(World *world, const void *unused) {
        uint8_t random[32] = "thirty-two bytes that are random", hello[HELLO_MAX], cookie[32];
        uint16_t aside_port;
        int aside = udp_bind(&aside_port);
        uint8_t answer[256];
        size_t size;
        ssize_t n;
        Victim victim;

        victim_set_up(world, &victim);
        wire_divert(victim.wire, aside_port);
        udp_send(wire_back_fd(victim.wire), world->port, hello,
                 hello_write(hello, random, NULL, 0));
        (void)wait_fd(aside);
        n = recv(aside, answer, sizeof answer, 0);
        g_assert_cmpint(n, ==, 28 + answer[27]);
        size = answer[27];
        memcpy(cookie, answer + 28, size);

        udp_send(wire_back_fd(victim.wire), world->port, hello,
                 hello_write(hello, random, cookie, size));
        (void)wait_fd(aside); /* a ServerHello */
        n = recv(aside, answer, sizeof answer, 0);
        g_assert_cmpint(n, >, 13);
        g_assert_cmpuint(answer[13], ==, 2);
        g_assert_cmpuint(get_statistic(world->bus, "HalfOpenInUse"), ==, 1);
        wire_divert(victim.wire, 0);

        assert_works(world, &victim, "beside a half of a handshake");
        victim_tear_down(world, &victim);
        (void)close(aside);
}

static void test_forged_cookie_ends_nothing(World *world, const void *unused) {
        uint8_t random[32] = "thirty-two bytes that are random", hello[HELLO_MAX];
        uint8_t cookie[32] = {0};
        uint64_t asked;
        Victim victim;

        victim_set_up(world, &victim);
        asked = get_statistic(world->bus, "CookiesAsked");
        udp_send(wire_back_fd(victim.wire), world->port, hello,
                 hello_write(hello, random, cookie, sizeof cookie));
        wait_statistic(world->bus, "CookiesAsked", asked + 1);
        g_assert_cmpuint(get_statistic(world->bus, "HalfOpenInUse"), ==, 0);
        assert_works(world, &victim, "after a forged cookie");
        victim_tear_down(world, &victim);
}

/* The same peer in the same way, but by the service's own client, whose process died. */
static void test_restarted_service_gets_through(World *world, const void *unused) {
        Service *other = service_start(NULL);
        sd_bus *bus = service_bus(other, UID_ALICE);
        Wire *wire = wire_new();
        uint16_t front = wire_lane(wire, world->port);
        g_autofree char *client = open_client(bus, front, false), *again = NULL;
        g_autofree char *old = ear_wait_connection(world->ear, NULL, 1), *new = NULL,
                        *closed = NULL;
        int channel = open_channel(world->bus, old);

        g_assert_cmpint(kill(service_pid(other), SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(service_pid(other), NULL, 0), >, 0);
        service_restart(other);
        again = open_client(bus, front, false);
        new = ear_wait_connection(world->ear, NULL, 2);
        closed = g_strdup_printf("Closed|%s|Replaced", old);
        (void)ear_wait(world->ear, closed);
        assert_hung_up(channel);
        write_datagram(bus, again, "here again", 10);
        read_datagram(world->bus, new, "here again");

        (void)close(channel);
        (void)bus_leave(bus);
        service_stop(other);
        (void)wire_free(wire);
}

#define ADD(path, function) g_test_add("/replace/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("a-restarted-peer-gets-through", test_restarted_peer_gets_through);
        ADD("a-restarted-service-gets-through", test_restarted_service_gets_through);
        ADD("a-hello-without-cookie-ends-nothing", test_hello_without_cookie_ends_nothing);
        ADD("a-forged-cookie-ends-nothing", test_forged_cookie_ends_nothing);
        ADD("an-unfinished-handshake-ends-nothing", test_unfinished_handshake_ends_nothing);
        return g_test_run();
}
