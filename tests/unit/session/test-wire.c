/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Datagrams as they leave: whole flights, within the MTU; and whose records came.
 */

#include "pair.h"

static void test_handshake_keeps_to_its_mtu(void) {
        static const uint16_t mtus[] = {512, 600, 1000, 1400};

        for (size_t i = 0; i < G_N_ELEMENTS(mtus); i++) {
                PairSpec spec =
                        pair_spec_certificate(pair_identity(PAIR_RSA), pair_identity(PAIR_CA));
                g_autoptr(Pair) pair = NULL;

                spec.client_identity = pair_identity(PAIR_CLIENT);
                spec.server_trust = pair_identity(PAIR_CA);
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

static void test_a_full_net_batch_is_loss_that_is_repaired(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
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
        pair_assert_talks(pair);
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

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/wire/keeps-to-its-mtu", test_handshake_keeps_to_its_mtu);
        g_test_add_func("/session/wire/puts-the-records-of-a-flight-into-one-datagram",
                        test_puts_records_of_a_flight_into_one_datagram);
        g_test_add_func("/session/wire/a-full-net-batch-is-loss-that-is-repaired",
                        test_a_full_net_batch_is_loss_that_is_repaired);
        g_test_add_func("/session/wire/took-last-tells-own-records-from-others",
                        test_took_last_tells_own_records_from_others);
        return g_test_run();
}
