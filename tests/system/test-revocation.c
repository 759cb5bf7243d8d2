/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the administrator takes back, whoever trusts it: the deny list and revocation lists of
 * dtlsd.conf, at the start and read again. And what a server brings along of its responder's. The
 * peers, and the responder, are OpenSSL's and GnuTLS's.
 */

#include "interop/peer.h"
#include "lib/revocations.h"
#include "stage.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALERT_BAD_CERTIFICATE 42
#define ALERT_REVOKED 44
#define ALERT_BAD_STATUS 113

enum {
        AUTHORITY,
        GOOD,
        DENIED,
        REVOKED,
        RESPONDER,
        N_IDENTITIES,
};

static const char *const files[N_IDENTITIES] = {"authority", "good", "denied", "revoked",
                                                "responder"};

typedef struct World {
        Service *service;
        sd_bus *bus;
        Ear *ear;
        char *directory; /* the service reads there */
        TestIdentity *identities[N_IDENTITIES];
} World;

/* For the service, which is another user. */
static void write_taken(const World *world, const char *name, GBytes *taken) {
        g_autoptr(GBytes) contents = taken;
        g_autofree char *path = test_write(world->directory, name, contents);

        g_assert_cmpint(g_chmod(path, 0644), ==, 0);
}

static void write_denied(const World *world, const TestIdentity *identity) {
        g_autofree char *hash =
                g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(identity));
        g_autofree char *text = g_strdup_printf("# stolen\n%s\n", hash);

        write_taken(world, "denied.list", g_bytes_new(text, strlen(text)));
}

static void write_files(const World *world) {
        for (int i = 0; i < N_IDENTITIES; i++)
                test_identity_write(world->identities[i], world->directory, files[i]);
        write_denied(world, world->identities[DENIED]);
        write_taken(
                world, "authority.crl",
                test_crl_new(world->identities[AUTHORITY], NULL, world->identities[REVOKED], NULL));
}

static void set_up(World *world, const void *unused) {
        g_autofree char *config = NULL;

        world->directory = g_dir_make_tmp("dtlsd-revocation.XXXXXX", NULL);
        g_assert_nonnull(world->directory);
        g_assert_cmpint(g_chmod(world->directory, 0755), ==, 0);
        world->identities[AUTHORITY] =
                test_identity_new("Trusted CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        for (int i = GOOD; i < N_IDENTITIES; i++)
                world->identities[i] =
                        test_identity_new("localhost", world->identities[AUTHORITY],
                                          i == RESPONDER ? TEST_IDENTITY_OCSP : 0, TEST_KEY_ECDSA);
        write_files(world);

        config = g_strdup_printf("[Trust]\nDenyList=%s/denied.list\n"
                                 "RevocationLists=%s/authority.crl\n",
                                 world->directory, world->directory);
        world->service = service_start(config);
        world->bus = service_bus(world->service, UID_ALICE);
        world->ear = ear_new(world->bus);
}

static void tear_down(World *world, const void *unused) {
        world->ear = ear_free(world->ear);
        (void)bus_leave(world->bus);
        service_stop(world->service);
        for (int i = 0; i < N_IDENTITIES; i++)
                (void)test_identity_free(world->identities[i]);
        service_remove_directory(world->directory);
        g_free(world->directory);
}

/* ---- peers ---- */

static Peer *start_peer(const World *world, const char *program, const char *option,
                        const char *address, int identity) {
        g_autofree char *certificate =
                g_strdup_printf("%s/%s.crt", world->directory, files[identity]);
        g_autofree char *key = g_strdup_printf("%s/%s.key", world->directory, files[identity]);

        return peer_start((const char *const[]){"openssl", program, "-dtls1_2", option, address,
                                                "-cert", certificate, "-key", key, NULL});
}

static Peer *start_server(const World *world, int identity, uint16_t *ret_port) {
        Peer *peer = start_peer(world, "s_server", "-accept", "127.0.0.1:0", identity);
        g_autofree char *port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");

        *ret_port = (uint16_t)g_ascii_strtoull(port, NULL, 10);
        return peer;
}

static Peer *start_client(const World *world, int identity, uint16_t port) {
        g_autofree char *address = g_strdup_printf("127.0.0.1:%u", port);

        return start_peer(world, "s_client", "-connect", address, identity);
}

static char *in_directory(const World *world, const char *name, const char *suffix) {
        return g_strdup_printf("%s/%s%s", world->directory, name, suffix);
}

/* What OpenSSL says on standard output. */
static char *run_openssl(const char *const *argv) {
        char *output = NULL;
        int status = -1;

        g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL,
                                   G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                                   &output, NULL, &status, NULL));
        g_assert_cmpint(status, ==, 0);
        return output;
}

