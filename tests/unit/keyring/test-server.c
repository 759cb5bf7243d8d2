/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "keyring/server.h"

#include "base/log.h"
#include "base/memfd.h"
#include "base/terms.h"
#include "keyring/signer.h"
#include "keyring/vault.h"
#include "lib/capture.h"
#include "material.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define ALICE 1000
#define BOB 1001
#define LIMIT_USEC (30 * G_USEC_PER_SEC)
#define TEXT "what is signed"
#define ERROR_NAME(x) (DTLSD_ERROR_PREFIX x)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)

typedef struct Fixture {
        sd_event *event;
        Server *server;
        sd_bus *client;
        unsigned n_closed;
} Fixture;

static void on_closed(void *userdata) {
        Fixture *f = userdata;

        f->n_closed++;
}

static void turn(Fixture *f, gint64 limit) {
        g_assert_cmpint(g_get_monotonic_time(), <, limit);
        g_assert_cmpint(sd_event_run(f->event, 100000), >=, 0);
}

static void fixture_set_up(Fixture *f, gconstpointer data) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        int pair[2];

        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_cmpint(server_new(f->event, pair[1], NULL, on_closed, f, &f->server), ==, 0);

        g_assert_cmpint(sd_bus_new(&f->client), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(f->client, pair[0], pair[0]), >=, 0);
        g_assert_cmpint(sd_bus_start(f->client), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(f->client, f->event, 0), >=, 0);
        while (sd_bus_is_ready(f->client) == 0) /* before it is, a call with an fd would wait */
                turn(f, limit);
}

static void fixture_tear_down(Fixture *f, gconstpointer data) {
        sd_bus_close_unref(f->client);
        server_free(f->server);
        sd_event_unref(f->event);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        *(sd_bus_message **)userdata = sd_bus_message_ref(m);
        return 0;
}

static sd_bus_message *new_call(Fixture *f, const char *method) {
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_method_call(f->client, &m, NULL, DTLSD_ROOT_PATH,
                                                       DTLSD_INTERFACE_KEYRING, method),
                        >=, 0);
        return m;
}

/* Takes @call. */
static sd_bus_message *answer_to(Fixture *f, sd_bus_message *call) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        sd_bus_message *reply = NULL;

        g_assert_cmpint(sd_bus_call_async(f->client, NULL, call, on_reply, &reply, UINT64_MAX), >=,
                        0);
        sd_bus_message_unref(call);
        while (!reply)
                turn(f, limit);
        return reply;
}

static void assert_error(sd_bus_message *reply, const char *name, const char *text) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        g_assert_nonnull(error);
        g_assert_cmpstr(error->name, ==, name);
        g_assert_nonnull(strstr(error->message, text));
}

static sd_bus_message *import_fd(Fixture *f, const char *method, uid_t uid, int fd) {
        sd_bus_message *m = new_call(f, method);

        g_assert_cmpint(sd_bus_message_append(m, "uh", (uint32_t)uid, fd), >=, 0);
        return answer_to(f, m);
}

static sd_bus_message *import(Fixture *f, const char *method, uid_t uid, const void *data,
                              size_t size) {
        sd_bus_message *reply;
        int fd;

        g_assert_cmpint(memfd_new(data, size, &fd), ==, 0);
        reply = import_fd(f, method, uid, fd);
        (void)close(fd);
        return reply;
}

static uint64_t import_psk(Fixture *f, uid_t uid, const char *psk) {
        g_autoptr(sd_bus_message) reply = import(f, "ImportPsk", uid, psk, strlen(psk));
        uint64_t id;

        g_assert_cmpint(sd_bus_message_read(reply, "t", &id), >, 0);
        return id;
}

