/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * OpenSSL at the other end, in both roles.
 */

#include "scene.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* s_client says something, we answer; both arrive. */
static void converse_with_client(Peer *peer, dtlsd_listener *listener) {
        dtlsd_connection *connection;
        g_autofree char *heard = NULL;

        connection = scene_accept(listener);
        peer_say(peer, "from openssl\n");
        expect_datagram(connection, "from openssl\n");
        send_datagram(connection, "from dtlsd\n");
        heard = peer_wait_for(peer, "^from dtlsd");
        (void)dtlsd_connection_unref(connection);
}

static void with_client(Scene *scene, const char *listen_at, const char *connect_to,
                        const struct dtlsd_options *options, const char *const *arguments) {
        dtlsd_listener *listener = scene_listen(scene, listen_at, options);
        g_autofree char *target =
                g_strdup_printf("%s:%u", connect_to, dtlsd_listener_port(listener));
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        Peer *peer;

        for (const char *const *at = (const char *const[]){"openssl", "s_client", "-dtls1_2",
                                                           "-connect", target, NULL};
             *at; at++)
                g_ptr_array_add(argv, (void *)*at);
        for (; *arguments; arguments++)
                g_ptr_array_add(argv, (void *)*arguments);
        g_ptr_array_add(argv, NULL);

        peer = peer_start((const char *const *)argv->pdata);
        converse_with_client(peer, listener);
        (void)peer_stop(peer);
        (void)dtlsd_listener_close(listener, NULL);
        (void)dtlsd_listener_unref(listener);
}

static void certificate_client(Scene *scene, const char *name) {
        g_autofree char *crt = g_strconcat(name, ".crt", NULL);
        g_autofree char *key = g_strconcat(name, ".key", NULL);
        const char *const chain[] = {scene_file(scene, crt), NULL};
        struct dtlsd_options options = {
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, key),
        };
        const char *const arguments[] = {"-CAfile",
                                         scene_file(scene, "ca.crt"),
                                         "-verify_return_error",
                                         "-verify_hostname",
                                         "localhost",
                                         NULL};

        with_client(scene, "127.0.0.1", "127.0.0.1", &options, arguments);
}

static void test_client_ecdsa(Scene *scene, const void *unused) {
        certificate_client(scene, "server");
}

static void test_client_rsa(Scene *scene, const void *unused) {
        certificate_client(scene, "rsa");
}

static void test_client_ed25519(Scene *scene, const void *unused) {
        certificate_client(scene, "ed25519");
}

static void test_client_certificate(Scene *scene, const void *unused) {
        const char *const chain[] = {scene_file(scene, "server.crt"), NULL};
        const char *const ca[] = {scene_file(scene, "ca.crt"), NULL};
        struct dtlsd_options options = {
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, "server.key"),
                .ca_files = ca,
                .peer_verify_mode = "VerifyPeer",
        };
        const char *const arguments[] = {"-CAfile", ca[0],
                                         "-cert",   scene_file(scene, "client.crt"),
                                         "-key",    scene_file(scene, "client.key"),
                                         NULL};

        with_client(scene, "127.0.0.1", "127.0.0.1", &options, arguments);
}

static void psk_client(Scene *scene, const char *cipher) {
        struct dtlsd_options options = {
                .psk_identity = "alice",
                .psk_identity_size = 5,
                .psk = KEY_TEXT,
                .psk_size = 16,
                .psk_identity_hint = "who are you",
        };
        const char *const arguments[] = {"-psk_identity", "alice", "-psk", KEY_HEX,
                                         "-cipher",       cipher,  NULL};

        with_client(scene, "127.0.0.1", "127.0.0.1", &options, arguments);
}

static void test_client_psk(Scene *scene, const void *unused) {
        psk_client(scene, "PSK-AES128-GCM-SHA256");
}

static void test_client_ecdhe_psk(Scene *scene, const void *unused) {
        psk_client(scene, "ECDHE-PSK-CHACHA20-POLY1305");
}

/* "alice" with KEY_TEXT in the service's store, by a name of the user's own. */
static char *store_psk(const Scene *scene) {
        char *name = g_strdup_printf("u/%u/alice", geteuid() == 0 ? UID_ALICE : geteuid());

        g_assert_cmpint(dtlsd_set_psk(scene->bus, name, "alice", 5, KEY_TEXT, 16, NULL), >=, 0);
        return name;
}

static void test_client_psk_of_the_store(Scene *scene, const void *unused) {
        g_autofree char *name = store_psk(scene);
        const char *const psks[] = {name, NULL};
        struct dtlsd_options options = {.psks = psks};
        const char *const arguments[] = {"-psk_identity", "alice", "-psk", KEY_HEX, NULL};

        with_client(scene, "127.0.0.1", "127.0.0.1", &options, arguments);
}

