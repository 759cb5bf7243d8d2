/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* udp: a bound or connected socket, its path, and no error of one is another's. */

#include "scene.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/resource.h>

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

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        add("bind/picks-a-port-for-port-0", test_bind_picks_a_port_for_port_0);
        add("bind/shares-with-nobody", test_bind_shares_with_nobody);
        add("bind/to-ipv6-leaves-ipv4-alone", test_bind_to_ipv6_leaves_ipv4_alone);
        add("bind/says-what-is-not-here", test_bind_says_what_is_not_here);
        add("bind/takes-the-buffer-it-may-have", test_bind_takes_the_buffer_it_may_have);
        add("bind/without-fds-says-so", test_bind_without_fds_says_so);
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
