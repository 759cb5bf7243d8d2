/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Lists of suites that are no product: a server speaks what is in its list and nothing else, a
 * client accepts nothing else.
 */

#include "pair.h"

#define GCM "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
#define GCM_256 "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
#define CHACHA "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
#define RSA_GCM "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
#define PSK_GCM "TLS_PSK_WITH_AES_128_GCM_SHA256"
#define PSK_CHACHA "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256"
#define PSK_GCM_256 "TLS_PSK_WITH_AES_256_GCM_SHA384"
#define CBC "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"

/* From "A B"; NULL: none. */
static GPtrArray *names(const char *text) {
        g_auto(GStrv) words = g_strsplit(text ? text : "", " ", -1);
        GPtrArray *array = g_ptr_array_new();

        if (!text) {
                g_ptr_array_unref(array);
                return NULL;
        }
        for (char **word = words; *word; word++)
                g_ptr_array_add(array, (void *)session_cipher_from_name(*word));

        return array;
}

/* Both ends have a certificate (the server) and a pre-shared key. */
static PairSpec spec_of_both(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));

        spec.client.psk = true;
        spec.server.psk = true;
        spec.server.server_preference = true;
        return spec;
}

static Pair *shake(PairSpec spec, const char *of_client, const char *of_server) {
        g_autoptr(GPtrArray) client = names(of_client), server = names(of_server);
        Pair *pair;

        spec.client.ciphers = client;
        spec.server.ciphers = server;
        pair = pair_new(&spec);
        pair_start(pair);
        return pair;
}

static void assert_agreed(PairSpec spec, const char *of_client, const char *of_server,
                          const char *agreed) {
        g_autoptr(Pair) pair = shake(spec, of_client, of_server);

        pair_assert_open(pair);
        g_assert_cmpstr(session_facts(pair->client.session)->cipher_name, ==, agreed);
        pair_assert_talks(pair);
}

/* A plaintext alert is believed when nothing else comes for a while. */
static void assert_hears(Pair *pair, const PairEnd *end, int alert) {
        while (end->result == 0)
                g_assert_true(pair_expire(pair));

        g_assert_cmpint(end->result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(end->session)->alert_received, ==, alert);
}

/* PSK with GCM is in the product of the list, and not in the list. */
static void test_server_honours_the_list(void) {
        const char *const list = CHACHA " " PSK_GCM_256;

        assert_agreed(spec_of_both(), NULL, list, CHACHA);
        assert_agreed(spec_of_both(), PSK_GCM_256, list, PSK_GCM_256);
        {
                g_autoptr(Pair) pair = shake(spec_of_both(), PSK_CHACHA, list);
                const SessionFailure *failure = session_failure(pair->server.session);

                g_assert_cmpint(pair->server.result, ==, SESSION_E_FAILED);
                g_assert_nonnull(strstr(failure->text, "Ciphers"));
                g_assert_cmpint(failure->alert_sent, ==, 40); /* handshake_failure */
                assert_hears(pair, &pair->client, 40);
        }
}

static void test_preference(void) {
        PairSpec spec = spec_of_both();

        assert_agreed(spec, GCM " " CHACHA, CHACHA " " GCM, CHACHA);
        spec.server.server_preference = false;
        assert_agreed(spec, GCM " " CHACHA, CHACHA " " GCM, GCM);
}

static void test_server_passes_over_what_it_has_no_key_for(void) {
        assert_agreed(spec_of_both(), NULL, RSA_GCM " " GCM_256, GCM_256);
}

static void test_client_refuses_what_it_did_not_list(void) {
        g_autoptr(Pair) pair = shake(spec_of_both(), CHACHA " " PSK_GCM_256, GCM_256);
        const SessionFailure *failure = session_failure(pair->client.session);

        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_nonnull(strstr(failure->text, GCM_256));
        g_assert_cmpint(failure->alert_sent, ==, 40);
        assert_hears(pair, &pair->server, 40);
}

static void test_old_versions(void) {
        PairSpec spec = spec_of_both();

        spec.server.protocol = PROTOCOL_DTLS_1_0_OR_LATER;
        assert_agreed(spec, GCM " " CBC, GCM " " CBC, GCM);
        spec.client.protocol = PROTOCOL_DTLS_1_0;
        assert_agreed(spec, GCM " " CBC, GCM " " CBC, CBC);
}

static void test_a_list_that_fits_nothing(void) {
        g_autoptr(GPtrArray) list = names(GCM);
        SessionConfigSpec spec = {
                .role = DTLS_SERVER,
                .protocol = PROTOCOL_DTLS_1_2,
                .psk = true,
                .ciphers = list,
        };
        SessionConfig *config = NULL;

        g_assert_cmpint(session_config_new(&spec, &config), ==, SESSION_CONFIG_E_NO_SUITE);
        g_assert_null(config);
}

static void test_every_suite(void) {
        for (const char *const *name = session_supported_ciphers(); *name; name++) {
                PairSpec spec = spec_of_both();

                if (strstr(*name, "_RSA_"))
                        spec.server_identity = pair_identity(PAIR_RSA);
                g_test_message("%s", *name);
                assert_agreed(spec, *name, *name, *name);
        }
}

static void test_curves(void) {
        for (const char *const *name = session_supported_curves(); *name; name++) {
                PairSpec spec = pair_spec_psk();
                g_autoptr(GPtrArray) curves = g_ptr_array_new();
                g_autoptr(GPtrArray) ciphers = names("TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256");
                g_autoptr(Pair) pair = NULL;

                g_ptr_array_add(curves, (void *)*name);
                spec.client.ciphers = ciphers;
                spec.server.curves = curves;
                pair = pair_new(&spec);
                pair_start(pair);
                pair_assert_open(pair);
                g_assert_cmpstr(session_facts(pair->client.session)->curve, ==, *name);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/choice/a-server-speaks-its-list-and-nothing-else",
                        test_server_honours_the_list);
        g_test_add_func("/session/choice/the-order-that-counts-is-chosen", test_preference);
        g_test_add_func("/session/choice/a-server-passes-over-what-it-has-no-key-for",
                        test_server_passes_over_what_it_has_no_key_for);
        g_test_add_func("/session/choice/a-client-refuses-what-it-did-not-list",
                        test_client_refuses_what_it_did_not_list);
        g_test_add_func("/session/choice/dtls-1.0-has-the-suites-that-fit-it", test_old_versions);
        g_test_add_func("/session/choice/a-list-that-fits-nothing-is-refused",
                        test_a_list_that_fits_nothing);
        g_test_add_func("/session/choice/every-suite-can-be-listed-alone", test_every_suite);
        g_test_add_func("/session/choice/every-curve-can-be-listed-alone", test_curves);
        return g_test_run();
}
