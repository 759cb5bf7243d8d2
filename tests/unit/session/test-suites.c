/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Names of suites and curves, against what GnuTLS knows of them.
 */

#include "session/private.h"

/* GnuTLS's own row of the suite with this number. */
static bool gnutls_row(uint16_t id, gnutls_kx_algorithm_t *kx, gnutls_cipher_algorithm_t *cipher,
                       gnutls_mac_algorithm_t *mac) {
        unsigned char bytes[2];

        for (size_t i = 0; gnutls_cipher_suite_info(i, bytes, kx, cipher, mac, NULL); i++)
                if (bytes[0] == id >> 8 && bytes[1] == (id & 0xff))
                        return true;

        return false;
}

static void test_rows_are_gnutls_s(void) {
        const char *const *names = session_supported_ciphers();

        for (size_t i = 0; names[i]; i++) {
                const Suite *suite = suite_find(names[i]);
                gnutls_cipher_algorithm_t cipher;
                gnutls_mac_algorithm_t mac;
                gnutls_kx_algorithm_t kx;

                g_test_message("%s", names[i]);
                g_assert_true(gnutls_row(suite->id, &kx, &cipher, &mac));
                g_assert_cmpint(kx, ==, gnutls_kx_get_id(suite->key_exchange));
                g_assert_cmpint(cipher, ==, gnutls_cipher_get_id(suite->cipher));
                g_assert_cmpint(mac, ==, gnutls_mac_get_id(suite->mac));
                g_assert_true(suite_find_id(suite->id) == suite);
        }
}

static void test_both_names(void) {
        const char *const *names = session_supported_ciphers();

        for (size_t i = 0; names[i]; i++) {
                g_assert_cmpstr(session_cipher_from_name(names[i]), ==, names[i]);
                g_assert_cmpstr(session_cipher_from_name(suite_find(names[i])->openssl), ==,
                                names[i]);
        }
        g_assert_cmpstr(session_cipher_from_name("ECDHE-RSA-AES128-SHA"), ==,
                        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA");
        g_assert_null(session_cipher_from_name(""));
        g_assert_null(session_cipher_from_name("AES128-SHA")); /* RSA key transport */
        g_assert_null(session_cipher_from_name("TLS_AES_128_GCM_SHA256"));
}

static void test_legacy(void) {
        g_assert_false(session_cipher_is_legacy("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"));
        g_assert_false(session_cipher_is_legacy("TLS_PSK_WITH_AES_128_CCM_8"));
        g_assert_true(session_cipher_is_legacy("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"));
        g_assert_true(session_cipher_is_legacy("TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"));
        g_assert_true(session_cipher_is_legacy("TLS_DHE_PSK_WITH_AES_128_CCM"));
}

static void test_curves(void) {
        const char *const *names = session_supported_curves();

        for (size_t i = 0; names[i]; i++) {
                g_assert_cmpstr(session_curve_from_name(names[i]), ==, names[i]);
                g_assert_cmpint(gnutls_ecc_curve_get_id(names[i]), !=, GNUTLS_ECC_CURVE_INVALID);
        }
        g_assert_cmpstr(session_curve_from_name("prime256v1"), ==, "SECP256R1");
        g_assert_cmpstr(session_curve_from_name("P-256"), ==, "SECP256R1");
        g_assert_cmpstr(session_curve_from_name("secp521r1"), ==, "SECP521R1");
        g_assert_cmpstr(session_curve_from_name("x25519"), ==, "X25519");
        g_assert_null(session_curve_from_name(""));
        g_assert_null(session_curve_from_name("secp256"));
        g_assert_null(session_curve_from_name("256r1"));
        g_assert_null(session_curve_from_name("secp256r1 P-256"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/suites/are-what-gnutls-has-by-their-numbers",
                        test_rows_are_gnutls_s);
        g_test_add_func("/session/suites/have-a-name-of-iana-and-of-openssl", test_both_names);
        g_test_add_func("/session/suites/with-cbc-or-dhe-are-legacy", test_legacy);
        g_test_add_func("/session/suites/curves-have-other-names-too", test_curves);
        return g_test_run();
}
