/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Endpoint: a bound socket with its claim on the address: a client's, connected to one peer, or a
 * listener's with many. What the socket does not take waits here, at most one batch, and while it
 * waits the channels of this endpoint are not read: the application feels a full fd.
 *
 * Knows: sockets' events, whose a datagram is. Does not know: DTLS.
 */

#include "base/fault.h"
#include "base/log.h"
#include "relay/private.h"

#include <string.h>

#define ENDPOINT_ROOM_DATAGRAMS                                                                    \
        64 /* more than the flights one call of a session may answer with                          \
            */
#define ENDPOINT_ROOM_BYTES ((size_t)128 * 1024)
#define ENDPOINT_PICKS_MAX 16 /* ports the kernel picks until the registry agrees */

static int endpoint_refuse_socket(const Address *local, int r, Reason *reason) {
        char text[ADDRESS_STRING_MAX];

        address_format_port(local, text);
        switch ((UdpOutcome)r) {
        case UDP_E_IN_USE:
                return reason_set(reason, RELAY_E_EXISTS,
                                  "%s belongs to a socket outside this service; choose another "
                                  "port, or 0 for a free one",
                                  text);
        case UDP_E_NOT_LOCAL:
                return reason_set(reason, RELAY_E_SOCKET, "%s is not an address of this machine",
                                  text);
        case UDP_E_NOT_ALLOWED:
                return reason_set(reason, RELAY_E_SOCKET,
                                  "The kernel does not allow %s; ports below 1024 need "
                                  "CAP_NET_BIND_SERVICE for the service",
                                  text);
        case UDP_E_NO_FDS:
                return reason_set(reason, RELAY_E_QUOTA,
                                  "The service has no file descriptor left; try again later");
        case UDP_E_UNREACHABLE:
        case UDP_E_FULL:
                break;
        }

        return reason_set(reason, RELAY_E_SOCKET, "Cannot open a socket at %s", text);
}

static int endpoint_claim(Endpoint *endpoint, uid_t uid, const Address *local, Reason *reason) {
        char text[ADDRESS_STRING_MAX];
        uid_t holder;
        int r;

        r = registry_claim(endpoint->relay->registry, local, uid, &endpoint->claim, &holder);
        if (r < 0)
                return fault(r);
        if (r > 0)
                return reason_set(reason, RELAY_E_EXISTS,
                                  "%s is taken by %s, or choose another port",
                                  address_format_port(local, text),
                                  holder == uid ? "another object of yours; close that"
                                                : "another user; ask the administrator, who sees "
                                                  "in Owner of each listener whose it is");

        return 0;
}

/* Port 0: the kernel picks, and picks again where the registry knows better. */
static int endpoint_pick(Endpoint *endpoint, uid_t uid, const Address *local, Reason *reason) {
        Address picked;
        int r = RELAY_E_EXISTS;

        for (int i = 0; r == RELAY_E_EXISTS && i < ENDPOINT_PICKS_MAX; i++) {
                endpoint->udp = udp_free(endpoint->udp);

                r = udp_new(local, &endpoint->udp);
                if (r < 0)
                        return fault(r);
                if (r > 0)
                        return endpoint_refuse_socket(local, r, reason);

                picked = udp_local(endpoint->udp);
                r = endpoint_claim(endpoint, uid, &picked, reason);
        }

        return r;
}

static int endpoint_bind(Endpoint *endpoint, uid_t uid, const Address *local, Reason *reason) {
        int r;

        if (address_port(local) == 0)
                return endpoint_pick(endpoint, uid, local, reason);

        /* the registry first: it knows who, the kernel only that */
        r = endpoint_claim(endpoint, uid, local, reason);
        if (r)
                return r;

        r = udp_new(local, &endpoint->udp);
        if (r < 0)
                return fault(r);
        if (r > 0)
                return endpoint_refuse_socket(local, r, reason);

        return 0;
}

int endpoint_new(Relay *relay, uid_t uid, const Address *local, Endpoint **ret, Reason *reason) {
        g_autoptr(Endpoint) endpoint = NULL;
        int r;

        endpoint = g_new0(Endpoint, 1);
        endpoint->relay = relay;
        endpoint->demux = demux_new();
        endpoint->paused = g_ptr_array_new();
        charges_init(&endpoint->charges, relay->quota, uid);

        r = charges_add(&endpoint->charges, QUOTA_FDS, 1, reason);
        if (r)
                return r;

        r = endpoint_bind(endpoint, uid, local, reason);
        if (r)
                return r;

        *ret = g_steal_pointer(&endpoint);
        return 0;
}

