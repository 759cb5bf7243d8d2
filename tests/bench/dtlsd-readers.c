/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server's connection that several programs read, see dtlsd.h: its owner, and others it is shared
 * with, each a process with a channel of its own.
 */

#include "dtlsd.h"
#include "private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static uint32_t n_readers;

static _Noreturn void read_along(const char *path) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        bench_dtlsd_bus = bench_dtlsd_open_bus("BENCH_SERVER_BUS");
        bench_dtlsd_must(dtlsd_connection_at(bench_dtlsd_bus, path, &connection), path, NULL);
        bench_dtlsd_must(dtlsd_connection_open_channel(connection, &error), "OpenChannel", &error);
        bench_page_set(&bench_page->ready, atomic_load(&bench_page->ready) + 1);
        for (;;)
                bench_pump(&bench_dtlsd, connection, bench_received);
}

static void *way_accept(void) {
        static const char *const rights[] = {"read", NULL};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection = bench_dtlsd.accept();
        char subject[32];

        (void)snprintf(subject, sizeof subject, "uid:%u", getuid());
        bench_dtlsd_must(dtlsd_connection_share(connection, subject, rights, &error), "Share",
                         &error);
        atomic_store(&bench_page->copies, n_readers);
        for (uint32_t n = 1; n < n_readers; n++) {
                const pid_t pid = fork();

                bench_check(pid >= 0, "fork");
                if (pid == 0)
                        read_along(dtlsd_connection_path(connection));

                bench_meter_add(pid, /* server= */ true);
                bench_page_wait(&bench_page->ready, n, "reader");
        }

        return connection;
}

const BenchWay *bench_dtlsd_find_readers(uint32_t n) {
        static BenchWay way;

        n_readers = n;
        way = bench_dtlsd;
        way.accept = way_accept;
        return &way;
}
