/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Does a session do what session.h says? Two of them, wire and clock in memory.
 */

#include "pair.h"

#include <stdlib.h>
#include <string.h>

static struct { TestIdentity *ca, *ecdsa, *rsa, *ed25519, *client, *stranger; } identities;

static void make_identities(void) {
        identities.ca = test_identity_new("CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        identities.ecdsa = test_identity_new("server.test", identities.ca, 0, TEST_KEY_ECDSA);
        identities.rsa = test_identity_new("server.test", identities.ca, 0, TEST_KEY_RSA_2048);
        identities.ed25519 = test_identity_new("server.test", identities.ca, 0, TEST_KEY_ED25519);
        identities.client = test_identity_new("client.test", identities.ca, 0, TEST_KEY_ECDSA);
        identities.stranger = test_identity_new("server.test", NULL, 0, TEST_KEY_ECDSA);
}

static void free_identities(void) {
        test_identity_free(identities.ecdsa);
        test_identity_free(identities.rsa);
        test_identity_free(identities.ed25519);
        test_identity_free(identities.client);
        test_identity_free(identities.stranger);
        test_identity_free(identities.ca);
}

static void assert_received(const PairEnd *end, guint i, const void *data, size_t size) {
        g_assert_cmpuint(end->received->len, >, i);
        g_assert_cmpmem(g_bytes_get_data(end->received->pdata[i], NULL),
                        g_bytes_get_size(end->received->pdata[i]), data, size);
}

static void assert_talks(Pair *pair) {
        guint n_client = pair->client.received->len, n_server = pair->server.received->len;

        pair_send(pair, &pair->client, "ping", 4);
        pair_send(pair, &pair->server, "pong\0!", 6);
        assert_received(&pair->server, n_server, "ping", 4);
        assert_received(&pair->client, n_client, "pong\0!", 6);
}

/* certificates */

static void test_certificate(gconstpointer argument) {
        TestIdentity *const *identity = argument;
        PairSpec spec = pair_spec_certificate(*identity, identities.ca);
        g_autoptr(Pair) pair = pair_new(&spec);

        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpuint(pair->server.n_questions, ==, 1); /* one signature */
        g_assert_cmpuint(pair->client.n_questions, ==, 0);
        g_assert_cmpuint(session_errors(pair->client.session)->len, ==, 0);
        g_assert_cmpuint(session_peer_chain(pair->client.session)->len, ==, 1);
        assert_talks(pair);
}

static void test_client_certificate(void) {
        PairSpec spec = pair_spec_certificate(identities.ecdsa, identities.ca);
        g_autoptr(Pair) pair = NULL;
        GPtrArray *chain;

        spec.client_identity = identities.client;
        spec.server_trust = identities.ca;
        spec.server.verify_mode = VERIFY_PEER;
        pair = pair_new(&spec);

        pair_start(pair);
        pair_assert_open(pair);
        chain = session_peer_chain(pair->server.session);
        g_assert_nonnull(chain);
        g_assert_true(g_bytes_equal(chain->pdata[0], test_identity_der(identities.client)));
        g_assert_cmpuint(session_errors(pair->server.session)->len, ==, 0);
        assert_talks(pair);
}

static void start_without_client_certificate(Pair **ret, PeerVerifyMode mode, bool fatal) {
        PairSpec spec = pair_spec_certificate(identities.ecdsa, identities.ca);

        spec.server_trust = identities.ca;
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
        g_autoptr(Pair) pair = NULL;

        start_without_client_certificate(&pair, VERIFY_PEER, /* fatal= */ true);
        g_assert_cmpuint(pair->server.n_verdicts, ==, 0);
        g_assert_cmpint(pair->server.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->server.session)->alert_sent, ==, 40);
}

static void test_missing_client_certificate_does_not_matter_to_query_peer(void) {
        g_autoptr(Pair) pair = NULL;

        start_without_client_certificate(&pair, AUTO_VERIFY_PEER, /* fatal= */ false);
        pair_assert_open(pair);
        g_assert_cmpuint(session_errors(pair->server.session)->len, ==, 0);
        g_assert_null(session_peer_chain(pair->server.session));
}

/* verdicts */

static void test_asks_for_a_verdict_and_goes_on_when_accepted(void) {
        PairSpec spec = pair_spec_certificate(identities.stranger, identities.ca);
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->client.accept = true;
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpuint(pair->client.n_verdicts, ==, 1);
        g_assert_cmpuint(session_errors(pair->client.session)->len, >, 0);
        assert_talks(pair);
}

static void test_sends_nothing_while_the_verdict_is_open(void) {
        PairSpec spec = pair_spec_certificate(identities.stranger, identities.ca);
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
        assert_talks(pair);
}

