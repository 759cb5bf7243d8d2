/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keyring/entries.h"

#include "base/entry.h"
#include "base/fault.h"
#include "keyring/journal.h"

static void entries_load_one(Store *store, const StoreName *entry, EntriesLoad load,
                             void *userdata) {
        const char *why = "it is damaged, not of this user alone, or sealed with another key";
        g_autofree char *file = store_file(store, entry->kind, entry->name);
        g_autoptr(Secret) contents = NULL;

        (void)store_get(store, entry->kind, entry->name, &contents); /* NULL says that it failed */
        if (load(userdata, entry->name, contents, &why))
                journal_left_out(file, why);
}

int entries_load(Store *store, StoreKind kind, EntriesLoad load, void *userdata) {
        g_autoptr(GPtrArray) names = NULL;
        int r;

        r = store ? store_list(store, &names) : 0;
        if (r < 0)
                return fault(r);

        for (guint i = 0; names && i < names->len; i++) {
                const StoreName *name = names->pdata[i];

                if (name->kind == kind)
                        entries_load_one(store, name, load, userdata);
        }

        return 0;
}

int entries_remove(Store *store, StoreKind kind, GHashTable *by_name, const char *name) {
        int r;

        if (!store)
                return ENTRIES_E_NO_STORE;

        r = store_remove(store, kind, name);
        if (r < 0)
                return fault(r);

        (void)g_hash_table_remove(by_name, name);
        return r == STORE_E_UNKNOWN ? ENTRIES_E_UNKNOWN : 0;
}

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
