/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Trusts: the store's sets of certificates that may vouch for peers, by name. What is here was on
 * the disk before.
 *
 * Knows: which certificates are in a set. Does not know: who is judged by it.
 */

#include "keyring/entries.h"

#include <glib.h>
#include <stddef.h>

#define TRUSTS_PER_USER_MAX 16
#define TRUSTS_BYTES_PER_USER_MAX ((size_t)256 * 1024) /* of DER, in all sets of one user */
#define TRUSTS_MAX 4096
#define TRUSTS_BYTES_MAX ((size_t)32 * 1024 * 1024) /* in all sets; users get half of it */

#define TRUST_FINGERPRINT_SIZE 32 /* SHA-256 of a certificate */

typedef struct Trusts Trusts;

typedef struct TrustSet {
        char *name;
        GPtrArray *anchors; /* GBytes, DER, each once; never empty */
        size_t n_bytes;
} TrustSet;

/* Reads all of @store, which may be NULL and is borrowed. What is damaged is named in the log and
 * left out. */
int trusts_new(Store *store, Trusts **ret);
Trusts *trusts_free(Trusts *trusts);

/* To the set of this name, which is made when it is not there; a damaged one is made anew. @blobs:
 * GBytes, PEM or DER. @ret: borrowed, until the name changes. @ret_text: static. */
int trusts_add(Trusts *trusts, const char *name, GPtrArray *blobs, const TrustSet **ret,
               const char **ret_text);
/* @size 0: the whole set, even a damaged one. @ret: as above, or NULL: it is gone with its last. */
int trusts_remove(Trusts *trusts, const char *name, const void *fingerprint, size_t size,
                  const TrustSet **ret, const char **ret_text);
/* In order of their names; of const TrustSet, borrowed. */
GPtrArray *trusts_list(const Trusts *trusts);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Trusts, trusts_free)
