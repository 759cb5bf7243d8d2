/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ocsp, see ocsp.h. The order of the checks is QSslSocket's, and so is that all are made even
 * though the signature is false: whoever ignores one error must still hear of the others.
 */

#include "identity/ocsp.h"
#include "base/fault.h"
#include "identity/certificate.h"

#include <errno.h>
#include <gnutls/ocsp.h>
#include <string.h>
#include <time.h>

#define OCSP_SKEW 60 /* seconds that clocks may differ; Qt's */
#define OCSP_ENDLESS                                                                               \
        (10 * 24 * 60 * 60) /* how long one counts that does not say: as the rules of              \
                               the public CAs bound those that do */

/* The one statement of a response; whoever has it frees it. */
typedef struct OcspSingle {
        gnutls_digest_algorithm_t digest;
        gnutls_datum_t name, key, serial; /* which certificate: hashes of its issuer, its number */
        unsigned status;
        time_t begin, end; /* end -1: none is said */
} OcspSingle;

static void ocsp_single_done(OcspSingle *single) {
        gnutls_free(single->name.data);
        gnutls_free(single->key.data);
        gnutls_free(single->serial.data);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(OcspSingle, ocsp_single_done)

static VerdictCode ocsp_refusal(int status) {
        switch (status) {
        case GNUTLS_OCSP_RESP_MALFORMEDREQUEST:
                return VERDICT_OCSP_MALFORMED_REQUEST;
        case GNUTLS_OCSP_RESP_INTERNALERROR:
                return VERDICT_OCSP_INTERNAL_ERROR;
        case GNUTLS_OCSP_RESP_TRYLATER:
                return VERDICT_OCSP_TRY_LATER;
        case GNUTLS_OCSP_RESP_SIGREQUIRED:
                return VERDICT_OCSP_SIG_REQURED;
        case GNUTLS_OCSP_RESP_UNAUTHORIZED:
                return VERDICT_OCSP_UNAUTHORIZED;
        default:
                return VERDICT_OCSP_MALFORMED_RESPONSE;
        }
}

/* Whether nobody that it brings along has a key that would stop the service. */
static bool ocsp_is_bearable(gnutls_ocsp_resp_t response) {
        gnutls_x509_crt_t *certificates = NULL;
        size_t n = 0;
        bool is = true;
        int r;

        r = gnutls_ocsp_resp_get_certs(response, &certificates, &n);
        if (r < 0)
                return r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;

        for (size_t i = 0; i < n; i++) {
                is = is && certificate_is_bearable(certificates[i]);
                gnutls_x509_crt_deinit(certificates[i]);
        }
        gnutls_free(certificates);
        return is;
}

/* By the issuer, or by whom it has made a certificate for just that. The issuer's own dates are
 * looked at elsewhere. */
static bool ocsp_is_signed(gnutls_ocsp_resp_t response, gnutls_x509_crt_t issuer) {
        int algorithm = gnutls_ocsp_resp_get_signature_algorithm(response);
        unsigned problems = 0;

        return issuer && certificate_signature_is_strong(algorithm) && ocsp_is_bearable(response) &&
               gnutls_ocsp_resp_verify_direct(response, issuer, &problems,
                                              GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM) |
                                                      GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS) >=
                       0 &&
               problems == 0;
}

static bool ocsp_read_single(gnutls_ocsp_resp_t response, unsigned i, OcspSingle *ret) {
        time_t revoked;

        return gnutls_ocsp_resp_get_single(response, i, &ret->digest, &ret->name, &ret->key,
                                           &ret->serial, &ret->status, &ret->begin, &ret->end,
                                           &revoked, NULL) >= 0;
}

static bool ocsp_has_more(gnutls_ocsp_resp_t response) {
        g_auto(OcspSingle) second = {.status = 0};

        return ocsp_read_single(response, 1, &second);
}

