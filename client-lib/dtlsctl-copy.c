/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Datagrams between a channel and the standard streams. They are data: whatever the peer sends goes
 * to standard output as it is.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
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
        if (r < 0 && r != -EPIPE && r != -ECONNRESET) /* those the channel tells by itself */
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
