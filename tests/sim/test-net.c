/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Do two sessions agree over a bad net?
 */

#include "wire.h"

#include <string.h>

#define MINUTE (60 * WIRE_SECOND)
#define N_SEEDS 25

static const char *const kind_names[N_WIRE_KINDS] = {
        [WIRE_PSK] = "psk",
        [WIRE_CERTIFICATE] = "certificate",
        [WIRE_MUTUAL] = "client-certificate",
};

/* Opens within the limit, and then data gets through in both directions. */
static void assert_opens(Wire *wire, uint64_t limit_usec) {
        bool open;

        wire_start(wire);
        open = wire_shake(wire, limit_usec);
        if (!open) {
                g_test_message("seed %u: client: %s, server: %s", wire->setup.seed,
                               session_failure(wire->client.session)->text,
                               wire->server.session ? session_failure(wire->server.session)->text
                                                    : "no hello was accepted");
        }
        g_assert_true(open);
        g_assert_true(wire_talks(&wire->client, 60));
        g_assert_true(wire_talks(&wire->server, 60));
        g_assert_false(wire_is_over(wire));
}

static void over_many_seeds(WireSetup setup, unsigned n_seeds, uint64_t limit_usec) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (unsigned seed = 1; seed <= n_seeds; seed++) {
                        g_autoptr(Wire) wire = NULL;

                        setup.kind = kind;
                        setup.seed = seed;
                        setup.cookies = seed % 2 == 0;
                        wire = wire_new(&setup);
                        assert_opens(wire, limit_usec);
                }
}

static void test_a_good_net_needs_no_timer(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (unsigned key = 0; key < N_WIRE_KEYS; key++)
                        for (unsigned cookies = 0; cookies < 2; cookies++) {
                                g_autoptr(Wire) wire = wire_new(
                                        &(WireSetup){.kind = kind, .key = key, .cookies = cookies});

                                assert_opens(wire, WIRE_SECOND / 2);
                                g_assert_cmpuint(wire->client.n_timeouts, ==, 0);
                                g_assert_cmpuint(wire->server.n_timeouts, ==, 0);
                                g_assert_cmpuint(wire->n_cookies_asked, ==, cookies);
                                g_assert_cmpuint(
                                        session_stats(wire->client.session).n_dropped_filter, ==,
                                        0);
                                g_assert_cmpuint(
                                        session_stats(wire->server.session).n_dropped_filter, ==,
                                        0);
                        }
}

static void test_loss_of_a_tenth(void) {
        over_many_seeds((WireSetup){.loss = 10}, N_SEEDS, 2 * MINUTE);
}

static void test_loss_of_a_third(void) {
        over_many_seeds((WireSetup){.loss = 30}, N_SEEDS, 10 * MINUTE);
}

static void test_duplication(void) {
        over_many_seeds((WireSetup){.duplication = 50}, N_SEEDS, WIRE_SECOND / 2);
        over_many_seeds((WireSetup){.duplication = 100}, 2, WIRE_SECOND / 2);
}

/* The queue puts right what the net swaps, so that most handshakes need no timer at all. */
static void test_reordering(void) {
        over_many_seeds((WireSetup){.reordering = 50}, N_SEEDS, 5 * WIRE_SECOND);
        over_many_seeds((WireSetup){.reordering = 50, .mtu = 512}, N_SEEDS, 5 * WIRE_SECOND);
}

/* Full handshakes that give tickets out, and handshakes that begin with one. */
static void test_tickets(void) {
        WireSetup nets[] = {{.loss = 30},
                            {.duplication = 50},
                            {.reordering = 50},
                            {.loss = 15, .duplication = 20, .reordering = 30}};

        for (unsigned kind = WIRE_CERTIFICATE; kind < N_WIRE_KINDS; kind++) {
                WireSetup good = {.kind = kind, .tickets = true};
                g_autoptr(Wire) first = wire_new(&good);
                g_autoptr(Secret) ticket = NULL;
                uint32_t lifetime;

                assert_opens(first, WIRE_SECOND);
                g_assert_cmpint(session_ticket(first->client.session, &ticket, &lifetime), ==, 0);
                for (unsigned seed = 1; seed <= N_SEEDS * G_N_ELEMENTS(nets); seed++) {
                        WireSetup setup = nets[seed % G_N_ELEMENTS(nets)];
                        g_autoptr(Wire) full = NULL, resumed = NULL;

                        setup.kind = kind;
                        setup.seed = seed;
                        setup.cookies = seed % 3 == 0;
                        setup.tickets = true;
                        full = wire_new(&setup);
                        assert_opens(full, 10 * MINUTE);

                        setup.server_config = first->server.config;
                        setup.ticket = ticket;
                        resumed = wire_new(&setup);
                        assert_opens(resumed, 10 * MINUTE);
                        g_assert_true(session_facts(resumed->client.session)->resumed);
                        g_assert_true(session_facts(resumed->server.session)->resumed);
                }
        }
}

