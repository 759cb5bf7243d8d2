/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A shared channel: a SEQPACKET of which each packet is a batch of frames (interfaces/README.md).
 *
 * There is one packet each way. What is sent is laid into the one that goes out, and what comes is
 * handed out where it lies in the one that came, so that a datagram costs a copy on its way out,
 * none on its way in, and a share of a system call.
 */

#include "private.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_MAX 65536
#define FRAME_ALIGNMENT 8
#define DATAGRAM_MAX 16384 /* what a record can hold */

/* In host order, at multiples of FRAME_ALIGNMENT; its bytes follow, and padding. */
struct header {
        uint32_t connection;
        uint16_t kind;
        uint16_t size;
};

static_assert(sizeof(struct header) == FRAME_ALIGNMENT, "as on the channel");

static size_t frame_size(const struct header *header) {
        return sizeof *header +
               ((header->size + (size_t)FRAME_ALIGNMENT - 1) & ~(size_t)(FRAME_ALIGNMENT - 1));
}

struct dtlsd_channel {
        unsigned n_refs;
        int fd;
        uint32_t id;
        size_t out_size;
        size_t in_at, in_size;
        uint8_t out[PACKET_MAX], in[PACKET_MAX];
};

/* ---- its life ---- */

int dtlsd_channel_new(int fd, uint32_t id, dtlsd_channel **ret) {
        dtlsd_channel *channel;

        channel = calloc(1, sizeof *channel);
        if (!channel)
                return -ENOMEM;

        channel->n_refs = 1;
        channel->fd = fd;
        channel->id = id;
        *ret = channel;
        return 0;
}

static int channel_answered(sd_bus_message *reply, dtlsd_channel **ret) {
        uint32_t id;
        int fd, r;

        r = sd_bus_message_read(reply, "hu", &fd, &id);
        if (r < 0)
                return r;

        fd = dtlsd_fd_copy(fd);
        if (fd < 0)
                return fd;

        r = dtlsd_channel_new(fd, id, ret);
        if (r < 0)
                (void)close(fd);
        return r;
}

int dtlsd_channel_open(sd_bus *bus, dtlsd_channel **ret, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, DTLSD_NAME, DTLSD_ROOT, DTLSD_MANAGER, "OpenChannel", error,
                               &reply, "a{sv}", 0);
        if (r >= 0)
                r = channel_answered(reply, ret);

        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

dtlsd_channel *dtlsd_channel_ref(dtlsd_channel *channel) {
        channel->n_refs++;
        return channel;
}

dtlsd_channel *dtlsd_channel_unref(dtlsd_channel *channel) {
        if (!channel || --channel->n_refs > 0)
                return NULL;

        (void)close(channel->fd);
        free(channel);
        return NULL;
}

int dtlsd_channel_fd(const dtlsd_channel *channel) {
        return channel->fd;
}

uint32_t dtlsd_channel_id(const dtlsd_channel *channel) {
        return channel->id;
}

/* ---- out ---- */

