/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "messages.h"

#include "session/filter.h"

#include <glib.h>
#include <string.h>

enum {
        CHANGE = 20,
        ALERT = 21,
        HANDSHAKE = 22,
        DATA = 23
};

#define PAYLOAD_OFFSET 13

typedef struct Stage {
        Filter filter;
        uint8_t datagram[70000];
        size_t size;
        uint8_t record[20000];
        size_t record_size;
} Stage;

static Stage *stage_new(DtlsRole role) {
        Stage *stage = g_new0(Stage, 1);

        filter_init(&stage->filter, role, 0);
        return stage;
}

static void stage_free(Stage *stage) {
        filter_done(&stage->filter);
        g_free(stage);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stage, stage_free)

static void put(uint8_t *to, uint64_t number, size_t size) {
        for (size_t i = 0; i < size; i++)
                to[i] = number >> (8 * (size - 1 - i));
}

/* Adds a record to the datagram. */
static void add(Stage *stage, unsigned type, unsigned epoch, uint64_t sequence, const void *payload,
                size_t size) {
        uint8_t *record = stage->datagram + stage->size;

        g_assert_cmpuint(stage->size + PAYLOAD_OFFSET + size, <=, sizeof(stage->datagram));
        put(record, type, 1);
        put(record + 1, 0xfefd, 2);
        put(record + 3, epoch, 2);
        put(record + 5, sequence, 6);
        put(record + 11, size, 2);
        memcpy(record + PAYLOAD_OFFSET, payload, size);
        stage->size += PAYLOAD_OFFSET + size;
}

typedef struct Piece {
        unsigned type, message;
        uint32_t length, offset, size;
} Piece;

static size_t write_piece(uint8_t *to, Piece piece) {
        put(to, piece.type, 1);
        put(to + 1, piece.length, 3);
        put(to + 4, piece.message, 2);
        put(to + 6, piece.offset, 3);
        put(to + 9, piece.size, 3);
        memset(to + 12, 0x77, piece.size);
        return 12 + piece.size;
}

static void add_piece(Stage *stage, Piece piece) {
        uint8_t payload[16384];

        g_assert_cmpuint(piece.size, <, sizeof(payload) - 12);
        add(stage, HANDSHAKE, 0, 5, payload, write_piece(payload, piece));
}

static void add_message(Stage *stage, unsigned type, unsigned message, uint32_t length) {
        add_piece(stage, (Piece){type, message, length, 0, length});
}

/* Gives the datagram to the filter; how many records come out? */
static size_t pass(Stage *stage) {
        g_autofree uint8_t *exact = g_memdup2(stage->datagram, stage->size);
        size_t n = 0;

        filter_input(&stage->filter, exact, stage->size);
        stage->size = 0;
        for (;;) {
                bool ready = filter_ready(&stage->filter);
                size_t size = filter_take(&stage->filter, stage->record, sizeof(stage->record));

                g_assert_cmpint(ready, ==, size > 0);
                if (size == 0)
                        break;

                stage->record_size = size;
                n++;
        }

        filter_keep(&stage->filter);
        return n;
}

static void consume(Stage *stage, unsigned type, size_t size) {
        static const uint8_t body[64];

        filter_consumed(&stage->filter, type, body, size);
}

/* Gives the datagram to the filter, and consumes each message that comes out whole, as GnuTLS does;
 * how many records come out? */
static size_t pass_and_consume(Stage *stage) {
        static const uint8_t body[1024];
        size_t n = 0;

        filter_input(&stage->filter, stage->datagram, stage->size);
        filter_keep(&stage->filter);
        stage->size = 0;
        for (;;) {
                const uint8_t *record = stage->record;

                stage->record_size =
                        filter_take(&stage->filter, stage->record, sizeof(stage->record));
                if (stage->record_size == 0)
                        return n;

                n++;
                if (record[0] == HANDSHAKE && stage->filter.given)
                        filter_consumed(&stage->filter, record[PAYLOAD_OFFSET], body,
                                        MIN(stage->filter.messages[0].length, sizeof(body)));
        }
}

/* The server's whole flight was consumed by a client; the peer's CCS may come. */
static void consume_server_flight(Stage *stage) {
        consume(stage, SERVER_HELLO, 40);
        consume(stage, SERVER_HELLO_DONE, 0);
}

static void test_lets_a_server_flight_through(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        add_message(stage, SERVER_HELLO, 0, 70);
        add_message(stage, CERTIFICATE, 1, 800);
        add_message(stage, SERVER_KEY_EXCHANGE, 2, 150);
        add_message(stage, CERTIFICATE_REQUEST, 3, 50);
        add_message(stage, SERVER_HELLO_DONE, 4, 0);
        g_assert_cmpuint(pass_and_consume(stage), ==, 5);
        g_assert_cmpuint(stage->filter.n_dropped, ==, 0);
}

static void test_lets_a_client_flight_through(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_SERVER);

        add_message(stage, CLIENT_HELLO, 0, 200);
        g_assert_cmpuint(pass_and_consume(stage), ==, 1);
        add_message(stage, CERTIFICATE, 1, 800);
        add_message(stage, CLIENT_KEY_EXCHANGE, 2, 66);
        add_message(stage, CERTIFICATE_VERIFY, 3, 80);
        g_assert_cmpuint(pass_and_consume(stage), ==, 3);
        g_assert_cmpuint(stage->filter.n_dropped, ==, 0);
}

static void test_hands_out_the_very_bytes_but_for_the_number(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);
        uint8_t before[PAYLOAD_OFFSET + 12 + 70];

        add_message(stage, SERVER_HELLO, 0, 70);
        memcpy(before, stage->datagram, sizeof(before));
        g_assert_cmpuint(pass(stage), ==, 1);
        put(before + 5, 1, 6);
        g_assert_cmpmem(stage->record, stage->record_size, before, sizeof(before));
}

