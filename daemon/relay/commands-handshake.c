/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that drive a handshake, see commands.h. */

#include "relay/commands.h"

static int command_open_endpoint(Connection *connection, Reason *reason) {
        const Spec *spec = connection->spec;
        Address local = spec->local;
        int r;

        if (spec->external) {
                connection->endpoint = endpoint_new_external(connection);
                return 0;
        }

        if (!address_is_set(&local))
                local = address_any(address_family(&spec->peer), 0);
        if (address_family(&local) != address_family(&spec->peer))
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "LocalAddress and the peer's address are of different families");

        r = endpoint_new(connection->relay, spec->uid, &local, &connection->endpoint, reason);
        if (r)
                return r;

        connection->endpoint->connection = connection;
        r = endpoint_connect(connection->endpoint, &spec->peer, spec->dont_fragment, reason);
        if (r)
                return r;

        r = endpoint_start(connection->endpoint);
        if (r)
                return r;

        connection->local = udp_local(connection->endpoint->udp);
        connection_changed(connection, CHANGED_PEER);
        return 0;
}

int command_prepare_handshake(Connection *connection, Command command, Reason *reason) {
        int r;

        r = command_check_own(connection, command, reason);
        if (r)
                return r;
        if (!address_is_set(&connection->spec->peer))
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "No peer is set; call SetPeer first");
        if (connection->lane)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "The shared channel is full, and has not told yet that the last "
                                  "association is over; read from it first");

        /* each time: a key may have died since, and the system's trust been read again */
        config_release(connection->relay, &connection->config);
        return config_make(connection->relay, connection->spec, &connection->config, reason);
}

/* With no datagram of the peer's. */
static int command_check_start(const Connection *connection, Reason *reason) {
        const Spec *spec = connection->spec;

        if (!spec->external || !address_is_set(&spec->peer))
                return 0;
        if (spec->role == DTLS_SERVER && connection->state == HANDSHAKE_NOT_STARTED)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "A server's handshake begins with the client's hello; give that "
                                  "datagram");
        if (connection->state == HANDSHAKE_IN_PROGRESS)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "The handshake goes on with the peer's next datagram; give that");

        return 0;
}

static int command_start(Connection *connection, Reason *reason) {
        int r;

        r = command_check_start(connection, reason);
        if (r)
                return r;

        r = command_prepare_handshake(connection, COMMAND_DO_HANDSHAKE, reason);
        if (r)
                return r;

        r = command_open_endpoint(connection, reason);
        if (r)
                return r;

        return connection_associate(connection, NULL, reason);
}

int connection_do_handshake(Connection *connection, Reason *reason) {
        Relay *relay = connection->relay;
        bool had_endpoint = connection->endpoint;
        int r;

        r = command_start(connection, reason);
        if (r) {
                if (!had_endpoint) {
                        endpoint_bury(connection->endpoint);
                        connection->endpoint = NULL;
                }
                return command_done(connection, r, reason);
        }

        (void)command_done(connection, 0, reason);
        connection_set_state(connection, HANDSHAKE_IN_PROGRESS);
        connection_prepare(connection);
        r = session_start(connection->session, relay_now(relay), relay->net);
        connection_finish(connection, r);
        return connection->session ? 0 : command_failed(connection, reason);
}

/* ---- timeouts, and verdicts ---- */

int connection_handle_timeout(Connection *connection, bool *ret_occurred, Reason *reason) {
        Relay *relay = connection->relay;
        int r = SESSION_E_NO_TIMEOUT;

        if (connection->session) {
                connection_prepare(connection);
                r = session_retransmit(connection->session, relay_now(relay), relay->net,
                                       relay->app);
                connection_finish(connection, r);
        }

        if (r == SESSION_E_FAILED)
                return command_failed(connection, reason);

        *ret_occurred = r == 0;
        return command_done(connection, 0, reason);
}

static int command_resume(Connection *connection, Reason *reason) {
        Relay *relay = connection->relay;
        uint32_t serial = connection->question.serial;
        int r;

        r = command_check(connection, COMMAND_RESUME, reason);
        if (r)
                return r;
        if (!verdict_all_ignored(connection->errors, connection->ignored,
                                 connection->spec->ignored_codes))
                return reason_set(reason, RELAY_E_VERIFICATION,
                                  "Not all of PeerVerificationErrors are ignored; call "
                                  "IgnoreVerificationErrors with them, or AbortHandshake");

        question_drop(connection);
        connection_clear_error(connection);
        connection_set_state(connection, HANDSHAKE_IN_PROGRESS);
        connection_prepare(connection);
        r = session_answer_verdict(connection->session, serial, relay_now(relay),
                                   /* accept= */ true, relay->net, relay->app);
        connection_finish(connection, r);
        return connection->session ? 0 : command_failed(connection, reason);
}

int connection_resume_handshake(Connection *connection, Reason *reason) {
        return command_done(connection, command_resume(connection, reason), reason);
}

static int command_abort(Connection *connection, Reason *reason) {
        int r;

        r = command_check(connection, COMMAND_ABORT, reason);
        if (r)
                return r;

        connection_end(connection, END_SHUTDOWN);
        connection_forget_peer(connection);
        return 0;
}

int connection_abort_handshake(Connection *connection, Reason *reason) {
        return command_done(connection, command_abort(connection, reason), reason);
}

/* ---- pre-shared keys ---- */

static int command_check_psk(const Connection *connection, Reason *reason) {
        if (!connection->question.psk.pending)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "No pre-shared key is asked for; see PendingPsk");

        return 0;
}

static int command_provide_psk(Connection *connection, GBytes *identity, const Secret *key,
                               Reason *reason) {
        Relay *relay = connection->relay;
        uint32_t serial = connection->question.serial;
        int r;

        r = command_check_psk(connection, reason);
        if (r)
                return r;
        if (!key || secret_size(key) == 0 || secret_size(key) > SESSION_PSK_KEY_MAX)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "A pre-shared key must have 1 to %d bytes", SESSION_PSK_KEY_MAX);
        if (identity && g_bytes_get_size(identity) > SESSION_PSK_IDENTITY_MAX)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "An identity may have at most %d bytes",
                                  SESSION_PSK_IDENTITY_MAX);

        question_drop(connection);
        connection_prepare(connection);
        r = session_answer_psk(connection->session, serial, relay_now(relay), identity, key,
                               relay->net, relay->app);
        connection_finish(connection, r);
        return connection->session ? 0 : command_failed(connection, reason);
}

int connection_provide_psk(Connection *connection, GBytes *identity, const Secret *key,
                           Reason *reason) {
        return command_done(connection, command_provide_psk(connection, identity, key, reason),
                            reason);
}

int connection_refuse_psk(Connection *connection, Reason *reason) {
        Relay *relay = connection->relay;
        uint32_t serial = connection->question.serial;
        int r;

        r = command_check_psk(connection, reason);
        if (r)
                return command_done(connection, r, reason);

        question_drop(connection);
        connection_prepare(connection);
        r = session_answer_psk(connection->session, serial, relay_now(relay), NULL, NULL,
                               relay->net, relay->app);
        connection_finish(connection, r);
        return 0; /* that the handshake failed of it is the object's error, and no surprise */
}