int dtlsd_channel_flush(dtlsd_channel *channel) {
        ssize_t n;

        if (channel->out_size == 0)
                return 0;

        n = send(channel->fd, channel->out, channel->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return errno == EPIPE ? -ECONNRESET : -errno;

        channel->out_size = 0;
        return 0;
}

/* The frame is appended whole, or not at all. */
static int frame_append(dtlsd_channel *channel, const struct header *header, const void *data) {
        const size_t whole = frame_size(header);
        uint8_t *at;
        int r;

        if (whole > PACKET_MAX - channel->out_size) {
                r = dtlsd_channel_flush(channel);
                if (r < 0)
                        return r;
        }

        at = channel->out + channel->out_size;
        memset(at + whole - FRAME_ALIGNMENT, 0, FRAME_ALIGNMENT); /* where padding may be */
        memcpy(at, header, sizeof *header);
        memcpy(at + sizeof *header, data, header->size);
        channel->out_size += whole;
        return 0;
}

int dtlsd_channel_send(dtlsd_channel *channel, uint32_t connection, const void *data, size_t size) {
        if (size == 0)
                return -EINVAL;
        if (size > DATAGRAM_MAX)
                return -EMSGSIZE;

        return frame_append(channel, &(struct header){connection, DTLSD_FRAME_DATA, (uint16_t)size},
                            data);
}

int dtlsd_channel_close_connection(dtlsd_channel *channel, uint32_t connection) {
        return frame_append(channel, &(struct header){connection, DTLSD_FRAME_CLOSED, 0}, "");
}

static int frame_send(dtlsd_channel *channel, const struct dtlsd_frame *frame) {
        switch (frame->kind) {
        case DTLSD_FRAME_DATA:
                return dtlsd_channel_send(channel, frame->connection, frame->data, frame->size);
        case DTLSD_FRAME_CLOSED:
                return dtlsd_channel_close_connection(channel, frame->connection);
        default:
                return -EINVAL;
        }
}

int dtlsd_channel_send_many(dtlsd_channel *channel, const struct dtlsd_frame *frames, size_t n,
                            size_t *ret_n) {
        size_t i;
        int r = 0;

        for (i = 0; i < n; i++) {
                r = frame_send(channel, &frames[i]);
                if (r < 0)
                        break;
        }

        if (i == 0 && r < 0)
                return r;

        (void)dtlsd_channel_flush(channel); /* what does not go now is kept, and goes later */
        *ret_n = i;
        return 0;
}

/* ---- in ---- */

/* Turning to what comes sends what was collected; what does not go is kept. */
static int packet_receive(dtlsd_channel *channel) {
        ssize_t n;

        (void)dtlsd_channel_flush(channel);
        channel->in_at = channel->in_size = 0;
        n = recv(channel->fd, channel->in, sizeof channel->in, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0)
                return -errno;
        if (n == 0) /* the end: an empty packet is never sent */
                return -ECONNRESET;
        if ((size_t)n > sizeof channel->in)
                return -EBADMSG;

        channel->in_size = (size_t)n;
        return 0;
}

/* Later versions may have other kinds. An empty datagram is none. */
static bool frame_is_known(const struct header *header) {
        if (header->kind == DTLSD_FRAME_DATA)
                return header->size > 0;

        return header->kind > DTLSD_FRAME_DATA && header->kind <= DTLSD_FRAME_DROPPED;
}

/* Returns 1, 0 at the end of the packet, -EBADMSG where no frame can be. */
static int frame_next(dtlsd_channel *channel, struct dtlsd_frame *ret) {
        while (channel->in_at < channel->in_size) {
                const uint8_t *at = channel->in + channel->in_at;
                const size_t left = channel->in_size - channel->in_at;
                struct header header;

                if (left < sizeof header)
                        return -EBADMSG;
                memcpy(&header, at, sizeof header);
                if (header.size > left - sizeof header)
                        return -EBADMSG;

                channel->in_at += frame_size(&header); /* the last one's padding may be left out */
                if (!frame_is_known(&header))
                        continue;

                ret->connection = header.connection;
                ret->kind = (enum dtlsd_frame_kind)header.kind;
                ret->data = at + sizeof header;
                ret->size = header.size;
                return 1;
        }

        return 0;
}

int dtlsd_channel_receive(dtlsd_channel *channel, struct dtlsd_frame *ret) {
        int r;

        while ((r = frame_next(channel, ret)) == 0) {
                r = packet_receive(channel);
                if (r < 0)
                        return r;
        }

        if (r < 0)
                channel->in_at = channel->in_size;
        return r < 0 ? r : 0;
}

int dtlsd_channel_receive_many(dtlsd_channel *channel, struct dtlsd_frame *ret, size_t max,
                               size_t *ret_n) {
        size_t n = 1;
        int r;

        r = dtlsd_channel_receive(channel, ret);
        if (r < 0)
                return r;

        while (n < max && frame_next(channel, &ret[n]) > 0) /* an error is for the next call */
                n++;
        *ret_n = n;
        return 0;
}

int dtlsd_channel_wait(dtlsd_channel *channel, short events, int timeout) {
        struct pollfd p = {.fd = channel->fd, .events = events};
        int r;

        (void)dtlsd_channel_flush(channel);
        if (events & POLLIN && channel->in_at < channel->in_size)
                return 0;
        if (events & POLLOUT && channel->out_size == 0)
                return 0;
        if (channel->out_size > 0)
                p.events |= POLLOUT;

        r = poll(&p, 1, timeout);
        if (r == 0)
                return -ETIMEDOUT;
        if (r < 0)
                return -errno;

        if (p.revents & POLLOUT)
                (void)dtlsd_channel_flush(channel);
        return 0;
}

/* ---- what frames tell ---- */

static int dropped_read(const struct dtlsd_frame *frame, struct dtlsd_facts *facts) {
        const size_t before = sizeof facts->n_dropped;

        if (frame->size < before)
                return -EBADMSG;

        memcpy(&facts->n_dropped, frame->data, before);
        return dtlsd_text_take(facts->reason, sizeof facts->reason,
                               (const uint8_t *)frame->data + before, frame->size - before);
}

static int facts_read(const struct dtlsd_frame *frame, struct dtlsd_facts *facts) {
        uint32_t connection; /* the frame has it too */

        switch (frame->kind) {
        case DTLSD_FRAME_OPENED:
        case DTLSD_FRAME_CHANGED:
                return dtlsd_facts_read(frame->data, frame->size, &connection, facts);
        case DTLSD_FRAME_CLOSED:
                return dtlsd_text_take(facts->reason, sizeof facts->reason, frame->data,
                                       frame->size);
        case DTLSD_FRAME_DROPPED:
                return dropped_read(frame, facts);
        case DTLSD_FRAME_DATA:
                break;
        }

        return -EINVAL;
}

int dtlsd_frame_facts(const struct dtlsd_frame *frame, struct dtlsd_facts *ret) {
        struct dtlsd_facts facts = {0};
        int r;

        r = facts_read(frame, &facts);
        if (r < 0)
                return r;

        *ret = facts;
        return 0;
}
