/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Egress: a datagram's way out: from the application, encrypt, to the socket. When the socket is
 * full the channel is not read until it drains, so that the application feels it as a full fd.
 */

#include "base/fault.h"
#include "relay/private.h"

#define EGRESS_LAST_ROUNDS 256 /* more than a channel's buffer holds, in turns of the smallest */

/* False: the session is over and the rest has nowhere to go. */
static bool egress_one(Connection *connection, const Datagram *plain) {
        int r;

        r = connection_seal(connection, plain->data, plain->size);
        if (r < 0) {
                connection_fail(connection, fault(r));
                return false;
        }
        if (r == SESSION_E_TOO_LONG)
                tally_connection(connection, TALLY_DROPPED_TOO_LONG, 1);
        else if (r == SESSION_E_NO_ROOM)
                tally_connection(connection, TALLY_DROPPED_SOCKET_FULL, 1);
        else if (r > 0)
                connection_went_on(connection, r == SESSION_E_FAILED ? r : 0);

        return connection->session;
}

/* Takes a batch of at most @n_take off the channel and sends at most @n_max of it; what
 * channel_collect() says. */
static int egress_turn(Outlet *outlet, size_t n_take, size_t n_max) {
        Connection *connection = outlet->connection;
        Relay *relay = connection->relay;
        Endpoint *endpoint = connection->endpoint;
        bool alive = true;
        size_t n, n_sent;
        int r;

        datagram_batch_reset(relay->out);
        r = channel_collect(outlet->channel, relay->out, n_take);
        tally_outlet(outlet);
        n = datagram_batch_count(relay->out);
        n_sent = MIN(n, n_max);
        quota_sent(relay->quota, outlet->charges.uid, n_sent);
        relay->n_passed += n_sent;

        connection_prepare(connection);
        for (size_t i = 0; alive && i < n_sent; i++) {
                Datagram plain = datagram_batch_at(relay->out, i);

                alive = egress_one(connection, &plain);
        }

        endpoint_flush(endpoint);
        if (n > n_sent)
                tally_connection(connection, TALLY_DROPPED_QUOTA, n - n_sent);
        if (n > 0) {
                connection_touch(connection);
                tally_direct(connection);
                connection_follow_path(connection, /* at_once= */ false);
        }

        return r;
}

static int egress_readable(Outlet *outlet) {
        Endpoint *endpoint = outlet->connection->endpoint;
        uint64_t n_max;

        if (!(outlet->rights & SHARE_WRITE))
                return CHANNEL_E_HANGUP; /* all that there is to read of one that may not write */

        if (endpoint_is_full(endpoint)) {
                endpoint_pause(endpoint, outlet);
                return 0;
        }

        n_max = pace_allows(endpoint->relay, outlet->charges.uid, 0);
        if (n_max == 0) {
                outlet_wait(outlet);
                return 0;
        }

        return egress_turn(outlet, n_max, n_max);
}

void on_channel_event(uint32_t events, void *userdata) {
        Outlet *outlet = userdata;
        bool is_full = false;
        int r = 0;

        if (events & EPOLLHUP)
                channel_note_hangup(outlet->channel);
        if (events & EPOLLOUT) {
                r = outlet_go_on(outlet);
                tally_outlet(outlet);
                is_full = r == CHANNEL_E_FULL;
                if (is_full || (r == CHANNEL_E_HANGUP && outlet->stopped))
                        r = 0; /* it is seen again behind what is still to be read */
        }
        if (r == 0 && events & ~(uint32_t)EPOLLOUT && !outlet->stopped)
                r = egress_readable(outlet);

        /* what was full for want of memory is no fuller when there is some: nothing would tell */
        if (r && outlet->channel)
                outlet_lost(outlet, r);
        else if (outlet->channel && (is_full || channel_has_more(outlet->channel)))
                outlet_listen(outlet);
}

/* As far as the user may send so much, a second's ahead; the rest is dropped. */
void egress_last(Outlet *outlet) {
        const Connection *connection = outlet->connection;
        uint64_t n_max;
        int r = 0;

        for (int i = 0; r == 0 && i < EGRESS_LAST_ROUNDS; i++) {
                if (!outlet->channel || !connection->session || !(outlet->rights & SHARE_WRITE))
                        return;

                n_max = pace_allows(connection->relay, outlet->charges.uid, QUOTA_AHEAD_USEC);
                r = egress_turn(outlet, CHANNEL_PACKETS_MAX, n_max);
                if (datagram_batch_count(connection->relay->out) == 0)
                        return;
        }
}
