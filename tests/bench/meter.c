/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an end costs, see private.h. */

#include "private.h"

#include <dirent.h>
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

void bench_meter_add(pid_t pid, bool is_servers) {
        const uint32_t n = atomic_fetch_add(&bench_page->n_helpers, 1);

        if (n >= BENCH_HELPERS_MAX)
                bench_die("meter", "too many processes");
        bench_page->helpers[n].pid = pid;
        bench_page->helpers[n].is_servers = is_servers;
}

static BenchCost cost(void) {
        BenchCost sum = {cpu_of(getpid()), cpu_of(server_pid)};

        for (const pid_t *pid = client_services; *pid; pid++)
                sum.client += cpu_of(*pid);
        for (const pid_t *pid = server_services; *pid; pid++)
                sum.server += cpu_of(*pid);
        for (uint32_t i = 0; i < atomic_load(&bench_page->n_helpers); i++)
                *(bench_page->helpers[i].is_servers ? &sum.server : &sum.client) +=
                        cpu_of(bench_page->helpers[i].pid);
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

double bench_spell_server(const BenchSpell *spell) {
        return cost().server - spell->before.server;
}

double bench_number_in(const char *path, const char *key) {
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

double bench_memory_of(pid_t pid) {
        char path[64];

        (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
        return bench_number_in(path, "Pss:");
}

double bench_memory_of_server(void) {
        double sum = bench_memory_of(server_pid);

        for (const pid_t *pid = server_services; *pid; pid++)
                sum += bench_memory_of(*pid);
        return sum;
}

/* Of each of its threads. */
static double wakeups_of(pid_t pid) {
        char path[64];
        double sum = 0;
        struct dirent *task;
        DIR *tasks;

        (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
        tasks = opendir(path);
        bench_check(tasks, path);
        while ((task = readdir(tasks))) {
                if (task->d_name[0] == '.')
                        continue;
                (void)snprintf(path, sizeof path, "/proc/%d/task/%.16s/status", (int)pid,
                               task->d_name);
                sum += bench_number_in(path, "voluntary_ctxt_switches:");
        }

        (void)closedir(tasks);
        return sum;
}

double bench_wakeups_of_services(void) {
        double sum = 0;

        for (const pid_t *pid = server_services; *pid; pid++)
                sum += wakeups_of(*pid);
        return sum;
}

/* Of the whole machine: only of use where nobody else does much. */
double bench_memory_of_kernel(void) {
        return bench_number_in("/proc/meminfo", "Slab:");
}