/* A new key of Alice's. @ret_spki: as the keyring says. */
static uint64_t import_key(Fixture *f, gnutls_pk_algorithm_t algorithm, unsigned bits,
                           GBytes **ret_spki) {
        gnutls_x509_privkey_t key = material_key(algorithm, bits);
        g_autoptr(GBytes) pem = material_export(key, MATERIAL_PKCS8_PEM);
        g_autoptr(GBytes) spki = material_spki(key);
        g_autoptr(sd_bus_message) reply = import(
                f, "ImportPrivateKey", ALICE, g_bytes_get_data(pem, NULL), g_bytes_get_size(pem));
        const void *said;
        uint64_t id;
        size_t size;

        g_assert_cmpint(sd_bus_message_read(reply, "t", &id), >, 0);
        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &said, &size), >, 0);
        g_assert_cmpmem(said, size, g_bytes_get_data(spki, NULL), g_bytes_get_size(spki));
        gnutls_x509_privkey_deinit(key);
        if (ret_spki)
                *ret_spki = g_steal_pointer(&spki);
        return id;
}

static sd_bus_message *sign_call(Fixture *f, uint64_t id, uid_t uid, const char *algorithm,
                                 GBytes *input) {
        sd_bus_message *m = new_call(f, "Sign");

        g_assert_cmpint(sd_bus_message_append(m, "tusb", id, (uint32_t)uid, algorithm,
                                              !g_str_equal(algorithm, "EdDSA-Ed25519")),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(input, NULL),
                                                    g_bytes_get_size(input)),
                        >=, 0);
        return m;
}

static void sign_and_verify(Fixture *f, uint64_t id, GBytes *spki, const char *algorithm,
                            gnutls_sign_algorithm_t verified, GBytes *input) {
        g_autoptr(sd_bus_message) reply = answer_to(f, sign_call(f, id, ALICE, algorithm, input));
        const void *signature;
        size_t size;

        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &signature, &size), >, 0);
        g_assert_true(material_verifies(spki, verified, TEXT, signature, size));
}

static void test_signs(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);
        g_autoptr(GBytes) info = material_digest_info(GNUTLS_DIG_SHA256, TEXT);
        g_autoptr(GBytes) message = g_bytes_new(TEXT, strlen(TEXT));
        g_autoptr(GBytes) rsa_spki = NULL;
        g_autoptr(GBytes) ecdsa_spki = NULL;
        g_autoptr(GBytes) ed25519_spki = NULL;
        uint64_t rsa = import_key(f, GNUTLS_PK_RSA, 2048, &rsa_spki);
        uint64_t ecdsa = import_key(f, GNUTLS_PK_ECDSA, 256, &ecdsa_spki);
        uint64_t ed25519 = import_key(f, GNUTLS_PK_EDDSA_ED25519, 0, &ed25519_spki);

        sign_and_verify(f, rsa, rsa_spki, "RSA-RAW", GNUTLS_SIGN_RSA_SHA256, info);
        sign_and_verify(f, ecdsa, ecdsa_spki, "ECDSA-SHA256", GNUTLS_SIGN_ECDSA_SHA256, hash);
        sign_and_verify(f, ed25519, ed25519_spki, "EdDSA-Ed25519", GNUTLS_SIGN_EDDSA_ED25519,
                        message);
}

static void test_names_algorithms_as_gnutls_does(void) {
        g_assert_cmpstr(gnutls_sign_get_name(GNUTLS_SIGN_RSA_RAW), ==, "RSA-RAW");
        g_assert_cmpint(gnutls_sign_get_id("RSA-RAW"), ==, GNUTLS_SIGN_RSA_RAW);
}

static void test_is_no_oracle(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) sha1 = material_digest_info(GNUTLS_DIG_SHA1, TEXT);
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);
        uint64_t rsa = import_key(f, GNUTLS_PK_RSA, 2048, NULL);
        g_autoptr(sd_bus_message) weak = answer_to(f, sign_call(f, rsa, ALICE, "RSA-RAW", sha1));
        g_autoptr(sd_bus_message) bare = answer_to(f, sign_call(f, rsa, ALICE, "RSA-RAW", hash));
        g_autoptr(sd_bus_message) other =
                answer_to(f, sign_call(f, rsa, ALICE, "ECDSA-SHA256", hash));

        assert_error(weak, ERROR_NAME("NotAuthorized"), "DigestInfo");
        assert_error(bare, ERROR_NAME("NotAuthorized"), "DigestInfo");
        assert_error(other, ERROR_NAME("NotAuthorized"), "type of key");
}

