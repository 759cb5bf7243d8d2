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

#include "wire.h"

#include <malloc.h>
#include <string.h>

#define EPOCH(n) ((uint64_t)(n) << 48)
#define PACKET_MAX 65507

enum {
        CHANGE = 20,
        ALERT = 21,
        HANDSHAKE = 22,
        DATA = 23,
        HEARTBEAT = 24,
        CONNECTION_ID = 25
};

typedef struct Forger {
        WireEnd *victim;
        uint8_t bytes[PACKET_MAX];
        size_t size;
} Forger;

static uint8_t noise[PACKET_MAX];

static void put(uint8_t *to, uint64_t number, size_t size) {
        for (size_t i = 0; i < size; i++)
                to[i] = number >> (8 * (size - 1 - i));
}

static void forge_send(Forger *forger) {
        if (!forger->victim->end)
                wire_inject(forger->victim, forger->bytes, forger->size);
        forger->size = 0;
}

static void forge_add(Forger *forger, unsigned type, uint64_t epoch_and_sequence,
                      const void *payload, size_t size) {
        uint8_t *record = forger->bytes + forger->size;

        g_assert_cmpuint(forger->size + 13 + size, <=, sizeof(forger->bytes));
        put(record, type, 1);
        put(record + 1, 0xfefd, 2);
        put(record + 3, epoch_and_sequence, 8);
        put(record + 11, size, 2);
        memcpy(record + 13, payload, size);
        forger->size += 13 + size;
}

static void forge_record(Forger *forger, unsigned type, uint64_t epoch_and_sequence,
                         const void *payload, size_t size) {
        forge_add(forger, type, epoch_and_sequence, payload, size);
        forge_send(forger);
}

typedef struct Piece {
        unsigned type, message;
        uint32_t length, offset, claimed, size; /* claimed: the fragment's, when not size */
} Piece;

static void forge_piece(Forger *forger, Piece piece) {
        uint8_t payload[2048];

        put(payload, piece.type, 1);
        put(payload + 1, piece.length, 3);
        put(payload + 4, piece.message, 2);
        put(payload + 6, piece.offset, 3);
        put(payload + 9, piece.claimed ? piece.claimed : piece.size, 3);
        memcpy(payload + 12, noise, piece.size);
        forge_record(forger, HANDSHAKE, 30, payload, 12 + piece.size);
}

/* A whole message of noise at each place that it might have. */
static void forge_message(Forger *forger, unsigned type, unsigned first, unsigned last) {
        for (unsigned message = first; message <= last; message++)
                forge_piece(forger,
                            (Piece){.type = type, .message = message, .length = 60, .size = 60});
}

static void forge_empty(Forger *forger) {
        forge_send(forger);
}

static void forge_short(Forger *forger) {
        for (size_t size = 1; size < 13; size++) {
                memset(forger->bytes, 22, size);
                forger->size = size;
                forge_send(forger);
        }
}

static void forge_noise(Forger *forger) {
        memcpy(forger->bytes, noise, 100);
        forger->size = 100;
        forge_send(forger);
}

static void forge_large_noise(Forger *forger) {
        memcpy(forger->bytes, noise, 60000);
        forger->size = 60000;
        forge_send(forger);
}

static void forge_unknown_types(Forger *forger) {
        for (unsigned epoch = 0; epoch < 2; epoch++) {
                forge_record(forger, 99, EPOCH(epoch) | 20, noise, 50);
                forge_record(forger, HEARTBEAT, EPOCH(epoch) | 21, "\x01\x00\x10 sixteen bytes..",
                             19);
                forge_record(forger, CONNECTION_ID, EPOCH(epoch) | 22, noise, 50);
        }
}

