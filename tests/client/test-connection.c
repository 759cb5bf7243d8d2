/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a user of QDtls does with an object, by the library, against the real service: settings,
 * handlers, the verdict on the peer, and all there is to read.
 */

#include "calls.h"
#include "system/stage.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const nobody[] = {NULL};

/* What the handlers of one connection were told. */
typedef struct Told {
        GString *text; /* a line each */
        unsigned n_timeouts;
        bool refuse;
} Told;

/* ---- helpers ---- */

static void told_state(dtlsd_connection *connection, enum dtlsd_handshake_state state,
                       const sd_bus_error *why, void *userdata) {
        Told *told = userdata;

        g_string_append_printf(told->text, "state %d %s\n", state, why->name ? why->name : "-");
        g_assert_true(sd_bus_error_is_set(why) == (why->message && *why->message));
}

static void told_closed(dtlsd_connection *connection, const char *reason, void *userdata) {
        Told *told = userdata;

        g_string_append_printf(told->text, "closed %s\n", reason);
}

static void told_timeout(dtlsd_connection *connection, void *userdata) {
        Told *told = userdata;

        told->n_timeouts++;
}

static void told_psk(dtlsd_connection *connection, const struct dtlsd_psk_request *request,
                     void *userdata) {
        Told *told = userdata;

        g_string_append_printf(told->text, "psk '%.*s' '%.*s' %u %u\n", (int)request->hint_size,
                               (const char *)request->hint, (int)request->peer_identity_size,
                               (const char *)request->peer_identity, request->max_identity_size,
                               request->max_psk_size);
        if (told->refuse)
                g_assert_cmpint(dtlsd_connection_refuse_psk(connection, NULL), ==, 0);
        else
                g_assert_cmpint(
                        dtlsd_connection_provide_psk(connection, "alice", 5, KEY_TEXT, 16, NULL),
                        ==, 0);
}

static const struct dtlsd_handlers tell = {
        .handshake_timeout = told_timeout,
        .psk_required = told_psk,
        .state_changed = told_state,
        .closed = told_closed,
};

static void told_init(Told *told, dtlsd_connection *connection) {
        *told = (Told){.text = g_string_new(NULL)};
        g_assert_cmpint(dtlsd_connection_set_handlers(connection, &tell, told, NULL), ==, 0);
}

static void told_done(Told *told) {
        (void)g_string_free(told->text, TRUE);
}

typedef struct Wanted {
        const Told *told;
        const char *line;
} Wanted;

static bool is_told(void *userdata) {
        const Wanted *wanted = userdata;

        return strstr(wanted->told->text->str, wanted->line);
}

static void wait_told(const Scene *scene, const Told *told, const char *line) {
        Wanted wanted = {told, line};

        bus_wait(scene->bus, is_told, &wanted, line);
}

static bool has_timed_out(void *userdata) {
        const Told *told = userdata;

        return told->n_timeouts > 0;
}

static dtlsd_listener *listen_with_certificate(const Scene *scene, struct dtlsd_options *options) {
        const char *const chain[] = {scene_file(scene, "server.crt"), NULL};

        options->certificate_chain_files = chain;
        options->private_key_file = scene_file(scene, "server.key");
        return scene_listen(scene, "127.0.0.1", options);
}

static void shake_hands(const Scene *scene, dtlsd_connection *connection) {
        g_assert_cmpint(dtlsd_connection_do_handshake(connection, NULL), ==, 0);
        wait_state(scene, connection, "HandshakeComplete");
}

/* ---- settings ---- */

static const char *const names[] = {"ECDHE-ECDSA-AES128-GCM-SHA256", NULL};
static const char *const curves[] = {"P-256", NULL};
static const char *const ssl_options[] = {"DisableServerNameIndication", NULL};
static const char *const protocols[] = {"coap", "h3", NULL};
static const char *const of_anybody[] = {"HostNameMismatch", NULL};
static const struct dtlsd_verification_error of_none = {.name = "NoPeerCertificate"};

static const struct dtlsd_options many_options = {
        .peer_verify_mode = "VerifyPeer",
        .peer_verify_depth = 3,
        .no_interrupt_on_error = 1,
        .missing_certificate_is_fatal = 1,
        .ignored_errors = &of_none,
        .n_ignored_errors = 1,
        .ignored_errors_of_any_certificate = of_anybody,
        .protocol = "DtlsV1_2",
        .ciphers = names,
        .elliptic_curves = curves,
        .ssl_options = ssl_options,
        .next_protocols = protocols,
        .retransmit_initial = 200,
        .retransmit_max = 300,
        .handshake_deadline = 400,
        .answer_deadline = 500,
        .idle_timeout = 600,
};

