/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trunk: a shared channel, who is on it, and when its packets leave.
 *
 * Knows: shared channels, their owners and charges. Does not know: what is in a frame.
 */

#include "base/fault.h"
#include "base/log.h"
#include "relay/private.h"

#include <string.h>

#define TRUNK_LATER_USEC 5000 /* who closes a connection need not be woken to hear of it */

/* Off until somebody wants it. */
static int trunk_new_deferred(Relay *relay, sd_event_source **ret, sd_event_handler_t handler,
                              void *userdata) {
        int r;

        r = sd_event_add_defer(relay->event, ret, handler, userdata);
        if (r < 0)
                return fault(r);

        r = sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
        if (r < 0)
                return fault(r);

        return 0;
}

/* ---- the end of a turn ---- */

/* That the other end is closed is told whatever one listens for. */
static void trunk_listen(Trunk *trunk) {
        uint32_t events = (trunk->paced.pace ? 0 : EPOLLIN) | (trunk->is_waiting ? EPOLLOUT : 0);

        watch_set(trunk->watch, events);
}

static void trunk_listen_for(Trunk *trunk, bool room) {
        if (trunk->is_waiting == room)
                return;

        trunk->is_waiting = room;
        trunk_listen(trunk);
}

/* Tells all there is room for; what shared_channel_flush() says. */
static int trunk_send(Trunk *trunk) {
        int r;

        /* a packet that waits goes first; another takes what is to be told along */
        r = shared_channel_is_full(trunk->channel) ? shared_channel_flush(trunk->channel) : 0;
        if (r)
                return r;

        do {
                Lane *lane = g_queue_peek_head(&trunk->pending);

                while (lane && lane_tell(lane))
                        lane = g_queue_peek_head(&trunk->pending);

                r = shared_channel_flush(trunk->channel);
        } while (r == 0 && !g_queue_is_empty(&trunk->pending));

        return r;
}

static void trunk_flush(Trunk *trunk) {
        int r = trunk_send(trunk);

        alarm_clear(trunk->relay, &trunk->later);
        if (r < 0) {
                trunk_lost(trunk, r);
                return;
        }

        trunk_listen_for(trunk, r == CHANNEL_E_FULL);
        if (r == CHANNEL_E_HANGUP) {
                trunk->hung_up = true;
                trunk_goes_on(trunk); /* what was written before still goes out */
        }
}

void trunks_flush(Relay *relay) {
        while (relay->trunks_due->len > 0) {
                Trunk *trunk = g_ptr_array_steal_index_fast(relay->trunks_due, 0);

                trunk->is_due = false;
                trunk_flush(trunk);
        }
}

void trunk_due(Trunk *trunk) {
        Relay *relay = trunk->relay;

        if (trunk->is_due || trunk->gone)
                return;

        trunk->is_due = true;
        g_ptr_array_add(relay->trunks_due, trunk);
        if (!relay->watches.is_serving) /* which ends with it */
                /* cannot fail for a deferred source of ours */
                (void)sd_event_source_set_enabled(relay->trunks_flush, SD_EVENT_ONESHOT);
}

static void trunk_ring(void *owner, uint64_t now_usec) {
        trunk_due(owner);
}

/* What need not go by itself waits a while for a packet that goes anyway. */
void trunk_due_later(Trunk *trunk) {
        if (!trunk->is_due && !trunk->gone && !trunk->later.iter)
                alarm_set(trunk->relay, &trunk->later, relay_now(trunk->relay) + TRUNK_LATER_USEC);
}

static int on_trunks_flush(sd_event_source *source, void *userdata) {
        trunks_flush(userdata);
        return 0;
}

void trunk_goes_on(Trunk *trunk) {
        watches_set_timer(trunk->relay, trunk->more, relay_now(trunk->relay));
}

static void trunk_resume(void *owner) {
        Trunk *trunk = owner;

        trunk_listen(trunk);
        trunk_goes_on(trunk); /* with what is left of a packet */
}

void trunk_wait(Trunk *trunk) {
        pace_wait(trunk->relay, trunk->charges.uid, &trunk->paced);
        trunk_listen(trunk);
}

