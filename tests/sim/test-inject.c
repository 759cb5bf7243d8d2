/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What can somebody do who can write the peer's address on a datagram, and sees nothing?
 *
 * Every kind of forgery, before every delivery of a handshake and into open sessions, to both
 * ends. An open session loses nothing: not itself, not the next datagram; a handshake not even the
 * time of a retransmission. But DTLS 1.2 has no protection before a handshake's end, so whole
 * messages that look like the peer's next one end it; those are listed here, and the list may not
 * grow. Pieces of messages do not, whatever the net loses besides.
 */

#include "forgeries.h"

#include <malloc.h>
#include <string.h>

typedef struct Attack {
        const Forgery *forgery;
        DtlsRole victim;
        unsigned step;
} Attack;

static WireEnd *attack_victim(Wire *wire, DtlsRole role) {
        return role == DTLS_CLIENT ? &wire->client : &wire->server;
}

static void attack_at_step(Wire *wire, unsigned index, void *data) {
        const Attack *attack = data;

        if (index == attack->step)
                forge(attack->forgery, attack_victim(wire, attack->victim));
}

static unsigned count_steps(const WireSetup *setup) {
        g_autoptr(Wire) wire = wire_new(setup);

        wire_start(wire);
        g_assert_true(wire_shake(wire, WIRE_SECOND));
        return wire->n_delivered;
}

/* Whether the handshake came to its end nonetheless, and nothing had to be sent again. */
static bool survives(const WireSetup *setup, Attack *attack) {
        g_autoptr(Wire) wire = wire_new(setup);

        wire->step = attack_at_step;
        wire->step_data = attack;
        wire_start(wire);
        if (!wire_shake(wire, WIRE_SECOND / 2))
                return false;

        return wire_talks(&wire->client, 1) && wire_talks(&wire->server, 1);
}

static bool survives_at_every_step(const WireSetup *setup, const Forgery *forgery,
                                   DtlsRole victim) {
        unsigned n_steps = count_steps(setup);
        bool survived = true;

        for (unsigned step = 0; step < n_steps; step++) {
                Attack attack = {.forgery = forgery, .victim = victim, .step = step};

                if (survives(setup, &attack))
                        continue;

                g_test_message("%s to the %s ends handshake %u%s at step %u", forgery->name,
                               dtls_role_name(victim), setup->kind,
                               setup->cookies ? " with cookies" : "", step);
                survived = false;
        }

        return survived;
}

static void test_only_what_looks_like_the_peer_ends_a_handshake(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (unsigned cookies = 0; cookies < 2; cookies++)
                        for (size_t i = 0; i < n_forgeries; i++) {
                                const Forgery *forgery = &forgeries[i];
                                WireSetup setup = {.kind = kind, .cookies = cookies, .mtu = 512};

                                if (!survives_at_every_step(&setup, forgery, DTLS_CLIENT))
                                        g_assert_true(forgery->kills_client);
                                if (!survives_at_every_step(&setup, forgery, DTLS_SERVER))
                                        g_assert_true(forgery->kills_server);
                        }
}

/* An allowance that nothing needs any more has to go. */
static void test_the_list_of_what_ends_a_handshake_is_no_longer_than_needed(void) {
        for (size_t i = 0; i < n_forgeries; i++) {
                const Forgery *forgery = &forgeries[i];
                bool client_survives = true, server_survives = true;

                if (!forgery->kills_client && !forgery->kills_server)
                        continue;

                for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++) {
                        WireSetup setup = {.kind = kind, .mtu = 512};

                        client_survives &= survives_at_every_step(&setup, forgery, DTLS_CLIENT);
                        server_survives &= survives_at_every_step(&setup, forgery, DTLS_SERVER);
                }
                g_assert_cmpint(client_survives, ==, !forgery->kills_client);
                g_assert_cmpint(server_survives, ==, !forgery->kills_server);
        }
}

/* One datagram lost and one forgery, or one each time that something happens. */
typedef struct Flight {
        WireSetup setup;
        DtlsRole victim;
        unsigned lost;
        unsigned event; /* UINT_MAX: each */
} Flight;

static bool tap_lose_one(Wire *wire, WireEnd *from, unsigned index, WirePacket *packet,
                         void *data) {
        const Flight *flight = data;

        return index != flight->lost;
}

/* What the application does in manual mode when it hears of a timeout. */
static void retransmit(WireEnd *end) {
        Wire *wire = end->wire;
        int r;

        if (!end->session || end->end)
                return;

        wire_before(end);
        r = session_retransmit(end->session, wire->now_usec, wire->net, wire->app);
        if (r != SESSION_E_NO_TIMEOUT)
                wire_after(end, r);
}

