/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long it takes to list what a service has, see dtlsd.h. */

#include "dtlsd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME "io.github.dtlsd.Dtlsd1"
#define ROOT "/io/github/dtlsd/Dtlsd1"
#define PAGE 1000 /* asked for; the service has a limit of its own */

static double now_ms(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* Of the paths in an answer: how many, and the number at the end of the last one. */
static size_t read_page(sd_bus_message *reply, uint64_t *last) {
        const char *path;
        size_t n = 0;

        bench_dtlsd_must(sd_bus_message_enter_container(reply, 'a', "(oa{sv})"), "page", NULL);
        while (sd_bus_message_enter_container(reply, 'r', "oa{sv}") > 0) {
                bench_dtlsd_must(sd_bus_message_read(reply, "o", &path), "page", NULL);
                bench_dtlsd_must(sd_bus_message_skip(reply, "a{sv}"), "page", NULL);
                bench_dtlsd_must(sd_bus_message_exit_container(reply), "page", NULL);
                *last = strtoull(strrchr(path, '/') + 1, NULL, 10);
                n++;
        }

        return n;
}

static void list_pages(sd_bus *bus) {
        const double start = now_ms();
        double longest = 0;
        uint64_t last = 0;
        size_t n = 0, page;

        do {
                const double before = now_ms();
                sd_bus_error error = SD_BUS_ERROR_NULL;
                sd_bus_message *reply = NULL;

                bench_dtlsd_must(sd_bus_call_method(bus, NAME, ROOT, NAME ".Manager",
                                                    "ListConnections", &error, &reply, "tua{sv}",
                                                    last, PAGE, 0),
                                 "ListConnections", &error);
                page = read_page(reply, &last);
                n += page;
                (void)sd_bus_message_unref(reply);
                if (now_ms() - before > longest)
                        longest = now_ms() - before;
        } while (page > 0);

        printf("listed=%zu list_ms=%.1f page_ms=%.1f ", n, now_ms() - start, longest);
}

static void get_objects(sd_bus *bus) {
        const double start = now_ms();
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, NAME, ROOT, "org.freedesktop.DBus.ObjectManager",
                               "GetManagedObjects", &error, &reply, "");
        /* with more than one answer may hold it says so, and that is an answer */
        if (r < 0 && !sd_bus_error_has_name(&error, DTLSD_ERROR("MessageTooLong")))
                bench_dtlsd_must(r, "GetManagedObjects", &error);

        printf("objects=%d objects_ms=%.1f", r >= 0, now_ms() - start);
        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(reply);
}

void bench_dtlsd_look(void) {
        sd_bus *bus = bench_dtlsd_open_bus("BENCH_SERVER_BUS");

        list_pages(bus);
        get_objects(bus);
        (void)sd_bus_flush_close_unref(bus);
}
