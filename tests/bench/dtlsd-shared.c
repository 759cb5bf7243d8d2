/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dtlsd by a shared channel, see dtlsd.h. An end is a connection's number. */

#include "dtlsd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#define FRAMES 64

static dtlsd_channel *channel;

static uint32_t number_of(void *end) {
        return (uint32_t)(uintptr_t)end;
}

static void *end_of(uint32_t number) {
        return (void *)(uintptr_t)number;
}

static void way_begin(BenchKind kind, bool server) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        bench_dtlsd_begin(kind, server);
        bench_dtlsd_must(dtlsd_channel_open(bench_dtlsd_bus, &channel, &error), "OpenChannel",
                         &error);
}

static uint16_t way_listen(void) {
        return dtlsd_listener_port(bench_dtlsd_listen(channel));
}

/* Waits until one has opened. */
static void *wait_opened(void) {
        struct dtlsd_facts facts;
        struct dtlsd_frame frame;
        int r;

        for (;;) {
                while (bench_dtlsd_announces && sd_bus_process(bench_dtlsd_bus, NULL) > 0)
                        ;
                r = dtlsd_channel_receive(channel, &frame);
                if (r == -EAGAIN)
                        r = dtlsd_channel_wait(channel, POLLIN, -1);
                else if (r >= 0 && frame.kind == DTLSD_FRAME_OPENED)
                        return end_of(frame.connection);
                else if (r >= 0 && frame.kind == DTLSD_FRAME_DROPPED &&
                         dtlsd_frame_facts(&frame, &facts) >= 0)
                        bench_die("dropped", facts.reason);
                bench_dtlsd_must(r, "channel", NULL);
        }
}

static void *way_connect(uint16_t port) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection;

        bench_dtlsd_must(dtlsd_connection_create(bench_dtlsd_bus, bench_address(), port,
                                                 bench_dtlsd_client(channel), &connection, &error),
                         "CreateConnection", &error);
        bench_dtlsd_must(dtlsd_connection_do_handshake(connection, &error), "DoHandshake", &error);
        (void)dtlsd_connection_unref(connection); /* the service's goes on */
        return wait_opened();
}

static void way_send(void *end, const void *data, size_t size) {
        int r;

        while ((r = dtlsd_channel_send(channel, number_of(end), data, size)) == -EAGAIN)
                (void)dtlsd_channel_wait(channel, POLLOUT, -1);
        bench_dtlsd_must(r, "send", NULL);
}

static void way_flush(void *end) {
        int r;

        while ((r = dtlsd_channel_flush(channel)) == -EAGAIN)
                (void)dtlsd_channel_wait(channel, POLLOUT, -1);
        bench_dtlsd_must(r, "flush", NULL);
}

static int way_fd(void *end) {
        return dtlsd_channel_fd(channel);
}

static void way_take(void *end, BenchGot got) {
        struct dtlsd_frame frames[FRAMES];
        size_t n;
        int r;

        do {
                r = dtlsd_channel_receive_many(channel, frames, FRAMES, &n);
                if (r == -EAGAIN)
                        return;
                bench_dtlsd_must(r, "receive", NULL);

                for (size_t i = 0; i < n; i++)
                        if (frames[i].kind == DTLSD_FRAME_DATA)
                                got(end_of(frames[i].connection), frames[i].data, frames[i].size);
                        else if (frames[i].kind == DTLSD_FRAME_OPENED)
                                bench_opened();
        } while (n == FRAMES); /* fewer are the rest of a packet */
}

static void way_close(void *end) {
        bench_dtlsd_must(dtlsd_channel_close_connection(channel, number_of(end)), "close", NULL);
        way_flush(end);
}

const BenchWay bench_dtlsd_shared = {
        .begin = way_begin,
        .listen = way_listen,
        .accept = wait_opened,
        .connect = way_connect,
        .send = way_send,
        .flush = way_flush,
        .fd = way_fd,
        .take = way_take,
        .close = way_close,
        .look = bench_dtlsd_look,
};
