/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "keyring/signer.h"
#include "material.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALICE 1000
#define BOB 1001
#define LIMIT_USEC (30 * G_USEC_PER_SEC)
#define TEXT "what is signed"

typedef struct Fixture {
        sd_event *event;
        Vault *vault;
        Signer *signer;
} Fixture;

typedef struct Heard Heard;

struct Heard {
        unsigned n_answers;
        int outcome;
        GBytes *signature;
        const Heard *other; /* how many answers that one had when ours came */
        unsigned n_other;
};

static void fixture_set_up(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(signer_new(f->event, &f->signer), ==, 0);
        f->vault = vault_new();
}

static void fixture_tear_down(Fixture *f, gconstpointer data) {
        signer_free(f->signer);
        vault_free(f->vault);
        sd_event_unref(f->event);
}

static VaultKey *fixture_key(Fixture *f, uid_t uid, gnutls_pk_algorithm_t algorithm,
                             unsigned bits) {
        gnutls_x509_privkey_t private = material_key(algorithm, bits);
        g_autoptr(GBytes) bytes = material_export(private, MATERIAL_PKCS8_DER);
        g_autoptr(Secret) secret = NULL;
        const char *text;
        VaultKey *key;
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);

        secret = secret_new(data, size);
        g_assert_cmpint(vault_import_private_key(f->vault, uid, secret, &key, &text), ==, 0);
        gnutls_x509_privkey_deinit(private);
        return key;
}

static void on_answer(int outcome, const void *signature, size_t size, void *userdata) {
        Heard *heard = userdata;

        heard->n_answers++;
        heard->outcome = outcome;
        g_clear_pointer(&heard->signature, g_bytes_unref);
        heard->signature = g_bytes_new(signature, size);
        if (heard->other)
                heard->n_other = heard->other->n_answers;
}

static void heard_done(Heard *heard) {
        g_clear_pointer(&heard->signature, g_bytes_unref);
}

static void wait_for(Fixture *f, const Heard *heard, unsigned n_answers) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (heard->n_answers < n_answers) {
                g_assert_cmpint(g_get_monotonic_time(), <, limit);
                g_assert_cmpint(sd_event_run(f->event, 100000), >=, 0);
        }
}

static SignerRequest request_for(VaultKey *key, const char *algorithm, GBytes *input) {
        SignerRequest request = {
                .uid = vault_key_uid(key),
                .key = key,
                .algorithm = algorithm,
                .is_hash = !g_str_equal(algorithm, "EdDSA-Ed25519"),
        };

        request.input = g_bytes_get_data(input, &request.size);
        return request;
}

/* Signs @input and checks the signature as @verified, the algorithm a peer would name. */
static void sign_and_verify(Fixture *f, VaultKey *key, gnutls_sign_algorithm_t algorithm,
                            gnutls_sign_algorithm_t verified, GBytes *input) {
        SignerRequest request = request_for(key, gnutls_sign_get_name(algorithm), input);
        Heard heard = {0};
        gsize size;
        const void *signature;

        g_assert_null(signer_refusal(&request));
        g_assert_cmpint(signer_sign(f->signer, &request, on_answer, &heard), ==, 0);
        wait_for(f, &heard, 1);
        g_assert_cmpint(heard.outcome, ==, 0);
        signature = g_bytes_get_data(heard.signature, &size);
        g_assert_true(material_verifies(private_key_spki(vault_key_private(key)), verified, TEXT,
                                        signature, size));
        g_assert_false(material_verifies(private_key_spki(vault_key_private(key)), verified,
                                         TEXT ".", signature, size));
        heard_done(&heard);
}

static void sign_hash(Fixture *f, VaultKey *key, gnutls_sign_algorithm_t algorithm) {
        gnutls_digest_algorithm_t hash = gnutls_sign_get_hash_algorithm(algorithm);
        g_autoptr(GBytes) input = material_hash(hash, TEXT);

        sign_and_verify(f, key, algorithm, algorithm, input);
}

