/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What Bench's own files share: the page between the two processes, the meter, the loops. */

#include "bench.h"

#include <stdatomic.h>

/* ---- bench.c ---- */

void bench_check(bool done, const char *what);
BenchKind bench_kind(void);
extern void (*bench_look)(void); /* the server's way */

/* ---- page.c: what the two processes tell each other ---- */

#define BENCH_HELPERS_MAX 100

typedef struct BenchPage {
        _Atomic uint64_t received;
        _Atomic uint64_t wanted;  /* the client sleeps until so many are received */
        _Atomic uint32_t waiting; /* it does; a futex */
        _Atomic uint32_t port;    /* a futex */
        _Atomic uint32_t accepted;
        _Atomic uint32_t ready;      /* readers */
        _Atomic uint32_t copies;     /* of each datagram, that are received */
        _Atomic uint32_t handshakes; /* of all clients */
        _Atomic uint32_t n_helpers;
        struct {
                pid_t pid;
                bool is_servers;
        } helpers[BENCH_HELPERS_MAX];
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
/* One more process whose time is an end's. */
void bench_meter_add(pid_t pid, bool is_servers);
/* In the line of a file in /proc that begins with @key. */
double bench_number_in(const char *path, const char *key);
double bench_memory_of(pid_t pid); /* its own and its share of the rest, KiB */
double bench_now(void);
/* Of the time since it began: how many a second, and what each costs; without an end of line. */
BenchSpell bench_spell_begin(void);
void bench_spell_print(const BenchSpell *spell, double n);
double bench_spell_server(const BenchSpell *spell); /* what the server has cost, seconds */
double bench_memory_of_server(void);                /* KiB */
double bench_memory_of_kernel(void);                /* of the whole machine, KiB */
/* How often something that serves the server was woken so far. */
double bench_wakeups_of_services(void);

/* ---- server.c ---- */

/* What a server does with what it counts. */
void bench_received(void *end, const void *data, size_t size);
_Noreturn void bench_serve(const BenchWay *way, const char *loop, const char *argument);

/* ---- loops.c, many.c: in the client's process ---- */

#define BENCH_WARM_SECONDS 0.1
#define BENCH_APP_CONNECTIONS 10

typedef struct BenchLoop {
        const char *name;
        bool of_server; /* the way is the server's alone, and the client is GnuTLS */
        void (*run)(const BenchWay *way, const char *argument, double amount);
} BenchLoop;

/* NULL: what is not known by this name. */
const BenchLoop *bench_loop(const char *name);
uint16_t bench_port(void);
size_t bench_size_of(const char *argument);
void bench_loop_peers(const BenchWay *way, const char *argument, double seconds);
void bench_loop_memory(const BenchWay *way, const char *argument, double n);
void bench_loop_idle(const BenchWay *way, const char *argument, double seconds);
void bench_loop_apps(const BenchWay *way, const char *argument, double seconds);
void bench_loop_scale(const BenchWay *way, const char *argument, double n);
/* What follows the last comma: how many. */
uint32_t bench_number_of(const char *argument);
/* Waits, then hands out what there is. */
void bench_pump(const BenchWay *way, void *end, BenchGot got);
