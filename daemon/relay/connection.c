/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connection: a session, a channel and a peer, and what becomes of them: opened, failed, ended,
 * gone. The state is written here alone. What the owner may ask of it is in commands.c, what it
 * knows in facts.c, how plaintext comes and goes in delivery.c, what it does at some time in
 * deadlines.c.
 *
 * Knows: what every outcome of a session means for the object. Does not know: who asks, D-Bus.
 */

#include "base/fault.h"
#include "base/log.h"
#include "relay/private.h"

#include <string.h>

const char *end_reason_name(EndReason reason) {
        static const char *const names[N_END_REASONS] = {
                [END_SHUTDOWN] = "Shutdown",
                [END_CLOSE] = "Close",
                [END_PEER_CLOSED] = "PeerClosed",
                [END_REPLACED] = "Replaced",
                [END_IDLE_TIMEOUT] = "IdleTimeout",
                [END_FAILED] = "Failed",
                [END_CHANNEL_CLOSED] = "ChannelClosed",
                [END_OWNER_GONE] = "OwnerGone",
                [END_LISTENER_CLOSED] = "ListenerClosed",
        };

        g_assert(reason < N_END_REASONS);
        return names[reason];
}

void connection_set_state(Connection *connection, HandshakeState state) {
        if (connection->state == state)
                return;

        connection->state = state;
        relay_tell(connection->relay, connection_state, connection, state, connection->error,
                   connection->error_text);
        connection_changed(connection, CHANGED_STATE);
}

/* ---- birth and death ---- */

int connection_new(Relay *relay, Spec *spec, Listener *listener, Connection **ret, Reason *reason) {
        g_autoptr(Connection) connection = NULL;
        int r;

        connection = g_new0(Connection, 1);
        connection->relay = relay;
        connection->spec = spec;
        connection->listener = listener;
        connection->local = spec->local;
        connection->handing_fd = -1;
        connection->error_text = g_strdup("");
        connection->announced = true;
        connection->errors = verdict_errors_new();
        connection->ignored = verdict_errors_new();
        connection_forget_agreed(connection);
        connection->alarm = (Alarm){.ring = connection_ring, .owner = connection};
        g_queue_init(&connection->queue);
        charges_init(&connection->charges, relay->quota, spec->uid);
        connection_touch(connection);

        lingering_make_room(relay, spec->uid);
        r = charges_add(&connection->charges, QUOTA_CONNECTIONS, 1, reason);
        if (r)
                return r;

        r = trunk_join(connection, reason);
        if (r)
                return r;

        *ret = g_steal_pointer(&connection);
        return 0;
}

static void connection_release_bytes(void *bytes) {
        g_bytes_unref(bytes);
}

Connection *connection_free(Connection *connection) {
        if (!connection)
                return NULL;

        g_assert(!connection->session && !connection->outlet && !connection->others &&
                 !connection->carrier && !connection->alarm.iter);
        trunk_leave(connection);
        g_queue_clear_full(&connection->queue, connection_release_bytes);
        config_release(connection->relay, &connection->config);
        g_clear_pointer(&connection->errors, g_array_unref);
        g_clear_pointer(&connection->ignored, g_array_unref);
        g_clear_pointer(&connection->peer_chain, g_ptr_array_unref);
        g_clear_pointer(&connection->psk_identity, g_bytes_unref);
        cookie_jar_free(connection->jar);
        charges_done(&connection->charges);
        g_free(connection->kept);
        g_free(connection->error_text);
        spec_free(connection->spec);
        g_free(connection);
        return NULL;
}

static void connection_release(void *corpse) {
        connection_free(corpse);
}

static void connection_release_session(void *corpse) {
        session_free(corpse);
}

