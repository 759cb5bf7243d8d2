/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Connections on which nothing happens: neither process is woken for them. And one that is woken
 * interrupts nobody.
 */

#include "stage.h"

#include <sched.h>
#include <string.h>

#define N_CONNECTIONS 50
#define QUIET_SECONDS 5 /* a timer of any shorter period shows */
#define LIMIT_SECONDS 45

typedef struct World {
        Service *service;
        sd_bus *bus;
        char *clients[N_CONNECTIONS];
} World;

static void set_up(World *world, const void *unused) {
        g_autofree char *listener = NULL;
        uint16_t port;

        world->service = service_start(NULL);
        world->bus = service_bus(world->service, UID_ALICE);
        listener = listen_psk(world->bus, &port);
        for (size_t i = 0; i < N_CONNECTIONS; i++)
                world->clients[i] = open_client(world->bus, port, false);
}

static void tear_down(World *world, const void *unused) {
        for (size_t i = 0; i < N_CONNECTIONS; i++)
                g_free(world->clients[i]);
        (void)bus_leave(world->bus);
        service_stop(world->service);
}

static uint64_t wakeups_in(const char *status) {
        g_autofree char *text = NULL;
        const char *line;

        if (!g_file_get_contents(status, &text, NULL, NULL))
                return 0; /* a thread that ended */

        line = strstr(text, "\nvoluntary_ctxt_switches:");
        g_assert_nonnull(line);
        return g_ascii_strtoull(strchr(line, ':') + 1, NULL, 10);
}

/* Each time a thread has slept and was woken. */
static uint64_t wakeups_of(pid_t pid) {
        g_autofree char *folder = g_strdup_printf("/proc/%d/task", pid);
        g_autoptr(GDir) threads = g_dir_open(folder, 0, NULL);
        const char *thread;
        uint64_t n = 0;

        g_assert_nonnull(threads);
        while ((thread = g_dir_read_name(threads)) != NULL) {
                g_autofree char *status = g_build_filename(folder, thread, "status", NULL);

                n += wakeups_in(status);
        }

        return n;
}

static pid_t keyring_of(pid_t service) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", service, service);
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return (pid_t)g_ascii_strtoll(text, NULL, 10);
}

static void nobody_is_woken(World *world, const void *unused) {
        pid_t service = service_pid(world->service);
        pid_t keyring = keyring_of(service);
        int n_quiet = 0;

        g_assert_cmpint(keyring, >, 0);
        /* a while until what the last handshake left to do is done */
        for (int i = 0; n_quiet < QUIET_SECONDS; i++) {
                uint64_t before = wakeups_of(service) + wakeups_of(keyring);

                g_assert_cmpint(i, <, LIMIT_SECONDS);
                g_usleep(G_USEC_PER_SEC);
                n_quiet = wakeups_of(service) + wakeups_of(keyring) == before ? n_quiet + 1 : 0;
        }
}

static void nobody_is_interrupted(World *world, const void *unused) {
        if (sched_getscheduler(0) != SCHED_OTHER) {
                g_test_skip("these tests run by another policy");
                return;
        }

        g_assert_cmpint(sched_getscheduler(service_pid(world->service)), ==, SCHED_BATCH);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/idle/nobody-is-woken", World, NULL, set_up, nobody_is_woken, tear_down);
        g_test_add("/idle/nobody-is-interrupted", World, NULL, set_up, nobody_is_interrupted,
                   tear_down);
        return g_test_run();
}
