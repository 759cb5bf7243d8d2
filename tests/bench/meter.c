/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an end costs, see private.h. */

#include "private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIDS_MAX 8

static pid_t server_pid;
static pid_t client_services[PIDS_MAX], server_services[PIDS_MAX]; /* ends with 0 */

static void read_pids(const char *variable, pid_t pids[static PIDS_MAX]) {
        const char *text = getenv(variable);
        size_t n = 0;
        char *end;

        for (; text && *text && n < PIDS_MAX - 1; text = end) {
                pids[n++] = (pid_t)strtol(text, &end, 10);
                if (end == text)
                        bench_die(variable, "has to be numbers");
        }
}

void bench_meter_begin(pid_t server) {
        server_pid = server;
        read_pids("BENCH_CLIENT_PIDS", client_services);
        read_pids("BENCH_SERVER_PIDS", server_services);
}

double bench_now(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_of(pid_t pid) {
        struct timespec t;
        clockid_t clock;

        if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
                return 0;

        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static BenchCost cost(void) {
        BenchCost sum = {cpu_of(getpid()), cpu_of(server_pid)};

        for (const pid_t *pid = client_services; *pid; pid++)
                sum.client += cpu_of(*pid);
        for (const pid_t *pid = server_services; *pid; pid++)
                sum.server += cpu_of(*pid);
        return sum;
}

BenchSpell bench_spell_begin(void) {
        return (BenchSpell){cost(), bench_now()};
}

void bench_spell_print(const BenchSpell *spell, double n) {
        const double seconds = bench_now() - spell->start;
        const BenchCost after = cost();

        printf("rate=%.1f client_us=%.4f server_us=%.4f", n / seconds,
               (after.client - spell->before.client) / n * 1e6,
               (after.server - spell->before.server) / n * 1e6);
}

/* The line of a file in /proc that begins with @key, KiB. */
static double kib_of(const char *path, const char *key) {
        const size_t size = strlen(key);
        double value = 0;
        char line[256];
        FILE *file;

        file = fopen(path, "r");
        bench_check(file, path);
        while (fgets(line, sizeof line, file))
                if (strncmp(line, key, size) == 0)
                        value = strtod(line + size, NULL);

        (void)fclose(file);
        return value;
}

/* What a process has of its own and its share of the rest, KiB. */
static double memory_of(pid_t pid) {
        char path[64];

        (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
        return kib_of(path, "Pss:");
}

double bench_memory_of_server(void) {
        double sum = memory_of(server_pid);

        for (const pid_t *pid = server_services; *pid; pid++)
                sum += memory_of(*pid);
        return sum;
}

/* Of the whole machine: only of use where nobody else does much. */
double bench_memory_of_kernel(void) {
        return kib_of("/proc/meminfo", "Slab:");
}
