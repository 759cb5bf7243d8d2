/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Token: a private key that stays in a PKCS#11 token (a smart card, an HSM), named by its URI
 * (RFC 7512). It is looked for when it signs for the first time, and again after each failure, so
 * that a token that is absent for a while needs nobody's attention when it is back. Whatever is
 * found is used only after a signature that the certificate's public key verifies.
 *
 * A module is somebody else's code in this process: none is loaded that the administrator did not
 * name, and none before a key needs it.
 *
 * Knows: PKCS#11, as GnuTLS has it. Does not know: who signs, the disk.
 */

#include "base/secret.h"

#include <gnutls/abstract.h>
#include <stdbool.h>

#define TOKEN_URI_MAX 1024
#define TOKEN_PIN_MAX 255

typedef struct Token Token;

typedef enum TokenOutcome {
        TOKEN_E_BAD_URI = 1, /* or PIN; the text says in what way */
        TOKEN_E_UNUSABLE,    /* now; the text says why */
} TokenOutcome;

/* Of the process, once, before any other thread: these paths and no others may be loaded.
 * NULL-terminated, or NULL. */
void token_allow_modules(char **paths);

/* @pin: NULL: it needs none. @spki: of its certificate. Touches no token. @ret_text: for people;
 * static, like those below. */
int token_new(const Secret *uri, const Secret *pin, GBytes *spki, Token **ret,
              const char **ret_text);
Token *token_free(Token *token); /* nobody signs with it */

/* In any thread, for as long as the token takes. 0: it is there, and the key is that of @spki. */
int token_try(Token *token, const char **ret_text);
/* Likewise; the signature is to be freed with gnutls_free(). */
int token_sign(Token *token, gnutls_sign_algorithm_t algorithm, bool is_hash,
               const gnutls_datum_t *input, gnutls_datum_t *ret);

gnutls_pk_algorithm_t token_algorithm(const Token *token);
/* URI and PIN, as the store keeps them; and read back. */
int token_write(const Token *token, Secret **ret);
int token_read(const Secret *text, GBytes *spki, Token **ret, const char **ret_text);

#define TOKEN_PEM_LABEL "PKCS11 KEY"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Token, token_free)
