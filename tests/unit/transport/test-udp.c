/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* udp: datagrams in and out with both their addresses, and no error of one is another's. */

#include "base/cleanup.h"
#include "transport/udp.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define WAIT_MSEC 10000 /* limit of any wait */
#define SKIPPED 77      /* exit status of a child that may not do what it needs */

typedef struct Scene {
        Udp *udp;
        DatagramBatch *rx, *net;
} Scene;

static void scene_up(Scene *scene, const void *data) {
        *scene = (Scene){
                .rx = datagram_batch_new(UDP_RECEIVE_DATAGRAMS, UDP_RECEIVE_BYTES),
                .net = datagram_batch_new(200, (size_t)4 * 65536),
        };
}

static void scene_down(Scene *scene, const void *data) {
        udp_free(scene->udp);
        datagram_batch_free(scene->rx);
        datagram_batch_free(scene->net);
}

static Address at(const char *text, uint16_t port) {
        Address address;

        g_assert_cmpint(address_parse(text, port, &address), ==, 0);
        return address;
}

static void assert_address(Address address, const char *text) {
        char buffer[ADDRESS_STRING_MAX];

        g_assert_cmpstr(address_format(&address, buffer), ==, text);
}

static Udp *bound(const char *text) {
        Address local = at(text, 0);
        Udp *udp = NULL;

        g_assert_cmpint(udp_new(&local, &udp), ==, 0);
        return udp;
}

static bool has_ipv6(void) {
        Address local = at("::1", 0);
        g_autoptr(Udp) udp = NULL;

        if (udp_new(&local, &udp) == 0)
                return true;

        g_test_skip("this machine has no ::1");
        return false;
}

/* A plain socket of somebody else. */
static int other_new(const char *text, Address *ret) {
        Address local = at(text, 0);
        socklen_t size = sizeof(local);
        int fd;

        fd = socket(address_family(&local), SOCK_DGRAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(bind(fd, &local.sa, address_size(&local)), ==, 0);
        g_assert_cmpint(getsockname(fd, &local.sa, &size), ==, 0);
        if (ret)
                *ret = local;
        return fd;
}

static void other_sends(int fd, const Address *to, const char *text) {
        g_assert_cmpint(sendto(fd, text, strlen(text), 0, &to->sa, address_size(to)), ==,
                        strlen(text));
}

static void wait_for(int fd, short events) {
        struct pollfd look = {.fd = fd, .events = events};

        g_assert_cmpint(poll(&look, 1, WAIT_MSEC), ==, 1);
}

/* What this process can have. */
static size_t buffer_that_we_may_have(void) {
        g_autofd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const int size = (int)UDP_BUFFER_SIZE;
        socklen_t length = sizeof(int);
        int has;

        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
                g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), ==, 0);
        g_assert_cmpint(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &has, &length), ==, 0);
        return (size_t)has / 2;
}

/* One datagram and where it came from. */
static void assert_other_gets(int fd, const char *text, Address *ret_from) {
        static char buffer[65536];
        Address from;
        socklen_t size = sizeof(from);
        ssize_t n;

        wait_for(fd, POLLIN);
        n = recvfrom(fd, buffer, sizeof(buffer), MSG_DONTWAIT, &from.sa, &size);
        g_assert_cmpint(n, >=, 0);
        g_assert_cmpmem(buffer, (size_t)n, text, strlen(text));
        if (ret_from)
                g_assert_cmpint(address_from_sockaddr(&from.sa, size, ret_from), ==, 0);
}

static void receive(Scene *scene) {
        bool more;

        wait_for(udp_fd(scene->udp), POLLIN);
        g_assert_cmpint(udp_receive(scene->udp, scene->rx, &more), ==, 0);
}

static void assert_received(Scene *scene, size_t i, const char *text) {
        Datagram d = datagram_batch_at(scene->rx, i);

        g_assert_cmpmem(d.data, d.size, text, strlen(text));
}