static bool ocsp_same(const gnutls_datum_t *a, const gnutls_datum_t *b) {
        return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static bool ocsp_same_certificate(const OcspSingle *a, const OcspSingle *b) {
        return ocsp_same(&a->name, &b->name) && ocsp_same(&a->key, &b->key) &&
               ocsp_same(&a->serial, &b->serial);
}

/* What GnuTLS would ask a responder for is what the response has to be about. */
static bool ocsp_is_about(const OcspSingle *single, const OcspSubject *subject) {
        g_auto(OcspSingle) asked = {.status = 0};
        gnutls_ocsp_req_t request;
        bool is;

        if (!subject->issuer || gnutls_ocsp_req_init(&request) < 0)
                return false;

        is = gnutls_ocsp_req_add_cert(request, single->digest, subject->issuer,
                                      subject->certificate) >= 0 &&
             gnutls_ocsp_req_get_cert_id(request, 0, &asked.digest, &asked.name, &asked.key,
                                         &asked.serial) >= 0 &&
             ocsp_same_certificate(single, &asked);
        gnutls_ocsp_req_deinit(request);
        return is;
}

static bool ocsp_is_current(const OcspSingle *single) {
        time_t now = time(NULL);
        time_t end = single->end == (time_t)-1 ? single->begin + OCSP_ENDLESS : single->end;

        return single->begin <= now + OCSP_SKEW && end >= now - OCSP_SKEW;
}

static void ocsp_judge_single(GArray *errors, const OcspSingle *single,
                              const OcspSubject *subject) {
        if (!ocsp_is_about(single, subject))
                verdict_errors_add(errors, VERDICT_OCSP_RESPONSE_CERT_ID_UNKNOWN, subject->der);
        if (!ocsp_is_current(single))
                verdict_errors_add(errors, VERDICT_OCSP_RESPONSE_EXPIRED, subject->der);
        if (single->status == GNUTLS_OCSP_CERT_REVOKED)
                verdict_errors_add(errors, VERDICT_CERTIFICATE_REVOKED, subject->der);
        else if (single->status != GNUTLS_OCSP_CERT_GOOD)
                verdict_errors_add(errors, VERDICT_OCSP_STATUS_UNKNOWN, subject->der);
}

static void ocsp_judge_response(GArray *errors, gnutls_ocsp_resp_t response,
                                const OcspSubject *subject) {
        g_auto(OcspSingle) single = {.status = 0};
        int status = gnutls_ocsp_resp_get_status(response);

        if (status != GNUTLS_OCSP_RESP_SUCCESSFUL) {
                verdict_errors_add(errors, ocsp_refusal(status), subject->der);
                return;
        }

        if (!ocsp_read_single(response, 0, &single) || ocsp_has_more(response)) {
                verdict_errors_add(errors, VERDICT_OCSP_MALFORMED_RESPONSE, subject->der);
                return;
        }

        if (!ocsp_is_signed(response, subject->issuer))
                verdict_errors_add(errors, VERDICT_OCSP_RESPONSE_CANNOT_BE_TRUSTED, subject->der);
        ocsp_judge_single(errors, &single, subject);
}

int ocsp_judge(GArray *errors, GBytes *response, const OcspSubject *subject) {
        gnutls_datum_t der;
        gnutls_ocsp_resp_t read;
        gsize size = 0;

        der.data = response ? (void *)g_bytes_get_data(response, &size) : NULL;
        der.size = (unsigned)size;
        if (size == 0) {
                verdict_errors_add(errors, VERDICT_OCSP_NO_RESPONSE_FOUND, subject->der);
                return 0;
        }

        if (gnutls_ocsp_resp_init(&read) < 0)
                return fault(-ENOMEM);

        if (size > OCSP_RESPONSE_MAX ||
            gnutls_ocsp_resp_import2(read, &der, GNUTLS_X509_FMT_DER) < 0)
                verdict_errors_add(errors, VERDICT_OCSP_MALFORMED_RESPONSE, subject->der);
        else
                ocsp_judge_response(errors, read, subject);
        gnutls_ocsp_resp_deinit(read);
        return 0;
}
