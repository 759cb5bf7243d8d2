/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trust: sets of anchors, each once, within bounds. */

#include "identity/certificate.h"
#include "identity/trust.h"
#include "lib/certificates.h"

#include <string.h>

static TestIdentity *root, *other;

static void assert_refused(GPtrArray *taken, TrustOutcome outcome) {
        g_autoptr(GPtrArray) blobs = taken;
        Trust *trust = NULL;

        g_assert_cmpint(trust_new(blobs, &trust), ==, outcome);
        g_assert_null(trust);
        g_assert_cmpstr(trust_outcome_text(outcome), !=, "");
}

static void test_every_certificate_given_is_an_anchor(void) {
        g_autoptr(GPtrArray) blobs =
                test_blobs(test_identity_der(root), test_identity_pem(other), NULL);
        g_autofree char *first =
                g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(root));
        g_autoptr(Trust) trust = NULL;

        g_assert_cmpint(trust_new(blobs, &trust), ==, 0);
        g_assert_cmpuint(g_strv_length((char **)trust_fingerprints(trust)), ==, 2);
        g_assert_cmpstr(trust_fingerprints(trust)[0], ==, first);
        g_assert_true(trust_has(trust, test_identity_der(root)));
        g_assert_true(trust_has(trust, test_identity_der(other)));
        g_assert_nonnull(trust_list(trust));
}

static void test_anchors_come_out_as_they_went_in(void) {
        g_autoptr(GPtrArray) blobs =
                test_blobs(test_identity_pem(other), test_identity_der(root), NULL);
        g_autoptr(GPtrArray) turned =
                test_blobs(test_identity_der(root), test_identity_der(other), NULL);
        g_autoptr(GPtrArray) anchors = NULL, same = NULL;
        g_autoptr(Trust) trust = NULL, again = NULL;

        g_assert_cmpint(trust_new(blobs, &trust), ==, 0);
        g_assert_cmpint(trust_new(turned, &again), ==, 0);
        anchors = trust_anchors(trust);
        same = trust_anchors(again);
        g_assert_cmpuint(anchors->len, ==, 2);
        g_assert_cmpuint(same->len, ==, 2);
        for (guint i = 0; i < anchors->len; i++) {
                g_assert_true(trust_has(trust, anchors->pdata[i]));
                g_assert_true(g_bytes_equal(anchors->pdata[i], same->pdata[i]));
        }
        g_assert_false(g_bytes_equal(anchors->pdata[0], anchors->pdata[1]));
}

static void test_what_comes_twice_is_one(void) {
        g_autoptr(GBytes) pem = test_chain_pem(root, other, root, NULL);
        g_autoptr(GPtrArray) blobs = test_blobs(pem, test_identity_der(root), NULL);
        g_autoptr(Trust) trust = NULL;

        g_assert_cmpint(trust_new(blobs, &trust), ==, 0);
        g_assert_cmpuint(g_strv_length((char **)trust_fingerprints(trust)), ==, 2);
}

static void test_none_trusts_nobody(void) {
        g_autoptr(GPtrArray) blobs = test_blobs(NULL, NULL);
        g_autoptr(Trust) trust = NULL;

        g_assert_cmpint(trust_new(blobs, &trust), ==, 0);
        g_assert_null(trust_fingerprints(trust)[0]);
        g_assert_false(trust_has(trust, test_identity_der(root)));
}

static void test_one_bad_blob_refuses_all(void) {
        g_autoptr(GBytes) noise = g_bytes_new_static("noise", 5);
        g_autoptr(GBytes) nothing = g_bytes_new_static("", 0);
        g_autoptr(GBytes) cut = g_bytes_new_from_bytes(test_identity_pem(root), 0, 200);

        assert_refused(test_blobs(test_identity_der(root), noise, NULL), TRUST_E_NOT_CERTIFICATE);
        assert_refused(test_blobs(nothing, NULL), TRUST_E_NOT_CERTIFICATE);
        assert_refused(test_blobs(cut, NULL), TRUST_E_NOT_CERTIFICATE);
        assert_refused(test_blobs(test_identity_key_pem(root), NULL), TRUST_E_NOT_CERTIFICATE);
}

