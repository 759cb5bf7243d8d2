/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A ClientVerifier and other people's clients, whose datagrams the test carries: each takes the
 * HelloVerifyRequest for one, proves itself with the cookie in it, and is then served by a
 * connection that knows the same hash and secret.
 */

#include "puppet.h"
#include "system/stage.h"

#include <poll.h>
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

/* ---- a server elsewhere ---- */

/* @secret NULL: nothing is said of cookies. */
static char *create_server(Scene *scene, const char *hash, const char *secret, uint16_t port) {
        g_autoptr(TestIdentity) identity =
                test_identity_new("localhost", NULL, TEST_IDENTITY_LOOPBACK, TEST_KEY_ECDSA);
        sd_bus_message *m =
                options_begin(scene->bus, ROOT, MANAGER, "CreateConnection", "s", "server");

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "Transport", "s", "external",
                                              "PeerAddress", "s", "127.0.0.1", "PeerPort", "q",
                                              port),
                        >=, 0);
        if (secret) {
                g_assert_cmpint(sd_bus_message_append(m, "{sv}", "CookieHash", "s", hash), >=, 0);
                options_add_secret(m, "CookieSecret", secret, strlen(secret));
        }
        options_add_identity(m, identity);
        return options_end_path(scene->bus, m);
}

static int on_datagram_to_send(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Stray *stray = userdata;
        const void *data;
        size_t size;

        g_assert_cmpint(sd_bus_message_read_array(m, 'y', &data, &size), >=, 0);
        udp_send(stray->fd, stray->port, data, size);
        return 0;
}

/* What the client says next; meanwhile what the server says goes out, whenever the keyring has
 * signed it. */
static GBytes *carry(sd_bus *bus, const Stray *stray) {
        Stray from = *stray;

        for (;;) {
                struct pollfd fds[] = {{.fd = stray->fd, .events = POLLIN},
                                       {.fd = sd_bus_get_fd(bus), .events = POLLIN}};

                while (sd_bus_process(bus, NULL) > 0)
                        ;
                g_assert_cmpint(poll(fds, G_N_ELEMENTS(fds), SERVICE_LIMIT_USEC / 1000), >, 0);
                if (fds[0].revents)
                        return stray_receive(&from);
        }
}

/* Calls with one datagram. The reply. */
static sd_bus_message *with_datagram(sd_bus *bus, const char *path, const char *member,
                                     const void *data, size_t size) {
        sd_bus_message *m = NULL, *reply = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, NAME, path, CONNECTION, member), >=,
                        0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
        g_assert_cmpint(sd_bus_call(bus, m, CALL_USEC, NULL, &reply), >=, 0);
        (void)sd_bus_message_unref(m);
        return reply;
}

/* Until the handshake is complete. */
static void shake_hands(sd_bus *bus, const char *path, const Stray *stray, GBytes *hello) {
        g_autoptr(GBytes) datagram = g_bytes_ref(hello);
        bool complete = false;

        while (!complete) {
                gsize size;
                const void *data = g_bytes_get_data(datagram, &size);
                sd_bus_message *reply = with_datagram(bus, path, "DoHandshake", data, size);
                const char *state;

                g_assert_cmpint(sd_bus_message_read(reply, "s", &state), >, 0);
                complete = g_str_equal(state, "HandshakeComplete");
                (void)sd_bus_message_unref(reply);
                g_clear_pointer(&datagram, g_bytes_unref);
                if (!complete)
                        datagram = carry(bus, stray);
        }
}

/* Each says something that the other hears. @heard: what the peer prints then. */
static void converse(sd_bus *bus, const char *path, const Stray *stray, Peer *peer,
                     const char *heard) {
        g_autoptr(GBytes) datagram = NULL;
        sd_bus_message *reply;
        GString *text;

        reply = with_datagram(bus, path, "WriteDatagramEncrypted", "from dtlsd\n", 11);
        (void)sd_bus_message_unref(reply);
        while (sd_bus_process(bus, NULL) > 0)
                ;
        g_free(peer_wait_for(peer, heard));

        peer_say(peer, "from the peer\n");
        for (bool is_heard = false; !is_heard;) { /* a flight sent again may be before it */
                g_clear_pointer(&datagram, g_bytes_unref);
                datagram = carry(bus, stray);
                reply = with_datagram(bus, path, "DecryptDatagram",
                                      g_bytes_get_data(datagram, NULL), g_bytes_get_size(datagram));
                text = message_flatten(reply);
                is_heard = strstr(text->str, "from the peer") != NULL;
                (void)g_string_free(text, TRUE);
                (void)sd_bus_message_unref(reply);
        }
}

static void serve(Scene *scene, const char *path, Stray *stray, GBytes *hello, Peer *peer,
                  const char *heard) {
        sd_bus_slot *slot = NULL;

        g_assert_cmpint(sd_bus_match_signal(scene->bus, &slot, NAME, path, CONNECTION,
                                            "DatagramToSend", on_datagram_to_send, stray),
                        >=, 0);
        shake_hands(scene->bus, path, stray, hello);
        converse(scene->bus, path, stray, peer, heard);
        close_object(scene->bus, path, CONNECTION);
        (void)sd_bus_slot_unref(slot);
}