static void test_numbers_plaintext_records_anew(void) {
        static const uint64_t claimed[] = {0xffffffffffff, 0xfffffffffffe, 0, 7, 7};
        static const uint8_t types[] = {SERVER_HELLO, CERTIFICATE, SERVER_KEY_EXCHANGE,
                                        CERTIFICATE_REQUEST, SERVER_HELLO_DONE};
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        for (size_t i = 0; i < G_N_ELEMENTS(claimed); i++) {
                uint32_t length = types[i] == SERVER_HELLO_DONE ? 0 : 40;
                uint8_t payload[64], number[6];

                add(stage, HANDSHAKE, 0, claimed[i], payload,
                    write_piece(payload, (Piece){types[i], i, length, 0, length}));
                g_assert_cmpuint(pass_and_consume(stage), ==, 1);
                put(number, i + 1, 6);
                g_assert_cmpmem(stage->record + 5, 6, number, 6);
        }

        add(stage, CHANGE, 0, 0xffffffffffff, "\x01", 1);
        g_assert_cmpuint(pass(stage), ==, 1);
        g_assert_cmpmem(stage->record + 3, 8, "\0\0\0\0\0\0\0\x06", 8);
}

/* GnuTLS takes no ChangeCipherSpec of another; and there is but one. */
static void test_plaintext_records_are_of_the_agreed_version(void) {
        for (unsigned version = 0xfefd; version <= 0xfeff; version += 2) {
                g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

                stage->filter.version = version;
                consume_server_flight(stage);
                add(stage, CHANGE, 0, 1, "\x01", 1);
                put(stage->datagram + 1, version ^ 2, 2);
                g_assert_cmpuint(pass(stage), ==, 1);
                g_assert_cmpuint(stage->record[1] << 8 | stage->record[2], ==, version);
        }
}

static void test_keeps_the_numbers_of_sealed_records(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        filter_open(&stage->filter);
        add(stage, DATA, 1, 0x010203040506, "sealed", 6);
        g_assert_cmpuint(pass(stage), ==, 1);
        g_assert_cmpmem(stage->record + 3, 8, "\x00\x01\x01\x02\x03\x04\x05\x06", 8);
}

static void test_drops_what_is_no_record(void) {
        static const uint8_t zeros[100];
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        filter_open(&stage->filter);
        for (size_t size = 0; size < sizeof(zeros); size++) {
                memcpy(stage->datagram, zeros, size);
                stage->size = size;
                g_assert_cmpuint(pass(stage), ==, 0);
        }
        g_assert_cmpuint(stage->filter.n_dropped, ==, sizeof(zeros));
}

/* Every header that promises what is not there, or nothing. */
static void test_drops_records_that_are_not_whole(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        filter_open(&stage->filter);
        for (unsigned promised = 0; promised < 65536; promised += 97) {
                add(stage, DATA, 1, 9, "0123456789", 10);
                put(stage->datagram + 11, promised, 2);
                g_assert_cmpuint(pass(stage), ==, promised > 0 && promised <= 10 ? 1 : 0);
        }
}

static void test_drops_the_tail_and_keeps_the_head(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        filter_open(&stage->filter);
        add(stage, DATA, 1, 1, "one", 3);
        add(stage, DATA, 1, 2, "two", 3);
        add(stage, DATA, 1, 3, "three", 5);
        stage->datagram[PAYLOAD_OFFSET + 3 + 1] = 3; /* the second's version */
        g_assert_cmpuint(pass(stage), ==, 1);
        g_assert_cmpmem(stage->record + PAYLOAD_OFFSET, 3, "one", 3);

        add(stage, DATA, 1, 4, "real", 4);
        memset(stage->datagram + stage->size, 7, 5);
        stage->size += 5;
        g_assert_cmpuint(pass(stage), ==, 1);
        g_assert_cmpmem(stage->record + PAYLOAD_OFFSET, 4, "real", 4);
}

static void test_a_bad_record_takes_no_good_neighbour_with_it(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        filter_open(&stage->filter);
        add(stage, DATA, 7, 1, "epoch", 5);
        add(stage, 99, 1, 1, "type", 4);
        add(stage, DATA, 1, 2, "two", 3);
        g_assert_cmpuint(pass(stage), ==, 1);
        g_assert_cmpuint(stage->filter.n_dropped, ==, 2);
}

static void test_an_open_session_takes_sealed_records_alone(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        consume_server_flight(stage);
        filter_open(&stage->filter);

        for (unsigned type = 0; type < 256; type++)
                for (unsigned epoch = 0; epoch < 4; epoch++) {
                        bool good =
                                epoch == 1 && (type == ALERT || type == HANDSHAKE || type == DATA);

                        add(stage, type, epoch, 1, "\x01\x00", 2);
                        g_assert_cmpuint(pass(stage), ==, good);
                }
        add(stage, CHANGE, 0, 1, "\x01", 1);
        g_assert_cmpuint(pass(stage), ==, 0);
        add_message(stage, CLIENT_HELLO, 2, 60);
        add_message(stage, CERTIFICATE_REQUEST, 2, 60);
        g_assert_cmpuint(pass(stage), ==, 0);
}

static void test_takes_only_what_the_peers_role_says(void) {
        for (unsigned type = 0; type < 256; type++) {
                bool of_server = type == SERVER_HELLO || type == HELLO_VERIFY_REQUEST ||
                                 type == CERTIFICATE || type == SERVER_KEY_EXCHANGE ||
                                 type == CERTIFICATE_REQUEST || type == 22;
                bool of_client = type == CLIENT_HELLO || type == CERTIFICATE ||
                                 type == CLIENT_KEY_EXCHANGE || type == CERTIFICATE_VERIFY;
                g_autoptr(Stage) client = stage_new(DTLS_CLIENT);
                g_autoptr(Stage) server = stage_new(DTLS_SERVER);

                add_message(client, type, 0, 60);
                g_assert_cmpuint(pass(client), ==, of_server);
                add_message(server, type, 0, 60);
                g_assert_cmpuint(pass(server), ==, of_client);
        }
}

static void test_takes_no_message_that_belongs_before_a_consumed_one(void) {
        g_autoptr(Stage) client = stage_new(DTLS_CLIENT);
        g_autoptr(Stage) server = stage_new(DTLS_SERVER);

        consume(client, SERVER_HELLO, 40);
        consume(client, SERVER_KEY_EXCHANGE, 40);
        add_message(client, SERVER_HELLO, 2, 60);
        add_message(client, HELLO_VERIFY_REQUEST, 2, 19);
        add_message(client, CERTIFICATE, 3, 60);
        add_message(client, SERVER_KEY_EXCHANGE, 2, 60);
        g_assert_cmpuint(pass(client), ==, 0);
        g_assert_cmpuint(client->filter.n_dropped, ==, 4);
        add_message(client, CERTIFICATE_REQUEST, 2, 60);
        g_assert_cmpuint(pass(client), ==, 1);

        consume(server, CLIENT_HELLO, 40);
        add_message(server, CLIENT_HELLO, 1, 60);
        g_assert_cmpuint(pass(server), ==, 0);
}

