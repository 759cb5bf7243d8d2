/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * material: private keys made during the run, in every form that one may be given, and the check
 * of what was signed with them. Nothing of the code under test is used.
 */

#include <glib.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdbool.h>

typedef enum MaterialForm {
        MATERIAL_TRADITIONAL_PEM, /* PKCS#1 or SEC1 */
        MATERIAL_TRADITIONAL_DER,
        MATERIAL_PKCS8_PEM,
        MATERIAL_PKCS8_DER,
        MATERIAL_ENCRYPTED_PEM,
        MATERIAL_ENCRYPTED_DER,
        N_MATERIAL_FORMS,
} MaterialForm;

/* @bits: of RSA; for ECDSA of the curve. */
gnutls_x509_privkey_t material_key(gnutls_pk_algorithm_t algorithm, unsigned bits);
/* The same RSA key with an exponent that is 0 modulo a prime less 1: GnuTLS takes it, and aborts
 * when it signs. */
gnutls_x509_privkey_t material_of_no_use(gnutls_x509_privkey_t rsa);
GBytes *material_export(gnutls_x509_privkey_t key, MaterialForm form);
GBytes *material_spki(gnutls_x509_privkey_t key);

/* The hash of @text, and for RSA-RAW the DigestInfo around it: what Sign takes as input. */
GBytes *material_hash(gnutls_digest_algorithm_t hash, const char *text);
GBytes *material_digest_info(gnutls_digest_algorithm_t hash, const char *text);

/* Whether @signature is @algorithm's over the whole @text, by the key of @spki. */
bool material_verifies(GBytes *spki, gnutls_sign_algorithm_t algorithm, const char *text,
                       const void *signature, size_t size);
