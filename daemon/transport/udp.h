/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Udp: one bound UDP socket. How datagrams are taken and given in numbers (recvmmsg, sendmmsg, GSO
 * and GRO, IP_PKTINFO) is its secret.
 *
 * Knows: sockets. Does not know: whose a datagram is, DTLS, the event loop.
 */

#include "base/datagram.h"

#define UDP_BATCH_MAX 32       /* packets in one receive call */
#define UDP_TRAIN_MAX 128      /* datagrams the kernel may have joined in one packet (GRO) */
#define UDP_TURN_DATAGRAMS 256 /* beyond this many, the next call takes fewer packets */
/* One packet's place in a batch: it may be 64 KiB, and the odd line keeps those of a call apart in
 * the processor's cache. Pages never touched cost nothing. */
#define UDP_SLOT_SIZE ((size_t)65536 + 64)
#define UDP_RECEIVE_BYTES (UDP_BATCH_MAX * UDP_SLOT_SIZE) /* what a batch for udp_receive holds */
#define UDP_RECEIVE_DATAGRAMS ((size_t)UDP_BATCH_MAX * UDP_TRAIN_MAX)

/* Asked of the kernel each way: some 450 datagrams of 1200 bytes, which it charges with as much
 * again for itself. */
#define UDP_BUFFER_SIZE ((size_t)1024 * 1024)

typedef struct Udp Udp;

typedef enum UdpOutcome {
        UDP_E_IN_USE = 1,  /* the address and port belong to another socket */
        UDP_E_NOT_LOCAL,   /* no interface has this address (or no such scope) */
        UDP_E_UNREACHABLE, /* connect: no route */
        UDP_E_NOT_ALLOWED, /* the kernel refuses (a port below 1024, a firewall) */
        UDP_E_NO_FDS,      /* the process is out of file descriptors */
        UDP_E_FULL,        /* send: the socket's buffer; *ret_sent were sent */
} UdpOutcome;

typedef struct UdpStats {
        uint64_t n_received, n_sent, bytes_received, bytes_sent;
        uint64_t n_dropped_source; /* a connected socket: from another source, queued before connect
                                    */
        uint64_t n_dropped_truncated;
        uint64_t n_dropped_full;    /* sends the socket would not take */
        uint64_t n_dropped_refused; /* sends the kernel refused (unreachable, EPERM, too long) */
        uint64_t n_trains_sent;     /* sends of several datagrams at once */
        uint64_t n_icmp;            /* ICMP errors: a hint, never an end */
        uint64_t n_too_long;        /* times the kernel has said that a path takes less */
} UdpStats;

int udp_new(const Address *local, Udp **ret); /* bound; port 0 picks one */
Udp *udp_free(Udp *udp);
int udp_connect(Udp *udp, const Address *peer);

int udp_fd(const Udp *udp);
Address udp_local(const Udp *udp);
UdpStats udp_stats(const Udp *udp);
/* What the kernel has given of UDP_BUFFER_SIZE to receive into. */
size_t udp_receive_buffer(const Udp *udp);
/* errno of the last ICMP error, as a hint for people, and 0 after asking */
int udp_take_hint(Udp *udp);
/* The MTU of the path from @local to @peer as UDP payload; 0: not known. */
size_t udp_path_payload(const Udp *udp, const Address *local, const Address *peer);
/* DontFragment: refuse to send what does not fit the path. */
int udp_set_dont_fragment(Udp *udp, bool on);

/* Resets rx and fills it with what is there, at most UDP_BATCH_MAX packets; nothing there: an empty
 * batch. *ret_more: whether something may be left. */
int udp_receive(Udp *udp, DatagramBatch *rx, bool *ret_more);
/* Sends from *index on and moves it, neighbours of equal size to one peer at once where the kernel
 * and the path take that (GSO); UDP_E_FULL leaves it at the first unsent one. A datagram the
 * kernel refuses for itself (EPERM, EMSGSIZE, ENETUNREACH, ECONNREFUSED) is counted and passed
 * over. */
int udp_send(Udp *udp, const DatagramBatch *net, size_t *index);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Udp, udp_free)