static void test_all_of_it(void) {
        over_many_seeds((WireSetup){.loss = 15, .duplication = 20, .reordering = 30}, N_SEEDS,
                        10 * MINUTE);
}

/* A changed bit in a plaintext message cannot be told from the peer's word until the Finished
 * messages differ: such a handshake may fail. It may not hang, and not open with one side only
 * able to talk. */
static void test_corruption_opens_or_fails_and_never_hangs(void) {
        unsigned n_open = 0, n = 0;

        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (unsigned seed = 1; seed <= 2 * N_SEEDS; seed++) {
                        g_autoptr(Wire) wire =
                                wire_new(&(WireSetup){.kind = kind,
                                                      .seed = seed,
                                                      .corruption = 10,
                                                      .handshake_deadline_usec = MINUTE});

                        n++;
                        wire_start(wire);
                        if (wire_shake(wire, 3 * MINUTE)) {
                                n_open++;
                                g_assert_true(wire_talks(&wire->client, 60));
                                g_assert_true(wire_talks(&wire->server, 60));
                        } else {
                                g_assert_true(wire_is_over(wire));
                        }
                }
        g_assert_cmpuint(n_open, >, n / 3);
}

static void test_corruption_never_ends_an_open_session(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++) {
                g_autoptr(Wire) wire = wire_new(&(WireSetup){.kind = kind, .seed = kind});
                guint n_received;

                assert_opens(wire, WIRE_SECOND);
                wire->setup.corruption = 100;
                n_received = wire->server.received->len;
                for (unsigned i = 0; i < 200; i++)
                        g_assert_cmpint(wire_say(&wire->client, "spoilt", 6), ==, 0);
                wire_pass(wire, WIRE_SECOND);

                /* not one of them was believed, but for those whose version alone was hit */
                g_assert_cmpuint(wire->server.received->len, <=, n_received + 20);
                g_assert_true(wire_is_open(wire));
                wire->setup.corruption = 0;
                g_assert_true(wire_talks(&wire->client, 1));
                g_assert_true(wire_talks(&wire->server, 1));
        }
}

static void test_every_mtu(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (unsigned key = 0; key < N_WIRE_KEYS; key++) {
                        unsigned least =
                                kind == WIRE_PSK ? SESSION_MTU_MIN : SESSION_MTU_MIN_CERTIFICATE;

                        for (unsigned mtu = least; mtu <= 1400; mtu += 31) {
                                g_autoptr(Wire) wire = wire_new(&(WireSetup){
                                        .kind = kind, .key = key, .mtu = mtu, .cookies = mtu % 2});

                                assert_opens(wire, WIRE_SECOND / 2);
                        }
                }
}

static void test_every_mtu_with_loss(void) {
        for (unsigned mtu = 256; mtu <= 1400; mtu += 286)
                over_many_seeds((WireSetup){.loss = 10, .reordering = 20, .mtu = MAX(mtu, 512)}, 5,
                                5 * MINUTE);
}

/* A server name so long that the ClientHello does not fit 256 bytes. */
static const char long_name[] =
        "a-rather-long-label-that-takes-a-lot-of-room-in-the-hello.and-another-one-that-does-so-too"
        ".and-a-third-one-to-be-sure-that-it-is-cut-in-two.example.org";

/* Swaps each pair of datagrams that the client sends. */
static bool tap_swap_client(Wire *wire, WireEnd *from, unsigned index, WirePacket *packet,
                            void *data) {
        if (from->role == DTLS_CLIENT)
                packet->due_usec += from->n_sent % 2 ? 2000 : 0;
        return true;
}