static void certificate_at(Scene *scene, const char *listen_at, const char *connect_to) {
        const char *const chain[] = {scene_file(scene, "server.crt"), NULL};
        struct dtlsd_options options = {
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, "server.key"),
        };
        const char *const arguments[] = {"-CAfile", scene_file(scene, "ca.crt"), NULL};

        with_client(scene, listen_at, connect_to, &options, arguments);
}

static void test_wildcard_listener_answers_from_the_address_asked(Scene *scene,
                                                                  const void *unused) {
        certificate_at(scene, "0.0.0.0", "127.0.0.5");
}

static void test_ipv6(Scene *scene, const void *unused) {
        certificate_at(scene, "::1", "[::1]");
}

/* ---- OpenSSL as the server ---- */

static void with_server(Scene *scene, const struct dtlsd_options *options,
                        const char *const *arguments) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        g_autofree char *port = NULL, *heard = NULL;
        dtlsd_connection *connection;
        Peer *peer;

        for (const char *const *at = (const char *const[]){"openssl", "s_server", "-dtls1_2",
                                                           "-accept", "127.0.0.1:0", NULL};
             *at; at++)
                g_ptr_array_add(argv, (void *)*at);
        for (; *arguments; arguments++)
                g_ptr_array_add(argv, (void *)*arguments);
        g_ptr_array_add(argv, NULL);

        peer = peer_start((const char *const *)argv->pdata);
        port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");
        connection = scene_connect(scene, "127.0.0.1", port, options);
        send_datagram(connection, "from dtlsd\n");
        heard = peer_wait_for(peer, "^from dtlsd");
        peer_say(peer, "from openssl\n");
        expect_datagram(connection, "from openssl\n");

        g_assert_cmpint(dtlsd_connection_close(connection, NULL), ==, 0);
        (void)dtlsd_connection_unref(connection);
        (void)peer_stop(peer);
}

static void certificate_server(Scene *scene, const char *name, const char *listen) {
        g_autofree char *crt = g_strconcat(name, ".crt", NULL);
        g_autofree char *key = g_strconcat(name, ".key", NULL);
        const char *const ca[] = {scene_file(scene, "ca.crt"), NULL};
        struct dtlsd_options options = {.ca_files = ca, .verification_name = "localhost"};
        const char *const arguments[] = {
                "-cert", scene_file(scene, crt), "-key", scene_file(scene, key), listen, NULL};

        with_server(scene, &options, arguments);
}

static void test_server_ecdsa(Scene *scene, const void *unused) {
        certificate_server(scene, "server", NULL);
}

static void test_server_ecdsa_cookie(Scene *scene, const void *unused) {
        certificate_server(scene, "server", "-listen");
}

static void test_server_rsa(Scene *scene, const void *unused) {
        certificate_server(scene, "rsa", NULL);
}

static void test_server_by_address(Scene *scene, const void *unused) {
        const char *const ca[] = {scene_file(scene, "ca.crt"), NULL};
        struct dtlsd_options options = {.ca_files = ca};
        const char *const arguments[] = {"-cert", scene_file(scene, "server.crt"), "-key",
                                         scene_file(scene, "server.key"), NULL};

        with_server(scene, &options, arguments);
}

/* CreateConnection offers PSK suites too; nobody has to be trusted for the others to be there. */
static void test_server_is_not_verified(Scene *scene, const void *unused) {
        struct dtlsd_options options = {.peer_verify_mode = "VerifyNone"};
        dtlsd_connection *connection = NULL;
        g_autofree char *port = NULL, *heard = NULL;
        Peer *peer;

        peer = peer_start((const char *const[]){
                "openssl", "s_server", "-dtls1_2", "-accept", "127.0.0.1:0", "-cert",
                scene_file(scene, "server.crt"), "-key", scene_file(scene, "server.key"), NULL});
        port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");
        g_assert_cmpint(dtlsd_connection_create(scene->bus, "127.0.0.1",
                                                (uint16_t)g_ascii_strtoull(port, NULL, 10),
                                                &options, &connection, NULL),
                        ==, 0);
        g_assert_cmpint(dtlsd_connection_do_handshake(connection, NULL), ==, 0);
        wait_string(scene->bus, dtlsd_connection_path(connection), CONNECTION, "HandshakeState",
                    "HandshakeComplete");
        g_assert_cmpint(dtlsd_connection_write(connection, "from dtlsd\n", 11, NULL), ==, 0);
        heard = peer_wait_for(peer, "^from dtlsd");
        (void)dtlsd_connection_unref(connection);
        (void)peer_stop(peer);
}