#define MANY_OPTIONS                                                                               \
        "|PeerVerifyMode|VerifyPeer", "|PeerVerifyDepth|3", "|HandshakeMustInterruptOnError|0",    \
                "|MissingCertificateIsFatal|1", "|IgnoredErrors|NoPeerCertificate|",               \
                "|IgnoredErrorsOfAnyCertificate|HostNameMismatch", "|Protocol|DtlsV1_2|",          \
                "|Ciphers|TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "|EllipticCurves|SECP256R1",   \
                "|SslOptions|DisableServerNameIndication", "|NextProtocols|coap|h3",               \
                "|RetransmitInitial|200", "|RetransmitMax|300", "|HandshakeDeadline|400",          \
                "|AnswerDeadline|500", "|IdleTimeout|600"

static void test_options_of_a_connection_arrive(Scene *scene, const void *unused) {
        const char *const made[] = {MANY_OPTIONS,    "|OcspStapling|1",        "|DontFragment|1",
                                    "|MtuHint|1200", "|Retransmission|manual", NULL};
        const char *const set[] = {MANY_OPTIONS, "|DontFragment|1", "|MtuHint|1300",
                                   "|Retransmission|manual", NULL};
        const char *const reset[] = {"|DontFragment|1",
                                     "|MtuHint|1300",
                                     "|PeerVerifyDepth|0",
                                     "|HandshakeMustInterruptOnError|1",
                                     "|IgnoredErrors|NoPeerCertificate|",
                                     "|Protocol|DtlsV1_2OrLater",
                                     "|AnswerDeadline|50000",
                                     "|Retransmission|automatic",
                                     NULL};
        struct dtlsd_options options = many_options;
        dtlsd_connection *connection;
        const char *path;

        options.ocsp_stapling = 1;
        options.dont_fragment = 1;
        options.mtu_hint = 1200;
        options.manual_retransmission = 1;
        connection = create_connection(scene, NULL, 0, &options);
        path = dtlsd_connection_path(connection);
        expect_configuration(scene, path, CONNECTION, made);

        g_assert_cmpint(dtlsd_connection_set_mtu_hint(connection, 1300, NULL), ==, 0);
        g_assert_cmpint(dtlsd_connection_set_configuration(connection, NULL, NULL), ==, 0);
        expect_configuration(scene, path, CONNECTION, reset);
        g_assert_cmpint(dtlsd_connection_set_configuration(connection, &options, NULL), ==, 0);
        expect_configuration(scene, path, CONNECTION, set); /* the hint has its own function */
        (void)dtlsd_connection_unref(connection);
}

static const char *make_dh_parameters(const Scene *scene) {
        g_autofree char *pem = NULL;
        const char *path = scene_file(scene, "dh.pem");

        g_assert_true(g_spawn_command_line_sync(
                "openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048", &pem, NULL,
                NULL, NULL));
        g_assert_true(g_file_set_contents(path, pem, -1, NULL));
        return path;
}

static void test_options_of_a_listener_arrive(Scene *scene, const void *unused) {
        const char *const made[] = {MANY_OPTIONS, "|CookieHash|Sha384", "|PskIdentityHint|hint",
                                    "|DhParameters|", NULL};
        const char *const set[] = {"|PeerVerifyDepth|0", "|CookieHash|Sha384",
                                   "|PreSharedKeyIdentity|bob", "|CookieVerification|0", NULL};
        const struct dtlsd_options other = {
                .psk_identity = "bob",
                .psk_identity_size = 3,
                .psk = KEY_TEXT,
                .psk_size = 16,
                .no_cookies = 1,
        };
        struct dtlsd_options options = many_options;
        struct dtlsd_cookie_parameters parameters;
        dtlsd_listener *listener;

        options.cookie_hash = "Sha384";
        options.cookie_secret = "said at the start";
        options.cookie_secret_size = 17;
        options.psk_identity_hint = "hint";
        options.dh_parameters_file = make_dh_parameters(scene);
        listener = listen_with_certificate(scene, &options);
        expect_configuration(scene, dtlsd_listener_path(listener), LISTENER, made);
        g_assert_cmpint(dtlsd_listener_cookie_parameters(listener, &parameters, NULL), ==, 0);
        g_assert_cmpmem(parameters.secret, parameters.secret_size, "said at the start", 17);

        g_assert_cmpint(dtlsd_listener_set_configuration(listener, &other, NULL), ==, 0);
        expect_configuration(scene, dtlsd_listener_path(listener), LISTENER, set);
        (void)dtlsd_listener_unref(listener);
}

