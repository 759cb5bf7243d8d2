/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verdict's codes by name, and lists of errors, see verdict.h. */

#include "identity/private.h"

static const char *const verdict_names[N_VERDICT_CODES] = {
        [VERDICT_NO_ERROR] = "NoError",
        [VERDICT_UNABLE_TO_GET_ISSUER_CERTIFICATE] = "UnableToGetIssuerCertificate",
        [VERDICT_UNABLE_TO_DECRYPT_CERTIFICATE_SIGNATURE] = "UnableToDecryptCertificateSignature",
        [VERDICT_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY] = "UnableToDecodeIssuerPublicKey",
        [VERDICT_CERTIFICATE_SIGNATURE_FAILED] = "CertificateSignatureFailed",
        [VERDICT_CERTIFICATE_NOT_YET_VALID] = "CertificateNotYetValid",
        [VERDICT_CERTIFICATE_EXPIRED] = "CertificateExpired",
        [VERDICT_INVALID_NOT_BEFORE_FIELD] = "InvalidNotBeforeField",
        [VERDICT_INVALID_NOT_AFTER_FIELD] = "InvalidNotAfterField",
        [VERDICT_SELF_SIGNED_CERTIFICATE] = "SelfSignedCertificate",
        [VERDICT_SELF_SIGNED_CERTIFICATE_IN_CHAIN] = "SelfSignedCertificateInChain",
        [VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE] = "UnableToGetLocalIssuerCertificate",
        [VERDICT_UNABLE_TO_VERIFY_FIRST_CERTIFICATE] = "UnableToVerifyFirstCertificate",
        [VERDICT_CERTIFICATE_REVOKED] = "CertificateRevoked",
        [VERDICT_INVALID_CA_CERTIFICATE] = "InvalidCaCertificate",
        [VERDICT_PATH_LENGTH_EXCEEDED] = "PathLengthExceeded",
        [VERDICT_INVALID_PURPOSE] = "InvalidPurpose",
        [VERDICT_CERTIFICATE_UNTRUSTED] = "CertificateUntrusted",
        [VERDICT_CERTIFICATE_REJECTED] = "CertificateRejected",
        [VERDICT_SUBJECT_ISSUER_MISMATCH] = "SubjectIssuerMismatch",
        [VERDICT_AUTHORITY_ISSUER_SERIAL_NUMBER_MISMATCH] = "AuthorityIssuerSerialNumberMismatch",
        [VERDICT_NO_PEER_CERTIFICATE] = "NoPeerCertificate",
        [VERDICT_HOST_NAME_MISMATCH] = "HostNameMismatch",
        [VERDICT_NO_SSL_SUPPORT] = "NoSslSupport",
        [VERDICT_CERTIFICATE_BLACKLISTED] = "CertificateBlacklisted",
        [VERDICT_CERTIFICATE_STATUS_UNKNOWN] = "CertificateStatusUnknown",
        [VERDICT_OCSP_NO_RESPONSE_FOUND] = "OcspNoResponseFound",
        [VERDICT_OCSP_MALFORMED_REQUEST] = "OcspMalformedRequest",
        [VERDICT_OCSP_MALFORMED_RESPONSE] = "OcspMalformedResponse",
        [VERDICT_OCSP_INTERNAL_ERROR] = "OcspInternalError",
        [VERDICT_OCSP_TRY_LATER] = "OcspTryLater",
        [VERDICT_OCSP_SIG_REQURED] = "OcspSigRequred",
        [VERDICT_OCSP_UNAUTHORIZED] = "OcspUnauthorized",
        [VERDICT_OCSP_RESPONSE_CANNOT_BE_TRUSTED] = "OcspResponseCannotBeTrusted",
        [VERDICT_OCSP_RESPONSE_CERT_ID_UNKNOWN] = "OcspResponseCertIdUnknown",
        [VERDICT_OCSP_RESPONSE_EXPIRED] = "OcspResponseExpired",
        [VERDICT_OCSP_STATUS_UNKNOWN] = "OcspStatusUnknown",
        [VERDICT_UNSPECIFIED_ERROR] = "UnspecifiedError",
};

const char *verdict_code_name(VerdictCode code) {
        g_assert(code < N_VERDICT_CODES);

        return verdict_names[code];
}

bool verdict_code_from_name(const char *name, VerdictCode *ret) {
        for (VerdictCode code = 0; code < N_VERDICT_CODES; code++)
                if (g_str_equal(name, verdict_names[code])) {
                        *ret = code;
                        return true;
                }

        return false;
}

static void verdict_error_clear(gpointer data) {
        VerdictError *error = data;

        g_bytes_unref(error->certificate);
}

GArray *verdict_errors_new(void) {
        GArray *errors = g_array_new(FALSE, FALSE, sizeof(VerdictError));

        g_array_set_clear_func(errors, verdict_error_clear);
        return errors;
}

static bool verdict_same_certificate(GBytes *a, GBytes *b) {
        return a && b ? g_bytes_equal(a, b) : a == b;
}

bool verdict_errors_have(const GArray *errors, VerdictCode code, GBytes *certificate) {
        for (size_t i = 0; i < errors->len; i++) {
                const VerdictError *error = &g_array_index(errors, VerdictError, i);

                if (error->code == code &&
                    verdict_same_certificate(error->certificate, certificate))
                        return true;
        }

        return false;
}

void verdict_errors_add(GArray *errors, VerdictCode code, GBytes *certificate) {
        VerdictError error = {.code = code};

        if (verdict_errors_have(errors, code, certificate))
                return;

        if (certificate)
                error.certificate = g_bytes_ref(certificate);
        g_array_append_val(errors, error);
}

static bool verdict_code_in(const GArray *codes, VerdictCode code) {
        for (size_t i = 0; i < codes->len; i++)
                if (g_array_index(codes, VerdictCode, i) == code)
                        return true;

        return false;
}

bool verdict_all_ignored(const GArray *errors, const GArray *ignored, const GArray *ignored_codes) {
        for (size_t i = 0; i < errors->len; i++) {
                const VerdictError *error = &g_array_index(errors, VerdictError, i);
                bool is = (ignored &&
                           verdict_errors_have(ignored, error->code, error->certificate)) ||
                          (ignored_codes && verdict_code_in(ignored_codes, error->code));

                if (!is)
                        return false;
        }

        return true;
}
