/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verdict, see verdict.h.
 *
 * GnuTLS goes down a chain from its anchor and stops at the first thing that is wrong, so that what
 * lies below was never looked at: with an unknown root no signature of the chain was checked at
 * all. That is well for a yes or no. But our callers may ignore single errors, and whoever ignores
 * one must still hear of the others. So a chain that GnuTLS does not accept as a whole is walked
 * again, every link by itself and as if all above it was good.
 *
 * Times, names, purposes and length are looked at here in any case: they depend on nothing else.
 */

#include "identity/verdict.h"
#include "base/address.h"
#include "base/fault.h"
#include "identity/certificate.h"
#include "identity/chain.h"
#include "identity/ocsp.h"
#include "identity/validity.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509-ext.h>
#include <string.h>
#include <time.h>

/* GnuTLS 3.7.9 copies the chain to an array of 16 on its stack without counting. */
G_STATIC_ASSERT(CHAIN_LENGTH_MAX <= 16);

#define VERDICT_SERIAL_SIZE_MAX 128 /* RFC 5280: 20, and many have more */
/* GnuTLS reads a list of purposes from its beginning for each of them: 32 KiB, which a peer may
 * send, take it half a second. A hundred real ones fit in this. */
#define VERDICT_PURPOSES_SIZE_MAX 1024
#define VERDICT_PURPOSES_OID "2.5.29.37"

#define VERDICT_PIN_SIZE 32

#define VERDICT_STRICT                                                                             \
        (GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM) | GNUTLS_VERIFY_DISABLE_TIME_CHECKS |     \
         GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS)

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

/* What GnuTLS says of one certificate, where it means that certificate. The rest is told apart in
 * verdict_link. */
static const struct {
        unsigned status;
        VerdictCode code;
} verdict_statuses[] = {
        {GNUTLS_CERT_SIGNATURE_FAILURE, VERDICT_CERTIFICATE_SIGNATURE_FAILED},
        {GNUTLS_CERT_INSECURE_ALGORITHM, VERDICT_CERTIFICATE_REJECTED},
        {GNUTLS_CERT_UNKNOWN_CRIT_EXTENSIONS, VERDICT_CERTIFICATE_REJECTED},
};

/* What the peer sent, in its order. */
typedef struct Sent {
        gnutls_x509_crt_t certificates[CHAIN_LENGTH_MAX];
        size_t length;
} Sent;

/* As much of it as leads from the leaf towards an anchor. */
typedef struct Path {
        gnutls_x509_crt_t certificates[CHAIN_LENGTH_MAX]; /* of Sent */
        GBytes *ders[CHAIN_LENGTH_MAX];                   /* of the question */
        size_t length;

        gnutls_x509_crt_t anchor; /* who issued the last one, owned; or NULL */
        bool trusted;             /* the last one was issued by an anchor, or is one */
} Path;

/* What a verification said, one entry for each certificate it got to. */
typedef struct Reports {
        struct {
                gnutls_x509_crt_t certificate;
                gnutls_x509_crt_t issuer;
                unsigned status;
        } entries[2 * CHAIN_LENGTH_MAX];
        size_t length;
} Reports;

/* gnutls_verify_output_function carries no pointer of its caller's. */
static _Thread_local Reports *verdict_reports;

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

