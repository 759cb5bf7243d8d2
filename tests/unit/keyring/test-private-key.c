/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* private-key: what its passphrase opens, and what is written of it. The forms it is read in are
 * told by test-vault.c. */

#include "keyring/private-key.h"
#include "material.h"

#include <string.h>

static Secret *secret_of(GBytes *bytes) {
        return secret_new(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

static void refused(const Secret *secret, const char *passphrase, const char *expected) {
        g_autoptr(Secret) phrase = passphrase ? secret_new(passphrase, strlen(passphrase)) : NULL;
        const char *text = "";
        PrivateKey *key;

        g_assert_cmpint(private_key_read(secret, phrase, &key, &text), ==, PRIVATE_KEY_E_BAD);
        if (!strstr(text, expected))
                g_error("'%s' does not say '%s'", text, expected);
}

static void what_is_written_is_read_again(void) {
        gnutls_x509_privkey_t material = material_key(GNUTLS_PK_ECDSA, 256);
        g_autoptr(GBytes) der = material_export(material, MATERIAL_TRADITIONAL_DER);
        g_autoptr(Secret) secret = secret_of(der);
        g_autoptr(PrivateKey) key = NULL, again = NULL;
        g_autoptr(Secret) written = NULL;
        const char *text = NULL;

        g_assert_cmpint(private_key_read(secret, NULL, &key, &text), ==, 0);
        g_assert_cmpint(private_key_write(key, &written), ==, 0);
        g_assert_cmpint(memcmp(secret_peek(written), "-----BEGIN PRIVATE KEY-----", 27), ==, 0);
        g_assert_cmpint(private_key_read(written, NULL, &again, &text), ==, 0);
        g_assert_true(g_bytes_equal(private_key_spki(key), private_key_spki(again)));
        gnutls_x509_privkey_deinit(material);
}

static void a_passphrase_opens_it(void) {
        gnutls_x509_privkey_t material = material_key(GNUTLS_PK_ECDSA, 256);

        for (MaterialForm form = MATERIAL_ENCRYPTED_PEM; form < N_MATERIAL_FORMS; form++) {
                g_autoptr(GBytes) bytes = material_export(material, form);
                g_autoptr(Secret) secret = secret_of(bytes), right = secret_new("passphrase", 10);
                g_autoptr(PrivateKey) key = NULL;
                const char *text = NULL;

                g_assert_cmpint(private_key_read(secret, right, &key, &text), ==, 0);
                refused(secret, "passphras", "the passphrase is not that of the private key");
                refused(secret, NULL, "encrypted");
        }
        gnutls_x509_privkey_deinit(material);
}

/* A key that openssl made, and whose passphrase is "x". */
static Secret *key_of_rounds(unsigned n_rounds) {
        g_autofree char *line =
                g_strdup_printf("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | "
                                "openssl pkcs8 -topk8 -passout pass:x -iter %u",
                                n_rounds);
        const char *const arguments[] = {"sh", "-c", line, NULL};
        g_autofree char *pem = NULL;
        int status;

        g_assert_true(g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                                   &pem, NULL, &status, NULL));
        g_assert_cmpint(status, ==, 0);
        return secret_new(pem, strlen(pem));
}

static void a_passphrase_takes_a_million_rounds_at_most(void) {
        g_autoptr(Secret) most = key_of_rounds(PRIVATE_KEY_ITERATIONS_MAX);
        g_autoptr(Secret) more = key_of_rounds(PRIVATE_KEY_ITERATIONS_MAX + 1);
        g_autoptr(Secret) right = secret_new("x", 1);
        g_autoptr(PrivateKey) key = NULL;
        const char *text = NULL;

        g_assert_cmpint(private_key_read(most, right, &key, &text), ==, 0);
        refused(more, "x", "more than a million rounds");
}

/* GnuTLS computes with its numbers before it says how long they are. */
static void what_is_longer_than_any_is_not_looked_at(void) {
        gnutls_x509_privkey_t material = material_key(GNUTLS_PK_ECDSA, 256);
        g_autoptr(GBytes) pem = material_export(material, MATERIAL_PKCS8_PEM);
        size_t size = g_bytes_get_size(pem);
        g_autofree char *bytes = g_malloc0(PRIVATE_KEY_SIZE_MAX + 1);
        g_autoptr(Secret) longest = NULL, longer = NULL;
        g_autoptr(PrivateKey) key = NULL;
        const char *text = NULL;

        memset(bytes, '\n', PRIVATE_KEY_SIZE_MAX + 1);
        memcpy(bytes, g_bytes_get_data(pem, NULL), size);
        longest = secret_new(bytes, PRIVATE_KEY_SIZE_MAX);
        longer = secret_new(bytes, PRIVATE_KEY_SIZE_MAX + 1);
        g_assert_cmpint(private_key_read(longest, NULL, &key, &text), ==, 0);
        refused(longer, NULL, "longer than 16 KiB");
        gnutls_x509_privkey_deinit(material);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/private-key/what-is-written-is-read-again",
                        what_is_written_is_read_again);
        g_test_add_func("/private-key/a-passphrase-opens-it", a_passphrase_opens_it);
        g_test_add_func("/private-key/a-passphrase-takes-a-million-rounds-at-most",
                        a_passphrase_takes_a_million_rounds_at_most);
        g_test_add_func("/private-key/what-is-longer-than-any-is-not-looked-at",
                        what_is_longer_than_any_is_not_looked_at);
        return g_test_run();
}
