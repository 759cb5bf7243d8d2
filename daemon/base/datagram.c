/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DatagramBatch, see datagram.h. What is appended lies end to end, so neighbours of equal size are
 * one stretch of memory; only what the kernel placed (udp_receive) may leave gaps.
 */

#include "base/datagram.h"

#include <string.h>

struct DatagramBatch {
        Datagram *datagrams;
        size_t n_datagrams;
        size_t n_max;

        uint8_t *bytes;
        size_t n_used;
        size_t n_bytes_max;

        Address peer;
        Address local;
};

DatagramBatch *datagram_batch_new(size_t n_max, size_t n_bytes_max) {
        DatagramBatch *batch = g_new0(DatagramBatch, 1);

        batch->datagrams = g_new(Datagram, n_max);
        batch->n_max = n_max;
        batch->bytes = g_malloc(n_bytes_max);
        batch->n_bytes_max = n_bytes_max;
        return batch;
}

/* Batches carry plaintext: it is wiped before the memory is somebody else's. */
DatagramBatch *datagram_batch_free(DatagramBatch *batch) {
        if (!batch)
                return NULL;

        if (batch->bytes)
                explicit_bzero(batch->bytes, batch->n_bytes_max);
        g_free(batch->bytes);
        g_free(batch->datagrams);
        g_free(batch);
        return NULL;
}

void datagram_batch_reset(DatagramBatch *batch) {
        batch->n_datagrams = 0;
        batch->n_used = 0;
        batch->peer = (Address){0};
        batch->local = (Address){0};
}

size_t datagram_batch_count(const DatagramBatch *batch) {
        return batch->n_datagrams;
}

Datagram datagram_batch_at(const DatagramBatch *batch, size_t i) {
        g_assert(i < batch->n_datagrams);

        return batch->datagrams[i];
}

size_t datagram_batch_room(const DatagramBatch *batch) {
        if (batch->n_datagrams == batch->n_max)
                return 0;

        return batch->n_bytes_max - batch->n_used;
}

void datagram_batch_address(DatagramBatch *batch, const Address *peer, const Address *local) {
        batch->peer = peer ? *peer : (Address){0};
        batch->local = local ? *local : (Address){0};
}

uint8_t *datagram_batch_reserve(DatagramBatch *batch, size_t size) {
        if (batch->n_datagrams == batch->n_max || size > batch->n_bytes_max - batch->n_used)
                return NULL;

        return batch->bytes + batch->n_used;
}

bool datagram_batch_place(DatagramBatch *batch, size_t offset, size_t size) {
        Datagram *datagram;

        if (batch->n_datagrams == batch->n_max)
                return false;

        g_assert(offset <= batch->n_bytes_max && size <= batch->n_bytes_max - offset);

        /* one by one: to fill another and copy that costs more than all the rest of this */
        datagram = &batch->datagrams[batch->n_datagrams++];
        datagram->data = batch->bytes + offset;
        datagram->size = size;
        datagram->peer = batch->peer;
        datagram->local = batch->local;
        batch->n_used = MAX(batch->n_used, offset + size);
        return true;
}

void datagram_batch_commit(DatagramBatch *batch, size_t size) {
        bool placed = datagram_batch_place(batch, batch->n_used, size);

        g_assert(placed);
}

bool datagram_batch_append(DatagramBatch *batch, const void *data, size_t size) {
        uint8_t *place = datagram_batch_reserve(batch, size);

        if (!place)
                return false;

        if (size > 0)
                memcpy(place, data, size);
        datagram_batch_commit(batch, size);
        return true;
}

uint8_t *datagram_batch_buffer(DatagramBatch *batch, size_t *ret_size) {
        *ret_size = batch->n_bytes_max;
        return batch->bytes;
}
