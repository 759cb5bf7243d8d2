/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ocsp: what a response that a peer brought along (RFC 6960; "stapled", RFC 6066, 8) is worth, in
 * QSslError's words, all of them about the peer's own certificate. For identity/ alone.
 *
 * Knows: responses, who may sign them, the wall clock. Does not know: responders; nothing is asked
 * of anybody.
 */

#include "identity/verdict.h"

#include <gnutls/x509.h>

/* Real ones have 0.5 to 5 KiB. GnuTLS reads each certificate in it some times, and the loop waits.
 */
#define OCSP_RESPONSE_MAX ((size_t)8 * 1024)

/* What the response is about, and who vouches for that. */
typedef struct OcspSubject {
        gnutls_x509_crt_t certificate;
        gnutls_x509_crt_t issuer; /* whose signatures are checked in a moment; NULL: not known */
        GBytes *der;              /* of the certificate */
} OcspSubject;

/* @response: NULL: none came. 0 or a fault. */
int ocsp_judge(GArray *errors, GBytes *response, const OcspSubject *subject);
