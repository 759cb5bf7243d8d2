/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * GnuTLS's own tools at the other end, in both roles.
 */

#include "scene.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PRIORITY "--priority=NORMAL:-VERS-ALL:+VERS-DTLS1.2"
#define PRIORITY_PSK "--priority=NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+ECDHE-PSK:+PSK"

static void with_client(Scene *scene, const struct dtlsd_options *options,
                        const char *const *arguments) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", options);
        g_autofree char *port = g_strdup_printf("%u", dtlsd_listener_port(listener));
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        g_autofree char *heard = NULL;
        dtlsd_connection *connection;
        Peer *peer;

        for (const char *const *at = (const char *const[]){"gnutls-cli", "--udp", "-p", port, NULL};
             *at; at++)
                g_ptr_array_add(argv, (void *)*at);
        for (; *arguments; arguments++)
                g_ptr_array_add(argv, (void *)*arguments);
        g_ptr_array_add(argv, (void *)"127.0.0.1");
        g_ptr_array_add(argv, NULL);

        peer = peer_start((const char *const *)argv->pdata);
        connection = scene_accept(listener);
        peer_say(peer, "from gnutls\n");
        expect_datagram(connection, "from gnutls\n");
        send_datagram(connection, "from dtlsd\n");
        heard = peer_wait_for(peer, "^from dtlsd");
        (void)dtlsd_connection_unref(connection);
        (void)peer_stop(peer);
        (void)dtlsd_listener_close(listener, NULL);
        (void)dtlsd_listener_unref(listener);
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
        g_autofree char *ca_option = g_strconcat("--x509cafile=", ca[0], NULL);
        g_autofree char *crt =
                g_strconcat("--x509certfile=", scene_file(scene, "client.crt"), NULL);
        g_autofree char *key = g_strconcat("--x509keyfile=", scene_file(scene, "client.key"), NULL);
        const char *const arguments[] = {
                PRIORITY, ca_option, crt, key, "--verify-hostname=localhost", NULL};

        with_client(scene, &options, arguments);
}

static void test_client_ed25519(Scene *scene, const void *unused) {
        const char *const chain[] = {scene_file(scene, "ed25519.crt"), NULL};
        struct dtlsd_options options = {
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, "ed25519.key"),
        };
        g_autofree char *ca_option =
                g_strconcat("--x509cafile=", scene_file(scene, "ca.crt"), NULL);
        const char *const arguments[] = {PRIORITY, ca_option, "--verify-hostname=localhost", NULL};

        with_client(scene, &options, arguments);
}

/* gnutls-cli 3.7.9 crashes by itself with ECDHE-PSK, so plain PSK */
static void test_client_psk(Scene *scene, const void *unused) {
        struct dtlsd_options options = {
                .psk_identity = "alice", .psk_identity_size = 5, .psk = KEY_TEXT, .psk_size = 16};
        const char *const arguments[] = {"--priority=NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+PSK",
                                         "--pskusername=alice", "--pskkey=" KEY_HEX, NULL};

        with_client(scene, &options, arguments);
}

/* A UDP port that was free a moment ago: gnutls-serv cannot pick one by itself. */
static char *free_port(void) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        g_assert_cmpint(bind(fd, (struct sockaddr *)&address, size), ==, 0);
        g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &size), ==, 0);
        (void)close(fd);
        return g_strdup_printf("%u", ntohs(address.sin_port));
}

/* gnutls-serv --echo answers what it gets. *ret_port: to be freed. */
static Peer *start_server(const char *const *arguments, char **ret_port) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        g_autofree char *port = free_port(), *ready = NULL;
        Peer *peer;

        for (const char *const *at =
                     (const char *const[]){"gnutls-serv", "--udp", "--echo", "-p", port, NULL};
             *at; at++)
                g_ptr_array_add(argv, (void *)*at);
        for (; *arguments; arguments++)
                g_ptr_array_add(argv, (void *)*arguments);
        g_ptr_array_add(argv, NULL);

        peer = peer_start((const char *const *)argv->pdata);
        ready = peer_wait_for(peer, "UDP server.*listening|listening on IPv4|Echo Server");
        *ret_port = g_steal_pointer(&port);
        return peer;
}

static void with_server(Scene *scene, const struct dtlsd_options *options,
                        const char *const *arguments) {
        g_autofree char *port = NULL;
        Peer *peer = start_server(arguments, &port);
        dtlsd_connection *connection = scene_connect(scene, "127.0.0.1", port, options);

        send_datagram(connection, "an echo\n");
        expect_datagram(connection, "an echo\n");
        g_assert_cmpint(dtlsd_connection_close(connection, NULL), ==, 0);
        (void)dtlsd_connection_unref(connection);
        (void)peer_stop(peer);
}

