/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* revocations: what the administrator takes back, and how long it takes to know. */

#include "identity/certificate.h"
#include "identity/revocations.h"
#include "lib/revocations.h"

#include <gnutls/x509.h>
#include <stdint.h>
#include <string.h>

static TestIdentity *ca, *namesake, *leaf, *other;

static void read_denied(Revocations *revocations, const char *text, size_t n_bad, size_t bad) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(text, strlen(text));
        size_t n_found = 0, found = 0;

        g_assert_cmpint(revocations_add_denied(revocations, bytes, &n_found, &found), ==, 0);
        g_assert_cmpuint(n_found, ==, n_bad);
        g_assert_cmpuint(found, ==, bad);
}

static bool denies(const Revocations *revocations, const TestIdentity *identity) {
        certificate_auto certificate = NULL;

        g_assert_cmpint(certificate_import(test_identity_der(identity), &certificate), ==, 0);
        return revocations_deny(revocations, certificate);
}

static char *hash_of_key(const TestIdentity *identity) {
        certificate_auto certificate = NULL;
        GString *text = g_string_new(NULL);
        uint8_t hash[32];
        size_t size = sizeof(hash);

        g_assert_cmpint(certificate_import(test_identity_der(identity), &certificate), ==, 0);
        g_assert_cmpint(
                gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, hash, &size), >=,
                0);
        for (size_t i = 0; i < size; i++)
                g_string_append_printf(text, "%s%02X", i > 0 ? ":" : "", hash[i]);
        return g_string_free(text, FALSE);
}

static void test_a_certificate_or_its_key_is_denied(void) {
        g_autoptr(Revocations) by_certificate = revocations_new(), by_key = revocations_new();
        g_autofree char *certificate = certificate_fingerprint(test_identity_der(leaf));
        g_autofree char *key = hash_of_key(leaf);

        g_assert_false(denies(by_certificate, leaf));
        read_denied(by_certificate, certificate, 0, 0);
        g_assert_true(denies(by_certificate, leaf));
        g_assert_false(denies(by_certificate, other));

        read_denied(by_key, key, 0, 0);
        g_assert_true(denies(by_key, leaf));
        g_assert_false(denies(by_key, other));
}

static void test_lines_are_hashes_and_comments(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        g_autofree char *hash = certificate_fingerprint(test_identity_der(leaf));
        g_autofree char *text =
                g_strdup_printf("# denied\r\n\n  %s\t# stolen in May\r\n#%s\n", hash, hash);

        read_denied(revocations, text, 0, 0);
        g_assert_true(denies(revocations, leaf));
}

static void test_bad_lines_are_counted_and_the_rest_counts(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        g_autofree char *hash = certificate_fingerprint(test_identity_der(leaf));
        g_autofree char *text = g_strdup_printf("\nnobody\n%s\n%sff\n%.62s\n%.62sxx\n\xff\n", hash,
                                                hash, hash, hash);

        read_denied(revocations, text, 5, 2);
        g_assert_true(denies(revocations, leaf));
        read_denied(revocations, "", 0, 0);
}

static void test_a_nul_does_not_end_the_list(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        g_autofree char *hash = certificate_fingerprint(test_identity_der(leaf));
        g_autoptr(GString) text = g_string_new_len("\0\n", 2);
        g_autoptr(GBytes) bytes = NULL;
        size_t n_bad, bad;

        g_string_append(text, hash);
        bytes = g_bytes_new(text->str, text->len);
        g_assert_cmpint(revocations_add_denied(revocations, bytes, &n_bad, &bad), ==, 0);
        g_assert_cmpuint(n_bad, ==, 1);
        g_assert_true(denies(revocations, leaf));
}

static void test_the_deny_list_is_bounded(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(GBytes) bytes = NULL;
        size_t n_bad = 0, bad = 0;

        for (size_t i = 0; i < REVOCATIONS_DENIED_MAX + 1; i++)
                g_string_append_printf(text, "%064zx\n", i);
        bytes = g_string_free_to_bytes(g_steal_pointer(&text));
        g_assert_cmpint(revocations_add_denied(revocations, bytes, &n_bad, &bad), ==,
                        REVOCATIONS_E_TOO_MANY);
}

/* ---- lists ---- */

static int add(Revocations *revocations, GBytes *taken) {
        g_autoptr(GBytes) blob = taken;

        return revocations_add_lists(revocations, blob);
}

static RevocationsStatus ask(const Revocations *revocations, const TestIdentity *identity,
                             const TestIdentity *issuer) {
        certificate_auto certificate = NULL, above = NULL;

        g_assert_cmpint(certificate_import(test_identity_der(identity), &certificate), ==, 0);
        g_assert_cmpint(certificate_import(test_identity_der(issuer), &above), ==, 0);
        return revocations_ask(revocations, certificate, above);
}

