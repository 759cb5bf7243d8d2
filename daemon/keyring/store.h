/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Store: what outlives the process, one file for each entry, in one folder. A write is aside,
 * synced and renamed, so that whatever kills the process leaves the old entry or the new one. With
 * a sealing key every entry is encrypted, and bound to its kind and name: a file under another name
 * is a damaged one.
 *
 * An entry has a kind and a name (base/entry.h).
 *
 * Knows: files. Does not know: what is in an entry.
 */

#include "base/secret.h"

#include <stdbool.h>

#define STORE_ENTRY_MAX ((size_t)256 * 1024)

typedef enum StoreKind {
        STORE_IDENTITY,
        STORE_PSK,
        STORE_TRUST,
        STORE_PINS,
        STORE_REVOCATIONS,
        N_STORE_KINDS,
} StoreKind;

typedef struct StoreName {
        StoreKind kind;
        char *name;
} StoreName;

typedef enum StoreOutcome {
        STORE_E_UNKNOWN = 1, /* there is no such entry */
        STORE_E_DAMAGED,     /* not ours, of loose mode, cut, altered, or sealed with another key */
        STORE_E_TOO_LONG,    /* over STORE_ENTRY_MAX */
        STORE_E_FOLDER,      /* the folder is not ours alone, in use, or of a later version */
} StoreOutcome;

typedef struct Store Store;

/* @path: a folder of mode 0700 that belongs to this user; made when it is not there. What a killed
 * write left is swept out. @seal_key: SEAL_KEY_SIZE bytes (base/seal.h), or NULL: entries are as
 * they are. @ret_text: for people, when it is refused. */
int store_open(const char *path, const Secret *seal_key, Store **ret, char **ret_text);
Store *store_free(Store *store);

typedef void (*StoreWork)(void *data);
/* Has work(data) done, which takes long, in this thread or another, and returns then. */
typedef void (*StoreWait)(StoreWork work, void *data, void *userdata);

/* Of changes; one is made at a time. @wait NULL, as in the beginning: they wait where they are. */
void store_set_wait(Store *store, StoreWait wait, void *userdata);
/* For what waits for the disk, and what else of a change takes long. */
void store_wait(const Store *store, StoreWork work, void *data);

/* On the disk when it returns 0; as it was when not. */
int store_put(Store *store, StoreKind kind, const char *name, const Secret *contents);
int store_get(Store *store, StoreKind kind, const char *name, Secret **ret);
int store_remove(Store *store, StoreKind kind, const char *name);
/* The names of all entries, readable or not, in order; of StoreName. */
int store_list(Store *store, GPtrArray **ret);
/* For people: which file it is. */
char *store_file(const Store *store, StoreKind kind, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_free)
