/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/filter.h"

#include <glib.h>
#include <string.h>

#define RECORD_HEADER_SIZE 13
#define RECORD_PAYLOAD_MAX (16384 + 2048) /* RFC 5246 6.2.3 */
#define RECORD_EPOCH_OFFSET 3
#define RECORD_LENGTH_OFFSET 11
#define MESSAGE_HEADER_SIZE 12
#define PIECE_MAX (16384 - MESSAGE_HEADER_SIZE) /* of a message, in the record GnuTLS is given */
#define HELLO_FIXED_SIZE (2 + 32)               /* version, random */
#define HELLO_CHOICES_SIZE (2 + 1)              /* suite, compression */
#define EXTENSION_TYPE_SIZE 2
#define EXTENSION_SESSION_TICKET 35

enum {
        CONTENT_CHANGE_CIPHER_SPEC = 20,
        CONTENT_ALERT = 21,
        CONTENT_HANDSHAKE = 22,
        CONTENT_APPLICATION_DATA = 23,
};

enum {
        MESSAGE_CLIENT_HELLO = 1,
        MESSAGE_SERVER_HELLO = 2,
        MESSAGE_HELLO_VERIFY_REQUEST = 3,
        MESSAGE_NEW_SESSION_TICKET = 4,
        MESSAGE_CERTIFICATE = 11,
        MESSAGE_SERVER_KEY_EXCHANGE = 12,
        MESSAGE_CERTIFICATE_REQUEST = 13,
        MESSAGE_SERVER_HELLO_DONE = 14,
        MESSAGE_CERTIFICATE_VERIFY = 15,
        MESSAGE_CLIENT_KEY_EXCHANGE = 16,
        MESSAGE_CERTIFICATE_STATUS = 22,
};

/* What a peer may say in plaintext, in the order it is said, and how long it may be: what may come
 * is allocated. */
typedef struct FilterRule {
        uint8_t type;
        uint8_t rank; /* a message is only taken behind one of a lower rank */
        uint32_t length_max;
} FilterRule;

#define FILTER_RANK_AGREED 7 /* behind it come keys, and nothing of a client in plaintext */

static const FilterRule filter_server_says[] = {
        {MESSAGE_HELLO_VERIFY_REQUEST, 1, 3 + 255},
        {MESSAGE_SERVER_HELLO, 2, 4096},
        {MESSAGE_CERTIFICATE, 3, FILTER_MESSAGE_MAX},
        {MESSAGE_CERTIFICATE_STATUS, 4, FILTER_MESSAGE_MAX},
        {MESSAGE_SERVER_KEY_EXCHANGE, 5, 8192},
        {MESSAGE_CERTIFICATE_REQUEST, 6, FILTER_MESSAGE_MAX},
        {MESSAGE_SERVER_HELLO_DONE, FILTER_RANK_AGREED, 0},
        {MESSAGE_NEW_SESSION_TICKET, FILTER_RANK_AGREED + 1, FILTER_MESSAGE_MAX},
        {},
};

static const FilterRule filter_client_says[] = {
        {MESSAGE_CLIENT_HELLO, 1, 8192},
        {MESSAGE_CERTIFICATE, 2, FILTER_MESSAGE_MAX},
        {MESSAGE_CLIENT_KEY_EXCHANGE, 3, 4096},
        {MESSAGE_CERTIFICATE_VERIFY, 4, 4096},
        {},
};

typedef struct FilterFragment {
        uint8_t type;
        uint16_t message;
        uint32_t length, offset, size;
        const uint8_t *bytes;
} FilterFragment;

static uint64_t filter_number(const uint8_t *bytes, size_t size) {
        uint64_t number = 0;

        for (size_t i = 0; i < size; i++)
                number = number << 8 | bytes[i];

        return number;
}

static void filter_put(uint8_t *to, uint64_t number, size_t size) {
        for (size_t i = 0; i < size; i++)
                to[i] = number >> (8 * (size - 1 - i));
}

static const FilterRule *filter_rule(const Filter *filter, unsigned type) {
        const FilterRule *rule =
                filter->role == DTLS_SERVER ? filter_client_says : filter_server_says;

        while (rule->type && rule->type != type)
                rule++;

        return rule->type ? rule : NULL;
}

void filter_init(Filter *filter, DtlsRole role, uint16_t first_message) {
        *filter = (Filter){
                .role = role,
                .version = 0xfefd,
                .next_message = first_message,
                .next_sequence = 1,
        };
}