static void test_a_list_revokes_what_it_lists(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        static const TestCrl many = {.n_more = 300};

        g_assert_cmpint(ask(revocations, leaf, ca), ==, REVOCATIONS_SILENT);
        g_assert_cmpint(add(revocations, test_crl_new(ca, &many, leaf, NULL)), ==, 0);
        g_assert_cmpint(ask(revocations, leaf, ca), ==, REVOCATIONS_REVOKED);
        g_assert_cmpint(ask(revocations, other, ca), ==, REVOCATIONS_GOOD);
        g_assert_cmpint(ask(revocations, ca, leaf), ==, REVOCATIONS_SILENT);
}

static void test_an_empty_list_revokes_nobody(void) {
        g_autoptr(Revocations) revocations = revocations_new();

        g_assert_cmpint(add(revocations, test_crl_new(ca, NULL, NULL, NULL)), ==, 0);
        g_assert_cmpint(ask(revocations, leaf, ca), ==, REVOCATIONS_GOOD);
}

static void test_pem_has_one_list_or_more(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        g_autoptr(GBytes) der = test_crl_new(ca, NULL, leaf, NULL);
        g_autoptr(TestIdentity) second =
                test_identity_new("second", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(GBytes) first = test_crl_new(second, NULL, NULL, NULL);
        g_autoptr(GBytes) block = test_crl_pem(der), first_block = test_crl_pem(first);
        GString *text = g_string_new_len(g_bytes_get_data(first_block, NULL),
                                         (gssize)g_bytes_get_size(first_block));

        g_string_append(text, "and another:\n");
        g_string_append_len(text, g_bytes_get_data(block, NULL), (gssize)g_bytes_get_size(block));
        g_assert_cmpint(add(revocations, g_string_free_to_bytes(text)), ==, 0);
        g_assert_cmpint(ask(revocations, leaf, ca), ==, REVOCATIONS_REVOKED);
        g_assert_cmpint(ask(revocations, leaf, second), ==, REVOCATIONS_GOOD);
}

static void test_keys_that_sign_no_hash_are_known_too(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        g_autoptr(TestIdentity) own =
                test_identity_new("own", NULL, TEST_IDENTITY_CA, TEST_KEY_ED25519);
        g_autoptr(TestIdentity) below = test_identity_new("below", own, 0, TEST_KEY_ECDSA);
        static const TestCrl many = {.n_more = 20000};

        g_assert_cmpint(add(revocations, test_crl_new(own, NULL, below, NULL)), ==, 0);
        g_assert_cmpint(ask(revocations, below, own), ==, REVOCATIONS_REVOKED);
        /* each question would hash all of it */
        g_assert_cmpint(add(revocations, test_crl_new(own, &many, NULL, NULL)), ==,
                        REVOCATIONS_E_WEAK);
}

static void test_whoever_did_not_sign_it_is_not_believed(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        g_autoptr(TestIdentity) no_lists = test_identity_new(
                "no lists", NULL, TEST_IDENTITY_CA | TEST_IDENTITY_ONLY_CERTIFICATES,
                TEST_KEY_ECDSA);
        const TestCrl by_namesake = {.signer = namesake};

        g_assert_cmpint(add(revocations, test_crl_new(ca, &by_namesake, leaf, NULL)), ==, 0);
        g_assert_cmpint(ask(revocations, leaf, ca), ==, REVOCATIONS_UNKNOWN);
        g_assert_cmpint(ask(revocations, leaf, namesake), ==, REVOCATIONS_REVOKED);

        g_assert_cmpint(add(revocations, test_crl_new(no_lists, NULL, leaf, NULL)), ==, 0);
        g_assert_cmpint(ask(revocations, leaf, no_lists), ==, REVOCATIONS_UNKNOWN);
}

static void test_the_newest_of_its_issuer_counts(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        const TestCrl old = {.begin = -9 * TEST_DAY, .end = 9 * TEST_DAY};
        const TestCrl forged = {.signer = namesake, .begin = -60, .end = 9 * TEST_DAY};

        g_assert_cmpint(add(revocations, test_crl_new(ca, &old, leaf, NULL)), ==, 0);
        g_assert_cmpint(ask(revocations, leaf, ca), ==, REVOCATIONS_REVOKED);
        g_assert_cmpint(add(revocations, test_crl_new(ca, NULL, other, NULL)), ==, 0);
        g_assert_cmpint(ask(revocations, leaf, ca), ==, REVOCATIONS_GOOD);
        g_assert_cmpint(ask(revocations, other, ca), ==, REVOCATIONS_REVOKED);
        g_assert_cmpint(add(revocations, test_crl_new(ca, &forged, leaf, NULL)), ==, 0);
        g_assert_cmpint(ask(revocations, leaf, ca), ==, REVOCATIONS_GOOD);
}

static void test_out_of_date_nobody_is_known_but_the_listed(void) {
        const TestCrl past = {.begin = -9 * TEST_DAY, .end = -TEST_DAY};
        const TestCrl future = {.begin = TEST_DAY, .end = 9 * TEST_DAY};
        const TestCrl endless = {.begin = -TEST_DAY, .endless = true};
        const struct {
                TestCrl how;
                RevocationsStatus status;
        } cases[] = {{past, REVOCATIONS_UNKNOWN},
                     {future, REVOCATIONS_UNKNOWN},
                     {endless, REVOCATIONS_GOOD}};

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Revocations) revocations = revocations_new();

                g_assert_cmpint(add(revocations, test_crl_new(ca, &cases[i].how, leaf, NULL)), ==,
                                0);
                g_assert_cmpint(ask(revocations, leaf, ca), ==, REVOCATIONS_REVOKED);
                g_assert_cmpint(ask(revocations, other, ca), ==, cases[i].status);
        }
}