static void test_takes_so_many_hello_verify_requests(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        for (unsigned i = 0; i < 10; i++) {
                bool good = i < ORDER_HELLO_VERIFY_MAX;

                add_message(stage, HELLO_VERIFY_REQUEST, i, 19);
                g_assert_cmpuint(pass(stage), ==, good);
                if (good)
                        consume(stage, HELLO_VERIFY_REQUEST, 19);
        }
        add_message(stage, SERVER_HELLO, ORDER_HELLO_VERIFY_MAX, 60);
        g_assert_cmpuint(pass(stage), ==, 1);
}

static void test_drops_malformed_fragments(void) {
        static const Piece pieces[] = {
                {CERTIFICATE, 1, 60, 50, 20},       /* beyond the end */
                {CERTIFICATE, 1, 60, 61, 0},        /* and of no bytes */
                {CERTIFICATE, 1, 60, 0, 0},         /* none of something */
                {CERTIFICATE, 1, 60, 60, 0},        /* at the end */
                {CERTIFICATE, 1, 0, 1, 0},          /* behind nothing */
                {CERTIFICATE, 1, 60, 0xfffff0, 32}, /* wraps in 24 bits */
                {CERTIFICATE, 1, 0xfffff0, 0, 30},  /* 16 MB */
                {CERTIFICATE, 1, ORDER_MESSAGE_MAX + 1, 0, 30},
                {SERVER_HELLO_DONE, 1, 1, 0, 1},        /* never has a body */
                {SERVER_KEY_EXCHANGE, 1, 32768, 0, 30}, /* never so long */
        };
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        consume(stage, SERVER_HELLO, 40);
        for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
                add_piece(stage, pieces[i]);
                g_assert_cmpuint(pass(stage), ==, 0);
                g_assert_cmpuint(stage->filter.n_dropped, ==, i + 1);
        }

        /* the record ends inside a header, or inside a body */
        for (size_t size = 1; size < 12 + 60; size++) {
                uint8_t payload[72];

                (void)write_piece(payload, (Piece){CERTIFICATE, 1, 60, 0, 60});
                add(stage, HANDSHAKE, 0, 1, payload, size);
                g_assert_cmpuint(pass(stage), ==, 0);
        }

        /* nothing of all that is remembered against the true one */
        add_message(stage, CERTIFICATE, 1, 60);
        g_assert_cmpuint(pass(stage), ==, 1);
}

/* A fragment of this message with bytes of its own. */
static void add_text(Stage *stage, Piece piece, uint8_t text) {
        uint8_t payload[2048];
        size_t size = write_piece(payload, piece);

        memset(payload + 12, text, piece.size);
        add(stage, HANDSHAKE, 0, 5, payload, size);
}

/* Whether the record that came out last is one whole message of this type, length and bytes. */
static bool came_out(const Stage *stage, unsigned type, uint32_t length, uint8_t text) {
        uint8_t record[2048];
        size_t size = PAYLOAD_OFFSET + 12 + length;

        memcpy(record, stage->record, PAYLOAD_OFFSET + 12);
        put(record, HANDSHAKE, 1);
        put(record + PAYLOAD_OFFSET, type, 1);
        put(record + PAYLOAD_OFFSET + 1, length, 3);
        put(record + PAYLOAD_OFFSET + 6, 0, 3);
        put(record + PAYLOAD_OFFSET + 9, length, 3);
        memset(record + PAYLOAD_OFFSET + 12, text, length);
        return stage->record_size == size && memcmp(stage->record, record, size) == 0;
}

static void test_gives_a_message_when_it_is_whole_and_once(void) {
        static const Piece pieces[] = {
                {CERTIFICATE, 1, 600, 500, 100}, {CERTIFICATE, 1, 600, 100, 300},
                {CERTIFICATE, 1, 600, 200, 250}, {CERTIFICATE, 1, 600, 0, 101},
                {CERTIFICATE, 1, 600, 449, 51},
        };
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        consume(stage, SERVER_HELLO, 40);
        for (unsigned round = 0; round < 2; round++)
                for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
                        bool last = round == 0 && i == G_N_ELEMENTS(pieces) - 1;

                        add_text(stage, pieces[i], 'c');
                        g_assert_cmpuint(pass(stage), ==, last);
                }
        g_assert_true(came_out(stage, CERTIFICATE, 600, 'c'));
}

static void test_gives_no_message_before_the_one_that_is_next(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        add_message(stage, SERVER_HELLO_DONE, 2, 0);
        add_message(stage, CERTIFICATE, 1, 60);
        g_assert_cmpuint(pass(stage), ==, 0);
        add_message(stage, SERVER_HELLO, 0, 60);
        g_assert_cmpuint(pass(stage), ==, 1);
        g_assert_cmpuint(stage->record[PAYLOAD_OFFSET], ==, SERVER_HELLO);
        consume(stage, SERVER_HELLO, 60);
        g_assert_cmpuint(filter_take(&stage->filter, stage->record, sizeof(stage->record)), ==,
                         PAYLOAD_OFFSET + 12 + 60);
        g_assert_cmpuint(stage->record[PAYLOAD_OFFSET], ==, CERTIFICATE);
        g_assert_false(filter_ready(&stage->filter));
        consume(stage, CERTIFICATE, 60);
        g_assert_true(filter_ready(&stage->filter));
}

static void test_gives_a_long_message_in_several_records(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);
        uint32_t length = ORDER_MESSAGE_MAX, given = 0;

        consume(stage, SERVER_HELLO, 40);
        for (uint32_t offset = 0; offset < length; offset += 1024)
                add_piece(stage, (Piece){CERTIFICATE, 1, length, offset, 1024});
        filter_input(&stage->filter, stage->datagram, stage->size);
        filter_keep(&stage->filter);
        while (given < length) {
                const uint8_t *message = stage->record + PAYLOAD_OFFSET;
                size_t size = filter_take(&stage->filter, stage->record, sizeof(stage->record));
                uint8_t numbers[6];

                g_assert_cmpuint(size, >, PAYLOAD_OFFSET + 12);
                g_assert_cmpuint(size, <=, PAYLOAD_OFFSET + 16384);
                put(numbers, given, 3);
                put(numbers + 3, size - PAYLOAD_OFFSET - 12, 3);
                g_assert_cmpmem(message + 6, 6, numbers, 6);
                given += size - PAYLOAD_OFFSET - 12;
        }
        g_assert_cmpuint(given, ==, length);
        g_assert_false(filter_ready(&stage->filter));
}