static void test_a_monstrous_key_is_no_anchor(void) {
        g_autoptr(GBytes) monster = test_monstrous_der(root, 512, 512);
        g_autoptr(GBytes) large = test_monstrous_der(root, 1024, 8);
        g_autoptr(GPtrArray) blobs = test_blobs(large, NULL);
        g_autoptr(Trust) trust = NULL;

        assert_refused(test_blobs(test_identity_der(root), monster, NULL), TRUST_E_UNBEARABLE);
        g_assert_cmpint(trust_new(blobs, &trust), ==, 0);
}

static void test_more_than_the_limit_is_refused(void) {
        GPtrArray *blobs = test_blobs(NULL, NULL);

        for (size_t i = 0; i < TRUST_ANCHORS_MAX + 1; i++)
                g_ptr_array_add(blobs, g_bytes_ref(test_identity_der(root)));

        assert_refused(blobs, TRUST_E_TOO_MANY);
}

static void test_too_many_bytes_are_refused_unread(void) {
        size_t size = 64 * 1024 * 1024;
        g_autofree char *zeros = g_malloc0(size);
        g_autoptr(GBytes) blob = g_bytes_new_static(zeros, size);

        assert_refused(test_blobs(blob, NULL), TRUST_E_TOO_MUCH);
}

static void test_the_system_has_anchors_or_says_that_it_has_none(void) {
        g_autoptr(Trust) trust = NULL;
        int r;

        r = trust_new_system(&trust);
        if (r == TRUST_E_NO_SYSTEM_TRUST) {
                g_assert_null(trust);
                g_test_skip("this system has no trust store");
                return;
        }

        g_assert_cmpint(r, ==, 0);
        g_assert_null(trust_fingerprints(trust)[0]);
        g_assert_false(trust_has(trust, test_identity_der(root)));
}

static guint n_read(const Trust *trust) {
        g_autoptr(GPtrArray) anchors = trust_anchors(trust);

        return anchors->len;
}

static void look_for(const Trust *trust, GBytes *der) {
        certificate_auto certificate = NULL;

        g_assert_cmpint(certificate_import(der, &certificate), ==, 0);
        trust_look_for(trust, certificate, der);
}

