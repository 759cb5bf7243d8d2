/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include <signal.h>
#include <sys/wait.h>

bool world_of_users(World *world) {
        if (!service_has_users())
                return false;

        *world = (World){.service = service_start(NULL)};
        world->root = service_bus(world->service, 0);
        world->alice = service_bus(world->service, UID_ALICE);
        world->bob = service_bus(world->service, UID_BOB);
        world->directory = g_dir_make_tmp("dtlsd-world.XXXXXX", NULL);
        g_assert_nonnull(world->directory);
        return true;
}

bool world_of_trust(World *world) {
        if (!world_of_users(world))
                return false;

        world->ca = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world->other = test_identity_new("other", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world->server =
                test_identity_new("server", world->ca, TEST_IDENTITY_LOOPBACK, TEST_KEY_ECDSA);
        test_identity_write(world->server, world->directory, "server");
        return true;
}

void world_free(World *world) {
        TestIdentity *const made[] = {world->server, world->other, world->first, world->second,
                                      world->ca};

        (void)bus_leave(world->root);
        (void)bus_leave(world->alice);
        (void)bus_leave(world->bob);
        for (size_t i = 0; i < G_N_ELEMENTS(made); i++)
                (void)test_identity_free(made[i]);
        service_stop(world->service);
        service_remove_directory(world->directory);
        g_free(world->directory);
}

typedef struct WorldCase {
        bool (*make)(World *world);
        void (*test)(World *world);
} WorldCase;

static void world_run(gconstpointer data) {
        const WorldCase *at = data;
        World world;

        if (!at->make(&world))
                return;

        at->test(&world);
        world_free(&world);
}

void world_test(const char *path, bool (*make)(World *world), void (*test)(World *world)) {
        WorldCase *at = g_new0(WorldCase, 1);

        *at = (WorldCase){make, test};
        g_test_add_data_func_full(path, at, world_run, g_free);
}

void world_restart(const World *world) {
        pid_t daemon = service_pid(world->service);

        g_assert_cmpint(kill(service_keyring_pid(world->service), SIGKILL), ==, 0);
        g_assert_cmpint(kill(daemon, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(daemon, NULL, 0), ==, daemon);
        service_restart(world->service);
}

/* ---- peers ---- */

Peer *world_start_server(const World *world, uint16_t *ret_port) {
        g_autofree char *certificate = g_strdup_printf("%s/server.crt", world->directory);
        g_autofree char *key = g_strdup_printf("%s/server.key", world->directory);
        Peer *peer = peer_start((const char *const[]){"openssl", "s_server", "-dtls1_2", "-accept",
                                                      "127.0.0.1:0", "-cert", certificate, "-key",
                                                      key, NULL});
        g_autofree char *port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");

        *ret_port = (uint16_t)g_ascii_strtoull(port, NULL, 10);
        return peer;
}

sd_bus_message *world_client_begin(const World *world, sd_bus *bus, uint16_t port, GBytes *ticket) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        options_add_certificate(m, "CaCertificates", world->ca);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "PeerAddress", "s", "127.0.0.1",
                                              "PeerPort", "q", port, "SslOptions", "as", 0),
                        >=, 0);
        options_add_ticket(m, ticket);
        return m;
}

char *world_create_certified(const World *world, const TestIdentity *identity, uint16_t port,
                             GBytes *ticket) {
        sd_bus_message *m = world_client_begin(world, world->bob, port, ticket);

        options_add_identity(m, identity);
        return options_end_path(world->bob, m);
}

/* ---- connections ---- */

void shake(sd_bus *bus, const char *path, const char *state) {
        do_handshake(bus, path);
        wait_string(bus, path, CONNECTION, "HandshakeState", state);
}

void shut(sd_bus *bus, const char *path) {
        (void)sd_bus_message_unref(call(bus, path, CONNECTION, "Shutdown", ""));
}

void give_up(sd_bus *bus, const char *path) {
        (void)sd_bus_message_unref(call(bus, path, CONNECTION, "AbortHandshake", ""));
}

GBytes *get_ticket(sd_bus *bus, const char *path) {
        sd_bus_message *reply = call(bus, path, CONNECTION, "GetSessionTicket", "");
        const void *data;
        GBytes *ticket;
        size_t size;

        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &data, &size), >=, 0);
        ticket = g_bytes_new(data, size);
        (void)sd_bus_message_unref(reply);
        return ticket;
}

bool is_resumed(sd_bus *bus, const char *path) {
        int resumed;

        g_assert_cmpint(sd_bus_get_property_trivial(bus, NAME, path, CONNECTION, "Resumed", NULL,
                                                    'b', &resumed),
                        >=, 0);
        return resumed;
}

void wait_turned_away(sd_bus *bus, const char *path) {
        g_autofree char *text = NULL;

        wait_string(bus, path, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        text = get_error(bus, path);
        if (!g_str_has_prefix(text, "TlsFatalError"))
                g_error("turned away with '%s'", text);
}

/* ---- judged anew ---- */

static void turned_away(const World *world, uint16_t port, GBytes *ticket) {
        g_autofree char *path = world_create_certified(world, world->first, port, ticket);

        do_handshake(world->bob, path);
        wait_turned_away(world->bob, path);
}

void world_turn_bob_away(World *world, const char *listener, uint16_t port,
                         void (*take)(const World *world), void (*give)(const World *world)) {
        g_autofree char *open = NULL, *resumed = NULL, *again = NULL, *server_end = NULL;
        g_autoptr(Ear) ear = ear_new(world->alice);
        g_autoptr(GBytes) ticket = NULL;

        world->first = test_identity_new("bob", world->other, 0, TEST_KEY_ECDSA);
        open = world_create_certified(world, world->first, port, NULL);
        shake(world->bob, open, "HandshakeComplete");
        server_end = ear_wait_connection(ear, listener, 1);
        ticket = get_ticket(world->bob, open);
        resumed = world_create_certified(world, world->first, port, ticket);
        shake(world->bob, resumed, "HandshakeComplete");
        g_assert_true(is_resumed(world->bob, resumed));
        close_object(world->bob, resumed, CONNECTION);

        take(world);
        write_datagram(world->bob, open, "still", 5);
        read_datagram(world->alice, server_end, "still");
        turned_away(world, port, NULL);
        turned_away(world, port, ticket);

        give(world);
        again = world_create_certified(world, world->first, port, NULL);
        shake(world->bob, again, "HandshakeComplete");
}

void world_turn_ticket_down(const World *world,
                            char *(*create)(const World *world, uint16_t port, GBytes *ticket),
                            void (*take)(const World *world)) {
        sd_bus_message *m =
                options_begin(world->bob, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        g_autofree char *listener = NULL, *first = NULL, *second = NULL, *third = NULL;
        g_autoptr(GBytes) ticket = NULL;
        uint16_t port;

        options_add_identity(m, world->server);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "SslOptions", "as", 0), >=, 0);
        listener = options_end_path(world->bob, m);
        port = get_port(world->bob, listener);

        first = create(world, port, NULL);
        shake(world->alice, first, "HandshakeComplete");
        ticket = get_ticket(world->alice, first);
        second = create(world, port, ticket);
        shake(world->alice, second, "HandshakeComplete");
        g_assert_true(is_resumed(world->alice, second));

        take(world);
        third = create(world, port, ticket);
        shake(world->alice, third, "PeerVerificationFailed");
}
