/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shared-channel: frames both ways, as far as they make sense, and never more than one packet kept.
 */

#include "base/cleanup.h"
#include "channel/shared-channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

typedef struct Pair {
        SharedChannel *channel;
        int app_fd;
        uint8_t packet[SHARED_PACKET_MAX + 64]; /* that the application makes, or has read */
        size_t size;
} Pair;

static void pair_up(Pair *pair, const void *data) {
        pair->app_fd = -1;
        g_assert_cmpint(shared_channel_new(&pair->channel, &pair->app_fd), ==, 0);
}

static void pair_down(Pair *pair, const void *data) {
        shared_channel_free(pair->channel);
        autofd_close(&pair->app_fd);
}

/* ---- what the application writes, by the table of interfaces/README.md ---- */

static void app_adds_header(Pair *pair, uint32_t connection, uint16_t kind, uint16_t length) {
        memcpy(pair->packet + pair->size, &connection, 4);
        memcpy(pair->packet + pair->size + 4, &kind, 2);
        memcpy(pair->packet + pair->size + 6, &length, 2);
        pair->size += 8;
}

static void app_adds(Pair *pair, uint32_t connection, uint16_t kind, const char *text) {
        size_t length = strlen(text), padding = -length % 8;

        app_adds_header(pair, connection, kind, (uint16_t)length);
        memcpy(pair->packet + pair->size, text, length);
        memset(pair->packet + pair->size + length, 0xee, padding);
        pair->size += length + padding;
}

static void app_sends(Pair *pair) {
        g_assert_cmpint(send(pair->app_fd, pair->packet, pair->size, MSG_NOSIGNAL), ==, pair->size);
        pair->size = 0;
}

static void receive(Pair *pair) {
        g_assert_cmpint(shared_channel_receive(pair->channel), ==, 0);
}

static void assert_next(Pair *pair, uint32_t connection, FrameKind kind, const char *text) {
        Frame frame;

        g_assert_true(shared_channel_next(pair->channel, &frame));
        g_assert_cmpuint(frame.connection, ==, connection);
        g_assert_cmpuint(frame.kind, ==, kind);
        g_assert_cmpmem(frame.data, frame.size, text, strlen(text));
}

static void assert_no_more(Pair *pair, uint64_t n_malformed) {
        Frame frame;

        for (int i = 0; i < 3; i++)
                g_assert_false(shared_channel_next(pair->channel, &frame));
        g_assert_cmpuint(shared_channel_stats(pair->channel).n_malformed, ==, n_malformed);
}

/* ---- from the application ---- */

static void test_frames_come_in_order(Pair *pair, const void *data) {
        app_adds(pair, 7, 1, "one");
        app_adds(pair, 4000000000, 1, "twelve bytes");
        app_adds(pair, 7, 1, "exactly8");
        app_adds(pair, 7, 3, "");
        app_sends(pair);

        receive(pair);
        assert_next(pair, 7, FRAME_DATA, "one");
        assert_next(pair, 4000000000, FRAME_DATA, "twelve bytes");
        assert_next(pair, 7, FRAME_DATA, "exactly8");
        assert_next(pair, 7, FRAME_CLOSED, "");
        assert_no_more(pair, 0);
}

static void test_the_last_padding_may_be_missing(Pair *pair, const void *data) {
        app_adds(pair, 7, 1, "one");
        pair->size -= 5;
        app_sends(pair);

        receive(pair);
        assert_next(pair, 7, FRAME_DATA, "one");
        assert_no_more(pair, 0);
}

static void test_the_largest_packet_fits(Pair *pair, const void *data) {
        Frame frame;
        int n = 0;

        while (pair->size < SHARED_PACKET_MAX)
                app_adds(pair, 7, 1, "exactly8");
        app_sends(pair);

        receive(pair);
        while (shared_channel_next(pair->channel, &frame))
                n++;
        g_assert_cmpint(n, ==, SHARED_PACKET_MAX / 16);
        assert_no_more(pair, 0);
}

static void test_a_packet_that_is_too_long_is_dropped(Pair *pair, const void *data) {
        while (pair->size <= SHARED_PACKET_MAX)
                app_adds(pair, 7, 1, "exactly8");
        app_sends(pair);
        app_adds(pair, 8, 1, "and the next");
        app_sends(pair);

        receive(pair);
        assert_no_more(pair, 1);
        receive(pair);
        assert_next(pair, 8, FRAME_DATA, "and the next");
        assert_no_more(pair, 1);
}

static void test_what_cannot_be_ends_the_packet(Pair *pair, const void *data) {
        static const uint16_t kinds[] = {0, 2, 4, 5, 6, 0xffff};
        uint64_t n = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                app_adds(pair, 7, 1, "before");
                app_adds(pair, 7, kinds[i], "wrong");
                app_adds(pair, 7, 1, "after");
                app_sends(pair);

                receive(pair);
                assert_next(pair, 7, FRAME_DATA, "before");
                assert_no_more(pair, ++n);
        }
}