static void test_gives_a_psk_to_its_uid(Fixture *f, gconstpointer data) {
        uint64_t id = import_psk(f, ALICE, "secret");
        sd_bus_message *m = new_call(f, "FetchPsk");
        g_autoptr(sd_bus_message) reply = NULL;
        const void *psk;
        size_t size;

        g_assert_cmpint(sd_bus_message_append(m, "tu", id, ALICE), >=, 0);
        reply = answer_to(f, m);
        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &psk, &size), >, 0);
        g_assert_cmpmem(psk, size, "secret", 6);
}

static void test_hides_keys_from_others(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);
        uint64_t psk = import_psk(f, ALICE, "secret");
        uint64_t key = import_key(f, GNUTLS_PK_ECDSA, 256, NULL);
        sd_bus_message *m = new_call(f, "FetchPsk");
        g_autoptr(sd_bus_message) fetched = NULL;
        g_autoptr(sd_bus_message) missing = NULL;
        g_autoptr(sd_bus_message) signed_ =
                answer_to(f, sign_call(f, key, BOB, "ECDSA-SHA256", hash));

        g_assert_cmpint(sd_bus_message_append(m, "tu", psk, BOB), >=, 0);
        fetched = answer_to(f, m);
        m = new_call(f, "FetchPsk");
        g_assert_cmpint(sd_bus_message_append(m, "tu", UINT64_C(999999), BOB), >=, 0);
        missing = answer_to(f, m);

        assert_error(signed_, ERROR_NAME("UnknownKey"), "no such key");
        assert_error(fetched, ERROR_NAME("UnknownKey"), "no such key");
        assert_error(missing, ERROR_NAME("UnknownKey"), sd_bus_message_get_error(fetched)->message);
}

static void test_forgets_what_is_removed(Fixture *f, gconstpointer data) {
        uint64_t id = import_psk(f, ALICE, "secret");
        const char *const methods[] = {"Remove", "Remove"};
        g_autoptr(sd_bus_message) fetched = NULL;
        sd_bus_message *m;

        for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
                g_autoptr(sd_bus_message) reply = NULL;

                m = new_call(f, methods[i]);
                g_assert_cmpint(sd_bus_message_append(m, "t", id), >=, 0);
                reply = answer_to(f, m);
                if (i == 0)
                        g_assert_false(sd_bus_message_is_method_error(reply, NULL));
                else
                        assert_error(reply, ERROR_NAME("UnknownKey"), "no such key");
        }

        m = new_call(f, "FetchPsk");
        g_assert_cmpint(sd_bus_message_append(m, "tu", id, ALICE), >=, 0);
        fetched = answer_to(f, m);
        assert_error(fetched, ERROR_NAME("UnknownKey"), "no such key");
}

static void test_refuses_bad_secrets(Fixture *f, gconstpointer data) {
        char long_psk[VAULT_PSK_MAX + 1] = {0};
        int pipe_fds[2];
        g_autoptr(sd_bus_message) no_key =
                import(f, "ImportPrivateKey", ALICE, "hello", strlen("hello"));
        g_autoptr(sd_bus_message) too_long =
                import(f, "ImportPsk", ALICE, long_psk, sizeof(long_psk));
        g_autoptr(sd_bus_message) pipe_end = NULL;

        g_assert_cmpint(pipe(pipe_fds), ==, 0);
        pipe_end = import_fd(f, "ImportPsk", ALICE, pipe_fds[0]);
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);

        assert_error(no_key, ERROR_NAME("BadSecret"), "not a private key");
        assert_error(too_long, ERROR_NAME("BadSecret"), "512 bytes");
        assert_error(pipe_end, ERROR_NAME("BadSecret"), "sealed");
}

static void test_refuses_wrong_arguments(Fixture *f, gconstpointer data) {
        sd_bus_message *m = new_call(f, "Sign");
        g_autoptr(sd_bus_message) reply = NULL;

        g_assert_cmpint(sd_bus_message_append(m, "s", "hello"), >=, 0);
        reply = answer_to(f, m);
        assert_error(reply, SD_BUS_ERROR_INVALID_ARGS, "");
}

