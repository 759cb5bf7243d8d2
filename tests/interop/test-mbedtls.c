/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * mbedTLS at the other end, in both roles.
 */

#include "puppet.h"

/* ---- mbedTLS as the client ---- */

static void with_client(Scene *scene, const struct dtlsd_options *options,
                        const char *const *arguments) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", options);
        Peer *peer = puppet_client(MBEDTLS_PEER, listener, arguments);
        dtlsd_connection *connection = scene_accept(listener);

        puppet_converse(peer, connection);
        peer_say(peer, "/shutdown\n");
        expect_over(connection);
        (void)dtlsd_connection_unref(connection);
        (void)peer_stop(peer);
        (void)dtlsd_listener_unref(listener);
}

static void certificate_client(Scene *scene, const char *name, const char *option) {
        g_autofree char *crt = g_strconcat(name, ".crt", NULL);
        g_autofree char *key = g_strconcat(name, ".key", NULL);
        const char *const chain[] = {scene_file(scene, crt), NULL};
        struct dtlsd_options options = {
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, key),
        };
        g_autofree char *ca = puppet_file(scene, "ca", "ca.crt");
        const char *const arguments[] = {ca, "--name=localhost", option, NULL};

        with_client(scene, &options, arguments);
}

static void test_client_ecdsa(Scene *scene, const void *unused) {
        certificate_client(scene, "server", NULL);
}

static void test_client_rsa(Scene *scene, const void *unused) {
        certificate_client(scene, "rsa", NULL);
}

/* 1: the cookie; 3 and 4: of the server's flight */
static void test_client_loses_datagrams(Scene *scene, const void *unused) {
        certificate_client(scene, "server", "--drop=1,3,4");
}

static void test_client_certificate(Scene *scene, const void *unused) {
        const char *const chain[] = {scene_file(scene, "server.crt"), NULL};
        const char *const cas[] = {scene_file(scene, "ca.crt"), NULL};
        struct dtlsd_options options = {
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, "server.key"),
                .ca_files = cas,
                .peer_verify_mode = "VerifyPeer",
        };
        g_autofree char *ca = puppet_file(scene, "ca", "ca.crt");
        g_autofree char *crt = puppet_file(scene, "certificate", "client.crt");
        g_autofree char *key = puppet_file(scene, "key", "client.key");
        const char *const arguments[] = {ca, crt, key, "--name=localhost", NULL};

        with_client(scene, &options, arguments);
}

static void test_client_psk(Scene *scene, const void *unused) {
        struct dtlsd_options options = {
                .psk_identity = "alice", .psk_identity_size = 5, .psk = KEY_TEXT, .psk_size = 16};
        const char *const arguments[] = {"--identity=alice", "--psk=" KEY_TEXT, NULL};

        with_client(scene, &options, arguments);
}

static void test_client_distrusts(Scene *scene, const void *unused) {
        const char *const chain[] = {scene_file(scene, "server.crt"), NULL};
        struct dtlsd_options options = {
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, "server.key"),
        };
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &options);
        g_autofree char *ca = puppet_file(scene, "ca", "ca.crt");
        const char *const arguments[] = {ca, "--name=other.example", NULL};
        Peer *peer = puppet_client(MBEDTLS_PEER, listener, arguments);

        puppet_expect(peer, "^verification-error CN_MISMATCH$");
        puppet_expect(peer, "^state HandshakeNotStarted$");
        scene_accepts_nobody(scene, listener);
        (void)peer_stop(peer);
        (void)dtlsd_listener_unref(listener);
}

/* ---- mbedTLS as the server ---- */

static void with_server(Scene *scene, const struct dtlsd_options *options,
                        const char *const *arguments) {
        g_autofree char *port = NULL;
        Peer *peer = puppet_server(MBEDTLS_PEER, arguments, &port);
        dtlsd_connection *connection = scene_connect(scene, "127.0.0.1", port, options);

        puppet_converse(peer, connection);
        g_assert_cmpint(dtlsd_connection_close(connection, NULL), ==, 0);
        puppet_expect(peer, "^state HandshakeNotStarted$");
        (void)dtlsd_connection_unref(connection);
        (void)peer_stop(peer);
}

static void certificate_server(Scene *scene, const char *name, const char *option) {
        const char *const cas[] = {scene_file(scene, "ca.crt"), NULL};
        struct dtlsd_options options = {.ca_files = cas, .verification_name = "localhost"};
        g_autofree char *crt_name = g_strconcat(name, ".crt", NULL);
        g_autofree char *key_name = g_strconcat(name, ".key", NULL);
        g_autofree char *crt = puppet_file(scene, "certificate", crt_name);
        g_autofree char *key = puppet_file(scene, "key", key_name);
        const char *const arguments[] = {crt, key, option, NULL};

        with_server(scene, &options, arguments);
}