static void forge_versions(Forger *forger) {
        static const uint16_t versions[] = {0x0303, 0xffff, 0xfefe, 0xfefc, 0x0100, 0};

        for (size_t i = 0; i < G_N_ELEMENTS(versions); i++)
                for (unsigned epoch = 0; epoch < 2; epoch++) {
                        forge_add(forger, HANDSHAKE, EPOCH(epoch) | 20, noise, 50);
                        put(forger->bytes + 1, versions[i], 2);
                        forge_send(forger);
                }
}

/* Headers that promise more than there is, or nothing. */
static void forge_lengths(Forger *forger) {
        static const uint16_t lengths[] = {0, 41, 100, 1200, 16384, 16397, 18432, 20000, 65535};

        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++)
                for (unsigned epoch = 0; epoch < 2; epoch++) {
                        forge_add(forger, epoch ? DATA : HANDSHAKE, EPOCH(epoch) | 9, noise, 40);
                        put(forger->bytes + 11, lengths[i], 2);
                        forge_send(forger);
                        forge_add(forger, epoch ? DATA : HANDSHAKE, EPOCH(epoch) | 9, noise, 0);
                        put(forger->bytes + 11, lengths[i], 2);
                        forge_send(forger);
                }
}

static void forge_oversized(Forger *forger) {
        forge_record(forger, HANDSHAKE, 20, noise, 20000);
        forge_record(forger, DATA, EPOCH(1) | 20, noise, 20000);
        forge_record(forger, DATA, EPOCH(1) | 20, noise, 18000);
}

static void forge_epochs(Forger *forger) {
        for (unsigned type = CHANGE; type <= CONNECTION_ID; type++)
                for (unsigned epoch = 2; epoch < 8; epoch++)
                        forge_record(forger, type, EPOCH(epoch) | 1, noise, 50);
}

static void forge_sealed(Forger *forger) {
        static const uint64_t sequences[] = {0, 1, 2, 9, 200, 0xfffffffffffe, 0xffffffffffff};

        for (unsigned type = CHANGE; type <= DATA; type++)
                for (size_t i = 0; i < G_N_ELEMENTS(sequences); i++)
                        for (size_t size = 1; size < 70; size += 17)
                                forge_record(forger, type, EPOCH(1) | sequences[i], noise, size);
}

static void forge_plain_data(Forger *forger) {
        forge_record(forger, DATA, 20, noise, 50);
}

static void forge_fatal_alerts(Forger *forger) {
        for (unsigned description = 0; description < 128; description++) {
                uint8_t alert[] = {2, (uint8_t)description};

                forge_record(forger, ALERT, 20 + description, alert, 2);
        }
}

static void forge_close_notify(Forger *forger) {
        forge_record(forger, ALERT, 20, "\x01\x00", 2);
}

static void forge_warnings(Forger *forger) {
        for (unsigned i = 0; i < 40; i++)
                forge_record(forger, ALERT, 20 + i, "\x01\x5a", 2);
}

static void forge_malformed_alerts(Forger *forger) {
        forge_record(forger, ALERT, 20, "\x02", 1);
        forge_record(forger, ALERT, 21, "\x02\x28\x02\x28", 4);
        forge_record(forger, ALERT, 22, "\xff\xff", 2);
}

static void forge_verify_request_at(Forger *forger, unsigned message) {
        static const uint8_t body[] = "\xfe\xff\x10"
                                      "AAAAAAAAAAAAAAAA";
        uint8_t payload[12 + 19];

        put(payload, 3, 1);
        put(payload + 1, 19, 3);
        put(payload + 4, message, 2);
        put(payload + 6, 0, 3);
        put(payload + 9, 19, 3);
        memcpy(payload + 12, body, 19);
        forge_record(forger, HANDSHAKE, 20 + message, payload, sizeof(payload));
}

static void forge_verify_request(Forger *forger) {
        forge_verify_request_at(forger, 0);
}

static void forge_verify_request_storm(Forger *forger) {
        for (unsigned i = 0; i < 1000; i++)
                forge_verify_request_at(forger, i % 10);
}

static void forge_server_hello(Forger *forger) {
        forge_message(forger, 2, 0, 2);
}