/* ---- who is on it ---- */

static int trunk_find(const Relay *relay, const Spec *spec, Trunk **ret, Reason *reason) {
        Trunk *trunk;

        if (spec->channel == 0)
                return 0;

        trunk = g_hash_table_lookup(relay->trunks, GUINT_TO_POINTER(spec->channel));
        if (!trunk || trunk->gone || g_strcmp0(trunk->owner, spec->owner) != 0)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "You have no shared channel %" G_GUINT32_FORMAT
                                  "; the manager's OpenChannel opens one",
                                  spec->channel);

        *ret = trunk;
        return 0;
}

int trunk_join(Connection *connection, Reason *reason) {
        int r;

        r = trunk_find(connection->relay, connection->spec, &connection->trunk, reason);
        if (r || !connection->trunk)
                return r;

        connection->link.data = connection;
        g_queue_push_tail_link(&connection->trunk->connections, &connection->link);
        return 0;
}

int trunk_join_listener(Listener *listener, Reason *reason) {
        int r;

        r = trunk_find(listener->relay, listener->spec, &listener->trunk, reason);
        if (r || !listener->trunk)
                return r;

        listener->trunk_link.data = listener;
        g_queue_push_tail_link(&listener->trunk->listeners, &listener->trunk_link);
        return 0;
}

void trunk_leave(Connection *connection) {
        if (!connection->trunk)
                return;

        if (connection->lane)
                lane_detach(connection->lane);
        g_queue_unlink(&connection->trunk->connections, &connection->link);
        connection->trunk = NULL;
}

void trunk_leave_listener(Listener *listener) {
        if (listener->trunk)
                g_queue_unlink(&listener->trunk->listeners, &listener->trunk_link);
        listener->trunk = NULL;
}

/* ---- birth and death ---- */

static void trunk_free(Trunk *trunk) {
        Lane *lane;

        while ((lane = g_queue_peek_head(&trunk->pending)))
                lane_free(lane);

        g_assert(g_queue_is_empty(&trunk->connections) && g_queue_is_empty(&trunk->listeners));
        watch_free(trunk->watch);
        sd_event_source_disable_unref(trunk->more);
        shared_channel_free(trunk->channel);
        g_hash_table_unref(trunk->lanes);
        charges_done(&trunk->charges);
        g_free(trunk->owner);
        g_free(trunk);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Trunk, trunk_free)

static void trunk_release(void *corpse) {
        trunk_free(corpse);
}

/* All that was on it is gone. What is to be told is, as far as there is room. */
static void trunk_bury(Trunk *trunk) {
        Relay *relay = trunk->relay;
        Listener *listener;

        while ((listener = g_queue_peek_head(&trunk->listeners)))
                (void)listener_close(listener);

        pace_forget(&trunk->paced);
        alarm_clear(relay, &trunk->later);
        (void)trunk_send(trunk);
        trunk->more = sd_event_source_disable_unref(trunk->more);
        g_hash_table_remove(relay->trunks, GUINT_TO_POINTER(trunk->id));
        relay_bury(relay, trunk, trunk_release);
}

static void trunk_close_some(Trunk *trunk) {
        Connection *connection = g_queue_peek_head(&trunk->connections);

        for (size_t i = 0; i < TRUNK_CLOSE_MAX && connection; i++) {
                connection_close(connection, trunk->why);
                connection = g_queue_peek_head(&trunk->connections);
        }

        if (!connection) {
                trunk_bury(trunk);
                return;
        }

        (void)trunk_send(trunk);
        trunk_goes_on(trunk);
}

static void trunk_close(Trunk *trunk, EndReason why) {
        if (trunk->gone)
                return;

        trunk->gone = true;
        trunk->why = why;
        names_remove(trunk->relay->trunks_of, trunk->owner, trunk);
        if (trunk->is_due)
                (void)g_ptr_array_remove_fast(trunk->relay->trunks_due, trunk);
        pace_forget(&trunk->paced);
        trunk->watch = watch_free(trunk->watch);
        trunk_close_some(trunk);
}

