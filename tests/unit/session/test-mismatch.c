/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a client makes of a server that does not take its Finished, in virtual time. What a server
 * makes of a Finished that does not decrypt is in test-handshake.c.
 */

#include "pair.h"

#include <string.h>

#define START_USEC UINT64_C(5000000000)
#define HELLO_RANDOM_OFFSET 27

/* The client's last flight never arrives, so that the server, when its timer is not put off, says
 * its hello again: what OpenSSL does as well when the keys differ. */
static Pair *begin(bool manual) {
        PairSpec spec = pair_spec_psk();
        Pair *pair;

        spec.manual = manual;
        pair = pair_new(&spec);
        pair->client.n_keep = 1;
        pair->client.n_lose = 1000;
        pair_start(pair);
        return pair;
}

static void assert_differs(const Pair *pair) {
        const SessionFailure *failure = session_failure(pair->client.session);

        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(failure->error, ==, DTLS_TLS_FATAL_ERROR);
        g_assert_cmpint(failure->alert_sent, ==, 51);
        g_assert_false(failure->timed_out);
        g_assert_nonnull(strstr(failure->text, "the server has another pre-shared key"));
}

static void test_ends_behind_enough_tries(void) {
        g_autoptr(Pair) pair = begin(/* manual= */ false);

        while (session_state(pair->client.session) == SESSION_SHAKING)
                g_assert_true(pair_expire(pair));
        assert_differs(pair);
        g_assert_cmpuint(pair->now_usec, ==, START_USEC + 31 * PAIR_INITIAL_USEC);
        g_assert_cmpuint(session_stats(pair->client.session).n_flights_resent, ==, 9);
}

/* One flight for the timer, one for the hello; none for the hello's copies. */
static void test_answers_a_hello_once_between_timeouts(void) {
        g_autoptr(Pair) pair = begin(/* manual= */ false);
        g_autoptr(GBytes) hello = NULL;
        PairEnd *client = &pair->client;
        size_t n_sent = client->n_sent;

        pair->now_usec += PAIR_INITIAL_USEC;
        g_assert_cmpint(session_expire(pair->server.session, pair->now_usec, pair->server.net,
                                       pair->server.app),
                        ==, SESSION_E_TIMEOUT);
        pair_collect(pair, &pair->server);
        hello = g_bytes_ref(g_queue_peek_head(&client->inbox));
        for (unsigned i = 0; i < 100; i++)
                g_queue_push_tail(&client->inbox, g_bytes_ref(hello));
        pair_run(pair);
        g_assert_cmpuint(client->n_sent, ==, n_sent + 1);
        g_assert_cmpuint(session_deadline_usec(client->session), ==, pair->now_usec);

        (void)session_expire(client->session, pair->now_usec, client->net, client->app);
        pair_collect(pair, client);
        g_assert_cmpuint(client->n_sent, ==, n_sent + 2);
        g_queue_push_tail(&client->inbox, g_bytes_ref(hello));
        pair_run(pair);
        g_assert_cmpuint(client->n_sent, ==, n_sent + 3);
}

/* Who does not hear the server does not know its random bytes. */
static void test_a_forged_hello_is_not_answered(void) {
        g_autoptr(Pair) pair = begin(/* manual= */ false);
        PairEnd *client = &pair->client;
        g_autofree uint8_t *forged = NULL;
        size_t n_sent = client->n_sent;
        gsize size;

        pair->now_usec += PAIR_INITIAL_USEC / 2;
        (void)session_expire(pair->server.session, pair->now_usec + PAIR_INITIAL_USEC,
                             pair->server.net, pair->server.app);
        pair_collect(pair, &pair->server);
        g_assert_cmpuint(g_queue_get_length(&client->inbox), ==, 1);
        forged = g_bytes_unref_to_data(g_queue_pop_head(&client->inbox), &size);
        for (unsigned i = 0; i < 32; i++) {
                forged[HELLO_RANDOM_OFFSET + i] ^= 1;
                g_queue_push_tail(&client->inbox, g_bytes_new(forged, size));
                forged[HELLO_RANDOM_OFFSET + i] ^= 1;
        }
        for (gsize cut = 0; cut < size; cut++)
                g_queue_push_tail(&client->inbox,
                                  g_bytes_new(forged, MIN(cut, HELLO_RANDOM_OFFSET + 31)));
        pair_run(pair);
        g_assert_cmpuint(client->n_sent, ==, n_sent);
        g_assert_cmpint(client->result, ==, 0);
}

