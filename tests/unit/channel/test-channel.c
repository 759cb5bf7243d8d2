/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* channel: a packet is a datagram, both ways; nothing waits, and what was delivered can be read. */

#include "base/cleanup.h"
#include "channel/channel.h"

#include "linger.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>

typedef struct Pair {
        Channel *channel;
        int app_fd;
        DatagramBatch *batch;
} Pair;

static void pair_up(Pair *pair, const void *data) {
        pair->app_fd = -1;
        g_assert_cmpint(channel_new(&pair->channel, &pair->app_fd), ==, 0);
        pair->batch = datagram_batch_new(CHANNEL_PACKETS_MAX,
                                         (size_t)CHANNEL_PACKETS_MAX * DATAGRAM_SIZE_MAX);
}

static void pair_down(Pair *pair, const void *data) {
        datagram_batch_free(pair->batch);
        channel_free(pair->channel);
        autofd_close(&pair->app_fd);
}

static void deliver(Pair *pair, const char *text) {
        datagram_batch_reset(pair->batch);
        g_assert_true(datagram_batch_append(pair->batch, text, strlen(text)));
        g_assert_cmpint(channel_deliver(pair->channel, pair->batch), ==, 0);
}

static int collect(Pair *pair) {
        datagram_batch_reset(pair->batch);
        return channel_collect(pair->channel, pair->batch, SIZE_MAX);
}

static void app_sends(Pair *pair, const char *text) {
        g_assert_cmpint(send(pair->app_fd, text, strlen(text), MSG_NOSIGNAL), ==, strlen(text));
}

static void assert_app_reads(Pair *pair, const char *text) {
        char buffer[256];
        ssize_t n;

        n = recv(pair->app_fd, buffer, sizeof(buffer), 0);
        g_assert_cmpint(n, >=, 0);
        g_assert_cmpmem(buffer, (size_t)n, text, strlen(text));
}

static void assert_app_sees_the_end(Pair *pair) {
        struct pollfd look = {.fd = pair->app_fd, .events = POLLIN};
        char buffer[1];

        g_assert_cmpint(poll(&look, 1, 0), ==, 1);
        g_assert_true(look.revents & POLLHUP);
        g_assert_false(look.revents & POLLERR);
        g_assert_cmpint(recv(pair->app_fd, buffer, 1, 0), ==, 0);
}

static void assert_collected(Pair *pair, size_t i, const char *text) {
        Datagram d = datagram_batch_at(pair->batch, i);

        g_assert_cmpmem(d.data, d.size, text, strlen(text));
}

/* ---- deliver ---- */

static void test_deliver_keeps_boundaries_and_order(Pair *pair, const void *data) {
        datagram_batch_append(pair->batch, "one", 3);
        datagram_batch_append(pair->batch, "two and more", 12);
        g_assert_cmpint(channel_deliver(pair->channel, pair->batch), ==, 0);

        assert_app_reads(pair, "one");
        assert_app_reads(pair, "two and more");
        g_assert_cmpuint(channel_stats(pair->channel).n_delivered, ==, 2);
}

static void test_deliver_takes_more_than_one_call(Pair *pair, const void *data) {
        g_autoptr(DatagramBatch) many = datagram_batch_new(CHANNEL_PACKETS_MAX * 3, 65536);
        char text[16];
        size_t n = CHANNEL_PACKETS_MAX * 2 + 7;

        for (size_t i = 0; i < n; i++) {
                (void)g_snprintf(text, sizeof(text), "number %zu", i);
                g_assert_true(datagram_batch_append(many, text, strlen(text)));
                if (i % 20 == 0)
                        g_assert_true(datagram_batch_append(many, "", 0));
        }
        g_assert_cmpint(channel_deliver(pair->channel, many), ==, 0);

        for (size_t i = 0; i < n; i++) {
                (void)g_snprintf(text, sizeof(text), "number %zu", i);
                assert_app_reads(pair, text);
        }
        g_assert_cmpuint(channel_stats(pair->channel).n_delivered, ==, n);
        g_assert_cmpuint(channel_stats(pair->channel).n_ignored_empty, ==, 4);
}

