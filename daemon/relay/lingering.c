/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lingering: a listener's connections that are over, and stay readable for a while. Each is one of
 * its user's all that time; so where there is no room for one more, the one that has been over for
 * longest goes.
 *
 * Knows: whose they are, and in which order they ended. Does not know: how a connection ends.
 */

#include "relay/private.h"

static void lingering_free(void *queue) {
        g_queue_free(queue);
}

void lingering_open(Relay *relay) {
        relay->lingering = g_hash_table_new_full(NULL, NULL, NULL, lingering_free);
}

void lingering_close(Relay *relay) {
        g_clear_pointer(&relay->lingering, g_hash_table_unref);
}

static GQueue *lingering_of(const Relay *relay, uid_t uid) {
        return g_hash_table_lookup(relay->lingering, GUINT_TO_POINTER(uid));
}

void lingering_begin(Connection *connection) {
        Relay *relay = connection->relay;
        uid_t uid = connection->spec->uid;
        GQueue *queue = lingering_of(relay, uid);

        if (!queue) {
                queue = g_queue_new();
                g_hash_table_insert(relay->lingering, GUINT_TO_POINTER(uid), queue);
        }

        g_queue_push_tail(queue, connection);
        connection->linger_link = queue->tail;
        connection->linger_usec = relay_now(relay) + CONNECTION_LINGER_USEC;
}

void lingering_end(Connection *connection) {
        uid_t uid = connection->spec->uid;
        GQueue *queue;

        if (!connection->linger_link)
                return;

        queue = lingering_of(connection->relay, uid);
        g_queue_delete_link(queue, g_steal_pointer(&connection->linger_link));
        if (g_queue_is_empty(queue))
                g_hash_table_remove(connection->relay->lingering, GUINT_TO_POINTER(uid));
        connection->linger_usec = 0;
}

void lingering_make_room(Relay *relay, uid_t uid) {
        GQueue *queue = lingering_of(relay, uid);
        Connection *oldest;

        if (!queue || quota_has_room(relay->quota, uid, QUOTA_CONNECTIONS, 1))
                return;

        oldest = g_queue_peek_head(queue);
        connection_close(oldest, END_CLOSE);
        /* it is freed when the turn ends, which is too late */
        charges_drop_all(&oldest->charges, QUOTA_CONNECTIONS);
}
