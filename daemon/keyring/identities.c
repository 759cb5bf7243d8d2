/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Identities, see identities.h. An entry of the store is PEM: the chain, then its key in PKCS#8, as
 * other programs read it too, or which one in a token it is; then the key that waits for a
 * certificate. Either may be missing.
 */

#include "keyring/identities.h"

#include "base/entry.h"
#include "base/fault.h"
#include "identity/pem.h"

#include <string.h>

struct Identities {
        Store *store;
        Vault *vault;
        GHashTable *by_name; /* name in the identity itself to Identity, owned */
};

static void identity_free(void *data) {
        Identity *identity = data;

        if (!identity)
                return;

        g_free(identity->name);
        chain_unref(identity->chain);
        vault_key_unref(identity->key);
        secret_free(identity->waiting);
        g_free(identity);
}

static void identity_cleanup(Identity **identity) {
        identity_free(*identity);
}

#define identity_auto __attribute__((cleanup(identity_cleanup))) Identity *

/* ---- from certificates and a key ---- */

static Secret *secret_copy(const Secret *secret) {
        return secret_new(secret_peek(secret), secret_size(secret));
}

/* References @chain and @private. */
static int identity_new(Identities *identities, const char *name, Chain *chain, PrivateKey *private,
                        Identity **ret, const char **ret_text) {
        identity_auto identity = NULL;
        VaultKey *key;
        int r;

        if (!g_bytes_equal(private_key_spki(private), chain_spki(chain))) {
                *ret_text = "the private key is not that of the first certificate";
                return ENTRIES_E_BAD;
        }

        r = vault_share_private_key(identities->vault, entry_name_uid(name), private, &key,
                                    ret_text);
        if (r)
                return r > 0 ? ENTRIES_E_FULL : fault(r);

        identity = g_new0(Identity, 1);
        identity->name = g_strdup(name);
        identity->chain = chain_ref(chain);
        identity->key = vault_key_ref(key);
        vault_key_set_entry(key, "identity", name);
        *ret = g_steal_pointer(&identity);
        return 0;
}

static Identity *identity_new_waiting(const char *name, const Secret *key) {
        Identity *identity = g_new0(Identity, 1);

        identity->name = g_strdup(name);
        identity->waiting = secret_copy(key);
        return identity;
}

/* ---- to PEM and back ---- */

static int append_chain(GByteArray *text, const Chain *chain) {
        for (size_t i = 0; i < chain_count(chain); i++) {
                int r = pem_append(text, "CERTIFICATE", chain_der(chain, i));

                if (r < 0)
                        return r;
        }

        return 0;
}

/* Each may be NULL. */
static Secret *join(const GByteArray *first, const Secret *second, const Secret *third) {
        size_t n_second = second ? secret_size(second) : 0;
        size_t n_third = third ? secret_size(third) : 0;
        Secret *text = secret_new_zero(first->len + n_second + n_third);

        if (first->len > 0)
                memcpy(secret_data(text), first->data, first->len);
        if (second)
                memcpy(secret_data(text) + first->len, secret_peek(second), n_second);
        if (third)
                memcpy(secret_data(text) + first->len + n_second, secret_peek(third), n_third);
        return text;
}

static int identity_write(const Identity *identity, Secret **ret) {
        g_autoptr(GByteArray) certificates = g_byte_array_new();
        g_autoptr(Secret) key = NULL;
        int r = 0;

        if (identity->chain)
                r = append_chain(certificates, identity->chain);
        if (r == 0 && identity->key)
                r = private_key_write(vault_key_private(identity->key), &key);
        if (r < 0)
                return r;

        *ret = join(certificates, key, identity->waiting);
        return 0;
}

/* Where a key begins at or after @from; the end of @text: none does. */
static size_t find_begin(const Secret *text, size_t from) {
        static const char *const begins[] = {PRIVATE_KEY_BEGIN, PRIVATE_KEY_TOKEN_BEGIN};
        const uint8_t *start = secret_peek(text) + from;
        const uint8_t *first = secret_peek(text) + secret_size(text);

        for (size_t i = 0; i < G_N_ELEMENTS(begins); i++) {
                const uint8_t *at =
                        memmem(start, (size_t)(first - start), begins[i], strlen(begins[i]));

                first = at ? at : first;
        }

        return (size_t)(first - secret_peek(text));
}

