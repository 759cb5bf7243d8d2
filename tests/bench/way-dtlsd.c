/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dtlsd through its client library, each connection by its own channel: send() and recv().
 *
 * BENCH_CLIENT_BUS, BENCH_SERVER_BUS: the addresses of the buses where the ends' services are.
 */

#include "bench.h"

#include <dtlsd-client.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static BenchKind kind;
static sd_bus *bus;
static dtlsd_listener *listener;

static void must(int r, const char *what, const sd_bus_error *error) {
        if (r < 0)
                bench_die(what, error && error->message ? error->message : strerror(-r));
}

static sd_bus *open_bus(const char *variable) {
        const char *address = getenv(variable);
        sd_bus *opened;

        if (!address)
                bench_die(variable, "is not set");
        must(sd_bus_new(&opened), "bus", NULL);
        must(sd_bus_set_address(opened, address), address, NULL);
        must(sd_bus_set_bus_client(opened, 1), address, NULL);
        must(sd_bus_start(opened), address, NULL);
        return opened;
}

static void way_begin(BenchKind what, bool server) {
        kind = what;
        bus = open_bus(server ? "BENCH_SERVER_BUS" : "BENCH_CLIENT_BUS");
}

/* What everybody here speaks. */
static const char *const ciphers[] = {"ECDHE-ECDSA-AES128-GCM-SHA256", NULL};
static const char *const psk_ciphers[] = {"PSK-AES128-GCM-SHA256", NULL};
static const char *const curves[] = {"prime256v1", NULL};

static const struct dtlsd_options *options_of_psk(void) {
        static const struct dtlsd_options options = {
                .ciphers = psk_ciphers,
                .psk_identity = BENCH_PSK_IDENTITY,
                .psk_identity_size = sizeof BENCH_PSK_IDENTITY - 1,
                .psk = BENCH_PSK_KEY,
                .psk_size = sizeof BENCH_PSK_KEY - 1,
        };

        return &options;
}

static uint16_t way_listen(void) {
        char *chain = bench_certificate("server.pem"), *key = bench_certificate("server.key");
        const char *chains[] = {chain, NULL};
        const struct dtlsd_options options = {
                .ciphers = ciphers,
                .elliptic_curves = curves,
                .certificate_chain_files = chains,
                .private_key_file = key,
                .peer_verify_mode = "VerifyNone",
        };
        sd_bus_error error = SD_BUS_ERROR_NULL;

        must(dtlsd_listen(bus, "127.0.0.1", 0, kind == BENCH_PSK ? options_of_psk() : &options,
                          &listener, &error),
             "Listen", &error);
        must(dtlsd_listener_open_accept_queue(listener, &error), "OpenAcceptQueue", &error);
        free(chain);
        free(key);
        return dtlsd_listener_port(listener);
}

static void *way_accept(void) {
        dtlsd_connection *connection = NULL;
        int r;

        while ((r = dtlsd_listener_accept(listener, &connection)) == -EAGAIN) {
                (void)sd_bus_process(bus, NULL);
                bench_wait_readable(dtlsd_listener_fd(listener), -1);
        }

        must(r, "accept", NULL);
        return connection;
}

static void *way_connect(uint16_t port) {
        char *ca = bench_certificate("ca.pem");
        const char *cas[] = {ca, NULL};
        const struct dtlsd_options options = {
                .ciphers = ciphers,
                .elliptic_curves = curves,
                .ca_files = cas,
                .verification_name = BENCH_SERVER_NAME,
        };
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection;

        must(dtlsd_connect(bus, "127.0.0.1", port, kind == BENCH_PSK ? options_of_psk() : &options,
                           &connection, &error),
             "Connect", &error);
        free(ca);
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

static void way_pump(void *end, BenchGot got) {
        const int fd = dtlsd_connection_fd(end);
        uint8_t buffer[BENCH_DATAGRAM_MAX];
        ssize_t n;

        bench_wait_readable(fd, -1);
        while ((n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
                got(buffer, (size_t)n);
        if (n == 0)
                bench_die("receive", "closed");
}

static void way_close(void *end) {
        (void)dtlsd_connection_unref(end);
}

static const BenchWay plain = {
        .begin = way_begin,
        .listen = way_listen,
        .accept = way_accept,
        .connect = way_connect,
        .send = way_send,
        .pump = way_pump,
        .close = way_close,
};

static const BenchWay *find(const char *variant) {
        return strcmp(variant, "dtlsd") == 0 ? &plain : NULL;
}

int main(int argc, char **argv) {
        return bench_main(argc, argv, find);
}
