/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pins: which keys a host may have, by whose word: a table for each user, and one of the
 * administrator's, each an entry of the store. What is here was on the disk before.
 *
 * A table's name is that of its entry: "pins" is the administrator's, "u/UID/pins" that user's. A
 * host's name is in its one spelling (base/host.h).
 *
 * Knows: hosts, ports, hashes of keys. Does not know: who is judged by them.
 */

#include "keyring/store.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PINS_WORD "pins"
#define PINS_PER_USER_MAX 2048 /* hosts with their ports, in one table */
#define PINS_PER_HOST_MAX 8    /* keys */
#define PINS_MAX 65536         /* hosts, in all tables */
#define PIN_SIZE 32            /* SHA-256 of a SubjectPublicKeyInfo */

typedef struct Pins Pins;

typedef struct PinPlace {
        const char *table; /* its name */
        const char *host;
        uint16_t port;
} PinPlace;

typedef enum PinsOutcome {
        PINS_E_BAD = 1, /* the table's name, or the host; text */
        PINS_E_UNKNOWN, /* nothing such is pinned; text */
        PINS_E_FULL,    /* text */
        PINS_E_TAKEN,   /* @first, and another key is pinned */
        PINS_E_DAMAGED, /* the table on the disk; text */
        PINS_E_NO_STORE,
} PinsOutcome;

/* Reads all of @store, which may be NULL and is borrowed. What is damaged is named in the log, and
 * nothing is pinned there. */
int pins_new(Store *store, Pins **ret);
Pins *pins_free(Pins *pins);

/* One more key that the host may have. @pin: PIN_SIZE bytes. @first: only where none is pinned, or
 * this one. @ret_keys: what is pinned there now, GBytes. @ret_text: static. */
int pins_add(Pins *pins, const PinPlace *place, GBytes *pin, bool first, GPtrArray **ret_keys,
             const char **ret_text);
/* @pin: NULL: all keys of the place. The host "": the whole table, even a damaged one. @ret_keys:
 * what is left there. */
int pins_remove(Pins *pins, const PinPlace *place, GBytes *pin, GPtrArray **ret_keys,
                const char **ret_text);

/* @keys: of GBytes; all borrowed. */
typedef int (*PinsEach)(const PinPlace *place, GPtrArray *keys, void *userdata);
/* Until one returns what is not 0, which is returned. */
int pins_each(const Pins *pins, PinsEach each, void *userdata);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pins, pins_free)
