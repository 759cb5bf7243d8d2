/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stands before the C library in test-allocations: counts what is allocated while it is told to,
 * and leaves out what GnuTLS allocates itself, record by record.
 */

#include "allocations.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *before, size_t size);

static bool counts;
static size_t n_allocations;

static void note(const void *caller) {
        Dl_info info;

        if (counts && dladdr(caller, &info) && !strstr(info.dli_fname, "libgnutls"))
                n_allocations++;
}

void allocations_begin(void) {
        n_allocations = 0;
        counts = true;
}

size_t allocations_end(void) {
        counts = false;
        return n_allocations;
}

void *malloc(size_t size) {
        note(__builtin_return_address(0));
        return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
        note(__builtin_return_address(0));
        return __libc_calloc(n, size);
}

void *realloc(void *before, size_t size) {
        note(__builtin_return_address(0));
        return __libc_realloc(before, size);
}
