/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands: what a connection's owner may ask of it, and when: QDtls' methods over QDtls' states,
 * in one table. A command that fails leaves its error on the object, one that works clears it.
 *
 * Where Qt is silent: AbortHandshake works while a handshake goes on and while it waits for a
 * verdict ("aborts the ongoing handshake"); HandleTimeout where no timeout can be says that there
 * was none; what has arrived can be read after the end.
 *
 * Knows: states and methods. Does not know: D-Bus, who calls.
 */

#include "base/fault.h"
#include "relay/private.h"

typedef enum Command {
        COMMAND_SET_PEER,
        COMMAND_SET_NAME,
        COMMAND_SET_CONFIGURATION,
        COMMAND_DO_HANDSHAKE,
        COMMAND_CONTINUE,
        COMMAND_RESUME,
        COMMAND_ABORT,
        COMMAND_WRITE,
        COMMAND_READ,
        COMMAND_DECRYPT,
        COMMAND_SHUTDOWN,
        COMMAND_OPEN_CHANNEL,
        COMMAND_EXPORT,
        COMMAND_TICKET,
        N_COMMANDS,
} Command;

#define BEFORE "This can be set before the handshake only; shut down first"
#define RUNNING "A handshake is in progress already"
#define WAITING                                                                                    \
        "The handshake waits for a verdict on the peer; resume or abort it, or ignore its errors"
#define ENCRYPTED "The connection is encrypted; shut down first"
#define NOT_YET "The connection is not encrypted; complete a handshake first"
#define NO_VERDICT "No handshake waits for a verdict on the peer"

/* NULL: allowed; else why not, which is InvalidOperation. */
static const char *const commands_refused[N_COMMANDS][N_HANDSHAKE_STATES] = {
        /*                             NotStarted, InProgress, PeerVerificationFailed, Complete */
        [COMMAND_SET_PEER] = {NULL, BEFORE, BEFORE, BEFORE},
        [COMMAND_SET_NAME] = {NULL, BEFORE, BEFORE, BEFORE},
        [COMMAND_SET_CONFIGURATION] = {NULL, BEFORE, BEFORE, BEFORE},
        [COMMAND_DO_HANDSHAKE] = {NULL, RUNNING, WAITING, ENCRYPTED},
        [COMMAND_CONTINUE] = {NULL, NULL, WAITING, ENCRYPTED},
        [COMMAND_RESUME] = {NO_VERDICT, NO_VERDICT, NULL, NO_VERDICT},
        [COMMAND_ABORT] = {"No handshake is in progress", NULL, NULL,
                           "No handshake is in progress; Shutdown ends what is encrypted"},
        [COMMAND_WRITE] = {NOT_YET, NOT_YET, NOT_YET, NULL},
        [COMMAND_READ] = {NOT_YET, NOT_YET, NOT_YET, NULL},
        [COMMAND_DECRYPT] = {NOT_YET, NOT_YET, NOT_YET, NULL},
        [COMMAND_SHUTDOWN] = {NOT_YET, NOT_YET, NOT_YET, NULL},
        [COMMAND_OPEN_CHANNEL] = {NOT_YET, NOT_YET, NOT_YET, NULL},
        [COMMAND_EXPORT] = {NOT_YET, NOT_YET, NOT_YET, NULL},
        [COMMAND_TICKET] = {NOT_YET, NOT_YET, NOT_YET, NULL},
};

