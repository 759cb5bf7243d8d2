/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Relay: the tables of what there is, what is shared by all of it, and the end of a turn.
 *
 * Knows: who owns what. Does not know: what a datagram or a handshake is.
 */

#include "base/fault.h"
#include "relay/private.h"

typedef struct Grave {
        void *corpse;
        void (*release)(void *corpse);
} Grave;

int reason_set(Reason *reason, int outcome, const char *format, ...) {
        va_list ap;

        if (!reason)
                return outcome;

        va_start(ap, format);
        (void)g_vsnprintf(reason->text, sizeof(reason->text), format, ap);
        va_end(ap);
        return outcome;
}

/* ---- the end of a turn ---- */

void relay_settle(Relay *relay) {
        /* releasing one may bury another */
        for (guint i = 0; i < relay->graves->len; i++) {
                Grave grave = g_array_index(relay->graves, Grave, i);

                grave.release(grave.corpse);
        }

        g_array_set_size(relay->graves, 0);
}

void relay_end_turn(Relay *relay) {
        if (relay->graves->len == 0)
                return;

        relay_settle(relay);
        /* cannot fail for a deferred source of ours */
        (void)sd_event_source_set_enabled(relay->settle, SD_EVENT_OFF);
}

static int on_settle(sd_event_source *source, void *userdata) {
        relay_settle(userdata);
        return 0;
}

void relay_bury(Relay *relay, void *corpse, void (*release)(void *corpse)) {
        Grave grave = {.corpse = corpse, .release = release};

        if (!corpse)
                return;

        g_array_append_val(relay->graves, grave);
        if (!relay->watches.is_serving) /* which ends with it */
                /* cannot fail for a deferred source of ours */
                (void)sd_event_source_set_enabled(relay->settle, SD_EVENT_ONESHOT);
}

/* A deferred source before all others, on only while something is buried: a post source would make
 * the loop go round twice for every datagram. */
static int relay_new_settle(Relay *relay) {
        int r;

        r = sd_event_add_defer(relay->event, &relay->settle, on_settle, relay);
        if (r < 0)
                return fault(r);

        r = sd_event_source_set_priority(relay->settle, SD_EVENT_PRIORITY_IMPORTANT);
        if (r < 0)
                return fault(r);

        r = sd_event_source_set_enabled(relay->settle, SD_EVENT_OFF);
        if (r < 0)
                return fault(r);

        return 0;
}

/* ---- the tables ---- */

static gint relay_compare_ids(gconstpointer a, gconstpointer b) {
        guint one = GPOINTER_TO_UINT(a);
        guint other = GPOINTER_TO_UINT(b);

        return (one > other) - (one < other);
}

static GArray *relay_list(GTree *tree, uint32_t after, size_t max) {
        GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        GTreeNode *node = g_tree_upper_bound(tree, GUINT_TO_POINTER(after));

        for (; node && ids->len < max; node = g_tree_node_next(node)) {
                uint32_t id = GPOINTER_TO_UINT(g_tree_node_key(node));

                g_array_append_val(ids, id);
        }

        return ids;
}

Connection *relay_find_connection(const Relay *relay, uint32_t id) {
        return g_tree_lookup(relay->connections, GUINT_TO_POINTER(id));
}

Listener *relay_find_listener(const Relay *relay, uint32_t id) {
        return g_tree_lookup(relay->listeners, GUINT_TO_POINTER(id));
}

Verifier *relay_find_verifier(const Relay *relay, uint32_t id) {
        return g_tree_lookup(relay->verifiers, GUINT_TO_POINTER(id));
}

GArray *relay_list_connections(const Relay *relay, uint32_t after, size_t max) {
        return relay_list(relay->connections, after, max);
}

GArray *relay_list_listeners(const Relay *relay, uint32_t after, size_t max) {
        return relay_list(relay->listeners, after, max);
}

GArray *relay_list_verifiers(const Relay *relay, uint32_t after, size_t max) {
        return relay_list(relay->verifiers, after, max);
}

void relay_add_connection(Relay *relay, Connection *connection) {
        connection->id = ++relay->last_connection;
        g_tree_insert(relay->connections, GUINT_TO_POINTER(connection->id), connection);
        owner_join(connection);
}

void relay_drop_connection(Relay *relay, Connection *connection) {
        g_tree_remove(relay->connections, GUINT_TO_POINTER(connection->id));
        owner_leave(connection);
}

void relay_add_listener(Relay *relay, Listener *listener) {
        listener->id = ++relay->last_listener;
        g_tree_insert(relay->listeners, GUINT_TO_POINTER(listener->id), listener);
}

