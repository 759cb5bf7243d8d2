/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Revocations: what the administrator takes back, whoever trusts it: a deny list, and certificate
 * revocation lists (RFC 5280, 5). Filled once, then immutable, counted, shared by all verdicts.
 *
 * Of a revocation list only what a verdict asks is kept: its issuer's name, its dates, its serial
 * numbers in order, and a hash that its signature is checked against. So it costs a verdict the
 * same whatever its length. Several may be joined; the newest list of an issuer is found in all.
 *
 * Knows: CRLs, fingerprints. Does not know: files, who asks.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
        REVOCATIONS_E_NO_HASH,       /* of the deny list: no SHA-256 */
        REVOCATIONS_E_TOO_MUCH,      /* of bytes */
} RevocationsOutcome;

typedef enum RevocationsStatus {
        REVOCATIONS_SILENT, /* no list of this issuer */
        REVOCATIONS_GOOD,
        REVOCATIONS_REVOKED,
        /* there is a list, but out of date or not signed by this issuer; or one that is unknown */
        REVOCATIONS_UNKNOWN,
} RevocationsStatus;

/* A revocation list, for people. */
typedef struct RevocationFacts {
        char *issuer;                  /* as RFC 4514 writes it; printable UTF-8 */
        uint64_t begin_usec, end_usec; /* thisUpdate, and nextUpdate or 0 */
        size_t n_certificates;
} RevocationFacts;

const char *revocations_outcome_text(RevocationsOutcome outcome);

Revocations *revocations_new(void);
/* In the place of what cannot be read: of no certificate is the status known. */
Revocations *revocations_new_unknown(void);
/* All that these take back; referenced. */
Revocations *revocations_join(Revocations *const *parts, size_t n_parts);
/* Both, but no list of @own brings back whom @all took, however new it is. */
Revocations *revocations_join_own(Revocations *all, Revocations *own);
Revocations *revocations_ref(Revocations *revocations);
Revocations *revocations_unref(Revocations *revocations);

/* Lines, each the SHA-256 of a certificate or of a public key in hexadecimal, colons allowed; '#'
 * begins a comment. Other lines are passed over. @ret_n_bad, @ret_bad: how many, and the first one,
 * from 1. */
int revocations_add_denied(Revocations *revocations, GBytes *text, size_t *ret_n_bad,
                           size_t *ret_bad);
/* NULL: it is none. */
GBytes *revocations_read_hash(const char *text);
/* 64 digits, in small letters. */
char *revocations_hash_text(GBytes *hash);
/* One CRL in DER, or some in PEM; those before a bad one stay. */
int revocations_add_lists(Revocations *revocations, GBytes *blob);
/* Likewise, and appends each in DER to @ders; what is in them is not looked at. */
int revocations_split_lists(GBytes *blob, GPtrArray *ders);

bool revocations_deny(const Revocations *revocations, struct gnutls_x509_crt_int *certificate);
/* By the newest list that @issuer has signed; NULL: it is not known. */
RevocationsStatus revocations_ask(const Revocations *revocations,
                                  struct gnutls_x509_crt_int *certificate,
                                  struct gnutls_x509_crt_int *issuer);

/* Of those that were added here, in order: of RevocationFacts, and of GBytes, borrowed. */
GPtrArray *revocations_facts(const Revocations *revocations);
GPtrArray *revocations_denied(const Revocations *revocations);
/* How many there are of them, in no time. */
size_t revocations_count_lists(const Revocations *revocations);
size_t revocations_count_denied(const Revocations *revocations);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Revocations, revocations_unref)
