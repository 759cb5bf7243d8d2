/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a session asks for: PSKs, signatures, verdicts; and what becomes of each answer.
 */

#include "pair.h"

#include <string.h>

static void test_psk(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        g_autoptr(GBytes) alice = g_bytes_new_static("alice", 5);

        pair_start(pair);
        pair_assert_open(pair);
        g_assert_null(pair->client.hint);
        g_assert_cmpstr(pair->server.asked_identity, ==, "alice");
        g_assert_true(g_bytes_equal(session_psk_identity(pair->client.session), alice));
        g_assert_true(g_bytes_equal(session_psk_identity(pair->server.session), alice));
        pair_assert_talks(pair);
}

static void test_psk_hint(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = NULL;

        spec.server.psk_hint = "which one?";
        pair = pair_new(&spec);
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpstr(pair->client.hint, ==, "which one?");
}

static void test_client_may_refuse_to_give_a_key(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->client.psk = NULL;
        pair_start(pair);
        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->client.session)->alert_sent, ==, 90);
        g_assert_null(session_psk_identity(pair->client.session));
}

static void test_refuses_unusable_keys_in_both_roles(void) {
        g_autofree char *too_long = g_strnfill(SESSION_PSK_KEY_MAX + 1, 'k');
        const char *const keys[] = {"", too_long};

        for (size_t i = 0; i < G_N_ELEMENTS(keys) * 2; i++) {
                PairSpec spec = pair_spec_psk();
                g_autoptr(Pair) pair = pair_new(&spec);
                PairEnd *end = i % 2 ? &pair->client : &pair->server;

                end->psk = keys[i / 2];
                pair_start(pair);
                g_assert_cmpint(end->result, ==, SESSION_E_FAILED);
                g_assert_cmpint(session_failure(end->session)->error, ==,
                                DTLS_INVALID_INPUT_PARAMETERS);
        }
}

static void test_refuses_an_identity_that_is_too_long(void) {
        g_autofree char *identity = g_strnfill(SESSION_PSK_IDENTITY_MAX + 1, 'a');
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->client.psk_identity = identity;
        pair_start(pair);
        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->client.session)->error, ==,
                        DTLS_INVALID_INPUT_PARAMETERS);
}

static void test_takes_an_empty_identity(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->client.psk_identity = "";
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpstr(pair->server.asked_identity, ==, "");
}

static void test_takes_the_longest_identity_and_key(void) {
        g_autofree char *identity = g_strnfill(SESSION_PSK_IDENTITY_MAX, 'a');
        g_autofree char *key = g_strnfill(SESSION_PSK_KEY_MAX, 'k');
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->client.psk_identity = identity;
        pair->client.psk = pair->server.psk = key;
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpstr(pair->server.asked_identity, ==, identity);
}

static void test_no_signature_fails_with_the_reason(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = pair_new(&spec);
        Session *server = pair->server.session;

        pair->server.no_answer = true;
        pair_start(pair);
        g_assert_cmpint(session_question(server)->want, ==, SESSION_WANTS_SIGNATURE);
        g_assert_cmpint(session_answer_signature(server, session_question(server)->serial,
                                                 pair->now_usec, NULL, 0, "the token is gone",
                                                 pair->server.net, pair->server.app),
                        ==, SESSION_E_FAILED);
        g_assert_nonnull(strstr(session_failure(server)->text, "the token is gone"));
        g_assert_cmpint(session_failure(server)->alert_sent, ==, 80);
}

static void test_a_wrong_signature_is_noticed_by_the_peer(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->server.identity = pair_identity(PAIR_CLIENT); /* signs with another key */
        pair_start(pair);
        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->client.session)->alert_sent, ==, 51);
}

static void start_without_client_certificate(Pair **ret, PeerVerifyMode mode, bool fatal) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));

        spec.server_trust = pair_identity(PAIR_CA);
        spec.server.verify_mode = mode;
        spec.server.missing_certificate_is_fatal = fatal;
        *ret = pair_new(&spec);
        pair_start(*ret);
}

static void test_missing_client_certificate_is_an_error_of_verify_peer(void) {
        g_autoptr(Pair) pair = NULL;
        const GArray *errors;

        start_without_client_certificate(&pair, VERIFY_PEER, /* fatal= */ false);
        errors = session_errors(pair->server.session);
        g_assert_cmpuint(pair->server.n_verdicts, ==, 1);
        g_assert_cmpuint(errors->len, ==, 1);
        g_assert_cmpint(g_array_index(errors, VerdictError, 0).code, ==,
                        VERDICT_NO_PEER_CERTIFICATE);
        g_assert_cmpint(pair->server.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->server.session)->error, ==,
                        DTLS_PEER_VERIFICATION_ERROR);
        g_assert_cmpint(session_failure(pair->server.session)->alert_sent, ==, 40);
}

