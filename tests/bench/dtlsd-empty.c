/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a datagram over the bus is compared with, see dtlsd.h: a method that takes the same array,
 * of a service on the same bus that does nothing with it.
 */

#include "dtlsd.h"
#include "private.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NAME "io.github.dtlsd.Bench1" /* which bus.conf lets have */
#define PATH "/io/github/dtlsd/Bench1"

static int method_take(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const void *data;
        size_t size;

        bench_dtlsd_must(sd_bus_message_read_array(m, 'y', &data, &size), NAME, NULL);
        return sd_bus_reply_method_return(m, "x", (int64_t)size);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Take", "ay", "x", method_take, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static _Noreturn void serve(void) {
        sd_bus *bus = bench_dtlsd_open_bus("BENCH_CLIENT_BUS");

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        bench_dtlsd_must(sd_bus_add_object_vtable(bus, NULL, PATH, NAME, vtable, NULL), NAME, NULL);
        bench_dtlsd_must(sd_bus_request_name(bus, NAME, 0), NAME, NULL);
        for (;;) {
                int r = sd_bus_process(bus, NULL);

                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                bench_dtlsd_must(r, NAME, NULL);
        }
}

static void *way_connect(uint16_t port) {
        const pid_t pid = fork();

        bench_check(pid >= 0, "fork");
        if (pid == 0)
                serve();

        bench_meter_add(pid, /* server= */ false);
        while (sd_bus_get_name_creds(bench_dtlsd_bus, NAME, 0, NULL) < 0)
                (void)usleep(1000);
        return NULL;
}

static void way_send(void *end, const void *data, size_t size) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m, *reply = NULL;

        bench_dtlsd_must(
                sd_bus_message_new_method_call(bench_dtlsd_bus, &m, NAME, PATH, NAME, "Take"),
                "Take", NULL);
        bench_dtlsd_must(sd_bus_message_append_array(m, 'y', data, size), "Take", NULL);
        bench_dtlsd_must(sd_bus_call(bench_dtlsd_bus, m, 0, &error, &reply), "Take", &error);
        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(reply);
}

const BenchWay bench_dtlsd_empty = {
        .begin = bench_dtlsd_begin,
        .connect = way_connect,
        .send = way_send,
};