static void test_defaults_are_for_what_comes_later(Scene *scene, const void *unused) {
        const char *const given[] = {MANY_OPTIONS, "|MtuHint|1200", NULL};
        const char *const named[] = {"|PeerVerifyDepth|5", "|AnswerDeadline|500", NULL};
        const char *const none[] = {"|PeerVerifyDepth|0", "|AnswerDeadline|50000", NULL};
        const struct dtlsd_options names_one = {.peer_verify_depth = 5};
        struct dtlsd_options options = many_options;
        dtlsd_connection *first, *second, *third;

        options.mtu_hint = 1200;
        options.psk_identity_hint = "of listeners";
        g_assert_cmpint(dtlsd_set_default_configuration(scene->bus, &options, NULL), ==, 0);
        first = create_connection(scene, NULL, 0, NULL);
        second = create_connection(scene, NULL, 0, &names_one);
        g_assert_cmpint(dtlsd_set_default_configuration(scene->bus, NULL, NULL), ==, 0);
        third = create_connection(scene, NULL, 0, NULL);
        expect_configuration(scene, dtlsd_connection_path(first), CONNECTION, given);
        expect_configuration(scene, dtlsd_connection_path(second), CONNECTION, named);
        expect_configuration(scene, dtlsd_connection_path(third), CONNECTION, none);
        (void)dtlsd_connection_unref(first);
        (void)dtlsd_connection_unref(second);
        (void)dtlsd_connection_unref(third);
}

static void test_cookie_parameters_are_set(Scene *scene, const void *unused) {
        struct dtlsd_cookie_parameters parameters = {
                .hash = "Sha1", .secret = "another", .secret_size = 7};
        struct dtlsd_cookie_parameters read = {0};
        struct dtlsd_options options = {0};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener = listen_with_certificate(scene, &options);

        g_assert_cmpint(dtlsd_listener_cookie_parameters(listener, &read, NULL), ==, 0);
        g_assert_cmpstr(read.hash, ==, "Sha256"); /* and a random secret */
        g_assert_cmpuint(read.secret_size, >, 0);

        g_assert_cmpint(dtlsd_listener_set_cookie_parameters(listener, &parameters, &error), ==, 0);
        g_assert_cmpint(dtlsd_listener_cookie_parameters(listener, &read, NULL), ==, 0);
        g_assert_cmpstr(read.hash, ==, "Sha1");
        g_assert_cmpmem(read.secret, read.secret_size, "another", 7);

        parameters.secret_size = 0;
        expect_refused(dtlsd_listener_set_cookie_parameters(listener, &parameters, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));
        parameters.secret_size = sizeof parameters.secret + 1;
        g_assert_cmpint(dtlsd_listener_set_cookie_parameters(listener, &parameters, NULL), ==,
                        -EINVAL);
        (void)dtlsd_listener_unref(listener);
}

static void test_an_option_of_a_later_version_is_refused(Scene *scene, const void *unused) {
        const struct dtlsd_options options = {.reserved = {[3] = nobody}};
        const struct dtlsd_handlers handlers = {.reserved = {(void (*)(void))abort}};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *none = NULL, *connection;

        g_assert_cmpint(dtlsd_connection_create(scene->bus, NULL, 0, &options, &none, &error), ==,
                        -EINVAL);
        g_assert_nonnull(strstr(error.message, "later version"));
        g_assert_null(none);
        sd_bus_error_free(&error);

        connection = create_connection(scene, NULL, 0, NULL);
        g_assert_cmpint(dtlsd_connection_set_handlers(connection, &handlers, NULL, NULL), ==,
                        -EINVAL);
        (void)dtlsd_connection_unref(connection);
}

