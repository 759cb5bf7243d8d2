/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caller: who calls, by credentials that the bus driver vouches for.
 *
 * Asking for them on every call would be a blocking round trip each. So the first call of a name
 * that is not known is parked, the driver is asked once, asynchronously, and then the calls of that
 * name are read again in their order. They are kept until the driver says that the name has left.
 *
 * Anybody can send a signal that looks like NameOwnerChanged to us alone; only the driver's counts.
 *
 * Parked calls are somebody's memory and file descriptors, so they are bounded, for one name and in
 * all, before anything is known about whose they are.
 */

#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"
#include "bus/private.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define DRIVER "org.freedesktop.DBus"

#define PARKED_CALLS_PER_NAME_MAX 128 /* dbus-daemon lets no name have more calls pending */
#define PARKED_CALLS_MAX 512
#define PARKED_BYTES_PER_NAME_MAX ((size_t)2 * 1024 * 1024)
#define PARKED_BYTES_MAX ((size_t)16 * 1024 * 1024)
/* A message pins up to 16 fds (dbus-daemon's bound on a system bus) and does not say how many; so
 * after so many more parked ones it is counted how many the process has left. */
#define PARKED_CALLS_PER_COUNT 8
#define FDS_SPARE 192 /* 8 calls with 16 fds each, and some for ourselves */

typedef struct Entry {
        Caller caller;
        Callers *callers;
        bool is_known;
        bool is_held;
        sd_bus_slot *question;
        GQueue parked; /* of sd_bus_message */
        size_t parked_bytes;
        Spec *defaults; /* NULL: those that everybody has */
} Entry;

struct Callers {
        Bus *bus;
        GHashTable *by_name;
        sd_bus_slot *departures;
        size_t n_parked;
        size_t n_parked_bytes;
};

/* ---- entries ---- */

static void entry_forget_parked(Entry *entry) {
        entry->callers->n_parked -= entry->parked.length;
        entry->callers->n_parked_bytes -= entry->parked_bytes;
        entry->parked_bytes = 0;
}

static void entry_free(gpointer data) {
        Entry *entry = data;
        sd_bus_message *m;

        entry_forget_parked(entry);
        for (;;) {
                m = g_queue_pop_head(&entry->parked);
                if (!m)
                        break;
                bin_put(entry->callers->bus, m);
        }

        (void)sd_bus_slot_unref(entry->question);
        (void)spec_free(entry->defaults);
        g_free(entry->caller.name);
        g_free(entry->caller.gids);
        g_free(entry);
}

/* Reads the parked calls again, in their order, behind what is being read again already. */
static void entry_read_again(Entry *entry) {
        Bus *bus = entry->callers->bus;
        sd_bus_message *m;
        int r;

        entry_forget_parked(entry);
        for (;;) {
                m = g_queue_pop_head(&entry->parked);
                if (!m)
                        return;

                r = sd_bus_enqueue_for_read(bus->bus, m);
                if (r < 0)
                        (void)sd_bus_reply_method_errnof(m, r, "The call could not be taken up");

                bin_put(bus, m);
        }
}

static void entry_refuse_parked(Entry *entry, const char *name, const char *text) {
        g_autofree char *full = g_strconcat(DTLSD_ERROR_PREFIX, name, NULL);

        for (GList *l = entry->parked.head; l; l = l->next)
                (void)sd_bus_reply_method_errorf(l->data, full, "%s", text);
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
        g_free(caller->gids);
        caller->gids = g_memdup2(gids, size);
        caller->n_gids = size / sizeof(gid_t);
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
                entry_refuse_parked(entry, "Failed", "The bus does not say who is calling");
                (void)g_hash_table_remove(callers->by_name, entry->caller.name);
                return 0;
        }

        entry->is_known = true;
        caller_limit(callers->bus, &entry->caller);
        entry_read_again(entry);
        return 0;
}

