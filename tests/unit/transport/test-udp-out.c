/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* udp: datagrams out, each from where it is to come from. */

#include "scene.h"

#include "base/cleanup.h"

#include <string.h>

static void test_send_answers_from_the_address_that_was_asked(Scene *scene, const void *data) {
        g_autofd int fd = -1;
        Address local, to, from;
        Datagram d;

        scene->udp = bound("0.0.0.0");
        local = udp_local(scene->udp);
        to = at("127.0.0.5", address_port(&local));

        fd = other_new("127.0.0.1", NULL);
        other_sends(fd, &to, "question");
        receive(scene);

        d = datagram_batch_at(scene->rx, 0);
        put(scene, &d.peer, &d.local, "answer");
        send_all(scene);
        assert_other_gets(fd, "answer", &from);
        g_assert_true(address_equal(&from, &to));
}

static void test_send_answers_in_ipv6_too(Scene *scene, const void *data) {
        g_autofd int fd = -1;
        Address local, to, from;
        Datagram d;

        if (!has_ipv6())
                return;

        scene->udp = bound("::");
        local = udp_local(scene->udp);
        to = at("::1", address_port(&local));

        fd = other_new("::1", NULL);
        other_sends(fd, &to, "question");
        receive(scene);

        d = datagram_batch_at(scene->rx, 0);
        g_assert_true(address_equal(&d.local, &to));
        put(scene, &d.peer, &d.local, "answer");
        send_all(scene);
        assert_other_gets(fd, "answer", &from);
        g_assert_true(address_equal(&from, &to));
}

static void test_send_brings_each_to_its_peer_in_order(Scene *scene, const void *data) {
        g_autofd int one = -1, other = -1;
        Address one_address, other_address;

        one = other_new("127.0.0.1", &one_address);
        other = other_new("127.0.0.2", &other_address);
        scene->udp = bound("0.0.0.0");

        for (int i = 0; i < 100; i++) {
                g_autofree char *text = g_strdup_printf("%d", i);

                put(scene, i % 2 ? &one_address : &other_address, NULL, text);
        }
        send_all(scene);

        for (int i = 0; i < 100; i++) {
                g_autofree char *text = g_strdup_printf("%d", i);

                assert_other_gets(i % 2 ? one : other, text, NULL);
        }
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 100);
        g_assert_cmpuint(udp_stats(scene->udp).bytes_sent, ==, 190);
}

static void test_send_begins_at_the_index(Scene *scene, const void *data) {
        g_autofd int fd = -1;
        Address other;
        size_t index = 2;

        fd = other_new("127.0.0.1", &other);
        scene->udp = bound("127.0.0.1");
        put(scene, &other, NULL, "sent before");
        put(scene, &other, NULL, "sent before");
        put(scene, &other, NULL, "now");

        g_assert_cmpint(udp_send(scene->udp, scene->net, &index), ==, 0);
        g_assert_cmpuint(index, ==, 3);
        assert_other_gets(fd, "now", NULL);

        g_assert_cmpint(udp_send(scene->udp, scene->net, &index), ==, 0);
        g_assert_cmpuint(index, ==, 3);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 1);
}

static void test_send_of_an_empty_batch_is_nothing(Scene *scene, const void *data) {
        scene->udp = bound("127.0.0.1");
        send_all(scene);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 0);
}