static void test_refuses_with_the_alert_of_the_error(void) {
        PairSpec spec = pair_spec_certificate(identities.stranger, identities.ca);
        g_autoptr(Pair) pair = pair_new(&spec);

        pair_start(pair);
        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->client.session)->error, ==,
                        DTLS_PEER_VERIFICATION_ERROR);
        g_assert_cmpint(session_failure(pair->client.session)->alert_sent, ==, 48);

        /* plaintext, so that the server believes it only when nothing else comes */
        g_assert_cmpint(pair->server.result, ==, 0);
        g_assert_true(pair_expire(pair));
        g_assert_cmpint(pair->server.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->server.session)->alert_received, ==, 48);
        g_assert_nonnull(strstr(session_failure(pair->server.session)->text, "unknown_ca(48)"));
}

static void test_does_not_ask_about_ignored_errors(void) {
        g_autoptr(GArray) codes = g_array_new(FALSE, FALSE, sizeof(VerdictCode));
        VerdictCode ignored[] = {VERDICT_SELF_SIGNED_CERTIFICATE,
                                 VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE,
                                 VERDICT_UNABLE_TO_VERIFY_FIRST_CERTIFICATE};
        PairSpec spec = pair_spec_certificate(identities.stranger, identities.ca);
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
        PairSpec spec = pair_spec_certificate(identities.ecdsa, identities.ca);
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
        PairSpec spec = pair_spec_certificate(identities.stranger, identities.ca);
        g_autoptr(Pair) pair = NULL;

        spec.client.verify_mode = QUERY_PEER;
        pair = pair_new(&spec);
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpuint(pair->client.n_verdicts, ==, 0);
        g_assert_cmpuint(session_errors(pair->client.session)->len, >, 0);
}

static void test_verify_none_completes_without_errors(void) {
        PairSpec spec = pair_spec_certificate(identities.stranger, identities.ca);
        g_autoptr(Pair) pair = NULL;

        spec.client.verify_mode = VERIFY_NONE;
        pair = pair_new(&spec);
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpuint(session_errors(pair->client.session)->len, ==, 0);
        g_assert_nonnull(session_peer_chain(pair->client.session));
}

static void test_may_ask_for_the_verdict_when_all_is_agreed(void) {
        PairSpec spec = pair_spec_certificate(identities.stranger, identities.ca);
        g_autoptr(Pair) pair = NULL;

        spec.client.interrupt_on_error = false;
        pair = pair_new(&spec);
        pair->client.no_answer = true;
        pair_start(pair);
        g_assert_cmpint(session_state(pair->server.session), ==, SESSION_OPEN);
        g_assert_cmpint(session_state(pair->client.session), ==, SESSION_SHAKING);
        g_assert_cmpint(session_send(pair->client.session, "x", 1, pair->client.net), ==,
                        SESSION_E_NOT_OPEN);

        pair_send(pair, &pair->server, "early", 5);
        g_assert_cmpuint(pair->client.received->len, ==, 0);

        pair->client.no_answer = false;
        pair->client.accept = true;
        pair_run(pair);
        pair_assert_open(pair);
        assert_received(&pair->client, 0, "early", 5);
        assert_talks(pair);
}

static void test_may_refuse_when_all_is_agreed(void) {
        PairSpec spec = pair_spec_certificate(identities.stranger, identities.ca);
        g_autoptr(Pair) pair = NULL;

        spec.client.interrupt_on_error = false;
        pair = pair_new(&spec);
        pair_start(pair);
        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->client.session)->alert_sent, ==, 48);
        g_assert_cmpint(pair->server.result, ==, SESSION_E_FAILED); /* it came encrypted */
        g_assert_cmpint(session_failure(pair->server.session)->alert_received, ==, 48);
}

/* pre-shared keys */

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
        assert_talks(pair);
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

static void test_psk_profile_iot(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = NULL;

        spec.client.profile = PROFILE_IOT;
        pair = pair_new(&spec);
        pair_start(pair);
        pair_assert_open(pair);
}

static void test_wrong_psk_fails_and_says_so(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        const SessionFailure *failure;

        pair->server.psk = "another key";
        pair_start(pair);
        g_assert_cmpint(pair->server.result, ==, 0); /* one bad record could be forged */
        while (session_state(pair->server.session) != SESSION_OVER)
                g_assert_true(pair_expire(pair));

        failure = session_failure(pair->server.session);
        g_assert_cmpint(failure->error, ==, DTLS_TLS_FATAL_ERROR);
        g_assert_cmpint(failure->alert_sent, ==, 51);
        g_assert_nonnull(strstr(failure->text, "pre-shared keys differ"));
        g_assert_cmpuint(pair->now_usec, <=, UINT64_C(5000000000) + 3 * PAIR_INITIAL_USEC);

        while (session_state(pair->client.session) != SESSION_OVER)
                g_assert_true(pair_expire(pair));
        g_assert_cmpint(session_failure(pair->client.session)->alert_received, ==, 51);
        g_assert_nonnull(
                strstr(session_failure(pair->client.session)->text, "pre-shared keys differ"));
}

