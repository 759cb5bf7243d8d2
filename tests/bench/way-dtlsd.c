/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dtlsd through its client library: "dtlsd", each connection by its own channel with send() and
 * recv(); "dtlsd-shared", all by one; "dtlsd-announced", the same with an object each on the bus.
 */

#include "dtlsd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static dtlsd_listener *listener;

static uint16_t way_listen(void) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        listener = bench_dtlsd_listen(NULL);
        bench_dtlsd_must(dtlsd_listener_open_accept_queue(listener, &error), "OpenAcceptQueue",
                         &error);
        return dtlsd_listener_port(listener);
}

static void *way_accept(void) {
        dtlsd_connection *connection = NULL;
        int r;

        while ((r = dtlsd_listener_accept(listener, &connection)) == -EAGAIN)
                (void)bench_wait_readable(dtlsd_listener_fd(listener), -1);

        bench_dtlsd_must(r, "accept", NULL);
        return connection;
}

static void *way_connect(uint16_t port) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection;

        bench_dtlsd_must(dtlsd_connect(bench_dtlsd_bus, bench_address(), port,
                                       bench_dtlsd_client(NULL), &connection, &error),
                         "Connect", &error);
        return connection;
}

static void way_send(void *end, const void *data, size_t size) {
        struct pollfd pollfd = {.fd = dtlsd_connection_fd(end), .events = POLLOUT};

        while (send(pollfd.fd, data, size, MSG_NOSIGNAL) < 0) {
                if (errno != EAGAIN)
                        bench_die("send", strerror(errno));
                (void)poll(&pollfd, 1, -1); /* full: the service has more to send than it can */
        }
}

static int way_fd(void *end) {
        return dtlsd_connection_fd(end);
}

static void way_take(void *end, BenchGot got) {
        const int fd = dtlsd_connection_fd(end);
        uint8_t buffer[BENCH_DATAGRAM_MAX];
        ssize_t n;

        while ((n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
                got(end, buffer, (size_t)n);
        if (n == 0)
                bench_die("receive", "closed");
}

static void way_close(void *end) {
        (void)dtlsd_connection_unref(end);
}

const BenchWay bench_dtlsd = {
        .begin = bench_dtlsd_begin,
        .listen = way_listen,
        .accept = way_accept,
        .connect = way_connect,
        .send = way_send,
        .fd = way_fd,
        .take = way_take,
        .close = way_close,
        .look = bench_dtlsd_look,
};

/* Each datagram by a call on the bus. */
static void bus_send(void *end, const void *data, size_t size) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        bench_dtlsd_must(dtlsd_connection_write(end, data, size, &error), "WriteDatagramEncrypted",
                         &error);
}

static const BenchWay by_bus = {
        .begin = bench_dtlsd_begin,
        .connect = way_connect,
        .send = bus_send,
};

static const BenchWay *find(const char *variant) {
        uint32_t n_readers;

        bench_dtlsd_announces = strcmp(variant, "dtlsd-announced") == 0;
        if (bench_dtlsd_announces || strcmp(variant, "dtlsd-shared") == 0)
                return &bench_dtlsd_shared;
        if (sscanf(variant, "dtlsd-readers-%u", &n_readers) == 1)
                return bench_dtlsd_find_readers(n_readers);
        if (strcmp(variant, "dtlsd-bus") == 0)
                return &by_bus;
        if (strcmp(variant, "dtlsd-empty") == 0)
                return &bench_dtlsd_empty;

        return strcmp(variant, "dtlsd") == 0 ? &bench_dtlsd : NULL;
}

int main(int argc, char **argv) {
        return bench_main(argc, argv, find);
}
