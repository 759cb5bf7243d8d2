/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Trust: a set of certificates that may vouch for peers. Immutable, counted, shared.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define TRUST_ANCHORS_MAX 1024

/* Of one name; a set that was kept has no more of them issue anything. */
#define TRUST_ISSUERS_MAX 64

typedef struct Trust Trust;
struct gnutls_x509_crt_int; /* gnutls_x509_crt_t, for identity/ itself */

typedef enum TrustOutcome {
        TRUST_E_NOT_CERTIFICATE = 1, /* a blob is neither PEM nor DER of certificates */
        TRUST_E_TOO_MANY,
        TRUST_E_TOO_MUCH,        /* of bytes, before anything is read */
        TRUST_E_TOO_LONG,        /* a certificate over 16 KiB */
        TRUST_E_UNBEARABLE,      /* a key whose signatures would take too long to check */
        TRUST_E_NO_SYSTEM_TRUST, /* the system has no trust store that GnuTLS can find */
} TrustOutcome;

const char *trust_outcome_text(TrustOutcome outcome);

/* @blobs: GBytes, each PEM (many certificates) or the DER of one; none: a set that trusts nobody.
 */
int trust_new(GPtrArray *blobs, Trust **ret);
/* Of what trust_anchors() gave, perhaps of another process; NULL: there is no memory. Takes no time
 * to speak of: what is in it is read when it is looked for. */
Trust *trust_new_kept(const GPtrArray *ders);
/* The system's store. Reads files: at first use and at reload, not per connection. */
int trust_new_system(Trust **ret);
Trust *trust_ref(Trust *trust);
Trust *trust_unref(Trust *trust);

/* Bytes that a set made by trust_new() takes, about. */
size_t trust_memory(const Trust *trust);
/* What one of these anchors (DER, each once) will take. */
size_t trust_memory_of(const GPtrArray *ders);
/* Fingerprints (SHA-256, hexadecimal) of the anchors that were given; empty for the system's. */
const char *const *trust_fingerprints(const Trust *trust);
/* The DER of every anchor that was read, in an order of their own; new, of GBytes. */
GPtrArray *trust_anchors(const Trust *trust);
/* Whether this very certificate is an anchor. */
bool trust_has(const Trust *trust, GBytes *der);
/* The gnutls_x509_trust_list_t inside, for identity/ itself, which may be asked about a certificate
 * and its issuer after that was looked for. */
void trust_look_for(const Trust *trust, struct gnutls_x509_crt_int *certificate, GBytes *der);
void *trust_list(const Trust *trust);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Trust, trust_unref)
