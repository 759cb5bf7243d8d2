/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * SharedChannel: the application's end of many connections.
 *
 * A channel whose packets are frames of any number of connections (interfaces/README.md, "The
 * shared channel"). What goes to the application is collected in one packet until it is full or
 * flushed; when the application does not read, that packet waits, and what does not fit into it is
 * refused. What comes is taken a packet at a time, and its frames lie where they were read.
 *
 * Knows: packets, frames. Does not know: whose a number is, what is told in which order.
 */

#include "channel/channel.h"

#define SHARED_PACKET_MAX 65536 /* bytes, both ways */
/* bytes the kernel may hold each way, six packets: what it gives without a privilege, where
 * net.core.wmem_max is as it comes */
#define SHARED_BUFFER (416 * 1024)
#define SHARED_FRAME_MAX 16384 /* bytes of one to the application: a record's */
#define SHARED_CHANNEL_BYTES ((uint64_t)2 * (SHARED_BUFFER + SHARED_PACKET_MAX))

typedef enum FrameKind {
        FRAME_DATA = 1,
        FRAME_OPENED = 2,
        FRAME_CLOSED = 3,
        FRAME_CHANGED = 4,
        FRAME_DROPPED = 5,
} FrameKind;

typedef struct Frame {
        uint32_t connection;
        FrameKind kind;
        const uint8_t *data;
        size_t size;
} Frame;

typedef struct SharedChannelStats {
        uint64_t n_malformed; /* packets with a frame that cannot be, or too long */
        uint64_t n_stray_fds;
} SharedChannelStats;

typedef struct SharedChannel SharedChannel;

/* As channel_new() and channel_free(). */
int shared_channel_new(SharedChannel **ret, int *ret_app_fd);
SharedChannel *shared_channel_free(SharedChannel *channel);
int shared_channel_fd(const SharedChannel *channel);
SharedChannelStats shared_channel_stats(const SharedChannel *channel);

/* Takes the next packet, in the place of the last, of which all frames were taken. 0,
 * CHANNEL_E_HANGUP or a fault. */
int shared_channel_receive(SharedChannel *channel);
/* Whether there is more of it to be looked at. */
bool shared_channel_has_more(const SharedChannel *channel);
/* The packet's next frame: data or closed, no other comes from an application. False: there are no
 * more, or none that can be. */
bool shared_channel_next(SharedChannel *channel, Frame *ret);

/* False: there is no room before the application reads. */
bool shared_channel_put(SharedChannel *channel, const Frame *frame);
/* Whether the application has to read before a packet more can be sent. */
bool shared_channel_is_full(const SharedChannel *channel);
/* 0: nothing waits; CHANNEL_E_FULL, CHANNEL_E_HANGUP or a fault. */
int shared_channel_flush(SharedChannel *channel);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SharedChannel, shared_channel_free)