static void test_unknown_identity_looks_like_a_wrong_key(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->server.psk_unknown = true;
        pair_start(pair);
        while (session_state(pair->server.session) != SESSION_OVER)
                g_assert_true(pair_expire(pair));
        g_assert_cmpint(session_failure(pair->server.session)->alert_sent, ==, 51);
}

static void test_refused_identity_has_its_alert(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->server.psk = NULL;
        pair_start(pair);
        g_assert_cmpint(pair->server.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->server.session)->alert_sent, ==, 115);
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
        static const char *const keys[] = {
                "", "this key has more than sixty-four bytes, which is the most that is taken"};

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

/* sending, bounds, ends */

static void test_sends_up_to_the_bounds_it_names(void) {
        PairSpec spec = pair_spec_certificate(identities.ecdsa, identities.ca);
        g_autoptr(Pair) pair = pair_new(&spec);
        g_autofree uint8_t *data = g_malloc0(SESSION_PAYLOAD_MAX + 1);
        Session *client = pair->client.session;

        g_assert_cmpint(session_send(client, data, 1, pair->client.net), ==, SESSION_E_NOT_OPEN);
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpint(session_send(client, data, 0, pair->client.net), ==, SESSION_E_EMPTY);
        g_assert_cmpint(session_send(client, data, SESSION_PAYLOAD_MAX + 1, pair->client.net), ==,
                        SESSION_E_TOO_LONG);

        pair_send(pair, &pair->client, data, SESSION_PAYLOAD_MAX);
        assert_received(&pair->server, 0, data, SESSION_PAYLOAD_MAX);
}

