/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One user floods the service with calls that bring as many file descriptors as a bus lets through.
 * Those that wait hold no more than that user's share, and another's calls that bring some are
 * answered by the service, not refused by it or by the bus.
 */

#include "stage.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define N_NAMES 40
#define N_CALLS 8 /* that each has under way */
#define N_FDS_A_CALL 16
#define N_FDS 2000 /* of the service */
#define N_FLOOD 3000
#define N_OTHER 5

typedef struct Flood {
        bool is_over;
        unsigned n_answers, n_run, n_refused, n_bus; /* by whom */
} Flood;

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* Refused for its signature, once it runs. */
static void send_fds(Flood *flood, sd_bus *bus) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, NAME, ROOT, MANAGER, "Unsubscribe"),
                        >=, 0);
        for (int i = 0; i < N_FDS_A_CALL; i++)
                g_assert_cmpint(sd_bus_message_append(m, "h", fd), >=, 0);
        g_assert_cmpint(sd_bus_call_async(bus, NULL, m, on_answer, flood, UINT64_MAX), >=, 0);
        (void)sd_bus_message_unref(m);
        (void)close(fd);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *why = sd_bus_message_get_error(m);
        Flood *flood = userdata;

        flood->n_answers++;
        flood->n_run += g_str_equal(why->name, SD_BUS_ERROR_INVALID_ARGS);
        flood->n_refused += g_str_equal(why->name, ERROR_PREFIX "QuotaExceeded");
        flood->n_bus += g_str_equal(why->name, SD_BUS_ERROR_LIMITS_EXCEEDED);
        if (!flood->is_over)
                send_fds(flood, sd_bus_message_get_bus(m));
        return 1;
}

static unsigned count_fds(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd", pid);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        unsigned n = 0;

        g_assert_nonnull(directory);
        while (g_dir_read_name(directory))
                n++;
        return n;
}

/* Whose the names are is known before; what names that are not have is a user's as well. */
static void flood_begin(Flood *flood, Service *service, sd_bus *buses[static N_NAMES]) {
        for (int i = 0; i < N_NAMES; i++) {
                buses[i] = service_bus(service, UID_ALICE);
                (void)sd_bus_message_unref(call(buses[i], ROOT, MANAGER, "Unsubscribe", ""));
        }
        for (int i = 0; i < N_NAMES; i++) {
                for (int k = 0; k < N_CALLS; k++)
                        send_fds(flood, buses[i]);
        }
}

static void test_descriptors_that_wait(void) {
        Flood flood = {0}, other = {0};
        sd_bus *buses[N_NAMES], *bob;
        unsigned n_fds_max = 0;
        uint64_t n_may_have;
        Service *service;

        if (!service_has_users())
                return;

        service = service_start_limited(NULL, N_FDS);
        bob = service_bus(service, UID_BOB);
        n_may_have = get_counter(bob, ROOT, MANAGER, "Limits", "FdsPerUser");
        flood_begin(&flood, service, buses);
        send_fds(&other, bob);
        /* a service that keeps up refuses none, for a while */
        while (flood.n_answers < N_FLOOD || other.n_answers < N_OTHER || flood.n_refused == 0) {
                for (int i = 0; i < N_NAMES; i++)
                        g_assert_cmpint(sd_bus_process(buses[i], NULL), >=, 0);
                g_assert_cmpint(sd_bus_process(bob, NULL), >=, 0);
                n_fds_max = MAX(n_fds_max, count_fds(service_pid(service)));
        }
        g_test_message("flood: %u run, %u refused, %u by the bus; the other: %u of %u run; %u fds",
                       flood.n_run, flood.n_refused, flood.n_bus, other.n_run, other.n_answers,
                       n_fds_max);
        g_assert_cmpuint(other.n_run, ==, other.n_answers);
        g_assert_cmpuint(n_fds_max, <=, n_may_have);

        for (int i = 0; i < N_NAMES; i++)
                (void)bus_leave(buses[i]);
        wait_statistic(bob, "FdsInUse", 0);
        (void)bus_leave(bob);
        service_stop(service);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/fd-flood/descriptors-that-wait-are-a-users-share",
                        test_descriptors_that_wait);
        return g_test_run();
}