static void test_missing_client_certificate_may_be_fatal_at_once(void) {
        static const PeerVerifyMode modes[] = {VERIFY_PEER, QUERY_PEER, AUTO_VERIFY_PEER};

        for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
                g_autoptr(Pair) pair = NULL;

                start_without_client_certificate(&pair, modes[i], /* fatal= */ true);
                g_assert_cmpuint(pair->server.n_verdicts, ==, 0);
                g_assert_cmpint(pair->server.result, ==, SESSION_E_FAILED);
                g_assert_cmpint(session_failure(pair->server.session)->alert_sent, ==, 40);
        }
}

static void test_missing_client_certificate_does_not_matter_to_query_peer(void) {
        g_autoptr(Pair) pair = NULL;

        start_without_client_certificate(&pair, AUTO_VERIFY_PEER, /* fatal= */ false);
        pair_assert_open(pair);
        g_assert_cmpuint(session_errors(pair->server.session)->len, ==, 0);
        g_assert_null(session_peer_chain(pair->server.session));
}

/* RSA whose exponent is as long as its modulus: GnuTLS would check its signature for seconds. */
static void assert_refuses_a_monstrous_key(Pair *pair, PairEnd *end) {
        const GArray *errors;

        pair_start(pair);
        errors = session_errors(end->session);
        g_assert_cmpint(end->result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(end->session)->error, ==, DTLS_PEER_VERIFICATION_ERROR);
        g_assert_cmpint(session_failure(end->session)->alert_sent, ==, 43);
        g_assert_cmpuint(end->n_verdicts, ==, 0);
        g_assert_cmpuint(errors->len, ==, 1);
        g_assert_cmpint(g_array_index(errors, VerdictError, 0).code, ==, VERDICT_UNSPECIFIED_ERROR);
}

static void test_a_monstrous_key_of_a_client_is_refused_in_any_mode(void) {
        static const PeerVerifyMode modes[] = {AUTO_VERIFY_PEER, QUERY_PEER, VERIFY_PEER};
        g_autoptr(GBytes) monster = test_monstrous_der(pair_identity(PAIR_CA), 512, 512);

        for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
                PairSpec spec =
                        pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
                g_autoptr(Pair) pair = NULL;

                spec.client_identity = pair_identity(PAIR_RSA);
                spec.client_der = monster;
                spec.server_trust = pair_identity(PAIR_CA);
                spec.server.verify_mode = modes[i];
                pair = pair_new(&spec);
                pair->server.accept = true;
                assert_refuses_a_monstrous_key(pair, &pair->server);
        }
}

static void test_a_monstrous_key_of_a_server_is_refused_in_any_mode(void) {
        static const PeerVerifyMode modes[] = {VERIFY_NONE, QUERY_PEER, AUTO_VERIFY_PEER};
        g_autoptr(GBytes) monster = test_monstrous_der(pair_identity(PAIR_CA), 512, 512);

        for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
                PairSpec spec =
                        pair_spec_certificate(pair_identity(PAIR_RSA), pair_identity(PAIR_CA));
                g_autoptr(Pair) pair = NULL;

                spec.server_der = monster;
                spec.client.verify_mode = modes[i];
                pair = pair_new(&spec);
                pair->client.accept = true;
                assert_refuses_a_monstrous_key(pair, &pair->client);
        }
}

static void test_asks_for_a_verdict_and_goes_on_when_accepted(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_STRANGER), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->client.accept = true;
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpuint(pair->client.n_verdicts, ==, 1);
        g_assert_cmpuint(session_errors(pair->client.session)->len, >, 0);
        pair_assert_talks(pair);
}

static void test_sends_nothing_while_the_verdict_is_open(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_STRANGER), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = pair_new(&spec);
        size_t n_sent;

        pair->client.no_answer = true;
        pair_start(pair);
        n_sent = pair->client.n_sent;
        for (unsigned i = 0; i < 3; i++)
                g_assert_true(pair_expire(pair)); /* the server resends */

        g_assert_cmpuint(pair->client.n_sent, ==, n_sent);
        g_assert_cmpint(session_state(pair->client.session), ==, SESSION_SHAKING);

        pair->client.accept = true;
        pair->client.no_answer = false;
        pair_run(pair);
        pair_assert_open(pair);
        pair_assert_talks(pair);
}