void relay_drop_listener(Relay *relay, Listener *listener) {
        g_tree_remove(relay->listeners, GUINT_TO_POINTER(listener->id));
}

uint32_t relay_add_verifier(Relay *relay, Verifier *verifier) {
        uint32_t id = ++relay->last_verifier;

        g_tree_insert(relay->verifiers, GUINT_TO_POINTER(id), verifier);
        return id;
}

void relay_drop_verifier(Relay *relay, Verifier *verifier) {
        g_tree_remove(relay->verifiers, GUINT_TO_POINTER(verifier_facts(verifier).id));
}

/* ---- the whole ---- */

static void on_identities_changed(const char *name, void *userdata);

int relay_new(sd_event *event, Keys *keys, Quota *quota, Relay **ret) {
        g_autoptr(Relay) relay = NULL;
        int r;

        relay = g_new0(Relay, 1);
        relay->event = sd_event_ref(event);
        relay->keys = keys;
        keys_observe_identities(keys, on_identities_changed, relay);
        trusts_open(relay);
        rests_open(relay);
        g_queue_init(&relay->configs);
        revoked_open(relay);
        kept_open(relay);
        relay->quota = quota;
        relay->registry = registry_new();
        relay->brakes = brakes_new();
        relay->rx = datagram_batch_new(UDP_RECEIVE_DATAGRAMS, UDP_RECEIVE_BYTES);
        relay->net = datagram_batch_new(RELAY_NET_DATAGRAMS, RELAY_NET_BYTES);
        relay->app = datagram_batch_new(RELAY_APP_DATAGRAMS, RELAY_APP_BYTES);
        relay->out = datagram_batch_new(CHANNEL_PACKETS_MAX, RELAY_OUT_BYTES);
        relay->connections = g_tree_new(relay_compare_ids);
        relay->listeners = g_tree_new(relay_compare_ids);
        relay->verifiers = g_tree_new(relay_compare_ids);
        lingering_open(relay);
        sources_open(relay);
        relay->paces = g_hash_table_new(NULL, NULL);
        relay->sharers = names_new();
        relay->graves = g_array_new(FALSE, FALSE, sizeof(Grave));

        r = watches_new(relay);
        if (r == 0)
                r = relay_new_settle(relay);
        if (r == 0)
                r = alarms_new(relay);
        if (r < 0)
                return fault(r);

        r = shakes_new(relay);
        if (r == 0)
                r = closings_new(relay);
        if (r == 0)
                r = refreshes_new(relay);
        if (r < 0)
                return fault(r);

        r = trunks_new(relay);
        if (r < 0)
                return fault(r);

        r = seal_new(&relay->seal);
        if (r < 0)
                return fault(r);

        r = expiry_new(relay, &relay->expiry);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&relay);
        return 0;
}

void relay_set_access(Relay *relay, const Access *access) {
        relay->access = access;
        rests_drop(NULL, relay);
}

/* @owner NULL: everybody's. */
static bool relay_is_of(const Spec *spec, const char *owner) {
        if (!owner)
                return true;

        /* what is on a shared channel goes with that */
        return !spec->persistent && spec->channel == 0 && g_strcmp0(spec->owner, owner) == 0;
}

static void relay_close_listeners(Relay *relay, const char *owner) {
        g_autoptr(GArray) ids = relay_list_listeners(relay, 0, SIZE_MAX);

        for (guint i = 0; i < ids->len; i++) {
                Listener *listener = relay_find_listener(relay, g_array_index(ids, uint32_t, i));

                if (relay_is_of(listener->spec, owner))
                        (void)listener_close(listener);
        }
}

static void relay_close_verifiers(Relay *relay, const char *owner) {
        g_autoptr(GArray) ids = relay_list_verifiers(relay, 0, SIZE_MAX);

        for (guint i = 0; i < ids->len; i++) {
                Verifier *verifier = relay_find_verifier(relay, g_array_index(ids, uint32_t, i));

                if (relay_is_of(verifier_facts(verifier).spec, owner))
                        verifier_close(verifier);
        }
}

static void relay_close_connections(Relay *relay) {
        g_autoptr(GArray) ids = relay_list_connections(relay, 0, SIZE_MAX);

        for (guint i = 0; i < ids->len; i++) {
                Connection *connection =
                        relay_find_connection(relay, g_array_index(ids, uint32_t, i));

                /* one that goes can take another with it */
                if (connection)
                        connection_close(connection, END_CLOSE);
        }
}

