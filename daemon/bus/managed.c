/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * managed: GetManagedObjects of the root, whose answer is made of some objects a turn.
 *
 * All at once ten thousand objects would take a quarter of a second, and nobody else would be
 * served meanwhile. So each turn of the bus adds some to one answer, users in turn; of a user's
 * answers one is made after the other, and later calls of the same name wait.
 *
 * What becomes of an object that is in the answer already is told before it, and who believes the
 * answer would not know. So whoever is told meanwhile that such a one has changed or is gone is
 * told again behind the answer.
 */

#include "base/fault.h"
#include "base/terms.h"
#include "bus/news.h"

#include <string.h>

/* A turn's, in looks at an object: 0.2 ms. */
#define TURN_LOOKS 128
#define LISTING_LOOKS 16 /* what it costs to list or tell of one that was looked at */

/* dbus-daemon bears 32 MiB on a system bus, and of who sends more it closes the connection. */
#define REPLY_BYTES_MAX ((size_t)24 * 1024 * 1024)
/* What an object takes of it beside texts that others choose. */
#define OBJECT_BYTES ((size_t)2048)
#define IDENTITY_BYTES ((size_t)1024)

struct ManagedReply {
        Bus *bus;
        const Caller *caller; /* as long as the call runs or waits */
        Errand *errand;       /* NULL: it is the call's first turn */
        bool is_behind;       /* another of its user */
        sd_bus_message *m;    /* NULL: it has been sent */
        size_t n_bytes, n_charged;
        int looks;         /* left in this turn */
        int64_t took_usec; /* of the processor's time */

        /* how far it has come */
        SignalObjectKind kind;
        uint32_t id;
        GPtrArray *identities; /* their names; NULL: it has not come to them */
        guint n_identities;

        GHashTable *listed; /* paths of what was not told of since */
        GArray *again;      /* of SignalObject, to be told of behind it */
};

struct Managed {
        GQueue replies; /* those that go on, in turn */
};

/* ---- birth and death ---- */

static int managed_reply_new(Bus *bus, sd_bus_message *call, ManagedReply **ret) {
        g_autoptr(sd_bus_message) m = NULL;
        ManagedReply *reply;
        int r;

        r = sd_bus_message_new_method_return(call, &m);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{oa{sa{sv}}}");
        if (r < 0)
                return fault(r);

        reply = g_new0(ManagedReply, 1);
        reply->bus = bus;
        reply->caller = caller_of(bus, call);
        reply->m = g_steal_pointer(&m);
        reply->listed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        reply->again = g_array_new(FALSE, FALSE, sizeof(SignalObject));
        *ret = reply;
        return 0;
}

/* Of those of this user: the one that has turns, or else the next that would have. */
static ManagedReply *managed_of_user(const Managed *managed, uid_t uid, bool is_behind) {
        for (const GList *link = managed->replies.head; link; link = link->next) {
                ManagedReply *reply = link->data;

                if (reply->errand->uid == uid && reply->is_behind == is_behind)
                        return reply;
        }

        return NULL;
}

static void managed_reply_leave(ManagedReply *reply) {
        Managed *managed = reply->bus->managed;
        uid_t uid = reply->errand->uid;
        ManagedReply *next;

        (void)g_queue_remove(&managed->replies, reply);
        quota_discharge(reply->bus->quota, uid, QUOTA_BYTES, reply->n_charged);
        queues_took(reply->bus->queues, uid, reply->took_usec);
        next = managed_of_user(managed, uid, /* is_behind= */ true);
        if (next && !reply->is_behind)
                next->is_behind = false;
}

