/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Vault: the private keys and PSKs of objects and of the store, by number. A key belongs to the uid
 * it was imported for and answers to nobody else; it goes when it is removed or with the process.
 * Nothing in here gives a private key out again.
 *
 * Knows: how much is allowed to whom. Does not know: D-Bus, the event loop, threads
 * (a VaultKey is counted without locks: only who has the loop's turn, changes.h, takes and gives
 * references).
 */

#include "base/secret.h"
#include "keyring/private-key.h"

#include <stdbool.h>
#include <sys/types.h>

#define VAULT_KEYS_PER_UID_MAX 2048 /* a few KiB each; more objects than that share identities */
/* The administrator: the store's 4096 identities and 4096 pre-shared keys, and as many as others */
#define VAULT_KEYS_OF_ROOT_MAX (2 * 4096 + VAULT_KEYS_PER_UID_MAX)
#define VAULT_KEYS_MAX 16384
#define VAULT_PSK_MAX 512 /* bytes; what a session takes (SESSION_PSK_KEY_MAX) */
/* Signatures by one key: what a busy server needs, and the bound on whoever took dtlsd over. */
#define VAULT_USES_PER_SECOND 2000
#define VAULT_USES_BURST 4000

typedef struct Vault Vault;
typedef struct VaultKey VaultKey;

typedef enum VaultOutcome {
        VAULT_E_BAD_SECRET = 1, /* not what it should be; the text says in what way */
        VAULT_E_FULL,           /* of that uid's keys, or of all */
        VAULT_E_UNKNOWN,        /* there is no such key, or it is another uid's, or another kind */
        VAULT_E_RATE,           /* the key has signed too often in the last seconds */
} VaultOutcome;

Vault *vault_new(void);
Vault *vault_free(Vault *vault);

/* @ret_text: why not, for people; static. */
int vault_import_private_key(Vault *vault, uid_t uid, const Secret *secret, VaultKey **ret,
                             const char **ret_text);
/* A key of the store: @uid has it counted, and every user's handshakes may use it. @private is
 * referenced, and may be in here more than once. */
int vault_share_private_key(Vault *vault, uid_t uid, PrivateKey *private, VaultKey **ret,
                            const char **ret_text);
int vault_import_psk(Vault *vault, uid_t uid, const Secret *secret, VaultKey **ret,
                     const char **ret_text);
/* Of the store, as above. */
int vault_import_shared_psk(Vault *vault, uid_t uid, const Secret *secret, VaultKey **ret,
                            const char **ret_text);
/* @ret: what was removed, the caller's now; NULL: it is of no interest. */
int vault_remove(Vault *vault, uint64_t id, VaultKey **ret);

/* A private key, to be used once now. Borrowed. */
int vault_use_private_key(Vault *vault, uint64_t id, uid_t uid, uint64_t now_usec, VaultKey **ret);
/* As often as is wished: who has seen it once needs to ask no more. */
int vault_use_psk(Vault *vault, uint64_t id, uid_t uid, VaultKey **ret);

size_t vault_count(const Vault *vault, uid_t uid);

VaultKey *vault_key_ref(VaultKey *key);
VaultKey *vault_key_unref(VaultKey *key);
uint64_t vault_key_id(const VaultKey *key);
uid_t vault_key_uid(const VaultKey *key);
uint64_t vault_key_uses(const VaultKey *key);
/* Whose key it is in the store: "identity:gateway", for the journal. NULL: an object's key. */
void vault_key_set_entry(VaultKey *key, const char *kind, const char *name);
const char *vault_key_entry(const VaultKey *key);
/* Whether its token can be used now; whether that is news. Until there is some, it can. */
bool vault_key_note_absent(VaultKey *key, bool is_absent);
PrivateKey *vault_key_private(const VaultKey *key); /* NULL: a PSK. Borrowed */
const Secret *vault_key_psk(const VaultKey *key);   /* Borrowed */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Vault, vault_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VaultKey, vault_key_unref)