/* Before, among and behind the peer's own fragments. */
static void test_the_peers_words_replace_what_was_laid_in(void) {
        static const Piece forged[] = {
                {CERTIFICATE, 1, 600, 0, 100},         {CERTIFICATE, 1, 601, 100, 100},
                {CERTIFICATE, 1, 100, 0, 99},          {CERTIFICATE, 1, 1000, 0, 1000},
                {SERVER_KEY_EXCHANGE, 1, 600, 0, 100}, {SERVER_KEY_EXCHANGE, 2, 600, 0, 600},
                {CERTIFICATE, 2, 600, 100, 100},
        };
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        for (size_t i = 0; i < G_N_ELEMENTS(forged); i++)
                add_text(stage, forged[i], 'f');
        g_assert_cmpuint(pass(stage), ==, 0);

        add_text(stage, (Piece){SERVER_HELLO, 0, 70, 0, 70}, 'h');
        add_text(stage, (Piece){CERTIFICATE, 1, 600, 0, 300}, 'c');
        add_text(stage, (Piece){SERVER_KEY_EXCHANGE, 1, 600, 0, 100}, 'f');
        add_text(stage, (Piece){CERTIFICATE, 1, 600, 300, 300}, 'c');
        g_assert_cmpuint(pass(stage), ==, 1);
        g_assert_true(came_out(stage, SERVER_HELLO, 70, 'h'));
        consume(stage, SERVER_HELLO, 70);

        /* that cost the first half; the peer says all of it again */
        add_text(stage, (Piece){SERVER_HELLO, 0, 70, 0, 70}, 'h');
        add_text(stage, (Piece){CERTIFICATE, 1, 600, 0, 300}, 'c');
        add_text(stage, (Piece){CERTIFICATE, 1, 600, 300, 300}, 'c');
        g_assert_cmpuint(pass(stage), ==, 1);
        g_assert_true(came_out(stage, CERTIFICATE, 600, 'c'));
}

/* While GnuTLS waits for an answer it takes nothing. */
static void test_what_is_whole_and_next_in_line_stays_as_it_is(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_SERVER);
        g_autoptr(Stage) proof = stage_new(DTLS_SERVER);
        Filter *filter = &stage->filter;

        consume(stage, CLIENT_HELLO, 40);
        add_text(stage, (Piece){CLIENT_KEY_EXCHANGE, 1, 66, 0, 66}, 'k');
        add_text(stage, (Piece){CERTIFICATE_VERIFY, 2, 80, 0, 80}, 'v');
        filter_input(filter, stage->datagram, stage->size);
        filter_keep(filter);

        stage->size = 0;
        for (unsigned message = 1; message < 3; message++) {
                add_text(stage, (Piece){CLIENT_KEY_EXCHANGE, message, 66, 0, 66}, 'f');
                add_text(stage, (Piece){CERTIFICATE_VERIFY, message, 80, 0, 30}, 'f');
                add_text(stage, (Piece){CERTIFICATE, message, 10, 0, 5}, 'f');
        }
        g_assert_cmpuint(pass(stage), ==, 1);
        g_assert_true(came_out(stage, CLIENT_KEY_EXCHANGE, 66, 'k'));
        filter_consumed(filter, CLIENT_KEY_EXCHANGE, (const uint8_t *)"", 0);
        g_assert_false(filter_ready(filter)); /* without a certificate there is no proof of it */

        filter = &proof->filter;
        consume(proof, CLIENT_HELLO, 40);
        consume(proof, CERTIFICATE, 40);
        add_text(proof, (Piece){CLIENT_KEY_EXCHANGE, 2, 66, 0, 66}, 'k');
        add_text(proof, (Piece){CERTIFICATE_VERIFY, 3, 80, 0, 80}, 'v');
        filter_input(filter, proof->datagram, proof->size);
        filter_keep(filter);
        proof->size = 0;
        add_text(proof, (Piece){CERTIFICATE_VERIFY, 3, 80, 0, 80}, 'f');
        g_assert_cmpuint(pass(proof), ==, 1);
        consume(proof, CLIENT_KEY_EXCHANGE, 66);
        proof->record_size = filter_take(filter, proof->record, sizeof(proof->record));
        g_assert_true(came_out(proof, CERTIFICATE_VERIFY, 80, 'v'));
}

static void test_what_can_no_longer_come_is_forgotten(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);
        g_autoptr(Stage) resumed = stage_new(DTLS_SERVER);

        add_message(stage, CERTIFICATE, 1, 60);
        add_message(stage, HELLO_VERIFY_REQUEST, 2, 19);
        g_assert_cmpuint(pass(stage), ==, 0);
        consume(stage, SERVER_KEY_EXCHANGE, 40);
        g_assert_false(filter_ready(&stage->filter));
        consume(stage, CERTIFICATE_REQUEST, 40);
        g_assert_false(filter_ready(&stage->filter));

        add_message(resumed, CLIENT_KEY_EXCHANGE, 1, 60);
        g_assert_cmpuint(pass(resumed), ==, 0);
        consume(resumed, CLIENT_HELLO, 40);
        g_assert_true(filter_ready(&resumed->filter));
        filter_resume(&resumed->filter);
        g_assert_false(filter_ready(&resumed->filter));
}

static void test_forgets_a_claim_with_its_message(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        add_piece(stage, (Piece){CERTIFICATE, 0, ORDER_MESSAGE_MAX, 0, 100});
        add_piece(stage, (Piece){CERTIFICATE_REQUEST, 1, ORDER_MESSAGE_MAX, 0, 100});
        g_assert_cmpuint(pass(stage), ==, 0);
        g_assert_cmpuint(stage->filter.n_dropped, ==, 1);
        consume(stage, CERTIFICATE, 40);
        add_piece(stage, (Piece){CERTIFICATE_REQUEST, 1, ORDER_MESSAGE_MAX, 0, 100});
        g_assert_cmpuint(pass(stage), ==, 0);
        g_assert_cmpuint(stage->filter.n_dropped, ==, 1);
}

static size_t claimed(const Filter *filter) {
        size_t sum = 0;

        for (size_t i = 0; i < FILTER_WINDOW; i++)
                sum += filter->messages[i].length;

        return sum;
}

