/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Uses, see uses.h. Nothing here keeps a key alive that was removed. */

#include "keyring/uses.h"

#include "base/brake.h"
#include "base/fault.h"
#include "base/log.h"
#include "keyring/journal.h"

#include <inttypes.h>

typedef struct Use {
        uint64_t key;
        uid_t uid, owner;
        char *entry; /* NULL: an object's key */
        const char *what;
        uint64_t n; /* since the last line */
} Use;

struct Uses {
        sd_event *event;
        GHashTable *brakes;
        uint64_t period_usec;
        sd_event_source *timer;
        GHashTable *table;   /* a set of Use */
        uint64_t n_unlisted; /* for which there was no room in it */
};

static guint use_hash(gconstpointer data) {
        const Use *use = data;

        return g_int64_hash(&use->key) ^ (use->uid * 2654435761u);
}

static gboolean use_equal(gconstpointer a, gconstpointer b) {
        const Use *x = a, *y = b;

        return x->key == y->key && x->uid == y->uid;
}

static void use_free(gpointer data) {
        Use *use = data;

        g_free(use->entry);
        g_free(use);
}

/* ---- lines ---- */

static uint64_t uses_now(const Uses *uses) {
        uint64_t now_usec = 0;

        (void)sd_event_now(uses->event, CLOCK_MONOTONIC, &now_usec); /* 0 before the loop runs */
        return now_usec;
}

static void uses_write(Uses *uses, Use *use) {
        Brake *brake = brakes_of(uses->brakes, use->uid);
        g_autofree char *key = g_strdup_printf("DTLSD_KEY=%" PRIu64, use->key);
        g_autofree char *uid = g_strdup_printf("DTLSD_UID=%u", use->uid);
        g_autofree char *owner = g_strdup_printf("DTLSD_OWNER_UID=%u", use->owner);
        g_autofree char *n = g_strdup_printf("DTLSD_USES=%" PRIu64, use->n);
        g_autofree char *entry = g_strdup_printf("DTLSD_ENTRY=%s", use->entry ? use->entry : "");
        const char *const fields[] = {key, uid, owner, n, use->entry ? entry : NULL, NULL};
        g_autofree char *text = NULL;

        if (brake_leaves_out(brake, uses_now(uses), LOG_INFO))
                return;

        text = g_strdup_printf("key %" PRIu64 "%s%s of uid %u: %s for uid %u, %" PRIu64
                               " since the last line about it",
                               use->key, use->entry ? ", " : "", use->entry ? use->entry : "",
                               use->owner, use->what, use->uid, use->n);
        brake_write(brake, uses_now(uses), LOG_INFO, MSG_KEY_USED, fields, text);
        use->n = 0;
}

static void uses_write_unlisted(Uses *uses) {
        g_autofree char *n = g_strdup_printf("DTLSD_USES=%" PRIu64, uses->n_unlisted);
        const char *const fields[] = {n, NULL};

        log_write(LOG_INFO, MSG_KEY_USED, fields,
                  "keys were used %" PRIu64 " times more, by more users, or more keys of one, "
                  "than have lines",
                  uses->n_unlisted);
        uses->n_unlisted = 0;
}

static void uses_write_all(Uses *uses) {
        GHashTableIter iter;
        gpointer use;

        g_hash_table_iter_init(&iter, uses->table);
        while (g_hash_table_iter_next(&iter, &use, NULL))
                if (((Use *)use)->n > 0)
                        uses_write(uses, use);
                else
                        g_hash_table_iter_remove(&iter);

        if (uses->n_unlisted > 0)
                uses_write_unlisted(uses);
}

/* ---- the clock ---- */

static void uses_arm(Uses *uses) {
        /* neither can fail for a timer of ours */
        (void)sd_event_source_set_time(uses->timer, uses_now(uses) + uses->period_usec);
        (void)sd_event_source_set_enabled(uses->timer, SD_EVENT_ONESHOT);
}

static int on_period(sd_event_source *source, uint64_t usec, void *userdata) {
        Uses *uses = userdata;

        uses_write_all(uses);
        if (g_hash_table_size(uses->table) > 0)
                uses_arm(uses);
        return 0;
}

/* ---- what happens ---- */

static Use *use_new(const VaultKey *key, uid_t uid, const char *what) {
        Use *use = g_new0(Use, 1);

        use->key = vault_key_id(key);
        use->uid = uid;
        use->owner = vault_key_uid(key);
        use->entry = g_strdup(vault_key_entry(key));
        use->what = what;
        return use;
}

static void uses_list(Uses *uses, Use *use) {
        if (g_hash_table_size(uses->table) == 0)
                uses_arm(uses);

        (void)g_hash_table_add(uses->table, use);
        use->n = 1;
        uses_write(uses, use);
}

/* A user of many keys is not to hide what others do with theirs. */
static bool uses_have_room(Uses *uses, uid_t uid) {
        GHashTableIter iter;
        gpointer use;
        unsigned n = 0;

        g_hash_table_iter_init(&iter, uses->table);
        while (g_hash_table_iter_next(&iter, &use, NULL))
                n += ((const Use *)use)->uid == uid;

        return n < USES_PER_USER_MAX && g_hash_table_size(uses->table) < USES_MAX;
}

void uses_note(Uses *uses, const VaultKey *key, uid_t uid, const char *what) {
        Use *use = g_hash_table_lookup(uses->table, &(Use){.key = vault_key_id(key), .uid = uid});

        if (log_level() < LOG_INFO)
                return;

        if (use)
                use->n++;
        else if (uses_have_room(uses, uid))
                uses_list(uses, use_new(key, uid, what));
        else
                uses->n_unlisted++;
}

int uses_new(sd_event *event, GHashTable *brakes, uint64_t period_usec, Uses **ret) {
        g_autoptr(Uses) uses = g_new0(Uses, 1);
        int r;

        uses->event = sd_event_ref(event);
        uses->brakes = brakes;
        uses->period_usec = period_usec;
        uses->table = g_hash_table_new_full(use_hash, use_equal, use_free, NULL);

        r = sd_event_add_time(event, &uses->timer, CLOCK_MONOTONIC, 0, 0, on_period, uses);
        if (r >= 0)
                r = sd_event_source_set_enabled(uses->timer, SD_EVENT_OFF);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&uses);
        return 0;
}

Uses *uses_free(Uses *uses) {
        if (!uses)
                return NULL;

        uses_write_all(uses);
        (void)sd_event_source_disable_unref(uses->timer);
        g_hash_table_unref(uses->table);
        sd_event_unref(uses->event);
        g_free(uses);
        return NULL;
}
