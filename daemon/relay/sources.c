/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sources: handshakes that are not complete, by whose they are, and a listener's by the host they
 * come from, which of IPv6 is a subnet: who has one of its addresses has them all. A host with a
 * good cookie for each of its ports is to keep itself waiting, and nobody else. So where a user has
 * as many as one may, that host at one of the user's listeners that has most gives its oldest up
 * for one that has fewer, and any for what the user begins itself. And where all have, the user who
 * has most gives one up for a user with fewer: a stranger's, or, without any, one of its own.
 *
 * Knows: who waits. Does not know: why.
 */

#include "relay/private.h"

#include <string.h>

/* RFC 4291, 2.5.1: of an address in a subnet */
#define INTERFACE_ID_AT 8
#define INTERFACE_ID_SIZE 8

struct Source {
        Address host;
        Crowd *crowd;
        GQueue waiting;         /* of Connection, oldest first */
        GSequenceIter *by_size; /* NULL: they are the user's own */
};

/* Of one user. */
struct Crowd {
        guint size;
        Source own;
        GSequence *sources_by_size; /* the strangers' */
        GSequenceIter *by_size;
};

/* ---- who has most ---- */

static gint compare_sizes(guint one, guint other) {
        return (one > other) - (one < other);
}

static gint source_compare_sizes(gconstpointer a, gconstpointer b, gpointer unused) {
        const Source *one = a, *other = b;

        return compare_sizes(one->waiting.length, other->waiting.length);
}

/* Of those with as many, who has strangers to give up comes last. */
static gint crowd_compare_sizes(gconstpointer a, gconstpointer b, gpointer unused) {
        const Crowd *one = a, *other = b;

        if (one->size != other->size)
                return compare_sizes(one->size, other->size);

        return compare_sizes(!g_sequence_is_empty(one->sources_by_size),
                             !g_sequence_is_empty(other->sources_by_size));
}

/* As g_sequence_sort_changed(), which makes a second sequence for it each time. */
static void sources_sort(GSequenceIter *changed, GCompareDataFunc compare) {
        GSequenceIter *before = g_sequence_iter_prev(changed); /* of the first one: itself */
        GSequenceIter *behind = g_sequence_iter_next(changed);
        const void *it = g_sequence_get(changed);

        if (compare(g_sequence_get(before), it, NULL) > 0 ||
            (!g_sequence_iter_is_end(behind) && compare(it, g_sequence_get(behind), NULL) > 0))
                g_sequence_sort_changed(changed, compare, NULL);
}

static void *sources_largest(GSequence *by_size) {
        if (g_sequence_is_empty(by_size))
                return NULL;

        return g_sequence_get(g_sequence_iter_prev(g_sequence_get_end_iter(by_size)));
}

/* ---- of one user ---- */

static Crowd *crowd_find(const Relay *relay, uid_t uid) {
        return g_hash_table_lookup(relay->crowds, GUINT_TO_POINTER(uid));
}

static Crowd *crowd_of(Relay *relay, uid_t uid) {
        Crowd *crowd = crowd_find(relay, uid);

        if (crowd)
                return crowd;

        crowd = g_new0(Crowd, 1);
        crowd->own.crowd = crowd;
        g_queue_init(&crowd->own.waiting);
        crowd->sources_by_size = g_sequence_new(NULL);
        crowd->by_size = g_sequence_append(relay->crowds_by_size, crowd);
        g_hash_table_insert(relay->crowds, GUINT_TO_POINTER(uid), crowd);
        return crowd;
}

static void crowd_free(void *userdata) {
        Crowd *crowd = userdata;

        g_assert(crowd->size == 0);
        g_sequence_remove(crowd->by_size);
        g_sequence_free(crowd->sources_by_size);
        g_free(crowd);
}

void sources_open(Relay *relay) {
        relay->crowds = g_hash_table_new_full(NULL, NULL, NULL, crowd_free);
        relay->crowds_by_size = g_sequence_new(NULL);
        g_queue_init(&relay->suspended);
}

void sources_close(Relay *relay) {
        g_clear_pointer(&relay->crowds, g_hash_table_unref);
        g_clear_pointer(&relay->crowds_by_size, g_sequence_free);
}

/* ---- of one host at one listener ---- */