/* More at once than may wait: some are refused, all are answered, and it goes on. */
static void test_answers_a_flood(Fixture *f, gconstpointer data) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);
        g_autoptr(GBytes) spki = NULL;
        uint64_t id = import_key(f, GNUTLS_PK_RSA, 2048, &spki);
        sd_bus_message *replies[200] = {0};
        unsigned n_refused = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(replies); i++) {
                g_autoptr(sd_bus_message) m = sign_call(f, id, ALICE, "RSA-SHA256", hash);

                g_assert_cmpint(
                        sd_bus_call_async(f->client, NULL, m, on_reply, &replies[i], UINT64_MAX),
                        >=, 0);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(replies); i++) {
                while (!replies[i])
                        turn(f, limit);
                if (sd_bus_message_is_method_error(replies[i], NULL)) {
                        assert_error(replies[i], ERROR_NAME("QuotaExceeded"), "wait");
                        n_refused++;
                }
                sd_bus_message_unref(replies[i]);
        }
        g_assert_cmpuint(n_refused, >, 0);
        sign_and_verify(f, id, spki, "RSA-SHA256", GNUTLS_SIGN_RSA_SHA256, hash);
}

static void test_survives_a_caller_that_goes(Fixture *f, gconstpointer data) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);
        uint64_t id = import_key(f, GNUTLS_PK_RSA, 2048, NULL);

        for (unsigned i = 0; i < 20; i++) {
                g_autoptr(sd_bus_message) m = sign_call(f, id, ALICE, "RSA-SHA256", hash);

                g_assert_cmpint(sd_bus_send(f->client, m, NULL), >=, 0);
        }
        g_assert_cmpint(sd_bus_flush(f->client), >=, 0);
        f->client = sd_bus_close_unref(f->client);
        while (f->n_closed == 0)
                turn(f, limit);
        for (unsigned i = 0; i < 50; i++) /* the signatures come back to nobody */
                (void)sd_event_run(f->event, 10000);
        g_assert_cmpuint(f->n_closed, ==, 1);
}

static void test_ends_a_conversation_that_is_not_dbus(void) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        Fixture f = {0};
        int pair[2];

        g_assert_cmpint(sd_event_new(&f.event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_cmpint(server_new(f.event, pair[1], NULL, on_closed, &f, &f.server), ==, 0);
        g_assert_cmpint(write(pair[0], "GET / HTTP/1.1\r\n\r\n", 18), ==, 18);
        while (f.n_closed == 0)
                turn(&f, limit);
        (void)close(pair[0]);
        fixture_tear_down(&f, NULL);
}

static void test_knows_the_other_end(void) {
        int pair[2], file[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_cmpint(pipe(file), ==, 0);
        g_assert_cmpint(server_check_peer(pair[0], getuid()), ==, 0);
        g_assert_cmpint(server_check_peer(pair[0], getuid() + 1), ==, SERVER_E_STRANGER);
        g_assert_cmpint(server_check_peer(file[0], getuid()), <, 0);
        (void)close(pair[0]);
        (void)close(pair[1]);
        (void)close(file[0]);
        (void)close(file[1]);
}

/* ---- the interface as it is written and as it is served ---- */

typedef struct Members {
        bool ours; /* inside the Keyring's interface */
        GString *text;
} Members;

static void on_element(GMarkupParseContext *context, const char *element, const char **names,
                       const char **values, gpointer userdata, GError **error) {
        Members *members = userdata;

        if (g_str_equal(element, "interface"))
                members->ours = g_str_equal(values[0], DTLSD_INTERFACE_KEYRING);
        if (!members->ours || g_str_equal(element, "annotation"))
                return;

        g_string_append(members->text, element);
        for (const char *const attributes[] = {"name", "type", "direction"}, *const *a = attributes;
             a < attributes + G_N_ELEMENTS(attributes); a++)
                for (size_t i = 0; names[i]; i++)
                        if (g_str_equal(names[i], *a))
                                g_string_append_printf(members->text, " %s", values[i]);
        g_string_append_c(members->text, '\n');
}

static char *members_of(const char *xml) {
        const GMarkupParser parser = {.start_element = on_element};
        Members members = {.text = g_string_new(NULL)};
        GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, &members, NULL);
        g_autoptr(GError) error = NULL;

        g_markup_parse_context_parse(context, xml, -1, &error);
        g_assert_no_error(error);
        g_markup_parse_context_free(context);
        return g_string_free(members.text, FALSE);
}

static void test_is_as_its_interface_says(Fixture *f, gconstpointer data) {
        g_autofree char *path = g_build_filename(g_getenv("DTLSD_INTERFACES"),
                                                 DTLSD_INTERFACE_KEYRING ".xml", NULL);
        g_autoptr(sd_bus_message) reply = NULL;
        g_autofree char *written = NULL;
        g_autofree char *expected = NULL;
        g_autofree char *found = NULL;
        const char *served;
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_method_call(f->client, &m, NULL, DTLSD_ROOT_PATH,
                                                       "org.freedesktop.DBus.Introspectable",
                                                       "Introspect"),
                        >=, 0);
        reply = answer_to(f, m);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &served), >, 0);
        g_assert_true(g_file_get_contents(path, &written, NULL, NULL));

        expected = members_of(written);
        found = members_of(served);
        g_assert_nonnull(strstr(expected, "method Sign"));
        g_assert_cmpstr(found, ==, expected);
}

