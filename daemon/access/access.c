/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Access, see access.h. The shipped defaults are a table: what any user may, by verb. Groups change
 * nothing in it.
 */

#include "access/access.h"

#include <glib.h>

#define ACCESS_PORT_ANYBODYS 1024 /* ip(7): ports below are privileged */

typedef struct AccessDefault {
        const char *name;
        AccessVerdict verdict;
        const char *rule;
} AccessDefault;

static const AccessDefault access_defaults[N_ACCESS_VERBS] = {
        [ACCESS_CONNECT] = {"connect", ACCESS_ALLOW, "shipped default: any local user may connect"},
        [ACCESS_LISTEN] = {"listen", ACCESS_ALLOW,
                           "shipped default: any local user may listen at port 1024 and above"},
        [ACCESS_INSPECT] = {"inspect", ACCESS_ASK,
                            "shipped default: inspecting objects of others asks"},
        [ACCESS_PERSISTENT] = {"persistent", ACCESS_ALLOW,
                               "shipped default: any local user may make persistent objects"},
        [ACCESS_VERIFY_NONE] = {"verify-none", ACCESS_ALLOW,
                                "shipped default: any local user may leave own peers unverified"},
        [ACCESS_LEGACY_PROTOCOL] = {"legacy-protocol", ACCESS_ASK,
                                    "shipped default: protocols before DTLS 1.2 ask"},
};

const char *access_verb_name(AccessVerb verb) {
        g_assert(verb < N_ACCESS_VERBS);

        return access_defaults[verb].name;
}

/* Port 0 is a port the kernel picks, and it picks none of those. */
static bool access_is_privileged_port(const Address *address) {
        uint16_t port = address ? address_port(address) : 0;

        return port > 0 && port < ACCESS_PORT_ANYBODYS;
}

AccessVerdict access_decide(const AccessQuestion *question, const char **ret_rule) {
        g_assert(question->verb < N_ACCESS_VERBS);

        if (question->uid == 0) {
                *ret_rule = "shipped default: root may do everything";
                return ACCESS_ALLOW;
        }

        if (question->verb == ACCESS_LISTEN && access_is_privileged_port(question->address)) {
                *ret_rule = "shipped default: listening below port 1024 asks";
                return ACCESS_ASK;
        }

        *ret_rule = access_defaults[question->verb].rule;
        return access_defaults[question->verb].verdict;
}
