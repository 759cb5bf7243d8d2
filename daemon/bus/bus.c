/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus: puts everything on a connection, and looks at each call first.
 *
 * Objects are there before the name is asked for. Who lists them hears of them from then on.
 */

#include "bus/bus.h"
#include "base/brake.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"
#include "bus/private.h"

#include <errno.h>
#include <string.h>

#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

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

/* ---- the first look at a message ---- */

/* sd-bus's own would make the whole answer at once. One with arguments is left for it to refuse. */
static bool bus_is_for_managed(sd_bus_message *m) {
        return sd_bus_message_is_method_call(m, OBJECT_MANAGER, "GetManagedObjects") > 0 &&
               g_strcmp0(sd_bus_message_get_path(m), DTLSD_ROOT_PATH) == 0 &&
               sd_bus_message_is_empty(m) > 0;
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = userdata;
        uint8_t type;
        int r;

        /* it, and the fds that nobody asked for, outlives its handler and is freed in the bin */
        bin_put(bus, sd_bus_message_ref(m));

        r = sd_bus_message_get_type(m, &type);
        if (r < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;

        (void)errands_resume(bus, m);
        r = callers_admit(bus, m, error); /* 1 for what is taken up again */
        if (r <= 0)
                return r < 0 ? r : 1;

        return bus_is_for_managed(m) ? managed_call(bus, m, error) : 0;
}

/* ---- the end of the connection ---- */

void bus_lose(Bus *bus) {
        log_warning("The bus is gone");
        turns_end(bus);
        bus->is_lost = true;
        relay_owners_lost(bus->relay); /* nobody can leave a bus that is not there */
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

        r = bus_put_tree(bus, CONNECTION_FOLDER, DTLSD_INTERFACE_CONNECTION, connection_vtable,
                         connection_find, enumerate_connections);
        if (r < 0)
                return r;

        r = bus_put_tree(bus, LISTENER_FOLDER, DTLSD_INTERFACE_LISTENER, listener_vtable,
                         listener_find, enumerate_listeners);
        if (r < 0)
                return r;

        r = bus_put_tree(bus, VERIFIER_FOLDER, DTLSD_INTERFACE_VERIFIER, verifier_vtable,
                         verifier_find, enumerate_verifiers);
        if (r < 0)
                return r;

        return bus_put_tree(bus, IDENTITY_FOLDER, DTLSD_INTERFACE_IDENTITY, identity_vtable,
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

static int bus_make_parts(Bus *bus) {
        int r;

        r = bin_new(bus, &bus->bin);
        if (r >= 0)
                r = errands_new(bus, &bus->errands);
        if (r >= 0)
                r = pending_new(bus, &bus->pending);
        if (r >= 0)
                r = queues_new(bus, &bus->queues);
        if (r >= 0)
                r = callers_new(bus, &bus->callers);
        if (r >= 0)
                r = store_calls_new(bus, &bus->store_calls);
        if (r >= 0)
                r = managed_new(bus, &bus->managed);
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
        bus->event = sd_event_ref(event);
        bus->relay = relay;
        bus->keys = keys;
        bus->quota = quota;
        bus->access = access;
        bus->host = *host;
        bus->slots = g_ptr_array_new_with_free_func(slot_unref);
        bus->brakes = brakes_new();
        bus_register(bus);

        r = turns_new(bus);
        if (r >= 0)
                r = bus_make_parts(bus);
        if (r >= 0)
                r = bus_put_objects(bus);
        if (r >= 0)
                r = bus_put_ears(bus);
        if (r >= 0)
                r = bus_ask_for_name(bus);
        if (r == 0)
                r = turns_begin(bus);
        if (r)
                return r;

        callers_limit(bus); /* objects may be there already, and the rules newer */
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
        turns_free(bus);
        bus->news = news_free(bus->news);
        bus->errands = errands_free(bus->errands);
        bus->managed = managed_free(bus->managed);
        bus->callers = callers_free(bus->callers);
        bus->queues = queues_free(bus->queues);
        bus->pending = pending_free(bus->pending);
        bus->store_calls = store_calls_free(bus->store_calls);
        g_hash_table_unref(bus->brakes);
        bus->bin = bin_free(bus->bin);
        bus_unregister(bus);
        (void)sd_event_unref(bus->event);
        (void)sd_bus_unref(bus->bus);
        g_free(bus);
        return NULL;
}
