/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loops, in the client's process, see private.h. */

#include "private.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define WINDOW 64         /* datagrams on their way: what the smallest buffer between holds */
#define STUCK_SECONDS 1.0 /* nothing came for so long: what is on its way is lost */
#define TRIPS_MAX 200000
#define CLIENTS_MAX 32

static uint64_t n_sent, n_lost, window = WINDOW;

void bench_pump(const BenchWay *way, void *end, BenchGot got) {
        if (way->pump) {
                way->pump(end, got);
                return;
        }

        (void)bench_wait_readable(way->fd(end), -1);
        way->take(end, got);
}

uint16_t bench_port(void) {
        return (uint16_t)atomic_load(&bench_page->port);
}

static void *connect_one(const BenchWay *way) {
        void *end = way->connect(bench_port());

        bench_page_wait(&bench_page->accepted, 1, "accept");
        return end;
}

size_t bench_size_of(const char *argument) {
        const size_t size = strtoul(argument, NULL, 10);

        if (size == 0 || size > BENCH_MTU)
                bench_die(argument, "not a size of a datagram");
        return size;
}

uint32_t bench_number_of(const char *argument) {
        const char *comma = strrchr(argument, ',');
        const uint32_t n = comma ? (uint32_t)strtoul(comma + 1, NULL, 10) : 0;

        if (n == 0)
                bench_die(argument, "has no number at its end");
        return n;
}

/* ---- bulk, and its window ---- */

static uint64_t n_done(void) {
        return atomic_load(&bench_page->received) / atomic_load(&bench_page->copies) + n_lost;
}

/* Until the server has so many, or nothing more comes: the rest is lost then. */
static void wait_done(uint64_t count) {
        uint64_t last = n_done();
        double since = bench_now();

        while (n_done() < count) {
                atomic_store(&bench_page->wanted,
                             (count - n_lost) * atomic_load(&bench_page->copies));
                atomic_store(&bench_page->waiting, 1);
                if (n_done() < count)
                        bench_page_wait_change(&bench_page->waiting, 1, 0.1);

                if (n_done() != last) {
                        last = n_done();
                        since = bench_now();
                } else if (bench_now() - since > STUCK_SECONDS) {
                        n_lost += count - last;
                }
        }

        atomic_store(&bench_page->waiting, 0);
}

static void bulk_for(const BenchWay *way, void *end, size_t size, double seconds) {
        uint8_t buffer[BENCH_DATAGRAM_MAX] = {0};
        const double until = bench_now() + seconds;

        do {
                for (unsigned i = 0; i < 32; i++, n_sent++) {
                        if (n_sent - n_done() >= window) {
                                if (way->flush)
                                        way->flush(end);
                                wait_done(n_sent - window / 2);
                        }
                        way->send(end, buffer, size);
                }
        } while (bench_now() < until);

        if (way->flush)
                way->flush(end);
        wait_done(n_sent);
}

static void loop_bulk(const BenchWay *way, const char *argument, double seconds) {
        const size_t size = bench_size_of(argument);
        BenchSpell spell;
        uint64_t n_before;
        void *end;

        if (strchr(argument, ','))
                window = bench_number_of(argument);
        end = connect_one(way);
        bulk_for(way, end, size, BENCH_WARM_SECONDS);
        n_lost = 0;
        n_sent = n_before = n_done();
        spell = bench_spell_begin();
        bulk_for(way, end, size, seconds);
        bench_spell_print(&spell, (double)(n_done() - n_lost - n_before));
        printf(" lost=%llu\n", (unsigned long long)n_lost);
}

/* Each is a call, and nobody looks what becomes of it. */
static void loop_calls(const BenchWay *way, const char *argument, double seconds) {
        uint8_t buffer[BENCH_DATAGRAM_MAX] = {0};
        const size_t size = bench_size_of(argument);
        void *end = way->connect(bench_port());
        const double warm = bench_now() + BENCH_WARM_SECONDS;
        BenchSpell spell;
        size_t n = 0;

        while (bench_now() < warm)
                way->send(end, buffer, size);
        spell = bench_spell_begin();
        for (; bench_now() < warm + seconds; n++)
                way->send(end, buffer, size);
        bench_spell_print(&spell, (double)n);
        printf("\n");
}

/* ---- round trips ---- */

static size_t n_trips_back;

static void client_counts(void *end, const void *data, size_t size) {
        (void)end;
        (void)data;
        (void)size;
        n_trips_back++;
}

