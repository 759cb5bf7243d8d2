/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Addresses, ports and sockets: IPv6 with and without scope, wildcards, ports shared by peers, what
 * the network says about a peer, and a way out that is full.
 */

#include "stage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static char *listen_at(sd_bus *bus, const char *address, uint16_t port) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "Listen", "sq", address, port);

        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        return options_end_path(bus, m);
}

static char *connect_from(sd_bus *bus, const char *from, uint16_t from_port, const char *to,
                          uint16_t port) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "CreateConnection", "s", "client");
        char *path;

        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        if (from)
                g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "LocalAddress", "s", from,
                                                      "LocalPort", "q", from_port),
                                >=, 0);
        path = options_end_path(bus, m);
        (void)sd_bus_message_unref(call(bus, path, CONNECTION, "SetPeer", "sqs", to, port, ""));
        do_handshake(bus, path);
        return path;
}

static void wait_open(sd_bus *bus, const char *path) {
        wait_string(bus, path, CONNECTION, "HandshakeState", "HandshakeComplete");
}

/* A datagram each way, and each says where it is. */
static void converse(sd_bus *bus, const char *client, const char *server, const char *server_at) {
        g_autofree char *peer = get_string(bus, client, CONNECTION, "PeerAddress");
        g_autofree char *local = get_string(bus, server, CONNECTION, "LocalAddress");

        g_assert_cmpstr(peer, ==, server_at);
        g_assert_cmpstr(local, ==, server_at);
        write_datagram(bus, client, client, strlen(client));
        read_datagram(bus, server, client);
        write_datagram(bus, server, server, strlen(server));
        read_datagram(bus, client, server);
}

static void meet(sd_bus *bus, const char *listen_address, const char *address) {
        g_autoptr(Ear) ear = ear_new(bus);
        g_autofree char *listener = listen_at(bus, listen_address, 0);
        g_autofree char *client = connect_from(bus, NULL, 0, address, get_port(bus, listener));
        g_autofree char *server = NULL;

        wait_open(bus, client);
        server = ear_wait_connection(ear, listener, 1);
        converse(bus, client, server, address);
}

static void test_ipv6(Solo *solo, const void *unused) {
        meet(solo->bus, "::1", "::1");
}

static void test_wildcard_answers_from_the_address_asked(Solo *solo, const void *unused) {
        meet(solo->bus, "0.0.0.0", "127.0.0.5");
        meet(solo->bus, "0.0.0.0", "127.0.0.1");
        meet(solo->bus, "::", "::1");
}

/* ---- link-local, in a network of our own, which goes with the last process in it ---- */

/* struct in6_ifreq of <linux/ipv6.h>, which cannot be included beside <netinet/in.h> */
typedef struct Ipv6Request {
        struct in6_addr address;
        uint32_t prefix_length;
        int index;
} Ipv6Request;

/* Brings the loopback interface up with fe80::1; the kernel looks for no duplicates there. */
static int give_link_local(void) {
        struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
        Ipv6Request address = {.prefix_length = 64, .index = (int)if_nametoindex("lo")};
        int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int r;

        if (fd < 0)
                return -errno;

        g_assert_cmpint(inet_pton(AF_INET6, "fe80::1", &address.address), ==, 1);
        r = ioctl(fd, SIOCSIFFLAGS, &request);
        if (r == 0)
                r = ioctl(fd, SIOCSIFADDR, &address);
        r = r < 0 ? -errno : 0;
        (void)close(fd);
        return r;
}

static void test_link_local_with_scope(void) {
        int outside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        Solo solo;
        int r;

        g_assert_cmpint(outside, >=, 0);
        if (unshare(CLONE_NEWNET) < 0) {
                g_test_skip("no network of its own is permitted here");
                (void)close(outside);
                return;
        }

        r = give_link_local();
        if (r < 0) {
                g_test_skip("no IPv6 here");
        } else {
                solo_set_up(&solo, NULL);
                meet(solo.bus, "fe80::1%lo", "fe80::1%lo");
                g_free(call_refused("UnderlyingSocketError", solo.bus, ROOT, MANAGER, "Listen",
                                    "sqa{sv}", "fe80::1", 0, 0));
                solo_tear_down(&solo, NULL);
        }
        g_assert_cmpint(setns(outside, CLONE_NEWNET), ==, 0);
        (void)close(outside);
}

