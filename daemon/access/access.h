/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Access: who may. A question (a subject, a verb and what it is about) in; a verdict, and the rule
 * that says so, out. The rules are read from key files in order; the first that matches decides,
 * and where none does nobody may but root.
 *
 * A file (see dtlsd-policy.d(5)):
 *
 *      [Gateway]
 *      Subjects=user:gateway;group:iot
 *      Verdict=allow
 *      Connect=192.0.2.0/24;[2001:db8::]/32:5684
 *      Listen=*:1024-65535
 *      Use=identity:gateway;psk:sensor-*
 *      May=persistent;external
 *      ConnectionsPerUser=100
 *
 * Knows: names of users and groups, while it reads. Does not know: files, the bus, polkit.
 */

#include "access/quota.h"
#include "base/address.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum AccessVerb {
        ACCESS_CONNECT,
        ACCESS_LISTEN,
        ACCESS_USE,     /* an entry of the store by name */
        ACCESS_INSPECT, /* see objects of others; reading cannot wait, so there ask is deny */
        ACCESS_PERSISTENT,
        ACCESS_EXTERNAL,
        ACCESS_SHARE,
        ACCESS_VERIFY_NONE,
        ACCESS_TRUST_FIRST_USE,
        ACCESS_REST_PSK, /* nobody calls for it, so root may not either where no rule says so; and
                            a handshake cannot wait, so there ask is deny */
        ACCESS_LEGACY_PROTOCOL,
        ACCESS_RAW_CIPHERS,
        ACCESS_EXPORT_KEY,
        ACCESS_KEY_LOG,
        ACCESS_MANAGE_STORE,
        ACCESS_RELOAD,
        N_ACCESS_VERBS,
} AccessVerb;

typedef enum AccessVerdict {
        ACCESS_DENY,
        ACCESS_ASK, /* polkit decides; where it is not there: deny */
        ACCESS_ALLOW,
} AccessVerdict;

typedef struct AccessSubject {
        uid_t uid;
        const gid_t *gids;
        size_t n_gids;
} AccessSubject;

typedef struct AccessQuestion {
        AccessSubject subject;
        AccessVerb verb;
        /* connect: the peer; listen: the local address. NULL, or not known: only a rule for all of
         * them matches */
        const Address *address;
        const char *entry; /* use, manage-store: "identity:NAME", "psk:NAME", "trust:NAME" */
} AccessQuestion;

typedef struct AccessAnswer {
        AccessVerdict verdict;
        const char *rule; /* its name; for people */
        const char *file; /* borrowed; NULL: no rule of a file */
        unsigned line;
} AccessAnswer;

typedef enum AccessOutcome {
        ACCESS_E_BROKEN = 1, /* no such key, word, user, address, …: the text says where */
} AccessOutcome;

typedef struct Access Access;

/* Without rules: root may everything, and nobody else anything. */
Access *access_new(void);
Access *access_free(Access *access);

/* Adds the rules of @path, whose text is @contents, behind those that are there. All or nothing. */
int access_read(Access *access, const char *path, const char *contents, char **ret_text);
/* @access has the rules of @other from now on; @other is freed. */
void access_replace(Access *access, Access *other);

AccessAnswer access_decide(const Access *access, const AccessQuestion *question);
/* What the first rule that is about @subject and names the limit says; false: none does. */
bool access_limit(const Access *access, const AccessSubject *subject, QuotaKind kind,
                  uint64_t *ret);

const char *access_verb_name(AccessVerb verb); /* "connect", "verify-none", … */
bool access_verb_from_name(const char *name, AccessVerb *ret);
const char *access_verdict_name(AccessVerdict verdict); /* "allow", "ask", "deny" */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Access, access_free)
