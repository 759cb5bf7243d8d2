/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Access, see access.h: the first rule that matches decides. */

#include "access/private.h"

static const char *const access_verbs[N_ACCESS_VERBS] = {
        [ACCESS_CONNECT] = "connect",
        [ACCESS_LISTEN] = "listen",
        [ACCESS_USE] = "use",
        [ACCESS_INSPECT] = "inspect",
        [ACCESS_PERSISTENT] = "persistent",
        [ACCESS_EXTERNAL] = "external",
        [ACCESS_SHARE] = "share",
        [ACCESS_VERIFY_NONE] = "verify-none",
        [ACCESS_TRUST_FIRST_USE] = "trust-first-use",
        [ACCESS_REST_PSK] = "rest-psk",
        [ACCESS_LEGACY_PROTOCOL] = "legacy-protocol",
        [ACCESS_RAW_CIPHERS] = "raw-ciphers",
        [ACCESS_EXPORT_KEY] = "export-key",
        [ACCESS_KEY_LOG] = "key-log",
        [ACCESS_MANAGE_STORE] = "manage-store",
        [ACCESS_RELOAD] = "reload",
};

static const char *const access_verdicts[] = {
        [ACCESS_DENY] = "deny",
        [ACCESS_ASK] = "ask",
        [ACCESS_ALLOW] = "allow",
};

const char *access_verb_name(AccessVerb verb) {
        g_assert(verb < N_ACCESS_VERBS);

        return access_verbs[verb];
}

bool access_verb_from_name(const char *name, AccessVerb *ret) {
        for (AccessVerb verb = 0; verb < N_ACCESS_VERBS; verb++) {
                if (g_str_equal(access_verbs[verb], name)) {
                        *ret = verb;
                        return true;
                }
        }

        return false;
}

const char *access_verdict_name(AccessVerdict verdict) {
        g_assert(verdict < G_N_ELEMENTS(access_verdicts));

        return access_verdicts[verdict];
}

/* ---- whom a rule is about ---- */

static bool subject_has_group(const AccessSubject *subject, gid_t gid) {
        for (size_t i = 0; i < subject->n_gids; i++) {
                if (subject->gids[i] == gid)
                        return true;
        }

        return false;
}

static bool rule_is_about(const Rule *rule, const AccessSubject *subject) {
        for (guint i = 0; i < rule->subjects->len; i++) {
                const Subject *one = &g_array_index(rule->subjects, Subject, i);

                if (one->kind == SUBJECT_ANY ||
                    (one->kind == SUBJECT_UID && one->id == subject->uid) ||
                    (one->kind == SUBJECT_GID && subject_has_group(subject, one->id)))
                        return true;
        }

        return false;
}

/* ---- what it is about ---- */

static bool places_have(const GArray *places, const Address *address) {
        for (guint i = 0; places && i < places->len; i++) {
                if (place_has(&g_array_index(places, Place, i), address))
                        return true;
        }

        return false;
}

static bool places_meet(const GArray *places, const Address *address) {
        for (guint i = 0; places && i < places->len; i++) {
                if (place_meets(&g_array_index(places, Place, i), address))
                        return true;
        }

        return false;
}

static bool patterns_have(const GPtrArray *patterns, const char *entry) {
        for (guint i = 0; patterns && entry && i < patterns->len; i++) {
                if (g_pattern_spec_match_string(patterns->pdata[i], entry))
                        return true;
        }

        return false;
}

static bool rule_covers(const Rule *rule, const AccessQuestion *question) {
        switch (question->verb) {
        case ACCESS_CONNECT:
                return places_have(rule->connect, question->address);
        case ACCESS_LISTEN:
                return rule->verdict == ACCESS_ALLOW ? places_have(rule->listen, question->address)
                                                     : places_meet(rule->listen, question->address);
        case ACCESS_USE:
                return patterns_have(rule->use, question->entry);
        default:
                return (rule->may & (UINT32_C(1) << question->verb)) != 0;
        }
}

AccessAnswer access_decide(const Access *access, const AccessQuestion *question) {
        g_assert(question->verb < N_ACCESS_VERBS);

        if (question->subject.uid == 0 && question->verb != ACCESS_REST_PSK)
                return (AccessAnswer){.verdict = ACCESS_ALLOW, .rule = "root may do everything"};

        for (guint i = 0; i < access->rules->len; i++) {
                const Rule *rule = access->rules->pdata[i];

                if (rule_is_about(rule, &question->subject) && rule_covers(rule, question))
                        return (AccessAnswer){
                                .verdict = rule->verdict,
                                .rule = rule->name,
                                .file = rule->file,
                                .line = rule->line,
                        };
        }

        return (AccessAnswer){.verdict = ACCESS_DENY, .rule = "no rule allows it"};
}

bool access_limit(const Access *access, const AccessSubject *subject, QuotaKind kind,
                  uint64_t *ret) {
        for (guint i = 0; i < access->rules->len; i++) {
                const Rule *rule = access->rules->pdata[i];

                if ((rule->limited & (UINT32_C(1) << kind)) && rule_is_about(rule, subject)) {
                        *ret = rule->limits[kind];
                        return true;
                }
        }

        return false;
}

/* ---- the whole ---- */

static void rule_destroy(void *rule) {
        rule_free(rule);
}

Access *access_new(void) {
        Access *access = g_new0(Access, 1);

        access->rules = g_ptr_array_new_with_free_func(rule_destroy);
        return access;
}

Access *access_free(Access *access) {
        if (!access)
                return NULL;

        (void)g_ptr_array_unref(access->rules);
        g_free(access);
        return NULL;
}

void access_replace(Access *access, Access *other) {
        GPtrArray *rules = access->rules;

        access->rules = other->rules;
        other->rules = rules;
        access_free(other);
}