static void test_the_peer_is_set_before_the_handshake(Scene *scene, const void *unused) {
        struct dtlsd_options options = {0};
        dtlsd_listener *listener = listen_with_certificate(scene, &options);
        const char *const ca[] = {scene_file(scene, "ca.crt"), NULL};
        const struct dtlsd_options client_options = {.ca_files = ca};
        dtlsd_connection *client = create_connection(scene, NULL, 0, &client_options);
        struct dtlsd_connection_info info;
        sd_bus_error error = SD_BUS_ERROR_NULL;

        expect_refused(dtlsd_connection_do_handshake(client, &error), &error,
                       DTLSD_ERROR("InvalidOperation")); /* with whom? */
        expect_refused(dtlsd_connection_set_peer(client, "224.0.0.1", 1, NULL, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));
        expect_last_error(client, DTLSD_ERROR("InvalidInputParameters"));
        g_assert_cmpint(dtlsd_connection_set_peer(client, "127.0.0.1",
                                                  dtlsd_listener_port(listener), NULL, NULL),
                        ==, 0);
        expect_last_error(client, NULL);
        g_assert_cmpint(dtlsd_connection_set_verification_name(client, "localhost", NULL), ==, 0);

        shake_hands(scene, client);
        g_assert_cmpint(dtlsd_connection_info(client, &info, NULL), ==, 0);
        g_assert_cmpstr(info.peer_address, ==, "127.0.0.1");
        g_assert_cmpuint(info.peer_port, ==, dtlsd_listener_port(listener));
        g_assert_cmpstr(info.verification_name, ==, "localhost");
        expect_refused(dtlsd_connection_set_peer(client, "127.0.0.1", 1, NULL, &error), &error,
                       DTLSD_ERROR("InvalidOperation"));
        expect_refused(dtlsd_connection_set_verification_name(client, "other", &error), &error,
                       DTLSD_ERROR("InvalidOperation"));
        expect_refused(dtlsd_connection_set_configuration(client, NULL, &error), &error,
                       DTLSD_ERROR("InvalidOperation"));
        expect_refused(dtlsd_connection_set_mtu_hint(client, 1, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_listener_unref(listener);
}

/* ---- handlers ---- */

static void test_handlers_tell_a_whole_life(Scene *scene, const void *unused) {
        struct dtlsd_options options = {0};
        dtlsd_listener *listener = listen_with_certificate(scene, &options);
        const char *const ca[] = {scene_file(scene, "ca.crt"), NULL};
        const struct dtlsd_options client_options = {.ca_files = ca};
        dtlsd_connection *client = create_connection(
                scene, "127.0.0.1", dtlsd_listener_port(listener), &client_options);
        dtlsd_connection *server;
        Told told;

        told_init(&told, client);
        shake_hands(scene, client);
        server = scene_accept(listener);
        g_assert_cmpint(dtlsd_connection_close(server, NULL), ==, 0);
        wait_told(scene, &told, "closed PeerClosed\n");
        g_assert_true(g_str_has_prefix(told.text->str, "state 1 -\nstate 3 -\n"));
        wait_told(scene, &told, "state 0 " DTLSD_ERROR("RemoteClosedConnectionError") "\n");
        g_assert_cmpint(state_of(client), ==, DTLSD_HANDSHAKE_NOT_STARTED);
        expect_last_error(client, DTLSD_ERROR("RemoteClosedConnectionError"));

        g_string_truncate(told.text, 0);
        g_assert_cmpint(dtlsd_connection_set_handlers(client, NULL, NULL, NULL), ==, 0);
        shake_hands(scene, client);
        g_assert_cmpstr(told.text->str, ==, "");
        (void)dtlsd_connection_unref(server);
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_listener_unref(listener);
        told_done(&told);
}

static void test_a_key_is_asked_for(Scene *scene, const void *unused) {
        const struct dtlsd_options server_options = {
                .psk_identity = "alice",
                .psk_identity_size = 5,
                .psk = KEY_TEXT,
                .psk_size = 16,
                .psk_identity_hint = "which one?",
        };
        const struct dtlsd_options client_options = {.ca_files = nobody};
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &server_options);

        for (int refuse = 0; refuse < 2; refuse++) {
                dtlsd_connection *client = create_connection(
                        scene, "127.0.0.1", dtlsd_listener_port(listener), &client_options);
                struct dtlsd_connection_info info;
                Told told;

                told_init(&told, client);
                told.refuse = refuse;
                g_assert_cmpint(dtlsd_connection_do_handshake(client, NULL), ==, 0);
                wait_told(scene, &told, "psk 'which one?' '' 255 512\n");
                wait_told(scene, &told,
                          refuse ? "state 0 " DTLSD_ERROR("TlsFatalError") "\n" : "state 3 -\n");
                g_assert_cmpint(dtlsd_connection_info(client, &info, NULL), ==, 0);
                if (!refuse)
                        g_assert_cmpmem(info.psk_identity, info.psk_identity_size, "alice", 5);
                (void)dtlsd_connection_unref(client);
                told_done(&told);
        }
        (void)dtlsd_listener_unref(listener);
}

static unsigned count_datagrams(int fd) {
        char buffer[2048];
        unsigned n = 0;

        while (recv(fd, buffer, sizeof buffer, MSG_DONTWAIT) > 0)
                n++;
        return n;
}

static void test_a_flight_is_sent_again_when_told(Scene *scene, const void *unused) {
        const struct dtlsd_options options = {
                .ca_files = nobody,
                .manual_retransmission = 1,
                .retransmit_initial = 30,
                .retransmit_max = 60000,
        };
        dtlsd_connection *client;
        int fd, handled = -1;
        uint16_t port;
        Told told;

        fd = udp_bind(&port); /* which never answers */
        client = create_connection(scene, "127.0.0.1", port, &options);
        told_init(&told, client);
        g_assert_cmpint(dtlsd_connection_do_handshake(client, NULL), ==, 0);
        bus_wait(scene->bus, has_timed_out, &told, "the timeout");
        g_assert_cmpuint(count_datagrams(fd), ==, 1);

        g_assert_cmpint(dtlsd_connection_handle_timeout(client, &handled, NULL), ==, 0);
        g_assert_cmpint(handled, ==, 1);
        g_assert_cmpuint(count_datagrams(fd), ==, 1);
        g_assert_cmpint(dtlsd_connection_abort_handshake(client, NULL), ==, 0);
        g_assert_cmpuint(count_datagrams(fd), ==, 1); /* the alert */
        g_assert_cmpint(dtlsd_connection_handle_timeout(client, &handled, NULL), ==, 0);
        g_assert_cmpint(handled, ==, 0);
        g_assert_cmpint(dtlsd_connection_handle_timeout(client, NULL, NULL), ==, 0);
        g_assert_cmpuint(count_datagrams(fd), ==, 0);
        (void)dtlsd_connection_unref(client);
        (void)close(fd);
        told_done(&told);
}

/* The system bus lets anybody send a signal to anybody. */
static void test_a_signal_of_somebody_else_is_not_heard(Scene *scene, const void *unused) {
        dtlsd_connection *client = create_connection(scene, NULL, 0, NULL);
        sd_bus *other = service_bus(scene->service, UID_BOB);
        g_autoptr(Ear) ear = ear_new(scene->bus);
        sd_bus_message *m = NULL;
        const char *name;
        Told told;

        told_init(&told, client);
        g_assert_cmpint(sd_bus_get_unique_name(scene->bus, &name), >=, 0);
        g_assert_cmpint(sd_bus_message_new_signal(other, &m, dtlsd_connection_path(client),
                                                  CONNECTION, "StateChanged"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "sss", "HandshakeComplete", "NoError", ""), >=, 0);
        g_assert_cmpint(sd_bus_send_to(other, m, name, NULL), >=, 0);
        g_assert_cmpint(sd_bus_flush(other), >=, 0);
        (void)ear_wait(ear, "StateChanged|"); /* it has come */
        g_assert_cmpstr(told.text->str, ==, "");

        (void)sd_bus_message_unref(m);
        (void)bus_leave(other);
        (void)dtlsd_connection_unref(client);
        told_done(&told);
}

static void let_go(dtlsd_connection *connection, enum dtlsd_handshake_state state,
                   const sd_bus_error *why, void *userdata) {
        dtlsd_connection **mine = userdata;

        *mine = dtlsd_connection_unref(*mine);
}

static bool is_gone(void *userdata) {
        return *(dtlsd_connection **)userdata == NULL;
}

static void test_a_handler_may_let_go_of_the_connection(Scene *scene, const void *unused) {
        const struct dtlsd_handlers handlers = {.state_changed = let_go};
        const struct dtlsd_options options = {.ca_files = nobody};
        dtlsd_connection *client;
        uint16_t port;
        int fd;

        fd = udp_bind(&port);
        client = create_connection(scene, "127.0.0.1", port, &options);
        g_assert_cmpint(dtlsd_connection_set_handlers(client, &handlers, &client, NULL), ==, 0);
        g_assert_cmpint(dtlsd_connection_do_handshake(client, NULL), ==, 0);
        bus_wait(scene->bus, is_gone, &client, "the first transition");
        (void)close(fd);
}

static void test_handlers_of_what_is_gone_are_refused(Scene *scene, const void *unused) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *none = NULL;

        g_assert_cmpint(dtlsd_connection_at(scene->bus, ROOT "/connection/4711", &none), ==, 0);
        g_assert_cmpint(dtlsd_connection_set_handlers(none, &tell, NULL, &error), ==, -EBADR);
        sd_bus_error_free(&error);
        (void)dtlsd_connection_unref(none);
}