static void test_does_not_ask_about_ignored_errors(void) {
        g_autoptr(GArray) codes = g_array_new(FALSE, FALSE, sizeof(VerdictCode));
        VerdictCode ignored[] = {VERDICT_SELF_SIGNED_CERTIFICATE,
                                 VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE,
                                 VERDICT_UNABLE_TO_VERIFY_FIRST_CERTIFICATE};
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_STRANGER), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = NULL;

        g_array_append_vals(codes, ignored, G_N_ELEMENTS(ignored));
        spec.ignored_codes = codes;
        pair = pair_new(&spec);
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpuint(pair->client.n_verdicts, ==, 0);
        g_assert_cmpuint(session_errors(pair->client.session)->len, >, 0);
}

static void test_notices_another_name(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = NULL;
        const GArray *errors;

        spec.name = "other.test";
        pair = pair_new(&spec);
        pair_start(pair);
        errors = session_errors(pair->client.session);
        g_assert_cmpuint(errors->len, ==, 1);
        g_assert_cmpint(g_array_index(errors, VerdictError, 0).code, ==,
                        VERDICT_HOST_NAME_MISMATCH);
        g_assert_cmpint(session_failure(pair->client.session)->alert_sent, ==, 42);
}

static void test_query_peer_records_errors_and_completes(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_STRANGER), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = NULL;

        spec.client.verify_mode = QUERY_PEER;
        pair = pair_new(&spec);
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpuint(pair->client.n_verdicts, ==, 0);
        g_assert_cmpuint(session_errors(pair->client.session)->len, >, 0);
}

static void test_verify_none_completes_without_errors(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_STRANGER), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = NULL;

        spec.client.verify_mode = VERIFY_NONE;
        pair = pair_new(&spec);
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpuint(session_errors(pair->client.session)->len, ==, 0);
        g_assert_nonnull(session_peer_chain(pair->client.session));
}

static PairSpec spec_of_first_use(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_STRANGER), pair_identity(PAIR_CA));

        spec.client.first_use = true;
        return spec;
}

static void test_the_first_key_is_to_be_pinned_and_then_it_opens(void) {
        PairSpec spec = spec_of_first_use();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->client.no_answer = true;
        pair_start(pair);
        /* the server has nothing to wait for, and the client has not said yes */
        g_assert_cmpint(session_state(pair->server.session), ==, SESSION_OPEN);
        g_assert_cmpint(session_state(pair->client.session), ==, SESSION_SHAKING);
        g_assert_cmpint(session_question(pair->client.session)->want, ==, SESSION_WANTS_PIN);
        pair_send(pair, &pair->server, "early", 5);
        pair_run(pair);
        g_assert_cmpuint(pair->client.received->len, ==, 0);

        pair->client.no_answer = false;
        pair_run(pair);
        pair_assert_open(pair);
        g_assert_cmpuint(pair->client.n_pins, ==, 1);
        g_assert_cmpuint(pair->client.n_verdicts, ==, 0);
        g_assert_cmpuint(session_errors(pair->client.session)->len, ==, 0);
        pair_assert_received(&pair->client, 0, "early", 5);
}

static void test_a_key_that_cannot_be_pinned_is_refused(void) {
        PairSpec spec = spec_of_first_use();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->client.no_pin = "the disk is full";
        pair_start(pair);
        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->client.session)->error, ==,
                        DTLS_PEER_VERIFICATION_ERROR);
        g_assert_nonnull(strstr(session_failure(pair->client.session)->text, "the disk is full"));
        g_assert_cmpint(session_failure(pair->client.session)->alert_sent, ==, 42);
}

static void test_nobody_waits_for_a_pin_for_ever(void) {
        PairSpec spec = spec_of_first_use();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->client.no_answer = true;
        pair_start(pair);
        while (pair->client.result == 0)
                g_assert_true(pair_expire(pair));
        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_nonnull(strstr(session_failure(pair->client.session)->text, "pin"));
}

/* Who is turned away is not pinned. */
static void test_the_verdict_comes_before_the_pin(void) {
        PairSpec spec = spec_of_first_use();
        g_autoptr(TestIdentity) old =
                test_identity_new("server.test", NULL, TEST_IDENTITY_EXPIRED, TEST_KEY_ECDSA);

        spec.server_identity = old;
        for (int i = 0; i < 4; i++) {
                g_autoptr(Pair) pair = NULL;

                spec.client.interrupt_on_error = i % 2;
                pair = pair_new(&spec);
                pair->client.accept = i / 2;
                pair_start(pair);
                g_assert_cmpuint(pair->client.n_verdicts, ==, 1);
                g_assert_cmpuint(pair->client.n_pins, ==, pair->client.accept);
                g_assert_cmpint(session_state(pair->client.session), ==,
                                pair->client.accept ? SESSION_OPEN : SESSION_OVER);
        }
}

