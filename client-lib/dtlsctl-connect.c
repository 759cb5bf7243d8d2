/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl connect: like netcat, over DTLS. Names are resolved here; the daemon never does.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_literal(const char *host) {
        struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM};
        struct addrinfo *list;

        if (getaddrinfo(host, NULL, &hints, &list) != 0)
                return false;

        freeaddrinfo(list);
        return true;
}

/* Tries each address that HOST has; the last refusal is what is told. */
static int connect_any(sd_bus *bus, Settings *settings, const struct addrinfo *list, uint16_t port,
                       dtlsd_connection **ret, sd_bus_error *error) {
        int r = -EHOSTUNREACH;

        for (const struct addrinfo *at = list; at; at = at->ai_next) {
                char address[NI_MAXHOST];

                if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, NULL, 0,
                                NI_NUMERICHOST) != 0)
                        continue;

                sd_bus_error_free(error);
                r = dtlsd_connect(bus, address, port, &settings->options, ret, error);
                if (r >= 0)
                        return 0;
        }

        return r;
}

/* Returns false at the end of input. */
static bool copy_from_input(int fd) {
        uint8_t buffer[DATAGRAM_MAX];
        ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);

        if (n <= 0)
                return false;
        if (send(fd, buffer, (size_t)n, MSG_NOSIGNAL) < 0)
                (void)fprintf(stderr, "dtlsctl: a datagram of %zd bytes was not sent: %s\n", n,
                              strerror(errno));
        return true;
}

static int copy(int fd, int wait_seconds) {
        struct pollfd polls[] = {{.fd = fd, .events = POLLIN},
                                 {.fd = STDIN_FILENO, .events = POLLIN}};
        uint8_t buffer[DATAGRAM_MAX];
        ssize_t n;

        for (;;) {
                int r = poll(polls, 2, polls[1].fd < 0 ? wait_seconds * 1000 : -1);

                if (r < 0 && errno != EINTR)
                        return complain("poll", -errno, NULL);
                if (r == 0)
                        return 0; /* input has ended, and the peer is quiet */
                if (polls[0].revents && !copy_to_output(fd, &n, buffer))
                        return 0; /* the connection has ended */
                if (polls[1].revents && !copy_from_input(fd))
                        polls[1].fd = -1;
        }
}

int command_connect(sd_bus *bus, Settings *settings, char **arguments) {
        struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection = NULL;
        struct addrinfo *list;
        guint64 port;
        int r;

        if (g_strv_length(arguments) != 2 ||
            !g_ascii_string_to_unsigned(arguments[1], 10, 1, 65535, &port, NULL)) {
                (void)fprintf(stderr, "usage: dtlsctl connect [OPTION…] HOST PORT\n");
                return 2;
        }

        r = getaddrinfo(arguments[0], arguments[1], &hints, &list);
        if (r != 0) {
                (void)fprintf(stderr, "dtlsctl: %s: %s\n", arguments[0], gai_strerror(r));
                return 1;
        }
        if (!settings->options.verification_name && !is_literal(arguments[0]))
                settings->options.verification_name = arguments[0];

        r = connect_any(bus, settings, list, (uint16_t)port, &connection, &error);
        freeaddrinfo(list);
        if (r < 0) {
                (void)complain(arguments[0], r, &error);
                sd_bus_error_free(&error);
                return 1;
        }

        (void)fprintf(stderr, "dtlsctl: connected, %s; datagrams of up to %u bytes\n",
                      dtlsd_connection_path(connection), dtlsd_connection_data_mtu(connection));
        r = copy(dtlsd_connection_fd(connection), settings->wait_seconds);
        (void)dtlsd_connection_close(connection, NULL); /* it may be gone already */
        (void)dtlsd_connection_unref(connection);
        return r;
}
