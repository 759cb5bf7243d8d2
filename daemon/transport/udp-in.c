/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Udp's way in, see udp.h: packets off the socket, and trains (UDP_GRO) taken apart.
 */

#include "base/fault.h"
#include "transport/private.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#define UDP_FLIGHT_PACKETS 4 /* a handshake's flight comes in one call: so many places at least */

static void udp_run_for_receive(UdpRun *run, uint8_t *buffer, size_t slot_size, size_t n) {
        for (size_t i = 0; i < n; i++) {
                run->places[i] = (struct iovec){
                        .iov_base = buffer + i * slot_size,
                        .iov_len = slot_size,
                };
                run->messages[i] = (struct mmsghdr){
                        .msg_hdr.msg_name = &run->peers[i],
                        .msg_hdr.msg_namelen = sizeof(run->peers[i]),
                        .msg_hdr.msg_iov = &run->places[i],
                        .msg_hdr.msg_iovlen = 1,
                        .msg_hdr.msg_control = &run->controls[i],
                        .msg_hdr.msg_controllen = sizeof(run->controls[i]),
                };
        }
}

/* How many came; 0 when none, and when the only thing there was is a hint: the loop calls again.
 * The error queue is looked at when there is nothing else, so it costs nothing while data comes. */
static int udp_receive_run(Udp *udp, UdpRun *run, size_t n, bool *ret_more) {
        int error;
        int r;

        for (int tries = 0; tries < 2; tries++) {
                r = recvmmsg(udp->fd, run->messages, (unsigned)n, MSG_DONTWAIT, NULL);
                *ret_more = r == (int)n;
                if (r >= 0)
                        return r;

                error = errno;
                if (udp_is_bug(error))
                        return fault(-error);

                udp_take_errors(udp);
                if (error == EAGAIN)
                        return 0;
        }

        *ret_more = true;
        return 0;
}

/* Where a datagram was sent to; the socket's own address where the kernel does not say. */
static Address udp_local_of(const Udp *udp, struct msghdr *message) {
        Address local = udp->local;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                struct sockaddr_in in = {.sin_family = AF_INET};
                struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
                struct in6_pktinfo info6;
                struct in_pktinfo info;

                if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
                        memcpy(&info, CMSG_DATA(c), sizeof(info));
                        in.sin_addr = info.ipi_spec_dst;
                        (void)address_from_sockaddr((const struct sockaddr *)&in, sizeof(in),
                                                    &local); /* always one */
                } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
                        memcpy(&info6, CMSG_DATA(c), sizeof(info6));
                        in6.sin6_addr = info6.ipi6_addr;
                        in6.sin6_scope_id = info6.ipi6_ifindex;
                        (void)address_from_sockaddr((const struct sockaddr *)&in6, sizeof(in6),
                                                    &local); /* always one */
                }
        }

        address_set_port(&local, address_port(&udp->local));
        return local;
}

/* The size of the datagrams in it; @size when it is one. */
static size_t udp_car_of(struct msghdr *message, size_t size) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                int car;

                if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
                        continue;

                memcpy(&car, CMSG_DATA(c), sizeof(car));
                if (car > 0 && (size_t)car < size)
                        return (size_t)car;
        }

        return size;
}

static void udp_take(Udp *udp, UdpRun *run, size_t i, size_t slot_size, DatagramBatch *rx) {
        struct msghdr *message = &run->messages[i].msg_hdr;
        size_t size = run->messages[i].msg_len;
        size_t car, at = 0;
        Address peer = {0}, local;

        if (message->msg_flags & MSG_TRUNC) {
                udp->stats.n_dropped_truncated++;
                return;
        }

        /* a source that is no address is nobody's */
        if (address_from_sockaddr(&run->peers[i].sa, message->msg_namelen, &peer) ||
            (address_is_set(&udp->peer) && !address_equal(&peer, &udp->peer))) {
                udp->stats.n_dropped_source++;
                return;
        }

        local = udp_local_of(udp, message);
        datagram_batch_address(rx, &peer, &local);
        car = udp_car_of(message, size);
        do { /* an empty datagram is one too */
                size_t n = MIN(car, size - at);

                if (!datagram_batch_place(rx, i * slot_size + at, n)) {
                        udp->stats.n_dropped_truncated++; /* more cars than any kernel joins */
                        return;
                }

                udp->stats.n_received++;
                udp->stats.bytes_received += n;
                at += n;
        } while (at < size);
}

/* A packet may be one datagram or a hundred: where they are many, the next call takes fewer
 * packets, so that nobody else waits for long. And it prepares no more places than it may need. */
static void udp_adapt(Udp *udp, size_t n_packets, size_t n_datagrams) {
        if (n_datagrams > UDP_TURN_DATAGRAMS)
                udp->n_slots = MAX(udp->n_slots / 2, (size_t)1);
        else if (n_packets <= udp->n_slots / 2 && udp->n_slots > UDP_FLIGHT_PACKETS)
                udp->n_slots /= 2;
        else if (n_packets == udp->n_slots)
                udp->n_slots = MIN(udp->n_slots * 2, (size_t)UDP_BATCH_MAX);
}

int udp_receive(Udp *udp, DatagramBatch *rx, bool *ret_more) {
        UdpRun run;
        uint8_t *buffer;
        size_t buffer_size, slot_size, n_slots;
        int r;

        datagram_batch_reset(rx);
        buffer = datagram_batch_buffer(rx, &buffer_size);
        slot_size = MIN(buffer_size, UDP_SLOT_SIZE);
        n_slots = MIN(buffer_size / slot_size, udp->n_slots);

        udp_run_for_receive(&run, buffer, slot_size, n_slots);
        r = udp_receive_run(udp, &run, n_slots, ret_more);
        if (r < 0)
                return fault(r);

        for (size_t i = 0; i < (size_t)r; i++)
                udp_take(udp, &run, i, slot_size, rx);

        udp_adapt(udp, (size_t)r, datagram_batch_count(rx));
        return 0;
}