/* ---- the verdict on the peer ---- */

static GBytes *der_of(const Scene *scene, const char *name) {
        g_autofree char *line =
                g_strdup_printf("openssl x509 -in '%s' -outform DER -out '%s'",
                                scene_file(scene, name), scene_file(scene, "converted.der"));
        char *data = NULL;
        gsize size;

        g_assert_cmpint(system(line), ==, 0);
        g_assert_true(g_file_get_contents(scene_file(scene, "converted.der"), &data, &size, NULL));
        return g_bytes_new_take(data, size);
}

static dtlsd_connection *distrust(const Scene *scene, const dtlsd_listener *listener) {
        const struct dtlsd_options options = {
                .ca_files = nobody,
                .verification_name = "elsewhere.example",
        };
        dtlsd_connection *client =
                create_connection(scene, "127.0.0.1", dtlsd_listener_port(listener), &options);

        g_assert_cmpint(dtlsd_connection_do_handshake(client, NULL), ==, 0);
        wait_state(scene, client, "PeerVerificationFailed");
        g_assert_cmpint(state_of(client), ==, DTLSD_PEER_VERIFICATION_FAILED);
        expect_last_error(client, DTLSD_ERROR("PeerVerificationError"));
        return client;
}

static bool has_error(const struct dtlsd_verification_error *errors, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (g_str_equal(errors[i].name, name))
                        return true;

        return false;
}

