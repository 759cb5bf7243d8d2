/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Order: which handshake messages a peer may send in plaintext, in which order, how long each may
 * be, and behind which of them its ChangeCipherSpec comes (RFC 5246 7.3, RFC 6347 4.2.1, RFC 5077
 * 3.3).
 *
 * Knows: full handshakes of DTLS 1.0 and 1.2, and those that take up an old session. Does not know:
 * records, fragments, message numbers. A value, to be embedded.
 */

#include "base/terms.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORDER_MESSAGE_MAX ((size_t)32 * 1024) /* bytes of one handshake message */
#define ORDER_HELLO_VERIFY_MAX 4              /* GnuTLS ends the handshake at the next one */

typedef struct Order {
        DtlsRole role;          /* ours */
        bool tickets;           /* a client that takes NewSessionTickets */
        bool expects_ticket;    /* the server said that one comes before its ChangeCipherSpec */
        bool expects_proof;     /* the peer sent a certificate: CertificateVerify comes before it */
        bool expects_change;    /* every message before it was consumed */
        uint8_t last_rank;      /* of the message consumed last */
        uint8_t n_hello_verify; /* HelloVerifyRequests consumed */
} Order;

/* Whether a peer says such a thing at all. */
bool order_knows(const Order *order, unsigned type);
/* Whether it may say this, of so many bytes, some time behind what was consumed. */
bool order_takes(const Order *order, unsigned type, size_t length);
void order_consumed(Order *order, unsigned type, const uint8_t *body, size_t size);
/* The hello that was consumed last takes up an old session: nothing is left to be agreed on. */
void order_resume(Order *order);
