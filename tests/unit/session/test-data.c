/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The open session: plaintext both ways, its bounds, and what must not end it.
 */

#include "pair.h"
#include "session/private.h"

#include <malloc.h>

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

/* A hello of a second handshake, under the keys of the first; again each time it is called. */
static void ask_for_another_handshake(Pair *pair) {
        Session *client = pair->client.session;
        Session *before;

        wire_begin(client, pair->now_usec, pair->client.net, NULL);
        clock_advance(client);
        direct_tell_number(client);
        before = clock_bind(client);
        (void)gnutls_handshake(client->gnutls);
        (void)clock_bind(before);
        wire_end(client);
        pair_collect(pair, &pair->client);
        pair_run(pair);
}

static void test_a_second_handshake_is_wished_for_in_vain(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        size_t n_before, n_sent;

        pair_start(pair);
        pair_assert_open(pair);
        ask_for_another_handshake(pair);
        g_assert_cmpint(gnutls_alert_get(pair->client.session->gnutls), ==,
                        GNUTLS_A_NO_RENEGOTIATION);
        n_before = mallinfo2().uordblks;
        n_sent = pair->server.n_sent;
        for (unsigned i = 0; i < 100; i++)
                ask_for_another_handshake(pair);

        g_assert_cmpuint(pair->server.n_sent, <=, n_sent + 100);
        /* 17 KB each is what GnuTLS would keep */
        g_assert_cmpuint(mallinfo2().uordblks, <, n_before + (size_t)100 * 1024);
        g_assert_cmpint(session_state(pair->server.session), ==, SESSION_OPEN);
        pair_send(pair, &pair->client, "still", 5);
        pair_assert_received(&pair->server, 0, "still", 5);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/data/goes-up-to-the-bounds-it-names",
                        test_sends_up_to_the_bounds_it_names);
        g_test_add_func("/session/data/says-when-there-is-no-room",
                        test_says_when_there_is_no_room);
        g_test_add_func("/session/data/an-empty-datagram-does-no-harm",
                        test_an_empty_datagram_does_no_harm);
        g_test_add_func("/session/data/a-second-handshake-is-wished-for-in-vain",
                        test_a_second_handshake_is_wished_for_in_vain);
        g_test_add_func("/session/data/last-flight-is-sent-again-for-a-repeated-finished",
                        test_last_flight_is_sent_again_for_a_repeated_finished);
        return g_test_run();
}
