/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/filter.h"

#include <glib.h>
#include <string.h>

#define RECORD_HEADER_SIZE 13
#define RECORD_PAYLOAD_MAX (16384 + 2048) /* RFC 5246 6.2.3 */
#define RECORD_SEQUENCE_OFFSET 5
#define MESSAGE_HEADER_SIZE 12
#define HELLO_FIXED_SIZE (2 + 32)  /* version, random */
#define HELLO_CHOICES_SIZE (2 + 1) /* suite, compression */
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

/* What a peer may say in plaintext, in the order it is said, and how long it may be: what GnuTLS
 * is told to expect it allocates. */
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
} FilterFragment;

static uint64_t filter_number(const uint8_t *bytes, size_t size) {
        uint64_t number = 0;

        for (size_t i = 0; i < size; i++)
                number = number << 8 | bytes[i];

        return number;
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
                .next_message = first_message,
                .next_sequence = 1,
        };
}

void filter_done(Filter *filter) {
        for (size_t i = 0; i < filter->n_queued; i++)
                g_free(filter->queue[i].bytes);

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
        case FILTER_MESSAGE:
                return true;
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
        return record;
}

static void filter_drop_oldest(Filter *filter, FilterRecordKind kind) {
        for (size_t i = 0; i < filter->n_queued; i++)
                if (filter->queue[i].kind == kind) {
                        g_free(filter_unqueue(filter, i).bytes);
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

        filter->queue[filter->n_queued++] = (FilterRecord){
                .kind = kind,
                .bytes = g_memdup2(bytes, size),
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

/* Whether GnuTLS can have a message of this type and length at this place beside those that other
 * fragments have claimed. */
static bool filter_claim_fits(const Filter *filter, const FilterFragment *fragment) {
        const FilterMessage *messages = filter->messages;
        size_t place = filter_ahead(filter, fragment), claimed = fragment->length;

        if (messages[place].type)
                return messages[place].type == fragment->type &&
                       messages[place].length == fragment->length;

        for (size_t i = 0; i < FILTER_WINDOW; i++) {
                /* GnuTLS tells messages apart by their type alone */
                if (messages[i].type == fragment->type)
                        return false;
                claimed += messages[i].length;
        }

        return claimed <= FILTER_CLAIM_MAX;
}

static bool filter_fragment_is_good(const Filter *filter, const FilterFragment *fragment) {
        const FilterRule *rule = filter_rule(filter, fragment->type);

        if (!rule || fragment->length > rule->length_max)
                return false;
        if (fragment->type == MESSAGE_NEW_SESSION_TICKET && !filter->tickets)
                return false;
        if (filter_is_old(filter, fragment))
                return true;
        if (filter_ahead(filter, fragment) >= FILTER_WINDOW)
                return false;
        if (fragment->type == MESSAGE_HELLO_VERIFY_REQUEST)
                return filter->last_rank <= rule->rank &&
                       filter->n_hello_verify < FILTER_HELLO_VERIFY_MAX &&
                       filter_claim_fits(filter, fragment);

        return rule->rank > filter->last_rank && filter_claim_fits(filter, fragment);
}

static void filter_claim(Filter *filter, const FilterFragment *fragment) {
        if (filter_is_old(filter, fragment))
                return;

        filter->messages[filter_ahead(filter, fragment)] = (FilterMessage){
                .type = fragment->type,
                .length = fragment->length,
        };
}

/* A record of messages is good as a whole or not at all: every fragment in it, one after the
 * other. With old messages alone it is of no use; beside new ones they are a retransmission. */
static bool filter_messages_are_good(Filter *filter, const uint8_t *bytes, size_t size) {
        FilterMessage before[FILTER_WINDOW];
        bool news = false;

        memcpy(before, filter->messages, sizeof(before));

        while (size > 0) {
                FilterFragment fragment;

                if (!filter_read_fragment(bytes, size, &fragment) ||
                    !filter_fragment_is_good(filter, &fragment)) {
                        memcpy(filter->messages, before, sizeof(before));
                        return false;
                }

                filter_claim(filter, &fragment);
                news |= !filter_is_old(filter, &fragment);
                bytes += MESSAGE_HEADER_SIZE + fragment.size;
                size -= MESSAGE_HEADER_SIZE + fragment.size;
        }

        return news;
}

static bool filter_note_alert(Filter *filter, const uint8_t *payload, size_t size) {
        if (size == 2) {
                filter->has_alert = true;
                filter->alert_level = payload[0];
                filter->alert_description = payload[1];
        }

        return false;
}

static bool filter_judge_plain(Filter *filter, uint8_t type, const uint8_t *payload, size_t size,
                               FilterRecordKind *ret_kind) {
        if (filter->open || filter->changed)
                return false;

        switch (type) {
        case CONTENT_CHANGE_CIPHER_SPEC:
                *ret_kind = FILTER_CHANGE;
                return size == 1 && payload[0] == 1 && filter_count(filter, FILTER_CHANGE) == 0;
        case CONTENT_ALERT:
                return filter_note_alert(filter, payload, size);
        case CONTENT_HANDSHAKE:
                *ret_kind = FILTER_MESSAGE;
                return !filter->expects_change && filter_messages_are_good(filter, payload, size);
        default:
                return false;
        }
}

static bool filter_judge_sealed(uint8_t type, FilterRecordKind *ret_kind) {
        switch (type) {
        case CONTENT_ALERT:
        case CONTENT_HANDSHAKE:
                *ret_kind = FILTER_SEALED;
                return true;
        case CONTENT_APPLICATION_DATA:
                *ret_kind = FILTER_DATA;
                return true;
        default: /* heartbeat, connection IDs: never agreed on */
                return false;
        }
}

static void filter_judge(Filter *filter, const uint8_t *record, size_t size) {
        uint64_t epoch = filter_number(record + 3, 2);
        FilterRecordKind kind;
        bool good = false;

        if (epoch == 0)
                good = filter_judge_plain(filter, record[0], record + RECORD_HEADER_SIZE,
                                          size - RECORD_HEADER_SIZE, &kind);
        else if (epoch == 1) /* a third epoch would be a renegotiation */
                good = filter_judge_sealed(record[0], &kind);

        if (good)
                filter_queue(filter, kind, record, size);
        else
                filter->n_dropped++;
}

/* The size of the record at the front, or 0: there is none, and so nothing behind it either. */
static size_t filter_frame(const uint8_t *data, size_t size) {
        size_t payload;

        if (size < RECORD_HEADER_SIZE)
                return 0;
        if (data[1] != 0xfe || (data[2] != 0xfd && data[2] != 0xff))
                return 0;

        payload = filter_number(data + 11, 2);
        if (payload == 0 || payload > RECORD_PAYLOAD_MAX || payload > size - RECORD_HEADER_SIZE)
                return 0;

        return RECORD_HEADER_SIZE + payload;
}

void filter_input(Filter *filter, const uint8_t *data, size_t size) {
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

static bool filter_find_due(const Filter *filter, size_t *ret) {
        for (size_t i = 0; i < filter->n_queued; i++)
                if (filter_is_due(filter, filter->queue[i].kind)) {
                        *ret = i;
                        return true;
                }

        return false;
}

bool filter_ready(const Filter *filter) {
        size_t i;

        return filter_find_due(filter, &i);
}

/* Numbers in plaintext records are anybody's: a high one would close GnuTLS's replay window. */
static void filter_renumber(Filter *filter, uint8_t *record) {
        uint64_t sequence = filter->next_sequence++;

        for (size_t i = 0; i < 6; i++)
                record[RECORD_SEQUENCE_OFFSET + i] = sequence >> (8 * (5 - i));
}

size_t filter_take(Filter *filter, uint8_t *buffer, size_t size) {
        size_t i;

        while (filter_find_due(filter, &i)) {
                FilterRecord record = filter_unqueue(filter, i);
                bool fits = record.size <= size;

                if (fits) {
                        if (record.kind == FILTER_MESSAGE || record.kind == FILTER_CHANGE)
                                filter_renumber(filter, record.bytes);
                        if (record.kind == FILTER_CHANGE)
                                filter->changed = true;
                        memcpy(buffer, record.bytes, record.size);
                }

                g_free(record.bytes);
                if (fits)
                        return record.size;

                filter->n_dropped++;
        }

        return 0;
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

void filter_consumed(Filter *filter, unsigned type, const uint8_t *body, size_t size) {
        const FilterRule *rule = filter_rule(filter, type);

        if (rule) {
                filter->last_rank = rule->rank;
                filter_expect_change(filter, type, body, size);
        }
        if (type == MESSAGE_HELLO_VERIFY_REQUEST)
                filter->n_hello_verify++;

        filter->next_message++;
        memmove(&filter->messages[0], &filter->messages[1],
                (FILTER_WINDOW - 1) * sizeof(filter->messages[0]));
        filter->messages[FILTER_WINDOW - 1] = (FilterMessage){};
}

void filter_resume(Filter *filter) {
        filter->last_rank = FILTER_RANK_AGREED;
        filter->expects_change = !filter->expects_ticket;
}

void filter_open(Filter *filter) {
        filter->open = true;
        filter->changed = true;
        filter_forget_alert(filter);
}

void filter_forget_alert(Filter *filter) {
        filter->has_alert = false;
        filter->alert_level = 0;
        filter->alert_description = 0;
}
