/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ingress: a datagram's way in, in the order things happen: off the socket, whose is it, decrypt,
 * to the application, and what DTLS wants said back.
 */

#include "base/fault.h"
#include "relay/private.h"

#include <sys/epoll.h>

static void ingress_known(Relay *relay, Connection *connection, const Datagram *in) {
        int r;

        connection_prepare(connection);
        tally_received(connection, in);

        r = session_receive(connection->session, relay_now(relay), in, relay->net, relay->app);
        connection_went_on(connection, r);
}

/* A restarted peer has two associations for a while (replace.c): what the elder does not take is
 * the younger's. */
static void ingress_associated(Relay *relay, Connection *connection, const Datagram *in) {
        Connection *first = replace_route(connection, in);
        Connection *second;

        if (!first)
                return;

        ingress_known(relay, first, in);
        second = replace_second(first, in);
        if (second)
                ingress_known(relay, second, in);
}

static void ingress_stranger(Relay *relay, Endpoint *endpoint, const Datagram *in) {
        Connection *connection;

        /* a client's socket without its client: both are about to go */
        if (!endpoint->listener)
                return;

        connection = listener_greet(endpoint->listener, in);
        if (connection)
                ingress_known(relay, connection, in);
}

static void ingress_take(Endpoint *endpoint) {
        Relay *relay = endpoint->relay;
        bool more;
        int r;

        r = udp_receive(endpoint->udp, relay->rx, &more);
        if (r < 0) {
                endpoint_fail(endpoint, fault(r));
                return;
        }

        tally_endpoint(endpoint);
        if (endpoint->connection)
                connection_follow_path(endpoint->connection, /* at_once= */ false);
        for (size_t i = 0; i < datagram_batch_count(relay->rx); i++) {
                Datagram in = datagram_batch_at(relay->rx, i);
                Connection *connection = endpoint_find(endpoint, &in);

                endpoint_make_room(endpoint);
                if (connection)
                        ingress_associated(relay, connection, &in);
                else
                        ingress_stranger(relay, endpoint, &in);
        }

        endpoint_flush(endpoint);
        trunks_flush(relay);
}

int on_udp_event(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Endpoint *endpoint = userdata;

        if (events & EPOLLOUT)
                endpoint_drain(endpoint);

        /* errors wait in the socket too, and it is not quiet before they are taken */
        if (!endpoint->over && (events & (EPOLLIN | EPOLLERR)))
                ingress_take(endpoint);

        return 0; /* always: a negative return would switch this source off */
}
