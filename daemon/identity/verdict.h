/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Verdict: what is wrong with a peer's certificates, in QSslError's words, each error tied to its
 * certificate. All errors at once, not the first. A chain, a trust set and a name in, a list out;
 * nothing is kept, and nothing but the wall clock is asked.
 */

#include "identity/revocations.h"
#include "identity/trust.h"

#include <stdbool.h>
#include <stdint.h>

/* QSslError::SslError, in its order; Qt's own spelling of OcspSigRequred is kept on the bus */
typedef enum VerdictCode {
        VERDICT_NO_ERROR,
        VERDICT_UNABLE_TO_GET_ISSUER_CERTIFICATE,
        VERDICT_UNABLE_TO_DECRYPT_CERTIFICATE_SIGNATURE,
        VERDICT_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY,
        VERDICT_CERTIFICATE_SIGNATURE_FAILED,
        VERDICT_CERTIFICATE_NOT_YET_VALID,
        VERDICT_CERTIFICATE_EXPIRED,
        VERDICT_INVALID_NOT_BEFORE_FIELD,
        VERDICT_INVALID_NOT_AFTER_FIELD,
        VERDICT_SELF_SIGNED_CERTIFICATE,
        VERDICT_SELF_SIGNED_CERTIFICATE_IN_CHAIN,
        VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE,
        VERDICT_UNABLE_TO_VERIFY_FIRST_CERTIFICATE,
        VERDICT_CERTIFICATE_REVOKED,
        VERDICT_INVALID_CA_CERTIFICATE,
        VERDICT_PATH_LENGTH_EXCEEDED,
        VERDICT_INVALID_PURPOSE,
        VERDICT_CERTIFICATE_UNTRUSTED,
        VERDICT_CERTIFICATE_REJECTED,
        VERDICT_SUBJECT_ISSUER_MISMATCH,
        VERDICT_AUTHORITY_ISSUER_SERIAL_NUMBER_MISMATCH,
        VERDICT_NO_PEER_CERTIFICATE,
        VERDICT_HOST_NAME_MISMATCH,
        VERDICT_NO_SSL_SUPPORT,
        VERDICT_CERTIFICATE_BLACKLISTED,
        VERDICT_CERTIFICATE_STATUS_UNKNOWN,
        VERDICT_OCSP_NO_RESPONSE_FOUND,
        VERDICT_OCSP_MALFORMED_REQUEST,
        VERDICT_OCSP_MALFORMED_RESPONSE,
        VERDICT_OCSP_INTERNAL_ERROR,
        VERDICT_OCSP_TRY_LATER,
        VERDICT_OCSP_SIG_REQURED,
        VERDICT_OCSP_UNAUTHORIZED,
        VERDICT_OCSP_RESPONSE_CANNOT_BE_TRUSTED,
        VERDICT_OCSP_RESPONSE_CERT_ID_UNKNOWN,
        VERDICT_OCSP_RESPONSE_EXPIRED,
        VERDICT_OCSP_STATUS_UNKNOWN,
        VERDICT_UNSPECIFIED_ERROR,
        N_VERDICT_CODES,
} VerdictCode;

typedef struct VerdictError {
        VerdictCode code;
        GBytes *certificate; /* DER of the one it belongs to; NULL: none (NoPeerCertificate) */
} VerdictError;

typedef struct VerdictQuestion {
        const Trust *trust;
        const Revocations *revocations; /* NULL: nothing is taken back */
        bool wants_ocsp;       /* the leaf has to come with a good response of its issuer's: */
        GBytes *ocsp_response; /* NULL: with none */
        GPtrArray *chain; /* GBytes, DER, as the peer sent it, leaf first; empty: no certificate */
        const char *name; /* DNS name or IP literal to match; NULL: no name is checked */
        bool peer_is_server; /* the purpose the leaf must have */
        uint32_t depth;      /* peerVerifyDepth: most certificates sent, less the anchor; 0: any */
        const GPtrArray *pins; /* GBytes, verdict_pin()s of which the leaf's is one; NULL: any is */
        bool vouched;          /* the caller vouches for the leaf's key, as a pin does */
} VerdictQuestion;

const char *verdict_code_name(VerdictCode code); /* "SelfSignedCertificate", … */
bool verdict_code_from_name(const char *name, VerdictCode *ret);

/* A GArray of VerdictError that frees what it holds. */
GArray *verdict_errors_new(void);
void verdict_errors_add(GArray *errors, VerdictCode code, GBytes *certificate); /* no duplicates */

/* SHA-256 of a certificate's public key (SubjectPublicKeyInfo); NULL: it cannot be read. */
GBytes *verdict_pin(GBytes *der);

/* A leaf whose key is not pinned is CertificateRejected. One whose key is needs nobody else to
 * vouch for it, nor for its name: it is this host's key. Its dates, its purpose, and whether it was
 * taken back count all the same.
 *
 * Certificates that lead nowhere (beyond the anchor, or of another chain) are not looked at. What
 * cannot be read is UnspecifiedError, and also InvalidNotBeforeField or InvalidNotAfterField if
 * such is why; then nothing else is an error. */
int verdict_reach(const VerdictQuestion *question, GArray **ret);

/* Whether a signature of this certificate's key is checked in a moment. Who goes on with a peer
 * whatever its errors are must not go on with another: the check that comes later in the handshake
 * would stop the whole service. */
bool verdict_is_bearable(GBytes *der);

/* Whether every error is in @ignored by exact (code, certificate), or its code in @ignored_codes (a
 * GArray of VerdictCode). Either may be NULL. */
bool verdict_all_ignored(const GArray *errors, const GArray *ignored, const GArray *ignored_codes);