ManagedReply *managed_reply_free(ManagedReply *reply) {
        if (!reply)
                return NULL;

        if (reply->errand)
                managed_reply_leave(reply);
        (void)sd_bus_message_unref(reply->m);
        g_clear_pointer(&reply->identities, g_ptr_array_unref);
        g_clear_pointer(&reply->listed, g_hash_table_unref);
        g_array_unref(reply->again);
        g_free(reply);
        return NULL;
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(ManagedReply, managed_reply_free)

/* ---- what is in it ---- */

static int managed_append(ManagedReply *reply, const SignalObject *object, size_t n_bytes,
                          sd_bus_error *error) {
        int r;

        if (reply->n_bytes + n_bytes > REPLY_BYTES_MAX)
                return bus_refuse_text(error, BUS_E_TOO_LONG,
                                       "There are more objects than one reply may hold; "
                                       "call " DTLSD_INTERFACE_MANAGER
                                       ".ListConnections, which pages, and for the names of "
                                       "identities Introspect at " IDENTITY_FOLDER);

        r = sd_bus_message_open_container(reply->m, 'e', "oa{sa{sv}}");
        if (r >= 0)
                r = signal_append_object(reply->bus->bus, reply->m, object);
        if (r >= 0)
                r = sd_bus_message_close_container(reply->m);
        if (r < 0)
                return bus_refuse(error, fault(r), NULL);

        reply->n_bytes += n_bytes;
        reply->looks -= LISTING_LOOKS;
        (void)g_hash_table_add(reply->listed, g_strdup(object->path));
        return 1;
}

static size_t bytes_size(GBytes *bytes) {
        return bytes ? g_bytes_get_size(bytes) : 0;
}

static size_t text_size(const char *text) {
        return text ? strlen(text) : 0;
}

/* At most: a byte of a text that is not UTF-8 is three there. */
static size_t connection_bytes(const Connection *connection) {
        const ConnectionFacts facts = connection_facts(connection);
        size_t n_text = text_size(facts.error_text) + text_size(facts.spec->verification_name);

        return OBJECT_BYTES + 3 * n_text + facts.session.next_protocol_size +
               bytes_size(facts.psk_identity) + bytes_size(facts.psk.hint) +
               bytes_size(facts.psk.peer_identity);
}

typedef struct Listing {
        ManagedReply *reply;
        sd_bus_error *error;
        int r;
} Listing;

static bool managed_list_object(SignalObjectKind kind, uint32_t id, void *object, const Spec *spec,
                                void *userdata) {
        Listing *listing = userdata;
        ManagedReply *reply = listing->reply;
        SignalObject listed;

        if (reply->looks <= 0)
                return false;

        reply->looks--;
        reply->id = id;
        if (!bus_may_see(reply->bus, reply->caller, spec))
                return true;

        listed = signal_object(kind, id, object);
        listing->r = managed_append(
                reply, &listed, kind == SIGNAL_CONNECTION ? connection_bytes(object) : OBJECT_BYTES,
                listing->error);
        return listing->r >= 0;
}

/* 1: all are in it, 0: not yet, negative: refused. So below. */
static int managed_list_objects(ManagedReply *reply, sd_bus_error *error) {
        Listing listing = {.reply = reply, .error = error};

        for (; reply->kind < N_SIGNAL_OBJECT_KINDS; reply->kind++) {
                if (!objects_visit(reply->bus, reply->kind, reply->id, managed_list_object,
                                   &listing))
                        return MIN(listing.r, 0);
                reply->id = 0;
        }

        return 1;
}

static GPtrArray *managed_names(Bus *bus) {
        g_autoptr(GPtrArray) list = keys_identities(bus->keys);
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

        for (guint i = 0; i < list->len; i++)
                g_ptr_array_add(names, g_strdup(((const KeysIdentity *)list->pdata[i])->name));

        return names;
}

static int managed_list_identity(ManagedReply *reply, const char *name, sd_bus_error *error) {
        const KeysIdentity *identity = keys_identity(reply->bus->keys, name);
        SignalObject listed;

        if (!identity || !store_may_see(reply->bus, reply->caller, "identity", name))
                return 1;

        listed = signal_identity(name, identity);
        return managed_append(reply, &listed, IDENTITY_BYTES, error);
}

static int managed_list_identities(ManagedReply *reply, sd_bus_error *error) {
        int r;

        if (!reply->identities)
                reply->identities = managed_names(reply->bus);

        for (; reply->n_identities < reply->identities->len; reply->n_identities++) {
                if (reply->looks-- <= 0)
                        return 0;

                r = managed_list_identity(reply, reply->identities->pdata[reply->n_identities],
                                          error);
                if (r < 0)
                        return r;
        }

        return 1;
}

static int managed_list(ManagedReply *reply, sd_bus_error *error) {
        int r;

        r = managed_list_objects(reply, error);
        if (r > 0)
                r = managed_list_identities(reply, error);
        if (r <= 0)
                return r;

        r = sd_bus_message_close_container(reply->m);
        if (r >= 0)
                r = sd_bus_message_send(reply->m);
        if (r < 0)
                return bus_refuse(error, fault(r), NULL);

        reply->m = sd_bus_message_unref(reply->m);
        reply->n_bytes = reply->n_charged; /* what this turn added is not kept */
        return 1;
}

/* ---- what is told again ---- */

void managed_told(Bus *bus, const Signal *signal) {
        if (signal->kind != SIGNAL_CHANGED && signal->kind != SIGNAL_REMOVED)
                return;

        for (const GList *link = bus->managed->replies.head; link; link = link->next) {
                ManagedReply *reply = link->data;

                if (reply->m && g_hash_table_remove(reply->listed, signal->object->path))
                        g_array_append_val(reply->again, *signal->object);
        }
}

/* What is there now at the path of @object, if the current caller may see it. */
static void *managed_find(Bus *bus, const SignalObject *object) {
        static const sd_bus_object_find_t finds[] = {connection_find, listener_find, verifier_find,
                                                     identity_find};
        void *found = NULL;

        for (size_t i = 0; !found && i < G_N_ELEMENTS(finds); i++)
                (void)finds[i](bus->bus, object->path, object->interface, bus, &found, NULL);

        return found;
}

/* 1: all, 0: not yet. */
static int managed_tell_again(ManagedReply *reply) {
        Bus *bus = reply->bus;

        while (reply->again->len > 0) {
                guint last = reply->again->len - 1;
                SignalObject object = g_array_index(reply->again, SignalObject, last);
                Signal signal = {.object = &object, .mask = ~0u};

                if (reply->looks <= 0 || news_must_wait(bus))
                        return 0;

                object.object = managed_find(bus, &object);
                signal.kind = object.object ? SIGNAL_CHANGED : SIGNAL_REMOVED;
                signal_send(bus->bus, &signal, reply->caller->name);
                g_array_set_size(reply->again, last);
                reply->looks -= LISTING_LOOKS;
        }

        return 1;
}

/* ---- turns ---- */

static int managed_step(ManagedReply *reply, sd_bus_error *error) {
        int64_t start_usec = cpu_usec();
        int r = 1;

        reply->looks = TURN_LOOKS;
        if (reply->m)
                r = managed_list(reply, error);
        if (r > 0)
                r = managed_tell_again(reply);

        reply->took_usec += cpu_usec() - start_usec;
        return r;
}

static int managed_charge(ManagedReply *reply, sd_bus_error *error) {
        Quota *quota = reply->bus->quota;
        uid_t uid = reply->errand->uid;
        g_autofree char *text = NULL;
        int r;

        r = quota_charge(quota, uid, QUOTA_BYTES, reply->n_bytes - reply->n_charged);
        if (r) {
                text = quota_refusal(quota, uid, QUOTA_BYTES, (QuotaOutcome)r);
                return bus_refuse_text(error, BUS_E_QUOTA, "%s", text);
        }

        reply->n_charged = reply->n_bytes;
        return 1;
}

/* Behind the others. */
static int managed_go_on(ManagedReply *reply, sd_bus_error *error) {
        int r;

        r = managed_charge(reply, error);
        if (r < 0)
                return r;

        (void)g_queue_remove(&reply->bus->managed->replies, reply);
        g_queue_push_tail(&reply->bus->managed->replies, reply);
        errand_wait(reply->errand, /* hold= */ true);
        return 1;
}

static int managed_begin(Bus *bus, sd_bus_message *call, sd_bus_error *error) {
        g_autoptr(ManagedReply) reply = NULL;
        Errand *errand;
        int r;

        /* before the first look, so that of what comes behind it the caller is told */
        news_watch_listed(bus, caller_of(bus, call));

        r = managed_reply_new(bus, call, &reply);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = managed_step(reply, error);
        if (r != 0)
                return r;

        r = errand_of(bus, call, &errand, error);
        if (r < 0)
                return r;

        reply->errand = errand;
        reply->is_behind = managed_of_user(bus->managed, errand->uid, /* is_behind= */ false);
        errand->managed = g_steal_pointer(&reply);
        return managed_go_on(errand->managed, error);
}

int managed_call(Bus *bus, sd_bus_message *m, sd_bus_error *error) {
        const Errand *errand = errand_find(bus, m);
        int r;

        if (!errand)
                return managed_begin(bus, m, error);

        r = managed_step(errand->managed, error);
        return r == 0 ? managed_go_on(errand->managed, error) : r;
}

/* NULL: none may go on now. */
static ManagedReply *managed_next(const Bus *bus) {
        for (const GList *link = bus->managed->replies.head; link; link = link->next) {
                ManagedReply *reply = link->data;

                if (!reply->is_behind && reply->errand->state == ERRAND_WAITING &&
                    !queues_user_rests(bus->queues, reply->errand->uid))
                        return reply;
        }

        return NULL;
}

bool managed_wait(const Bus *bus) {
        return managed_next(bus);
}

unsigned managed_turn(Bus *bus) {
        ManagedReply *reply = managed_next(bus);

        if (!reply)
                return 0;

        errand_ready(reply->errand);
        return 1;
}

void managed_caller_left(Bus *bus, const char *name) {
        for (const GList *link = bus->managed->replies.head; link; link = link->next) {
                ManagedReply *reply = link->data;

                if (reply->errand->state == ERRAND_WAITING &&
                    strcmp(reply->caller->name, name) == 0) {
                        errand_end(reply->errand);
                        return;
                }
        }
}

/* ---- the whole ---- */

int managed_new(Bus *bus, Managed **ret) {
        Managed *managed = g_new0(Managed, 1);

        g_queue_init(&managed->replies);
        *ret = managed;
        return 0;
}

/* When all errands are. */
Managed *managed_free(Managed *managed) {
        g_free(managed);
        return NULL;
}