static void sign_raw(Fixture *f, VaultKey *key, gnutls_sign_algorithm_t verified) {
        gnutls_digest_algorithm_t hash = gnutls_sign_get_hash_algorithm(verified);
        g_autoptr(GBytes) input = material_digest_info(hash, TEXT);

        sign_and_verify(f, key, GNUTLS_SIGN_RSA_RAW, verified, input);
}

static void test_signs_with_rsa(Fixture *f, gconstpointer data) {
        VaultKey *key = fixture_key(f, ALICE, GNUTLS_PK_RSA, 2048);

        sign_raw(f, key, GNUTLS_SIGN_RSA_SHA256);
        sign_raw(f, key, GNUTLS_SIGN_RSA_SHA384);
        sign_raw(f, key, GNUTLS_SIGN_RSA_SHA512);
        sign_hash(f, key, GNUTLS_SIGN_RSA_SHA256);
        sign_hash(f, key, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256);
        sign_hash(f, key, GNUTLS_SIGN_RSA_PSS_RSAE_SHA384);
        sign_hash(f, key, GNUTLS_SIGN_RSA_PSS_RSAE_SHA512);
}

static void test_signs_with_rsa_pss(Fixture *f, gconstpointer data) {
        VaultKey *key = fixture_key(f, ALICE, GNUTLS_PK_RSA_PSS, 2048);

        sign_hash(f, key, GNUTLS_SIGN_RSA_PSS_SHA256);
        sign_hash(f, key, GNUTLS_SIGN_RSA_PSS_SHA384);
        sign_hash(f, key, GNUTLS_SIGN_RSA_PSS_SHA512);
}

static void test_signs_with_ecdsa(Fixture *f, gconstpointer data) {
        VaultKey *p256 = fixture_key(f, ALICE, GNUTLS_PK_ECDSA, 256);
        VaultKey *p384 = fixture_key(f, ALICE, GNUTLS_PK_ECDSA, 384);
        VaultKey *p521 = fixture_key(f, ALICE, GNUTLS_PK_ECDSA, 521);

        sign_hash(f, p256, GNUTLS_SIGN_ECDSA_SHA256);
        sign_hash(f, p256, GNUTLS_SIGN_ECDSA_SHA512);
        sign_hash(f, p384, GNUTLS_SIGN_ECDSA_SHA384);
        sign_hash(f, p521, GNUTLS_SIGN_ECDSA_SHA512);
}

static void test_signs_with_ed25519(Fixture *f, gconstpointer data) {
        VaultKey *key = fixture_key(f, ALICE, GNUTLS_PK_EDDSA_ED25519, 0);
        g_autoptr(GBytes) input = g_bytes_new(TEXT, strlen(TEXT));

        sign_and_verify(f, key, GNUTLS_SIGN_EDDSA_ED25519, GNUTLS_SIGN_EDDSA_ED25519, input);
}

static void assert_refused(VaultKey *key, const char *algorithm, bool is_hash, const void *input,
                           size_t size) {
        SignerRequest request = {
                .uid = vault_key_uid(key),
                .key = key,
                .algorithm = algorithm,
                .is_hash = is_hash,
                .input = input,
                .size = size,
        };

        g_assert_nonnull(signer_refusal(&request));
}

static void test_refuses_algorithms(Fixture *f, gconstpointer data) {
        VaultKey *rsa = fixture_key(f, ALICE, GNUTLS_PK_RSA, 2048);
        VaultKey *ecdsa = fixture_key(f, ALICE, GNUTLS_PK_ECDSA, 256);
        VaultKey *ed25519 = fixture_key(f, ALICE, GNUTLS_PK_EDDSA_ED25519, 0);
        const uint8_t bytes[64] = {1};

        assert_refused(rsa, "", true, bytes, 32);
        assert_refused(rsa, "no-such-thing", true, bytes, 32);
        assert_refused(rsa, "RSA-SHA1", true, bytes, 20);
        assert_refused(rsa, "RSA-MD5", true, bytes, 16);
        assert_refused(rsa, "RSA-SHA224", true, bytes, 28);
        assert_refused(ecdsa, "ECDSA-SHA1", true, bytes, 20);
        assert_refused(rsa, "ECDSA-SHA256", true, bytes, 32);
        assert_refused(ecdsa, "RSA-RAW", true, bytes, 51);
        assert_refused(ecdsa, "RSA-PSS-RSAE-SHA256", true, bytes, 32);
        assert_refused(ed25519, "ECDSA-SHA256", true, bytes, 32);
        assert_refused(ecdsa, "EdDSA-Ed25519", false, bytes, 32);
        assert_refused(ecdsa, "ECDSA-SHA256", false, bytes, 32);
        assert_refused(ed25519, "EdDSA-Ed25519", true, bytes, 64);
}

