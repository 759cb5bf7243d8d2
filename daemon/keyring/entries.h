/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Entries: what the tables of what is kept have in common: each a GHashTable whose keys are the
 * entries' names (base/entry.h).
 */

#include "keyring/store.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define UID_ADMINISTRATOR ((uid_t)0)

/* What their functions answer. */
typedef enum EntriesOutcome {
        ENTRIES_E_BAD = 1,  /* what was given; the text says why */
        ENTRIES_E_UNKNOWN,  /* there is nothing of this name */
        ENTRIES_E_FULL,     /* so many, or so much, is there already; text */
        ENTRIES_E_NO_STORE, /* the keyring was started without one */
} EntriesOutcome;

/* @contents NULL: they cannot be read. Not 0: the journal hears that it is left out, and why. */
typedef int (*EntriesLoad)(void *userdata, const char *name, const Secret *contents,
                           const char **ret_why);

/* Has each of this kind loaded that is on the disk. @store: may be NULL. */
int entries_load(Store *store, StoreKind kind, EntriesLoad load, void *userdata);
/* From the disk, then from the table; a damaged one is not in it, and goes all the same. */
int entries_remove(Store *store, StoreKind kind, GHashTable *by_name, const char *name);

/* For @name, which may be there already: how much a user may have, and all together. The
 * administrator's are bounded by @max alone. */
bool entries_have_room(GHashTable *by_name, const char *name, size_t per_user_max, size_t max);