static bool verdict_errors_have(const GArray *errors, VerdictCode code, GBytes *certificate) {
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

static void sent_done(Sent *sent) {
        for (size_t i = 0; i < sent->length; i++)
                gnutls_x509_crt_deinit(sent->certificates[i]);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sent, sent_done)

/* Asked for its size, GnuTLS decodes it. */
static bool verdict_key_is_decodable(gnutls_x509_crt_t certificate) {
        unsigned bits;

        return gnutls_x509_crt_get_pk_algorithm(certificate, &bits) >= 0;
}

/* A key that cannot be decoded costs nothing: nobody can work with it. */
static bool sent_is_bearable(const Sent *sent, size_t i) {
        return certificate_is_bearable(sent->certificates[i]) ||
               (i > 0 && !verdict_key_is_decodable(sent->certificates[i]));
}

/* Nothing else was looked at, so a date alone must not be all there is to ignore. */
static void sent_unreadable(GArray *errors, GBytes *der) {
        Validity validity = validity_look(der);

        verdict_errors_add(errors, VERDICT_UNSPECIFIED_ERROR, der);
        if (validity.begin_is_bad)
                verdict_errors_add(errors, VERDICT_INVALID_NOT_BEFORE_FIELD, der);
        if (validity.end_is_bad)
                verdict_errors_add(errors, VERDICT_INVALID_NOT_AFTER_FIELD, der);
}

/* What cannot be read, or would take too long, is an error of its own; then nothing else is. */
static int sent_read(Sent *sent, GPtrArray *chain, GArray *errors) {
        for (size_t i = 0; i < chain->len && i < CHAIN_LENGTH_MAX; i++) {
                int r = certificate_import(chain->pdata[i], &sent->certificates[i]);

                if (r < 0)
                        return fault(r);
                if (r == 0)
                        sent->length++;
                if (r > 0)
                        sent_unreadable(errors, chain->pdata[i]);
                else if (!sent_is_bearable(sent, i))
                        verdict_errors_add(errors, VERDICT_UNSPECIFIED_ERROR, chain->pdata[i]);
                if (errors->len > 0)
                        return 0;
        }

        return 0;
}

static void path_done(Path *path) {
        if (path->anchor)
                gnutls_x509_crt_deinit(path->anchor);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Path, path_done)

static bool path_is_self_issued(const Path *path, size_t i) {
        return gnutls_x509_crt_check_issuer(path->certificates[i], path->certificates[i]);
}

/* Whether what else was sent does not matter to the last one. */
static bool path_is_at_end(Path *path, const Trust *trust) {
        gnutls_x509_crt_t last = path->certificates[path->length - 1];

        if (trust_has(trust, path->ders[path->length - 1]))
                path->trusted = true;
        else if (path_is_self_issued(path, path->length - 1))
                return true;
        else if (gnutls_x509_trust_list_get_issuer(trust_list(trust), last, &path->anchor,
                                                   GNUTLS_TL_GET_COPY) >= 0)
                path->trusted = true;

        return path->trusted;
}

static void path_build(Path *path, const Sent *sent, const VerdictQuestion *question) {
        bool used[CHAIN_LENGTH_MAX] = {false};
        size_t next = 0;

        while (next < sent->length) {
                gnutls_x509_crt_t last = sent->certificates[next];

                used[next] = true;
                path->certificates[path->length] = last;
                path->ders[path->length++] = question->chain->pdata[next];
                if (path_is_at_end(path, question->trust))
                        return;

                for (next = 0; next < sent->length; next++)
                        if (!used[next] &&
                            gnutls_x509_crt_check_issuer(last, sent->certificates[next]))
                                break;
        }
}

/* The DER of who issued certificate @i of the path, or NULL. */
static GBytes *path_issuer_der(const Path *path, size_t i) {
        if (i + 1 < path->length)
                return g_bytes_ref(path->ders[i + 1]);

        return path->anchor ? certificate_export(path->anchor) : NULL;
}

static gnutls_x509_crt_t path_issuer(const Path *path, size_t i) {
        return i + 1 < path->length ? path->certificates[i + 1] : path->anchor;
}

static int verdict_note(gnutls_x509_crt_t certificate, gnutls_x509_crt_t issuer,
                        gnutls_x509_crl_t crl, unsigned status) {
        Reports *reports = verdict_reports;

        if (reports && reports->length < G_N_ELEMENTS(reports->entries)) {
                reports->entries[reports->length].certificate = certificate;
                reports->entries[reports->length].issuer = issuer;
                reports->entries[reports->length++].status = status;
        }

        return 0;
}

static int verdict_verify(gnutls_x509_trust_list_t list, gnutls_x509_crt_t *certificates,
                          size_t length, unsigned flags, Reports *reports, unsigned *ret_status) {
        unsigned status = 0;
        int r;

        verdict_reports = reports;
        r = gnutls_x509_trust_list_verify_crt2(list, certificates, (unsigned)length, NULL, 0, flags,
                                               &status, verdict_note);
        verdict_reports = NULL;
        if (r < 0)
                return fault(-EPROTO);

        *ret_status = status;
        return 0;
}

/* The same with one anchor, or none at all. */
static int verdict_verify_under(gnutls_x509_crt_t anchor, gnutls_x509_crt_t *certificates,
                                size_t length, unsigned flags, Reports *reports,
                                unsigned *ret_status) {
        gnutls_x509_trust_list_t list;
        int r = 0;

        if (gnutls_x509_trust_list_init(&list, 1) < 0)
                return fault(-ENOMEM);

        if (anchor && gnutls_x509_trust_list_add_cas(list, &anchor, 1, 0) != 1)
                r = fault(-ENOMEM);
        if (r == 0)
                r = verdict_verify(list, certificates, length,
                                   flags | GNUTLS_VERIFY_DO_NOT_ALLOW_X509_V1_CA_CRT, reports,
                                   ret_status);

        gnutls_x509_trust_list_deinit(list, /* all= */ 0);
        return r;
}

static void verdict_no_issuer(GArray *errors, const Path *path, size_t i) {
        if (path_is_self_issued(path, i)) {
                verdict_errors_add(errors,
                                   i == 0 ? VERDICT_SELF_SIGNED_CERTIFICATE
                                          : VERDICT_SELF_SIGNED_CERTIFICATE_IN_CHAIN,
                                   path->ders[i]);
                return;
        }

        verdict_errors_add(errors, VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, path->ders[i]);
        if (i == 0)
                verdict_errors_add(errors, VERDICT_UNABLE_TO_VERIFY_FIRST_CERTIFICATE,
                                   path->ders[i]);
}

static bool verdict_may_sign(gnutls_x509_crt_t issuer) {
        unsigned usage;

        return gnutls_x509_crt_get_key_usage(issuer, &usage, NULL) < 0 ||
               usage & GNUTLS_KEY_KEY_CERT_SIGN;
}

static void verdict_link_errors(GArray *errors, const Path *path, size_t i, unsigned status) {
        gnutls_x509_crt_t issuer = path_issuer(path, i);

        for (size_t s = 0; s < G_N_ELEMENTS(verdict_statuses); s++)
                if (status & verdict_statuses[s].status)
                        verdict_errors_add(errors, verdict_statuses[s].code, path->ders[i]);

        if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
                verdict_no_issuer(errors, path, i);

        /* GnuTLS says this of the child */
        if (status & GNUTLS_CERT_SIGNER_NOT_CA ||
            (status & GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE && issuer &&
             !verdict_may_sign(issuer))) {
                g_autoptr(GBytes) issuer_der = path_issuer_der(path, i);

                verdict_errors_add(errors, VERDICT_INVALID_CA_CERTIFICATE, issuer_der);
        }

        /* and then it says of the child's signature that it is weak */
        if (issuer && !verdict_key_is_decodable(issuer)) {
                g_autoptr(GBytes) issuer_der = path_issuer_der(path, i);

                verdict_errors_add(errors, VERDICT_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY, issuer_der);
        }

        if (status == GNUTLS_CERT_INVALID)
                verdict_errors_add(errors, VERDICT_CERTIFICATE_UNTRUSTED, path->ders[i]);
}

static int verdict_link(GArray *errors, Path *path, size_t i, const Trust *trust) {
        gnutls_x509_crt_t *certificate = &path->certificates[i];
        unsigned status = GNUTLS_CERT_INVALID;
        int r;

        if (i + 1 < path->length)
                r = verdict_verify_under(path->certificates[i + 1], certificate, 1, VERDICT_STRICT,
                                         NULL, &status);
        else if (path->trusted)
                r = verdict_verify(trust_list(trust), certificate, 1, VERDICT_STRICT, NULL,
                                   &status);
        else
                r = verdict_verify_under(NULL, certificate, 1, VERDICT_STRICT, NULL, &status);
        if (r < 0)
                return fault(r);

        verdict_link_errors(errors, path, i, status);
        return 0;
}

static GBytes *path_der(const Path *path, gnutls_x509_crt_t certificate) {
        for (size_t i = 0; i < path->length; i++)
                if (path->certificates[i] == certificate)
                        return path->ders[i];

        return path->ders[0];
}

/* What one certificate of a chain says of all below it: how many, and with which names. Everything
 * is let pass that has been looked at link by link. */
static int verdict_constraints(GArray *errors, Path *path, const Trust *trust) {
        unsigned flags = GNUTLS_VERIFY_ALLOW_BROKEN | GNUTLS_VERIFY_ALLOW_SIGN_WITH_SHA1 |
                         GNUTLS_VERIFY_IGNORE_UNKNOWN_CRIT_EXTENSIONS |
                         GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
                         GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS;
        Reports reports = {.length = 0};
        size_t last = path->length - 1;
        unsigned status = 0;
        int r = 0;

        if (path->trusted)
                r = verdict_verify(trust_list(trust), path->certificates, path->length, flags,
                                   &reports, &status);
        else if (last > 0)
                r = verdict_verify_under(path->certificates[last], path->certificates, last, flags,
                                         &reports, &status);
        if (r < 0)
                return fault(r);

        for (size_t i = 0; i < reports.length; i++) {
                gnutls_x509_crt_t issuer = reports.entries[i].issuer;
                GBytes *der = path_der(path, reports.entries[i].certificate);

                if (!(reports.entries[i].status & status & GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE))
                        continue;

                /* GnuTLS looks for no issuer when there is one certificate too many */
                if (!issuer)
                        verdict_errors_add(errors, VERDICT_PATH_LENGTH_EXCEEDED, der);
                else if (verdict_may_sign(issuer))
                        verdict_errors_add(errors, VERDICT_CERTIFICATE_REJECTED, der);
        }

        return 0;
}

static int verdict_chain(GArray *errors, Path *path, const Trust *trust) {
        unsigned status = GNUTLS_CERT_INVALID;
        int r;

        if (path->trusted) {
                r = verdict_verify(trust_list(trust), path->certificates, path->length,
                                   VERDICT_STRICT, NULL, &status);
                if (r < 0)
                        return fault(r);
        }

        if (status == 0)
                return 0;

        for (size_t i = path->length; i > 0; i--) {
                r = verdict_link(errors, path, i - 1, trust);
                if (r < 0)
                        return fault(r);
        }

        r = verdict_constraints(errors, path, trust);
        if (r < 0)
                return fault(r);

        /* whatever it was, it was not good */
        if (errors->len == 0)
                verdict_errors_add(errors, VERDICT_CERTIFICATE_UNTRUSTED, path->ders[0]);

        return 0;
}

/* The serial number that a certificate says its issuer's certificate has, if it says so. */
static int verdict_named_serial(gnutls_x509_crt_t certificate, gnutls_x509_aki_t authority,
                                gnutls_datum_t *ret) {
        gnutls_datum_t extension, name;
        unsigned type;
        int r;

        r = gnutls_x509_crt_get_extension_by_oid2(certificate, GNUTLS_X509EXT_OID_AUTHORITY_KEY_ID,
                                                  0, &extension, NULL);
        if (r < 0)
                return r;

        r = gnutls_x509_ext_import_authority_key_id(&extension, authority, 0);
        gnutls_free(extension.data);
        if (r < 0)
                return r;

        return gnutls_x509_aki_get_cert_issuer(authority, 0, &type, &name, NULL, ret);
}

static bool verdict_serial_fits(gnutls_x509_crt_t certificate, gnutls_x509_crt_t issuer) {
        uint8_t serial[VERDICT_SERIAL_SIZE_MAX];
        size_t size = sizeof(serial);
        gnutls_datum_t named = {NULL, 0};
        gnutls_x509_aki_t authority;
        bool fits = true;

        if (gnutls_x509_aki_init(&authority) < 0)
                return false;

        if (verdict_named_serial(certificate, authority, &named) >= 0 && named.size > 0)
                fits = gnutls_x509_crt_get_serial(issuer, serial, &size) >= 0 &&
                       size == named.size && memcmp(serial, named.data, size) == 0;

        gnutls_x509_aki_deinit(authority);
        return fits;
}

/* GnuTLS looks for an issuer by name and key alone. */
static void verdict_serials(GArray *errors, const Path *path) {
        for (size_t i = 0; i < path->length; i++) {
                gnutls_x509_crt_t issuer = path_issuer(path, i);

                if (issuer && !verdict_serial_fits(path->certificates[i], issuer))
                        verdict_errors_add(errors, VERDICT_AUTHORITY_ISSUER_SERIAL_NUMBER_MISMATCH,
                                           path->ders[i]);
        }
}

/* Whoever vouches for it. */
static void verdict_revocations(GArray *errors, const Path *path, const Revocations *revocations) {
        for (size_t i = 0; i < path->length; i++) {
                gnutls_x509_crt_t issuer = path_issuer(path, i);
                RevocationsStatus status =
                        revocations_ask(revocations, path->certificates[i], issuer);

                if (revocations_deny(revocations, path->certificates[i]))
                        verdict_errors_add(errors, VERDICT_CERTIFICATE_BLACKLISTED, path->ders[i]);
                if (status == REVOCATIONS_REVOKED)
                        verdict_errors_add(errors, VERDICT_CERTIFICATE_REVOKED, path->ders[i]);
                if (status == REVOCATIONS_UNKNOWN)
                        verdict_errors_add(errors, VERDICT_CERTIFICATE_STATUS_UNKNOWN,
                                           path->ders[i]);
        }

        if (path->anchor && revocations_deny(revocations, path->anchor)) {
                g_autoptr(GBytes) der = certificate_export(path->anchor);

                verdict_errors_add(errors, VERDICT_CERTIFICATE_BLACKLISTED, der);
        }
}

static int verdict_ocsp(GArray *errors, const Path *path, GBytes *response) {
        OcspSubject subject = {
                .certificate = path->certificates[0],
                .issuer = path_issuer(path, 0),
                .der = path->ders[0],
        };
        int r;

        if (!subject.issuer && path_is_self_issued(path, 0))
                subject.issuer = path->certificates[0];

        r = ocsp_judge(errors, response, &subject);
        return r < 0 ? fault(r) : 0;
}

static void verdict_dates(GArray *errors, gnutls_x509_crt_t certificate, GBytes *der, time_t now) {
        time_t begin = gnutls_x509_crt_get_activation_time(certificate);
        time_t end = gnutls_x509_crt_get_expiration_time(certificate);

        if (begin == (time_t)-1)
                verdict_errors_add(errors, VERDICT_INVALID_NOT_BEFORE_FIELD, der);
        else if (now < begin)
                verdict_errors_add(errors, VERDICT_CERTIFICATE_NOT_YET_VALID, der);

        if (end == (time_t)-1)
                verdict_errors_add(errors, VERDICT_INVALID_NOT_AFTER_FIELD, der);
        else if (now > end)
                verdict_errors_add(errors, VERDICT_CERTIFICATE_EXPIRED, der);
}

static void verdict_all_dates(GArray *errors, const Path *path) {
        time_t now = time(NULL);

        for (size_t i = 0; i < path->length; i++)
                verdict_dates(errors, path->certificates[i], path->ders[i], now);

        if (path->anchor) {
                g_autoptr(GBytes) der = certificate_export(path->anchor);

                verdict_dates(errors, path->anchor, der, now);
        }
}

static bool verdict_purposes_are_bearable(gnutls_x509_crt_t certificate) {
        gnutls_datum_t purposes = {NULL, 0};

        if (gnutls_x509_crt_get_extension_by_oid2(certificate, VERDICT_PURPOSES_OID, 0, &purposes,
                                                  NULL) < 0)
                return true; /* it has none */

        gnutls_free(purposes.data);
        return purposes.size <= VERDICT_PURPOSES_SIZE_MAX;
}

/* The peer's own, and those that say for what they issue. */
static void verdict_purposes(GArray *errors, const Path *path, bool peer_is_server) {
        const char *purpose = peer_is_server ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT;

        for (size_t i = 0; i < path->length; i++)
                if (!verdict_purposes_are_bearable(path->certificates[i]) ||
                    !gnutls_x509_crt_check_key_purpose(path->certificates[i], purpose, 0))
                        verdict_errors_add(errors, VERDICT_INVALID_PURPOSE, path->ders[i]);
}

/* A certificate knows no scopes: they are the business of one host. */
static bool verdict_name_is_address(const char *name, Address *ret) {
        g_autofree char *address = g_strndup(name, strcspn(name, "%"));

        return address_parse(address, 0, ret) == 0;
}

static bool verdict_address_matches(gnutls_x509_crt_t leaf, const Address *address) {
        if (address_family(address) == AF_INET)
                return gnutls_x509_crt_check_ip(leaf, (const uint8_t *)&address->in.sin_addr,
                                                sizeof(address->in.sin_addr), 0);

        return gnutls_x509_crt_check_ip(leaf, (const uint8_t *)&address->in6.sin6_addr,
                                        sizeof(address->in6.sin6_addr), 0);
}

static bool verdict_name_matches(gnutls_x509_crt_t leaf, const char *name) {
        g_autofree char *relative = NULL;
        Address address;

        if (verdict_name_is_address(name, &address))
                return verdict_address_matches(leaf, &address);

        /* "example.org." is the same name, and no certificate has the dot */
        relative = g_strdup(name);
        if (g_str_has_suffix(relative, "."))
                relative[strlen(relative) - 1] = '\0';

        return gnutls_x509_crt_check_hostname(leaf, relative);
}

static void verdict_name(GArray *errors, const Path *path, const char *name) {
        if (!name || *name == '\0')
                return;

        if (!verdict_name_matches(path->certificates[0], name))
                verdict_errors_add(errors, VERDICT_HOST_NAME_MISMATCH, path->ders[0]);
}

/* A root that is sent along does not make a chain longer. */
static void verdict_length(GArray *errors, const Path *path, const VerdictQuestion *question) {
        size_t length = path->length;

        if (length > 1 && path_is_self_issued(path, length - 1))
                length--;

        if (question->depth > 0 && length > question->depth)
                verdict_errors_add(errors, VERDICT_PATH_LENGTH_EXCEEDED,
                                   path->ders[question->depth]);
        if (question->chain->len > CHAIN_LENGTH_MAX)
                verdict_errors_add(errors, VERDICT_PATH_LENGTH_EXCEEDED,
                                   question->chain->pdata[CHAIN_LENGTH_MAX]);
}

static GBytes *verdict_key_hash(gnutls_x509_crt_t certificate) {
        uint8_t hash[VERDICT_PIN_SIZE];
        size_t size = sizeof(hash);

        if (gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, hash, &size) < 0)
                return NULL;

        return g_bytes_new(hash, size);
}