static void test_server_ecdsa(Scene *scene, const void *unused) {
        certificate_server(scene, "server", NULL);
}

static void test_server_rsa(Scene *scene, const void *unused) {
        certificate_server(scene, "rsa", NULL);
}

static void test_server_cookie(Scene *scene, const void *unused) {
        certificate_server(scene, "server", "--cookie-secret=any");
}

/* 1: the hello; 2 is the next one, 3 and 4 of the client's second flight */
static void test_server_loses_datagrams(Scene *scene, const void *unused) {
        certificate_server(scene, "server", "--drop=1,3,4");
}

static void test_server_asks_for_certificate(Scene *scene, const void *unused) {
        const char *const cas[] = {scene_file(scene, "ca.crt"), NULL};
        const char *const chain[] = {scene_file(scene, "client.crt"), NULL};
        struct dtlsd_options options = {
                .ca_files = cas,
                .verification_name = "localhost",
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, "client.key"),
        };
        g_autofree char *ca = puppet_file(scene, "ca", "ca.crt");
        g_autofree char *crt = puppet_file(scene, "certificate", "server.crt");
        g_autofree char *key = puppet_file(scene, "key", "server.key");
        const char *const arguments[] = {ca, crt, key, "--verify=VerifyPeer", NULL};

        with_server(scene, &options, arguments);
}

static void test_server_psk(Scene *scene, const void *unused) {
        struct dtlsd_options options = {
                .psk_identity = "alice", .psk_identity_size = 5, .psk = KEY_TEXT, .psk_size = 16};
        const char *const arguments[] = {"--identity=alice", "--psk=" KEY_TEXT, NULL};

        with_server(scene, &options, arguments);
}

/* ---- another key ---- */

static void test_client_psk_is_wrong(Scene *scene, const void *unused) {
        struct dtlsd_options options = {
                .psk_identity = "alice", .psk_identity_size = 5, .psk = KEY_TEXT, .psk_size = 16};
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &options);
        const char *const arguments[] = {"--identity=alice", "--psk=" OTHER_KEY_TEXT, NULL};
        Peer *peer = puppet_client(MBEDTLS_PEER, listener, arguments);

        puppet_expect(peer, "^error .*fatal alert message was received");
        puppet_expect(peer, "^state HandshakeNotStarted$");
        scene_accepts_nobody(scene, listener);
        (void)peer_stop(peer);
        (void)dtlsd_listener_unref(listener);
}

/* It says so at once. */
static void test_server_psk_is_wrong(Scene *scene, const void *unused) {
        const char *const arguments[] = {"--identity=alice", "--psk=" KEY_TEXT, NULL};
        g_autofree char *port = NULL, *text = NULL;
        Peer *peer = puppet_server(MBEDTLS_PEER, arguments, &port);

        text = scene_refused_key(scene, port, 0);
        g_assert_cmpstr(
                text, ==,
                "TlsFatalError: peer sent alert: bad_record_mac(20); the server has another "
                "pre-shared key for our identity, or none that it would use; check identity "
                "and key at both ends");
        (void)peer_stop(peer);
}

#define ADD(path, function)                                                                        \
        g_test_add("/mbedtls/" path, Scene, NULL, scene_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        if (!puppet_is_built(MBEDTLS_PEER)) {
                puppet_add_skip("/mbedtls/is-there", MBEDTLS_PEER);
                return g_test_run();
        }

        ADD("client/ecdsa-certificate", test_client_ecdsa);
        ADD("client/rsa-certificate", test_client_rsa);
        ADD("client/loses-datagrams", test_client_loses_datagrams);
        ADD("client/with-a-certificate-of-its-own", test_client_certificate);
        ADD("client/psk", test_client_psk);
        ADD("client/distrusts-the-name", test_client_distrusts);
        ADD("server/ecdsa-certificate", test_server_ecdsa);
        ADD("server/rsa-certificate", test_server_rsa);
        ADD("server/cookie", test_server_cookie);
        ADD("server/loses-datagrams", test_server_loses_datagrams);
        ADD("server/asks-for-a-certificate", test_server_asks_for_certificate);
        ADD("server/psk", test_server_psk);
        ADD("client/psk-is-wrong", test_client_psk_is_wrong);
        ADD("server/psk-is-wrong", test_server_psk_is_wrong);
        return g_test_run();
}
