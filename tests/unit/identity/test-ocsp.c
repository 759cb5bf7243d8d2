/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ocsp: who may sign a response, what it has to be about, and when; see test-verdict for the rest.
 */

#include "identity/certificate.h"
#include "identity/ocsp.h"
#include "lib/revocations.h"

#include <stdint.h>
#include <string.h>

static TestIdentity *ca, *namesake, *leaf, *other;

/* The codes that come, "A B". */
static char *judge(GBytes *taken, const TestIdentity *certificate, const TestIdentity *issuer) {
        g_autoptr(GBytes) response = taken;
        g_autoptr(GArray) errors = verdict_errors_new();
        certificate_auto about = NULL, by = NULL;
        OcspSubject subject = {.der = test_identity_der(certificate)};
        GString *text = g_string_new(NULL);

        g_assert_cmpint(certificate_import(test_identity_der(certificate), &about), ==, 0);
        subject.certificate = about;
        if (issuer)
                g_assert_cmpint(certificate_import(test_identity_der(issuer), &by), ==, 0);
        subject.issuer = by;
        g_assert_cmpint(ocsp_judge(errors, response, &subject), ==, 0);

        for (size_t i = 0; i < errors->len; i++) {
                const VerdictError *error = &g_array_index(errors, VerdictError, i);

                g_assert_true(error->certificate == subject.der);
                g_string_append_printf(text, "%s%s", i > 0 ? " " : "",
                                       verdict_code_name(error->code));
        }

        return g_string_free(text, FALSE);
}

static void expect(const TestOcsp *how, const char *expected) {
        TestOcsp whole = *how;
        g_autofree char *errors = NULL;

        if (!whole.subject)
                whole.subject = leaf;
        if (!whole.issuer)
                whole.issuer = ca;
        errors = judge(test_ocsp_new(&whole), leaf, ca);
        g_assert_cmpstr(errors, ==, expected);
}

static void test_the_issuer_may_sign(void) {
        expect(&(TestOcsp){.status = TEST_OCSP_GOOD}, "");
        expect(&(TestOcsp){.sha256 = true}, "");
        expect(&(TestOcsp){.companion = ca}, "");
        expect(&(TestOcsp){.sha1 = true}, "OcspResponseCannotBeTrusted");
        expect(&(TestOcsp){.signer = namesake}, "OcspResponseCannotBeTrusted");
        expect(&(TestOcsp){.signer = namesake, .companion = namesake},
               "OcspResponseCannotBeTrusted");
        expect(&(TestOcsp){.signer = leaf, .companion = leaf}, "OcspResponseCannotBeTrusted");
}

static void test_a_responder_of_the_issuer_may_sign(void) {
        g_autoptr(TestIdentity) good =
                test_identity_new("r", ca, TEST_IDENTITY_OCSP, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) of_another =
                test_identity_new("r", namesake, TEST_IDENTITY_OCSP, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) expired = test_identity_new(
                "r", ca, TEST_IDENTITY_OCSP | TEST_IDENTITY_EXPIRED, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) own =
                test_identity_new("r", NULL, TEST_IDENTITY_OCSP, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) for_servers = test_identity_new("r", ca, 0, TEST_KEY_ECDSA);
        TestIdentity *const bad[] = {of_another, expired, own, for_servers};

        expect(&(TestOcsp){.signer = good, .companion = good}, "");
        expect(&(TestOcsp){.signer = good}, "OcspResponseCannotBeTrusted");
        expect(&(TestOcsp){.signer = good, .companion = for_servers},
               "OcspResponseCannotBeTrusted");
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                expect(&(TestOcsp){.signer = bad[i], .companion = bad[i]},
                       "OcspResponseCannotBeTrusted");
}

static void test_without_an_issuer_nobody_may_sign(void) {
        const TestOcsp how = {.subject = leaf, .issuer = ca};
        g_autofree char *errors = judge(test_ocsp_new(&how), leaf, NULL);

        g_assert_cmpstr(errors, ==, "OcspResponseCannotBeTrusted OcspResponseCertIdUnknown");
}

