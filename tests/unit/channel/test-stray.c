/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stray: fds nobody asked for are closed, each of them, and closing them waits for nothing. */

#include "base/cleanup.h"
#include "channel/stray.h"

#include "linger.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

typedef struct Mail {
        int to, from; /* a socket pair */
        struct msghdr message;
        struct iovec place;
        char data[16];
        union {
                struct cmsghdr header;
                char bytes[STRAY_CONTROL_SIZE];
        } control;
} Mail;

static void mail_init(Mail *mail) {
        int pair[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
        *mail = (Mail){.to = pair[0], .from = pair[1]};
}

static void mail_done(Mail *mail) {
        close(mail->to);
        close(mail->from);
}

static size_t mail_receive_and_close(Mail *mail) {
        mail->place = (struct iovec){.iov_base = mail->data, .iov_len = sizeof(mail->data)};
        mail->message = (struct msghdr){
                .msg_iov = &mail->place,
                .msg_iovlen = 1,
                .msg_control = &mail->control,
                .msg_controllen = sizeof(mail->control),
        };
        g_assert_cmpint(recvmsg(mail->from, &mail->message, MSG_CMSG_CLOEXEC), >=, 0);
        return stray_close(&mail->message);
}

/* The other end of a pipe is the witness: it hangs up when the last copy is closed. */
static void assert_hangs_up(int fd) {
        struct pollfd look = {.fd = fd, .events = POLLIN};

        g_assert_cmpint(poll(&look, 1, LINGER_SECONDS * 1000), ==, 1);
        g_assert_true(look.revents & POLLHUP);
}

static void test_closes_each_that_came(void) {
        int pipes[STRAY_FDS_MAX][2], fds[STRAY_FDS_MAX];
        Mail mail;

        mail_init(&mail);
        for (int i = 0; i < STRAY_FDS_MAX; i++) {
                g_assert_cmpint(pipe2(pipes[i], O_CLOEXEC), ==, 0);
                fds[i] = pipes[i][1];
        }

        g_assert_cmpint(send_fds(mail.to, "x", 1, fds, STRAY_FDS_MAX), ==, 1);
        for (int i = 0; i < STRAY_FDS_MAX; i++)
                close(pipes[i][1]);

        g_assert_cmpuint(mail_receive_and_close(&mail), ==, STRAY_FDS_MAX);
        for (int i = 0; i < STRAY_FDS_MAX; i++) {
                assert_hangs_up(pipes[i][0]);
                close(pipes[i][0]);
        }
        mail_done(&mail);
}

static void test_none_came_none_is_closed(void) {
        Mail mail;

        mail_init(&mail);
        g_assert_cmpint(send(mail.to, "x", 1, 0), ==, 1);
        g_assert_cmpuint(mail_receive_and_close(&mail), ==, 0);
        mail_done(&mail);
}

static void test_a_socket_that_lingers_stops_nobody(void) {
        int peer, socket_fd;
        gint64 begun;
        Mail mail;

        mail_init(&mail);
        socket_fd = linger_new(&peer);
        g_assert_cmpint(send_fds(mail.to, "x", 1, &socket_fd, 1), ==, 1);
        close(socket_fd); /* not the last: the packet has it */

        begun = g_get_monotonic_time();
        g_assert_cmpuint(mail_receive_and_close(&mail), ==, 1);
        g_assert_cmpint(g_get_monotonic_time() - begun, <, LINGER_AT_ONCE_USEC);

        close(peer);
        mail_done(&mail);
}

/* More of them than anybody has threads for, and something else behind them. */
static void test_sockets_that_linger_hold_up_no_other(void) {
        int peers[16], fds[17], ends[2];
        gint64 begun;
        Mail mail;

        mail_init(&mail);
        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        for (int i = 0; i < 16; i++)
                fds[i] = linger_new(&peers[i]);
        fds[16] = ends[1];

        g_assert_cmpint(send_fds(mail.to, "x", 1, fds, 17), ==, 1);
        for (int i = 0; i < 17; i++)
                close(fds[i]);

        begun = g_get_monotonic_time();
        g_assert_cmpuint(mail_receive_and_close(&mail), ==, 17);
        assert_hangs_up(ends[0]);
        g_assert_cmpint(g_get_monotonic_time() - begun, <, LINGER_AT_ONCE_USEC);

        close(ends[0]);
        for (int i = 0; i < 16; i++)
                close(peers[i]);
        mail_done(&mail);
}

/* Without this the tests above could pass because nothing ever waits here. */
static void test_closing_such_a_socket_does_wait(void) {
        static const struct linger a_second = {.l_onoff = 1, .l_linger = 1};
        gint64 begun;
        int peer, socket_fd;

        socket_fd = linger_new(&peer);
        g_assert_cmpint(setsockopt(socket_fd, SOL_SOCKET, SO_LINGER, &a_second, sizeof(a_second)),
                        ==, 0);
        begun = g_get_monotonic_time();
        close(socket_fd);
        g_assert_cmpint(g_get_monotonic_time() - begun, >, G_USEC_PER_SEC / 2);
        close(peer);
}

static void test_the_kernel_refuses_them_where_it_can(void) {
        Mail mail;
        int fd;

        if (!can_refuse_fds())
                return;

        mail_init(&mail);
        fd = mail.from;
        stray_refuse(mail.from);
        g_assert_cmpint(send_fds(mail.to, "x", 1, &fd, 1), ==, -1);
        g_assert_cmpint(errno, ==, EPERM);
        mail_done(&mail);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/stray/closes-each-that-came", test_closes_each_that_came);
        g_test_add_func("/stray/none-came-none-is-closed", test_none_came_none_is_closed);
        g_test_add_func("/stray/a-socket-that-lingers-stops-nobody",
                        test_a_socket_that_lingers_stops_nobody);
        g_test_add_func("/stray/sockets-that-linger-hold-up-no-other",
                        test_sockets_that_linger_hold_up_no_other);
        g_test_add_func("/stray/closing-such-a-socket-does-wait",
                        test_closing_such_a_socket_does_wait);
        g_test_add_func("/stray/the-kernel-refuses-them-where-it-can",
                        test_the_kernel_refuses_them_where_it_can);
        return g_test_run();
}
