/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Seal: secrets that are given away and come back. Only the seal that closed one opens it, and only
 * for whom it was bound to: whoever keeps it can neither read nor change it. Its key is random and
 * never leaves the process, or another's, and then all that have this key are one.
 *
 * Knows: AES-256-GCM. Does not know: what is in them, or whose they are.
 */

#include "base/secret.h"

#define SEAL_KEY_SIZE 32
#define SEAL_OVERHEAD (12 + 16) /* bytes: nonce and tag */

typedef struct Seal Seal;

typedef enum SealOutcome {
        SEAL_E_FOREIGN = 1, /* open: another seal's, bound to somebody else, or altered */
} SealOutcome;

int seal_new(Seal **ret);
int seal_new_of(const Secret *key, Seal **ret); /* SEAL_KEY_SIZE bytes */
Seal *seal_free(Seal *seal);

/* @bound may be NULL when @bound_size is 0. */
int seal_close(const Seal *seal, const void *bound, size_t bound_size, const Secret *secret,
               GBytes **ret);
int seal_open(const Seal *seal, const void *bound, size_t bound_size, GBytes *sealed, Secret **ret);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Seal, seal_free)
