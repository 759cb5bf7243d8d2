/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/log.h"
#include "base/memfd.h"
#include "door.h"
#include "keyring/vault.h"
#include "material.h"

#include <string.h>
#include <unistd.h>

#define ALICE 1000
#define BOB 1001
#define LIMIT_USEC (30 * G_USEC_PER_SEC)
#define TEXT "what is signed"
#define ERROR_NAME(x) (DTLSD_ERROR_PREFIX x)

typedef struct Answer { /* of a signal Used */
        uint64_t ticket;
        char *error, *text;
        GBytes *bytes;
} Answer;

typedef struct Fixture {
        Door door;
        uint64_t last_ticket;
        GPtrArray *answers;
        unsigned n_signals;
} Fixture;

static void answer_free(void *data) {
        Answer *answer = data;

        g_free(answer->error);
        g_free(answer->text);
        g_bytes_unref(answer->bytes);
        g_free(answer);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;

        if (!sd_bus_message_is_signal(m, DTLSD_INTERFACE_KEYRING, "Used"))
                return 0;

        f->n_signals++;
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "(tssay)"), >, 0);
        while (sd_bus_message_enter_container(m, 'r', "tssay") > 0) {
                Answer *answer = g_new0(Answer, 1);
                const char *error, *text;
                const void *data;
                size_t size;

                g_assert_cmpint(sd_bus_message_read(m, "tss", &answer->ticket, &error, &text), >,
                                0);
                g_assert_cmpint(sd_bus_message_read_array(m, 'y', &data, &size), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
                answer->error = g_strdup(error);
                answer->text = g_strdup(text);
                answer->bytes = g_bytes_new(data, size);
                g_ptr_array_add(f->answers, answer);
        }
        return 1;
}

static void fixture_set_up(Fixture *f, gconstpointer data) {
        f->answers = g_ptr_array_new_with_free_func(answer_free);
        door_set_up(&f->door, NULL);
        g_assert_cmpint(sd_bus_add_filter(f->door.client, NULL, on_signal, f), >=, 0);
}

static void fixture_tear_down(Fixture *f, gconstpointer data) {
        door_tear_down(&f->door, NULL);
        g_ptr_array_unref(f->answers);
}

static void import(Fixture *f, const char *method, const void *data, size_t size) {
        g_autoptr(sd_bus_message) m = door_new_call(&f->door, method);
        int fd;

        g_assert_cmpint(memfd_new(data, size, &fd), ==, 0);
        g_assert_cmpint(sd_bus_message_append(m, "uh", ALICE, fd), >=, 0);
        door_call(&f->door, m);
        (void)close(fd);
}

/* Of Alice. */
static uint64_t import_psk(Fixture *f, const char *psk) {
        uint64_t id;

        import(f, "ImportPsk", psk, strlen(psk));
        g_assert_cmpint(sd_bus_message_read(f->door.reply, "t", &id), >, 0);
        return id;
}

static void turn(Fixture *f, gint64 limit) {
        g_assert_cmpint(g_get_monotonic_time(), <, limit);
        g_assert_cmpint(sd_event_run(f->door.event, 100000), >=, 0);
}

/* A new key of Alice's. @ret_spki: as the keyring says. */
static uint64_t import_key(Fixture *f, gnutls_pk_algorithm_t algorithm, unsigned bits,
                           GBytes **ret_spki) {
        gnutls_x509_privkey_t key = material_key(algorithm, bits);
        g_autoptr(GBytes) pem = material_export(key, MATERIAL_PKCS8_PEM);
        g_autoptr(GBytes) spki = material_spki(key);
        const void *said;
        uint64_t id;
        size_t size;

        import(f, "ImportPrivateKey", g_bytes_get_data(pem, NULL), g_bytes_get_size(pem));
        g_assert_cmpint(sd_bus_message_read(f->door.reply, "t", &id), >, 0);
        g_assert_cmpint(sd_bus_message_read_array(f->door.reply, 'y', &said, &size), >, 0);
        g_assert_cmpmem(said, size, g_bytes_get_data(spki, NULL), g_bytes_get_size(spki));
        gnutls_x509_privkey_deinit(key);
        if (ret_spki)
                *ret_spki = g_steal_pointer(&spki);
        return id;
}

/* ---- uses ---- */

static sd_bus_message *uses_begin(Fixture *f) {
        sd_bus_message *m = door_new_call(&f->door, "Use");

        g_assert_cmpint(sd_bus_message_set_expect_reply(m, false), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "(ttusbay)"), >=, 0);
        return m;
}

