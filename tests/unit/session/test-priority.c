/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which protocols and suites are agreed.
 */

#include "pair.h"

#include <gnutls/gnutls.h>
static void test_psk_profile_iot(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = NULL;

        spec.client.profile = PROFILE_IOT;
        pair = pair_new(&spec);
        pair_start(pair);
        pair_assert_open(pair);
}

static void test_dtls_1_0_only_when_asked_for(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_RSA), pair_identity(PAIR_CA));

        spec.client.protocol = PROTOCOL_DTLS_1_0;
        {
                g_autoptr(Pair) pair = pair_new(&spec);

                pair_start(pair);
                g_assert_cmpint(pair->server.result, ==, SESSION_E_FAILED);
                g_assert_cmpint(session_failure(pair->server.session)->alert_sent, >=, 0);
        }

        spec.server.protocol = PROTOCOL_DTLS_1_0_OR_LATER;
        {
                g_autoptr(Pair) pair = pair_new(&spec);

                pair_start(pair);
                pair_assert_open(pair);
                g_assert_cmpstr(session_facts(pair->client.session)->protocol, ==, "DtlsV1_0");
                pair_assert_talks(pair);
        }
}

/* IANA's name in GnuTLS's spelling, which lacks WITH and some hashes. */
static char *gnutls_spelling(const char *iana) {
        g_auto(GStrv) halves = g_strsplit(iana, "_WITH_", 2);
        GString *name = g_string_new(halves[0]);

        g_assert_nonnull(halves[1]);
        g_string_append_printf(name, "_%s", halves[1]);
        (void)g_string_replace(name, "POLY1305_SHA256", "POLY1305", 0);
        if (g_str_has_suffix(name->str, "CBC_SHA"))
                g_string_append(name, "1");
        return g_string_free(name, FALSE);
}

static bool gnutls_has_suite(const char *wanted) {
        for (size_t i = 0;; i++) {
                const char *name = gnutls_cipher_suite_info(i, NULL, NULL, NULL, NULL, NULL);

                if (!name)
                        return false;
                if (g_str_equal(name, wanted))
                        return true;
        }
}

static void test_lists_suites_once_and_only_known_ones(void) {
        const char *const *ciphers = session_supported_ciphers();

        g_assert_nonnull(ciphers[0]);
        for (size_t i = 0; ciphers[i]; i++) {
                g_autofree char *name = gnutls_spelling(ciphers[i]);

                if (!gnutls_has_suite(name))
                        g_test_fail_printf("GnuTLS has no %s", name);
                for (size_t j = 0; j < i; j++)
                        g_assert_cmpstr(ciphers[i], !=, ciphers[j]);
        }
}

static void test_every_agreed_suite_is_listed(void) {
        for (int i = 0; i < N_CIPHER_PROFILES * 2; i++) {
                PairSpec spec = i % 2 ? pair_spec_psk()
                                      : pair_spec_certificate(pair_identity(PAIR_ECDSA),
                                                              pair_identity(PAIR_CA));
                g_autoptr(Pair) pair = NULL;

                spec.client.profile = spec.server.profile = (CipherProfile)(i / 2);
                pair = pair_new(&spec);
                pair_start(pair);
                pair_assert_open(pair);
                g_assert_true(g_strv_contains(session_supported_ciphers(),
                                              session_facts(pair->client.session)->cipher_name));
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/priority/opens-with-the-iot-profile", test_psk_profile_iot);
        g_test_add_func("/session/priority/dtls-1.0-only-when-asked-for",
                        test_dtls_1_0_only_when_asked_for);
        g_test_add_func("/session/priority/lists-suites-once-and-only-known-ones",
                        test_lists_suites_once_and_only_known_ones);
        g_test_add_func("/session/priority/every-agreed-suite-is-listed",
                        test_every_agreed_suite_is_listed);
        return g_test_run();
}
