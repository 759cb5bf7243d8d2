/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Psks, see psks.h. An entry of the store is one byte that says how long the identity is, the
 * identity, and the key.
 */

#include "keyring/psks.h"

#include "base/entry.h"
#include "base/fault.h"

#include <string.h>

struct Psks {
        Store *store;
        Vault *vault;
        GHashTable *by_name; /* name in the PSK itself to StoredPsk, owned */
};

static void psk_free(void *data) {
        StoredPsk *psk = data;

        if (!psk)
                return;

        g_free(psk->name);
        g_bytes_unref(psk->identity);
        vault_key_unref(psk->key);
        g_free(psk);
}

/* ---- from an identity and a key ---- */

static int psk_new(Psks *psks, const char *name, GBytes *identity, const Secret *secret,
                   StoredPsk **ret, const char **ret_text) {
        gsize size = g_bytes_get_size(identity);
        StoredPsk *psk = NULL;
        VaultKey *key;
        int r;

        if (size == 0 || size > PSKS_IDENTITY_MAX) {
                *ret_text = "an identity of a pre-shared key has 1 to 255 bytes";
                return ENTRIES_E_BAD;
        }

        r = vault_import_shared_psk(psks->vault, entry_name_uid(name), secret, &key, ret_text);
        if (r)
                return r == VAULT_E_FULL ? ENTRIES_E_FULL : r > 0 ? ENTRIES_E_BAD : fault(r);

        psk = g_new0(StoredPsk, 1);
        psk->name = g_strdup(name);
        psk->identity = g_bytes_ref(identity);
        psk->key = vault_key_ref(key);
        vault_key_set_entry(key, "psk", name);
        *ret = psk;
        return 0;
}

/* ---- to what is kept and back ---- */

static Secret *psk_write(const StoredPsk *psk) {
        const Secret *key = vault_key_psk(psk->key);
        gsize n_identity;
        const void *identity = g_bytes_get_data(psk->identity, &n_identity);
        Secret *contents = secret_new_zero(1 + n_identity + secret_size(key));
        uint8_t *data = secret_data(contents);

        data[0] = (uint8_t)n_identity;
        memcpy(data + 1, identity, n_identity);
        memcpy(data + 1 + n_identity, secret_peek(key), secret_size(key));
        return contents;
}

static int psk_read(Psks *psks, const char *name, const Secret *contents, StoredPsk **ret,
                    const char **ret_text) {
        const uint8_t *data = secret_peek(contents);
        size_t size = secret_size(contents), n_identity = size > 0 ? data[0] : 0;
        g_autoptr(GBytes) identity = NULL;
        g_autoptr(Secret) key = NULL;

        if (size < 1 + n_identity) {
                *ret_text = "it is cut";
                return ENTRIES_E_BAD;
        }

        identity = g_bytes_new(data + 1, n_identity);
        key = secret_new(data + 1 + n_identity, size - 1 - n_identity);
        return psk_new(psks, name, identity, key, ret, ret_text);
}

/* ---- the table ---- */

static void psks_take(Psks *psks, StoredPsk *psk) {
        (void)g_hash_table_replace(psks->by_name, psk->name, psk);
}

static int psks_load(void *userdata, const char *name, const Secret *contents,
                     const char **ret_why) {
        Psks *psks = userdata;
        StoredPsk *psk = NULL;
        int r;

        r = contents ? psk_read(psks, name, contents, &psk, ret_why) : ENTRIES_E_BAD;
        if (r == 0)
                psks_take(psks, psk);
        return r;
}

int psks_new(Store *store, Vault *vault, Psks **ret) {
        g_autoptr(Psks) psks = g_new0(Psks, 1);
        int r;

        psks->store = store;
        psks->vault = vault;
        psks->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, psk_free);

        r = entries_load(store, STORE_PSK, psks_load, psks);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&psks);
        return 0;
}

Psks *psks_free(Psks *psks) {
        if (!psks)
                return NULL;

        g_hash_table_unref(psks->by_name);
        g_free(psks);
        return NULL;
}

static int psks_save(Psks *psks, const StoredPsk *psk) {
        g_autoptr(Secret) contents = psk_write(psk);
        int r;

        r = store_put(psks->store, STORE_PSK, psk->name, contents);
        return r ? fault(r) : 0; /* it is never too long */
}

int psks_put(Psks *psks, const char *name, GBytes *identity, const Secret *key,
             const StoredPsk **ret, const char **ret_text) {
        StoredPsk *psk = NULL;
        int r;

        if (!psks->store)
                return ENTRIES_E_NO_STORE;
        if (!entries_have_room(psks->by_name, name, PSKS_PER_USER_MAX, PSKS_MAX)) {
                *ret_text = "a user has 64 pre-shared keys at most, all users 4096; remove some";
                return ENTRIES_E_FULL;
        }

        r = psk_new(psks, name, identity, key, &psk, ret_text);
        if (r)
                return r;

        r = psks_save(psks, psk);
        if (r < 0) {
                (void)vault_remove(psks->vault, vault_key_id(psk->key), NULL);
                psk_free(psk);
                return r;
        }

        psks_take(psks, psk);
        *ret = psk;
        return 0;
}

int psks_remove(Psks *psks, const char *name) {
        return entries_remove(psks->store, STORE_PSK, psks->by_name, name);
}

GPtrArray *psks_list(const Psks *psks) {
        return entry_list(psks->by_name);
}
