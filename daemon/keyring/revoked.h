/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Revoked: the store's denied certificates and revocation lists, by name. What is here was on the
 * disk before.
 *
 * A damaged entry is not left out: nobody knows whom it took back, so it is handed over as damaged,
 * and whom it counts for takes no certificate until it is replaced or removed.
 *
 * Knows: what is in an entry. Does not know: who is judged by it.
 */

#include "keyring/entries.h"

#include <glib.h>
#include <stddef.h>

#define REVOKED_PER_USER_MAX 16
#define REVOKED_LISTS_PER_USER_MAX 16 /* each costs a verdict a signature to be checked */
#define REVOKED_BYTES_PER_USER_MAX ((size_t)256 * 1024) /* of text, in all entries of one user */
#define REVOKED_ADMINISTRATOR_MAX 256                   /* each is asked by every verdict */
#define REVOKED_MAX 4096
#define REVOKED_BYTES_MAX ((size_t)16 * 1024 * 1024) /* in all entries; users get half of it */

typedef struct Revoked Revoked;

typedef struct RevokedEntry {
        char *name;
        GBytes *text; /* as revocation_text_read() takes it; NULL: damaged */
        size_t n_lists;
} RevokedEntry;

/* Reads all of @store, which may be NULL and is borrowed. What is damaged is named in the log. */
int revoked_new(Store *store, Revoked **ret);
Revoked *revoked_free(Revoked *revoked);

/* New, or in the place of what has this name. @ret_text: static. */
int revoked_put(Revoked *revoked, const char *name, GBytes *text, const char **ret_text);
int revoked_remove(Revoked *revoked, const char *name);
/* In order of their names; of const RevokedEntry, borrowed. */
GPtrArray *revoked_list(const Revoked *revoked);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Revoked, revoked_free)
