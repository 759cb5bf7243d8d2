/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Connections and client verifiers whose datagrams the program carries, by the library, against the
 * real service: as QDtls and QDtlsClientVerifier have it.
 */

#include "calls.h"
#include "system/stage.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- datagrams that the program carries ---- */

/* One end of two that know no network. */
typedef struct End {
        dtlsd_connection *dtls;
        struct End *other;
        GPtrArray *inbox; /* of GBytes */
        GString *heard;
} End;

static void to_the_other(dtlsd_connection *connection, const void *data, size_t size,
                         void *userdata) {
        End *end = userdata;

        g_ptr_array_add(end->other->inbox, g_bytes_new(data, size));
}

static void ends_open(const Scene *scene, End ends[2], const struct dtlsd_options *client_options,
                      const struct dtlsd_options *server_options) {
        static const struct dtlsd_handlers handlers = {.datagram_to_send = to_the_other};

        for (size_t i = 0; i < 2; i++) {
                ends[i] = (End){
                        .other = &ends[1 - i],
                        .inbox = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref),
                        .heard = g_string_new(NULL),
                };
                g_assert_cmpint(dtlsd_connection_create_external(
                                        scene->bus, i == 0 ? DTLSD_CLIENT : DTLSD_SERVER,
                                        "192.0.2.1", 5684, i == 0 ? client_options : server_options,
                                        &ends[i].dtls, NULL),
                                ==, 0);
                g_assert_cmpint(
                        dtlsd_connection_set_handlers(ends[i].dtls, &handlers, &ends[i], NULL), ==,
                        0);
        }
}

static void ends_done(End ends[2]) {
        for (size_t i = 0; i < 2; i++) {
                (void)dtlsd_connection_unref(ends[i].dtls);
                g_ptr_array_unref(ends[i].inbox);
                (void)g_string_free(ends[i].heard, TRUE);
        }
}

static void end_take(End *end, GBytes *datagram) {
        struct dtlsd_bytes *plain = NULL;
        size_t size, n = 0;
        const void *data = g_bytes_get_data(datagram, &size);

        if (state_of(end->dtls) != DTLSD_HANDSHAKE_COMPLETE) {
                g_assert_cmpint(
                        dtlsd_connection_handshake_datagram(end->dtls, data, size, NULL, NULL), ==,
                        0);
                return;
        }

        (void)dtlsd_connection_decrypt_datagram(end->dtls, data, size, &plain, &n, NULL);
        for (size_t i = 0; i < n; i++)
                g_string_append_len(end->heard, plain[i].data, (gssize)plain[i].size);
        free(plain);
}

static void ends_deliver(End ends[2]) {
        for (size_t i = 0; i < 2; i++)
                while (ends[i].inbox->len > 0) {
                        g_autoptr(GBytes) datagram = g_ptr_array_steal_index(ends[i].inbox, 0);

                        end_take(&ends[i], datagram);
                }
}

static bool both_are_complete(void *userdata) {
        End *ends = userdata;

        ends_deliver(ends);
        return state_of(ends[0].dtls) == DTLSD_HANDSHAKE_COMPLETE &&
               state_of(ends[1].dtls) == DTLSD_HANDSHAKE_COMPLETE;
}

static bool server_has_heard(void *userdata) {
        End *ends = userdata;

        ends_deliver(ends);
        return strstr(ends[1].heard->str, "no network");
}

static bool server_is_over(void *userdata) {
        End *ends = userdata;

        ends_deliver(ends);
        return state_of(ends[1].dtls) == DTLSD_HANDSHAKE_NOT_STARTED;
}

static const struct dtlsd_options carried_client = {
        .psk_identity = "alice",
        .psk_identity_size = 5,
        .psk = KEY_TEXT,
        .psk_size = 16,
};
static const struct dtlsd_options carried_server = {
        .psk_identity = "alice",
        .psk_identity_size = 5,
        .psk = KEY_TEXT,
        .psk_size = 16,
        .no_cookies = 1,
};