static void test_refuses_lengths(Fixture *f, gconstpointer data) {
        VaultKey *ecdsa = fixture_key(f, ALICE, GNUTLS_PK_ECDSA, 256);
        VaultKey *rsa = fixture_key(f, ALICE, GNUTLS_PK_RSA, 2048);
        VaultKey *ed25519 = fixture_key(f, ALICE, GNUTLS_PK_EDDSA_ED25519, 0);
        g_autofree uint8_t *bytes = g_malloc0(SIGNER_MESSAGE_MAX + 1);

        for (size_t size = 0; size < 100; size++) {
                if (size != 32)
                        assert_refused(ecdsa, "ECDSA-SHA256", true, bytes, size);
                if (size != 48)
                        assert_refused(rsa, "RSA-PSS-RSAE-SHA384", true, bytes, size);
        }
        assert_refused(ed25519, "EdDSA-Ed25519", false, bytes, 0);
        assert_refused(ed25519, "EdDSA-Ed25519", false, bytes, SIGNER_MESSAGE_MAX + 1);
}

/* RSA-RAW would sign whatever fits the modulus: anything but a DigestInfo is an oracle. */
static void test_refuses_raw_rsa_of_anything_else(Fixture *f, gconstpointer data) {
        VaultKey *rsa = fixture_key(f, ALICE, GNUTLS_PK_RSA, 2048);
        g_autoptr(GBytes) sha1 = material_digest_info(GNUTLS_DIG_SHA1, TEXT);
        g_autoptr(GBytes) sha224 = material_digest_info(GNUTLS_DIG_SHA224, TEXT);
        g_autoptr(GBytes) sha256 = material_digest_info(GNUTLS_DIG_SHA256, TEXT);
        const size_t n_prefix = 19, size = g_bytes_get_size(sha256);
        uint8_t copy[128] = {0};

        for (size_t i = 0; i <= sizeof(copy); i++)
                assert_refused(rsa, "RSA-RAW", true, copy, i); /* 36: MD5 with SHA-1 */
        assert_refused(rsa, "RSA-RAW", true, g_bytes_get_data(sha1, NULL), g_bytes_get_size(sha1));
        assert_refused(rsa, "RSA-RAW", true, g_bytes_get_data(sha224, NULL),
                       g_bytes_get_size(sha224));

        memcpy(copy, g_bytes_get_data(sha256, NULL), size);
        for (size_t i = 0; i < n_prefix; i++) {
                copy[i] ^= 1;
                assert_refused(rsa, "RSA-RAW", true, copy, size);
                copy[i] ^= 1;
        }
        for (size_t i = 0; i <= sizeof(copy); i++)
                if (i != size)
                        assert_refused(rsa, "RSA-RAW", true, copy, i);
        assert_refused(rsa, "RSA-RAW", false, copy, size);
}

/* The loop's thread makes it, where a thread's would wait: nothing has run the loop since. */
static void assert_at_once(Fixture *f, VaultKey *key, const char *algorithm, GBytes *input,
                           bool at_once) {
        SignerRequest request = request_for(key, algorithm, input);
        Heard heard = {0};

        g_assert_cmpint(signer_sign(f->signer, &request, on_answer, &heard), ==, 0);
        g_assert_cmpuint(heard.n_answers, ==, at_once ? 1 : 0);
        wait_for(f, &heard, 1);
        g_assert_cmpint(heard.outcome, ==, 0);
        heard_done(&heard);
}