static void add(const char *name, void (*test)(Fixture *, gconstpointer)) {
        g_test_add(name, Fixture, NULL, fixture_set_up, test, fixture_tear_down);
}

static unsigned count_lines(const char *text, const char *beginning) {
        unsigned n = 0;

        for (text = strstr(text, beginning); text; text = strstr(text + 1, beginning))
                n++;
        return n;
}

/* Not only what is refused: every line is somebody's, and so bounded for each. */
static void one_users_lines_hide_no_others(Fixture *f, gconstpointer data) {
        g_autofree char *text = NULL;

        log_set_level(LOG_INFO);
        capture_begin();
        for (int i = 0; i < 100; i++)
                (void)import_psk(f, ALICE, "a secret");
        (void)import_psk(f, BOB, "a secret");
        text = capture_end();
        log_set_level(LOG_ERR);
        g_assert_cmpuint(count_lines(text, "of uid 1000: imported"), >, 10);
        g_assert_cmpuint(count_lines(text, "of uid 1000: imported"), <, 50);
        g_assert_cmpuint(count_lines(text, "of uid 1001: imported"), ==, 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        log_set_level(LOG_ERR);
        add("/server/interface/is-served-as-it-is-written", test_is_as_its_interface_says);
        add("/server/sign/verifies-with-the-public-key-of-the-import", test_signs);
        g_test_add_func("/server/sign/names-raw-rsa-as-gnutls-does",
                        test_names_algorithms_as_gnutls_does);
        add("/server/sign/is-no-oracle", test_is_no_oracle);
        add("/server/sign/answers-a-flood", test_answers_a_flood);
        add("/server/sign/survives-a-caller-that-goes", test_survives_a_caller_that_goes);
        add("/server/psk/is-given-to-its-uid", test_gives_a_psk_to_its_uid);
        add("/server/key/is-hidden-from-other-uids", test_hides_keys_from_others);
        add("/server/key/is-gone-when-it-is-removed", test_forgets_what_is_removed);
        add("/server/import/refuses-bad-secrets", test_refuses_bad_secrets);
        add("/server/log/one-users-lines-hide-no-others", one_users_lines_hide_no_others);
        add("/server/call/refuses-wrong-arguments", test_refuses_wrong_arguments);
        g_test_add_func("/server/door/ends-a-conversation-that-is-not-dbus",
                        test_ends_a_conversation_that_is_not_dbus);
        g_test_add_func("/server/door/knows-the-other-end", test_knows_the_other_end);
        return g_test_run();
}