static void test_server_asks_for_certificate(Scene *scene, const void *unused) {
        const char *const ca[] = {scene_file(scene, "ca.crt"), NULL};
        const char *const chain[] = {scene_file(scene, "client.crt"), NULL};
        struct dtlsd_options options = {
                .ca_files = ca,
                .verification_name = "localhost",
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, "client.key"),
        };
        const char *const arguments[] = {"-cert",
                                         scene_file(scene, "server.crt"),
                                         "-key",
                                         scene_file(scene, "server.key"),
                                         "-CAfile",
                                         ca[0],
                                         "-Verify",
                                         "2",
                                         "-verify_return_error",
                                         NULL};

        with_server(scene, &options, arguments);
}

static void test_server_psk(Scene *scene, const void *unused) {
        struct dtlsd_options options = {
                .psk_identity = "alice", .psk_identity_size = 5, .psk = KEY_TEXT, .psk_size = 16};
        const char *const arguments[] = {"-psk",      KEY_HEX,  "-psk_identity", "alice",
                                         "-psk_hint", "a hint", "-nocert",       NULL};

        with_server(scene, &options, arguments);
}

static void test_server_psk_of_the_store(Scene *scene, const void *unused) {
        g_autofree char *name = store_psk(scene);
        const char *const psks[] = {name, NULL};
        struct dtlsd_options options = {.psks = psks};
        const char *const arguments[] = {"-psk",  KEY_HEX,   "-psk_identity",
                                         "alice", "-nocert", NULL};

        with_server(scene, &options, arguments);
}

static void test_server_psk_without_hint(Scene *scene, const void *unused) {
        struct dtlsd_options options = {
                .psk_identity = "alice", .psk_identity_size = 5, .psk = KEY_TEXT, .psk_size = 16};
        const char *const arguments[] = {"-psk",  KEY_HEX,   "-psk_identity",
                                         "alice", "-nocert", NULL};

        with_server(scene, &options, arguments);
}

/* ---- the same keying material ---- */

#define EXPORT_LABEL "EXPORTER-interop"
#define EXPORT_SIZE 40

static void expect_material(const Scene *scene, const char *path, Peer *peer) {
        g_autofree char *theirs = peer_wait_for(peer, "^    Keying material: ([0-9A-F]+)$");
        g_autoptr(GString) ours = g_string_new(NULL);
        const uint8_t *material;
        sd_bus_message *reply;
        size_t size;

        reply = call(scene->bus, path, CONNECTION, "ExportKeyingMaterial", "sayu", EXPORT_LABEL, 0,
                     EXPORT_SIZE);
        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', (const void **)&material, &size), >=,
                        0);
        for (size_t i = 0; i < size; i++)
                g_string_append_printf(ours, "%02X", material[i]);
        (void)sd_bus_message_unref(reply);

        g_assert_cmpuint(ours->len, ==, 2 * EXPORT_SIZE);
        g_assert_cmpstr(ours->str, ==, theirs);
}

static void test_client_exports_the_same(Scene *scene, const void *unused) {
        const char *const chain[] = {scene_file(scene, "server.crt"), NULL};
        struct dtlsd_options options = {
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, "server.key"),
        };
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &options);
        g_autofree char *target = g_strdup_printf("127.0.0.1:%u", dtlsd_listener_port(listener));
        dtlsd_connection *connection;
        Peer *peer;

        peer = peer_start((const char *const[]){
                "openssl", "s_client", "-dtls1_2", "-connect", target, "-keymatexport",
                EXPORT_LABEL, "-keymatexportlen", G_STRINGIFY(EXPORT_SIZE), NULL});
        connection = scene_accept(listener);
        expect_material(scene, dtlsd_connection_path(connection), peer);
        (void)dtlsd_connection_unref(connection);
        (void)peer_stop(peer);
        (void)dtlsd_listener_close(listener, NULL);
        (void)dtlsd_listener_unref(listener);
}

static void test_server_exports_the_same(Scene *scene, const void *unused) {
        const char *const ca[] = {scene_file(scene, "ca.crt"), NULL};
        struct dtlsd_options options = {.ca_files = ca, .verification_name = "localhost"};
        dtlsd_connection *connection;
        g_autofree char *port = NULL;
        Peer *peer;

        peer = peer_start((const char *const[]){
                "openssl", "s_server", "-dtls1_2", "-accept", "127.0.0.1:0", "-cert",
                scene_file(scene, "server.crt"), "-key", scene_file(scene, "server.key"),
                "-keymatexport", EXPORT_LABEL, "-keymatexportlen", G_STRINGIFY(EXPORT_SIZE), NULL});
        port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");
        connection = scene_connect(scene, "127.0.0.1", port, &options);
        expect_material(scene, dtlsd_connection_path(connection), peer);
        (void)dtlsd_connection_unref(connection);
        (void)peer_stop(peer);
}