static void test_send_passes_over_what_the_kernel_refuses(Scene *scene, const void *data) {
        g_autofree char *huge = g_strnfill(65508, 'x');
        Address no_port = at("127.0.0.1", 0), broadcast = at("255.255.255.255", 9);
        Address other, other_family = at("::1", 9), not_ours = at("192.0.2.1", 0);
        g_autofd int fd = -1;

        fd = other_new("127.0.0.1", &other);
        scene->udp = bound("0.0.0.0");
        put(scene, &other, NULL, huge);       /* EMSGSIZE */
        put(scene, &other, NULL, "one");      /* */
        put(scene, &no_port, NULL, "x");      /* EINVAL */
        put(scene, &broadcast, NULL, "x");    /* EACCES */
        put(scene, &other, NULL, "two");      /* */
        put(scene, &other_family, NULL, "x"); /* EAFNOSUPPORT */
        put(scene, &other, &not_ours, "x");   /* EINVAL: from an address not ours */
        put(scene, &other, NULL, "three");    /* */
        put(scene, NULL, NULL, "to nobody");  /* EDESTADDRREQ */
        send_all(scene);

        assert_other_gets(fd, "one", NULL);
        assert_other_gets(fd, "two", NULL);
        assert_other_gets(fd, "three", NULL);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 3);
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_refused, ==, 6);
        g_assert_cmpuint(udp_stats(scene->udp).n_icmp, ==, 0);
        g_assert_cmpint(udp_take_hint(scene->udp), ==, 0);
}

/* The device accepts nothing before it knows the neighbour, so the socket's buffer fills. */
static void body_full(Scene *scene) {
        Address peer = at("10.99.0.2", 9);
        int size = 8192;
        size_t index = 0, before;
        int r;

        add_link("link set out mtu 1500");
        scene->udp = bound("10.99.0.1");
        g_assert_cmpint(setsockopt(udp_fd(scene->udp), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)),
                        ==, 0);
        put_apart(scene, &peer, 100);

        r = udp_send(scene->udp, scene->net, &index);
        g_assert_cmpint(r, ==, UDP_E_FULL);
        g_assert_cmpuint(index, >, 0);
        g_assert_cmpuint(index, <, 100);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, index);

        before = index;
        g_assert_cmpint(udp_send(scene->udp, scene->net, &index), ==, UDP_E_FULL);
        g_assert_cmpuint(index, ==, before);

        run_ip("neighbour replace 10.99.0.2 lladdr 02:00:00:00:00:01 dev out");
        while (r == UDP_E_FULL) {
                wait_for(udp_fd(scene->udp), POLLOUT);
                r = udp_send(scene->udp, scene->net, &index);
        }
        g_assert_cmpint(r, ==, 0);
        g_assert_cmpuint(index, ==, 100);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 100);
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_refused, ==, 0);
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_full, ==, 0);
}

static void test_a_full_socket_takes_the_rest_later(Scene *scene, const void *data) {
        in_own_network(body_full, scene);
}

static void body_unreachable(Scene *scene) {
        g_autofd int fd = -1;
        Address nowhere = at("192.0.2.1", 9), peer;

        fd = other_new("127.0.0.1", &peer);
        scene->udp = bound("0.0.0.0");
        put(scene, &nowhere, NULL, "x"); /* ENETUNREACH: this network has no such route */
        put(scene, &peer, NULL, "behind it");
        send_all(scene);
        assert_other_gets(fd, "behind it", NULL);
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_refused, ==, 1);

        g_assert_cmpint(udp_connect(scene->udp, &nowhere), ==, UDP_E_UNREACHABLE);
}

static void test_without_a_route_the_others_still_go(Scene *scene, const void *data) {
        in_own_network(body_unreachable, scene);
}

static void test_a_train_arrives_as_its_datagrams(Scene *scene, const void *data) {
        g_autofd int fd = -1;
        Address other;

        fd = other_new("127.0.0.1", &other);
        scene->udp = bound("0.0.0.0");
        put_cars(scene, &other, CARS);
        put(scene, &other, NULL, "last");
        put(scene, &other, NULL, "longer than it");
        send_all(scene);

        for (int i = 0; i < CARS; i++) {
                g_autofree char *text = car(i);

                assert_other_gets(fd, text, NULL);
        }
        assert_other_gets(fd, "last", NULL);
        assert_other_gets(fd, "longer than it", NULL);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, CARS + 2);
        g_assert_cmpuint(udp_stats(scene->udp).bytes_sent, ==, CARS * 7 + 4 + 14);
        g_assert_cmpuint(udp_stats(scene->udp).n_trains_sent, ==, 3);
}

