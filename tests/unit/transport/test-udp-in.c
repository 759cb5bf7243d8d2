/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* udp: datagrams in, with both their addresses. */

#include "scene.h"

#include "base/cleanup.h"

#include <string.h>

static void test_receive_brings_bytes_and_both_addresses(Scene *scene, const void *data) {
        g_autofd int fd = -1;
        Address local, other, to;
        Datagram d;

        scene->udp = bound("0.0.0.0");
        local = udp_local(scene->udp);
        to = at("127.0.0.5", address_port(&local));

        fd = other_new("127.0.0.7", &other);
        other_sends(fd, &to, "hello");
        receive(scene);

        g_assert_cmpuint(datagram_batch_count(scene->rx), ==, 1);
        assert_received(scene, 0, "hello");
        d = datagram_batch_at(scene->rx, 0);
        g_assert_true(address_equal(&d.peer, &other));
        g_assert_true(address_equal(&d.local, &to));
        g_assert_cmpuint(udp_stats(scene->udp).n_received, ==, 1);
        g_assert_cmpuint(udp_stats(scene->udp).bytes_received, ==, 5);
}

static void test_receive_of_nothing_is_an_empty_batch(Scene *scene, const void *data) {
        bool more = true;

        scene->udp = bound("127.0.0.1");
        datagram_batch_append(scene->rx, "old", 3);
        g_assert_cmpint(udp_receive(scene->udp, scene->rx, &more), ==, 0);
        g_assert_cmpuint(datagram_batch_count(scene->rx), ==, 0);
        g_assert_false(more);
}

static void test_receive_brings_empty_and_large_datagrams(Scene *scene, const void *data) {
        g_autofree char *large = g_strnfill(65507, 'x'); /* the largest there is in IPv4 */
        g_autofd int fd = other_new("127.0.0.1", NULL);
        Address local;

        scene->udp = bound("127.0.0.1");
        local = udp_local(scene->udp);
        other_sends(fd, &local, large);
        other_sends(fd, &local, "");
        other_sends(fd, &local, "x");
        receive(scene);

        g_assert_cmpuint(datagram_batch_count(scene->rx), ==, 3);
        assert_received(scene, 0, large);
        assert_received(scene, 1, "");
        assert_received(scene, 2, "x");
}

static void test_receive_takes_a_batch_and_says_that_there_is_more(Scene *scene, const void *data) {
        g_autofd int fd = other_new("127.0.0.1", NULL);
        Address local;
        bool more;

        scene->udp = bound("127.0.0.1");
        local = udp_local(scene->udp);
        for (int i = 0; i < UDP_BATCH_MAX + 2; i++) {
                g_autofree char *text = g_strdup_printf("%d", i);

                other_sends(fd, &local, text);
        }

        wait_for(udp_fd(scene->udp), POLLIN);
        g_assert_cmpint(udp_receive(scene->udp, scene->rx, &more), ==, 0);
        g_assert_cmpuint(datagram_batch_count(scene->rx), ==, UDP_BATCH_MAX);
        g_assert_true(more);
        assert_received(scene, 0, "0");
        assert_received(scene, UDP_BATCH_MAX - 1, "31");

        g_assert_cmpint(udp_receive(scene->udp, scene->rx, &more), ==, 0);
        g_assert_cmpuint(datagram_batch_count(scene->rx), ==, 2);
        g_assert_false(more);
        assert_received(scene, 1, "33");
}

static void test_receive_drops_what_is_cut_off(Scene *scene, const void *data) {
        g_autoptr(DatagramBatch) small = datagram_batch_new(4, 10);
        g_autofd int fd = other_new("127.0.0.1", NULL);
        Address local;
        bool more;

        scene->udp = bound("127.0.0.1");
        local = udp_local(scene->udp);
        other_sends(fd, &local, "longer than ten");
        other_sends(fd, &local, "just ten!!");

        wait_for(udp_fd(scene->udp), POLLIN);
        g_assert_cmpint(udp_receive(scene->udp, small, &more), ==, 0);
        g_assert_cmpuint(datagram_batch_count(small), ==, 0);
        g_assert_true(more);
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_truncated, ==, 1);
        g_assert_cmpuint(udp_stats(scene->udp).n_received, ==, 0);

        g_assert_cmpint(udp_receive(scene->udp, small, &more), ==, 0);
        g_assert_cmpuint(datagram_batch_count(small), ==, 1);
}

/* What the kernel joined on the way is told apart again. */
static void test_a_received_train_is_taken_apart(Scene *scene, const void *data) {
        g_autoptr(Udp) sender = bound("127.0.0.1");
        Address local, from = udp_local(sender);
        size_t index = 0, n = 0;

        scene->udp = bound("127.0.0.1");
        local = udp_local(scene->udp);
        put_cars(scene, &local, CARS);
        put(scene, &local, NULL, "last");
        g_assert_cmpint(udp_send(sender, scene->net, &index), ==, 0);

        while (n < CARS + 1) {
                receive(scene);
                for (size_t i = 0; i < datagram_batch_count(scene->rx); i++, n++) {
                        g_autofree char *text = n < CARS ? car((int)n) : g_strdup("last");
                        Datagram d = datagram_batch_at(scene->rx, i);

                        assert_received(scene, i, text);
                        g_assert_true(address_equal(&d.peer, &from));
                        g_assert_true(address_equal(&d.local, &local));
                }
        }

        g_assert_cmpuint(udp_stats(sender).n_trains_sent, >, 0);
        g_assert_cmpuint(udp_stats(scene->udp).n_received, ==, CARS + 1);
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_truncated, ==, 0);
}

static size_t receive_after_trains(Scene *scene, Udp *sender, int n_sends) {
        for (int i = 0; i < n_sends; i++) {
                size_t index = 0;

                g_assert_cmpint(udp_send(sender, scene->net, &index), ==, 0);
        }

        receive(scene);
        return datagram_batch_count(scene->rx);
}

static void test_a_long_turn_is_followed_by_a_shorter_one(Scene *scene, const void *data) {
        g_autoptr(Udp) sender = bound("127.0.0.1");
        size_t first, second, third;
        Address local;

        scene->udp = bound("127.0.0.1");
        local = udp_local(scene->udp);
        put_cars(scene, &local, CARS);

        first = receive_after_trains(scene, sender, UDP_BATCH_MAX * 2);
        g_assert_cmpuint(first, >, UDP_TURN_DATAGRAMS);
        second = receive_after_trains(scene, sender, 0);
        g_assert_cmpuint(second, <=, first * 3 / 4);
        third = receive_after_trains(scene, sender, 0);
        g_assert_cmpuint(third, <=, MAX(second * 3 / 4, (size_t)UDP_TURN_DATAGRAMS));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        add("receive/brings-bytes-and-both-addresses",
            test_receive_brings_bytes_and_both_addresses);
        add("receive/of-nothing-is-an-empty-batch", test_receive_of_nothing_is_an_empty_batch);
        add("receive/brings-empty-and-large-datagrams",
            test_receive_brings_empty_and_large_datagrams);
        add("receive/takes-a-batch-and-says-that-there-is-more",
            test_receive_takes_a_batch_and_says_that_there_is_more);
        add("receive/drops-what-is-cut-off", test_receive_drops_what_is_cut_off);
        add("train/received-is-taken-apart", test_a_received_train_is_taken_apart);
        add("train/a-long-turn-is-followed-by-a-shorter-one",
            test_a_long_turn_is_followed_by_a_shorter_one);
        return g_test_run();
}