/* @algorithm "": the PSK. Returns the ticket. */
static uint64_t uses_add(Fixture *f, sd_bus_message *m, uint64_t id, uid_t uid,
                         const char *algorithm, GBytes *input) {
        const bool is_hash = *algorithm && !g_str_equal(algorithm, "EdDSA-Ed25519");

        g_assert_cmpint(sd_bus_message_open_container(m, 'r', "ttusbay"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "ttusb", ++f->last_ticket, id, (uint32_t)uid,
                                              algorithm, (int)is_hash),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y',
                                                    input ? g_bytes_get_data(input, NULL) : NULL,
                                                    input ? g_bytes_get_size(input) : 0),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        return f->last_ticket;
}

/* Takes @m. */
static void uses_send(Fixture *f, sd_bus_message *m) {
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_send(f->door.client, m, NULL), >=, 0);
        sd_bus_message_unref(m);
}

static const Answer *wait_answer(Fixture *f, uint64_t ticket) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        for (;; turn(f, limit))
                for (guint i = 0; i < f->answers->len; i++)
                        if (((const Answer *)f->answers->pdata[i])->ticket == ticket)
                                return f->answers->pdata[i];
}

static const Answer *use(Fixture *f, uint64_t id, uid_t uid, const char *algorithm, GBytes *input) {
        sd_bus_message *m = uses_begin(f);
        uint64_t ticket = uses_add(f, m, id, uid, algorithm, input);

        uses_send(f, m);
        return wait_answer(f, ticket);
}

static void assert_refused(const Answer *answer, const char *name, const char *text) {
        g_assert_cmpstr(answer->error, ==, name);
        g_assert_nonnull(strstr(answer->text, text));
        g_assert_cmpuint(g_bytes_get_size(answer->bytes), ==, 0);
}

static void assert_answered(const Answer *answer, const void *data, size_t size) {
        g_assert_cmpstr(answer->error, ==, "");
        g_assert_cmpmem(g_bytes_get_data(answer->bytes, NULL), g_bytes_get_size(answer->bytes),
                        data, size);
}

static void assert_verifies(const Answer *answer, GBytes *spki, gnutls_sign_algorithm_t verified) {
        g_assert_cmpstr(answer->error, ==, "");
        g_assert_true(material_verifies(spki, verified, TEXT, g_bytes_get_data(answer->bytes, NULL),
                                        g_bytes_get_size(answer->bytes)));
}

static void sign_and_verify(Fixture *f, uint64_t id, GBytes *spki, const char *algorithm,
                            gnutls_sign_algorithm_t verified, GBytes *input) {
        assert_verifies(use(f, id, ALICE, algorithm, input), spki, verified);
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

        assert_refused(use(f, rsa, ALICE, "RSA-RAW", sha1), ERROR_NAME("NotAuthorized"),
                       "DigestInfo");
        assert_refused(use(f, rsa, ALICE, "RSA-RAW", hash), ERROR_NAME("NotAuthorized"),
                       "DigestInfo");
        assert_refused(use(f, rsa, ALICE, "ECDSA-SHA256", hash), ERROR_NAME("NotAuthorized"),
                       "type of key");
        assert_refused(use(f, rsa, ALICE, "", NULL), ERROR_NAME("UnknownKey"), "no such key");
}

static void test_gives_a_psk_to_its_uid(Fixture *f, gconstpointer data) {
        assert_answered(use(f, import_psk(f, "secret"), ALICE, "", NULL), "secret", 6);
}

static void test_hides_keys_from_others(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);
        uint64_t psk = import_psk(f, "secret");
        uint64_t key = import_key(f, GNUTLS_PK_ECDSA, 256, NULL);
        const Answer *fetched = use(f, psk, BOB, "", NULL);

        assert_refused(use(f, key, BOB, "ECDSA-SHA256", hash), ERROR_NAME("UnknownKey"),
                       "no such key");
        assert_refused(fetched, ERROR_NAME("UnknownKey"), "no such key");
        assert_refused(use(f, 999999, BOB, "", NULL), ERROR_NAME("UnknownKey"), fetched->text);
}

static void test_does_not_know_what_is_removed(Fixture *f, gconstpointer data) {
        uint64_t id = import_psk(f, "secret");
        g_autoptr(sd_bus_message) m = door_new_call(&f->door, "Remove");

        g_assert_cmpint(sd_bus_message_append(m, "t", id), >=, 0);
        door_call(&f->door, m);
        assert_refused(use(f, id, ALICE, "", NULL), ERROR_NAME("UnknownKey"), "no such key");
}