/* What may be allocated before anybody proved anything. */
static void test_bounds_what_fragments_can_claim(void) {
        static const uint8_t types[] = {
                SERVER_HELLO,        CERTIFICATE,         22,
                SERVER_KEY_EXCHANGE, CERTIFICATE_REQUEST, SERVER_HELLO_DONE};
        static const uint32_t lengths[] = {0xfffff0, 0x10000, ORDER_MESSAGE_MAX, 8192, 4096};
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        for (size_t l = 0; l < G_N_ELEMENTS(lengths); l++)
                for (unsigned message = 0; message < 10; message++)
                        for (size_t t = 0; t < G_N_ELEMENTS(types); t++) {
                                add_piece(stage, (Piece){types[t], message, lengths[l], 0, 30});
                                g_assert_cmpuint(pass(stage), ==, 0);
                                g_assert_cmpuint(claimed(&stage->filter), <=, FILTER_CLAIM_MAX);
                        }
        g_assert_cmpuint(claimed(&stage->filter), >, 0);
}

static void test_the_messages_further_ahead_give_way(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);
        const Reassembly *messages = stage->filter.messages;

        for (unsigned message = 5; message > 1; message--)
                add_piece(stage, (Piece){CERTIFICATE, message, FILTER_CLAIM_MAX / 4, 0, 100});
        g_assert_cmpuint(pass(stage), ==, 0);
        g_assert_cmpuint(claimed(&stage->filter), ==, FILTER_CLAIM_MAX);

        add_piece(stage, (Piece){CERTIFICATE, 1, FILTER_CLAIM_MAX / 4 + 1, 0, 100});
        g_assert_cmpuint(pass(stage), ==, 0);
        g_assert_cmpuint(messages[1].type, ==, CERTIFICATE);
        g_assert_cmpuint(messages[3].type, ==, CERTIFICATE);
        g_assert_cmpuint(messages[4].type, ==, 0);
        g_assert_cmpuint(messages[5].type, ==, 0);
}

static void test_takes_no_message_from_beyond_the_window(void) {
        static const uint8_t types[FILTER_WINDOW + 1] = {
                SERVER_HELLO,        CERTIFICATE,       22, SERVER_KEY_EXCHANGE,
                CERTIFICATE_REQUEST, SERVER_HELLO_DONE, 3};
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        for (unsigned i = 0; i <= FILTER_WINDOW; i++)
                add_message(stage, types[i], i, types[i] == SERVER_HELLO_DONE ? 0 : 20);
        g_assert_cmpuint(pass_and_consume(stage), ==, FILTER_WINDOW);
        g_assert_cmpuint(stage->filter.n_dropped, ==, 1);
}

static void test_counts_from_the_cookie_hellos_number(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_SERVER);

        filter_init(&stage->filter, DTLS_SERVER, 0xffff);
        add_message(stage, CLIENT_HELLO, 0xfffe, 60);
        g_assert_cmpuint(pass(stage), ==, 0);
        add_message(stage, CLIENT_HELLO, 0xffff, 60);
        g_assert_cmpuint(pass(stage), ==, 1);
        consume(stage, CLIENT_HELLO, 60);
        add_message(stage, CLIENT_KEY_EXCHANGE, 0, 60); /* the number wraps */
        g_assert_cmpuint(pass(stage), ==, 1);
}

static void test_of_a_record_what_is_good_is_taken(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);
        uint8_t payload[512];
        size_t size;

        consume(stage, SERVER_HELLO, 40);
        size = write_piece(payload, (Piece){SERVER_HELLO, 0, 60, 0, 60});
        size += write_piece(payload + size, (Piece){HELLO_REQUEST, 1, 0, 0, 0});
        size += write_piece(payload + size, (Piece){CERTIFICATE, 1, 60, 0, 60});
        size += write_piece(payload + size, (Piece){SERVER_KEY_EXCHANGE, 2, 61, 0, 62});
        add(stage, HANDSHAKE, 0, 1, payload, size);
        g_assert_cmpuint(pass_and_consume(stage), ==, 1);
        g_assert_cmpuint(stage->record[PAYLOAD_OFFSET], ==, CERTIFICATE);
        g_assert_cmpuint(stage->filter.n_repeated, ==, 0);
}

static void test_counts_the_records_that_repeat_what_was_consumed(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);
        const Filter *filter = &stage->filter;

        add_message(stage, SERVER_HELLO, 0, 60);
        add_message(stage, CERTIFICATE, 1, 60);
        add_message(stage, SERVER_HELLO_DONE, 2, 0);
        g_assert_cmpuint(pass_and_consume(stage), ==, 3);
        g_assert_cmpuint(filter->n_repeated, ==, 0);

        add_message(stage, CERTIFICATE, 1, 60);
        add_piece(stage, (Piece){SERVER_HELLO, 0, 60, 30, 10});
        g_assert_cmpuint(pass(stage), ==, 0);
        g_assert_cmpuint(filter->n_repeated, ==, 2);

        add_message(stage, CERTIFICATE, 5, 60); /* what was not, or cannot be said at all */
        add_message(stage, CLIENT_KEY_EXCHANGE, 1, 60);
        add(stage, HANDSHAKE, 0, 5, "nothing", 7);
        g_assert_cmpuint(pass(stage), ==, 0);
        g_assert_cmpuint(filter->n_repeated, ==, 2);

        filter_open(&stage->filter);
        add_message(stage, CERTIFICATE, 1, 60);
        g_assert_cmpuint(pass(stage), ==, 0);
        g_assert_cmpuint(filter->n_repeated, ==, 2);
}

static void test_remembers_a_plaintext_alert_and_passes_none(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        add(stage, ALERT, 0, 1, "\x02", 1);
        add(stage, ALERT, 0, 1, "\x02\x28\x00", 3);
        g_assert_cmpuint(pass(stage), ==, 0);
        g_assert_false(stage->filter.has_alert);

        add(stage, ALERT, 0, 1, "\x02\x28", 2);
        g_assert_cmpuint(pass(stage), ==, 0);
        g_assert_true(stage->filter.has_alert);
        g_assert_cmpuint(stage->filter.alert_level, ==, 2);
        g_assert_cmpuint(stage->filter.alert_description, ==, 40);

        filter_forget_alert(&stage->filter);
        g_assert_false(stage->filter.has_alert);

        filter_open(&stage->filter);
        add(stage, ALERT, 0, 1, "\x02\x28", 2);
        g_assert_cmpuint(pass(stage), ==, 0);
        g_assert_false(stage->filter.has_alert);
}

