/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity/verdict.h"
#include "lib/certificates.h"

static TestIdentity *inter, *leaf;

static void test_an_error_is_listed_once(void) {
        g_autoptr(GArray) errors = verdict_errors_new();

        verdict_errors_add(errors, VERDICT_CERTIFICATE_EXPIRED, test_identity_der(leaf));
        verdict_errors_add(errors, VERDICT_CERTIFICATE_EXPIRED, test_identity_der(leaf));
        verdict_errors_add(errors, VERDICT_CERTIFICATE_EXPIRED, test_identity_der(inter));
        verdict_errors_add(errors, VERDICT_CERTIFICATE_REJECTED, test_identity_der(leaf));
        verdict_errors_add(errors, VERDICT_NO_PEER_CERTIFICATE, NULL);
        verdict_errors_add(errors, VERDICT_NO_PEER_CERTIFICATE, NULL);
        g_assert_cmpuint(errors->len, ==, 4);
}

static void test_only_exact_pairs_are_ignored(void) {
        g_autoptr(GArray) errors = verdict_errors_new(), ignored = verdict_errors_new();
        g_autoptr(GBytes) copy = g_bytes_new(g_bytes_get_data(test_identity_der(leaf), NULL),
                                             g_bytes_get_size(test_identity_der(leaf)));

        g_assert_true(verdict_all_ignored(errors, NULL, NULL));

        verdict_errors_add(errors, VERDICT_CERTIFICATE_EXPIRED, test_identity_der(leaf));
        g_assert_false(verdict_all_ignored(errors, NULL, NULL));
        verdict_errors_add(ignored, VERDICT_CERTIFICATE_EXPIRED, NULL);
        verdict_errors_add(ignored, VERDICT_CERTIFICATE_EXPIRED, test_identity_der(inter));
        verdict_errors_add(ignored, VERDICT_CERTIFICATE_REJECTED, test_identity_der(leaf));
        g_assert_false(verdict_all_ignored(errors, ignored, NULL));

        verdict_errors_add(ignored, VERDICT_CERTIFICATE_EXPIRED, copy);
        g_assert_true(verdict_all_ignored(errors, ignored, NULL));

        verdict_errors_add(errors, VERDICT_HOST_NAME_MISMATCH, test_identity_der(leaf));
        g_assert_false(verdict_all_ignored(errors, ignored, NULL));
}

static void test_a_code_ignores_whatever_the_certificate(void) {
        g_autoptr(GArray) errors = verdict_errors_new(), ignored = verdict_errors_new();
        g_autoptr(GArray) codes = g_array_new(FALSE, FALSE, sizeof(VerdictCode));
        VerdictCode code = VERDICT_CERTIFICATE_EXPIRED;

        verdict_errors_add(errors, VERDICT_CERTIFICATE_EXPIRED, test_identity_der(leaf));
        verdict_errors_add(errors, VERDICT_CERTIFICATE_EXPIRED, test_identity_der(inter));
        g_array_append_val(codes, code);
        g_assert_true(verdict_all_ignored(errors, NULL, codes));

        verdict_errors_add(errors, VERDICT_HOST_NAME_MISMATCH, test_identity_der(leaf));
        g_assert_false(verdict_all_ignored(errors, NULL, codes));
        verdict_errors_add(ignored, VERDICT_HOST_NAME_MISMATCH, test_identity_der(leaf));
        g_assert_true(verdict_all_ignored(errors, ignored, codes));
}

/* Values from Qt's header. */
static void test_codes_are_named_and_numbered_as_in_qt(void) {
        VerdictCode code;

        g_assert_cmpint(N_VERDICT_CODES, ==, 38);
        g_assert_cmpstr(verdict_code_name(0), ==, "NoError");
        g_assert_cmpstr(verdict_code_name(6), ==, "CertificateExpired");
        g_assert_cmpstr(verdict_code_name(9), ==, "SelfSignedCertificate");
        g_assert_cmpstr(verdict_code_name(22), ==, "HostNameMismatch");
        g_assert_cmpstr(verdict_code_name(31), ==, "OcspSigRequred");
        g_assert_cmpstr(verdict_code_name(36), ==, "OcspStatusUnknown");

        for (VerdictCode i = 0; i < N_VERDICT_CODES; i++) {
                g_assert_true(verdict_code_from_name(verdict_code_name(i), &code));
                g_assert_cmpint(code, ==, i);
        }

        g_assert_false(verdict_code_from_name("", &code));
        g_assert_false(verdict_code_from_name("OcspSigRequired", &code));
        g_assert_false(verdict_code_from_name("\xff", &code));
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        inter = test_identity_new("inter", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        leaf = test_identity_new("leaf", inter, 0, TEST_KEY_ECDSA);
        g_test_add_func("/verdict-errors/an-error-is-listed-once", test_an_error_is_listed_once);
        g_test_add_func("/verdict-errors/only-exact-pairs-are-ignored",
                        test_only_exact_pairs_are_ignored);
        g_test_add_func("/verdict-errors/a-code-is-ignored-whatever-the-certificate",
                        test_a_code_ignores_whatever_the_certificate);
        g_test_add_func("/verdict-errors/codes-are-named-and-numbered-as-in-qt",
                        test_codes_are_named_and_numbered_as_in_qt);
        r = g_test_run();
        test_identity_free(inter);
        test_identity_free(leaf);
        return r;
}
