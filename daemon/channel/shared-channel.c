/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SharedChannel, see shared-channel.h. Nothing that an application wrote is believed: a packet is
 * followed as far as it makes sense.
 */

#include "channel/shared-channel.h"
#include "base/cleanup.h"
#include "base/fault.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define FRAME_PADDING 8

typedef struct FrameHeader {
        uint32_t connection;
        uint16_t kind;
        uint16_t size;
} FrameHeader;

struct SharedChannel {
        Channel *channel;
        uint64_t n_malformed;

        uint8_t *in; /* the packet that was taken */
        size_t n_in, next;

        uint8_t *out; /* the packet that is being filled */
        size_t n_out;
        bool is_full; /* the application has to read before it can be sent */
};

static size_t frame_padding(size_t size) {
        return -size % FRAME_PADDING;
}

/* ---- birth and death ---- */

static int shared_channel_widen(int fd) {
        int size = SHARED_BUFFER / 2; /* the kernel makes it twice that */

        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0)
                return fault(-errno);

        return 0;
}

int shared_channel_new(SharedChannel **ret, int *ret_app_fd) {
        g_autoptr(SharedChannel) channel = g_new0(SharedChannel, 1);
        g_autofd int app_fd = -1;
        int r;

        r = channel_new(&channel->channel, &app_fd);
        if (r)
                return r < 0 ? fault(r) : r;

        r = shared_channel_widen(channel_fd(channel->channel));
        if (r == 0)
                r = shared_channel_widen(app_fd);
        if (r < 0)
                return fault(r);

        channel->in = g_malloc(SHARED_PACKET_MAX);
        channel->out = g_malloc(SHARED_PACKET_MAX);
        *ret_app_fd = autofd_steal(&app_fd);
        *ret = g_steal_pointer(&channel);
        return 0;
}

/* Packets carry plaintext: it is wiped before the memory is somebody else's. */
static void shared_channel_wipe(uint8_t *packet) {
        if (packet)
                explicit_bzero(packet, SHARED_PACKET_MAX);
        g_free(packet);
}

SharedChannel *shared_channel_free(SharedChannel *channel) {
        if (!channel)
                return NULL;

        channel_free(channel->channel);
        shared_channel_wipe(channel->in);
        shared_channel_wipe(channel->out);
        g_free(channel);
        return NULL;
}

int shared_channel_fd(const SharedChannel *channel) {
        return channel_fd(channel->channel);
}

SharedChannelStats shared_channel_stats(const SharedChannel *channel) {
        ChannelStats stats = channel_stats(channel->channel);

        return (SharedChannelStats){
                .n_malformed = channel->n_malformed + stats.n_dropped_too_long,
                .n_stray_fds = stats.n_stray_fds,
        };
}

/* ---- from the application ---- */

int shared_channel_receive(SharedChannel *channel) {
        int r;

        channel->next = 0;
        r = channel_read(channel->channel, channel->in, SHARED_PACKET_MAX, &channel->n_in);
        return r < 0 ? fault(r) : r;
}

bool shared_channel_has_more(const SharedChannel *channel) {
        return channel->next < channel->n_in;
}

static bool shared_channel_give_up(SharedChannel *channel) {
        channel->n_malformed++;
        channel->next = channel->n_in;
        return false;
}

bool shared_channel_next(SharedChannel *channel, Frame *ret) {
        size_t left = channel->n_in - channel->next;
        FrameHeader header;
        size_t whole;

        if (left == 0)
                return false;
        if (left < sizeof(header))
                return shared_channel_give_up(channel);

        memcpy(&header, channel->in + channel->next, sizeof(header));
        if (header.size > left - sizeof(header) ||
            (header.kind != FRAME_DATA && header.kind != FRAME_CLOSED))
                return shared_channel_give_up(channel);

        *ret = (Frame){
                .connection = header.connection,
                .kind = header.kind,
                .data = channel->in + channel->next + sizeof(header),
                .size = header.size,
        };
        whole = sizeof(header) + header.size + frame_padding(header.size);
        channel->next += MIN(whole, left); /* the last one's padding may be missing */
        return true;
}

/* ---- to the application ---- */

bool shared_channel_is_full(const SharedChannel *channel) {
        return channel->is_full;
}

int shared_channel_flush(SharedChannel *channel) {
        int r;

        if (channel->n_out == 0)
                return 0;

        r = channel_write(channel->channel, channel->out, channel->n_out);
        channel->is_full = r != 0;
        if (r)
                return r < 0 ? fault(r) : r;

        channel->n_out = 0;
        return 0;
}

bool shared_channel_put(SharedChannel *channel, const Frame *frame) {
        FrameHeader header = {frame->connection, (uint16_t)frame->kind, (uint16_t)frame->size};
        size_t padding = frame_padding(frame->size);
        uint8_t *place;

        g_assert(frame->size <= SHARED_FRAME_MAX);

        if (sizeof(header) + frame->size + padding > SHARED_PACKET_MAX - channel->n_out &&
            (channel->is_full || shared_channel_flush(channel)))
                return false;

        place = channel->out + channel->n_out;
        memcpy(place, &header, sizeof(header));
        place += sizeof(header);
        if (frame->size > 0)
                memcpy(place, frame->data, frame->size);
        memset(place + frame->size, 0, padding);
        channel->n_out += sizeof(header) + frame->size + padding;
        return true;
}