/* ---- ports ---- */

/* A peer with one port talks to two listeners: two connections, which do not mix. */
static void test_one_port_to_two_listeners(Solo *solo, const void *unused) {
        g_autoptr(Ear) ear = ear_new(solo->bus);
        Wire *wire = wire_new();
        char *listeners[2], *clients[2], *servers[2];

        for (int i = 0; i < 2; i++) {
                uint16_t peer;

                listeners[i] = listen_at(solo->bus, "127.0.0.1", 0);
                clients[i] = open_client(solo->bus,
                                         wire_lane(wire, get_port(solo->bus, listeners[i])), false);
                servers[i] = ear_wait_connection(ear, listeners[i], 1);
                g_assert_cmpint(sd_bus_get_property_trivial(solo->bus, NAME, servers[i], CONNECTION,
                                                            "PeerPort", NULL, 'q', &peer),
                                >=, 0);
                g_assert_cmpuint(peer, ==, wire_back_port(wire));
        }
        for (int i = 0; i < 2; i++)
                write_datagram(solo->bus, clients[i], listeners[i], strlen(listeners[i]));
        for (int i = 0; i < 2; i++)
                read_datagram(solo->bus, servers[i], listeners[i]);
        for (int i = 0; i < 2; i++) {
                g_free(listeners[i]);
                g_free(clients[i]);
                g_free(servers[i]);
        }
        (void)wire_free(wire);
}

/* Peers of one port at two addresses are two peers of one listener. */
static void test_two_addresses_with_one_port(Solo *solo, const void *unused) {
        g_autoptr(Ear) ear = ear_new(solo->bus);
        g_autofree char *listener = listen_at(solo->bus, "0.0.0.0", 0);
        uint16_t port = get_port(solo->bus, listener), from;
        int keeper = udp_bind(&from); /* of the port, at an address of its own */
        g_autofree char *one = connect_from(solo->bus, "127.0.0.2", from, "127.0.0.1", port);
        g_autofree char *two = connect_from(solo->bus, "127.0.0.3", from, "127.0.0.1", port);
        sd_bus_message *m;

        wait_open(solo->bus, one);
        wait_open(solo->bus, two);
        g_free(ear_wait_connection(ear, listener, 2));
        g_assert_cmpuint(get_statistic(solo->bus, "Replaced"), ==, 0);

        /* one socket is one association: the same port again is taken */
        m = options_begin(solo->bus, ROOT, MANAGER, "Connect", "sq", "127.0.0.1", port);
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "LocalAddress", "s", "127.0.0.2",
                                              "LocalPort", "q", from),
                        >=, 0);
        g_free(options_end_refused("AlreadyExists", solo->bus, m));
        (void)close(keeper);
}

/* ---- what the network says ---- */

static void hear(int fd, uint16_t port) {
        struct sockaddr_in peer = loopback(port);

        g_assert_cmpint(connect(fd, (struct sockaddr *)&peer, sizeof peer), ==, 0);
}

/* A port where nobody listens, and nobody else can: its socket hears one peer alone, itself. */
static int deaf_bind(uint16_t *ret_port) {
        int fd = udp_bind(ret_port);

        hear(fd, *ret_port);
        return fd;
}

/* The kernel says that nobody is there; but whoever forges that could end every handshake. So it
 * goes on, and a peer that comes later is found. */
static void test_refusal_is_a_hint(Solo *solo, const void *unused) {
        uint16_t port;
        int fd = deaf_bind(&port);
        g_autofree char *client = NULL, *state = NULL;
        sd_bus_message *m =
                options_begin(solo->bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "RetransmitInitial", "u", 50), >=, 0);
        client = options_end_path(solo->bus, m);
        (void)sd_bus_message_unref(
                call(solo->bus, client, CONNECTION, "SetPeer", "sqs", "127.0.0.1", port, ""));
        do_handshake(solo->bus, client);
        wait_statistic_reaches(solo->bus, "IcmpErrors", 1);
        state = get_string(solo->bus, client, CONNECTION, "HandshakeState");
        g_assert_cmpstr(state, ==, "HandshakeInProgress");

        g_assert_cmpint(sd_bus_get_property_trivial(solo->bus, NAME, client, CONNECTION,
                                                    "LocalPort", NULL, 'q', &port),
                        >=, 0);
        hear(fd, port);
        (void)wait_fd(fd); /* its hello comes again */
        (void)close(fd);
}

