/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Use, see use.h. What was in a packet may have been a key: it is wiped as it goes. */

#include "base/use.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define USE_ALIGNMENT 8

struct UsePacket {
        size_t size, next, n_uses;
        uint8_t bytes[USE_PACKET_MAX];
};

static size_t use_whole(size_t size) {
        return sizeof(Use) + (size + USE_ALIGNMENT - 1) / USE_ALIGNMENT * USE_ALIGNMENT;
}

UsePacket *use_packet_new(void) {
        UsePacket *packet = g_malloc(sizeof(*packet)); /* no more of it is touched than is used */

        packet->size = 0;
        packet->next = 0;
        packet->n_uses = 0;
        return packet;
}

void use_drop(UsePacket *packet) {
        explicit_bzero(packet->bytes, packet->size);
        packet->size = 0;
        packet->next = 0;
        packet->n_uses = 0;
}

UsePacket *use_packet_free(UsePacket *packet) {
        if (!packet)
                return NULL;

        use_drop(packet);
        g_free(packet);
        return NULL;
}

/* ---- out ---- */

bool use_put(UsePacket *packet, const Use *use, const char *word, const void *bytes) {
        uint8_t *place = packet->bytes + packet->size;
        const size_t whole = use_whole(use->size);
        Use head = *use;

        if (use->size > USE_BYTES_MAX || whole > sizeof(packet->bytes) - packet->size)
                return false;
        if (g_strlcpy(head.word, word, sizeof(head.word)) >= sizeof(head.word))
                return false;

        memset(place + whole - USE_ALIGNMENT, 0, USE_ALIGNMENT); /* the padding, before the bytes */
        memcpy(place, &head, sizeof(head));
        if (use->size > 0)
                memcpy(place + sizeof(head), bytes, use->size);
        packet->size += whole;
        packet->n_uses++;
        return true;
}

size_t use_count(const UsePacket *packet) {
        return packet->n_uses;
}

int use_send(UsePacket *packet, int fd, int flags) {
        if (packet->size == 0)
                return 0;
        if (send(fd, packet->bytes, packet->size, flags | MSG_NOSIGNAL) < 0)
                return -errno;

        use_drop(packet);
        return 0;
}

/* ---- in ---- */

int use_receive(UsePacket *packet, int fd) {
        ssize_t n;

        use_drop(packet);
        n = recv(fd, packet->bytes, sizeof(packet->bytes), MSG_DONTWAIT | MSG_TRUNC);
        if (n <= 0)
                return n < 0 ? -errno : -ECONNRESET;

        packet->size = MIN((size_t)n, sizeof(packet->bytes));
        if ((size_t)n > sizeof(packet->bytes)) { /* nothing of it is believed */
                use_drop(packet);
                packet->size = 1;
        }
        return 0;
}

bool use_next(UsePacket *packet, Use *ret, void **ret_bytes) {
        uint8_t *place = packet->bytes + packet->next;
        const size_t left = packet->size - packet->next;

        if (left < sizeof(*ret))
                return false;

        memcpy(ret, place, sizeof(*ret));
        if (ret->size > USE_BYTES_MAX || use_whole(ret->size) > left ||
            !memchr(ret->word, '\0', sizeof(ret->word)))
                return false;

        *ret_bytes = place + sizeof(*ret);
        packet->next += use_whole(ret->size);
        return true;
}

bool use_has_more(const UsePacket *packet) {
        return packet->next < packet->size;
}
