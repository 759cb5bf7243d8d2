/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Udp, see udp.h.
 *
 * IP_RECVERR is on, so an ICMP error comes twice: as an entry of the socket's error queue, and as a
 * pending error that the next call on the socket returns instead of doing its work, whomever that
 * call is for. Anybody can make such errors, so both are only taken note of: a call that failed
 * empties the queue and is made once more.
 *
 * Trains: datagrams of one size to one peer go to the kernel as one (UDP_SEGMENT), and come from it
 * as one (UDP_GRO), the last may be shorter. A device or a path may refuse a train whose cars it
 * would take one by one; then it is taken apart, and cars of that size are joined no more.
 */

#include "transport/udp.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <string.h>

#define UDP_SEND_TRAIN_MAX 64 /* what every kernel with GSO takes */
#define UDP_SEND_TRAIN_BYTES 65000
#define UDP_FLIGHT_PACKETS 4 /* a handshake's flight comes in one call: so many places at least */
#define UDP_ERRORS_MAX 64    /* taken off the error queue at once; more come next turn */
#define UDP_PACKET_MAX 65535 /* an IP packet, whatever the MTU of a loopback says */
#define UDP_HEADERS_IPV4 (20 + 8)
#define UDP_HEADERS_IPV6 (40 + 8)

/* Of sending a run: a train was refused, as such or because the device takes none. */
enum {
        UDP_E_TRAIN = UDP_E_FULL + 1,
        UDP_E_TRAINS,
};

struct Udp {
        int fd;
        Address local;
        Address peer; /* set once connected */
        UdpStats stats;
        int hint;
        size_t car_max; /* the longest datagrams that are joined to trains; 0: none are */
        size_t n_slots; /* packets to take in the next call */
};

/* The control messages of one packet: its local address, and the size of a train's cars. */
typedef union UdpControl {
        struct cmsghdr header; /* for its alignment */
        uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
} UdpControl;

/* What recvmmsg and sendmmsg work on, prepared on the caller's stack. */
typedef struct UdpRun {
        struct mmsghdr messages[UDP_BATCH_MAX];
        struct iovec places[UDP_BATCH_MAX];
        Address peers[UDP_BATCH_MAX];
        UdpControl controls[UDP_BATCH_MAX];
        size_t n_cars[UDP_BATCH_MAX]; /* to send: datagrams in each */
} UdpRun;

/* ---- birth and death ---- */

static int udp_set(int fd, int level, int name, int value) {
        if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
                return fault(-errno);

        return 0;
}

/* In bytes as they are asked for: the kernel reports twice that, for what it needs itself. */
static size_t udp_buffer(int fd, int name) {
        socklen_t size = sizeof(int);
        int has = 0;

        if (getsockopt(fd, SOL_SOCKET, name, &has, &size) < 0 || has < 0)
                return 0;

        return (size_t)has / 2;
}

/* Best effort: who may not go beyond net.core.[rw]mem_max gets as much as these allow. */
static void udp_enlarge(int fd, int name, int name_beyond) {
        const int size = (int)UDP_BUFFER_SIZE;

        if (udp_buffer(fd, name) >= UDP_BUFFER_SIZE)
                return;

        if (setsockopt(fd, SOL_SOCKET, name_beyond, &size, sizeof(size)) < 0)
                (void)setsockopt(fd, SOL_SOCKET, name, &size, sizeof(size));
}

static int udp_set_discovery(int fd, int family, bool dont_fragment) {
        if (family == AF_INET)
                return udp_set(fd, IPPROTO_IP, IP_MTU_DISCOVER,
                               dont_fragment ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT);

        return udp_set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
                       dont_fragment ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_DONT);
}

static int udp_prepare(int fd, int family) {
        int r;

        if (family == AF_INET) {
                r = udp_set(fd, IPPROTO_IP, IP_PKTINFO, 1);
                if (r == 0)
                        r = udp_set(fd, IPPROTO_IP, IP_RECVERR, 1);
        } else {
                r = udp_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
                if (r == 0)
                        r = udp_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
                if (r == 0)
                        r = udp_set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
        }
        if (r == 0)
                r = udp_set_discovery(fd, family, /* dont_fragment= */ false);
        if (r < 0)
                return fault(r);

        /* best effort: a kernel that cannot joins nothing */
        (void)setsockopt(fd, SOL_UDP, UDP_GRO, &(int){1}, sizeof(int));
        udp_enlarge(fd, SO_RCVBUF, SO_RCVBUFFORCE);
        udp_enlarge(fd, SO_SNDBUF, SO_SNDBUFFORCE);
        return 0;
}

