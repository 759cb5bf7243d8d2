/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* certificate: whole certificates are read, and nothing that only looks like them. */

#include "identity/certificate.h"
#include "lib/certificates.h"

#include <stdint.h>
#include <string.h>

static TestIdentity *root, *leaf;

static GPtrArray *new_ders(void) {
        return g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
}

static int split(GBytes *blob, size_t n_max, GPtrArray *ders) {
        g_autoptr(GPtrArray) certificates = certificate_array_new();
        int r = certificate_split(blob, n_max, ders, certificates);

        if (r == 0)
                g_assert_cmpuint(certificates->len, ==, ders->len);
        return r;
}

static void assert_refused(const void *data, size_t size, int outcome) {
        g_autoptr(GPtrArray) ders = new_ders();
        g_autoptr(GBytes) blob = g_bytes_new(data, size);

        g_assert_cmpint(split(blob, 100, ders), ==, outcome);
}

static void assert_malformed(const void *data, size_t size) {
        assert_refused(data, size, CERTIFICATE_E_MALFORMED);
}

static void assert_split(GBytes *blob, size_t n_expected) {
        g_autoptr(GPtrArray) ders = new_ders();

        g_assert_cmpint(split(blob, 100, ders), ==, 0);
        g_assert_cmpuint(ders->len, ==, n_expected);
        g_assert_true(g_bytes_equal(ders->pdata[0], test_identity_der(leaf)));
        if (n_expected > 1)
                g_assert_true(g_bytes_equal(ders->pdata[1], test_identity_der(root)));
}

static GBytes *joined(const char *before, GBytes *middle, const char *after) {
        GByteArray *array = g_byte_array_new();
        gsize size;
        const uint8_t *data = g_bytes_get_data(middle, &size);

        g_byte_array_append(array, (const uint8_t *)before, (unsigned)strlen(before));
        g_byte_array_append(array, data, (unsigned)size);
        g_byte_array_append(array, (const uint8_t *)after, (unsigned)strlen(after));
        return g_byte_array_free_to_bytes(array);
}

static void test_der_is_one_certificate(void) {
        assert_split(test_identity_der(leaf), 1);
}

static void test_pem_is_as_many_as_there_are(void) {
        g_autoptr(GBytes) both = test_chain_pem(leaf, root, NULL);

        assert_split(test_identity_pem(leaf), 1);
        assert_split(both, 2);
}

/* "0" is also how DER begins */
static void test_pem_may_have_text_around(void) {
        g_autoptr(GBytes) blob =
                joined("0: a certificate\r\n", test_identity_pem(leaf), "that's it");
        g_autoptr(GBytes) both = test_chain_pem(leaf, root, NULL);
        g_autoptr(GBytes) noted = joined("Subject: x\n", both, "\n\n");

        assert_split(blob, 1);
        assert_split(noted, 2);
}

static void test_der_cut_anywhere_is_refused(void) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(test_identity_der(leaf), &size);

        for (size_t i = 0; i < size; i++)
                assert_malformed(data, i);
}

static void test_der_with_something_behind_is_refused(void) {
        g_autoptr(GBytes) nul = NULL, twice = NULL, newline = NULL;
        GByteArray *array = g_byte_array_new();
        gsize size;
        const uint8_t *data = g_bytes_get_data(test_identity_der(leaf), &size);

        newline = joined("", test_identity_der(leaf), "\n");
        assert_malformed(g_bytes_get_data(newline, NULL), g_bytes_get_size(newline));

        g_byte_array_append(array, data, (unsigned)size);
        g_byte_array_append(array, (const uint8_t *)"", 1);
        nul = g_byte_array_free_to_bytes(array);
        assert_malformed(g_bytes_get_data(nul, NULL), size + 1);

        array = g_byte_array_new();
        g_byte_array_append(array, data, (unsigned)size);
        g_byte_array_append(array, data, (unsigned)size);
        twice = g_byte_array_free_to_bytes(array);
        assert_malformed(g_bytes_get_data(twice, NULL), 2 * size);
}

