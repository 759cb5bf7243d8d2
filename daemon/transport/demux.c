/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "transport/demux.h"

#include <sys/random.h>

struct Demux {
        GHashTable *table; /* Entry, itself the key */
        uint8_t key[ADDRESS_HASH_KEY_SIZE];
};

typedef struct Entry {
        const Demux *demux; /* the hash function has no other way to the secret */
        Address peer, local;
        void *value;
} Entry;

static guint entry_hash(const void *value) {
        const Entry *entry = value;
        const uint8_t *key = entry->demux->key;

        return (guint)(address_hash(&entry->peer, key) ^ 3 * address_hash(&entry->local, key));
}

static gboolean entry_equal(const void *value_a, const void *value_b) {
        const Entry *a = value_a, *b = value_b;

        return address_equal(&a->peer, &b->peer) && address_equal(&a->local, &b->local);
}

Demux *demux_new(void) {
        Demux *demux = g_new0(Demux, 1);

        /* cannot fail for so few bytes once the system has started */
        if (getrandom(demux->key, sizeof demux->key, 0) != (ssize_t)sizeof demux->key)
                g_error("no random bytes");

        demux->table = g_hash_table_new_full(entry_hash, entry_equal, g_free, NULL);
        return demux;
}

Demux *demux_free(Demux *demux) {
        if (!demux)
                return NULL;

        g_hash_table_destroy(demux->table);
        g_free(demux);
        return NULL;
}

void demux_insert(Demux *demux, const Address *peer, const Address *local, void *value) {
        Entry *entry = g_new(Entry, 1);

        *entry = (Entry){.demux = demux, .peer = *peer, .local = *local, .value = value};
        (void)g_hash_table_add(demux->table, entry);
}

void *demux_find(const Demux *demux, const Address *peer, const Address *local) {
        Entry wanted = {.demux = demux, .peer = *peer, .local = *local};
        const Entry *entry = g_hash_table_lookup(demux->table, &wanted);

        return entry ? entry->value : NULL;
}

void demux_remove(Demux *demux, const Address *peer, const Address *local) {
        Entry wanted = {.demux = demux, .peer = *peer, .local = *local};

        (void)g_hash_table_remove(demux->table, &wanted);
}

size_t demux_count(const Demux *demux) {
        return g_hash_table_size(demux->table);
}
