/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Carrier: Transport "external": the application is the network. What DTLS wants sent goes to it
 * one by one, as signals, or into its carrier, a second channel whose packets are ciphertext; what
 * came it brings by a command, or writes there. A full carrier loses datagrams, as a full link
 * would.
 *
 * Here stand the two ends where a socket would be: out of endpoint_flush(), and into the session.
 * Knows: channels, hellos and their cookies. Does not know: sockets, D-Bus.
 */

#include "base/fault.h"
#include "relay/commands.h"

#include <sys/epoll.h>

#define CARRIER_BYTES ((uint64_t)2 * CHANNEL_BUFFER_DEFAULT)

static void carrier_tally(Connection *connection, TallyKind n, TallyKind bytes, uint64_t size) {
        tally_connection(connection, n, 1);
        tally_connection(connection, bytes, size);
}

static void carrier_tally_channel(Connection *connection) {
        ChannelStats *seen = &connection->seen_carrier;
        ChannelStats now = channel_stats(connection->carrier);

        tally_connection(connection, TALLY_DATAGRAMS_SENT, now.n_delivered - seen->n_delivered);
        tally_connection(connection, TALLY_BYTES_SENT,
                         now.n_delivered_bytes - seen->n_delivered_bytes);
        tally_connection(connection, TALLY_DROPPED_SOCKET_FULL,
                         now.n_dropped_full - seen->n_dropped_full);
        tally_connection(connection, TALLY_DROPPED_TRUNCATED,
                         now.n_dropped_too_long - seen->n_dropped_too_long);
        *seen = now;
}

/* ---- out ---- */

/* Whether somebody takes it. */
static bool carrier_signal(Connection *connection, const Datagram *out) {
        const Relay *relay = connection->relay;

        if (!relay->observer || !relay->observer->connection_send)
                return false;

        return relay->observer->connection_send(connection, out, relay->observer_userdata);
}

static void carrier_signal_all(Connection *connection, const DatagramBatch *net) {
        for (size_t i = 0; i < datagram_batch_count(net); i++) {
                Datagram out = datagram_batch_at(net, i);

                if (carrier_signal(connection, &out))
                        carrier_tally(connection, TALLY_DATAGRAMS_SENT, TALLY_BYTES_SENT, out.size);
                else
                        tally_connection(connection, TALLY_DROPPED_SOCKET_FULL, 1);
        }
}

void carrier_send(Connection *connection, const DatagramBatch *net) {
        if (!connection->carrier) {
                carrier_signal_all(connection, net);
                return;
        }

        /* that the other end is closed is seen when it is read */
        (void)channel_deliver(connection->carrier, net);
        carrier_tally_channel(connection);
}

/* ---- in ---- */

int carrier_prove(Connection *connection, const Datagram *in, Hello *ret) {
        Relay *relay = connection->relay;
        int r;

        if (!connection->spec->cookies)
                return hello_parse(in->data, in->size, ret);

        r = cookie_check(connection->jar, relay_now(relay), in, relay->net, ret);
        if (r == COOKIE_E_ASKED)
                tally_connection(connection, TALLY_COOKIES_ASKED, 1);
        else if (r > 0)
                tally_connection(connection, TALLY_DROPPED_STRANGER, 1);

        return r;
}

void carrier_received(Connection *connection, const Datagram *in) {
        carrier_tally(connection, TALLY_DATAGRAMS_RECEIVED, TALLY_BYTES_RECEIVED, in->size);
}

/* A server without an association greets as a listener does. */
static void carrier_greet(Connection *connection, const Datagram *in) {
        Reason reason;
        Hello hello;

        if (connection->spec->role != DTLS_SERVER || !address_is_set(&connection->spec->peer)) {
                tally_connection(connection, TALLY_DROPPED_STRANGER, 1);
                return;
        }

        datagram_batch_reset(connection->relay->net);
        if (carrier_prove(connection, in, &hello) == 0)
                (void)connection_begin_server(connection, in, &hello, &reason);
        else
                carrier_send(connection, connection->relay->net);

        datagram_batch_reset(connection->relay->net);
}

static void carrier_take_one(Connection *connection, const Datagram *in) {
        Relay *relay = connection->relay;
        int r;

        carrier_received(connection, in);
        if (!connection->session) {
                carrier_greet(connection, in);
                return;
        }

        connection_prepare(connection);
        r = session_receive(connection->session, relay_now(relay), in, relay->net, relay->app);
        connection_finish(connection, r);
}

static void carrier_lost(Connection *connection, int r) {
        connection_drop_carrier(connection);
        connection_set_error(connection, DTLS_UNDERLYING_SOCKET_ERROR,
                             r < 0 ? "The carrier failed"
                                   : "The carrier was closed; open another one");
        if (!connection->session)
                return;

        connection->endpoint->over = true; /* nothing can be sent any more */
        connection_end(connection, END_FAILED);
}

static void on_carrier_event(uint32_t events, void *userdata) {
        Connection *connection = userdata;
        Relay *relay = connection->relay;
        int r;

        datagram_batch_reset(relay->rx);
        datagram_batch_address(relay->rx, &connection->spec->peer, &connection->local);
        r = channel_collect(connection->carrier, relay->rx, CHANNEL_PACKETS_MAX);
        carrier_tally_channel(connection);

        for (size_t i = 0; !connection->gone && i < datagram_batch_count(relay->rx); i++) {
                Datagram in = datagram_batch_at(relay->rx, i);

                carrier_take_one(connection, &in);
        }

        if (r && connection->carrier)
                carrier_lost(connection, r);
}

/* ---- birth and death ---- */

static void carrier_release(void *corpse) {
        channel_free(corpse);
}

static int carrier_open(Connection *connection, int *ret_app_fd, Reason *reason) {
        g_autoptr(Channel) carrier = NULL;
        g_autofd int app_fd = -1;
        int r;

        r = channel_new(&carrier, &app_fd);
        if (r < 0)
                return fault(r);
        if (r > 0)
                return reason_set(reason, RELAY_E_QUOTA,
                                  "The service has no file descriptor left; try again later");

        r = watch_new(connection->relay, connection->charges.uid, channel_fd(carrier), EPOLLIN,
                      on_carrier_event, connection, &connection->carrier_watch);
        if (r < 0)
                return fault(r);

        connection->carrier = g_steal_pointer(&carrier);
        connection->seen_carrier = (ChannelStats){0};
        *ret_app_fd = autofd_steal(&app_fd);
        return 0;
}

int connection_attach_carrier(Connection *connection, int *ret_app_fd, Reason *reason) {
        int r;

        r = charges_add(&connection->charges, QUOTA_FDS, 1, reason);
        if (r)
                return r;

        r = charges_add(&connection->charges, QUOTA_BYTES, CARRIER_BYTES, reason);
        if (r) {
                charges_drop(&connection->charges, QUOTA_FDS, 1);
                return r;
        }

        r = carrier_open(connection, ret_app_fd, reason);
        if (r) {
                charges_drop(&connection->charges, QUOTA_FDS, 1);
                charges_drop(&connection->charges, QUOTA_BYTES, CARRIER_BYTES);
        }

        return r;
}

void connection_drop_carrier(Connection *connection) {
        if (!connection->carrier)
                return;

        connection->carrier_watch = watch_free(connection->carrier_watch);
        relay_bury(connection->relay, g_steal_pointer(&connection->carrier), carrier_release);
        charges_drop(&connection->charges, QUOTA_FDS, 1);
        charges_drop(&connection->charges, QUOTA_BYTES, CARRIER_BYTES);
}
