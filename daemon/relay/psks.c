/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Psks: which pre-shared key of the store a handshake is made with. It is looked for when it is
 * needed, among what the store has and the rules say at that time: what was replaced, removed or
 * forbidden since counts at once, and for nothing that is open already.
 *
 * Knows: names, rules. Does not know: the keys.
 */

#include "base/entry.h"
#include "relay/private.h"

/* ---- whether it may be used ---- */

static AccessAnswer psks_decide(const Relay *relay, const Spec *spec, const char *name) {
        g_autofree char *entry = g_strconcat("psk:", name, NULL);
        const AccessQuestion question = {
                .subject = spec_subject(spec),
                .verb = ACCESS_USE,
                .entry = entry,
        };

        return relay->access ? access_decide(relay->access, &question)
                             : (AccessAnswer){.verdict = ACCESS_DENY};
}

/* The administrator's @name, which @pattern names. Polkit cannot be asked in the middle of a
 * handshake: where a rule says so, it was asked about the pattern that came under the same rule. */
static bool psks_may_use(const Relay *relay, const Spec *spec, const char *pattern,
                         const char *name) {
        AccessAnswer answer = psks_decide(relay, spec, name);

        switch (answer.verdict) {
        case ACCESS_ALLOW:
                return true;
        case ACCESS_ASK:
                return psks_decide(relay, spec, pattern).rule == answer.rule;
        case ACCESS_DENY:
                break;
        }

        return false;
}

static bool psks_have(const Relay *relay, const Spec *spec, const char *name) {
        bool is_own = g_str_has_prefix(name, "u/");

        if (is_own && entry_name_uid(name) != spec->uid)
                return false;

        for (char **pattern = spec->psks->patterns; *pattern; pattern++)
                if (g_pattern_match_simple(*pattern, name) &&
                    (is_own || psks_may_use(relay, spec, *pattern, name)))
                        return true;

        return false;
}

/* ---- looking ---- */

typedef struct Search {
        const Relay *relay;
        const Spec *spec;
        GBytes *identity; /* NULL: any */
        const KeysPsk *found;
        unsigned n;
} Search;

static gboolean search_look(void *name, void *value, void *userdata) {
        Search *search = userdata;
        const KeysPsk *psk = value;

        if (search->identity && !g_bytes_equal(search->identity, psk->identity))
                return FALSE;

        if (psks_have(search->relay, search->spec, psk->name) && search->n++ == 0)
                search->found = psk;
        return FALSE;
}

static Search search(const Relay *relay, const Spec *spec, GBytes *identity) {
        Search all = {.relay = relay, .spec = spec, .identity = identity};

        if (spec->psks)
                g_tree_foreach(keys_psks(relay->keys), search_look, &all);
        return all;
}

const KeysPsk *psks_find(const Relay *relay, const Spec *spec, GBytes *identity) {
        return search(relay, spec, identity).found;
}

int psks_find_only(const Relay *relay, const Spec *spec, const KeysPsk **ret, Reason *reason) {
        Search all = search(relay, spec, NULL);

        if (all.n != 1)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "Psks names %u pre-shared keys of the store that may be used; a "
                                  "client needs exactly one",
                                  all.n);

        *ret = all.found;
        return 0;
}

int psks_check(const Relay *relay, const Spec *spec, Reason *reason) {
        const KeysPsk *psk;

        return spec->role == DTLS_CLIENT && spec->psks ? psks_find_only(relay, spec, &psk, reason)
                                                       : 0;
}