/* Up to its end mark: the newline behind it may be missing. */
static void test_pem_cut_before_its_end_is_refused(void) {
        gsize size;
        const char *pem = g_bytes_get_data(test_identity_pem(leaf), &size);

        g_assert_cmpint(pem[size - 1], ==, '\n');
        for (size_t i = 0; i < size - 1; i++)
                assert_malformed(pem, i);
}

static void test_a_second_block_cut_short_is_refused(void) {
        g_autoptr(GBytes) both = test_chain_pem(leaf, root, NULL);

        assert_malformed(g_bytes_get_data(both, NULL), g_bytes_get_size(both) - 10);
}

static void test_pem_with_a_nul_is_refused(void) {
        gsize size;
        const char *pem = g_bytes_get_data(test_identity_pem(leaf), &size);
        g_autofree char *text = g_malloc(size + 1);

        memcpy(text, pem, size);
        text[size] = '\0';
        assert_malformed(text, size + 1);
        text[size / 2] = '\0';
        assert_malformed(text, size);
}

static void test_a_private_key_along_is_refused(void) {
        g_autoptr(GBytes) key_first = NULL, key_last = NULL;
        const char *key = g_bytes_get_data(test_identity_key_pem(leaf), NULL);
        g_autofree char *text = g_strndup(key, g_bytes_get_size(test_identity_key_pem(leaf)));

        key_first = joined(text, test_identity_pem(leaf), "");
        key_last = joined("", test_identity_pem(leaf), text);
        assert_malformed(g_bytes_get_data(key_first, NULL), g_bytes_get_size(key_first));
        assert_malformed(g_bytes_get_data(key_last, NULL), g_bytes_get_size(key_last));
        assert_malformed(text, strlen(text));
}

static void test_noise_is_refused(void) {
        static const char *const texts[] = {
                "",
                "0",
                "0\x82",
                "0\x80",
                "0\xff\xff\xff\xff\xff\xff\xff\xff",
                "hello",
                "-----BEGIN CERTIFICATE-----",
                "-----BEGIN CERTIFICATE----------END CERTIFICATE-----",
                "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
                "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        };
        g_autoptr(GRand) random = g_rand_new_with_seed(1);

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                assert_malformed(texts[i], strlen(texts[i]));

        for (int i = 0; i < 1000; i++) {
                uint8_t noise[300];

                for (size_t j = 0; j < sizeof(noise); j++)
                        noise[j] = (uint8_t)g_rand_int(random);
                noise[0] = 0x30; /* at least the beginning is right */
                noise[1] = 0x82;
                noise[2] = 1;
                noise[3] = sizeof(noise) - 4 - 256;
                assert_malformed(noise, sizeof(noise));
        }
}

static void test_a_megabyte_of_anything_takes_no_time(void) {
        static const struct {
                const char *text;
                int outcome;
        } patterns[] = {{"-----BEGIN CERTIFICATE-----\n", CERTIFICATE_E_MALFORMED},
                        {"-", CERTIFICATE_E_MALFORMED},
                        {"A", CERTIFICATE_E_MALFORMED},
                        {"0\x82", CERTIFICATE_E_TOO_LONG}};
        gint64 begin = g_get_monotonic_time();

        for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
                g_autoptr(GString) text = g_string_new(NULL);

                while (text->len < 1024 * 1024)
                        g_string_append(text, patterns[i].text);
                assert_refused(text->str, text->len, patterns[i].outcome);
                g_string_append(text, "-----END CERTIFICATE-----\n");
                assert_refused(text->str, text->len, patterns[i].outcome);
        }

        g_assert_cmpint(g_get_monotonic_time() - begin, <, 5 * G_USEC_PER_SEC);
}

static void test_no_more_than_asked_for(void) {
        g_autoptr(GBytes) both = test_chain_pem(leaf, root, NULL);
        g_autoptr(GPtrArray) ders = new_ders();

        g_assert_cmpint(split(both, 1, ders), ==, CERTIFICATE_E_TOO_MANY);
        g_ptr_array_set_size(ders, 0);
        g_assert_cmpint(split(both, 2, ders), ==, 0);
        g_assert_cmpint(split(test_identity_der(leaf), 2, ders), ==, CERTIFICATE_E_TOO_MANY);
}

