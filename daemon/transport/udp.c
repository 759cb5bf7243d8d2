/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "transport/udp.h"

#include "base/cleanup.h"
#include "base/fault.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/ip.h>
#include <string.h>

#define UDP_BUFFER_WANTED (1024 * 1024) /* best effort: net.core.rmem_max bounds it */
#define UDP_SLOT_SIZE 65536
#define UDP_IPV4_OVERHEAD 28 /* IP and UDP headers */
#define UDP_IPV6_OVERHEAD 48
#define UDP_HINTS_PER_CALL 16 /* ICMP errors taken off the queue in one go */

/* room for one IP_PKTINFO or IPV6_PKTINFO */
typedef union Control {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
} Control;

struct Udp {
        int fd;
        Address local;
        Address peer; /* set: connected */
        UdpStats stats;
        int hint;
};

static int option(int fd, int level, int name, int value) {
        return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

static int udp_set_options(int fd, int family) {
        int r;

        (void)option(fd, SOL_SOCKET, SO_RCVBUF, UDP_BUFFER_WANTED);
        (void)option(fd, SOL_SOCKET, SO_SNDBUF, UDP_BUFFER_WANTED);
        if (family == AF_INET) {
                r = option(fd, IPPROTO_IP, IP_PKTINFO, 1);
                if (r >= 0)
                        r = option(fd, IPPROTO_IP, IP_RECVERR, 1);
                if (r >= 0) /* large flights and datagrams are fragmented, as with plain UDP */
                        r = option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
                return r;
        }

        r = option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        if (r >= 0)
                r = option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        if (r >= 0)
                r = option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
        if (r >= 0)
                r = option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
        return r;
}

static int udp_outcome(int error) {
        switch (error) {
        case EADDRINUSE:
                return UDP_E_IN_USE;
        case EADDRNOTAVAIL:
        case ENODEV: /* no such scope */
        case EINVAL: /* a link-local address without its scope */
        case EAFNOSUPPORT:
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

static int udp_read_local(int fd, Address *ret) {
        struct sockaddr_storage storage;
        socklen_t size = sizeof storage;

        if (getsockname(fd, (struct sockaddr *)&storage, &size) < 0)
                return fault(-errno);

        return address_from_sockaddr((struct sockaddr *)&storage, size, ret) ? fault(-EINVAL) : 0;
}

int udp_new(const Address *local, Udp **ret) {
        g_autofd int fd = -1;
        Udp *udp;
        int r;

        fd = socket(address_family(local), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return udp_outcome(errno);

        r = udp_set_options(fd, address_family(local));
        if (r < 0)
                return fault(r);

        if (bind(fd, &local->sa, address_size(local)) < 0)
                return udp_outcome(errno);

        udp = g_new0(Udp, 1);
        r = udp_read_local(fd, &udp->local);
        if (r < 0) {
                g_free(udp);
                return fault(r);
        }

        udp->fd = autofd_steal(&fd);
        *ret = udp;
        return 0;
}

Udp *udp_free(Udp *udp) {
        if (!udp)
                return NULL;

        (void)close(udp->fd);
        g_free(udp);
        return NULL;
}

int udp_connect(Udp *udp, const Address *peer) {
        if (connect(udp->fd, &peer->sa, address_size(peer)) < 0) {
                if (errno == ENETUNREACH || errno == EHOSTUNREACH || errno == EADDRNOTAVAIL ||
                    errno == EINVAL || errno == EAFNOSUPPORT || errno == ENODEV)
                        return UDP_E_UNREACHABLE;
                return udp_outcome(errno);
        }

        udp->peer = *peer;
        return udp_read_local(udp->fd, &udp->local); /* now the address of the route */
}

int udp_fd(const Udp *udp) {
        return udp->fd;
}

Address udp_local(const Udp *udp) {
        return udp->local;
}

UdpStats udp_stats(const Udp *udp) {
        return udp->stats;
}

int udp_take_hint(Udp *udp) {
        int hint = udp->hint;

        udp->hint = 0;
        return hint;
}

size_t udp_path_payload(const Udp *udp) {
        bool four = address_family(&udp->local) == AF_INET;
        size_t overhead = four ? UDP_IPV4_OVERHEAD : UDP_IPV6_OVERHEAD;
        int mtu = 0;
        socklen_t size = sizeof mtu;
        int r;

        if (!address_is_set(&udp->peer))
                return 0;

        r = four ? getsockopt(udp->fd, IPPROTO_IP, IP_MTU, &mtu, &size)
                 : getsockopt(udp->fd, IPPROTO_IPV6, IPV6_MTU, &mtu, &size);
        if (r < 0 || (size_t)mtu <= overhead)
                return 0;

        return (size_t)mtu - overhead;
}

int udp_set_dont_fragment(Udp *udp, bool on) {
        int r;

        if (address_family(&udp->local) == AF_INET)
                r = option(udp->fd, IPPROTO_IP, IP_MTU_DISCOVER,
                           on ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT);
        else
                r = option(udp->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER,
                           on ? IPV6_PMTUDISC_DO : IPV6_PMTUDISC_DONT);
        return r < 0 ? fault(r) : 0;
}

/* ICMP errors wait on a queue of their own; they are taken so that poll() rests, and remembered. */
static void udp_take_errors(Udp *udp) {
        for (int i = 0; i < UDP_HINTS_PER_CALL; i++) {
                union {
                        struct cmsghdr header;
                        uint8_t bytes[512];
                } control;
                struct msghdr m = {.msg_control = &control, .msg_controllen = sizeof control};

                if (recvmsg(udp->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
                        return;

                udp->stats.n_icmp++;
                for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
                        struct sock_extended_err error;

                        if ((c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVERR) &&
                            (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_RECVERR))
                                continue;

                        memcpy(&error, CMSG_DATA(c), sizeof error);
                        udp->hint = (int)error.ee_errno;
                }
        }
}

/* Where the datagram came to: its address from the packet information, our port. */
static Address udp_arrival(const Udp *udp, struct msghdr *m) {
        Address local = udp->local;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
                if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
                        struct in_pktinfo info;

                        memcpy(&info, CMSG_DATA(c), sizeof info);
                        local.in.sin_addr = info.ipi_addr;
                } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
                        struct in6_pktinfo info;

                        memcpy(&info, CMSG_DATA(c), sizeof info);
                        local.in6.sin6_addr = info.ipi6_addr;
                        if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                                local.in6.sin6_scope_id = info.ipi6_ifindex;
                }
        }

        return local;
}

static void udp_take_in(Udp *udp, DatagramBatch *rx, struct msghdr *m, size_t offset, size_t size) {
        Address peer, local;

        if (m->msg_flags & MSG_TRUNC) {
                udp->stats.n_dropped_truncated++;
                return;
        }
        if (address_from_sockaddr(m->msg_name, m->msg_namelen, &peer) != 0 ||
            (address_is_set(&udp->peer) && !address_equal(&peer, &udp->peer))) {
                udp->stats.n_dropped_source++;
                return;
        }

        local = udp_arrival(udp, m);
        datagram_batch_address(rx, &peer, &local);
        if (!datagram_batch_place(rx, offset, size))
                return;

        udp->stats.n_received++;
        udp->stats.bytes_received += size;
}

int udp_receive(Udp *udp, DatagramBatch *rx, bool *ret_more) {
        struct mmsghdr messages[UDP_BATCH_MAX] = {0};
        struct sockaddr_storage names[UDP_BATCH_MAX];
        struct iovec iov[UDP_BATCH_MAX];
        Control control[UDP_BATCH_MAX];
        size_t size, n_slots;
        uint8_t *buffer;
        int n;

        *ret_more = false;
        datagram_batch_reset(rx);
        buffer = datagram_batch_buffer(rx, &size);
        n_slots = MIN(size / UDP_SLOT_SIZE, UDP_BATCH_MAX);
        for (size_t i = 0; i < n_slots; i++) {
                iov[i] = (struct iovec){buffer + i * UDP_SLOT_SIZE, UDP_SLOT_SIZE};
                messages[i].msg_hdr = (struct msghdr){
                        .msg_name = &names[i],
                        .msg_namelen = sizeof names[i],
                        .msg_iov = &iov[i],
                        .msg_iovlen = 1,
                        .msg_control = &control[i],
                        .msg_controllen = sizeof control[i],
                };
        }

        /* a pending ICMP error is reported once, in place of datagrams: a hint, and asked again */
        n = recvmmsg(udp->fd, messages, (unsigned)n_slots, MSG_DONTWAIT, NULL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
                udp_take_errors(udp);
                n = recvmmsg(udp->fd, messages, (unsigned)n_slots, MSG_DONTWAIT, NULL);
        } else if (n < 0)
                udp_take_errors(udp);
        if (n < 0)
                return 0;

        for (int i = 0; i < n; i++)
                udp_take_in(udp, rx, &messages[i].msg_hdr, (size_t)i * UDP_SLOT_SIZE,
                            messages[i].msg_len);
        *ret_more = (size_t)n == n_slots;
        return 0;
}

/* Says which of our addresses to send from; nothing for a wildcard. */
static void udp_depart(struct msghdr *m, Control *control, const Address *local) {
        struct cmsghdr *c;

        if (!address_is_set(local) || address_is_any(local))
                return;

        m->msg_control = control;
        if (address_family(local) == AF_INET) {
                struct in_pktinfo info = {.ipi_spec_dst = local->in.sin_addr};

                m->msg_controllen = CMSG_SPACE(sizeof info);
                c = CMSG_FIRSTHDR(m);
                *c = (struct cmsghdr){.cmsg_level = IPPROTO_IP,
                                      .cmsg_type = IP_PKTINFO,
                                      .cmsg_len = CMSG_LEN(sizeof info)};
                memcpy(CMSG_DATA(c), &info, sizeof info);
        } else {
                struct in6_pktinfo info = {.ipi6_addr = local->in6.sin6_addr,
                                           .ipi6_ifindex = local->in6.sin6_scope_id};

                m->msg_controllen = CMSG_SPACE(sizeof info);
                c = CMSG_FIRSTHDR(m);
                *c = (struct cmsghdr){.cmsg_level = IPPROTO_IPV6,
                                      .cmsg_type = IPV6_PKTINFO,
                                      .cmsg_len = CMSG_LEN(sizeof info)};
                memcpy(CMSG_DATA(c), &info, sizeof info);
        }
}

/* Sends at most UDP_BATCH_MAX from @from on. Returns how many, or -1 with errno. */
static int udp_send_some(Udp *udp, const DatagramBatch *net, size_t from) {
        size_t n = MIN(datagram_batch_count(net) - from, UDP_BATCH_MAX);
        struct mmsghdr messages[UDP_BATCH_MAX] = {0};
        Datagram datagrams[UDP_BATCH_MAX];
        struct iovec iov[UDP_BATCH_MAX];
        Control control[UDP_BATCH_MAX];
        bool connected = address_is_set(&udp->peer);

        for (size_t i = 0; i < n; i++) {
                struct msghdr *m = &messages[i].msg_hdr;

                datagrams[i] = datagram_batch_at(net, from + i);
                iov[i] = (struct iovec){(void *)datagrams[i].data, datagrams[i].size};
                m->msg_iov = &iov[i];
                m->msg_iovlen = 1;
                if (connected)
                        continue;

                m->msg_name = &datagrams[i].peer;
                m->msg_namelen = address_size(&datagrams[i].peer);
                udp_depart(m, &control[i], &datagrams[i].local);
        }

        return sendmmsg(udp->fd, messages, (unsigned)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int udp_send(Udp *udp, const DatagramBatch *net, size_t *index) {
        bool asked_again = false;

        while (*index < datagram_batch_count(net)) {
                int n = udp_send_some(udp, net, *index);

                for (int i = 0; i < n; i++)
                        udp->stats.bytes_sent += datagram_batch_at(net, (*index)++).size;
                if (n > 0) {
                        udp->stats.n_sent += (unsigned)n;
                        asked_again = false;
                        continue;
                }
                if (errno == EAGAIN || errno == ENOBUFS)
                        return UDP_E_FULL;

                /* the error may be an ICMP's, about an earlier datagram: ask once more */
                udp_take_errors(udp);
                if (asked_again) {
                        udp->stats.n_dropped_refused++;
                        (*index)++;
                }
                asked_again = !asked_again;
        }

        return 0;
}