static void put(Scene *scene, const Address *peer, const Address *local, const char *text) {
        datagram_batch_address(scene->net, peer, local);
        g_assert_true(datagram_batch_append(scene->net, text, strlen(text)));
}

/* Each longer than the last, so that the kernel gets them one by one. */
static void put_apart(Scene *scene, const Address *peer, size_t n) {
        for (size_t i = 1; i <= n; i++) {
                g_autofree char *text = g_strnfill(i, 'x');

                put(scene, peer, NULL, text);
        }
}

static void send_all(Scene *scene) {
        size_t index = 0;

        g_assert_cmpint(udp_send(scene->udp, scene->net, &index), ==, 0);
        g_assert_cmpuint(index, ==, datagram_batch_count(scene->net));
}

/* ---- bind ---- */

static void test_bind_picks_a_port_for_port_0(Scene *scene, const void *data) {
        Address local;

        scene->udp = bound("127.0.0.1");
        local = udp_local(scene->udp);
        assert_address(local, "127.0.0.1");
        g_assert_cmpuint(address_port(&local), !=, 0);
        g_assert_true(fcntl(udp_fd(scene->udp), F_GETFL) & O_NONBLOCK);
        g_assert_true(fcntl(udp_fd(scene->udp), F_GETFD) & FD_CLOEXEC);
}

static void test_bind_shares_with_nobody(Scene *scene, const void *data) {
        Udp *other = NULL;
        Address local;

        scene->udp = bound("127.0.0.1");
        local = udp_local(scene->udp);
        g_assert_cmpint(udp_new(&local, &other), ==, UDP_E_IN_USE);

        local = address_any(AF_INET, address_port(&local));
        g_assert_cmpint(udp_new(&local, &other), ==, UDP_E_IN_USE);
        g_assert_null(other);
}

static void test_bind_to_ipv6_leaves_ipv4_alone(Scene *scene, const void *data) {
        g_autoptr(Udp) other = NULL;
        Address local, local_4;

        if (!has_ipv6())
                return;

        scene->udp = bound("::");
        local = udp_local(scene->udp);
        local_4 = address_any(AF_INET, address_port(&local));
        g_assert_cmpint(udp_new(&local_4, &other), ==, 0);
}

static void test_bind_says_what_is_not_here(Scene *scene, const void *data) {
        const char *const not_here[] = {"192.0.2.1",      "2001:db8::1",     "224.0.0.1",
                                        "ff02::1",        "255.255.255.255", "fe80::1",
                                        "fe80::1%4000000"};

        for (size_t i = 0; i < G_N_ELEMENTS(not_here); i++) {
                Address local = at(not_here[i], 0);

                g_assert_cmpint(udp_new(&local, &scene->udp), ==, UDP_E_NOT_LOCAL);
                g_assert_null(scene->udp);
        }
}

static void test_bind_takes_the_buffer_it_may_have(Scene *scene, const void *data) {
        g_autoptr(Udp) udp = NULL;
        Address local = at("127.0.0.1", 0);

        g_assert_cmpint(udp_new(&local, &udp), ==, 0);
        g_assert_cmpuint(udp_receive_buffer(udp), ==, buffer_that_we_may_have());
}

static void test_bind_without_fds_says_so(Scene *scene, const void *data) {
        struct rlimit before, none;
        Address local = at("127.0.0.1", 0);
        int r;

        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
        none = before;
        none.rlim_cur = 0;
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
        r = udp_new(&local, &scene->udp);
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);

        g_assert_cmpint(r, ==, UDP_E_NO_FDS);
}

/* ---- in ---- */

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

/* ---- out ---- */

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

/* ---- trains ---- */

#define CARS 150 /* more than go as one */

/* All of one size, and each another. */
static char *car(int number) {
        return g_strdup_printf("car %03d", number);
}

