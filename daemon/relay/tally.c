/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tally: what is counted and under which name it is shown. The engines below count for themselves;
 * here their counts become a connection's, its listener's and the service's, which live longer.
 *
 * Knows: the engines' statistics. Does not know: why anything happened.
 */

#include "relay/private.h"

static const char *const tally_names[N_TALLY_KINDS] = {
        [TALLY_DATAGRAMS_RECEIVED] = "DatagramsReceived",
        [TALLY_DATAGRAMS_SENT] = "DatagramsSent",
        [TALLY_BYTES_RECEIVED] = "BytesReceived",
        [TALLY_BYTES_SENT] = "BytesSent",
        [TALLY_RECORDS_ACCEPTED] = "RecordsAccepted",
        [TALLY_RECORDS_DIRECT] = "RecordsDirect",
        [TALLY_DELIVERED] = "DatagramsDelivered",
        [TALLY_COLLECTED] = "DatagramsCollected",
        [TALLY_DROPPED_FILTER] = "DroppedFilter",
        [TALLY_DROPPED_NOT_AUTHENTIC] = "DroppedNotAuthentic",
        [TALLY_DROPPED_EARLY] = "DroppedEarly",
        [TALLY_DROPPED_APP_FULL] = "DroppedAppFull",
        [TALLY_DROPPED_SHARED_FULL] = "DroppedSharedFull",
        [TALLY_DROPPED_QUEUE_FULL] = "DroppedQueueFull",
        [TALLY_DROPPED_STRANGER] = "DroppedStranger",
        [TALLY_DROPPED_TOO_LONG] = "DroppedTooLong",
        [TALLY_DROPPED_SOCKET_FULL] = "DroppedSocketFull",
        [TALLY_DROPPED_REFUSED] = "DroppedRefused",
        [TALLY_DROPPED_SOURCE] = "DroppedSource",
        [TALLY_DROPPED_TRUNCATED] = "DroppedTruncated",
        [TALLY_DROPPED_QUOTA] = "DroppedQuota",
        [TALLY_COOKIES_ASKED] = "CookiesAsked",
        [TALLY_HANDSHAKES_STARTED] = "HandshakesStarted",
        [TALLY_HANDSHAKES_COMPLETED] = "HandshakesCompleted",
        [TALLY_HANDSHAKES_FAILED] = "HandshakesFailed",
        [TALLY_TIMEOUTS] = "Timeouts",
        [TALLY_RETRANSMISSIONS] = "Retransmissions",
        [TALLY_REPLACED] = "Replaced",
        [TALLY_ICMP_ERRORS] = "IcmpErrors",
        [TALLY_DROPPED_NOT_OPEN] = "DroppedNotOpen",
        [TALLY_PSKS_RESTED] = "PsksRested",
        [TALLY_DROPPED_FRAMES] = "DroppedFrames",
};

Counters tally_counters(const Tally *tally) {
        Counters counters = {.n = N_TALLY_KINDS};

        for (size_t i = 0; i < N_TALLY_KINDS; i++)
                counters.at[i] = (Counter){.name = tally_names[i], .value = tally->at[i]};

        return counters;
}

void tally_listener(Listener *listener, TallyKind kind, uint64_t n) {
        listener->tally.at[kind] += n;
        listener->relay->tally.at[kind] += n;
}

void tally_connection(Connection *connection, TallyKind kind, uint64_t n) {
        if (n == 0)
                return; /* nor has it to be looked for in memory */

        connection->tally.at[kind] += n;

        if (connection->listener)
                tally_listener(connection->listener, kind, n);
        else
                connection->relay->tally.at[kind] += n;
}

void tally_direct(Connection *connection) {
        uint64_t n_direct;

        if (!connection->session)
                return;

        n_direct = session_records_direct(connection->session);
        tally_connection(connection, TALLY_RECORDS_DIRECT,
                         n_direct - connection->seen_session.n_direct);
        connection->seen_session.n_direct = n_direct;
}

void tally_went_by(Connection *connection) {
        uint64_t n = session_records_accepted(connection->session);

        tally_connection(connection, TALLY_RECORDS_ACCEPTED,
                         n - connection->seen_session.n_records_accepted);
        connection->seen_session.n_records_accepted = n;
        tally_direct(connection);
}