static void test_deliver_drops_what_a_slow_reader_leaves(Pair *pair, const void *data) {
        ChannelStats stats;
        size_t n_read = 0;
        char buffer[2048];

        for (int i = 0; i < CHANNEL_PACKETS_MAX; i++)
                datagram_batch_append(pair->batch, buffer, 1200);
        for (int i = 0; i < 32; i++)
                g_assert_cmpint(channel_deliver(pair->channel, pair->batch), ==, 0);

        stats = channel_stats(pair->channel);
        g_assert_cmpuint(stats.n_delivered, >, 0);
        g_assert_cmpuint(stats.n_dropped_full, >, 0);
        g_assert_cmpuint(stats.n_delivered + stats.n_dropped_full, ==, 32 * CHANNEL_PACKETS_MAX);

        /* and what is held for it is bounded: charged to its owner is CHANNEL_BUFFER_DEFAULT */
        g_assert_cmpuint(stats.n_delivered * 1200, <=, CHANNEL_BUFFER_DEFAULT);

        while (recv(pair->app_fd, buffer, sizeof(buffer), 0) == 1200)
                n_read++;
        g_assert_cmpuint(n_read, ==, stats.n_delivered);

        deliver(pair, "room again");
        assert_app_reads(pair, "room again");
}

static void test_deliver_takes_the_largest_datagram(Pair *pair, const void *data) {
        g_autofree char *large = g_strnfill(DATAGRAM_SIZE_MAX, 'x');
        g_autofree char *read = g_malloc(DATAGRAM_SIZE_MAX + 1);

        deliver(pair, large);
        g_assert_cmpint(recv(pair->app_fd, read, DATAGRAM_SIZE_MAX + 1, 0), ==, DATAGRAM_SIZE_MAX);
        g_assert_cmpmem(read, DATAGRAM_SIZE_MAX, large, DATAGRAM_SIZE_MAX);
}

static void test_deliver_spares_the_application_empty_packets(Pair *pair, const void *data) {
        datagram_batch_append(pair->batch, NULL, 0);
        datagram_batch_append(pair->batch, "x", 1);
        g_assert_cmpint(channel_deliver(pair->channel, pair->batch), ==, 0);

        assert_app_reads(pair, "x");
        g_assert_cmpuint(channel_stats(pair->channel).n_ignored_empty, ==, 1);
}

static void test_deliver_says_when_nobody_is_there(Pair *pair, const void *data) {
        deliver(pair, "unread, which resets the other end");
        autofd_close(&pair->app_fd);
        pair->app_fd = -1;

        g_assert_cmpint(channel_deliver(pair->channel, pair->batch), ==, CHANNEL_E_HANGUP);
        g_assert_cmpint(channel_deliver(pair->channel, pair->batch), ==, CHANNEL_E_HANGUP);
}

static void test_deliver_says_when_the_application_reads_no_more(Pair *pair, const void *data) {
        g_assert_cmpint(shutdown(pair->app_fd, SHUT_RD), ==, 0);
        datagram_batch_append(pair->batch, "x", 1);
        g_assert_cmpint(channel_deliver(pair->channel, pair->batch), ==, CHANNEL_E_HANGUP);
}

/* ---- collect ---- */

static void test_collect_keeps_boundaries_and_order(Pair *pair, const void *data) {
        g_assert_cmpint(collect(pair), ==, 0);
        g_assert_cmpuint(datagram_batch_count(pair->batch), ==, 0);

        app_sends(pair, "one");
        app_sends(pair, "two and more");
        g_assert_cmpint(collect(pair), ==, 0);

        g_assert_cmpuint(datagram_batch_count(pair->batch), ==, 2);
        assert_collected(pair, 0, "one");
        assert_collected(pair, 1, "two and more");
}

static void test_collect_takes_a_bounded_number(Pair *pair, const void *data) {
        for (int i = 0; i < CHANNEL_PACKETS_MAX + 1; i++)
                app_sends(pair, "x");

        g_assert_cmpint(collect(pair), ==, 0);
        g_assert_cmpuint(datagram_batch_count(pair->batch), ==, CHANNEL_PACKETS_MAX);
        g_assert_cmpint(collect(pair), ==, 0);
        g_assert_cmpuint(datagram_batch_count(pair->batch), ==, 1);
}