static void test_handlers_carry_datagrams(Scene *scene, const void *unused) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        End ends[2];

        ends_open(scene, ends, &carried_client, &carried_server);
        expect_refused(dtlsd_connection_handshake_datagram(ends[1].dtls, "", 0, NULL, &error),
                       &error, DTLSD_ERROR("InvalidInputParameters"));
        expect_refused(dtlsd_connection_decrypt_datagram(ends[0].dtls, "x", 1, NULL, NULL, &error),
                       &error, DTLSD_ERROR("InvalidOperation"));
        g_assert_cmpint(dtlsd_connection_do_handshake(ends[0].dtls, NULL), ==, 0);
        bus_wait(scene->bus, both_are_complete, ends, "both ends to be complete");

        g_assert_cmpint(dtlsd_connection_write(ends[0].dtls, "no network", 10, NULL), ==, 0);
        bus_wait(scene->bus, server_has_heard, ends, "a datagram");
        g_assert_cmpint(dtlsd_connection_shutdown(ends[0].dtls, NULL), ==, 0);
        bus_wait(scene->bus, server_is_over, ends, "the end");
        expect_last_error(ends[1].dtls, DTLSD_ERROR("RemoteClosedConnectionError"));
        ends_done(ends);
}

static void test_a_server_has_cookie_parameters(Scene *scene, const void *unused) {
        const struct dtlsd_cookie_parameters parameters = {
                .hash = "Sha512",
                .secret = "of the server",
                .secret_size = 13,
        };
        const char *const expected[] = {"|Transport|external", "|CookieVerification|0",
                                        "|PskIdentityHint|hint", NULL};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        struct dtlsd_cookie_parameters read = {0};
        struct dtlsd_options options = carried_server;
        dtlsd_connection *server = NULL, *client = create_connection(scene, NULL, 0, NULL);

        g_assert_cmpint(dtlsd_connection_create_external(scene->bus, DTLSD_SERVER, NULL, 0,
                                                         &carried_client, &server, NULL),
                        ==, 0);
        g_assert_cmpint(dtlsd_connection_set_cookie_parameters(server, &parameters, NULL), ==, 0);
        g_assert_cmpint(dtlsd_connection_cookie_parameters(server, &read, NULL), ==, 0);
        g_assert_cmpstr(read.hash, ==, "Sha512");
        g_assert_cmpmem(read.secret, read.secret_size, "of the server", 13);
        expect_refused(dtlsd_connection_cookie_parameters(client, &read, &error), &error,
                       DTLSD_ERROR("InvalidOperation"));

        options.psk_identity_hint = "hint";
        g_assert_cmpint(dtlsd_connection_set_configuration(server, &options, NULL), ==, 0);
        expect_configuration(scene, dtlsd_connection_path(server), CONNECTION, expected);
        (void)dtlsd_connection_unref(server);
        (void)dtlsd_connection_unref(client);
}

static bool carried_is_complete(void *userdata) {
        End *ends = userdata;

        return state_of(ends[0].dtls) == DTLSD_HANDSHAKE_COMPLETE &&
               state_of(ends[1].dtls) == DTLSD_HANDSHAKE_COMPLETE;
}

/* Both ways, until it is told to end. */
static gpointer carry(gpointer userdata) {
        const int *fds = userdata;
        char buffer[2048];

        for (;;) {
                struct pollfd polls[2] = {{.fd = fds[0], .events = POLLIN},
                                          {.fd = fds[1], .events = POLLIN}};

                (void)poll(polls, 2, -1);
                for (size_t i = 0; i < 2; i++) {
                        ssize_t n;

                        if (!polls[i].revents)
                                continue;
                        n = recv(fds[i], buffer, sizeof buffer, MSG_DONTWAIT);
                        if (n == 0 || (n < 0 && errno != EAGAIN))
                                return NULL; /* one end is gone */
                        if (n > 0)
                                (void)send(fds[1 - i], buffer, (size_t)n, MSG_NOSIGNAL);
                }
        }
}

