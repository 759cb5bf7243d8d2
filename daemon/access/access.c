/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "access/access.h"

#include <glib.h>

#define PRIVILEGED_PORTS 1024 /* ports below are the administrator's */

static const char *const verb_names[N_ACCESS_VERBS] = {
        [ACCESS_CONNECT] = "connect",         [ACCESS_LISTEN] = "listen",
        [ACCESS_INSPECT] = "inspect",         [ACCESS_PERSISTENT] = "persistent",
        [ACCESS_VERIFY_NONE] = "verify-none", [ACCESS_LEGACY_PROTOCOL] = "legacy-protocol",
        [ACCESS_RELOAD] = "reload",
};

const char *access_verb_name(AccessVerb verb) {
        g_assert(verb < N_ACCESS_VERBS);
        return verb_names[verb];
}

bool access_verb_from_name(const char *name, AccessVerb *ret) {
        for (size_t i = 0; i < N_ACCESS_VERBS; i++)
                if (g_str_equal(verb_names[i], name)) {
                        *ret = (AccessVerb)i;
                        return true;
                }

        return false;
}

const char *access_verdict_name(AccessVerdict verdict) {
        switch (verdict) {
        case ACCESS_DENY:
                return "deny";
        case ACCESS_ASK:
                return "ask";
        case ACCESS_ALLOW:
                return "allow";
        }
        g_assert_not_reached();
}

static AccessVerdict decide_listen(const AccessQuestion *question, const char **ret_rule) {
        uint16_t port = question->address ? address_port(question->address) : 0;

        if (port != 0 && port < PRIVILEGED_PORTS) {
                *ret_rule = "shipped default: listening on a port below 1024 is asked about";
                return ACCESS_ASK;
        }

        *ret_rule = "shipped default: any local user may listen on a port of 1024 or above";
        return ACCESS_ALLOW;
}

AccessVerdict access_decide(const AccessQuestion *question, const char **ret_rule) {
        if (question->uid == 0) {
                *ret_rule = "shipped default: root may do everything";
                return ACCESS_ALLOW;
        }

        switch (question->verb) {
        case ACCESS_CONNECT:
                *ret_rule = "shipped default: any local user may connect";
                return ACCESS_ALLOW;
        case ACCESS_LISTEN:
                return decide_listen(question, ret_rule);
        case ACCESS_INSPECT: /* by reading properties: can be allowed or denied, not asked about */
                *ret_rule = "shipped default: only root sees other users' connections";
                return ACCESS_DENY;
        case ACCESS_PERSISTENT:
                *ret_rule = "shipped default: any local user may have persistent connections";
                return ACCESS_ALLOW;
        case ACCESS_VERIFY_NONE:
                *ret_rule = "shipped default: any local user may leave a peer unverified";
                return ACCESS_ALLOW;
        case ACCESS_LEGACY_PROTOCOL:
                *ret_rule = "shipped default: DTLS 1.0 and old cipher suites are asked about";
                return ACCESS_ASK;
        case ACCESS_RELOAD:
                *ret_rule = "shipped default: reloading is asked about";
                return ACCESS_ASK;
        case N_ACCESS_VERBS:
                break;
        }
        g_assert_not_reached();
}
