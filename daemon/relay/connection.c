/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connection: a session, a channel and a peer, and what becomes of them: opened, failed, ended,
 * gone. The state is written here alone. What the owner may ask of it is in commands.c.
 *
 * Knows: what every outcome of a session means for the object. Does not know: who asks, D-Bus.
 */

#include "base/fault.h"
#include "base/log.h"
#include "relay/private.h"

#include <string.h>
#include <sys/epoll.h>

#define CHANNEL_BYTES ((uint64_t)2 * CHANNEL_BUFFER_DEFAULT)

static const SessionFacts connection_nothing_agreed = {
        .protocol = "UnknownProtocol",
        .key_exchange = "",
        .authentication = "",
        .encryption = "",
        .mac = "",
        .curve = "",
};

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

/* ---- facts ---- */

void connection_changed(Connection *connection, unsigned mask) {
        if (!connection->gone)
                relay_tell(connection->relay, connection_changed, connection, mask);
}

void connection_set_state(Connection *connection, HandshakeState state) {
        if (connection->state == state)
                return;

        connection->state = state;
        relay_tell(connection->relay, connection_state, connection, state, connection->error,
                   connection->error_text);
        connection_changed(connection, CHANGED_STATE);
}

void connection_set_error(Connection *connection, DtlsError error, const char *text) {
        connection->error = error;
        connection->timed_out = false;
        (void)g_strlcpy(connection->error_text, text, sizeof(connection->error_text));
        connection_changed(connection, CHANGED_ERROR);
}

void connection_clear_error(Connection *connection) {
        if (connection->error != DTLS_NO_ERROR)
                connection_set_error(connection, DTLS_NO_ERROR, "");
}

static void connection_copy_errors(GArray **errors, const GArray *from) {
        g_array_unref(*errors);
        *errors = verdict_errors_new();

        for (guint i = 0; from && i < from->len; i++) {
                const VerdictError *error = &g_array_index(from, VerdictError, i);

                verdict_errors_add(*errors, error->code, error->certificate);
        }
}

void connection_set_ignored(Connection *connection, const GArray *errors) {
        connection_copy_errors(&connection->ignored, errors);
}

void connection_learn_peer(Connection *connection) {
        GPtrArray *chain = session_peer_chain(connection->session);
        GBytes *identity = session_psk_identity(connection->session);

        g_clear_pointer(&connection->peer_chain, g_ptr_array_unref);
        g_clear_pointer(&connection->psk_identity, g_bytes_unref);
        connection->peer_chain = chain ? g_ptr_array_ref(chain) : NULL;
        connection->psk_identity = identity ? g_bytes_ref(identity) : NULL;
        connection_copy_errors(&connection->errors, session_errors(connection->session));
        connection_changed(connection, CHANGED_SESSION | CHANGED_ERROR);
}

void connection_forget_peer(Connection *connection) {
        g_clear_pointer(&connection->peer_chain, g_ptr_array_unref);
        g_clear_pointer(&connection->psk_identity, g_bytes_unref);
        connection_copy_errors(&connection->errors, NULL);
        connection->agreed = connection_nothing_agreed;
        connection->data_mtu = 0;
        connection_changed(connection, CHANGED_SESSION | CHANGED_ERROR | CHANGED_MTU);
}

ConnectionFacts connection_facts(const Connection *connection) {
        return (ConnectionFacts){
                .id = connection->id,
                .listener = connection->listener,
                .state = connection->state,
                .encrypted = connection->state == HANDSHAKE_COMPLETE,
                .peer = connection->spec->peer,
                .local = connection->local,
                .spec = connection->spec,
                .data_mtu = connection->data_mtu,
                .session = connection->agreed,
                .error = connection->error,
                .error_text = connection->error_text,
                .timed_out = connection->timed_out,
                .verification_errors = connection->errors,
                .peer_chain = connection->peer_chain,
                .psk_identity = connection->psk_identity,
                .psk = connection->question.psk,
                .channel_open = connection->channel,
                .announced = connection->announced,
        };
}

