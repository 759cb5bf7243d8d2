/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * linger: a TCP socket whose close() waits: SO_LINGER, and unsent data that its peer does not read;
 * and how it is sent where nobody wants it.
 */

#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define LINGER_SECONDS 60
/* what a busy machine may take for "at once" */
#define LINGER_AT_ONCE_USEC (LINGER_SECONDS * G_USEC_PER_SEC / 3)

/* @ret_peer: keep it open, and do not read it. */
static inline int linger_new(int *ret_peer) {
        struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        struct linger linger = {.l_onoff = 1, .l_linger = LINGER_SECONDS};
        socklen_t size = sizeof(address);
        static const char data[65536];
        int listener, client;

        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(bind(listener, (struct sockaddr *)&address, size), ==, 0);
        g_assert_cmpint(listen(listener, 1), ==, 0);
        g_assert_cmpint(getsockname(listener, (struct sockaddr *)&address, &size), ==, 0);

        client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(connect(client, (struct sockaddr *)&address, size), ==, 0);
        *ret_peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        g_assert_cmpint(*ret_peer, >=, 0);
        close(listener);

        while (send(client, data, sizeof(data), MSG_DONTWAIT) > 0)
                continue;
        g_assert_cmpint(setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), ==, 0);
        return client;
}

/* Whether this kernel can refuse fds at their sender: Linux 6.16. Else the test is skipped. */
static inline bool can_refuse_fds(void) {
        socklen_t size = sizeof(int);
        int fd, value, r;

        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        r = getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &value, &size);
        close(fd);
        if (r < 0)
                g_test_skip("this kernel cannot refuse fds (SO_PASSRIGHTS, Linux 6.16)");

        return r == 0;
}

/* Sends fds with the bytes; what sendmsg() returns. */
static inline ssize_t send_fds(int fd, const char *bytes, size_t size, const int *fds, size_t n) {
        union {
                struct cmsghdr header;
                char bytes[1024 + 64];
        } control = {0};
        struct iovec place = {.iov_base = (char *)bytes, .iov_len = size};
        struct msghdr message = {
                .msg_iov = &place,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = CMSG_SPACE(n * sizeof(int)),
        };

        control.header.cmsg_len = CMSG_LEN(n * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(&control.header), fds, n * sizeof(int));
        return sendmsg(fd, &message, MSG_NOSIGNAL);
}
