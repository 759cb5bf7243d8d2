/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Runs a fuzz target as a plain test: over every file of its corpus, every prefix of it, and as
 * many random changes as fit a short run, always the same ones. Speaks TAP.
 *
 *   fuzz-x CORPUS [N]      (N changes of each file; 2000 without)
 */

#include "fuzz.h"

#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define N_CHANGES_DEFAULT 2000
#define INPUT_MAX 4096

/* In memory of its exact size, so that a sanitizer sees a read beyond it. */
static void fuzz_one(const uint8_t *data, size_t size) {
        g_autofree uint8_t *exact = g_memdup2(data, size);

        (void)LLVMFuzzerTestOneInput(exact, size);
}

static size_t fuzz_change(GRand *random, uint8_t *input, size_t size) {
        size_t at = size > 0 ? (size_t)g_rand_int_range(random, 0, (gint32)size) : 0;

        switch (g_rand_int_range(random, 0, 5)) {
        case 0: /* one bit */
                if (size > 0)
                        input[at] ^= (uint8_t)(1 << g_rand_int_range(random, 0, 8));
                return size;
        case 1: /* one byte, often one of those that lengths are made of */
                if (size > 0)
                        input[at] =
                                (uint8_t)(g_rand_boolean(random) ? g_rand_int_range(random, 0, 256)
                                                                 : -g_rand_int_range(random, 0, 2));
                return size;
        case 2: /* shorter */
                return at;
        case 3: /* a piece is left out */
                if (size > 0) {
                        memmove(input + at, input + at + 1, size - at - 1);
                        return size - 1;
                }
                return size;
        default: /* a piece comes twice */
                if (2 * size - at > INPUT_MAX)
                        return size;
                memcpy(input + size, input + at, size - at);
                return 2 * size - at;
        }
}

static void fuzz_changes(const uint8_t *data, size_t size, unsigned n_changes) {
        g_autoptr(GRand) random = g_rand_new_with_seed(42);
        uint8_t input[INPUT_MAX];

        for (unsigned i = 0; i < n_changes; i++) {
                size_t changed = MIN(size, sizeof(input));
                unsigned n = (unsigned)g_rand_int_range(random, 1, 6);

                memcpy(input, data, changed);
                for (unsigned k = 0; k < n; k++)
                        changed = fuzz_change(random, input, changed);
                fuzz_one(input, changed);
        }
}

static bool fuzz_file(const char *path, unsigned n_changes) {
        g_autofree char *contents = NULL;
        gsize size;

        if (!g_file_get_contents(path, &contents, &size, NULL))
                return false;

        for (size_t prefix = 0; prefix <= size; prefix++)
                fuzz_one((const uint8_t *)contents, prefix);
        fuzz_changes((const uint8_t *)contents, size, n_changes);
        return true;
}

int main(int argc, char **argv) {
        unsigned n_changes =
                argc > 2 ? (unsigned)g_ascii_strtoull(argv[2], NULL, 10) : N_CHANGES_DEFAULT;
        g_autoptr(GDir) corpus = argc > 1 ? g_dir_open(argv[1], 0, NULL) : NULL;
        unsigned n_files = 0;
        const char *name;

        if (!corpus) {
                (void)fprintf(stderr, "usage: %s CORPUS [N]\n", argv[0]);
                return 2;
        }

        for (name = g_dir_read_name(corpus); name; name = g_dir_read_name(corpus)) {
                g_autofree char *path = g_build_filename(argv[1], name, NULL);
                bool read = fuzz_file(path, n_changes);

                n_files++;
                printf("%s %u %s\n", read ? "ok" : "not ok", n_files, name);
        }
        printf("1..%u\n", n_files);
        return n_files > 0 ? 0 : 1;
}