/* The key that begins at or after @from; NULL: none does. */
static Secret *find_key(const Secret *text, size_t from, size_t *ret_at) {
        size_t at = find_begin(text, from);

        if (at == secret_size(text))
                return NULL;

        *ret_at = at;
        return secret_new(secret_peek(text) + at, find_begin(text, at + 1) - at);
}

static int read_chain(GPtrArray *blobs, Chain **ret, const char **ret_text) {
        int r = chain_new(blobs, ret);

        if (r > 0)
                *ret_text = chain_outcome_text((ChainOutcome)r);
        return r > 0 ? ENTRIES_E_BAD : r;
}

static int identity_read_pair(Identities *identities, const char *name, const Secret *text,
                              size_t at, const Secret *key, Identity **ret, const char **ret_text) {
        g_autoptr(GPtrArray) blobs = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        g_autoptr(PrivateKey) private = NULL;
        g_autoptr(Chain) chain = NULL;
        int r;

        g_ptr_array_add(blobs, g_bytes_new(secret_peek(text), at));
        r = read_chain(blobs, &chain, ret_text);
        if (r == 0)
                r = private_key_read_again(key, chain_spki(chain), &private, ret_text);
        if (r)
                return r > 0 ? ENTRIES_E_BAD : fault(r);

        return identity_new(identities, name, chain, private, ret, ret_text);
}

static int identity_read(Identities *identities, const char *name, const Secret *text,
                         Identity **ret, const char **ret_text) {
        g_autoptr(Secret) key = NULL;
        size_t at;
        int r;

        key = find_key(text, 0, &at);
        if (!key) {
                *ret_text = "it has no private key";
                return ENTRIES_E_BAD;
        }

        if (at == 0) {
                *ret = identity_new_waiting(name, key);
                return 0;
        }

        r = identity_read_pair(identities, name, text, at, key, ret, ret_text);
        if (r == 0)
                (*ret)->waiting = find_key(text, at + secret_size(key), &at);
        return r;
}

/* ---- the table ---- */

static void identities_take(Identities *identities, Identity *identity) {
        (void)g_hash_table_replace(identities->by_name, identity->name, identity);
}

static int identities_load(void *userdata, const char *name, const Secret *contents,
                           const char **ret_why) {
        Identities *identities = userdata;
        Identity *identity;
        int r;

        r = contents ? identity_read(identities, name, contents, &identity, ret_why)
                     : ENTRIES_E_BAD;
        if (r == 0)
                identities_take(identities, identity);
        return r;
}

int identities_new(Store *store, Vault *vault, Identities **ret) {
        g_autoptr(Identities) identities = g_new0(Identities, 1);
        int r;

        identities->store = store;
        identities->vault = vault;
        identities->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, identity_free);

        r = entries_load(store, STORE_IDENTITY, identities_load, identities);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&identities);
        return 0;
}

Identities *identities_free(Identities *identities) {
        if (!identities)
                return NULL;

        g_hash_table_unref(identities->by_name);
        g_free(identities);
        return NULL;
}

static size_t identity_size(const Identity *identity) {
        size_t size = 0;

        for (size_t i = 0; identity->chain && i < chain_count(identity->chain); i++)
                size += g_bytes_get_size(chain_der(identity->chain, i));

        return size;
}

/* What there would be with @identity in the place of what has its name: all of it is told in one
 * message. */
static int identities_check_size(const Identities *identities, const Identity *identity,
                                 const char **ret_text) {
        uid_t uid = entry_name_uid(identity->name);
        size_t n_own = identity_size(identity), n_all = n_own;
        bool is_user = uid != UID_ADMINISTRATOR;
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, identities->by_name);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const Identity *other = value;
                size_t size = identity_size(other);

                if (g_str_equal(other->name, identity->name))
                        continue;

                n_own += entry_name_uid(other->name) == uid ? size : 0;
                n_all += size;
        }

        if (is_user && n_own > IDENTITIES_BYTES_PER_USER_MAX)
                *ret_text = "a user's chains have 512 KiB at most; remove some identities";
        else if (n_all > (is_user ? IDENTITIES_BYTES_MAX / 2 : IDENTITIES_BYTES_MAX))
                *ret_text = "all chains have 32 MiB at most, and half of it without the "
                            "administrator's; remove some identities";
        else
                return 0;

        return ENTRIES_E_FULL;
}

