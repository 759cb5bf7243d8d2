/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channel, see channel.h.
 *
 * Two things the kernel does are in the way. A read of 0 bytes is an empty packet as well as the
 * end, and closing a socket with anything unread resets the other end before it has read what was
 * delivered to it. So every 0 is looked at twice, and a channel is drained before it is closed.
 */

#include "channel/channel.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "channel/stray.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>

#define CHANNEL_DRAIN_MAX 65536 /* packets; more than a buffer of net.core.wmem_max holds */

struct Channel {
        int fd;
        ChannelStats stats;
};

/* One packet off the socket: how many of its bytes are in the buffer, and more about it. */
typedef struct ChannelPacket {
        size_t size;
        bool is_truncated;
        bool has_control;
} ChannelPacket;

/* ---- birth ---- */

static int channel_set_buffer(int fd) {
        int size = CHANNEL_BUFFER_DEFAULT / 2; /* the kernel makes it twice that */

        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0)
                return fault(-errno);

        return 0;
}

int channel_new(Channel **ret, int *ret_app_fd) {
        g_autoptr(Channel) channel = NULL;
        g_autofd int app_fd = -1;
        int pair[2];
        int r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return errno == EMFILE || errno == ENFILE ? CHANNEL_E_NO_FDS : fault(-errno);

        channel = g_new0(Channel, 1);
        channel->fd = pair[0];
        app_fd = pair[1];

        r = channel_set_buffer(channel->fd);
        if (r == 0)
                r = channel_set_buffer(app_fd);
        if (r < 0)
                return fault(r);

        stray_refuse(channel->fd);

        *ret_app_fd = autofd_steal(&app_fd);
        *ret = g_steal_pointer(&channel);
        return 0;
}

int channel_refuse(Channel *channel) {
        if (shutdown(channel->fd, SHUT_RD) < 0)
                return fault(-errno);

        return 0;
}

int channel_fd(const Channel *channel) {
        return channel->fd;
}

ChannelStats channel_stats(const Channel *channel) {
        return channel->stats;
}

/* ---- in and out ---- */

int channel_write(Channel *channel, const void *data, size_t size) {
        if (send(channel->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                return 0;

        switch (errno) {
        case EAGAIN:
        case ENOBUFS:
        case ENOMEM:
                return CHANNEL_E_FULL;
        case EPIPE:
        case ECONNRESET: /* it closed without reading all */
        case ECONNREFUSED:
        case ENOTCONN:
                return CHANNEL_E_HANGUP;
        default:
                return fault(-errno);
        }
}

static int channel_deliver_one(Channel *channel, const Datagram *d) {
        int r;

        if (d->size == 0) {
                channel->stats.n_ignored_empty++;
                return 0;
        }

        r = channel_write(channel, d->data, d->size);
        if (r == CHANNEL_E_FULL) {
                channel->stats.n_dropped_full++;
                return 0;
        }
        if (r)
                return r < 0 ? fault(r) : r;

        channel->stats.n_delivered++;
        channel->stats.n_delivered_bytes += d->size;
        return 0;
}

int channel_deliver(Channel *channel, const DatagramBatch *plain) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < datagram_batch_count(plain); i++) {
                Datagram d = datagram_batch_at(plain, i);

                r = channel_deliver_one(channel, &d);
        }

        return r;
}