/* What looks like DER is not read at all when it is longer than any. */
static void test_more_bytes_than_any_has_are_not_read(void) {
        g_autofree uint8_t *data = g_malloc0(CERTIFICATE_SIZE_MAX + 1);

        data[0] = 0x30;
        data[1] = 0x82;
        assert_refused(data, CERTIFICATE_SIZE_MAX + 1, CERTIFICATE_E_TOO_LONG);
        assert_malformed(data, CERTIFICATE_SIZE_MAX);
}

static void test_export_gives_back_what_was_imported(void) {
        certificate_auto certificate = NULL;
        g_autoptr(GBytes) der = NULL;

        g_assert_cmpint(certificate_import(test_identity_der(leaf), &certificate), ==, 0);
        der = certificate_export(certificate);
        g_assert_true(g_bytes_equal(der, test_identity_der(leaf)));
}

static void test_a_broken_signature_is_not_strong(void) {
        g_assert_true(certificate_signature_is_strong(GNUTLS_SIGN_ECDSA_SHA256));
        g_assert_true(certificate_signature_is_strong(GNUTLS_SIGN_EDDSA_ED25519));
        g_assert_false(certificate_signature_is_strong(GNUTLS_SIGN_RSA_SHA1));
        g_assert_false(certificate_signature_is_strong(GNUTLS_SIGN_UNKNOWN));
        g_assert_false(certificate_signature_is_strong(GNUTLS_E_UNKNOWN_ALGORITHM));
}

/* SHA-256 of "abc", FIPS 180-2 */
static void test_a_fingerprint_is_sha256_in_hexadecimal(void) {
        g_autoptr(GBytes) bytes = g_bytes_new_static("abc", 3);
        g_autofree char *fingerprint = certificate_fingerprint(bytes);

        g_assert_cmpstr(fingerprint, ==,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        root = test_identity_new("root", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        leaf = test_identity_new("leaf", root, 0, TEST_KEY_ECDSA);

        g_test_add_func("/certificate/der/is-one-certificate", test_der_is_one_certificate);
        g_test_add_func("/certificate/der/cut-anywhere-is-refused",
                        test_der_cut_anywhere_is_refused);
        g_test_add_func("/certificate/der/with-something-behind-is-refused",
                        test_der_with_something_behind_is_refused);
        g_test_add_func("/certificate/pem/is-as-many-as-there-are",
                        test_pem_is_as_many_as_there_are);
        g_test_add_func("/certificate/pem/may-have-text-around", test_pem_may_have_text_around);
        g_test_add_func("/certificate/pem/cut-before-its-end-is-refused",
                        test_pem_cut_before_its_end_is_refused);
        g_test_add_func("/certificate/pem/a-second-block-cut-short-is-refused",
                        test_a_second_block_cut_short_is_refused);
        g_test_add_func("/certificate/pem/with-a-nul-is-refused", test_pem_with_a_nul_is_refused);
        g_test_add_func("/certificate/pem/a-private-key-along-is-refused",
                        test_a_private_key_along_is_refused);
        g_test_add_func("/certificate/noise-is-refused", test_noise_is_refused);
        g_test_add_func("/certificate/a-megabyte-of-anything-takes-no-time",
                        test_a_megabyte_of_anything_takes_no_time);
        g_test_add_func("/certificate/split/no-more-than-asked-for", test_no_more_than_asked_for);
        g_test_add_func("/certificate/split/more-bytes-than-any-has-are-not-read",
                        test_more_bytes_than_any_has_are_not_read);
        g_test_add_func("/certificate/export/gives-back-what-was-imported",
                        test_export_gives_back_what_was_imported);
        g_test_add_func("/certificate/signature/a-broken-one-is-not-strong",
                        test_a_broken_signature_is_not_strong);
        g_test_add_func("/certificate/fingerprint/is-sha256-in-hexadecimal",
                        test_a_fingerprint_is_sha256_in_hexadecimal);

        r = g_test_run();
        test_identity_free(root);
        test_identity_free(leaf);
        return r;
}
