/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Access: who may. Pure: a subject, a verb and what it is about in; a verdict and the rule that
 * says so out. Until an administrator writes rules, the rules are the shipped defaults.
 */

#include "base/address.h"

#include <stdbool.h>
#include <sys/types.h>

typedef enum AccessVerb {
        ACCESS_CONNECT,
        ACCESS_LISTEN,
        ACCESS_INSPECT, /* see objects of others; reading cannot wait, so there ask is deny */
        ACCESS_PERSISTENT,
        ACCESS_VERIFY_NONE,
        ACCESS_LEGACY_PROTOCOL,
        N_ACCESS_VERBS,
} AccessVerb;

typedef enum AccessVerdict {
        ACCESS_DENY,
        ACCESS_ASK, /* polkit decides; where it is not there: deny */
        ACCESS_ALLOW,
} AccessVerdict;

typedef struct AccessQuestion {
        uid_t uid;
        const gid_t *gids;
        size_t n_gids;
        AccessVerb verb;
        /* connect: the peer; listen: the local address; else, or not known: NULL */
        const Address *address;
} AccessQuestion;

const char *access_verb_name(AccessVerb verb); /* "connect", "verify-none", … */

/* @ret_rule: for people, "shipped default: …"; static. */
AccessVerdict access_decide(const AccessQuestion *question, const char **ret_rule);
