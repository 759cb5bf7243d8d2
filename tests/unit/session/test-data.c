/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The open session: plaintext both ways, its bounds, and what must not end it.
 */

#include "pair.h"

static void test_sends_up_to_the_bounds_it_names(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
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
        pair_assert_received(&pair->server, 0, data, SESSION_PAYLOAD_MAX);
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

static void test_an_empty_datagram_does_no_harm(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        Datagram empty = {.data = (const uint8_t *)"", .size = 0};

        pair_start(pair);
        pair_assert_open(pair);
        g_assert_cmpint(session_receive(pair->client.session, pair->now_usec, &empty,
                                        pair->client.net, pair->client.app),
                        ==, 0);
        pair_assert_talks(pair);
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
        pair_assert_talks(pair);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/data/goes-up-to-the-bounds-it-names",
                        test_sends_up_to_the_bounds_it_names);
        g_test_add_func("/session/data/says-when-there-is-no-room",
                        test_says_when_there_is_no_room);
        g_test_add_func("/session/data/an-empty-datagram-does-no-harm",
                        test_an_empty_datagram_does_no_harm);
        g_test_add_func("/session/data/last-flight-is-sent-again-for-a-repeated-finished",
                        test_last_flight_is_sent_again_for_a_repeated_finished);
        return g_test_run();
}