static int udp_outcome_of_bind(int error) {
        switch (error) {
        case EADDRINUSE:
                return UDP_E_IN_USE;
        case EADDRNOTAVAIL:
        case EAFNOSUPPORT: /* a kernel without IPv6 */
        case EINVAL:       /* link-local without a scope */
        case ENODEV:
                return UDP_E_NOT_LOCAL;
        case EACCES:
        case EPERM:
                return UDP_E_NOT_ALLOWED;
        case EMFILE:
        case ENFILE:
                return UDP_E_NO_FDS;
        default:
                return fault(-error);
        }
}

static int udp_outcome_of_connect(int error) {
        switch (error) {
        case ENETUNREACH:
        case EHOSTUNREACH:
        case ENETDOWN:
        case EADDRNOTAVAIL: /* no address of ours to send from */
        case EAFNOSUPPORT:
        case EINVAL: /* link-local without a scope, or from loopback to elsewhere */
        case ENODEV:
                return UDP_E_UNREACHABLE;
        case EACCES: /* a broadcast address, or a rule of the administrator's */
        case EPERM:
                return UDP_E_NOT_ALLOWED;
        default:
                return fault(-error);
        }
}

static int udp_learn_local(Udp *udp) {
        Address local = {0};
        socklen_t size = sizeof(local);
        int r;

        if (getsockname(udp->fd, &local.sa, &size) < 0)
                return fault(-errno);

        r = address_from_sockaddr(&local.sa, size, &udp->local);
        if (r)
                return fault(r);

        return 0;
}

/* The kernel binds to groups and to broadcast as well; nobody can be answered from there. */
static bool udp_can_be_local(const Address *local) {
        Address host = *local;

        address_set_port(&host, 1);
        return address_is_any(&host) || address_is_peer(&host);
}

int udp_new(const Address *local, Udp **ret) {
        g_autoptr(Udp) udp = NULL;
        int r;

        g_assert(address_is_set(local));

        if (!udp_can_be_local(local))
                return UDP_E_NOT_LOCAL;

        udp = g_new0(Udp, 1);
        udp->car_max = UDP_PACKET_MAX;
        udp->n_slots = UDP_BATCH_MAX;
        udp->fd = socket(address_family(local), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (udp->fd < 0)
                return udp_outcome_of_bind(errno);

        r = udp_prepare(udp->fd, address_family(local));
        if (r < 0)
                return fault(r);

        if (bind(udp->fd, &local->sa, address_size(local)) < 0)
                return udp_outcome_of_bind(errno);

        r = udp_learn_local(udp);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&udp);
        return 0;
}

Udp *udp_free(Udp *udp) {
        if (!udp)
                return NULL;

        autofd_close(&udp->fd);
        g_free(udp);
        return NULL;
}

int udp_connect(Udp *udp, const Address *peer) {
        int r;

        if (connect(udp->fd, &peer->sa, address_size(peer)) < 0)
                return udp_outcome_of_connect(errno);

        udp->peer = *peer;

        /* a wildcard is an address now */
        r = udp_learn_local(udp);
        if (r < 0)
                return fault(r);

        return 0;
}

/* ---- what it tells of itself ---- */

int udp_fd(const Udp *udp) {
        return udp->fd;
}

Address udp_local(const Udp *udp) {
        return udp->local;
}

UdpStats udp_stats(const Udp *udp) {
        return udp->stats;
}

size_t udp_receive_buffer(const Udp *udp) {
        return udp_buffer(udp->fd, SO_RCVBUF);
}

int udp_take_hint(Udp *udp) {
        int hint = udp->hint;

        udp->hint = 0;
        return hint;
}

static size_t udp_payload_of(int fd, int family) {
        bool is_ipv4 = family == AF_INET;
        size_t headers = is_ipv4 ? UDP_HEADERS_IPV4 : UDP_HEADERS_IPV6;
        socklen_t size = sizeof(int);
        int mtu = 0;
        int r;

        if (is_ipv4)
                r = getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &size);
        else
                r = getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &mtu, &size);

        if (r < 0 || mtu <= (int)headers)
                return 0;

        return (size_t)MIN(mtu, UDP_PACKET_MAX) - headers;
}

/* Only a connected socket has a path, so another one is connected to the same ends. */
static size_t udp_probe_payload(const Address *local, const Address *peer) {
        int family = address_family(peer);
        Address from = *local;
        g_autofd int fd = -1;

        fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return 0;

        address_set_port(&from, 0);
        if (bind(fd, &from.sa, address_size(&from)) < 0 ||
            connect(fd, &peer->sa, address_size(peer)) < 0)
                return 0;

        return udp_payload_of(fd, family);
}

size_t udp_path_payload(const Udp *udp, const Address *local, const Address *peer) {
        if (address_is_set(&udp->peer))
                return udp_payload_of(udp->fd, address_family(&udp->peer));

        return udp_probe_payload(local, peer);
}

