/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* use: what was put comes out at the other end; what is none does not. */

#include "base/use.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Pair {
        int fd[2];
        UsePacket *out, *in;
} Pair;

static void set_up(Pair *pair, gconstpointer unused) {
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair->fd), ==, 0);
        pair->out = use_packet_new();
        pair->in = use_packet_new();
}

static void tear_down(Pair *pair, gconstpointer unused) {
        (void)close(pair->fd[0]);
        (void)close(pair->fd[1]);
        use_packet_free(pair->out);
        use_packet_free(pair->in);
}

static void several_go_in_one(Pair *pair, gconstpointer unused) {
        const Use first = {.ticket = 1, .key = 2, .uid = 3, .size = 5, .is_hash = true};
        const Use second = {.ticket = UINT64_MAX};
        void *bytes;
        Use use;

        g_assert_true(use_put(pair->out, &first, "ECDSA-SHA256", "hello"));
        g_assert_true(use_put(pair->out, &second, "", NULL));
        g_assert_cmpuint(use_count(pair->out), ==, 2);
        g_assert_cmpint(use_send(pair->out, pair->fd[0], 0), ==, 0);
        g_assert_cmpuint(use_count(pair->out), ==, 0);

        g_assert_cmpint(use_receive(pair->in, pair->fd[1]), ==, 0);
        g_assert_true(use_next(pair->in, &use, &bytes));
        g_assert_cmpuint(use.ticket, ==, 1);
        g_assert_cmpuint(use.key, ==, 2);
        g_assert_cmpuint(use.uid, ==, 3);
        g_assert_cmpuint(use.is_hash, ==, 1);
        g_assert_cmpstr(use.word, ==, "ECDSA-SHA256");
        g_assert_cmpmem(bytes, use.size, "hello", 5);
        g_assert_true(use_next(pair->in, &use, &bytes));
        g_assert_cmpuint(use.ticket, ==, UINT64_MAX);
        g_assert_cmpuint(use.size, ==, 0);
        g_assert_false(use_next(pair->in, &use, &bytes));
        g_assert_false(use_has_more(pair->in));
        g_assert_cmpint(use_receive(pair->in, pair->fd[1]), ==, -EAGAIN);
}

static void takes_no_more_than_there_is_room(Pair *pair, gconstpointer unused) {
        g_autofree uint8_t *bytes = g_malloc0(USE_BYTES_MAX + 1);
        const Use longest = {.size = USE_BYTES_MAX}, too_long = {.size = USE_BYTES_MAX + 1};
        g_autofree char *word = g_strnfill(USE_WORD_SIZE, 'x');

        g_assert_false(use_put(pair->out, &too_long, "", bytes));
        g_assert_false(use_put(pair->out, &(Use){0}, word, NULL));
        g_assert_true(use_put(pair->out, &longest, word + 1, bytes));
        g_assert_false(use_put(pair->out, &longest, "", bytes));
        g_assert_cmpint(use_send(pair->out, pair->fd[0], MSG_DONTWAIT), ==, 0);
        g_assert_cmpint(use_receive(pair->in, pair->fd[1]), ==, 0);
}

/* Neither a head that is cut off, nor a size or a word that goes beyond its place. */
static void believes_no_packet(Pair *pair, gconstpointer unused) {
        struct {
                Use use;
                uint64_t bytes;
        } packet = {.use = {.size = 9}};
        void *bytes;
        Use use;

        for (int i = 0; i < 3; i++) {
                const size_t size = i == 0 ? sizeof(Use) - 1 : sizeof(packet);

                if (i == 2) {
                        packet.use.size = 8;
                        memset(packet.use.word, 'x', sizeof(packet.use.word));
                }
                g_assert_cmpint(send(pair->fd[0], &packet, size, 0), ==, (ssize_t)size);
                g_assert_cmpint(use_receive(pair->in, pair->fd[1]), ==, 0);
                g_assert_false(use_next(pair->in, &use, &bytes));
                g_assert_true(use_has_more(pair->in));
        }
}

/* Not even what is read of it. */
static void believes_nothing_of_a_packet_that_is_too_long(Pair *pair, gconstpointer unused) {
        g_autofree uint8_t *packet = g_malloc0(USE_PACKET_MAX + 1);
        void *bytes;
        Use use;

        g_assert_cmpint(send(pair->fd[0], packet, USE_PACKET_MAX + 1, 0), ==, USE_PACKET_MAX + 1);
        g_assert_cmpint(use_receive(pair->in, pair->fd[1]), ==, 0);
        g_assert_false(use_next(pair->in, &use, &bytes));
        g_assert_true(use_has_more(pair->in));
}

static void keeps_what_was_not_sent(Pair *pair, gconstpointer unused) {
        const Use use = {.ticket = 1};

        g_assert_true(use_put(pair->out, &use, "", NULL));
        g_assert_cmpint(use_send(pair->out, -1, 0), ==, -EBADF);
        g_assert_cmpuint(use_count(pair->out), ==, 1);
        g_assert_cmpint(use_send(pair->out, pair->fd[0], 0), ==, 0);
}

#define ADD(path, function) g_test_add("/use/" path, Pair, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("several-go-in-one", several_go_in_one);
        ADD("takes-no-more-than-there-is-room", takes_no_more_than_there_is_room);
        ADD("believes-no-packet", believes_no_packet);
        ADD("believes-nothing-of-a-packet-that-is-too-long",
            believes_nothing_of_a_packet_that_is_too_long);
        ADD("keeps-what-was-not-sent", keeps_what_was_not_sent);
        return g_test_run();
}
