/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * FilterQueue: records that wait until their kind is due, bounded.
 *
 * Bytes are borrowed until filter_queue_keep(), so that nothing is allocated for what is taken at
 * once.
 *
 * Knows: kinds, sizes, bounds. Does not know: what is in a record, when a kind is due. A value, to
 * be embedded; zeroed it is empty, and what it keeps is on the heap.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_QUEUE_RECORDS_MAX 32
#define FILTER_QUEUE_KEPT 4 /* places that stay when all are empty */
#define FILTER_QUEUE_BYTES_MAX ((size_t)64 * 1024)
#define FILTER_HELD_MAX 8 /* of each kind that is not due */

/* Bits, as several can be due. */
typedef enum FilterRecordKind {
        FILTER_CHANGE = 1 << 0, /* epoch 0, ChangeCipherSpec */
        FILTER_SEALED = 1 << 1, /* epoch 1, handshake or alert */
        FILTER_DATA = 1 << 2,   /* epoch 1, application data */
} FilterRecordKind;

typedef struct FilterRecord {
        FilterRecordKind kind;
        const uint8_t *bytes; /* in the datagram it came in, or */
        uint8_t *own;         /* kept beyond that; else NULL */
        size_t size;
} FilterRecord;

typedef struct FilterQueue {
        FilterRecord *records; /* of n_places */
        size_t n, n_bytes, n_places;
        uint64_t n_dropped; /* good records it had no room for */
} FilterQueue;

void filter_queue_clear(FilterQueue *queue);
void filter_queue_add(FilterQueue *queue, FilterRecordKind kind, bool is_due, const uint8_t *bytes,
                      size_t size);
/* Copies what was not taken. */
void filter_queue_keep(FilterQueue *queue);
/* Whether there is one of these kinds. */
bool filter_queue_has(const FilterQueue *queue, unsigned kinds);
/* Takes the first of these kinds out; its own bytes are the caller's to free. */
bool filter_queue_take(FilterQueue *queue, unsigned kinds, FilterRecord *ret);
