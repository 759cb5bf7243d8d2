/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Refresh: configurations of listeners that are made anew, since what they name is another now,
 * some in a turn: a user may have very many. One that waits is not used: a handshake that begins
 * meanwhile has the new one.
 *
 * Knows: which have to be made anew. Does not know: how, nor what has changed.
 */

#include "relay/private.h"

#define REFRESHES_MAX 8 /* in a turn: each takes 0.1 ms */

static bool refresh_waits(const Listener *listener) {
        return listener->refresh_link.data;
}

static void refresh_wait(Listener *listener) {
        if (refresh_waits(listener))
                return;

        listener->refresh_link.data = listener;
        g_queue_push_tail_link(&listener->relay->refreshes, &listener->refresh_link);
}

void refresh_forget(Listener *listener) {
        if (!refresh_waits(listener))
                return;

        g_queue_unlink(&listener->relay->refreshes, &listener->refresh_link);
        listener->refresh_link.data = NULL;
}

void refresh_before_use(Listener *listener) {
        if (!refresh_waits(listener))
                return;

        refresh_forget(listener);
        listener_refresh(listener);
}

static void refreshes_turn(Relay *relay) {
        for (int i = 0; i < REFRESHES_MAX && !g_queue_is_empty(&relay->refreshes); i++)
                refresh_before_use(g_queue_peek_head(&relay->refreshes));

        if (!g_queue_is_empty(&relay->refreshes))
                watches_set_timer(relay, relay->refreshes_timer, 0);
}

static int on_refreshes(sd_event_source *source, uint64_t usec, void *userdata) {
        refreshes_turn(userdata);
        return 0;
}

void refresh_listeners(Relay *relay, RefreshIf has_changed, const void *what) {
        g_autoptr(GArray) ids = relay_list_listeners(relay, 0, SIZE_MAX);

        for (guint i = 0; i < ids->len; i++) {
                Listener *listener = relay_find_listener(relay, g_array_index(ids, uint32_t, i));

                if (has_changed(listener->spec, what))
                        refresh_wait(listener);
        }

        refreshes_turn(relay);
}

int refreshes_new(Relay *relay) {
        g_queue_init(&relay->refreshes);
        return watches_new_timer(relay, on_refreshes, relay, &relay->refreshes_timer);
}

void refreshes_free(Relay *relay) {
        relay->refreshes_timer = sd_event_source_disable_unref(relay->refreshes_timer);
}
