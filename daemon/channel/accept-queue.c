/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * AcceptQueue, see accept-queue.h.
 *
 * How many packets the application has not taken, the kernel does not say; it says how many bytes
 * they pin, its own overhead included (SIOCOUTQ), and each pins at least what the smallest does.
 * The usual ones pin just that; of longer ones more seem undelivered than are, but never more than
 * were pushed. The kernel is asked only when so many were pushed that there may be no room.
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
        int smallest;  /* bytes that the smallest packet pins */
        size_t n_most; /* more are not undelivered */
};

/* ---- what the kernel holds ---- */

bool accept_queue_is_full(AcceptQueue *queue) {
        int pinned = 0;

        if (queue->n_most >= ACCEPT_QUEUE_UNDELIVERED_MAX &&
            ioctl(queue->fd, SIOCOUTQ, &pinned) == 0)
                queue->n_most = MIN(queue->n_most, (size_t)(pinned / queue->smallest));

        return queue->n_most >= ACCEPT_QUEUE_UNDELIVERED_MAX;
}

/* ---- birth and death ---- */

/* While both ends are still ours, nobody reads in between. */
static int accept_queue_measure(AcceptQueue *queue, int app_fd) {
        char probe = 0;

        if (send(queue->fd, &probe, 1, MSG_NOSIGNAL) < 0)
                return fault(-errno);

        if (ioctl(queue->fd, SIOCOUTQ, &queue->smallest) < 0)
                return fault(-errno);

        g_assert(queue->smallest > 0);
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
        int r;

        if (accept_queue_is_full(queue))
                return ACCEPT_QUEUE_E_FULL;

        packet = opened_encode(facts);
        r = accept_queue_send(queue, packet, channel_fd);
        if (r)
                return r < 0 ? fault(r) : r;

        queue->n_most++;
        return 0;
}
