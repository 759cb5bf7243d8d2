/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus: puts everything on a connection, looks at each call first, and ends each turn.
 *
 * Objects are there before the name is asked for. Who lists them hears of them from then on. What a
 * turn has brought about is dealt with at its end, in one place: answers, news, errands that are
 * over, messages that are not needed any more.
 */

#include "bus/bus.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"
#include "bus/private.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECTION_ROOT DTLSD_ROOT_PATH "/connection"
#define LISTENER_ROOT DTLSD_ROOT_PATH "/listener"
#define VERIFIER_ROOT DTLSD_ROOT_PATH "/verifier"
#define IDENTITY_ROOT DTLSD_ROOT_PATH "/identity"
#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

#define LIST_PAGE 256
#define CALLS_ACCURACY_USEC 1 /* sd-event's least */
/* answers that wait in the order they were given, and not in turn */
#define SEND_BUFFER (8 * 1024)
/* What an object takes in a reply to GetManagedObjects, at most: its properties that are not
 * EXPLICIT, with their names and each of their texts at its longest. */
#define LISTED_OBJECT_BYTES ((size_t)4096)
#define LISTED_OBJECTS_MAX (REPLY_BYTES_MAX / LISTED_OBJECT_BYTES)
#define LISTED_IDENTITY_BYTES ((size_t)1024) /* an identity's, whose name is all there is */

/* ---- which Bus ---- */

/* Getters and find functions get the object as userdata and the sd_bus, so something has to lead
 * from that to its Bus. The service has one; a test may have several. */
static GHashTable *bus_by_connection;

static void bus_register(Bus *bus) {
        if (!bus_by_connection)
                bus_by_connection = g_hash_table_new(NULL, NULL);
        g_hash_table_insert(bus_by_connection, bus->bus, bus);
}

static void bus_unregister(Bus *bus) {
        if (!bus_by_connection)
                return;

        (void)g_hash_table_remove(bus_by_connection, bus->bus);
        if (g_hash_table_size(bus_by_connection) == 0)
                g_clear_pointer(&bus_by_connection, g_hash_table_unref);
}

Bus *bus_of(sd_bus *connection) {
        return bus_by_connection ? g_hash_table_lookup(bus_by_connection, connection) : NULL;
}

Bus *message_bus(sd_bus_message *m) {
        return bus_of(sd_bus_message_get_bus(m));
}

/* ---- lists ---- */

static const Spec *list_connection_spec(const Relay *relay, uint32_t id) {
        const Connection *connection = relay_find_connection(relay, id);

        return connection ? connection_facts(connection).spec : NULL;
}

static const Spec *list_listener_spec(const Relay *relay, uint32_t id) {
        const Listener *listener = relay_find_listener(relay, id);

        return listener ? listener_facts(listener).spec : NULL;
}

static const Spec *list_verifier_spec(const Relay *relay, uint32_t id) {
        const Verifier *verifier = relay_find_verifier(relay, id);

        return verifier ? verifier_facts(verifier).spec : NULL;
}

typedef struct ListKind {
        GArray *(*page)(const Relay *relay, uint32_t after, size_t max);
        const Spec *(*spec)(const Relay *relay, uint32_t id);
        const char *(*path)(uint32_t id, char buffer[static BUS_PATH_MAX]);
} ListKind;

static const ListKind list_connections = {
        .page = relay_list_connections,
        .spec = list_connection_spec,
        .path = connection_path,
};

static const ListKind list_listeners = {
        .page = relay_list_listeners,
        .spec = list_listener_spec,
        .path = listener_path,
};

static const ListKind list_verifiers = {
        .page = relay_list_verifiers,
        .spec = list_verifier_spec,
        .path = verifier_path,
};

/* Counts what the current caller may see, up to @max, and adds the paths to @paths if there is one.
 */