static void filter_clear_messages(Filter *filter) {
        for (size_t i = 0; i < FILTER_WINDOW; i++)
                reassembly_clear(&filter->messages[i]);
}

void filter_done(Filter *filter) {
        filter_clear_messages(filter);
        for (size_t i = 0; i < filter->n_queued; i++)
                g_free(filter->queue[i].own);

        g_clear_pointer(&filter->queue, g_free);
        filter->n_places = 0;
        filter->n_queued = 0;
        filter->n_queued_bytes = 0;
}

static size_t filter_count(const Filter *filter, FilterRecordKind kind) {
        size_t n = 0;

        for (size_t i = 0; i < filter->n_queued; i++)
                n += filter->queue[i].kind == kind;

        return n;
}

static bool filter_is_due(const Filter *filter, FilterRecordKind kind) {
        switch (kind) {
        case FILTER_CHANGE:
                return filter->expects_change;
        case FILTER_SEALED:
                return filter->changed;
        case FILTER_DATA:
                return filter->open;
        }

        return false;
}

static FilterRecord filter_unqueue(Filter *filter, size_t i) {
        FilterRecord record = filter->queue[i];

        filter->n_queued--;
        filter->n_queued_bytes -= record.size;
        memmove(&filter->queue[i], &filter->queue[i + 1],
                (filter->n_queued - i) * sizeof(filter->queue[0]));
        if (filter->n_queued == 0 && filter->n_places > FILTER_QUEUE_KEPT) {
                g_clear_pointer(&filter->queue, g_free);
                filter->n_places = 0;
        }

        return record;
}

static void filter_drop_oldest(Filter *filter, FilterRecordKind kind) {
        for (size_t i = 0; i < filter->n_queued; i++)
                if (filter->queue[i].kind == kind) {
                        g_free(filter_unqueue(filter, i).own);
                        filter->n_dropped_full++;
                        return;
                }
}

/* What must wait may not fill the queue for what need not. Among what waits the oldest goes: what a
 * forger laid in beforehand must not keep out the peer's. */
static void filter_queue(Filter *filter, FilterRecordKind kind, const uint8_t *bytes, size_t size) {
        if (!filter_is_due(filter, kind) && filter_count(filter, kind) >= FILTER_HELD_MAX)
                filter_drop_oldest(filter, kind);

        if (filter->n_queued >= FILTER_QUEUE_RECORDS_MAX ||
            filter->n_queued_bytes + size > FILTER_QUEUE_BYTES_MAX) {
                filter->n_dropped_full++;
                return;
        }

        if (filter->n_queued == filter->n_places) {
                filter->n_places = MAX(2 * filter->n_places, FILTER_QUEUE_KEPT);
                filter->queue = g_renew(FilterRecord, filter->queue, filter->n_places);
        }
        filter->queue[filter->n_queued++] = (FilterRecord){
                .kind = kind,
                .bytes = bytes,
                .size = size,
        };
        filter->n_queued_bytes += size;
}

/* Reads one fragment's header and finds its body within @size bytes. */
static bool filter_read_fragment(const uint8_t *bytes, size_t size, FilterFragment *ret) {
        FilterFragment fragment;

        if (size < MESSAGE_HEADER_SIZE)
                return false;

        fragment = (FilterFragment){
                .type = bytes[0],
                .length = filter_number(bytes + 1, 3),
                .message = filter_number(bytes + 4, 2),
                .offset = filter_number(bytes + 6, 3),
                .size = filter_number(bytes + 9, 3),
                .bytes = bytes + MESSAGE_HEADER_SIZE,
        };
        if (fragment.size > size - MESSAGE_HEADER_SIZE)
                return false;
        if (fragment.offset + fragment.size > fragment.length)
                return false;
        if (fragment.size == 0 && fragment.length != 0)
                return false;

        *ret = fragment;
        return true;
}

/* How far ahead of what was consumed; what was consumed already is far ahead, as numbers wrap. */
static uint16_t filter_ahead(const Filter *filter, const FilterFragment *fragment) {
        return fragment->message - filter->next_message;
}

static bool filter_is_old(const Filter *filter, const FilterFragment *fragment) {
        return filter_ahead(filter, fragment) >= 0x8000;
}

/* Whether the peer may say this some time behind what was consumed. */
static bool filter_may_come(const Filter *filter, const FilterRule *rule) {
        if (filter->expects_change)
                return false;
        if (rule->type == MESSAGE_NEW_SESSION_TICKET && !filter->tickets)
                return false;
        if (rule->type == MESSAGE_HELLO_VERIFY_REQUEST)
                return filter->last_rank <= rule->rank &&
                       filter->n_hello_verify < FILTER_HELLO_VERIFY_MAX;

        return rule->rank > filter->last_rank;
}

