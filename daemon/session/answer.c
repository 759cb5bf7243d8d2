/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The answers to what ask.c asked: each enters the fiber again, with what the callback waits for.
 */

#include "session/private.h"

const SessionQuestion *session_question(const Session *session) {
        return session->asking ? &session->question : NULL;
}

static bool answer_is_due(const Session *session, uint32_t serial, SessionWant want) {
        return session->asking && session->question.serial == serial &&
               session->question.want == want;
}

static int answer_late(Session *session) {
        if (session->answer.accept)
                return ask_late(session) ? 0 : handshake_complete(session);

        if (session->answer.why)
                ask_pin_refused(session, session->answer.why);
        else
                ask_verdict_refused(session);
        return failure_end(session, session->alert);
}

static int answer_go_on(Session *session, uint64_t now_usec, DatagramBatch *net,
                        DatagramBatch *app) {
        int r;

        wire_begin(session, now_usec, net, app);
        ask_clear(session);
        if (fiber_is_suspended(session->fiber))
                r = handshake_drive(session);
        else
                r = answer_late(session);
        timers_set(session);
        wire_end(session);

        session->answer = (SessionAnswer){0};
        return r;
}

int session_answer_psk(Session *session, uint32_t serial, uint64_t now_usec, GBytes *identity,
                       const Secret *key, DatagramBatch *net, DatagramBatch *app) {
        if (!answer_is_due(session, serial, SESSION_WANTS_PSK))
                return SESSION_E_STALE;

        session->answer = (SessionAnswer){
                .identity = identity,
                .key = key,
                .unknown = !key && session->config->spec.role == DTLS_SERVER,
        };
        return answer_go_on(session, now_usec, net, app);
}

int session_answer_signature(Session *session, uint32_t serial, uint64_t now_usec,
                             const void *signature, size_t size, const char *why,
                             DatagramBatch *net, DatagramBatch *app) {
        if (!answer_is_due(session, serial, SESSION_WANTS_SIGNATURE))
                return SESSION_E_STALE;

        session->answer = (SessionAnswer){
                .signature = signature,
                .signature_size = size,
                .why = why,
        };
        return answer_go_on(session, now_usec, net, app);
}

int session_answer_pin(Session *session, uint32_t serial, uint64_t now_usec, const char *why,
                       DatagramBatch *net, DatagramBatch *app) {
        if (!answer_is_due(session, serial, SESSION_WANTS_PIN))
                return SESSION_E_STALE;

        session->answer = (SessionAnswer){.accept = !why, .why = why};
        return answer_go_on(session, now_usec, net, app);
}

int session_answer_verdict(Session *session, uint32_t serial, uint64_t now_usec, bool accept,
                           DatagramBatch *net, DatagramBatch *app) {
        if (!answer_is_due(session, serial, SESSION_WANTS_VERDICT))
                return SESSION_E_STALE;

        session->answer = (SessionAnswer){.accept = accept};
        return answer_go_on(session, now_usec, net, app);
}