Endpoint *endpoint_new_external(Connection *connection) {
        Endpoint *endpoint = g_new0(Endpoint, 1);

        endpoint->relay = connection->relay;
        endpoint->connection = connection;
        endpoint->demux = demux_new();
        endpoint->paused = g_ptr_array_new();
        charges_init(&endpoint->charges, connection->relay->quota, connection->spec->uid);
        return endpoint;
}

int endpoint_connect(Endpoint *endpoint, const Address *peer, bool dont_fragment, Reason *reason) {
        char text[ADDRESS_STRING_MAX];
        int r;

        r = udp_connect(endpoint->udp, peer);
        if (r < 0)
                return fault(r);
        if (r == UDP_E_UNREACHABLE || r == UDP_E_NOT_LOCAL)
                return reason_set(reason, RELAY_E_SOCKET, "There is no route to %s from here",
                                  address_format_port(peer, text));
        if (r > 0)
                return reason_set(reason, RELAY_E_SOCKET, "The kernel does not allow sending to %s",
                                  address_format_port(peer, text));

        r = udp_set_dont_fragment(endpoint->udp, dont_fragment);
        if (r < 0)
                return fault(r);

        return 0;
}

void endpoint_judge_buffer(Relay *relay, size_t size) {
        if (size >= UDP_BUFFER_SIZE || relay->buffer_judged)
                return;

        relay->buffer_judged = true;
        log_warning(
                "The kernel holds %zu bytes of what a socket receives, and drops the rest of a "
                "burst; for more, set net.core.rmem_max to %zu (sysctl) and restart the service",
                size, UDP_BUFFER_SIZE);
}

int endpoint_start(Endpoint *endpoint) {
        int r;

        endpoint_judge_buffer(endpoint->relay, udp_receive_buffer(endpoint->udp));

        r = watch_new(endpoint->relay, endpoint->charges.uid, udp_fd(endpoint->udp),
                      EPOLLIN | EPOLLET, on_udp_event, endpoint, &endpoint->watch);
        if (r < 0)
                return fault(r);

        return 0;
}

Endpoint *endpoint_free(Endpoint *endpoint) {
        if (!endpoint)
                return NULL;

        g_assert(!endpoint->shaker);
        watch_free(endpoint->watch);
        udp_free(endpoint->udp);
        claim_release(endpoint->claim);
        demux_free(endpoint->demux);
        datagram_batch_free(endpoint->waiting);
        for (size_t i = 0; i < N_LATERS; i++)
                datagram_batch_free(endpoint->later[i].batch);
        g_ptr_array_unref(endpoint->paused);
        charges_done(&endpoint->charges);
        g_free(endpoint);
        return NULL;
}

static void endpoint_release(void *corpse) {
        endpoint_free(corpse);
}

void endpoint_bury(Endpoint *endpoint) {
        if (!endpoint)
                return;

        endpoint->over = true;
        endpoint->connection = NULL;
        endpoint->listener = NULL;
        shakes_forget(endpoint);
        endpoint->watch = watch_free(endpoint->watch);
        relay_bury(endpoint->relay, endpoint, endpoint_release);
}

Connection *endpoint_find(Endpoint *endpoint, const Datagram *in) {
        if (!endpoint->listener)
                return endpoint->connection;

        return demux_find(endpoint->demux, &in->peer, &in->local);
}

/* ---- a full socket ---- */

bool endpoint_is_full(const Endpoint *endpoint) {
        return endpoint->waiting;
}

bool later_is_waiting(const Later *later) {
        return later->batch && later->index < datagram_batch_count(later->batch);
}

bool endpoint_has_later(const Endpoint *endpoint) {
        for (size_t i = 0; i < N_LATERS; i++)
                if (later_is_waiting(&endpoint->later[i]))
                        return true;

        return false;
}

void endpoint_listen(Endpoint *endpoint) {
        if (endpoint->watch)
                watch_set(endpoint->watch,
                          EPOLLIN | EPOLLET | (endpoint_is_full(endpoint) ? EPOLLOUT : 0));
}