static void test_data_mtu_is_exact(gconstpointer argument) {
        static const size_t paths[] = {256, 512, 1200, 1400, 1452, 9000};
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = NULL;
        g_autofree uint8_t *data = g_malloc0(10000);

        spec.client.profile = *(const CipherProfile *)argument;
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

static void test_handshake_keeps_to_its_mtu(void) {
        static const uint16_t mtus[] = {512, 600, 1000, 1400};

        for (size_t i = 0; i < G_N_ELEMENTS(mtus); i++) {
                PairSpec spec = pair_spec_certificate(identities.rsa, identities.ca);
                g_autoptr(Pair) pair = NULL;

                spec.client_identity = identities.client;
                spec.server_trust = identities.ca;
                spec.server.verify_mode = VERIFY_PEER;
                spec.mtu = mtus[i];
                pair = pair_new(&spec);
                pair_start(pair);
                pair_assert_open(pair);
                g_assert_cmpuint(pair->client.largest_sent, <=, mtus[i]);
                g_assert_cmpuint(pair->server.largest_sent, <=, mtus[i]);
        }
}

static void test_puts_records_of_a_flight_into_one_datagram(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair_start(pair);
        pair_assert_open(pair);
        /* hello; key exchange with change and finished | hello with done; change with finished */
        g_assert_cmpuint(pair->client.n_sent, ==, 2);
        g_assert_cmpuint(pair->server.n_sent, ==, 2);
}

static void test_says_when_there_is_no_room(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        g_autoptr(DatagramBatch) small = datagram_batch_new(1, 100);

        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpint(session_send(pair->client.session, "a", 1, small), ==, 0);
        g_assert_cmpint(session_send(pair->client.session, "b", 1, small), ==, SESSION_E_NO_ROOM);
        datagram_batch_reset(small);
        g_assert_cmpint(session_send(pair->client.session, "b", 1, small), ==, 0);
}

static void test_a_full_net_batch_is_loss_that_is_repaired(void) {
        PairSpec spec = pair_spec_certificate(identities.ecdsa, identities.ca);
        g_autoptr(Pair) pair = NULL;

        spec.mtu = 512;
        pair = pair_new(&spec);
        datagram_batch_free(pair->server.net);
        pair->server.net = datagram_batch_new(1, 600);
        pair_start(pair);
        g_assert_cmpuint(session_stats(pair->server.session).n_dropped_net_full, >, 0);

        datagram_batch_free(pair->server.net);
        pair->server.net = datagram_batch_new(64, 64 * 1024);
        while (session_state(pair->client.session) != SESSION_OPEN)
                g_assert_true(pair_expire(pair));
        assert_talks(pair);
}

static void test_closing_is_told_to_the_peer(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        size_t n_sent;

        pair_start(pair);
        pair_assert_open(pair);
        session_close(pair->client.session, pair->client.net);
        g_assert_cmpuint(datagram_batch_count(pair->client.net), ==, 1);
        pair_collect(pair, &pair->client);
        n_sent = pair->server.n_sent;
        pair_run(pair);
        g_assert_cmpuint(pair->server.n_sent, ==, n_sent + 1); /* the same back */
        g_assert_cmpint(pair->server.result, ==, SESSION_E_CLOSED);
        g_assert_cmpint(session_failure(pair->server.session)->error, ==,
                        DTLS_REMOTE_CLOSED_CONNECTION_ERROR);
        g_assert_cmpint(session_state(pair->server.session), ==, SESSION_OVER);
        g_assert_cmpint(session_state(pair->client.session), ==, SESSION_OVER);
        g_assert_cmpuint(session_deadline_usec(pair->client.session), ==, SESSION_NEVER);
        g_assert_cmpuint(session_deadline_usec(pair->server.session), ==, SESSION_NEVER);
        g_assert_cmpstr(session_facts(pair->server.session)->protocol, ==, "DtlsV1_2");
}

static void test_facts(void) {
        PairSpec spec = pair_spec_certificate(identities.ecdsa, identities.ca);
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

static void test_dtls_1_0_only_when_asked_for(void) {
        PairSpec spec = pair_spec_certificate(identities.rsa, identities.ca);

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
                assert_talks(pair);
        }
}

static void test_took_last_tells_own_records_from_others(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        Session *server = pair->server.session;
        g_autofree uint8_t *copy = NULL;
        Datagram in;

        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpint(session_send(pair->client.session, "mine", 4, pair->client.net), ==, 0);
        in = datagram_batch_at(pair->client.net, 0);
        copy = g_memdup2(in.data, in.size);
        copy[in.size - 1] ^= 1;

        in.data = copy;
        g_assert_cmpint(
                session_receive(server, pair->now_usec, &in, pair->server.net, pair->server.app),
                ==, 0);
        g_assert_false(session_took_last(server));

        copy[in.size - 1] ^= 1;
        g_assert_cmpint(
                session_receive(server, pair->now_usec, &in, pair->server.net, pair->server.app),
                ==, 0);
        g_assert_true(session_took_last(server));

        g_assert_cmpint(
                session_receive(server, pair->now_usec, &in, pair->server.net, pair->server.app),
                ==, 0);
        g_assert_false(session_took_last(server)); /* a replay */
        g_assert_cmpuint(datagram_batch_count(pair->server.app), ==, 1);
}

static void test_an_empty_datagram_does_no_harm(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        Datagram empty = {.data = (const uint8_t *)"", .size = 0};

        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpint(session_receive(pair->client.session, pair->now_usec, &empty,
                                        pair->client.net, pair->client.app),
                        ==, 0);
        assert_talks(pair);
}

/* time */

static void test_resends_after_twice_as_long_each_time(void) {
        static const uint64_t seconds[] = {1, 3, 7, 15, 31};
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        uint64_t start_usec = pair->now_usec;

        pair->client.n_lose = 1000;
        pair_start(pair);
        for (size_t i = 0; i < G_N_ELEMENTS(seconds); i++) {
                g_assert_cmpuint(session_deadline_usec(pair->client.session), ==,
                                 start_usec + seconds[i] * 1000000);
                g_assert_true(pair_expire(pair));
                g_assert_cmpuint(pair->client.n_sent, ==, i + 2);
        }

        g_assert_cmpuint(session_stats(pair->client.session).n_timeouts, ==, 5);
        g_assert_cmpuint(session_stats(pair->client.session).n_flights_resent, ==, 5);

        g_assert_cmpuint(session_deadline_usec(pair->client.session), ==,
                         start_usec + PAIR_DEADLINE_USEC);
        g_assert_true(pair_expire(pair));
        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_nonnull(strstr(session_failure(pair->client.session)->text, "nothing was heard"));
}

static void test_stray_datagrams_resend_nothing(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        Datagram noise = {.data = (const uint8_t *)"noise", .size = 5};
        size_t n_sent;

        pair->client.n_lose = 1000;
        pair_start(pair);
        n_sent = pair->client.n_sent;
        pair->now_usec += 10 * PAIR_INITIAL_USEC;
        g_assert_cmpint(session_receive(pair->client.session, pair->now_usec, &noise,
                                        pair->client.net, pair->client.app),
                        ==, 0);
        pair_collect(pair, &pair->client);
        g_assert_cmpuint(pair->client.n_sent, ==, n_sent);
}

static void test_manual_mode_waits_to_be_told(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = NULL;
        Session *client;

        spec.manual = true;
        pair = pair_new(&spec);
        client = pair->client.session;
        pair->client.n_lose = 1;
        pair_start(pair);
        g_assert_cmpint(
                session_retransmit(client, pair->now_usec, pair->client.net, pair->client.app), ==,
                SESSION_E_NO_TIMEOUT);

        pair->now_usec += PAIR_INITIAL_USEC;
        g_assert_cmpint(session_expire(client, pair->now_usec, pair->client.net, pair->client.app),
                        ==, SESSION_E_TIMEOUT);
        g_assert_cmpuint(datagram_batch_count(pair->client.net), ==, 0);
        g_assert_cmpint(session_expire(client, pair->now_usec, pair->client.net, pair->client.app),
                        ==, 0);

        pair->now_usec += 5 * PAIR_INITIAL_USEC;
        g_assert_cmpint(
                session_retransmit(client, pair->now_usec, pair->client.net, pair->client.app), ==,
                0);
        g_assert_cmpuint(datagram_batch_count(pair->client.net), ==, 1);
        g_assert_cmpuint(session_deadline_usec(client), ==, pair->now_usec + 2 * PAIR_INITIAL_USEC);
        pair_collect(pair, &pair->client);
        pair_run(pair);
        pair_assert_open(pair);
}

static void lose_one(const PairSpec *spec, bool of_client, size_t i) {
        g_autoptr(Pair) pair = pair_new(spec);
        PairEnd *end = of_client ? &pair->client : &pair->server;
        uint64_t start_usec = pair->now_usec;

        end->n_keep = i;
        end->n_lose = 1;
        pair_start(pair);
        while (session_state(pair->client.session) != SESSION_OPEN ||
               session_state(pair->server.session) != SESSION_OPEN)
                g_assert_true(pair_expire(pair));
        pair_assert_open(pair);
        g_assert_cmpuint(pair->now_usec, <=, start_usec + 3 * PAIR_INITIAL_USEC);
        assert_talks(pair);
}

/* Each datagram of a handshake without loss, lost once. */
static void lose_each(const PairSpec *spec) {
        g_autoptr(Pair) pair = pair_new(spec);

        pair_start(pair);
        pair_assert_open(pair);
        for (size_t i = 0; i < pair->client.n_sent; i++)
                lose_one(spec, /* of_client= */ true, i);
        for (size_t i = 0; i < pair->server.n_sent; i++)
                lose_one(spec, /* of_client= */ false, i);
}

static void test_last_flight_is_sent_again_for_a_repeated_finished(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->server.no_answer = true;
        pair_start(pair); /* up to the server's question */
        g_assert_nonnull(session_question(pair->server.session));
        pair->server.no_answer = false;
        pair->server.n_lose = 3; /* its last flight, three times */
        pair_run(pair);
        g_assert_cmpint(session_state(pair->server.session), ==, SESSION_OPEN);
        g_assert_cmpint(session_state(pair->client.session), ==, SESSION_SHAKING);

        while (session_state(pair->client.session) != SESSION_OPEN)
                g_assert_true(pair_expire(pair));
        g_assert_cmpuint(session_stats(pair->server.session).n_flights_resent, ==, 3);
        pair_assert_open(pair);
        assert_talks(pair);
}

static void test_open_sessions_have_one_more_deadline(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair_start(pair);
        pair_assert_open(pair);
        while (pair_expire(pair))
                g_assert_cmpuint(pair->now_usec, <=, UINT64_C(5000000000) + 61000000);
        pair_assert_open(pair);
        assert_talks(pair);
}

static void test_loses_single_datagrams(void) {
        PairSpec psk = pair_spec_psk();
        PairSpec certificate = pair_spec_certificate(identities.ecdsa, identities.ca);

        certificate.mtu = 512; /* more datagrams */
        certificate.client_identity = identities.client;
        certificate.server_trust = identities.ca;
        certificate.server.verify_mode = VERIFY_PEER;
        lose_each(&psk);
        lose_each(&certificate);
}

static void test_an_answer_has_a_deadline(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        uint32_t serial;

        pair->client.no_answer = true;
        pair_start(pair);
        serial = session_question(pair->client.session)->serial;
        pair->now_usec = session_deadline_usec(pair->client.session);
        g_assert_cmpuint(pair->now_usec, ==, UINT64_C(5000000000) + PAIR_ANSWER_USEC);
        g_assert_cmpint(session_expire(pair->client.session, pair->now_usec, pair->client.net,
                                       pair->client.app),
                        ==, SESSION_E_FAILED);
        g_assert_null(session_question(pair->client.session));
        g_assert_nonnull(strstr(session_failure(pair->client.session)->text,
                                "was not answered within 50 s"));
        g_assert_cmpint(session_failure(pair->client.session)->alert_sent, ==, 90);
        g_assert_cmpint(session_answer_psk(pair->client.session, serial, pair->now_usec, NULL, NULL,
                                           pair->client.net, pair->client.app),
                        ==, SESSION_E_STALE);
}

static void forge_alert(Pair *pair, PairEnd *end) {
        static const uint8_t alert[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40};

        g_queue_push_head(&end->inbox, g_bytes_new_static(alert, sizeof alert));
        pair_run(pair);
}

static void test_a_plaintext_alert_is_believed_when_nothing_moves(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->client.n_lose = 1000;
        pair_start(pair);
        forge_alert(pair, &pair->client);
        g_assert_cmpint(pair->client.result, ==, 0);
        g_assert_true(pair_expire(pair));
        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->client.session)->alert_received, ==, 40);
        g_assert_cmpint(session_failure(pair->client.session)->alert_sent, ==, -1);
        g_assert_nonnull(
                strstr(session_failure(pair->client.session)->text, "handshake_failure(40)"));
}

