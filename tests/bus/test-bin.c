/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fds whose close() blocks: the last reference to a TCP socket with SO_LINGER and unsent data,
 * given to the service in a call, asked for or not. It must answer somebody else at once.
 */

#include "seat.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER "org.freedesktop.DBus.Peer"
#define LINGER_SECONDS 60
#define ANSWER_LIMIT_USEC (LINGER_SECONDS * UINT64_C(1000000) / 3) /* of a busy machine */
#define N_FDS 16 /* what dbus-daemon lets one message carry on a system bus */

typedef struct Slow {
        int listener_fd;
        int reader_fds[N_FDS]; /* never read */
        int fds[N_FDS];
        size_t n;
} Slow;

static void slow_fill(int fd) {
        static const char bytes[4096];
        struct linger linger = {.l_onoff = 1, .l_linger = LINGER_SECONDS};

        while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
        g_assert_cmpint(errno, ==, EAGAIN);
        g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), ==, 0);
}

static Slow slow_new(size_t n) {
        struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        socklen_t size = sizeof(address);
        int buffer = 4096;
        Slow slow = {.n = n};

        slow.listener_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(slow.listener_fd, >=, 0);
        (void)setsockopt(slow.listener_fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
        g_assert_cmpint(bind(slow.listener_fd, (struct sockaddr *)&address, size), ==, 0);
        g_assert_cmpint(listen(slow.listener_fd, N_FDS), ==, 0);
        g_assert_cmpint(getsockname(slow.listener_fd, (struct sockaddr *)&address, &size), ==, 0);

        for (size_t i = 0; i < n; i++) {
                slow.fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                g_assert_cmpint(slow.fds[i], >=, 0);
                (void)setsockopt(slow.fds[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
                g_assert_cmpint(connect(slow.fds[i], (struct sockaddr *)&address, size), ==, 0);
                slow.reader_fds[i] = accept(slow.listener_fd, NULL, NULL);
                g_assert_cmpint(slow.reader_fds[i], >=, 0);
                slow_fill(slow.fds[i]);
        }

        return slow;
}

/* What was given away is not ours to close any more, or that would block here. */
static void slow_given(Slow *slow) {
        for (size_t i = 0; i < slow->n; i++)
                (void)close(slow->fds[i]);
}

static void slow_done(Slow *slow) {
        for (size_t i = 0; i < slow->n; i++)
                (void)close(slow->reader_fds[i]);
        (void)close(slow->listener_fd);
}

/* ---- a message whose signature says nothing about its fds: sd-bus does not make one ---- */

static void wire_align(GByteArray *wire, guint n) {
        static const uint8_t zeros[8];

        if (wire->len % n != 0)
                g_byte_array_append(wire, zeros, n - wire->len % n);
}

static void wire_number(GByteArray *wire, uint32_t number) {
        g_byte_array_append(wire, (const uint8_t *)&number, sizeof(number));
}

static void wire_field(GByteArray *wire, uint8_t code, char type, const char *text,
                       uint32_t number) {
        const uint8_t head[] = {code, 1, (uint8_t)type, 0};

        wire_align(wire, 8);
        g_byte_array_append(wire, head, sizeof(head));
        if (!text) {
                wire_number(wire, number);
                return;
        }

        wire_number(wire, (uint32_t)strlen(text));
        g_byte_array_append(wire, (const uint8_t *)text, (guint)strlen(text) + 1);
}

static GByteArray *wire_ping(const char *sender, uint32_t n_fds) {
        const uint8_t head[] = {G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B', 1 /* call */,
                                1 /* no reply */, 1};
        GByteArray *wire = g_byte_array_new();
        uint32_t size;

        g_byte_array_append(wire, head, sizeof(head));
        wire_number(wire, 0);      /* bytes of the body */
        wire_number(wire, 123456); /* serial */
        wire_number(wire, 0);      /* bytes of the fields, below */
        wire_field(wire, 1, 'o', ROOT, 0);
        wire_field(wire, 2, 's', PEER, 0);
        wire_field(wire, 3, 's', "Ping", 0);
        wire_field(wire, 7, 's', sender, 0);
        wire_field(wire, 9, 'u', NULL, n_fds);
        size = wire->len - 16;
        memcpy(wire->data + 12, &size, sizeof(size));
        wire_align(wire, 8);
        return wire;
}

static void send_hidden(Seat *seat, const char *sender, const Slow *slow) {
        GByteArray *wire = wire_ping(sender, (uint32_t)slow->n);
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(N_FDS * sizeof(int))];
        } control = {};
        struct iovec iov = {.iov_base = wire->data, .iov_len = wire->len};
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = CMSG_SPACE(slow->n * sizeof(int)),
        };
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(slow->n * sizeof(int));
        memcpy(CMSG_DATA(c), slow->fds, slow->n * sizeof(int));
        g_assert_cmpint(sendmsg(sd_bus_get_fd(seat->theirs), &message, MSG_NOSIGNAL), ==,
                        (gssize)wire->len);
        (void)g_byte_array_unref(wire);
}

