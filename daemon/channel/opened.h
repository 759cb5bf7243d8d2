/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * opened: what an application is told of a connection that has opened, as type-length-value
 * (interfaces/README.md): in an accept queue's packet, and in frames of a shared channel.
 */

#include "base/address.h"

#include <glib.h>

/* u16 type, u16 length in host order, bytes, padding to 4. */
typedef enum OpenedField {
        OPENED_CONNECTION = 1, /* u32: the number in its object path */
        OPENED_PEER = 2,       /* text, "192.0.2.1" */
        OPENED_PEER_PORT = 3,  /* u16 */
        OPENED_LOCAL = 4,      /* text */
        OPENED_LOCAL_PORT = 5, /* u16 */
        OPENED_DATA_MTU = 6,   /* u32 */
        OPENED_PSK_IDENTITY = 7,
        OPENED_LEAF_SHA256 = 8, /* 32 bytes: of the peer's certificate */
        OPENED_RESUMED = 9,     /* u8 */
        OPENED_LISTENER = 10,   /* u32: the number in its listener's object path */
        OPENED_NEXT_PROTOCOL = 11,
        OPENED_SERVER_NAME = 12, /* text */
} OpenedField;

typedef struct OpenedFacts {
        uint32_t connection;
        Address peer, local;
        uint32_t data_mtu;
        GBytes *psk_identity; /* or NULL */
        GBytes *leaf_sha256;  /* or NULL */
        bool resumed;
        uint32_t listener; /* 0: it has none */
        const uint8_t *next_protocol;
        size_t next_protocol_size; /* 0: none was agreed */
        char server_name[256];     /* that a client asked for; "": none */
} OpenedFacts;

GByteArray *opened_encode(const OpenedFacts *facts);
/* The one fact that changes later. */
GByteArray *opened_encode_data_mtu(uint32_t data_mtu);
