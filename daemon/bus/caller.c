/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caller: who calls, by credentials that the bus driver vouches for.
 *
 * Asking for them on every call would be a blocking round trip each. So the calls of a name that is
 * not known wait in its queue, the driver is asked once, asynchronously, and then they run in their
 * order. Credentials are kept until the driver says that the name has left, and what it sent before
 * has run.
 *
 * Anybody can send a signal that looks like NameOwnerChanged to us alone; only the driver's counts.
 */

#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"
#include "bus/private.h"

#include <errno.h>
#include <string.h>

#define DRIVER "org.freedesktop.DBus"

typedef struct Entry {
        Caller caller;
        Callers *callers;
        bool is_known;
        sd_bus_slot *question;
        Queue *queue;
        Spec *defaults; /* NULL: those that everybody has */
} Entry;

struct Callers {
        Bus *bus;
        GHashTable *by_name;
        GQueue leaving; /* of Entry: have left, but their last calls have not run */
        sd_bus_slot *departures;
};

/* ---- entries ---- */

static void entry_free(gpointer data) {
        Entry *entry = data;

        entry->queue = queue_free(entry->queue);
        (void)sd_bus_slot_unref(entry->question);
        (void)spec_free(entry->defaults);
        g_free(entry->caller.name);
        g_clear_pointer(&entry->caller.gids, g_bytes_unref);
        g_free(entry);
}

static Entry *caller_entry(Bus *bus, sd_bus_message *m) {
        return g_hash_table_lookup(bus->callers->by_name, sd_bus_message_get_sender(m));
}

/* ---- credentials ---- */

static int credentials_read_gids(sd_bus_message *m, Caller *caller) {
        const void *gids;
        size_t size;
        int r;

        r = sd_bus_message_enter_container(m, 'v', "au");
        if (r < 0)
                return r;

        r = sd_bus_message_read_array(m, 'u', &gids, &size);
        if (r < 0)
                return r;

        G_STATIC_ASSERT(sizeof(gid_t) == sizeof(uint32_t));
        g_clear_pointer(&caller->gids, g_bytes_unref);
        caller->gids = g_bytes_new(gids, size);
        return sd_bus_message_exit_container(m);
}

static int credentials_read_one(sd_bus_message *m, Caller *caller, bool *has_uid) {
        const char *key;
        uint32_t uid;
        int r;

        r = sd_bus_message_read_basic(m, 's', &key);
        if (r < 0)
                return r;

        if (strcmp(key, "UnixGroupIDs") == 0)
                return credentials_read_gids(m, caller);
        if (strcmp(key, "UnixUserID") != 0)
                return sd_bus_message_skip(m, "v");

        r = sd_bus_message_read(m, "v", "u", &uid);
        if (r < 0)
                return r;

        caller->uid = uid;
        *has_uid = true;
        return 0;
}

static int credentials_read(sd_bus_message *m, Caller *caller) {
        bool has_uid = false;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;

        for (;;) {
                r = sd_bus_message_enter_container(m, 'e', "sv");
                if (r < 0)
                        return r;
                if (r == 0)
                        break;

                r = credentials_read_one(m, caller, &has_uid);
                if (r < 0)
                        return r;

                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }

        return has_uid ? 0 : -ENODATA;
}

/* A rule may leave a user more or less than others; of several names of a user the last one that
 * came says which groups it has. */
static void caller_limit(Bus *bus, const Caller *caller) {
        const AccessSubject subject = caller_subject(caller);
        uint64_t limit;

        for (QuotaKind kind = 0; kind < N_QUOTA_KINDS; kind++)
                if (access_limit(bus->access, &subject, kind, &limit))
                        quota_set_user_limit(bus->quota, caller->uid, kind, limit);
}

