/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trusts, see trusts.h. An entry of the store is PEM, the set's certificates one after the other.
 */

#include "keyring/trusts.h"

#include "base/entry.h"
#include "base/fault.h"
#include "identity/pem.h"
#include "identity/trust.h"

#include <string.h>

#define SYSTEM_NAME "system" /* what the system trusts goes by this name, and is not kept here */

struct Trusts {
        Store *store;
        GHashTable *by_name; /* name in the set itself to TrustSet, owned */
};

static void set_free(void *data) {
        TrustSet *set = data;

        if (!set)
                return;

        g_free(set->name);
        g_clear_pointer(&set->anchors, g_ptr_array_unref);
        g_free(set);
}

static void set_cleanup(TrustSet **set) {
        set_free(*set);
}

#define set_auto __attribute__((cleanup(set_cleanup))) TrustSet *

static GPtrArray *bytes_new(void) {
        return g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
}

static void bytes_extend(GPtrArray *to, GPtrArray *from) {
        for (guint i = 0; i < from->len; i++)
                g_ptr_array_add(to, g_bytes_ref(from->pdata[i]));
}

/* ---- from certificates and back ---- */

typedef struct Reading {
        GPtrArray *blobs, *anchors;
        int outcome;
} Reading;

/* Tens of milliseconds for a long set. Perhaps in another thread. */
static void reading_work(void *data) {
        Reading *reading = data;
        g_autoptr(Trust) trust = NULL;

        reading->outcome = trust_new(reading->blobs, &trust);
        if (reading->outcome == 0)
                reading->anchors = trust_anchors(trust);
}

static int set_new(const Trusts *trusts, const char *name, GPtrArray *blobs, TrustSet **ret,
                   const char **ret_text) {
        Reading reading = {.blobs = blobs};
        TrustSet *set;

        store_wait(trusts->store, reading_work, &reading);
        if (reading.outcome < 0)
                return fault(reading.outcome);
        if (reading.outcome > 0) {
                *ret_text = trust_outcome_text((TrustOutcome)reading.outcome);
                return ENTRIES_E_BAD;
        }

        set = g_new0(TrustSet, 1);
        set->name = g_strdup(name);
        set->anchors = reading.anchors;
        for (guint i = 0; i < set->anchors->len; i++)
                set->n_bytes += g_bytes_get_size(set->anchors->pdata[i]);

        *ret = set;
        return 0;
}

static int set_write(const TrustSet *set, Secret **ret) {
        g_autoptr(GByteArray) text = g_byte_array_new();

        for (guint i = 0; i < set->anchors->len; i++) {
                int r = pem_append(text, "CERTIFICATE", set->anchors->pdata[i]);

                if (r < 0)
                        return fault(r);
        }

        *ret = secret_new(text->data, text->len);
        return 0;
}

static int set_read(const Trusts *trusts, const char *name, const Secret *text, TrustSet **ret,
                    const char **ret_text) {
        g_autoptr(GPtrArray) blobs = bytes_new();

        g_ptr_array_add(blobs, g_bytes_new(secret_peek(text), secret_size(text)));
        return set_new(trusts, name, blobs, ret, ret_text);
}

/* ---- the table ---- */

static void trusts_take(Trusts *trusts, TrustSet *set) {
        (void)g_hash_table_replace(trusts->by_name, set->name, set);
}

static int trusts_load(void *userdata, const char *name, const Secret *contents,
                       const char **ret_why) {
        Trusts *trusts = userdata;
        TrustSet *set;
        int r;

        r = contents ? set_read(trusts, name, contents, &set, ret_why) : ENTRIES_E_BAD;
        if (r == 0)
                trusts_take(trusts, set);
        return r;
}

int trusts_new(Store *store, Trusts **ret) {
        g_autoptr(Trusts) trusts = g_new0(Trusts, 1);
        int r;

        trusts->store = store;
        trusts->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, set_free);

        r = entries_load(store, STORE_TRUST, trusts_load, trusts);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&trusts);
        return 0;
}

Trusts *trusts_free(Trusts *trusts) {
        if (!trusts)
                return NULL;

        g_hash_table_unref(trusts->by_name);
        g_free(trusts);
        return NULL;
}

/* ---- changing it ---- */

