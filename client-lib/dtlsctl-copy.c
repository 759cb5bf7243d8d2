/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Datagrams between a channel and the standard streams. They are data: whatever the peer sends goes
 * to standard output as it is.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define FULL_MSEC 5000 /* a channel that is full that long will not do any better */

static bool write_all(const uint8_t *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(STDOUT_FILENO, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        say("standard output: %s", strerror(errno));
                        return false;
                }
                data += n;
                size -= (size_t)n;
        }

        return true;
}

CopyOutcome copy_to_output(int fd, uint8_t buffer[static DATAGRAM_MAX], size_t *ret_size) {
        ssize_t n = recv(fd, buffer, DATAGRAM_MAX, MSG_DONTWAIT);

        *ret_size = 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return COPY_GOES_ON;
        if (n <= 0)
                return COPY_ENDED; /* ECONNRESET too: we had not read all that we sent */
        if (!write_all(buffer, (size_t)n))
                return COPY_FAILED;

        *ret_size = (size_t)n;
        return COPY_GOES_ON;
}

/* Waits while the channel is full: standard input can wait, and is not to be lost here. */
static int send_patiently(int fd, const uint8_t *data, size_t size) {
        struct pollfd room = {.fd = fd, .events = POLLOUT};

        while (send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
                if (errno != EAGAIN)
                        return -errno;
                if (poll(&room, 1, FULL_MSEC) == 0)
                        return -EAGAIN;
        }

        return 0;
}

static bool is_over(int fd) {
        struct pollfd end = {.fd = fd};

        return poll(&end, 1, 0) > 0;
}

CopyOutcome copy_from_input(int fd, size_t size_max) {
        uint8_t buffer[DATAGRAM_MAX];
        ssize_t n;
        int r;

        n = read(STDIN_FILENO, buffer, MIN(size_max, sizeof buffer));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return COPY_GOES_ON;
        if (n < 0) {
                say("standard input: %s", strerror(errno));
                return COPY_FAILED;
        }
        if (n == 0)
                return COPY_ENDED;

        r = send_patiently(fd, buffer, (size_t)n);
        if (r == -EPIPE && !is_over(fd))
                say("a datagram of %zd bytes was not sent: you may read the connection, not write",
                    n);
        else if (r < 0 && r != -EPIPE && r != -ECONNRESET) /* those the channel tells by itself */
                say("a datagram of %zd bytes was not sent: %s", n, strerror(-r));
        return COPY_GOES_ON;
}

void signals_take(sigset_t *ret) {
        (void)sigemptyset(ret);
        (void)sigaddset(ret, SIGINT);
        (void)sigaddset(ret, SIGTERM);
        (void)sigaddset(ret, SIGHUP);
        (void)sigprocmask(SIG_BLOCK, ret, NULL);
}

/* ---- both ways ---- */

/* The channel is at its end: was that the peer's goodbye? An exit status. */
static int why_ended(dtlsd_connection *connection, bool is_shared) {
        sd_bus_error error = SD_BUS_ERROR_NULL, last = SD_BUS_ERROR_NULL;
        int r, status = EXIT_FAILURE;

        r = dtlsd_connection_last_error(connection, &last, &error);
        if (sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT)) {
                say(is_shared ? "the connection has ended, or is not shared with you any more"
                              : "the connection has ended, and dtlsd does not know it any more");
                if (is_shared) /* its owner may well be done before we ask */
                        status = EXIT_SUCCESS;
        } else if (r < 0)
                say("the connection has ended, and dtlsd with it: %s",
                    error.message ? error.message : strerror(-r));
        else if (!sd_bus_error_is_set(&last) ||
                 sd_bus_error_has_name(&last, DTLSD_ERROR("RemoteClosedConnectionError")))
                status = EXIT_SUCCESS;
        else
                say("the connection has ended: %s", last.message);

        sd_bus_error_free(&last);
        sd_bus_error_free(&error);
        return status;
}

static int copy(dtlsd_connection *connection, int signal_fd, int wait_msec, bool is_shared) {
        int fd = dtlsd_connection_fd(connection);
        struct pollfd polls[] = {{.fd = fd, .events = POLLIN},
                                 {.fd = STDIN_FILENO, .events = POLLIN},
                                 {.fd = signal_fd, .events = POLLIN}};
        struct signalfd_siginfo signal;
        uint8_t buffer[DATAGRAM_MAX];
        CopyOutcome out = COPY_GOES_ON, in = COPY_GOES_ON;
        size_t size;

        while (out == COPY_GOES_ON) {
                int r = poll(polls, G_N_ELEMENTS(polls), in == COPY_GOES_ON ? -1 : wait_msec);

                if (r < 0 && errno != EINTR)
                        return complain("poll", -errno, NULL);
                if (r == 0) /* input has ended, and the peer is quiet */
                        return in == COPY_ENDED ? EXIT_SUCCESS : EXIT_FAILURE;
                if (r < 0)
                        continue;
                if (polls[2].revents && read(signal_fd, &signal, sizeof signal) > 0)
                        return 128 + (int)signal.ssi_signo;
                if (polls[0].revents)
                        out = copy_to_output(fd, buffer, &size);
                if (out == COPY_GOES_ON && polls[1].revents)
                        in = copy_from_input(fd, dtlsd_connection_data_mtu(connection));
                if (in != COPY_GOES_ON)
                        polls[1].fd = -1;
        }

        return out == COPY_FAILED ? EXIT_FAILURE : why_ended(connection, is_shared);
}

int copy_both(dtlsd_connection *connection, int wait_msec, bool is_shared) {
        sigset_t signals;
        int signal_fd, status;

        signals_take(&signals); /* not before: connecting can be interrupted as it is */
        signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
        if (signal_fd < 0)
                return complain("signals", -errno, NULL);

        status = copy(connection, signal_fd, wait_msec, is_shared);
        (void)close(signal_fd);
        return status;
}
