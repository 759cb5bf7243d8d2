/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Replace: a new ClientHello from a known address, RFC 6347 4.2.8.
 *
 * A peer that lost its state starts anew from the same address. It has to prove the address with a
 * cookie first, so that a spoofer costs nothing and ends nothing; then a successor is made beside
 * the elder association. Plaintext records are the successor's, encrypted ones the elder's first.
 * When the successor completes, the elder ends without a word, for its peer has no keys any more;
 * when it fails, only it goes.
 *
 * An elder that is still shaking hands is told apart from its restarted peer by the hello's random:
 * the same random is a retransmission, another one with a good cookie is a peer that has given up,
 * and the half-open association makes room at once.
 *
 * Knows: which of two associations a datagram is for. Does not know: how a hello is proven.
 */

#include "relay/private.h"

#include <string.h>

#define RECORD_HEADER_SIZE 13
#define RECORD_EPOCH_OFFSET 3
#define RECORD_HANDSHAKE 22
#define RECORD_DATA 23
#define MESSAGE_CLIENT_HELLO 1
#define HELLO_RANDOM_OFFSET (RECORD_HEADER_SIZE + 12 + 2) /* handshake header, version */

static const uint8_t *replace_random(const Datagram *in) {
        Hello hello;

        if (in->size < HELLO_RANDOM_OFFSET + HELLO_RANDOM_SIZE)
                return NULL;
        if (hello_parse(in->data, in->size, &hello))
                return NULL;

        return in->data + HELLO_RANDOM_OFFSET;
}

void replace_note_hello(Connection *connection, const Datagram *in) {
        const uint8_t *random = replace_random(in);

        if (random)
                memcpy(connection->hello_random, random, HELLO_RANDOM_SIZE);
}

static bool replace_is_its_hello(const Connection *connection, const uint8_t *random) {
        return memcmp(connection->hello_random, random, HELLO_RANDOM_SIZE) == 0;
}

bool replace_is_plaintext(const Datagram *in) {
        return in->size >= RECORD_EPOCH_OFFSET + 2 && in->data[RECORD_EPOCH_OFFSET] == 0 &&
               in->data[RECORD_EPOCH_OFFSET + 1] == 0;
}

bool replace_is_of_flight(const Datagram *in) {
        if (in->size <= RECORD_HEADER_SIZE || in->data[0] == RECORD_DATA)
                return false;

        return !replace_is_plaintext(in) || in->data[0] != RECORD_HANDSHAKE ||
               in->data[RECORD_HEADER_SIZE] != MESSAGE_CLIENT_HELLO;
}

/* A hello of neither association: NULL when it is only answered, or there is no room for it. */
static Connection *replace_begin(Connection *elder, const Datagram *in) {
        Listener *listener = elder->listener;
        Hello hello;
        int r;

        datagram_batch_address(elder->relay->net, &in->peer, &in->local);
        r = cookie_check(listener->jar, relay_now(elder->relay), in, elder->relay->net, &hello);
        if (r) {
                tally_listener(listener,
                               r == COOKIE_E_ASKED ? TALLY_COOKIES_ASKED : TALLY_DROPPED_STRANGER,
                               1);
                return NULL;
        }

        if (elder->state != HANDSHAKE_COMPLETE) {
                connection_end(elder, END_REPLACED);
                return listener_admit(listener, in, &hello, NULL);
        }

        if (elder->successor)
                connection_end(elder->successor, END_REPLACED);
        return listener_admit(listener, in, &hello, elder);
}

Connection *replace_route(Connection *connection, const Datagram *in) {
        const uint8_t *random;

        if (!connection->listener)
                return connection;

        random = replace_random(in);
        if (random && replace_is_its_hello(connection, random))
                return connection;
        if (random &&
            (!connection->successor || !replace_is_its_hello(connection->successor, random)))
                return replace_begin(connection, in);
        if (connection->successor && replace_is_plaintext(in))
                return connection->successor;

        return connection;
}

Connection *replace_second(Connection *elder, const Datagram *in) {
        if (!elder->session || !elder->successor || replace_is_plaintext(in))
                return NULL;

        return session_took_last(elder->session) ? NULL : elder->successor;
}

void replace_complete(Connection *successor) {
        Connection *elder = successor->predecessor;

        if (!elder)
                return;

        tally_connection(elder, TALLY_REPLACED, 1);
        connection_end(elder, END_REPLACED); /* which puts the successor in its place */
}

void replace_unlink(Connection *connection) {
        Demux *demux = connection->endpoint->demux;
        Connection *successor = connection->successor;

        if (connection->predecessor) {
                connection->predecessor->successor = NULL;
                connection->predecessor = NULL;
                return; /* it never had the place */
        }

        demux_remove(demux, &connection->spec->peer, &connection->local);
        if (!successor)
                return;

        connection->successor = NULL;
        successor->predecessor = NULL;
        demux_insert(demux, &successor->spec->peer, &successor->local, successor);
}
