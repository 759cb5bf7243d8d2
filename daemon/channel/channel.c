/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channel, see channel.h.
 *
 * Two things the kernel does are in the way. A read of 0 bytes is an empty packet as well as the
 * end, and closing a socket with anything unread resets the other end before it has read what was
 * delivered to it. So every 0 is looked at twice, and a channel is drained before it is closed,
 * unless nobody is there to be reset. At the end a read of many packets brings as many of 0 bytes,
 * and each costs as much as one that has some; so where the end is known it is not read.
 */

#include "channel/channel.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "channel/stray.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>

#define CHANNEL_DRAIN_MAX 65536 /* calls; more packets than a buffer of net.core.wmem_max holds */
#define CHANNEL_LAST_SLOTS ((size_t)4) /* taken in one call of a channel that is shut */

struct Channel {
        int fd;
        size_t n_slots; /* packets to take in the next turn */
        bool has_more;
        bool refuses_fds;
        bool is_shut;     /* nothing is added any more */
        bool is_deserted; /* nor does anybody take anything */
        bool is_over;     /* nor is anything left, but empty packets */
        ChannelStats stats;
};

/* What recvmmsg and sendmmsg work on, prepared on the stack. */
typedef struct ChannelRun {
        struct mmsghdr messages[CHANNEL_PACKETS_MAX];
        struct iovec places[CHANNEL_PACKETS_MAX];
        size_t from[CHANNEL_PACKETS_MAX]; /* to send: where in the batch each is */
} ChannelRun;

/* Fds come in these where the kernel does not refuse them. */
typedef union ChannelControl {
        struct cmsghdr header; /* for its alignment */
        uint8_t bytes[STRAY_CONTROL_SIZE];
} ChannelControl;

/* ---- birth ---- */

static int channel_set_buffer(int fd) {
        int size = CHANNEL_BUFFER_DEFAULT / 2; /* the kernel makes it twice that */

        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0)
                return fault(-errno);

        return 0;
}

/* Both ends have what net.core.wmem_default says, and that is the same unless somebody changed it.
 */
static int channel_set_buffers(const int pair[2]) {
        int size = 0;
        socklen_t size_size = sizeof(size);
        int r;

        if (getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, &size_size) == 0 &&
            size == CHANNEL_BUFFER_DEFAULT)
                return 0;

        r = channel_set_buffer(pair[0]);
        return r < 0 ? fault(r) : channel_set_buffer(pair[1]);
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
        channel->n_slots = CHANNEL_PACKETS_MAX;
        app_fd = pair[1];

        r = channel_set_buffers(pair);
        if (r < 0)
                return fault(r);

        channel->refuses_fds = stray_refuse(channel->fd);

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

static void channel_put(ChannelRun *run, size_t i, void *data, size_t size) {
        run->places[i] = (struct iovec){.iov_base = data, .iov_len = size};
        run->messages[i] = (struct mmsghdr){
                .msg_hdr.msg_iov = &run->places[i],
                .msg_hdr.msg_iovlen = 1,
        };
}

/* Takes datagrams of @plain from @index on, and moves it; how many there are to send. */
static size_t channel_run_for_send(Channel *channel, ChannelRun *run, const DatagramBatch *plain,
                                   size_t *index) {
        size_t n = 0;

        for (; n < CHANNEL_PACKETS_MAX && *index < datagram_batch_count(plain); *index += 1) {
                Datagram d = datagram_batch_at(plain, *index);

                if (d.size > 0) {
                        run->from[n] = *index;
                        channel_put(run, n++, (void *)d.data, d.size); /* sendmmsg only reads */
                } else {
                        channel->stats.n_ignored_empty++;
                }
        }

        return n;
}

/* What came of a send that failed. */
static int channel_outcome(int error) {
        switch (error) {
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
                return fault(-error);
        }
}

