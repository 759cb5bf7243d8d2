/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "identity/private.h"
#include "lib/certificates.h"
#include "lib/revocations.h"

static TestIdentity *root, *inter, *leaf, *stranger;

static Trust *trust_in(const TestIdentity *identity) {
        g_autoptr(GPtrArray) blobs = test_chain_ders(identity, NULL);
        Trust *trust = NULL;

        g_assert_cmpint(trust_new(blobs, &trust), ==, 0);
        return trust;
}

static void walk(GPtrArray *chain, const Trust *trust, Sent *sent, Path *path) {
        g_autoptr(GArray) errors = verdict_errors_new();
        VerdictQuestion question = {.trust = trust, .chain = chain};

        g_assert_cmpint(sent_read(sent, chain, errors), ==, 0);
        g_assert_cmpuint(errors->len, ==, 0);
        path_build(path, sent, &question);
}

static void leads_to_an_anchor_through_what_was_sent(void) {
        g_autoptr(GPtrArray) chain = test_chain_ders(leaf, stranger, inter, NULL);
        g_autoptr(Trust) trust = trust_in(root);
        g_autoptr(GBytes) issuer = NULL;
        g_auto(Sent) sent = {.length = 0};
        g_auto(Path) path = {.length = 0};

        walk(chain, trust, &sent, &path);
        g_assert_cmpuint(sent.length, ==, 3);
        g_assert_cmpuint(path.length, ==, 2);
        g_assert_true(path.trusted);
        g_assert_true(g_bytes_equal(path.ders[1], test_identity_der(inter)));
        g_assert_true(path_issuer(&path, 0) == path.certificates[1]);
        issuer = path_issuer_der(&path, 1);
        g_assert_true(g_bytes_equal(issuer, test_identity_der(root)));
        g_assert_false(path_is_self_issued(&path, 1));
}

static void ends_where_nobody_is_known(void) {
        g_autoptr(GPtrArray) chain = test_chain_ders(leaf, inter, NULL);
        g_autoptr(Trust) trust = trust_in(stranger);
        g_auto(Sent) sent = {.length = 0};
        g_auto(Path) path = {.length = 0};

        walk(chain, trust, &sent, &path);
        g_assert_cmpuint(path.length, ==, 2);
        g_assert_false(path.trusted);
        g_assert_null(path_issuer(&path, 1));
        g_assert_null(path_issuer_der(&path, 1));
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        root = test_identity_new("root", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        inter = test_identity_new("inter", root, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        leaf = test_identity_new("leaf", inter, 0, TEST_KEY_ECDSA);
        stranger = test_identity_new("stranger", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_test_add_func("/verdict-path/leads-to-an-anchor-through-what-was-sent",
                        leads_to_an_anchor_through_what_was_sent);
        g_test_add_func("/verdict-path/ends-where-nobody-is-known", ends_where_nobody_is_known);
        r = g_test_run();
        test_identity_free(root);
        test_identity_free(inter);
        test_identity_free(leaf);
        test_identity_free(stranger);
        return r;
}