static void test_a_carrier_takes_over(Scene *scene, const void *unused) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree void *data = NULL;
        dtlsd_connection *udp = create_connection(scene, NULL, 0, NULL);
        GThread *thread;
        int fds[2], none = -1;
        size_t size;
        End ends[2];

        ends_open(scene, ends, &carried_client, &carried_server);
        for (size_t i = 0; i < 2; i++)
                g_assert_cmpint(dtlsd_connection_open_carrier(ends[i].dtls, &fds[i], NULL), ==, 0);
        expect_refused(dtlsd_connection_open_carrier(ends[0].dtls, &none, &error), &error,
                       DTLSD_ERROR("ChannelInUse"));
        expect_refused(dtlsd_connection_open_carrier(udp, &none, &error), &error,
                       DTLSD_ERROR("InvalidOperation"));
        g_assert_cmpint(none, ==, -1);

        thread = g_thread_new("carrier", carry, fds);
        g_assert_cmpint(dtlsd_connection_do_handshake(ends[0].dtls, NULL), ==, 0);
        bus_wait(scene->bus, carried_is_complete, ends, "both ends to be complete");
        g_assert_cmpint(dtlsd_connection_write(ends[0].dtls, "by carrier", 10, NULL), ==, 0);
        g_assert_cmpint(dtlsd_connection_read(ends[1].dtls, 5000, &data, &size, NULL), ==, 0);
        g_assert_cmpmem(data, size, "by carrier", 10);
        g_assert_cmpuint(ends[0].inbox->len + ends[1].inbox->len, ==, 0);

        g_assert_cmpint(dtlsd_connection_close(ends[0].dtls, NULL), ==, 0);
        (void)g_thread_join(thread);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)dtlsd_connection_unref(udp);
        ends_done(ends);
}

/* ---- client verifiers ---- */

#define HELLO_VERIFY_COOKIE 28 /* where its cookie is; the byte before is the length */

static void verify(dtlsd_verifier *verifier, const uint8_t *hello, size_t size, uint16_t port,
                   struct dtlsd_client_verdict *ret) {
        g_assert_cmpint(
                dtlsd_verifier_verify_client(verifier, hello, size, "192.0.2.1", port, ret, NULL),
                ==, 0);
}

static void test_a_verifier_knows_who_comes_back(Scene *scene, const void *unused) {
        const struct dtlsd_cookie_parameters parameters = {
                .hash = "Sha1",
                .secret = "not a secret",
                .secret_size = 12,
        };
        const uint8_t random[32] = {1};
        struct dtlsd_client_verdict verdict;
        struct dtlsd_cookie_parameters read;
        uint8_t hello[HELLO_MAX];
        g_autofree void *verified = NULL;
        dtlsd_verifier *verifier = NULL, *other = NULL;
        size_t size, verified_size;

        g_assert_cmpint(dtlsd_verifier_create(scene->bus, &parameters, &verifier, NULL), ==, 0);
        g_assert_cmpint(dtlsd_verifier_create(scene->bus, NULL, &other, NULL), ==, 0);
        size = hello_write(hello, random, NULL, 0);
        verify(verifier, hello, size, 5684, &verdict);
        g_assert_cmpint(verdict.verified, ==, 0);
        g_assert_cmpuint(verdict.reply_size, >, HELLO_VERIFY_COOKIE);
        g_assert_cmpuint(verdict.reply_size, <=, size);
        g_assert_cmpint(dtlsd_verifier_verified_hello(verifier, &verified, &verified_size, NULL),
                        ==, 0);
        g_assert_cmpuint(verified_size, ==, 0);
        g_assert_null(verified);

        size = hello_write(hello, random, verdict.reply + HELLO_VERIFY_COOKIE,
                           verdict.reply[HELLO_VERIFY_COOKIE - 1]);
        verify(verifier, hello, size, 5685, &verdict); /* from elsewhere */
        g_assert_cmpint(verdict.verified, ==, 0);
        verify(other, hello, size, 5684, &verdict); /* who has another secret */
        g_assert_cmpint(verdict.verified, ==, 0);
        verify(verifier, hello, size, 5684, &verdict);
        g_assert_cmpint(verdict.verified, ==, 1);
        g_assert_cmpuint(verdict.reply_size, ==, 0);
        g_assert_cmpint(dtlsd_verifier_verified_hello(verifier, &verified, &verified_size, NULL),
                        ==, 0);
        g_assert_cmpmem(verified, verified_size, hello, size);

        g_assert_cmpint(dtlsd_verifier_set_cookie_parameters(other, &parameters, NULL), ==, 0);
        g_assert_cmpint(dtlsd_verifier_cookie_parameters(other, &read, NULL), ==, 0);
        g_assert_cmpstr(read.hash, ==, "Sha1");
        verify(other, hello, size, 5684, &verdict); /* who has it now */
        g_assert_cmpint(verdict.verified, ==, 1);
        g_assert_true(dtlsd_verifier_ref(other) == other);
        (void)dtlsd_verifier_unref(other);
        (void)dtlsd_verifier_unref(other);
        g_assert_null(dtlsd_verifier_unref(verifier));
        g_assert_null(dtlsd_verifier_unref(NULL));
}

