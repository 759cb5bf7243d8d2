/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * File: one of the administrator's files, read whole. A FIFO, a device or a file that has no end
 * would stop the service, or take its memory; so none is read, but /dev/null, which stands for an
 * empty file.
 */

#include <stddef.h>

typedef enum FileOutcome {
        FILE_E_UNKNOWN = 1, /* there is none of that name */
        FILE_E_BROKEN,      /* it cannot be read, or is not what it should be */
} FileOutcome;

/* @ret: a NUL follows what was read. @ret_text: which file and what is wrong with it, for people.
 */
int file_read(const char *path, size_t max, char **ret, size_t *ret_size, char **ret_text);
