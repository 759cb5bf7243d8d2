/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * certificate: from bytes that somebody sent to certificates. For identity/ alone: GnuTLS types go
 * no further.
 *
 * Strict, because what is given is meant to be certificates and nothing else: a private key pasted
 * along, a file cut short or bytes behind the end are mistakes to be told, not to be read over.
 */

#include <glib.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stddef.h>

/* Real ones have 1 to 3 KiB. GnuTLS needs 2 us for a byte of hostile names, and the loop waits. */
#define CERTIFICATE_SIZE_MAX ((size_t)16 * 1024)

typedef enum CertificateOutcome {
        CERTIFICATE_E_MALFORMED = 1, /* neither PEM nor DER of certificates */
        CERTIFICATE_E_TOO_MANY,      /* more than were asked for */
        CERTIFICATE_E_TOO_LONG,      /* over CERTIFICATE_SIZE_MAX, so not read */
} CertificateOutcome;

/* Arrays that own certificates (gnutls_x509_crt_t). */
GPtrArray *certificate_array_new(void);

/* Appends each certificate in @blob, PEM (any number above none, text between them is allowed) or
 * DER (one), to @ders and as read to @certificates, until @ders holds @n_max. On failure both may
 * have grown. */
int certificate_split(GBytes *blob, size_t n_max, GPtrArray *ders, GPtrArray *certificates);
/* Exactly one certificate in DER, to the last byte. */
int certificate_import(GBytes *der, gnutls_x509_crt_t *ret);
GBytes *certificate_export(gnutls_x509_crt_t certificate);

/* Whether a signature of its key is checked in a moment, however hostile its numbers are. */
bool certificate_is_bearable(gnutls_x509_crt_t certificate);

/* Whether a signature of this algorithm (gnutls_sign_algorithm_t, or GnuTLS's fault) proves
 * anything about a certificate. */
bool certificate_signature_is_strong(int algorithm);

/* SHA-256, lower-case hexadecimal. */
char *certificate_fingerprint(GBytes *der);

/* An owned gnutls_x509_crt_t of a scope. */
static inline void certificate_done(gnutls_x509_crt_t *certificate) {
        if (*certificate)
                gnutls_x509_crt_deinit(*certificate);
}

#define certificate_auto __attribute__((cleanup(certificate_done))) gnutls_x509_crt_t