static int source_compare_hosts(const void *a, const void *b, void *unused) {
        uint8_t x[ADDRESS_CANONICAL_MAX] = {0}, y[ADDRESS_CANONICAL_MAX] = {0};

        (void)address_canonical(a, x);
        (void)address_canonical(b, y);
        return memcmp(x, y, sizeof(x));
}

GTree *sources_new(void) {
        return g_tree_new_full(source_compare_hosts, NULL, NULL, g_free);
}

static Address source_host(const Connection *connection) {
        Address host = connection->spec->peer;

        address_set_port(&host, 0);
        if (address_family(&host) == AF_INET6)
                memset(&host.in6.sin6_addr.s6_addr[INTERFACE_ID_AT], 0, INTERFACE_ID_SIZE);
        return host;
}

/* NULL: there is none yet. */
static Source *source_find(const Connection *connection) {
        Address host = source_host(connection);

        return g_tree_lookup(connection->listener->sources, &host);
}

static Source *source_of(const Connection *connection, Crowd *crowd) {
        Source *source;

        if (!connection->listener)
                return &crowd->own;

        source = source_find(connection);
        if (source)
                return source;

        source = g_new0(Source, 1);
        source->host = source_host(connection);
        source->crowd = crowd;
        g_queue_init(&source->waiting);
        source->by_size = g_sequence_append(crowd->sources_by_size, source);
        g_tree_insert(connection->listener->sources, &source->host, source);
        return source;
}

/* ---- who waits ---- */

void source_add(Connection *connection) {
        Crowd *crowd = crowd_of(connection->relay, connection->spec->uid);
        Source *source = source_of(connection, crowd);

        g_queue_push_tail(&source->waiting, connection);
        connection->source = source;
        connection->source_link = source->waiting.tail;
        crowd->size++;

        if (source->by_size)
                sources_sort(source->by_size, source_compare_sizes);
        sources_sort(crowd->by_size, crowd_compare_sizes);
}

static void source_shrunk(Source *source, const Listener *listener) {
        if (!source->by_size)
                return;

        if (g_queue_is_empty(&source->waiting)) {
                g_sequence_remove(source->by_size);
                g_tree_remove(listener->sources, &source->host);
        } else {
                sources_sort(source->by_size, source_compare_sizes);
        }
}

void source_drop(Connection *connection) {
        Source *source = g_steal_pointer(&connection->source);
        Crowd *crowd;

        if (!source)
                return;

        crowd = source->crowd;
        g_queue_delete_link(&source->waiting, connection->source_link);
        source_shrunk(source, connection->listener);
        crowd->size--;
        if (crowd->size == 0)
                g_hash_table_remove(connection->relay->crowds,
                                    GUINT_TO_POINTER(connection->spec->uid));
        else
                sources_sort(crowd->by_size, crowd_compare_sizes);
}

/* ---- room for one more ---- */

/* Not for who would have as many then: they would only change places. */
static Source *source_to_shrink(const Connection *connection, const Crowd *crowd) {
        Source *largest = crowd ? sources_largest(crowd->sources_by_size) : NULL;
        const Source *source;

        if (!largest || !connection->listener)
                return largest;

        source = source_find(connection);
        return largest->waiting.length > (source ? source->waiting.length : 0) + 1 ? largest : NULL;
}

static Source *source_of_another(const Relay *relay, const Crowd *crowd) {
        Crowd *largest = sources_largest(relay->crowds_by_size);
        Source *strangers;

        if (!largest || largest->size <= (crowd ? crowd->size : 0) + 1)
                return NULL;

        strangers = sources_largest(largest->sources_by_size);
        return strangers ? strangers : &largest->own;
}

void sources_make_room(Connection *connection) {
        const Relay *relay = connection->relay;
        const Quota *quota = relay->quota;
        uid_t uid = connection->spec->uid;
        const Crowd *crowd = crowd_find(relay, uid);
        Source *source = NULL;

        if (quota_has_room(quota, uid, QUOTA_HALF_OPEN, 1))
                return;

        if (quota_used(quota, uid, QUOTA_HALF_OPEN) < quota_limit(quota, uid, QUOTA_HALF_OPEN))
                source = source_of_another(relay, crowd);
        if (!source)
                source = source_to_shrink(connection, crowd);
        if (!source)
                return;

        connection_give_way(
                g_queue_peek_head(&source->waiting), connection->endpoint,
                source->by_size
                        ? "There is no room for all unfinished handshakes, and its host has most"
                        : "There is no room for all unfinished handshakes, and its user has most");
}