static size_t list_walk(Bus *bus, const ListKind *kind, size_t max, GPtrArray *paths) {
        const Caller *caller = caller_current(bus);
        char path[BUS_PATH_MAX];
        uint32_t id = 0;
        size_t n_seen = 0;
        guint n;

        do {
                g_autoptr(GArray) ids = kind->page(bus->relay, id, LIST_PAGE);

                n = ids->len;
                for (guint i = 0; i < n && n_seen < max; i++) {
                        const Spec *spec;

                        id = g_array_index(ids, uint32_t, i);
                        spec = kind->spec(bus->relay, id);
                        if (!spec || !bus_may_see(bus, caller, spec))
                                continue;

                        n_seen++;
                        if (paths)
                                g_ptr_array_add(paths, g_strdup(kind->path(id, path)));
                }
        } while (n == LIST_PAGE && n_seen < max);

        return n_seen;
}

static char **list_paths(Bus *bus, const ListKind *kind) {
        GPtrArray *paths = g_ptr_array_new();

        (void)list_walk(bus, kind, SIZE_MAX, paths);
        g_ptr_array_add(paths, NULL);
        return (char **)g_ptr_array_free(paths, FALSE);
}

static int enumerate_connections(sd_bus *connection, const char *prefix, void *userdata,
                                 char ***ret_nodes, sd_bus_error *error) {
        *ret_nodes = list_paths(userdata, &list_connections);
        return 0;
}

static int enumerate_listeners(sd_bus *connection, const char *prefix, void *userdata,
                               char ***ret_nodes, sd_bus_error *error) {
        *ret_nodes = list_paths(userdata, &list_listeners);
        return 0;
}

static int enumerate_verifiers(sd_bus *connection, const char *prefix, void *userdata,
                               char ***ret_nodes, sd_bus_error *error) {
        *ret_nodes = list_paths(userdata, &list_verifiers);
        return 0;
}

/* ---- the first look at a message ---- */

