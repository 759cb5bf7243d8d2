/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ingress: a datagram's way in, in the order things happen: off the socket, whose is it, decrypt,
 * to the application, and what DTLS wants said back.
 */

#include "base/fault.h"
#include "relay/private.h"

#include <sys/epoll.h>

#define INGRESS_RUN_MAX 64 /* datagrams; the reader need not wait for all of a long turn */
/* Of one turn, for handshakes: some three by certificate. What is over waits for the next one, at
 * most so much of it. */
#define INGRESS_SHAKE_USEC 500
#define INGRESS_LATER_DATAGRAMS 512
#define INGRESS_LATER_BYTES ((size_t)256 * 1024)

/* One turn of one socket. */
typedef struct Ingress {
        Endpoint *endpoint;
        uint64_t now_usec;
        Connection *run;         /* see below; NULL: none */
        gint64 shake_until_usec; /* 0: nothing but established traffic so far */
} Ingress;

/* ---- known ---- */

/* Datagrams of one open connection, one behind the other, are a run: what they bring goes to the
 * application together, in as few calls as there are. */
static void ingress_end_run(Ingress *turn, int r) {
        Connection *connection = turn->run;

        turn->run = NULL;
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

static void ingress_known(Ingress *turn, Connection *connection, const Datagram *in) {
        Relay *relay = turn->endpoint->relay;
        int r;

        if (turn->run != connection) {
                ingress_end_run(turn, 0);
                if (!connection->session)
                        return;

                connection_prepare(connection);
                turn->run = connection;
        }

        tally_received(connection, in);
        r = session_receive(connection->session, turn->now_usec, in, relay->net, relay->app);
        if (r || !ingress_may_go_on(connection))
                ingress_end_run(turn, r);
}

/* A restarted peer has two associations for a while (replace.c): what the elder does not take is
 * the younger's. */
static void ingress_associated(Ingress *turn, Connection *connection, const Datagram *in) {
        Connection *first = replace_route(connection, in);
        Connection *second;

        if (!first)
                return;

        ingress_known(turn, first, in);
        second = replace_second(first, in);
        if (second)
                ingress_known(turn, second, in);
}

/* ---- unknown ---- */

static void ingress_stranger(Ingress *turn, const Datagram *in) {
        Connection *connection;

        /* a client's socket without its client: both are about to go */
        if (!turn->endpoint->listener)
                return;

        connection = listener_greet(turn->endpoint->listener, in);
        if (connection)
                ingress_known(turn, connection, in);
}

/* ---- handshakes, which give way ---- */

static bool ingress_is_established(const Connection *connection, const Datagram *in) {
        return connection && connection->state == HANDSHAKE_COMPLETE && !replace_is_plaintext(in);
}

static bool ingress_may_shake(Ingress *turn) {
        gint64 now_usec = g_get_monotonic_time(); /* the loop's stands still in a turn */

        if (turn->shake_until_usec == 0)
                turn->shake_until_usec = now_usec + INGRESS_SHAKE_USEC;

        return now_usec < turn->shake_until_usec;
}

static void ingress_postpone(Endpoint *endpoint, const Datagram *in) {
        Connection *connection = endpoint_find(endpoint, in);

        if (!endpoint->later)
                endpoint->later = datagram_batch_new(INGRESS_LATER_DATAGRAMS, INGRESS_LATER_BYTES);

        datagram_batch_address(endpoint->later, &in->peer, &in->local);
        if (datagram_batch_append(endpoint->later, in->data, in->size))
                endpoint_listen(endpoint);
        else if (connection)
                tally_connection(connection, TALLY_DROPPED_EARLY, 1);
        else if (endpoint->listener)
                tally_listener(endpoint->listener, TALLY_DROPPED_STRANGER, 1);
}

/* ---- whatever it is ---- */

static void ingress_one(Ingress *turn, const Datagram *in, Connection *connection) {
        if (!turn->run)
                endpoint_make_room(turn->endpoint);

        if (connection)
                ingress_associated(turn, connection, in);
        else
                ingress_stranger(turn, in);
}

static void ingress_sort(Ingress *turn) {
        Endpoint *endpoint = turn->endpoint;
        DatagramBatch *rx = endpoint->relay->rx;

        for (size_t i = 0; i < datagram_batch_count(rx); i++) {
                Datagram in = datagram_batch_at(rx, i);
                Connection *connection = endpoint_find(endpoint, &in);

                if (turn->run && turn->run != connection) {
                        ingress_end_run(turn, 0);
                        connection = endpoint_find(endpoint, &in);
                }

                if (ingress_is_established(connection, &in)) {
                        ingress_one(turn, &in, connection);
                        continue;
                }

                /* what is in the clear may be about another association at the same address */
                ingress_end_run(turn, 0);
                if (endpoint_has_later(endpoint) || !ingress_may_shake(turn))
                        ingress_postpone(endpoint, &in);
                else
                        ingress_one(turn, &in, endpoint_find(endpoint, &in));
        }
}

/* A listener may need the place again any moment; a connection of its own shakes hands but once. */
static void ingress_is_caught_up(Endpoint *endpoint) {
        if (endpoint->listener)
                datagram_batch_reset(endpoint->later);
        else
                endpoint->later = datagram_batch_free(endpoint->later);
        endpoint->later_index = 0;
        endpoint_listen(endpoint);
}

/* What earlier turns had no time for, the oldest first. */
static void ingress_catch_up(Ingress *turn) {
        Endpoint *endpoint = turn->endpoint;

        while (!endpoint->over && endpoint_has_later(endpoint) && ingress_may_shake(turn)) {
                Datagram in = datagram_batch_at(endpoint->later, endpoint->later_index++);

                ingress_end_run(turn, 0);
                ingress_one(turn, &in, endpoint_find(endpoint, &in));
        }

        if (endpoint->later && !endpoint_has_later(endpoint))
                ingress_is_caught_up(endpoint);
}

static int ingress_receive(Endpoint *endpoint) {
        bool more;
        int r;

        r = udp_receive(endpoint->udp, endpoint->relay->rx, &more);
        if (r < 0)
                return fault(r);

        tally_endpoint(endpoint);
        if (endpoint->connection)
                connection_follow_path(endpoint->connection, /* at_once= */ false);
        return 0;
}

static void ingress_take(Endpoint *endpoint, bool is_readable) {
        Ingress turn = {.endpoint = endpoint, .now_usec = relay_now(endpoint->relay)};
        int r = 0;

        if (is_readable)
                r = ingress_receive(endpoint);
        else
                datagram_batch_reset(endpoint->relay->rx);
        if (r < 0) {
                endpoint_fail(endpoint, fault(r));
                return;
        }

        ingress_sort(&turn);
        ingress_catch_up(&turn);
        ingress_end_run(&turn, 0);
        endpoint_flush(endpoint);
        trunks_flush(endpoint->relay);
}

int on_udp_event(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Endpoint *endpoint = userdata;

        if (events & EPOLLOUT)
                endpoint_drain(endpoint);

        /* errors wait in the socket too, and it is not quiet before they are taken */
        if (!endpoint->over)
                ingress_take(endpoint, events & (EPOLLIN | EPOLLERR));

        return 0; /* always: a negative return would switch this source off */
}
