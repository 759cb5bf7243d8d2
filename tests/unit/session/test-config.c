/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What sessions share: which credentials make a usable configuration, and the names on the bus.
 */

#include "lib/certificates.h"
#include "session/config.h"

#include <string.h>

static Chain *chain_of(const TestIdentity *identity) {
        g_autoptr(GPtrArray) ders = test_chain_ders(identity, NULL);
        Chain *chain = NULL;

        g_assert_cmpint(chain_new(ders, &chain), ==, 0);
        return chain;
}

static void test_refuses_a_server_with_nothing(void) {
        SessionConfigSpec spec = {.role = DTLS_SERVER, .protocol = PROTOCOL_DTLS_1_2_OR_LATER};
        SessionConfig *config = NULL;

        g_assert_cmpint(session_config_new(&spec, &config), ==, SESSION_CONFIG_E_UNUSABLE);
        g_assert_null(config);
}

static void test_refuses_a_server_with_a_chain_and_no_key(void) {
        g_autoptr(TestIdentity) identity = test_identity_new("a", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(Chain) chain = chain_of(identity);
        SessionConfigSpec spec = {
                .role = DTLS_SERVER,
                .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                .chain = chain,
        };
        SessionConfig *config = NULL;

        g_assert_cmpint(session_config_new(&spec, &config), ==, SESSION_CONFIG_E_UNUSABLE);
        g_assert_null(config);
}

static void test_takes_every_key_type(void) {
        static const TestKeyType types[] = {TEST_KEY_ECDSA, TEST_KEY_ED25519, TEST_KEY_RSA_2048};

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
                g_autoptr(TestIdentity) identity = test_identity_new("a", NULL, 0, types[i]);
                g_autoptr(Chain) chain = chain_of(identity);
                g_autoptr(SessionConfig) config = NULL;
                SessionConfigSpec spec = {
                        .role = DTLS_SERVER,
                        .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                        .chain = chain,
                        .key_id = 7,
                };

                g_assert_cmpint(session_config_new(&spec, &config), ==, 0);
                g_assert_cmpuint(session_config_spec(config)->key_id, ==, 7);
        }
}

static void test_keeps_what_it_was_given(void) {
        char hint[] = "which key";
        SessionConfigSpec spec = {
                .role = DTLS_SERVER,
                .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                .psk = true,
                .psk_hint = hint,
        };
        g_autoptr(SessionConfig) config = NULL;
        SessionConfig *again;

        g_assert_cmpint(session_config_new(&spec, &config), ==, 0);
        memset(hint, 'x', strlen(hint)); /* the caller's copy may go */
        g_assert_cmpstr(session_config_spec(config)->psk_hint, ==, "which key");

        again = session_config_ref(config);
        g_assert_true(again == config);
        g_assert_null(session_config_unref(again));
        g_assert_cmpint(session_config_spec(config)->role, ==, DTLS_SERVER);
}

static void test_makes_every_profile_and_protocol_in_both_roles(void) {
        g_autoptr(TestIdentity) identity = test_identity_new("a", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(Chain) chain = chain_of(identity);

        for (int i = 0; i < N_DTLS_PROTOCOLS * N_CIPHER_PROFILES * 2; i++) {
                g_autoptr(SessionConfig) config = NULL;
                SessionConfigSpec spec = {
                        .role = i % 2 ? DTLS_SERVER : DTLS_CLIENT,
                        .protocol = (DtlsProtocol)(i / 2 % N_DTLS_PROTOCOLS),
                        .profile = (CipherProfile)(i / 2 / N_DTLS_PROTOCOLS),
                        .chain = chain,
                        .key_id = 1,
                        .psk = true,
                        .server_preference = true,
                };

                g_assert_cmpint(session_config_new(&spec, &config), ==, 0);
        }
}

static void test_makes_nothing_of_protocols_of_tls(void) {
        for (int i = N_DTLS_PROTOCOLS; i < N_PROTOCOLS; i++) {
                SessionConfigSpec spec = {.protocol = (DtlsProtocol)i, .psk = true};
                SessionConfig *config = NULL;

                g_assert_cmpint(session_config_new(&spec, &config), ==, SESSION_CONFIG_E_NOT_DTLS);
                g_assert_null(config);
        }
}

static void test_names_go_there_and_back(void) {
        DtlsProtocol protocol = N_PROTOCOLS;
        CipherProfile profile = N_CIPHER_PROFILES;

        for (int i = 0; i < N_PROTOCOLS; i++) {
                g_assert_true(dtls_protocol_from_name(dtls_protocol_name(i), &protocol));
                g_assert_cmpint(protocol, ==, i);
        }
        for (int i = 0; i < N_CIPHER_PROFILES; i++) {
                g_assert_true(cipher_profile_from_name(cipher_profile_name(i), &profile));
                g_assert_cmpint(profile, ==, i);
        }

        g_assert_false(dtls_protocol_from_name("DtlsV1_3", &protocol));
        g_assert_false(dtls_protocol_from_name(NULL, &protocol));
        g_assert_false(cipher_profile_from_name("", &profile));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/config/makes-nothing-of-protocols-of-tls",
                        test_makes_nothing_of_protocols_of_tls);
        g_test_add_func("/session/config/refuses-a-server-with-nothing",
                        test_refuses_a_server_with_nothing);
        g_test_add_func("/session/config/refuses-a-server-with-a-chain-and-no-key",
                        test_refuses_a_server_with_a_chain_and_no_key);
        g_test_add_func("/session/config/takes-every-key-type", test_takes_every_key_type);
        g_test_add_func("/session/config/keeps-what-it-was-given", test_keeps_what_it_was_given);
        g_test_add_func("/session/config/makes-every-profile-and-protocol-in-both-roles",
                        test_makes_every_profile_and_protocol_in_both_roles);
        g_test_add_func("/session/config/names-go-there-and-back", test_names_go_there_and_back);
        return g_test_run();
}