Counters connection_counters(const Connection *connection) {
        return tally_counters(&connection->tally);
}

OpenedFacts connection_opened_facts(const Connection *connection, GBytes **ret_leaf) {
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        uint8_t digest[32];
        gsize size = sizeof(digest);
        GBytes *leaf = NULL;

        if (connection->peer_chain && connection->peer_chain->len > 0)
                leaf = g_ptr_array_index(connection->peer_chain, 0);

        *ret_leaf = NULL;
        if (leaf) {
                g_checksum_update(checksum, g_bytes_get_data(leaf, NULL),
                                  (gssize)g_bytes_get_size(leaf));
                g_checksum_get_digest(checksum, digest, &size);
                *ret_leaf = g_bytes_new(digest, size);
        }

        return (OpenedFacts){
                .connection = connection->id,
                .peer = connection->spec->peer,
                .local = connection->local,
                .data_mtu = connection->data_mtu,
                .psk_identity = connection->psk_identity,
                .leaf_sha256 = *ret_leaf,
                .resumed = connection->agreed.resumed,
        };
}

/* ---- time ---- */

void connection_touch(Connection *connection) {
        connection->active_usec = relay_now(connection->relay);
}

/* A persistent object that nobody uses goes too, associated or not: it has no name that could
 * leave. One that shakes hands has deadlines of its own. */
static uint64_t connection_idle_at(const Connection *connection) {
        uint64_t idle_usec = connection->spec->idle_timeout_usec;
        bool lone = connection->spec->persistent && !connection->session && !connection->listener;

        if (idle_usec == 0 || (connection->state != HANDSHAKE_COMPLETE && !lone))
                return SESSION_NEVER;

        return connection->active_usec + idle_usec;
}

static uint64_t connection_wakes_at(const Connection *connection) {
        uint64_t at_usec = connection_idle_at(connection);

        if (connection->session)
                at_usec = MIN(at_usec, session_deadline_usec(connection->session));
        if (connection->linger_usec > 0)
                at_usec = MIN(at_usec, connection->linger_usec);

        return at_usec;
}

void connection_schedule(Connection *connection) {
        uint64_t at_usec;

        if (connection->gone)
                return;

        /* an alarm that is early costs one look; moving it for every datagram would cost more */
        at_usec = connection_wakes_at(connection);
        if (!connection->alarm.iter || at_usec < connection->alarm.at_usec)
                alarm_set(connection->relay, &connection->alarm, at_usec);
}

static void connection_idle_out(Connection *connection) {
        log_connection(connection, LOG_DEBUG, NULL,
                       "Connection %" G_GUINT32_FORMAT " was idle too long", connection->id);

        if (connection->spec->persistent)
                connection_close(connection, END_IDLE_TIMEOUT);
        else
                connection_end(connection, END_IDLE_TIMEOUT);
}

static void connection_expire(Connection *connection, uint64_t now_usec) {
        uint64_t late_usec = connection->started_usec + connection->spec->handshake_deadline_usec;
        bool late = connection->question.open || now_usec >= late_usec;
        Relay *relay = connection->relay;
        int r;

        connection_prepare(connection);
        r = session_expire(connection->session, now_usec, relay->net, relay->app);
        if (r == SESSION_E_TIMEOUT) {
                relay_tell(relay, connection_timeout, connection);
                r = 0;
        }

        connection_finish(connection, r);
        if (r == SESSION_E_FAILED)
                connection->timed_out = late;
}