static void test_a_key_that_is_not_pinned_is_an_error(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
        g_autoptr(GPtrArray) pins = g_ptr_array_new();
        g_autoptr(GBytes) right = verdict_pin(test_identity_der(pair_identity(PAIR_ECDSA)));
        g_autoptr(GBytes) wrong = verdict_pin(test_identity_der(pair_identity(PAIR_RSA)));

        g_ptr_array_add(pins, wrong);
        spec.client.pins = pins;
        for (int i = 0; i < 2; i++) {
                g_autoptr(Pair) pair = pair_new(&spec);

                pair_start(pair);
                g_assert_cmpint(session_state(pair->client.session), ==,
                                i == 0 ? SESSION_OVER : SESSION_OPEN);
                g_assert_cmpuint(session_errors(pair->client.session)->len, ==, i == 0);
                g_assert_cmpuint(pair->client.n_pins, ==, 0);
                g_ptr_array_add(pins, right);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/ask/opens", test_psk);
        g_test_add_func("/session/ask/client-sees-the-hint", test_psk_hint);
        g_test_add_func("/session/ask/client-may-refuse-to-give-one",
                        test_client_may_refuse_to_give_a_key);
        g_test_add_func("/session/ask/unusable-ones-are-refused-in-both-roles",
                        test_refuses_unusable_keys_in_both_roles);
        g_test_add_func("/session/ask/an-identity-that-is-too-long-is-refused",
                        test_refuses_an_identity_that_is_too_long);
        g_test_add_func("/session/ask/an-empty-identity-is-taken", test_takes_an_empty_identity);
        g_test_add_func("/session/ask/the-longest-identity-and-key-are-taken",
                        test_takes_the_longest_identity_and_key);
        g_test_add_func("/session/ask/no-signature-fails-with-the-reason",
                        test_no_signature_fails_with_the_reason);
        g_test_add_func("/session/ask/a-wrong-signature-is-noticed-by-the-peer",
                        test_a_wrong_signature_is_noticed_by_the_peer);
        g_test_add_func("/session/ask/missing-one-is-an-error-of-verify-peer",
                        test_missing_client_certificate_is_an_error_of_verify_peer);
        g_test_add_func("/session/ask/missing-one-may-be-fatal-at-once",
                        test_missing_client_certificate_may_be_fatal_at_once);
        g_test_add_func("/session/ask/missing-one-does-not-matter-to-query-peer",
                        test_missing_client_certificate_does_not_matter_to_query_peer);
        g_test_add_func("/session/ask/a-monstrous-key-of-a-client-is-refused-in-any-mode",
                        test_a_monstrous_key_of_a_client_is_refused_in_any_mode);
        g_test_add_func("/session/ask/a-monstrous-key-of-a-server-is-refused-in-any-mode",
                        test_a_monstrous_key_of_a_server_is_refused_in_any_mode);
        g_test_add_func("/session/ask/is-asked-for-and-goes-on-when-accepted",
                        test_asks_for_a_verdict_and_goes_on_when_accepted);
        g_test_add_func("/session/ask/sends-nothing-while-it-is-open",
                        test_sends_nothing_while_the_verdict_is_open);
        g_test_add_func("/session/ask/does-not-ask-about-ignored-errors",
                        test_does_not_ask_about_ignored_errors);
        g_test_add_func("/session/ask/notices-another-name", test_notices_another_name);
        g_test_add_func("/session/ask/query-peer-records-errors-and-completes",
                        test_query_peer_records_errors_and_completes);
        g_test_add_func("/session/ask/verify-none-completes-without-errors",
                        test_verify_none_completes_without_errors);
        g_test_add_func("/session/ask/the-first-key-is-to-be-pinned-and-then-it-opens",
                        test_the_first_key_is_to_be_pinned_and_then_it_opens);
        g_test_add_func("/session/ask/a-key-that-cannot-be-pinned-is-refused",
                        test_a_key_that_cannot_be_pinned_is_refused);
        g_test_add_func("/session/ask/nobody-waits-for-a-pin-for-ever",
                        test_nobody_waits_for_a_pin_for_ever);
        g_test_add_func("/session/ask/the-verdict-comes-before-the-pin",
                        test_the_verdict_comes_before_the_pin);
        g_test_add_func("/session/ask/a-key-that-is-not-pinned-is-an-error",
                        test_a_key_that_is_not_pinned_is_an_error);
        return g_test_run();
}
