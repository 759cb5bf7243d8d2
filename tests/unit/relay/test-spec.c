/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a caller chose, as a value. */

#include "world.h"

#include <string.h>

static void begins_with_the_defaults_of_the_contract(void) {
        g_autoptr(Spec) client = spec_new(DTLS_CLIENT, 1000, ":1.5");
        g_autoptr(Spec) persistent = spec_new(DTLS_SERVER, 1000, NULL);

        g_assert_cmpstr(client->owner, ==, ":1.5");
        g_assert_false(client->persistent);
        g_assert_cmpstr(client->verification_name, ==, "");
        g_assert_false(address_is_set(&client->peer));
        g_assert_cmpint(client->verify_mode, ==, AUTO_VERIFY_PEER);
        g_assert_true(client->interrupt_on_error);
        g_assert_true(client->trust_system);
        g_assert_cmpint(client->protocol, ==, PROTOCOL_DTLS_1_2_OR_LATER);
        g_assert_true(client->cookies);
        g_assert_cmpstr(client->cookie_hash, ==, "Sha256");
        g_assert_null(client->cookie_secret);
        g_assert_cmpuint(client->retransmit_initial_usec, ==, 1000 * 1000);
        g_assert_cmpuint(client->retransmit_max_usec, ==, 60 * 1000 * 1000);
        g_assert_cmpuint(client->handshake_deadline_usec, ==, 60 * 1000 * 1000);
        g_assert_cmpuint(client->answer_deadline_usec, ==, 50 * 1000 * 1000);
        g_assert_cmpuint(client->idle_timeout_usec, ==, 0);
        g_assert_cmpuint(client->ignored->len, ==, 0);
        g_assert_cmpuint(client->mtu_hint, ==, 0);

        g_assert_true(persistent->persistent);
        g_assert_null(persistent->owner);
        g_assert_cmpuint(persistent->idle_timeout_usec, ==, 300 * 1000 * 1000);
}

static void copies_share_nothing_that_changes(void) {
        Spec *spec = spec_new(DTLS_SERVER, 1000, ":1.5");
        g_autoptr(Spec) copy = NULL;
        VerdictCode code = VERDICT_CERTIFICATE_EXPIRED;

        spec->psk_identity = g_bytes_new("device", 6);
        spec->psk_hint = g_strdup("hint");
        spec->cookie_secret = secret_new("spice", 5);
        verdict_errors_add(spec->ignored, VERDICT_HOST_NAME_MISMATCH, spec->psk_identity);
        g_array_append_val(spec->ignored_codes, code);
        copy = spec_copy(spec);
        spec_free(spec);

        g_assert_cmpstr(copy->owner, ==, ":1.5");
        g_assert_cmpstr(copy->psk_hint, ==, "hint");
        g_assert_cmpmem(secret_peek(copy->cookie_secret), secret_size(copy->cookie_secret), "spice",
                        5);
        g_assert_cmpuint(copy->ignored->len, ==, 1);
        g_assert_cmpint(g_array_index(copy->ignored, VerdictError, 0).code, ==,
                        VERDICT_HOST_NAME_MISMATCH);
        g_assert_cmpmem(
                g_bytes_get_data(g_array_index(copy->ignored, VerdictError, 0).certificate, NULL),
                6, "device", 6);
        g_assert_cmpint(g_array_index(copy->ignored_codes, VerdictCode, 0), ==, code);
}

static bool takes_psk(const Spec *spec) {
        return spec_session(spec, &(SpecJudgement){0}).psk;
}

static void says_who_may_come_with_a_psk(void) {
        g_autoptr(TestIdentity) identity = test_identity_new("server", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(GPtrArray) ders = test_chain_ders(identity, NULL);
        g_autoptr(Spec) client = spec_new(DTLS_CLIENT, 1000, ":1.5");
        g_autoptr(Spec) bare = spec_new(DTLS_SERVER, 1000, ":1.5");
        g_autoptr(Spec) certified = spec_new(DTLS_SERVER, 1000, ":1.5");

        g_assert_true(takes_psk(client));
        client->offer_psk = false;
        g_assert_false(takes_psk(client));

        g_assert_true(takes_psk(bare));
        g_assert_cmpint(chain_new(ders, &certified->chain), ==, 0);
        certified->psk_hint = g_strdup("ask me");
        g_assert_true(takes_psk(certified));
}

static SessionConfigSpec session_with(const char *option) {
        g_autoptr(Spec) spec = spec_new(DTLS_CLIENT, 1000, ":1.5");

        spec->ssl_options = g_ptr_array_new();
        g_ptr_array_add(spec->ssl_options, (void *)option);
        return spec_session(spec, &(SpecJudgement){0});
}

static void tells_sessions_what_ssl_options_say(void) {
        SessionConfigSpec neither = session_with("DisableCompression");
        SessionConfigSpec no_name = session_with("DisableServerNameIndication");
        SessionConfigSpec no_preference = session_with("DisableServerCipherPreference");

        g_assert_true(neither.server_name_indication);
        g_assert_true(neither.server_preference);
        g_assert_false(no_name.server_name_indication);
        g_assert_true(no_name.server_preference);
        g_assert_true(no_preference.server_name_indication);
        g_assert_false(no_preference.server_preference);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/spec/begins-with-the-defaults-of-the-contract",
                        begins_with_the_defaults_of_the_contract);
        g_test_add_func("/spec/copies-share-nothing-that-changes",
                        copies_share_nothing_that_changes);
        g_test_add_func("/spec/tells-sessions-what-ssl-options-say",
                        tells_sessions_what_ssl_options_say);
        g_test_add_func("/spec/says-who-may-come-with-a-psk", says_who_may_come_with_a_psk);
        return g_test_run();
}
