/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REGION_MAX (UINT64_C(1) << 30) /* larger ones are a sanitizer's */
#define CHUNK_SIZE ((size_t)4 * 1024 * 1024)

typedef struct Region {
        uint64_t begin, end;
        char flags[5];
} Region;

/* What can be read from @begin on is searched; a needle can lie across two chunks. */
static const char *chunk_find(int mem, uint64_t begin, size_t size, char *bytes,
                              const Needle *needle) {
        ssize_t n = pread(mem, bytes, size, (off_t)begin);

        return n > 0 ? memmem(bytes, (size_t)n, needle->data, needle->size) : NULL;
}

static char *region_find(int mem, const Region *region, const char *line, const Needle *needle) {
        g_autofree char *bytes = g_malloc(CHUNK_SIZE + needle->size);

        for (uint64_t at = region->begin; at < region->end; at += CHUNK_SIZE) {
                size_t size = MIN(region->end - at, CHUNK_SIZE + needle->size);
                const char *found = chunk_find(mem, at, size, bytes, needle);

                if (found)
                        return g_strdup_printf("%#" PRIx64 " in %s", at + (uint64_t)(found - bytes),
                                               line);
        }

        return NULL;
}

char *memory_find(pid_t pid, const Needle *needle) {
        g_autofree char *maps_path = g_strdup_printf("/proc/%d/maps", pid);
        g_autofree char *mem_path = g_strdup_printf("/proc/%d/mem", pid);
        g_autofree char *maps = NULL;
        g_auto(GStrv) lines = NULL;
        int mem = open(mem_path, O_RDONLY | O_CLOEXEC);
        char *found = NULL;

        g_assert_cmpint(mem, >=, 0);
        g_assert_true(g_file_get_contents(maps_path, &maps, NULL, NULL));
        lines = g_strsplit(maps, "\n", -1);
        for (char **line = lines; *line && !found; line++) {
                Region region;

                if (sscanf(*line, "%" SCNx64 "-%" SCNx64 " %4s", &region.begin, &region.end,
                           region.flags) == 3 &&
                    region.flags[0] == 'r' && region.end - region.begin <= REGION_MAX)
                        found = region_find(mem, &region, *line, needle);
        }
        (void)close(mem);
        return found;
}