DtlsError command_error(RelayOutcome outcome) {
        switch (outcome) {
        case RELAY_E_INVALID_PARAMETERS:
                return DTLS_INVALID_INPUT_PARAMETERS;
        case RELAY_E_INVALID_OPERATION:
        case RELAY_E_CHANNEL_IN_USE:
                return DTLS_INVALID_OPERATION;
        case RELAY_E_SOCKET:
        case RELAY_E_EXISTS:
                return DTLS_UNDERLYING_SOCKET_ERROR;
        case RELAY_E_CLOSED:
                return DTLS_REMOTE_CLOSED_CONNECTION_ERROR;
        case RELAY_E_VERIFICATION:
                return DTLS_PEER_VERIFICATION_ERROR;
        case RELAY_E_TLS_INITIALIZATION:
                return DTLS_TLS_INITIALIZATION_ERROR;
        case RELAY_E_TLS_FATAL:
        case RELAY_E_TIMED_OUT:
                return DTLS_TLS_FATAL_ERROR;
        case RELAY_E_TLS_NON_FATAL:
        case RELAY_E_QUOTA:
        case RELAY_E_TOO_LONG:
                return DTLS_TLS_NON_FATAL_ERROR;
        case RELAY_E_NOTHING:
                break;
        }

        return DTLS_NO_ERROR;
}

static RelayOutcome command_outcome(DtlsError error) {
        switch (error) {
        case DTLS_INVALID_INPUT_PARAMETERS:
                return RELAY_E_INVALID_PARAMETERS;
        case DTLS_INVALID_OPERATION:
                return RELAY_E_INVALID_OPERATION;
        case DTLS_UNDERLYING_SOCKET_ERROR:
                return RELAY_E_SOCKET;
        case DTLS_REMOTE_CLOSED_CONNECTION_ERROR:
                return RELAY_E_CLOSED;
        case DTLS_PEER_VERIFICATION_ERROR:
                return RELAY_E_VERIFICATION;
        case DTLS_TLS_INITIALIZATION_ERROR:
                return RELAY_E_TLS_INITIALIZATION;
        case DTLS_TLS_NON_FATAL_ERROR:
                return RELAY_E_TLS_NON_FATAL;
        case DTLS_NO_ERROR:
        case DTLS_TLS_FATAL_ERROR:
        case N_DTLS_ERRORS:
                break;
        }

        return RELAY_E_TLS_FATAL;
}

/* Every command ends here: what it came to is the object's error, or that there is none. A peer
 * that waits for its verdict stays what is wrong. */
static int command_done(Connection *connection, int r, const Reason *reason) {
        if (r == 0 && connection->state != HANDSHAKE_PEER_VERIFICATION_FAILED)
                connection_clear_error(connection);
        else if (r < 0)
                connection_set_error(connection, DTLS_TLS_FATAL_ERROR, COMMAND_FAULT_TEXT);
        else if (r > 0 && r != RELAY_E_NOTHING)
                connection_set_error(connection, command_error((RelayOutcome)r), reason->text);

        connection_touch(connection);
        connection_schedule(connection);
        return r;
}

/* A command that set the association's own error on its way tells what it is. */
static int command_failed(const Connection *connection, Reason *reason) {
        return reason_set(reason, command_outcome(connection->error), "%s", connection->error_text);
}

static int command_check(const Connection *connection, Command command, Reason *reason) {
        const char *why = commands_refused[command][connection->state];

        return why ? reason_set(reason, RELAY_E_INVALID_OPERATION, "%s", why) : 0;
}

/* What belongs to own connections alone. */
static int command_check_own(const Connection *connection, Command command, Reason *reason) {
        if (connection->listener)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "This connection is its listener's; set it there");

        return command_check(connection, command, reason);
}

/* ---- before the handshake ---- */

int command_check_peer(const Address *peer, Reason *reason) {
        if (!peer || !address_is_peer(peer))
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "The peer must be one host's address and a port that is not 0; "
                                  "not a null, multicast or broadcast address");

        return 0;
}

