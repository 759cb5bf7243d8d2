/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* token: keys that stay in SoftHSM's token. */

#include "identity/chain.h"
#include "keyring/token.h"
#include "lib/certificates.h"
#include "lib/token.h"
#include "material.h"

#include <gnutls/x509.h>
#include <string.h>

#define TEXT "to be signed"
#define LIMIT_USEC (30 * G_USEC_PER_SEC)

static GBytes *spki_of(const TestIdentity *identity) {
        return material_spki(test_identity_key(identity));
}

static Token *token_of(const char *uri, const char *pin, const TestIdentity *identity) {
        g_autoptr(Secret) name = secret_new(uri, strlen(uri));
        g_autoptr(Secret) phrase = pin ? secret_new(pin, strlen(pin)) : NULL;
        g_autoptr(GBytes) spki = spki_of(identity);
        const char *text = NULL;
        Token *token = NULL;

        if (token_new(name, phrase, spki, &token, &text) != 0)
                g_error("%s", text);
        return token;
}

static void unusable(Token *token, const char *expected) {
        const char *text = "";

        g_assert_cmpint(token_try(token, &text), ==, TOKEN_E_UNUSABLE);
        if (!strstr(text, expected))
                g_error("'%s' does not say '%s'", text, expected);
}

static bool signs(Token *token, const TestIdentity *identity, gnutls_sign_algorithm_t algorithm) {
        const gnutls_datum_t input = {(unsigned char *)TEXT, strlen(TEXT)};
        g_autoptr(GBytes) spki = spki_of(identity);
        gnutls_datum_t signature = {NULL, 0};
        bool good;

        if (token_sign(token, algorithm, /* is_hash= */ false, &input, &signature) != 0)
                return false;

        good = material_verifies(spki, algorithm, TEXT, signature.data, signature.size);
        gnutls_free(signature.data);
        return good;
}

static void signs_with_keys_of_each_type(void) {
        static const struct {
                TestKeyType type;
                gnutls_sign_algorithm_t algorithm;
        } types[] = {
                {TEST_KEY_ECDSA, GNUTLS_SIGN_ECDSA_SHA256},
                {TEST_KEY_RSA_2048, GNUTLS_SIGN_RSA_SHA256},
                {TEST_KEY_RSA_2048, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256},
                {TEST_KEY_ED25519, GNUTLS_SIGN_EDDSA_ED25519},
        };
        g_autoptr(TestToken) hsm = test_token_new();

        for (size_t i = 0; hsm && i < G_N_ELEMENTS(types); i++) {
                g_autoptr(TestIdentity) identity = test_identity_new("x", NULL, 0, types[i].type);
                g_autofree char *label = g_strdup_printf("key%zu", i);
                g_autofree char *uri = test_token_import(hsm, identity, label);
                g_autoptr(Token) token = token_of(uri, TEST_TOKEN_PIN, identity);

                g_assert_true(signs(token, identity, types[i].algorithm));
                g_assert_true(signs(token, identity, types[i].algorithm));
        }
}

