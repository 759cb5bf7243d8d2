/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Path: how much a datagram to a peer may hold. A listener asks the kernel once for all peers of
 * one host, and again when what it said is old: to ask costs as much as a tenth of a handshake.
 *
 * Knows: endpoints, who said what when. Does not know: how the kernel is asked.
 */

#include "relay/private.h"

static bool path_is_known(const Endpoint *endpoint, const Connection *connection) {
        const PathMemory *path = &endpoint->path;

        return path->payload > 0 && address_same_host(&path->peer, &connection->spec->peer) &&
               address_same_host(&path->local, &connection->local) &&
               path->n_too_long == udp_stats(endpoint->udp).n_too_long &&
               relay_now(endpoint->relay) < path->asked_usec + PATH_USEC;
}

static void path_ask(Endpoint *endpoint, const Connection *connection) {
        const Address *peer = &connection->spec->peer;

        endpoint->path = (PathMemory){
                .peer = *peer,
                .local = connection->local,
                .payload = udp_path_payload(endpoint->udp, &connection->local, peer),
                .n_too_long = udp_stats(endpoint->udp).n_too_long,
                .asked_usec = relay_now(endpoint->relay),
        };
}

/* What the path takes in one piece; of one that the caller carries, nothing is known. */
void path_measure(Connection *connection, bool at_once) {
        Endpoint *endpoint = connection->endpoint;

        if (endpoint->udp) {
                if (at_once || !path_is_known(endpoint, connection))
                        path_ask(endpoint, connection);

                connection->measured_usec = endpoint->path.asked_usec;
                connection->n_too_long = endpoint->path.n_too_long;
                if (endpoint->path.payload > 0)
                        session_set_path_mtu(connection->session, endpoint->path.payload);
        }

        connection->data_mtu = (uint32_t)session_data_mtu(connection->session);
}

/* The kernel says when a path has become narrower, to who sends, and never when it is wider. */
void connection_follow_path(Connection *connection, bool at_once) {
        uint32_t before = connection->data_mtu;
        const Udp *udp;

        if (!connection->session || connection->state != HANDSHAKE_COMPLETE)
                return;

        udp = connection->endpoint->udp;
        if (!udp)
                return;
        if (!at_once && connection->n_too_long == udp_stats(udp).n_too_long &&
            relay_now(connection->relay) < connection->measured_usec + PATH_USEC)
                return;

        path_measure(connection, at_once);
        if (connection->data_mtu == before)
                return;

        connection_changed(connection, CHANGED_MTU);
        lane_changed(connection->lane);
}