static void put_cars(Scene *scene, const Address *peer, int n) {
        for (int i = 0; i < n; i++) {
                g_autofree char *text = car(i);

                put(scene, peer, NULL, text);
        }
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

/* ---- connected ---- */

static void test_connected_drops_strangers(Scene *scene, const void *data) {
        g_autofd int peer_fd = -1, stranger_fd = -1, sibling_fd = -1;
        Address local, peer;

        peer_fd = other_new("127.0.0.1", &peer);
        stranger_fd = other_new("127.0.0.2", NULL);
        sibling_fd = other_new("127.0.0.1", NULL); /* the peer's host, another port */
        scene->udp = bound("127.0.0.1");
        local = udp_local(scene->udp);

        other_sends(stranger_fd, &local, "queued before");
        other_sends(sibling_fd, &local, "queued before");
        g_assert_cmpint(udp_connect(scene->udp, &peer), ==, 0);
        other_sends(stranger_fd, &local, "sent after");
        other_sends(peer_fd, &local, "the peer's");
        receive(scene);

        g_assert_cmpuint(datagram_batch_count(scene->rx), ==, 1);
        assert_received(scene, 0, "the peer's");
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_source, ==, 2);
        g_assert_cmpuint(udp_stats(scene->udp).n_received, ==, 1);
}

static void test_connected_sends_to_its_peer(Scene *scene, const void *data) {
        g_autofd int fd = -1;
        Address peer, local, from;

        fd = other_new("127.0.0.1", &peer);
        scene->udp = bound("0.0.0.0");
        g_assert_cmpint(udp_connect(scene->udp, &peer), ==, 0);

        /* the wildcard has become an address */
        local = udp_local(scene->udp);
        assert_address(local, "127.0.0.1");

        put(scene, NULL, NULL, "no address");
        put(scene, &peer, &local, "both addresses");
        send_all(scene);
        assert_other_gets(fd, "no address", &from);
        g_assert_true(address_equal(&from, &local));
        assert_other_gets(fd, "both addresses", NULL);
}

static void test_connect_says_what_cannot_be(Scene *scene, const void *data) {
        Address elsewhere = at("192.0.2.1", 9), broadcast = at("255.255.255.255", 9);
        Address other_family = at("::1", 9);

        scene->udp = bound("127.0.0.1");
        g_assert_cmpint(udp_connect(scene->udp, &elsewhere), ==, UDP_E_UNREACHABLE);
        g_assert_cmpint(udp_connect(scene->udp, &other_family), ==, UDP_E_UNREACHABLE);
        g_assert_cmpint(udp_connect(scene->udp, &broadcast), ==, UDP_E_NOT_ALLOWED);
}

/* ---- ICMP ---- */

/* An address where nobody is: a socket that was there is closed. */
static Address nobody(void) {
        Address address;

        close(other_new("127.0.0.1", &address));
        return address;
}

static void test_icmp_is_a_hint_and_ends_nothing(Scene *scene, const void *data) {
        struct pollfd look;
        Address peer = nobody();
        bool more;

        scene->udp = bound("127.0.0.1");
        g_assert_cmpint(udp_connect(scene->udp, &peer), ==, 0);
        put(scene, &peer, NULL, "is anybody there");
        send_all(scene);

        wait_for(udp_fd(scene->udp), 0); /* POLLERR */
        g_assert_cmpint(udp_receive(scene->udp, scene->rx, &more), ==, 0);
        g_assert_cmpuint(datagram_batch_count(scene->rx), ==, 0);
        g_assert_cmpuint(udp_stats(scene->udp).n_icmp, ==, 1);
        g_assert_cmpint(udp_take_hint(scene->udp), ==, ECONNREFUSED);
        g_assert_cmpint(udp_take_hint(scene->udp), ==, 0);

        /* and then it is quiet: the loop does not spin */
        look = (struct pollfd){.fd = udp_fd(scene->udp)};
        g_assert_cmpint(poll(&look, 1, 0), ==, 0);
}

