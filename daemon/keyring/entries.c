/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keyring/entries.h"

#include "base/entry.h"

#include <string.h>

#define UID_ADMINISTRATOR ((uid_t)0)

static size_t entries_count(GHashTable *by_name, uid_t uid) {
        GHashTableIter iter;
        void *name;
        size_t n = 0;

        g_hash_table_iter_init(&iter, by_name);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                n += entry_name_uid(name) == uid;

        return n;
}

bool entries_have_room(GHashTable *by_name, const char *name, size_t per_user_max, size_t max) {
        uid_t uid = entry_name_uid(name);

        if (g_hash_table_contains(by_name, name))
                return true;

        return g_hash_table_size(by_name) < max &&
               (uid == UID_ADMINISTRATOR || entries_count(by_name, uid) < per_user_max);
}

static int entries_compare(const void *a, const void *b) {
        return strcmp(a, b);
}

GPtrArray *entries_list(GHashTable *by_name) {
        GPtrArray *list = g_ptr_array_new();
        g_autoptr(GList) names = g_hash_table_get_keys(by_name);

        names = g_list_sort(names, entries_compare);
        for (GList *i = names; i; i = i->next)
                g_ptr_array_add(list, g_hash_table_lookup(by_name, i->data));

        return list;
}