static size_t filter_claimed(const Filter *filter, size_t n_messages) {
        size_t claimed = 0;

        for (size_t i = 0; i < n_messages; i++)
                claimed += filter->messages[i].length;

        return claimed;
}

/* Begins a message at this place. Where there is no room for all, those further ahead give way. */
static bool filter_begin(Filter *filter, size_t place, const FilterFragment *fragment) {
        if (filter_claimed(filter, place) + fragment->length > FILTER_CLAIM_MAX)
                return false;

        reassembly_begin(&filter->messages[place], fragment->type, fragment->length);
        for (size_t i = FILTER_WINDOW - 1; filter_claimed(filter, i + 1) > FILTER_CLAIM_MAX; i--)
                reassembly_clear(&filter->messages[i]);
        return true;
}

/* Whether it was taken for a part of a message that is yet to come. */
static bool filter_add_fragment(Filter *filter, const FilterFragment *fragment) {
        const FilterRule *rule = filter_rule(filter, fragment->type);
        size_t place = filter_ahead(filter, fragment);
        Reassembly *message;

        if (place < filter->n_settled || place >= FILTER_WINDOW)
                return false;
        if (!rule || fragment->length > rule->length_max || !filter_may_come(filter, rule))
                return false;

        message = &filter->messages[place];
        if (!reassembly_is_for(message, fragment->type, fragment->length) &&
            !filter_begin(filter, place, fragment))
                return false;

        reassembly_add(message, fragment->offset, fragment->bytes, fragment->size);
        return true;
}

/* Takes the fragments of a record, one after the other; behind one that cannot be read there is
 * nothing. Whether any was of use. */
static bool filter_add_fragments(Filter *filter, const uint8_t *bytes, size_t size) {
        bool useful = false, only_old = true;

        while (size > 0) {
                FilterFragment fragment;

                if (!filter_read_fragment(bytes, size, &fragment))
                        return useful;

                useful |= filter_add_fragment(filter, &fragment);
                only_old &= filter_is_old(filter, &fragment) && filter_rule(filter, fragment.type);
                bytes += MESSAGE_HEADER_SIZE + fragment.size;
                size -= MESSAGE_HEADER_SIZE + fragment.size;
        }

        filter->n_repeated += only_old;
        return useful;
}

static void filter_note_alert(Filter *filter, const uint8_t *payload, size_t size) {
        if (filter->changed || size != 2)
                return;

        filter->has_alert = true;
        filter->alert_level = payload[0];
        filter->alert_description = payload[1];
}

static bool filter_change_is_good(const Filter *filter, const uint8_t *payload, size_t size) {
        return size == 1 && payload[0] == 1 && !filter->changed &&
               filter_count(filter, FILTER_CHANGE) == 0;
}

/* Whether something came of it. */
static bool filter_judge_plain(Filter *filter, const uint8_t *record, size_t size) {
        const uint8_t *payload = record + RECORD_HEADER_SIZE;
        size_t payload_size = size - RECORD_HEADER_SIZE;

        if (filter->open)
                return false;

        switch (record[0]) {
        case CONTENT_CHANGE_CIPHER_SPEC:
                if (!filter_change_is_good(filter, payload, payload_size))
                        return false;

                filter_queue(filter, FILTER_CHANGE, record, size);
                return true;
        case CONTENT_ALERT:
                filter_note_alert(filter, payload, payload_size);
                return false;
        case CONTENT_HANDSHAKE:
                return filter_add_fragments(filter, payload, payload_size);
        default:
                return false;
        }
}

static bool filter_judge_sealed(Filter *filter, const uint8_t *record, size_t size) {
        switch (record[0]) {
        case CONTENT_ALERT:
        case CONTENT_HANDSHAKE:
                filter_queue(filter, FILTER_SEALED, record, size);
                return true;
        case CONTENT_APPLICATION_DATA:
                filter_queue(filter, FILTER_DATA, record, size);
                return true;
        default: /* heartbeat, connection IDs: never agreed on */
                return false;
        }
}

static void filter_judge(Filter *filter, const uint8_t *record, size_t size) {
        uint64_t epoch = filter_number(record + RECORD_EPOCH_OFFSET, 2);
        bool good = false;

        if (epoch == 0)
                good = filter_judge_plain(filter, record, size);
        else if (epoch == 1) /* a third epoch would be a renegotiation */
                good = filter_judge_sealed(filter, record, size);

        if (!good)
                filter->n_dropped++;
}

