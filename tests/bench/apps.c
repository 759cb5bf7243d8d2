/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many applications of one service, see private.h: each is a process with connections of its own,
 * on all of which it says something at once, waits until all are answered, and says it again.
 */

#include "private.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define APPS_MAX 100
#define TURNS_MAX 10000 /* of an application */
#define LOST_MS 100

typedef struct App {
        _Atomic uint32_t n_turns;
        _Atomic uint32_t n_lost; /* datagrams, or their answers */
        float turns[TURNS_MAX];  /* seconds */
} App;

typedef struct Apps { /* shared with all of them */
        _Atomic uint32_t ready;
        _Atomic uint32_t go; /* 1: they run; 2: what they do counts */
        App app[APPS_MAX];
} Apps;

static Apps *apps;
static uint32_t n_back;

static void count_back(void *end, const void *data, size_t size) {
        (void)end;
        (void)data;
        (void)size;
        n_back++;
}

/* How many were not answered. */
static uint32_t take_turn(const BenchWay *way, void *ends[static BENCH_APP_CONNECTIONS],
                          size_t size) {
        const double until = bench_now() + LOST_MS * 1e-3;
        uint8_t buffer[BENCH_DATAGRAM_MAX] = {0};

        n_back = 0;
        for (uint32_t i = 0; i < BENCH_APP_CONNECTIONS; i++)
                way->send(ends[i], buffer, size);
        if (way->flush)
                way->flush(ends[0]);
        while (n_back < BENCH_APP_CONNECTIONS && bench_now() < until) {
                (void)bench_wait_readable(way->fd(ends[n_back]), LOST_MS);
                way->take(ends[n_back], count_back);
        }
        return BENCH_APP_CONNECTIONS - n_back;
}

static _Noreturn void be_app(const BenchWay *way, BenchKind kind, size_t size, App *app) {
        void *ends[BENCH_APP_CONNECTIONS];

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        way->begin(kind, /* server= */ false);
        for (uint32_t i = 0; i < BENCH_APP_CONNECTIONS; i++)
                ends[i] = way->connect(bench_port());

        bench_page_set(&apps->ready, atomic_load(&apps->ready) + 1);
        bench_page_wait(&apps->go, 1, "go");
        for (;;) {
                const double before = bench_now();
                const uint32_t n_lost = take_turn(way, ends, size);
                uint32_t n;

                if (atomic_load(&apps->go) < 2)
                        continue;

                app->n_lost += n_lost;
                n = atomic_fetch_add(&app->n_turns, 1);
                if (n < TURNS_MAX)
                        app->turns[n] = (float)(bench_now() - before);
        }
}

static int compare(const void *a, const void *b) {
        const float x = *(const float *)a, y = *(const float *)b;

        return (x > y) - (x < y);
}

/* Jain's index: 1 when all have had as much, 1/n when one has had all. */
static double fairness(uint32_t n) {
        double sum = 0, squares = 0;

        for (uint32_t i = 0; i < n; i++) {
                const double turns = atomic_load(&apps->app[i].n_turns);

                sum += turns;
                squares += turns * turns;
        }

        return sum * sum / (n * squares);
}

static void print_turns(uint32_t n) {
        float *all = calloc((size_t)n * TURNS_MAX, sizeof *all);
        size_t n_all = 0;
        uint32_t n_lost = 0;

        bench_check(all, "calloc");
        for (uint32_t i = 0; i < n; i++) {
                const uint32_t turns = atomic_load(&apps->app[i].n_turns);

                n_lost += atomic_load(&apps->app[i].n_lost);
                for (uint32_t k = 0; k < turns && k < TURNS_MAX; k++)
                        all[n_all++] = apps->app[i].turns[k];
        }

        qsort(all, n_all, sizeof *all, compare);
        printf(" fairness=%.4f p50=%.1f p99=%.1f lost=%u\n", fairness(n),
               (double)all[n_all / 2] * 1e6, (double)all[n_all * 99 / 100] * 1e6, n_lost);
        free(all);
}

static double n_turns_of(uint32_t n) {
        double sum = 0;

        for (uint32_t i = 0; i < n; i++)
                sum += atomic_load(&apps->app[i].n_turns);
        return sum;
}

void bench_loop_apps(const BenchWay *way, const char *argument, double seconds) {
        const uint32_t n = bench_number_of(argument) / BENCH_APP_CONNECTIONS;
        BenchSpell spell;

        if (n == 0 || n > APPS_MAX)
                bench_die(argument, "is no number of applications");
        apps = mmap(NULL, sizeof *apps, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        bench_check(apps != MAP_FAILED, "mmap");
        for (uint32_t i = 0; i < n; i++) {
                const pid_t pid = fork();

                bench_check(pid >= 0, "fork");
                if (pid == 0)
                        be_app(way, bench_kind(), bench_size_of(argument), &apps->app[i]);

                bench_meter_add(pid, /* server= */ false);
                bench_page_wait(&apps->ready, i + 1, "application");
        }

        bench_page_set(&apps->go, 1);
        (void)usleep((useconds_t)(BENCH_WARM_SECONDS * 1e6));
        bench_page_set(&apps->go, 2);
        spell = bench_spell_begin();
        (void)usleep((useconds_t)(seconds * 1e6));
        bench_spell_print(&spell, n_turns_of(n) * BENCH_APP_CONNECTIONS);
        print_turns(n);
}