int udp_set_dont_fragment(Udp *udp, bool on) {
        int r;

        r = udp_set_discovery(udp->fd, address_family(&udp->local), on);
        if (r < 0)
                return fault(r);

        return 0;
}

/* ---- errors that come by themselves ---- */

static const struct sock_extended_err *udp_find_error(struct msghdr *message) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR)
                        return (const struct sock_extended_err *)CMSG_DATA(c);
                if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)
                        return (const struct sock_extended_err *)CMSG_DATA(c);
        }

        return NULL;
}

/* Empties the error queue. What the kernel itself refused (EMSGSIZE) lies there as well, and is
 * counted where it was sent. */
static void udp_take_errors(Udp *udp) {
        for (int i = 0; i < UDP_ERRORS_MAX; i++) {
                union {
                        struct cmsghdr header;
                        uint8_t bytes[512];
                } control;
                struct msghdr message = {
                        .msg_control = &control,
                        .msg_controllen = sizeof(control),
                };
                const struct sock_extended_err *error;

                if (recvmsg(udp->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
                        return;

                error = udp_find_error(&message);
                if (error && error->ee_errno == EMSGSIZE)
                        udp->stats.n_too_long++;
                if (!error || (error->ee_origin != SO_EE_ORIGIN_ICMP &&
                               error->ee_origin != SO_EE_ORIGIN_ICMP6))
                        continue;

                udp->stats.n_icmp++;
                udp->hint = (int)error->ee_errno;
        }
}

/* Whether an error is about the call as such: a bug of ours, whatever the datagrams are. */
static bool udp_is_bug(int error) {
        return error == EBADF || error == ENOTSOCK || error == EFAULT;
}

/* ---- in ---- */

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

/* ---- out ---- */

static void udp_put_control(struct msghdr *message, UdpControl *control, int level, int type,
                            const void *data, size_t size) {
        struct cmsghdr *header = (struct cmsghdr *)(control->bytes + message->msg_controllen);

        message->msg_control = control;
        message->msg_controllen += CMSG_SPACE(size);
        memset(header, 0, CMSG_SPACE(size));
        *header = (struct cmsghdr){
                .cmsg_len = CMSG_LEN(size),
                .cmsg_level = level,
                .cmsg_type = type,
        };
        memcpy(CMSG_DATA(header), data, size);
}

/* Sends from where the peer has sent to: from a wildcard, routing might choose another address. */
static void udp_put_local(struct msghdr *message, UdpControl *control, const Address *local) {
        struct in_pktinfo info = {0};
        struct in6_pktinfo info6 = {0};

        if (!address_is_set(local) || address_is_any(local))
                return;

        if (address_family(local) == AF_INET) {
                info.ipi_spec_dst = local->in.sin_addr;
                udp_put_control(message, control, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
        } else {
                info6.ipi6_addr = local->in6.sin6_addr;
                info6.ipi6_ifindex = local->in6.sin6_scope_id;
                udp_put_control(message, control, IPPROTO_IPV6, IPV6_PKTINFO, &info6,
                                sizeof(info6));
        }
}

/* How many datagrams from @first on can go as one: end to end in memory, to one peer from one
 * address, of one size but for the last, which may be shorter. */
static size_t udp_count_cars(const DatagramBatch *net, size_t first, size_t car_max) {
        const Datagram head = datagram_batch_at(net, first);
        size_t limit = MIN(datagram_batch_count(net) - first, (size_t)UDP_SEND_TRAIN_MAX);
        size_t bytes = head.size;
        size_t n = 1;

        if (head.size == 0 || head.size > car_max)
                return 1;

        for (; n < limit; n++) {
                const Datagram next = datagram_batch_at(net, first + n);

                if (next.size == 0 || next.size > head.size || next.data != head.data + bytes ||
                    bytes + next.size > UDP_SEND_TRAIN_BYTES ||
                    !address_equal(&next.peer, &head.peer) ||
                    !address_equal(&next.local, &head.local))
                        return n;

                bytes += next.size;
                if (next.size < head.size)
                        return n + 1;
        }

        return n;
}

static void udp_put_train(const Udp *udp, UdpRun *run, size_t i, const Datagram *head,
                          size_t size) {
        struct msghdr *message = &run->messages[i].msg_hdr;
        uint16_t car = (uint16_t)head->size;

        run->places[i] = (struct iovec){
                .iov_base = (void *)head->data, /* sendmmsg only reads */
                .iov_len = size,
        };
        run->messages[i] = (struct mmsghdr){
                .msg_hdr.msg_iov = &run->places[i],
                .msg_hdr.msg_iovlen = 1,
        };
        if (!address_is_set(&udp->peer)) {
                run->peers[i] = head->peer;
                message->msg_name = &run->peers[i];
                message->msg_namelen = address_size(&head->peer);
                udp_put_local(message, &run->controls[i], &head->local);
        }
        if (run->n_cars[i] > 1)
                udp_put_control(message, &run->controls[i], SOL_UDP, UDP_SEGMENT, &car,
                                sizeof(car));
}

/* Returns how many packets the datagrams from @first on make, at most a run of them. @car_max: the
 * longest that are joined. */
static size_t udp_run_for_send(const Udp *udp, UdpRun *run, const DatagramBatch *net, size_t first,
                               size_t car_max) {
        size_t count = datagram_batch_count(net);
        size_t n = 0;

        for (size_t at = first; at < count && n < UDP_BATCH_MAX; n++) {
                const Datagram head = datagram_batch_at(net, at);
                const size_t n_cars = udp_count_cars(net, at, car_max);
                const Datagram last = datagram_batch_at(net, at + n_cars - 1);

                run->n_cars[n] = n_cars;
                udp_put_train(udp, run, n, &head, (size_t)(last.data - head.data) + last.size);
                at += n_cars;
        }

        return n;
}

/* sendmmsg, and once more: the first failure may have been a pending error, for nobody here. */
static int udp_send_some(Udp *udp, struct mmsghdr *messages, size_t n) {
        int r;

        r = sendmmsg(udp->fd, messages, (unsigned)n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (r >= 0 || errno == EAGAIN)
                return r;

        udp_take_errors(udp);
        return sendmmsg(udp->fd, messages, (unsigned)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Counts the first datagram of those that were not sent. 0: pass it over. */
static int udp_pass_over(Udp *udp, int error) {
        if (error == EAGAIN)
                return UDP_E_FULL;
        if (udp_is_bug(error))
                return fault(-error);

        /* the device's queue and not the socket's buffer: poll() would not wait for it */
        if (error == ENOBUFS || error == ENOMEM)
                udp->stats.n_dropped_full++;
        else
                udp->stats.n_dropped_refused++;
        return 0;
}

static size_t udp_count_sent(Udp *udp, const UdpRun *run, size_t first, size_t n) {
        size_t n_datagrams = 0;

        for (size_t i = first; i < first + n; i++) {
                n_datagrams += run->n_cars[i];
                udp->stats.n_trains_sent += run->n_cars[i] > 1;
                udp->stats.bytes_sent += run->places[i].iov_len;
        }

        udp->stats.n_sent += n_datagrams;
        return n_datagrams;
}

/* Sends the @n packets of @run; UDP_E_TRAIN: up to one of several datagrams that was refused. */
static int udp_send_run(Udp *udp, const UdpRun *run, size_t n, size_t *index) {
        size_t done = 0;
        int error, r;

        while (done < n) {
                r = udp_send_some(udp, (struct mmsghdr *)run->messages + done, n - done);
                if (r > 0) {
                        *index += udp_count_sent(udp, run, done, (size_t)r);
                        done += (size_t)r;
                        continue;
                }

                error = errno;
                if (run->n_cars[done] > 1 && error != EAGAIN && !udp_is_bug(error))
                        return error == EIO ? UDP_E_TRAINS : UDP_E_TRAIN;

                r = udp_pass_over(udp, error);
                if (r)
                        return r;
                *index += 1;
                done += 1;
        }

        return 0;
}

/* After a refused train: its datagrams one by one. When these are taken, it was about trains: of
 * datagrams as long as these (a path that makes fragments of each), or of all (a device). */
static int udp_send_apart(Udp *udp, const DatagramBatch *net, size_t *index, int refusal) {
        size_t n_cars = udp_count_cars(net, *index, udp->car_max);
        size_t car = datagram_batch_at(net, *index).size;
        uint64_t n_sent = udp->stats.n_sent;
        UdpRun run;
        size_t n;
        int r;

        n = udp_run_for_send(udp, &run, net, *index, /* car_max= */ 0);
        r = udp_send_run(udp, &run, MIN(n, n_cars), index);
        if (udp->stats.n_sent == n_sent)
                return r;

        udp->car_max = refusal == UDP_E_TRAIN ? car - 1 : 0;
        if (refusal == UDP_E_TRAINS)
                log_info("The device refuses joined datagrams; they are sent one by one");
        return r;
}

int udp_send(Udp *udp, const DatagramBatch *net, size_t *index) {
        UdpRun run;
        int r = 0;

        while (r == 0 && *index < datagram_batch_count(net)) {
                size_t n = udp_run_for_send(udp, &run, net, *index, udp->car_max);

                r = udp_send_run(udp, &run, n, index);
                if (r == UDP_E_TRAIN || r == UDP_E_TRAINS)
                        r = udp_send_apart(udp, net, index, r);
        }

        return r;
}
