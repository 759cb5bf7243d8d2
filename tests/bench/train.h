/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Train: datagrams to and from one peer, either one system call each, as programs are mostly
 * written, or many at once by UDP's segmentation and its counterpart (GSO, GRO): what the kernel
 * can do for somebody who asks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TRAIN_CARS 32 /* datagrams sent at once */
#define TRAIN_MAX 65536

typedef struct Train {
        int fd; /* connected */
        bool batches;

        uint8_t *out, *in; /* TRAIN_MAX each, when it batches */
        size_t out_size, out_car;
        size_t in_at, in_size, in_car;
} Train;

Train *train_new(int fd, bool batches);
Train *train_free(Train *train); /* closes the fd too */

void train_send(Train *train, const void *data, size_t size);
void train_flush(Train *train);
/* The next datagram: its size; -1 with EAGAIN when none is there. */
ssize_t train_receive(Train *train, void *buffer, size_t size);
/* Whether one that came with others waits here. */
bool train_has_more(const Train *train);