Relay *relay_free(Relay *relay) {
        if (!relay)
                return NULL;

        keys_observe_identities(relay->keys, NULL, NULL);
        keys_observe_psks(relay->keys, NULL, NULL);
        relay->observer = NULL;
        if (relay->timer) {
                relay_close_verifiers(relay, NULL);
                relay_close_listeners(relay, NULL);
                relay_close_connections(relay);
                closings_finish(relay);
                trunks_close(relay);
                relay_settle(relay);
        }

        relay->settle = sd_event_source_disable_unref(relay->settle);
        closings_free(relay);
        refreshes_free(relay);
        trunks_free(relay);
        alarms_free(relay);
        shakes_free(relay);
        relay->expiry = expiry_free(relay->expiry);
        watches_free(relay);
        g_clear_pointer(&relay->graves, g_array_unref);
        lingering_close(relay);
        sources_close(relay);
        g_clear_pointer(&relay->paces, g_hash_table_unref);
        g_clear_pointer(&relay->sharers, g_hash_table_unref);
        g_clear_pointer(&relay->connections, g_tree_unref);
        g_clear_pointer(&relay->listeners, g_tree_unref);
        g_clear_pointer(&relay->verifiers, g_tree_unref);
        configs_close(relay);
        trusts_close(relay);
        revoked_close(relay);
        kept_close(relay);
        seal_free(relay->seal);
        datagram_batch_free(relay->rx);
        datagram_batch_free(relay->net);
        datagram_batch_free(relay->app);
        datagram_batch_free(relay->out);
        registry_free(relay->registry);
        g_hash_table_unref(relay->brakes);
        sd_event_unref(relay->event);
        g_free(relay);
        return NULL;
}

void relay_observe(Relay *relay, const RelayObserver *observer, void *userdata) {
        relay->observer = observer;
        relay->observer_userdata = userdata;
}

Counters relay_counters(const Relay *relay) {
        return tally_counters(&relay->tally);
}

void relay_owner_gone(Relay *relay, const char *owner) {
        relay_close_verifiers(relay, owner);
        relay_close_listeners(relay, owner);
        owner_gone(relay, owner);
        trunks_name_gone(relay, owner);
        sharing_name_gone(relay, owner);
}

void relay_owners_lost(Relay *relay) {
        g_autoptr(GArray) connections = relay_list_connections(relay, 0, SIZE_MAX);
        g_autoptr(GArray) listeners = relay_list_listeners(relay, 0, SIZE_MAX);

        for (guint i = 0; i < listeners->len; i++)
                spec_disown(
                        relay_find_listener(relay, g_array_index(listeners, uint32_t, i))->spec);
        for (guint i = 0; i < connections->len; i++)
                owner_lost(relay_find_connection(relay, g_array_index(connections, uint32_t, i)));
        owner_gone(relay, SPEC_NOBODY);
        for (guint i = 0; i < listeners->len; i++) {
                Listener *listener =
                        relay_find_listener(relay, g_array_index(listeners, uint32_t, i));

                if (listener) /* it may have gone with its last connection */
                        listener_end_unused(listener);
        }
        relay_close_verifiers(relay, NULL);
        trunks_name_gone(relay, NULL);
        sharing_name_gone(relay, NULL);
}

void relay_keyring_lost(Relay *relay) {
        g_autoptr(GArray) ids = relay_list_connections(relay, 0, SIZE_MAX);

        rests_drop(NULL, relay);
        for (guint i = 0; i < ids->len; i++) {
                Connection *connection =
                        relay_find_connection(relay, g_array_index(ids, uint32_t, i));

                if (connection)
                        question_keyring_lost(connection);
        }
}

/* ---- whom anybody trusts ---- */

static bool relay_has_changed(const Spec *spec, const void *unused) {
        return true;
}

void relay_reload_trust(Relay *relay, Revocations *revocations) {
        revoked_set_files(relay, revocations);
        trusts_reload_system(relay);
        refresh_listeners(relay, relay_has_changed, NULL);
}

/* ---- the store's identities ---- */

void relay_set_lead_times(Relay *relay, const LeadTimes *times) {
        expiry_set_lead_times(relay->expiry, times);
}

void relay_set_direct_after(Relay *relay, uint32_t n_records) {
        relay->direct_after = n_records;
}

/* @name NULL: any may be another. */
static bool identity_has_changed(const Spec *spec, const void *name) {
        return spec->identity && (!name || g_str_equal(spec->identity, name));
}

static void on_identities_changed(const char *name, void *userdata) {
        Relay *relay = userdata;

        refresh_listeners(relay, identity_has_changed, name);
        relay_tell(relay, identities_changed, name);
        expiry_identities_changed(relay->expiry, name);
}