static void test_server_certificate(Scene *scene, const void *unused) {
        const char *const ca[] = {scene_file(scene, "ca.crt"), NULL};
        const char *const chain[] = {scene_file(scene, "client.crt"), NULL};
        struct dtlsd_options options = {
                .ca_files = ca,
                .verification_name = "localhost",
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, "client.key"),
        };
        g_autofree char *ca_option = g_strconcat("--x509cafile=", ca[0], NULL);
        g_autofree char *crt =
                g_strconcat("--x509certfile=", scene_file(scene, "server.crt"), NULL);
        g_autofree char *key = g_strconcat("--x509keyfile=", scene_file(scene, "server.key"), NULL);
        const char *const arguments[] = {
                PRIORITY, ca_option, crt, key, "--require-client-cert", "--verify-client-cert",
                NULL};

        with_server(scene, &options, arguments);
}

static void test_server_ed25519(Scene *scene, const void *unused) {
        const char *const ca[] = {scene_file(scene, "ca.crt"), NULL};
        struct dtlsd_options options = {.ca_files = ca, .verification_name = "localhost"};
        g_autofree char *crt =
                g_strconcat("--x509certfile=", scene_file(scene, "ed25519.crt"), NULL);
        g_autofree char *key =
                g_strconcat("--x509keyfile=", scene_file(scene, "ed25519.key"), NULL);
        const char *const arguments[] = {PRIORITY, crt, key, NULL};

        with_server(scene, &options, arguments);
}

static void test_server_psk(Scene *scene, const void *unused) {
        struct dtlsd_options options = {
                .psk_identity = "alice", .psk_identity_size = 5, .psk = KEY_TEXT, .psk_size = 16};
        const char *passwd = scene_file(scene, "psk.txt");
        g_autofree char *file = g_strconcat("--pskpasswd=", passwd, NULL);
        const char *const arguments[] = {PRIORITY_PSK, file, "--pskhint=a hint", NULL};

        g_assert_true(g_file_set_contents(passwd, "alice:" KEY_HEX "\n", -1, NULL));
        with_server(scene, &options, arguments);
}

/* ---- another key ---- */

static void test_client_psk_is_wrong(Scene *scene, const void *unused) {
        struct dtlsd_options options = {
                .psk_identity = "alice", .psk_identity_size = 5, .psk = KEY_TEXT, .psk_size = 16};
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &options);
        g_autofree char *port = g_strdup_printf("%u", dtlsd_listener_port(listener));
        g_autofree char *alert = NULL;
        Peer *peer;

        peer = peer_start((const char *const[]){
                "gnutls-cli", "--udp", "-p", port,
                "--priority=NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+PSK", "--pskusername=alice",
                "--pskkey=" OTHER_KEY_HEX, "127.0.0.1", NULL});
        alert = peer_wait_for(peer, "Received alert \\[51\\]");
        scene_accepts_nobody(scene, listener);
        (void)peer_stop(peer);
        (void)dtlsd_listener_unref(listener);
}

/* It passes over what it cannot decrypt and says nothing more: it may as well be gone. */
static void test_server_psk_is_wrong(Scene *scene, const void *unused) {
        const char *passwd = scene_file(scene, "psk.txt");
        g_autofree char *file = g_strconcat("--pskpasswd=", passwd, NULL);
        const char *const arguments[] = {PRIORITY_PSK, file, NULL};
        g_autofree char *port = NULL, *text = NULL;
        Peer *peer;

        g_assert_true(g_file_set_contents(passwd, "alice:" KEY_HEX "\n", -1, NULL));
        peer = start_server(arguments, &port);
        text = scene_refused_key(scene, port, 2000);
        /* behind it may stand what the network said, while the peer was not there yet */
        g_assert_true(g_str_has_prefix(
                text, "TimedOut: the handshake was not complete in time; the peer does not answer "
                      "our Finished message: most likely the server has another pre-shared key"));
        (void)peer_stop(peer);
}

#define ADD(path, function)                                                                        \
        g_test_add("/gnutls/" path, Scene, NULL, scene_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("client/with-a-certificate-of-its-own", test_client_certificate);
        ADD("client/ed25519-certificate", test_client_ed25519);
        ADD("client/psk", test_client_psk);
        ADD("server/asks-for-a-certificate", test_server_certificate);
        ADD("server/ed25519-certificate", test_server_ed25519);
        ADD("server/psk-with-hint", test_server_psk);
        ADD("client/psk-is-wrong", test_client_psk_is_wrong);
        ADD("server/psk-is-wrong", test_server_psk_is_wrong);
        return g_test_run();
}
