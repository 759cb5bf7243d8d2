/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ask: whether a caller may. The rules decide, and where they say "ask", polkit does.
 */

#include "access/access.h"
#include "base/brake.h"
#include "base/log.h"
#include "bus/private.h"

#define MSG_ACCESS_REFUSED "4c1e7fd02b8a49c5b3d65a90e7124f88" /* of the journal's catalog */

void ask_log(Bus *bus, uid_t uid, int level, const char *message_id, const char *const *fields,
             const char *text) {
        uint64_t now_usec = (uint64_t)g_get_monotonic_time();

        brake_write(brakes_of(bus->brakes, uid), now_usec, level, message_id, fields, text);
}

static void add_field(GPtrArray *fields, const char *name, const char *value) {
        if (value)
                g_ptr_array_add(fields, g_strconcat(name, "=", value, NULL));
}

static void log_denied(Bus *bus, const AccessQuestion *question, const char *why,
                       const AccessAnswer *answer) {
        g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);
        const char *verb = access_verb_name(question->verb);
        g_autofree char *uid = g_strdup_printf("%u", question->subject.uid);
        g_autofree char *line = g_strdup_printf("%u", answer->line);
        g_autofree char *where = answer->file
                                         ? g_strdup_printf(" of %s:%u", answer->file, answer->line)
                                         : g_strdup("");
        g_autofree char *text = g_strdup_printf("User %s may not %s: %s (rule '%s'%s)", uid, verb,
                                                why, answer->rule, where);
        char address[ADDRESS_STRING_MAX] = "";

        if (question->address && address_is_set(question->address))
                (void)address_format_port(question->address, address);

        add_field(fields, "DTLSD_UID", uid);
        add_field(fields, "DTLSD_VERB", verb);
        add_field(fields, "DTLSD_RULE", answer->rule);
        add_field(fields, "DTLSD_FILE", answer->file);
        add_field(fields, "DTLSD_LINE", answer->file ? line : NULL);
        add_field(fields, "DTLSD_ADDRESS", *address ? address : NULL);
        add_field(fields, "DTLSD_ENTRY", question->entry);
        g_ptr_array_add(fields, NULL);

        ask_log(bus, question->subject.uid, LOG_NOTICE, MSG_ACCESS_REFUSED,
                (const char *const *)fields->pdata, text);
}

/* To the caller the rule by its name; where it stands is the administrator's to know. */
static int ask_denied(Bus *bus, const AccessQuestion *question, const char *why,
                      const AccessAnswer *answer, sd_bus_error *error) {
        log_denied(bus, question, why, answer);
        return bus_refuse_text(error, BUS_E_NOT_AUTHORIZED,
                               "User %u may not %s here: %s (rule '%s'); the journal of dtlsd says "
                               "where the rule stands",
                               question->subject.uid, access_verb_name(question->verb), why,
                               answer->rule);
}

/* Policy leaves it to polkit, which has said so already, or is asked. */
static int ask_further(Bus *bus, sd_bus_message *m, const AccessQuestion *question,
                       const AccessAnswer *answer, sd_bus_error *error) {
        const char *why_not;
        int r;

        r = polkit_may(bus, m, question, &why_not, error);
        if (r <= 0)
                return r;

        return why_not ? ask_denied(bus, question, why_not, answer, error) : 1;
}

static int ask(Bus *bus, sd_bus_message *m, AccessQuestion question, sd_bus_error *error) {
        const Caller *caller = caller_of(bus, m);
        AccessAnswer answer;

        if (!caller)
                return bus_refuse_text(error, BUS_E_NOT_AUTHORIZED,
                                       "The call does not say whose it is");

        question.subject = caller_subject(caller);
        answer = access_decide(bus->access, &question);
        switch (answer.verdict) {
        case ACCESS_ALLOW:
                return 1;
        case ACCESS_ASK:
                return ask_further(bus, m, &question, &answer, error);
        case ACCESS_DENY:
                break;
        }

        return ask_denied(bus, &question, "policy says no", &answer, error);
}

int bus_ask(Bus *bus, sd_bus_message *m, AccessVerb verb, const Address *about,
            sd_bus_error *error) {
        return ask(bus, m, (AccessQuestion){.verb = verb, .address = about}, error);
}

int bus_check_port(Bus *bus, sd_bus_message *m, const Address *bound, sd_bus_error *error) {
        AccessQuestion question = {.verb = ACCESS_LISTEN, .address = bound};
        AccessAnswer answer;

        question.subject = caller_subject(caller_of(bus, m));
        answer = access_decide(bus->access, &question);
        if (answer.verdict == ACCESS_ALLOW)
                return 1;

        return ask_denied(bus, &question, "the port that the kernel picked is kept; name another",
                          &answer, error);
}

int bus_ask_entry(Bus *bus, sd_bus_message *m, AccessVerb verb, const char *entry,
                  sd_bus_error *error) {
        return ask(bus, m, (AccessQuestion){.verb = verb, .entry = entry}, error);
}
