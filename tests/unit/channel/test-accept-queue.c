/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* accept-queue: one packet with one fd for each connection, and never too many undelivered. */

#include "base/cleanup.h"
#include "channel/accept-queue.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

typedef struct Pair {
        AcceptQueue *queue;
        int app_fd;
        int given_fd, witness_fd; /* what is handed over, and its other end */
} Pair;

static void pair_up(Pair *pair, const void *data) {
        int ends[2];

        g_assert_cmpint(accept_queue_new(&pair->queue, &pair->app_fd), ==, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), ==, 0);
        pair->given_fd = ends[0];
        pair->witness_fd = ends[1];
}

static void pair_down(Pair *pair, const void *data) {
        accept_queue_free(pair->queue);
        autofd_close(&pair->app_fd);
        autofd_close(&pair->given_fd);
        autofd_close(&pair->witness_fd);
}

static OpenedFacts facts_of(uint32_t connection) {
        OpenedFacts facts = {.connection = connection, .data_mtu = 1400};

        g_assert_cmpint(address_parse("192.0.2.1", 40000, &facts.peer), ==, 0);
        g_assert_cmpint(address_parse("2001:db8::9", 5684, &facts.local), ==, 0);
        return facts;
}

static int push(Pair *pair, uint32_t connection) {
        OpenedFacts facts = facts_of(connection);

        return accept_queue_push(pair->queue, &facts, pair->given_fd);
}

/* One packet into @buffer; the fd it brought, or -1. */
static int app_takes(Pair *pair, uint8_t *buffer, size_t *size) {
        union {
                struct cmsghdr header;
                char bytes[256];
        } control;
        struct iovec place = {.iov_base = buffer, .iov_len = *size};
        struct msghdr message = {
                .msg_iov = &place,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        struct cmsghdr *c;
        ssize_t n;
        int fd;

        n = recvmsg(pair->app_fd, &message, MSG_CMSG_CLOEXEC);
        g_assert_cmpint(n, >=, 0);
        g_assert_cmpint(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC), ==, 0);
        *size = (size_t)n;

        c = CMSG_FIRSTHDR(&message);
        if (!c)
                return -1;

        g_assert_cmpint(c->cmsg_type, ==, SCM_RIGHTS);
        g_assert_cmpuint(c->cmsg_len, ==, CMSG_LEN(sizeof(int)));
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        return fd;
}

static void app_takes_one(Pair *pair) {
        g_autofd int fd = -1;
        uint8_t buffer[4096];
        size_t size = sizeof(buffer);

        fd = app_takes(pair, buffer, &size);
        g_assert_cmpint(fd, >=, 0);
}

/* The value of the one field of a type, by the table of interfaces/README.md; NULL: none. */
static GBytes *field_of(const uint8_t *packet, size_t size, uint16_t wanted) {
        GBytes *found = NULL;
        uint16_t header[2];
        size_t at = 0;

        while (at < size) {
                g_assert_cmpuint(size - at, >=, sizeof(header));
                memcpy(header, packet + at, sizeof(header));
                at += sizeof(header);
                g_assert_cmpuint(header[1], <=, size - at);

                if (header[0] == wanted) {
                        g_assert_null(found);
                        found = g_bytes_new(packet + at, header[1]);
                }
                at += (header[1] + 3u) / 4 * 4;
        }

        g_assert_cmpuint(at, ==, size);
        return found;
}

static void assert_field(const uint8_t *packet, size_t size, uint16_t type, const void *value,
                         size_t value_size) {
        g_autoptr(GBytes) found = field_of(packet, size, type);

        g_assert_nonnull(found);
        g_assert_cmpmem(g_bytes_get_data(found, NULL), g_bytes_get_size(found), value, value_size);
}

static void test_a_packet_says_what_is_known(Pair *pair, const void *data) {
        OpenedFacts facts = facts_of(7);
        g_autoptr(GBytes) identity = g_bytes_new("a\0b\xff", 4), leaf = NULL;
        uint32_t connection = 7, data_mtu = 1400;
        uint16_t peer_port = 40000, local_port = 5684;
        uint8_t buffer[4096], hash[32], resumed = 1;
        size_t size = sizeof(buffer);
        g_autofd int fd = -1;

        memset(hash, 0xa5, sizeof(hash));
        leaf = g_bytes_new(hash, sizeof(hash));
        facts.psk_identity = identity;
        facts.leaf_sha256 = leaf;
        facts.resumed = true;
        g_assert_cmpint(accept_queue_push(pair->queue, &facts, pair->given_fd), ==, 0);

        fd = app_takes(pair, buffer, &size);
        assert_field(buffer, size, 1, &connection, sizeof(connection));
        assert_field(buffer, size, 2, "192.0.2.1", 9);
        assert_field(buffer, size, 3, &peer_port, sizeof(peer_port));
        assert_field(buffer, size, 4, "2001:db8::9", 11);
        assert_field(buffer, size, 5, &local_port, sizeof(local_port));
        assert_field(buffer, size, 6, &data_mtu, sizeof(data_mtu));
        assert_field(buffer, size, 7, "a\0b\xff", 4);
        assert_field(buffer, size, 8, hash, sizeof(hash));
        assert_field(buffer, size, 9, &resumed, sizeof(resumed));
}

