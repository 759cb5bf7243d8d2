/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See scene.h. */

#include "scene.h"

#include "base/cleanup.h"

#include <sched.h>
#include <string.h>
#include <sys/wait.h>

#define SKIPPED 77 /* exit status of a child that may not do what it needs */

void scene_up(Scene *scene, const void *data) {
        *scene = (Scene){
                .rx = datagram_batch_new(UDP_RECEIVE_DATAGRAMS, UDP_RECEIVE_BYTES),
                .net = datagram_batch_new(200, (size_t)4 * 65536),
        };
}

void scene_down(Scene *scene, const void *data) {
        udp_free(scene->udp);
        datagram_batch_free(scene->rx);
        datagram_batch_free(scene->net);
}

Address at(const char *text, uint16_t port) {
        Address address;

        g_assert_cmpint(address_parse(text, port, &address), ==, 0);
        return address;
}

void assert_address(Address address, const char *text) {
        char buffer[ADDRESS_STRING_MAX];

        g_assert_cmpstr(address_format(&address, buffer), ==, text);
}

Udp *bound(const char *text) {
        Address local = at(text, 0);
        Udp *udp = NULL;

        g_assert_cmpint(udp_new(&local, &udp), ==, 0);
        return udp;
}

bool has_ipv6(void) {
        Address local = at("::1", 0);
        g_autoptr(Udp) udp = NULL;

        if (udp_new(&local, &udp) == 0)
                return true;

        g_test_skip("this machine has no ::1");
        return false;
}

int other_new(const char *text, Address *ret) {
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

void other_sends(int fd, const Address *to, const char *text) {
        g_assert_cmpint(sendto(fd, text, strlen(text), 0, &to->sa, address_size(to)), ==,
                        strlen(text));
}

void wait_for(int fd, short events) {
        struct pollfd look = {.fd = fd, .events = events};

        g_assert_cmpint(poll(&look, 1, WAIT_MSEC), ==, 1);
}

void assert_other_gets(int fd, const char *text, Address *ret_from) {
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

void receive(Scene *scene) {
        bool more;

        wait_for(udp_fd(scene->udp), POLLIN);
        g_assert_cmpint(udp_receive(scene->udp, scene->rx, &more), ==, 0);
}

void assert_received(Scene *scene, size_t i, const char *text) {
        Datagram d = datagram_batch_at(scene->rx, i);

        g_assert_cmpmem(d.data, d.size, text, strlen(text));
}

void put(Scene *scene, const Address *peer, const Address *local, const char *text) {
        datagram_batch_address(scene->net, peer, local);
        g_assert_true(datagram_batch_append(scene->net, text, strlen(text)));
}

void put_apart(Scene *scene, const Address *peer, size_t n) {
        for (size_t i = 1; i <= n; i++) {
                g_autofree char *text = g_strnfill(i, 'x');

                put(scene, peer, NULL, text);
        }
}

void send_all(Scene *scene) {
        size_t index = 0;

        g_assert_cmpint(udp_send(scene->udp, scene->net, &index), ==, 0);
        g_assert_cmpuint(index, ==, datagram_batch_count(scene->net));
}

char *car(int number) {
        return g_strdup_printf("car %03d", number);
}

void put_cars(Scene *scene, const Address *peer, int n) {
        for (int i = 0; i < n; i++) {
                g_autofree char *text = car(i);

                put(scene, peer, NULL, text);
        }
}

Address nobody(void) {
        Address address;

        close(other_new("127.0.0.1", &address));
        return address;
}

void run_ip(const char *arguments) {
        g_autofree char *command = g_strconcat("ip ", arguments, " >/dev/null 2>&1", NULL);

        /* NOLINTNEXTLINE(cert-env33-c): a test's own words */
        if (system(command) != 0)
                _exit(SKIPPED);
}

void in_own_network(void (*body)(Scene *), Scene *scene) {
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

void add_link(const char *options) {
        run_ip("link add out type veth peer name far");
        run_ip("link set far up");
        run_ip("link set out up");
        run_ip("address add 10.99.0.1/24 dev out");
        run_ip("-6 address add fe80::1/64 dev out nodad");
        run_ip("-6 address add fe80::2/64 dev far nodad");
        run_ip(options);
}

void add(const char *name, void (*body)(Scene *, const void *)) {
        g_autofree char *path = g_strconcat("/udp/", name, NULL);

        g_test_add(path, Scene, NULL, scene_up, body, scene_down);
}
