/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What was agreed, and what fits the path.
 */

#include "pair.h"

static void test_facts(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = pair_new(&spec);
        const SessionFacts *facts = session_facts(pair->client.session);

        g_assert_cmpstr(facts->protocol, ==, "UnknownProtocol");
        g_assert_cmpstr(facts->cipher_name, ==, "");
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpstr(facts->protocol, ==, "DtlsV1_2");
        g_assert_cmpstr(facts->cipher_name, ==, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
        g_assert_cmpstr(facts->key_exchange, ==, "ECDH");
        g_assert_cmpstr(facts->authentication, ==, "ECDSA");
        g_assert_cmpstr(facts->encryption, ==, "AESGCM(128)");
        g_assert_cmpstr(facts->mac, ==, "AEAD");
        g_assert_cmpuint(facts->bits, ==, 128);
        g_assert_cmpstr(facts->curve, !=, "");
        g_assert_false(facts->resumed);
        g_assert_true(facts->extended_master_secret);
}

static void test_data_mtu_is_exact(gconstpointer argument) {
        static const size_t paths[] = {256, 512, 1200, 1400, 1452, 9000};
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = NULL;
        g_autofree uint8_t *data = g_malloc0(10000);

        spec.client.profile = (CipherProfile)GPOINTER_TO_UINT(argument);
        spec.server.profile = spec.client.profile;
        pair = pair_new(&spec);
        pair_start(pair);
        pair_assert_open(pair);
        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
                session_set_path_mtu(pair->client.session, paths[i]);
                pair->client.largest_sent = 0;
                pair_send(pair, &pair->client, data, session_data_mtu(pair->client.session));
                g_assert_cmpuint(pair->client.largest_sent, <=, paths[i]);
                pair_send(pair, &pair->client, data, session_data_mtu(pair->client.session) + 1);
                g_assert_cmpuint(pair->client.largest_sent, >, paths[i]);
        }
}

/* One of every suite there is; the certificate, if there is one, is of its kind. */
static PairSpec spec_of_suite(const char *name) {
        bool rsa = strstr(name, "_RSA_") != NULL;
        PairSpec spec = pair_spec_certificate(pair_identity(rsa ? PAIR_RSA : PAIR_ECDSA),
                                              pair_identity(PAIR_CA));

        spec.client.psk = true;
        spec.server.psk = true;
        return spec;
}

static void test_data_mtu_of_every_suite(void) {
        static const size_t path = 1400;
        g_autofree uint8_t *data = g_malloc0(path);

        for (const char *const *name = session_supported_ciphers(); *name; name++) {
                g_autoptr(GPtrArray) list = g_ptr_array_new();
                PairSpec spec = spec_of_suite(*name);
                g_autoptr(Pair) pair = NULL;

                g_test_message("%s", *name);
                g_ptr_array_add(list, (void *)*name);
                spec.client.ciphers = spec.server.ciphers = list;
                pair = pair_new(&spec);
                pair_start(pair);
                pair_assert_open(pair);
                session_set_path_mtu(pair->client.session, path);
                pair->client.largest_sent = 0;
                pair_send(pair, &pair->client, data, session_data_mtu(pair->client.session));
                g_assert_cmpuint(pair->client.largest_sent, <=, path);
                pair_send(pair, &pair->client, data, session_data_mtu(pair->client.session) + 1);
                g_assert_cmpuint(pair->client.largest_sent, >, path);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/facts/say-what-was-agreed", test_facts);
        g_test_add_data_func("/session/facts/data-mtu-is-exact-for-default",
                             GUINT_TO_POINTER(PROFILE_DEFAULT), test_data_mtu_is_exact);
        g_test_add_data_func("/session/facts/data-mtu-is-exact-for-iot",
                             GUINT_TO_POINTER(PROFILE_IOT), test_data_mtu_is_exact);
        g_test_add_data_func("/session/facts/data-mtu-is-exact-for-legacy",
                             GUINT_TO_POINTER(PROFILE_LEGACY), test_data_mtu_is_exact);
        g_test_add_func("/session/facts/data-mtu-is-exact-for-every-suite",
                        test_data_mtu_of_every_suite);
        return g_test_run();
}
