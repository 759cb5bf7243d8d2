/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The two ends have different pre-shared keys, or the server has none for this identity.
 *
 * Nobody says so: a Finished message that does not decrypt looks like one that was damaged on its
 * way, and most drop it without a word. It has to be told from loss, and from forgery.
 *
 * A server sees it itself: a second such Finished, some time behind the first.
 *
 * A client sees that the server says its hello again and again (OpenSSL and Qt do), whatever the
 * client answers. The hello's random bytes show that it is the server's: who cannot listen cannot
 * know them. A server that took our last flight goes back no more; but one to which all of our
 * flights were lost says the same. So it counts behind more of them than a bad net loses. To have
 * so many soon enough, the flight also goes out as the answer to a repeated hello (RFC 6347,
 * 4.2.4), once between two timeouts.
 *
 * Others (GnuTLS) say nothing more. That cannot be told from a peer that is gone: the handshake's
 * deadline is the bound, and its text names the key.
 */

#include "session/private.h"

#include "base/fault.h"

/* By loss alone in 1 of 50000 handshakes, of a net that loses 3 datagrams of 10. With RFC 6347's
 * timers they were sent within 15 s, and the hello comes again behind 31 s. */
#define MISMATCH_TRIES 9
/* Enough when the handshake ends anyway. */
#define MISMATCH_TRIES_AT_DEADLINE 3

/* A server with no key for an identity goes on with one of chance, and shows a stranger no
 * difference; so does one that will not use its key, or has no room to ask for it. */
#define MISMATCH_OF_CLIENT                                                                         \
        "the server has another pre-shared key for our identity, or none that it would use; "      \
        "check "                                                                                   \
        "identity and key at both ends"

#define HELLO_EPOCH_OFFSET 3
#define HELLO_TYPE_OFFSET 13
#define HELLO_RANDOM_OFFSET (HELLO_TYPE_OFFSET + 12 + 2) /* message header, version */
#define HELLO_RANDOM_SIZE 32
#define RECORD_HANDSHAKE 22

/* What was said less than half an interval ago may still be under way. Half, because the peer's
 * timer need not be ours. */
static bool mismatch_is_past(const Session *session, uint64_t usec) {
        return session->turn.now_usec >= usec + session->retransmit_initial_usec / 2;
}

/* What comes at the same moment, or as often as one likes, can be forged; so the second one counts
 * only when it is a repetition in time. No server says Finished before it has taken the client's.
 */
void mismatch_note_spoiled(Session *session) {
        Mismatch *mismatch = &session->mismatch;

        if (session->config->spec.role != DTLS_SERVER || session->state != SESSION_SHAKING ||
            !session->filter.changed || session->sealed_type != RECORD_HANDSHAKE)
                return;

        if (mismatch->n_spoiled == 0) {
                mismatch->spoiled_usec = session->turn.now_usec;
                mismatch->spoiled_number = session->sealed_number;
                mismatch->n_spoiled = 1;
        } else if (session->sealed_number != mismatch->spoiled_number &&
                   mismatch_is_past(session, mismatch->spoiled_usec)) {
                mismatch->n_spoiled++;
        }
}

void mismatch_note_finished(Session *session) {
        session->mismatch.finished =
                session->config->spec.role == DTLS_CLIENT && session->psk_identity;
}

void mismatch_note_turn(Session *session) {
        Mismatch *mismatch = &session->mismatch;

        if (!mismatch->finished || !session->turn.sent || session->state != SESSION_SHAKING)
                return;

        if (mismatch_is_past(session, mismatch->flight_usec)) {
                mismatch->n_tried += mismatch->n_fresh;
                mismatch->n_fresh = 0;
        }
        mismatch->n_fresh++;
        mismatch->flight_usec = session->turn.now_usec;
}

/* Every implementation sends its hello in one piece, and first. */
static bool mismatch_is_hello(const Session *session, const Datagram *in) {
        gnutls_datum_t client, server;

        if (in->size < HELLO_RANDOM_OFFSET + HELLO_RANDOM_SIZE)
                return false;
        if (in->data[0] != RECORD_HANDSHAKE || in->data[HELLO_EPOCH_OFFSET] != 0 ||
            in->data[HELLO_EPOCH_OFFSET + 1] != 0 ||
            in->data[HELLO_TYPE_OFFSET] != GNUTLS_HANDSHAKE_SERVER_HELLO)
                return false;

        gnutls_session_get_random(session->gnutls, &client, &server);
        return server.size == HELLO_RANDOM_SIZE &&
               memcmp(in->data + HELLO_RANDOM_OFFSET, server.data, HELLO_RANDOM_SIZE) == 0;
}

int mismatch_take(Session *session, const Datagram *in) {
        Mismatch *mismatch = &session->mismatch;

        if (!mismatch->finished || session->state != SESSION_SHAKING || session->filter.changed ||
            !mismatch_is_hello(session, in))
                return 0;

        mismatch->n_refused = mismatch->n_tried;
        if (mismatch_is_past(session, mismatch->flight_usec))
                mismatch->n_refused += mismatch->n_fresh;
        if (mismatch->n_refused >= MISMATCH_TRIES)
                return mismatch_end(session);
        if (session->manual || mismatch->n_answered > session->stats.n_timeouts)
                return 0;

        mismatch->n_answered = session->stats.n_timeouts + 1;
        return timers_answer(session);
}

bool mismatch_is_seen(const Session *session) {
        return session->psk_identity && session->mismatch.n_spoiled >= 2;
}

bool mismatch_is_likely(const Session *session) {
        return session->mismatch.n_refused >= MISMATCH_TRIES_AT_DEADLINE;
}

const char *mismatch_why(const Session *session) {
        if (session->config->spec.role == DTLS_CLIENT)
                return MISMATCH_OF_CLIENT;

        return session->psk_unknown ? "no pre-shared key was given for its identity"
                                    : "the pre-shared keys differ; compare them at both ends";
}

const char *mismatch_hint(const Session *session) {
        if (session->mismatch.finished)
                return "; the peer does not answer our Finished message: most "
                       "likely " MISMATCH_OF_CLIENT;

        return session->psk_identity ? "; the peer's pre-shared key may be another" : "";
}

int mismatch_end(Session *session) {
        const char *what = session->mismatch.finished
                                   ? "the peer does not accept our Finished message"
                                   : "the peer's Finished message cannot be decrypted";

        failure_set(session, DTLS_TLS_FATAL_ERROR, "%s: %s", what, mismatch_why(session));
        return failure_end(session, GNUTLS_A_DECRYPT_ERROR);
}