GBytes *verdict_pin(GBytes *der) {
        certificate_auto certificate = NULL;

        return certificate_import(der, &certificate) == 0 ? verdict_key_hash(certificate) : NULL;
}

/* Whether a pin, or the caller, vouches for the leaf. */
static bool verdict_is_vouched(const Path *path, const VerdictQuestion *question) {
        g_autoptr(GBytes) pin = NULL;

        if (!question->pins)
                return question->vouched;

        pin = verdict_key_hash(path->certificates[0]);
        return pin && g_ptr_array_find_with_equal_func((GPtrArray *)question->pins, pin,
                                                       (GEqualFunc)g_bytes_equal, NULL);
}

/* Who issued whom, up to whom we trust, and for which name; of one whom no pin vouches for. */
static int verdict_issuers(GArray *errors, Path *path, const VerdictQuestion *question) {
        int r;

        r = verdict_chain(errors, path, question->trust);
        if (r < 0)
                return fault(r);

        verdict_serials(errors, path);
        verdict_name(errors, path, question->name);
        verdict_length(errors, path, question);
        if (question->pins)
                verdict_errors_add(errors, VERDICT_CERTIFICATE_REJECTED, path->ders[0]);
        return 0;
}

/**
 * verdict_reach() - everything that is wrong with what a peer showed
 *
 * An empty list is a good peer. The list is complete in this sense: a peer whose errors are all
 * ignored has valid signatures from its leaf to the last certificate of its path, unless a failed
 * signature, or a key that says nothing of one, is among the ignored.
 *
 * Return: 0, or a fault.
 */