static size_t collected(Pair *pair) {
        g_assert_cmpint(collect(pair), ==, 0);
        return datagram_batch_count(pair->batch);
}

/* A batch has few places while packets come one by one, and as many as may be when they do not. */
static void test_collect_follows_what_comes(Pair *pair, const void *data) {
        size_t most = 0, n = 0;

        for (int i = 0; i < 8; i++) {
                app_sends(pair, "x");
                g_assert_cmpuint(collected(pair), ==, 1);
                g_assert_false(channel_has_more(pair->channel));
        }

        for (int i = 0; i < 100; i++)
                app_sends(pair, "x");
        g_assert_cmpuint(collected(pair), <, 4);
        for (int i = 0; i < 8; i++) {
                size_t taken = collected(pair);

                n += taken;
                most = MAX(most, taken);
        }
        g_assert_cmpuint(n, >=, 96);
        g_assert_cmpuint(most, ==, CHANNEL_PACKETS_MAX);
}

static void test_collect_ignores_empty_packets(Pair *pair, const void *data) {
        g_assert_cmpint(send(pair->app_fd, NULL, 0, 0), ==, 0);
        app_sends(pair, "x");
        g_assert_cmpint(send(pair->app_fd, NULL, 0, 0), ==, 0);
        g_assert_cmpint(send(pair->app_fd, NULL, 0, 0), ==, 0);

        g_assert_cmpint(collect(pair), ==, 0);
        g_assert_cmpuint(datagram_batch_count(pair->batch), ==, 1);
        assert_collected(pair, 0, "x");
        g_assert_cmpuint(channel_stats(pair->channel).n_ignored_empty, ==, 3);
}

static void test_collect_takes_the_largest_datagram(Pair *pair, const void *data) {
        g_autofree char *large = g_strnfill(DATAGRAM_SIZE_MAX, 'x');

        app_sends(pair, large);
        g_assert_cmpint(collect(pair), ==, 0);
        assert_collected(pair, 0, large);
}

static void test_collect_drops_and_counts_what_is_too_long(Pair *pair, const void *data) {
        g_autofree char *large = g_strnfill(DATAGRAM_SIZE_MAX + 1, 'x');

        app_sends(pair, large);
        app_sends(pair, "x");
        g_assert_cmpint(collect(pair), ==, 0);
        g_assert_cmpuint(datagram_batch_count(pair->batch), ==, 1);
        assert_collected(pair, 0, "x");
        g_assert_cmpuint(channel_stats(pair->channel).n_dropped_too_long, ==, 1);
}

static void test_collect_leaves_what_has_no_room_for_the_next_turn(Pair *pair, const void *data) {
        g_autoptr(DatagramBatch) small = datagram_batch_new(8, 10);

        app_sends(pair, "123456");
        app_sends(pair, "7890");
        app_sends(pair, "later");
        g_assert_cmpint(channel_collect(pair->channel, small, SIZE_MAX), ==, 0);
        g_assert_cmpuint(datagram_batch_count(small), ==, 2);

        datagram_batch_reset(small);
        app_sends(pair, "123456");
        g_assert_cmpint(channel_collect(pair->channel, small, SIZE_MAX), ==, 0);
        g_assert_cmpuint(datagram_batch_count(small), ==, 1);

        datagram_batch_reset(small);
        app_sends(pair, "this fits no batch");
        g_assert_cmpint(channel_collect(pair->channel, small, SIZE_MAX), ==, 0);
        g_assert_cmpuint(datagram_batch_count(small), ==, 1);

        datagram_batch_reset(small);
        g_assert_cmpint(channel_collect(pair->channel, small, SIZE_MAX), ==, 0);
        g_assert_cmpuint(datagram_batch_count(small), ==, 0);
        g_assert_cmpuint(channel_stats(pair->channel).n_dropped_too_long, ==, 1);
        g_assert_cmpuint(channel_stats(pair->channel).n_collected, ==, 4);
}