static void test_icmp_does_not_stop_what_comes_in(Scene *scene, const void *data) {
        g_autofd int fd = other_new("127.0.0.1", NULL);
        Address peer = nobody(), local;

        scene->udp = bound("127.0.0.1");
        local = udp_local(scene->udp);
        other_sends(fd, &local, "first");
        put_apart(scene, &peer, 5);
        send_all(scene);
        wait_for(udp_fd(scene->udp), 0);

        receive(scene);
        g_assert_cmpuint(datagram_batch_count(scene->rx), ==, 1);
        assert_received(scene, 0, "first");
        g_assert_cmpuint(udp_stats(scene->udp).n_icmp, ==, 5);
}

static void test_icmp_does_not_stop_what_goes_out(Scene *scene, const void *data) {
        g_autofd int fd = -1;
        Address peer, gone = nobody();

        fd = other_new("127.0.0.1", &peer);
        scene->udp = bound("127.0.0.1");
        for (int i = 0; i < 50; i++) {
                put(scene, &gone, NULL, "is anybody there");
                put(scene, &peer, NULL, "here");
        }
        send_all(scene);

        for (int i = 0; i < 50; i++)
                assert_other_gets(fd, "here", NULL);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 100);
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_refused, ==, 0);
}

/* More than are taken at once, and nothing else in the socket. */
static void test_icmp_in_a_flood_goes_by(Scene *scene, const void *data) {
        struct pollfd look;
        Address peer = nobody();
        int n_turns = 0;
        bool more;

        scene->udp = bound("127.0.0.1");
        put_apart(scene, &peer, 200);
        send_all(scene);

        look = (struct pollfd){.fd = udp_fd(scene->udp), .events = POLLIN};
        for (; poll(&look, 1, 0) > 0; n_turns++)
                g_assert_cmpint(udp_receive(scene->udp, scene->rx, &more), ==, 0);

        g_assert_cmpint(n_turns, <, 10);
        g_assert_cmpuint(udp_stats(scene->udp).n_icmp, >, 0);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 200);
}

/* ---- the path ---- */

static void test_path_is_known(Scene *scene, const void *data) {
        Address local = at("127.0.0.1", 0), foreign = at("192.0.2.1", 0), peer = nobody();

        scene->udp = bound("0.0.0.0");
        g_assert_cmpuint(udp_path_payload(scene->udp, &local, &peer), >, 0);
        g_assert_cmpuint(udp_path_payload(scene->udp, &foreign, &peer), ==, 0);
        g_assert_cmpint(udp_connect(scene->udp, &peer), ==, 0);

        /* the loopback device takes more than UDP has */
        g_assert_cmpuint(udp_path_payload(scene->udp, &local, &peer), >, 0);
        g_assert_cmpuint(udp_path_payload(scene->udp, &local, &peer), <=, 65507);
}

static void test_path_counts_the_headers_of_ipv6(Scene *scene, const void *data) {
        Address local = at("::1", 0), peer = at("::1", 9);

        if (!has_ipv6())
                return;

        scene->udp = bound("::");
        g_assert_cmpint(udp_connect(scene->udp, &peer), ==, 0);
        g_assert_cmpuint(udp_path_payload(scene->udp, &local, &peer), >, 0);
        g_assert_cmpuint(udp_path_payload(scene->udp, &local, &peer), <=, 65487);
}

/* ---- in a network of its own ---- */

static void run_ip(const char *arguments) {
        g_autofree char *command = g_strconcat("ip ", arguments, " >/dev/null 2>&1", NULL);

        /* NOLINTNEXTLINE(cert-env33-c): a test's own words */
        if (system(command) != 0)
                _exit(SKIPPED);
}

