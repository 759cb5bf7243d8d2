/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Datagrams at the filter: whatever comes in, what goes on to GnuTLS is one whole record of a kind
 * that is due, and of messages only the next one when it is whole, within the bounds.
 *
 * The input's first byte is the role; then come steps: a byte that says what happens, and with a
 * datagram two bytes of length and its bytes.
 */

#include "fuzz.h"

#include "session/filter.h"

#include <glib.h>
#include <string.h>

#define RECORD_HEADER_SIZE 13
#define MESSAGE_HEADER_SIZE 12

typedef struct Input {
        const uint8_t *next;
        size_t left;
} Input;

static unsigned number(const uint8_t *bytes, size_t size) {
        unsigned value = 0;

        for (size_t i = 0; i < size; i++)
                value = value << 8 | bytes[i];

        return value;
}

/* One fragment: of the message that is next, and that alone. */
static void check_message(const Filter *filter, const uint8_t *bytes, size_t size) {
        const Reassembly *message = &filter->messages[0];
        unsigned length, offset, fragment;

        g_assert(size >= MESSAGE_HEADER_SIZE && size <= 16384);
        length = number(bytes + 1, 3);
        offset = number(bytes + 6, 3);
        fragment = number(bytes + 9, 3);
        g_assert(bytes[0] == message->type && length == message->length);
        g_assert(reassembly_is_whole(message) && length <= ORDER_MESSAGE_MAX);
        g_assert(number(bytes + 4, 2) == filter->next_message);
        g_assert(fragment == size - MESSAGE_HEADER_SIZE);
        g_assert(offset + fragment == filter->n_given && filter->n_given <= length);
        g_assert(filter->given == (filter->n_given == length));
        g_assert(fragment == 0 ||
                 memcmp(message->bytes + offset, bytes + MESSAGE_HEADER_SIZE, fragment) == 0);
}

static void check_record(const Filter *filter, const uint8_t *record, size_t size) {
        unsigned epoch = number(record + 3, 2);

        g_assert(size > RECORD_HEADER_SIZE);
        g_assert(number(record + 11, 2) == size - RECORD_HEADER_SIZE);
        g_assert(record[1] == 0xfe && epoch <= 1);
        g_assert(epoch == 0 || filter->changed);
        g_assert(record[0] != 23 || filter->open);
        g_assert(record[0] != 20 || (epoch == 0 && filter->order.expects_change));
        if (epoch == 0 && record[0] == 22)
                check_message(filter, record + RECORD_HEADER_SIZE, size - RECORD_HEADER_SIZE);
        else
                g_assert(record[0] >= 20 && record[0] <= 23);
}

static void check_bounds(const Filter *filter) {
        size_t claimed = 0;

        for (size_t i = 0; i < FILTER_WINDOW; i++)
                claimed += filter->messages[i].length;

        g_assert(claimed <= FILTER_CLAIM_MAX);
        g_assert(filter->queue.n <= FILTER_QUEUE_RECORDS_MAX);
        g_assert(filter->queue.n_bytes <= FILTER_QUEUE_BYTES_MAX);
}

/* What is whole and next does not change under GnuTLS's hands. */
static void input_datagram(Filter *filter, const uint8_t *data, size_t size) {
        const Reassembly *message = &filter->messages[0];
        size_t length = reassembly_is_whole(message) ? message->length : 0;
        g_autofree uint8_t *before = g_memdup2(message->bytes, length);

        filter_keep(filter);
        filter_input(filter, data, size);
        g_assert(length == 0 || memcmp(message->bytes, before, length) == 0);
}

static void step_datagram(Filter *filter, Input *input) {
        size_t size;

        if (input->left < 2)
                return;

        size = MIN(number(input->next, 2), input->left - 2);
        input_datagram(filter, input->next + 2, size);
        input->next += 2 + size;
        input->left -= 2 + size;
}

static void step_take(Filter *filter, size_t room) {
        uint8_t record[20000];
        size_t size = filter_take(filter, record, MIN(room, sizeof(record)));

        if (size > 0)
                check_record(filter, record, size);
}

static void step(Filter *filter, Input *input) {
        static const uint8_t body[4];
        uint8_t what = input->next[0];

        input->next++;
        input->left--;
        switch (what % 8) {
        case 0:
                step_take(filter, 20000);
                break;
        case 1:
                step_take(filter, what);
                break;
        case 2: /* GnuTLS consumes what it was given, never what it was not */
                if (filter->given)
                        filter_consumed(filter, filter->messages[0].type, body, what / 64 + 1);
                break;
        case 3:
                if (filter->changed && what > 200)
                        filter_open(filter);
                break;
        case 4:
                filter_forget_alert(filter);
                break;
        default:
                step_datagram(filter, input);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Filter filter;
        Input input;

        if (size == 0)
                return 0;

        input = (Input){.next = data + 1, .left = size - 1};
        filter_init(&filter, data[0] % 2 ? DTLS_SERVER : DTLS_CLIENT, data[0] / 2);
        while (input.left > 0) {
                step(&filter, &input);
                check_bounds(&filter);
        }
        filter_done(&filter);
        return 0;
}