static void test_collect_brings_the_last_words_before_the_end(Pair *pair, const void *data) {
        deliver(pair, "unread, which resets the other end");
        app_sends(pair, "last");
        g_assert_cmpint(send(pair->app_fd, NULL, 0, 0), ==, 0);
        app_sends(pair, "words");
        g_assert_cmpint(send(pair->app_fd, NULL, 0, 0), ==, 0);
        autofd_close(&pair->app_fd);
        pair->app_fd = -1;

        g_assert_cmpint(collect(pair), ==, CHANNEL_E_HANGUP);
        g_assert_cmpuint(datagram_batch_count(pair->batch), ==, 2);
        assert_collected(pair, 0, "last");
        assert_collected(pair, 1, "words");
        g_assert_cmpint(collect(pair), ==, CHANNEL_E_HANGUP);
}

static void test_collect_takes_half_a_goodbye_for_one(Pair *pair, const void *data) {
        app_sends(pair, "last");
        g_assert_cmpint(shutdown(pair->app_fd, SHUT_WR), ==, 0);

        g_assert_cmpint(collect(pair), ==, CHANNEL_E_HANGUP);
        assert_collected(pair, 0, "last");
}

/* With a read of 0 bytes for each place that is over, and empty packets that are none. */
static void test_collect_brings_all_after_a_hangup_that_was_seen(Pair *pair, const void *data) {
        size_t n = 0;
        int r = 0;

        for (int i = 0; i < 50; i++) {
                app_sends(pair, "x");
                for (int k = 0; k < i % 7; k++)
                        g_assert_cmpint(send(pair->app_fd, NULL, 0, 0), ==, 0);
        }
        autofd_close(&pair->app_fd);
        pair->app_fd = -1;
        channel_note_hangup(pair->channel);

        for (int i = 0; r == 0 && i < 300; i++) {
                r = collect(pair);
                n += datagram_batch_count(pair->batch);
        }
        g_assert_cmpint(r, ==, CHANNEL_E_HANGUP);
        g_assert_cmpuint(n, ==, 50);
        g_assert_cmpuint(channel_stats(pair->channel).n_collected, ==, 50);
        g_assert_cmpint(collect(pair), ==, CHANNEL_E_HANGUP);
        g_assert_cmpuint(datagram_batch_count(pair->batch), ==, 0);
}

/* ---- stray fds ---- */

static bool accept_fds(Pair *pair) {
        int on = 1;

        /* as on a kernel that cannot refuse them */
        return setsockopt(channel_fd(pair->channel), SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on)) ==
                       0 ||
               errno == ENOPROTOOPT;
}

static void test_fds_are_refused_at_their_sender(Pair *pair, const void *data) {
        int fd = pair->app_fd;

        if (!can_refuse_fds())
                return;

        g_assert_cmpint(send_fds(pair->app_fd, "x", 1, &fd, 1), ==, -1);
        g_assert_cmpint(errno, ==, EPERM);

        app_sends(pair, "without");
        g_assert_cmpint(collect(pair), ==, 0);
        assert_collected(pair, 0, "without");
        g_assert_cmpuint(channel_stats(pair->channel).n_stray_fds, ==, 0);
}

static void test_fds_that_come_are_closed_and_the_bytes_count(Pair *pair, const void *data) {
        struct pollfd look = {.events = POLLIN};
        int ends[2], fds[3];

        g_assert_true(accept_fds(pair));
        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        fds[0] = fds[1] = fds[2] = ends[1];
        g_assert_cmpint(send_fds(pair->app_fd, "bytes", 5, fds, 3), ==, 5);
        g_assert_cmpint(send_fds(pair->app_fd, "", 0, fds, 1), ==, 0);
        close(ends[1]);

        g_assert_cmpint(collect(pair), ==, 0);
        g_assert_cmpuint(datagram_batch_count(pair->batch), ==, 1);
        assert_collected(pair, 0, "bytes");
        g_assert_cmpuint(channel_stats(pair->channel).n_stray_fds, ==, 4);

        look.fd = ends[0];
        g_assert_cmpint(poll(&look, 1, LINGER_SECONDS * 1000), ==, 1);
        g_assert_true(look.revents & POLLHUP);
        close(ends[0]);
}

