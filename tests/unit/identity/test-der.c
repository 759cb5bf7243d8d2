/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* der: elements are found, and never beyond what there is. */

#include "identity/der.h"

#include <glib.h>

static Der der_of(const uint8_t *data, size_t size) {
        return (Der){data, size};
}

static void test_elements_come_one_after_the_other(void) {
        static const uint8_t data[] = {0x30, 0x03, 0x02, 0x01, 0x05, 0x04, 0x81, 0x01, 0xaa};
        Der der = der_of(data, sizeof(data)), inside, number;
        uint8_t tag = 0;

        g_assert_true(der_read_tagged(&der, DER_SEQUENCE, &inside));
        g_assert_true(der_read_tagged(&inside, 0x02, &number));
        g_assert_cmpmem(number.data, number.size, "\x05", 1);
        g_assert_false(der_read(&inside, &tag, &number));

        g_assert_true(der_read(&der, &tag, &inside));
        g_assert_cmpuint(tag, ==, 0x04);
        g_assert_cmpmem(inside.data, inside.size, "\xaa", 1);
        g_assert_cmpuint(der.size, ==, 0);
        g_assert_false(der_read(&der, &tag, &inside));
}

static void test_another_tag_is_none(void) {
        static const uint8_t data[] = {0x02, 0x01, 0x05};
        Der der = der_of(data, sizeof(data)), inside;

        g_assert_false(der_read_tagged(&der, DER_SEQUENCE, &inside));
}

static void test_a_length_beyond_the_end_is_none(void) {
        static const struct {
                uint8_t data[8];
                size_t size;
        } cases[] = {
                {{0x30}, 1},
                {{0x30, 0x01}, 2},
                {{0x30, 0x82, 0x01}, 3},
                {{0x30, 0x82, 0x01, 0x00, 0x00}, 5},
                {{0x30, 0x83, 0xff, 0xff, 0xff, 0x00}, 6},
                {{0x30, 0x84, 0x00, 0x00, 0x00, 0x01, 0x00}, 7}, /* longer than anything taken */
                {{0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 8},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                Der der = der_of(cases[i].data, cases[i].size), inside;

                g_assert_false(der_read_tagged(&der, DER_SEQUENCE, &inside));
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/der/elements-come-one-after-the-other",
                        test_elements_come_one_after_the_other);
        g_test_add_func("/der/another-tag-is-none", test_another_tag_is_none);
        g_test_add_func("/der/a-length-beyond-the-end-is-none",
                        test_a_length_beyond_the_end_is_none);
        return g_test_run();
}
