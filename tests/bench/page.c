/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page between the two processes, see private.h. */

#include "private.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define START_SECONDS 20.0

BenchPage *bench_page;

void bench_page_new(void) {
        bench_page = mmap(NULL, sizeof *bench_page, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        bench_check(bench_page != MAP_FAILED, "mmap");
        atomic_store(&bench_page->copies, 1);
}

void bench_page_wait_change(_Atomic uint32_t *word, uint32_t value, double seconds) {
        const struct timespec limit = {(time_t)seconds,
                                       (long)((seconds - (double)(time_t)seconds) * 1e9)};

        (void)syscall(SYS_futex, word, FUTEX_WAIT, value, &limit, NULL, 0);
}

void bench_page_set(_Atomic uint32_t *word, uint32_t value) {
        atomic_store(word, value);
        (void)syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

void bench_page_wait(_Atomic uint32_t *word, uint32_t least, const char *what) {
        const double end = bench_now() + START_SECONDS;

        for (uint32_t value = atomic_load(word); value < least; value = atomic_load(word)) {
                if (bench_now() > end)
                        bench_die(what, "the other side was not ready in time");
                bench_page_wait_change(word, value, 0.1);
        }
}