static void test_makes_cheap_signatures_at_once_and_no_others(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);
        g_autofree uint8_t *bytes = g_malloc0(SIGNER_MESSAGE_MAX);
        g_autoptr(GBytes) message = g_bytes_new(bytes, 300);
        g_autoptr(GBytes) whole = g_bytes_new(bytes, SIGNER_MESSAGE_MAX);
        VaultKey *ed25519 = fixture_key(f, ALICE, GNUTLS_PK_EDDSA_ED25519, 0);

        assert_at_once(f, fixture_key(f, ALICE, GNUTLS_PK_ECDSA, 256), "ECDSA-SHA256", hash, true);
        assert_at_once(f, fixture_key(f, ALICE, GNUTLS_PK_ECDSA, 384), "ECDSA-SHA256", hash, false);
        assert_at_once(f, fixture_key(f, ALICE, GNUTLS_PK_RSA, 2048), "RSA-SHA256", hash, false);
        assert_at_once(f, ed25519, "EdDSA-Ed25519", message, true);
        assert_at_once(f, ed25519, "EdDSA-Ed25519", whole, false);
}

/* Behind as many signatures of a slow key of alice's as may wait. */
static void assert_does_not_wait(Fixture *f, VaultKey *fast) {
        VaultKey *slow = fixture_key(f, ALICE, GNUTLS_PK_RSA, 4096);
        g_autoptr(GBytes) input = material_hash(GNUTLS_DIG_SHA256, TEXT);
        SignerRequest many = request_for(slow, "RSA-SHA256", input);
        SignerRequest one = request_for(fast, "ECDSA-SHA256", input);
        Heard slow_heard = {0}, fast_heard = {.other = &slow_heard};

        for (unsigned i = 0; i < SIGNER_QUEUE_PER_UID_MAX; i++)
                g_assert_cmpint(signer_sign(f->signer, &many, on_answer, &slow_heard), ==, 0);
        g_assert_cmpint(signer_sign(f->signer, &one, on_answer, &fast_heard), ==, 0);

        wait_for(f, &fast_heard, 1);
        g_assert_cmpuint(fast_heard.n_other, <, SIGNER_QUEUE_PER_UID_MAX / 4);
        wait_for(f, &slow_heard, SIGNER_QUEUE_PER_UID_MAX);
        heard_done(&slow_heard);
        heard_done(&fast_heard);
}

static void test_slow_keys_do_not_delay_others(Fixture *f, gconstpointer data) {
        assert_does_not_wait(f, fixture_key(f, BOB, GNUTLS_PK_ECDSA, 384));
}

/* An administrator's keys are used by one service user as well: its slow one is not in the way. */
static void test_a_slow_key_does_not_delay_another_of_its_user(Fixture *f, gconstpointer data) {
        assert_does_not_wait(f, fixture_key(f, ALICE, GNUTLS_PK_ECDSA, 384));
}

/* With every thread at work for two users, a third does not wait behind their queues. */
static void test_users_take_turns(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) input = material_hash(GNUTLS_DIG_SHA256, TEXT);
        VaultKey *last = fixture_key(f, 3, GNUTLS_PK_ECDSA, 384);
        SignerRequest one = request_for(last, "ECDSA-SHA256", input);
        Heard slow_heard = {0}, fast_heard = {.other = &slow_heard};
        const unsigned n_each = 40;

        for (uid_t uid = 1; uid <= 2; uid++) {
                VaultKey *slow = fixture_key(f, uid, GNUTLS_PK_RSA, 2048);
                SignerRequest many = request_for(slow, "RSA-SHA256", input);

                for (unsigned i = 0; i < n_each; i++)
                        g_assert_cmpint(signer_sign(f->signer, &many, on_answer, &slow_heard), ==,
                                        0);
        }
        g_assert_cmpint(signer_sign(f->signer, &one, on_answer, &fast_heard), ==, 0);
        wait_for(f, &fast_heard, 1);
        g_assert_cmpuint(fast_heard.n_other, <, n_each / 2);
        wait_for(f, &slow_heard, 2 * n_each);
        heard_done(&slow_heard);
        heard_done(&fast_heard);
}

