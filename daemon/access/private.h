/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a rule is made of; access/ alone includes this. */

#include "access/access.h"

typedef enum SubjectKind {
        SUBJECT_ANY,
        SUBJECT_UID,
        SUBJECT_GID,
} SubjectKind;

typedef struct Subject {
        SubjectKind kind;
        uint32_t id;
} Subject;

/* An address range and a port range. */
typedef struct Place {
        Address network; /* not set: any address */
        unsigned n_bits;
        uint16_t first_port, last_port;
} Place;

typedef struct Rule {
        char *name;
        char *file;
        unsigned line;
        GArray *subjects; /* of Subject */
        AccessVerdict verdict;
        uint32_t may;             /* a bit for each AccessVerb that needs no more */
        GArray *connect, *listen; /* of Place; NULL: not a rule about that */
        GPtrArray *use;           /* of GPatternSpec, over "identity:NAME"; NULL: the same */
        uint64_t limits[N_QUOTA_KINDS];
        uint32_t limited; /* a bit for each QuotaKind */
} Rule;

struct Access {
        GPtrArray *rules; /* of Rule, in order */
};

/* ---- place.c ---- */

/* "*", "192.0.2.0/24", "*:5684", "[2001:db8::]/32:1024-2048". */
bool place_parse(const char *text, Place *ret);
/* NULL: whether it has all there are. */
bool place_has(const Place *place, const Address *address);
/* Whether who has @address, which may be a wildcard, has something of the place: what is forbidden
 * by its address must not be had by listening everywhere. */
bool place_meets(const Place *place, const Address *address);

/* ---- rules.c ---- */

Rule *rule_free(Rule *rule);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rule, rule_free)