static void test_a_socket_that_lingers_stops_nobody(Pair *pair, const void *data) {
        gint64 begun;
        int peer, fd;

        g_assert_true(accept_fds(pair));
        fd = linger_new(&peer);
        g_assert_cmpint(send_fds(pair->app_fd, "x", 1, &fd, 1), ==, 1);
        close(fd);

        begun = g_get_monotonic_time();
        g_assert_cmpint(collect(pair), ==, 0);
        g_assert_cmpint(g_get_monotonic_time() - begun, <, LINGER_AT_ONCE_USEC);
        assert_collected(pair, 0, "x");
        close(peer);
}

static void test_a_socket_that_lingers_does_not_stop_free(Pair *pair, const void *data) {
        gint64 begun;
        int peer, fd;

        g_assert_true(accept_fds(pair));
        fd = linger_new(&peer);
        g_assert_cmpint(send_fds(pair->app_fd, "x", 1, &fd, 1), ==, 1);
        close(fd);

        begun = g_get_monotonic_time();
        pair->channel = channel_free(pair->channel);
        g_assert_cmpint(g_get_monotonic_time() - begun, <, LINGER_AT_ONCE_USEC);
        close(peer);
}

/* ---- free ---- */

static void test_free_lets_the_application_read_all_first(Pair *pair, const void *data) {
        deliver(pair, "one");
        deliver(pair, "two");
        pair->channel = channel_free(pair->channel);

        assert_app_reads(pair, "one");
        assert_app_reads(pair, "two");
        assert_app_sees_the_end(pair);
}

/* Closing a socket with unread packets, empty ones too, makes the other end read ECONNRESET. */
static void test_free_never_resets_the_application(Pair *pair, const void *data) {
        deliver(pair, "one");
        app_sends(pair, "unread");
        g_assert_cmpint(send(pair->app_fd, NULL, 0, 0), ==, 0);
        app_sends(pair, "unread behind an empty one");
        g_assert_cmpint(send(pair->app_fd, NULL, 0, 0), ==, 0);
        g_assert_cmpint(send(pair->app_fd, NULL, 0, 0), ==, 0);
        pair->channel = channel_free(pair->channel);

        assert_app_reads(pair, "one");
        assert_app_sees_the_end(pair);
}

/* It did not close its end: what was delivered can still be read. */
static void test_free_never_resets_who_shut_down_both_ways(Pair *pair, const void *data) {
        deliver(pair, "one");
        app_sends(pair, "unread");
        g_assert_cmpint(shutdown(pair->app_fd, SHUT_RDWR), ==, 0);
        channel_note_hangup(pair->channel);
        pair->channel = channel_free(pair->channel);

        assert_app_reads(pair, "one");
        assert_app_sees_the_end(pair);
}

static void test_free_of_a_full_channel_never_resets_either(Pair *pair, const void *data) {
        while (send(pair->app_fd, "x", 1, MSG_NOSIGNAL) == 1)
                continue;
        g_assert_cmpint(errno, ==, EAGAIN);

        deliver(pair, "one");
        pair->channel = channel_free(pair->channel);

        assert_app_reads(pair, "one");
        assert_app_sees_the_end(pair);
}

static gpointer app_sends_on(gpointer data) {
        Pair *pair = data;
        ssize_t n = 0;

        while (n >= 0 || errno == EAGAIN)
                n = send(pair->app_fd, "x", 1, MSG_NOSIGNAL);

        return GINT_TO_POINTER(errno);
}

/* A packet that slips in between the last look and close() would reset it. */
static void test_free_while_the_application_sends_never_resets_it(Pair *pair, const void *data) {
        for (int i = 0; i < 300; i++) {
                GThread *thread = g_thread_new("application", app_sends_on, pair);
                struct pollfd look = {.fd = channel_fd(pair->channel), .events = POLLIN};

                deliver(pair, "one");
                g_assert_cmpint(poll(&look, 1, LINGER_SECONDS * 1000), ==, 1);
                pair->channel = channel_free(pair->channel);

                g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(thread)), ==, EPIPE);
                assert_app_reads(pair, "one");
                assert_app_sees_the_end(pair);

                close(pair->app_fd);
                g_assert_cmpint(channel_new(&pair->channel, &pair->app_fd), ==, 0);
        }
}

static void test_an_application_that_sends_on_is_told(Pair *pair, const void *data) {
        pair->channel = channel_free(pair->channel);
        g_assert_cmpint(send(pair->app_fd, "x", 1, MSG_NOSIGNAL), ==, -1);
        g_assert_cmpint(errno, ==, EPIPE);
        g_assert_null(channel_free(NULL));
}