static int compare_trips(const void *a, const void *b) {
        const float x = *(const float *)a, y = *(const float *)b;

        return (x > y) - (x < y);
}

static const double percentiles[] = {1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9};

static size_t trips_for(const BenchWay *way, void *end, size_t size, double seconds,
                        float trips[static TRIPS_MAX]) {
        uint8_t buffer[BENCH_DATAGRAM_MAX] = {0};
        double start = bench_now();
        const double until = start + seconds;
        size_t n = 0;

        while (start < until && n < TRIPS_MAX) {
                double back;

                n_trips_back = 0;
                way->send(end, buffer, size);
                if (way->flush)
                        way->flush(end);
                while (n_trips_back == 0)
                        bench_pump(way, end, client_counts);

                back = bench_now();
                trips[n++] = (float)(back - start);
                start = back;
        }

        return n;
}

static void loop_trips(const BenchWay *way, const char *argument, double seconds) {
        static float trips[TRIPS_MAX];
        const size_t size = bench_size_of(argument);
        BenchSpell spell;
        void *end = connect_one(way);
        size_t n;

        (void)trips_for(way, end, size, BENCH_WARM_SECONDS, trips);
        spell = bench_spell_begin();
        n = trips_for(way, end, size, seconds, trips);
        bench_spell_print(&spell, (double)n);
        qsort(trips, n, sizeof trips[0], compare_trips);
        for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++)
                printf(" p%g=%.3f", percentiles[i],
                       (double)trips[(size_t)((double)n * percentiles[i] / 100)] * 1e6);
        printf(" n=%zu\n", n);
}

/* ---- handshakes ---- */

/* Each end is there until the next is: the server's goodbye finds somebody. */
static size_t handshakes_for(const BenchWay *way, double seconds) {
        const double until = bench_now() + seconds;
        void *last = way->connect(bench_port());
        size_t n = 1;

        for (; bench_now() < until; n++) {
                void *next = way->connect(bench_port());

                way->close(last);
                last = next;
                (void)atomic_fetch_add(&bench_page->handshakes, 1);
        }

        way->close(last);
        return n;
}

static pid_t begin_client(const BenchWay *way) {
        const pid_t pid = fork();

        bench_check(pid >= 0, "fork");
        if (pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)handshakes_for(way, HUGE_VAL); /* until it is killed */
        }

        bench_meter_add(pid, /* server= */ false);
        return pid;
}

/* Of so many clients at once. */
static void handshakes_at_once(const BenchWay *way, uint32_t n, double seconds) {
        pid_t pids[CLIENTS_MAX];
        uint32_t before;
        BenchSpell spell;

        if (n > CLIENTS_MAX)
                bench_die("handshakes", "too many clients");
        for (uint32_t i = 0; i < n; i++)
                pids[i] = begin_client(way);
        bench_page_wait(&bench_page->handshakes, n, "handshakes");
        spell = bench_spell_begin();
        before = atomic_load(&bench_page->handshakes);
        (void)usleep((useconds_t)(seconds * 1e6));
        bench_spell_print(&spell, atomic_load(&bench_page->handshakes) - before);
        for (uint32_t i = 0; i < n; i++)
                (void)kill(pids[i], SIGKILL);
}

static void loop_handshakes(const BenchWay *way, const char *argument, double seconds) {
        BenchSpell spell;

        if (strchr(argument, ',')) {
                handshakes_at_once(way, bench_number_of(argument), seconds);
                printf("\n");
                return;
        }

        (void)handshakes_for(way, BENCH_WARM_SECONDS);
        spell = bench_spell_begin();
        bench_spell_print(&spell, (double)handshakes_for(way, seconds));
        printf("\n");
}

static const BenchLoop loops[] = {
        {"bulk", .run = loop_bulk},
        {"calls", .run = loop_calls},
        {"trips", .run = loop_trips},
        {"apps", .run = bench_loop_apps},
        {"peers", .of_server = true, .run = bench_loop_peers},
        {"handshakes", .of_server = true, .run = loop_handshakes},
        {"connects", .run = loop_handshakes}, /* whose server says no goodbye */
        {"memory", .of_server = true, .run = bench_loop_memory},
        {"idle", .of_server = true, .run = bench_loop_idle},
        {"scale", .of_server = true, .run = bench_loop_scale},
};

const BenchLoop *bench_loop(const char *name) {
        for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++)
                if (strcmp(loops[i].name, name) == 0)
                        return &loops[i];

        return NULL;
}