/* The size of the record at the front, or 0: there is none, and so nothing behind it either. */
static size_t filter_frame(const uint8_t *data, size_t size) {
        size_t payload;

        if (size < RECORD_HEADER_SIZE)
                return 0;
        if (data[1] != 0xfe || (data[2] != 0xfd && data[2] != 0xff))
                return 0;

        payload = filter_number(data + RECORD_LENGTH_OFFSET, 2);
        if (payload == 0 || payload > RECORD_PAYLOAD_MAX || payload > size - RECORD_HEADER_SIZE)
                return 0;

        return RECORD_HEADER_SIZE + payload;
}

/* Messages that only wait for GnuTLS to take them. */
static size_t filter_settled(const Filter *filter) {
        size_t n = 0;

        while (n < FILTER_WINDOW && reassembly_is_whole(&filter->messages[n]))
                n++;

        return n;
}

void filter_input(Filter *filter, const uint8_t *data, size_t size) {
        filter->n_settled = filter_settled(filter);
        do {
                size_t record = filter_frame(data, size);

                if (record == 0) {
                        filter->n_dropped++;
                        return;
                }

                filter_judge(filter, data, record);
                data += record;
                size -= record;
        } while (size > 0);
}

void filter_keep(Filter *filter) {
        for (size_t i = 0; i < filter->n_queued; i++) {
                FilterRecord *record = &filter->queue[i];

                if (!record->own)
                        record->bytes = record->own = g_memdup2(record->bytes, record->size);
        }
}

static bool filter_find_due(const Filter *filter, size_t *ret) {
        for (size_t i = 0; i < filter->n_queued; i++)
                if (filter_is_due(filter, filter->queue[i].kind)) {
                        *ret = i;
                        return true;
                }

        return false;
}

static bool filter_message_is_due(const Filter *filter) {
        return reassembly_is_whole(&filter->messages[0]) && !filter->given;
}

bool filter_ready(const Filter *filter) {
        size_t i;

        return filter_message_is_due(filter) || filter_find_due(filter, &i);
}

/* A plaintext record's, but for its length. Numbers are anybody's, a high one would close GnuTLS's
 * replay window; and of another version than was agreed on GnuTLS takes no ChangeCipherSpec. */
static void filter_put_header(Filter *filter, uint8_t *record, uint8_t type) {
        filter_put(record, type, 1);
        filter_put(record + 1, filter->version, 2);
        filter_put(record + RECORD_EPOCH_OFFSET, filter->next_sequence++, 8); /* epoch 0 */
}

static void filter_put_piece(const Filter *filter, uint8_t *to, uint32_t size) {
        const Reassembly *message = &filter->messages[0];

        filter_put(to, message->type, 1);
        filter_put(to + 1, message->length, 3);
        filter_put(to + 4, filter->next_message, 2);
        filter_put(to + 6, filter->n_given, 3);
        filter_put(to + 9, size, 3);
        if (size > 0)
                memcpy(to + MESSAGE_HEADER_SIZE, message->bytes + filter->n_given, size);
}

/* The next message, or as much of it as a record takes. */
static size_t filter_take_message(Filter *filter, uint8_t *buffer, size_t size) {
        Reassembly *message = &filter->messages[0];
        uint32_t piece = MIN(message->length - filter->n_given, PIECE_MAX);
        size_t payload = MESSAGE_HEADER_SIZE + piece;

        if (RECORD_HEADER_SIZE + payload > size) {
                reassembly_clear(message);
                filter->n_given = 0;
                filter->n_dropped++;
                return 0;
        }

        filter_put_header(filter, buffer, CONTENT_HANDSHAKE);
        filter_put(buffer + RECORD_LENGTH_OFFSET, payload, 2);
        filter_put_piece(filter, buffer + RECORD_HEADER_SIZE, piece);
        filter->n_given += piece;
        filter->given = filter->n_given == message->length;
        return RECORD_HEADER_SIZE + payload;
}

static size_t filter_take_queued(Filter *filter, size_t i, uint8_t *buffer, size_t size) {
        FilterRecord record = filter_unqueue(filter, i);
        bool fits = record.size <= size;

        if (fits)
                memcpy(buffer, record.bytes, record.size);
        else
                filter->n_dropped++;
        g_free(record.own);

        if (!fits)
                return 0;

        if (record.kind == FILTER_CHANGE) {
                filter_put_header(filter, buffer, CONTENT_CHANGE_CIPHER_SPEC);
                filter->changed = true;
        }

        return record.size;
}