int relay_create_connection(Relay *relay, Spec *spec, Connection **ret, Reason *reason) {
        g_autoptr(Connection) connection = NULL;
        int r;

        r = connection_new(relay, spec, NULL, &connection, reason);
        if (r)
                return r;

        if (spec->role != DTLS_CLIENT && !spec->external)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "With Transport 'udp' a server's connections come from its "
                                  "listener; call Listen");

        r = spec->role == DTLS_SERVER ? cookies_make_jar(spec, &connection->jar, reason) : 0;
        if (r)
                return r;

        r = address_is_set(&spec->peer) ? command_check_peer(&spec->peer, reason) : 0;
        if (r)
                return r;

        r = config_check_mtu(spec, spec->mtu_hint, reason);
        if (r)
                return r;

        r = ticket_check(relay, spec, reason);
        if (r)
                return r;

        r = psks_check(relay, spec, reason);
        if (r)
                return r;

        r = charges_add_spec(relay, spec, reason);
        if (r)
                return r;

        relay_add_connection(relay, connection);
        connection_schedule(connection);
        relay_tell(relay, connection_added, connection);
        *ret = g_steal_pointer(&connection);
        return 0;
}

static int command_set_peer(Connection *connection, const Address *peer, const char *name,
                            Reason *reason) {
        Spec *spec = connection->spec;
        int r;

        r = command_check_own(connection, COMMAND_SET_PEER, reason);
        if (r)
                return r;

        r = command_check_peer(peer, reason);
        if (r)
                return r;

        spec->peer = *peer;
        g_free(spec->verification_name);
        spec->verification_name = g_strdup(name ? name : "");
        connection_changed(connection, CHANGED_PEER);
        return 0;
}

int connection_set_peer(Connection *connection, const Address *peer, const char *name,
                        Reason *reason) {
        return command_done(connection, command_set_peer(connection, peer, name, reason), reason);
}

static int command_set_name(Connection *connection, const char *name, Reason *reason) {
        int r;

        r = command_check_own(connection, COMMAND_SET_NAME, reason);
        if (r)
                return r;

        g_free(connection->spec->verification_name);
        connection->spec->verification_name = g_strdup(name ? name : "");
        connection_changed(connection, CHANGED_PEER);
        return 0;
}

int connection_set_verification_name(Connection *connection, const char *name, Reason *reason) {
        return command_done(connection, command_set_name(connection, name, reason), reason);
}

int connection_set_mtu_hint(Connection *connection, uint16_t mtu, Reason *reason) {
        int r;

        r = config_check_mtu(connection->spec, mtu, reason);
        if (r)
                return command_done(connection, r, reason);

        /* for the next handshake; as in Qt at any time */
        connection->spec->mtu_hint = mtu;
        connection_changed(connection, CHANGED_MTU);
        return command_done(connection, 0, reason);
}

static int command_set_spec(Connection *connection, Spec *spec, Reason *reason) {
        g_autoptr(Spec) taken = spec;
        Spec *old = connection->spec;
        int r;

        r = command_check_own(connection, COMMAND_SET_CONFIGURATION, reason);
        if (r)
                return r;

        r = config_check_mtu(taken, taken->mtu_hint, reason);
        if (r)
                return r;

        /* whose, with whom and from where stays */
        taken->role = old->role;
        taken->external = old->external;
        taken->uid = old->uid;
        taken->persistent = old->persistent;
        taken->peer = old->peer;
        taken->local = old->local;
        g_free(taken->owner);
        taken->owner = g_strdup(old->owner);
        g_free(taken->verification_name);
        taken->verification_name = g_strdup(old->verification_name);
        spec_share_as(taken, old);

        r = ticket_check(connection->relay, taken, reason);
        if (r)
                return r;

        r = psks_check(connection->relay, taken, reason);
        if (r)
                return r;

        r = charges_add_spec(connection->relay, taken, reason);
        if (r)
                return r;

        connection->spec = g_steal_pointer(&taken);
        spec_free(old);
        connection_changed(connection, CHANGED_CONFIGURATION);
        return 0;
}

int connection_set_spec(Connection *connection, Spec *spec, Reason *reason) {
        return command_done(connection, command_set_spec(connection, spec, reason), reason);
}