static void test_a_packet_leaves_out_what_there_is_not(Pair *pair, const void *data) {
        uint8_t buffer[4096], resumed = 0;
        size_t size = sizeof(buffer);
        g_autofd int fd = -1;

        g_assert_cmpint(push(pair, 7), ==, 0);
        fd = app_takes(pair, buffer, &size);
        g_assert_null(field_of(buffer, size, OPENED_PSK_IDENTITY));
        g_assert_null(field_of(buffer, size, OPENED_LEAF_SHA256));
        assert_field(buffer, size, OPENED_RESUMED, &resumed, sizeof(resumed));
}

static void test_the_largest_identity_fits(Pair *pair, const void *data) {
        g_autofree uint8_t *buffer = g_malloc(100000), *large = g_malloc0(UINT16_MAX);
        g_autoptr(GBytes) identity = g_bytes_new(large, UINT16_MAX);
        OpenedFacts facts = facts_of(7);
        size_t size = 100000;
        g_autofd int fd = -1;

        facts.psk_identity = identity;
        g_assert_cmpint(accept_queue_push(pair->queue, &facts, pair->given_fd), ==, 0);
        fd = app_takes(pair, buffer, &size);
        assert_field(buffer, size, OPENED_PSK_IDENTITY, large, UINT16_MAX);
}

static void test_the_fd_is_the_one_that_was_given(Pair *pair, const void *data) {
        uint8_t buffer[4096];
        size_t size = sizeof(buffer);
        g_autofd int fd = -1;

        g_assert_cmpint(push(pair, 1), ==, 0);
        g_assert_true(fcntl(pair->given_fd, F_GETFD) >= 0); /* the caller keeps its own */

        fd = app_takes(pair, buffer, &size);
        g_assert_cmpint(send(fd, "hello", 5, 0), ==, 5);
        g_assert_cmpint(recv(pair->witness_fd, buffer, sizeof(buffer), MSG_DONTWAIT), ==, 5);
}

static void test_at_most_64_wait(Pair *pair, const void *data) {
        for (uint32_t i = 0; i < ACCEPT_QUEUE_UNDELIVERED_MAX; i++) {
                g_assert_false(accept_queue_is_full(pair->queue));
                g_assert_cmpint(push(pair, i), ==, 0);
        }

        g_assert_true(accept_queue_is_full(pair->queue));
        g_assert_cmpint(push(pair, 64), ==, ACCEPT_QUEUE_E_FULL);
        g_assert_true(accept_queue_is_full(pair->queue));
}

static void test_what_is_taken_makes_room(Pair *pair, const void *data) {
        for (uint32_t i = 0; i < ACCEPT_QUEUE_UNDELIVERED_MAX; i++)
                g_assert_cmpint(push(pair, i), ==, 0);

        for (uint32_t i = 0; i < 200; i++) {
                app_takes_one(pair);
                g_assert_false(accept_queue_is_full(pair->queue));
                g_assert_cmpint(push(pair, i), ==, 0);
                g_assert_cmpint(push(pair, i), ==, ACCEPT_QUEUE_E_FULL);
        }

        for (uint32_t i = 0; i < ACCEPT_QUEUE_UNDELIVERED_MAX; i++)
                app_takes_one(pair);
        for (uint32_t i = 0; i < ACCEPT_QUEUE_UNDELIVERED_MAX; i++)
                g_assert_cmpint(push(pair, i), ==, 0);
        g_assert_cmpint(push(pair, 64), ==, ACCEPT_QUEUE_E_FULL);
}

static int push_long(Pair *pair, size_t size) {
        g_autofree uint8_t *bytes = g_malloc0(size);
        g_autoptr(GBytes) identity = g_bytes_new(bytes, size);
        OpenedFacts facts = facts_of(1);

        facts.psk_identity = identity;
        return accept_queue_push(pair->queue, &facts, pair->given_fd);
}

