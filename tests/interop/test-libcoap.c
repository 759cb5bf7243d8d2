/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libcoap at the other end: what constrained devices speak. Its clients fetch from the example
 * application; its servers answer a CoAP request of ours.
 */

#include "scene.h"
#include "system/stage.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Runs the example with the bus address of the scene. */
static Peer *start_example(const Scene *scene, const char *identity) {
        g_autofree char *program =
                g_build_filename(g_getenv("DTLSD_EXAMPLES"), "coap-server", NULL);
        g_autofree char *address = g_strdup_printf("DBUS_SYSTEM_BUS_ADDRESS=unix:path=%s/bus",
                                                   service_directory(scene->service));

        return peer_start((const char *const[]){"env", address, program, "127.0.0.1", "0", identity,
                                                KEY_TEXT, NULL});
}

static void fetch(Scene *scene, const char *client) {
        Peer *server = start_example(scene, "sensor"), *peer;
        g_autofree char *port = peer_wait_for(server, "listening on port ([0-9]+)$");
        g_autofree char *url = g_strdup_printf("coaps://127.0.0.1:%s/hello", port);
        g_autofree char *heard = NULL;

        peer = peer_start((const char *const[]){client, "-B", "60", "-u", "sensor", "-k", KEY_TEXT,
                                                url, NULL});
        heard = peer_wait_for(peer, "hello from an application");
        (void)peer_stop(peer);
        (void)peer_stop(server);
}

static void test_openssl_client(Scene *scene, const void *unused) {
        fetch(scene, "coap-client-openssl");
}

static void test_gnutls_client(Scene *scene, const void *unused) {
        fetch(scene, "coap-client-gnutls");
}

static bool is_free(uint16_t port) {
        struct sockaddr_in address = loopback(port);
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int r = bind(fd, (struct sockaddr *)&address, sizeof address);

        (void)close(fd);
        return r == 0;
}

/* Two neighbouring free ports: libcoap's servers take CoAPS on the one after CoAP's. Below those
 * that the kernel gives to whoever asks for any, so that nobody else has them a moment later. */
static uint16_t free_port_pair(void) {
        for (uint16_t port = (uint16_t)(20000 + getpid() % 5000 * 2); port < 32000; port += 2)
                if (is_free(port) && is_free(port + 1))
                        return port;
        g_error("no two neighbouring ports are free");
}

static void ask(Scene *scene, const char *program) {
        /* GET of the root, confirmable, message id 0x1234, token 0x77 (RFC 7252, 3) */
        static const uint8_t request[] = {0x41, 0x01, 0x12, 0x34, 0x77};
        struct dtlsd_options options = {.psk_identity = "sensor",
                                        .psk_identity_size = 6,
                                        .psk = KEY_TEXT,
                                        .psk_size = 16,
                                        .cipher_profile = "iot"};
        uint16_t port = free_port_pair();
        g_autofree char *plain = g_strdup_printf("%u", port);
        g_autofree char *secure = g_strdup_printf("%u", port + 1);
        dtlsd_connection *connection;
        uint8_t answer[2048];
        struct pollfd p;
        ssize_t n;
        Peer *peer;

        peer = peer_start((const char *const[]){program, "-A", "127.0.0.1", "-p", plain, "-k",
                                                KEY_TEXT, "-h", "a hint", NULL});
        connection = scene_connect(scene, "127.0.0.1", secure, &options);
        p = (struct pollfd){.fd = dtlsd_connection_fd(connection), .events = POLLIN};
        g_assert_cmpint(send(p.fd, request, sizeof request, 0), ==, sizeof request);
        g_assert_cmpint(poll(&p, 1, (int)(SERVICE_LIMIT_USEC / 1000)), ==, 1);
        n = recv(p.fd, answer, sizeof answer, 0);
        g_assert_cmpint(n, >, 5);
        g_assert_cmphex(answer[0], ==, 0x61); /* acknowledgement, token of one byte */
        g_assert_cmphex(answer[1], ==, 0x45); /* 2.05 Content */
        g_assert_cmpmem(answer + 2, 3, request + 2, 3);
        (void)dtlsd_connection_unref(connection);
        (void)peer_stop(peer);
}

static void test_openssl_server(Scene *scene, const void *unused) {
        ask(scene, "coap-server-openssl");
}

static void test_gnutls_server(Scene *scene, const void *unused) {
        ask(scene, "coap-server-gnutls");
}

#define ADD(path, function)                                                                        \
        g_test_add("/libcoap/" path, Scene, NULL, scene_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("client-over-openssl-fetches", test_openssl_client);
        ADD("client-over-gnutls-fetches", test_gnutls_client);
        ADD("server-over-openssl-answers", test_openssl_server);
        ADD("server-over-gnutls-answers", test_gnutls_server);
        return g_test_run();
}
