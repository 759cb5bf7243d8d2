/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "forgeries.h"

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

struct Forger {
        WireEnd *victim;
        uint8_t bytes[PACKET_MAX];
        size_t size;
};

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

static void forge_messages(Forger *forger, const Forgery *forgery) {
        const uint32_t size = forgery->messages.size;

        for (unsigned message = forgery->messages.first; message <= forgery->messages.last;
             message++)
                forge_piece(forger, (Piece){.type = forgery->messages.type,
                                            .message = message,
                                            .length = size,
                                            .size = size});
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
        static const uint8_t body[19] = {0xfe, 0xff, 0x10, [3 ... 18] = 'A'};
        uint8_t payload[12 + sizeof(body)];

        put(payload, 3, 1);
        put(payload + 1, sizeof(body), 3);
        put(payload + 4, message, 2);
        put(payload + 6, 0, 3);
        put(payload + 9, sizeof(body), 3);
        memcpy(payload + 12, body, sizeof(body));
        forge_record(forger, HANDSHAKE, 20 + message, payload, sizeof(payload));
}

static void forge_verify_request(Forger *forger) {
        forge_verify_request_at(forger, 0);
}

static void forge_verify_request_storm(Forger *forger) {
        for (unsigned i = 0; i < 1000; i++)
                forge_verify_request_at(forger, i % 10);
}

static void forge_unknown_messages(Forger *forger) {
        for (unsigned type = 5; type < 256; type++)
                if (type > 22 || (type != 22 && type > 16) || type < 11)
                        forge_messages(forger, &(Forgery){.messages = {type, 0, 3, 60}});
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

const Forgery forgeries[] = {
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
        {"a ServerHello", .messages = {2, 0, 2, 60}, .kills_client = true},
        {"a Certificate now", .messages = {11, 0, 2, 60}, .kills_client = true,
         .kills_server = true},
        {"a Certificate ahead", .messages = {11, 3, 3, 60}},
        {"a ServerKeyExchange", .messages = {12, 1, 3, 60}, .kills_client = true},
        {"a CertificateRequest", .messages = {13, 1, 4, 60}, .kills_client = true},
        {"a ServerHelloDone", .messages = {14, 0, 5, 0}, .kills_client = true},
        {"a CertificateStatus", .messages = {22, 1, 3, 60}, .kills_client = true},
        {"a ClientHello", .messages = {1, 0, 3, 60}},
        {"a ClientKeyExchange", .messages = {16, 1, 3, 60}, .kills_server = true},
        {"a CertificateVerify", .messages = {15, 1, 4, 60}, .kills_server = true},
        {"a plaintext Finished", .messages = {20, 0, 6, 60}},
        {"a HelloRequest", .messages = {0, 0, 5, 0}},
        {"a NewSessionTicket", .messages = {4, 0, 6, 60}},
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

const size_t n_forgeries = G_N_ELEMENTS(forgeries);

const Forgery *forgery_named(const char *name) {
        for (size_t i = 0; i < n_forgeries; i++)
                if (g_str_equal(forgeries[i].name, name))
                        return &forgeries[i];

        g_error("there is no forgery '%s'", name);
}

void forgeries_init(void) {
        g_autoptr(GRand) random = g_rand_new_with_seed(7);

        for (size_t i = 0; i < sizeof(noise); i++)
                noise[i] = g_rand_int_range(random, 0, 256);
}

void forge(const Forgery *forgery, WireEnd *victim) {
        g_autofree Forger *forger = g_new0(Forger, 1);

        forger->victim = victim;
        if (forgery->forge)
                forgery->forge(forger);
        else
                forge_messages(forger, forgery);
}

void forge_pieces(WireEnd *victim, const Piece *pieces, size_t n) {
        g_autofree Forger *forger = g_new0(Forger, 1);

        forger->victim = victim;
        for (size_t i = 0; i < n; i++)
                forge_piece(forger, pieces[i]);
}
