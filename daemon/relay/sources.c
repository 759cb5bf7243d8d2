/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sources: a listener's handshakes that are not complete, by the host they come from. Where the
 * user has as many as one may, the host that has most gives its oldest up for one that has fewer:
 * a host with a good cookie for each of its ports can keep itself waiting, and nobody else.
 *
 * Knows: who waits. Does not know: why.
 */

#include "relay/private.h"

#include <string.h>

struct Source {
        Address host;
        GQueue waiting; /* of Connection, oldest first */
};

static int source_compare(const void *a, const void *b, void *unused) {
        uint8_t x[ADDRESS_CANONICAL_MAX] = {0}, y[ADDRESS_CANONICAL_MAX] = {0};

        (void)address_canonical(a, x);
        (void)address_canonical(b, y);
        return memcmp(x, y, sizeof(x));
}

GTree *sources_new(void) {
        return g_tree_new_full(source_compare, NULL, NULL, g_free);
}

static Address source_host(const Connection *connection) {
        Address host = connection->spec->peer;

        address_set_port(&host, 0);
        return host;
}

void source_add(Connection *connection) {
        Address host = source_host(connection);
        GTree *sources = connection->listener->sources;
        Source *source = g_tree_lookup(sources, &host);

        if (!source) {
                source = g_new0(Source, 1);
                source->host = host;
                g_queue_init(&source->waiting);
                g_tree_insert(sources, &source->host, source);
        }

        g_queue_push_tail(&source->waiting, connection);
        connection->source = source;
        connection->source_link = source->waiting.tail;
}

void source_drop(Connection *connection) {
        Source *source = connection->source;

        if (!source)
                return;

        g_queue_delete_link(&source->waiting, connection->source_link);
        if (g_queue_is_empty(&source->waiting))
                g_tree_remove(connection->listener->sources, &source->host);
        connection->source = NULL;
}

static gboolean source_is_longer(void *key, void *value, void *userdata) {
        Source *source = value, **longest = userdata;

        if (!*longest || source->waiting.length > (*longest)->waiting.length)
                *longest = source;
        return FALSE;
}

static guint sources_count(const Listener *listener, const Address *peer) {
        Address host = *peer;
        const Source *source;

        address_set_port(&host, 0);
        source = g_tree_lookup(listener->sources, &host);
        return source ? source->waiting.length : 0;
}

void sources_make_room(Listener *listener, const Address *peer) {
        const Quota *quota = listener->relay->quota;
        uid_t uid = listener->spec->uid;
        Source *longest = NULL;
        Connection *oldest;

        if (quota_used(quota, uid, QUOTA_HALF_OPEN) < quota_limit(quota, uid, QUOTA_HALF_OPEN))
                return;

        g_tree_foreach(listener->sources, source_is_longer, &longest);
        if (!longest || longest->waiting.length <= sources_count(listener, peer) + 1)
                return;

        oldest = g_queue_peek_head(&longest->waiting);
        tally_connection(oldest, TALLY_DROPPED_QUOTA, 1);
        connection_set_error(oldest, DTLS_TLS_FATAL_ERROR,
                             "Its host has more unfinished handshakes than others, and there is no "
                             "room for more");
        connection_close(oldest, END_FAILED);
}
