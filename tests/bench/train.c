/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Train, see train.h. */

#include "train.h"

#include "bench.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef union Control {
        struct cmsghdr header; /* for its alignment */
        char bytes[CMSG_SPACE(sizeof(int))];
} Control;

Train *train_new(int fd, bool batches) {
        Train *train = calloc(1, sizeof *train);
        const int one = 1;

        if (!train)
                bench_die("calloc", strerror(errno));
        train->fd = fd;
        train->batches = batches;
        if (!batches)
                return train;

        train->out = malloc(TRAIN_MAX);
        train->in = malloc(TRAIN_MAX);
        if (!train->out || !train->in || setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof one) < 0)
                bench_die("UDP_GRO", strerror(errno));

        return train;
}

Train *train_free(Train *train) {
        (void)close(train->fd);
        free(train->out);
        free(train->in);
        free(train);
        return NULL;
}

static void send_whole(int fd, const struct msghdr *message) {
        if (sendmsg(fd, message, 0) < 0)
                bench_die("send", strerror(errno));
}

void train_flush(Train *train) {
        Control control = {0};
        struct iovec iovec = {train->out, train->out_size};
        struct msghdr message = {.msg_iov = &iovec, .msg_iovlen = 1};

        if (train->out_size == 0)
                return;

        if (train->out_size > train->out_car) {
                const uint16_t car = (uint16_t)train->out_car;

                message.msg_control = control.bytes;
                message.msg_controllen = CMSG_SPACE(sizeof car);
                control.header.cmsg_level = SOL_UDP;
                control.header.cmsg_type = UDP_SEGMENT;
                control.header.cmsg_len = CMSG_LEN(sizeof car);
                memcpy(CMSG_DATA(&control.header), &car, sizeof car);
        }

        send_whole(train->fd, &message);
        train->out_size = 0;
}

/* All cars of a train are of one size. */
void train_send(Train *train, const void *data, size_t size) {
        struct iovec iovec = {(void *)data, size};
        const struct msghdr message = {.msg_iov = &iovec, .msg_iovlen = 1};

        if (!train->batches) {
                send_whole(train->fd, &message);
                return;
        }

        if (size != train->out_car || train->out_size + size > TRAIN_MAX - BENCH_DATAGRAM_MAX)
                train_flush(train);
        memcpy(train->out + train->out_size, data, size);
        train->out_size += size;
        train->out_car = size;
        if (train->out_size == TRAIN_CARS * size)
                train_flush(train);
}

static ssize_t train_fill(Train *train) {
        Control control;
        struct iovec iovec = {train->in, TRAIN_MAX};
        struct msghdr message = {
                .msg_iov = &iovec,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof control.bytes,
        };
        ssize_t n = recvmsg(train->fd, &message, MSG_DONTWAIT);

        if (n < 0)
                return -1;

        train->in_at = 0;
        train->in_size = train->in_car = (size_t)n;
        for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
             header = CMSG_NXTHDR(&message, header))
                if (header->cmsg_level == SOL_UDP && header->cmsg_type == UDP_GRO) {
                        int car;

                        memcpy(&car, CMSG_DATA(header), sizeof car);
                        train->in_car = (size_t)car;
                }

        return n;
}

bool train_has_more(const Train *train) {
        return train->in_at < train->in_size;
}

ssize_t train_receive(Train *train, void *buffer, size_t size) {
        size_t n;

        if (!train->batches)
                return recv(train->fd, buffer, size, MSG_DONTWAIT);
        if (!train_has_more(train) && train_fill(train) < 0)
                return -1;

        n = train->in_size - train->in_at;
        if (n > train->in_car)
                n = train->in_car;
        if (n > size)
                bench_die("receive", "the datagram is longer than any that was sent");

        memcpy(buffer, train->in + train->in_at, n);
        train->in_at += n;
        return (ssize_t)n;
}