static int bus_is_listed(Bus *bus, sd_bus_message *m, sd_bus_error *error) {
        size_t n;

        n = list_walk(bus, &list_connections, LISTED_OBJECTS_MAX + 1, NULL);
        n += list_walk(bus, &list_listeners, LISTED_OBJECTS_MAX + 1, NULL);
        n += list_walk(bus, &list_verifiers, LISTED_OBJECTS_MAX + 1, NULL);
        if (n * LISTED_OBJECT_BYTES + identities_visible(bus) * LISTED_IDENTITY_BYTES >
            REPLY_BYTES_MAX)
                return bus_refuse_text(error, "MessageTooLong",
                                       "There are more objects than one reply may hold; "
                                       "call " DTLSD_INTERFACE_MANAGER
                                       ".ListConnections, which pages, and for the names of "
                                       "identities Introspect at " IDENTITY_ROOT);

        news_watch_listed(bus, caller_of(bus, m));
        return 0;
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = userdata;
        uint8_t type;
        int r;

        /* it, and the fds that nobody asked for, outlives its handler and is freed in the bin */
        bin_put(bus, sd_bus_message_ref(m));
        bus->has_heard = true;

        r = sd_bus_message_get_type(m, &type);
        if (r < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;

        if (!errands_resume(bus, m)) {
                r = callers_admit(bus, m, error);
                if (r <= 0)
                        return r < 0 ? r : 1;
        }

        if (sd_bus_message_is_method_call(m, OBJECT_MANAGER, "GetManagedObjects") > 0 &&
            g_strcmp0(sd_bus_message_get_path(m), DTLSD_ROOT_PATH) == 0)
                return bus_is_listed(bus, m, error);

        return 0;
}

/* ---- the end of the connection ---- */

/* Nobody can leave a bus that is not there. What has no other sign of life than its owner's name
 * goes; what has an open channel lives as long as that. */
static void bus_end_unreachable(Bus *bus) {
        g_autoptr(GArray) connections = relay_list_connections(bus->relay, 0, G_MAXUINT32);
        g_autoptr(GArray) listeners = relay_list_listeners(bus->relay, 0, G_MAXUINT32);
        g_autoptr(GArray) verifiers = relay_list_verifiers(bus->relay, 0, G_MAXUINT32);

        for (guint i = 0; i < connections->len; i++) {
                Connection *connection =
                        relay_find_connection(bus->relay, g_array_index(connections, uint32_t, i));
                ConnectionFacts facts = connection_facts(connection);

                if (!facts.spec->persistent && !facts.channel_open && !facts.listener)
                        connection_close(connection, END_OWNER_GONE);
        }

        for (guint i = 0; i < listeners->len; i++) {
                Listener *listener =
                        relay_find_listener(bus->relay, g_array_index(listeners, uint32_t, i));
                ListenerFacts facts = listener_facts(listener);

                if (!facts.spec->persistent && !facts.accept_queue_open && facts.spec->channel == 0)
                        (void)listener_close(listener);
        }

        for (guint i = 0; i < verifiers->len; i++)
                verifier_close(
                        relay_find_verifier(bus->relay, g_array_index(verifiers, uint32_t, i)));

        relay_owners_lost(bus->relay);
}

static void bus_lose(Bus *bus) {
        log_warning("The bus is gone");
        bus->is_lost = true;
        bus_end_unreachable(bus);
        bus_turn(bus);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = userdata;

        /* whoever sends something like it over the bus does not make it so */
        if (bus->is_lost || sd_bus_is_open(bus->bus) > 0)
                return 0;

        bus_lose(bus);
        return 0;
}

/* ---- turns ---- */

void bus_turn(Bus *bus) {
        int r;

        if (!bus->turn)
                return;

        r = sd_event_source_set_enabled(bus->turn, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning("A turn of the bus cannot end: %s", g_strerror(-r));
}

static bool bus_is_backed_up(Bus *bus) {
        uint64_t n = 0;

        return sd_bus_get_n_queued_write(bus->bus, &n) >= 0 && n > 0;
}

static int on_drained(sd_event_source *source, void *userdata) {
        bus_turn(userdata);
        return 0;
}

/* The calls whose turn it is, then what has arrived: sd-bus reads them in this order. While the bus
 * daemon does not keep up with the answers there are no turns: it has one queue of ours for
 * everybody, in which nobody is to wait for another's answers. */
static void bus_take_in(Bus *bus) {
        unsigned n = BUS_MESSAGES_PER_TURN;
        int r;

        if (!bus_is_backed_up(bus))
                n += queues_turn(bus->queues);

        for (unsigned i = 0; i < n && !bus->is_lost; i++) {
                r = sd_bus_process(bus->bus, NULL);
                if (r == 0)
                        return;
                if (r < 0) {
                        sd_bus_close(bus->bus);
                        bus_lose(bus);
                }
        }
}

/* Once others had their turns. A timer that is due at once takes its place among what is ready; a
 * deferred source comes before everything else each time, and while calls keep coming nothing else
 * would. */
static void bus_goes_on(Bus *bus) {
        /* neither can fail for a timer of ours */
        (void)sd_event_source_set_time(bus->calls, 0);
        (void)sd_event_source_set_enabled(bus->calls, SD_EVENT_ONESHOT);
}

/* For those whose calls wait. What is queued for the bus may have left meanwhile, and then nothing
 * else would come to pass that wakes the loop. */
static void bus_wait_turn(Bus *bus) {
        if (bus_is_backed_up(bus))
                (void)sd_event_source_set_enabled(bus->drained, SD_EVENT_ONESHOT);
        else
                bus_goes_on(bus);
}

static int on_calls(sd_event_source *source, uint64_t usec, void *userdata) {
        Bus *bus = userdata;

        /* what has come about before the calls that run now is told before their answers */
        pending_settle(bus);
        news_send(bus);

        bus_take_in(bus);
        if (!bus->is_lost && queues_wait(bus->queues))
                bus_wait_turn(bus);
        return 0;
}

static int on_turn(sd_event_source *source, void *userdata) {
        Bus *bus = userdata;

        /* a turn of news alone reads nothing; what arrives later wakes the loop by itself */
        if ((bus->has_heard || queues_wait(bus->queues)) &&
            sd_event_source_get_enabled(bus->calls, NULL) == 0)
                bus_goes_on(bus);
        bus->has_heard = false;
        callers_turn_over(bus);
        pending_settle(bus);
        news_send(bus);
        errands_turn_over(bus);
        bin_empty(bus);

        if (bus->is_lost && bus->host.lost) {
                BusHost host = bus->host;

                bus->host.lost = NULL;
                host.lost(host.userdata); /* may free the bus */
        }

        return 0;
}

/* ---- birth and death ---- */

static void slot_unref(gpointer slot) {
        (void)sd_bus_slot_unref(slot);
}

/* Keeps the slot when @r is good. */
static int bus_keep(Bus *bus, int r, sd_bus_slot *slot) {
        if (r < 0)
                return fault(r);

        g_ptr_array_add(bus->slots, slot);
        return 0;
}

static int bus_put_tree(Bus *bus, const char *prefix, const char *interface,
                        const sd_bus_vtable *vtable, sd_bus_object_find_t find,
                        sd_bus_node_enumerator_t enumerate) {
        sd_bus_slot *slot = NULL;
        int r;

        r = sd_bus_add_fallback_vtable(bus->bus, &slot, prefix, interface, vtable, find, bus);
        r = bus_keep(bus, r, slot);
        if (r < 0)
                return r;

        r = sd_bus_add_node_enumerator(bus->bus, &slot, prefix, enumerate, bus);
        return bus_keep(bus, r, slot);
}

static int bus_put_objects(Bus *bus) {
        sd_bus_slot *slot = NULL;
        int r;

        r = sd_bus_add_object_vtable(bus->bus, &slot, DTLSD_ROOT_PATH, DTLSD_INTERFACE_MANAGER,
                                     manager_vtable, bus);
        r = bus_keep(bus, r, slot);
        if (r < 0)
                return r;

        r = sd_bus_add_object_manager(bus->bus, &slot, DTLSD_ROOT_PATH);
        r = bus_keep(bus, r, slot);
        if (r < 0)
                return r;

        r = bus_put_tree(bus, CONNECTION_ROOT, DTLSD_INTERFACE_CONNECTION, connection_vtable,
                         connection_find, enumerate_connections);
        if (r < 0)
                return r;

        r = bus_put_tree(bus, LISTENER_ROOT, DTLSD_INTERFACE_LISTENER, listener_vtable,
                         listener_find, enumerate_listeners);
        if (r < 0)
                return r;

        r = bus_put_tree(bus, VERIFIER_ROOT, DTLSD_INTERFACE_VERIFIER, verifier_vtable,
                         verifier_find, enumerate_verifiers);
        if (r < 0)
                return r;

        return bus_put_tree(bus, IDENTITY_ROOT, DTLSD_INTERFACE_IDENTITY, identity_vtable,
                            identity_find, enumerate_identities);
}

static int bus_put_ears(Bus *bus) {
        sd_bus_slot *slot = NULL;
        int r;

        r = sd_bus_add_filter(bus->bus, &slot, on_message, bus);
        r = bus_keep(bus, r, slot);
        if (r < 0)
                return r;

        r = sd_bus_match_signal(bus->bus, &slot, NULL, "/org/freedesktop/DBus/Local",
                                "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, bus);
        return bus_keep(bus, r, slot);
}

static int bus_attach(Bus *bus, sd_event *event) {
        int r;

        bus->event = sd_event_ref(event);
        r = sd_event_add_defer(event, &bus->turn, on_turn, bus);
        if (r >= 0)
                r = sd_event_source_set_enabled(bus->turn, SD_EVENT_OFF);
        if (r < 0)
                return fault(r);

        r = sd_event_add_time(event, &bus->calls, CLOCK_MONOTONIC, 0, CALLS_ACCURACY_USEC, on_calls,
                              bus);
        if (r >= 0)
                r = sd_event_source_set_enabled(bus->calls, SD_EVENT_OFF);
        if (r < 0)
                return fault(r);

        r = sd_event_add_post(event, &bus->drained, on_drained, bus);
        if (r >= 0)
                r = sd_event_source_set_enabled(bus->drained, SD_EVENT_OFF);
        if (r < 0)
                return fault(r);

        /* a courtesy to those who wait for an answer; without it they wait */
        (void)setsockopt(sd_bus_get_fd(bus->bus), SOL_SOCKET, SO_SNDBUF, &(int){SEND_BUFFER},
                         sizeof(int));

        if (sd_bus_get_event(bus->bus))
                return 0;

        r = sd_bus_attach_event(bus->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return fault(r);

        bus->attached = true;
        return 0;
}

static int bus_make_parts(Bus *bus) {
        int r;

        r = bin_new(bus, &bus->bin);
        if (r >= 0)
                r = errands_new(bus, &bus->errands);
        if (r >= 0)
                r = asks_new(bus, &bus->asks);
        if (r >= 0)
                r = pending_new(bus, &bus->pending);
        if (r >= 0)
                r = queues_new(bus, &bus->queues);
        if (r >= 0)
                r = callers_new(bus, &bus->callers);
        if (r >= 0)
                r = store_calls_new(bus, &bus->store_calls);
        if (r >= 0)
                r = news_new(bus, &bus->news);
        return r;
}

static int bus_ask_for_name(Bus *bus) {
        int r;

        if (!sd_bus_is_bus_client(bus->bus))
                return 0;

        r = sd_bus_request_name(bus->bus, DTLSD_BUS_NAME, 0);
        if (r == -EEXIST)
                return BUS_E_NAME_TAKEN;
        if (r == -EACCES || r == -EPERM)
                return BUS_E_NAME_REFUSED;
        if (r < 0)
                return fault(r);

        return 0;
}

int bus_new(sd_bus *connection, sd_event *event, Relay *relay, Keys *keys, Quota *quota,
            Access *access, const BusHost *host, Bus **ret) {
        g_autoptr(Bus) bus = NULL;
        int r;

        bus = g_new0(Bus, 1);
        bus->bus = sd_bus_ref(connection);
        bus->relay = relay;
        bus->keys = keys;
        bus->quota = quota;
        bus->access = access;
        bus->host = *host;
        bus->slots = g_ptr_array_new_with_free_func(slot_unref);
        bus_register(bus);

        r = bus_attach(bus, event);
        if (r >= 0)
                r = bus_make_parts(bus);
        if (r >= 0)
                r = bus_put_objects(bus);
        if (r >= 0)
                r = bus_put_ears(bus);
        if (r >= 0)
                r = bus_ask_for_name(bus);
        if (r)
                return r;

        *ret = g_steal_pointer(&bus);
        return 0;
}

void bus_reloaded(Bus *bus) {
        callers_limit(bus);
}

Bus *bus_free(Bus *bus) {
        if (!bus)
                return NULL;

        (void)g_ptr_array_unref(bus->slots);
        bus->turn = sd_event_source_disable_unref(bus->turn);
        bus->calls = sd_event_source_disable_unref(bus->calls);
        bus->drained = sd_event_source_disable_unref(bus->drained);
        bus->news = news_free(bus->news);
        bus->callers = callers_free(bus->callers);
        bus->queues = queues_free(bus->queues);
        bus->pending = pending_free(bus->pending);
        bus->store_calls = store_calls_free(bus->store_calls);
        bus->errands = errands_free(bus->errands);
        bus->asks = asks_free(bus->asks);
        bus->bin = bin_free(bus->bin);
        if (bus->attached)
                (void)sd_bus_detach_event(bus->bus);
        bus_unregister(bus);
        (void)sd_event_unref(bus->event);
        (void)sd_bus_unref(bus->bus);
        g_free(bus);
        return NULL;
}
