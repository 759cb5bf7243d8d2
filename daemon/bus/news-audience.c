/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * news-audience: who hears of an object: the owning name, whoever it is shared with and has called
 * before, and watchers (who subscribed, or listed the objects) that may see it. Plaintext, and what
 * asks for a secret, is for the owner alone.
 */

#include "bus/news.h"

#include <string.h>

/* ---- watchers ---- */

static void watcher_free(gpointer data) {
        Watcher *watcher = data;

        g_free(watcher->name);
        g_free(watcher);
}

GHashTable *watchers_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, watcher_free);
}

static Watcher *watcher_of(News *news, const char *name) {
        Watcher *watcher = g_hash_table_lookup(news->watchers, name);

        if (!watcher) {
                watcher = g_new0(Watcher, 1);
                watcher->name = g_strdup(name);
                g_hash_table_insert(news->watchers, watcher->name, watcher);
        }

        return watcher;
}

int news_watch(Bus *bus, const Caller *caller, bool all, sd_bus_error *error) {
        Watcher *watcher;

        /* whether it may inspect is whether it may see what nobody owns */
        if (all && !bus_may_see_uid(bus, caller, (uid_t)-1))
                return bus_refuse_text(error, BUS_E_NOT_AUTHORIZED,
                                       "Only who may inspect objects of others may subscribe to "
                                       "All; leave it out to hear of your own");

        watcher = watcher_of(bus->news, caller->name);
        watcher->is_subscriber = true;
        watcher->all |= all;
        return 1;
}

void news_watch_listed(Bus *bus, const Caller *caller) {
        Watcher *watcher = watcher_of(bus->news, caller->name);

        watcher->all = true; /* the list had all it may see */
}

void news_unwatch(Bus *bus, const char *name) {
        (void)g_hash_table_remove(bus->news->watchers, name);
}

/* ---- who hears ---- */

static bool topic_is_owner(Bus *bus, const Topic *topic, const Caller *caller) {
        return topic->owner && caller && caller->uid == topic->uid &&
               strcmp(caller->name, topic->owner) == 0;
}

static bool watcher_hears(Bus *bus, const Watcher *watcher, const Topic *topic, bool is_private) {
        const Caller *caller = caller_by_name(bus, watcher->name);

        if (!caller || topic_is_owner(bus, topic, caller))
                return false; /* an owner is told anyway, once */
        if (!is_private && caller_rights(caller, topic->shares))
                return false; /* so is whom it is shared with */
        if (is_private)
                return !topic->owner && watcher->is_subscriber && caller->uid == topic->uid;
        if (caller->uid == topic->uid)
                return true;

        return watcher->all && bus_may_see_uid(bus, caller, topic->uid);
}

bool names_have(GPtrArray *names, const char *name) {
        return g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL);
}

GPtrArray *news_audience(News *news, const Topic *topic, bool is_private) {
        GPtrArray *names = g_ptr_array_new();
        const Caller *owner = caller_by_name(news->bus, topic->owner);
        GHashTableIter iter;
        gpointer value;

        if (!is_private)
                callers_find_shared(news->bus, topic->shares, names);
        if (topic_is_owner(news->bus, topic, owner) && !names_have(names, owner->name))
                g_ptr_array_add(names, owner->name);

        g_hash_table_iter_init(&iter, news->watchers);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const Watcher *watcher = value;

                if (watcher_hears(news->bus, watcher, topic, is_private))
                        g_ptr_array_add(names, watcher->name);
        }

        return names;
}
