/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "channel/channel.h"

#include "base/cleanup.h"
#include "base/fault.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16: the kernel itself refuses fds */
#endif

#define CHANNEL_FDS_MAX 253 /* SCM_MAX_FD: what one packet can bring */

struct Channel {
        int fd;
        ChannelStats stats;
};

static int option(int fd, int name, int value) {
        return setsockopt(fd, SOL_SOCKET, name, &value, sizeof value) < 0 ? -errno : 0;
}

int channel_new(Channel **ret, int *ret_app_fd) {
        int pair[2];
        Channel *channel;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return errno == EMFILE || errno == ENFILE ? CHANNEL_E_NO_FDS : fault(-errno);

        (void)option(pair[0], SO_SNDBUF, CHANNEL_BUFFER_DEFAULT / 2); /* the kernel doubles it */
        (void)option(pair[1], SO_SNDBUF, CHANNEL_BUFFER_DEFAULT / 2);
        (void)option(pair[0], SO_PASSRIGHTS, 0); /* older kernels: see channel_discard_fds() */

        channel = g_new0(Channel, 1);
        channel->fd = pair[0];
        *ret_app_fd = pair[1];
        *ret = channel;
        return 0;
}

/* Closing a socket with SO_LINGER and unsent data waits; nothing here may. */
static void channel_close_quickly(int fd) {
        struct linger off = {0};

        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
        (void)close(fd);
}

static void channel_discard_fds(struct msghdr *m) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
                size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;

                for (size_t i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
                        channel_close_quickly(fd);
                }
        }
}

/* Returns bytes, or -1 with errno; *ret_flags has MSG_TRUNC. */
static ssize_t channel_receive(int fd, void *buffer, size_t size, int *ret_flags) {
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
        } control;
        struct iovec iov = {buffer, size};
        struct msghdr m = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof control,
        };
        ssize_t n;

        n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return -1;

        channel_discard_fds(&m);
        *ret_flags = m.msg_flags;
        return n;
}

Channel *channel_free(Channel *channel) {
        uint8_t buffer[1024];
        int flags;

        if (!channel)
                return NULL;

        /* Closing with unread data would reset the other end before it has read what is delivered.
         * The application can write no more after the shutdown, so draining ends. */
        (void)shutdown(channel->fd, SHUT_RDWR);
        while (channel_receive(channel->fd, buffer, sizeof buffer, &flags) > 0)
                ;
        (void)close(channel->fd);
        g_free(channel);
        return NULL;
}

int channel_fd(const Channel *channel) {
        return channel->fd;
}

ChannelStats channel_stats(const Channel *channel) {
        return channel->stats;
}

/**
 * channel_deliver() - hand plaintext to the application
 *
 * Writes every datagram of @plain, each as one packet. A packet the application has no room for is
 * dropped and counted: a slow reader loses its own datagrams and nobody else's.
 *
 * Return: 0, CHANNEL_E_HANGUP, or a fault.
 */
int channel_deliver(Channel *channel, const DatagramBatch *plain) {
        for (size_t i = 0; i < datagram_batch_count(plain); i++) {
                Datagram d = datagram_batch_at(plain, i);

                if (send(channel->fd, d.data, d.size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                        channel->stats.n_delivered++;
                else if (errno == EAGAIN || errno == ENOBUFS || errno == EMSGSIZE)
                        channel->stats.n_dropped_full++;
                else if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
                        return CHANNEL_E_HANGUP;
                else
                        return fault(-errno);
        }

        return 0;
}

/* How large the next packet is, or -1 with errno. */
static ssize_t channel_peek(int fd) {
        uint8_t byte;

        return recv(fd, &byte, sizeof byte, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
}

/* A packet of no bytes reads as 0, and so does the end; poll tells them apart. */
static bool channel_is_over(int fd) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

/* Takes the next packet, which is @size bytes long. 0, CHANNEL_E_HANGUP, or a fault. */
static int channel_take(Channel *channel, size_t size, DatagramBatch *plain) {
        uint8_t discard, *place = &discard;
        int flags = 0;
        ssize_t n;

        if (size > 0 && size <= DATAGRAM_SIZE_MAX)
                place = datagram_batch_reserve(plain, size);

        n = channel_receive(channel->fd, place, place == &discard ? sizeof discard : size, &flags);
        if (n < 0)
                return errno == EAGAIN ? 0 : CHANNEL_E_HANGUP;

        if (size == 0)
                channel->stats.n_ignored_empty++;
        else if (place == &discard)
                channel->stats.n_dropped_too_long++;
        else {
                datagram_batch_commit(plain, (size_t)n);
                channel->stats.n_collected++;
        }
        return 0;
}

/**
 * channel_collect() - take what the application has written
 *
 * Stops at CHANNEL_PACKETS_MAX packets, or before a packet that @plain has no room for: it stays
 * where it is.
 *
 * Return: 0, CHANNEL_E_HANGUP once everything before it was taken, or a fault.
 */
int channel_collect(Channel *channel, DatagramBatch *plain) {
        for (size_t i = 0; i < CHANNEL_PACKETS_MAX; i++) {
                ssize_t size = channel_peek(channel->fd);
                int r;

                if (size < 0)
                        return errno == EAGAIN || errno == EINTR ? 0 : CHANNEL_E_HANGUP;
                if (size == 0 && channel_is_over(channel->fd))
                        return CHANNEL_E_HANGUP;
                if (size <= DATAGRAM_SIZE_MAX && (size_t)size > datagram_batch_room(plain))
                        return 0;

                r = channel_take(channel, (size_t)size, plain);
                if (r != 0)
                        return r;
        }

        return 0;
}
