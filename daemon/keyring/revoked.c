/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Revoked, see revoked.h. An entry of the store is the text of identity/revocation-text.h. */

#include "keyring/revoked.h"

#include "base/entry.h"
#include "base/fault.h"
#include "identity/revocation-text.h"

struct Revoked {
        Store *store;
        GHashTable *by_name; /* name in the entry itself to RevokedEntry, owned */
};

static void entry_free(void *data) {
        RevokedEntry *entry = data;

        g_free(entry->name);
        g_clear_pointer(&entry->text, g_bytes_unref);
        g_free(entry);
}

/* @text NULL: what is there is damaged. */
static RevokedEntry *entry_new(const char *name, GBytes *text, size_t n_lists) {
        RevokedEntry *entry = g_new0(RevokedEntry, 1);

        entry->name = g_strdup(name);
        entry->text = text ? g_bytes_ref(text) : NULL;
        entry->n_lists = n_lists;
        return entry;
}

static size_t entry_size(const RevokedEntry *entry) {
        return entry->text ? g_bytes_get_size(entry->text) : 0;
}

typedef struct Reading {
        GBytes *text;
        size_t n_lists;
        int outcome;
} Reading;

/* Tens of milliseconds for long lists. Perhaps in another thread. */
static void reading_work(void *data) {
        Reading *reading = data;
        g_autoptr(Revocations) revocations = NULL;

        reading->outcome = revocation_text_read(reading->text, &revocations);
        if (reading->outcome == 0)
                reading->n_lists = revocations_count_lists(revocations);
}

static int entry_read(const Revoked *revoked, const char *name, GBytes *text, RevokedEntry **ret,
                      const char **ret_text) {
        Reading reading = {.text = text};

        store_wait(revoked->store, reading_work, &reading);
        if (reading.outcome < 0)
                return fault(reading.outcome);
        if (reading.outcome > 0) {
                *ret_text = revocations_outcome_text((RevocationsOutcome)reading.outcome);
                return ENTRIES_E_BAD;
        }

        *ret = entry_new(name, text, reading.n_lists);
        return 0;
}

/* ---- the table ---- */

static void revoked_take(Revoked *revoked, RevokedEntry *entry) {
        (void)g_hash_table_replace(revoked->by_name, entry->name, entry);
}

static int revoked_load(void *userdata, const char *name, const Secret *contents,
                        const char **ret_why) {
        Revoked *revoked = userdata;
        g_autoptr(GBytes) text = NULL;
        RevokedEntry *entry = NULL;
        int r = ENTRIES_E_BAD;

        if (contents) {
                text = g_bytes_new(secret_peek(contents), secret_size(contents));
                r = entry_read(revoked, name, text, &entry, ret_why);
        }

        revoked_take(revoked, entry ? entry : entry_new(name, NULL, 0));
        return r;
}

int revoked_new(Store *store, Revoked **ret) {
        g_autoptr(Revoked) revoked = g_new0(Revoked, 1);
        int r;

        revoked->store = store;
        revoked->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);

        r = entries_load(store, STORE_REVOCATIONS, revoked_load, revoked);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&revoked);
        return 0;
}

Revoked *revoked_free(Revoked *revoked) {
        if (!revoked)
                return NULL;

        g_hash_table_unref(revoked->by_name);
        g_free(revoked);
        return NULL;
}

/* ---- changing it ---- */

typedef struct Sum {
        size_t n_entries, n_lists, n_bytes, n_bytes_of_all;
} Sum;

/* What its user would have, and all together, with @entry in the place of what has its name. */
static Sum revoked_sum(const Revoked *revoked, const RevokedEntry *entry) {
        uid_t uid = entry_name_uid(entry->name);
        Sum sum = {1, entry->n_lists, entry_size(entry), entry_size(entry)};
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, revoked->by_name);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const RevokedEntry *other = value;

                if (g_str_equal(other->name, entry->name))
                        continue;

                sum.n_bytes_of_all += entry_size(other);
                if (entry_name_uid(other->name) != uid)
                        continue;

                sum.n_entries++;
                sum.n_lists += other->n_lists;
                sum.n_bytes += entry_size(other);
        }

        return sum;
}

static int revoked_check_room(const Revoked *revoked, const RevokedEntry *entry,
                              const char **ret_text) {
        const Sum sum = revoked_sum(revoked, entry);
        bool is_user = entry_name_uid(entry->name) != UID_ADMINISTRATOR;
        bool is_new = !g_hash_table_contains(revoked->by_name, entry->name);

        if (is_user &&
            (sum.n_entries > REVOKED_PER_USER_MAX || sum.n_lists > REVOKED_LISTS_PER_USER_MAX ||
             sum.n_bytes > REVOKED_BYTES_PER_USER_MAX))
                *ret_text = "a user has 16 entries of revocations at most, with 16 lists and 256 "
                            "KiB in all of them; remove some";
        else if (!is_user && sum.n_entries > REVOKED_ADMINISTRATOR_MAX)
                *ret_text = "the administrator has 256 entries of revocations at most; join some";
        else if ((is_new && g_hash_table_size(revoked->by_name) >= REVOKED_MAX) ||
                 sum.n_bytes_of_all > (is_user ? REVOKED_BYTES_MAX / 2 : REVOKED_BYTES_MAX))
                *ret_text = "all users have 4096 entries of revocations with 16 MiB at most, "
                            "and half of it without the administrator's; remove some";
        else
                return 0;

        return ENTRIES_E_FULL;
}

static int revoked_save(Revoked *revoked, const char *name, GBytes *text) {
        gsize size;
        const void *data = g_bytes_get_data(text, &size);
        g_autoptr(Secret) secret = secret_new(data, size);
        int r;

        r = store_put(revoked->store, STORE_REVOCATIONS, name, secret);
        return r ? fault(r) : 0; /* it is never too long */
}

int revoked_put(Revoked *revoked, const char *name, GBytes *text, const char **ret_text) {
        RevokedEntry *entry = NULL;
        int r;

        if (!revoked->store)
                return ENTRIES_E_NO_STORE;

        r = entry_read(revoked, name, text, &entry, ret_text);
        if (r)
                return r;

        r = revoked_check_room(revoked, entry, ret_text);
        if (r == 0)
                r = revoked_save(revoked, name, text);
        if (r) {
                entry_free(entry);
                return r;
        }

        revoked_take(revoked, entry);
        return 0;
}

int revoked_remove(Revoked *revoked, const char *name) {
        return entries_remove(revoked->store, STORE_REVOCATIONS, revoked->by_name, name);
}

GPtrArray *revoked_list(const Revoked *revoked) {
        return entry_list(revoked->by_name);
}
