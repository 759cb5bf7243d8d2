/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Closing: connections that end together, all of a listener or of a bus name that left, some in a
 * turn: each says goodbye to its peer, and there may be very many. Those that close so take turns.
 * And which connections go with a bus name.
 *
 * Knows: who goes with whom. Does not know: how a connection ends.
 */

#include "relay/private.h"

#define CLOSING_MAX 16 /* in a turn, as of a shared channel */

struct Owner {
        char *name;
        GQueue connections;
        Closing closing;
};

/* ---- some in a turn ---- */

static void closings_go_on(Relay *relay) {
        watches_set_timer(relay, relay->closings_timer, 0);
}

/* One that ends may take others along. False: there are more. */
static bool closing_close_some(const Closing *closing) {
        for (int i = 0; i < CLOSING_MAX && !g_queue_is_empty(closing->connections); i++)
                connection_close(g_queue_peek_head(closing->connections), closing->why);

        return g_queue_is_empty(closing->connections);
}

static void closings_turn(Relay *relay) {
        Closing *closing = g_queue_pop_head(&relay->closings);

        if (closing_close_some(closing))
                closing->done(closing->owner);
        else
                g_queue_push_tail(&relay->closings, closing);
}

static int on_closings(sd_event_source *source, uint64_t usec, void *userdata) {
        Relay *relay = userdata;

        closings_turn(relay);
        if (!g_queue_is_empty(&relay->closings))
                closings_go_on(relay);
        return 0;
}

bool closing_begin(Relay *relay, Closing *closing) {
        if (closing_close_some(closing)) {
                closing->done(closing->owner);
                return true;
        }

        g_queue_push_tail(&relay->closings, closing);
        closings_go_on(relay);
        return false;
}

void closings_finish(Relay *relay) {
        while (!g_queue_is_empty(&relay->closings))
                closings_turn(relay);
}

/* ---- who goes with a bus name ---- */

static void owner_free(void *data) {
        Owner *owner = data;

        g_free(owner->name);
        g_free(owner);
}

static Owner *owner_of(Relay *relay, const char *name) {
        Owner *owner = g_hash_table_lookup(relay->owners, name);

        if (owner)
                return owner;

        owner = g_new0(Owner, 1);
        owner->name = g_strdup(name);
        g_queue_init(&owner->connections);
        owner->closing = (Closing){
                .connections = &owner->connections,
                .why = END_OWNER_GONE,
                .done = owner_free,
                .owner = owner,
        };
        g_hash_table_insert(relay->owners, owner->name, owner);
        return owner;
}

static void owner_take(Connection *connection) {
        connection->owner = owner_of(connection->relay, connection->spec->owner);
        connection->link.data = connection;
        g_queue_push_tail_link(&connection->owner->connections, &connection->link);
}

void owner_join(Connection *connection) {
        if (!connection->spec->persistent && !connection->trunk && !connection->listener)
                owner_take(connection);
}

/* One whose name left is not in the table any more, and goes when all that it had is closed. */
static bool owner_is_there(const Relay *relay, const Owner *owner) {
        return g_hash_table_lookup(relay->owners, owner->name) == owner;
}

void owner_leave(Connection *connection) {
        Owner *owner = connection->owner;

        if (!owner)
                return;

        connection->owner = NULL;
        g_queue_unlink(&owner->connections, &connection->link);
        if (g_queue_is_empty(&owner->connections) && owner_is_there(connection->relay, owner))
                (void)g_hash_table_remove(connection->relay->owners, owner->name);
}

/* One that still is to be given to somebody has a channel that nobody has. */
static bool owner_has_hold(const Connection *connection) {
        return connection->trunk || (connection->outlet && connection->handing_fd < 0) ||
               (connection->listener && listener_is_heard(connection->listener));
}

void owner_lost(Connection *connection) {
        if (connection->owner && !owner_is_there(connection->relay, connection->owner))
                return; /* it goes already */

        owner_leave(connection);
        spec_disown(connection->spec);
        if (spec_is_disowned(connection->spec) && !owner_has_hold(connection))
                owner_take(connection);
}

void owner_gone(Relay *relay, const char *name) {
        gpointer owner;

        if (g_hash_table_steal_extended(relay->owners, name, NULL, &owner))
                (void)closing_begin(relay, &((Owner *)owner)->closing);
}

/* ---- all of them ---- */

int closings_new(Relay *relay) {
        relay->owners = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, owner_free);
        g_queue_init(&relay->closings);
        return watches_new_timer(relay, on_closings, relay, &relay->closings_timer);
}

void closings_free(Relay *relay) {
        relay->closings_timer = sd_event_source_disable_unref(relay->closings_timer);
        g_clear_pointer(&relay->owners, g_hash_table_unref);
}