/* What there would be with @set in the place of what has its name. */
static int trusts_check_room(const Trusts *trusts, const TrustSet *set, const char **ret_text) {
        size_t n_sets = 1, n_bytes = set->n_bytes, n_all = set->n_bytes;
        uid_t uid = entry_name_uid(set->name);
        bool is_user = uid != UID_ADMINISTRATOR;
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, trusts->by_name);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const TrustSet *other = value;
                bool is_own = entry_name_uid(other->name) == uid;

                if (g_str_equal(other->name, set->name))
                        continue;

                n_sets += is_own;
                n_bytes += is_own ? other->n_bytes : 0;
                n_all += other->n_bytes;
        }

        if (is_user && n_sets > TRUSTS_PER_USER_MAX)
                *ret_text = "a user has 16 trust sets at most; remove one";
        else if (is_user && n_bytes > TRUSTS_BYTES_PER_USER_MAX)
                *ret_text = "a user's trust sets have 256 KiB at most; remove some anchors";
        else if (g_hash_table_size(trusts->by_name) > TRUSTS_MAX ||
                 n_all > (is_user ? TRUSTS_BYTES_MAX / 2 : TRUSTS_BYTES_MAX))
                *ret_text = "all users have 4096 trust sets with 32 MiB at most; remove some";
        else
                return 0;

        return ENTRIES_E_FULL;
}

static int trusts_save(Trusts *trusts, const TrustSet *set, const char **ret_text) {
        g_autoptr(Secret) text = NULL;
        int r;

        r = set_write(set, &text);
        if (r == 0)
                r = store_put(trusts->store, STORE_TRUST, set->name, text);
        if (r == STORE_E_TOO_LONG) {
                *ret_text = "a trust set has 256 KiB of PEM at most; make another";
                return ENTRIES_E_FULL;
        }

        return r < 0 ? fault(r) : 0;
}

/* In the place of what has its name. Takes @set when it returns 0. */
static int trusts_put(Trusts *trusts, TrustSet *set, const TrustSet **ret, const char **ret_text) {
        int r = trusts_save(trusts, set, ret_text);

        if (r)
                return r;

        trusts_take(trusts, set);
        *ret = set;
        return 0;
}

int trusts_add(Trusts *trusts, const char *name, GPtrArray *blobs, const TrustSet **ret,
               const char **ret_text) {
        const TrustSet *old = g_hash_table_lookup(trusts->by_name, name);
        g_autoptr(GPtrArray) all = bytes_new();
        set_auto set = NULL;
        int r;

        if (!trusts->store)
                return ENTRIES_E_NO_STORE;
        if (g_str_equal(name, SYSTEM_NAME)) {
                *ret_text = "'system' is what the system trusts; name the set otherwise";
                return ENTRIES_E_BAD;
        }
        if (blobs->len == 0) {
                *ret_text = "there is no certificate";
                return ENTRIES_E_BAD;
        }

        if (old)
                bytes_extend(all, old->anchors);
        bytes_extend(all, blobs);
        r = set_new(trusts, name, all, &set, ret_text);
        if (r == 0)
                r = trusts_check_room(trusts, set, ret_text);
        if (r == 0)
                r = trusts_put(trusts, set, ret, ret_text);
        if (r)
                return r;

        set = NULL;
        return 0;
}

static int trusts_drop(Trusts *trusts, const char *name, const char **ret_text) {
        *ret_text = "there is no trust set of this name";
        return entries_remove(trusts->store, STORE_TRUST, trusts->by_name, name);
}

static bool anchor_is(GBytes *der, const void *fingerprint, size_t size) {
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        uint8_t digest[TRUST_FINGERPRINT_SIZE];
        gsize n_digest = sizeof(digest);

        g_checksum_update(checksum, g_bytes_get_data(der, NULL), (gssize)g_bytes_get_size(der));
        g_checksum_get_digest(checksum, digest, &n_digest);
        return size == n_digest && memcmp(digest, fingerprint, size) == 0;
}

int trusts_remove(Trusts *trusts, const char *name, const void *fingerprint, size_t size,
                  const TrustSet **ret, const char **ret_text) {
        const TrustSet *old = g_hash_table_lookup(trusts->by_name, name);
        g_autoptr(GPtrArray) rest = bytes_new();
        set_auto set = NULL;
        int r;

        if (!trusts->store)
                return ENTRIES_E_NO_STORE;

        *ret = NULL;
        if (size == 0)
                return trusts_drop(trusts, name, ret_text);
        if (!old) {
                *ret_text = "there is no trust set of this name";
                return ENTRIES_E_UNKNOWN;
        }

        for (guint i = 0; i < old->anchors->len; i++)
                if (!anchor_is(old->anchors->pdata[i], fingerprint, size))
                        g_ptr_array_add(rest, g_bytes_ref(old->anchors->pdata[i]));
        if (rest->len == old->anchors->len) {
                *ret_text = "the trust set has no certificate with this SHA-256";
                return ENTRIES_E_UNKNOWN;
        }
        if (rest->len == 0)
                return trusts_drop(trusts, name, ret_text);

        r = set_new(trusts, name, rest, &set, ret_text);
        if (r == 0)
                r = trusts_put(trusts, set, ret, ret_text);
        if (r)
                return r;

        set = NULL;
        return 0;
}

GPtrArray *trusts_list(const Trusts *trusts) {
        return entry_list(trusts->by_name);
}