static void test_a_train_is_for_one_peer(Scene *scene, const void *data) {
        g_autofd int one = -1, other = -1;
        Address one_address, other_address;

        one = other_new("127.0.0.1", &one_address);
        other = other_new("127.0.0.2", &other_address);
        scene->udp = bound("0.0.0.0");
        put(scene, &one_address, NULL, "for one");
        put(scene, &one_address, NULL, "for one");
        put(scene, &other_address, NULL, "for two");
        put(scene, &other_address, NULL, "for two");
        send_all(scene);

        assert_other_gets(one, "for one", NULL);
        assert_other_gets(one, "for one", NULL);
        assert_other_gets(other, "for two", NULL);
        assert_other_gets(other, "for two", NULL);
        g_assert_cmpuint(udp_stats(scene->udp).n_trains_sent, ==, 2);
}

/* The kernel makes fragments of one, and of a train it makes none: each goes by itself. */
static void body_fragments(Scene *scene) {
        g_autofree char *large = g_strnfill(1400, 'x');
        Address peer = at("10.99.0.2", 9);

        add_link("link set out mtu 1280");
        run_ip("neighbour replace 10.99.0.2 lladdr 02:00:00:00:00:01 dev out");
        scene->udp = bound("10.99.0.1");
        for (int i = 0; i < 5; i++)
                put(scene, &peer, NULL, large);
        send_all(scene);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 5);
        g_assert_cmpuint(udp_stats(scene->udp).n_trains_sent, ==, 0);
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_refused, ==, 0);

        /* and shorter ones are joined still */
        datagram_batch_reset(scene->net);
        put_cars(scene, &peer, 5);
        send_all(scene);
        g_assert_cmpuint(udp_stats(scene->udp).n_trains_sent, ==, 1);
}

static void test_a_train_that_does_not_fit_goes_one_by_one(Scene *scene, const void *data) {
        in_own_network(body_fragments, scene);
}

/* No route: nothing to do with trains, and no reason to make none when there is one again. */
static void body_no_route(Scene *scene) {
        g_autofd int fd = -1;
        Address nowhere = at("192.0.2.1", 9), peer;

        fd = other_new("127.0.0.1", &peer);
        scene->udp = bound("0.0.0.0");
        put_cars(scene, &nowhere, 5);
        put_cars(scene, &peer, 5);
        send_all(scene);
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_refused, ==, 5);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 5);
        g_assert_cmpuint(udp_stats(scene->udp).n_trains_sent, ==, 1);
        assert_other_gets(fd, "car 000", NULL);
}

static void test_a_train_without_a_route_stops_no_other(Scene *scene, const void *data) {
        in_own_network(body_no_route, scene);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        add("send/answers-from-the-address-that-was-asked",
            test_send_answers_from_the_address_that_was_asked);
        add("send/answers-in-ipv6-too", test_send_answers_in_ipv6_too);
        add("send/brings-each-to-its-peer-in-order", test_send_brings_each_to_its_peer_in_order);
        add("send/begins-at-the-index", test_send_begins_at_the_index);
        add("send/of-an-empty-batch-is-nothing", test_send_of_an_empty_batch_is_nothing);
        add("send/passes-over-what-the-kernel-refuses",
            test_send_passes_over_what_the_kernel_refuses);
        add("send/a-full-socket-takes-the-rest-later", test_a_full_socket_takes_the_rest_later);
        add("send/without-a-route-the-others-still-go", test_without_a_route_the_others_still_go);
        add("train/arrives-as-its-datagrams", test_a_train_arrives_as_its_datagrams);
        add("train/is-for-one-peer", test_a_train_is_for_one_peer);
        add("train/that-does-not-fit-goes-one-by-one",
            test_a_train_that_does_not_fit_goes_one_by_one);
        add("train/without-a-route-stops-no-other", test_a_train_without_a_route_stops_no_other);
        return g_test_run();
}