/* And when time is up the hint is part of the reason. */
static void test_refusal_is_told_with_the_failure(Solo *solo, const void *unused) {
        uint16_t port;
        int fd = deaf_bind(&port);
        g_autofree char *text = NULL;
        sd_bus_message *m =
                options_begin(solo->bus, ROOT, MANAGER, "Connect", "sq", "127.0.0.1", port);

        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "HandshakeDeadline", "u", 1000), >=, 0);
        text = options_end_refused("TimedOut", solo->bus, m);
        g_assert_nonnull(strstr(text, "Connection refused"));
        (void)close(fd);
}

/* ---- a way out that is full ---- */

#define PACKETS_MAX 20000
#define PACKET_SIZE 1000
#define SEQUENCE_OFFSET 5 /* RFC 6347, 4.1 */

static uint64_t sequence_of(const uint8_t *record) {
        uint64_t sequence = 0;

        for (int i = 0; i < 6; i++)
                sequence = sequence << 8 | record[SEQUENCE_OFFSET + i];

        return sequence;
}

/* Writes until the channel takes no more. */
static size_t fill(int channel) {
        uint8_t packet[PACKET_SIZE] = {0};
        size_t n = 0;

        while (n < PACKETS_MAX && send(channel, packet, sizeof packet, MSG_DONTWAIT) >= 0)
                n++;
        g_assert_cmpuint(n, <, PACKETS_MAX);
        g_assert_cmpint(errno, ==, EAGAIN);
        return n;
}

/* @n records come to @fd, none missing, none before another. */
static void assert_sequence(int fd, size_t n) {
        uint8_t record[2048];
        uint64_t last = 0;

        for (size_t i = 0; i < n; i++) {
                (void)wait_fd(fd);
                g_assert_cmpint(recv(fd, record, sizeof record, 0), >, PACKET_SIZE);
                if (i > 0)
                        g_assert_cmpuint(sequence_of(record), ==, last + 1);
                last = sequence_of(record);
        }
}

/* The service stands still, so nothing is read off the channel: its writer, and nobody else, feels
 * it, and what it could write goes out in its order once the service goes on. */
static void test_full_channel_is_felt_by_the_writer(Solo *solo, const void *unused) {
        int large = 32 * 1024 * 1024, front, channel;
        g_autofree char *listener = listen_at(solo->bus, "127.0.0.1", 0);
        Wire *wire = wire_new();
        g_autofree char *client =
                open_client(solo->bus, wire_lane(wire, get_port(solo->bus, listener)), false);
        size_t n;

        channel = open_channel(solo->bus, client);
        front = wire_cut(wire);
        if (setsockopt(front, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large) < 0) {
                g_test_skip("only root has a receive buffer that loses nothing");
        } else {
                g_assert_cmpint(kill(service_pid(solo->service), SIGSTOP), ==, 0);
                n = fill(channel);
                g_assert_cmpuint(n, >, 0);
                g_assert_cmpint(kill(service_pid(solo->service), SIGCONT), ==, 0);
                assert_sequence(front, n);
                /* and there is room again */
                g_assert_cmpint(send(channel, "x", 1, MSG_DONTWAIT), ==, 1);
        }
        (void)close(channel);
        (void)wire_free(wire);
}

#define ADD(path, function)                                                                        \
        g_test_add("/network/" path, Solo, NULL, solo_set_up, function, solo_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("ipv6", test_ipv6);
        ADD("a-wildcard-answers-from-the-address-asked",
            test_wildcard_answers_from_the_address_asked);
        g_test_add_func("/network/link-local-with-its-scope", test_link_local_with_scope);
        ADD("one-port-to-two-listeners", test_one_port_to_two_listeners);
        ADD("two-addresses-with-one-port", test_two_addresses_with_one_port);
        ADD("a-refusal-is-a-hint", test_refusal_is_a_hint);
        ADD("a-refusal-is-told-with-the-failure", test_refusal_is_told_with_the_failure);
        ADD("a-full-channel-is-felt-by-its-writer", test_full_channel_is_felt_by_the_writer);
        return g_test_run();
}
