/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * terms, see terms.h. The names are Qt's own; clients match on them.
 */

#include "base/terms.h"

#include <glib.h>

static const char *const handshake_state_names[N_HANDSHAKE_STATES] = {
        [HANDSHAKE_NOT_STARTED] = "HandshakeNotStarted",
        [HANDSHAKE_IN_PROGRESS] = "HandshakeInProgress",
        [HANDSHAKE_PEER_VERIFICATION_FAILED] = "PeerVerificationFailed",
        [HANDSHAKE_COMPLETE] = "HandshakeComplete",
};

static const char *const dtls_error_names[N_DTLS_ERRORS] = {
        [DTLS_NO_ERROR] = "NoError",
        [DTLS_INVALID_INPUT_PARAMETERS] = "InvalidInputParameters",
        [DTLS_INVALID_OPERATION] = "InvalidOperation",
        [DTLS_UNDERLYING_SOCKET_ERROR] = "UnderlyingSocketError",
        [DTLS_REMOTE_CLOSED_CONNECTION_ERROR] = "RemoteClosedConnectionError",
        [DTLS_PEER_VERIFICATION_ERROR] = "PeerVerificationError",
        [DTLS_TLS_INITIALIZATION_ERROR] = "TlsInitializationError",
        [DTLS_TLS_FATAL_ERROR] = "TlsFatalError",
        [DTLS_TLS_NON_FATAL_ERROR] = "TlsNonFatalError",
};

static const char *const peer_verify_mode_names[N_PEER_VERIFY_MODES] = {
        [VERIFY_NONE] = "VerifyNone",
        [QUERY_PEER] = "QueryPeer",
        [VERIFY_PEER] = "VerifyPeer",
        [AUTO_VERIFY_PEER] = "AutoVerifyPeer",
};

const char *handshake_state_name(HandshakeState state) {
        g_assert(state < N_HANDSHAKE_STATES);

        return handshake_state_names[state];
}

const char *dtls_error_name(DtlsError error) {
        g_assert(error < N_DTLS_ERRORS);

        return dtls_error_names[error];
}

const char *peer_verify_mode_name(PeerVerifyMode mode) {
        g_assert(mode < N_PEER_VERIFY_MODES);

        return peer_verify_mode_names[mode];
}

bool peer_verify_mode_from_name(const char *name, PeerVerifyMode *ret) {
        for (PeerVerifyMode mode = 0; mode < N_PEER_VERIFY_MODES; mode++)
                if (g_str_equal(name, peer_verify_mode_names[mode])) {
                        *ret = mode;
                        return true;
                }

        return false;
}

const char *dtls_role_name(DtlsRole role) {
        return role == DTLS_CLIENT ? "client" : "server";
}
