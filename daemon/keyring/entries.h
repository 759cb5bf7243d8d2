/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Entries: what the tables of what is kept have in common: each a GHashTable whose keys are the
 * entries' names (base/entry.h).
 */

#include <glib.h>
#include <stdbool.h>

/* For @name, which may be there already: how much a user may have, and all together. The
 * administrator's are bounded by @max alone. */
bool entries_have_room(GHashTable *by_name, const char *name, size_t per_user_max, size_t max);
/* In order of their names; borrowed. */
GPtrArray *entries_list(GHashTable *by_name);