static void test_holds_the_change_until_all_before_it_was_consumed(void) {
        g_autoptr(Stage) client = stage_new(DTLS_CLIENT);
        g_autoptr(Stage) psk = stage_new(DTLS_SERVER);
        g_autoptr(Stage) proof = stage_new(DTLS_SERVER);

        add(client, CHANGE, 0, 1, "\x01", 1);
        g_assert_cmpuint(pass(client), ==, 0);
        consume(client, SERVER_HELLO, 40);
        g_assert_cmpuint(pass(client), ==, 0);
        consume(client, SERVER_HELLO_DONE, 0);
        g_assert_cmpuint(pass(client), ==, 1);
        g_assert_cmpuint(client->record[0], ==, CHANGE);

        add(psk, CHANGE, 0, 1, "\x01", 1);
        consume(psk, CLIENT_HELLO, 40);
        g_assert_cmpuint(pass(psk), ==, 0);
        consume(psk, CLIENT_KEY_EXCHANGE, 40);
        g_assert_cmpuint(pass(psk), ==, 1);

        add(proof, CHANGE, 0, 1, "\x01", 1);
        consume(proof, CLIENT_HELLO, 40);
        consume(proof, CERTIFICATE, 40);
        consume(proof, CLIENT_KEY_EXCHANGE, 40);
        g_assert_cmpuint(pass(proof), ==, 0);
        consume(proof, CERTIFICATE_VERIFY, 40);
        g_assert_cmpuint(pass(proof), ==, 1);
}

static void test_a_client_without_certificate_proves_nothing(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_SERVER);

        add(stage, CHANGE, 0, 1, "\x01", 1);
        consume(stage, CLIENT_HELLO, 40);
        consume(stage, CERTIFICATE, 3);
        consume(stage, CLIENT_KEY_EXCHANGE, 40);
        g_assert_cmpuint(pass(stage), ==, 1);
}

static void test_takes_no_message_when_only_the_change_is_missing(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_SERVER);

        consume(stage, CLIENT_HELLO, 40);
        consume(stage, CLIENT_KEY_EXCHANGE, 40);
        add_message(stage, CERTIFICATE_VERIFY, 2, 60);
        g_assert_cmpuint(pass(stage), ==, 0);
}

/* A ServerHello whose one extension is of this type, or cut at @cut. */
static void consume_hello(Stage *stage, unsigned extension, size_t cut) {
        uint8_t hello[2 + 32 + 1 + 3 + 2 + 4 + 1] = {0};

        put(hello + 38, 5, 2);
        put(hello + 40, extension, 2);
        put(hello + 42, 1, 2);
        filter_consumed(&stage->filter, SERVER_HELLO, hello, MIN(cut, sizeof hello));
}

static void test_takes_tickets_where_they_are_wanted(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);
        g_autoptr(Stage) client = stage_new(DTLS_CLIENT);

        consume_server_flight(stage);
        add_message(stage, NEW_SESSION_TICKET, 2, 100);
        g_assert_cmpuint(pass(stage), ==, 0);

        client->filter.order.tickets = true;
        add_piece(client, (Piece){NEW_SESSION_TICKET, 0, ORDER_MESSAGE_MAX + 1, 0, 100});
        g_assert_cmpuint(pass(client), ==, 0);
        g_assert_cmpuint(client->filter.n_dropped, ==, 1);
        add_message(client, NEW_SESSION_TICKET, 0, 100);
        g_assert_cmpuint(pass(client), ==, 1);
}

static void test_holds_the_change_until_a_promised_ticket_was_consumed(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        stage->filter.order.tickets = true;
        add(stage, CHANGE, 0, 1, "\x01", 1);
        consume_hello(stage, 35, SIZE_MAX);
        consume(stage, SERVER_HELLO_DONE, 0);
        g_assert_cmpuint(pass(stage), ==, 0);
        consume(stage, NEW_SESSION_TICKET, 60);
        g_assert_cmpuint(pass(stage), ==, 1);
}

/* No cut or other hello makes it wait for what will not come. */
static void test_waits_for_no_ticket_that_was_not_promised(void) {
        for (size_t cut = 0; cut <= 44; cut++) {
                g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

                stage->filter.order.tickets = true;
                add(stage, CHANGE, 0, 1, "\x01", 1);
                consume_hello(stage, cut < 44 ? 35 : 23, cut);
                consume(stage, SERVER_HELLO_DONE, 0);
                g_assert_cmpuint(pass(stage), ==, 1);
        }
}

static void test_a_resumed_session_needs_no_more_messages(void) {
        g_autoptr(Stage) client = stage_new(DTLS_CLIENT);
        g_autoptr(Stage) renewed = stage_new(DTLS_CLIENT);
        g_autoptr(Stage) server = stage_new(DTLS_SERVER);

        add(client, CHANGE, 0, 1, "\x01", 1);
        consume(client, SERVER_HELLO, 40);
        filter_resume(&client->filter);
        g_assert_cmpuint(pass(client), ==, 1);

        renewed->filter.order.tickets = true;
        add(renewed, CHANGE, 0, 1, "\x01", 1);
        consume_hello(renewed, 35, SIZE_MAX);
        filter_resume(&renewed->filter);
        add_message(renewed, CERTIFICATE, 1, 60);
        g_assert_cmpuint(pass(renewed), ==, 0);
        add_message(renewed, NEW_SESSION_TICKET, 1, 60);
        g_assert_cmpuint(pass(renewed), ==, 1);
        consume(renewed, NEW_SESSION_TICKET, 60);
        g_assert_cmpuint(pass(renewed), ==, 1);

        add(server, CHANGE, 0, 1, "\x01", 1);
        consume(server, CLIENT_HELLO, 40);
        filter_resume(&server->filter);
        g_assert_cmpuint(pass(server), ==, 1);
        add_message(server, CLIENT_KEY_EXCHANGE, 1, 60);
        g_assert_cmpuint(pass(server), ==, 0);
}