static void test_a_plaintext_alert_is_forgotten_when_things_go_on(void) {
        PairSpec spec = pair_spec_certificate(identities.rsa, identities.ca);
        g_autoptr(Pair) pair = NULL;

        spec.mtu = 512;
        pair = pair_new(&spec);
        pair->server.n_lose = 1000;
        pair_start(pair);
        forge_alert(pair, &pair->client);

        /* a part of the flight comes before the alert would be believed */
        pair->server.n_keep = 1;
        pair->now_usec = session_deadline_usec(pair->server.session);
        g_assert_cmpint(session_expire(pair->server.session, pair->now_usec, pair->server.net,
                                       pair->server.app),
                        ==, SESSION_E_TIMEOUT);
        pair_collect(pair, &pair->server);
        pair_run(pair);

        pair->server.n_lose = 0;
        while (session_state(pair->client.session) != SESSION_OPEN)
                g_assert_true(pair_expire(pair));
        pair_assert_open(pair);
}

static void test_a_plaintext_alert_waits_for_an_open_question(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->client.no_answer = true;
        pair_start(pair);
        forge_alert(pair, &pair->client);
        for (unsigned i = 0; i < 3; i++)
                g_assert_true(pair_expire(pair));
        g_assert_cmpint(pair->client.result, ==, 0);

        pair->client.no_answer = false;
        pair_run(pair);
        pair_assert_open(pair);
}