int connection_associate(Connection *connection, const Hello *hello, Reason *reason) {
        const Spec *spec = connection->spec;
        g_autoptr(Secret) ticket = NULL;
        char literal[ADDRESS_STRING_MAX];
        SessionSpec session;
        int r;

        r = ticket_open(connection->relay, spec, &ticket, reason);
        if (r)
                return r;

        sources_make_room(connection);
        if (connection->endpoint->over)
                return fault(-ENOTCONN);

        r = charges_add(&connection->charges, QUOTA_HALF_OPEN, 1, reason);
        if (r)
                return r;

        if (!connection->ignored_said)
                connection_set_ignored(connection, spec->ignored);

        session = (SessionSpec){
                .config = connection->config,
                .verification_name =
                        spec->role == DTLS_CLIENT ? spec_peer_name(spec, literal) : NULL,
                .mtu = spec->mtu_hint,
                .manual = spec->manual,
                .retransmit_initial_usec = spec->retransmit_initial_usec,
                .retransmit_max_usec = spec->retransmit_max_usec,
                .handshake_deadline_usec = spec->handshake_deadline_usec,
                .answer_deadline_usec = spec->answer_deadline_usec,
                .ignored = connection->ignored,
                .ignored_codes = spec->ignored_codes,
                .hello = hello,
                .ticket = ticket,
                .direct_after = connection->relay->direct_after,
        };
        r = session_new(&session, relay_now(connection->relay), &connection->session);
        if (r) {
                charges_drop_all(&connection->charges, QUOTA_HALF_OPEN);
                return fault(r);
        }

        source_add(connection);
        connection->seen_session = (SessionStats){0};
        connection_forget_peer(connection);
        tally_connection(connection, TALLY_HANDSHAKES_STARTED, 1);
        return 0;
}

/* ---- around a call of the session ---- */

void connection_address_net(const Connection *connection) {
        static const Address any = {0};

        /* an own one's socket is connected and has but one address to send from */
        datagram_batch_address(connection->relay->net, &connection->spec->peer,
                               connection->listener ? &connection->local : &any);
}

void connection_prepare(Connection *connection) {
        Relay *relay = connection->relay;

        relay->net_mark = datagram_batch_count(relay->net);
        datagram_batch_reset(relay->app);
        connection_address_net(connection);
}

void connection_finish(Connection *connection, int r) {
        Endpoint *endpoint = connection->endpoint;

        connection_went_on(connection, r);
        endpoint_flush(endpoint);
}

static bool connection_must_verify(const Spec *spec) {
        return spec->verify_mode == VERIFY_PEER ||
               (spec->verify_mode == AUTO_VERIFY_PEER && spec->role == DTLS_CLIENT);
}

static void connection_opened(Connection *connection) {
        charges_drop_all(&connection->charges, QUOTA_HALF_OPEN);
        source_drop(connection);
        connection_learn_peer(connection);
        connection->agreed = session_facts(connection->session);
        path_measure(connection, /* at_once= */ false);
        connection_touch(connection);

        /* as in Qt: who had to be verified has no errors left, and nothing stays ignored */
        if (connection_must_verify(connection->spec))
                connection_forget_errors(connection);
        connection_set_ignored(connection, NULL);
        session_set_ignored(connection->session, NULL, NULL);
        connection->ignored_said = false;
        connection_clear_error(connection);

        tally_connection(connection, TALLY_HANDSHAKES_COMPLETED, 1);
        log_connection(connection, LOG_INFO, MSG_CONNECTION_OPENED, "opened: %s, %s",
                       connection->agreed->protocol, connection->agreed->cipher_name);

        replace_complete(connection);
        connection_set_state(connection, HANDSHAKE_COMPLETE);
        alarm_clear(connection->relay, &connection->alarm); /* the handshake's: a wake-up each */
        connection_changed(connection, CHANGED_SESSION | CHANGED_MTU | CHANGED_ERROR);
        if (connection->trunk)
                lane_open(connection);
        if (connection->listener)
                listener_take(connection->listener, connection);
}

