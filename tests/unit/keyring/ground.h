/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* ground: a store in a folder of its own, and a vault, for tests of what is kept there. */

#include "keyring/store.h"
#include "keyring/vault.h"

#include <glib.h>

typedef struct Ground {
        char *path;
        Secret *seal; /* NULL: what is in the files can be read */
        Store *store;
        Vault *vault;
} Ground;

/* Open already. */
Ground ground_new(bool sealed);
void ground_open(Ground *ground);
void ground_close(Ground *ground);
/* After ground_close(): the folder goes. */
void ground_done(Ground *ground);
/* After ground_close(): all files, by their names, to be freed; and back to them, quickly. */
GHashTable *ground_save(const Ground *ground);
void ground_restore(const Ground *ground, GHashTable *files);
/* As if this had been kept, whatever it is. */
void ground_write(const Ground *ground, StoreKind kind, const char *name, const char *contents);
/* Nothing is left in an entry's file. */
void ground_empty(const Ground *ground, StoreKind kind, const char *name);