static void test_it_is_about_this_certificate_of_this_issuer(void) {
        expect(&(TestOcsp){.subject = other}, "OcspResponseCertIdUnknown");
        expect(&(TestOcsp){.other_key = true}, "OcspResponseCertIdUnknown");
        expect(&(TestOcsp){.issuer = other, .signer = ca}, "OcspResponseCertIdUnknown");
        expect(&(TestOcsp){.subject = other, .status = TEST_OCSP_REVOKED},
               "OcspResponseCertIdUnknown CertificateRevoked");
}

static void test_it_has_its_time(void) {
        expect(&(TestOcsp){.begin = -TEST_DAY, .end = -120}, "OcspResponseExpired");
        expect(&(TestOcsp){.begin = -TEST_DAY, .end = -30}, "");
        expect(&(TestOcsp){.begin = 120, .end = TEST_DAY}, "OcspResponseExpired");
        expect(&(TestOcsp){.begin = 30, .end = TEST_DAY}, "");
        expect(&(TestOcsp){.begin = -9 * TEST_DAY, .endless = true}, "");
        expect(&(TestOcsp){.begin = -11 * TEST_DAY, .endless = true}, "OcspResponseExpired");
}

static void test_it_says_one_thing(void) {
        expect(&(TestOcsp){.n_more = 1}, "OcspMalformedResponse");
        expect(&(TestOcsp){.n_more = 20}, "OcspMalformedResponse");
}

static void test_a_long_one_is_not_read(void) {
        const TestOcsp how = {.subject = leaf, .issuer = ca, .n_more = 100};
        g_autoptr(GBytes) response = test_ocsp_new(&how);

        g_assert_cmpuint(g_bytes_get_size(response), >, OCSP_RESPONSE_MAX);
        expect(&how, "OcspMalformedResponse");
}

/* Whatever is damaged, it is not good; and there is an answer. */
static void test_no_damage_makes_a_good_one(void) {
        const TestOcsp how = {.subject = leaf, .issuer = ca, .status = TEST_OCSP_REVOKED};
        g_autoptr(GBytes) good = test_ocsp_new(&how);
        gsize size;
        const uint8_t *data = g_bytes_get_data(good, &size);

        for (size_t i = 0; i < size; i++) {
                uint8_t *copy = g_memdup2(data, size);
                g_autofree char *errors = NULL, *of_cut = NULL;

                copy[i] ^= (uint8_t)(1 << i % 8);
                errors = judge(g_bytes_new_take(copy, size), leaf, ca);
                g_assert_cmpstr(errors, !=, "");
                of_cut = judge(g_bytes_new(data, i), leaf, ca);
                g_assert_cmpstr(of_cut, ==,
                                i == 0 ? "OcspNoResponseFound" : "OcspMalformedResponse");
        }
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        ca = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        namesake = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        leaf = test_identity_new("leaf", ca, 0, TEST_KEY_ECDSA);
        other = test_identity_new("other", ca, 0, TEST_KEY_ECDSA);

        g_test_add_func("/ocsp/signer/the-issuer", test_the_issuer_may_sign);
        g_test_add_func("/ocsp/signer/a-responder-of-the-issuer",
                        test_a_responder_of_the_issuer_may_sign);
        g_test_add_func("/ocsp/signer/nobody-without-an-issuer",
                        test_without_an_issuer_nobody_may_sign);
        g_test_add_func("/ocsp/is-about-this-certificate-of-this-issuer",
                        test_it_is_about_this_certificate_of_this_issuer);
        g_test_add_func("/ocsp/has-its-time", test_it_has_its_time);
        g_test_add_func("/ocsp/says-one-thing", test_it_says_one_thing);
        g_test_add_func("/ocsp/a-long-one-is-not-read", test_a_long_one_is_not_read);
        g_test_add_func("/ocsp/no-damage-makes-a-good-one", test_no_damage_makes_a_good_one);

        r = g_test_run();
        test_identity_free(ca);
        test_identity_free(namesake);
        test_identity_free(leaf);
        test_identity_free(other);
        return r;
}