static void endpoint_count_dropped(Endpoint *endpoint) {
        if (endpoint->listener)
                tally_listener(endpoint->listener, TALLY_DROPPED_SOCKET_FULL, 1);
        else if (endpoint->connection)
                tally_connection(endpoint->connection, TALLY_DROPPED_SOCKET_FULL, 1);
}

/* Keeps the net batch from @index on. */
static void endpoint_keep(Endpoint *endpoint, size_t index) {
        DatagramBatch *net = endpoint->relay->net;

        if (!endpoint->waiting) {
                endpoint->waiting = datagram_batch_new(RELAY_NET_DATAGRAMS, RELAY_NET_BYTES);
                endpoint->waiting_index = 0;
                endpoint_listen(endpoint);
        }

        for (size_t i = index; i < datagram_batch_count(net); i++) {
                Datagram d = datagram_batch_at(net, i);

                datagram_batch_address(endpoint->waiting, &d.peer, &d.local);
                if (!datagram_batch_append(endpoint->waiting, d.data, d.size))
                        endpoint_count_dropped(endpoint);
        }
}

static void endpoint_send(Endpoint *endpoint) {
        size_t index = 0;
        int r = UDP_E_FULL;

        if (!endpoint->udp) {
                carrier_send(endpoint->connection, endpoint->relay->net);
                return;
        }

        if (!endpoint_is_full(endpoint)) {
                r = udp_send(endpoint->udp, endpoint->relay->net, &index);
                tally_endpoint(endpoint);
        }

        if (r < 0)
                endpoint_fail(endpoint, fault(r));
        else if (r == UDP_E_FULL)
                endpoint_keep(endpoint, index);
}

void endpoint_flush(Endpoint *endpoint) {
        DatagramBatch *net = endpoint->relay->net;

        if (!endpoint->over && datagram_batch_count(net) > 0)
                endpoint_send(endpoint);

        datagram_batch_reset(net);
        endpoint->relay->net_mark = 0;
}

void endpoint_make_room(Endpoint *endpoint) {
        DatagramBatch *net = endpoint->relay->net;

        if (datagram_batch_count(net) + ENDPOINT_ROOM_DATAGRAMS > RELAY_NET_DATAGRAMS ||
            datagram_batch_room(net) < ENDPOINT_ROOM_BYTES)
                endpoint_flush(endpoint);
}

void endpoint_pause(Endpoint *endpoint, Outlet *outlet) {
        outlet_stop(outlet); /* resumed by endpoint_drain() */
        g_ptr_array_add(endpoint->paused, outlet);
}

void endpoint_forget(Endpoint *endpoint, Outlet *outlet) {
        (void)g_ptr_array_remove_fast(endpoint->paused, outlet); /* if it is there */
}

void endpoint_drain(Endpoint *endpoint) {
        int r;

        if (!endpoint_is_full(endpoint))
                return;

        r = udp_send(endpoint->udp, endpoint->waiting, &endpoint->waiting_index);
        tally_endpoint(endpoint);
        if (r < 0) {
                endpoint_fail(endpoint, fault(r));
                return;
        }
        if (r == UDP_E_FULL) {
                endpoint_listen(endpoint);
                return;
        }

        endpoint->waiting = datagram_batch_free(endpoint->waiting);
        endpoint_listen(endpoint);
        for (guint i = 0; i < endpoint->paused->len; i++)
                outlet_resume(g_ptr_array_index(endpoint->paused, i));
        g_ptr_array_set_size(endpoint->paused, 0);
}

/* The bulkhead of a broken socket: what lives on it ends. */
void endpoint_fail(Endpoint *endpoint, int r) {
        g_autofree char *text = NULL;

        if (endpoint->over)
                return;

        endpoint->over = true; /* nothing can be sent for those who end now */
        endpoint->watch = watch_free(endpoint->watch);
        text = g_strdup_printf("The socket failed: %s", strerror(-r));

        if (endpoint->listener) {
                log_listener(endpoint->listener, LOG_WARNING, MSG_LISTENER_ENDED,
                             "Listener %" G_GUINT32_FORMAT " ends: %s", endpoint->listener->id,
                             text);
                (void)listener_close(endpoint->listener);
        } else if (endpoint->connection) {
                connection_set_error(endpoint->connection, DTLS_UNDERLYING_SOCKET_ERROR, text);
                connection_end(endpoint->connection, END_FAILED);
        }
}
