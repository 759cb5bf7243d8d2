/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/reassembly.h"

#include <glib.h>
#include <string.h>

#define TYPE 11

static void test_an_empty_one_is_for_nothing_and_not_whole(void) {
        Reassembly reassembly = {0};

        g_assert_false(reassembly_is_whole(&reassembly));
        g_assert_false(reassembly_is_for(&reassembly, TYPE, 0));
        reassembly_clear(&reassembly);
        g_assert_false(reassembly_is_whole(&reassembly));
}

static void test_a_message_of_no_bytes_is_whole_at_once(void) {
        Reassembly reassembly = {0};

        reassembly_begin(&reassembly, TYPE, 0);
        g_assert_true(reassembly_is_whole(&reassembly));
        reassembly_add(&reassembly, 0, NULL, 0);
        g_assert_true(reassembly_is_whole(&reassembly));
        reassembly_clear(&reassembly);
        g_assert_false(reassembly_is_whole(&reassembly));
}

/* Every order of pieces of every size, some of which come twice or overlap. */
static void test_is_whole_when_every_byte_came_in_any_order(void) {
        g_autoptr(GRand) random = g_rand_new_with_seed(3);

        for (unsigned i = 0; i < 2000; i++) {
                uint32_t length = g_rand_int_range(random, 1, 100);
                g_autofree uint8_t *text = g_malloc(length);
                g_autofree bool *came = g_new0(bool, length);
                Reassembly reassembly = {0};
                uint32_t n_came = 0;

                for (uint32_t k = 0; k < length; k++)
                        text[k] = g_rand_int_range(random, 0, 256);

                reassembly_begin(&reassembly, TYPE, length);
                while (n_came < length) {
                        uint32_t offset = g_rand_int_range(random, 0, length);
                        uint32_t size = g_rand_int_range(random, 0, length - offset + 1);

                        g_assert_false(reassembly_is_whole(&reassembly));
                        reassembly_add(&reassembly, offset, text + offset, size);
                        for (uint32_t k = offset; k < offset + size; k++) {
                                n_came += !came[k];
                                came[k] = true;
                        }
                }
                g_assert_true(reassembly_is_whole(&reassembly));
                g_assert_cmpmem(reassembly.bytes, length, text, length);
                reassembly_clear(&reassembly);
        }
}

static void test_the_later_bytes_are_kept(void) {
        Reassembly reassembly = {0};

        reassembly_begin(&reassembly, TYPE, 6);
        reassembly_add(&reassembly, 2, (const uint8_t *)"forged", 4);
        reassembly_add(&reassembly, 0, (const uint8_t *)"true", 4);
        g_assert_true(reassembly_is_whole(&reassembly));
        g_assert_cmpmem(reassembly.bytes, 6, "truerg", 6);
        reassembly_add(&reassembly, 4, (const uint8_t *)"ly", 2);
        g_assert_cmpmem(reassembly.bytes, 6, "truely", 6);
        reassembly_clear(&reassembly);
}

static void test_a_whole_one_stays_whole_when_a_part_comes_again(void) {
        Reassembly reassembly = {0};

        reassembly_begin(&reassembly, TYPE, 9);
        reassembly_add(&reassembly, 0, (const uint8_t *)"123456789", 9);
        g_assert_true(reassembly_is_whole(&reassembly));
        reassembly_add(&reassembly, 8, (const uint8_t *)"9", 1);
        g_assert_true(reassembly_is_whole(&reassembly));
        reassembly_add(&reassembly, 0, (const uint8_t *)"123456789", 9);
        g_assert_true(reassembly_is_whole(&reassembly));
        reassembly_clear(&reassembly);
}

static void test_another_message_takes_the_place_of_the_one_before(void) {
        Reassembly reassembly = {0};

        reassembly_begin(&reassembly, TYPE, 4);
        reassembly_add(&reassembly, 0, (const uint8_t *)"1234", 4);
        g_assert_true(reassembly_is_for(&reassembly, TYPE, 4));
        g_assert_false(reassembly_is_for(&reassembly, TYPE + 1, 4));
        g_assert_false(reassembly_is_for(&reassembly, TYPE, 5));

        reassembly_begin(&reassembly, TYPE, 5);
        g_assert_true(reassembly_is_for(&reassembly, TYPE, 5));
        g_assert_false(reassembly_is_whole(&reassembly));
        reassembly_add(&reassembly, 0, (const uint8_t *)"1234", 4);
        g_assert_false(reassembly_is_whole(&reassembly));
        reassembly_clear(&reassembly);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/reassembly/an-empty-one-is-for-nothing-and-not-whole",
                        test_an_empty_one_is_for_nothing_and_not_whole);
        g_test_add_func("/reassembly/a-message-of-no-bytes-is-whole-at-once",
                        test_a_message_of_no_bytes_is_whole_at_once);
        g_test_add_func("/reassembly/is-whole-when-every-byte-came-in-any-order",
                        test_is_whole_when_every_byte_came_in_any_order);
        g_test_add_func("/reassembly/the-later-bytes-are-kept", test_the_later_bytes_are_kept);
        g_test_add_func("/reassembly/a-whole-one-stays-whole-when-a-part-comes-again",
                        test_a_whole_one_stays_whole_when_a_part_comes_again);
        g_test_add_func("/reassembly/another-message-takes-the-place-of-the-one-before",
                        test_another_message_takes_the_place_of_the_one_before);

        return g_test_run();
}
