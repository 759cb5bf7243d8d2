/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is agreed with OpenSSL in both roles, by options that only the bus has: raw calls, and a
 * pre-shared key at both ends.
 */

#include "scene.h"
#include "session/config.h"
#include "system/stage.h"

#include <string.h>
#include <unistd.h>

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

/* ---- suites ---- */

#define CCM "TLS_PSK_WITH_AES_128_CCM"
#define CHACHA "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256"

static void add_names(sd_bus_message *m, const char *key, const char *one, const char *two) {
        g_assert_cmpint(two ? sd_bus_message_append(m, "{sv}", key, "as", 2, one, two)
                            : sd_bus_message_append(m, "{sv}", key, "as", 1, one),
                        >=, 0);
}

static void assert_cipher(Scene *scene, const char *path, const char *name) {
        g_autofree char *word = g_strdup_printf("|%s|", name);
        g_autofree char *text = get_values(scene->bus, path, CONNECTION, "SessionCipher");

        if (!strstr(text, word))
                g_error("'%s' is not %s", text, name);
}

static void test_server_chooses_from_its_list(Scene *scene, const void *unused) {
        static const char *const offers[] = {"-cipher",
                                             "PSK-AES128-GCM-SHA256:PSK-AES128-CCM:"
                                             "PSK-CHACHA20-POLY1305",
                                             NULL};
        sd_bus_message *m = listen_begin(scene);
        g_autofree char *path = NULL, *other = NULL;
        Peer *peer;

        add_names(m, "Ciphers", "PSK-CHACHA20-POLY1305", CCM); /* OpenSSL's name and IANA's */
        path = serve(scene, m, offers, &peer);
        assert_cipher(scene, path, CHACHA);
        (void)peer_stop(peer);

        m = listen_begin(scene);
        add_names(m, "Ciphers", CHACHA, CCM);
        add_names(m, "SslOptions", "DisableServerCipherPreference", NULL);
        other = serve(scene, m, offers, &peer);
        assert_cipher(scene, other, CCM);
        (void)peer_stop(peer);
}

static void test_server_refuses_what_is_not_in_its_list(Scene *scene, const void *unused) {
        sd_bus_message *m = listen_begin(scene);
        g_autofree char *listener = NULL, *target = NULL, *heard = NULL;
        Peer *peer;

        add_names(m, "Ciphers", CHACHA, NULL);
        listener = options_end_path(scene->bus, m);
        target = g_strdup_printf("127.0.0.1:%u", get_port(scene->bus, listener));
        peer = start_peer((const char *const[]){"openssl", "s_client", "-dtls1_2", "-connect",
                                                target, "-psk", KEY_HEX, "-psk_identity", IDENTITY,
                                                NULL},
                          (const char *const[]){"-cipher", "PSK-AES128-GCM-SHA256", NULL});
        heard = peer_wait_for(peer, "alert handshake failure");
        (void)peer_stop(peer);
}

static void test_client_offers_its_list(Scene *scene, const void *unused) {
        sd_bus_message *m = create_begin(scene);
        g_autofree char *path = NULL;
        uint16_t port;
        Peer *peer = start_server(
                (const char *const[]){"-cipher", "PSK-AES128-GCM-SHA256:PSK-AES128-CCM", NULL},
                &port);

        add_names(m, "Ciphers", CCM, NULL);
        path = connect_to(scene, m, port, "HandshakeComplete");
        assert_cipher(scene, path, CCM);
        (void)peer_stop(peer);
}

/* PSK with GCM is offered, because of the other two, and not in the list. */
static void test_client_refuses_what_it_did_not_list(Scene *scene, const void *unused) {
        sd_bus_message *m = create_begin(scene);
        g_autofree char *path = NULL, *error = NULL;
        uint16_t port;
        Peer *peer = start_server((const char *const[]){"-cipher", "PSK-AES128-GCM-SHA256", NULL},
                                  &port);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "Trust", "s", "system", "Ciphers",
                                              "as", 2, CHACHA,
                                              "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
                        >=, 0);
        path = connect_to(scene, m, port, "HandshakeNotStarted");
        error = get_error(scene->bus, path);
        g_assert_true(g_str_has_prefix(error, "TlsFatalError: "));
        g_assert_nonnull(strstr(error, "TLS_PSK_WITH_AES_128_GCM_SHA256, which is not one of"));
        (void)peer_stop(peer);
}

/* ---- curves ---- */

static void test_curves(Scene *scene, const void *unused) {
        sd_bus_message *m = listen_begin(scene), *reply;
        g_autofree char *path = NULL;
        GString *text;
        Peer *peer;

        add_names(m, "EllipticCurves", "secp384r1", "P-521");
        add_names(m, "Ciphers", "ECDHE-PSK-CHACHA20-POLY1305", NULL);
        path = serve(scene, m, (const char *const[]){"-groups", "P-256:P-521:P-384", NULL}, &peer);
        reply = call(scene->bus, path, PROPERTIES, "Get", "ss", CONNECTION, "EphemeralServerKey");
        text = message_flatten(reply);
        if (!strstr(text->str, "SECP384R1") && !strstr(text->str, "SECP521R1"))
                g_error("'%s' is none of EllipticCurves", text->str);
        g_string_free(text, TRUE);
        (void)sd_bus_message_unref(reply);
        (void)peer_stop(peer);
}

