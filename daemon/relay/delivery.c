/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Delivery: between a session's plaintext and the application: a channel while one is open, else a
 * bounded queue that drops its oldest.
 *
 * Knows: channels, queues. Does not know: records, handshakes.
 */

#include "base/fault.h"
#include "relay/private.h"

#include <sys/epoll.h>

#define CHANNEL_BYTES ((uint64_t)2 * CHANNEL_BUFFER_DEFAULT)

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

        if (connection->channel) {
                r = channel_deliver(connection->channel, app);
                tally_channel(connection);
        } else {
                for (size_t i = 0; i < datagram_batch_count(app); i++) {
                        Datagram plain = datagram_batch_at(app, i);

                        delivery_enqueue(connection, &plain);
                }
        }

        datagram_batch_reset(app);
        if (r)
                connection_lost_channel(connection, r);
}

/* ---- the channel ---- */

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
                (void)channel_deliver(connection->channel, out);
        }

        datagram_batch_reset(out);
        connection->seen_channel = channel_stats(connection->channel);
}

static void delivery_release_channel(void *corpse) {
        channel_free(corpse);
}

static int delivery_new_channel(Connection *connection, int *ret_app_fd, Reason *reason) {
        g_autoptr(Channel) channel = NULL;
        g_autofd int app_fd = -1;
        int r;

        r = channel_new(&channel, &app_fd);
        if (r < 0)
                return fault(r);
        if (r > 0)
                return reason_set(reason, RELAY_E_QUOTA,
                                  "The service has no file descriptor left; try again later");

        r = sd_event_add_io(connection->relay->event, &connection->channel_source,
                            channel_fd(channel), EPOLLIN, on_channel_event, connection);
        if (r < 0)
                return fault(r);

        connection->channel = g_steal_pointer(&channel);
        *ret_app_fd = autofd_steal(&app_fd);
        return 0;
}

int connection_attach_channel(Connection *connection, int *ret_app_fd, Reason *reason) {
        int r;

        r = charges_add(&connection->charges, QUOTA_FDS, 1, reason);
        if (r)
                return r;

        r = charges_add(&connection->charges, QUOTA_BYTES, CHANNEL_BYTES, reason);
        if (r) {
                charges_drop(&connection->charges, QUOTA_FDS, 1);
                return r;
        }

        r = delivery_new_channel(connection, ret_app_fd, reason);
        if (r) {
                charges_drop(&connection->charges, QUOTA_FDS, 1);
                charges_drop(&connection->charges, QUOTA_BYTES, CHANNEL_BYTES);
                return r;
        }

        delivery_empty_queue(connection);
        return 0;
}

void connection_drop_channel(Connection *connection) {
        if (!connection->channel)
                return;

        if (connection->endpoint)
                endpoint_forget(connection->endpoint, connection);
        autofd_close(&connection->handing_fd);
        connection->handing_fd = -1;
        tally_channel(connection);
        connection->channel_source = sd_event_source_disable_unref(connection->channel_source);
        relay_bury(connection->relay, g_steal_pointer(&connection->channel),
                   delivery_release_channel);
        connection->seen_channel = (ChannelStats){0};
        charges_drop(&connection->charges, QUOTA_FDS, 1);
        charges_drop(&connection->charges, QUOTA_BYTES, CHANNEL_BYTES);
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

        egress_last(connection);
        connection_drop_channel(connection);
        connection_touch(connection);
        connection_schedule(connection);
}

int connection_seal(Connection *connection, const void *data, size_t size) {
        Relay *relay = connection->relay;
        int r;

        /* without DontFragment the kernel makes IP fragments of what the path does not take */
        if (connection->spec->dont_fragment && size > connection->data_mtu)
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
