/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Channel: the application's end of one connection.
 *
 * A channel is one end of a SOCK_SEQPACKET pair; the application holds the other. One packet is one
 * datagram of plaintext, both ways. A channel never waits and never queues: what the application
 * has not read is the kernel's to hold, and what the kernel will not hold is dropped and counted,
 * as UDP would. An empty packet means nothing and is ignored. Fds sent along are refused, or closed
 * where closing cannot stop the loop.
 *
 * Knows: file descriptors, datagram batches. Does not know: DTLS, D-Bus, the event loop.
 */

#include "base/datagram.h"

/* bytes the kernel may hold each way, its own overhead included; charged twice */
#define CHANNEL_BUFFER_DEFAULT (208 * 1024)
#define CHANNEL_PACKETS_MAX 32 /* taken in one turn, and given in one call */
/* one packet's place in a batch; the odd line keeps those of a turn apart in the processor's cache
 */
#define CHANNEL_SLOT_SIZE ((size_t)DATAGRAM_SIZE_MAX + 1 + 64)

typedef struct Channel Channel;

typedef enum ChannelOutcome {
        CHANNEL_E_HANGUP = 1, /* the application closed its end, or one direction of it */
        CHANNEL_E_NO_FDS,     /* the process is out of file descriptors */
        CHANNEL_E_FULL,       /* give, write: the application has to read first */
} ChannelOutcome;

typedef struct ChannelStats {
        uint64_t n_delivered, n_collected;
        uint64_t n_delivered_bytes;
        uint64_t n_dropped_full;
        uint64_t n_dropped_too_long; /* packets over DATAGRAM_SIZE_MAX, or no batch would hold */
        uint64_t n_ignored_empty;    /* both ways */
        uint64_t n_stray_fds;        /* sent along and closed; 0 where the kernel refuses them */
} ChannelStats;

/* @ret_app_fd: non-blocking and close-on-exec, as ours is. */
int channel_new(Channel **ret, int *ret_app_fd);
/* Shuts down, drains what the application has written, closes: the application reads all that was
 * delivered, then HUP. Only closes where the application has hung up. */
Channel *channel_free(Channel *channel);

/* The application may not write: it gets EPIPE. */
int channel_refuse(Channel *channel);
int channel_fd(const Channel *channel);
ChannelStats channel_stats(const Channel *channel);
/* POLLHUP was seen at its fd: what is there now is all that comes. */
void channel_note_hangup(Channel *channel);

/* From *index on, and moves it; CHANNEL_E_FULL leaves it at the first that was not taken. An empty
 * datagram is not delivered: to the application it would read as the end. */
int channel_give(Channel *channel, const DatagramBatch *plain, size_t *index);
void channel_drop(Channel *channel, size_t n); /* counts what was not taken */
/* All of it, or drops. */
int channel_deliver(Channel *channel, const DatagramBatch *plain);
/* Appends at most @n_max packets, and CHANNEL_PACKETS_MAX, to plain, as far as it has room: it
 * takes many at once when there is a slot for each. With CHANNEL_E_HANGUP too there may be packets:
 * the last. */
int channel_collect(Channel *channel, DatagramBatch *plain, size_t n_max);
/* Whether the last channel_collect() may have left something, packets or the end. */
bool channel_has_more(const Channel *channel);

/* One packet as it is, for who has frames in it (shared-channel.h). *ret_size 0: there is none now,
 * or none that means anything. */
int channel_read(Channel *channel, void *buffer, size_t size, size_t *ret_size);
int channel_write(Channel *channel, const void *data, size_t size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Channel, channel_free)
