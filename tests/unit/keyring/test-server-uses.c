/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/log.h"
#include "base/memfd.h"
#include "base/use.h"
#include "door.h"
#include "keyring/vault.h"
#include "material.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ALICE 1000
#define BOB 1001
#define LIMIT_USEC (30 * G_USEC_PER_SEC)
#define TEXT "what is signed"
#define ERROR_NAME(x) (DTLSD_ERROR_PREFIX x)

typedef struct Answer {
        uint64_t ticket;
        char *error, *text;
        GBytes *bytes;
} Answer;

typedef struct Fixture {
        Door door;
        uint64_t last_ticket;
        GPtrArray *answers;
        unsigned n_packets;
        int fd; /* where keys are used */
        sd_event_source *source;
        UsePacket *packet;
} Fixture;

static void answer_free(void *data) {
        Answer *answer = data;

        g_free(answer->error);
        g_free(answer->text);
        g_bytes_unref(answer->bytes);
        g_free(answer);
}

static int on_answers(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Fixture *f = userdata;
        void *bytes;
        Use use;

        g_assert_cmpint(use_receive(f->packet, fd), ==, 0);
        f->n_packets++;
        while (use_next(f->packet, &use, &bytes)) {
                Answer *answer = g_new0(Answer, 1);

                answer->ticket = use.ticket;
                answer->error = g_strconcat(*use.word ? DTLSD_ERROR_PREFIX : "", use.word, NULL);
                answer->text = g_strndup(bytes, *use.word ? use.size : 0);
                answer->bytes = g_bytes_new(bytes, *use.word ? 0 : use.size);
                g_ptr_array_add(f->answers, answer);
        }
        g_assert_false(use_has_more(f->packet));
        return 0;
}

static void open_uses(Fixture *f) {
        f->fd = door_open_uses(&f->door);
        g_assert_cmpint(sd_event_add_io(f->door.event, &f->source, f->fd, EPOLLIN, on_answers, f),
                        >=, 0);
}

static void close_uses(Fixture *f) {
        f->source = sd_event_source_disable_unref(f->source);
        if (f->fd >= 0)
                (void)close(f->fd);
        f->fd = -1;
}

static void fixture_set_up(Fixture *f, gconstpointer data) {
        f->answers = g_ptr_array_new_with_free_func(answer_free);
        door_set_up(&f->door, NULL);
        f->packet = use_packet_new();
        open_uses(f);
}

static void fixture_tear_down(Fixture *f, gconstpointer data) {
        close_uses(f);
        use_packet_free(f->packet);
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

/* @algorithm "": the PSK. Returns the ticket. */
static uint64_t uses_add(Fixture *f, UsePacket *uses, uint64_t id, uid_t uid, const char *algorithm,
                         GBytes *input) {
        const Use use = {
                .ticket = ++f->last_ticket,
                .key = id,
                .uid = uid,
                .size = input ? (uint32_t)g_bytes_get_size(input) : 0,
                .is_hash = *algorithm && !g_str_equal(algorithm, "EdDSA-Ed25519"),
        };

        g_assert_true(use_put(uses, &use, algorithm, input ? g_bytes_get_data(input, NULL) : NULL));
        return f->last_ticket;
}

/* Takes @uses. */
static void uses_send(Fixture *f, UsePacket *uses) {
        g_assert_cmpint(use_send(uses, f->fd, 0), ==, 0);
        use_packet_free(uses);
}

static const Answer *wait_answer(Fixture *f, uint64_t ticket) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        for (;; turn(f, limit))
                for (guint i = 0; i < f->answers->len; i++)
                        if (((const Answer *)f->answers->pdata[i])->ticket == ticket)
                                return f->answers->pdata[i];
}

static const Answer *use(Fixture *f, uint64_t id, uid_t uid, const char *algorithm, GBytes *input) {
        UsePacket *m = use_packet_new();
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
        UsePacket *m = use_packet_new();
        uint64_t last = 0;

        for (int i = 0; i < 20; i++) {
                (void)uses_add(f, m, key, ALICE, "ECDSA-SHA256", hash);
                (void)uses_add(f, m, key, BOB, "ECDSA-SHA256", hash);
                last = uses_add(f, m, psk, ALICE, "", NULL);
        }
        uses_send(f, m);
        (void)wait_answer(f, last);

        g_assert_cmpuint(f->answers->len, ==, 60);
        g_assert_cmpuint(f->n_packets, <=, 10);
        g_assert_cmpuint(f->n_packets, >, 1); /* none waits for all */
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
        UsePacket *m = use_packet_new();
        uint64_t slow = uses_add(f, m, rsa, ALICE, "RSA-SHA256", hash);
        uint64_t fast = uses_add(f, m, psk, ALICE, "", NULL);

        uses_send(f, m);
        (void)wait_answer(f, slow);
        g_assert_cmpuint(((const Answer *)f->answers->pdata[0])->ticket, ==, fast);
        g_assert_cmpuint(f->n_packets, ==, 2);
}

/* More at once than may wait: some are refused, all are answered, and it goes on. */
static void test_answers_a_flood(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);
        g_autoptr(GBytes) spki = NULL;
        uint64_t id = import_key(f, GNUTLS_PK_RSA, 2048, &spki);
        UsePacket *m = use_packet_new();
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
        UsePacket *m = use_packet_new();

        for (unsigned i = 0; i < 20; i++)
                (void)uses_add(f, m, id, ALICE, "RSA-SHA256", hash);
        uses_send(f, m);
        close_uses(f);
        for (unsigned i = 0; i < 50; i++) /* the signatures come back to nobody */
                (void)sd_event_run(f->door.event, 10000);
}

