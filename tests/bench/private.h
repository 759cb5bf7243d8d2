/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What Bench's own files share: the page between the two processes, the meter, the loops. */

#include "bench.h"

#include <stdatomic.h>

#define BENCH_PEERS 1000 /* of one server */

/* ---- bench.c ---- */

void bench_check(bool done, const char *what);

/* ---- page.c: what the two processes tell each other ---- */

typedef struct BenchPage {
        _Atomic uint64_t received;
        _Atomic uint64_t wanted;  /* the client sleeps until so many are received */
        _Atomic uint32_t waiting; /* it does; a futex */
        _Atomic uint32_t port;    /* a futex */
        _Atomic uint32_t accepted;
} BenchPage;

extern BenchPage *bench_page;

void bench_page_new(void);
void bench_page_set(_Atomic uint32_t *word, uint32_t value);
/* Until the word changes, or so long. */
void bench_page_wait_change(_Atomic uint32_t *word, uint32_t value, double seconds);
/* Until it is no less; ends the program when that takes too long. */
void bench_page_wait(_Atomic uint32_t *word, uint32_t least, const char *what);

/* ---- meter.c: what an end costs, with the services that serve it ---- */

typedef struct BenchCost { /* processor seconds */
        double client, server;
} BenchCost;

typedef struct BenchSpell {
        BenchCost before;
        double start;
} BenchSpell;

void bench_meter_begin(pid_t server);
double bench_now(void);
/* Of the time since it began: how many a second, and what each costs; without an end of line. */
BenchSpell bench_spell_begin(void);
void bench_spell_print(const BenchSpell *spell, double n);
double bench_memory_of_server(void); /* KiB */
double bench_memory_of_kernel(void); /* of the whole machine, KiB */

/* ---- server.c ---- */

_Noreturn void bench_serve(const BenchWay *way, const char *loop);

/* ---- loops.c, in the client's process ---- */

typedef struct BenchLoop {
        const char *name;
        bool of_server; /* the way is the server's alone, and the client is GnuTLS */
        void (*run)(const BenchWay *way, const char *argument, double amount);
} BenchLoop;

/* NULL: what is not known by this name. */
const BenchLoop *bench_loop(const char *name);
/* Waits, then hands out what there is. */
void bench_pump(const BenchWay *way, void *end, BenchGot got);