static void forge_certificate_now(Forger *forger) {
        forge_message(forger, 11, 0, 2);
}

static void forge_certificate_ahead(Forger *forger) {
        forge_message(forger, 11, 3, 3);
}

static void forge_server_key_exchange(Forger *forger) {
        forge_message(forger, 12, 1, 3);
}

static void forge_certificate_request(Forger *forger) {
        forge_message(forger, 13, 1, 4);
}

static void forge_server_hello_done(Forger *forger) {
        for (unsigned message = 0; message < 6; message++)
                forge_piece(forger, (Piece){.type = 14, .message = message});
}

static void forge_certificate_status(Forger *forger) {
        forge_message(forger, 22, 1, 3);
}

static void forge_client_hello(Forger *forger) {
        forge_message(forger, 1, 0, 3);
}

static void forge_client_key_exchange(Forger *forger) {
        forge_message(forger, 16, 1, 3);
}

static void forge_certificate_verify(Forger *forger) {
        forge_message(forger, 15, 1, 4);
}

static void forge_finished(Forger *forger) {
        forge_message(forger, 20, 0, 6);
}

static void forge_hello_request(Forger *forger) {
        for (unsigned message = 0; message < 6; message++)
                forge_piece(forger, (Piece){.type = 0, .message = message});
}

static void forge_ticket(Forger *forger) {
        forge_message(forger, 4, 0, 6);
}

static void forge_unknown_messages(Forger *forger) {
        for (unsigned type = 5; type < 256; type++)
                if (type > 22 || (type != 22 && type > 16) || type < 11)
                        forge_message(forger, type, 0, 3);
}

/* Messages far ahead: GnuTLS gives up at the seventh. */
static void forge_far_ahead(Forger *forger) {
        for (unsigned i = 0; i < 20; i++)
                forge_piece(forger,
                            (Piece){.type = 11, .message = 10 + i, .length = 60, .size = 30});
}

static void forge_large_claims(Forger *forger) {
        for (unsigned i = 0; i < 6; i++)
                forge_piece(forger,
                            (Piece){.type = 11, .message = i, .length = 0xfffff0, .size = 30});
}

static void forge_malformed_fragments(Forger *forger) {
        forge_piece(forger,
                    (Piece){.type = 11, .message = 1, .length = 60, .offset = 50, .size = 60});
        forge_piece(forger,
                    (Piece){.type = 11, .message = 1, .length = 60, .claimed = 600, .size = 60});
        forge_piece(forger, (Piece){.type = 11, .message = 1, .length = 60, .offset = 60});
        forge_piece(forger, (Piece){.type = 11, .message = 1, .length = 60});
        forge_piece(
                forger,
                (Piece){.type = 16, .message = 1, .length = 60, .offset = 0xfffff0, .size = 60});
        forge_piece(forger, (Piece){.type = 16, .message = 1, .length = 60});
}

/* The beginning of everything that the peer may ever say, at each place that it might have. */
static void forge_fragments(Forger *forger) {
        static const uint8_t types[] = {2, 11, 22, 12, 13, 3, 4, 1, 16, 15};

        for (unsigned message = 0; message < 7; message++)
                for (size_t t = 0; t < G_N_ELEMENTS(types); t++)
                        forge_piece(forger, (Piece){.type = types[t],
                                                    .message = message,
                                                    .length = 200,
                                                    .size = 30});
}

static void forge_last_sequences(Forger *forger) {
        forge_record(forger, HANDSHAKE, 0xffffffffffff, noise, 40);
        forge_record(forger, HANDSHAKE, 0xfffffffffffe, noise, 40);
        forge_record(forger, ALERT, 0xffffffffffff, "\x01\x5a", 2);
        forge_record(forger, CHANGE, 0xfffffffffffe, "\x01", 1);
}

/* Word for word what the server will say, as its content is no secret, with numbers that would
 * close GnuTLS's replay window to everything that follows. */