static void test_what_is_no_whole_list_is_refused(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        static const TestCrl narrow = {.critical = true}, weak = {.sha1 = true};
        g_autoptr(GBytes) good = test_crl_new(ca, NULL, leaf, NULL);
        size_t size = g_bytes_get_size(good);

        g_assert_cmpint(add(revocations, test_crl_new(ca, &narrow, leaf, NULL)), ==,
                        REVOCATIONS_E_UNSUPPORTED);
        g_assert_cmpint(add(revocations, test_crl_new(ca, &weak, leaf, NULL)), ==,
                        REVOCATIONS_E_WEAK);
        g_assert_cmpint(add(revocations, g_bytes_new_static("", 0)), ==, REVOCATIONS_E_MALFORMED);
        g_assert_cmpint(revocations_add_lists(revocations, test_identity_pem(ca)), ==,
                        REVOCATIONS_E_MALFORMED);
        g_assert_cmpint(revocations_add_lists(revocations, test_identity_der(ca)), ==,
                        REVOCATIONS_E_MALFORMED);
        for (size_t i = 1; i < size; i++)
                g_assert_cmpint(add(revocations, g_bytes_new_from_bytes(good, 0, i)), ==,
                                REVOCATIONS_E_MALFORMED);
        g_assert_cmpint(ask(revocations, leaf, ca), ==, REVOCATIONS_SILENT);
}

/* Refused, or not believed, or about the same thing; never a crash. */
static void test_no_damage_makes_a_good_list(void) {
        g_autoptr(GBytes) good = test_crl_new(ca, NULL, leaf, NULL);
        gsize size;
        const uint8_t *data = g_bytes_get_data(good, &size);

        for (size_t i = 0; i < size; i++) {
                g_autoptr(Revocations) revocations = revocations_new();
                uint8_t *copy = g_memdup2(data, size);

                copy[i] ^= (uint8_t)(1 << i % 8);
                g_test_message("byte %zu", i);
                if (add(revocations, g_bytes_new_take(copy, size)) == 0)
                        g_assert_cmpint(ask(revocations, other, ca), !=, REVOCATIONS_GOOD);
        }
}

static void test_lists_are_bounded(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        g_autoptr(GBytes) list = test_crl_new(ca, NULL, leaf, NULL);

        for (size_t i = 0; i < REVOCATIONS_LISTS_MAX; i++)
                g_assert_cmpint(revocations_add_lists(revocations, list), ==, 0);
        g_assert_cmpint(revocations_add_lists(revocations, list), ==, REVOCATIONS_E_TOO_MANY);
}

/* A list of megabytes is read once; a question takes a signature's time, and no more. */
static void test_a_long_list_costs_a_question_nothing(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        static const TestCrl many = {.n_more = 100000};
        gint64 begin;

        g_assert_cmpint(add(revocations, test_crl_new(ca, &many, leaf, NULL)), ==, 0);
        begin = g_get_monotonic_time();
        for (size_t i = 0; i < 100; i++)
                g_assert_cmpint(ask(revocations, leaf, ca), ==, REVOCATIONS_REVOKED);
        g_test_message("100 questions took %" G_GINT64_FORMAT " us",
                       g_get_monotonic_time() - begin);
        g_assert_cmpint(g_get_monotonic_time() - begin, <, G_USEC_PER_SEC);
}

