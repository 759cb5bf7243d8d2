/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Vault, see vault.h. */

#include "keyring/vault.h"

#include "base/fault.h"

struct VaultKey {
        unsigned n_refs;
        uint64_t id;
        uid_t uid;
        bool is_shared;
        bool is_absent;      /* in a token that cannot be used */
        char *entry;         /* NULL: an object's key */
        PrivateKey *private; /* NULL: a PSK */
        Secret *psk;         /* NULL: a private key */

        uint64_t n_uses;
        double allowance; /* uses left; fills by VAULT_USES_PER_SECOND */
        uint64_t allowance_usec;
};

struct Vault {
        uint64_t last_id;
        GHashTable *keys;   /* id in the key itself to VaultKey, owned */
        GHashTable *counts; /* uid to number of keys */
};

static VaultKey *vault_key_new(uid_t uid) {
        VaultKey *key = g_new0(VaultKey, 1);

        key->n_refs = 1;
        key->uid = uid;
        key->allowance = VAULT_USES_BURST;
        return key;
}

VaultKey *vault_key_ref(VaultKey *key) {
        key->n_refs++;
        return key;
}

VaultKey *vault_key_unref(VaultKey *key) {
        if (!key || --key->n_refs > 0)
                return NULL;

        private_key_unref(key->private);
        secret_free(key->psk);
        g_free(key->entry);
        g_free(key);
        return NULL;
}

static void vault_key_destroy(gpointer key) {
        vault_key_unref(key);
}

Vault *vault_new(void) {
        Vault *vault = g_new0(Vault, 1);

        vault->keys = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, vault_key_destroy);
        vault->counts = g_hash_table_new(NULL, NULL);
        return vault;
}

Vault *vault_free(Vault *vault) {
        if (!vault)
                return NULL;

        g_hash_table_unref(vault->keys);
        g_hash_table_unref(vault->counts);
        g_free(vault);
        return NULL;
}

size_t vault_count(const Vault *vault, uid_t uid) {
        return GPOINTER_TO_SIZE(g_hash_table_lookup(vault->counts, GUINT_TO_POINTER(uid)));
}

static void vault_set_count(Vault *vault, uid_t uid, size_t count) {
        if (count > 0)
                g_hash_table_insert(vault->counts, GUINT_TO_POINTER(uid), GSIZE_TO_POINTER(count));
        else
                g_hash_table_remove(vault->counts, GUINT_TO_POINTER(uid));
}

static int vault_check_room(const Vault *vault, uid_t uid, const char **ret_text) {
        size_t limit = uid == 0 ? VAULT_KEYS_OF_ROOT_MAX : VAULT_KEYS_PER_UID_MAX;

        if (vault_count(vault, uid) >= limit) {
                *ret_text = uid == 0 ? "root has 10240 keys in the keyring at most; close objects"
                                     : "a user has 2048 keys in the keyring at most; close objects";
                return VAULT_E_FULL;
        }

        if (g_hash_table_size(vault->keys) >= VAULT_KEYS_MAX) {
                *ret_text = "all users have 16384 keys in the keyring at most; try again later";
                return VAULT_E_FULL;
        }

        return 0;
}

/* Takes @key. */
static VaultKey *vault_add(Vault *vault, VaultKey *key) {
        key->id = ++vault->last_id;
        g_hash_table_insert(vault->keys, &key->id, key);
        vault_set_count(vault, key->uid, vault_count(vault, key->uid) + 1);
        return key;
}

static VaultKey *vault_add_private(Vault *vault, uid_t uid, PrivateKey *private) {
        VaultKey *key = vault_key_new(uid);

        key->private = private;
        return vault_add(vault, key);
}

int vault_import_private_key(Vault *vault, uid_t uid, const Secret *secret, VaultKey **ret,
                             const char **ret_text) {
        PrivateKey *private;
        int r;

        r = vault_check_room(vault, uid, ret_text);
        if (r)
                return r;

        r = private_key_read(secret, /* passphrase= */ NULL, &private, ret_text);
        if (r)
                return r > 0 ? VAULT_E_BAD_SECRET : fault(r);

        *ret = vault_add_private(vault, uid, private);
        return 0;
}

