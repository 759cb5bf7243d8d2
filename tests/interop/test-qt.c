/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Qt's QDtls at the other end, in both roles.
 */

#include "puppet.h"
#include "system/stage.h"

#include <string.h>

#define HINT "a hint"
#define SECRET "a secret of the test's"

/* ---- QDtls as the client ---- */

/* The peer, and our end of its connection, over which a datagram went each way. */
static Peer *with_client(const dtlsd_listener *listener, const char *const *arguments,
                         dtlsd_connection **ret_connection) {
        Peer *peer = puppet_client(QDTLS_PEER, listener, arguments);
        dtlsd_connection *connection = scene_accept((dtlsd_listener *)listener);

        puppet_expect(peer, "^state HandshakeInProgress$");
        puppet_expect(peer, "^state HandshakeComplete\nencrypted [A-Z0-9-]+$");
        puppet_converse(peer, connection);
        *ret_connection = connection;
        return peer;
}

static void leave(Peer *peer, dtlsd_connection *connection, dtlsd_listener *listener) {
        (void)dtlsd_connection_unref(connection);
        (void)peer_stop(peer);
        if (listener)
                (void)dtlsd_listener_unref(listener);
}

static dtlsd_listener *listen_certificate(Scene *scene, const char *name) {
        g_autofree char *crt = g_strconcat(name, ".crt", NULL);
        g_autofree char *key = g_strconcat(name, ".key", NULL);
        const char *const chain[] = {scene_file(scene, crt), NULL};
        struct dtlsd_options options = {
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, key),
        };

        return scene_listen(scene, "127.0.0.1", &options);
}

static Peer *certificate_client(Scene *scene, dtlsd_listener *listener, const char *option,
                                dtlsd_connection **ret_connection) {
        g_autofree char *ca = puppet_file(scene, "ca", "ca.crt");
        const char *const arguments[] = {ca, "--name=localhost", option, NULL};

        return with_client(listener, arguments, ret_connection);
}

static void test_client_ecdsa(Scene *scene, const void *unused) {
        dtlsd_listener *listener = listen_certificate(scene, "server");
        dtlsd_connection *connection = NULL;
        Peer *peer = certificate_client(scene, listener, NULL, &connection);

        leave(peer, connection, listener);
}

static void test_client_rsa(Scene *scene, const void *unused) {
        dtlsd_listener *listener = listen_certificate(scene, "rsa");
        dtlsd_connection *connection = NULL;
        Peer *peer = certificate_client(scene, listener, NULL, &connection);

        leave(peer, connection, listener);
}

static void test_client_shuts_down(Scene *scene, const void *unused) {
        dtlsd_listener *listener = listen_certificate(scene, "server");
        dtlsd_connection *connection = NULL;
        Peer *peer = certificate_client(scene, listener, NULL, &connection);

        peer_say(peer, "/shutdown\n");
        puppet_expect(peer, "^state HandshakeNotStarted$");
        expect_over(connection);
        leave(peer, connection, listener);
}

static void test_client_is_shut_down(Scene *scene, const void *unused) {
        dtlsd_listener *listener = listen_certificate(scene, "server");
        dtlsd_connection *connection = NULL;
        Peer *peer = certificate_client(scene, listener, NULL, &connection);

        g_assert_cmpint(dtlsd_connection_close(connection, NULL), ==, 0);
        puppet_expect(peer, "^error RemoteClosedConnectionError: ");
        leave(peer, connection, listener);
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
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &options);
        g_autofree char *ca = puppet_file(scene, "ca", "ca.crt");
        g_autofree char *crt = puppet_file(scene, "certificate", "client.crt");
        g_autofree char *key = puppet_file(scene, "key", "client.key");
        const char *const arguments[] = {ca, crt, key, "--name=localhost", NULL};
        dtlsd_connection *connection = NULL;
        Peer *peer = with_client(listener, arguments, &connection);

        leave(peer, connection, listener);
}

static dtlsd_listener *listen_psk_with_hint(Scene *scene) {
        struct dtlsd_options options = {
                .psk_identity = "alice",
                .psk_identity_size = 5,
                .psk = KEY_TEXT,
                .psk_size = 16,
                .psk_identity_hint = HINT,
        };

        return scene_listen(scene, "127.0.0.1", &options);
}

