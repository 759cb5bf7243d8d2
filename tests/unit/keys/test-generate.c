/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys that the keyring makes, as dtlsd asks for them: both real, over a socket. */

#include "couple.h"

#include <string.h>

static void on_generated(int outcome, const char *text, const char *csr, void *userdata) {
        couple_done(outcome, outcome ? text : csr, userdata);
}

static int generate(Couple *couple, uid_t uid, const char *name, const char *key_type) {
        char *names[] = {"device.example", NULL};

        (void)keys_generate_identity(couple->keys, uid, name, key_type, "CN=device", names,
                                     on_generated, couple);
        return couple_wait(couple);
}

static int install(Couple *couple, uid_t uid, const char *name, GBytes *certificate) {
        g_autoptr(GPtrArray) chain = test_blobs(certificate, NULL);

        (void)keys_install_certificate(couple->keys, uid, name, chain, couple_done, couple);
        return couple_wait(couple);
}

static void assert_is(const Couple *couple, const char *name, GBytes *certificate, bool awaits) {
        const KeysIdentity *identity = keys_identity(couple->keys, name);

        g_assert_nonnull(identity);
        g_assert_cmpint(identity->awaits_certificate, ==, awaits);
        g_assert_cmpuint(identity->chain->len, ==, certificate ? 1 : 0);
        g_assert_true(!identity->key == !certificate);
        if (certificate)
                g_assert_true(g_bytes_equal(identity->chain->pdata[0], certificate));
}

static void a_certificate_makes_it_usable(void) {
        Couple *couple = couple_new();
        g_autoptr(GBytes) certificate = NULL, next = NULL;

        g_assert_cmpint(install(couple, 0, "x", test_identity_der(couple->first)), ==,
                        KEYS_E_UNKNOWN);
        g_assert_cmpint(generate(couple, 0, "x", "ECDSA-P256"), ==, 0);
        certificate = test_certify(couple->text, couple->first);
        assert_is(couple, "x", NULL, true);

        server_free(couple->server); /* the key is the store's, not the process's */
        couple_connect(couple);
        assert_is(couple, "x", NULL, true);
        g_assert_cmpint(install(couple, 0, "x", test_identity_der(couple->first)), ==,
                        KEYS_E_BAD_SECRET);
        g_assert_nonnull(strstr(couple->text, "not that of the first certificate"));
        g_assert_cmpint(install(couple, 0, "x", certificate), ==, 0);
        assert_is(couple, "x", certificate, false);

        g_assert_cmpint(generate(couple, 0, "x", "Ed25519"), ==, 0);
        next = test_certify(couple->text, couple->first);
        assert_is(couple, "x", certificate, true);
        g_assert_cmpint(install(couple, 0, "x", next), ==, 0);
        assert_is(couple, "x", next, false);
        couple_free(couple);
}

static void one_user_does_not_write_anothers(void) {
        Couple *couple = couple_new();
        g_autoptr(GBytes) certificate = NULL;

        g_assert_cmpint(generate(couple, ALICE, "u/1000/x", "ECDSA-P256"), ==, 0);
        certificate = test_certify(couple->text, couple->first);
        g_assert_cmpint(generate(couple, BOB, "u/1000/x", "ECDSA-P256"), ==, KEYS_E_REFUSED);
        g_assert_cmpint(install(couple, BOB, "u/1000/x", certificate), ==, KEYS_E_REFUSED);
        g_assert_cmpint(install(couple, ALICE, "u/1000/x", certificate), ==, 0);
        couple_free(couple);
}

static void what_cannot_be_is_said(void) {
        Couple *couple = couple_new();

        g_assert_cmpint(generate(couple, 0, "x", "RSA-1"), ==, KEYS_E_BAD_SECRET);
        g_assert_nonnull(strstr(couple->text, "RSA-4096"));
        g_assert_null(keys_identity(couple->keys, "x"));
        couple->server = server_free(couple->server);
        g_assert_cmpint(generate(couple, 0, "x", "ECDSA-P256"), ==, KEYS_E_GONE);
        g_assert_cmpint(install(couple, 0, "x", test_identity_der(couple->first)), ==, KEYS_E_GONE);
        couple_free(couple);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/generate/a-certificate-makes-it-usable", a_certificate_makes_it_usable);
        g_test_add_func("/generate/one-user-does-not-write-anothers",
                        one_user_does_not_write_anothers);
        g_test_add_func("/generate/what-cannot-be-is-said", what_cannot_be_is_said);
        return g_test_run();
}
