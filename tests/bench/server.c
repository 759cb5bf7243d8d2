/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's process, see private.h. */

#include "private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

void bench_received(void *end, const void *data, size_t size) {
        uint64_t count = atomic_fetch_add(&bench_page->received, 1) + 1;

        (void)data;
        (void)size;
        if (atomic_load(&bench_page->waiting) && count >= atomic_load(&bench_page->wanted))
                bench_page_set(&bench_page->waiting, 0);
}

static const BenchWay *echoing;

static void server_answers(void *end, const void *data, size_t size) {
        echoing->send(end, data, size);
}

static void server_echoes(void *end, const void *data, size_t size) {
        echoing->send(end, data, size);
        if (echoing->flush)
                echoing->flush(end);
}

static void answer_what_comes(const BenchWay *way, void *end) {
        way->take(end, server_answers);
        if (way->flush)
                way->flush(end);
}

/* As servers with many peers do it: whoever has said something is answered. */
static _Noreturn void serve_peers(const BenchWay *way, void *first, uint32_t n_peers) {
        struct epoll_event events[64];
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        void *end = first;

        bench_check(epoll >= 0, "epoll_create1");
        for (uint32_t n = 1; n <= n_peers; n++) {
                events[0] = (struct epoll_event){.events = EPOLLIN, .data.ptr = end};
                if (epoll_ctl(epoll, EPOLL_CTL_ADD, way->fd(end), events) < 0)
                        bench_check(errno == EEXIST, "epoll_ctl"); /* one fd for all of them */
                bench_opened();
                end = n < n_peers ? way->accept() : NULL;
        }

        for (;;) {
                int n = epoll_wait(epoll, events, 64, -1);

                for (int i = 0; i < n; i++)
                        answer_what_comes(way, events[i].data.ptr);
        }
}

/* The same where all come on one fd, and others may open at any time. */
static _Noreturn void serve_crowd(const BenchWay *way, void *first) {
        bench_opened();
        for (;;) {
                (void)bench_wait_readable(way->fd(first), -1);
                answer_what_comes(way, first);
        }
}

void bench_opened(void) {
        bench_page_set(&bench_page->accepted, atomic_load(&bench_page->accepted) + 1);
}

void bench_serve(const BenchWay *way, const char *loop, const char *argument) {
        void *before = NULL;

        bench_page_set(&bench_page->port, way->listen());

        echoing = way;
        bench_gnutls_silent = strcmp(loop, "connects") == 0;
        for (;;) {
                void *end = way->accept();

                if (strcmp(loop, "peers") == 0 || strcmp(loop, "apps") == 0)
                        serve_peers(way, end, bench_number_of(argument));
                if (strcmp(loop, "scale") == 0)
                        serve_crowd(way, end);

                bench_opened();
                if (strcmp(loop, "handshakes") == 0)
                        way->close(end);
                /* not kept longer: a client that comes later may have that one's port */
                if (strcmp(loop, "connects") == 0) {
                        if (before)
                                way->close(before);
                        before = end;
                }
                while (strcmp(loop, "bulk") == 0 || strcmp(loop, "calls") == 0)
                        bench_pump(way, end, bench_received);
                while (strcmp(loop, "trips") == 0)
                        bench_pump(way, end, server_echoes);
        }
}