static void forge_closed_window(Forger *forger) {
        static const unsigned messages[N_WIRE_KINDS] = {
                [WIRE_PSK] = 2,
                [WIRE_CERTIFICATE] = 3,
                [WIRE_MUTUAL] = 4,
        };
        const WireSetup *setup = &forger->victim->wire->setup;
        uint8_t done[12] = {14};

        put(done + 4, messages[setup->kind] + setup->cookies, 2);
        forge_record(forger, HANDSHAKE, 0xfffffffffffe, done, sizeof(done));
        forge_record(forger, HANDSHAKE, 0xffffffffffff, done, sizeof(done));
}

static void forge_change(Forger *forger) {
        forge_record(forger, CHANGE, 20, "\x01", 1);
}

static void forge_changes(Forger *forger) {
        for (unsigned i = 0; i < 50; i++) {
                forge_record(forger, CHANGE, 20 + i, "\x01", 1);
                forge_record(forger, CHANGE, EPOCH(1) | i, "\x01", 1);
                forge_record(forger, CHANGE, 20 + i, "\x01\x01", 2);
        }
}

static void forge_change_of_another_version(Forger *forger) {
        forge_add(forger, CHANGE, 20, "\x01", 1);
        put(forger->bytes + 1, 0xfeff, 2);
        forge_send(forger);
}

static void forge_tiny_records(Forger *forger) {
        for (unsigned i = 0; i < 300; i++)
                forge_record(forger, HANDSHAKE, 20 + i, noise, 3);
        for (unsigned i = 0; i < 300; i++)
                forge_add(forger, HANDSHAKE, 20 + i, noise, 3);
        forge_send(forger);
}

/* More than any queue holds, of what looks good enough to be kept. */
static void forge_queue_filler(Forger *forger) {
        for (unsigned i = 0; i < 100; i++)
                forge_record(forger, i % 2 ? HANDSHAKE : DATA, EPOCH(1) | (1000 + i), noise, 1000);
}

typedef void (*Forge)(Forger *forger);

typedef struct Forgery {
        const char *name;
        Forge forge;
        /* Whether it may end the handshake of a client or a server. What cannot be avoided: a
         * message of a kind that the peer may send next, in the right place, is taken for the
         * peer's. */
        bool kills_client, kills_server;
} Forgery;

static const Forgery forgeries[] = {
        {"an empty datagram", forge_empty},
        {"1 to 12 bytes", forge_short},
        {"noise", forge_noise},
        {"60000 bytes of noise", forge_large_noise},
        {"unknown record types", forge_unknown_types},
        {"other versions", forge_versions},
        {"lengths that are not true", forge_lengths},
        {"oversized records", forge_oversized},
        {"later epochs", forge_epochs},
        {"sealed garbage", forge_sealed},
        {"plaintext data", forge_plain_data},
        {"plaintext fatal alerts", forge_fatal_alerts},
        {"a plaintext close_notify", forge_close_notify},
        {"plaintext warnings", forge_warnings},
        {"malformed alerts", forge_malformed_alerts},
        {"a HelloVerifyRequest", forge_verify_request, .kills_client = true},
        {"a storm of HelloVerifyRequests", forge_verify_request_storm, .kills_client = true},
        {"a ServerHello", forge_server_hello, .kills_client = true},
        {"a Certificate now", forge_certificate_now, .kills_client = true, .kills_server = true},
        {"a Certificate ahead", forge_certificate_ahead},
        {"a ServerKeyExchange", forge_server_key_exchange, .kills_client = true},
        {"a CertificateRequest", forge_certificate_request, .kills_client = true},
        {"a ServerHelloDone", forge_server_hello_done, .kills_client = true},
        {"a CertificateStatus", forge_certificate_status, .kills_client = true},
        {"a ClientHello", forge_client_hello},
        {"a ClientKeyExchange", forge_client_key_exchange, .kills_server = true},
        {"a CertificateVerify", forge_certificate_verify, .kills_server = true},
        {"a plaintext Finished", forge_finished},
        {"a HelloRequest", forge_hello_request},
        {"a NewSessionTicket", forge_ticket},
        {"unknown messages", forge_unknown_messages},
        {"messages far ahead", forge_far_ahead},
        {"claims of 16 MB", forge_large_claims},
        {"malformed fragments", forge_malformed_fragments},
        {"fragments of messages", forge_fragments},
        {"the last sequence numbers", forge_last_sequences},
        {"a closed replay window", forge_closed_window},
        {"a ChangeCipherSpec", forge_change},
        {"many ChangeCipherSpecs", forge_changes},
        {"a ChangeCipherSpec of another version", forge_change_of_another_version},
        {"tiny records", forge_tiny_records},
        {"what fills a queue", forge_queue_filler},
};

