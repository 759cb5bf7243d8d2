/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of states, and how each command ends, see commands.h. */

#include "relay/commands.h"

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

int command_done(Connection *connection, int r, const Reason *reason) {
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

int command_failed(const Connection *connection, Reason *reason) {
        return reason_set(reason, command_outcome(connection->error), "%s", connection->error_text);
}

int command_check(const Connection *connection, Command command, Reason *reason) {
        const char *why = commands_refused[command][connection->state];

        return why ? reason_set(reason, RELAY_E_INVALID_OPERATION, "%s", why) : 0;
}

int command_check_own(const Connection *connection, Command command, Reason *reason) {
        if (connection->listener)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "This connection is its listener's; set it there");

        return command_check(connection, command, reason);
}