int connection_ignore_errors(Connection *connection, const GArray *errors, Reason *reason) {
        size_t n_bytes = spec_errors_memory(errors);
        int r;

        r = charges_add(&connection->charges, QUOTA_BYTES, n_bytes, reason);
        if (r)
                return command_done(connection, r, reason);

        connection_set_ignored(connection, errors);
        connection->ignored_bytes = n_bytes;
        connection->ignored_said = true;

        if (connection->session)
                session_set_ignored(connection->session, connection->ignored,
                                    connection->spec->ignored_codes);
        return command_done(connection, 0, reason);
}

/* ---- the handshake ---- */

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

static int command_prepare_handshake(Connection *connection, Command command, Reason *reason) {
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
        g_clear_pointer(&connection->config, session_config_unref);
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

/* ---- datagrams that the application carries ---- */

static int command_check_carried(const Connection *connection, size_t size, Reason *reason) {
        if (connection->carrier)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "The carrier is open; write the peer's datagrams there");
        if (size > DATAGRAM_SIZE_MAX)
                return reason_set(reason, RELAY_E_TOO_LONG,
                                  "The datagram has %zu bytes; none has more than %d", size,
                                  DATAGRAM_SIZE_MAX);

        return 0;
}

static int command_associate_server(Connection *connection, const Hello *hello, Reason *reason) {
        int r;

        r = command_prepare_handshake(connection, COMMAND_CONTINUE, reason);
        if (r)
                return r;

        connection->endpoint = endpoint_new_external(connection);
        r = connection_associate(connection, hello, reason);
        if (r) {
                endpoint_bury(connection->endpoint);
                connection->endpoint = NULL;
        }

        return r;
}

/* A datagram for a handshake that goes on. */
static int command_receive(Connection *connection, const Datagram *in, Reason *reason) {
        Relay *relay = connection->relay;
        int r;

        connection_prepare(connection);
        r = session_receive(connection->session, relay_now(relay), in, relay->net, relay->app);
        connection_finish(connection, r);
        return connection->session ? 0 : command_failed(connection, reason);
}

int connection_begin_server(Connection *connection, const Datagram *in, const Hello *hello,
                            Reason *reason) {
        int r;

        r = command_associate_server(connection, hello, reason);
        if (r)
                return command_done(connection, r, reason);

        (void)command_done(connection, 0, reason);
        connection_set_state(connection, HANDSHAKE_IN_PROGRESS);
        return command_receive(connection, in, reason);
}

/* Qt's own order: nothing is answered, because the hello should have been through a verifier. */
static int command_greet(Connection *connection, const Datagram *in, Reason *reason) {
        Hello hello;
        int r;

        if (!address_is_set(&connection->spec->peer))
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "No peer is set; call SetPeer first");
        if (connection->spec->role == DTLS_CLIENT)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "A client speaks first: start with an empty datagram");

        datagram_batch_reset(connection->relay->net);
        r = carrier_prove(connection, in, &hello);
        datagram_batch_reset(connection->relay->net);
        if (r < 0)
                return fault(r);
        if (r > 0)
                return reason_set(reason, RELAY_E_TLS_FATAL, "This is no client's hello%s",
                                  connection->spec->cookies
                                          ? " with a good cookie; a ClientVerifier with the same "
                                            "cookie parameters asks for one"
                                          : "");

        return connection_begin_server(connection, in, &hello, reason);
}

static int command_continue(Connection *connection, const void *data, size_t size, Reason *reason) {
        Datagram in = {.data = data, .size = size, .peer = connection->spec->peer};
        int r;

        if (!connection->spec->external)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "With Transport 'udp' the service reads the socket: the datagram "
                                  "has to be empty");

        r = command_check(connection, COMMAND_CONTINUE, reason);
        if (r)
                return r;

        r = command_check_carried(connection, size, reason);
        if (r)
                return r;

        carrier_received(connection, &in);
        return connection->session ? command_receive(connection, &in, reason)
                                   : command_greet(connection, &in, reason);
}