typedef struct Attack {
        const Forgery *forgery;
        DtlsRole victim;
        unsigned step;
} Attack;

static WireEnd *attack_victim(Wire *wire, DtlsRole role) {
        return role == DTLS_CLIENT ? &wire->client : &wire->server;
}

static void attack_now(Wire *wire, const Forgery *forgery, DtlsRole role) {
        g_autofree Forger *forger = g_new0(Forger, 1);

        forger->victim = attack_victim(wire, role);
        forgery->forge(forger);
}

static void attack_at_step(Wire *wire, unsigned index, void *data) {
        const Attack *attack = data;

        if (index == attack->step)
                attack_now(wire, attack->forgery, attack->victim);
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
                        for (size_t i = 0; i < G_N_ELEMENTS(forgeries); i++) {
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
        for (size_t i = 0; i < G_N_ELEMENTS(forgeries); i++) {
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
        g_autoptr(Wire) wire = wire_new(&flight->setup);
        uint64_t until_usec = wire->now_usec + 20 * WIRE_SECOND;
        unsigned n = 0;

        wire->tap = tap_lose_one;
        wire->tap_data = flight;
        wire_start(wire);
        for (; !wire_is_open(wire) && !wire_is_over(wire) && wire->now_usec < until_usec; n++) {
                if (attack_victim(wire, flight->victim)->session &&
                    (flight->event == n || flight->event == UINT_MAX))
                        attack_now(wire, &(Forgery){.forge = forge_fragments}, flight->victim);
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
                        for (size_t i = 0; i < G_N_ELEMENTS(forgeries); i++)
                                for (unsigned role = 0; role < 2; role++) {
                                        WireEnd *victim = attack_victim(wire, role);
                                        unsigned n_sent = victim->n_sent;

                                        attack_now(wire, &forgeries[i], role);
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
                        g_autofree Forger *forger = g_new0(Forger, 1);
                        g_autoptr(Wire) wire = wire_new(&(WireSetup){.kind = WIRE_PSK});
                        size_t before;

                        wire->tap = tap_lose_servers;
                        wire_start(wire);
                        wire_pass(wire, WIRE_SECOND / 10);
                        forger->victim = attack_victim(wire, role);
                        before = heap_used();
                        /* not the very next message: that would end the handshake, and free all */
                        for (unsigned message = 2; message < 10; message++)
                                for (size_t t = 0; t < G_N_ELEMENTS(types); t++)
                                        forge_piece(forger, (Piece){.type = types[t],
                                                                    .message = message,
                                                                    .length = claims[c],
                                                                    .size = 30});
                        g_assert_cmpint(forger->victim->end, ==, 0);
                        g_assert_cmpuint(heap_used(), <, before + (size_t)64 * 1024);
                }
}

int main(int argc, char **argv) {
        g_autoptr(GRand) random = g_rand_new_with_seed(7);
        int r;

        for (size_t i = 0; i < sizeof(noise); i++)
                noise[i] = g_rand_int_range(random, 0, 256);

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
