/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What takes certificates back, for tests, made during the run: revocation lists and responses of
 * OCSP, of every kind that there should not be too. Issuers have P-256 or Ed25519 keys; those that
 * a response names have P-256 ones.
 */

#include "lib/certificates.h"

#include <stdbool.h>
#include <stdint.h>

#define TEST_DAY (24 * 60 * 60)

typedef struct TestCrl {
        const TestIdentity *signer; /* NULL: the issuer */
        int begin, end;             /* seconds from now; both 0: from yesterday, for a month */
        bool endless;               /* says nothing of its end */
        bool sha1;
        bool critical; /* has an extension that narrows it */
        size_t n_more; /* serial numbers of nobody in front of the others */
} TestCrl;

/* DER of a list of @issuer with these certificates, all signed by anybody; end with NULL. */
GBytes *test_crl_new(const TestIdentity *issuer, const TestCrl *how, const TestIdentity *first,
                     ...) G_GNUC_NULL_TERMINATED;
/* A block of "X509 CRL". */
GBytes *test_crl_pem(GBytes *der);

typedef enum TestOcspStatus {
        TEST_OCSP_GOOD,
        TEST_OCSP_REVOKED,
        TEST_OCSP_UNKNOWN,
} TestOcspStatus;

typedef struct TestOcsp {
        const TestIdentity *subject, *issuer; /* of the certificate that it is about */
        const TestIdentity *signer;           /* NULL: the issuer */
        const TestIdentity *companion;        /* a certificate that it brings along, or NULL */
        TestOcspStatus status;
        int begin, end; /* seconds from now; both 0: from a minute ago, for a day */
        bool endless;   /* says nothing of its end */
        bool sha256;    /* names the certificate by hashes of SHA-256, not SHA-1 */
        bool other_key; /* names an issuer of the same name with another key */
        bool sha1;      /* is signed with SHA-1 */
        size_t n_more;  /* says the same so many times more */
} TestOcsp;

GBytes *test_ocsp_new(const TestOcsp *how);
/* A responder's refusal, by OCSPResponseStatus (RFC 6960, 4.2.1). */
GBytes *test_ocsp_refusal(uint8_t status);
