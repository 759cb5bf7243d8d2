/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is told of a connection when it comes: the fields of an accept queue's packet and of frames
 * of a shared channel (interfaces/README.md). They come from the service, and are read as if from a
 * stranger.
 */

#include "private.h"

#include <errno.h>
#include <string.h>

/* u16 type, u16 length in host order, bytes, padding to 4 */
enum {
        FIELD_CONNECTION = 1,
        FIELD_PEER = 2,
        FIELD_PEER_PORT = 3,
        FIELD_LOCAL = 4,
        FIELD_LOCAL_PORT = 5,
        FIELD_DATA_MTU = 6,
        FIELD_PSK_IDENTITY = 7,
        FIELD_LEAF = 8,
        FIELD_RESUMED = 9,
        FIELD_LISTENER = 10,
        FIELD_NEXT_PROTOCOL = 11,
        FIELD_SERVER_NAME = 12,
};

#define LEAF_SIZE 32

static int number_take(void *ret, size_t ret_size, const uint8_t *value, size_t size) {
        if (size != ret_size)
                return -EBADMSG;

        memcpy(ret, value, size);
        return 0;
}

int dtlsd_text_take(char *ret, size_t ret_size, const void *text, size_t size) {
        if (size >= ret_size || memchr(text, 0, size))
                return -EBADMSG;

        memcpy(ret, text, size);
        ret[size] = '\0';
        return 0;
}

static int resumed_take(int *ret, const uint8_t *value, size_t size) {
        uint8_t flag = 0;
        int r;

        r = number_take(&flag, sizeof flag, value, size);
        *ret = flag;
        return r;
}

static int field_take(uint16_t type, const uint8_t *value, size_t size, uint32_t *ret_connection,
                      struct dtlsd_facts *facts) {
        const struct dtlsd_bytes bytes = {value, size};

        switch (type) {
        case FIELD_CONNECTION:
                return number_take(ret_connection, sizeof *ret_connection, value, size);
        case FIELD_PEER:
                return dtlsd_text_take(facts->peer_address, sizeof facts->peer_address, value,
                                       size);
        case FIELD_PEER_PORT:
                return number_take(&facts->peer_port, sizeof facts->peer_port, value, size);
        case FIELD_LOCAL:
                return dtlsd_text_take(facts->local_address, sizeof facts->local_address, value,
                                       size);
        case FIELD_LOCAL_PORT:
                return number_take(&facts->local_port, sizeof facts->local_port, value, size);
        case FIELD_DATA_MTU:
                return number_take(&facts->data_mtu, sizeof facts->data_mtu, value, size);
        case FIELD_PSK_IDENTITY:
                facts->psk_identity = bytes;
                return 0;
        case FIELD_LEAF:
                facts->leaf_fingerprint = value;
                return size == LEAF_SIZE ? 0 : -EBADMSG;
        case FIELD_RESUMED:
                return resumed_take(&facts->resumed, value, size);
        case FIELD_LISTENER:
                return number_take(&facts->listener, sizeof facts->listener, value, size);
        case FIELD_NEXT_PROTOCOL:
                facts->next_protocol = bytes;
                return 0;
        case FIELD_SERVER_NAME:
                return dtlsd_text_take(facts->server_name, sizeof facts->server_name, value, size);
        default: /* of a later version */
                return 0;
        }
}

int dtlsd_facts_read(const uint8_t *fields, size_t size, uint32_t *ret_connection,
                     struct dtlsd_facts *ret) {
        size_t at = 0;
        int r;

        while (at < size) {
                uint16_t type, length;

                if (size - at < sizeof type + sizeof length)
                        return -EBADMSG;
                memcpy(&type, fields + at, sizeof type);
                memcpy(&length, fields + at + sizeof type, sizeof length);
                at += sizeof type + sizeof length;
                if (length > size - at)
                        return -EBADMSG;

                r = field_take(type, fields + at, length, ret_connection, ret);
                if (r < 0)
                        return r;

                at += (length + 3u) & ~3u; /* the last one's padding may be left out */
        }

        return 0;
}
