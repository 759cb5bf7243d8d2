/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Hello: what a stranger's first datagram must be before anything is done about it (RFC 6347 4.2.1
 * and 4.2.2). Pure: bytes in, offsets out; no state, no memory.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Headers of record and message, version, random, lengths of session id and cookie: nothing shorter
 * is one. */
#define HELLO_SIZE_MIN (13 + 12 + 2 + 32 + 1 + 1)

typedef struct Hello {
        uint64_t record_sequence; /* 48 bits */
        uint16_t message_seq;
        bool fragmented; /* the first fragment of a longer ClientHello */
        const uint8_t *cookie;
        size_t cookie_size;
} Hello;

typedef enum HelloOutcome {
        HELLO_E_NOT_HELLO = 1, /* not the first fragment of a ClientHello up to its cookie */
} HelloOutcome;

int hello_parse(const uint8_t *data, size_t size, Hello *ret);
