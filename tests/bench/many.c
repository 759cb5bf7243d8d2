/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loops that are of many connections of one server, in the client's process, see private.h. */

#include "private.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WINDOW 64 /* peers that have said something and are not answered yet */
#define WARM_SESSIONS 50
#define FEW 100 /* that others are compared with */
#define SPELLS 5
#define SPELL_SECONDS 0.2
#define ANSWER_SECONDS 1.0

typedef struct Many {
        const BenchWay *way;
        void **ends;
        uint32_t n, n_answered_in_time;
        size_t size; /* of their datagrams */
} Many;

static uint32_t n_back;

static void count_back(void *end, const void *data, size_t size) {
        (void)end;
        (void)data;
        (void)size;
        n_back++;
}

static Many many_new(const BenchWay *way, size_t size, uint32_t max) {
        Many many = {.way = way, .size = size, .ends = calloc(max, sizeof *many.ends)};

        bench_check(many.ends, "calloc");
        return many;
}

static void many_connect(Many *many, uint32_t n) {
        for (; many->n < n; many->n++) {
                many->ends[many->n] = many->way->connect(bench_port());
                bench_page_wait(&bench_page->accepted, many->n + 1, "accept");
        }
}

/* Each of the first @n in turn says something and is answered, and again; how often. */
static size_t many_talk(const Many *many, uint32_t n, double seconds) {
        uint8_t buffer[BENCH_DATAGRAM_MAX] = {0};
        const double until = bench_now() + seconds;
        size_t done = 0;

        do {
                const size_t first = done;

                for (; done < first + WINDOW; done++)
                        many->way->send(many->ends[done % n], buffer, many->size);
                n_back = 0;
                for (uint32_t i = 0; i < WINDOW; i++)
                        while (n_back <= i)
                                bench_pump(many->way, many->ends[(first + i) % n], count_back);
        } while (done < n || bench_now() < until);

        return done;
}

void bench_loop_peers(const BenchWay *way, const char *argument, double seconds) {
        const uint32_t n = bench_number_of(argument);
        Many many = many_new(way, bench_size_of(argument), n);
        BenchSpell spell;

        many_connect(&many, n);
        (void)many_talk(&many, n, BENCH_WARM_SECONDS);
        spell = bench_spell_begin();
        bench_spell_print(&spell, (double)many_talk(&many, n, seconds));
        printf("\n");
}

/* ---- memory ---- */

/* What the kernel has for the clients, which all ways have alike: sockets that stay open. */
static double memory_of_sockets(uint32_t n) {
        const double before = bench_memory_of_kernel();

        for (uint32_t i = 0; i < n; i++)
                (void)bench_connect(bench_port());
        return bench_memory_of_kernel() - before;
}

void bench_loop_memory(const BenchWay *way, const char *argument, double sessions) {
        const uint32_t n = (uint32_t)sessions;
        Many many = many_new(way, 0, n + WARM_SESSIONS);
        double processes, kernel;

        many_connect(&many, WARM_SESSIONS);
        processes = -bench_memory_of_server();
        kernel = -memory_of_sockets(n) - bench_memory_of_kernel();
        many_connect(&many, n + WARM_SESSIONS);
        processes += bench_memory_of_server();
        kernel += bench_memory_of_kernel();
        printf("processes_kib=%.3f kernel_kib=%.3f n=%u\n", processes / n, kernel / n, n);
}

/* ---- nothing to do ---- */

void bench_loop_idle(const BenchWay *way, const char *argument, double seconds) {
        const uint32_t n = bench_number_of(argument);
        Many many = many_new(way, 0, n);
        double before;

        many_connect(&many, n);
        (void)sleep(10); /* what the last handshake left to do */
        before = bench_wakeups_of_services();
        (void)usleep((useconds_t)(seconds * 1e6));
        printf("wakeups=%.0f n=%u seconds=%.1f\n", bench_wakeups_of_services() - before, n,
               seconds);
}

/* ---- more than a process may have sockets ---- */

static void many_connect_and_ask(Many *many, uint32_t n) {
        uint8_t buffer[BENCH_DATAGRAM_MAX] = {0};

        while (many->n < n) {
                void **end = &many->ends[many->n];
                double until;

                many_connect(many, many->n + 1);
                until = bench_now() + ANSWER_SECONDS;
                n_back = 0;
                many->way->send(*end, buffer, many->size);
                while (n_back == 0 && bench_now() < until) {
                        (void)bench_wait_readable(many->way->fd(*end), (int)(ANSWER_SECONDS * 1e3));
                        many->way->take(*end, count_back);
                }
                many->n_answered_in_time += n_back > 0;
        }
}

static double many_cost(const Many *many, uint32_t n) {
        BenchSpell spell = bench_spell_begin();
        const double done = (double)many_talk(many, n, SPELL_SECONDS);

        return bench_spell_server(&spell) / done * 1e6;
}

void bench_loop_scale(const BenchWay *way, const char *argument, double number) {
        const uint32_t n = (uint32_t)number;
        Many many = many_new(way, bench_size_of(argument), n);
        double few[SPELLS], before, seconds;

        bench_gnutls_crowds = true;
        many_connect_and_ask(&many, FEW);
        for (int i = 0; i < SPELLS; i++)
                few[i] = many_cost(&many, FEW);

        before = bench_memory_of_server();
        seconds = bench_now();
        many_connect_and_ask(&many, n);
        seconds = bench_now() - seconds;
        printf("made=%u answered=%u seconds=%.1f kib=%.3f ", many.n, many.n_answered_in_time,
               seconds, (bench_memory_of_server() - before) / (n - FEW));
        bench_look();
        for (int i = 0; i < SPELLS; i++) {
                const double all = many_cost(&many, n), some = many_cost(&many, FEW);

                printf("\nfew_us=%.3f all_us=%.3f some_us=%.3f all_times=%.3f some_times=%.3f",
                       few[i], all, some, all / few[i], some / few[i]);
        }
        printf("\n");
}
