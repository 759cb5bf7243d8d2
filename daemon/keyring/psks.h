/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Psks: the store's pre-shared keys with their identities, by name. As with identities.h, what is
 * here was on the disk before, the key lies in the vault for every user's handshakes, and stays
 * there until it is removed when another took its place.
 */

#include "keyring/entries.h"
#include "keyring/vault.h"

#define PSKS_PER_USER_MAX 64
#define PSKS_MAX 4096
#define PSKS_IDENTITY_MAX 255 /* bytes; what a session takes (SESSION_PSK_IDENTITY_MAX) */

typedef struct Psks Psks;

typedef struct StoredPsk {
        char *name;
        GBytes *identity;
        VaultKey *key;
} StoredPsk;

/* Reads all of @store, which may be NULL and is borrowed, as @vault is. What is damaged is named in
 * the log and left out. */
int psks_new(Store *store, Vault *vault, Psks **ret);
Psks *psks_free(Psks *psks);

/* New, or in the place of what has this name. @ret: borrowed, until the name changes. @ret_text:
 * static. */
int psks_put(Psks *psks, const char *name, GBytes *identity, const Secret *key,
             const StoredPsk **ret, const char **ret_text);
int psks_remove(Psks *psks, const char *name);
/* In order of their names; of const StoredPsk, borrowed. */
GPtrArray *psks_list(const Psks *psks);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Psks, psks_free)
