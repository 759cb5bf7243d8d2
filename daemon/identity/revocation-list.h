/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * RevocationList: one CRL (RFC 5280, 5), of which only what a verdict asks is kept. For identity/
 * alone.
 */

#include "identity/revocations.h"

#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <time.h>

typedef struct RevocationList {
        GBytes *issuer;    /* its name, DER */
        time_t begin, end; /* end -1: none is said */
        gnutls_sign_algorithm_t algorithm;
        bool hashed; /* @proof is a hash of what was signed, else it is that itself */
        GBytes *proof, *signature;
        GArray *serials; /* sorted */
} RevocationList;

/* RevocationsOutcome; of more than @n_serials_max it is REVOCATIONS_E_TOO_MANY. */
int revocation_list_new(GBytes *der, size_t n_serials_max, RevocationList **ret);
void revocation_list_free(RevocationList *list);

bool revocation_list_is_signed_by(const RevocationList *list, gnutls_pubkey_t key);
bool revocation_list_has(const RevocationList *list, gnutls_x509_crt_t certificate);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(RevocationList, revocation_list_free)