static void shake_fragmented(bool cookies, WireTap tap, uint64_t limit_usec) {
        g_autoptr(Wire) wire = wire_new(&(WireSetup){.kind = WIRE_CERTIFICATE,
                                                     .mtu = SESSION_MTU_MIN,
                                                     .name = long_name,
                                                     .cookies = cookies,
                                                     .answers = WIRE_ANSWERS_BY_HAND});
        unsigned n_hello;

        wire->tap = tap;
        wire_start(wire);
        n_hello = wire->client.n_sent;
        g_assert_cmpuint(n_hello, ==, 2);

        /* the name is not the certificate's: the verdict asks */
        for (unsigned i = 0; i < 20 && !wire_is_open(wire); i++) {
                (void)wire_shake(wire, limit_usec);
                (void)wire_answer(&wire->client);
                (void)wire_answer(&wire->server);
        }
        g_assert_true(wire_is_open(wire));
        if (cookies)
                g_assert_cmpuint(wire->n_cookies_asked, >, 0);
}

static void test_a_fragmented_hello(void) {
        shake_fragmented(false, NULL, WIRE_SECOND / 2);
        shake_fragmented(true, NULL, WIRE_SECOND / 2);
}

static void test_a_fragmented_hello_in_the_wrong_order(void) {
        shake_fragmented(false, tap_swap_client, 4 * WIRE_SECOND);
        shake_fragmented(true, tap_swap_client, 4 * WIRE_SECOND);
}

typedef struct Drops {
        unsigned first, second;
} Drops;

static bool tap_drop(Wire *wire, WireEnd *from, unsigned index, WirePacket *packet, void *data) {
        const Drops *drops = data;

        return index != drops->first && index != drops->second;
}

static unsigned count_datagrams(const WireSetup *setup) {
        g_autoptr(Wire) wire = wire_new(setup);

        wire_start(wire);
        g_assert_true(wire_shake(wire, WIRE_SECOND));
        return wire->n_sent;
}

/* Indices beyond the handshake's own are those of what is sent again. */
static void drop_every_pair(const WireSetup *setup) {
        unsigned n = count_datagrams(setup) + 4;

        for (unsigned first = 0; first < n; first++)
                for (unsigned second = first; second < n; second++) {
                        Drops drops = {first, second};
                        g_autoptr(Wire) wire = wire_new(setup);

                        wire->tap = tap_drop;
                        wire->tap_data = &drops;
                        wire_start(wire);
                        if (!wire_shake(wire, 8 * WIRE_SECOND))
                                g_error("datagrams %u and %u dropped: no handshake", first, second);

                        wire->tap = NULL;
                        g_assert_true(wire_talks(&wire->client, 1));
                        g_assert_true(wire_talks(&wire->server, 1));
                }
}

static void test_every_pair_dropped(const void *data) {
        WireKind kind = GPOINTER_TO_UINT(data);

        drop_every_pair(&(WireSetup){.kind = kind});
        drop_every_pair(&(WireSetup){.kind = kind, .cookies = true});
}

/* One record in each datagram: more to lose, one by one. */
static void test_every_pair_dropped_of_small_ones(void) {
        drop_every_pair(&(WireSetup){.kind = WIRE_CERTIFICATE, .mtu = 512});
        drop_every_pair(&(WireSetup){.kind = WIRE_MUTUAL, .mtu = 600, .key = WIRE_RSA});
}

/* With a manual client everything is resent by the server, or by the application. */
static void test_a_manual_client_sends_nothing_by_itself(void) {
        g_autoptr(Wire) wire = wire_new(&(WireSetup){.kind = WIRE_PSK, .client_manual = true});
        WireEnd *client = &wire->client;
        Drops drops = {0, 1};

        wire->tap = tap_drop;
        wire->tap_data = &drops;
        wire_start(wire);
        g_assert_cmpint(session_retransmit(client->session, wire->now_usec, wire->net, wire->app),
                        ==, SESSION_E_NO_TIMEOUT);
        wire_pass(wire, 10 * WIRE_SECOND);
        g_assert_cmpuint(client->n_sent, ==, 1);
        g_assert_cmpuint(client->n_timeouts, ==, 1);

        /* one timeout is one retransmission, which is lost too; then another */
        for (unsigned i = 0; i < 2; i++) {
                wire_before(client);
                wire_after(client, session_retransmit(client->session, wire->now_usec, wire->net,
                                                      wire->app));
                wire_before(client);
                g_assert_cmpint(
                        session_retransmit(client->session, wire->now_usec, wire->net, wire->app),
                        ==, SESSION_E_NO_TIMEOUT);
                wire_pass(wire, 10 * WIRE_SECOND);
        }
        g_assert_true(wire_is_open(wire));
        g_assert_true(wire_talks(client, 1));
}

