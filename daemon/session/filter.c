/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/filter.h"
#include "session/reader.h"

#include <glib.h>
#include <string.h>

#define RECORD_HEADER_SIZE 13
#define RECORD_PAYLOAD_MAX (16384 + 2048) /* RFC 5246 6.2.3 */
#define RECORD_EPOCH_OFFSET 3
#define RECORD_LENGTH_OFFSET 11
#define MESSAGE_HEADER_SIZE 12
#define PIECE_MAX (16384 - MESSAGE_HEADER_SIZE) /* of a message, in the record GnuTLS is given */

enum {
        CONTENT_CHANGE_CIPHER_SPEC = 20,
        CONTENT_ALERT = 21,
        CONTENT_HANDSHAKE = 22,
        CONTENT_APPLICATION_DATA = 23,
};

typedef struct FilterFragment {
        uint8_t type;
        uint16_t message;
        uint32_t length, offset, size;
        const uint8_t *bytes;
} FilterFragment;

static void filter_put(uint8_t *to, uint64_t number, size_t size) {
        for (size_t i = 0; i < size; i++)
                to[i] = number >> (8 * (size - 1 - i));
}

void filter_init(Filter *filter, DtlsRole role, uint16_t first_message) {
        *filter = (Filter){
                .order = {.role = role},
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
        filter_queue_clear(&filter->queue);
}

/* The kinds of records that GnuTLS can be given. */
static unsigned filter_due(const Filter *filter) {
        return (filter->order.expects_change ? FILTER_CHANGE : 0) |
               (filter->changed ? FILTER_SEALED : 0) | (filter->open ? FILTER_DATA : 0);
}

static void filter_enqueue(Filter *filter, FilterRecordKind kind, const uint8_t *bytes,
                           size_t size) {
        filter_queue_add(&filter->queue, kind, filter_due(filter) & kind, bytes, size);
}

/* Reads one fragment's header and finds its body within @size bytes. */
static bool filter_read_fragment(const uint8_t *bytes, size_t size, FilterFragment *ret) {
        FilterFragment fragment;

        if (size < MESSAGE_HEADER_SIZE)
                return false;

        fragment = (FilterFragment){
                .type = bytes[0],
                .length = number_read(bytes + 1, 3),
                .message = number_read(bytes + 4, 2),
                .offset = number_read(bytes + 6, 3),
                .size = number_read(bytes + 9, 3),
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
        size_t place = filter_ahead(filter, fragment);
        Reassembly *message;

        if (place < filter->n_settled || place >= FILTER_WINDOW)
                return false;
        if (!order_takes(&filter->order, fragment->type, fragment->length))
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
                only_old &= filter_is_old(filter, &fragment) &&
                            order_knows(&filter->order, fragment.type);
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
               !filter_queue_has(&filter->queue, FILTER_CHANGE);
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

                filter_enqueue(filter, FILTER_CHANGE, record, size);
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
                filter_enqueue(filter, FILTER_SEALED, record, size);
                return true;
        case CONTENT_APPLICATION_DATA:
                filter_enqueue(filter, FILTER_DATA, record, size);
                return true;
        default: /* heartbeat, connection IDs: never agreed on */
                return false;
        }
}

static void filter_judge(Filter *filter, const uint8_t *record, size_t size) {
        uint64_t epoch = number_read(record + RECORD_EPOCH_OFFSET, 2);
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

        payload = number_read(data + RECORD_LENGTH_OFFSET, 2);
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
        filter_queue_keep(&filter->queue);
}

static bool filter_message_is_due(const Filter *filter) {
        return reassembly_is_whole(&filter->messages[0]) && !filter->given;
}

bool filter_ready(const Filter *filter) {
        return filter_message_is_due(filter) ||
               filter_queue_has(&filter->queue, filter_due(filter));
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

static size_t filter_take_record(Filter *filter, const FilterRecord *record, uint8_t *buffer,
                                 size_t size) {
        if (record->size > size) {
                filter->n_dropped++;
                return 0;
        }

        memcpy(buffer, record->bytes, record->size);
        if (record->kind == FILTER_CHANGE) {
                filter_put_header(filter, buffer, CONTENT_CHANGE_CIPHER_SPEC);
                filter->changed = true;
        }

        return record->size;
}

size_t filter_take(Filter *filter, uint8_t *buffer, size_t size) {
        size_t taken = 0;
        FilterRecord record;

        if (filter_message_is_due(filter))
                taken = filter_take_message(filter, buffer, size);
        while (taken == 0 && filter_queue_take(&filter->queue, filter_due(filter), &record)) {
                taken = filter_take_record(filter, &record, buffer, size);
                g_free(record.own);
        }

        return taken;
}

/* What was laid in for later and cannot come any more. */
static void filter_judge_again(Filter *filter) {
        for (size_t i = 0; i < FILTER_WINDOW; i++) {
                Reassembly *message = &filter->messages[i];

                if (message->type && !order_takes(&filter->order, message->type, message->length))
                        reassembly_clear(message);
        }
}

void filter_consumed(Filter *filter, unsigned type, const uint8_t *body, size_t size) {
        order_consumed(&filter->order, type, body, size);
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
        order_resume(&filter->order);
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
