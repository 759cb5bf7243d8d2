/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Time: nothing but what the session decided resends.
 */

#include "pair.h"

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

static void test_stepping_back_ends_nothing(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->server.no_answer = true;
        pair_start(pair);
        g_assert_nonnull(session_question(pair->server.session));
        pair->now_usec -= 10 * PAIR_INITIAL_USEC;
        pair->server.no_answer = false;
        pair_run(pair);
        pair_assert_open(pair);
        pair_assert_talks(pair);
}

static void test_sessions_have_times_of_their_own(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) late = pair_new(&spec);
        g_autoptr(Pair) early = pair_new(&spec);

        early->client.no_answer = true;
        pair_start(early);
        late->now_usec += 20 * PAIR_INITIAL_USEC;
        late->client.n_lose = 3;
        pair_start(late);
        while (session_state(late->client.session) != SESSION_OPEN)
                g_assert_true(pair_expire(late));

        early->client.no_answer = false;
        pair_run(early);
        pair_assert_open(early);
        pair_assert_talks(early);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/clock/stray-datagrams-resend-nothing",
                        test_stray_datagrams_resend_nothing);
        g_test_add_func("/session/clock/stepping-back-ends-nothing",
                        test_stepping_back_ends_nothing);
        g_test_add_func("/session/clock/sessions-have-times-of-their-own",
                        test_sessions_have_times_of_their_own);
        return g_test_run();
}