/* ---- Diffie-Hellman ---- */

/* DHE is legacy, which root may. */
static void test_diffie_hellman(Scene *scene, const void *unused) {
        g_autofree char *path = NULL, *pem = NULL, *heard = NULL;
        sd_bus_message *m, *reply;
        GString *text;
        Peer *peer;

        if (geteuid() != 0) {
                g_test_skip("only root may DHE");
                return;
        }

        scene->bus = bus_leave(scene->bus);
        scene->bus = service_bus(scene->service, 0);
        m = listen_begin(scene);
        g_assert_true(g_spawn_command_line_sync(
                "openssl genpkey -genparam -algorithm DH -pkeyopt group:modp_3072", &pem, NULL,
                NULL, NULL));
        options_add_bytes(m, "DhParameters", pem, strlen(pem));
        add_names(m, "Ciphers", "DHE-PSK-AES128-GCM-SHA256", NULL);
        path = serve(scene, m, (const char *const[]){"-cipher", "DHE-PSK-AES128-GCM-SHA256", NULL},
                     &peer);
        heard = peer_wait_for(peer, "^Server Temp Key: (.*)$");
        g_assert_cmpstr(heard, ==, "DH, 3072 bits");

        reply = call(scene->bus, path, PROPERTIES, "Get", "ss", CONNECTION, "EphemeralServerKey");
        text = message_flatten(reply);
        if (!strstr(text->str, "Bits") || !strstr(text->str, "3072"))
                g_error("'%s' does not say the bits", text->str);
        g_string_free(text, TRUE);
        (void)sd_bus_message_unref(reply);
        (void)peer_stop(peer);
}

/* ---- the server's name ---- */

static void test_server_name(Scene *scene, const void *unused) {
        for (int i = 0; i < 2; i++) {
                sd_bus_message *m =
                        options_begin(scene->bus, ROOT, MANAGER, "CreateConnection", "s", "client");
                g_autofree char *path = NULL, *heard = NULL;
                uint16_t port;
                Peer *peer = start_server((const char *const[]){"-tlsextdebug", NULL}, &port);

                options_add_psk(m, IDENTITY, KEY_TEXT);
                if (i > 0)
                        add_names(m, "SslOptions", "DisableServerNameIndication", NULL);
                path = options_end_path(scene->bus, m);
                (void)sd_bus_message_unref(call(scene->bus, path, CONNECTION, "SetPeer", "sqs",
                                                "127.0.0.1", port, "some.example"));
                do_handshake(scene->bus, path);
                wait_string(scene->bus, path, CONNECTION, "HandshakeState", "HandshakeComplete");
                heard = peer_wait_for(peer, "(?s)(TLS client extension.*)CIPHER is");
                g_assert_cmpint(strstr(heard, "\"server name\"") != NULL, ==, i == 0);
                (void)peer_stop(peer);
        }
}

/* ---- names ---- */

/* Every name of ours that OpenSSL has, as it has it. */
static void test_names(Scene *scene, const void *unused) {
        g_autofree char *lines = NULL;
        g_autoptr(GRegex) line = g_regex_new("^(TLS_\\w+) +- (\\S+)", G_REGEX_MULTILINE, 0, NULL);
        g_autoptr(GMatchInfo) match = NULL;
        unsigned n = 0;

        g_assert_true(g_spawn_command_line_sync(
                "openssl ciphers -stdname ALL:COMPLEMENTOFALL:@SECLEVEL=0", &lines, NULL, NULL,
                NULL));
        for (g_regex_match(line, lines, 0, &match); g_match_info_matches(match);
             g_match_info_next(match, NULL)) {
                g_autofree char *iana = g_match_info_fetch(match, 1);
                g_autofree char *openssl = g_match_info_fetch(match, 2);
                const char *ours = session_cipher_from_name(iana);

                g_assert_cmpstr(session_cipher_from_name(openssl), ==, ours);
                n += ours != NULL;
        }
        g_assert_cmpuint(n, ==, g_strv_length((char **)session_supported_ciphers()));
}

#define ADD(path, function)                                                                        \
        g_test_add("/openssl/" path, Scene, NULL, scene_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("client/takes-our-application-protocol", test_client_protocol);
        ADD("client/goes-on-with-no-application-protocol-in-common", test_client_other_protocol);
        ADD("server/takes-our-application-protocol", test_server_protocol);
        ADD("server/has-no-application-protocols", test_server_without_protocols);
        ADD("client/gets-what-comes-first-in-our-list", test_server_chooses_from_its_list);
        ADD("client/is-refused-what-is-not-in-our-list",
            test_server_refuses_what_is_not_in_its_list);
        ADD("server/takes-the-one-suite-of-our-list", test_client_offers_its_list);
        ADD("server/is-refused-a-suite-that-is-not-in-our-list",
            test_client_refuses_what_it_did_not_list);
        ADD("client/gets-one-of-our-curves", test_curves);
        ADD("client/gets-our-diffie-hellman-parameters", test_diffie_hellman);
        ADD("server/hears-its-name-unless-it-shall-not", test_server_name);
        ADD("names/are-openssl-s", test_names);
        return g_test_run();
}