static void test_takes_one_change_of_one_shape(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        consume_server_flight(stage);
        add(stage, CHANGE, 0, 1, "\x02", 1);
        add(stage, CHANGE, 0, 1, "\x01\x01", 2);
        add(stage, CHANGE, 1, 1, "\x01", 1);
        g_assert_cmpuint(pass(stage), ==, 0);
        add(stage, CHANGE, 0, 1, "\x01", 1);
        add(stage, CHANGE, 0, 2, "\x01", 1);
        g_assert_cmpuint(pass(stage), ==, 1);
        add(stage, CHANGE, 0, 3, "\x01", 1);
        g_assert_cmpuint(pass(stage), ==, 0);
}

static void test_puts_right_what_the_net_swapped(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);
        Filter *filter = &stage->filter;

        add(stage, DATA, 1, 2, "data", 4);
        add(stage, HANDSHAKE, 1, 1, "finished", 8);
        add(stage, CHANGE, 0, 3, "\x01", 1);
        g_assert_cmpuint(pass(stage), ==, 0);

        consume_server_flight(stage);
        g_assert_cmpuint(filter_take(filter, stage->record, sizeof(stage->record)), ==, 14);
        g_assert_cmpuint(stage->record[0], ==, CHANGE);
        g_assert_cmpuint(filter_take(filter, stage->record, sizeof(stage->record)), ==, 21);
        g_assert_cmpuint(stage->record[0], ==, HANDSHAKE);
        g_assert_false(filter_ready(filter));

        filter_open(filter);
        g_assert_cmpuint(filter_take(filter, stage->record, sizeof(stage->record)), ==, 17);
        g_assert_cmpuint(stage->record[0], ==, DATA);
}

static void test_what_waits_leaves_room_for_the_rest(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);

        for (unsigned i = 0; i < 1000; i++)
                add(stage, i % 2 ? DATA : HANDSHAKE, 1, i, "garbage", 7);
        g_assert_cmpuint(pass(stage), ==, 0);
        g_assert_cmpuint(stage->filter.queue.n, ==, 2 * FILTER_HELD_MAX);
        g_assert_cmpuint(stage->filter.queue.n_dropped, ==, 1000 - 2 * FILTER_HELD_MAX);

        add_message(stage, SERVER_HELLO, 0, 60);
        g_assert_cmpuint(pass(stage), ==, 1);
}

static void test_what_was_laid_in_before_keeps_nothing_out(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);
        bool found = false;

        for (unsigned i = 0; i < 100; i++)
                add(stage, HANDSHAKE, 1, i, "garbage", 7);
        add(stage, HANDSHAKE, 1, 0, "finished", 8);
        for (unsigned i = 0; i < 100; i++)
                add(stage, DATA, 1, i, "garbage", 7);
        add(stage, CHANGE, 0, 1, "\x01", 1);
        g_assert_cmpuint(pass(stage), ==, 0);

        consume_server_flight(stage);
        while (filter_ready(&stage->filter)) {
                size_t size = filter_take(&stage->filter, stage->record, sizeof(stage->record));

                found |= size == PAYLOAD_OFFSET + 8;
        }
        g_assert_true(found);
}

static void test_the_queue_is_bounded_and_drops_the_newest(void) {
        static const uint8_t payload[6000];
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);
        Filter *filter = &stage->filter;

        filter_open(filter);
        for (unsigned i = 0; i < FILTER_QUEUE_RECORDS_MAX + 5; i++)
                add(stage, DATA, 1, i, payload, 10);
        filter_input(filter, stage->datagram, stage->size);
        filter_keep(filter);
        g_assert_cmpuint(filter->queue.n, ==, FILTER_QUEUE_RECORDS_MAX);
        g_assert_cmpuint(filter->queue.n_dropped, ==, 5);
        for (unsigned i = 0; i < FILTER_QUEUE_RECORDS_MAX; i++) {
                uint8_t sequence[6];

                put(sequence, i, 6);
                g_assert_cmpuint(filter_take(filter, stage->record, sizeof(stage->record)), >, 0);
                g_assert_cmpmem(stage->record + 5, 6, sequence, 6);
        }

        stage->size = 0;
        for (unsigned i = 0; i < 4; i++)
                add(stage, DATA, 1, i, payload, sizeof(payload));
        for (unsigned i = 0; i < 5; i++) {
                filter_input(filter, stage->datagram, stage->size);
                filter_keep(filter);
        }
        g_assert_cmpuint(filter->queue.n_bytes, <=, FILTER_QUEUE_BYTES_MAX);
        g_assert_cmpuint(filter->queue.n_bytes, >, FILTER_QUEUE_BYTES_MAX - 6013);
}

static void test_a_message_too_long_for_its_reader_may_come_again(void) {
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);
        Filter *filter = &stage->filter;

        add_message(stage, SERVER_HELLO, 0, 60);
        filter_input(filter, stage->datagram, stage->size);
        filter_keep(filter);
        g_assert_cmpuint(filter_take(filter, stage->record, 50), ==, 0);
        g_assert_false(filter_ready(filter));
        g_assert_cmpuint(pass(stage), ==, 1);
}

static void test_a_record_too_long_for_its_reader_is_dropped_whole(void) {
        static const uint8_t payload[200];
        g_autoptr(Stage) stage = stage_new(DTLS_CLIENT);
        Filter *filter = &stage->filter;

        filter_open(filter);
        add(stage, DATA, 1, 1, payload, sizeof(payload));
        add(stage, DATA, 1, 2, payload, 50);
        filter_input(filter, stage->datagram, stage->size);
        filter_keep(filter);
        g_assert_cmpuint(filter_take(filter, stage->record, 100), ==, PAYLOAD_OFFSET + 50);
        g_assert_cmpuint(filter_take(filter, stage->record, 100), ==, 0);
        g_assert_cmpuint(filter->n_dropped, ==, 1);
}

