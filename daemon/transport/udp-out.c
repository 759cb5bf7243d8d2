/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Udp's way out, see udp.h.
 *
 * Trains: datagrams of one size to one peer go to the kernel as one (UDP_SEGMENT), the last may be
 * shorter. A device or a path may refuse a train whose cars it would take one by one; then it is
 * taken apart, and cars of that size are joined no more.
 */

#include "base/fault.h"
#include "base/log.h"
#include "transport/private.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#define UDP_SEND_TRAIN_MAX 64 /* what every kernel with GSO takes */
#define UDP_SEND_TRAIN_BYTES 65000

/* Of sending a run: a train was refused, as such or because the device takes none. */
enum {
        UDP_E_TRAIN = UDP_E_FULL + 1,
        UDP_E_TRAINS,
};

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
