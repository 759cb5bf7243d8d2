/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The session's timers.
 *
 * While shaking: the flight in the air (resent once after the initial interval, then after twice as
 * long each time; a new flight starts again), the handshake's deadline, the answer's deadline while
 * a question is open, and the plaintext alert that came: nobody vouches for it, so it is believed
 * when the handshake has not moved for an interval. When open: one call 61 s later lets GnuTLS
 * forget its last flight.
 */

#include "session/private.h"

#include "base/fault.h"

/* Only an alert that would end a session counts. */
void timers_note_alert(Session *session) {
        const Filter *filter = &session->filter;

        if (!filter->has_alert || session->state != SESSION_SHAKING)
                return;

        if (filter->alert_level != GNUTLS_AL_FATAL &&
            filter->alert_description != GNUTLS_A_CLOSE_NOTIFY) {
                filter_forget_alert(&session->filter);
                return;
        }

        if (session->asking)
                session->alert_usec = SESSION_NEVER; /* nothing can move now, it proves nothing */
        else if (session->alert_usec == SESSION_NEVER)
                session->alert_usec = session->turn.now_usec + session->retransmit_initial_usec;
}

static void timers_arm(Session *session, uint64_t interval_usec) {
        session->interval_usec = MIN(interval_usec, session->retransmit_max_usec);
        session->retransmit_usec = session->turn.now_usec + session->interval_usec;
        session->timed_out = false;
}

/* Behind what may have moved the handshake. */
void timers_set(Session *session) {
        timers_note_alert(session);

        if (session->state != SESSION_SHAKING || session->asking) {
                session->retransmit_usec = SESSION_NEVER;
                session->timed_out = false;
                return;
        }

        if (session->turn.sent || session->turn.starved)
                timers_arm(session, session->retransmit_initial_usec);
}

/* Nothing sent means that no flight is in the air: the peer has to go on. */
static int timers_resend(Session *session) {
        int r;

        session->timed_out = false;
        session->retransmit_usec = SESSION_NEVER;
        clock_advance(session);
        r = handshake_drive(session);
        if (r)
                return r < 0 ? fault(r) : r;
        if (session->state != SESSION_SHAKING || session->asking)
                return 0;

        if (session->turn.sent)
                session->stats.n_flights_resent++;
        if (session->turn.sent || session->turn.starved)
                timers_arm(session, session->interval_usec * 2);
        return 0;
}

int timers_answer(Session *session) {
        clock_advance(session);
        session->stats.n_flights_resent++;
        return handshake_drive(session);
}

static int timers_timed_out(Session *session) {
        int r;

        session->stats.n_timeouts++;
        if (session->manual) {
                session->retransmit_usec = SESSION_NEVER;
                session->timed_out = true;
                return SESSION_E_TIMEOUT;
        }

        r = timers_resend(session);
        if (r)
                return r < 0 ? fault(r) : r;

        return session->turn.sent ? SESSION_E_TIMEOUT : 0;
}

static int timers_unanswered(Session *session) {
        static const char *const wants[] = {
                [SESSION_WANTS_PSK] = "the question for a pre-shared key",
                [SESSION_WANTS_SIGNATURE] = "the question for a signature",
                [SESSION_WANTS_VERDICT] = "the question whether to accept the peer",
                [SESSION_WANTS_PIN] = "the question to pin the peer's key",
        };
        SessionWant want = session->question.want;
        int alert = GNUTLS_A_USER_CANCELED;

        if (want == SESSION_WANTS_SIGNATURE)
                alert = GNUTLS_A_INTERNAL_ERROR;
        else if (want == SESSION_WANTS_PIN)
                alert = GNUTLS_A_BAD_CERTIFICATE;
        else if (want == SESSION_WANTS_VERDICT)
                alert = ask_verdict_alert(session);

        failure_set(session, DTLS_TLS_FATAL_ERROR, "%s was not answered within %.3g s", wants[want],
                    (double)session->answer_deadline_usec / 1e6);
        session->failure.timed_out = true;
        handshake_unwind(session);
        return failure_end(session, alert);
}

static int timers_too_late(Session *session) {
        const char *why = mismatch_hint(session);

        handshake_unwind(session);
        if (mismatch_is_likely(session))
                return mismatch_end(session);

        if (session->stats.n_records_accepted == 0)
                why = "; nothing was heard from the peer";
        failure_set(session, DTLS_TLS_FATAL_ERROR, "the handshake was not complete in time%s", why);
        session->failure.timed_out = true;
        return failure_end(session, GNUTLS_A_USER_CANCELED);
}

static int timers_due(Session *session) {
        uint64_t now_usec = session->turn.now_usec;

        if (session->state == SESSION_OVER)
                return 0;
        if (now_usec >= session->answer_usec)
                return timers_unanswered(session);
        if (now_usec >= session->handshake_usec)
                return timers_too_late(session);
        if (now_usec >= session->alert_usec)
                return failure_from_alert(session, session->filter.alert_description);
        if (now_usec >= session->retransmit_usec)
                return timers_timed_out(session);
        if (now_usec >= session->housekeeping_usec) {
                session->housekeeping_usec = SESSION_NEVER;
                return data_read(session);
        }

        return 0;
}

uint64_t session_deadline_usec(const Session *session) {
        uint64_t deadline_usec = MIN(session->retransmit_usec, session->handshake_usec);

        deadline_usec = MIN(deadline_usec, session->answer_usec);
        deadline_usec = MIN(deadline_usec, session->alert_usec);
        return MIN(deadline_usec, session->housekeeping_usec);
}

int session_expire(Session *session, uint64_t now_usec, DatagramBatch *net, DatagramBatch *app) {
        int r;

        wire_begin(session, now_usec, net, app);
        r = timers_due(session);
        wire_end(session);

        return r;
}

int session_retransmit(Session *session, uint64_t now_usec, DatagramBatch *net,
                       DatagramBatch *app) {
        int r;

        if (!session->timed_out)
                return SESSION_E_NO_TIMEOUT;

        wire_begin(session, now_usec, net, app);
        r = timers_resend(session);
        wire_end(session);

        return r;
}