static void test_errors_are_read_ignored_and_resumed(Scene *scene, const void *unused) {
        g_autoptr(GBytes) leaf = der_of(scene, "server.crt");
        struct dtlsd_options options = {0};
        dtlsd_listener *listener = listen_with_certificate(scene, &options);
        dtlsd_connection *client = distrust(scene, listener);
        struct dtlsd_verification_error *errors = NULL, *none = NULL;
        struct dtlsd_bytes *chain = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        size_t n = 0;

        g_assert_cmpint(dtlsd_connection_peer_chain(client, &chain, &n, NULL), ==, 0);
        g_assert_cmpuint(n, ==, 1);
        g_assert_cmpmem(chain[0].data, chain[0].size, g_bytes_get_data(leaf, NULL),
                        g_bytes_get_size(leaf));

        g_assert_cmpint(dtlsd_connection_verification_errors(client, &errors, &n, NULL), ==, 0);
        g_assert_cmpuint(n, ==, 3);
        g_assert_true(has_error(errors, n, "HostNameMismatch"));
        g_assert_true(has_error(errors, n, "UnableToGetLocalIssuerCertificate"));
        g_assert_true(has_error(errors, n, "UnableToVerifyFirstCertificate"));
        for (size_t i = 0; i < n; i++)
                g_assert_cmpmem(errors[i].certificate.data, errors[i].certificate.size,
                                chain[0].data, chain[0].size);

        expect_refused(dtlsd_connection_resume_handshake(client, &error), &error,
                       DTLSD_ERROR("PeerVerificationError"));
        g_assert_cmpint(dtlsd_connection_ignore_errors(client, errors, n - 1, NULL), ==, 0);
        expect_refused(dtlsd_connection_resume_handshake(client, &error), &error,
                       DTLSD_ERROR("PeerVerificationError"));
        g_assert_cmpint(dtlsd_connection_ignore_errors(client, errors, n, NULL), ==, 0);
        g_assert_cmpint(dtlsd_connection_resume_handshake(client, NULL), ==, 0);
        wait_state(scene, client, "HandshakeComplete");
        g_assert_cmpint(dtlsd_connection_verification_errors(client, &none, &n, NULL), ==, 0);
        g_assert_cmpuint(n, ==, 0);
        g_assert_null(none);
        expect_refused(dtlsd_connection_resume_handshake(client, &error), &error,
                       DTLSD_ERROR("InvalidOperation"));

        free(errors);
        free(chain);
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_listener_unref(listener);
}

static void test_errors_to_ignore_are_given_before(Scene *scene, const void *unused) {
        g_autoptr(GBytes) leaf = der_of(scene, "server.crt");
        const struct dtlsd_bytes certificate = {g_bytes_get_data(leaf, NULL),
                                                g_bytes_get_size(leaf)};
        const struct dtlsd_verification_error expected[] = {
                {"UnableToGetLocalIssuerCertificate", certificate},
                {"UnableToVerifyFirstCertificate", certificate},
        };
        const struct dtlsd_options options = {
                .ca_files = nobody,
                .ignored_errors = expected,
                .n_ignored_errors = G_N_ELEMENTS(expected),
        };
        struct dtlsd_options server_options = {0};
        dtlsd_listener *listener = listen_with_certificate(scene, &server_options);
        dtlsd_connection *client =
                create_connection(scene, "127.0.0.1", dtlsd_listener_port(listener), &options);

        shake_hands(scene, client);
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_listener_unref(listener);
}

