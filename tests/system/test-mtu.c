/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How long datagrams are, over real sockets with a wire between them that measures: MtuHint bounds
 * those of the handshake, and only those; DataMtu is the path's, and follows it.
 */

#include "stage.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const uint8_t bytes[2000];

typedef struct World {
        Service *service;
        sd_bus *bus;
        Wire *wire;
        TestIdentity *ca, *server;
} World;

static void set_up(World *world, const void *unused) {
        world->service = service_start(NULL);
        world->bus = service_bus(world->service, UID_ALICE);
        world->wire = wire_new();
        world->ca = test_identity_new("CA", NULL, TEST_IDENTITY_CA, TEST_KEY_RSA_2048);
        world->server = test_identity_new("localhost", world->ca, TEST_IDENTITY_LOOPBACK,
                                          TEST_KEY_RSA_2048);
}

static void tear_down(World *world, const void *unused) {
        test_identity_free(world->server);
        test_identity_free(world->ca);
        (void)wire_free(world->wire);
        (void)bus_leave(world->bus);
        service_stop(world->service);
}

static void add_hint(sd_bus_message *m, uint16_t hint) {
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "MtuHint", "q", hint), >=, 0);
}

/* A client of the listener that @of_listener makes, shaken hands over the wire. */
static char *shake(World *world, sd_bus_message *of_listener, sd_bus_message *of_client) {
        g_autofree char *listener = options_end_path(world->bus, of_listener);
        uint16_t front = wire_lane(world->wire, get_port(world->bus, listener));
        char *client = options_end_path(world->bus, of_client);

        (void)sd_bus_message_unref(call(world->bus, client, CONNECTION, "SetPeer", "sqs",
                                        "127.0.0.1", front, "localhost"));
        do_handshake(world->bus, client);
        wait_string(world->bus, client, CONNECTION, "HandshakeState", "HandshakeComplete");
        return client;
}

static sd_bus_message *listen_begin(World *world) {
        return options_begin(world->bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
}

static sd_bus_message *create_begin(World *world) {
        return options_begin(world->bus, ROOT, MANAGER, "CreateConnection", "s", "client");
}

static char *shake_with_psk(World *world, uint16_t hint) {
        sd_bus_message *listener = listen_begin(world), *client = create_begin(world);

        options_add_psk(listener, PSK_IDENTITY, PSK_KEY);
        options_add_psk(client, PSK_IDENTITY, PSK_KEY);
        add_hint(listener, hint);
        add_hint(client, hint);
        return shake(world, listener, client);
}

/* Two certificates with keys of 2048 bits are a flight of more than 1400 bytes. */
static void test_certificates(World *world, const void *data) {
        uint16_t hint = (uint16_t)GPOINTER_TO_UINT(data);
        sd_bus_message *listener = listen_begin(world), *client = create_begin(world);
        g_autofree char *path = NULL;

        options_add_certificate(client, "CaCertificates", world->ca);
        add_hint(client, hint);
        options_add_identity(listener, world->server);
        add_hint(listener, hint);
        path = shake(world, listener, client);
        g_assert_cmpuint(wire_longest(world->wire), <=, hint);
        g_assert_cmpuint(wire_longest(world->wire), >, hint / 2); /* and not for another reason */
}

static void test_smallest_with_psk(World *world, const void *unused) {
        g_autofree char *path = shake_with_psk(world, 256);

        g_assert_cmpuint(wire_longest(world->wire), <=, 256);
        g_assert_cmpuint(wire_longest(world->wire), >, 128);
}

static void test_data_is_not_bound(World *world, const void *unused) {
        g_autofree char *path = shake_with_psk(world, 256);
        uint8_t data[1000] = {0};

        write_datagram(world->bus, path, data, sizeof data);
        for (unsigned i = 0; wire_longest(world->wire) <= sizeof data; i++) {
                g_assert_cmpuint(i, <, 5000);
                g_free(get_string(world->bus, path, CONNECTION, "HandshakeState"));
        }
}

static void add_dont_fragment(sd_bus_message *m) {
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "DontFragment", "b", true), >=, 0);
}

/* The listener's end. */
static char *server_of(World *world, bool dont_fragment) {
        sd_bus_message *listener = listen_begin(world), *client = create_begin(world);
        g_autoptr(Ear) ear = ear_new(world->bus);
        g_autofree char *path = NULL;
        g_auto(GStrv) words = NULL;

        options_add_psk(listener, PSK_IDENTITY, PSK_KEY);
        options_add_psk(client, PSK_IDENTITY, PSK_KEY);
        if (dont_fragment)
                add_dont_fragment(listener);
        path = shake(world, listener, client);
        words = g_strsplit(ear_wait(ear, "NewConnection|")->str, "|", -1);
        return g_strdup(words[2]);
}

static uint32_t get_data_mtu(World *world, const char *path) {
        uint32_t data_mtu = 0;

        g_assert_cmpint(sd_bus_get_property_trivial(world->bus, NAME, path, CONNECTION, "DataMtu",
                                                    NULL, 'u', &data_mtu),
                        >=, 0);
        return data_mtu;
}

/* The limit is in the message, and the connection is as good as before. */
static void assert_too_long(World *world, const char *path, uint32_t size, uint32_t data_mtu) {
        g_autofree char *limit = g_strdup_printf(" %u ", data_mtu), *state = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME, path, CONNECTION,
                                                       "WriteDatagramEncrypted"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', bytes, size), >=, 0);
        g_assert_cmpint(sd_bus_call(world->bus, m, CALL_USEC, &error, NULL), <, 0);
        g_assert_cmpstr(error.name, ==, ERROR_PREFIX "MessageTooLong");
        if (!strstr(error.message, limit))
                g_error("'%s' does not say%s", error.message, limit);
        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(m);

        state = get_string(world->bus, path, CONNECTION, "HandshakeState");
        g_assert_cmpstr(state, ==, "HandshakeComplete");
}

