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

/* What is wrong with the links of this chain alone: no name, no date, no purpose. */
static GArray *look(GPtrArray *chain, const TestIdentity *anchor) {
        g_autoptr(Trust) trust = trust_in(anchor);
        VerdictQuestion question = {.trust = trust, .chain = chain};
        GArray *errors = verdict_errors_new();
        g_auto(Sent) sent = {.length = 0};
        g_auto(Path) path = {.length = 0};

        g_assert_cmpint(sent_read(&sent, chain, errors), ==, 0);
        path_build(&path, &sent, &question);
        g_assert_cmpint(verdict_chain(errors, &path, trust), ==, 0);
        return errors;
}

static void good_links_have_no_errors(void) {
        g_autoptr(GPtrArray) chain = test_chain_ders(leaf, inter, NULL);
        g_autoptr(GArray) errors = look(chain, root);

        g_assert_cmpuint(errors->len, ==, 0);
}

static void each_link_is_looked_at(void) {
        g_autoptr(GPtrArray) chain = test_chain_ders(leaf, inter, NULL);
        GBytes *der = test_identity_der(leaf);
        gsize size;
        const void *data = g_bytes_get_data(der, &size);
        uint8_t *copy = g_memdup2(data, size);
        g_autoptr(GArray) errors = NULL;

        copy[size - 1] ^= 1; /* of its signature */
        g_bytes_unref(chain->pdata[0]);
        chain->pdata[0] = g_bytes_new_take(copy, size);
        errors = look(chain, stranger);
        g_assert_true(
                verdict_errors_have(errors, VERDICT_CERTIFICATE_SIGNATURE_FAILED, chain->pdata[0]));
        g_assert_true(verdict_errors_have(errors, VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE,
                                          test_identity_der(inter)));
        g_assert_cmpuint(errors->len, ==, 2);
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        root = test_identity_new("root", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        inter = test_identity_new("inter", root, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        leaf = test_identity_new("leaf", inter, 0, TEST_KEY_ECDSA);
        stranger = test_identity_new("stranger", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_test_add_func("/verdict-links/good-ones-have-no-errors", good_links_have_no_errors);
        g_test_add_func("/verdict-links/each-is-looked-at", each_link_is_looked_at);
        r = g_test_run();
        test_identity_free(root);
        test_identity_free(inter);
        test_identity_free(leaf);
        test_identity_free(stranger);
        return r;
}