/* Which takes most of the time that a set takes. */
static void test_of_a_kept_one_is_read_what_is_looked_for(void) {
        g_autoptr(TestIdentity) leaf = test_identity_new("leaf", root, 0, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) alone = test_identity_new("alone", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(GPtrArray) ders = test_blobs(test_identity_der(root), test_identity_der(other),
                                               test_identity_der(root), NULL);
        g_autoptr(Trust) given = NULL;
        g_autoptr(Trust) kept = trust_new_kept(ders);

        g_assert_cmpint(trust_new(ders, &given), ==, 0);
        g_assert_cmpuint(trust_memory(kept), ==, trust_memory(given));
        g_assert_true(g_strv_equal(trust_fingerprints(kept), trust_fingerprints(given)));
        g_assert_true(trust_has(kept, test_identity_der(other)));
        g_assert_cmpuint(n_read(kept), ==, 0);

        look_for(kept, test_identity_der(alone));
        g_assert_cmpuint(n_read(kept), ==, 0);
        look_for(kept, test_identity_der(leaf)); /* whose issuer it is */
        g_assert_cmpuint(n_read(kept), ==, 1);
        look_for(kept, test_identity_der(leaf));
        look_for(kept, test_identity_der(root));
        g_assert_cmpuint(n_read(kept), ==, 1);
        look_for(kept, test_identity_der(other)); /* itself */
        g_assert_cmpuint(n_read(kept), ==, 2);
}

/* So that nobody has all of it read at once, by a name that all have. */
static void test_of_one_name_so_many_issue(void) {
        g_autoptr(GPtrArray) ders = test_blobs(NULL, NULL);
        g_autoptr(TestIdentity) last = NULL;
        g_autoptr(Trust) kept = NULL;

        for (int i = 0; i < TRUST_ISSUERS_MAX + 1; i++) {
                g_clear_pointer(&last, test_identity_free);
                last = test_identity_new("same", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
                g_ptr_array_add(ders, g_bytes_ref(test_identity_der(last)));
        }
        kept = trust_new_kept(ders);
        look_for(kept, ders->pdata[0]);
        g_assert_cmpuint(n_read(kept), ==, TRUST_ISSUERS_MAX);
        look_for(kept, test_identity_der(last));
        g_assert_cmpuint(n_read(kept), ==, TRUST_ISSUERS_MAX + 1);
}

static void test_a_damaged_kept_one_trusts_nobody(void) {
        g_autoptr(GBytes) noise = g_bytes_new_static("noise", 5);
        g_autoptr(GBytes) cut = g_bytes_new_from_bytes(test_identity_der(root), 0, 100);
        g_autoptr(GPtrArray) ders = test_blobs(noise, cut, NULL);
        g_autoptr(Trust) kept = trust_new_kept(ders);

        g_assert_null(trust_fingerprints(kept)[0]);
        look_for(kept, test_identity_der(root));
        g_assert_cmpuint(n_read(kept), ==, 0);
}

static void test_a_reference_outlives_its_maker(void) {
        g_autoptr(GPtrArray) blobs = test_blobs(test_identity_der(root), NULL);
        Trust *trust = NULL, *kept;

        g_assert_cmpint(trust_new(blobs, &trust), ==, 0);
        kept = trust_ref(trust);
        g_assert_null(trust_unref(trust));
        g_assert_true(trust_has(kept, test_identity_der(root)));
        g_assert_null(trust_unref(kept));
        g_assert_null(trust_unref(NULL));
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        root = test_identity_new("root", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        other = test_identity_new("other", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);

        g_test_add_func("/trust/new/every-certificate-given-is-an-anchor",
                        test_every_certificate_given_is_an_anchor);
        g_test_add_func("/trust/new/anchors-come-out-as-they-went-in",
                        test_anchors_come_out_as_they_went_in);
        g_test_add_func("/trust/new/what-comes-twice-is-one", test_what_comes_twice_is_one);
        g_test_add_func("/trust/new/none-trusts-nobody", test_none_trusts_nobody);
        g_test_add_func("/trust/new/one-bad-blob-refuses-all", test_one_bad_blob_refuses_all);
        g_test_add_func("/trust/new/a-monstrous-key-is-no-anchor",
                        test_a_monstrous_key_is_no_anchor);
        g_test_add_func("/trust/new/more-than-the-limit-is-refused",
                        test_more_than_the_limit_is_refused);
        g_test_add_func("/trust/new/too-many-bytes-are-refused-unread",
                        test_too_many_bytes_are_refused_unread);
        g_test_add_func("/trust/kept/of-it-is-read-what-is-looked-for",
                        test_of_a_kept_one_is_read_what_is_looked_for);
        g_test_add_func("/trust/kept/of-one-name-so-many-issue", test_of_one_name_so_many_issue);
        g_test_add_func("/trust/kept/a-damaged-one-trusts-nobody",
                        test_a_damaged_kept_one_trusts_nobody);
        g_test_add_func("/trust/system/has-anchors-or-says-that-it-has-none",
                        test_the_system_has_anchors_or_says_that_it_has_none);
        g_test_add_func("/trust/ref/outlives-its-maker", test_a_reference_outlives_its_maker);

        r = g_test_run();
        test_identity_free(root);
        test_identity_free(other);
        return r;
}
