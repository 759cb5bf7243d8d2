/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Numbers and the window against replays. Keys come from sessions: test-direct.c has records
 * sealed by one kind of record layer and opened by the other.
 */

#include "session/record.h"

#include <glib.h>

#define FIRST (UINT64_C(1) << 48)

static void test_a_window_begins_empty(void) {
        RecordWindow window = {0};

        g_assert_false(record_window_has(&window, 0));
        g_assert_false(record_window_has(&window, FIRST));
        record_window_add(&window, FIRST);
        g_assert_true(record_window_has(&window, FIRST));
        g_assert_true(record_window_has(&window, 5)); /* another epoch's */
        g_assert_false(record_window_has(&window, FIRST + 1));
}

static void test_a_window_has_64_before_the_greatest(void) {
        RecordWindow window = {0};
        uint64_t greatest = FIRST + 1000;

        record_window_add(&window, greatest);
        for (uint64_t before = 1; before <= 64; before++)
                g_assert_false(record_window_has(&window, greatest - before));
        g_assert_true(record_window_has(&window, greatest - 65));
        g_assert_true(record_window_has(&window, FIRST));

        record_window_add(&window, greatest - 64);
        record_window_add(&window, greatest - 1);
        g_assert_true(record_window_has(&window, greatest - 64));
        g_assert_true(record_window_has(&window, greatest - 1));
        g_assert_false(record_window_has(&window, greatest - 63));
        g_assert_false(record_window_has(&window, greatest - 2));
        record_window_add(&window, greatest - 65); /* is not in it, and changes nothing */
        g_assert_false(record_window_has(&window, greatest - 63));
}

/* By each distance around its size, and by far. */
static void test_a_window_moves(void) {
        static const uint64_t steps[] = {1, 2, 3, 62, 63, 64, 65, 66, 1000, UINT64_C(1) << 47};

        for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
                RecordWindow window = {0};
                uint64_t greatest = FIRST + 100 + steps[i];

                record_window_add(&window, FIRST + 100);
                record_window_add(&window, FIRST + 98);
                record_window_add(&window, greatest);
                for (uint64_t before = 1; before <= 64; before++) {
                        uint64_t number = greatest - before;

                        g_assert_true(record_window_has(&window, number) ==
                                      (number == FIRST + 100 || number == FIRST + 98));
                }
                g_assert_true(record_window_has(&window, greatest));
                g_assert_true(record_window_has(&window, greatest - 65));
        }
}

/* Against a list of all that was taken. */
static void test_a_window_knows_what_it_was_told(void) {
        g_autoptr(GRand) random = g_rand_new_with_seed(7);
        g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);
        RecordWindow window = {0};
        uint64_t greatest = 0;

        for (unsigned i = 0; i < 100000; i++) {
                uint64_t back = g_rand_int(random) % 100;
                uint64_t sequence = greatest + 10 - MIN(greatest + 10, back);
                bool is_known = g_hash_table_contains(taken, GUINT_TO_POINTER(sequence)) ||
                                (i > 0 && sequence + 64 < greatest);

                g_assert_true(record_window_has(&window, FIRST + sequence) == is_known);
                if (is_known)
                        continue;

                record_window_add(&window, FIRST + sequence);
                g_hash_table_add(taken, GUINT_TO_POINTER(sequence));
                greatest = MAX(greatest, sequence);
        }
}

static void test_a_number_is_read_from_a_header(void) {
        static const uint8_t record[RECORD_HEADER_SIZE] = {23, 0xfe, 0xfd, 0, 1, 0xff, 2,
                                                           3,  4,    5,    6, 0, 0};

        g_assert_cmphex(record_number(record), ==, UINT64_C(0x0001ff0203040506));
        g_assert_cmphex(record_number_sequence(record_number(record)), ==,
                        UINT64_C(0xff0203040506));
        g_assert_true(record_number_is_encrypted(record_number(record)));
        g_assert_false(record_number_is_encrypted(UINT64_C(0x0000ff0203040506)));
}

static void test_a_session_without_keys_has_none(void) {
        gnutls_session_t gnutls;

        g_assert_cmpint(gnutls_init(&gnutls, GNUTLS_CLIENT | GNUTLS_DATAGRAM), ==, 0);
        g_assert_null(record_key_new(gnutls, true));
        g_assert_null(record_key_new(gnutls, false));
        g_assert_null(record_key_free(NULL));
        gnutls_deinit(gnutls);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/record/a-window-begins-empty", test_a_window_begins_empty);
        g_test_add_func("/session/record/a-window-has-64-before-the-greatest",
                        test_a_window_has_64_before_the_greatest);
        g_test_add_func("/session/record/a-window-moves", test_a_window_moves);
        g_test_add_func("/session/record/a-window-knows-what-it-was-told",
                        test_a_window_knows_what_it_was_told);
        g_test_add_func("/session/record/a-number-is-read-from-a-header",
                        test_a_number_is_read_from_a_header);
        g_test_add_func("/session/record/a-session-without-keys-has-none",
                        test_a_session_without_keys_has_none);
        return g_test_run();
}