/* Runs @body in a child with a network namespace of its own. */
static void in_own_network(void (*body)(Scene *), Scene *scene) {
        int status;
        pid_t child;

        child = fork();
        g_assert_cmpint(child, >=, 0);
        if (child == 0) {
                if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
                        _exit(SKIPPED);
                run_ip("link set lo up");
                body(scene);
                udp_free(scene->udp);
                _exit(0);
        }

        g_assert_cmpint(waitpid(child, &status, 0), ==, child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
                g_test_skip("needs a network namespace and ip(8)");
        else
                g_assert_cmpint(status, ==, 0);
}

/* A link of which the other end is ours too, but answers nothing. */
static void add_link(const char *options) {
        run_ip("link add out type veth peer name far");
        run_ip("link set far up");
        run_ip("link set out up");
        run_ip("address add 10.99.0.1/24 dev out");
        run_ip("-6 address add fe80::1/64 dev out nodad");
        run_ip("-6 address add fe80::2/64 dev far nodad");
        run_ip(options);
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

/* Asks until an answer may be given: a new link takes a moment to carry anything. */
static void ask_until_received(Scene *scene, int fd, const Address *to, const char *text) {
        struct pollfd look = {.fd = udp_fd(scene->udp), .events = POLLIN};
        int n_ready = 0;

        for (int i = 0; n_ready == 0 && i < WAIT_MSEC / 100; i++) {
                other_sends(fd, to, text);
                n_ready = poll(&look, 1, 100);
        }

        g_assert_cmpint(n_ready, ==, 1);
        receive(scene);
}

static void body_link_local(Scene *scene) {
        g_autofd int fd = -1;
        Address other, local, to, from;
        Datagram d;

        add_link("link set out mtu 1500");
        scene->udp = bound("::");
        local = udp_local(scene->udp);

        fd = other_new("fe80::2%far", &other);
        to = at("fe80::2%far", address_port(&local));
        ask_until_received(scene, fd, &to, "question");

        d = datagram_batch_at(scene->rx, 0);
        g_assert_true(address_equal(&d.peer, &other));
        g_assert_true(address_equal(&d.local, &to));
        g_assert_cmpuint(d.local.in6.sin6_scope_id, ==, if_nametoindex("far"));

        put(scene, &d.peer, &d.local, "answer");
        send_all(scene);
        assert_other_gets(fd, "answer", &from);
        g_assert_true(address_equal(&from, &to));

        /* the scope is part of who the peer is when connected, too */
        g_assert_cmpint(udp_connect(scene->udp, &other), ==, 0);
        ask_until_received(scene, fd, &to, "again");
        g_assert_cmpuint(datagram_batch_count(scene->rx), >, 0);
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_source, ==, 0);
}

static void test_link_local_keeps_its_scope(Scene *scene, const void *data) {
        in_own_network(body_link_local, scene);
}

static void body_small_link(Scene *scene) {
        g_autofree char *large = g_strnfill(1300, 'x'), *fits = g_strnfill(1280 - 28, 'x');
        Address local = at("10.99.0.1", 0), peer = at("10.99.0.2", 9);

        add_link("link set out mtu 1280");
        run_ip("neighbour replace 10.99.0.2 lladdr 02:00:00:00:00:01 dev out");
        scene->udp = bound("10.99.0.1");
        g_assert_cmpuint(udp_path_payload(scene->udp, &local, &peer), ==, 1280 - 28);
        g_assert_cmpint(udp_connect(scene->udp, &peer), ==, 0);
        g_assert_cmpuint(udp_path_payload(scene->udp, &local, &peer), ==, 1280 - 28);

        /* as it is, the kernel makes fragments of it */
        put(scene, &peer, NULL, large);
        send_all(scene);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 1);

        g_assert_cmpint(udp_set_dont_fragment(scene->udp, true), ==, 0);
        put(scene, &peer, NULL, fits);
        send_all(scene);
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_refused, ==, 1);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 2);
        g_assert_cmpuint(udp_stats(scene->udp).n_icmp, ==, 0);

        g_assert_cmpint(udp_set_dont_fragment(scene->udp, false), ==, 0);
        send_all(scene);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 4);
}

static void test_dont_fragment_refuses_what_does_not_fit(Scene *scene, const void *data) {
        in_own_network(body_small_link, scene);
}