/* The authority's books, with this certificate: 'V' valid, 'R' revoked; '-' with another. */
static char *write_index(const World *world, int identity, char status) {
        g_autofree char *certificate = in_directory(world, files[identity], ".crt");
        g_autofree char *line = run_openssl((const char *const[]){
                "openssl", "x509", "-in", certificate, "-noout", "-serial", NULL});
        const char *serial = status == '-' ? "01" : g_strstrip(line) + strlen("serial=");
        g_autofree char *text = g_strdup_printf(
                "%c\t491231235959Z\t%s\t%s\tunknown\t/CN=localhost\n", status == 'R' ? 'R' : 'V',
                status == 'R' ? "260101000000Z" : "", serial);

        write_taken(world, "index.txt", g_bytes_new(text, strlen(text)));
        return in_directory(world, "index.txt", "");
}

/* The response of OpenSSL's responder about the good one, signed by @signer. */
static char *write_response(const World *world, char status, int signer) {
        g_autofree char *index = write_index(world, GOOD, status);
        g_autofree char *authority = in_directory(world, files[AUTHORITY], ".crt");
        g_autofree char *certificate = in_directory(world, files[GOOD], ".crt");
        g_autofree char *signing = in_directory(world, files[signer], ".crt");
        g_autofree char *key = in_directory(world, files[signer], ".key");
        g_autofree char *request = in_directory(world, "request.der", "");
        char *response = in_directory(world, "response.der", "");

        g_free(run_openssl((const char *const[]){"openssl", "ocsp", "-issuer", authority, "-cert",
                                                 certificate, "-reqout", request, NULL}));
        g_free(run_openssl((const char *const[]){
                "openssl", "ocsp", "-index", index, "-CA", authority, "-rsigner", signing, "-rkey",
                key, "-ndays", "1", "-reqin", request, "-respout", response, NULL}));
        return response;
}

/* With handshake messages cut into datagrams of 400 bytes. */
static Peer *start_stapling(const World *world, const char *response, uint16_t *ret_port) {
        g_autofree char *certificate = in_directory(world, files[GOOD], ".crt");
        g_autofree char *key = in_directory(world, files[GOOD], ".key");
        Peer *peer = peer_start((const char *const[]){
                "openssl", "s_server", "-dtls1_2", "-mtu", "400", "-accept", "127.0.0.1:0", "-cert",
                certificate, "-key", key, "-status_file", response, NULL});
        g_autofree char *port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");

        *ret_port = (uint16_t)g_ascii_strtoull(port, NULL, 10);
        return peer;
}

/* ---- ours ---- */

static void add_client(const World *world, sd_bus_message *m) {
        options_add_certificate(m, "CaCertificates", world->identities[AUTHORITY]);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "VerificationName", "s", "localhost"), >=,
                        0);
}

static char *create_with(const World *world, uint16_t port, bool stapled) {
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        add_client(world, m);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "PeerAddress", "s", "127.0.0.1",
                                              "PeerPort", "q", port, "OcspStapling", "b",
                                              (int)stapled),
                        >=, 0);
        return options_end_path(world->bus, m);
}

static char *create_verifying(const World *world, uint16_t port) {
        return create_with(world, port, /* stapled= */ false);
}

static char *create_stapled(const World *world, uint16_t port) {
        return create_with(world, port, /* stapled= */ true);
}

static char *listen_verifying(const World *world) {
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", (uint16_t)0);

        options_add_identity(m, world->identities[GOOD]);
        options_add_certificate(m, "CaCertificates", world->identities[AUTHORITY]);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "PeerVerifyMode", "s", "VerifyPeer"), >=,
                        0);
        return options_end_path(world->bus, m);
}

static void wait_state(const World *world, const char *connection, const char *state) {
        wait_string(world->bus, connection, CONNECTION, "HandshakeState", state);
}

/* The next connection that comes to a listener, in this state. */
static char *wait_connection(World *world, const char *state) {
        const GString *first = ear_wait(world->ear, "StateChanged|");
        g_auto(GStrv) fields = g_strsplit(first->str, "|", 3);

        wait_state(world, fields[1], state);
        ear_catch_up(world->ear);
        (void)ear_free(world->ear);
        world->ear = ear_new(world->bus);
        return g_strdup(fields[1]);
}

static void assert_only_error(const World *world, const char *connection, const char *name,
                              int identity) {
        GBytes *expected = test_identity_der(world->identities[identity]);
        sd_bus_message *reply = NULL;
        const char *found;
        const void *der;
        size_t size;

        g_assert_cmpint(sd_bus_get_property(world->bus, NAME, connection, CONNECTION,
                                            "PeerVerificationErrors", NULL, &reply, "a(say)"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "(say)"), >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'r', "say"), >, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &found), >=, 0);
        g_assert_cmpstr(found, ==, name);
        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &der, &size), >=, 0);
        g_assert_cmpmem(der, size, g_bytes_get_data(expected, NULL), g_bytes_get_size(expected));
        g_assert_cmpint(sd_bus_message_exit_container(reply), >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'r', "say"), ==, 0);
        (void)sd_bus_message_unref(reply);
}