static int on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Entry *entry = userdata;
        Callers *callers = entry->callers;
        int r;

        entry->question = sd_bus_slot_unref(entry->question);

        r = sd_bus_message_is_method_error(reply, NULL) ? -ENODATA
                                                        : credentials_read(reply, &entry->caller);
        if (r < 0) {
                /* the usual reason is that it has left already, and then nobody hears this */
                queue_refuse(entry->queue, BUS_E_FAILED, "The bus does not say who is calling");
                (void)g_hash_table_remove(callers->by_name, entry->caller.name);
                return 0;
        }

        entry->is_known = true;
        caller_limit(callers->bus, &entry->caller);
        queue_set_user(entry->queue, entry->caller.uid);
        return 0;
}

static int entry_new(Callers *callers, const char *name, Entry **ret) {
        Entry *entry;
        int r;

        entry = g_new0(Entry, 1);
        entry->callers = callers;
        entry->caller.name = g_strdup(name);
        entry->queue = queue_new(callers->bus->queues);

        r = sd_bus_call_method_async(callers->bus->bus, &entry->question, DRIVER,
                                     "/org/freedesktop/DBus", DRIVER, "GetConnectionCredentials",
                                     on_credentials, entry, "s", name);
        if (r < 0) {
                entry_free(entry);
                return fault(r);
        }

        g_hash_table_insert(callers->by_name, entry->caller.name, entry);
        *ret = entry;
        return 0;
}

/* ---- the first look at a call ---- */

int callers_admit(Bus *bus, sd_bus_message *m, sd_bus_error *error) {
        const char *name = sd_bus_message_get_sender(m);
        Entry *entry;
        int r;

        if (!name)
                return bus_refuse_text(error, BUS_E_NOT_AUTHORIZED,
                                       "The call does not say whose it is");

        entry = g_hash_table_lookup(bus->callers->by_name, name);
        /* what others wait for */
        if (entry && entry->is_known && errand_find(bus, m)) {
                queue_runs(entry->queue);
                return 1;
        }

        if (!entry) {
                r = entry_new(bus->callers, name, &entry);
                if (r)
                        return bus_refuse(error, r, NULL);
        }

        return queue_admit(entry->queue, m, error);
}

void callers_hold(Bus *bus, const char *name, bool is_held) {
        Entry *entry = g_hash_table_lookup(bus->callers->by_name, name);

        if (entry)
                queue_hold(entry->queue, is_held);
}

int callers_keep(Bus *bus, sd_bus_message *m, sd_bus_error *error) {
        return queue_keep(caller_entry(bus, m)->queue, error);
}

void callers_let_go(Bus *bus, sd_bus_message *m) {
        queue_let_go(caller_entry(bus, m)->queue);
}

/* ---- who is known ---- */

const Caller *caller_by_name(Bus *bus, const char *name) {
        const Entry *entry = name ? g_hash_table_lookup(bus->callers->by_name, name) : NULL;

        return entry && entry->is_known ? &entry->caller : NULL;
}

const Caller *caller_of(Bus *bus, sd_bus_message *m) {
        return caller_by_name(bus, sd_bus_message_get_sender(m));
}

AccessSubject caller_subject(const Caller *caller) {
        size_t size = 0;
        const gid_t *gids = caller->gids ? g_bytes_get_data(caller->gids, &size) : NULL;

        return (AccessSubject){.uid = caller->uid, .gids = gids, .n_gids = size / sizeof(gid_t)};
}

typedef struct Limiting {
        Bus *bus;
        GHashTable *uids; /* those that have their limits */
} Limiting;

/* Whoever has an object has said which groups it is in, and may have left the bus since. */
static void spec_limit(const Spec *spec, void *userdata) {
        Limiting *limiting = userdata;

        if (g_hash_table_add(limiting->uids, GUINT_TO_POINTER(spec->uid)))
                caller_limit(limiting->bus, &(Caller){.uid = spec->uid, .gids = spec->gids});
}

