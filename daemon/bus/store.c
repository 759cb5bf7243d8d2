/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store: what the kinds of things that the keyring keeps have in common on the bus: whose a name
 * is, who may see and change it, and calls that are answered when the keyring has.
 */

#include "base/entry.h"
#include "base/terms.h"
#include "bus/private.h"

struct StoreCalls {
        GHashTable *waiting; /* a set of StoreCall, owned */
};

/* ---- names ---- */

bool store_name_is_for(const char *name, uid_t uid) {
        g_autofree char *own = g_strdup_printf("u/%u/", uid);

        return !g_str_has_prefix(name, "u/") || g_str_has_prefix(name, own);
}

int store_read_name(Bus *bus, sd_bus_message *m, const char **ret, sd_bus_error *error) {
        g_autofree char *quoted = NULL;
        int r;

        r = sd_bus_message_read_basic(m, 's', ret);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        if (!entry_name_is_valid(*ret))
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS, ENTRY_NAME_RULE);
        if (store_name_is_for(*ret, caller_of(bus, m)->uid) || caller_of(bus, m)->uid == 0)
                return 1;

        quoted = text_quote(*ret);
        return bus_refuse_text(error, BUS_E_NOT_AUTHORIZED,
                               "'%s' is another user's; yours are u/%u/NAME", quoted,
                               caller_of(bus, m)->uid);
}

int store_refuse_unknown(const char *what, const char *name, sd_bus_error *error) {
        g_autofree char *quoted = text_quote(name);

        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS, "There is no %s '%s' in the store",
                               what, quoted);
}

int store_ask(Bus *bus, sd_bus_message *m, AccessVerb verb, const char *kind, const char *name,
              sd_bus_error *error) {
        g_autofree char *entry = NULL;

        if (g_str_has_prefix(name, "u/"))
                return 1;

        entry = g_strconcat(kind, ":", name, NULL);
        return bus_ask_entry(bus, m, verb, entry, error);
}

bool store_may_see(Bus *bus, const Caller *caller, const char *kind, const char *name) {
        g_autofree char *entry = g_strconcat(kind, ":", name, NULL);
        AccessQuestion question = {.verb = ACCESS_USE, .entry = entry};

        if (!caller)
                return false;
        if (caller->uid == 0)
                return true;
        if (g_str_has_prefix(name, "u/"))
                return store_name_is_for(name, caller->uid);

        question.subject = caller_subject(caller);
        return access_decide(bus->access, &question).verdict != ACCESS_DENY;
}

/* ---- calls that the keyring answers ---- */

static void store_call_free(void *data) {
        StoreCall *call = data;
        Bus *bus = call->bus;

        keys_forget(bus->keys, call->ticket);
        quota_discharge(bus->quota, call->uid, QUOTA_CALLS, 1);
        quota_discharge(bus->quota, call->owner, QUOTA_BYTES, call->n_bytes);
        bin_put(bus, call->m);
        g_free(call);
}

static bool store_calls_have(const Bus *bus, uid_t uid) {
        const StoreCall *call;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, bus->store_calls->waiting);
        while (g_hash_table_iter_next(&iter, (gpointer *)&call, NULL))
                if (call->uid == uid)
                        return true;

        return false;
}

/* However slow the keyring is, somebody can be asked for an authorization meanwhile; and whoever
 * has taken the store's half, who has none there can ask it for something. */
static bool store_calls_have_room(const Bus *bus, uid_t uid) {
        uint64_t total = quota_limit_total(bus->quota, QUOTA_CALLS);
        uint64_t n_max = store_calls_have(bus, uid) ? total / 2 : total / 4 * 3;

        return g_hash_table_size(bus->store_calls->waiting) < MAX(n_max, 1);
}

int store_call_new(Bus *bus, sd_bus_message *m, StoreCall **ret, sd_bus_error *error) {
        uid_t uid = caller_of(bus, m)->uid;
        g_autofree char *text = NULL;
        StoreCall *call;
        int r;

        if (!store_calls_have_room(bus, uid))
                return bus_refuse_text(error, BUS_E_QUOTA,
                                       "%u calls wait for the store, all that may of CallsTotal; "
                                       "wait until some are answered",
                                       g_hash_table_size(bus->store_calls->waiting));

        r = quota_charge(bus->quota, uid, QUOTA_CALLS, 1);
        if (r) {
                text = quota_refusal(bus->quota, uid, QUOTA_CALLS, (QuotaOutcome)r);
                return bus_refuse_text(error, BUS_E_QUOTA, "%s", text);
        }

        call = g_new0(StoreCall, 1);
        call->bus = bus;
        call->m = sd_bus_message_ref(m);
        call->uid = uid;
        (void)g_hash_table_add(bus->store_calls->waiting, call);
        *ret = call;
        return 1;
}