/* ---- several ---- */

static Revocations *join(Revocations *first, Revocations *second) {
        Revocations *parts[] = {first, second};

        return revocations_join(parts, G_N_ELEMENTS(parts));
}

static void test_joined_each_denies(void) {
        g_autoptr(Revocations) first = revocations_new(), second = revocations_new();
        g_autofree char *one = certificate_fingerprint(test_identity_der(leaf));
        g_autofree char *another = certificate_fingerprint(test_identity_der(other));
        g_autoptr(Revocations) joined = NULL;
        g_autoptr(Revocations) twice = NULL;

        read_denied(first, one, 0, 0);
        read_denied(second, another, 0, 0);
        joined = join(first, second);
        twice = join(joined, second);
        g_assert_true(denies(joined, leaf));
        g_assert_true(denies(joined, other));
        g_assert_false(denies(joined, ca));
        g_assert_true(denies(twice, leaf));
}

/* Whichever has it, and in whatever order they are. */
static void test_joined_the_newest_of_all_counts(void) {
        g_autoptr(Revocations) first = revocations_new(), second = revocations_new();
        const TestCrl old = {.begin = -9 * TEST_DAY, .end = 9 * TEST_DAY};
        g_autoptr(Revocations) joined = NULL;
        g_autoptr(Revocations) turned = NULL;

        g_assert_cmpint(add(first, test_crl_new(ca, &old, leaf, NULL)), ==, 0);
        g_assert_cmpint(add(second, test_crl_new(ca, NULL, other, NULL)), ==, 0);
        joined = join(first, second);
        turned = join(second, first);
        g_assert_cmpint(ask(joined, leaf, ca), ==, REVOCATIONS_GOOD);
        g_assert_cmpint(ask(joined, other, ca), ==, REVOCATIONS_REVOKED);
        g_assert_cmpint(ask(turned, leaf, ca), ==, REVOCATIONS_GOOD);
        g_assert_cmpint(ask(turned, other, ca), ==, REVOCATIONS_REVOKED);
}

static void test_joined_a_users_own_brings_nobody_back(void) {
        g_autoptr(Revocations) all = revocations_new(), own = revocations_new();
        const TestCrl old = {.begin = -9 * TEST_DAY, .end = 9 * TEST_DAY};
        g_autoptr(Revocations) joined = NULL;

        g_assert_cmpint(add(all, test_crl_new(ca, &old, leaf, NULL)), ==, 0);
        g_assert_cmpint(add(own, test_crl_new(ca, NULL, other, NULL)), ==, 0);
        joined = revocations_join_own(all, own);
        g_assert_cmpint(ask(joined, leaf, ca), ==, REVOCATIONS_REVOKED);
        g_assert_cmpint(ask(joined, other, ca), ==, REVOCATIONS_REVOKED);
}

static void test_joined_with_an_unknown_one_nobody_is_good(void) {
        g_autoptr(Revocations) first = revocations_new(), unknown = revocations_new_unknown();
        certificate_auto certificate = NULL;
        g_autoptr(Revocations) joined = NULL;

        g_assert_cmpint(add(first, test_crl_new(ca, NULL, leaf, NULL)), ==, 0);
        joined = join(first, unknown);
        g_assert_cmpint(ask(joined, other, ca), ==, REVOCATIONS_UNKNOWN);
        g_assert_cmpint(ask(joined, leaf, ca), ==, REVOCATIONS_REVOKED);
        g_assert_cmpint(ask(joined, leaf, namesake), ==, REVOCATIONS_UNKNOWN);
        /* nor is who has no issuer */
        g_assert_cmpint(certificate_import(test_identity_der(other), &certificate), ==, 0);
        g_assert_cmpint(revocations_ask(joined, certificate, NULL), ==, REVOCATIONS_UNKNOWN);
        g_assert_cmpint(revocations_ask(first, certificate, NULL), ==, REVOCATIONS_SILENT);
}

