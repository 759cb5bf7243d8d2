/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Answers: late ones, stale ones, none at all.
 */

#include "pair.h"

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
        g_assert_cmpint(session_answer_psk(client, serial + 1, pair->now_usec, NULL, NULL,
                                           pair->client.net, pair->client.app),
                        ==, SESSION_E_STALE);
        g_assert_nonnull(session_question(client));

        pair->client.no_answer = false;
        pair_run(pair);
        pair_assert_open(pair);
        g_assert_cmpint(session_answer_psk(client, serial, pair->now_usec, NULL, NULL,
                                           pair->client.net, pair->client.app),
                        ==, SESSION_E_STALE);
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
        PairSpec mutual =
                pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_STRANGER));

        mutual.client_identity = pair_identity(PAIR_CLIENT);
        mutual.server_trust = pair_identity(PAIR_STRANGER);
        mutual.server.verify_mode = VERIFY_PEER;
        for (int close = 0; close < 2; close++) {
                end_at_every_question(&psk, close);
                end_at_every_question(&mutual, close);
        }
}

static void test_may_ask_for_the_verdict_when_all_is_agreed(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_STRANGER), pair_identity(PAIR_CA));
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
        pair_assert_received(&pair->client, 0, "early", 5);
        pair_assert_talks(pair);
}

static void test_may_refuse_when_all_is_agreed(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_STRANGER), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = NULL;

        spec.client.interrupt_on_error = false;
        pair = pair_new(&spec);
        pair_start(pair);
        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->client.session)->alert_sent, ==, 48);
        g_assert_cmpint(pair->server.result, ==, SESSION_E_FAILED); /* it came encrypted */
        g_assert_cmpint(session_failure(pair->server.session)->alert_received, ==, 48);
}

/* Nobody accepted the peer: it hears what was wrong with it, in either order. */
static void test_no_verdict_in_time_is_a_refusal(void) {
        for (int interrupt = 0; interrupt < 2; interrupt++) {
                PairSpec spec =
                        pair_spec_certificate(pair_identity(PAIR_STRANGER), pair_identity(PAIR_CA));
                g_autoptr(Pair) pair = NULL;

                spec.client.interrupt_on_error = interrupt;
                pair = pair_new(&spec);
                pair->client.no_answer = true;
                pair_start(pair);
                g_assert_nonnull(session_question(pair->client.session));
                pair->now_usec += PAIR_ANSWER_USEC;
                g_assert_cmpint(session_expire(pair->client.session, pair->now_usec,
                                               pair->client.net, pair->client.app),
                                ==, SESSION_E_FAILED);
                g_assert_cmpint(session_failure(pair->client.session)->alert_sent, ==, 48);
                g_assert_cmpuint(datagram_batch_count(pair->client.net), ==, 1);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/answer/stale-answers-are-told-so",
                        test_stale_answers_are_told_so);
        g_test_add_func("/session/answer/the-session-can-go-at-every-one",
                        test_can_be_freed_at_every_question);
        g_test_add_func("/session/answer/may-be-asked-for-when-all-is-agreed",
                        test_may_ask_for_the_verdict_when_all_is_agreed);
        g_test_add_func("/session/answer/may-be-refused-when-all-is-agreed",
                        test_may_refuse_when_all_is_agreed);
        g_test_add_func("/session/answer/no-verdict-in-time-is-a-refusal",
                        test_no_verdict_in_time_is_a_refusal);
        return g_test_run();
}
