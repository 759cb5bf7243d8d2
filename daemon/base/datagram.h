/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Datagram and DatagramBatch: the only currency of the data path.
 *
 * A batch is one contiguous buffer with a list of places in it, made once and reused, so that
 * nothing is allocated per datagram and equal-sized neighbours to one peer can leave as one send.
 * A full batch refuses more; the caller drops and counts, or sends what is there.
 */

#include "base/address.h"

#include <glib.h>

#define DATAGRAM_SIZE_MAX 65535

typedef struct Datagram {
        const uint8_t *data; /* valid until the batch it came from is reset */
        size_t size;
        Address peer;  /* whom it came from, or goes to */
        Address local; /* where it came to, or is sent from (IP_PKTINFO); not set: any */
} Datagram;

typedef struct DatagramBatch DatagramBatch;

DatagramBatch *datagram_batch_new(size_t n_max, size_t n_bytes_max);
DatagramBatch *datagram_batch_free(DatagramBatch *batch);

void datagram_batch_reset(DatagramBatch *batch);
size_t datagram_batch_count(const DatagramBatch *batch);
Datagram datagram_batch_at(const DatagramBatch *batch, size_t i);
size_t datagram_batch_room(const DatagramBatch *batch); /* bytes; 0 when no place is left either */

/* The addresses of what is appended from here on; kept over a reset of neither. */
void datagram_batch_address(DatagramBatch *batch, const Address *peer, const Address *local);
bool datagram_batch_append(DatagramBatch *batch, const void *data, size_t size);
/* Where the next @size bytes may be written, or NULL when full; then commit what was used. */
uint8_t *datagram_batch_reserve(DatagramBatch *batch, size_t size);
void datagram_batch_commit(DatagramBatch *batch, size_t size);

/* For udp_receive alone: the whole buffer, and a datagram at a place the kernel wrote to. */
uint8_t *datagram_batch_buffer(DatagramBatch *batch, size_t *ret_size);
bool datagram_batch_place(DatagramBatch *batch, size_t offset, size_t size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DatagramBatch, datagram_batch_free)
