/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Delivery: between a session's plaintext and its owner: a channel while one is open, else a
 * bounded queue that drops its oldest. Those it is shared with are in sharing.c.
 *
 * Knows: channels, queues. Does not know: records, handshakes.
 */

#include "base/fault.h"
#include "relay/private.h"

/* NULL: nothing has arrived. */
GBytes *connection_take_oldest(Connection *connection) {
        GBytes *oldest = g_queue_pop_head(&connection->queue);

        if (!oldest)
                return NULL;

        connection->queue_bytes -= g_bytes_get_size(oldest);
        charges_drop(&connection->charges, QUOTA_BYTES, g_bytes_get_size(oldest));
        return oldest;
}

/* Keeps one datagram for connection_read(); the oldest ones make room, and are counted. */
static void delivery_enqueue(Connection *connection, const Datagram *plain) {
        while (connection->queue.length >= CONNECTION_QUEUE_MAX ||
               (connection->queue.length > 0 &&
                connection->queue_bytes + plain->size > CONNECTION_QUEUE_BYTES)) {
                g_bytes_unref(connection_take_oldest(connection));
                tally_connection(connection, TALLY_DROPPED_QUEUE_FULL, 1);
        }

        if (charges_add(&connection->charges, QUOTA_BYTES, plain->size, NULL)) {
                tally_connection(connection, TALLY_DROPPED_QUOTA, 1);
                return;
        }

        g_queue_push_tail(&connection->queue, g_bytes_new(plain->data, plain->size));
        connection->queue_bytes += plain->size;
        tally_connection(connection, TALLY_DELIVERED, 1);
        relay_tell(connection->relay, connection_datagram, connection);
}

void connection_hand_over(Connection *connection) {
        DatagramBatch *app = connection->relay->app;
        int r = 0;

        if (lane_is_open(connection->lane)) {
                lane_deliver(connection->lane, app);
        } else if (connection->outlet) {
                r = outlet_deliver(connection->outlet, app);
        } else {
                for (size_t i = 0; i < datagram_batch_count(app); i++) {
                        Datagram plain = datagram_batch_at(app, i);

                        delivery_enqueue(connection, &plain);
                }
        }
        if (connection->others)
                sharing_deliver(connection, app);

        datagram_batch_reset(app);
        if (r)
                connection_lost_channel(connection, r);
}

/* ---- the owner's channel ---- */

/* What arrived before there was a channel goes to it first. */
static void delivery_empty_queue(Connection *connection) {
        DatagramBatch *out = connection->relay->out; /* not app: it may hold what comes next */

        for (;;) {
                g_autoptr(GBytes) bytes = connection_take_oldest(connection);

                if (!bytes)
                        break;

                datagram_batch_reset(out);
                (void)datagram_batch_append(out, g_bytes_get_data(bytes, NULL),
                                            g_bytes_get_size(bytes));
                /* a channel that is not a moment old; what is wrong with it shows at once */
                (void)channel_deliver(connection->outlet->channel, out);
        }

        datagram_batch_reset(out);
        connection->outlet->seen = channel_stats(connection->outlet->channel);
}

int connection_attach_channel(Connection *connection, int *ret_app_fd, Reason *reason) {
        int r;

        r = outlet_new(connection, NULL, &connection->outlet, ret_app_fd, reason);
        if (r)
                return r;

        delivery_empty_queue(connection);
        connection_changed(connection, CHANGED_CHANNELS);
        return 0;
}

void connection_drop_channel(Connection *connection) {
        if (!connection->outlet)
                return;

        autofd_close(&connection->handing_fd);
        connection->handing_fd = -1;
        outlet_bury(g_steal_pointer(&connection->outlet));
        connection_changed(connection, CHANGED_CHANNELS);
}

/* The application closed its end. Its last channel is its owner's last hold of the connection, so
 * the object goes (interfaces/README.md, "Channels"). A persistent one has other callers and only
 * loses its channel, unless it was given away as a channel and can be known by nothing else. */
void connection_lost_channel(Connection *connection, int r) {
        if (r != CHANNEL_E_HANGUP) {
                connection_fail(connection, fault(r));
                return;
        }

        if (!connection->spec->persistent || connection->handed) {
                connection_close(connection, END_CHANNEL_CLOSED);
                return;
        }

        egress_last(connection->outlet);
        connection_drop_channel(connection);
        connection_touch(connection);
        connection_schedule(connection);
}

int connection_seal(Connection *connection, const void *data, size_t size) {
        Relay *relay = connection->relay;
        int r;

        /* without DontFragment the kernel makes IP fragments of what the path does not take */
        if (size > connection->data_mtu && connection->spec->dont_fragment)
                return SESSION_E_TOO_LONG;

        r = session_send(connection->session, data, size, relay->net);
        if (r == SESSION_E_NO_ROOM) {
                endpoint_flush(connection->endpoint);
                connection_address_net(connection); /* which the flush has forgotten */
                r = session_send(connection->session, data, size, relay->net);
        }

        tally_sent(connection);
        return r;
}