int channel_write(Channel *channel, const void *data, size_t size) {
        if (send(channel->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                return channel_outcome(errno);

        return 0;
}

/* How many of the @n packets were sent; the rest for the reason in *ret. */
static size_t channel_send_run(Channel *channel, ChannelRun *run, size_t n, int *ret) {
        size_t done = 0;

        while (done < n) {
                int n_sent = sendmmsg(channel->fd, run->messages + done, (unsigned)(n - done),
                                      MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n_sent <= 0) {
                        *ret = channel_outcome(errno);
                        break;
                }

                for (int i = 0; i < n_sent; i++, done++) {
                        channel->stats.n_delivered++;
                        channel->stats.n_delivered_bytes += run->places[done].iov_len;
                }
        }

        return done;
}

int channel_give(Channel *channel, const DatagramBatch *plain, size_t *index) {
        int r = 0;

        while (r == 0 && *index < datagram_batch_count(plain)) {
                ChannelRun run;
                size_t n = channel_run_for_send(channel, &run, plain, index);
                size_t n_sent = channel_send_run(channel, &run, n, &r);

                if (n_sent < n)
                        *index = run.from[n_sent];
        }

        return r;
}

void channel_drop(Channel *channel, size_t n) {
        channel->stats.n_dropped_full += n;
}

int channel_deliver(Channel *channel, const DatagramBatch *plain) {
        size_t index = 0;
        int r;

        for (;;) {
                r = channel_give(channel, plain, &index);
                if (r != CHANNEL_E_FULL)
                        return r;

                channel_drop(channel, 1);
                index++;
        }
}

void channel_note_hangup(Channel *channel) {
        channel->is_shut = channel->is_deserted = true;
}

static void channel_look_for_hangup(Channel *channel) {
        struct pollfd look = {.fd = channel->fd, .events = POLLRDHUP};

        if (poll(&look, 1, 0) <= 0)
                return;

        channel->is_shut = look.revents & (POLLRDHUP | POLLHUP);
        channel->is_deserted = look.revents & POLLHUP;
}

/* Once the other end is shut nothing is added, so then it is the end when no bytes are left;
 * packets that are left are empty. That is looked for once. */
static bool channel_is_over(Channel *channel) {
        int n_bytes = 0;

        if (channel->is_shut && !channel->is_over)
                channel->is_over = ioctl(channel->fd, FIONREAD, &n_bytes) < 0 || n_bytes == 0;

        return channel->is_over;
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

/* Reads into the first @n places: how many packets came, or -errno as recvmmsg() says it, which is
 * not a fault yet. */
static int channel_take(Channel *channel, ChannelRun *run, size_t n) {
        ChannelControl controls[CHANNEL_PACKETS_MAX];
        int r;

        for (size_t i = 0; i < n; i++) {
                run->messages[i].msg_hdr.msg_control = &controls[i];
                run->messages[i].msg_hdr.msg_controllen = sizeof(controls[i]);
        }

        r = recvmmsg(channel->fd, run->messages, (unsigned)n, MSG_DONTWAIT | MSG_CMSG_CLOEXEC,
                     NULL);
        if (r < 0)
                return -errno;

        for (int i = 0; i < r; i++)
                channel->stats.n_stray_fds += stray_close(&run->messages[i].msg_hdr);
        return r;
}

/* Whether a packet that came is one for us; an empty one is not, and may be the end. */
static bool channel_is_good(Channel *channel, const struct mmsghdr *message) {
        if (message->msg_len == 0)
                return false;

        if (message->msg_hdr.msg_flags & MSG_TRUNC) {
                channel->stats.n_dropped_too_long++;
                return false;
        }

        channel->stats.n_collected++;
        return true;
}

/* Of @n packets those at the end that are empty: is it the end? */
static int channel_judge_empty(Channel *channel, const ChannelRun *run, size_t n) {
        size_t n_last = 0;

        for (size_t i = 0; i < n; i++) {
                if (run->messages[i].msg_len > 0) {
                        channel->stats.n_ignored_empty += n_last;
                        n_last = 0;
                } else {
                        n_last++;
                }
        }

        if (n_last > 0 && !channel->is_shut)
                channel_look_for_hangup(channel);
        if (n_last > 0 && channel_is_over(channel))
                return CHANNEL_E_HANGUP;

        channel->stats.n_ignored_empty += n_last;
        return 0;
}

/* Takes at most @n_max packets in one call. Sets *ret_more when there may be others that fit. */
static int channel_collect_run(Channel *channel, DatagramBatch *plain, size_t n_max, size_t *ret_n,
                               bool *ret_more) {
        size_t room = datagram_batch_room(plain);
        size_t slot_size = MIN(room, CHANNEL_SLOT_SIZE);
        size_t n = room < CHANNEL_SLOT_SIZE ? 1 : MIN(room / CHANNEL_SLOT_SIZE, n_max);
        size_t size, offset;
        uint8_t *place;
        ChannelRun run;
        int r;

        *ret_n = 0;
        *ret_more = false;
        channel->has_more = true;
        if (channel_must_wait(channel, plain, room))
                return 0;

        place = datagram_batch_reserve(plain, n * slot_size);
        offset = place ? (size_t)(place - datagram_batch_buffer(plain, &size)) : 0;
        for (size_t i = 0; i < n; i++)
                channel_put(&run, i, place + i * slot_size, MIN(slot_size, DATAGRAM_SIZE_MAX));
        r = channel_take(channel, &run, n);
        switch (-r) {
        case EAGAIN:
                channel->has_more = false;
                return 0;
        case EINTR:
        case ECONNRESET: /* it closed without reading all; what it wrote comes next */
                *ret_n = 1;
                *ret_more = true;
                return 0;
        default:
                break;
        }
        if (r < 0)
                return fault(r);

        *ret_n = (size_t)r;
        *ret_more = channel->has_more = *ret_n == n;
        for (size_t i = 0; i < *ret_n; i++)
                if (channel_is_good(channel, &run.messages[i]))
                        (void)datagram_batch_place(plain, offset + i * slot_size,
                                                   run.messages[i].msg_len); /* has room */

        return channel_judge_empty(channel, &run, *ret_n);
}

/* Places cost something to prepare. One is always left: when all are filled, somebody has to look
 * again. */
static void channel_adapt(Channel *channel, size_t n_asked, size_t n_taken) {
        if (n_taken == n_asked)
                channel->n_slots = MIN(channel->n_slots * 2, (size_t)CHANNEL_PACKETS_MAX);
        else if (n_taken < channel->n_slots / 2)
                channel->n_slots /= 2;
}

int channel_collect(Channel *channel, DatagramBatch *plain, size_t n_max) {
        size_t n_asked = MIN(n_max, channel->n_slots);
        size_t left = n_asked;
        bool more = true;
        int r = 0;

        if (channel_is_over(channel))
                return CHANNEL_E_HANGUP;

        while (r == 0 && more && left > 0) {
                size_t n_run = channel->is_shut ? MIN(left, CHANNEL_LAST_SLOTS) : left;
                size_t n;

                r = channel_collect_run(channel, plain, n_run, &n, &more);
                left -= n;
        }

        channel_adapt(channel, n_asked, n_asked - left);
        return r;
}

bool channel_has_more(const Channel *channel) {
        return channel->has_more;
}

int channel_read(Channel *channel, void *buffer, size_t size, size_t *ret_size) {
        ChannelRun run;
        int r;

        *ret_size = 0;
        channel_put(&run, 0, buffer, size);
        r = channel_take(channel, &run, 1);
        if (r == -EAGAIN || r == -EINTR ||
            r == -ECONNRESET) /* the last says: more comes, then the end */
                return 0;
        if (r < 0)
                return fault(r);

        if (channel_is_good(channel, &run.messages[0]))
                *ret_size = run.messages[0].msg_len;
        return channel_judge_empty(channel, &run, 1);
}

/* ---- death ---- */

/* Reads all there is, empty packets too: with SO_PASSCRED a packet brings a control message, and
 * the end brings none. Mostly there is nothing, which takes but one place to see. */
static void channel_drain(Channel *channel) {
        size_t n = 1;
        ChannelRun run;
        int on = 1;
        int r;

        (void)shutdown(channel->fd, SHUT_RDWR); /* it can neither send more nor wait for more */
        (void)setsockopt(channel->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));

        for (int i = 0; i < CHANNEL_DRAIN_MAX; i++, n = CHANNEL_PACKETS_MAX) {
                for (size_t k = 0; k < n; k++)
                        channel_put(&run, k, NULL, 0);
                r = channel_take(channel, &run, n);
                if (r == -EINTR || r == -ECONNRESET)
                        continue;
                if (r <= 0 || run.messages[r - 1].msg_hdr.msg_controllen == 0)
                        return;
        }
}

/* Whether closing it resets nobody and closes no fds of theirs. (An application that shut its end
 * down both ways instead of closing it, and then reads on, may be reset by its own empty packet.)
 */
static bool channel_can_just_close(Channel *channel) {
        return channel->is_deserted && channel->refuses_fds && channel_is_over(channel);
}

Channel *channel_free(Channel *channel) {
        if (!channel)
                return NULL;

        if (!channel_can_just_close(channel))
                channel_drain(channel);
        autofd_close(&channel->fd);
        g_free(channel);
        return NULL;
}
