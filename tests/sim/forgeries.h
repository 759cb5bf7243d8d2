/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Forgeries: what somebody can send who can write the peer's address on a datagram, and sees
 * nothing; each kind under its name.
 */

#include "wire.h"

typedef struct Forger Forger;

typedef struct Forgery {
        const char *name;
        void (*forge)(Forger *forger); /* NULL: messages */
        /* Whole messages of noise of this type and size, at each place from the first to the last.
         */
        struct {
                unsigned type, first, last;
                uint32_t size;
        } messages;
        /* Whether it may end the handshake of a client or a server. What cannot be avoided: a
         * message of a kind that the peer may send next, in the right place, is taken for the
         * peer's. */
        bool kills_client, kills_server;
} Forgery;

/* A fragment of a handshake message, in a record of its own. */
typedef struct Piece {
        unsigned type, message;
        uint32_t length, offset, claimed, size; /* claimed: the fragment's, when not size */
} Piece;

extern const Forgery forgeries[];
extern const size_t n_forgeries;
const Forgery *forgery_named(const char *name);

void forgeries_init(void); /* makes the noise */
void forge(const Forgery *forgery, WireEnd *victim);
void forge_pieces(WireEnd *victim, const Piece *pieces, size_t n);
