/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is due when, in virtual time.
 */

#include "pair.h"

#include <string.h>

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

static void test_open_sessions_have_one_more_deadline(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        pair_start(pair);
        pair_assert_open(pair);
        while (pair_expire(pair))
                g_assert_cmpuint(pair->now_usec, <=, UINT64_C(5000000000) + 61000000);
        pair_assert_open(pair);
        pair_assert_talks(pair);
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
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_RSA), pair_identity(PAIR_CA));
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

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/timers/resends-after-twice-as-long-each-time",
                        test_resends_after_twice_as_long_each_time);
        g_test_add_func("/session/timers/manual-mode-waits-to-be-told",
                        test_manual_mode_waits_to_be_told);
        g_test_add_func("/session/timers/open-sessions-have-one-more-deadline",
                        test_open_sessions_have_one_more_deadline);
        g_test_add_func("/session/timers/an-answer-has-a-deadline", test_an_answer_has_a_deadline);
        g_test_add_func("/session/timers/a-plaintext-alert-is-believed-when-nothing-moves",
                        test_a_plaintext_alert_is_believed_when_nothing_moves);
        g_test_add_func("/session/timers/a-plaintext-alert-is-forgotten-when-things-go-on",
                        test_a_plaintext_alert_is_forgotten_when_things_go_on);
        g_test_add_func("/session/timers/a-plaintext-alert-waits-for-an-open-question",
                        test_a_plaintext_alert_waits_for_an_open_question);
        return g_test_run();
}