size_t filter_take(Filter *filter, uint8_t *buffer, size_t size) {
        size_t taken = 0, i;

        if (filter_message_is_due(filter))
                taken = filter_take_message(filter, buffer, size);
        while (taken == 0 && filter_find_due(filter, &i))
                taken = filter_take_queued(filter, i, buffer, size);

        return taken;
}

/* The bytes of a vector whose length has @length_size bytes, 0 when it is cut; moves behind it. */
static size_t filter_take_vector(const uint8_t **next, size_t *left, size_t length_size,
                                 const uint8_t **ret) {
        size_t length;

        if (*left < length_size)
                return 0;

        length = filter_number(*next, length_size);
        if (length > *left - length_size)
                return 0;

        *ret = *next + length_size;
        *next += length_size + length;
        *left -= length_size + length;
        return length;
}

/* Whether this ServerHello says that a NewSessionTicket will come (RFC 5077, 3.2). */
static bool filter_promises_ticket(const uint8_t *hello, size_t size) {
        const uint8_t *unused, *extensions = NULL;
        size_t n;

        if (size < HELLO_FIXED_SIZE)
                return false;

        hello += HELLO_FIXED_SIZE;
        size -= HELLO_FIXED_SIZE;
        (void)filter_take_vector(&hello, &size, 1, &unused); /* session ID */
        if (size < HELLO_CHOICES_SIZE)
                return false;

        hello += HELLO_CHOICES_SIZE;
        size -= HELLO_CHOICES_SIZE;
        n = filter_take_vector(&hello, &size, 2, &extensions);
        while (n >= EXTENSION_TYPE_SIZE) {
                if (filter_number(extensions, EXTENSION_TYPE_SIZE) == EXTENSION_SESSION_TICKET)
                        return true;

                extensions += EXTENSION_TYPE_SIZE;
                n -= EXTENSION_TYPE_SIZE;
                (void)filter_take_vector(&extensions, &n, 2, &unused);
        }

        return false;
}

static void filter_expect_change(Filter *filter, unsigned type, const uint8_t *body, size_t size) {
        switch (type) {
        case MESSAGE_SERVER_HELLO:
                filter->expects_ticket = filter->tickets && filter_promises_ticket(body, size);
                break;
        case MESSAGE_SERVER_HELLO_DONE:
                filter->expects_change = !filter->expects_ticket;
                break;
        case MESSAGE_NEW_SESSION_TICKET:
        case MESSAGE_CERTIFICATE_VERIFY:
                filter->expects_change = true;
                break;
        case MESSAGE_CERTIFICATE: /* of a client with none: a list of no bytes */
                filter->expects_proof = size > 3;
                break;
        case MESSAGE_CLIENT_KEY_EXCHANGE:
                filter->expects_change = !filter->expects_proof;
                break;
        default:
                break;
        }
}

/* What was laid in for later and cannot come any more. */
static void filter_judge_again(Filter *filter) {
        for (size_t i = 0; i < FILTER_WINDOW; i++) {
                uint8_t type = filter->messages[i].type;

                if (type && !filter_may_come(filter, filter_rule(filter, type)))
                        reassembly_clear(&filter->messages[i]);
        }
}

void filter_consumed(Filter *filter, unsigned type, const uint8_t *body, size_t size) {
        const FilterRule *rule = filter_rule(filter, type);

        if (rule) {
                filter->last_rank = rule->rank;
                filter_expect_change(filter, type, body, size);
        }
        if (type == MESSAGE_HELLO_VERIFY_REQUEST)
                filter->n_hello_verify++;

        reassembly_clear(&filter->messages[0]);
        memmove(&filter->messages[0], &filter->messages[1],
                (FILTER_WINDOW - 1) * sizeof(filter->messages[0]));
        filter->messages[FILTER_WINDOW - 1] = (Reassembly){0};
        filter->next_message++;
        filter->given = false;
        filter->n_given = 0;
        filter_judge_again(filter);
}

void filter_resume(Filter *filter) {
        filter->last_rank = FILTER_RANK_AGREED;
        filter->expects_change = !filter->expects_ticket;
        filter_judge_again(filter);
}

void filter_open(Filter *filter) {
        filter->open = true;
        filter->changed = true;
        filter_clear_messages(filter);
        filter_forget_alert(filter);
}

void filter_forget_alert(Filter *filter) {
        filter->has_alert = false;
        filter->alert_level = 0;
        filter->alert_description = 0;
}
