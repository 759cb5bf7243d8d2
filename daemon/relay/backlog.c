/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Backlog: how a listener's completed connections come to its owner: over the accept queue, waiting
 * while it is full; without one, by being told.
 *
 * Knows: the accept queue. Does not know: how a handshake came to be complete.
 */

#include "base/fault.h"
#include "relay/private.h"

#include <sys/epoll.h>

static void backlog_announce(Listener *listener, Connection *connection) {
        Relay *relay = listener->relay;

        if (!connection->announced) {
                connection->announced = true;
                relay_tell(relay, connection_added, connection);
        }

        relay_tell(relay, listener_connection, listener, connection);
}

static void backlog_changed(Listener *listener) {
        relay_tell(listener->relay, listener_changed, listener, CHANGED_BACKLOG);
}

/* Nobody hears of connections any more; those that have a channel live as long as that. */
static void backlog_lost_everything(Listener *listener) {
        for (GList *link = listener->connections.head; link; link = link->next)
                owner_lost(link->data);
        owner_gone(listener->relay, SPEC_NOBODY);
        listener_end_unused(listener);
}

/* Without the queue the owner hears of connections over the bus; without an owner nobody does. */
static void backlog_lost_queue(Listener *listener) {
        Connection *connection;

        listener->queue_source = sd_event_source_disable_unref(listener->queue_source);
        listener->queue = accept_queue_free(listener->queue);
        charges_drop(&listener->charges, QUOTA_FDS, 1);
        alarm_clear(listener->relay, &listener->alarm);
        if (spec_is_disowned(listener->spec)) {
                backlog_lost_everything(listener);
                return;
        }

        for (;;) {
                connection = g_queue_pop_head(&listener->backlog);
                if (!connection)
                        break;

                connection->in_backlog = false;
                connection_drop_channel(connection);
                backlog_announce(listener, connection);
        }

        backlog_changed(listener);
}

/* 0: it is on its way; ACCEPT_QUEUE_E_FULL: later; else the queue, or the connection, is lost. */
static int backlog_push(Listener *listener, Connection *connection) {
        g_autoptr(GBytes) leaf = NULL;
        OpenedFacts facts;
        int r;

        if (accept_queue_is_full(listener->queue))
                return ACCEPT_QUEUE_E_FULL;

        if (connection->handing_fd < 0) {
                r = connection_attach_channel(connection, &connection->handing_fd, NULL);
                if (r)
                        return r < 0 ? fault(r) : ACCEPT_QUEUE_E_FULL; /* quota: as others close */
        }

        facts = connection_opened_facts(connection, &leaf);
        r = accept_queue_push(listener->queue, &facts, connection->handing_fd);
        if (r < 0)
                return fault(r);
        if (r > 0)
                return r;

        connection->handed = true;
        autofd_close(&connection->handing_fd);
        connection->handing_fd = -1;
        return 0;
}

static void backlog_wait(Listener *listener, Connection *connection) {
        Relay *relay = listener->relay;

        if (listener->backlog.length >= LISTENER_BACKLOG_MAX) {
                tally_connection(connection, TALLY_DROPPED_QUOTA, 1);
                connection_set_error(connection, DTLS_TLS_NON_FATAL_ERROR,
                                     "The application does not take connections off its accept "
                                     "queue");
                connection_close(connection, END_FAILED);
                return;
        }

        connection->in_backlog = true;
        g_queue_push_tail(&listener->backlog, connection);
        if (listener->backlog.length == 1) {
                listener->retry_usec = LISTENER_RETRY_USEC;
                alarm_set(relay, &listener->alarm, relay_now(relay) + listener->retry_usec);
        }
        backlog_changed(listener);
}