/* With a PSK QDtls misses a certificate all the same, unless it is told not to look for one. */
static void test_client_psk(Scene *scene, const void *unused) {
        dtlsd_listener *listener = listen_psk_with_hint(scene);
        const char *const arguments[] = {"--identity=alice", "--psk=" KEY_TEXT,
                                         "--verify=VerifyNone", NULL};
        dtlsd_connection *connection = NULL;
        Peer *peer = with_client(listener, arguments, &connection);
        const void *identity;
        size_t size = 0;

        puppet_expect(peer, "^psk-required hint=" HINT " identity= ");
        identity = dtlsd_connection_psk_identity(connection, &size);
        g_assert_cmpmem(identity, size, "alice", strlen("alice"));
        leave(peer, connection, listener);
}

static void client_is_refused(Scene *scene, const char *identity, const char *key) {
        dtlsd_listener *listener = listen_psk_with_hint(scene);
        const char *const arguments[] = {identity, key, "--verify=VerifyNone", NULL};
        Peer *peer = puppet_client(QDTLS_PEER, listener, arguments);

        puppet_expect(peer, "^error TlsFatalError: .*alert");
        scene_accepts_nobody(scene, listener);
        (void)peer_stop(peer);
        (void)dtlsd_listener_unref(listener);
}

static void test_client_psk_is_wrong(Scene *scene, const void *unused) {
        client_is_refused(scene, "--identity=alice", "--psk=" OTHER_KEY_TEXT);
}

static void test_client_psk_is_unknown(Scene *scene, const void *unused) {
        client_is_refused(scene, "--identity=mallory", "--psk=" KEY_TEXT);
}

