/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ingress: a datagram's way in, in the order things happen: off the socket, whose is it, decrypt,
 * to the application, and what DTLS wants said back.
 */

#include "base/fault.h"
#include "relay/private.h"

#include <sys/epoll.h>

#define INGRESS_RUN_MAX 64 /* datagrams; the reader need not wait for all of a long turn */

/* Datagrams of one open connection, one behind the other: what they bring goes to the application
 * together, in as few calls as there are. */
static void ingress_end_run(Connection **run, int r) {
        Connection *connection = *run;

        *run = NULL;
        if (connection)
                connection_went_on(connection, r);
}

/* A run goes on while there is nothing else to do than to hand over. */
static bool ingress_may_go_on(const Connection *connection) {
        const Relay *relay = connection->relay;

        return connection->state == HANDSHAKE_COMPLETE &&
               datagram_batch_count(relay->net) == relay->net_mark &&
               datagram_batch_count(relay->app) < INGRESS_RUN_MAX &&
               datagram_batch_room(relay->app) >= DATAGRAM_SIZE_MAX;
}

static void ingress_known(Relay *relay, Connection *connection, const Datagram *in,
                          Connection **run) {
        int r;

        if (*run != connection) {
                ingress_end_run(run, 0);
                if (!connection->session)
                        return;

                connection_prepare(connection);
                *run = connection;
        }

        tally_received(connection, in);
        r = session_receive(connection->session, relay_now(relay), in, relay->net, relay->app);
        if (r || !ingress_may_go_on(connection))
                ingress_end_run(run, r);
}

/* A restarted peer has two associations for a while (replace.c): what the elder does not take is
 * the younger's. */
static void ingress_associated(Relay *relay, Connection *connection, const Datagram *in,
                               Connection **run) {
        Connection *first = replace_route(connection, in);
        Connection *second;

        if (!first)
                return;

        ingress_known(relay, first, in, run);
        second = replace_second(first, in);
        if (second)
                ingress_known(relay, second, in, run);
}

static void ingress_stranger(Relay *relay, Endpoint *endpoint, const Datagram *in,
                             Connection **run) {
        Connection *connection;

        /* a client's socket without its client: both are about to go */
        if (!endpoint->listener)
                return;

        connection = listener_greet(endpoint->listener, in);
        if (connection)
                ingress_known(relay, connection, in, run);
}

static void ingress_sort(Endpoint *endpoint) {
        Relay *relay = endpoint->relay;
        Connection *run = NULL;

        for (size_t i = 0; i < datagram_batch_count(relay->rx); i++) {
                Datagram in = datagram_batch_at(relay->rx, i);
                Connection *connection = endpoint_find(endpoint, &in);

                /* what is in the clear may be about another association at the same address */
                if (run && (run != connection || replace_is_plaintext(&in))) {
                        ingress_end_run(&run, 0);
                        connection = endpoint_find(endpoint, &in);
                }
                if (!run)
                        endpoint_make_room(endpoint);
                if (connection)
                        ingress_associated(relay, connection, &in, &run);
                else
                        ingress_stranger(relay, endpoint, &in, &run);
        }

        ingress_end_run(&run, 0);
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

        ingress_sort(endpoint);
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