/* Whatever comes, what goes out is well formed. */
static void test_random_bytes_come_out_well_formed_or_not_at_all(void) {
        g_autoptr(GRand) random = g_rand_new_with_seed(20);
        size_t n_out = 0;

        for (unsigned i = 0; i < 20000; i++) {
                g_autoptr(Stage) stage = stage_new(i % 2 ? DTLS_CLIENT : DTLS_SERVER);
                unsigned n = g_rand_int_range(random, 1, 5);

                for (unsigned k = 0; k < n; k++)
                        add_message(stage, g_rand_int_range(random, 0, 24), k,
                                    g_rand_int_range(random, 0, 100));
                for (unsigned k = 0; k < 3; k++)
                        stage->datagram[g_rand_int_range(random, 0, stage->size)] =
                                g_rand_int_range(random, 0, 256);

                filter_input(&stage->filter, stage->datagram, stage->size);
                filter_keep(&stage->filter);
                for (;;) {
                        size_t size =
                                filter_take(&stage->filter, stage->record, sizeof(stage->record));

                        if (size == 0)
                                break;
                        n_out++;
                        g_assert_cmpuint(size, >, PAYLOAD_OFFSET);
                        g_assert_cmpuint(stage->record[11] << 8 | stage->record[12], ==,
                                         size - PAYLOAD_OFFSET);
                        g_assert_cmpuint(stage->record[1], ==, 0xfe);
                }
        }
        g_assert_cmpuint(n_out, >, 1000);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

#define FILTER_TEST(name, function) g_test_add_func("/filter/" name, function)
        FILTER_TEST("lets-a-server-flight-through", test_lets_a_server_flight_through);
        FILTER_TEST("lets-a-client-flight-through", test_lets_a_client_flight_through);
        FILTER_TEST("hands-out-the-very-bytes-but-for-the-number",
                    test_hands_out_the_very_bytes_but_for_the_number);
        FILTER_TEST("numbers-plaintext-records-anew", test_numbers_plaintext_records_anew);
        FILTER_TEST("plaintext-records-are-of-the-agreed-version",
                    test_plaintext_records_are_of_the_agreed_version);
        FILTER_TEST("keeps-the-numbers-of-sealed-records",
                    test_keeps_the_numbers_of_sealed_records);
        FILTER_TEST("drops-what-is-no-record", test_drops_what_is_no_record);
        FILTER_TEST("drops-records-that-are-not-whole", test_drops_records_that_are_not_whole);
        FILTER_TEST("drops-the-tail-and-keeps-the-head", test_drops_the_tail_and_keeps_the_head);
        FILTER_TEST("a-bad-record-takes-no-good-neighbour-with-it",
                    test_a_bad_record_takes_no_good_neighbour_with_it);
        FILTER_TEST("an-open-session-takes-sealed-records-alone",
                    test_an_open_session_takes_sealed_records_alone);
        FILTER_TEST("takes-only-what-the-peers-role-says",
                    test_takes_only_what_the_peers_role_says);
        FILTER_TEST("takes-no-message-that-belongs-before-a-consumed-one",
                    test_takes_no_message_that_belongs_before_a_consumed_one);
        FILTER_TEST("takes-so-many-hello-verify-requests",
                    test_takes_so_many_hello_verify_requests);
        FILTER_TEST("drops-malformed-fragments", test_drops_malformed_fragments);
        FILTER_TEST("gives-a-message-when-it-is-whole-and-once",
                    test_gives_a_message_when_it_is_whole_and_once);
        FILTER_TEST("gives-no-message-before-the-one-that-is-next",
                    test_gives_no_message_before_the_one_that_is_next);
        FILTER_TEST("gives-a-long-message-in-several-records",
                    test_gives_a_long_message_in_several_records);
        FILTER_TEST("the-peers-words-replace-what-was-laid-in",
                    test_the_peers_words_replace_what_was_laid_in);
        FILTER_TEST("what-is-whole-and-next-in-line-stays-as-it-is",
                    test_what_is_whole_and_next_in_line_stays_as_it_is);
        FILTER_TEST("what-can-no-longer-come-is-forgotten",
                    test_what_can_no_longer_come_is_forgotten);
        FILTER_TEST("forgets-a-claim-with-its-message", test_forgets_a_claim_with_its_message);
        FILTER_TEST("bounds-what-fragments-can-claim", test_bounds_what_fragments_can_claim);
        FILTER_TEST("the-messages-further-ahead-give-way",
                    test_the_messages_further_ahead_give_way);
        FILTER_TEST("takes-no-message-from-beyond-the-window",
                    test_takes_no_message_from_beyond_the_window);
        FILTER_TEST("counts-from-the-cookie-hellos-number",
                    test_counts_from_the_cookie_hellos_number);
        FILTER_TEST("of-a-record-what-is-good-is-taken", test_of_a_record_what_is_good_is_taken);
        FILTER_TEST("counts-the-records-that-repeat-what-was-consumed",
                    test_counts_the_records_that_repeat_what_was_consumed);
        FILTER_TEST("remembers-a-plaintext-alert-and-passes-none",
                    test_remembers_a_plaintext_alert_and_passes_none);
        FILTER_TEST("holds-the-change-until-all-before-it-was-consumed",
                    test_holds_the_change_until_all_before_it_was_consumed);
        FILTER_TEST("a-client-without-certificate-proves-nothing",
                    test_a_client_without_certificate_proves_nothing);
        FILTER_TEST("takes-no-message-when-only-the-change-is-missing",
                    test_takes_no_message_when_only_the_change_is_missing);
        FILTER_TEST("takes-tickets-where-they-are-wanted",
                    test_takes_tickets_where_they_are_wanted);
        FILTER_TEST("holds-the-change-until-a-promised-ticket-was-consumed",
                    test_holds_the_change_until_a_promised_ticket_was_consumed);
        FILTER_TEST("waits-for-no-ticket-that-was-not-promised",
                    test_waits_for_no_ticket_that_was_not_promised);
        FILTER_TEST("a-resumed-session-needs-no-more-messages",
                    test_a_resumed_session_needs_no_more_messages);
        FILTER_TEST("takes-one-change-of-one-shape", test_takes_one_change_of_one_shape);
        FILTER_TEST("puts-right-what-the-net-swapped", test_puts_right_what_the_net_swapped);
        FILTER_TEST("what-waits-leaves-room-for-the-rest",
                    test_what_waits_leaves_room_for_the_rest);
        FILTER_TEST("what-was-laid-in-before-keeps-nothing-out",
                    test_what_was_laid_in_before_keeps_nothing_out);
        FILTER_TEST("the-queue-is-bounded-and-drops-the-newest",
                    test_the_queue_is_bounded_and_drops_the_newest);
        FILTER_TEST("a-record-too-long-for-its-reader-is-dropped-whole",
                    test_a_record_too_long_for_its_reader_is_dropped_whole);
        FILTER_TEST("a-message-too-long-for-its-reader-may-come-again",
                    test_a_message_too_long_for_its_reader_may_come_again);
        FILTER_TEST("random-bytes-come-out-well-formed-or-not-at-all",
                    test_random_bytes_come_out_well_formed_or_not_at_all);

        return g_test_run();
}