/* Each of them, whatever becomes of the others; and the answers of several in one signal. */
static void test_answers_several_at_once(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);
        g_autoptr(GBytes) spki = NULL;
        uint64_t key = import_key(f, GNUTLS_PK_ECDSA, 256, &spki);
        uint64_t psk = import_psk(f, "secret");
        sd_bus_message *m = uses_begin(f);
        uint64_t last = 0;

        for (int i = 0; i < 20; i++) {
                (void)uses_add(f, m, key, ALICE, "ECDSA-SHA256", hash);
                (void)uses_add(f, m, key, BOB, "ECDSA-SHA256", hash);
                last = uses_add(f, m, psk, ALICE, "", NULL);
        }
        uses_send(f, m);
        (void)wait_answer(f, last);

        g_assert_cmpuint(f->answers->len, ==, 60);
        g_assert_cmpuint(f->n_signals, <=, 10);
        g_assert_cmpuint(f->n_signals, >, 1); /* none waits for all */
        for (uint64_t ticket = 1; ticket <= last; ticket += 3) {
                assert_verifies(wait_answer(f, ticket), spki, GNUTLS_SIGN_ECDSA_SHA256);
                assert_refused(wait_answer(f, ticket + 1), ERROR_NAME("UnknownKey"), "no such key");
                assert_answered(wait_answer(f, ticket + 2), "secret", 6);
        }
}

/* What a thread has to sign delays nothing else of the call. */
static void test_answers_what_is_cheap_first(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);
        uint64_t rsa = import_key(f, GNUTLS_PK_RSA, 2048, NULL);
        uint64_t psk = import_psk(f, "secret");
        sd_bus_message *m = uses_begin(f);
        uint64_t slow = uses_add(f, m, rsa, ALICE, "RSA-SHA256", hash);
        uint64_t fast = uses_add(f, m, psk, ALICE, "", NULL);

        uses_send(f, m);
        (void)wait_answer(f, slow);
        g_assert_cmpuint(((const Answer *)f->answers->pdata[0])->ticket, ==, fast);
        g_assert_cmpuint(f->n_signals, ==, 2);
}

/* More at once than may wait: some are refused, all are answered, and it goes on. */
static void test_answers_a_flood(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);
        g_autoptr(GBytes) spki = NULL;
        uint64_t id = import_key(f, GNUTLS_PK_RSA, 2048, &spki);
        sd_bus_message *m = uses_begin(f);
        unsigned n_refused = 0;

        for (unsigned i = 0; i < 200; i++)
                (void)uses_add(f, m, id, ALICE, "RSA-SHA256", hash);
        uses_send(f, m);
        for (uint64_t ticket = 1; ticket <= 200; ticket++) {
                const Answer *answer = wait_answer(f, ticket);

                if (*answer->error) {
                        assert_refused(answer, ERROR_NAME("QuotaExceeded"), "wait");
                        n_refused++;
                }
        }
        g_assert_cmpuint(n_refused, >, 0);
        g_assert_cmpuint(n_refused, <, 200);
        sign_and_verify(f, id, spki, "RSA-SHA256", GNUTLS_SIGN_RSA_SHA256, hash);
}

static void test_survives_a_caller_that_goes(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);
        uint64_t id = import_key(f, GNUTLS_PK_RSA, 2048, NULL);
        sd_bus_message *m = uses_begin(f);

        for (unsigned i = 0; i < 20; i++)
                (void)uses_add(f, m, id, ALICE, "RSA-SHA256", hash);
        uses_send(f, m);
        g_assert_cmpint(sd_bus_flush(f->door.client), >=, 0);
        f->door.client = sd_bus_close_unref(f->door.client);
        for (unsigned i = 0; i < 50; i++) /* the signatures come back to nobody */
                (void)sd_event_run(f->door.event, 10000);
}

static void test_refuses_wrong_arguments(Fixture *f, gconstpointer data) {
        g_autoptr(sd_bus_message) m = door_new_call(&f->door, "Use");

        g_assert_cmpint(sd_bus_message_append(m, "s", "hello"), >=, 0);
        door_call(&f->door, m);
        g_assert_true(sd_bus_message_is_method_error(f->door.reply, SD_BUS_ERROR_INVALID_ARGS));
}

static void add(const char *name, void (*test)(Fixture *, gconstpointer)) {
        g_test_add(name, Fixture, NULL, fixture_set_up, test, fixture_tear_down);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        log_set_level(LOG_ERR);
        add("/server-uses/sign/verifies-with-the-public-key-of-the-import", test_signs);
        add("/server-uses/sign/is-no-oracle", test_is_no_oracle);
        add("/server-uses/use/answers-several-at-once", test_answers_several_at_once);
        add("/server-uses/use/answers-what-is-cheap-first", test_answers_what_is_cheap_first);
        add("/server-uses/sign/answers-a-flood", test_answers_a_flood);
        add("/server-uses/sign/survives-a-caller-that-goes", test_survives_a_caller_that_goes);
        add("/server-uses/psk/is-given-to-its-uid", test_gives_a_psk_to_its_uid);
        add("/server-uses/key/is-hidden-from-other-uids", test_hides_keys_from_others);
        add("/server-uses/call/refuses-wrong-arguments", test_refuses_wrong_arguments);
        g_test_add_func("/server-uses/sign/names-raw-rsa-as-gnutls-does",
                        test_names_algorithms_as_gnutls_does);
        add("/server-uses/key/is-gone-when-it-is-removed", test_does_not_know_what_is_removed);
        return g_test_run();
}
