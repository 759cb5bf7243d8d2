/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Demux, see demux.h. GLib's hash functions see a key and nothing else, so the keyed hash is
 * computed before the table is asked and travels in the key.
 */

#include "transport/demux.h"

#include <sys/random.h>

typedef struct DemuxEntry {
        Address peer;
        Address local;
        guint hash;
        void *value;
} DemuxEntry;

struct Demux {
        GHashTable *entries;    /* a set of DemuxEntry */
        const DemuxEntry *last; /* that was found: the next is often its neighbour. Or NULL */
        uint8_t key[ADDRESS_HASH_KEY_SIZE];
};

static guint demux_entry_hash(gconstpointer data) {
        const DemuxEntry *entry = data;

        return entry->hash;
}

static gboolean demux_entry_equal(gconstpointer a, gconstpointer b) {
        const DemuxEntry *one = a, *other = b;

        return one->hash == other->hash && address_equal(&one->peer, &other->peer) &&
               address_equal(&one->local, &other->local);
}

static DemuxEntry demux_key(const Demux *demux, const Address *peer, const Address *local) {
        /* the factor, so that a peer that is its own local address is hashed too */
        uint64_t hash = address_hash(peer, demux->key) * 31 + address_hash(local, demux->key);

        return (DemuxEntry){
                .peer = *peer,
                .local = *local,
                .hash = (guint)(hash ^ hash >> 32),
        };
}

Demux *demux_new(void) {
        Demux *demux = g_new0(Demux, 1);
        ssize_t n;

        /* sixteen bytes from a seeded kernel: cannot fail or fall short, see getrandom(2) */
        n = getrandom(demux->key, sizeof(demux->key), 0);
        g_assert(n == sizeof(demux->key));

        demux->entries = g_hash_table_new_full(demux_entry_hash, demux_entry_equal, g_free, NULL);
        return demux;
}

Demux *demux_free(Demux *demux) {
        if (!demux)
                return NULL;

        g_hash_table_unref(demux->entries);
        g_free(demux);
        return NULL;
}

void demux_insert(Demux *demux, const Address *peer, const Address *local, void *value) {
        DemuxEntry *entry = g_new(DemuxEntry, 1);

        g_assert(value);

        *entry = demux_key(demux, peer, local);
        entry->value = value;
        demux->last = entry;
        g_hash_table_replace(demux->entries, entry, entry);
}

void *demux_find(Demux *demux, const Address *peer, const Address *local) {
        const DemuxEntry *last = demux->last;
        DemuxEntry key;

        if (last && address_equal(&last->peer, peer) && address_equal(&last->local, local))
                return last->value;

        key = demux_key(demux, peer, local);
        demux->last = g_hash_table_lookup(demux->entries, &key);
        return demux->last ? demux->last->value : NULL;
}

void demux_remove(Demux *demux, const Address *peer, const Address *local) {
        DemuxEntry key = demux_key(demux, peer, local);

        demux->last = NULL;
        g_hash_table_remove(demux->entries, &key);
}

size_t demux_count(const Demux *demux) {
        return g_hash_table_size(demux->entries);
}