/* questions */

static void test_stale_answers_are_told_so(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        Session *client = pair->client.session;
        uint32_t serial;

        pair->client.no_answer = true;
        pair_start(pair);
        serial = session_question(client)->serial;
        g_assert_cmpint(session_answer_verdict(client, serial, pair->now_usec, true,
                                               pair->client.net, pair->client.app),
                        ==, SESSION_E_STALE);
        g_assert_cmpint(session_answer_psk_unknown(client, serial + 1, pair->now_usec,
                                                   pair->client.net, pair->client.app),
                        ==, SESSION_E_STALE);
        g_assert_nonnull(session_question(client));

        pair->client.no_answer = false;
        pair_run(pair);
        pair_assert_open(pair);
        g_assert_cmpint(session_answer_psk_unknown(client, serial, pair->now_usec, pair->client.net,
                                                   pair->client.app),
                        ==, SESSION_E_STALE);
}

static void test_no_signature_fails_with_the_reason(void) {
        PairSpec spec = pair_spec_certificate(identities.ecdsa, identities.ca);
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
        PairSpec spec = pair_spec_certificate(identities.ecdsa, identities.ca);
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->server.identity = identities.client; /* signs with another key */
        pair_start(pair);
        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->client.session)->alert_sent, ==, 51);
}

/* The questions of a handshake are opened one after the other; at each the session goes. */
static void end_at_every_question(const PairSpec *spec, bool close) {
        for (unsigned n_answers = 0;; n_answers++) {
                g_autoptr(Pair) pair = pair_new(spec);
                PairEnd *asked = NULL;

                pair->client.no_answer = pair->server.no_answer = true;
                pair->client.accept = pair->server.accept = true;
                pair_start(pair);
                for (unsigned i = 0; i < n_answers; i++) {
                        g_assert_true(pair_answer(pair, &pair->client) ||
                                      pair_answer(pair, &pair->server));
                        pair_run(pair);
                }

                if (session_question(pair->client.session))
                        asked = &pair->client;
                else if (session_question(pair->server.session))
                        asked = &pair->server;
                if (!asked) {
                        pair_assert_open(pair);
                        g_assert_cmpuint(n_answers, >=, 2);
                        return;
                }
                if (close) {
                        session_close(asked->session, asked->net);
                        g_assert_cmpuint(datagram_batch_count(asked->net), ==, 1);
                        g_assert_cmpint(session_state(asked->session), ==, SESSION_OVER);
                        g_assert_null(session_question(asked->session));
                }
        }
}