int verdict_reach(const VerdictQuestion *question, GArray **ret) {
        g_autoptr(GArray) errors = verdict_errors_new();
        g_auto(Sent) sent = {.length = 0};
        g_auto(Path) path = {.length = 0};
        int r = 0;

        if (question->chain->len == 0)
                verdict_errors_add(errors, VERDICT_NO_PEER_CERTIFICATE, NULL);
        else
                r = sent_read(&sent, question->chain, errors);
        if (r < 0)
                return fault(r);

        if (errors->len == 0) {
                path_build(&path, &sent, question);

                if (!verdict_is_vouched(&path, question))
                        r = verdict_issuers(errors, &path, question);
                if (r < 0)
                        return fault(r);

                if (question->revocations)
                        verdict_revocations(errors, &path, question->revocations);
                if (question->wants_ocsp)
                        r = verdict_ocsp(errors, &path, question->ocsp_response);
                if (r < 0)
                        return fault(r);

                verdict_all_dates(errors, &path);
                verdict_purposes(errors, &path, question->peer_is_server);
        }

        *ret = g_steal_pointer(&errors);
        return 0;
}

bool verdict_is_bearable(GBytes *der) {
        certificate_auto certificate = NULL;

        return certificate_import(der, &certificate) == 0 && certificate_is_bearable(certificate);
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
