/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* facts: what people are told of a certificate, whatever is in it. */

#include "identity/facts.h"
#include "lib/certificates.h"

#include <string.h>

#define DAY_USEC ((uint64_t)24 * 60 * 60 * G_USEC_PER_SEC)

static void test_a_key_has_a_type(void) {
        const struct {
                TestKeyType key;
                const char *type;
        } keys[] = {
                {TEST_KEY_ECDSA, "ECDSA"},
                {TEST_KEY_RSA_2048, "RSA"},
                {TEST_KEY_ED25519, "Ed25519"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                g_autoptr(TestIdentity) identity =
                        test_identity_new("a.example", NULL, 0, keys[i].key);
                g_auto(Facts) facts = facts_look(test_identity_der(identity));

                g_assert_cmpstr(facts.key_type, ==, keys[i].type);
                g_assert_cmpstr(facts.subject, ==, "CN=a.example");
        }
}

static void test_an_end_is_a_time(void) {
        g_autoptr(TestIdentity) past =
                test_identity_new("a", NULL, TEST_IDENTITY_EXPIRED, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) future = test_identity_new("a", NULL, 0, TEST_KEY_ECDSA);
        g_auto(Facts) of_past = facts_look(test_identity_der(past));
        g_auto(Facts) of_future = facts_look(test_identity_der(future));
        uint64_t now = (uint64_t)g_get_real_time();

        g_assert_cmpuint(of_past.not_after_usec, <, now);
        g_assert_cmpuint(of_past.not_after_usec, >, now - 2 * DAY_USEC);
        g_assert_cmpuint(of_future.not_after_usec, >, now);
        g_assert_cmpuint(of_future.not_after_usec % G_USEC_PER_SEC, ==, 0);
}

static void test_a_name_is_text_whatever_is_in_it(void) {
        const struct {
                const char *from, *to, *shown;
        } names[] = {
                {"abcdef", "a,b+cd", "CN=a\\,b\\+cd"},
                {"abcdef", "ab\x1b[1m", "CN=ab\\1B[1m"},
                {"abcdef",
                 "ab\xc3\xa4"
                 "cd",
                 "CN=ab\xc3\xa4"
                 "cd"},
                {"abcdef",
                 "ab\xc2\x9b"
                 "cd",
                 "CN=ab\\C2\\9B"
                 "cd"},
        };
        g_autoptr(TestIdentity) ca =
                test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autoptr(TestIdentity) plain =
                        test_identity_new(names[i].from, ca, TEST_IDENTITY_NO_SAN, TEST_KEY_ECDSA);
                g_autoptr(TestIdentity) identity =
                        test_identity_altered(plain, ca, names[i].from, names[i].to, 6);
                g_auto(Facts) facts = facts_look(test_identity_der(identity));

                g_assert_cmpstr(facts.subject, ==, names[i].shown);
        }
}

/* Bytes that no UTF-8 has, and a NUL: GnuTLS may show them as it likes, but as text. */
static void test_a_name_that_is_no_text_is_shown_all_the_same(void) {
        const char *const bad[] = {"ab\xff\xfe"
                                   "cd",
                                   "ab\0cde"};
        g_autoptr(TestIdentity) ca =
                test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) plain =
                test_identity_new("abcdef", ca, TEST_IDENTITY_NO_SAN, TEST_KEY_ECDSA);

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(TestIdentity) identity =
                        test_identity_altered(plain, ca, "abcdef", bad[i], 6);
                g_auto(Facts) facts = facts_look(test_identity_der(identity));

                g_assert_true(g_utf8_validate(facts.subject, -1, NULL));
                g_assert_cmpuint(strlen(facts.subject), >, strlen("CN="));
                g_assert_cmpstr(facts.key_type, ==, "ECDSA");
        }
}

static void test_of_no_certificate_nothing_is_known(void) {
        g_autoptr(GBytes) der = g_bytes_new_static("0\x82", 2);
        g_auto(Facts) facts = facts_look(der);

        g_assert_cmpstr(facts.subject, ==, "");
        g_assert_cmpuint(facts.not_after_usec, ==, 0);
        g_assert_cmpstr(facts.key_type, ==, "");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/facts/a-key-has-a-type", test_a_key_has_a_type);
        g_test_add_func("/facts/an-end-is-a-time", test_an_end_is_a_time);
        g_test_add_func("/facts/a-name-is-text-whatever-is-in-it",
                        test_a_name_is_text_whatever_is_in_it);
        g_test_add_func("/facts/a-name-that-is-no-text-is-shown-all-the-same",
                        test_a_name_that_is_no_text_is_shown_all_the_same);
        g_test_add_func("/facts/of-no-certificate-nothing-is-known",
                        test_of_no_certificate_nothing_is_known);
        return g_test_run();
}