int store_begin(Bus *bus, sd_bus_message *m, const char *kind, const char *name, StoreCall **ret,
                sd_bus_error *error) {
        int r;

        r = store_ask(bus, m, ACCESS_MANAGE_STORE, kind, name, error);
        return r <= 0 ? r : store_call_new(bus, m, ret, error);
}

static int store_charge(Bus *bus, uid_t owner, uint64_t n_bytes, sd_bus_error *error) {
        g_autofree char *text = NULL;
        int r;

        r = quota_charge(bus->quota, owner, QUOTA_BYTES, n_bytes);
        if (r == 0)
                return 1;

        text = quota_refusal(bus->quota, owner, QUOTA_BYTES, (QuotaOutcome)r);
        return bus_refuse_text(error, BUS_E_QUOTA, "This is %" G_GUINT64_FORMAT " bytes. %s",
                               n_bytes, text);
}

int store_check_room(Bus *bus, const char *name, uint64_t n_bytes, sd_bus_error *error) {
        uid_t owner = entry_name_uid(name);
        int r;

        r = store_charge(bus, owner, n_bytes, error);
        if (r > 0)
                quota_discharge(bus->quota, owner, QUOTA_BYTES, n_bytes);
        return r;
}

int store_call_new_of(Bus *bus, sd_bus_message *m, const char *name, uint64_t n_bytes,
                      StoreCall **ret, sd_bus_error *error) {
        uid_t owner = entry_name_uid(name);
        int r;

        r = store_charge(bus, owner, n_bytes, error);
        if (r < 0)
                return r;

        r = store_call_new(bus, m, ret, error);
        if (r < 0) {
                quota_discharge(bus->quota, owner, QUOTA_BYTES, n_bytes);
                return r;
        }

        (*ret)->owner = owner;
        (*ret)->n_bytes = n_bytes;
        return 1;
}

static const char *store_error(int outcome) {
        switch ((KeysOutcome)outcome) {
        case KEYS_E_LATE:
                return DTLSD_ERROR_PREFIX "TimedOut";
        case KEYS_E_BAD_SECRET:
        case KEYS_E_UNKNOWN:
                return DTLSD_ERROR_PREFIX "InvalidInputParameters";
        case KEYS_E_FULL:
                return DTLSD_ERROR_PREFIX "QuotaExceeded";
        case KEYS_E_GONE:
        case KEYS_E_REFUSED:
                break;
        }

        return DTLSD_ERROR_PREFIX "Failed";
}

void store_call_end(StoreCall *call) {
        call->ticket = 0;
        (void)g_hash_table_remove(call->bus->store_calls->waiting, call);
}

void on_store_done(int outcome, const char *text, void *userdata) {
        StoreCall *call = userdata;

        if (outcome)
                (void)sd_bus_reply_method_errorf(call->m, store_error(outcome), "%s", text);
        else
                (void)sd_bus_reply_method_return(call->m, NULL);

        store_call_end(call);
}

int store_remove(sd_bus_message *m, const char *kind, StoreRemove remove, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        StoreCall *call;
        const char *name;
        int r;

        r = store_read_name(bus, m, &name, error);
        if (r >= 0)
                r = store_begin(bus, m, kind, name, &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->ticket = remove(bus->keys, call->uid, name, on_store_done, call);
        return 1;
}

int store_calls_new(Bus *bus, StoreCalls **ret) {
        *ret = g_new0(StoreCalls, 1);
        (*ret)->waiting = g_hash_table_new_full(NULL, NULL, store_call_free, NULL);
        return 0;
}

StoreCalls *store_calls_free(StoreCalls *calls) {
        if (!calls)
                return NULL;

        g_hash_table_unref(calls->waiting);
        g_free(calls);
        return NULL;
}