/* ---- tests ---- */

static void check_refused(const World *world, int identity, const char *error, unsigned alert) {
        g_autofree char *regex = g_strdup_printf("SSL alert number %u$", alert);
        uint16_t port;
        Peer *peer = start_server(world, identity, &port);
        g_autofree char *client = create_verifying(world, port);
        sd_bus_message *m;

        do_handshake(world->bus, client);
        wait_state(world, client, "PeerVerificationFailed");
        assert_only_error(world, client, error, identity);
        close_object(world->bus, client, CONNECTION);
        (void)peer_stop(peer);

        /* Connect asks nobody: the service refuses, and the peer hears why */
        peer = start_server(world, identity, &port);
        m = options_begin(world->bus, ROOT, MANAGER, "Connect", "sq", "127.0.0.1", port);
        add_client(world, m);
        g_free(options_end_refused("PeerVerificationError", world->bus, m));
        g_free(peer_wait_for(peer, regex));
        (void)peer_stop(peer);
}

static void test_denied_and_revoked_peers_are_told(World *world, const void *unused) {
        uint16_t port;
        Peer *peer = start_server(world, GOOD, &port);
        g_autofree char *client = create_verifying(world, port);

        do_handshake(world->bus, client);
        wait_state(world, client, "HandshakeComplete");
        (void)peer_stop(peer);

        check_refused(world, DENIED, "CertificateBlacklisted", ALERT_BAD_CERTIFICATE);
        check_refused(world, REVOKED, "CertificateRevoked", ALERT_REVOKED);
}

static bool was_read_again(void *userdata) {
        const World *world = userdata;
        g_autofree char *log = service_log(world->service);

        return strstr(log, "are read again") != NULL;
}

static void reload(World *world) {
        g_assert_cmpint(kill(service_pid(world->service), SIGHUP), ==, 0);
        bus_wait(world->bus, was_read_again, world, "the files to be read again");
}

/* A listener and an object that were there before judge by it too. */
static void test_lists_are_read_again_when_told(World *world, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_verifying(world);
        Peer *server = start_server(world, GOOD, &port);
        Peer *before = start_client(world, GOOD, get_port(world->bus, listener)), *behind;
        g_autofree char *client = create_verifying(world, port);
        g_autofree char *first = wait_connection(world, "HandshakeComplete"), *second = NULL;

        write_denied(world, world->identities[GOOD]);
        reload(world);
        behind = start_client(world, GOOD, get_port(world->bus, listener));
        second = wait_connection(world, "PeerVerificationFailed");
        assert_only_error(world, second, "CertificateBlacklisted", GOOD);
        do_handshake(world->bus, client);
        wait_state(world, client, "PeerVerificationFailed");
        assert_only_error(world, client, "CertificateBlacklisted", GOOD);
        wait_state(world, first, "HandshakeComplete");

        (void)peer_stop(before);
        (void)peer_stop(behind);
        (void)peer_stop(server);
}

static void check_reload_refused(const World *world, const char *file) {
        sd_bus *root = service_bus(world->service, 0);
        g_autofree char *text = call_refused("Failed", root, ROOT, MANAGER, "Reload", "");
        g_autofree char *path = g_build_filename(world->directory, file, NULL);

        g_assert_nonnull(strstr(text, path));
        (void)bus_leave(root);
}

/* Nobody who was taken back is trusted again because a file broke. */
static void test_a_broken_file_leaves_all_as_it_was(World *world, const void *unused) {
        if (!service_has_users())
                return;

        write_taken(world, "denied.list", g_bytes_new_static("half a ha", 9));
        check_reload_refused(world, "denied.list");
        check_refused(world, DENIED, "CertificateBlacklisted", ALERT_BAD_CERTIFICATE);

        write_denied(world, world->identities[GOOD]);
        write_taken(world, "authority.crl", g_bytes_new_static("half a li", 9));
        check_reload_refused(world, "authority.crl");
        check_refused(world, REVOKED, "CertificateRevoked", ALERT_REVOKED);
        check_refused(world, DENIED, "CertificateBlacklisted", ALERT_BAD_CERTIFICATE);
}