static int identities_save(Identities *identities, const Identity *identity,
                           const char **ret_text) {
        g_autoptr(Secret) text = NULL;
        int r;

        r = identity_write(identity, &text);
        if (r == 0)
                r = store_put(identities->store, STORE_IDENTITY, identity->name, text);
        if (r == STORE_E_TOO_LONG) {
                *ret_text = "the chain and the key are over 256 KiB";
                return ENTRIES_E_BAD;
        }

        return r < 0 ? fault(r) : 0;
}

int identities_check(const Identities *identities, const char *name, const char **ret_text) {
        if (!identities->store)
                return ENTRIES_E_NO_STORE;

        if (!entries_have_room(identities->by_name, name, IDENTITIES_PER_USER_MAX,
                               IDENTITIES_MAX)) {
                *ret_text = "a user has 64 identities at most, all users 4096; remove some";
                return ENTRIES_E_FULL;
        }

        return 0;
}

/* Takes @identity, on whose key nobody relies yet. */
static int identities_keep(Identities *identities, Identity *identity, const Identity **ret,
                           const char **ret_text) {
        int r;

        r = identities_check_size(identities, identity, ret_text);
        if (r == 0)
                r = identities_save(identities, identity, ret_text);
        if (r) {
                if (identity->key)
                        (void)vault_remove(identities->vault, vault_key_id(identity->key), NULL);
                identity_free(identity);
                return r;
        }

        *ret = identity;
        identities_take(identities, identity);
        return 0;
}

int identities_put(Identities *identities, const char *name, Chain *chain, PrivateKey *key,
                   const Identity **ret, const char **ret_text) {
        Identity *identity = NULL;
        int r;

        r = identities_check(identities, name, ret_text);
        if (r == 0)
                r = identity_new(identities, name, chain, key, &identity, ret_text);

        return r ? r : identities_keep(identities, identity, ret, ret_text);
}

int identities_wait(Identities *identities, const char *name, const Secret *key,
                    const char **ret_text) {
        Identity *present = g_hash_table_lookup(identities->by_name, name);
        const Identity *kept;
        Identity next;
        int r;

        r = identities_check(identities, name, ret_text);
        if (r)
                return r;
        if (!present)
                return identities_keep(identities, identity_new_waiting(name, key), &kept,
                                       ret_text);

        next = *present;
        next.waiting = (Secret *)key; /* only read */
        r = identities_save(identities, &next, ret_text);
        if (r)
                return r;

        secret_free(present->waiting);
        present->waiting = secret_copy(key);
        return 0;
}

/* With the key that waits, or else with the one in use, which is there again for the new chain. */
static int identities_pair(Identities *identities, const Identity *present, Chain *chain,
                           Identity **ret, const char **ret_text) {
        g_autoptr(PrivateKey) waiting = NULL;
        int r = ENTRIES_E_BAD;

        if (present->waiting &&
            private_key_read(present->waiting, /* passphrase= */ NULL, &waiting, ret_text) == 0)
                r = identity_new(identities, present->name, chain, waiting, ret, ret_text);
        if (r != ENTRIES_E_BAD || !present->key)
                return r;

        r = identity_new(identities, present->name, chain, vault_key_private(present->key), ret,
                         ret_text);
        if (r == 0 && present->waiting)
                (*ret)->waiting = secret_copy(present->waiting);
        return r;
}

int identities_install(Identities *identities, const char *name, GPtrArray *blobs,
                       const Identity **ret, const char **ret_text) {
        const Identity *present = g_hash_table_lookup(identities->by_name, name);
        g_autoptr(Chain) chain = NULL;
        Identity *identity = NULL;
        int r;

        if (!identities->store)
                return ENTRIES_E_NO_STORE;
        if (!present)
                return ENTRIES_E_UNKNOWN;

        r = read_chain(blobs, &chain, ret_text);
        if (r == 0)
                r = identities_pair(identities, present, chain, &identity, ret_text);
        return r ? r : identities_keep(identities, identity, ret, ret_text);
}

int identities_remove(Identities *identities, const char *name) {
        return entries_remove(identities->store, STORE_IDENTITY, identities->by_name, name);
}

GPtrArray *identities_list(const Identities *identities) {
        return entry_list(identities->by_name);
}
