/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * AcceptQueue, see accept-queue.h.
 *
 * How many packets the application has not taken, the kernel does not say; it says how many bytes
 * they pin, its own overhead included (SIOCOUTQ). Packets are taken in order, so they are the last
 * that were pushed whose sizes add up to that. What a packet pins is what the count grew by when it
 * was pushed, and at least what the smallest packet pins: too little if the application read in
 * between, and then more packets seem undelivered than are.
 */

#include "channel/accept-queue.h"
#include "base/cleanup.h"
#include "base/fault.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

struct AcceptQueue {
        int fd;
        size_t smallest; /* bytes that the smallest packet pins */
        /* of the last packets; n_pushed says where the next goes */
        size_t sizes[ACCEPT_QUEUE_UNDELIVERED_MAX];
        size_t n_pushed;
};

/* ---- what the kernel holds ---- */

static size_t accept_queue_pinned(const AcceptQueue *queue) {
        int n_bytes = 0;

        if (ioctl(queue->fd, SIOCOUTQ, &n_bytes) < 0 || n_bytes < 0)
                return SIZE_MAX; /* not known: everything */

        return (size_t)n_bytes;
}

size_t accept_queue_undelivered(const AcceptQueue *queue) {
        size_t pinned = accept_queue_pinned(queue);
        size_t n_known = MIN(queue->n_pushed, ACCEPT_QUEUE_UNDELIVERED_MAX);
        size_t n = 0;

        while (n < n_known) {
                size_t last = (queue->n_pushed - 1 - n) % ACCEPT_QUEUE_UNDELIVERED_MAX;

                if (queue->sizes[last] > pinned)
                        break;

                pinned -= queue->sizes[last];
                n++;
        }

        return n;
}

static void accept_queue_note(AcceptQueue *queue, size_t pinned_before) {
        size_t pinned = accept_queue_pinned(queue);
        size_t grown = pinned > pinned_before ? pinned - pinned_before : 0;

        queue->sizes[queue->n_pushed % ACCEPT_QUEUE_UNDELIVERED_MAX] = MAX(grown, queue->smallest);
        queue->n_pushed++;
}

/* ---- birth and death ---- */

/* While both ends are still ours, nobody reads in between. */
static int accept_queue_measure(AcceptQueue *queue, int app_fd) {
        char probe = 0;

        if (send(queue->fd, &probe, 1, MSG_NOSIGNAL) < 0)
                return fault(-errno);

        queue->smallest = accept_queue_pinned(queue);

        if (recv(app_fd, &probe, 1, 0) < 0)
                return fault(-errno);

        return 0;
}

int accept_queue_new(AcceptQueue **ret, int *ret_app_fd) {
        g_autoptr(AcceptQueue) queue = NULL;
        g_autofd int app_fd = -1;
        int pair[2];
        int r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return errno == EMFILE || errno == ENFILE ? ACCEPT_QUEUE_E_NO_FDS : fault(-errno);

        queue = g_new0(AcceptQueue, 1);
        queue->fd = pair[0];
        app_fd = pair[1];

        r = accept_queue_measure(queue, app_fd);
        if (r < 0)
                return fault(r);

        /* it has nothing to say to us; so nothing unread, and no fd, is ever in the way */
        if (shutdown(queue->fd, SHUT_RD) < 0)
                return fault(-errno);

        *ret_app_fd = autofd_steal(&app_fd);
        *ret = g_steal_pointer(&queue);
        return 0;
}

AcceptQueue *accept_queue_free(AcceptQueue *queue) {
        if (!queue)
                return NULL;

        autofd_close(&queue->fd); /* what is undelivered can still be taken */
        g_free(queue);
        return NULL;
}

int accept_queue_fd(const AcceptQueue *queue) {
        return queue->fd;
}

/* ---- a packet ---- */

static int accept_queue_send(AcceptQueue *queue, const GByteArray *packet, int channel_fd) {
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(sizeof(int))];
        } control = {.header = {
                             .cmsg_len = CMSG_LEN(sizeof(int)),
                             .cmsg_level = SOL_SOCKET,
                             .cmsg_type = SCM_RIGHTS,
                     }};
        struct iovec place = {.iov_base = packet->data, .iov_len = packet->len};
        struct msghdr message = {
                .msg_iov = &place,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };

        memcpy(CMSG_DATA(&control.header), &channel_fd, sizeof(channel_fd));
        if (sendmsg(queue->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
                return 0;

        switch (errno) {
        case EAGAIN:
        case ENOBUFS:
        case ENOMEM:
        case ETOOMANYREFS: /* fds in flight of this process's user */
                return ACCEPT_QUEUE_E_FULL;
        case EPIPE:
        case ECONNRESET:
        case ECONNREFUSED:
        case ENOTCONN:
        case EPERM: /* the application has made its end refuse fds */
                return ACCEPT_QUEUE_E_HANGUP;
        default:
                return fault(-errno);
        }
}

int accept_queue_push(AcceptQueue *queue, const OpenedFacts *facts, int channel_fd) {
        g_autoptr(GByteArray) packet = NULL;
        size_t pinned;
        int r;

        if (accept_queue_undelivered(queue) >= ACCEPT_QUEUE_UNDELIVERED_MAX)
                return ACCEPT_QUEUE_E_FULL;

        packet = opened_encode(facts);
        pinned = accept_queue_pinned(queue);

        r = accept_queue_send(queue, packet, channel_fd);
        if (r)
                return r < 0 ? fault(r) : r;

        accept_queue_note(queue, pinned);
        return 0;
}