static void test_a_verifier_says_which_error(Scene *scene, const void *unused) {
        const struct dtlsd_cookie_parameters no_hash = {.hash = "Crc", .secret_size = 1};
        const struct dtlsd_cookie_parameters too_long = {
                .hash = "Sha1",
                .secret_size = sizeof too_long.secret + 1,
        };
        sd_bus_error error = SD_BUS_ERROR_NULL, last = SD_BUS_ERROR_NULL;
        struct dtlsd_client_verdict verdict = {.reply_size = 99};
        dtlsd_verifier *verifier = NULL;

        expect_refused(dtlsd_verifier_create(scene->bus, &no_hash, &verifier, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));
        g_assert_cmpint(dtlsd_verifier_create(scene->bus, &too_long, &verifier, NULL), ==, -EINVAL);
        g_assert_null(verifier);
        g_assert_cmpint(dtlsd_verifier_create(scene->bus, NULL, &verifier, NULL), ==, 0);
        expect_refused(
                dtlsd_verifier_verify_client(verifier, "x", 1, "224.0.0.1", 1, &verdict, &error),
                &error, DTLSD_ERROR("InvalidInputParameters"));
        g_assert_cmpuint(verdict.reply_size, ==, 99);
        g_assert_cmpint(dtlsd_verifier_last_error(verifier, &last, NULL), ==, 0);
        g_assert_true(sd_bus_error_has_name(&last, DTLSD_ERROR("InvalidInputParameters")));
        sd_bus_error_free(&last);

        verify(verifier, (const uint8_t *)"noise", 5, 5684, &verdict);
        g_assert_cmpint(verdict.verified, ==, 0);
        g_assert_cmpuint(verdict.reply_size, ==, 0);
        g_assert_cmpint(dtlsd_verifier_last_error(verifier, &last, NULL), ==, 0);
        g_assert_false(sd_bus_error_is_set(&last));
        expect_refused(dtlsd_verifier_set_cookie_parameters(verifier, &no_hash, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));

        g_assert_cmpint(dtlsd_verifier_close(verifier, NULL), ==, 0);
        g_assert_cmpint(dtlsd_verifier_close(verifier, NULL), ==, -EBADR);
        (void)dtlsd_verifier_unref(verifier);
}

#define ADD(path, function)                                                                        \
        g_test_add("/connection/" path, Scene, NULL, scene_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("external/handlers-carry-datagrams", test_handlers_carry_datagrams);
        ADD("external/a-server-has-cookie-parameters", test_a_server_has_cookie_parameters);
        ADD("external/a-carrier-takes-over", test_a_carrier_takes_over);
        ADD("verifier/knows-who-comes-back", test_a_verifier_knows_who_comes_back);
        ADD("verifier/says-which-error", test_a_verifier_says_which_error);
        return g_test_run();
}