/* 0, or -errno as recvmsg() says it: not a fault yet. */
static int channel_take(Channel *channel, void *buffer, size_t size, ChannelPacket *ret) {
        union {
                struct cmsghdr header; /* for its alignment */
                uint8_t bytes[STRAY_CONTROL_SIZE];
        } control;
        struct iovec place = {.iov_base = buffer, .iov_len = size};
        struct msghdr message = {
                .msg_iov = &place,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        ssize_t n;

        n = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return -errno;

        channel->stats.n_stray_fds += stray_close(&message);
        *ret = (ChannelPacket){
                .size = (size_t)n,
                .is_truncated = message.msg_flags & MSG_TRUNC,
                .has_control = message.msg_controllen > 0,
        };
        return 0;
}

/* After a read of 0 bytes: an empty packet, or the end? Once the other end is shut down nothing is
 * added, so then it is the end when no bytes are left; packets that are left are empty. */
static bool channel_is_over(const Channel *channel) {
        struct pollfd look = {.fd = channel->fd, .events = POLLRDHUP};
        int n_bytes = 0;

        if (poll(&look, 1, 0) <= 0 || !(look.revents & (POLLRDHUP | POLLHUP)))
                return false;

        return ioctl(channel->fd, FIONREAD, &n_bytes) < 0 || n_bytes == 0;
}

/* Whether the next packet is for another turn, when a batch has more room. */
static bool channel_must_wait(const Channel *channel, const DatagramBatch *plain, size_t room) {
        ssize_t next;

        if (room >= DATAGRAM_SIZE_MAX || datagram_batch_count(plain) == 0)
                return false;
        if (room == 0)
                return true;

        next = recv(channel->fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
        return next > (ssize_t)room;
}

static int channel_sort_out(Channel *channel, DatagramBatch *plain, const ChannelPacket *packet) {
        if (packet->is_truncated) {
                channel->stats.n_dropped_too_long++;
        } else if (packet->size > 0) {
                channel->stats.n_collected++;
                datagram_batch_commit(plain, packet->size);
        } else if (channel_is_over(channel)) {
                return CHANNEL_E_HANGUP;
        } else {
                channel->stats.n_ignored_empty++;
        }

        return 0;
}

int channel_collect(Channel *channel, DatagramBatch *plain) {
        int r = 0;

        for (int i = 0; r == 0 && i < CHANNEL_PACKETS_MAX; i++) {
                size_t room = MIN(datagram_batch_room(plain), DATAGRAM_SIZE_MAX);
                ChannelPacket packet = {0};

                if (channel_must_wait(channel, plain, room))
                        return 0;

                r = channel_take(channel, datagram_batch_reserve(plain, room), room, &packet);
                switch (-r) {
                case 0:
                        r = channel_sort_out(channel, plain, &packet);
                        break;
                case EAGAIN:
                        return 0;
                case EINTR:
                case ECONNRESET: /* it closed without reading all; what it wrote comes next */
                        r = 0;
                        break;
                default:
                        return fault(r);
                }
        }

        return r;
}

int channel_read(Channel *channel, void *buffer, size_t size, size_t *ret_size) {
        ChannelPacket packet = {0};
        int r;

        *ret_size = 0;
        r = channel_take(channel, buffer, size, &packet);
        if (r == -EAGAIN || r == -EINTR ||
            r == -ECONNRESET) /* the last says: more comes, then the end */
                return 0;
        if (r < 0)
                return fault(r);

        if (packet.is_truncated) {
                channel->stats.n_dropped_too_long++;
        } else if (packet.size > 0) {
                channel->stats.n_collected++;
                *ret_size = packet.size;
        } else if (channel_is_over(channel)) {
                return CHANNEL_E_HANGUP;
        } else {
                channel->stats.n_ignored_empty++;
        }

        return 0;
}

/* ---- death ---- */

/* Reads all there is, empty packets too: with SO_PASSCRED a packet brings a control message, and
 * the end brings none. */
static void channel_drain(Channel *channel) {
        ChannelPacket packet = {0};
        int on = 1;
        int r;

        (void)shutdown(channel->fd, SHUT_RDWR); /* it can neither send more nor wait for more */
        (void)setsockopt(channel->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));

        for (int i = 0; i < CHANNEL_DRAIN_MAX; i++) {
                r = channel_take(channel, NULL, 0, &packet);
                if (r == -EINTR || r == -ECONNRESET)
                        continue;
                if (r < 0 || !packet.has_control)
                        return;
        }
}

Channel *channel_free(Channel *channel) {
        if (!channel)
                return NULL;

        channel_drain(channel);
        autofd_close(&channel->fd);
        g_free(channel);
        return NULL;
}