void callers_limit(Bus *bus) {
        g_autoptr(GHashTable) uids = g_hash_table_new(NULL, NULL);
        GHashTableIter iter;
        Entry *entry;

        bus_visit_specs(bus, spec_limit, &(Limiting){.bus = bus, .uids = uids});

        g_hash_table_iter_init(&iter, bus->callers->by_name);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&entry))
                if (entry->is_known)
                        caller_limit(bus, &entry->caller);
}

void callers_find_shared(Bus *bus, const GArray *shares, GPtrArray *names) {
        GHashTableIter iter;
        Entry *entry;

        if (!shares)
                return;

        g_hash_table_iter_init(&iter, bus->callers->by_name);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&entry))
                if (entry->is_known && caller_rights(&entry->caller, shares))
                        g_ptr_array_add(names, entry->caller.name);
}

const Caller *caller_current(Bus *bus) {
        sd_bus_message *m = sd_bus_get_current_message(bus->bus);

        return m ? caller_of(bus, m) : NULL;
}

/* ---- what they have said for later ---- */

const Spec *caller_defaults(Bus *bus, sd_bus_message *m) {
        return caller_entry(bus, m)->defaults;
}

int caller_set_defaults(Bus *bus, sd_bus_message *m, Spec *defaults) {
        Entry *entry = caller_entry(bus, m);
        int r;

        r = spec_charge_instead(defaults, entry->defaults, bus->quota);
        if (r) {
                (void)spec_free(defaults);
                return r;
        }

        (void)spec_free(entry->defaults);
        entry->defaults = defaults;
        return 0;
}

/* ---- departures ---- */

static void caller_is_gone(Bus *bus, const char *name) {
        relay_owner_gone(bus->relay, name);
        news_unwatch(bus, name);
        pending_caller_gone(bus, name);
        errands_caller_gone(bus, name);
        (void)g_hash_table_remove(bus->callers->by_name, name);
}

static void caller_leaves(Bus *bus, const char *name) {
        Entry *entry = g_hash_table_lookup(bus->callers->by_name, name);

        if (!entry)
                return;

        managed_caller_left(bus, name);
        if (entry->is_known && !queue_is_over(entry->queue))
                g_queue_push_tail(&bus->callers->leaving, entry);
        else
                caller_is_gone(bus, name);
}

void callers_turn_over(Bus *bus) {
        GList *next;

        for (GList *link = bus->callers->leaving.head; link; link = next) {
                const Entry *entry = link->data;

                next = link->next;
                if (!queue_is_over(entry->queue))
                        continue;

                g_queue_delete_link(&bus->callers->leaving, link);
                caller_is_gone(bus, entry->caller.name);
        }
}

static int on_departure(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Callers *callers = userdata;
        const char *name, *old_owner, *new_owner;
        int r;

        if (g_strcmp0(sd_bus_message_get_sender(m), DRIVER) != 0)
                return 0;

        r = sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner);
        if (r < 0) {
                log_warning("The bus driver's NameOwnerChanged cannot be read: %s", g_strerror(-r));
                return 0;
        }

        if (name[0] == ':' && new_owner[0] == '\0')
                caller_leaves(callers->bus, name);
        return 0;
}

int callers_new(Bus *bus, Callers **ret) {
        Callers *callers;
        int r;

        callers = g_new0(Callers, 1);
        callers->bus = bus;
        callers->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
        g_queue_init(&callers->leaving);
        *ret = callers;

        r = sd_bus_add_match(bus->bus, &callers->departures,
                             "type='signal',sender='" DRIVER "',path='/org/freedesktop/DBus',"
                             "interface='" DRIVER "',member='NameOwnerChanged',arg2=''",
                             on_departure, callers);
        if (r < 0)
                return fault(r);

        return 0;
}

Callers *callers_free(Callers *callers) {
        if (!callers)
                return NULL;

        (void)sd_bus_slot_unref(callers->departures);
        g_queue_clear(&callers->leaving);
        g_hash_table_unref(callers->by_name);
        g_free(callers);
        return NULL;
}
