/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * identity-news: signals about the store's identities. Nobody owns them: watchers that may see one
 * hear of it.
 *
 * When the keyring was started again any of them may be another, and most are not; so what was told
 * is kept, and what is still so is not told again.
 */

#include "bus/news.h"
#include "bus/signals.h"

#include <string.h>

/* What watchers know. */
typedef struct Told {
        GPtrArray *chain; /* GBytes */
        bool awaits_certificate;
} Told;

/* What there may be to tell of one. */
typedef struct IdentityNote {
        bool ends_soon;
        uint64_t not_after_usec;
        uint32_t days;
} IdentityNote;

struct IdentityNews {
        Bus *bus;
        GHashTable *watchers; /* news.c's */
        GHashTable *told;     /* by name */
        GTree *notes;         /* by name, in order */
        bool all_may_have;    /* changed */
};

static void told_free(gpointer data) {
        Told *told = data;

        g_ptr_array_unref(told->chain);
        g_free(told);
}

/* ---- notes ---- */

static IdentityNote *news_note(IdentityNews *news, const char *name) {
        IdentityNote *note = g_tree_lookup(news->notes, name);

        if (!note) {
                note = g_new0(IdentityNote, 1);
                g_tree_insert(news->notes, g_strdup(name), note);
        }

        return note;
}

void identity_news_changed(IdentityNews *news, const char *name) {
        if (!name || g_tree_nnodes(news->notes) >= NEWS_NOTES_MAX)
                news->all_may_have = true;
        else
                (void)news_note(news, name);
        bus_turn(news->bus);
}

void identity_news_ends_soon(IdentityNews *news, const char *name, uint64_t not_after_usec,
                             uint32_t days) {
        if (g_tree_nnodes(news->notes) >= NEWS_NOTES_MAX)
                return; /* the journal has it */

        *news_note(news, name) = (IdentityNote){true, not_after_usec, days};
        bus_turn(news->bus);
}

static void news_note_all(IdentityNews *news) {
        g_autoptr(GPtrArray) list = keys_identities(news->bus->keys);
        GHashTableIter iter;
        gpointer name;

        for (guint i = 0; i < list->len; i++)
                (void)news_note(news, ((const KeysIdentity *)list->pdata[i])->name);

        g_hash_table_iter_init(&iter, news->told);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                (void)news_note(news, name);

        news->all_may_have = false;
}

/* ---- what is new ---- */

static bool chains_are_equal(const GPtrArray *a, const GPtrArray *b) {
        if (a == b)
                return true;
        if (a->len != b->len)
                return false;

        for (guint i = 0; i < a->len; i++)
                if (!g_bytes_equal(a->pdata[i], b->pdata[i]))
                        return false;

        return true;
}

/* SIGNAL_ADDED, _CHANGED or _REMOVED, or N_SIGNAL_KINDS: nothing is. */
static SignalKind identity_news_kind(const Told *told, const KeysIdentity *identity) {
        if (!told)
                return identity ? SIGNAL_ADDED : N_SIGNAL_KINDS;
        if (!identity)
                return SIGNAL_REMOVED;
        if (told->awaits_certificate == identity->awaits_certificate &&
            chains_are_equal(told->chain, identity->chain))
                return N_SIGNAL_KINDS;

        return SIGNAL_CHANGED;
}

static void identity_news_learn(IdentityNews *news, const char *name,
                                const KeysIdentity *identity) {
        Told told;

        if (!identity) {
                (void)g_hash_table_remove(news->told, name);
                return;
        }

        told = (Told){
                .chain = g_ptr_array_ref(identity->chain),
                .awaits_certificate = identity->awaits_certificate,
        };
        g_hash_table_insert(news->told, g_strdup(name), g_memdup2(&told, sizeof(told)));
}

/* ---- who hears ---- */

static bool watcher_hears(Bus *bus, const Watcher *watcher, const char *name) {
        const Caller *caller = caller_by_name(bus, watcher->name);

        if (!caller || !store_may_see(bus, caller, "identity", name))
                return false;

        return watcher->all || store_name_is_for(name, caller->uid);
}

static void identity_news_tell(IdentityNews *news, const char *name, const Signal *signal) {
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, news->watchers);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const Watcher *watcher = value;

                if (watcher_hears(news->bus, watcher, name))
                        news_signal(news->bus, signal, watcher->name);
        }
}

/* ---- sending ---- */

static void identity_news_send_one(IdentityNews *news, const char *name, const IdentityNote *note) {
        const KeysIdentity *identity = keys_identity(news->bus->keys, name);
        SignalObject object = signal_identity(name, identity);
        Signal signal = {
                .kind = identity_news_kind(g_hash_table_lookup(news->told, name), identity),
                .object = &object,
                .not_after_usec = note->not_after_usec,
                .days = note->days,
        };

        if (signal.kind != N_SIGNAL_KINDS)
                identity_news_tell(news, name, &signal);
        identity_news_learn(news, name, identity);

        signal.kind = SIGNAL_ENDS_SOON;
        if (note->ends_soon && identity)
                identity_news_tell(news, name, &signal);
}

void identity_news_send(IdentityNews *news) {
        if (news->all_may_have)
                news_note_all(news);
        while (g_tree_nnodes(news->notes) > 0 && !news_must_wait(news->bus)) {
                GTreeNode *first = g_tree_node_first(news->notes);

                identity_news_send_one(news, g_tree_node_key(first), g_tree_node_value(first));
                g_tree_remove(news->notes, g_tree_node_key(first));
        }
}

/* ---- birth and death ---- */

static gint compare_names(gconstpointer a, gconstpointer b, gpointer userdata) {
        return strcmp(a, b);
}

IdentityNews *identity_news_new(Bus *bus, GHashTable *watchers) {
        IdentityNews *news = g_new0(IdentityNews, 1);
        g_autoptr(GPtrArray) list = NULL;

        news->bus = bus;
        news->watchers = watchers;
        news->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, told_free);
        news->notes = g_tree_new_full(compare_names, NULL, g_free, g_free);

        /* what there is when a Bus begins is there as if it had been told */
        list = keys_identities(bus->keys);
        for (guint i = 0; i < list->len; i++) {
                const KeysIdentity *identity = list->pdata[i];

                identity_news_learn(news, identity->name, identity);
        }
        return news;
}

IdentityNews *identity_news_free(IdentityNews *news) {
        if (!news)
                return NULL;

        g_hash_table_unref(news->told);
        g_tree_unref(news->notes);
        g_free(news);
        return NULL;
}
