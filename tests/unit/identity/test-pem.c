/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pem: blocks of one kind, wherever they stand, and of no other. */

#include "identity/pem.h"

#include <stdint.h>
#include <string.h>

#define BLOCK(label) "-----BEGIN " label "-----\nYWJj\n-----END " label "-----\n"

static GPtrArray *split(const char *text, size_t size, int outcome) {
        GPtrArray *ders = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        g_autoptr(GBytes) blob = g_bytes_new(text, size);

        g_assert_cmpint(pem_split(blob, "X509 CRL", 3, ders), ==, outcome);
        return ders;
}

static void refuse(const char *text, size_t size, int outcome) {
        g_ptr_array_unref(split(text, size, outcome));
}

static void test_every_block_is_taken(void) {
        static const char text[] = "0 and more\n" BLOCK("X509 CRL") "between\n" BLOCK("X509 CRL");
        g_autoptr(GPtrArray) ders = split(text, strlen(text), 0);

        g_assert_cmpuint(ders->len, ==, 2);
        for (size_t i = 0; i < ders->len; i++)
                g_assert_cmpmem(g_bytes_get_data(ders->pdata[i], NULL),
                                g_bytes_get_size(ders->pdata[i]), "abc", 3);
}

static void test_no_more_than_asked_for(void) {
        static const char text[] =
                BLOCK("X509 CRL") BLOCK("X509 CRL") BLOCK("X509 CRL") BLOCK("X509 CRL");

        refuse(text, strlen(text), PEM_E_TOO_MANY);
}

static void test_other_kinds_are_refused(void) {
        static const char text[] = BLOCK("X509 CRL") BLOCK("PRIVATE KEY");

        refuse(text, strlen(text), PEM_E_MALFORMED);
        refuse(BLOCK("CERTIFICATE"), strlen(BLOCK("CERTIFICATE")), PEM_E_MALFORMED);
}

static void test_damage_is_refused(void) {
        static const char text[] = BLOCK("X509 CRL"), broken[] = "-----BEGIN X509 CRL-----\n"
                                                                 "\xff\xff\n"
                                                                 "-----END X509 CRL-----\n";

        refuse("", 0, PEM_E_MALFORMED);
        refuse("abc", 3, PEM_E_MALFORMED);
        refuse(text, sizeof(text), PEM_E_MALFORMED); /* a NUL */
        refuse(text, strlen(text) - 5, PEM_E_MALFORMED);
        refuse(broken, strlen(broken), PEM_E_MALFORMED);
}

static void test_what_is_appended_is_split_again(void) {
        g_autoptr(GByteArray) text = g_byte_array_new();
        g_autoptr(GPtrArray) ders = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        g_autoptr(GBytes) first = g_bytes_new_static("\0one", 4);
        g_autoptr(GBytes) second = g_bytes_new_static("two", 3);
        g_autoptr(GBytes) blob = NULL;

        g_assert_cmpint(pem_append(text, "CERTIFICATE", first), ==, 0);
        g_assert_cmpint(pem_append(text, "CERTIFICATE", second), ==, 0);
        blob = g_bytes_new(text->data, text->len);
        g_assert_cmpint(pem_split(blob, "CERTIFICATE", 2, ders), ==, 0);
        g_assert_cmpuint(ders->len, ==, 2);
        g_assert_true(g_bytes_equal(ders->pdata[0], first));
        g_assert_true(g_bytes_equal(ders->pdata[1], second));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pem/every-block-is-taken", test_every_block_is_taken);
        g_test_add_func("/pem/no-more-than-asked-for", test_no_more_than_asked_for);
        g_test_add_func("/pem/other-kinds-are-refused", test_other_kinds_are_refused);
        g_test_add_func("/pem/damage-is-refused", test_damage_is_refused);
        g_test_add_func("/pem/what-is-appended-is-split-again",
                        test_what_is_appended_is_split_again);
        return g_test_run();
}
