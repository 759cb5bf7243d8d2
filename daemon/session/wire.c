/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The wire as GnuTLS sees it: push and pull.
 *
 * pull hands over one record that the filter let through, or says that there is none now; it never
 * waits. push puts records together into datagrams of the net batch, as many as the MTU takes; a
 * batch without room is loss, which DTLS repairs.
 *
 * Here it is also seen whether a record was good: GnuTLS counts what it cannot authenticate, so a
 * record it took without counting was the peer's.
 */

#include "session/private.h"

#include <errno.h>

void wire_settle(Session *session) {
        uint64_t n_discarded = gnutls_record_get_discarded(session->gnutls);
        bool good = n_discarded == session->n_discarded_seen;

        session->stats.n_discarded += n_discarded - session->n_discarded_seen;
        session->n_discarded_seen = n_discarded;
        if (!session->sealed)
                return;

        session->sealed = false;
        if (!good) {
                mismatch_note_spoiled(session);
                return;
        }

        direct_note_taken(session, session->sealed_number);
        session->took_last = true;
        session->stats.n_records_accepted++;
}

/* Its size, or 0: there is none. */
static size_t wire_take(Session *session, uint8_t *buffer, size_t size, uint64_t *ret_number) {
        size_t taken;

        do {
                taken = filter_take(&session->filter, buffer, size);
                if (taken < RECORD_HEADER_SIZE)
                        return 0;

                *ret_number = record_number(buffer);
        } while (record_number_is_encrypted(*ret_number) && direct_has_taken(session, *ret_number));

        return taken;
}

static ssize_t wire_pull(gnutls_transport_ptr_t pointer, void *buffer, size_t size) {
        Session *session = pointer;
        uint64_t number;
        size_t taken;

        wire_settle(session);

        taken = wire_take(session, buffer, size, &number);
        if (taken == 0) {
                gnutls_transport_set_errno(session->gnutls, EAGAIN);
                return -1;
        }

        session->turn.pulled = true;
        session->sealed_type = ((const uint8_t *)buffer)[0];
        session->sealed_number = number;
        session->sealed = record_number_is_encrypted(number);
        return (ssize_t)taken;
}

static int wire_pull_timeout(gnutls_transport_ptr_t pointer, unsigned milliseconds) {
        Session *session = pointer;

        return filter_ready(&session->filter) ? 1 : 0;
}

static void wire_flush(SessionTurn *turn) {
        if (turn->place)
                datagram_batch_commit(turn->net, turn->size);

        turn->place = NULL;
        turn->size = 0;
}

static void wire_append(Session *session, const void *record, size_t size) {
        SessionTurn *turn = &session->turn;
        uint8_t *place;

        if (turn->place && turn->size + size > session->mtu)
                wire_flush(turn);

        place = datagram_batch_reserve(turn->net, turn->size + size);
        if (!place) {
                wire_flush(turn);
                session->stats.n_dropped_net_full++;
                return;
        }

        memcpy(place + turn->size, record, size);
        turn->place = place;
        turn->size += size;
}

/* Never a number twice, whatever went wrong: the session ends by it. */
static bool wire_may_leave(Session *session, const uint8_t *record, size_t size) {
        return size < RECORD_HEADER_SIZE || !record_number_is_encrypted(record_number(record)) ||
               direct_may_write(session, record_number(record));
}

static ssize_t wire_push(gnutls_transport_ptr_t pointer, const void *record, size_t size) {
        Session *session = pointer;

        session->turn.pushed = true;
        session->turn.sent = true;
        if (!wire_may_leave(session, record, size)) {
                gnutls_transport_set_errno(session->gnutls, EIO);
                return -1;
        }
        if (!session->turn.net)
                return (ssize_t)size;

        if (session->state == SESSION_SHAKING && size > session->mtu) {
                gnutls_transport_set_errno(session->gnutls, EMSGSIZE);
                return -1;
        }

        wire_append(session, record, size);
        return (ssize_t)size;
}

void wire_attach(Session *session) {
        gnutls_transport_set_ptr(session->gnutls, session);
        gnutls_transport_set_push_function(session->gnutls, wire_push);
        gnutls_transport_set_pull_function(session->gnutls, wire_pull);
        gnutls_transport_set_pull_timeout_function(session->gnutls, wire_pull_timeout);
}

void wire_begin(Session *session, uint64_t now_usec, DatagramBatch *net, DatagramBatch *app) {
        session->turn = (SessionTurn){.now_usec = now_usec, .net = net, .app = app};
}

void wire_end(Session *session) {
        mismatch_note_turn(session);
        wire_flush(&session->turn);
        session->turn.net = NULL;
        session->turn.app = NULL;
}
