/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The open session: plaintext in and out, and goodbyes.
 *
 * Few of GnuTLS's codes end an open session; a record that was not good, a warning, a wish to
 * negotiate anew cost that record and nothing else.
 */

#include "session/private.h"

#include "base/fault.h"

static void data_deliver(Session *session, gnutls_packet_t packet) {
        gnutls_datum_t plain;

        gnutls_packet_get(packet, &plain, NULL);
        if (!session->turn.app || !datagram_batch_append(session->turn.app, plain.data, plain.size))
                session->stats.n_dropped_app_full++;
}

static int data_closed(Session *session) {
        failure_set(session, DTLS_REMOTE_CLOSED_CONNECTION_ERROR, "the peer closed the connection");
        (void)gnutls_bye(session->gnutls, GNUTLS_SHUT_WR); /* an answer, not a question */
        direct_done(session);
        session->housekeeping_usec = SESSION_NEVER;
        session->state = SESSION_OVER;
        return SESSION_E_CLOSED;
}

/* The hello of another handshake waits in GnuTLS's buffer. gnutls_record_recv_packet() would take
 * it out and never free it, 17 KB each time; this one frees it, and as it is there reads nothing.
 */
static void data_discard_hello(Session *session) {
        uint8_t unused;

        if (gnutls_record_check_pending(session->gnutls) > 0)
                (void)gnutls_record_recv(session->gnutls, &unused, sizeof unused);
}

/* RFC 5246, 7.2.2: one short answer for each hello that was under our keys. */
static int data_refuse_handshake(Session *session) {
        int r;

        data_discard_hello(session);
        r = gnutls_alert_send(session->gnutls, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
        return r == GNUTLS_E_PUSH_ERROR ? failure_from_code(session, r) : 0;
}

static int data_judge(Session *session, int code) {
        switch (code) {
        case 0:
                return data_closed(session);
        case GNUTLS_E_FATAL_ALERT_RECEIVED:
        case GNUTLS_E_INVALID_SESSION:
        case GNUTLS_E_RECORD_LIMIT_REACHED:
        case GNUTLS_E_MEMORY_ERROR:
        case GNUTLS_E_PUSH_ERROR: /* wire.c let it not go out */
                return failure_from_code(session, code);
        case GNUTLS_E_REHANDSHAKE:
                return data_refuse_handshake(session);
        default:
                return 0;
        }
}

/* A Finished that comes again says that our last flight was lost: GnuTLS sends it again if the
 * clock says that it is time. It says so for this call, and keeps saying so only if that happened,
 * so that forged records do not carry the clock away. */
static int data_read_record(Session *session) {
        uint64_t clock_msec = session->clock_msec;
        gnutls_packet_t packet = NULL;
        Session *before;
        ssize_t n;

        session->turn.pulled = false;
        session->turn.pushed = false;
        if (session->housekeeping_usec != SESSION_NEVER)
                clock_advance(session);

        direct_tell_number(session);
        before = clock_bind(session);
        n = gnutls_record_recv_packet(session->gnutls, &packet);
        (void)clock_bind(before);
        wire_settle(session);

        if (session->turn.pushed)
                session->stats.n_flights_resent++;
        else
                session->clock_msec = clock_msec;
        if (n <= 0)
                return data_judge(session, (int)n);

        data_deliver(session, packet);
        gnutls_packet_deinit(packet);
        session->turn.pulled = true; /* now or in an earlier call */
        return 0;
}

/* Asking GnuTLS itself would cost a fifth of a datagram's reading. */
static bool data_has_more(const Session *session) {
        return filter_ready(&session->filter) || gnutls_record_check_pending(session->gnutls) > 0;
}

int data_read(Session *session) {
        do {
                int r = data_read_record(session);

                if (r)
                        return r;
        } while (session->turn.pulled && data_has_more(session));

        return 0;
}

int data_judge_forgeries(Session *session) {
        if (session->stats.n_discarded < SESSION_DISCARDED_MAX || session->state != SESSION_OPEN)
                return 0;

        failure_set(session, DTLS_TLS_FATAL_ERROR,
                    "too many forged records came for its keys; connect again");
        return failure_end(session, GNUTLS_A_INTERNAL_ERROR);
}

static int data_send(Session *session, const void *data, size_t size) {
        Session *before;
        ssize_t n;

        direct_tell_number(session);
        before = clock_bind(session);
        n = gnutls_record_send(session->gnutls, data, size);
        (void)clock_bind(before);

        if (n == GNUTLS_E_LARGE_PACKET)
                return SESSION_E_TOO_LONG;
        if (n < 0)
                return failure_from_code(session, (int)n);

        session->direct.size_max = MAX(session->direct.size_max, size);
        return 0;
}

int session_send(Session *session, const void *data, size_t size, DatagramBatch *net) {
        int r;

        if (session->state != SESSION_OPEN)
                return SESSION_E_NOT_OPEN;
        if (size == 0)
                return SESSION_E_EMPTY;
        if (size > session->payload_max)
                return SESSION_E_TOO_LONG;
        if (size + session->record_overhead > datagram_batch_room(net))
                return SESSION_E_NO_ROOM;

        if (direct_sends(session, size))
                return direct_send(session, data, size, net);

        wire_begin(session, 0, net, NULL);
        r = data_send(session, data, size);
        wire_end(session);

        return r;
}
