/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Runs gnutls_handshake(), on a fiber, as long as that moves anything.
 *
 * AGAIN does not mean that the input was used up: a stale record costs one return each. And GnuTLS
 * may have read a record ahead without having looked at it. So it is called again until a call
 * neither took a record nor gave one; since the session's clock stands still, such a call more does
 * no harm.
 */

#include "session/private.h"

#include "base/fault.h"

/* each takes a record or gives a flight: far more than there are */
#define HANDSHAKE_STEPS_MAX 256
#define HOUSEKEEPING_USEC (61 * UINT64_C(1000000)) /* GnuTLS keeps its last flight for 60 s */

static FiberPool *handshake_pool; /* of the process: written once, by its one thread */

int handshake_global_init(void) {
        if (!handshake_pool)
                handshake_pool = fiber_pool_new(SESSION_SUSPENDED_MAX, SESSION_STACKS_SPARE);

        return handshake_pool ? 0 : fault(-ENOMEM);
}

/* On the fiber, which is entered once for all the calls: a stack that is taken must be wiped. */
static void handshake_run(void *argument) {
        Session *session = argument;

        for (unsigned i = 0; i < HANDSHAKE_STEPS_MAX; i++) {
                session->turn.pulled = false;
                session->turn.pushed = false;
                session->code = gnutls_handshake(session->gnutls);
                wire_settle(session);
                if (session->code >= 0 || session->code == GNUTLS_E_LARGE_PACKET ||
                    gnutls_error_is_fatal(session->code) || mismatch_is_seen(session))
                        return;
                if (!session->turn.pulled && !session->turn.pushed)
                        return;
        }
}

/* A message of the peer's that GnuTLS has not looked at yet. */
static int handshake_look(Session *session, unsigned type, const gnutls_datum_t *message) {
        switch (type) {
        case GNUTLS_HANDSHAKE_CLIENT_HELLO:
                return choice_note_client_hello(session, message);
        case GNUTLS_HANDSHAKE_SERVER_HELLO:
                return choice_note_server_hello(session, message);
        case GNUTLS_HANDSHAKE_NEW_SESSION_TICKET:
                ticket_note(session, message);
                return 0;
        default:
                return 0;
        }
}

/* GnuTLS consumed a message of the peer's. */
static int handshake_consumed(gnutls_session_t gnutls, unsigned type, unsigned when,
                              unsigned incoming, const gnutls_datum_t *message) {
        Session *session = gnutls_session_get_ptr(gnutls);

        if (!incoming) {
                if (type == GNUTLS_HANDSHAKE_CLIENT_HELLO)
                        ticket_note_offer(session, message);
                else if (type == GNUTLS_HANDSHAKE_FINISHED)
                        mismatch_note_finished(session);
                return 0;
        }
        if (when == GNUTLS_HOOK_PRE)
                return handshake_look(session, type, message);

        if (type == GNUTLS_HANDSHAKE_CLIENT_HELLO)
                alpn_note_hello(session, message);
        session->filter.version =
                gnutls_protocol_get_version(gnutls) == GNUTLS_DTLS1_0 ? 0xfeff : 0xfefd;
        filter_consumed(&session->filter, type, message->data, message->size);
        if (ticket_is_taken(session, type, message))
                filter_resume(&session->filter);
        filter_forget_alert(&session->filter);
        session->alert_usec = SESSION_NEVER;
        session->stats.n_records_accepted++;
        return 0;
}

int handshake_prepare(Session *session) {
        g_assert(handshake_pool);

        gnutls_handshake_set_hook_function(session->gnutls, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH,
                                           handshake_consumed);
        session->fiber = fiber_new(handshake_pool, handshake_run, session);
        return session->fiber ? 0 : fault(-ENOMEM);
}

static int handshake_enter(Session *session) {
        Session *before = clock_bind(session);
        int r = fiber_enter(session->fiber);

        (void)clock_bind(before);
        return r;
}

/* Without a stack nothing is run; what arrived is lost and the peer will send it again. */
static void handshake_drop(Session *session) {
        uint8_t unread;

        session->turn.starved = true;
        while (filter_ready(&session->filter)) {
                (void)filter_take(&session->filter, &unread, sizeof unread);
                session->stats.n_dropped_queue++;
        }
}

int handshake_complete(Session *session) {
        filter_open(&session->filter);
        session->state = SESSION_OPEN;
        session->retransmit_usec = SESSION_NEVER;
        session->handshake_usec = SESSION_NEVER;
        session->alert_usec = SESSION_NEVER;
        session->timed_out = false;
        /* whose flight is the last */
        if ((session->config->spec.role == DTLS_SERVER) !=
            (gnutls_session_is_resumed(session->gnutls) != 0))
                session->housekeeping_usec = session->turn.now_usec + HOUSEKEEPING_USEC;
        session->fiber = fiber_free(session->fiber);
        facts_measure(session);

        return data_read(session);
}

static int handshake_returned(Session *session) {
        if (session->code == GNUTLS_E_SUCCESS) {
                int r = ask_verdict_resumed(session);

                if (r < 0)
                        return failure_from_code(session, r);

                facts_read(session); /* as in Qt, a late verdict is asked of who knows them */
                return ask_late(session) ? 0 : handshake_complete(session);
        }
        if (session->code == GNUTLS_E_LARGE_PACKET) {
                /* the flight goes out again, in smaller pieces, with the timer */
                gnutls_dtls_set_mtu(session->gnutls, (unsigned)session->mtu);
                return 0;
        }
        if (gnutls_error_is_fatal(session->code))
                return failure_from_code(session, session->code);
        if (mismatch_is_seen(session))
                return mismatch_end(session);

        return 0;
}

int handshake_drive(Session *session) {
        int r;

        if (!fiber_is_suspended(session->fiber))
                gnutls_dtls_set_mtu(session->gnutls, (unsigned)session->mtu);

        r = handshake_enter(session);
        if (r < 0)
                return fault(r);

        switch ((FiberOutcome)r) {
        case FIBER_E_YIELDED:
                return 0;
        case FIBER_E_NO_STACK:
                handshake_drop(session);
                return 0;
        }

        return handshake_returned(session);
}

void handshake_unwind(Session *session) {
        DatagramBatch *net = session->turn.net;

        if (!fiber_is_suspended(session->fiber))
                return;

        session->answer = (SessionAnswer){0};
        session->turn.net = NULL;
        (void)handshake_enter(session); /* whatever becomes of it, it ends */
        session->turn.net = net;
        g_assert(!fiber_is_suspended(session->fiber));
        ask_clear(session);
}
