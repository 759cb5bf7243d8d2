/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * terms: the words the whole service shares with QDtls, with the names the bus shows.
 */

#include <stdbool.h>

#define DTLSD_BUS_NAME "io.github.dtlsd.Dtlsd1"
#define DTLSD_ROOT_PATH "/io/github/dtlsd/Dtlsd1"
#define DTLSD_INTERFACE_MANAGER "io.github.dtlsd.Dtlsd1.Manager"
#define DTLSD_INTERFACE_CONNECTION "io.github.dtlsd.Dtlsd1.Connection"
#define DTLSD_INTERFACE_LISTENER "io.github.dtlsd.Dtlsd1.Listener"
#define DTLSD_INTERFACE_VERIFIER "io.github.dtlsd.Dtlsd1.ClientVerifier"
#define DTLSD_INTERFACE_IDENTITY "io.github.dtlsd.Dtlsd1.Identity"
#define DTLSD_INTERFACE_KEYRING "io.github.dtlsd.Dtlsd1.Keyring"
#define DTLSD_ERROR_PREFIX "io.github.dtlsd.Dtlsd1.Error."

/* QDtls::HandshakeState, in its order */
typedef enum HandshakeState {
        HANDSHAKE_NOT_STARTED,
        HANDSHAKE_IN_PROGRESS,
        HANDSHAKE_PEER_VERIFICATION_FAILED,
        HANDSHAKE_COMPLETE,
        N_HANDSHAKE_STATES,
} HandshakeState;

/* QDtlsError, in its order */
typedef enum DtlsError {
        DTLS_NO_ERROR,
        DTLS_INVALID_INPUT_PARAMETERS,
        DTLS_INVALID_OPERATION,
        DTLS_UNDERLYING_SOCKET_ERROR,
        DTLS_REMOTE_CLOSED_CONNECTION_ERROR,
        DTLS_PEER_VERIFICATION_ERROR,
        DTLS_TLS_INITIALIZATION_ERROR,
        DTLS_TLS_FATAL_ERROR,
        DTLS_TLS_NON_FATAL_ERROR,
        N_DTLS_ERRORS,
} DtlsError;

/* QSslSocket::PeerVerifyMode, in its order */
typedef enum PeerVerifyMode {
        VERIFY_NONE,
        QUERY_PEER,
        VERIFY_PEER,
        AUTO_VERIFY_PEER,
        N_PEER_VERIFY_MODES,
} PeerVerifyMode;

typedef enum DtlsRole {
        DTLS_CLIENT,
        DTLS_SERVER,
} DtlsRole;

const char *handshake_state_name(HandshakeState state); /* "HandshakeNotStarted", … */
const char *dtls_error_name(DtlsError error);           /* "NoError", … */
const char *peer_verify_mode_name(PeerVerifyMode mode); /* "VerifyNone", … */
bool peer_verify_mode_from_name(const char *name, PeerVerifyMode *ret);
const char *dtls_role_name(DtlsRole role); /* "client", "server" */
