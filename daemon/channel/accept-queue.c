/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "channel/accept-queue.h"

#include "base/fault.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_MAX 1024
#define FIELD_HEADER 4

struct AcceptQueue {
        int fd;
        /* what SIOCOUTQ has said after each push whose packet the application has not taken: the
         * kernel counts bytes, oldest packets leave first */
        GQueue *charges;
        int charged;
};

typedef struct Packet {
        uint8_t bytes[PACKET_MAX];
        size_t size;
} Packet;

int accept_queue_new(AcceptQueue **ret, int *ret_app_fd) {
        AcceptQueue *queue;
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return errno == EMFILE || errno == ENFILE ? ACCEPT_QUEUE_E_NO_FDS : fault(-errno);

        queue = g_new0(AcceptQueue, 1);
        queue->fd = pair[0];
        queue->charges = g_queue_new();
        *ret_app_fd = pair[1];
        *ret = queue;
        return 0;
}

AcceptQueue *accept_queue_free(AcceptQueue *queue) {
        if (!queue)
                return NULL;

        /* what is on its way stays readable: nothing was left unread on our side */
        (void)shutdown(queue->fd, SHUT_RDWR);
        (void)close(queue->fd);
        g_queue_free(queue->charges);
        g_free(queue);
        return NULL;
}

int accept_queue_fd(const AcceptQueue *queue) {
        return queue->fd;
}

static int accept_queue_unread(const AcceptQueue *queue) {
        int unread = 0;

        return ioctl(queue->fd, SIOCOUTQ, &unread) < 0 ? queue->charged : unread;
}

/* Forgets the packets that were taken since. */
static void accept_queue_settle(AcceptQueue *queue) {
        int unread = accept_queue_unread(queue);

        while (queue->charged > unread && !g_queue_is_empty(queue->charges))
                queue->charged -= GPOINTER_TO_INT(g_queue_pop_head(queue->charges));
        if (unread == 0) {
                g_queue_clear(queue->charges);
                queue->charged = 0;
        }
}

size_t accept_queue_undelivered(const AcceptQueue *queue) {
        int unread = accept_queue_unread(queue), charged = queue->charged;
        size_t n = g_queue_get_length(queue->charges);

        for (const GList *at = queue->charges->head; at && charged > unread; at = at->next) {
                charged -= GPOINTER_TO_INT(at->data);
                n--;
        }
        return unread == 0 ? 0 : n;
}

static void packet_add(Packet *packet, OpenedField field, const void *data, size_t size) {
        uint16_t header[2] = {(uint16_t)field, (uint16_t)size};
        size_t padded = (size + 3) & ~(size_t)3;

        /* identities are bounded far below: a field that does not fit is a bug of ours */
        g_assert(packet->size + FIELD_HEADER + padded <= sizeof packet->bytes);
        memcpy(packet->bytes + packet->size, header, sizeof header);
        memcpy(packet->bytes + packet->size + FIELD_HEADER, data, size);
        packet->size += FIELD_HEADER + padded;
}

static void packet_add_address(Packet *packet, OpenedField field, OpenedField port_field,
                               const Address *address) {
        char text[ADDRESS_STRING_MAX];
        uint16_t port = address_port(address);

        (void)address_format(address, text);
        packet_add(packet, field, text, strlen(text));
        packet_add(packet, port_field, &port, sizeof port);
}

static void packet_add_bytes(Packet *packet, OpenedField field, GBytes *bytes) {
        size_t size;
        const void *data;

        if (!bytes)
                return;

        data = g_bytes_get_data(bytes, &size);
        packet_add(packet, field, data, size);
}

static void packet_fill(Packet *packet, const OpenedFacts *facts) {
        uint8_t resumed = facts->resumed;

        packet_add(packet, OPENED_CONNECTION, &facts->connection, sizeof facts->connection);
        packet_add_address(packet, OPENED_PEER, OPENED_PEER_PORT, &facts->peer);
        packet_add_address(packet, OPENED_LOCAL, OPENED_LOCAL_PORT, &facts->local);
        packet_add(packet, OPENED_DATA_MTU, &facts->data_mtu, sizeof facts->data_mtu);
        packet_add_bytes(packet, OPENED_PSK_IDENTITY, facts->psk_identity);
        packet_add_bytes(packet, OPENED_LEAF_SHA256, facts->leaf_sha256);
        packet_add(packet, OPENED_RESUMED, &resumed, sizeof resumed);
}

static int accept_queue_send(int fd, const Packet *packet, int channel_fd) {
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        struct iovec iov = {(void *)packet->bytes, packet->size};
        struct msghdr m = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof control,
        };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);

        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS,
                              .cmsg_len = CMSG_LEN(sizeof channel_fd)};
        memcpy(CMSG_DATA(c), &channel_fd, sizeof channel_fd);
        return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int accept_queue_push(AcceptQueue *queue, const OpenedFacts *facts, int channel_fd) {
        Packet packet = {0};
        int before, r;

        accept_queue_settle(queue);
        if (g_queue_get_length(queue->charges) >= ACCEPT_QUEUE_UNDELIVERED_MAX)
                return ACCEPT_QUEUE_E_FULL;

        packet_fill(&packet, facts);
        before = accept_queue_unread(queue);
        r = accept_queue_send(queue->fd, &packet, channel_fd);
        if (r == -EAGAIN || r == -ENOBUFS || r == -ETOOMANYREFS)
                return ACCEPT_QUEUE_E_FULL;
        if (r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN)
                return ACCEPT_QUEUE_E_HANGUP;
        if (r < 0)
                return fault(r);

        /* at least one byte each: a packet the application took at once weighs nothing */
        before = accept_queue_unread(queue) - before;
        if (before > 0) {
                g_queue_push_tail(queue->charges, GINT_TO_POINTER(before));
                queue->charged += before;
        }
        return 0;
}
