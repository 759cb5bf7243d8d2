/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chain: certificates in order and within bounds. */

#include "identity/chain.h"
#include "lib/certificates.h"

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static TestIdentity *root, *inter, *leaf, *stranger;

static void assert_refused(GPtrArray *taken, ChainOutcome outcome) {
        g_autoptr(GPtrArray) blobs = taken;
        Chain *chain = NULL;

        g_assert_cmpint(chain_new(blobs, &chain), ==, outcome);
        g_assert_null(chain);
        g_assert_cmpstr(chain_outcome_text(outcome), !=, "");
}

static Chain *assert_accepted(GPtrArray *taken) {
        g_autoptr(GPtrArray) blobs = taken;
        Chain *chain = NULL;

        g_assert_cmpint(chain_new(blobs, &chain), ==, 0);
        return chain;
}

static void test_der_and_pem_are_the_same_chain(void) {
        g_autoptr(GBytes) pem = test_chain_pem(leaf, inter, root, NULL);
        g_autoptr(Chain) from_ders = assert_accepted(test_chain_ders(leaf, inter, root, NULL));
        g_autoptr(Chain) from_pem = assert_accepted(test_blobs(pem, NULL));
        g_autoptr(Chain) mixed = assert_accepted(test_blobs(
                test_identity_pem(leaf), test_identity_der(inter), test_identity_pem(root), NULL));
        const Chain *const chains[] = {from_ders, from_pem, mixed};
        const TestIdentity *const identities[] = {leaf, inter, root};

        for (size_t i = 0; i < G_N_ELEMENTS(chains); i++) {
                g_assert_cmpuint(chain_count(chains[i]), ==, 3);
                for (size_t j = 0; j < 3; j++)
                        g_assert_true(g_bytes_equal(chain_der(chains[i], j),
                                                    test_identity_der(identities[j])));
        }
}

static void test_nothing_is_empty(void) {
        assert_refused(test_blobs(NULL, NULL), CHAIN_E_EMPTY);
}

static void test_what_is_no_certificate_is_refused(void) {
        g_autoptr(GBytes) nothing = g_bytes_new_static("", 0);
        g_autoptr(GBytes) noise = g_bytes_new_static("noise", 5);
        g_autoptr(GBytes) cut = g_bytes_new_from_bytes(test_identity_der(leaf), 0, 100);

        assert_refused(test_blobs(nothing, NULL), CHAIN_E_NOT_CERTIFICATE);
        assert_refused(test_blobs(noise, NULL), CHAIN_E_NOT_CERTIFICATE);
        assert_refused(test_blobs(cut, NULL), CHAIN_E_NOT_CERTIFICATE);
        assert_refused(test_blobs(test_identity_der(leaf), noise, NULL), CHAIN_E_NOT_CERTIFICATE);
        assert_refused(test_blobs(test_identity_key_pem(leaf), NULL), CHAIN_E_NOT_CERTIFICATE);
}

static void test_each_must_have_issued_the_one_before(void) {
        assert_refused(test_chain_ders(inter, leaf, NULL), CHAIN_E_DISORDERED);
        assert_refused(test_chain_ders(leaf, root, NULL), CHAIN_E_DISORDERED);
        assert_refused(test_chain_ders(leaf, leaf, NULL), CHAIN_E_DISORDERED);
        assert_refused(test_chain_ders(leaf, inter, stranger, NULL), CHAIN_E_DISORDERED);
}

static void test_more_than_the_limit_is_too_long(void) {
        GPtrArray *full = test_chain_ders(root, NULL), *over = test_chain_ders(root, NULL);
        g_autoptr(Chain) chain = NULL;

        /* a root is its own issuer */
        while (full->len < CHAIN_LENGTH_MAX)
                g_ptr_array_add(full, g_bytes_ref(test_identity_der(root)));
        while (over->len < CHAIN_LENGTH_MAX + 1)
                g_ptr_array_add(over, g_bytes_ref(test_identity_der(root)));

        chain = assert_accepted(full);
        g_assert_cmpuint(chain_count(chain), ==, CHAIN_LENGTH_MAX);
        assert_refused(over, CHAIN_E_TOO_LONG);
}

static void test_a_megabyte_is_too_long(void) {
        g_autofree char *zeros = g_malloc0(1024 * 1024);
        g_autoptr(GBytes) blob = g_bytes_new_static(zeros, 1024 * 1024);

        assert_refused(test_blobs(blob, NULL), CHAIN_E_TOO_LONG);
        assert_refused(test_blobs(test_identity_der(leaf), blob, NULL), CHAIN_E_TOO_LONG);
}

static void test_the_key_is_comparable_with_a_private_one(void) {
        g_autoptr(Chain) chain = assert_accepted(test_chain_ders(leaf, inter, NULL));
        gnutls_privkey_t private_key;
        gnutls_pubkey_t public_key;
        gnutls_datum_t spki;

        g_assert_cmpint(gnutls_privkey_init(&private_key), >=, 0);
        g_assert_cmpint(gnutls_privkey_import_x509(private_key, test_identity_key(leaf), 0), >=, 0);
        g_assert_cmpint(gnutls_pubkey_init(&public_key), >=, 0);
        g_assert_cmpint(gnutls_pubkey_import_privkey(public_key, private_key, 0, 0), >=, 0);
        g_assert_cmpint(gnutls_pubkey_export2(public_key, GNUTLS_X509_FMT_DER, &spki), >=, 0);

        g_assert_cmpmem(g_bytes_get_data(chain_spki(chain), NULL),
                        g_bytes_get_size(chain_spki(chain)), spki.data, spki.size);

        gnutls_free(spki.data);
        gnutls_pubkey_deinit(public_key);
        gnutls_privkey_deinit(private_key);
}

static void test_a_reference_outlives_its_maker(void) {
        Chain *chain = assert_accepted(test_chain_ders(leaf, NULL)), *kept = chain_ref(chain);

        g_assert_null(chain_unref(chain));
        g_assert_cmpuint(chain_count(kept), ==, 1);
        g_assert_null(chain_unref(kept));
        g_assert_null(chain_unref(NULL));
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        root = test_identity_new("root", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        inter = test_identity_new("inter", root, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        leaf = test_identity_new("leaf.example.org", inter, 0, TEST_KEY_ED25519);
        stranger = test_identity_new("root", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);

        g_test_add_func("/chain/new/der-and-pem-are-the-same-chain",
                        test_der_and_pem_are_the_same_chain);
        g_test_add_func("/chain/new/nothing-is-empty", test_nothing_is_empty);
        g_test_add_func("/chain/new/what-is-no-certificate-is-refused",
                        test_what_is_no_certificate_is_refused);
        g_test_add_func("/chain/new/each-must-have-issued-the-one-before",
                        test_each_must_have_issued_the_one_before);
        g_test_add_func("/chain/new/more-than-the-limit-is-too-long",
                        test_more_than_the_limit_is_too_long);
        g_test_add_func("/chain/new/a-megabyte-is-too-long", test_a_megabyte_is_too_long);
        g_test_add_func("/chain/spki/is-comparable-with-a-private-key",
                        test_the_key_is_comparable_with_a_private_one);
        g_test_add_func("/chain/ref/outlives-its-maker", test_a_reference_outlives_its_maker);

        r = g_test_run();
        test_identity_free(root);
        test_identity_free(inter);
        test_identity_free(leaf);
        test_identity_free(stranger);
        return r;
}