static void test_can_be_freed_at_every_question(void) {
        PairSpec psk = pair_spec_psk();
        PairSpec mutual = pair_spec_certificate(identities.ecdsa, identities.stranger);

        mutual.client_identity = identities.client;
        mutual.server_trust = identities.stranger;
        mutual.server.verify_mode = VERIFY_PEER;
        for (int close = 0; close < 2; close++) {
                end_at_every_question(&psk, close);
                end_at_every_question(&mutual, close);
        }
}

static void test_without_a_stack_the_peer_must_send_again(void) {
        enum {
                N_PAIRS = 1025
        }; /* one more than there are stacks */
        PairSpec spec = pair_spec_psk();
        g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func((GDestroyNotify)pair_free);
        Pair *last;

        for (unsigned i = 0; i < N_PAIRS; i++) {
                Pair *pair = pair_new(&spec);

                g_ptr_array_add(pairs, pair);
                pair->client.no_answer = true;
                pair_start(pair);
        }
        last = pairs->pdata[N_PAIRS - 1];
        g_assert_null(session_question(last->client.session));
        g_assert_cmpint(last->client.result, ==, 0);

        g_ptr_array_remove_index(pairs, 0); /* gives a stack back */
        last->client.no_answer = false;
        while (session_state(last->client.session) != SESSION_OPEN)
                g_assert_true(pair_expire(last));
        pair_assert_open(last);
}

static void test_clears_the_environment_that_gnutls_obeys(void) {
        g_setenv("SSLKEYLOGFILE", "/nonexistent", TRUE);
        g_setenv("GNUTLS_ANYTHING", "1", TRUE);
        g_setenv("UNRELATED_TO_IT", "stays", TRUE);
        g_assert_cmpint(session_global_init(), ==, 0);
        g_assert_null(g_getenv("SSLKEYLOGFILE"));
        g_assert_null(g_getenv("GNUTLS_ANYTHING"));
        g_assert_cmpstr(g_getenv("UNRELATED_TO_IT"), ==, "stays");
}