static void test_bounds_the_queue_of_a_uid(Fixture *f, gconstpointer data) {
        VaultKey *alice = fixture_key(f, ALICE, GNUTLS_PK_RSA, 2048);
        VaultKey *bob = fixture_key(f, BOB, GNUTLS_PK_ECDSA, 384);
        g_autoptr(GBytes) input = material_hash(GNUTLS_DIG_SHA256, TEXT);
        SignerRequest many = request_for(alice, "RSA-SHA256", input);
        SignerRequest one = request_for(bob, "ECDSA-SHA256", input);
        const unsigned n_fits = SIGNER_QUEUE_PER_UID_MAX + SIGNER_WORKERS_PER_UID;
        Heard heard = {0}, bobs = {0};

        for (unsigned i = 0; i < n_fits; i++) /* nothing comes back before the loop runs */
                g_assert_cmpint(signer_sign(f->signer, &many, on_answer, &heard), ==, 0);
        g_assert_cmpint(signer_sign(f->signer, &many, on_answer, &heard), ==, SIGNER_E_BUSY);
        g_assert_cmpint(signer_sign(f->signer, &one, on_answer, &bobs), ==, 0);

        wait_for(f, &heard, n_fits);
        wait_for(f, &bobs, 1);
        g_assert_cmpint(signer_sign(f->signer, &many, on_answer, &heard), ==, 0);
        wait_for(f, &heard, n_fits + 1);
        heard_done(&heard);
        heard_done(&bobs);
}

static void test_bounds_the_queue_of_all(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) input = material_hash(GNUTLS_DIG_SHA256, TEXT);
        unsigned n_accepted = 0;
        Heard heard = {0};

        for (uid_t uid = 1; uid <= 12; uid++) {
                VaultKey *key = fixture_key(f, uid, GNUTLS_PK_ECDSA, 384);
                SignerRequest many = request_for(key, "ECDSA-SHA256", input);

                while (signer_sign(f->signer, &many, on_answer, &heard) == 0)
                        n_accepted++;
        }
        g_assert_cmpuint(n_accepted, ==, SIGNER_QUEUE_MAX + SIGNER_WORKERS);
        wait_for(f, &heard, n_accepted);
        heard_done(&heard);
}

static void test_free_answers_what_waits(Fixture *f, gconstpointer data) {
        VaultKey *key = fixture_key(f, ALICE, GNUTLS_PK_RSA, 2048);
        g_autoptr(GBytes) input = material_hash(GNUTLS_DIG_SHA256, TEXT);
        SignerRequest request = request_for(key, "RSA-SHA256", input);
        g_autoptr(VaultKey) removed = NULL;
        Heard heard = {0};

        for (unsigned i = 0; i < 10; i++)
                g_assert_cmpint(signer_sign(f->signer, &request, on_answer, &heard), ==, 0);
        g_assert_cmpint(vault_remove(f->vault, vault_key_id(key), &removed), ==, 0);
        f->signer = signer_free(f->signer);
        g_assert_cmpuint(heard.n_answers, ==, 10);
        g_assert_cmpint(heard.outcome, ==, SIGNER_E_STOPPED);
        heard_done(&heard);
}

/* ---- tokens ---- */

/* A module that hangs while it is loaded: a pipe that nobody writes to. */
static char *hanging_module(void) {
        g_autofree char *folder = g_dir_make_tmp("dtlsd-signer.XXXXXX", NULL);
        char *path = g_build_filename(folder, "module.so", NULL);
        char *paths[] = {path, NULL};

        g_assert_cmpint(mkfifo(path, 0600), ==, 0);
        token_allow_modules(paths);
        return path;
}

/* Whoever waits for it finds it empty, and nobody finds it any more. */
static void hanging_module_end(Fixture *f, char *path) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        g_autofree char *folder = g_path_get_dirname(path);
        int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

        while (fd < 0) { /* until somebody waits */
                g_assert_cmpint(g_get_monotonic_time(), <, limit);
                g_assert_cmpint(sd_event_run(f->event, 1000), >=, 0);
                fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        }
        g_assert_cmpint(unlink(path), ==, 0);
        (void)close(fd);
        (void)rmdir(folder);
        g_free(path);
}