static void test_a_length_beyond_the_packet_ends_it(Pair *pair, const void *data) {
        static const uint16_t lengths[] = {9, 16, 0x8000, 0xffff};
        uint64_t n = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
                app_adds(pair, 7, 1, "before");
                app_adds_header(pair, 7, 1, lengths[i]);
                pair->size += 8;
                app_sends(pair);

                receive(pair);
                assert_next(pair, 7, FRAME_DATA, "before");
                assert_no_more(pair, ++n);
        }
}

static void test_a_header_that_is_cut_ends_it(Pair *pair, const void *data) {
        uint64_t n = 0;

        for (size_t left = 1; left < 8; left++) {
                app_adds(pair, 7, 1, "exactly8");
                app_adds_header(pair, 7, 1, 0);
                pair->size -= 8 - left;
                app_sends(pair);

                receive(pair);
                assert_next(pair, 7, FRAME_DATA, "exactly8");
                assert_no_more(pair, ++n);
        }
}

static void test_noise_does_no_harm(Pair *pair, const void *data) {
        g_autoptr(GRand) random = g_rand_new_with_seed(5);
        Frame frame;

        for (int i = 0; i < 2000; i++) {
                pair->size = (size_t)g_rand_int_range(random, 1, 512);
                for (size_t at = 0; at < pair->size; at++)
                        pair->packet[at] = g_rand_boolean(random) ? 0 : (uint8_t)g_rand_int(random);
                app_sends(pair);

                receive(pair);
                while (shared_channel_next(pair->channel, &frame))
                        for (size_t at = 0; at < frame.size; at++)
                                g_assert_true(frame.data[at] <= 255);
        }
}

static void test_nothing_and_empty_packets_are_not_the_end(Pair *pair, const void *data) {
        receive(pair);
        assert_no_more(pair, 0);

        app_sends(pair); /* of no bytes */
        receive(pair);
        assert_no_more(pair, 0);

        app_adds(pair, 7, 1, "last");
        app_sends(pair);
        autofd_close(&pair->app_fd);
        pair->app_fd = -1;
        receive(pair);
        assert_next(pair, 7, FRAME_DATA, "last");
        g_assert_cmpint(shared_channel_receive(pair->channel), ==, CHANNEL_E_HANGUP);
        assert_no_more(pair, 0);
}

static void test_one_direction_is_the_end_too(Pair *pair, const void *data) {
        g_assert_cmpint(shutdown(pair->app_fd, SHUT_WR), ==, 0);
        g_assert_cmpint(shared_channel_receive(pair->channel), ==, CHANNEL_E_HANGUP);
}