int connection_continue_handshake(Connection *connection, const void *data, size_t size,
                                  Reason *reason) {
        return command_done(connection, command_continue(connection, data, size, reason), reason);
}

static GPtrArray *command_take_plaintext(DatagramBatch *app) {
        GPtrArray *plain = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

        for (size_t i = 0; i < datagram_batch_count(app); i++) {
                Datagram d = datagram_batch_at(app, i);

                g_ptr_array_add(plain, g_bytes_new(d.data, d.size));
        }

        datagram_batch_reset(app);
        return plain;
}

static int command_decrypt(Connection *connection, const void *data, size_t size, GPtrArray **ret,
                           Reason *reason) {
        Datagram in = {.data = data, .size = size, .peer = connection->spec->peer};
        Relay *relay = connection->relay;
        int r;

        if (!connection->spec->external)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "With Transport 'udp' the service reads the socket; what it "
                                  "decrypted is read with ReadDatagram");

        r = command_check(connection, COMMAND_DECRYPT, reason);
        if (r)
                return r;

        r = command_check_carried(connection, size, reason);
        if (r)
                return r;

        carrier_received(connection, &in);
        connection_prepare(connection);
        if (size > 0)
                r = session_receive(connection->session, relay_now(relay), &in, relay->net,
                                    relay->app);

        *ret = command_take_plaintext(relay->app);
        tally_connection(connection, TALLY_DELIVERED, (*ret)->len);
        connection_finish(connection, r);
        return 0;
}

int connection_decrypt(Connection *connection, const void *data, size_t size, GPtrArray **ret,
                       Reason *reason) {
        g_autoptr(GPtrArray) plain = NULL;
        int r;

        r = command_decrypt(connection, data, size, &plain, reason);
        if (r == 0 && !connection->session) {
                /* why it ended stays the error; what came before it is still the application's */
                r = plain->len > 0 ? 0 : command_failed(connection, reason);
        } else {
                r = command_done(connection, r, reason);
        }

        if (r == 0)
                *ret = g_steal_pointer(&plain);
        return r;
}

static int command_open_carrier(Connection *connection, int *ret_fd, Reason *reason) {
        if (!connection->spec->external)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "A carrier needs Transport 'external'; here the service has a "
                                  "socket");
        if (connection->carrier)
                return reason_set(reason, RELAY_E_CHANNEL_IN_USE,
                                  "A carrier is open already; close its fd first");

        return connection_attach_carrier(connection, ret_fd, reason);
}

int connection_open_carrier(Connection *connection, int *ret_fd, Reason *reason) {
        return command_done(connection, command_open_carrier(connection, ret_fd, reason), reason);
}

/* ---- an external server's cookies ---- */

static int command_set_cookies(Connection *connection, const CookieParameters *parameters,
                               Reason *reason) {
        if (connection->listener)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "The cookie was checked before there was this connection; call "
                                  "SetCookieGeneratorParameters of its listener");
        if (!connection->jar)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "Cookies are a server's, this is a client");

        return cookies_set(connection->spec, &connection->jar, parameters, reason);
}

int connection_set_cookie_parameters(Connection *connection, const CookieParameters *parameters,
                                     Reason *reason) {
        return command_done(connection, command_set_cookies(connection, parameters, reason),
                            reason);
}