static void test_of_long_packets_no_more_wait_and_all_can_be_taken(Pair *pair, const void *data) {
        size_t n_waiting = 0;

        for (int round = 0; round < 20; round++) {
                for (size_t size = (size_t)round * 17; push_long(pair, size) == 0;
                     size = (size + 211) % 3000)
                        n_waiting++;
                g_assert_cmpuint(n_waiting, >, 0);
                g_assert_cmpuint(n_waiting, <=, ACCEPT_QUEUE_UNDELIVERED_MAX);

                /* some are left from time to time */
                for (; n_waiting > (size_t)round % 3 * 20; n_waiting--)
                        app_takes_one(pair);
        }
}

static void test_the_first_64_wait_however_long_they_are(Pair *pair, const void *data) {
        for (uint32_t i = 0; i < ACCEPT_QUEUE_UNDELIVERED_MAX; i++)
                g_assert_cmpint(push_long(pair, 1000), ==, 0);
        g_assert_cmpint(push_long(pair, 1000), ==, ACCEPT_QUEUE_E_FULL);

        for (uint32_t i = 0; i < ACCEPT_QUEUE_UNDELIVERED_MAX; i++)
                app_takes_one(pair);
        g_assert_cmpint(push_long(pair, 1000), ==, 0);
}

static void test_says_when_nobody_is_there(Pair *pair, const void *data) {
        struct pollfd look = {.fd = accept_queue_fd(pair->queue)};

        g_assert_cmpint(poll(&look, 1, 0), ==, 0);
        g_assert_cmpint(push(pair, 1), ==, 0);
        autofd_close(&pair->app_fd);
        pair->app_fd = -1;

        g_assert_cmpint(poll(&look, 1, 0), ==, 1);
        g_assert_true(look.revents & POLLHUP);
        g_assert_cmpint(push(pair, 2), ==, ACCEPT_QUEUE_E_HANGUP);
        g_assert_cmpint(push(pair, 3), ==, ACCEPT_QUEUE_E_HANGUP);
}

static void test_what_the_application_says_is_refused(Pair *pair, const void *data) {
        struct pollfd look = {.fd = pair->app_fd, .events = POLLIN};

        g_assert_cmpint(send(pair->app_fd, "x", 1, MSG_NOSIGNAL), ==, -1);
        g_assert_cmpint(errno, ==, EPIPE);

        /* and to the application that does not look like an end */
        g_assert_cmpint(poll(&look, 1, 0), ==, 0);
        g_assert_cmpint(push(pair, 1), ==, 0);
        g_assert_cmpint(poll(&look, 1, 0), ==, 1);
        g_assert_cmpint(look.revents, ==, POLLIN);
        app_takes_one(pair);
}

static void test_free_lets_the_application_take_the_rest(Pair *pair, const void *data) {
        struct pollfd look = {.fd = pair->app_fd, .events = POLLIN};
        uint8_t buffer[4096];
        size_t size = sizeof(buffer);

        g_assert_cmpint(push(pair, 1), ==, 0);
        g_assert_cmpint(push(pair, 2), ==, 0);
        pair->queue = accept_queue_free(pair->queue);

        app_takes_one(pair);
        app_takes_one(pair);
        g_assert_cmpint(poll(&look, 1, 0), ==, 1);
        g_assert_true(look.revents & POLLHUP);
        g_assert_cmpint(app_takes(pair, buffer, &size), ==, -1);
        g_assert_cmpuint(size, ==, 0);
        g_assert_null(accept_queue_free(NULL));
}

static void add(const char *name, void (*body)(Pair *, const void *)) {
        g_autofree char *path = g_strconcat("/accept-queue/", name, NULL);

        g_test_add(path, Pair, NULL, pair_up, body, pair_down);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        add("a-packet-says-what-is-known", test_a_packet_says_what_is_known);
        add("a-packet-leaves-out-what-there-is-not", test_a_packet_leaves_out_what_there_is_not);
        add("the-largest-identity-fits", test_the_largest_identity_fits);
        add("the-fd-is-the-one-that-was-given", test_the_fd_is_the_one_that_was_given);
        add("at-most-64-wait", test_at_most_64_wait);
        add("what-is-taken-makes-room", test_what_is_taken_makes_room);
        add("of-long-packets-no-more-wait-and-all-can-be-taken",
            test_of_long_packets_no_more_wait_and_all_can_be_taken);
        add("the-first-64-wait-however-long-they-are",
            test_the_first_64_wait_however_long_they_are);
        add("says-when-nobody-is-there", test_says_when_nobody_is_there);
        add("what-the-application-says-is-refused", test_what_the_application_says_is_refused);
        add("free-lets-the-application-take-the-rest",
            test_free_lets_the_application_take_the_rest);
        return g_test_run();
}