/* Whether it opens nonetheless; @ret_n_events: how much happened until then. */
static bool flight_arrives(Flight *flight, unsigned *ret_n_events) {
        const Forgery *fragments = forgery_named("fragments of messages");
        g_autoptr(Wire) wire = wire_new(&flight->setup);
        uint64_t until_usec = wire->now_usec + 20 * WIRE_SECOND;
        unsigned n = 0;

        wire->tap = tap_lose_one;
        wire->tap_data = flight;
        wire_start(wire);
        for (; !wire_is_open(wire) && !wire_is_over(wire) && wire->now_usec < until_usec; n++) {
                WireEnd *victim = attack_victim(wire, flight->victim);

                if (victim->session && (flight->event == n || flight->event == UINT_MAX))
                        forge(fragments, victim);
                retransmit(&wire->client);
                retransmit(&wire->server);
                if (!wire_step(wire))
                        break;
        }

        *ret_n_events = n;
        return wire_is_open(wire);
}

static void assert_flight_arrives(Flight flight) {
        unsigned n;

        if (flight_arrives(&flight, &n))
                return;

        g_test_message("fragments to the %s at event %u and the loss of datagram %u end handshake "
                       "%u%s%s, MTU %u",
                       dtls_role_name(flight.victim), flight.event, flight.lost, flight.setup.kind,
                       flight.setup.cookies ? " with cookies" : "",
                       flight.setup.client_manual ? " in manual mode" : "", flight.setup.mtu);
        g_test_fail();
}

static void each_flight(Flight flight) {
        unsigned n_lost = count_steps(&flight.setup);

        for (flight.lost = 0; flight.lost < n_lost; flight.lost++) {
                unsigned n_events;

                flight.event = UINT_MAX - 1; /* never */
                g_assert_true(flight_arrives(&flight, &n_events));
                for (flight.event = 0; flight.event < n_events; flight.event++)
                        assert_flight_arrives(flight);
        }
}

/* GnuTLS takes any fragment for the answer to its flight, and sends that never again. */
static void test_a_forged_fragment_stops_no_flight(void) {
        for (unsigned i = 0; i < N_WIRE_KINDS * 16; i++) {
                WireSetup setup = {
                        .kind = i / 16,
                        .client_manual = i & 1,
                        .server_manual = i & 1,
                        .cookies = i & 2,
                        .mtu = i & 4 ? 512 : 0,
                };

                each_flight((Flight){setup, .victim = i & 8 ? DTLS_SERVER : DTLS_CLIENT});
        }
}

/* As long as the peer's datagrams hold whole messages. */
static void test_a_storm_of_forged_fragments_stops_no_flight(void) {
        for (unsigned i = 0; i < N_WIRE_KINDS * 8; i++) {
                WireSetup setup = {
                        .kind = i / 8,
                        .client_manual = i & 1,
                        .server_manual = i & 1,
                        .cookies = i & 2,
                };
                Flight flight = {setup, .victim = i & 4 ? DTLS_SERVER : DTLS_CLIENT};
                unsigned n_lost = count_steps(&setup);

                flight.event = UINT_MAX;
                for (flight.lost = 0; flight.lost <= n_lost; flight.lost++)
                        assert_flight_arrives(flight);
        }
}

/* Neither the session nor a single datagram, and not a word is said about it. */
static void test_nothing_ends_or_starves_an_open_session(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++) {
                g_autoptr(Wire) wire = wire_new(&(WireSetup){.kind = kind});

                wire_start(wire);
                g_assert_true(wire_shake(wire, WIRE_SECOND));
                for (unsigned later = 0; later < 2; later++) {
                        for (size_t i = 0; i < n_forgeries; i++)
                                for (unsigned role = 0; role < 2; role++) {
                                        WireEnd *victim = attack_victim(wire, role);
                                        unsigned n_sent = victim->n_sent;

                                        forge(&forgeries[i], victim);
                                        g_assert_cmpuint(victim->n_sent, ==, n_sent);
                                        g_assert_true(wire_talks(victim->peer, 1));
                                        g_assert_true(wire_talks(victim, 1));
                                        g_assert_true(wire_is_open(wire));
                                }
                        wire_pass(wire, 120 * WIRE_SECOND); /* beyond GnuTLS's last flight */
                }
        }
}

/* The same, while genuine datagrams are under way: the forger's arrive in between, and behind a
 * genuine record in one datagram. */
static bool tap_append_noise(Wire *wire, WireEnd *from, unsigned index, WirePacket *packet,
                             void *data) {
        packet->bytes = g_realloc(packet->bytes, packet->size + 5);
        memset(packet->bytes + packet->size, 7, 5);
        packet->size += 5;
        return true;
}

static void test_trailing_bytes_cost_nothing(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++) {
                g_autoptr(Wire) wire = wire_new(&(WireSetup){.kind = kind});

                wire->tap = tap_append_noise;
                wire_start(wire);
                g_assert_true(wire_shake(wire, WIRE_SECOND / 2));
                g_assert_true(wire_talks(&wire->client, 1));
                g_assert_true(wire_talks(&wire->server, 1));
        }
}

