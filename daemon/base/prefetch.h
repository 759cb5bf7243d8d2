/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#define PREFETCH_LINE 64 /* bytes; where a line is longer, some is asked for twice */

/* Asks for memory that will be read, and does not wait for it. */
static inline void memory_prefetch(const void *memory, size_t size) {
        for (size_t i = 0; i < size; i += PREFETCH_LINE)
                __builtin_prefetch((const char *)memory + i);
}
