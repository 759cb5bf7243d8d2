/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Uses: which user had which key used, and how often, for the journal. The first use is a line at
 * once; what follows is summed up, in a line each period, until nothing does. Lines are rationed by
 * user, and what finds no room among them is in a later one: so the sums are right, whatever the
 * rate.
 *
 * Knows: the log. Does not know: what a use is.
 */

#include "keyring/vault.h"

#include <systemd/sd-event.h>

#define USES_PERIOD_USEC (60 * UINT64_C(1000000))
#define USES_MAX 1024                    /* users by keys, in a period; the others' are one sum */
#define USES_PER_USER_MAX (USES_MAX / 8) /* more than its lines in a period; the same */

typedef struct Uses Uses;

/* @brakes: by user, borrowed. */
int uses_new(sd_event *event, GHashTable *brakes, uint64_t period_usec, Uses **ret);
Uses *uses_free(Uses *uses); /* with a last line of what there is */

/* @key was used for @uid, its owner or another. @what: "signs", static. */
void uses_note(Uses *uses, const VaultKey *key, uid_t uid, const char *what);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Uses, uses_free)
