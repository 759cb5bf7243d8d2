/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Revocations: what the administrator takes back, whoever trusts it: a deny list, and certificate
 * revocation lists (RFC 5280, 5). Filled once, then immutable, counted, shared by all verdicts.
 *
 * Of a revocation list only what a verdict asks is kept: its issuer's name, its dates, its serial
 * numbers in order, and a hash that its signature is checked against. So it costs a verdict the
 * same whatever its length.
 *
 * Knows: CRLs, fingerprints. Does not know: files, who asks.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define REVOCATIONS_DENIED_MAX ((size_t)100000)
#define REVOCATIONS_LISTS_MAX 1024
#define REVOCATIONS_SERIALS_MAX ((size_t)2 * 1000 * 1000) /* of all lists: 48 MB */

typedef struct Revocations Revocations;
struct gnutls_x509_crt_int; /* gnutls_x509_crt_t, for identity/ itself */

typedef enum RevocationsOutcome {
        REVOCATIONS_E_MALFORMED = 1, /* no CRL in PEM or DER, or a damaged one */
        REVOCATIONS_E_UNSUPPORTED,   /* a part of a CRL alone, or an extension that nobody knows */
        REVOCATIONS_E_WEAK,          /* signed in a way that proves nothing */
        REVOCATIONS_E_TOO_MANY,      /* over one of the limits above */
} RevocationsOutcome;

typedef enum RevocationsStatus {
        REVOCATIONS_SILENT, /* no list of this issuer */
        REVOCATIONS_GOOD,
        REVOCATIONS_REVOKED,
        REVOCATIONS_UNKNOWN, /* there is a list, but out of date or not signed by this issuer */
} RevocationsStatus;

const char *revocations_outcome_text(RevocationsOutcome outcome);

Revocations *revocations_new(void);
Revocations *revocations_ref(Revocations *revocations);
Revocations *revocations_unref(Revocations *revocations);

/* Lines, each the SHA-256 of a certificate or of a public key in hexadecimal, colons allowed; '#'
 * begins a comment. Other lines are passed over. @ret_n_bad, @ret_bad: how many, and the first one,
 * from 1. */
int revocations_add_denied(Revocations *revocations, GBytes *text, size_t *ret_n_bad,
                           size_t *ret_bad);
/* One CRL in DER, or some in PEM; those before a bad one stay. */
int revocations_add_lists(Revocations *revocations, GBytes *blob);

bool revocations_deny(const Revocations *revocations, struct gnutls_x509_crt_int *certificate);
/* By the newest list that @issuer has signed. */
RevocationsStatus revocations_ask(const Revocations *revocations,
                                  struct gnutls_x509_crt_int *certificate,
                                  struct gnutls_x509_crt_int *issuer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Revocations, revocations_unref)
