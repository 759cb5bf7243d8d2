/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Identities: the store's certificate chains with their private keys, by name. What is here was on
 * the disk before; each key lies in the vault, where every user's handshakes may use it (who may
 * name it is for dtlsd to say).
 *
 * A key that was generated waits for its certificate: by itself, or beside the pair that is in use.
 * It is not in the vault, so that nobody signs with it, and is on the disk like the rest.
 *
 * A replaced or removed identity leaves its key in the vault until it is removed there: handshakes
 * that began with it go on.
 */

#include "identity/chain.h"
#include "keyring/entries.h"
#include "keyring/vault.h"

#define IDENTITIES_PER_USER_MAX 64
#define IDENTITIES_MAX 4096
#define IDENTITIES_BYTES_PER_USER_MAX ((size_t)512 * 1024) /* of DER, in all chains of one user */
#define IDENTITIES_BYTES_MAX ((size_t)32 * 1024 * 1024)    /* in all chains; users get half of it */

typedef struct Identities Identities;

typedef struct Identity {
        char *name;
        Chain *chain; /* NULL, like the key: there is only the key that waits */
        VaultKey *key;
        Secret *waiting; /* PKCS#8, PEM; NULL: none waits */
} Identity;

/* Reads all of @store, which may be NULL and is borrowed, as @vault is. What is damaged is named in
 * the log and left out. */
int identities_new(Store *store, Vault *vault, Identities **ret);
Identities *identities_free(Identities *identities);

/* New, or in the place of what has this name. @chain, @key: referenced. @ret: borrowed, until the
 * name changes. @ret_text: static. */
int identities_put(Identities *identities, const char *name, Chain *chain, PrivateKey *key,
                   const Identity **ret, const char **ret_text);
/* Whether a name may be given, or has been. 0: it may. */
int identities_check(const Identities *identities, const char *name, const char **ret_text);
/* @key, PKCS#8 in PEM, waits for its certificate from here on; what waited is forgotten. */
int identities_wait(Identities *identities, const char *name, const Secret *key,
                    const char **ret_text);
/* A certificate for the key that waits, or another one for the key in use. @blobs: PEM or DER,
 * leaf first. @ret, @ret_text: as above. */
int identities_install(Identities *identities, const char *name, GPtrArray *blobs,
                       const Identity **ret, const char **ret_text);
int identities_remove(Identities *identities, const char *name);
/* In order of their names; of const Identity, borrowed. */
GPtrArray *identities_list(const Identities *identities);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Identities, identities_free)