static int on_trunk_more(sd_event_source *source, uint64_t usec, void *userdata) {
        Trunk *trunk = userdata;

        if (trunk->gone)
                trunk_close_some(trunk);
        else
                frames_go_on(trunk);

        return 0;
}

void trunk_lost(Trunk *trunk, int r) {
        if (r < 0)
                log_warning("Shared channel %" G_GUINT32_FORMAT
                            " of user %u broke: %s; the others go on",
                            trunk->id, trunk->charges.uid, strerror(-r));
        trunk_close(trunk, END_CHANNEL_CLOSED);
}

static int trunk_open(Trunk *trunk, int *ret_fd, Reason *reason) {
        g_autofd int app_fd = -1;
        int r;

        r = charges_add(&trunk->charges, QUOTA_FDS, 1, reason);
        if (r)
                return r;

        r = charges_add(&trunk->charges, QUOTA_BYTES, SHARED_CHANNEL_BYTES, reason);
        if (r)
                return r;

        r = shared_channel_new(&trunk->channel, &app_fd);
        if (r < 0)
                return fault(r);
        if (r > 0)
                return reason_set(reason, RELAY_E_QUOTA,
                                  "The service has no file descriptor left; try again later");

        r = watch_new(trunk->relay, trunk->charges.uid, shared_channel_fd(trunk->channel), EPOLLIN,
                      on_trunk_event, trunk, &trunk->watch);
        if (r < 0)
                return fault(r);

        r = watches_new_timer(trunk->relay, on_trunk_more, trunk, &trunk->more);
        if (r < 0)
                return fault(r);

        *ret_fd = autofd_steal(&app_fd);
        return 0;
}

int relay_open_channel(Relay *relay, uid_t uid, const char *owner, int *ret_fd, uint32_t *ret_id,
                       Reason *reason) {
        g_autoptr(Trunk) trunk = g_new0(Trunk, 1);
        int r;

        trunk->relay = relay;
        trunk->owner = g_strdup(owner);
        trunk->paced = (Paced){.resume = trunk_resume, .owner = trunk};
        trunk->later = (Alarm){.ring = trunk_ring, .owner = trunk};
        trunk->lanes = g_hash_table_new(NULL, NULL);
        charges_init(&trunk->charges, relay->quota, uid);

        r = trunk_open(trunk, ret_fd, reason);
        if (r)
                return r;

        trunk->id = ++relay->last_trunk;
        *ret_id = trunk->id;
        g_hash_table_insert(relay->trunks, GUINT_TO_POINTER(trunk->id), trunk);
        names_add(relay->trunks_of, trunk->owner, trunk);
        trunk = NULL;
        return 0;
}

/* ---- all of them ---- */

int trunks_new(Relay *relay) {
        relay->trunks = g_hash_table_new(NULL, NULL);
        relay->trunks_of = names_new();
        relay->trunks_due = g_ptr_array_new();
        return trunk_new_deferred(relay, &relay->trunks_flush, on_trunks_flush, relay);
}

/* It is nobody's any more, and stays. */
static void trunk_forget_name(Trunk *trunk) {
        names_remove(trunk->relay->trunks_of, trunk->owner, trunk);
        g_free(trunk->owner);
        trunk->owner = g_strdup("");
}

void trunks_name_gone(Relay *relay, const char *name) {
        Trunk *trunk;

        while ((trunk = names_first(relay->trunks_of, name)))
                if (name)
                        trunk_close(trunk, END_OWNER_GONE);
                else
                        trunk_forget_name(trunk);
}

void trunks_close(Relay *relay) {
        g_autoptr(GList) trunks = g_hash_table_get_values(relay->trunks);

        for (GList *i = trunks; i; i = i->next)
                trunk_bury(i->data);
}

void trunks_free(Relay *relay) {
        relay->trunks_flush = sd_event_source_disable_unref(relay->trunks_flush);
        g_clear_pointer(&relay->trunks, g_hash_table_unref);
        g_clear_pointer(&relay->trunks_of, g_hash_table_unref);
        g_clear_pointer(&relay->trunks_due, g_ptr_array_unref);
}