int vault_share_private_key(Vault *vault, uid_t uid, PrivateKey *private, VaultKey **ret,
                            const char **ret_text) {
        int r;

        r = vault_check_room(vault, uid, ret_text);
        if (r)
                return r;

        *ret = vault_add_private(vault, uid, private_key_ref(private));
        (*ret)->is_shared = true;
        return 0;
}

int vault_import_psk(Vault *vault, uid_t uid, const Secret *secret, VaultKey **ret,
                     const char **ret_text) {
        VaultKey *key;
        int r;

        r = vault_check_room(vault, uid, ret_text);
        if (r)
                return r;

        /* GnuTLS would complete a handshake with an empty one */
        if (secret_size(secret) == 0 || secret_size(secret) > VAULT_PSK_MAX) {
                *ret_text = "a pre-shared key has 1 to 512 bytes";
                return VAULT_E_BAD_SECRET;
        }

        key = vault_key_new(uid);
        key->psk = secret_new(secret_peek(secret), secret_size(secret));
        *ret = vault_add(vault, key);
        return 0;
}

int vault_import_shared_psk(Vault *vault, uid_t uid, const Secret *secret, VaultKey **ret,
                            const char **ret_text) {
        int r;

        r = vault_import_psk(vault, uid, secret, ret, ret_text);
        if (r == 0)
                (*ret)->is_shared = true;
        return r;
}

int vault_remove(Vault *vault, uint64_t id, VaultKey **ret) {
        VaultKey *key = g_hash_table_lookup(vault->keys, &id);

        if (!key)
                return VAULT_E_UNKNOWN;

        vault_set_count(vault, key->uid, vault_count(vault, key->uid) - 1);
        if (ret)
                *ret = vault_key_ref(key);
        g_hash_table_remove(vault->keys, &id);
        return 0;
}

static int vault_key_spend(VaultKey *key, uint64_t now_usec) {
        double filled = (double)(now_usec - key->allowance_usec) * VAULT_USES_PER_SECOND / 1e6;

        key->allowance = MIN(key->allowance + filled, VAULT_USES_BURST);
        key->allowance_usec = now_usec;
        if (key->allowance < 1)
                return VAULT_E_RATE;

        key->allowance -= 1;
        key->n_uses++;
        return 0;
}

static VaultKey *vault_find(Vault *vault, uint64_t id, uid_t uid) {
        VaultKey *key = g_hash_table_lookup(vault->keys, &id);

        return key && (key->is_shared || key->uid == uid) ? key : NULL;
}

int vault_use_private_key(Vault *vault, uint64_t id, uid_t uid, uint64_t now_usec, VaultKey **ret) {
        VaultKey *key = vault_find(vault, id, uid);

        if (!key || !key->private)
                return VAULT_E_UNKNOWN;

        *ret = key;
        return vault_key_spend(key, now_usec);
}

int vault_use_psk(Vault *vault, uint64_t id, uid_t uid, VaultKey **ret) {
        VaultKey *key = vault_find(vault, id, uid);

        if (!key || !key->psk)
                return VAULT_E_UNKNOWN;

        *ret = key;
        key->n_uses++;
        return 0;
}

uint64_t vault_key_id(const VaultKey *key) {
        return key->id;
}

uid_t vault_key_uid(const VaultKey *key) {
        return key->uid;
}

uint64_t vault_key_uses(const VaultKey *key) {
        return key->n_uses;
}

void vault_key_set_entry(VaultKey *key, const char *kind, const char *name) {
        g_free(key->entry);
        key->entry = g_strconcat(kind, ":", name, NULL);
}

const char *vault_key_entry(const VaultKey *key) {
        return key->entry;
}

bool vault_key_note_absent(VaultKey *key, bool is_absent) {
        bool is_news = key->is_absent != is_absent;

        key->is_absent = is_absent;
        return is_news;
}

PrivateKey *vault_key_private(const VaultKey *key) {
        return key->private;
}

const Secret *vault_key_psk(const VaultKey *key) {
        return key->psk;
}
