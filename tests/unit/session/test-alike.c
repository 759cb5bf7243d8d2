/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alike: what two clients must have in common to have one configuration. */

#include "lib/certificates.h"
#include "session/session.h"

static Trust *trust_of(const TestIdentity *identity) {
        g_autoptr(GPtrArray) ders = test_chain_ders(identity, NULL);
        Trust *trust = NULL;

        g_assert_cmpint(trust_new(ders, &trust), ==, 0);
        return trust;
}

static SessionConfigSpec client(void) {
        return (SessionConfigSpec){
                .role = DTLS_CLIENT,
                .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                .verify_mode = VERIFY_PEER,
                .interrupt_on_error = true,
        };
}

static SessionConfig *config_of(const SessionConfigSpec *spec) {
        SessionConfig *config = NULL;

        g_assert_cmpint(session_config_new(spec, &config), ==, 0);
        return config;
}

static void test_what_is_said_twice_is_alike(void) {
        g_autoptr(TestIdentity) ca =
                test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(Trust) one = trust_of(ca), same = trust_of(ca);
        g_autoptr(GPtrArray) names = g_ptr_array_new(), same_names = g_ptr_array_new();
        g_autoptr(GPtrArray) pins = g_ptr_array_new(), same_pins = g_ptr_array_new();
        g_autoptr(GBytes) pin = g_bytes_new("a", 1), same_pin = g_bytes_new("a", 1);
        SessionConfigSpec spec = client(), again = client();
        g_autoptr(SessionConfig) config = NULL;

        g_ptr_array_add(names, (void *)session_curve_from_name("P-256"));
        g_ptr_array_add(same_names, (void *)session_curve_from_name("P-256"));
        g_ptr_array_add(pins, pin);
        g_ptr_array_add(same_pins, same_pin);
        spec.trust = one;
        spec.curves = names;
        spec.pins = pins;
        config = config_of(&spec);
        again.trust = same;
        again.curves = same_names;
        again.pins = same_pins;
        g_assert_true(session_config_is_like(config, &again));
        g_assert_true(session_config_is_like(config, &spec));
}

static void test_whom_one_trusts_counts(void) {
        g_autoptr(TestIdentity) ca =
                test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) ca2 =
                test_identity_new("b", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(Trust) one = trust_of(ca), other = trust_of(ca2), system = NULL;
        SessionConfigSpec ours = client(), others = client(), nobody = client(), all = client();
        SessionConfigSpec *const specs[] = {&ours, &others, &nobody, &all};

        g_assert_cmpint(trust_new_system(&system), ==, 0);
        ours.trust = one;
        others.trust = other;
        all.trust = system;
        for (size_t i = 0; i < G_N_ELEMENTS(specs); i++) {
                g_autoptr(SessionConfig) config = config_of(specs[i]);

                for (size_t j = 0; j < G_N_ELEMENTS(specs); j++)
                        g_assert_true(session_config_is_like(config, specs[j]) == (i == j));
        }
}

/* Each field by itself. Who adds one makes it count, and then this. */
static void test_each_field_counts(void) {
        g_autoptr(GPtrArray) list = g_ptr_array_new();
        g_autoptr(GBytes) bytes = g_bytes_new("a", 1);
        const SessionConfigSpec spec = client();
        g_autoptr(SessionConfig) config = config_of(&spec);
        SessionConfigSpec others[18];
        size_t n = 0;

        if (sizeof(void *) == 8)
                g_assert_cmpuint(sizeof(SessionConfigSpec), ==, 136);
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                others[i] = client();

        others[n++].role = DTLS_SERVER;
        others[n++].protocol = PROTOCOL_DTLS_1_2;
        others[n++].profile = PROFILE_IOT;
        others[n++].key_id = 1;
        others[n++].psk = true;
        others[n++].psk_alone = true;
        others[n++].psk_hint = "hint";
        others[n++].pins = list;
        others[n++].first_use = true;
        others[n++].verify_mode = QUERY_PEER;
        others[n++].verify_depth = 1;
        others[n++].interrupt_on_error = false;
        others[n++].missing_certificate_is_fatal = true;
        others[n++].ocsp_stapling = true;
        others[n++].server_name_indication = true;
        others[n++].server_preference = true;
        others[n++].tickets = true;
        others[n++].dh_parameters = bytes;
        g_assert_cmpuint(n, ==, G_N_ELEMENTS(others));
        for (size_t i = 0; i < n; i++)
                g_assert_false(session_config_is_like(config, &others[i]));
}

static void test_each_list_counts(void) {
        g_autoptr(GPtrArray) one = g_ptr_array_new(), other = g_ptr_array_new();
        g_autoptr(GBytes) a = g_bytes_new("a", 1), b = g_bytes_new("b", 1);
        SessionConfigSpec spec = client(), different = client();
        g_autoptr(SessionConfig) with_pins = NULL, with_curves = NULL, with_protocols = NULL;

        g_ptr_array_add(one, a);
        g_ptr_array_add(other, b);
        spec.pins = one;
        with_pins = config_of(&spec);
        different.pins = other;
        g_assert_false(session_config_is_like(with_pins, &different));

        spec = different = client();
        spec.next_protocols = one;
        with_protocols = config_of(&spec);
        different.next_protocols = other;
        g_assert_false(session_config_is_like(with_protocols, &different));

        one->pdata[0] = (void *)session_curve_from_name("P-256");
        other->pdata[0] = (void *)session_curve_from_name("P-384");
        spec = different = client();
        spec.curves = one;
        with_curves = config_of(&spec);
        different.curves = other;
        g_assert_false(session_config_is_like(with_curves, &different));
        different.curves = NULL;
        g_assert_false(session_config_is_like(with_curves, &different));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);
        g_test_add_func("/session/alike/what-is-said-twice", test_what_is_said_twice_is_alike);
        g_test_add_func("/session/alike/whom-one-trusts-counts", test_whom_one_trusts_counts);
        g_test_add_func("/session/alike/each-field-counts", test_each_field_counts);
        g_test_add_func("/session/alike/each-list-counts", test_each_list_counts);
        return g_test_run();
}
