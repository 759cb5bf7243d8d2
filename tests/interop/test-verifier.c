/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A ClientVerifier and other people's clients, whose datagrams the test carries: each takes the
 * HelloVerifyRequest for one, and proves itself with the cookie in it.
 */

#include "puppet.h"
#include "system/stage.h"

#include <string.h>
#include <unistd.h>

static const char *const hashes[] = {"Md5", "Sha1", "Sha224", "Sha256", "Sha384", "Sha512"};

/* A program that is told the port of the stray's socket. */
static Peer *start(Stray *stray, const char *const *arguments) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
        uint16_t port;

        stray->fd = udp_bind(&port);
        for (; *arguments; arguments++) {
                GString *argument = g_string_new(*arguments);
                g_autofree char *number = g_strdup_printf("%u", port);

                (void)g_string_replace(argument, "PORT", number, 0);
                g_ptr_array_add(argv, g_string_free(argument, FALSE));
        }
        g_ptr_array_add(argv, NULL);
        return peer_start((const char *const *)argv->pdata);
}

/* What is not verified is answered, until something is: the verified hello. */
static GBytes *prove(Scene *scene, const char *hash, Stray *stray) {
        g_autofree char *verifier = make_verifier(scene->bus, hash, "spice");

        for (int i = 0; i < 10; i++) {
                g_autoptr(GBytes) hello = stray_receive(stray);
                g_autoptr(GBytes) reply = NULL;

                if (verify_client(scene->bus, verifier, hello, "127.0.0.1", stray->port, &reply)) {
                        close_object(scene->bus, verifier, VERIFIER);
                        return g_steal_pointer(&hello);
                }
                if (reply)
                        stray_send(stray, reply);
        }
        g_error("nobody was verified");
}

static void prove_each(Scene *scene, const char *const *arguments) {
        for (size_t i = 0; i < G_N_ELEMENTS(hashes); i++) {
                Stray stray;
                Peer *peer = start(&stray, arguments);

                g_bytes_unref(prove(scene, hashes[i], &stray));
                (void)peer_kill(peer);
                (void)close(stray.fd);
        }
}

static void test_openssl(Scene *scene, const void *unused) {
        static const char *const arguments[] = {"openssl",  "s_client",       "-dtls1_2",
                                                "-connect", "127.0.0.1:PORT", NULL};

        prove_each(scene, arguments);
}

/* Its hello comes in two datagrams, and the cookie in the first. */
static void test_openssl_in_fragments(Scene *scene, const void *unused) {
        static const char *const arguments[] = {
                "openssl",        "s_client", "-dtls1_2", "-connect",
                "127.0.0.1:PORT", "-mtu",     "256",      NULL};

        Stray stray;
        Peer *peer = start(&stray, arguments);
        g_autoptr(GBytes) hello = prove(scene, "Sha256", &stray);
        const uint8_t *bytes = g_bytes_get_data(hello, NULL);

        /* the lengths of the message and of this fragment of it (RFC 6347, 4.2.2) */
        g_assert_cmpint(memcmp(bytes + 14, bytes + 22, 3), !=, 0);
        (void)peer_kill(peer);
        (void)close(stray.fd);
}

static void test_gnutls(Scene *scene, const void *unused) {
        static const char *const arguments[] = {"gnutls-cli", "--udp",     "-p", "PORT",
                                                "--insecure", "127.0.0.1", NULL};

        prove_each(scene, arguments);
}

static void test_qt(Scene *scene, const void *unused) {
        const char *const arguments[] = {g_getenv(QDTLS_PEER), "client", "--port=PORT", NULL};

        prove_each(scene, arguments);
}

static void test_mbedtls(Scene *scene, const void *unused) {
        const char *const arguments[] = {g_getenv(MBEDTLS_PEER), "client", "--port=PORT",
                                         "--verify=VerifyNone", NULL};

        prove_each(scene, arguments);
}

#define ADD(path, test)                                                                            \
        g_test_add("/verifier-interop/" path, Scene, NULL, scene_set_up, test, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("openssl", test_openssl);
        ADD("openssl-in-fragments", test_openssl_in_fragments);
        ADD("gnutls", test_gnutls);
        if (puppet_is_built(QDTLS_PEER))
                ADD("qt", test_qt);
        else
                puppet_add_skip("/verifier-interop/qt", QDTLS_PEER);
        if (puppet_is_built(MBEDTLS_PEER))
                ADD("mbedtls", test_mbedtls);
        else
                puppet_add_skip("/verifier-interop/mbedtls", MBEDTLS_PEER);
        return g_test_run();
}
