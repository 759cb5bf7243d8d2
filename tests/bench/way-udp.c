/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UDP alone, without any protection: what is left when DTLS costs nothing. */

#include "bench.h"
#include "train.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static bool batches;
static int listening;

static void udp_begin(BenchKind kind, bool server) {
        (void)kind;
        (void)server;
}

static uint16_t udp_listen(void) {
        uint16_t port = 0;

        listening = bench_bind(&port, /* shared= */ false);
        return port;
}

/* The first datagram stands for a handshake. */
static void *udp_accept(void) {
        struct sockaddr_in peer;
        socklen_t size = sizeof peer;
        char byte;

        if (recvfrom(listening, &byte, 1, 0, (struct sockaddr *)&peer, &size) != 1 ||
            connect(listening, (struct sockaddr *)&peer, size) < 0)
                bench_die("udp", "accept");
        return train_new(listening, batches);
}

static void *udp_connect(uint16_t port) {
        Train *train = train_new(bench_connect(port), batches);

        train_send(train, "", 1);
        train_flush(train);
        return train;
}

static void udp_send(void *end, const void *data, size_t size) {
        train_send(end, data, size);
}

static void udp_flush(void *end) {
        train_flush(end);
}

static int udp_fd(void *end) {
        return ((Train *)end)->fd;
}

static void udp_take(void *end, BenchGot got) {
        uint8_t buffer[BENCH_DATAGRAM_MAX];
        Train *train = end;
        ssize_t n;

        while ((n = train_receive(train, buffer, sizeof buffer)) >= 0)
                got(end, buffer, (size_t)n);
}

static void udp_close(void *end) {
        (void)train_free(end);
}

static const BenchWay udp = {
        .begin = udp_begin,
        .listen = udp_listen,
        .accept = udp_accept,
        .connect = udp_connect,
        .send = udp_send,
        .flush = udp_flush,
        .fd = udp_fd,
        .take = udp_take,
        .close = udp_close,
};

static const BenchWay *find(const char *variant) {
        batches = strcmp(variant, "udp-gso") == 0;
        return batches || strcmp(variant, "udp") == 0 ? &udp : NULL;
}

int main(int argc, char **argv) {
        return bench_main(argc, argv, find);
}
