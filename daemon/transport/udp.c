/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Udp, see udp.h: its life, what it tells of itself, and errors that come by themselves.
 *
 * IP_RECVERR is on, so an ICMP error comes twice: as an entry of the socket's error queue, and as a
 * pending error that the next call on the socket returns instead of doing its work, whomever that
 * call is for. Anybody can make such errors, so both are only taken note of: a call that failed
 * empties the queue and is made once more.
 */

#include "base/cleanup.h"
#include "base/fault.h"
#include "transport/private.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>

#define UDP_ERRORS_MAX 64 /* taken off the error queue at once; more come next turn */
#define UDP_HEADERS_IPV4 (20 + 8)
#define UDP_HEADERS_IPV6 (40 + 8)

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

/* What the kernel itself refused (EMSGSIZE) lies there as well, and is counted where it was sent.
 */
void udp_take_errors(Udp *udp) {
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

bool udp_is_bug(int error) {
        return error == EBADF || error == ENOTSOCK || error == EFAULT;
}