static void test_passes_over_what_is_no_use(Fixture *f, gconstpointer data) {
        const uint64_t id = import_psk(f, "secret");

        g_assert_cmpint(send(f->fd, "hello", 5, 0), ==, 5);
        assert_answered(use(f, id, ALICE, "", NULL), "secret", 6);
}

/* Whatever comes: each head of noise is a use, or its packet is refused, and the next one is read.
 */
static void test_survives_noise(Fixture *f, gconstpointer data) {
        const uint64_t id = import_psk(f, "secret");
        GRand *rand = g_rand_new_with_seed(1);
        uint8_t packet[400];

        for (int i = 0; i < 2000; i++) {
                const Use head = {.ticket = 1 + (uint64_t)i, .key = id, .uid = ALICE};
                const gint32 size = g_rand_int_range(rand, 1, sizeof(packet));

                for (size_t j = 0; j < sizeof(packet); j++)
                        packet[j] = (uint8_t)g_rand_int(rand);
                if (i % 2) { /* a whole one, but for some bytes */
                        memcpy(packet, &head, sizeof(head));
                        for (int j = 0; j < 3; j++)
                                packet[g_rand_int_range(rand, 0, sizeof(head))] =
                                        (uint8_t)g_rand_int(rand);
                }
                g_assert_cmpint(send(f->fd, packet, (size_t)size, 0), ==, size);
                (void)sd_event_run(f->door.event, 0);
                (void)sd_event_run(f->door.event, 0);
        }
        g_rand_free(rand);
        f->last_ticket = UINT64_C(1) << 32;
        assert_answered(use(f, id, ALICE, "", NULL), "secret", 6);
}

/* More than the socket holds answers, which are not read yet. Returns the last ticket. */
static uint64_t ask_too_much(Fixture *f, uint64_t id) {
        UsePacket *m = use_packet_new();

        g_assert_cmpint(sd_event_source_set_enabled(f->source, SD_EVENT_OFF), >=, 0);
        for (unsigned i = 0; i < 2500; i++)
                (void)uses_add(f, m, id, ALICE, "", NULL);
        uses_send(f, m);
        (void)import_psk(f, "another"); /* other work goes on */
        return f->last_ticket;
}

/* The keyring reads no more until they are; then each is answered, once and in its order. */
static void test_keeps_what_is_not_read(Fixture *f, gconstpointer data) {
        g_autofree char *psk = g_strnfill(512, 'x');
        const uint64_t n = ask_too_much(f, import_psk(f, psk));

        g_assert_cmpint(sd_event_source_set_enabled(f->source, SD_EVENT_ON), >=, 0);
        (void)wait_answer(f, n);
        g_assert_cmpuint(f->answers->len, ==, n);
        for (guint i = 0; i < n; i++) {
                const Answer *answer = f->answers->pdata[i];

                g_assert_cmpuint(answer->ticket, ==, i + 1);
                assert_answered(answer, psk, 512);
        }
}

/* It ends with the keyring, and with the socket. */
static void test_forgets_what_is_not_read(Fixture *f, gconstpointer data) {
        g_autofree char *psk = g_strnfill(512, 'x');
        const uint64_t id = import_psk(f, psk);
        const int before = f->fd;

        (void)ask_too_much(f, id);
        f->source = sd_event_source_disable_unref(f->source);
        open_uses(f);
        (void)close(before);
        assert_answered(use(f, id, ALICE, "", NULL), psk, 512);
        g_assert_cmpuint(f->answers->len, ==, 1);
        (void)ask_too_much(f, id);
}

/* What was asked before is answered. */
static void test_removes_behind_uses(Fixture *f, gconstpointer data) {
        const uint64_t id = import_psk(f, "secret");
        g_autoptr(sd_bus_message) m = door_new_call(&f->door, "Remove");
        const uint64_t n = 20; /* packets: more than turns until the call is made */

        for (uint64_t i = 0; i < n; i++) {
                UsePacket *packet = use_packet_new();

                (void)uses_add(f, packet, id, ALICE, "", NULL);
                uses_send(f, packet);
        }
        g_assert_cmpint(sd_bus_message_append(m, "t", id), >=, 0);
        door_call(&f->door, m);
        (void)wait_answer(f, n);
        for (guint i = 0; i < n; i++)
                assert_answered(f->answers->pdata[i], "secret", 6);
        assert_refused(use(f, id, ALICE, "", NULL), ERROR_NAME("UnknownKey"), "no such key");
}

/* Of two ends the first is closed. */
static void test_opens_anew(Fixture *f, gconstpointer data) {
        const uint64_t id = import_psk(f, "secret");
        int before = dup(f->fd);
        uint8_t byte;

        close_uses(f);
        open_uses(f);
        g_assert_cmpint(recv(before, &byte, sizeof(byte), 0), ==, 0);
        (void)close(before);
        assert_answered(use(f, id, ALICE, "", NULL), "secret", 6);
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
        add("/server-uses/call/passes-over-what-is-no-use", test_passes_over_what_is_no_use);
        add("/server-uses/call/survives-noise", test_survives_noise);
        add("/server-uses/use/keeps-what-is-not-read", test_keeps_what_is_not_read);
        add("/server-uses/use/forgets-what-is-not-read", test_forgets_what_is_not_read);
        add("/server-uses/key/is-removed-behind-its-uses", test_removes_behind_uses);
        add("/server-uses/call/opens-anew", test_opens_anew);
        g_test_add_func("/server-uses/sign/names-raw-rsa-as-gnutls-does",
                        test_names_algorithms_as_gnutls_does);
        add("/server-uses/key/is-gone-when-it-is-removed", test_does_not_know_what_is_removed);
        return g_test_run();
}
