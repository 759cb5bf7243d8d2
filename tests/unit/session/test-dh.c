/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Diffie-Hellman parameters: written here byte by byte, as a hostile caller would. Whether a prime
 * is one is not tried, so all bits set will do for one.
 */

#include "session/private.h"

#include <string.h>

static void append_number(GByteArray *der, const uint8_t *number, size_t size) {
        uint8_t head[] = {0x02, 0x82, (uint8_t)((size + 1) >> 8), (uint8_t)(size + 1), 0};

        g_byte_array_append(der, head, sizeof head);
        g_byte_array_append(der, number, (guint)size);
}

/* SEQUENCE of two numbers: a prime of @bits and with this last byte, and @generator. */
static GByteArray *parameters(size_t bits, uint8_t last, const uint8_t *generator, size_t size) {
        g_autofree uint8_t *prime = g_malloc(bits / 8);
        GByteArray *inside = g_byte_array_new(), *der = g_byte_array_new();
        uint8_t head[] = {0x30, 0x82, 0, 0};

        memset(prime, 0xff, bits / 8);
        prime[bits / 8 - 1] = last;
        append_number(inside, prime, bits / 8);
        append_number(inside, generator, size);
        head[2] = (uint8_t)(inside->len >> 8);
        head[3] = (uint8_t)inside->len;
        g_byte_array_append(der, head, sizeof head);
        g_byte_array_append(der, inside->data, inside->len);
        g_byte_array_unref(inside);
        return der;
}

static int outcome(GByteArray *der) {
        g_autoptr(GBytes) read = NULL;
        int r = session_dh_read(der->data, der->len, &read);

        g_assert_cmpint(r == 0, ==, read != NULL);
        g_byte_array_unref(der);
        return r;
}

static int outcome_of_generator(uint8_t last_of_prime, const uint8_t *generator, size_t size) {
        return outcome(parameters(2048, last_of_prime, generator, size));
}

static void test_primes_are_of_some_length(void) {
        static const uint8_t two[] = {2};

        g_assert_cmpint(outcome(parameters(8, 0xff, two, 1)), ==, SESSION_DH_E_WEAK);
        g_assert_cmpint(outcome(parameters(2040, 0xff, two, 1)), ==, SESSION_DH_E_WEAK);
        g_assert_cmpint(outcome(parameters(2048, 0xff, two, 1)), ==, 0);
        g_assert_cmpint(outcome(parameters(4096, 0xff, two, 1)), ==, 0);
        g_assert_cmpint(outcome(parameters(4104, 0xff, two, 1)), ==, SESSION_DH_E_LONG);
        g_assert_cmpint(outcome(parameters(32768, 0xff, two, 1)), ==, SESSION_DH_E_LONG);
}

static void test_an_even_prime_is_none(void) {
        static const uint8_t two[] = {2};

        g_assert_cmpint(outcome_of_generator(0xfe, two, 1), ==, SESSION_DH_E_NONSENSE);
}

static void test_generators_generate(void) {
        static const uint8_t zero[] = {0}, one[] = {0, 0, 1}, two[] = {0, 0, 2};
        uint8_t large[256];

        g_assert_cmpint(outcome_of_generator(0xff, zero, 1), >, 0);
        g_assert_cmpint(outcome_of_generator(0xff, one, 3), ==, SESSION_DH_E_NONSENSE);
        g_assert_cmpint(outcome_of_generator(0xff, two, 3), ==, 0);

        memset(large, 0xff, sizeof large);
        large[255] = 0xfd; /* the prime less 2, 1, and itself */
        g_assert_cmpint(outcome_of_generator(0xff, large, 256), ==, 0);
        large[255] = 0xfe;
        g_assert_cmpint(outcome_of_generator(0xff, large, 256), ==, SESSION_DH_E_NONSENSE);
        large[255] = 0xff;
        g_assert_cmpint(outcome_of_generator(0xff, large, 256), ==, SESSION_DH_E_NONSENSE);
}

static void test_what_is_cut_is_refused(void) {
        static const uint8_t two[] = {2};
        g_autoptr(GByteArray) der = parameters(2048, 0xff, two, 1);
        g_autoptr(GBytes) read = NULL;
        g_autofree char *zeros = g_malloc0(SESSION_DH_SIZE_MAX + 1);

        for (guint size = 0; size < der->len; size++)
                g_assert_cmpint(session_dh_read(der->data, size, &read), ==,
                                SESSION_DH_E_MALFORMED);
        g_assert_cmpint(session_dh_read(zeros, SESSION_DH_SIZE_MAX + 1, &read), ==,
                        SESSION_DH_E_MALFORMED);
}

static void test_text_is_read_too(void) {
        static const uint8_t two[] = {2};
        g_autoptr(GByteArray) der = parameters(2048, 0xff, two, 1);
        g_autofree char *base64 = g_base64_encode(der->data, der->len);
        g_autofree char *pem = g_strdup_printf(
                "-----BEGIN DH PARAMETERS-----\n%s\n-----END DH PARAMETERS-----\n", base64);
        g_autoptr(GBytes) from_pem = NULL, from_der = NULL;

        g_assert_cmpint(session_dh_read(pem, strlen(pem), &from_pem), ==, 0);
        g_assert_cmpint(session_dh_read(der->data, der->len, &from_der), ==, 0);
        g_assert_true(g_bytes_equal(from_pem, from_der));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/dh/primes-are-of-some-length", test_primes_are_of_some_length);
        g_test_add_func("/session/dh/an-even-prime-is-none", test_an_even_prime_is_none);
        g_test_add_func("/session/dh/generators-generate", test_generators_generate);
        g_test_add_func("/session/dh/what-is-cut-is-refused", test_what_is_cut_is_refused);
        g_test_add_func("/session/dh/text-is-read-too", test_text_is_read_too);
        return g_test_run();
}
