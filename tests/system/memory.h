/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Memory: another process's, searched as a debugger would: everything that is mapped and can be
 * read, the heap and every stack included. For root.
 */

#include <glib.h>
#include <sys/types.h>

typedef struct Needle {
        const char *name;
        const void *data;
        size_t size;
} Needle;

/* Where it is, for people; NULL: nowhere. */
char *memory_find(pid_t pid, const Needle *needle);
