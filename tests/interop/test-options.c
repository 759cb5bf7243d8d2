/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is agreed with OpenSSL in both roles, by options that only the bus has: raw calls, and a
 * pre-shared key at both ends.
 */

#include "scene.h"
#include "system/stage.h"

#include <string.h>

#define IDENTITY "alice"
#define OPENSSL_PSK "-psk", KEY_HEX, "-psk_identity", IDENTITY, "-nocert"

/* The peer's program and arguments, then @more up to NULL. */
static Peer *start_peer(const char *const *first, const char *const *more) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new();

        for (; *first; first++)
                g_ptr_array_add(argv, (void *)*first);
        for (; *more; more++)
                g_ptr_array_add(argv, (void *)*more);
        g_ptr_array_add(argv, NULL);
        return peer_start((const char *const *)argv->pdata);
}

static sd_bus_message *listen_begin(Scene *scene) {
        sd_bus_message *m =
                options_begin(scene->bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);

        options_add_psk(m, IDENTITY, KEY_TEXT);
        return m;
}

static sd_bus_message *create_begin(Scene *scene) {
        sd_bus_message *m =
                options_begin(scene->bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        options_add_psk(m, IDENTITY, KEY_TEXT);
        return m;
}

static char *get_bytes(Scene *scene, const char *path, const char *property) {
        sd_bus_message *reply =
                call(scene->bus, path, PROPERTIES, "Get", "ss", CONNECTION, property);
        const void *data;
        size_t size;
        char *text;

        g_assert_cmpint(sd_bus_message_enter_container(reply, 'v', "ay"), >=, 0);
        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &data, &size), >=, 0);
        text = size > 0 ? g_strndup(data, size) : g_strdup("");
        (void)sd_bus_message_unref(reply);
        return text;
}

static void assert_protocol(Scene *scene, const char *path, const char *status,
                            const char *protocol) {
        g_autofree char *is_status = NULL, *is_protocol = NULL;

        is_status = get_string(scene->bus, path, CONNECTION, "NextProtocolStatus");
        is_protocol = get_bytes(scene, path, "NextProtocol");
        g_assert_cmpstr(is_status, ==, status);
        g_assert_cmpstr(is_protocol, ==, protocol);
}

/* s_client connects to a listener with what @m says; the connection's path. */
static char *serve(Scene *scene, sd_bus_message *m, const char *const *more, Peer **ret_peer) {
        g_autoptr(Ear) ear = ear_new(scene->bus);
        g_autofree char *listener = options_end_path(scene->bus, m);
        g_autofree char *target = g_strdup_printf("127.0.0.1:%u", get_port(scene->bus, listener));
        g_auto(GStrv) words = NULL;

        *ret_peer = start_peer((const char *const[]){"openssl", "s_client", "-dtls1_2", "-connect",
                                                     target, "-psk", KEY_HEX, "-psk_identity",
                                                     IDENTITY, NULL},
                               more);
        words = g_strsplit(ear_wait(ear, "NewConnection|")->str, "|", -1);
        return g_strdup(words[2]);
}

static Peer *start_server(const char *const *more, uint16_t *ret_port) {
        Peer *peer = start_peer((const char *const[]){"openssl", "s_server", "-dtls1_2", "-accept",
                                                      "127.0.0.1:0", OPENSSL_PSK, NULL},
                                more);
        g_autofree char *port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");

        *ret_port = (uint16_t)g_ascii_strtoull(port, NULL, 10);
        return peer;
}

/* A client with what @m says shakes hands with the server at @port. */
static char *connect_to(Scene *scene, sd_bus_message *m, uint16_t port, const char *state) {
        char *path = options_end_path(scene->bus, m);

        (void)sd_bus_message_unref(
                call(scene->bus, path, CONNECTION, "SetPeer", "sqs", "127.0.0.1", port, ""));
        do_handshake(scene->bus, path);
        wait_string(scene->bus, path, CONNECTION, "HandshakeState", state);
        return path;
}

static void add_protocols(sd_bus_message *m) {
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "NextProtocols", "aay", 2, 4, 'c', 'o',
                                              'a', 'p', 1, 'x'),
                        >=, 0);
}

/* ---- application protocols ---- */

static void test_client_protocol(Scene *scene, const void *unused) {
        sd_bus_message *m = listen_begin(scene);
        g_autofree char *path = NULL, *heard = NULL;
        Peer *peer;

        add_protocols(m);
        path = serve(scene, m, (const char *const[]){"-alpn", "y,x,coap", NULL}, &peer);
        assert_protocol(scene, path, "Negotiated", "x");
        heard = peer_wait_for(peer, "^ALPN protocol: (.*)$");
        g_assert_cmpstr(heard, ==, "x");
        (void)peer_stop(peer);
}

static void test_client_other_protocol(Scene *scene, const void *unused) {
        sd_bus_message *m = listen_begin(scene);
        g_autofree char *path = NULL, *heard = NULL;
        Peer *peer;

        add_protocols(m);
        path = serve(scene, m, (const char *const[]){"-alpn", "y", NULL}, &peer);
        assert_protocol(scene, path, "Unsupported", "");
        heard = peer_wait_for(peer, "^No ALPN negotiated$");
        (void)peer_stop(peer);
}

static void test_server_protocol(Scene *scene, const void *unused) {
        sd_bus_message *m = create_begin(scene);
        g_autofree char *path = NULL, *heard = NULL;
        uint16_t port;
        Peer *peer = start_server((const char *const[]){"-alpn", "x", NULL}, &port);

        add_protocols(m);
        path = connect_to(scene, m, port, "HandshakeComplete");
        assert_protocol(scene, path, "Negotiated", "x");
        heard = peer_wait_for(peer, "^ALPN protocols advertised by the client: (.*)$");
        g_assert_cmpstr(heard, ==, "coap, x");
        (void)peer_stop(peer);
}

static void test_server_without_protocols(Scene *scene, const void *unused) {
        sd_bus_message *m = create_begin(scene);
        g_autofree char *path = NULL;
        uint16_t port;
        Peer *peer = start_server((const char *const[]){NULL}, &port);

        add_protocols(m);
        path = connect_to(scene, m, port, "HandshakeComplete");
        assert_protocol(scene, path, "None", "");
        (void)peer_stop(peer);
}

#define ADD(path, function)                                                                        \
        g_test_add("/openssl/" path, Scene, NULL, scene_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("client/takes-our-application-protocol", test_client_protocol);
        ADD("client/goes-on-with-no-application-protocol-in-common", test_client_other_protocol);
        ADD("server/takes-our-application-protocol", test_server_protocol);
        ADD("server/has-no-application-protocols", test_server_without_protocols);
        return g_test_run();
}
