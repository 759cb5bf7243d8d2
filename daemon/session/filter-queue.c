/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/filter-queue.h"

#include <glib.h>
#include <string.h>

void filter_queue_clear(FilterQueue *queue) {
        for (size_t i = 0; i < queue->n; i++)
                g_free(queue->records[i].own);

        g_clear_pointer(&queue->records, g_free);
        queue->n_places = 0;
        queue->n = 0;
        queue->n_bytes = 0;
}

static size_t filter_queue_count(const FilterQueue *queue, FilterRecordKind kind) {
        size_t n = 0;

        for (size_t i = 0; i < queue->n; i++)
                n += queue->records[i].kind == kind;

        return n;
}

/* The place of the first of these kinds; that behind the last one: there is none. */
static size_t filter_queue_find(const FilterQueue *queue, unsigned kinds) {
        size_t i = 0;

        while (i < queue->n && !(queue->records[i].kind & kinds))
                i++;

        return i;
}

bool filter_queue_has(const FilterQueue *queue, unsigned kinds) {
        return filter_queue_find(queue, kinds) < queue->n;
}

bool filter_queue_take(FilterQueue *queue, unsigned kinds, FilterRecord *ret) {
        size_t i = filter_queue_find(queue, kinds);

        if (i == queue->n)
                return false;

        *ret = queue->records[i];
        queue->n--;
        queue->n_bytes -= ret->size;
        memmove(&queue->records[i], &queue->records[i + 1],
                (queue->n - i) * sizeof(queue->records[0]));
        if (queue->n == 0 && queue->n_places > FILTER_QUEUE_KEPT) {
                g_clear_pointer(&queue->records, g_free);
                queue->n_places = 0;
        }

        return true;
}

static void filter_queue_drop_oldest(FilterQueue *queue, FilterRecordKind kind) {
        FilterRecord record;

        if (filter_queue_take(queue, kind, &record)) {
                g_free(record.own);
                queue->n_dropped++;
        }
}

/* What must wait may not fill the queue for what need not. Among what waits the oldest goes: what a
 * forger laid in beforehand must not keep out the peer's. */
void filter_queue_add(FilterQueue *queue, FilterRecordKind kind, bool is_due, const uint8_t *bytes,
                      size_t size) {
        if (!is_due && filter_queue_count(queue, kind) >= FILTER_HELD_MAX)
                filter_queue_drop_oldest(queue, kind);

        if (queue->n >= FILTER_QUEUE_RECORDS_MAX ||
            queue->n_bytes + size > FILTER_QUEUE_BYTES_MAX) {
                queue->n_dropped++;
                return;
        }

        if (queue->n == queue->n_places) {
                queue->n_places = MAX(2 * queue->n_places, FILTER_QUEUE_KEPT);
                queue->records = g_renew(FilterRecord, queue->records, queue->n_places);
        }
        queue->records[queue->n++] = (FilterRecord){
                .kind = kind,
                .bytes = bytes,
                .size = size,
        };
        queue->n_bytes += size;
}

void filter_queue_keep(FilterQueue *queue) {
        for (size_t i = 0; i < queue->n; i++) {
                FilterRecord *record = &queue->records[i];

                if (!record->own)
                        record->bytes = record->own = g_memdup2(record->bytes, record->size);
        }
}
