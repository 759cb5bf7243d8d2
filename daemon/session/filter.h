/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Filter: what stands between the net and GnuTLS.
 *
 * Whoever can write a source address can send datagrams that look like the peer's. GnuTLS takes
 * many of them badly: an empty one ends the session, a header that promises 16 KiB swallows what
 * follows, a plaintext alert ends a handshake, any fragment at all is the answer to our flight,
 * which then is never sent again. So every datagram is cut into records here, each record is
 * judged, and GnuTLS gets one good record for each pull.
 *
 *                     +-> messages, from fragments --+
 *   filter_input() ---+                              +-> filter_take() -> GnuTLS
 *                     +-> bounded queue -------------+
 *                                ^
 *        filter_consumed() (GnuTLS's POST hook of incoming messages), filter_open()
 *
 * Plaintext handshake messages are put together here. GnuTLS is given the one that is next, when it
 * is whole, and nothing of the others. Until then whoever speaks last is believed: what a forger
 * lays in the peer's own words replace, at the latest when the peer says them again. Only what is
 * whole and next in line while GnuTLS cannot take it, as it waits for an answer, stays as it is. So
 * a forger has to forge a whole message of a kind that the peer may say, which DTLS 1.2 cannot tell
 * from the peer's before the end of the handshake.
 *
 * The queue puts right what the net swapped: a ChangeCipherSpec waits until every message before it
 * was consumed, what is encrypted waits for the ChangeCipherSpec, application data for the end of
 * the handshake.
 *
 * Numbers and versions of plaintext records are not believed; those records get new ones.
 *
 * Knows: the shape of DTLS 1.0 and 1.2 records and handshake fragments. Does not know: which
 * messages there are (Order does), keys, time, GnuTLS. A value, to be embedded; what it keeps is on
 * the heap.
 */

#include "session/filter-queue.h"
#include "session/order.h"
#include "session/reassembly.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_WINDOW 6 /* messages; the longest flight, a server's, has as many in plaintext */
#define FILTER_CLAIM_MAX ((size_t)48 * 1024) /* bytes of all messages in the window */

typedef struct Filter {
        Order order;
        bool open;    /* the handshake is complete */
        bool changed; /* the peer's ChangeCipherSpec was taken */

        uint16_t version;       /* of plaintext records; any until one was agreed on */
        uint16_t next_message;  /* message_seq of the next message to be consumed */
        uint64_t next_sequence; /* number given to the next plaintext record */

        Reassembly messages[FILTER_WINDOW]; /* [i]: next_message + i */
        size_t n_settled;                   /* of these, from the first: as they are they stay */
        uint32_t n_given;                   /* bytes of the first that GnuTLS was given */
        bool given;                         /* all of it */

        bool has_alert; /* a plaintext alert came: not to be believed while things go on */
        uint8_t alert_level, alert_description;

        FilterQueue queue;

        uint64_t n_dropped; /* records, or tails of datagrams, that were taken out */
        /* Records that came in plaintext before the handshake was complete, with nothing but
         * messages that were consumed: the peer sends its flight again, as it has not got ours or
         * could do nothing with it. Nobody vouches for them: a forger can send as many as he likes,
         * so only that they come in time, once an interval, says a little. */
        uint64_t n_repeated;
} Filter;

/* @first_message: message_seq of the first message to come: 0, or a cookie hello's. */
void filter_init(Filter *filter, DtlsRole role, uint16_t first_message);
void filter_done(Filter *filter);

/* A datagram as it came, of any size. It is looked into until filter_keep(). */
void filter_input(Filter *filter, const uint8_t *data, size_t size);
/* Copies what was not taken; nothing is allocated for what is taken at once. */
void filter_keep(Filter *filter);

/* Whether filter_take() has something now. */
bool filter_ready(const Filter *filter);
/* The next record into @buffer; its size, or 0: none. What is longer than @size is dropped. */
size_t filter_take(Filter *filter, uint8_t *buffer, size_t size);

/* GnuTLS consumed a handshake message; @type and @body as its hook was told. */
void filter_consumed(Filter *filter, unsigned type, const uint8_t *body, size_t size);
/* The hello that was consumed last takes up an old session: nothing is left to be agreed on. */
void filter_resume(Filter *filter);
/* The handshake is complete. */
void filter_open(Filter *filter);
/* The handshake moved on: an alert that came before was not the peer's last word. */
void filter_forget_alert(Filter *filter);