/* What a push came to. False: this connection is still to be given. */
static bool backlog_pushed(Listener *listener, Connection *connection, int r) {
        if (r < 0) {
                connection_fail(connection, fault(r));
                return true;
        }

        switch ((AcceptQueueOutcome)r) {
        case ACCEPT_QUEUE_E_FULL:
        case ACCEPT_QUEUE_E_NO_FDS:
                return false;
        case ACCEPT_QUEUE_E_HANGUP:
                connection_drop_channel(connection);
                backlog_lost_queue(listener);
                if (listener_is_heard(listener))
                        backlog_announce(listener, connection);
                return true;
        }

        return true;
}

void listener_take(Listener *listener, Connection *connection) {
        int r = ACCEPT_QUEUE_E_FULL;

        if (!listener_is_heard(listener))
                return;
        if (connection->handed) /* its shared channel says it */
                return;
        if (!listener->queue) {
                backlog_announce(listener, connection);
                return;
        }

        if (g_queue_is_empty(&listener->backlog))
                r = backlog_push(listener, connection);
        if (!backlog_pushed(listener, connection, r))
                backlog_wait(listener, connection);
}

/* The accept queue's fd is writable long before a packet more may be undelivered, so there is no
 * event to wait for: a coarse alarm looks, only while somebody waits, and the more seldom the
 * longer nobody reads. */
void backlog_retry(void *owner, uint64_t now_usec) {
        Listener *listener = owner;
        guint n_before = listener->backlog.length;
        Connection *connection;
        int r = 0;

        while (listener->queue && !g_queue_is_empty(&listener->backlog)) {
                connection = g_queue_peek_head(&listener->backlog);

                r = backlog_push(listener, connection);
                if (r == ACCEPT_QUEUE_E_FULL || r == ACCEPT_QUEUE_E_NO_FDS)
                        break;

                (void)g_queue_pop_head(&listener->backlog);
                connection->in_backlog = false;
                (void)backlog_pushed(listener, connection, r);
        }

        if (!listener->queue)
                return;
        if (listener->backlog.length != n_before) {
                listener->retry_usec = LISTENER_RETRY_USEC;
                backlog_changed(listener);
        } else {
                listener->retry_usec = MIN(listener->retry_usec * 2, LISTENER_RETRY_MAX_USEC);
        }
        if (!g_queue_is_empty(&listener->backlog))
                alarm_set(listener->relay, &listener->alarm, now_usec + listener->retry_usec);
}

static int on_accept_queue_event(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Listener *listener = userdata;

        if (events & (EPOLLHUP | EPOLLERR))
                backlog_lost_queue(listener);

        return 0;
}

int listener_open_accept_queue(Listener *listener, int *ret_fd, Reason *reason) {
        g_autoptr(AcceptQueue) queue = NULL;
        g_autofd int app_fd = -1;
        int r;

        if (listener->trunk)
                return reason_set(reason, RELAY_E_CHANNEL_IN_USE,
                                  "The listener's connections go to shared channel "
                                  "%" G_GUINT32_FORMAT,
                                  listener->spec->channel);
        if (listener->queue)
                return reason_set(reason, RELAY_E_CHANNEL_IN_USE,
                                  "The accept queue is open already; close its fd first");

        r = charges_add(&listener->charges, QUOTA_FDS, 1, reason);
        if (r)
                return r;

        r = accept_queue_new(&queue, &app_fd);
        if (r == 0)
                r = sd_event_add_io(listener->relay->event, &listener->queue_source,
                                    accept_queue_fd(queue), 0, on_accept_queue_event, listener);
        if (r) {
                charges_drop(&listener->charges, QUOTA_FDS, 1);
                return r < 0 ? fault(r)
                             : reason_set(reason, RELAY_E_QUOTA,
                                          "The service has no file descriptor left; try again "
                                          "later");
        }

        listener->queue = g_steal_pointer(&queue);
        *ret_fd = autofd_steal(&app_fd);
        return 0;
}

void backlog_forget(Listener *listener, Connection *connection) {
        connection->in_backlog = false;
        (void)g_queue_remove(&listener->backlog, connection);
        backlog_changed(listener);
}