bool connection_cookie_parameters(const Connection *connection, CookieParameters *ret) {
        const CookieJar *jar = connection->listener ? connection->listener->jar : connection->jar;

        if (jar)
                *ret = cookies_parameters(jar);

        return jar;
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

/* ---- with whom it is shared ---- */

static void command_set_shares(Connection *connection, GArray *shares) {
        g_clear_pointer(&connection->spec->shares, g_array_unref);
        connection->spec->shares = shares;
        sharing_review(connection);
        connection_changed(connection, CHANGED_SHARES | CHANGED_CONFIGURATION);
}

int connection_share(Connection *connection, const Share *share, Reason *reason) {
        GArray *shares = shares_with(connection->spec->shares, share);
        int r = 0;

        if (shares)
                command_set_shares(connection, shares);
        else
                r = reason_set(reason, RELAY_E_QUOTA,
                               "The connection is shared with %d subjects, and no more can be; "
                               "Unshare one, or share with a group",
                               SHARES_MAX);

        return command_done(connection, r, reason);
}

int connection_unshare(Connection *connection, const Share *share, Reason *reason) {
        char subject[SHARE_SUBJECT_MAX];
        GArray *shares;
        bool found;
        int r = 0;

        shares = shares_without(connection->spec->shares, share, &found);
        command_set_shares(connection, shares);
        if (!found)
                r = reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                               "The connection is not shared with %s; Shares has whom it is shared "
                               "with",
                               share_format_subject(share, subject));

        return command_done(connection, r, reason);
}

/* ---- encrypted ---- */

static int command_try_again(Reason *reason) {
        return reason_set(reason, RELAY_E_TLS_NON_FATAL,
                          "The datagram could not be sent now; try again");
}

static int command_write(Connection *connection, const void *data, size_t size, Reason *reason) {
        size_t max;
        int r;

        r = command_check(connection, COMMAND_WRITE, reason);
        if (r)
                return r;
        if (size == 0)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "An empty datagram cannot be sent");
        if (endpoint_is_full(connection->endpoint))
                return command_try_again(reason);

        connection_follow_path(connection, connection->spec->dont_fragment);
        connection_prepare(connection);
        r = connection_seal(connection, data, size);
        if (r < 0) {
                connection_fail(connection, fault(r));
                return command_failed(connection, reason);
        }
        if (r == SESSION_E_FAILED) {
                connection_finish(connection, r);
                return command_failed(connection, reason);
        }
        endpoint_flush(connection->endpoint);

        if (r == SESSION_E_TOO_LONG) {
                max = connection->spec->dont_fragment ? connection->data_mtu
                                                      : session_payload_max(connection->session);
                return reason_set(reason, RELAY_E_TOO_LONG,
                                  "A datagram of %zu bytes is too long; at most %zu can be sent",
                                  size, max);
        }
        if (r > 0)
                return command_try_again(reason);

        tally_connection(connection, TALLY_COLLECTED, 1);
        return 0;
}

int connection_write(Connection *connection, const void *data, size_t size, Reason *reason) {
        return command_done(connection, command_write(connection, data, size, reason), reason);
}

static int command_read(Connection *connection, GBytes **ret, Reason *reason) {
        GBytes *first = connection_take_oldest(connection);
        int r;

        if (first) {
                *ret = first;
                return 0;
        }
        if (connection->state == HANDSHAKE_NOT_STARTED &&
            connection->error == DTLS_REMOTE_CLOSED_CONNECTION_ERROR)
                return reason_set(reason, RELAY_E_CLOSED, "The peer has closed the connection");

        r = command_check(connection, COMMAND_READ, reason);
        if (r)
                return r;
        if (connection->outlet || connection->trunk)
                return reason_set(reason, RELAY_E_CHANNEL_IN_USE,
                                  "A channel is open, and what arrives goes there");

        return reason_set(reason, RELAY_E_NOTHING, "Nothing has arrived");
}

int connection_read(Connection *connection, GBytes **ret, Reason *reason) {
        int r = command_read(connection, ret, reason);

        /* why it ended stays readable while what came before is read */
        if (r == 0 && connection->state == HANDSHAKE_NOT_STARTED)
                return 0;

        return command_done(connection, r, reason);
}

int connection_shutdown(Connection *connection, Reason *reason) {
        int r;

        r = command_check(connection, COMMAND_SHUTDOWN, reason);
        if (r)
                return command_done(connection, r, reason);

        connection_end(connection, END_SHUTDOWN);
        connection_forget_chain(connection);
        return command_done(connection, 0, reason);
}