static void test_untrusted_server_is_refused_with_every_reason(Scene *scene, const void *unused) {
        const char *const ca[] = {scene_file(scene, "client.crt"), NULL};
        struct dtlsd_options options = {.ca_files = ca, .verification_name = "other.example"};
        g_autofree char *port = NULL, *text = NULL;
        Peer *peer;

        peer = peer_start((const char *const[]){
                "openssl", "s_server", "-dtls1_2", "-accept", "127.0.0.1:0", "-cert",
                scene_file(scene, "server.crt"), "-key", scene_file(scene, "server.key"), NULL});
        port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");
        text = scene_refused(scene, port, &options);
        g_assert_true(g_str_has_prefix(text, "PeerVerificationError: "));
        g_assert_nonnull(strstr(text, "UnableToGetLocalIssuerCertificate"));
        g_assert_nonnull(strstr(text, "HostNameMismatch"));
        (void)peer_stop(peer);
}

/* ---- another key ---- */

static void test_client_psk_is_wrong(Scene *scene, const void *unused) {
        struct dtlsd_options options = {
                .psk_identity = "alice", .psk_identity_size = 5, .psk = KEY_TEXT, .psk_size = 16};
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &options);
        g_autofree char *target = g_strdup_printf("127.0.0.1:%u", dtlsd_listener_port(listener));
        g_autofree char *alert = NULL;
        Peer *peer;

        peer = peer_start((const char *const[]){"openssl", "s_client", "-dtls1_2", "-connect",
                                                target, "-psk_identity", "alice", "-psk",
                                                OTHER_KEY_HEX, NULL});
        alert = peer_wait_for(peer, "alert decrypt error");
        scene_accepts_nobody(scene, listener);
        (void)peer_stop(peer);
        (void)dtlsd_listener_unref(listener);
}

/* It passes over what it cannot decrypt, and says its flight again when its timer tells it to. */
static void test_server_psk_is_wrong(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *text = NULL;
        Peer *peer;

        peer = peer_start((const char *const[]){"openssl", "s_server", "-dtls1_2", "-accept",
                                                "127.0.0.1:0", "-psk", KEY_HEX, "-psk_identity",
                                                "alice", "-nocert", NULL});
        port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");
        text = scene_refused_key(scene, port, 0);
        g_assert_cmpstr(text, ==,
                        "TlsFatalError: the peer does not accept our Finished message: the "
                        "server has another pre-shared key for our identity, or none that it would "
                        "use; check identity and key at both ends");
        (void)peer_stop(peer);
}

#define ADD(path, function)                                                                        \
        g_test_add("/openssl/" path, Scene, NULL, scene_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("client/ecdsa-certificate", test_client_ecdsa);
        ADD("client/rsa-certificate", test_client_rsa);
        ADD("client/ed25519-certificate", test_client_ed25519);
        ADD("client/with-a-certificate-of-its-own", test_client_certificate);
        ADD("client/psk", test_client_psk);
        ADD("client/ecdhe-psk", test_client_ecdhe_psk);
        ADD("client/psk-of-the-store", test_client_psk_of_the_store);
        ADD("client/of-a-wildcard-listener-at-another-address",
            test_wildcard_listener_answers_from_the_address_asked);
        ADD("client/ipv6", test_ipv6);
        ADD("server/ecdsa-certificate", test_server_ecdsa);
        ADD("server/ecdsa-certificate-with-cookie", test_server_ecdsa_cookie);
        ADD("server/rsa-certificate", test_server_rsa);
        ADD("server/checked-by-its-address", test_server_by_address);
        ADD("server/not-verified", test_server_is_not_verified);
        ADD("server/asks-for-a-certificate", test_server_asks_for_certificate);
        ADD("server/psk-with-hint", test_server_psk);
        ADD("server/psk-without-hint", test_server_psk_without_hint);
        ADD("server/psk-of-the-store", test_server_psk_of_the_store);
        ADD("client/psk-is-wrong", test_client_psk_is_wrong);
        ADD("server/psk-is-wrong", test_server_psk_is_wrong);
        ADD("client/exports-the-same-keying-material", test_client_exports_the_same);
        ADD("server/exports-the-same-keying-material", test_server_exports_the_same);
        ADD("server/untrusted-is-refused-with-every-reason",
            test_untrusted_server_is_refused_with_every_reason);
        return g_test_run();
}
