/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Entry: how things that are kept are named. "NAME" is the administrator's, "u/UID/NAME" that
 * user's own; NAME is 1 to ENTRY_WORD_MAX letters of A-Z a-z 0-9 . _ - and does not begin with a
 * dot.
 */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define ENTRY_WORD_MAX 64
#define ENTRY_PATTERN_MAX 96 /* more than any name has */
/* For people. */
#define ENTRY_NAME_RULE                                                                            \
        "a name is 1 to 64 of A-Z a-z 0-9 . _ -, not with a dot first; "                           \
        "a user's own is u/UID/NAME"

bool entry_name_is_valid(const char *name);
/* A name; or letters of names, with '*' for any of them and '?' for one. */
bool entry_pattern_can_be(const char *pattern);
/* Of a valid one: whose it is; 0 for the administrator's. */
uid_t entry_name_uid(const char *name);
/* What a table has under such names, in their order; borrowed. */
GPtrArray *entry_list(GHashTable *by_name);
