/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* revocation-text: the form in which hashes and lists are kept. */

#include "identity/revocation-text.h"
#include "lib/revocations.h"

#include <string.h>

#define HASH_COLONS                                                                                \
        "AB:cd:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:"  \
        "00:00:01"
#define HASH "abcd000000000000000000000000000000000000000000000000000000000001"

static GBytes *crl;

static GPtrArray *texts(const char *first) {
        GPtrArray *array = g_ptr_array_new();

        if (first)
                g_ptr_array_add(array, (char *)first);
        return array;
}

static int make(GPtrArray *taken_blobs, GPtrArray *taken_denied, GBytes **ret) {
        g_autoptr(GPtrArray) blobs = taken_blobs;
        g_autoptr(GPtrArray) denied = taken_denied;

        return revocation_text_new(blobs, denied, ret);
}

static int read_text(const char *text, size_t size) {
        g_autoptr(GBytes) bytes = g_bytes_new_static(text, size);
        g_autoptr(Revocations) revocations = NULL;

        return revocation_text_read(bytes, &revocations);
}

static void test_what_is_written_is_read(void) {
        g_autoptr(GBytes) pem = test_crl_pem(crl);
        g_autoptr(GBytes) text = NULL;
        g_autoptr(Revocations) revocations = NULL;
        g_autoptr(GPtrArray) lists = NULL;
        g_autoptr(GPtrArray) denied = NULL;

        g_assert_cmpint(make(test_blobs(crl, pem, NULL), texts(HASH_COLONS), &text), ==, 0);
        g_assert_true(g_str_has_prefix(g_bytes_get_data(text, NULL), HASH "\n-----BEGIN"));
        g_assert_cmpint(revocation_text_read(text, &revocations), ==, 0);
        lists = revocations_facts(revocations);
        denied = revocations_denied(revocations);
        g_assert_cmpuint(lists->len, ==, 2);
        g_assert_cmpstr(((const RevocationFacts *)lists->pdata[0])->issuer, ==, "CN=ca");
        g_assert_cmpuint(denied->len, ==, 1);
}

static void test_nonsense_is_refused(void) {
        g_autoptr(GBytes) noise = g_bytes_new_static("noise", 5);
        GBytes *text;

        g_assert_cmpint(make(test_blobs(noise, NULL), texts(NULL), &text), ==,
                        REVOCATIONS_E_MALFORMED);
        g_assert_cmpint(make(test_blobs(NULL, NULL), texts("nobody"), &text), ==,
                        REVOCATIONS_E_NO_HASH);
        g_assert_cmpint(make(test_blobs(NULL, NULL), texts(HASH "\n" HASH), &text), ==,
                        REVOCATIONS_E_NO_HASH);
        g_assert_cmpint(read_text("", 0), ==, REVOCATIONS_E_MALFORMED);
        g_assert_cmpint(read_text(HASH, 63), ==, REVOCATIONS_E_NO_HASH);
        g_assert_cmpint(read_text(HASH "\n-----BEGIN X509 CRL-----\nMIIB", 94), ==,
                        REVOCATIONS_E_MALFORMED);
        g_assert_cmpint(read_text(HASH "\0", 65), ==, REVOCATIONS_E_NO_HASH);
}

/* Each byte of a list that is gone or another one is told, or changes nothing that is read. */
static void test_a_cut_list_is_refused(void) {
        g_autoptr(GBytes) text = NULL;
        gsize size;
        const char *data;

        g_assert_cmpint(make(test_blobs(crl, NULL), texts(NULL), &text), ==, 0);
        data = g_bytes_get_data(text, &size);
        for (gsize i = 1; i < size - 1; i++)
                g_assert_cmpint(read_text(data, i), >, 0);
}

static void test_is_bounded(void) {
        g_autofree char *hashes = g_strnfill(REVOCATION_TEXT_MAX + 1, '\n');
        GPtrArray *denied = texts(NULL);
        GBytes *text;

        for (size_t i = 0; i <= REVOCATION_TEXT_MAX / strlen(HASH); i++)
                g_ptr_array_add(denied, (char *)HASH);
        g_ptr_array_add(denied, (char *)"behind the limit, where nobody looks");
        g_assert_cmpint(make(test_blobs(NULL, NULL), denied, &text), ==, REVOCATIONS_E_TOO_MUCH);
        g_assert_cmpint(read_text(hashes, REVOCATION_TEXT_MAX + 1), ==, REVOCATIONS_E_TOO_MUCH);
}

int main(int argc, char **argv) {
        TestIdentity *ca;
        int r;

        g_test_init(&argc, &argv, NULL);
        ca = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        crl = test_crl_new(ca, NULL, ca, NULL);
        g_test_add_func("/revocation-text/what-is-written-is-read", test_what_is_written_is_read);
        g_test_add_func("/revocation-text/nonsense-is-refused", test_nonsense_is_refused);
        g_test_add_func("/revocation-text/a-cut-list-is-refused", test_a_cut_list_is_refused);
        g_test_add_func("/revocation-text/is-bounded", test_is_bounded);
        r = g_test_run();
        g_bytes_unref(crl);
        test_identity_free(ca);
        return r;
}
