/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What takes certificates back, for tests, made during the run: revocation lists, of every kind
 * that there should not be too. Issuers have P-256 or Ed25519 keys.
 */

#include "lib/certificates.h"

#include <stdbool.h>

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
