/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kept: what users are charged for that the store keeps of theirs and dtlsd has in its memory:
 * trust sets and revocations, the administrator's as root's. It is there whatever the limits are;
 * whether there may be more is asked before the keyring is.
 *
 * Knows: what the keyring keeps. Does not know: who changes it.
 */

#include "base/entry.h"
#include "relay/private.h"

static GHashTable *kept_table_new(void) {
        return g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

static void kept_add(GHashTable *kept, const char *name, size_t n_bytes) {
        void *uid = GUINT_TO_POINTER(entry_name_uid(name));
        size_t *sum = g_hash_table_lookup(kept, uid);

        if (!sum) {
                sum = g_new0(size_t, 1);
                (void)g_hash_table_insert(kept, uid, sum);
        }
        *sum += n_bytes;
}

static GHashTable *kept_sum(const Keys *keys) {
        g_autoptr(GPtrArray) trusts = keys_trusts(keys);
        g_autoptr(GPtrArray) revoked = keys_revoked_list(keys);
        GHashTable *kept = kept_table_new();

        for (guint i = 0; i < trusts->len; i++) {
                const KeysTrust *trust = trusts->pdata[i];

                kept_add(kept, trust->name, trust_memory_of(trust->anchors));
        }
        for (guint i = 0; i < revoked->len; i++) {
                const KeysRevoked *entry = revoked->pdata[i];

                kept_add(kept, entry->name, entry->n_bytes);
        }

        return kept;
}

typedef void (*KeptCharge)(Quota *quota, uid_t uid, QuotaKind kind, uint64_t n);

static void kept_charge(const Relay *relay, KeptCharge charge) {
        GHashTableIter iter;
        void *uid, *sum;

        g_hash_table_iter_init(&iter, relay->kept);
        while (g_hash_table_iter_next(&iter, &uid, &sum))
                charge(relay->quota, GPOINTER_TO_UINT(uid), QUOTA_BYTES, *(size_t *)sum);
}

void kept_follow(Relay *relay) {
        kept_charge(relay, quota_discharge);
        g_hash_table_unref(relay->kept);
        relay->kept = kept_sum(relay->keys);
        kept_charge(relay, quota_count);
}

void kept_open(Relay *relay) {
        relay->kept = kept_table_new();
}

void kept_close(Relay *relay) {
        kept_charge(relay, quota_discharge);
        g_clear_pointer(&relay->kept, g_hash_table_unref);
}