int command_check_channel(const Connection *connection, Reason *reason) {
        int r;

        r = command_check(connection, COMMAND_OPEN_CHANNEL, reason);
        if (r)
                return r;
        if (connection->spec->external && !connection->carrier)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "With Transport 'external' a channel needs a carrier; call "
                                  "OpenCarrier first");

        return 0;
}

static int command_open_channel(Connection *connection, int *ret_fd, Reason *reason) {
        int r;

        r = command_check_channel(connection, reason);
        if (r)
                return r;
        if (connection->in_backlog)
                return reason_set(reason, RELAY_E_CHANNEL_IN_USE,
                                  "This connection waits to be taken off its listener's accept "
                                  "queue");
        if (connection->trunk)
                return reason_set(reason, RELAY_E_CHANNEL_IN_USE,
                                  "The connection goes over shared channel %" G_GUINT32_FORMAT,
                                  connection->spec->channel);
        if (connection->outlet)
                return reason_set(reason, RELAY_E_CHANNEL_IN_USE,
                                  "A channel is open already; close its fd first");

        return connection_attach_channel(connection, ret_fd, reason);
}

int connection_open_channel(Connection *connection, int *ret_fd, uint32_t *ret_data_mtu,
                            Reason *reason) {
        int r = command_open_channel(connection, ret_fd, reason);

        if (r == 0)
                *ret_data_mtu = connection->data_mtu;

        return command_done(connection, r, reason);
}

static int command_export(Connection *connection, const char *label, GBytes *context, uint32_t size,
                          Secret **ret, Reason *reason) {
        gsize context_size = 0;
        const void *data = context ? g_bytes_get_data(context, &context_size) : NULL;
        int r;

        r = command_check(connection, COMMAND_EXPORT, reason);
        if (r)
                return r;

        r = session_export_keying_material(connection->session, label, data, context_size, size,
                                           ret);
        if (r == SESSION_E_BAD_EXPORT)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "The label must have 1 to %d printable ASCII characters and be "
                                  "none of TLS itself ('key expansion'), the context at most %d "
                                  "bytes, the length 1 to %d",
                                  SESSION_EXPORT_LABEL_MAX, SESSION_EXPORT_CONTEXT_MAX,
                                  SESSION_EXPORT_MAX);
        if (r > 0)
                return reason_set(reason, RELAY_E_TLS_NON_FATAL,
                                  "The peer has no extended master secret (RFC 7627): what would "
                                  "be exported might be another session's too");

        return r < 0 ? fault(r) : 0;
}

int connection_export_keying_material(Connection *connection, const char *label, GBytes *context,
                                      uint32_t size, Secret **ret, Reason *reason) {
        return command_done(connection,
                            command_export(connection, label, context, size, ret, reason), reason);
}

static int command_ticket(Connection *connection, GBytes **ret, uint32_t *ret_lifetime,
                          Reason *reason) {
        g_autoptr(Secret) session = NULL;
        int r;

        r = command_check(connection, COMMAND_TICKET, reason);
        if (r)
                return r;

        r = session_ticket(connection->session, &session, ret_lifetime);
        if (r > 0)
                return reason_set(reason, RELAY_E_TLS_NON_FATAL,
                                  "There is no session ticket: a client gets one with SslOptions "
                                  "that do not disable it, from a server that gives tickets, and "
                                  "not with a pre-shared key");

        return r < 0 ? fault(r) : ticket_seal(connection->relay, connection->spec, session, ret);
}

int connection_session_ticket(Connection *connection, GBytes **ret, uint32_t *ret_lifetime,
                              Reason *reason) {
        int r = command_ticket(connection, ret, ret_lifetime, reason);

        return r ? command_done(connection, r, reason) : 0; /* who reads changes no error */
}
