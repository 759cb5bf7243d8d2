/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names: what goes with a bus name, found by it: a name that leaves costs what it has.
 *
 * Knows: names. Does not know: what goes with them.
 */

#include "relay/private.h"

static void names_set_unref(void *set) {
        g_hash_table_unref(set);
}

GHashTable *names_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, names_set_unref);
}

void names_add(GHashTable *names, const char *name, void *what) {
        GHashTable *set = g_hash_table_lookup(names, name);

        if (!set) {
                set = g_hash_table_new(NULL, NULL);
                (void)g_hash_table_insert(names, g_strdup(name), set);
        }

        (void)g_hash_table_add(set, what);
}

void names_remove(GHashTable *names, const char *name, void *what) {
        GHashTable *set = g_hash_table_lookup(names, name);

        if (!set)
                return;

        (void)g_hash_table_remove(set, what);
        if (g_hash_table_size(set) == 0)
                (void)g_hash_table_remove(names, name);
}

static void *names_any(GHashTable *table, bool of_values) {
        GHashTableIter iter;
        void *key, *value;

        g_hash_table_iter_init(&iter, table);
        if (!g_hash_table_iter_next(&iter, &key, &value))
                return NULL;

        return of_values ? value : key;
}

void *names_first(GHashTable *names, const char *name) {
        GHashTable *set =
                name ? g_hash_table_lookup(names, name) : names_any(names, /* of_values= */ true);

        return set ? names_any(set, /* of_values= */ false) : NULL;
}