static void test_abort_clears(Scene *scene, const void *unused) {
        struct dtlsd_options options = {0};
        dtlsd_listener *listener = listen_with_certificate(scene, &options);
        dtlsd_connection *client = distrust(scene, listener);
        struct dtlsd_verification_error *errors = NULL;
        struct dtlsd_bytes *chain = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        size_t n = 99;

        g_assert_cmpint(dtlsd_connection_abort_handshake(client, NULL), ==, 0);
        g_assert_cmpint(state_of(client), ==, DTLSD_HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(dtlsd_connection_peer_chain(client, &chain, &n, NULL), ==, 0);
        g_assert_cmpuint(n, ==, 0);
        g_assert_null(chain);
        g_assert_cmpint(dtlsd_connection_verification_errors(client, &errors, &n, NULL), ==, 0);
        g_assert_null(errors);
        expect_refused(dtlsd_connection_abort_handshake(client, &error), &error,
                       DTLSD_ERROR("InvalidOperation"));
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_listener_unref(listener);
}

/* ---- what there is to know ---- */

static void test_info_is_of_before_and_after(Scene *scene, const void *unused) {
        static const char *const one_protocol[] = {"coap", NULL};
        const char *const ca[] = {scene_file(scene, "ca.crt"), NULL};
        const struct dtlsd_options client_options = {
                .ca_files = ca,
                .ciphers = names,
                .next_protocols = protocols,
                .mtu_hint = 1200,
        };
        struct dtlsd_options options = {.next_protocols = one_protocol};
        dtlsd_listener *listener = listen_with_certificate(scene, &options);
        dtlsd_connection *client = create_connection(
                scene, "127.0.0.1", dtlsd_listener_port(listener), &client_options);
        struct dtlsd_connection_info info;

        memset(&info, 0xff, sizeof info);
        g_assert_cmpint(dtlsd_connection_info(client, &info, NULL), ==, 0);
        g_assert_cmpstr(info.mode, ==, "client");
        g_assert_cmpint(info.encrypted, ==, 0);
        g_assert_cmpstr(info.protocol, ==, "UnknownProtocol");
        g_assert_cmpstr(info.cipher.name, ==, "");
        g_assert_cmpstr(info.next_protocol, ==, "");
        g_assert_cmpstr(info.next_protocol_status, ==, "None");
        g_assert_cmpuint(info.mtu_hint, ==, 1200);
        g_assert_cmpuint(info.data_mtu, ==, 0);

        shake_hands(scene, client);
        g_assert_cmpint(dtlsd_connection_info(client, &info, NULL), ==, 0);
        g_assert_cmpint(info.encrypted, ==, 1);
        g_assert_cmpstr(info.local_address, ==, "127.0.0.1");
        g_assert_cmpuint(info.local_port, !=, 0);
        g_assert_cmpstr(info.protocol, ==, "DtlsV1_2");
        g_assert_cmpstr(info.cipher.name, ==, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
        g_assert_cmpstr(info.cipher.protocol, ==, "DtlsV1_2");
        g_assert_cmpstr(info.cipher.key_exchange_method, ==, "ECDH");
        g_assert_cmpstr(info.cipher.authentication_method, ==, "ECDSA");
        g_assert_cmpstr(info.cipher.encryption_method, !=, "");
        g_assert_cmpuint(info.cipher.supported_bits, ==, 128);
        g_assert_cmpuint(info.cipher.used_bits, ==, 128);
        g_assert_cmpint(info.cipher.extended_master_secret, ==, 1);
        g_assert_cmpstr(info.next_protocol, ==, "coap");
        g_assert_cmpstr(info.next_protocol_status, ==, "Negotiated");
        g_assert_cmpuint(info.data_mtu, >, 1000);
        g_assert_cmpuint(info.psk_identity_size, ==, 0);
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_listener_unref(listener);
}

static void test_info_has_room_for_the_longest_identity(Scene *scene, const void *unused) {
        g_autofree char *identity = g_strnfill(255, 'i');
        const struct dtlsd_options options = {
                .psk_identity = identity,
                .psk_identity_size = 255,
                .psk = KEY_TEXT,
                .psk_size = 16,
        };
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &options);
        g_autofree char *port = g_strdup_printf("%u", dtlsd_listener_port(listener));
        dtlsd_connection *client = scene_connect(scene, "127.0.0.1", port, &options);
        struct dtlsd_connection_info info;

        g_assert_cmpint(dtlsd_connection_info(client, &info, NULL), ==, 0);
        g_assert_cmpmem(info.psk_identity, info.psk_identity_size, identity, 255);
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_listener_unref(listener);
}

static void test_material_is_the_same_at_both_ends(Scene *scene, const void *unused) {
        struct dtlsd_options options = {0};
        dtlsd_listener *listener = listen_with_certificate(scene, &options);
        const char *const ca[] = {scene_file(scene, "ca.crt"), NULL};
        const struct dtlsd_options client_options = {.ca_files = ca};
        g_autofree char *port = g_strdup_printf("%u", dtlsd_listener_port(listener));
        dtlsd_connection *client = scene_connect(scene, "127.0.0.1", port, &client_options);
        dtlsd_connection *server = scene_accept(listener);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        uint8_t one[48] = {0}, two[48] = {0}, bound[48] = {0};

        g_assert_cmpint(dtlsd_connection_export_keying_material(client, "EXPORTER-mine", NULL, 0,
                                                                one, sizeof one, NULL),
                        ==, 0);
        g_assert_cmpint(dtlsd_connection_export_keying_material(server, "EXPORTER-mine", NULL, 0,
                                                                two, sizeof two, NULL),
                        ==, 0);
        g_assert_cmpint(dtlsd_connection_export_keying_material(server, "EXPORTER-mine", "c", 1,
                                                                bound, sizeof bound, NULL),
                        ==, 0);
        g_assert_cmpmem(one, sizeof one, two, sizeof two);
        g_assert_true(memcmp(one, bound, sizeof one) != 0);
        expect_refused(dtlsd_connection_export_keying_material(client, "master secret", NULL, 0,
                                                               one, sizeof one, &error),
                       &error, DTLSD_ERROR("InvalidInputParameters"));
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_connection_unref(server);
        (void)dtlsd_listener_unref(listener);
}

/* ---- sessions ---- */

static void test_a_session_is_taken_up(Scene *scene, const void *unused) {
        static const char *const all_allowed[] = {NULL};
        const char *const ca[] = {scene_file(scene, "ca.crt"), NULL};
        struct dtlsd_options options = {.ssl_options = all_allowed};
        struct dtlsd_options with = {.ca_files = ca, .ssl_options = all_allowed};
        const struct dtlsd_options without = {.ca_files = ca};
        dtlsd_listener *listener = listen_with_certificate(scene, &options);
        g_autofree char *port = g_strdup_printf("%u", dtlsd_listener_port(listener));
        struct dtlsd_connection_info info = {0};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *first, *second, *other;
        uint32_t lifetime = 0;
        void *ticket = NULL;
        size_t size = 0;

        first = scene_connect(scene, "127.0.0.1", port, &with);
        g_assert_cmpint(dtlsd_connection_session_ticket(first, &ticket, &size, &lifetime, NULL), ==,
                        0);
        g_assert_cmpuint(lifetime, ==, 3600); /* of a listener's */
        with.session_ticket = ticket;
        with.session_ticket_size = size;
        second = scene_connect(scene, "127.0.0.1", port, &with);
        g_assert_cmpint(dtlsd_connection_info(second, &info, NULL), ==, 0);
        g_assert_true(info.resumed);

        other = scene_connect(scene, "127.0.0.1", port, &without);
        expect_refused(dtlsd_connection_session_ticket(other, &ticket, &size, NULL, &error), &error,
                       DTLSD_ERROR("TlsNonFatalError"));
        free(ticket);
        (void)dtlsd_connection_unref(first);
        (void)dtlsd_connection_unref(second);
        (void)dtlsd_connection_unref(other);
        (void)dtlsd_listener_unref(listener);
}

#define ADD(path, function)                                                                        \
        g_test_add("/connection/" path, Scene, NULL, scene_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("options/of-a-connection-arrive", test_options_of_a_connection_arrive);
        ADD("options/of-a-listener-arrive", test_options_of_a_listener_arrive);
        ADD("options/of-a-later-version-are-refused", test_an_option_of_a_later_version_is_refused);
        ADD("options/that-are-defaults-are-for-what-comes-later",
            test_defaults_are_for_what_comes_later);
        ADD("cookies/have-parameters", test_cookie_parameters_are_set);
        ADD("peer/is-set-before-the-handshake", test_the_peer_is_set_before_the_handshake);
        ADD("handlers/tell-a-whole-life", test_handlers_tell_a_whole_life);
        ADD("handlers/are-asked-for-a-key", test_a_key_is_asked_for);
        ADD("handlers/say-when-to-send-again", test_a_flight_is_sent_again_when_told);
        ADD("handlers/do-not-hear-somebody-else", test_a_signal_of_somebody_else_is_not_heard);
        ADD("handlers/may-let-go-of-the-connection", test_a_handler_may_let_go_of_the_connection);
        ADD("handlers/of-what-is-gone-are-refused", test_handlers_of_what_is_gone_are_refused);
        ADD("verdict/errors-are-read-ignored-and-resumed",
            test_errors_are_read_ignored_and_resumed);
        ADD("verdict/errors-to-ignore-are-given-before", test_errors_to_ignore_are_given_before);
        ADD("verdict/abort-clears", test_abort_clears);
        ADD("info/is-of-before-and-after", test_info_is_of_before_and_after);
        ADD("info/has-room-for-the-longest-identity", test_info_has_room_for_the_longest_identity);
        ADD("export/is-the-same-at-both-ends", test_material_is_the_same_at_both_ends);
        ADD("a-session-is-taken-up", test_a_session_is_taken_up);
        return g_test_run();
}