static void body_small_link_ipv6(Scene *scene) {
        g_autofree char *large = g_strnfill(1400, 'x');
        Address local = at("2001:db8::1", 0), peer = at("2001:db8::2", 9);

        add_link("link set out mtu 1280");
        run_ip("-6 address add 2001:db8::1/64 dev out nodad");
        run_ip("-6 neighbour replace 2001:db8::2 lladdr 02:00:00:00:00:01 dev out");
        scene->udp = bound("2001:db8::1");
        g_assert_cmpint(udp_connect(scene->udp, &peer), ==, 0);
        g_assert_cmpuint(udp_path_payload(scene->udp, &local, &peer), ==, 1280 - 48);

        put(scene, &peer, NULL, large);
        send_all(scene);
        g_assert_cmpuint(udp_stats(scene->udp).n_sent, ==, 1);

        g_assert_cmpint(udp_set_dont_fragment(scene->udp, true), ==, 0);
        send_all(scene);
        g_assert_cmpuint(udp_stats(scene->udp).n_dropped_refused, ==, 1);
}

static void test_dont_fragment_holds_in_ipv6_too(Scene *scene, const void *data) {
        in_own_network(body_small_link_ipv6, scene);
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

static void add(const char *name, void (*body)(Scene *, const void *)) {
        g_autofree char *path = g_strconcat("/udp/", name, NULL);

        g_test_add(path, Scene, NULL, scene_up, body, scene_down);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        add("bind/picks-a-port-for-port-0", test_bind_picks_a_port_for_port_0);
        add("bind/shares-with-nobody", test_bind_shares_with_nobody);
        add("bind/to-ipv6-leaves-ipv4-alone", test_bind_to_ipv6_leaves_ipv4_alone);
        add("bind/says-what-is-not-here", test_bind_says_what_is_not_here);
        add("bind/takes-the-buffer-it-may-have", test_bind_takes_the_buffer_it_may_have);
        add("bind/without-fds-says-so", test_bind_without_fds_says_so);
        add("receive/brings-bytes-and-both-addresses",
            test_receive_brings_bytes_and_both_addresses);
        add("receive/of-nothing-is-an-empty-batch", test_receive_of_nothing_is_an_empty_batch);
        add("receive/brings-empty-and-large-datagrams",
            test_receive_brings_empty_and_large_datagrams);
        add("receive/takes-a-batch-and-says-that-there-is-more",
            test_receive_takes_a_batch_and_says_that_there_is_more);
        add("receive/drops-what-is-cut-off", test_receive_drops_what_is_cut_off);
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
        add("train/received-is-taken-apart", test_a_received_train_is_taken_apart);
        add("train/that-does-not-fit-goes-one-by-one",
            test_a_train_that_does_not_fit_goes_one_by_one);
        add("train/without-a-route-stops-no-other", test_a_train_without_a_route_stops_no_other);
        add("train/a-long-turn-is-followed-by-a-shorter-one",
            test_a_long_turn_is_followed_by_a_shorter_one);
        add("connected/drops-strangers", test_connected_drops_strangers);
        add("connected/sends-to-its-peer", test_connected_sends_to_its_peer);
        add("connected/says-what-cannot-be", test_connect_says_what_cannot_be);
        add("icmp/is-a-hint-and-ends-nothing", test_icmp_is_a_hint_and_ends_nothing);
        add("icmp/does-not-stop-what-comes-in", test_icmp_does_not_stop_what_comes_in);
        add("icmp/does-not-stop-what-goes-out", test_icmp_does_not_stop_what_goes_out);
        add("icmp/in-a-flood-goes-by", test_icmp_in_a_flood_goes_by);
        add("path/is-known-once-connected", test_path_is_known);
        add("path/counts-the-headers-of-ipv6", test_path_counts_the_headers_of_ipv6);
        add("path/dont-fragment-refuses-what-does-not-fit",
            test_dont_fragment_refuses_what_does_not_fit);
        add("path/dont-fragment-holds-in-ipv6-too", test_dont_fragment_holds_in_ipv6_too);
        add("link-local/keeps-its-scope", test_link_local_keeps_its_scope);
        return g_test_run();
}