static void test_stray_fds_do_not_stay(Pair *pair, const void *data) {
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {.header = {
                             .cmsg_len = CMSG_LEN(sizeof(int)),
                             .cmsg_level = SOL_SOCKET,
                             .cmsg_type = SCM_RIGHTS,
                     }};
        struct iovec place = {.iov_base = pair->packet};
        struct msghdr message = {
                .msg_iov = &place,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        int ends[2];
        char end;

        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        app_adds(pair, 7, 1, "with an fd");
        place.iov_len = pair->size;
        memcpy(CMSG_DATA(&control.header), &ends[1], sizeof(int));

        /* refused by the kernel, or closed by us */
        if (sendmsg(pair->app_fd, &message, MSG_NOSIGNAL) >= 0) {
                receive(pair);
                assert_next(pair, 7, FRAME_DATA, "with an fd");
                g_assert_cmpuint(shared_channel_stats(pair->channel).n_stray_fds, ==, 1);
        } else {
                g_assert_cmpint(errno, ==, EPERM);
        }
        close(ends[1]);
        g_assert_cmpint(read(ends[0], &end, 1), ==, 0); /* nobody has the other end */
        close(ends[0]);
}

/* ---- to the application ---- */

static bool put(Pair *pair, uint32_t connection, FrameKind kind, const char *text) {
        return shared_channel_put(pair->channel, &(Frame){
                                                         .connection = connection,
                                                         .kind = kind,
                                                         .data = (const uint8_t *)text,
                                                         .size = strlen(text),
                                                 });
}

/* One packet. False: there is none. */
static bool app_reads(Pair *pair) {
        ssize_t n = recv(pair->app_fd, pair->packet, sizeof(pair->packet), MSG_DONTWAIT);

        pair->size = n > 0 ? (size_t)n : 0;
        return n > 0;
}

static void test_a_flush_is_one_packet(Pair *pair, const void *data) {
        uint8_t expected[64] = {0};
        size_t size;

        app_adds(pair, 7, 2, "fields");
        app_adds(pair, 7, 1, "exactly8");
        app_adds(pair, 8, 3, "PeerClosed");
        size = pair->size;
        memcpy(expected, pair->packet, size);
        memset(expected + 8 + 6, 0, 2); /* padding of ours is zeros */
        memset(expected + 16 + 16 + 8 + 10, 0, 6);

        g_assert_true(put(pair, 7, FRAME_OPENED, "fields"));
        g_assert_true(put(pair, 7, FRAME_DATA, "exactly8"));
        g_assert_true(put(pair, 8, FRAME_CLOSED, "PeerClosed"));
        g_assert_false(app_reads(pair));
        g_assert_cmpint(shared_channel_flush(pair->channel), ==, 0);
        g_assert_true(app_reads(pair));
        g_assert_cmpmem(pair->packet, pair->size, expected, size);

        g_assert_cmpint(shared_channel_flush(pair->channel), ==, 0);
        g_assert_false(app_reads(pair));
}

static void test_a_full_packet_leaves_by_itself(Pair *pair, const void *data) {
        for (int i = 0; i < SHARED_PACKET_MAX / 16; i++) {
                g_assert_true(put(pair, 7, FRAME_DATA, "exactly8"));
                g_assert_false(app_reads(pair));
        }

        g_assert_true(put(pair, 7, FRAME_DATA, "one more"));
        g_assert_true(app_reads(pair));
        g_assert_cmpuint(pair->size, ==, SHARED_PACKET_MAX);
}

static void test_a_reader_that_is_full_is_not_waited_for(Pair *pair, const void *data) {
        size_t n_put = 0, n_read = 0;

        while (put(pair, 7, FRAME_DATA, "exactly8"))
                n_put++;
        g_assert_false(put(pair, 7, FRAME_DATA, "exactly8"));
        g_assert_cmpint(shared_channel_flush(pair->channel), ==, CHANNEL_E_FULL);
        g_assert_cmpuint(n_put * 16, <=, SHARED_CHANNEL_BYTES); /* what is charged for it */

        while (app_reads(pair))
                n_read += pair->size / 16;
        g_assert_cmpint(shared_channel_flush(pair->channel), ==, 0);
        while (app_reads(pair))
                n_read += pair->size / 16;
        g_assert_cmpuint(n_read, ==, n_put); /* all that was taken arrives */

        g_assert_true(put(pair, 7, FRAME_DATA, "room again"));
}

static void test_a_reader_that_is_gone_is_told(Pair *pair, const void *data) {
        g_assert_true(put(pair, 7, FRAME_DATA, "exactly8"));
        autofd_close(&pair->app_fd);
        pair->app_fd = -1;
        g_assert_cmpint(shared_channel_flush(pair->channel), ==, CHANNEL_E_HANGUP);
        g_assert_cmpint(shared_channel_flush(pair->channel), ==, CHANNEL_E_HANGUP);
        g_assert_null(shared_channel_free(NULL));
}

static void test_what_was_sent_is_read_after_the_end(Pair *pair, const void *data) {
        struct pollfd look = {.fd = pair->app_fd, .events = POLLIN};

        app_adds(pair, 7, 1, "unread");
        app_sends(pair);
        g_assert_true(put(pair, 7, FRAME_CLOSED, "Close"));
        g_assert_cmpint(shared_channel_flush(pair->channel), ==, 0);
        g_clear_pointer(&pair->channel, shared_channel_free);

        g_assert_true(app_reads(pair));
        g_assert_cmpint(poll(&look, 1, 0), ==, 1);
        g_assert_true(look.revents & POLLHUP);
        g_assert_false(app_reads(pair));
}

static void add(const char *name, void (*body)(Pair *, const void *)) {
        g_autofree char *path = g_strconcat("/shared-channel/", name, NULL);

        g_test_add(path, Pair, NULL, pair_up, body, pair_down);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        add("in/frames-come-in-order", test_frames_come_in_order);
        add("in/the-last-padding-may-be-missing", test_the_last_padding_may_be_missing);
        add("in/the-largest-packet-fits", test_the_largest_packet_fits);
        add("in/a-packet-that-is-too-long-is-dropped", test_a_packet_that_is_too_long_is_dropped);
        add("in/a-kind-that-cannot-be-ends-the-packet", test_what_cannot_be_ends_the_packet);
        add("in/a-length-beyond-the-packet-ends-it", test_a_length_beyond_the_packet_ends_it);
        add("in/a-header-that-is-cut-ends-it", test_a_header_that_is_cut_ends_it);
        add("in/noise-does-no-harm", test_noise_does_no_harm);
        add("in/nothing-and-empty-packets-are-not-the-end",
            test_nothing_and_empty_packets_are_not_the_end);
        add("in/one-direction-is-the-end-too", test_one_direction_is_the_end_too);
        add("in/stray-fds-do-not-stay", test_stray_fds_do_not_stay);
        add("out/a-flush-is-one-packet", test_a_flush_is_one_packet);
        add("out/a-full-packet-leaves-by-itself", test_a_full_packet_leaves_by_itself);
        add("out/a-reader-that-is-full-is-not-waited-for",
            test_a_reader_that_is_full_is_not_waited_for);
        add("out/a-reader-that-is-gone-is-told", test_a_reader_that_is_gone_is_told);
        add("out/what-was-sent-is-read-after-the-end", test_what_was_sent_is_read_after_the_end);
        return g_test_run();
}