static int entry_new(Callers *callers, const char *name, Entry **ret) {
        Entry *entry;
        int r;

        entry = g_new0(Entry, 1);
        entry->callers = callers;
        entry->caller.name = g_strdup(name);
        g_queue_init(&entry->parked);

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

/* ---- parking ---- */

static int weigh_basic(sd_bus_message *m, char type, size_t *total) {
        union {
                const char *text;
                uint64_t number;
                int fd;
        } value;
        int r;

        r = sd_bus_message_read_basic(m, type, &value);
        if (r < 0)
                return r;

        *total += sizeof(uint64_t);
        if (type == 's' || type == 'o' || type == 'g')
                *total += strlen(value.text);
        return 0;
}

/* Adds what is left of the container to @total, and stops as soon as that is over @limit, so that
 * its own cost is bounded. D-Bus bounds the depth. */
static int weigh(sd_bus_message *m, size_t limit, size_t *total) {
        const char *contents;
        const void *bytes;
        size_t size;
        char type;
        int r;

        while (*total <= limit) {
                r = sd_bus_message_peek_type(m, &type, &contents);
                if (r <= 0)
                        return r;

                if (type == 'a' && strcmp(contents, "y") == 0) {
                        r = sd_bus_message_read_array(m, 'y', &bytes, &size);
                        *total += sizeof(uint64_t) + (r < 0 ? 0 : size);
                } else if (strchr("aver", type)) {
                        *total += sizeof(uint64_t);
                        r = sd_bus_message_enter_container(m, type, contents);
                        if (r >= 0)
                                r = weigh(m, limit, total);
                        if (r >= 0 && *total <= limit)
                                r = sd_bus_message_exit_container(m);
                } else {
                        r = weigh_basic(m, type, total);
                }
                if (r < 0)
                        return r;
        }

        return 0;
}

static size_t message_weight(sd_bus_message *m, size_t limit) {
        size_t total = 256; /* the header and sd-bus's own */

        if (weigh(m, limit, &total) < 0)
                total = limit + 1; /* not even readable: not kept */
        (void)sd_bus_message_rewind(m, /* complete= */ true);
        return total;
}

static size_t fds_used(void) {
        struct stat st;
        size_t n = 0;
        DIR *directory;

        /* Linux 6.2 and later say it without being walked */
        if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
                return (size_t)st.st_size;

        directory = opendir("/proc/self/fd");
        if (!directory)
                return 0;
        while (readdir(directory))
                n++;
        (void)closedir(directory);
        return n;
}

static bool fds_are_scarce(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
                return false;

        return fds_used() + FDS_SPARE > limit.rlim_cur;
}

static const char *entry_has_no_room(const Entry *entry, size_t weight) {
        const Callers *callers = entry->callers;

        if (entry->parked.length >= PARKED_CALLS_PER_NAME_MAX)
                return "128 calls of yours already wait for your first ones to be answered";
        if (entry->parked_bytes + weight > PARKED_BYTES_PER_NAME_MAX)
                return "calls of yours that wait would be over 2 MiB; wait for the first answer";
        if (callers->n_parked >= PARKED_CALLS_MAX ||
            callers->n_parked_bytes + weight > PARKED_BYTES_MAX)
                return "too many first calls of new callers wait; try again";
        if (callers->n_parked % PARKED_CALLS_PER_COUNT == PARKED_CALLS_PER_COUNT - 1 &&
            fds_are_scarce())
                return "the service is short of file descriptors; try again";

        return NULL;
}

static int entry_park(Entry *entry, sd_bus_message *m, sd_bus_error *error) {
        size_t weight = message_weight(m, PARKED_BYTES_PER_NAME_MAX);
        const char *why = entry_has_no_room(entry, weight);

        if (why)
                return bus_refuse_text(error, "QuotaExceeded", "%s", why);

        g_queue_push_tail(&entry->parked, sd_bus_message_ref(m));
        entry->parked_bytes += weight;
        entry->callers->n_parked++;
        entry->callers->n_parked_bytes += weight;
        return 0;
}

int callers_admit(Bus *bus, sd_bus_message *m, sd_bus_error *error) {
        const char *name = sd_bus_message_get_sender(m);
        Entry *entry;
        int r;

        if (!name)
                return bus_refuse_text(error, "NotAuthorized", "The call does not say whose it is");

        entry = g_hash_table_lookup(bus->callers->by_name, name);
        if (entry && entry->is_known && !entry->is_held)
                return 1;

        /* what others wait for */
        if (entry && entry->is_known && errand_find(bus, m))
                return 1;

        if (!entry) {
                r = entry_new(bus->callers, name, &entry);
                if (r)
                        return bus_refuse(error, r, NULL);
        }

        return entry_park(entry, m, error);
}

void callers_hold(Bus *bus, const char *name) {
        Entry *entry = g_hash_table_lookup(bus->callers->by_name, name);

        if (entry)
                entry->is_held = true;
}

void callers_release(Bus *bus, const char *name) {
        Entry *entry = g_hash_table_lookup(bus->callers->by_name, name);

        if (!entry)
                return;

        entry->is_held = false;
        entry_read_again(entry);
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
        return (AccessSubject){
                .uid = caller->uid,
                .gids = caller->gids,
                .n_gids = caller->n_gids,
        };
}

void callers_limit(Bus *bus) {
        GHashTableIter iter;
        Entry *entry;

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

static Entry *caller_entry(Bus *bus, sd_bus_message *m) {
        return g_hash_table_lookup(bus->callers->by_name, sd_bus_message_get_sender(m));
}

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

static void caller_leaves(Bus *bus, const char *name) {
        if (!g_hash_table_contains(bus->callers->by_name, name))
                return;

        relay_owner_gone(bus->relay, name);
        news_unwatch(bus, name);
        pending_caller_gone(bus, name);
        errands_caller_gone(bus, name);
        (void)g_hash_table_remove(bus->callers->by_name, name);
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
        g_hash_table_unref(callers->by_name);
        g_free(callers);
        return NULL;
}
