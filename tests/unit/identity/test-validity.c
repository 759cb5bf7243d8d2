/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * validity: which date is none, in certificates of every damage.
 */

#include "identity/validity.h"
#include "lib/certificates.h"

#include <stdint.h>
#include <string.h>

#define UTC_DATE "\x17\x0d" /* an element of 13 bytes */

/* The dates of a certificate of today are two elements of 15 bytes, one after the other. */
static GBytes *with_dates(const TestIdentity *identity, const char *begin, const char *end) {
        gsize size;
        const uint8_t *der = g_bytes_get_data(test_identity_der(identity), &size);
        uint8_t *copy = g_memdup2(der, size);
        uint8_t *at = memmem(copy, size, "\x30\x1e" UTC_DATE, 4);

        g_assert_nonnull(at);
        if (begin)
                memcpy(at + 4, begin, 13);
        if (end)
                memcpy(at + 19, end, 13);
        return g_bytes_new_take(copy, size);
}

static void test_each_date_is_told_from_the_other(void) {
        g_autoptr(TestIdentity) identity =
                test_identity_new("a", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(GBytes) begin = with_dates(identity, "261301000000Z", NULL);
        g_autoptr(GBytes) end = with_dates(identity, NULL, "260100000000Z");
        g_autoptr(GBytes) both = with_dates(identity, "260101240000Z", "2601010000000");

        g_assert_false(validity_look(test_identity_der(identity)).begin_is_bad);
        g_assert_false(validity_look(test_identity_der(identity)).end_is_bad);
        g_assert_true(validity_look(begin).begin_is_bad);
        g_assert_false(validity_look(begin).end_is_bad);
        g_assert_false(validity_look(end).begin_is_bad);
        g_assert_true(validity_look(end).end_is_bad);
        g_assert_true(validity_look(both).begin_is_bad);
        g_assert_true(validity_look(both).end_is_bad);
}

static void test_a_date_is_one_that_can_be(void) {
        static const struct {
                const char *date;
                bool is_bad;
        } cases[] = {
                {"260101000000Z", false}, {"491231235959Z", false}, {"260001000000Z", true},
                {"261301000000Z", true},  {"260100000000Z", true},  {"260132000000Z", true},
                {"260101240000Z", true},  {"260101006000Z", true},  {"260101000060Z", true},
                {"26010100000xZ", true},  {"2601010000000", true},  {"-60101000000Z", true},
                {"260101+00000Z", true},  {"             ", true},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(TestIdentity) identity =
                        test_identity_new("a", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
                g_autoptr(GBytes) der = with_dates(identity, cases[i].date, NULL);

                g_test_message("%s", cases[i].date);
                g_assert_cmpint(validity_look(der).begin_is_bad, ==, cases[i].is_bad);
        }
}

/* A body of version 1 without a version, and four digits of a year. */
static void test_version_1_and_long_years_are_read(void) {
#define HEAD "\x02\x01\x01\x30\x00\x30\x00" /* serial number, algorithm, issuer */
        static const char good[] = "\x30\x2d\x30\x2b" HEAD "\x30\x22"
                                   "\x18\x0f"
                                   "20500101000000Z"
                                   "\x18\x0f"
                                   "20510101000000Z";
        static const char bad[] = "\x30\x2d\x30\x2b" HEAD "\x30\x22"
                                  "\x18\x0f"
                                  "20501301000000Z"
                                  "\x16\x0f"
                                  "20510101000000Z";
        g_autoptr(GBytes) good_der = g_bytes_new_static(good, sizeof(good) - 1);
        g_autoptr(GBytes) bad_der = g_bytes_new_static(bad, sizeof(bad) - 1);

        g_assert_false(validity_look(good_der).begin_is_bad);
        g_assert_false(validity_look(good_der).end_is_bad);
        g_assert_true(validity_look(bad_der).begin_is_bad);
        g_assert_true(validity_look(bad_der).end_is_bad);
}

/* Each in memory of its own, so that a byte too far is seen. */
static void test_no_cut_is_read_beyond_its_end(void) {
        g_autoptr(TestIdentity) identity =
                test_identity_new("a", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        gsize size;
        const uint8_t *der = g_bytes_get_data(test_identity_der(identity), &size);

        for (gsize cut = 0; cut < size; cut++) {
                g_autoptr(GBytes) part = g_bytes_new(der, cut);
                Validity validity = validity_look(part);

                g_assert_false(validity.begin_is_bad || validity.end_is_bad);
        }
}

static void test_no_damage_is_read_beyond_its_end(void) {
        static const uint8_t values[] = {0x00, 0x7f, 0x80, 0x81, 0x83, 0x84, 0xff};
        g_autoptr(TestIdentity) identity =
                test_identity_new("a", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        gsize size;
        const uint8_t *der = g_bytes_get_data(test_identity_der(identity), &size);

        for (gsize at = 0; at < size; at++)
                for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
                        uint8_t *copy = g_memdup2(der, size);
                        g_autoptr(GBytes) damaged = g_bytes_new_take(copy, size);

                        copy[at] = values[i];
                        (void)validity_look(damaged);
                }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/validity/each-date-is-told-from-the-other",
                        test_each_date_is_told_from_the_other);
        g_test_add_func("/validity/a-date-is-one-that-can-be", test_a_date_is_one_that_can_be);
        g_test_add_func("/validity/version-1-and-long-years-are-read",
                        test_version_1_and_long_years_are_read);
        g_test_add_func("/validity/no-cut-is-read-beyond-its-end",
                        test_no_cut_is_read_beyond_its_end);
        g_test_add_func("/validity/no-damage-is-read-beyond-its-end",
                        test_no_damage_is_read_beyond_its_end);
        return g_test_run();
}