/* Every datagram of a whole connection comes once more, much later. */
static bool tap_keep(Wire *wire, WireEnd *from, unsigned index, WirePacket *packet, void *data) {
        GPtrArray *kept = data;

        g_ptr_array_add(kept, g_bytes_new(packet->bytes, packet->size));
        return true;
}

static void test_replays_are_not_delivered_twice(void) {
        g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        g_autoptr(Wire) wire = wire_new(&(WireSetup){.kind = WIRE_MUTUAL, .cookies = true});
        guint n_kept, n_client, n_server;

        wire->tap = tap_keep;
        wire->tap_data = kept;
        wire_start(wire);
        g_assert_true(wire_shake(wire, WIRE_SECOND));
        for (unsigned i = 0; i < 20; i++) {
                g_assert_true(wire_talks(&wire->client, 1));
                g_assert_true(wire_talks(&wire->server, 1));
        }
        n_kept = kept->len;
        n_client = wire->client.received->len;
        n_server = wire->server.received->len;

        for (guint i = 0; i < n_kept; i++) {
                gsize size;
                const void *bytes = g_bytes_get_data(kept->pdata[i], &size);

                wire_inject(&wire->client, bytes, size);
                wire_inject(&wire->server, bytes, size);
        }
        g_assert_cmpuint(wire->client.received->len, ==, n_client);
        g_assert_cmpuint(wire->server.received->len, ==, n_server);
        g_assert_true(wire_talks(&wire->client, 1));
        g_assert_true(wire_talks(&wire->server, 1));
}

static size_t heap_used(void) {
        struct mallinfo2 info = mallinfo2();

        return info.uordblks + info.hblkhd;
}

/* Sanitizers bring an allocator of their own, which does not tell. */
static bool heap_is_measurable(void) {
        size_t before = heap_used(), after;
        void *block = g_malloc0((size_t)1024 * 1024);

        after = heap_used();
        g_free(block);
        return after >= before + (size_t)1024 * 1024;
}

static bool tap_lose_servers(Wire *wire, WireEnd *from, unsigned index, WirePacket *packet,
                             void *data) {
        return from->role == DTLS_CLIENT;
}

static void test_six_fragments_take_no_memory(void) {
        static const uint32_t claims[] = {0xfffff0, 0x8000, 0x7fff, 0x4000};
        static const uint8_t types[] = {2, 11, 22, 12, 13, 14, 1, 16, 15, 3};

        if (!heap_is_measurable()) {
                g_test_skip("the allocator does not tell how much is in use");
                return;
        }

        for (unsigned role = 0; role < 2; role++)
                for (size_t c = 0; c < G_N_ELEMENTS(claims); c++) {
                        g_autoptr(Wire) wire = wire_new(&(WireSetup){.kind = WIRE_PSK});
                        WireEnd *victim = attack_victim(wire, role);
                        Piece pieces[8 * G_N_ELEMENTS(types)];
                        size_t before, n = 0;

                        wire->tap = tap_lose_servers;
                        wire_start(wire);
                        wire_pass(wire, WIRE_SECOND / 10);
                        before = heap_used();
                        /* not the very next message: that would end the handshake, and free all */
                        for (unsigned message = 2; message < 10; message++)
                                for (size_t t = 0; t < G_N_ELEMENTS(types); t++)
                                        pieces[n++] = (Piece){.type = types[t],
                                                              .message = message,
                                                              .length = claims[c],
                                                              .size = 30};
                        forge_pieces(victim, pieces, n);
                        g_assert_cmpint(victim->end, ==, 0);
                        g_assert_cmpuint(heap_used(), <, before + (size_t)64 * 1024);
                }
}

int main(int argc, char **argv) {
        int r;

        forgeries_init();
        g_test_init(&argc, &argv, NULL);
        wire_world_make();

        g_test_add_func("/sim/inject/only-what-looks-like-the-peer-ends-a-handshake",
                        test_only_what_looks_like_the_peer_ends_a_handshake);
        g_test_add_func("/sim/inject/the-list-of-what-ends-a-handshake-is-no-longer-than-needed",
                        test_the_list_of_what_ends_a_handshake_is_no_longer_than_needed);
        g_test_add_func("/sim/inject/a-forged-fragment-stops-no-flight",
                        test_a_forged_fragment_stops_no_flight);
        g_test_add_func("/sim/inject/a-storm-of-forged-fragments-stops-no-flight",
                        test_a_storm_of_forged_fragments_stops_no_flight);
        g_test_add_func("/sim/inject/nothing-ends-or-starves-an-open-session",
                        test_nothing_ends_or_starves_an_open_session);
        g_test_add_func("/sim/inject/trailing-bytes-cost-nothing",
                        test_trailing_bytes_cost_nothing);
        g_test_add_func("/sim/inject/replays-are-not-delivered-twice",
                        test_replays_are_not_delivered_twice);
        g_test_add_func("/sim/inject/six-fragments-take-no-memory",
                        test_six_fragments_take_no_memory);

        r = g_test_run();
        wire_world_free();
        return r;
}