static void says_what_is_wrong(void) {
        g_autoptr(TestToken) hsm = test_token_new();
        g_autoptr(TestIdentity) first = test_identity_new("x", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) second = test_identity_new("x", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(Token) wrong = NULL, none = NULL, other = NULL, mixed = NULL, good = NULL;
        g_autofree char *uri = NULL;
        const char *text = NULL;

        if (!hsm)
                return;

        uri = test_token_import(hsm, first, "mine");
        wrong = token_of(uri, "12345", first);
        unusable(wrong, "refuses the PIN");
        none = token_of(uri, NULL, first);
        unusable(none, "give it as the passphrase");
        other = token_of("pkcs11:token=gate;object=other", TEST_TOKEN_PIN, first);
        unusable(other, "is it there?");
        mixed = token_of(uri, TEST_TOKEN_PIN, second);
        unusable(mixed, "not that of the first certificate");
        good = token_of(uri, TEST_TOKEN_PIN, first);
        g_assert_cmpint(token_try(good, &text), ==, 0);
}

static void a_uri_has_its_form(void) {
        static const struct {
                const char *uri, *expected;
        } wrong[] = {
                {"x", "begins with pkcs11:"},
                {"pkcs11:", "begins with pkcs11:"},
                {"pkcs11:token=x?pin-value=1234", "give the PIN as the passphrase"},
                {"pkcs11:token=x?module-path=/tmp/x.so", "no part behind a question mark"},
        };
        g_autoptr(TestIdentity) identity = test_identity_new("x", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(GBytes) spki = spki_of(identity);

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_autoptr(Secret) uri = secret_new(wrong[i].uri, strlen(wrong[i].uri));
                const char *text = "";
                Token *token;

                g_assert_cmpint(token_new(uri, NULL, spki, &token, &text), ==, TOKEN_E_BAD_URI);
                g_assert_nonnull(strstr(text, wrong[i].expected));
        }
}

static void what_is_written_is_read_again(void) {
        g_autoptr(TestToken) hsm = test_token_new();
        g_autoptr(TestIdentity) identity = test_identity_new("x", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(GBytes) spki = spki_of(identity);
        g_autoptr(Token) token = NULL, again = NULL;
        g_autoptr(Secret) written = NULL;
        g_autofree char *uri = NULL;
        const char *text = NULL;

        if (!hsm)
                return;

        uri = test_token_import(hsm, identity, "mine");
        token = token_of(uri, TEST_TOKEN_PIN, identity);
        g_assert_cmpint(token_write(token, &written), ==, 0);
        g_assert_cmpint(token_read(written, spki, &again, &text), ==, 0);
        g_assert_true(signs(again, identity, GNUTLS_SIGN_ECDSA_SHA256));
}

static void one_that_comes_back_is_found(void) {
        g_autoptr(TestToken) hsm = test_token_new();
        g_autoptr(TestIdentity) identity = test_identity_new("x", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(Token) token = NULL;
        g_autofree char *uri = NULL;

        if (!hsm)
                return;

        uri = test_token_import(hsm, identity, "mine");
        test_token_set_present(hsm, false);
        token = token_of(uri, TEST_TOKEN_PIN, identity);
        unusable(token, "is it there?");
        g_assert_false(signs(token, identity, GNUTLS_SIGN_ECDSA_SHA256));

        test_token_set_present(hsm, true);
        g_assert_true(signs(token, identity, GNUTLS_SIGN_ECDSA_SHA256));
}

static void wait_signs(Token *token, const TestIdentity *identity, gint64 limit) {
        while (!signs(token, identity, GNUTLS_SIGN_ECDSA_SHA256)) {
                g_assert_cmpint(g_get_monotonic_time(), <, limit);
                g_usleep(10000); /* nobody tells when a token is back */
        }
}

/* Two keys of it are in use, and one of them does nothing meanwhile. */
static void one_that_is_pulled_is_found_when_it_is_back(void) {
        g_autoptr(TestToken) hsm = test_token_new();
        g_autoptr(TestIdentity) one = test_identity_new("x", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) other = test_identity_new("y", NULL, 0, TEST_KEY_ED25519);
        g_autofree char *uri = NULL, *other_uri = NULL;
        g_autoptr(Token) token = NULL, idle = NULL;

        if (!hsm)
                return;

        uri = test_token_import(hsm, one, "one");
        other_uri = test_token_import(hsm, other, "other");
        token = token_of(uri, TEST_TOKEN_PIN, one);
        idle = token_of(other_uri, TEST_TOKEN_PIN, other);
        g_assert_true(signs(token, one, GNUTLS_SIGN_ECDSA_SHA256));
        g_assert_true(signs(idle, other, GNUTLS_SIGN_EDDSA_ED25519));

        for (int i = 0; i < 2; i++) {
                gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

                test_token_set_present(hsm, false);
                g_assert_false(signs(token, one, GNUTLS_SIGN_ECDSA_SHA256));
                unusable(token, "is it there?");
                test_token_set_present(hsm, true);
                wait_signs(token, one, limit);
                g_assert_true(signs(idle, other, GNUTLS_SIGN_EDDSA_ED25519));
        }
}

static void wait_unusable(Token *token, const char *expected) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        const char *text = "";

        while (token_try(token, &text) == 0 || !strstr(text, expected)) {
                if (g_get_monotonic_time() > limit)
                        g_error("'%s' does not say '%s'", text, expected);
                g_usleep(10000);
        }
}

/* Another's key of the same name signs nothing for this one. */
static void one_that_is_another_is_refused(void) {
        g_autoptr(TestToken) hsm = test_token_new();
        g_autoptr(TestIdentity) right = test_identity_new("x", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) wrong = test_identity_new("x", NULL, 0, TEST_KEY_ECDSA);
        g_autofree char *uri = NULL, *other_uri = NULL, *again = NULL;
        g_autoptr(Token) token = NULL;

        if (!hsm)
                return;

        uri = test_token_import(hsm, right, "mine");
        token = token_of(uri, TEST_TOKEN_PIN, right);
        g_assert_true(signs(token, right, GNUTLS_SIGN_ECDSA_SHA256));

        test_token_replace(hsm);
        g_assert_false(signs(token, right, GNUTLS_SIGN_ECDSA_SHA256));
        other_uri = test_token_import(hsm, wrong, "mine");
        g_assert_cmpstr(other_uri, ==, uri);
        wait_unusable(token, "not that of the first certificate");
        g_assert_false(signs(token, right, GNUTLS_SIGN_ECDSA_SHA256));

        test_token_replace(hsm);
        again = test_token_import(hsm, right, "mine");
        wait_signs(token, right, g_get_monotonic_time() + LIMIT_USEC);
}

typedef struct Busy {
        Token *token;
        TestIdentity *identity;
        gint is_over;
        unsigned n_signed, n_failed;
} Busy;

static gpointer busy_work(gpointer data) {
        const gnutls_datum_t input = {(unsigned char *)TEXT, strlen(TEXT)};
        Busy *busy = data;
        g_autoptr(GBytes) spki = spki_of(busy->identity);

        while (!g_atomic_int_get(&busy->is_over)) {
                gnutls_datum_t signature = {NULL, 0};

                if (token_sign(busy->token, GNUTLS_SIGN_ECDSA_SHA256, /* is_hash= */ false, &input,
                               &signature) != 0) {
                        busy->n_failed++;
                        continue;
                }

                g_assert_true(material_verifies(spki, GNUTLS_SIGN_ECDSA_SHA256, TEXT,
                                                signature.data, signature.size));
                gnutls_free(signature.data);
                busy->n_signed++;
        }
        return NULL;
}

/* Whatever is under way then is made or is not; nothing comes of it that is no signature. */
static void one_may_be_pulled_while_it_signs(void) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        g_autoptr(TestToken) hsm = test_token_new();
        Busy busy[3] = {0};
        GThread *threads[G_N_ELEMENTS(busy)];

        for (size_t i = 0; hsm && i < G_N_ELEMENTS(busy); i++) {
                g_autofree char *label = g_strdup_printf("busy%zu", i), *uri = NULL;

                busy[i].identity = test_identity_new("x", NULL, 0, TEST_KEY_ECDSA);
                uri = test_token_import(hsm, busy[i].identity, label);
                busy[i].token = token_of(uri, TEST_TOKEN_PIN, busy[i].identity);
        }
        if (!hsm)
                return;

        for (size_t i = 0; i < G_N_ELEMENTS(busy); i++)
                wait_signs(busy[i].token, busy[i].identity, limit);
        for (size_t i = 0; i < G_N_ELEMENTS(busy); i++)
                threads[i] = g_thread_new("busy", busy_work, &busy[i]);
        for (int i = 0; i < 20; i++) {
                test_token_set_present(hsm, i % 2);
                g_usleep(20000); /* enough for some, and nothing rests on how many */
        }
        for (size_t i = 0; i < G_N_ELEMENTS(busy); i++) {
                g_atomic_int_set(&busy[i].is_over, 1);
                (void)g_thread_join(threads[i]);
                g_test_message("%u made, %u not", busy[i].n_signed, busy[i].n_failed);
        }

        limit = g_get_monotonic_time() + LIMIT_USEC;
        for (size_t i = 0; i < G_N_ELEMENTS(busy); i++) {
                wait_signs(busy[i].token, busy[i].identity, limit);
                token_free(busy[i].token);
                test_identity_free(busy[i].identity);
        }
}

int main(int argc, char **argv) {
        char *modules[] = {(char *)test_token_module(), NULL};

        g_test_init(&argc, &argv, NULL);
        token_allow_modules(modules);
        g_test_add_func("/token/signs-with-keys-of-each-type", signs_with_keys_of_each_type);
        g_test_add_func("/token/says-what-is-wrong", says_what_is_wrong);
        g_test_add_func("/token/a-uri-has-its-form", a_uri_has_its_form);
        g_test_add_func("/token/what-is-written-is-read-again", what_is_written_is_read_again);
        g_test_add_func("/token/one-that-comes-back-is-found", one_that_comes_back_is_found);
        g_test_add_func("/token/one-that-is-pulled-is-found-when-it-is-back",
                        one_that_is_pulled_is_found_when_it_is_back);
        g_test_add_func("/token/one-that-is-another-is-refused", one_that_is_another_is_refused);
        g_test_add_func("/token/one-may-be-pulled-while-it-signs",
                        one_may_be_pulled_while_it_signs);
        return g_test_run();
}
