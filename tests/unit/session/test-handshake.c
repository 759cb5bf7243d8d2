/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Handshakes that have it hard: loss, wrong keys, no stack left.
 */

#include "pair.h"

#include <string.h>

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
        pair_assert_talks(pair);
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

static void test_loses_single_datagrams(void) {
        PairSpec psk = pair_spec_psk();
        PairSpec certificate =
                pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));

        certificate.mtu = 512; /* more datagrams */
        certificate.client_identity = pair_identity(PAIR_CLIENT);
        certificate.server_trust = pair_identity(PAIR_CA);
        certificate.server.verify_mode = VERIFY_PEER;
        lose_each(&psk);
        lose_each(&certificate);
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
        /* which may as well have none for that identity */
        g_assert_nonnull(strstr(session_failure(pair->client.session)->text,
                                "another pre-shared key for our identity, or none"));
}

/* Runs to the end of the client; what the server has sent. */
static char *shape_of_server(const char *key_of_server, const char *says) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->server.psk = key_of_server;
        pair_start(pair);
        while (session_state(pair->client.session) != SESSION_OVER)
                g_assert_true(pair_expire(pair));
        g_assert_cmpint(session_failure(pair->server.session)->alert_sent, ==, 51);
        g_assert_nonnull(strstr(session_failure(pair->server.session)->text, says));
        return g_strdup(pair->server.shape->str);
}

static void test_unknown_identity_looks_like_a_wrong_key(void) {
        g_autofree char *wrong = shape_of_server("another key", "pre-shared keys differ");
        g_autofree char *unknown = shape_of_server(NULL, "no pre-shared key was given");

        g_assert_nonnull(strstr(wrong, "(51)"));
        g_assert_cmpstr(unknown, ==, wrong);
}

static void free_pair(gpointer pair) {
        pair_free(pair);
}

static void test_without_a_stack_the_peer_must_send_again(void) {
        enum {
                N_PAIRS = 1025
        }; /* one more than there are stacks */
        PairSpec spec = pair_spec_psk();
        g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(free_pair);
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

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/handshake/repairs-the-loss-of-single-datagrams",
                        test_loses_single_datagrams);
        g_test_add_func("/session/handshake/a-wrong-one-fails-and-says-so",
                        test_wrong_psk_fails_and_says_so);
        g_test_add_func("/session/handshake/an-unknown-identity-looks-like-a-wrong-key",
                        test_unknown_identity_looks_like_a_wrong_key);
        g_test_add_func("/session/handshake/without-a-stack-the-peer-must-send-again",
                        test_without_a_stack_the_peer_must_send_again);
        return g_test_run();
}
