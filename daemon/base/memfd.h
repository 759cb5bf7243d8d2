/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * memfd: how a secret travels. A memory file sealed against write, grow and shrink can be read
 * without waiting and cannot change under the reader; anything else is refused before any read.
 */

#include "base/secret.h"

#define MEMFD_SECRET_MAX ((size_t)1024 * 1024) /* API: a secret is at most 1 MiB */

typedef enum MemfdOutcome {
        MEMFD_E_NOT_SEALED = 1, /* not a memfd, or not sealed against write, grow and shrink */
        MEMFD_E_EMPTY,
        MEMFD_E_TOO_LARGE,
} MemfdOutcome;

const char *memfd_outcome_text(MemfdOutcome outcome);

/* Looks at type, seals and size; reads nothing. */
int memfd_check(int fd);
int memfd_read(int fd, Secret **ret);
/* A new sealed memfd with these bytes. */
int memfd_new(const void *data, size_t size, int *ret_fd);
