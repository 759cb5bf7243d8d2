/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Shares: with whom an object is shared, and what each may. A GArray of Share, NULL where it is
 * shared with nobody; never changed once it is made, so that whoever holds one keeps what it was.
 *
 * Knows: subjects and rights, and how they are written. Does not know: objects, owners, D-Bus.
 */

#include "access/access.h"

#include <glib.h>
#include <stdbool.h>

#define SHARES_MAX 64 /* subjects of one object */
#define SHARE_SUBJECT_MAX 16
#define SHARE_SUBJECTS "uid:N or gid:N, with N from 0 to 4294967294" /* for people */
#define SHARE_RIGHTS "read, write, inspect, control"

typedef enum ShareRight {
        SHARE_INSPECT = 1 << 0, /* see it; who has another right has this one too */
        SHARE_READ = 1 << 1,
        SHARE_WRITE = 1 << 2,
        SHARE_CONTROL = 1 << 3,
} ShareRight;

typedef struct Share {
        bool is_group;
        uint32_t id;
        unsigned rights; /* of ShareRight */
} Share;

/* "uid:1000", "gid:100". False: it is none. */
bool share_parse_subject(const char *text, Share *ret);
const char *share_format_subject(const Share *share, char buffer[static SHARE_SUBJECT_MAX]);
bool share_right_from_name(const char *name, unsigned *ret);
/* The names of @rights, which are borrowed; NULL-terminated. */
void share_right_names(unsigned rights, const char *ret[static 5]);

/* What @shares leave to @subject; 0: it does not see it. */
unsigned shares_rights(const GArray *shares, const AccessSubject *subject);
/* New ones in which its subject has the rights of @share and no others. NULL: there would be more
 * than SHARES_MAX. */
GArray *shares_with(const GArray *shares, const Share *share);
/* New ones without the subject of @share; NULL: nobody is left. @ret_found: whether it was there.
 */
GArray *shares_without(const GArray *shares, const Share *share, bool *ret_found);
