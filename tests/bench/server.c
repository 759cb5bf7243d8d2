/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's process, see private.h. */

#include "private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

static void server_counts(void *end, const void *data, size_t size) {
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

/* As servers with many peers do it: whoever has said something is answered. */
static _Noreturn void serve_peers(const BenchWay *way, void *first) {
        struct epoll_event events[64];
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        void *end = first;

        bench_check(epoll >= 0, "epoll_create1");
        for (uint32_t n = 1; n <= BENCH_PEERS; n++) {
                events[0] = (struct epoll_event){.events = EPOLLIN, .data.ptr = end};
                if (epoll_ctl(epoll, EPOLL_CTL_ADD, way->fd(end), events) < 0)
                        bench_check(errno == EEXIST, "epoll_ctl"); /* one fd for all of them */
                bench_page_set(&bench_page->accepted, n);
                end = n < BENCH_PEERS ? way->accept() : NULL;
        }

        echoing = way;
        for (;;) {
                int n = epoll_wait(epoll, events, 64, -1);

                for (int i = 0; i < n; i++) {
                        way->take(events[i].data.ptr, server_answers);
                        if (way->flush)
                                way->flush(events[i].data.ptr);
                }
        }
}

void bench_serve(const BenchWay *way, const char *loop) {
        bench_page_set(&bench_page->port, way->listen());

        for (;;) {
                void *end = way->accept();

                if (strcmp(loop, "peers") == 0)
                        serve_peers(way, end);

                bench_page_set(&bench_page->accepted, atomic_load(&bench_page->accepted) + 1);
                if (strcmp(loop, "handshakes") == 0) {
                        way->close(end);
                } else if (strcmp(loop, "bulk") == 0) {
                        for (;;)
                                bench_pump(way, end, server_counts);
                } else if (strcmp(loop, "trips") == 0) {
                        echoing = way;
                        for (;;)
                                bench_pump(way, end, server_echoes);
                }
        }
}