/* ---- */

static bool is_answered(void *userdata) {
        return ((Call *)userdata)->reply;
}

static void somebody_else_is_answered(Seat *seat) {
        g_autoptr(Call) call = seat_call(seat, ":1.2", ROOT, PEER, "Ping", "");

        g_assert_cmpuint(seat_run_until(seat, is_answered, call, ANSWER_LIMIT_USEC), <,
                         ANSWER_LIMIT_USEC);
        g_assert_null(call_error(call));
}

static void asked_for(void) {
        g_autoptr(Seat) seat = seat_new();
        g_autoptr(Call) call = NULL;
        Slow slow = slow_new(N_FDS);
        sd_bus_message *m;

        seat_enter(seat, ":1.1", 1000);
        seat_enter(seat, ":1.2", 1001);
        m = seat_message(seat, ":1.1", ROOT, MANAGER, "CreateConnection");
        g_assert_cmpint(sd_bus_message_append(m, "s", "client"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        for (size_t i = 0; i < slow.n; i++)
                g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Nonsense", "h", slow.fds[i]), >=,
                                0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        call = seat_send(seat, m);
        slow_given(&slow);

        somebody_else_is_answered(seat);
        somebody_else_is_answered(seat);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "InvalidInputParameters");
        slow_done(&slow);
}

static void hidden(void) {
        g_autoptr(Seat) seat = seat_new();
        Slow slow = slow_new(N_FDS);

        seat_enter(seat, ":1.1", 1000);
        seat_enter(seat, ":1.2", 1001);
        somebody_else_is_answered(seat);
        send_hidden(seat, ":1.1", &slow);
        slow_given(&slow);

        somebody_else_is_answered(seat);
        somebody_else_is_answered(seat);
        slow_done(&slow);
}

static void parked(void) {
        g_autoptr(Seat) seat = seat_new();
        Slow slow = slow_new(N_FDS);

        seat_enter(seat, ":1.1", 1000);
        seat_enter(seat, ":1.2", 1001);
        somebody_else_is_answered(seat);
        seat->withholds = true;
        send_hidden(seat, ":1.1", &slow);
        slow_given(&slow);
        somebody_else_is_answered(seat);

        seat_leave(seat, ":1.1");
        somebody_else_is_answered(seat);
        somebody_else_is_answered(seat);
        slow_done(&slow);
}

static size_t n_open_fds(void) {
        size_t n = 0;

        for (int fd = 0; fd < 4096; fd++) {
                int copy_fd = dup(fd);

                if (copy_fd < 0)
                        continue;
                n++;
                (void)close(copy_fd);
        }

        return n;
}

static void closed(void) {
        g_autoptr(Seat) seat = seat_new();
        size_t before;

        seat_enter(seat, ":1.1", 1000);
        seat_enter(seat, ":1.2", 1001);
        somebody_else_is_answered(seat);
        before = n_open_fds();
        for (size_t i = 0; i < 20; i++) {
                Slow slow = slow_new(1);

                send_hidden(seat, ":1.1", &slow);
                slow_given(&slow);
                somebody_else_is_answered(seat);
                seat_run(seat);
                slow_done(&slow);
        }

        g_assert_cmpuint(n_open_fds(), ==, before);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bus/bin/an-fd-that-lingers-does-not-stop-the-loop", asked_for);
        g_test_add_func("/bus/bin/nor-does-one-that-the-signature-hides", hidden);
        g_test_add_func("/bus/bin/nor-does-one-of-a-parked-call-whose-caller-left", parked);
        g_test_add_func("/bus/bin/every-fd-is-closed", closed);
        return g_test_run();
}