static void serve_each(Scene *scene, const char *const *arguments, const char *heard) {
        for (size_t i = 0; i < G_N_ELEMENTS(hashes); i++) {
                Stray stray;
                Peer *peer = start(&stray, arguments);
                g_autoptr(GBytes) hello = prove(scene, hashes[i], &stray);
                g_autofree char *path = create_server(scene, hashes[i], "spice", stray.port);

                serve(scene, path, &stray, hello, peer, heard);
                (void)peer_kill(peer);
                (void)close(stray.fd);
        }
}

/* ---- the tests ---- */

static void test_openssl(Scene *scene, const void *unused) {
        static const char *const arguments[] = {"openssl",  "s_client",       "-dtls1_2",
                                                "-connect", "127.0.0.1:PORT", NULL};

        serve_each(scene, arguments, "^from dtlsd");
}

/* Its hello comes in two datagrams, and the cookie in the first. */
static void test_openssl_in_fragments(Scene *scene, const void *unused) {
        static const char *const arguments[] = {
                "openssl",        "s_client", "-dtls1_2", "-connect",
                "127.0.0.1:PORT", "-mtu",     "256",      NULL};
        Stray stray;
        Peer *peer = start(&stray, arguments);
        g_autoptr(GBytes) hello = prove(scene, "Sha256", &stray);
        g_autofree char *path = create_server(scene, "Sha256", "spice", stray.port);
        const uint8_t *bytes = g_bytes_get_data(hello, NULL);

        /* the lengths of the message and of this fragment of it (RFC 6347, 4.2.2) */
        g_assert_cmpint(memcmp(bytes + 14, bytes + 22, 3), !=, 0);
        serve(scene, path, &stray, hello, peer, "^from dtlsd");
        (void)peer_kill(peer);
        (void)close(stray.fd);
}

static void test_gnutls(Scene *scene, const void *unused) {
        static const char *const arguments[] = {"gnutls-cli", "--udp",     "-p", "PORT",
                                                "--insecure", "127.0.0.1", NULL};

        serve_each(scene, arguments, "^from dtlsd");
}

static void test_qt(Scene *scene, const void *unused) {
        const char *const arguments[] = {g_getenv(QDTLS_PEER), "client", "--port=PORT",
                                         "--verify=VerifyNone", NULL};

        serve_each(scene, arguments, "^received from dtlsd$");
}

static void test_mbedtls(Scene *scene, const void *unused) {
        const char *const arguments[] = {g_getenv(MBEDTLS_PEER), "client", "--port=PORT",
                                         "--verify=VerifyNone", NULL};

        serve_each(scene, arguments, "^received from dtlsd$");
}

/* The server's own method says them, in place of the options. */
static void test_parameters_set_later(Scene *scene, const void *unused) {
        static const char *const arguments[] = {"openssl",  "s_client",       "-dtls1_2",
                                                "-connect", "127.0.0.1:PORT", NULL};
        Stray stray;
        Peer *peer = start(&stray, arguments);
        g_autoptr(GBytes) hello = prove(scene, "Sha384", &stray);
        g_autofree char *path = create_server(scene, NULL, NULL, stray.port);

        (void)sd_bus_message_unref(call(scene->bus, path, CONNECTION,
                                        "SetCookieGeneratorParameters", "say", "Sha384", 5, 's',
                                        'p', 'i', 'c', 'e'));
        serve(scene, path, &stray, hello, peer, "^from dtlsd");
        (void)peer_kill(peer);
        (void)close(stray.fd);
}

/* A server with another secret says nothing, as Qt's. */
static void test_another_secret(Scene *scene, const void *unused) {
        static const char *const arguments[] = {"openssl",  "s_client",       "-dtls1_2",
                                                "-connect", "127.0.0.1:PORT", NULL};
        g_autoptr(Ear) ear = ear_new(scene->bus);
        Stray stray;
        Peer *peer = start(&stray, arguments);
        g_autoptr(GBytes) hello = prove(scene, "Sha256", &stray);
        g_autofree char *path = create_server(scene, "Sha256", "sauce", stray.port);
        g_autofree char *state = NULL, *error = NULL, *sent = NULL;
        sd_bus_message *m = NULL;
        gsize size;
        const void *data = g_bytes_get_data(hello, &size);

        g_assert_cmpint(sd_bus_message_new_method_call(scene->bus, &m, NAME, path, CONNECTION,
                                                       "DoHandshake"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
        g_assert_cmpint(sd_bus_call(scene->bus, m, CALL_USEC, NULL, NULL), <, 0);
        (void)sd_bus_message_unref(m);

        error = get_error(scene->bus, path);
        g_assert_true(g_str_has_prefix(error, "TlsFatalError: "));
        state = get_string(scene->bus, path, CONNECTION, "HandshakeState");
        g_assert_cmpstr(state, ==, "HandshakeNotStarted");
        ear_catch_up(ear);
        sent = g_strdup_printf("DatagramToSend|%s", path);
        g_assert_cmpuint(ear_count(ear, sent), ==, 0);
        (void)peer_kill(peer);
        (void)close(stray.fd);
}

#define ADD(path, test)                                                                            \
        g_test_add("/verifier-interop/" path, Scene, NULL, scene_set_up, test, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("openssl", test_openssl);
        ADD("openssl-in-fragments", test_openssl_in_fragments);
        ADD("another-secret", test_another_secret);
        ADD("parameters-set-later", test_parameters_set_later);
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