/* Swapped ChangeCipherSpec and Finished cost no retransmission, and data that overtakes the
 * Finished is kept for the end. */
static bool tap_delay_one(Wire *wire, WireEnd *from, unsigned index, WirePacket *packet,
                          void *data) {
        const unsigned *late = data;

        if (index == *late)
                packet->due_usec += 5000;
        return true;
}

static void test_whatever_comes_late_costs_no_timer(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++) {
                WireSetup setup = {.kind = kind, .mtu = kind == WIRE_PSK ? 256 : 512};
                unsigned n = count_datagrams(&setup);

                for (unsigned late = 0; late < n; late++) {
                        g_autoptr(Wire) wire = wire_new(&setup);

                        wire->tap = tap_delay_one;
                        wire->tap_data = &late;
                        assert_opens(wire, WIRE_SECOND / 2);
                }
        }
}

/* Data of a server that is open overtakes its Finished. */
static bool tap_delay_last_flight(Wire *wire, WireEnd *from, unsigned index, WirePacket *packet,
                                  void *data) {
        unsigned *last = data;

        if (from->role == DTLS_SERVER && *last == 0 && wire->server.session &&
            session_state(wire->server.session) == SESSION_OPEN)
                *last = index;
        if (index == *last)
                packet->due_usec += 5000;
        return true;
}

static void test_data_that_overtakes_the_finished_is_kept(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++) {
                g_autoptr(Wire) wire = wire_new(&(WireSetup){.kind = kind});
                unsigned last = 0;

                wire->tap = tap_delay_last_flight;
                wire->tap_data = &last;
                wire_start(wire);
                while (!wire->server.session || session_state(wire->server.session) != SESSION_OPEN)
                        g_assert_true(wire_step(wire));

                for (unsigned i = 0; i < 5; i++)
                        g_assert_cmpint(wire_say(&wire->server, "early", 5), ==, 0);
                g_assert_true(wire_shake(wire, WIRE_SECOND / 2));
                g_assert_cmpuint(wire->client.received->len, ==, 5);
        }
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        wire_world_make();

        g_test_add_func("/sim/net/a-good-net-needs-no-timer", test_a_good_net_needs_no_timer);
        g_test_add_func("/sim/net/loss-of-a-tenth", test_loss_of_a_tenth);
        g_test_add_func("/sim/net/loss-of-a-third", test_loss_of_a_third);
        g_test_add_func("/sim/net/duplication", test_duplication);
        g_test_add_func("/sim/net/reordering", test_reordering);
        g_test_add_func("/sim/net/tickets", test_tickets);
        g_test_add_func("/sim/net/loss-duplication-and-reordering", test_all_of_it);
        g_test_add_func("/sim/net/corruption-opens-or-fails-and-never-hangs",
                        test_corruption_opens_or_fails_and_never_hangs);
        g_test_add_func("/sim/net/corruption-never-ends-an-open-session",
                        test_corruption_never_ends_an_open_session);
        g_test_add_func("/sim/net/every-mtu", test_every_mtu);
        g_test_add_func("/sim/net/every-mtu-with-loss", test_every_mtu_with_loss);
        g_test_add_func("/sim/net/a-fragmented-hello", test_a_fragmented_hello);
        g_test_add_func("/sim/net/a-fragmented-hello-in-the-wrong-order",
                        test_a_fragmented_hello_in_the_wrong_order);
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++) {
                g_autofree char *path = g_strconcat("/sim/net/every-pair-of-datagrams-dropped/",
                                                    kind_names[kind], NULL);

                g_test_add_data_func(path, GUINT_TO_POINTER(kind), test_every_pair_dropped);
        }
        g_test_add_func("/sim/net/every-pair-of-datagrams-dropped/small-datagrams",
                        test_every_pair_dropped_of_small_ones);
        g_test_add_func("/sim/net/a-manual-client-sends-nothing-by-itself",
                        test_a_manual_client_sends_nothing_by_itself);
        g_test_add_func("/sim/net/whatever-comes-late-costs-no-timer",
                        test_whatever_comes_late_costs_no_timer);

        g_test_add_func("/sim/net/data-that-overtakes-the-finished-is-kept",
                        test_data_that_overtakes_the_finished_is_kept);

        r = g_test_run();
        wire_world_free();
        return r;
}