static void connection_ring(void *owner, uint64_t now_usec) {
        Connection *connection = owner;

        if (connection->linger_usec > 0 && now_usec >= connection->linger_usec) {
                connection_close(connection, END_CLOSE);
                return;
        }

        if (connection->session && session_deadline_usec(connection->session) <= now_usec)
                connection_expire(connection, now_usec);
        if (!connection->gone && connection_idle_at(connection) <= now_usec)
                connection_idle_out(connection);

        connection_schedule(connection);
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
        connection->announced = true;
        connection->errors = verdict_errors_new();
        connection->ignored = verdict_errors_new();
        connection->agreed = connection_nothing_agreed;
        connection->alarm = (Alarm){.ring = connection_ring, .owner = connection};
        g_queue_init(&connection->queue);
        charges_init(&connection->charges, relay->quota, spec->uid);
        connection_touch(connection);

        r = charges_add(&connection->charges, QUOTA_CONNECTIONS, 1, reason);
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

        g_assert(!connection->session && !connection->channel && !connection->alarm.iter);
        g_queue_clear_full(&connection->queue, connection_release_bytes);
        g_clear_pointer(&connection->config, session_config_unref);
        g_clear_pointer(&connection->errors, g_array_unref);
        g_clear_pointer(&connection->ignored, g_array_unref);
        g_clear_pointer(&connection->peer_chain, g_ptr_array_unref);
        g_clear_pointer(&connection->psk_identity, g_bytes_unref);
        charges_done(&connection->charges);
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

static void connection_release_channel(void *corpse) {
        channel_free(corpse);
}

int connection_associate(Connection *connection, const Hello *hello, Reason *reason) {
        const Spec *spec = connection->spec;
        char literal[ADDRESS_STRING_MAX];
        const char *name = spec->verification_name;
        SessionSpec session;
        int r;

        r = charges_add(&connection->charges, QUOTA_HALF_OPEN, 1, reason);
        if (r)
                return r;

        if (!connection->ignored_said)
                connection_set_ignored(connection, spec->ignored);
        if (!name || !*name)
                name = address_format(&spec->peer, literal);

        session = (SessionSpec){
                .config = connection->config,
                .verification_name = spec->role == DTLS_CLIENT ? name : NULL,
                .mtu = spec->mtu_hint,
                .manual = spec->manual,
                .retransmit_initial_usec = spec->retransmit_initial_usec,
                .retransmit_max_usec = spec->retransmit_max_usec,
                .handshake_deadline_usec = spec->handshake_deadline_usec,
                .answer_deadline_usec = spec->answer_deadline_usec,
                .ignored = connection->ignored,
                .ignored_codes = spec->ignored_codes,
                .hello = hello,
        };
        r = session_new(&session, relay_now(connection->relay), &connection->session);
        if (r) {
                charges_drop_all(&connection->charges, QUOTA_HALF_OPEN);
                return fault(r);
        }

        connection->started_usec = relay_now(connection->relay);
        connection->seen_session = (SessionStats){0};
        connection->linger_usec = 0;
        connection_forget_peer(connection);
        tally_connection(connection, TALLY_HANDSHAKES_STARTED, 1);
        return 0;
}

/* ---- around a call of the session ---- */

void connection_prepare(Connection *connection) {
        static const Address any = {0};
        Relay *relay = connection->relay;

        /* a client's socket is connected and has but one address to send from */
        relay->net_mark = datagram_batch_count(relay->net);
        datagram_batch_reset(relay->app);
        datagram_batch_address(relay->net, &connection->spec->peer,
                               connection->listener ? &connection->local : &any);
}

void connection_finish(Connection *connection, int r) {
        Endpoint *endpoint = connection->endpoint;

        connection_went_on(connection, r);
        endpoint_flush(endpoint);
}

static void connection_drop_oldest(Connection *connection) {
        GBytes *oldest = g_queue_pop_head(&connection->queue);

        connection->queue_bytes -= g_bytes_get_size(oldest);
        charges_drop(&connection->charges, QUOTA_BYTES, g_bytes_get_size(oldest));
        g_bytes_unref(oldest);
}

/* Keeps one datagram for connection_read(); the oldest ones make room, and are counted. */
static void connection_enqueue(Connection *connection, const Datagram *plain) {
        while (connection->queue.length >= CONNECTION_QUEUE_MAX ||
               (connection->queue.length > 0 &&
                connection->queue_bytes + plain->size > CONNECTION_QUEUE_BYTES)) {
                connection_drop_oldest(connection);
                tally_connection(connection, TALLY_DROPPED_QUEUE_FULL, 1);
        }

        if (charges_add(&connection->charges, QUOTA_BYTES, plain->size, NULL)) {
                tally_connection(connection, TALLY_DROPPED_QUOTA, 1);
                return;
        }

        g_queue_push_tail(&connection->queue, g_bytes_new(plain->data, plain->size));
        connection->queue_bytes += plain->size;
        tally_connection(connection, TALLY_DELIVERED, 1);
        relay_tell(connection->relay, connection_datagram, connection);
}

static void connection_hand_over(Connection *connection) {
        DatagramBatch *app = connection->relay->app;
        int r = 0;

        if (connection->channel) {
                r = channel_deliver(connection->channel, app);
                tally_channel(connection);
        } else {
                for (size_t i = 0; i < datagram_batch_count(app); i++) {
                        Datagram plain = datagram_batch_at(app, i);

                        connection_enqueue(connection, &plain);
                }
        }

        datagram_batch_reset(app);
        if (r)
                connection_lost_channel(connection, r);
}

/* What the path takes in one piece; a listener's socket has no path of its own. */
static void connection_measure(Connection *connection) {
        size_t payload = 0;

        if (!connection->listener)
                payload = udp_path_payload(connection->endpoint->udp);
        if (payload > 0)
                session_set_path_mtu(connection->session, payload);

        connection->data_mtu = (uint32_t)session_data_mtu(connection->session);
}

static bool connection_must_verify(const Spec *spec) {
        return spec->verify_mode == VERIFY_PEER ||
               (spec->verify_mode == AUTO_VERIFY_PEER && spec->role == DTLS_CLIENT);
}

static void connection_opened(Connection *connection) {
        char peer[ADDRESS_STRING_MAX];

        charges_drop_all(&connection->charges, QUOTA_HALF_OPEN);
        connection_learn_peer(connection);
        connection->agreed = *session_facts(connection->session);
        connection_measure(connection);
        connection_touch(connection);

        /* as in Qt: who had to be verified has no errors left, and nothing stays ignored */
        if (connection_must_verify(connection->spec))
                connection_copy_errors(&connection->errors, NULL);
        connection_set_ignored(connection, NULL);
        connection->ignored_said = false;
        connection_clear_error(connection);

        tally_connection(connection, TALLY_HANDSHAKES_COMPLETED, 1);
        log_connection(connection, LOG_INFO, MSG_CONNECTION_OPENED,
                       "Connection %" G_GUINT32_FORMAT " with %s opened: %s, %s", connection->id,
                       address_format_port(&connection->spec->peer, peer),
                       connection->agreed.protocol, connection->agreed.cipher_name);

        replace_complete(connection);
        connection_set_state(connection, HANDSHAKE_COMPLETE);
        connection_changed(connection, CHANGED_SESSION | CHANGED_MTU | CHANGED_ERROR);
        if (connection->listener)
                listener_take(connection->listener, connection);
}

static void connection_failed(Connection *connection) {
        const SessionFailure *failure = session_failure(connection->session);
        int hint = connection->listener ? 0 : udp_take_hint(connection->endpoint->udp);
        const char *why = connection->blame ? connection->blame : failure->text;
        g_autofree char *text = NULL;

        text = hint > 0 ? g_strdup_printf("%s (the network says: %s)", why, strerror(hint))
                        : g_strdup(why);
        connection_set_error(connection, failure->error, text);
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
        if (datagram_batch_count(connection->relay->app) > 0)
                connection_hand_over(connection);

        if (r && connection->session)
                connection_lost_session(connection, r);

        question_look(connection);
        connection_schedule(connection);
}

/* ---- the channel ---- */

/* What arrived before there was a channel goes to it first. */
static void connection_empty_queue(Connection *connection) {
        DatagramBatch *out = connection->relay->out; /* not app: it may hold what comes next */

        while (connection->queue.length > 0) {
                GBytes *bytes = g_queue_peek_head(&connection->queue);

                datagram_batch_reset(out);
                (void)datagram_batch_append(out, g_bytes_get_data(bytes, NULL),
                                            g_bytes_get_size(bytes));
                /* a channel that is not a moment old; what is wrong with it shows at once */
                (void)channel_deliver(connection->channel, out);
                connection_drop_oldest(connection);
        }

        datagram_batch_reset(out);
        connection->seen_channel = channel_stats(connection->channel);
}

static int connection_new_channel(Connection *connection, int *ret_app_fd, Reason *reason) {
        g_autoptr(Channel) channel = NULL;
        g_autofd int app_fd = -1;
        int r;

        r = channel_new(&channel, &app_fd);
        if (r < 0)
                return fault(r);
        if (r > 0)
                return reason_set(reason, RELAY_E_QUOTA,
                                  "The service has no file descriptor left; try again later");

        r = sd_event_add_io(connection->relay->event, &connection->channel_source,
                            channel_fd(channel), EPOLLIN, on_channel_event, connection);
        if (r < 0)
                return fault(r);

        connection->channel = g_steal_pointer(&channel);
        *ret_app_fd = autofd_steal(&app_fd);
        return 0;
}

int connection_attach_channel(Connection *connection, int *ret_app_fd, Reason *reason) {
        int r;

        r = charges_add(&connection->charges, QUOTA_FDS, 1, reason);
        if (r)
                return r;

        r = charges_add(&connection->charges, QUOTA_BYTES, CHANNEL_BYTES, reason);
        if (r) {
                charges_drop(&connection->charges, QUOTA_FDS, 1);
                return r;
        }

        r = connection_new_channel(connection, ret_app_fd, reason);
        if (r) {
                charges_drop(&connection->charges, QUOTA_FDS, 1);
                charges_drop(&connection->charges, QUOTA_BYTES, CHANNEL_BYTES);
                return r;
        }

        connection_empty_queue(connection);
        return 0;
}

void connection_drop_channel(Connection *connection) {
        if (!connection->channel)
                return;

        if (connection->endpoint)
                endpoint_forget(connection->endpoint, connection);
        autofd_close(&connection->handing_fd);
        connection->handing_fd = -1;
        tally_channel(connection);
        connection->channel_source = sd_event_source_disable_unref(connection->channel_source);
        relay_bury(connection->relay, g_steal_pointer(&connection->channel),
                   connection_release_channel);
        connection->seen_channel = (ChannelStats){0};
        charges_drop(&connection->charges, QUOTA_FDS, 1);
        charges_drop(&connection->charges, QUOTA_BYTES, CHANNEL_BYTES);
}

/* The application closed its end. Its last channel is its owner's last hold of the connection
 * (API.md, "Lifetime"), so the object goes. A persistent one has other callers and only loses its
 * channel, unless it was given away as a channel and can be known by nothing else. */
void connection_lost_channel(Connection *connection, int r) {
        if (r != CHANNEL_E_HANGUP) {
                connection_fail(connection, fault(r));
                return;
        }

        if (!connection->spec->persistent || connection->handed) {
                connection_close(connection, END_CHANNEL_CLOSED);
                return;
        }

        egress_last(connection);
        connection_drop_channel(connection);
        connection_touch(connection);
        connection_schedule(connection);
}

int connection_seal(Connection *connection, const void *data, size_t size) {
        Relay *relay = connection->relay;
        int r;

        /* without DontFragment the kernel makes IP fragments of what the path does not take */
        if (connection->spec->dont_fragment && size > connection->data_mtu)
                return SESSION_E_TOO_LONG;

        r = session_send(connection->session, data, size, relay->net);
        if (r == SESSION_E_NO_ROOM) {
                endpoint_flush(connection->endpoint);
                r = session_send(connection->session, data, size, relay->net);
        }

        tally_sent(connection);
        return r;
}

/* ---- the end ---- */

static void connection_say_goodbye(Connection *connection, EndReason why) {
        if (why != END_PEER_CLOSED && why != END_REPLACED && why != END_FAILED)
                egress_last(connection);

        connection_prepare(connection);
        if (why != END_REPLACED) /* the peer has no keys to read it with */
                session_close(connection->session, connection->relay->net);
        tally_sent(connection);
        endpoint_flush(connection->endpoint);
}

static void connection_let_go(Connection *connection) {
        question_drop(connection);
        connection_drop_channel(connection);
        tally_session(connection);
        relay_bury(connection->relay, g_steal_pointer(&connection->session),
                   connection_release_session);
        charges_drop_all(&connection->charges, QUOTA_HALF_OPEN);

        if (connection->listener)
                replace_unlink(connection);
        else
                endpoint_bury(connection->endpoint);

        connection->endpoint = NULL;
        g_clear_pointer(&connection->blame, g_free);
        connection->agreed = connection_nothing_agreed;
        connection->data_mtu = 0;
}

static void connection_log_end(Connection *connection, EndReason why, bool was_open) {
        char peer[ADDRESS_STRING_MAX];

        address_format_port(&connection->spec->peer, peer);
        if (was_open)
                log_connection(connection, LOG_INFO, MSG_CONNECTION_ENDED,
                               "Connection %" G_GUINT32_FORMAT " with %s ended: %s%s%s",
                               connection->id, peer, end_reason_name(why),
                               why == END_FAILED ? ": " : "",
                               why == END_FAILED ? connection->error_text : "");
        else
                log_connection(connection, LOG_INFO, MSG_CONNECTION_FAILED,
                               "Connection %" G_GUINT32_FORMAT
                               " with %s did not complete its handshake: %s",
                               connection->id, peer,
                               why == END_FAILED ? connection->error_text : end_reason_name(why));
}

/* A listener's connection that was open stays readable for a while. One that never opened, or that
 * the application knew by its channel alone, has nothing to be read. */
static void connection_settle_down(Connection *connection, bool was_open) {
        if (!connection->listener)
                return;

        if (was_open && !connection->handed)
                connection->linger_usec = relay_now(connection->relay) + CONNECTION_LINGER_USEC;
        else
                connection_close(connection, END_FAILED);
}

void connection_end(Connection *connection, EndReason why) {
        bool was_open = connection->state == HANDSHAKE_COMPLETE;

        if (!connection->session || connection->ending)
                return;

        connection->ending = true;
        connection_say_goodbye(connection, why);
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

        if (connection->gone)
                return;

        connection_end(connection, why);
        if (connection->gone)
                return; /* ending one of a listener's takes it away */

        connection->gone = true;
        alarm_clear(relay, &connection->alarm);
        relay_drop_connection(relay, connection);
        if (connection->listener)
                listener_forget(connection->listener, connection);

        relay_tell(relay, connection_removed, connection->id, connection->spec->uid);
        relay_bury(relay, connection, connection_release);
}

/* The bulkhead of one association: a fault in it ends it, and nothing else. */
void connection_fail(Connection *connection, int r) {
        g_autofree char *text = NULL;

        log_connection(connection, LOG_WARNING, NULL,
                       "Connection %" G_GUINT32_FORMAT " broke: %s; the others go on",
                       connection->id, strerror(-r));

        text = g_strdup_printf("The service failed here (%s); its journal has more", strerror(-r));
        connection_set_error(connection, DTLS_TLS_FATAL_ERROR, text);
        connection_end(connection, END_FAILED);
}