/* ---- new ---- */

static void test_both_ends_are_nonblocking_and_close_on_exec(Pair *pair, const void *data) {
        int fds[] = {channel_fd(pair->channel), pair->app_fd};

        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
                g_assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
                g_assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        }
}

static void test_without_fds_it_says_so(void) {
        struct rlimit before, none;
        Channel *channel = NULL;
        int app_fd = -1;
        int r;

        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
        none = before;
        none.rlim_cur = 0;
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
        r = channel_new(&channel, &app_fd);
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);

        g_assert_cmpint(r, ==, CHANNEL_E_NO_FDS);
        g_assert_null(channel);
        g_assert_cmpint(app_fd, ==, -1);
}

static void add(const char *name, void (*body)(Pair *, const void *)) {
        g_autofree char *path = g_strconcat("/channel/", name, NULL);

        g_test_add(path, Pair, NULL, pair_up, body, pair_down);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        add("deliver/keeps-boundaries-and-order", test_deliver_keeps_boundaries_and_order);
        add("deliver/takes-more-than-one-call", test_deliver_takes_more_than_one_call);
        add("deliver/drops-what-a-slow-reader-leaves",
            test_deliver_drops_what_a_slow_reader_leaves);
        add("deliver/takes-the-largest-datagram", test_deliver_takes_the_largest_datagram);
        add("deliver/spares-the-application-empty-packets",
            test_deliver_spares_the_application_empty_packets);
        add("deliver/says-when-nobody-is-there", test_deliver_says_when_nobody_is_there);
        add("deliver/says-when-the-application-reads-no-more",
            test_deliver_says_when_the_application_reads_no_more);
        add("collect/keeps-boundaries-and-order", test_collect_keeps_boundaries_and_order);
        add("collect/takes-a-bounded-number", test_collect_takes_a_bounded_number);
        add("collect/follows-what-comes", test_collect_follows_what_comes);
        add("collect/ignores-empty-packets", test_collect_ignores_empty_packets);
        add("collect/takes-the-largest-datagram", test_collect_takes_the_largest_datagram);
        add("collect/drops-and-counts-what-is-too-long",
            test_collect_drops_and_counts_what_is_too_long);
        add("collect/leaves-what-has-no-room-for-the-next-turn",
            test_collect_leaves_what_has_no_room_for_the_next_turn);
        add("collect/brings-the-last-words-before-the-end",
            test_collect_brings_the_last_words_before_the_end);
        add("collect/brings-all-after-a-hangup-that-was-seen",
            test_collect_brings_all_after_a_hangup_that_was_seen);
        add("collect/takes-half-a-goodbye-for-one", test_collect_takes_half_a_goodbye_for_one);
        add("stray/fds-are-refused-at-their-sender", test_fds_are_refused_at_their_sender);
        add("stray/fds-that-come-are-closed-and-the-bytes-count",
            test_fds_that_come_are_closed_and_the_bytes_count);
        add("stray/a-socket-that-lingers-stops-nobody", test_a_socket_that_lingers_stops_nobody);
        add("stray/a-socket-that-lingers-does-not-stop-free",
            test_a_socket_that_lingers_does_not_stop_free);
        add("free/lets-the-application-read-all-first",
            test_free_lets_the_application_read_all_first);
        add("free/never-resets-the-application", test_free_never_resets_the_application);
        add("free/never-resets-who-shut-down-both-ways",
            test_free_never_resets_who_shut_down_both_ways);
        add("free/of-a-full-channel-never-resets-either",
            test_free_of_a_full_channel_never_resets_either);
        add("free/while-the-application-sends-never-resets-it",
            test_free_while_the_application_sends_never_resets_it);
        add("free/an-application-that-sends-on-is-told", test_an_application_that_sends_on_is_told);
        add("new/both-ends-are-nonblocking-and-close-on-exec",
            test_both_ends_are_nonblocking_and_close_on_exec);
        g_test_add_func("/channel/new/without-fds-it-says-so", test_without_fds_it_says_so);
        return g_test_run();
}
