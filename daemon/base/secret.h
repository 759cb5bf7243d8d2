/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Secret: bytes that are wiped when they go and cannot be printed.
 */

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Secret Secret;

Secret *secret_new(const void *data, size_t size); /* copies */
Secret *secret_new_zero(size_t size);
Secret *secret_free(Secret *secret);

uint8_t *secret_data(Secret *secret);
const uint8_t *secret_peek(const Secret *secret);
size_t secret_size(const Secret *secret);

/* From here on no other process reads this one's memory, and none of it comes to a disk. */
int secret_protect_process(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Secret, secret_free)