static VaultKey *fixture_token_key(Fixture *f) {
        gnutls_x509_privkey_t material = material_key(GNUTLS_PK_ECDSA, 256);
        g_autoptr(GBytes) spki = material_spki(material);
        g_autoptr(Secret) uri = secret_new("pkcs11:token=gate", 17);
        g_autoptr(PrivateKey) private = NULL;
        const char *text;
        VaultKey *key;
        Token *token;

        g_assert_cmpint(token_new(uri, NULL, spki, &token, &text), ==, 0);
        private = private_key_of_token(token, spki);
        g_assert_cmpint(vault_share_private_key(f->vault, 0, private, &key, &text), ==, 0);
        gnutls_x509_privkey_deinit(material);
        return key;
}

static void test_a_token_that_hangs_holds_up_no_key_in_memory(Fixture *f, gconstpointer data) {
        g_autoptr(GBytes) input = material_hash(GNUTLS_DIG_SHA256, TEXT);
        VaultKey *rsa = fixture_key(f, ALICE, GNUTLS_PK_RSA, 2048);
        Heard hung[SIGNER_WORKERS] = {0}, heard = {0};
        SignerRequest request;
        char *module = hanging_module();

        for (unsigned i = 0; i < SIGNER_WORKERS; i++) {
                request = request_for(fixture_token_key(f), "ECDSA-SHA256", input);
                request.uid = ALICE + i;
                g_assert_null(signer_refusal(&request));
                g_assert_cmpint(signer_sign(f->signer, &request, on_answer, &hung[i]), ==, 0);
        }

        request = request_for(rsa, "RSA-SHA256", input);
        g_assert_cmpint(signer_sign(f->signer, &request, on_answer, &heard), ==, 0);
        wait_for(f, &heard, 1);
        g_assert_cmpint(heard.outcome, ==, 0);
        for (unsigned i = 0; i < SIGNER_WORKERS; i++)
                g_assert_cmpuint(hung[i].n_answers, ==, 0);

        hanging_module_end(f, module);
        for (unsigned i = 0; i < SIGNER_WORKERS; i++) {
                wait_for(f, &hung[i], 1);
                g_assert_cmpint(hung[i].outcome, ==, SIGNER_E_ABSENT);
                heard_done(&hung[i]);
        }
        heard_done(&heard);
}

static void add(const char *name, void (*test)(Fixture *, gconstpointer)) {
        g_test_add(name, Fixture, NULL, fixture_set_up, test, fixture_tear_down);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        add("/signer/sign/rsa-verifies-with-the-public-key", test_signs_with_rsa);
        add("/signer/sign/rsa-pss-verifies-with-the-public-key", test_signs_with_rsa_pss);
        add("/signer/sign/ecdsa-verifies-with-the-public-key", test_signs_with_ecdsa);
        add("/signer/sign/ed25519-verifies-with-the-public-key", test_signs_with_ed25519);
        add("/signer/refusal/knows-the-algorithms-of-a-key", test_refuses_algorithms);
        add("/signer/refusal/knows-the-length-of-a-hash", test_refuses_lengths);
        add("/signer/refusal/lets-raw-rsa-sign-only-a-digest-info",
            test_refuses_raw_rsa_of_anything_else);
        add("/signer/turn/makes-cheap-signatures-at-once-and-no-others",
            test_makes_cheap_signatures_at_once_and_no_others);
        add("/signer/turn/an-rsa-4096-key-does-not-delay-another-user",
            test_slow_keys_do_not_delay_others);
        add("/signer/turn/an-rsa-4096-key-does-not-delay-another-key-of-its-user",
            test_a_slow_key_does_not_delay_another_of_its_user);
        add("/signer/turn/a-token-that-hangs-holds-up-no-key-in-memory",
            test_a_token_that_hangs_holds_up_no_key_in_memory);
        add("/signer/turn/users-are-served-in-turn", test_users_take_turns);
        add("/signer/limit/bounds-the-queue-of-a-uid", test_bounds_the_queue_of_a_uid);
        add("/signer/limit/bounds-the-queue-of-all", test_bounds_the_queue_of_all);
        add("/signer/free/answers-what-waits", test_free_answers_what_waits);
        return g_test_run();
}