/* Nor because of a start. */
static void test_a_broken_file_stops_the_start(World *world, const void *unused) {
        g_autofree char *path = g_build_filename(world->directory, "denied.list", NULL);
        g_autofree char *log = NULL;

        g_assert_cmpint(kill(service_pid(world->service), SIGTERM), ==, 0);
        g_assert_cmpint(waitpid(service_pid(world->service), NULL, 0), ==,
                        service_pid(world->service));
        g_assert_cmpint(g_remove(path), ==, 0);
        service_restart_refused(world->service);
        log = service_log(world->service);
        g_assert_nonnull(strstr(log, path));
        g_assert_nonnull(strstr(log, "nothing was started"));

        write_denied(world, world->identities[DENIED]);
        service_restart(world->service);
}

static void check_stapled(const World *world, char status, int signer, const char *error) {
        g_autofree char *response = write_response(world, status, signer);
        uint16_t port;
        Peer *peer = start_stapling(world, response, &port);
        g_autofree char *client = create_stapled(world, port);

        g_test_message("'%c' by %s", status, files[signer]);
        do_handshake(world->bus, client);
        wait_state(world, client, error ? "PeerVerificationFailed" : "HandshakeComplete");
        if (error)
                assert_only_error(world, client, error, GOOD);
        close_object(world->bus, client, CONNECTION);
        (void)peer_stop(peer);
}

static void test_a_response_is_checked(World *world, const void *unused) {
        check_stapled(world, 'V', AUTHORITY, NULL);
        check_stapled(world, 'V', RESPONDER, NULL);
        check_stapled(world, 'V', DENIED, "OcspResponseCannotBeTrusted");
        check_stapled(world, 'R', RESPONDER, "CertificateRevoked");
        check_stapled(world, '-', AUTHORITY, "OcspStatusUnknown");
}

/* GnuTLS's server staples what is good and nothing else, and cannot pick a port by itself. */
static void test_gnutls_brings_a_response_too(World *world, const void *unused) {
        g_autofree char *response = write_response(world, 'V', RESPONDER);
        g_autofree char *certificate = in_directory(world, files[GOOD], ".crt");
        g_autofree char *key = in_directory(world, files[GOOD], ".key");
        g_autofree char *port_text = NULL, *client = NULL;
        uint16_t port;
        Peer *peer;

        (void)close(udp_bind(&port));
        port_text = g_strdup_printf("%u", port);
        peer = peer_start((const char *const[]){"gnutls-serv", "--udp", "--echo", "-p", port_text,
                                                "--x509certfile", certificate, "--x509keyfile", key,
                                                "--ocsp-response", response, NULL});
        g_free(peer_wait_for(peer, "UDP server.*listening|listening on IPv4|Echo Server"));
        client = create_stapled(world, port);
        do_handshake(world->bus, client);
        wait_state(world, client, "HandshakeComplete");
        (void)peer_stop(peer);
}

static void test_a_server_that_staples_nothing_is_told(World *world, const void *unused) {
        g_autofree char *regex = g_strdup_printf("SSL alert number %u$", ALERT_BAD_STATUS);
        uint16_t port;
        Peer *peer = start_server(world, GOOD, &port);
        g_autofree char *client = create_stapled(world, port);
        sd_bus_message *m;

        do_handshake(world->bus, client);
        wait_state(world, client, "PeerVerificationFailed");
        assert_only_error(world, client, "OcspNoResponseFound", GOOD);
        close_object(world->bus, client, CONNECTION);
        (void)peer_stop(peer);

        peer = start_server(world, GOOD, &port);
        m = options_begin(world->bus, ROOT, MANAGER, "Connect", "sq", "127.0.0.1", port);
        add_client(world, m);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "OcspStapling", "b", 1), >=, 0);
        g_free(options_end_refused("PeerVerificationError", world->bus, m));
        g_free(peer_wait_for(peer, regex));
        (void)peer_stop(peer);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/revocation/denied-and-revoked-peers-are-told", World, NULL, set_up,
                   test_denied_and_revoked_peers_are_told, tear_down);
        g_test_add("/revocation/a-broken-file-leaves-all-as-it-was", World, NULL, set_up,
                   test_a_broken_file_leaves_all_as_it_was, tear_down);
        g_test_add("/revocation/a-broken-file-stops-the-start", World, NULL, set_up,
                   test_a_broken_file_stops_the_start, tear_down);
        g_test_add("/revocation/lists-are-read-again-when-told", World, NULL, set_up,
                   test_lists_are_read_again_when_told, tear_down);
        g_test_add("/revocation/a-response-is-checked", World, NULL, set_up,
                   test_a_response_is_checked, tear_down);
        g_test_add("/revocation/gnutls-brings-a-response-too", World, NULL, set_up,
                   test_gnutls_brings_a_response_too, tear_down);
        g_test_add("/revocation/a-server-that-staples-nothing-is-told", World, NULL, set_up,
                   test_a_server_that_staples_nothing_is_told, tear_down);
        return g_test_run();
}