static bool handle_timeout(Pair *pair, PairEnd *end) {
        int r = session_retransmit(end->session, pair->now_usec, end->net, end->app);

        pair_collect(pair, end);
        return r == 0;
}

/* The handshake's deadline comes first, but what was seen until then counts. */
static void test_a_manual_client_counts_its_own_tries(void) {
        g_autoptr(Pair) pair = begin(/* manual= */ true);
        unsigned n_handled = 0;

        for (;;) {
                size_t n_sent = pair->client.n_sent;

                g_assert_true(pair_expire(pair));
                if (session_state(pair->client.session) == SESSION_OVER)
                        break;

                n_handled += handle_timeout(pair, &pair->client);
                g_assert_true(handle_timeout(pair, &pair->server));
                g_assert_false(g_queue_is_empty(&pair->client.inbox));
                pair_run(pair);
                g_assert_cmpuint(pair->client.n_sent, ==, n_sent + 1); /* nothing by itself */
        }
        assert_differs(pair);
        g_assert_cmpuint(n_handled, ==, 5);
        g_assert_cmpuint(pair->now_usec, ==, START_USEC + PAIR_DEADLINE_USEC);
}

/* A server that says nothing, as GnuTLS's does, may as well be gone. */
static void test_silence_names_the_key_at_the_deadline(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        const SessionFailure *failure = session_failure(pair->client.session);

        pair->server.psk = "another key";
        pair->server.n_keep = 1;
        pair->server.n_lose = 1000;
        pair_start(pair);
        while (session_state(pair->client.session) == SESSION_SHAKING)
                g_assert_true(pair_expire(pair));
        g_assert_cmpuint(pair->now_usec, ==, START_USEC + PAIR_DEADLINE_USEC);
        g_assert_true(failure->timed_out);
        g_assert_nonnull(strstr(failure->text, "the server has another pre-shared key"));
        g_assert_cmpint(failure->alert_sent, !=, 51); /* it is not known */
}

/* A certificate's Finished cannot fail for a key, and such flights are long. */
static void test_only_keys_can_differ(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = pair_new(&spec);

        pair->client.n_keep = 1;
        pair->client.n_lose = 1000;
        pair_start(pair);
        while (session_state(pair->client.session) == SESSION_SHAKING)
                g_assert_true(pair_expire(pair));
        g_assert_cmpuint(pair->now_usec, ==, START_USEC + PAIR_DEADLINE_USEC);
        g_assert_true(session_failure(pair->client.session)->timed_out);
        g_assert_cmpuint(session_stats(pair->client.session).n_flights_resent, ==, 5);
}

#define ADD(name, function) g_test_add_func("/session/mismatch/" name, function)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("ends-behind-enough-tries", test_ends_behind_enough_tries);
        ADD("answers-a-hello-once-between-timeouts", test_answers_a_hello_once_between_timeouts);
        ADD("a-forged-hello-is-not-answered", test_a_forged_hello_is_not_answered);
        ADD("a-manual-client-counts-its-own-tries", test_a_manual_client_counts_its_own_tries);
        ADD("silence-names-the-key-at-the-deadline", test_silence_names_the_key_at_the_deadline);
        ADD("only-keys-can-differ", test_only_keys_can_differ);
        return g_test_run();
}