void tally_session(Connection *connection) {
        SessionStats *seen = &connection->seen_session;
        SessionStats now;

        if (!connection->session)
                return;

        now = session_stats(connection->session);
        tally_connection(connection, TALLY_RECORDS_ACCEPTED,
                         now.n_records_accepted - seen->n_records_accepted);
        tally_connection(connection, TALLY_DROPPED_FILTER,
                         now.n_dropped_filter - seen->n_dropped_filter);
        tally_connection(connection, TALLY_DROPPED_EARLY,
                         now.n_dropped_queue - seen->n_dropped_queue);
        tally_connection(connection, TALLY_DROPPED_NOT_AUTHENTIC,
                         now.n_discarded - seen->n_discarded);
        tally_direct(connection);
        tally_connection(connection, TALLY_TIMEOUTS, now.n_timeouts - seen->n_timeouts);
        tally_connection(connection, TALLY_RETRANSMISSIONS,
                         now.n_flights_resent - seen->n_flights_resent);
        tally_connection(connection, TALLY_DROPPED_SOCKET_FULL,
                         now.n_dropped_net_full - seen->n_dropped_net_full);
        tally_connection(connection, TALLY_DROPPED_APP_FULL,
                         now.n_dropped_app_full - seen->n_dropped_app_full);

        if (now.n_records_accepted != seen->n_records_accepted)
                connection_touch(connection);

        *seen = now;
}

void tally_outlet(Outlet *outlet) {
        Connection *connection = outlet->connection;
        ChannelStats now = channel_stats(outlet->channel);
        const ChannelStats *seen = &outlet->seen;

        /* what others see is no second delivery */
        if (outlet->is_owners)
                tally_connection(connection, TALLY_DELIVERED, now.n_delivered - seen->n_delivered);
        tally_connection(connection, TALLY_COLLECTED, now.n_collected - seen->n_collected);
        tally_connection(connection,
                         outlet->is_owners ? TALLY_DROPPED_APP_FULL : TALLY_DROPPED_SHARED_FULL,
                         now.n_dropped_full - seen->n_dropped_full);
        tally_connection(connection, TALLY_DROPPED_TOO_LONG,
                         now.n_dropped_too_long - seen->n_dropped_too_long);
        outlet->seen = now;
}

static void tally_socket(Endpoint *endpoint, TallyKind kind, uint64_t n) {
        if (endpoint->listener)
                tally_listener(endpoint->listener, kind, n);
        else if (endpoint->connection)
                tally_connection(endpoint->connection, kind, n);
        else
                endpoint->relay->tally.at[kind] += n;
}

void tally_endpoint(Endpoint *endpoint) {
        UdpStats now = udp_stats(endpoint->udp);
        UdpStats *seen = &endpoint->seen;

        tally_socket(endpoint, TALLY_DATAGRAMS_RECEIVED, now.n_received - seen->n_received);
        tally_socket(endpoint, TALLY_DATAGRAMS_SENT, now.n_sent - seen->n_sent);
        tally_socket(endpoint, TALLY_BYTES_RECEIVED, now.bytes_received - seen->bytes_received);
        tally_socket(endpoint, TALLY_BYTES_SENT, now.bytes_sent - seen->bytes_sent);
        tally_socket(endpoint, TALLY_DROPPED_SOURCE, now.n_dropped_source - seen->n_dropped_source);
        tally_socket(endpoint, TALLY_DROPPED_TRUNCATED,
                     now.n_dropped_truncated - seen->n_dropped_truncated);
        tally_socket(endpoint, TALLY_DROPPED_REFUSED,
                     now.n_dropped_refused - seen->n_dropped_refused);
        tally_socket(endpoint, TALLY_DROPPED_SOCKET_FULL,
                     now.n_dropped_full - seen->n_dropped_full);
        tally_socket(endpoint, TALLY_ICMP_ERRORS, now.n_icmp - seen->n_icmp);
        *seen = now;
}

void tally_received(Connection *connection, const Datagram *in) {
        if (!connection->listener)
                return;

        connection->tally.at[TALLY_DATAGRAMS_RECEIVED]++;
        connection->tally.at[TALLY_BYTES_RECEIVED] += in->size;
}

void tally_sent(Connection *connection) {
        Relay *relay = connection->relay;
        size_t n = datagram_batch_count(relay->net);

        for (size_t i = relay->net_mark; connection->listener && i < n; i++) {
                connection->tally.at[TALLY_DATAGRAMS_SENT]++;
                connection->tally.at[TALLY_BYTES_SENT] += datagram_batch_at(relay->net, i).size;
        }

        relay->net_mark = n;
}