/* ---- the path ---- */

static void set_loopback_mtu(int mtu) {
        struct ifreq request = {.ifr_name = "lo", .ifr_mtu = mtu};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        g_assert_cmpint(ioctl(fd, SIOCSIFMTU, &request), ==, 0);
        request = (struct ifreq){.ifr_name = "lo", .ifr_flags = IFF_UP};
        g_assert_cmpint(ioctl(fd, SIOCSIFFLAGS, &request), ==, 0);
        (void)close(fd);
}

/* In a network whose one device has an MTU that the test sets. */
static void in_own_network(void (*body)(World *world)) {
        int outside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        World world;

        g_assert_cmpint(outside, >=, 0);
        if (unshare(CLONE_NEWNET) < 0) {
                g_test_skip("no network of its own is permitted here");
                (void)close(outside);
                return;
        }
        set_loopback_mtu(1500);
        set_up(&world, NULL);
        body(&world);
        tear_down(&world, NULL);
        g_assert_cmpint(setns(outside, CLONE_NEWNET), ==, 0);
        (void)close(outside);
}

static void body_do_not_fragment(World *world) {
        g_autofree char *path = server_of(world, true);
        uint32_t data_mtu = get_data_mtu(world, path);

        g_assert_cmpuint(data_mtu, <, 1500 - 28);
        g_assert_cmpuint(data_mtu, >, 1500 - 28 - 64);
        assert_too_long(world, path, data_mtu + 1, data_mtu);
        write_datagram(world->bus, path, bytes, data_mtu);
}

static void test_do_not_fragment(void) {
        in_own_network(body_do_not_fragment);
}

static void body_fragment(World *world) {
        g_autofree char *path = server_of(world, false);

        write_datagram(world->bus, path, bytes, get_data_mtu(world, path) + 1);
}

static void test_fragment(void) {
        in_own_network(body_fragment);
}

static void wait_data_mtu(World *world, Ear *ear, const char *path, uint32_t data_mtu) {
        g_autofree char *signal = g_strdup_printf(
                "PropertiesChanged|%s|" CONNECTION "|MtuHint|0|DataMtu|%u", path, data_mtu);

        (void)ear_wait(ear, signal);
        g_assert_cmpuint(get_data_mtu(world, path), ==, data_mtu);
}

/* The same number of bytes less, and then more, in both roles. */
static void follow(World *world, Ear *ear, const char *path) {
        uint32_t before = get_data_mtu(world, path);

        set_loopback_mtu(1300);
        assert_too_long(world, path, before, before - 200);
        wait_data_mtu(world, ear, path, before - 200);
        write_datagram(world->bus, path, bytes, before - 200);

        set_loopback_mtu(1600);
        write_datagram(world->bus, path, bytes, before + 100);
        wait_data_mtu(world, ear, path, before + 100);
        set_loopback_mtu(1500);
        assert_too_long(world, path, before + 1, before);
}

static void body_follow(World *world) {
        sd_bus_message *listener = listen_begin(world), *client = create_begin(world);
        g_autoptr(Ear) ear = ear_new(world->bus);
        g_autofree char *of_client = NULL, *of_listener = NULL;

        options_add_psk(listener, PSK_IDENTITY, PSK_KEY);
        options_add_psk(client, PSK_IDENTITY, PSK_KEY);
        add_dont_fragment(listener);
        add_dont_fragment(client);
        of_client = shake(world, listener, client);
        of_listener = ear_wait_connection(ear, NULL, 1);
        follow(world, ear, of_client);
        follow(world, ear, of_listener);
}

static void test_follow(void) {
        in_own_network(body_follow);
}

/* Nobody asks on the bus: the application only sends, over its channel. */
static void body_follow_channel(World *world) {
        sd_bus_message *listener = listen_begin(world), *client = create_begin(world);
        g_autoptr(Ear) ear = ear_new(world->bus);
        g_autofree char *of_client = NULL;
        uint32_t before;
        int fd;

        options_add_psk(listener, PSK_IDENTITY, PSK_KEY);
        options_add_psk(client, PSK_IDENTITY, PSK_KEY);
        add_dont_fragment(client);
        of_client = shake(world, listener, client);
        before = get_data_mtu(world, of_client);
        fd = open_channel(world->bus, of_client);
        set_loopback_mtu(1300);
        g_assert_cmpint(send(fd, bytes, before, 0), ==, before);
        wait_data_mtu(world, ear, of_client, before - 200);
        (void)close(fd);
}

static void test_follow_channel(void) {
        in_own_network(body_follow_channel);
}

#define ADD(path, data, function) g_test_add("/mtu/" path, World, data, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("256-with-a-pre-shared-key", NULL, test_smallest_with_psk);
        ADD("512-with-certificates", GUINT_TO_POINTER(512), test_certificates);
        ADD("1280-with-certificates", GUINT_TO_POINTER(1280), test_certificates);
        ADD("1400-with-certificates", GUINT_TO_POINTER(1400), test_certificates);
        ADD("does-not-bound-data", NULL, test_data_is_not_bound);
        g_test_add_func("/mtu/too-long-for-the-path-may-be-fragmented", test_fragment);
        g_test_add_func("/mtu/too-long-is-refused-with-the-limit-where-it-may-not",
                        test_do_not_fragment);
        g_test_add_func("/mtu/follows-the-path-in-both-roles", test_follow);
        g_test_add_func("/mtu/follows-the-path-of-who-only-sends", test_follow_channel);
        return g_test_run();
}