int main(int argc, char **argv) {
        static const CipherProfile profiles[] = {PROFILE_DEFAULT, PROFILE_IOT, PROFILE_LEGACY};
        int r;

        g_test_init(&argc, &argv, NULL);
        make_identities();

#define ADD(name, function) g_test_add_func("/session/" name, function)
        g_test_add_data_func("/session/certificate/ecdsa-opens", &identities.ecdsa,
                             test_certificate);
        g_test_add_data_func("/session/certificate/rsa-opens", &identities.rsa, test_certificate);
        g_test_add_data_func("/session/certificate/ed25519-opens", &identities.ed25519,
                             test_certificate);
        ADD("certificate/client-proves-itself", test_client_certificate);
        ADD("certificate/missing-one-is-an-error-of-verify-peer",
            test_missing_client_certificate_is_an_error_of_verify_peer);
        ADD("certificate/missing-one-may-be-fatal-at-once",
            test_missing_client_certificate_may_be_fatal_at_once);
        ADD("certificate/missing-one-does-not-matter-to-query-peer",
            test_missing_client_certificate_does_not_matter_to_query_peer);
        ADD("verdict/is-asked-for-and-goes-on-when-accepted",
            test_asks_for_a_verdict_and_goes_on_when_accepted);
        ADD("verdict/sends-nothing-while-it-is-open", test_sends_nothing_while_the_verdict_is_open);
        ADD("verdict/refuses-with-the-alert-of-the-error",
            test_refuses_with_the_alert_of_the_error);
        ADD("verdict/does-not-ask-about-ignored-errors", test_does_not_ask_about_ignored_errors);
        ADD("verdict/notices-another-name", test_notices_another_name);
        ADD("verdict/query-peer-records-errors-and-completes",
            test_query_peer_records_errors_and_completes);
        ADD("verdict/verify-none-completes-without-errors",
            test_verify_none_completes_without_errors);
        ADD("verdict/may-be-asked-for-when-all-is-agreed",
            test_may_ask_for_the_verdict_when_all_is_agreed);
        ADD("verdict/may-be-refused-when-all-is-agreed", test_may_refuse_when_all_is_agreed);
        ADD("psk/opens", test_psk);
        ADD("psk/client-sees-the-hint", test_psk_hint);
        ADD("psk/opens-with-the-iot-profile", test_psk_profile_iot);
        ADD("psk/a-wrong-one-fails-and-says-so", test_wrong_psk_fails_and_says_so);
        ADD("psk/an-unknown-identity-looks-like-a-wrong-key",
            test_unknown_identity_looks_like_a_wrong_key);
        ADD("psk/a-refused-identity-has-its-alert", test_refused_identity_has_its_alert);
        ADD("psk/client-may-refuse-to-give-one", test_client_may_refuse_to_give_a_key);
        ADD("psk/unusable-ones-are-refused-in-both-roles",
            test_refuses_unusable_keys_in_both_roles);
        ADD("psk/an-identity-that-is-too-long-is-refused",
            test_refuses_an_identity_that_is_too_long);
        ADD("psk/an-empty-identity-is-taken", test_takes_an_empty_identity);
        ADD("psk/the-longest-identity-and-key-are-taken", test_takes_the_longest_identity_and_key);
        ADD("send/goes-up-to-the-bounds-it-names", test_sends_up_to_the_bounds_it_names);
        g_test_add_data_func("/session/send/data-mtu-is-exact-for-default", &profiles[0],
                             test_data_mtu_is_exact);
        g_test_add_data_func("/session/send/data-mtu-is-exact-for-iot", &profiles[1],
                             test_data_mtu_is_exact);
        g_test_add_data_func("/session/send/data-mtu-is-exact-for-legacy", &profiles[2],
                             test_data_mtu_is_exact);
        ADD("send/says-when-there-is-no-room", test_says_when_there_is_no_room);
        ADD("handshake/keeps-to-its-mtu", test_handshake_keeps_to_its_mtu);
        ADD("handshake/puts-the-records-of-a-flight-into-one-datagram",
            test_puts_records_of_a_flight_into_one_datagram);
        ADD("handshake/a-full-net-batch-is-loss-that-is-repaired",
            test_a_full_net_batch_is_loss_that_is_repaired);
        ADD("close/is-told-to-the-peer", test_closing_is_told_to_the_peer);
        ADD("facts/say-what-was-agreed", test_facts);
        ADD("protocol/dtls-1.0-only-when-asked-for", test_dtls_1_0_only_when_asked_for);
        ADD("receive/took-last-tells-own-records-from-others",
            test_took_last_tells_own_records_from_others);
        ADD("receive/an-empty-datagram-does-no-harm", test_an_empty_datagram_does_no_harm);
        ADD("timer/resends-after-twice-as-long-each-time",
            test_resends_after_twice_as_long_each_time);
        ADD("timer/stray-datagrams-resend-nothing", test_stray_datagrams_resend_nothing);
        ADD("timer/manual-mode-waits-to-be-told", test_manual_mode_waits_to_be_told);
        ADD("timer/repairs-the-loss-of-single-datagrams", test_loses_single_datagrams);
        ADD("timer/last-flight-is-sent-again-for-a-repeated-finished",
            test_last_flight_is_sent_again_for_a_repeated_finished);
        ADD("timer/open-sessions-have-one-more-deadline",
            test_open_sessions_have_one_more_deadline);
        ADD("timer/an-answer-has-a-deadline", test_an_answer_has_a_deadline);
        ADD("timer/a-plaintext-alert-is-believed-when-nothing-moves",
            test_a_plaintext_alert_is_believed_when_nothing_moves);
        ADD("timer/a-plaintext-alert-is-forgotten-when-things-go-on",
            test_a_plaintext_alert_is_forgotten_when_things_go_on);
        ADD("timer/a-plaintext-alert-waits-for-an-open-question",
            test_a_plaintext_alert_waits_for_an_open_question);
        ADD("question/stale-answers-are-told-so", test_stale_answers_are_told_so);
        ADD("question/no-signature-fails-with-the-reason", test_no_signature_fails_with_the_reason);
        ADD("question/a-wrong-signature-is-noticed-by-the-peer",
            test_a_wrong_signature_is_noticed_by_the_peer);
        ADD("question/the-session-can-go-at-every-one", test_can_be_freed_at_every_question);
        ADD("question/without-a-stack-the-peer-must-send-again",
            test_without_a_stack_the_peer_must_send_again);
        ADD("global/clears-the-environment-that-gnutls-obeys",
            test_clears_the_environment_that_gnutls_obeys);
#undef ADD

        r = g_test_run();
        free_identities();
        return r;
}
