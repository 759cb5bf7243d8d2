/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service itself costs, without any peer: "start", from its start to its name on the bus,
 * and what it takes when nobody has asked for anything; "objects", the time to list many of one's
 * own.
 */

#include "dtlsd.h"
#include "private.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "io.github.dtlsd.Dtlsd1"
#define ROOT "/io/github/dtlsd/Dtlsd1"
#define ARGUMENTS_MAX 16
#define ARGUMENTS_SIZE 4096
#define LIMIT_USEC (10 * UINT64_C(1000000))
#define PENDING 100 /* calls at a time: a bus bears 128 */

/* ---- start ---- */

typedef struct Daemon {
        char text[ARGUMENTS_SIZE];
        char *arguments[ARGUMENTS_MAX + 1];
        uid_t uid;
        gid_t gid;
} Daemon;

/* Of the service that runs: how it was started, and as whom. */
static void look_at(pid_t pid, Daemon *daemon) {
        char path[64];
        size_t size, n = 0;
        FILE *file;

        (void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
        file = fopen(path, "r");
        bench_check(file, path);
        size = fread(daemon->text, 1, sizeof daemon->text - 1, file);
        (void)fclose(file);
        for (char *at = daemon->text; at < daemon->text + size && n < ARGUMENTS_MAX;
             at += strlen(at) + 1)
                daemon->arguments[n++] = at;

        (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        daemon->uid = (uid_t)bench_number_in(path, "Uid:");
        daemon->gid = (gid_t)bench_number_in(path, "Gid:");
}

static pid_t start(const Daemon *daemon) {
        pid_t pid = fork();

        bench_check(pid >= 0, "fork");
        if (pid > 0)
                return pid;

        if (getuid() == 0)
                bench_check(setgroups(0, NULL) == 0 && setgid(daemon->gid) == 0 &&
                                    setuid(daemon->uid) == 0,
                            "setuid");
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void)execv(daemon->arguments[0], daemon->arguments);
        bench_die(daemon->arguments[0], strerror(errno));
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *before, *after;
        bool *has_owner = userdata;

        if (sd_bus_message_read(m, "sss", &name, &before, &after) >= 0)
                *has_owner = *after != '\0';
        return 0;
}

static void wait_owner(const bool *has_owner, bool wanted) {
        const double until = bench_now() + (double)LIMIT_USEC * 1e-6;

        while (*has_owner != wanted) {
                if (bench_now() > until)
                        bench_die("service", "its name did not come, or not go, in time");
                if (sd_bus_process(bench_dtlsd_bus, NULL) == 0)
                        (void)sd_bus_wait(bench_dtlsd_bus, LIMIT_USEC);
        }
}

static void measure_start(void) {
        const char *pids = getenv("BENCH_SERVER_PIDS");
        const char *space = pids ? strchr(pids, ' ') : NULL;
        const pid_t old = space ? (pid_t)strtol(space, NULL, 10) : 0; /* behind the bus's */
        bool has_owner = true;
        Daemon daemon = {0};
        double before, after;
        char path[64];
        pid_t pid;

        if (old <= 0)
                bench_die("BENCH_SERVER_PIDS", "has to be those of a bus, a daemon and a keyring");

        look_at(old, &daemon);
        bench_dtlsd_must(sd_bus_match_signal(bench_dtlsd_bus, NULL, "org.freedesktop.DBus",
                                             "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                             "NameOwnerChanged", on_owner, &has_owner),
                         "match", NULL);
        bench_check(kill(old, SIGTERM) == 0, "kill");
        wait_owner(&has_owner, false);

        before = bench_now();
        pid = start(&daemon);
        wait_owner(&has_owner, true);
        after = bench_now();
        (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
        printf("start_ms=%.2f kib=%.0f\n", (after - before) * 1e3,
               bench_memory_of(pid) + bench_memory_of((pid_t)bench_number_in(path, "")));
        (void)kill(pid, SIGTERM);
        (void)waitpid(pid, NULL, 0);
}

/* ---- objects ---- */

static int on_created(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        size_t *n_pending = userdata;

        if (sd_bus_message_is_method_error(m, NULL))
                bench_die("CreateConnection", sd_bus_message_get_error(m)->message);
        (*n_pending)--;
        return 1;
}

static void create(size_t n) {
        size_t n_pending = 0;

        while (n > 0 || n_pending > 0) {
                int r;

                for (; n > 0 && n_pending < PENDING; n--, n_pending++)
                        bench_dtlsd_must(sd_bus_call_method_async(
                                                 bench_dtlsd_bus, NULL, NAME, ROOT, NAME ".Manager",
                                                 "CreateConnection", on_created, &n_pending,
                                                 "sa{sv}", "client", 2, "PeerAddress", "s",
                                                 "127.0.0.1", "PeerPort", "q", 5684),
                                         "CreateConnection", NULL);
                r = sd_bus_process(bench_dtlsd_bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bench_dtlsd_bus, LIMIT_USEC);
                bench_dtlsd_must(r, "bus", NULL);
        }
}

int main(int argc, char **argv) {
        if (argc != 5)
                bench_die("usage", "bench-service service start|objects X N");

        bench_dtlsd_begin(BENCH_ECDSA, /* server= */ true);
        if (strcmp(argv[2], "start") == 0) {
                measure_start();
                return 0;
        }

        create(strtoul(argv[4], NULL, 10));
        bench_dtlsd_look();
        printf("\n");
        return 0;
}
