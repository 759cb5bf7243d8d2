/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* revocation-list: what is kept of one CRL. What is refused is told by test-revocations.c. */

#include "identity/certificate.h"
#include "identity/revocation-list.h"
#include "lib/revocations.h"

#include <string.h>

static TestIdentity *ca, *leaf, *other;

static bool is_in(const RevocationList *list, const TestIdentity *identity) {
        certificate_auto certificate = NULL;

        g_assert_cmpint(certificate_import(test_identity_der(identity), &certificate), ==, 0);
        return revocation_list_has(list, certificate);
}

static bool is_signed_by(const RevocationList *list, const TestIdentity *identity) {
        certificate_auto certificate = NULL;
        gnutls_pubkey_t key;
        bool is;

        g_assert_cmpint(certificate_import(test_identity_der(identity), &certificate), ==, 0);
        g_assert_cmpint(gnutls_pubkey_init(&key), >=, 0);
        g_assert_cmpint(gnutls_pubkey_import_x509(key, certificate, 0), >=, 0);
        is = revocation_list_is_signed_by(list, key);
        gnutls_pubkey_deinit(key);
        return is;
}

static void test_says_who_is_in_it_and_who_signed_it(void) {
        const TestCrl how = {.begin = -TEST_DAY, .end = TEST_DAY, .n_more = 3};
        g_autoptr(GBytes) der = test_crl_new(ca, &how, leaf, NULL);
        g_autoptr(RevocationList) list = NULL;

        g_assert_cmpint(revocation_list_new(der, SIZE_MAX, &list), ==, 0);
        g_assert_cmpuint(list->serials->len, ==, 4);
        g_assert_cmpint(list->end - list->begin, ==, 2 * TEST_DAY);
        g_assert_true(is_in(list, leaf));
        g_assert_false(is_in(list, other));
        g_assert_true(is_signed_by(list, ca));
        g_assert_false(is_signed_by(list, other));
}

static void test_is_not_longer_than_it_may_be(void) {
        const TestCrl how = {.n_more = 3};
        g_autoptr(GBytes) der = test_crl_new(ca, &how, leaf, NULL);
        RevocationList *list;

        g_assert_cmpint(revocation_list_new(der, 3, &list), ==, REVOCATIONS_E_TOO_MANY);
        g_assert_cmpint(revocation_list_new(der, 4, &list), ==, 0);
        revocation_list_free(list);
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        ca = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        leaf = test_identity_new("leaf", ca, 0, TEST_KEY_ECDSA);
        other = test_identity_new("other", ca, 0, TEST_KEY_ECDSA);
        g_test_add_func("/revocation-list/says-who-is-in-it-and-who-signed-it",
                        test_says_who_is_in_it_and_who_signed_it);
        g_test_add_func("/revocation-list/is-not-longer-than-it-may-be",
                        test_is_not_longer_than_it_may_be);
        r = g_test_run();
        test_identity_free(ca);
        test_identity_free(leaf);
        test_identity_free(other);
        return r;
}