static void connection_failed(Connection *connection) {
        const SessionFailure *failure = session_failure(connection->session);
        Udp *udp = connection->listener ? NULL : connection->endpoint->udp;
        int hint = udp ? udp_take_hint(udp) : 0;
        const char *why = connection->blame ? connection->blame : failure->text;
        g_autofree char *text = NULL;

        text = hint > 0 ? g_strdup_printf("%s (the network says: %s)", why, strerror(hint))
                        : g_strdup(why);
        connection_set_error(connection, failure->error, text);
        connection->timed_out = failure->timed_out;
        connection_learn_peer(connection);
        connection_end(connection, END_FAILED);
}

static void connection_lost_session(Connection *connection, int r) {
        if (r < 0) {
                connection_fail(connection, fault(r));
                return;
        }

        switch ((SessionOutcome)r) {
        case SESSION_E_CLOSED:
                connection_set_error(connection, DTLS_REMOTE_CLOSED_CONNECTION_ERROR,
                                     "The peer has closed the connection");
                connection_end(connection, END_PEER_CLOSED);
                break;
        case SESSION_E_FAILED:
                connection_failed(connection);
                break;
        case SESSION_E_NOT_OPEN:
        case SESSION_E_EMPTY:
        case SESSION_E_TOO_LONG:
        case SESSION_E_NO_ROOM:
        case SESSION_E_TIMEOUT:
        case SESSION_E_NO_TIMEOUT:
        case SESSION_E_STALE:
        case SESSION_E_BAD_EXPORT:
        case SESSION_E_WEAK_MASTER_SECRET:
        case SESSION_E_NO_TICKET:
                break; /* says something about the call, nothing about the association */
        }
}

static bool connection_has_opened(const Connection *connection, int r) {
        if (!connection->session || connection->state == HANDSHAKE_COMPLETE)
                return false;

        /* opened and closed in one datagram is both */
        return r == SESSION_E_CLOSED || session_state(connection->session) == SESSION_OPEN;
}

void connection_went_on(Connection *connection, int r) {
        tally_sent(connection);
        tally_session(connection);

        if (connection_has_opened(connection, r))
                connection_opened(connection);

        /* what was decrypted before a goodbye is still the application's */
        if (!connection->gone && datagram_batch_count(connection->relay->app) > 0)
                connection_hand_over(connection);

        if (r && connection->session)
                connection_lost_session(connection, r);

        question_look(connection);
        connection_schedule(connection);
}

void connection_went_by(Connection *connection) {
        tally_went_by(connection);
        connection_touch(connection);
        if (datagram_batch_count(connection->relay->app) > 0)
                connection_hand_over(connection);
}

/* ---- the end ---- */

/* Nobody accepts a peer that waits for it: then it hears why. Who aborts says only that. */
static void connection_close_session(Connection *connection, EndReason why) {
        Relay *relay = connection->relay;
        const SessionQuestion *asked = session_question(connection->session);

        if (why == END_FAILED && asked && asked->want == SESSION_WANTS_VERDICT)
                (void)session_answer_verdict(connection->session, asked->serial, relay_now(relay),
                                             /* accept= */ false, relay->net, relay->app);
        else
                session_close(connection->session, relay->net);
}

static void connection_empty_outlets(Connection *connection) {
        if (connection->outlet)
                egress_last(connection->outlet);
        for (guint i = 0; connection->others && i < connection->others->len; i++)
                egress_last(g_ptr_array_index(connection->others, i));
}

static void connection_say_goodbye(Connection *connection, EndReason why) {
        if (why != END_PEER_CLOSED && why != END_REPLACED && why != END_FAILED)
                connection_empty_outlets(connection);

        connection_prepare(connection);
        if (why != END_REPLACED) /* the peer has no keys to read it with */
                connection_close_session(connection, why);
        tally_sent(connection);
        endpoint_flush(connection->endpoint);
}