static void set_cookies(Scene *scene, const dtlsd_listener *listener, const char *hash) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(scene->bus, &m, NAME,
                                                       dtlsd_listener_path(listener), LISTENER,
                                                       "SetCookieGeneratorParameters"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", hash), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', SECRET, strlen(SECRET)), >=, 0);
        g_assert_cmpint(sd_bus_call(scene->bus, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

static const char *const hashes[] = {"Md5", "Sha1", "Sha224", "Sha256", "Sha384", "Sha512"};

static void test_client_cookie_of_every_hash(Scene *scene, const void *unused) {
        dtlsd_listener *listener = listen_certificate(scene, "server");

        for (size_t i = 0; i < G_N_ELEMENTS(hashes); i++) {
                dtlsd_connection *connection = NULL;
                Peer *peer;

                set_cookies(scene, listener, hashes[i]);
                peer = certificate_client(scene, listener, NULL, &connection);
                leave(peer, connection, NULL);
        }
        (void)dtlsd_listener_unref(listener);
}

/* 1: the cookie; 3: of the server's flight */
static void test_client_loses_datagrams(Scene *scene, const void *unused) {
        dtlsd_listener *listener = listen_certificate(scene, "server");
        dtlsd_connection *connection = NULL;
        Peer *peer = certificate_client(scene, listener, "--drop=1,3", &connection);

        puppet_expect(peer, "^dropped 1$");
        puppet_expect(peer, "^timeout$");
        puppet_expect(peer, "^dropped 3$");
        leave(peer, connection, listener);
}

static void test_client_distrusts(Scene *scene, const void *unused) {
        dtlsd_listener *listener = listen_certificate(scene, "server");
        g_autofree char *ca = puppet_file(scene, "ca", "client.crt");
        const char *const arguments[] = {ca, "--name=other.example", NULL};
        Peer *peer = puppet_client(QDTLS_PEER, listener, arguments);

        puppet_expect(peer, "^state PeerVerificationFailed$");
        puppet_expect(peer, "^verification-error HostNameMismatch$");
        puppet_expect(peer, "^verification-error UnableToGetLocalIssuerCertificate$");
        puppet_expect(peer, "^state HandshakeNotStarted$");
        leave(peer, NULL, listener);
}

static void test_client_resumes(Scene *scene, const void *unused) {
        dtlsd_listener *listener = listen_certificate(scene, "server");
        const char *const arguments[] = {"--name=other.example", "--ignore", NULL};
        dtlsd_connection *connection = NULL;
        Peer *peer = with_client(listener, arguments, &connection);

        puppet_expect(peer, "^state PeerVerificationFailed$");
        leave(peer, connection, listener);
}

/* ---- QDtls as the server ---- */

static Peer *with_server(Scene *scene, const struct dtlsd_options *options,
                         const char *const *arguments, dtlsd_connection **ret_connection) {
        g_autofree char *port = NULL;
        Peer *peer = puppet_server(QDTLS_PEER, arguments, &port);
        dtlsd_connection *connection = scene_connect(scene, "127.0.0.1", port, options);

        puppet_expect(peer, "^state HandshakeInProgress$");
        puppet_expect(peer, "^state HandshakeComplete\nencrypted [A-Z0-9-]+$");
        puppet_converse(peer, connection);
        *ret_connection = connection;
        return peer;
}

static Peer *certificate_server(Scene *scene, const char *name, const char *const *more,
                                dtlsd_connection **ret_connection) {
        const char *const cas[] = {scene_file(scene, "ca.crt"), NULL};
        struct dtlsd_options options = {.ca_files = cas, .verification_name = "localhost"};
        g_autofree char *crt_name = g_strconcat(name, ".crt", NULL);
        g_autofree char *key_name = g_strconcat(name, ".key", NULL);
        g_autofree char *crt = puppet_file(scene, "certificate", crt_name);
        g_autofree char *key = puppet_file(scene, "key", key_name);
        const char *const arguments[] = {crt, key, more[0], more[0] ? more[1] : NULL, NULL};

        return with_server(scene, &options, arguments, ret_connection);
}

static void test_server_ecdsa(Scene *scene, const void *unused) {
        dtlsd_connection *connection = NULL;
        Peer *peer = certificate_server(scene, "server", (const char *const[]){NULL}, &connection);

        leave(peer, connection, NULL);
}

static void test_server_rsa(Scene *scene, const void *unused) {
        dtlsd_connection *connection = NULL;
        Peer *peer = certificate_server(scene, "rsa", (const char *const[]){NULL}, &connection);

        leave(peer, connection, NULL);
}

static void test_server_shuts_down(Scene *scene, const void *unused) {
        dtlsd_connection *connection = NULL;
        Peer *peer = certificate_server(scene, "server", (const char *const[]){NULL}, &connection);

        peer_say(peer, "/shutdown\n");
        puppet_expect(peer, "^state HandshakeNotStarted$");
        expect_over(connection);
        leave(peer, connection, NULL);
}

static void test_server_is_shut_down(Scene *scene, const void *unused) {
        dtlsd_connection *connection = NULL;
        Peer *peer = certificate_server(scene, "server", (const char *const[]){NULL}, &connection);

        g_assert_cmpint(dtlsd_connection_close(connection, NULL), ==, 0);
        puppet_expect(peer, "^error RemoteClosedConnectionError: ");
        leave(peer, connection, NULL);
}

/* GnuTLS as a client takes cookies of at most 32 bytes, so none of Sha384 and Sha512. */
static void test_server_cookie(Scene *scene, const void *unused) {
        for (size_t i = 0; !g_str_equal(hashes[i], "Sha384"); i++) {
                g_autofree char *hash = g_strconcat("--cookie-hash=", hashes[i], NULL);
                dtlsd_connection *connection = NULL;
                Peer *peer = certificate_server(
                        scene, "server", (const char *const[]){"--cookie-secret=" SECRET, hash},
                        &connection);

                puppet_expect(peer, "^not verified\nverified$");
                leave(peer, connection, NULL);
        }
}

/* 1: the first hello; 3: the hello with the cookie; 5: of the client's last flight */
static void test_server_loses_datagrams(Scene *scene, const void *unused) {
        dtlsd_connection *connection = NULL;
        Peer *peer = certificate_server(
                scene, "server", (const char *const[]){"--cookie-secret=" SECRET, "--drop=1,3,5"},
                &connection);

        puppet_expect(peer, "^dropped 1$");
        puppet_expect(peer, "^dropped 3$");
        puppet_expect(peer, "^dropped 5$");
        leave(peer, connection, NULL);
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
        dtlsd_connection *connection = NULL;
        Peer *peer = with_server(scene, &options, arguments, &connection);

        leave(peer, connection, NULL);
}

static const char *const psk_server[] = {"--identity=alice", "--psk=" KEY_TEXT, "--hint=" HINT,
                                         NULL};

static void test_server_psk(Scene *scene, const void *unused) {
        struct dtlsd_options options = {
                .psk_identity = "alice", .psk_identity_size = 5, .psk = KEY_TEXT, .psk_size = 16};
        dtlsd_connection *connection = NULL;
        Peer *peer = with_server(scene, &options, psk_server, &connection);

        puppet_expect(peer, "^psk-required hint=(" HINT ")? identity=alice ");
        leave(peer, connection, NULL);
}

/* A connection to the peer's server whose handshake has begun. */
static dtlsd_connection *begin(Scene *scene, const char *port,
                               const struct dtlsd_options *options) {
        dtlsd_connection *connection = NULL;

        g_assert_cmpint(dtlsd_connection_create(scene->bus, "127.0.0.1",
                                                (uint16_t)g_ascii_strtoull(port, NULL, 10), options,
                                                &connection, NULL),
                        ==, 0);
        g_assert_cmpint(dtlsd_connection_do_handshake(connection, NULL), ==, 0);
        return connection;
}

/* The key comes only when Qt's server has named what it wants; its hint is what we are told. */
static void test_server_psk_is_asked_for(Scene *scene, const void *unused) {
        struct dtlsd_options options = {.peer_verify_mode = "VerifyNone"};
        g_autoptr(Ear) ear = ear_new(scene->bus);
        g_autofree char *port = NULL;
        Peer *peer = puppet_server(QDTLS_PEER, psk_server, &port);
        dtlsd_connection *connection = begin(scene, port, &options);

        g_assert_nonnull(strstr(ear_wait(ear, "PskRequired|")->str, "|" HINT "||255|512"));
        g_assert_cmpint(dtlsd_connection_provide_psk(connection, "alice", 5, KEY_TEXT, 16, NULL),
                        ==, 0);
        wait_string(scene->bus, dtlsd_connection_path(connection), CONNECTION, "HandshakeState",
                    "HandshakeComplete");
        g_assert_cmpint(dtlsd_connection_write(connection, "from dtlsd", 10, NULL), ==, 0);
        puppet_expect(peer, "^received from dtlsd$");
        leave(peer, connection, NULL);
}

/* OpenSSL passes over what it cannot decrypt, and Qt has it say its flight again. */
static void test_server_psk_is_wrong(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *text = NULL;
        Peer *peer = puppet_server(QDTLS_PEER, psk_server, &port);

        text = scene_refused_key(scene, port, 0);
        g_assert_cmpstr(text, ==,
                        "TlsFatalError: the peer does not accept our Finished message: the "
                        "server has another pre-shared key for our identity, or none that it would "
                        "use; check identity and key at both ends");
        puppet_expect(peer, "^psk-required .* identity=alice ");
        (void)peer_stop(peer);
}

static void test_server_is_distrusted(Scene *scene, const void *unused) {
        const char *const cas[] = {scene_file(scene, "client.crt"), NULL};
        struct dtlsd_options options = {.ca_files = cas, .verification_name = "localhost"};
        g_autofree char *crt = puppet_file(scene, "certificate", "server.crt");
        g_autofree char *key = puppet_file(scene, "key", "server.key");
        g_autofree char *port = NULL;
        Peer *peer = puppet_server(QDTLS_PEER, (const char *const[]){crt, key, NULL}, &port);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection = NULL;

        g_assert_cmpint(dtlsd_connect(scene->bus, "127.0.0.1",
                                      (uint16_t)g_ascii_strtoull(port, NULL, 10), &options,
                                      &connection, &error),
                        ==, -EIO);
        g_assert_cmpstr(error.name, ==, ERROR_PREFIX "PeerVerificationError");
        puppet_expect(peer, "^error TlsFatalError: .*alert");
        sd_bus_error_free(&error);
        (void)peer_stop(peer);
}

#define ADD(path, function)                                                                        \
        g_test_add("/qt/" path, Scene, NULL, scene_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        if (!puppet_is_built(QDTLS_PEER)) {
                puppet_add_skip("/qt/is-there", QDTLS_PEER);
                return g_test_run();
        }

        ADD("client/ecdsa-certificate", test_client_ecdsa);
        ADD("client/rsa-certificate", test_client_rsa);
        ADD("client/shuts-down", test_client_shuts_down);
        ADD("client/is-shut-down", test_client_is_shut_down);
        ADD("client/with-a-certificate-of-its-own", test_client_certificate);
        ADD("client/psk-with-hint", test_client_psk);
        ADD("client/psk-is-wrong", test_client_psk_is_wrong);
        ADD("client/psk-identity-is-unknown", test_client_psk_is_unknown);
        ADD("client/cookie-of-every-hash", test_client_cookie_of_every_hash);
        ADD("client/loses-datagrams", test_client_loses_datagrams);
        ADD("client/distrusts-with-every-reason", test_client_distrusts);
        ADD("client/resumes-in-spite-of-errors", test_client_resumes);
        ADD("server/ecdsa-certificate", test_server_ecdsa);
        ADD("server/rsa-certificate", test_server_rsa);
        ADD("server/shuts-down", test_server_shuts_down);
        ADD("server/is-shut-down", test_server_is_shut_down);
        ADD("server/cookie-of-at-most-32-bytes", test_server_cookie);
        ADD("server/loses-datagrams", test_server_loses_datagrams);
        ADD("server/asks-for-a-certificate", test_server_asks_for_certificate);
        ADD("server/psk-with-hint", test_server_psk);
        ADD("server/psk-is-asked-for", test_server_psk_is_asked_for);
        ADD("server/psk-is-wrong", test_server_psk_is_wrong);
        ADD("server/is-distrusted", test_server_is_distrusted);
        return g_test_run();
}
