/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The way from nothing to an open session, in both roles, and its end.
 */

#include "pair.h"

static void test_certificate(gconstpointer argument) {
        PairIdentity which = (PairIdentity)GPOINTER_TO_UINT(argument);
        PairSpec spec = pair_spec_certificate(pair_identity(which), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = pair_new(&spec);

        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpuint(pair->server.n_questions, ==, 1); /* one signature */
        g_assert_cmpuint(pair->client.n_questions, ==, 0);
        g_assert_cmpuint(session_errors(pair->client.session)->len, ==, 0);
        g_assert_cmpuint(session_peer_chain(pair->client.session)->len, ==, 1);
        pair_assert_talks(pair);
}

static void test_client_certificate(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = NULL;
        GPtrArray *chain;

        spec.client_identity = pair_identity(PAIR_CLIENT);
        spec.server_trust = pair_identity(PAIR_CA);
        spec.server.verify_mode = VERIFY_PEER;
        pair = pair_new(&spec);

        pair_start(pair);
        pair_assert_open(pair);
        chain = session_peer_chain(pair->server.session);
        g_assert_nonnull(chain);
        g_assert_true(
                g_bytes_equal(chain->pdata[0], test_identity_der(pair_identity(PAIR_CLIENT))));
        g_assert_cmpuint(session_errors(pair->server.session)->len, ==, 0);
        pair_assert_talks(pair);
}

static void test_a_server_with_both_takes_both(void) {
        for (int psk = 0; psk < 2; psk++) {
                PairSpec spec =
                        pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
                g_autoptr(Pair) pair = NULL;

                spec.server.psk = true;
                if (psk) {
                        spec.client = pair_spec_psk().client;
                        spec.client_trust = NULL;
                        spec.client.psk_alone = true;
                }
                pair = pair_new(&spec);
                pair_start(pair);
                pair_assert_open(pair);
                g_assert_cmpstr(session_facts(pair->server.session)->authentication, ==,
                                psk ? "PSK" : "ECDSA");
        }
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
        g_test_init(&argc, &argv, NULL);
        g_test_add_data_func("/session/session/opens-with-an-ecdsa-certificate",
                             GUINT_TO_POINTER(PAIR_ECDSA), test_certificate);
        g_test_add_data_func("/session/session/opens-with-an-rsa-certificate",
                             GUINT_TO_POINTER(PAIR_RSA), test_certificate);
        g_test_add_data_func("/session/session/opens-with-an-ed25519-certificate",
                             GUINT_TO_POINTER(PAIR_ED25519), test_certificate);
        g_test_add_func("/session/session/opens-with-a-client-certificate",
                        test_client_certificate);
        g_test_add_func("/session/session/a-server-with-both-takes-both",
                        test_a_server_with_both_takes_both);
        g_test_add_func("/session/session/closing-is-told-to-the-peer",
                        test_closing_is_told_to_the_peer);
        g_test_add_func("/session/session/clears-the-environment-that-gnutls-obeys",
                        test_clears_the_environment_that_gnutls_obeys);
        return g_test_run();
}