static void connection_let_go(Connection *connection) {
        question_drop(connection);
        if (connection->in_backlog)
                backlog_forget(connection->listener, connection);
        connection_drop_channel(connection);
        sharing_drop_all(connection);
        tally_session(connection);
        connection_keep_agreed(connection);
        relay_bury(connection->relay, g_steal_pointer(&connection->session),
                   connection_release_session);
        charges_drop_all(&connection->charges, QUOTA_HALF_OPEN);
        source_drop(connection);

        if (connection->listener)
                replace_unlink(connection);
        else
                endpoint_bury(connection->endpoint);

        connection->endpoint = NULL;
        g_clear_pointer(&connection->blame, g_free);
        connection->data_mtu = 0;
}

static void connection_log_end(Connection *connection, EndReason why, bool was_open) {
        if (was_open)
                log_connection(connection, LOG_INFO, MSG_CONNECTION_ENDED, "ended: %s%s%s",
                               end_reason_name(why), why == END_FAILED ? ": " : "",
                               why == END_FAILED ? connection->error_text : "");
        else
                log_connection(connection, LOG_INFO, MSG_CONNECTION_FAILED,
                               "did not complete its handshake: %s",
                               why == END_FAILED ? connection->error_text : end_reason_name(why));
}

/* A listener's connection that was open stays readable for a while. One that never opened, or that
 * the application knew by a channel alone, has nothing to be read; and nobody is there to read of
 * one, or to begin anew with it, that belongs to no name any more. */
static void connection_settle_down(Connection *connection, bool was_open) {
        bool disowned = spec_is_disowned(connection->spec);

        if (!connection->listener && !disowned)
                return;

        if (was_open && !connection->handed && !disowned)
                lingering_begin(connection);
        else
                connection_close(connection, END_FAILED);
}

void connection_end(Connection *connection, EndReason why) {
        bool was_open = connection->state == HANDSHAKE_COMPLETE;

        if (!connection->session || connection->ending)
                return;

        connection->ending = true;
        connection_say_goodbye(connection, why);
        lane_close(connection->lane, why);
        connection_let_go(connection);
        connection->ending = false;

        if (!was_open)
                tally_connection(connection, TALLY_HANDSHAKES_FAILED, 1);
        connection_log_end(connection, why, was_open);
        connection_set_state(connection, HANDSHAKE_NOT_STARTED);
        connection_changed(connection, CHANGED_SESSION | CHANGED_MTU);
        relay_tell(connection->relay, connection_closed, connection, why);
        connection_touch(connection);

        connection_settle_down(connection, was_open);
        connection_schedule(connection);
}

void connection_close(Connection *connection, EndReason why) {
        Relay *relay = connection->relay;

        /* whom a goodbye ends along with itself, a broken socket's, is closed in a later turn */
        if (connection->gone || connection->ending)
                return;

        connection_end(connection, why);
        if (connection->gone)
                return; /* ending one of a listener's takes it away */

        connection->gone = true;
        connection_drop_carrier(connection);
        lingering_end(connection);
        trunk_leave(connection);
        alarm_clear(relay, &connection->alarm);
        relay_drop_connection(relay, connection);
        if (connection->listener)
                listener_forget(connection->listener, connection);

        relay_tell(relay, connection_removed, connection->id, connection->spec->uid);
        relay_bury(relay, connection, connection_release);
}

void connection_give_way(Connection *connection, Endpoint *endpoint, const char *text) {
        endpoint_flush(endpoint); /* before its own, which need not be the same */
        tally_connection(connection, TALLY_DROPPED_QUOTA, 1);
        connection_set_error(connection, DTLS_TLS_FATAL_ERROR, text);
        connection_end(connection, END_FAILED);
}

/* The bulkhead of one association: a fault in it ends it, and nothing else. */
void connection_fail(Connection *connection, int r) {
        g_autofree char *text = NULL;

        log_connection(connection, LOG_WARNING, NULL, "broke: %s; the others go on", strerror(-r));

        text = g_strdup_printf("The service failed here (%s); its journal has more", strerror(-r));
        connection_set_error(connection, DTLS_TLS_FATAL_ERROR, text);
        connection_end(connection, END_FAILED);
}
