/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * PrivateKey: a key that signs, in memory or in a token. It is read in any thread, and then counted
 * in one: the loop's.
 *
 * Knows: key formats, which keys are good. Does not know: whose it is, how often it may sign.
 */

#include "base/secret.h"
#include "keyring/token.h"

#include <gnutls/abstract.h>

#define PRIVATE_KEY_RSA_BITS_MIN 2048
/* Before it is read, which takes a second for numbers of a million bits. With 8192 it has 6.4 KiB.
 */
#define PRIVATE_KEY_SIZE_MAX ((size_t)16 * 1024)
#define PRIVATE_KEY_RSA_BITS_MAX 8192      /* one signature takes near 70 ms */
#define PRIVATE_KEY_ITERATIONS_MAX 1000000 /* of a passphrase: near a second of a thread */

/* how a text begins of a key in memory, and of one in a token */
#define PRIVATE_KEY_BEGIN "-----BEGIN PRIVATE KEY-----"
#define PRIVATE_KEY_TOKEN_BEGIN "-----BEGIN " TOKEN_PEM_LABEL "-----"

typedef struct PrivateKey PrivateKey;

typedef enum PrivateKeyOutcome {
        PRIVATE_KEY_E_BAD = 1, /* not a key, or not one to sign with; the text says in what way */
        PRIVATE_KEY_E_ABSENT,  /* it is in a token that cannot be used now */
} PrivateKeyOutcome;

/* @secret: PKCS#8, PKCS#1 or SEC1, PEM or DER. @passphrase: NULL: it is not encrypted. @ret_text:
 * for people; static. */
int private_key_read(const Secret *secret, const Secret *passphrase, PrivateKey **ret,
                     const char **ret_text);
PrivateKey *private_key_of_token(Token *token, GBytes *spki); /* takes @token */
/* What private_key_write() made; @spki: of its certificate. */
int private_key_read_again(const Secret *text, GBytes *spki, PrivateKey **ret,
                           const char **ret_text);
PrivateKey *private_key_ref(PrivateKey *key);
PrivateKey *private_key_unref(PrivateKey *key);

gnutls_pk_algorithm_t private_key_algorithm(const PrivateKey *key);
GBytes *private_key_spki(const PrivateKey *key); /* DER. Borrowed */
Token *private_key_token(const PrivateKey *key); /* NULL: the key is in memory. Borrowed */
gnutls_privkey_t private_key_handle(const PrivateKey *key); /* in memory. Borrowed */
/* In any thread. 0: *ret is to be freed with gnutls_free(). */
int private_key_sign(PrivateKey *key, gnutls_sign_algorithm_t algorithm, bool is_hash,
                     const gnutls_datum_t *input, gnutls_datum_t *ret);
/* As the store keeps it, PEM: PKCS#8, or where it is. */
int private_key_write(const PrivateKey *key, Secret **ret);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrivateKey, private_key_unref)
