/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ingress: a datagram's way in, in the order things happen: off the socket, whose is it, decrypt,
 * to the application, and what DTLS wants said back.
 */

#include "base/fault.h"
#include "base/prefetch.h"
#include "relay/private.h"

#define INGRESS_RUN_MAX 64   /* datagrams; the reader need not wait for all of a long turn */
#define INGRESS_FLIGHT_MAX 8 /* datagrams of a handshake that are taken together */
#define INGRESS_AHEAD 16     /* datagrams of several peers that are looked for together */
/* What is put aside of a socket's, of either kind. */
#define INGRESS_LATER_DATAGRAMS 512
#define INGRESS_LATER_BYTES ((size_t)256 * 1024)

/* One turn of one socket. */
typedef struct Ingress {
        Endpoint *endpoint;
        uint64_t now_usec;
        Connection *run;                     /* see below; NULL: none */
        bool run_is_direct;                  /* session_went_direct() */
        gint64 shook_usec, shake_until_usec; /* 0: nothing but established traffic so far */
} Ingress;

/* ---- known ---- */

/* Datagrams of one open connection, one behind the other, are a run: what they bring goes to the
 * application together, in as few calls as there are. */
static void ingress_end_run(Ingress *turn, int r) {
        Connection *connection = turn->run;

        turn->run = NULL;
        if (!connection)
                return;

        if (r == 0 && turn->run_is_direct)
                connection_went_by(connection);
        else
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

/* As connection_prepare(): its peer is where that came from. */
static void ingress_begin_run(Ingress *turn, Connection *connection, const Datagram *in) {
        static const Address any = {0};
        Relay *relay = connection->relay;

        relay->net_mark = datagram_batch_count(relay->net);
        datagram_batch_reset(relay->app);
        datagram_batch_address(relay->net, &in->peer, connection->listener ? &in->local : &any);
        turn->run = connection;
        turn->run_is_direct = true;
}

static void ingress_known(Ingress *turn, Connection *connection, const Datagram *in, size_t n) {
        Relay *relay = turn->endpoint->relay;
        int r;

        if (turn->run != connection) {
                ingress_end_run(turn, 0);
                if (!connection->session)
                        return;

                ingress_begin_run(turn, connection, in);
        }

        for (size_t i = 0; i < n; i++)
                tally_received(connection, &in[i]);
        r = session_receive_all(connection->session, turn->now_usec, in, n, relay->net, relay->app);
        turn->run_is_direct &= session_went_direct(connection->session);
        if (r || !ingress_may_go_on(connection))
                ingress_end_run(turn, r);
}

/* A restarted peer has two associations for a while (replace.c): what the elder does not take is
 * the younger's. */
static void ingress_associated(Ingress *turn, Connection *connection, const Datagram *in,
                               size_t n) {
        Connection *first = replace_route(connection, in);
        Connection *second;

        if (!first)
                return;

        ingress_known(turn, first, in, n);
        second = replace_second(first, in);
        if (second)
                ingress_known(turn, second, in, n);
}

/* ---- unknown ---- */

static void ingress_stranger(Ingress *turn, const Datagram *in) {
        Connection *connection;

        /* a client's socket without its client: both are about to go */
        if (!turn->endpoint->listener)
                return;

        connection = listener_greet(turn->endpoint->listener, in);
        if (connection)
                ingress_known(turn, connection, in, 1);
}

/* ---- handshakes, which give way ---- */

static bool ingress_is_established(const Connection *connection, const Datagram *in) {
        return connection && connection->state == HANDSHAKE_COMPLETE && !replace_is_plaintext(in);
}

static bool ingress_may_shake(Ingress *turn) {
        gint64 now_usec = g_get_monotonic_time(); /* the loop's stands still in a turn */

        if (turn->shake_until_usec == 0) {
                turn->shook_usec = now_usec;
                turn->shake_until_usec = now_usec + shakes_allowance(turn->endpoint, now_usec);
        }

        return now_usec < turn->shake_until_usec;
}

/* Who proves an address anew begins, whatever there is at it. */
static LaterKind ingress_kind(const Connection *connection, const Datagram *in) {
        return connection && (!replace_is_plaintext(in) || replace_is_of_flight(in)) ? LATER_GOES_ON
                                                                                     : LATER_BEGINS;
}

static void ingress_postpone(Endpoint *endpoint, const Datagram *in) {
        Connection *connection;
        Later *later;

        if (endpoint->over) /* ended by a datagram before this one: it has no turn again */
                return;

        connection = endpoint_find(endpoint, in);
        later = &endpoint->later[ingress_kind(connection, in)];
        if (!later->batch)
                later->batch = datagram_batch_new(INGRESS_LATER_DATAGRAMS, INGRESS_LATER_BYTES);

        datagram_batch_address(later->batch, &in->peer, &in->local);
        if (datagram_batch_append(later->batch, in->data, in->size))
                shakes_wait(endpoint);
        else if (connection)
                tally_connection(connection, TALLY_DROPPED_EARLY, 1);
        else if (endpoint->listener)
                tally_listener(endpoint->listener, TALLY_DROPPED_STRANGER, 1);
}

/* Of a peer that shakes hands what lies side by side is taken together: its flight. Not so where
 * each datagram has to be looked at (replace.c), and data comes behind. */
static size_t ingress_read_flight(const Connection *connection, const DatagramBatch *batch,
                                  size_t first, Datagram flight[static INGRESS_FLIGHT_MAX]) {
        const size_t count = MIN(datagram_batch_count(batch) - first, (size_t)INGRESS_FLIGHT_MAX);
        size_t n = 1;

        flight[0] = datagram_batch_at(batch, first);
        if (!connection || connection->state == HANDSHAKE_COMPLETE || connection->successor ||
            !replace_is_of_flight(&flight[0]))
                return n;

        for (; n < count; n++) {
                flight[n] = datagram_batch_at(batch, first + n);
                if (!address_equal(&flight[n].peer, &flight[0].peer) ||
                    !address_equal(&flight[n].local, &flight[0].local) ||
                    !replace_is_of_flight(&flight[n]))
                        break;
        }

        return n;
}

/* ---- whatever it is ---- */

static void ingress_some(Ingress *turn, const Datagram *in, size_t n, Connection *connection) {
        if (!turn->run)
                endpoint_make_room(turn->endpoint);

        if (connection)
                ingress_associated(turn, connection, in, n);
        else
                ingress_stranger(turn, in);
}

/* Returns how many datagrams of @batch these were. What is in the clear may be about another
 * association at the same address. */
static size_t ingress_shake(Ingress *turn, const DatagramBatch *batch, size_t first) {
        Datagram flight[INGRESS_FLIGHT_MAX];
        Connection *connection;
        size_t n;

        ingress_end_run(turn, 0);
        flight[0] = datagram_batch_at(batch, first);
        connection = endpoint_find(turn->endpoint, &flight[0]);
        n = ingress_read_flight(connection, batch, first, flight);
        ingress_some(turn, flight, n, connection);
        return n;
}

static void ingress_passes(Ingress *turn, const Datagram *in, Connection *connection) {
        turn->endpoint->relay->n_passed++;
        ingress_some(turn, in, 1, connection);
}

/* One behind the other, each would wait for memory by itself: with very many peers that costs more
 * than all the rest. Of a peer that goes on there is nothing to look for. Returns up to where. */
static size_t ingress_look_ahead(Endpoint *endpoint, const DatagramBatch *rx, size_t first) {
        const size_t n = MIN(datagram_batch_count(rx) - first, (size_t)INGRESS_AHEAD);
        Connection *connections[INGRESS_AHEAD];
        Session *sessions[INGRESS_AHEAD];

        for (size_t i = 0; i < n; i++) {
                Datagram in = datagram_batch_at(rx, first + i);

                connections[i] = endpoint_find(endpoint, &in);
                if (connections[i])
                        memory_prefetch(connections[i],
                                        offsetof(Connection, tally.at[TALLY_COLLECTED]));
        }
        for (size_t i = 0; i < n; i++)
                sessions[i] = connections[i] ? connections[i]->session : NULL;
        session_prefetch(sessions, n);
        return first + n;
}

/* Whether others than the peer of this one come behind it. */
static bool ingress_is_mixed(const Endpoint *endpoint, const DatagramBatch *rx, size_t i) {
        Datagram this, next;

        if (!endpoint->listener || i + 1 >= datagram_batch_count(rx))
                return false;

        this = datagram_batch_at(rx, i);
        next = datagram_batch_at(rx, i + 1);
        return !address_equal(&this.peer, &next.peer) || !address_equal(&this.local, &next.local);
}

static void ingress_sort(Ingress *turn) {
        Endpoint *endpoint = turn->endpoint;
        DatagramBatch *rx = endpoint->relay->rx;
        size_t n, ahead = 0;

        for (size_t i = 0; i < datagram_batch_count(rx); i += n) {
                Datagram in = datagram_batch_at(rx, i);
                Connection *connection;

                if (i >= ahead && ingress_is_mixed(endpoint, rx, i))
                        ahead = ingress_look_ahead(endpoint, rx, i);

                connection = endpoint_find(endpoint, &in);
                if (turn->run && turn->run != connection) {
                        ingress_end_run(turn, 0);
                        connection = endpoint_find(endpoint, &in);
                }

                n = 1;
                if (ingress_is_established(connection, &in))
                        ingress_passes(turn, &in, connection);
                else if (endpoint_has_later(endpoint) || !ingress_may_shake(turn))
                        ingress_postpone(endpoint, &in);
                else
                        n = ingress_shake(turn, rx, i);
        }
}

/* A listener may need the place again any moment; a connection of its own shakes hands but once. */
static void ingress_is_caught_up(const Endpoint *endpoint, Later *later) {
        if (endpoint->listener)
                datagram_batch_reset(later->batch);
        else
                later->batch = datagram_batch_free(later->batch);
        later->index = 0;
}

static void ingress_end(Ingress *turn) {
        ingress_end_run(turn, 0);
        endpoint_flush(turn->endpoint);
}

void ingress_catch_up(Endpoint *endpoint, gint64 until_usec) {
        Ingress turn = {.endpoint = endpoint, .now_usec = relay_now(endpoint->relay)};

        do {
                Later *later = &endpoint->later[LATER_GOES_ON];

                if (!later_is_waiting(later))
                        later = &endpoint->later[LATER_BEGINS];
                later->index += ingress_shake(&turn, later->batch, later->index);
                if (!later_is_waiting(later))
                        ingress_is_caught_up(endpoint, later);
        } while (!endpoint->over && endpoint_has_later(endpoint) &&
                 g_get_monotonic_time() < until_usec);

        ingress_end(&turn);
}

static int ingress_receive(Endpoint *endpoint, bool *ret_more) {
        int r;

        r = udp_receive(endpoint->udp, endpoint->relay->rx, ret_more);
        if (r < 0)
                return fault(r);

        tally_endpoint(endpoint);
        if (endpoint->connection)
                connection_follow_path(endpoint->connection, /* at_once= */ false);
        return 0;
}

/* Whether something may be left. */
static bool ingress_take(Endpoint *endpoint) {
        Ingress turn = {.endpoint = endpoint, .now_usec = relay_now(endpoint->relay)};
        bool more;
        int r;

        r = ingress_receive(endpoint, &more);
        if (r < 0) {
                endpoint_fail(endpoint, fault(r));
                return false;
        }

        ingress_sort(&turn);
        if (turn.shake_until_usec > turn.shook_usec)
                shakes_spend(endpoint->relay, g_get_monotonic_time() - turn.shook_usec);
        ingress_end(&turn);
        return more;
}

void on_udp_event(uint32_t events, void *userdata) {
        Endpoint *endpoint = userdata;

        if (events & EPOLLOUT)
                endpoint_drain(endpoint);

        /* errors wait in the socket too, and it is not quiet before they are taken */
        if (!endpoint->over && events & (EPOLLIN | EPOLLERR) &&
            (ingress_take(endpoint) || events & EPOLLERR))
                endpoint_listen(endpoint);
}