static void test_people_read_what_there_is(void) {
        g_autoptr(Revocations) revocations = revocations_new();
        const TestCrl how = {.begin = -TEST_DAY, .end = TEST_DAY, .n_more = 2};
        const TestCrl endless = {.begin = -60, .endless = true};
        g_autoptr(GPtrArray) lists = NULL;
        const RevocationFacts *facts;

        g_assert_cmpint(add(revocations, test_crl_new(ca, &endless, NULL, NULL)), ==, 0);
        g_assert_cmpint(add(revocations, test_crl_new(ca, &how, leaf, NULL)), ==, 0);
        lists = revocations_facts(revocations);
        g_assert_cmpuint(lists->len, ==, 2);
        g_assert_cmpuint(revocations_count_lists(revocations), ==, 2);
        g_assert_cmpuint(revocations_count_denied(revocations), ==, 0);
        facts = lists->pdata[0];
        g_assert_cmpstr(facts->issuer, ==, "CN=ca");
        g_assert_cmpuint(facts->n_certificates, ==, 3);
        g_assert_cmpuint(facts->end_usec - facts->begin_usec, ==,
                         2 * TEST_DAY * (uint64_t)G_USEC_PER_SEC);
        g_assert_cmpuint(((const RevocationFacts *)lists->pdata[1])->end_usec, ==, 0);
}

static void test_a_reference_outlives_its_maker(void) {
        Revocations *revocations = revocations_new(), *kept = revocations_ref(revocations);

        g_assert_null(revocations_unref(revocations));
        g_assert_false(denies(kept, leaf));
        g_assert_null(revocations_unref(kept));
        g_assert_null(revocations_unref(NULL));
}

static void test_every_refusal_says_why(void) {
        for (int i = REVOCATIONS_E_MALFORMED; i <= REVOCATIONS_E_TOO_MUCH; i++)
                g_assert_cmpstr(revocations_outcome_text((RevocationsOutcome)i), !=, "");
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        ca = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        namesake = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        leaf = test_identity_new("leaf", ca, 0, TEST_KEY_ECDSA);
        other = test_identity_new("other", ca, 0, TEST_KEY_ECDSA);

        g_test_add_func("/revocations/denied/a-certificate-or-its-key",
                        test_a_certificate_or_its_key_is_denied);
        g_test_add_func("/revocations/denied/lines-are-hashes-and-comments",
                        test_lines_are_hashes_and_comments);
        g_test_add_func("/revocations/denied/bad-lines-are-counted-and-the-rest-counts",
                        test_bad_lines_are_counted_and_the_rest_counts);
        g_test_add_func("/revocations/denied/a-nul-does-not-end-the-list",
                        test_a_nul_does_not_end_the_list);
        g_test_add_func("/revocations/denied/is-bounded", test_the_deny_list_is_bounded);
        g_test_add_func("/revocations/list/revokes-what-it-lists",
                        test_a_list_revokes_what_it_lists);
        g_test_add_func("/revocations/list/empty-revokes-nobody",
                        test_an_empty_list_revokes_nobody);
        g_test_add_func("/revocations/list/pem-has-one-or-more", test_pem_has_one_list_or_more);
        g_test_add_func("/revocations/list/keys-that-sign-no-hash-are-known-too",
                        test_keys_that_sign_no_hash_are_known_too);
        g_test_add_func("/revocations/list/whoever-did-not-sign-it-is-not-believed",
                        test_whoever_did_not_sign_it_is_not_believed);
        g_test_add_func("/revocations/list/the-newest-of-its-issuer-counts",
                        test_the_newest_of_its_issuer_counts);
        g_test_add_func("/revocations/list/out-of-date-nobody-is-known-but-the-listed",
                        test_out_of_date_nobody_is_known_but_the_listed);
        g_test_add_func("/revocations/list/what-is-no-whole-one-is-refused",
                        test_what_is_no_whole_list_is_refused);
        g_test_add_func("/revocations/list/no-damage-makes-a-good-one",
                        test_no_damage_makes_a_good_list);
        g_test_add_func("/revocations/list/is-bounded", test_lists_are_bounded);
        g_test_add_func("/revocations/list/a-long-one-costs-a-question-nothing",
                        test_a_long_list_costs_a_question_nothing);
        g_test_add_func("/revocations/joined/each-denies", test_joined_each_denies);
        g_test_add_func("/revocations/joined/the-newest-of-all-counts",
                        test_joined_the_newest_of_all_counts);
        g_test_add_func("/revocations/joined/a-users-own-brings-nobody-back",
                        test_joined_a_users_own_brings_nobody_back);
        g_test_add_func("/revocations/joined/with-an-unknown-one-nobody-is-good",
                        test_joined_with_an_unknown_one_nobody_is_good);
        g_test_add_func("/revocations/facts/people-read-what-there-is",
                        test_people_read_what_there_is);
        g_test_add_func("/revocations/outcome/every-refusal-says-why", test_every_refusal_says_why);
        g_test_add_func("/revocations/ref/outlives-its-maker", test_a_reference_outlives_its_maker);

        r = g_test_run();
        test_identity_free(ca);
        test_identity_free(namesake);
        test_identity_free(leaf);
        test_identity_free(other);
        return r;
}
