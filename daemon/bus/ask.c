/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ask: whether a caller may. The rules decide; where they say "ask", polkit does, and where polkit
 * is not there the answer is no.
 *
 * A call that polkit is asked about waits as an errand; its handler then runs again and finds the
 * answer here. What is remembered is the exact question (message, verb, address), no more.
 */

#include "access/access.h"
#include "base/brake.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"
#include "bus/private.h"

#include <errno.h>
#include <string.h>

#define POLKIT "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define POLKIT_ACTION_PREFIX "io.github.dtlsd.dtlsd1."
#define POLKIT_ALLOW_INTERACTION 1u
#define MSG_ACCESS_REFUSED "4c1e7fd02b8a49c5b3d65a90e7124f88" /* of the journal's catalog */
#define POLKIT_ANSWER_USEC (120 * UINT64_C(1000000)) /* somebody may have to type a password */

struct Asks {
        Bus *bus;
        uint64_t n_asked;
        GHashTable *brakes; /* of refusals in the journal, by uid */
};

typedef struct Verdict {
        AccessVerb verb;
        Address about;       /* not set: about no address */
        char entry[128];     /* "": about no entry of the store */
        const char *why_not; /* NULL: it is allowed */
} Verdict;

struct Asked {
        Errand *errand;
        GArray *verdicts;
        sd_bus_slot *question; /* NULL: none is open */
        Verdict open;
        uint64_t number; /* of questions, ever */
        char cancellation[32];
};

/* ---- objects ---- */

bool bus_may_see_uid(Bus *bus, const Caller *caller, uid_t owner) {
        AccessQuestion question;

        if (!caller)
                return false;
        if (caller->uid == owner || caller->uid == 0)
                return true;

        question = (AccessQuestion){.subject = caller_subject(caller), .verb = ACCESS_INSPECT};
        /* reading a property cannot wait for polkit, so only a plain yes is one */
        return access_decide(bus->access, &question).verdict == ACCESS_ALLOW;
}

unsigned caller_rights(const Caller *caller, const GArray *shares) {
        AccessSubject subject;

        if (!caller || !shares)
                return 0;

        subject = caller_subject(caller);
        return shares_rights(shares, &subject);
}

bool bus_may_see(Bus *bus, const Caller *caller, const Spec *spec) {
        return caller_rights(caller, spec->shares) || bus_may_see_uid(bus, caller, spec->uid);
}

bool caller_owns(const Caller *caller, const Spec *spec) {
        /* a name alone proves nothing: a restarted bus hands the same ones out again */
        return caller && caller->uid == spec->uid &&
               (spec->persistent || g_strcmp0(caller->name, spec->owner) == 0);
}

int bus_may(Bus *bus, const Caller *caller, const Spec *spec, unsigned rights,
            sd_bus_error *error) {
        sd_bus_message *m = sd_bus_get_current_message(bus->bus);
        const char *names[5];

        if (caller_owns(caller, spec) || (caller_rights(caller, spec->shares) & rights))
                return 1;
        if (!bus_may_see(bus, caller, spec))
                return bus_refuse_unknown(error, m ? sd_bus_message_get_path(m) : NULL);

        if (spec_is_disowned(spec))
                return bus_refuse_text(error, BUS_E_NOT_AUTHORIZED,
                                       "The bus was lost, and with it the name that the object "
                                       "belonged to; it lives until its program closes its "
                                       "channel, or user %u calls Close",
                                       spec->uid);

        share_right_names(rights, names);
        if (rights) {
                g_autofree char *wanted = g_strjoinv("' or '", (char **)names);

                return bus_refuse_text(error, BUS_E_NOT_AUTHORIZED,
                                       "The object belongs to user %u (%s), who has not shared it "
                                       "with you for this; the right is '%s'",
                                       spec->uid, spec->persistent ? "any name" : spec->owner,
                                       wanted);
        }
        if (spec->persistent)
                return bus_refuse_text(error, BUS_E_NOT_AUTHORIZED,
                                       "The object belongs to user %u, and only that user may",
                                       spec->uid);
        return bus_refuse_text(error, BUS_E_NOT_AUTHORIZED,
                               "The object belongs to the bus name %s, and only that may; an "
                               "object made with Persistent belongs to its user instead",
                               spec->owner);
}

int bus_may_call(sd_bus_message *m, const Spec *spec, sd_bus_error *error) {
        Bus *bus = message_bus(m);

        return bus_may(bus, caller_of(bus, m), spec, 0, error);
}

int bus_may_close(sd_bus_message *m, const Spec *spec, sd_bus_error *error) {
        const Caller *caller = caller_of(message_bus(m), m);

        if (spec_is_disowned(spec) && caller && (caller->uid == spec->uid || caller->uid == 0))
                return 1;

        return bus_may_call(m, spec, error);
}

/* A line about what this user has caused, and may cause as often as it likes. */
static void asks_log(Bus *bus, uid_t uid, int level, const char *message_id,
                     const char *const *fields, const char *text) {
        uint64_t now_usec = (uint64_t)g_get_monotonic_time();

        brake_write(brakes_of(bus->asks->brakes, uid), now_usec, level, message_id, fields, text);
}

/* ---- polkit ---- */

static bool is_interactive(sd_bus_message *m) {
        return sd_bus_message_get_allow_interactive_authorization(m) > 0;
}

static bool verdict_is_about(const Verdict *verdict, const AccessQuestion *question) {
        const Address *about = question->address;
        bool has_about = about && address_is_set(about);

        if (verdict->verb != question->verb || address_is_set(&verdict->about) != has_about ||
            strcmp(verdict->entry, question->entry ? question->entry : "") != 0)
                return false;

        return !has_about || address_equal(&verdict->about, about);
}

static const Verdict *asked_verdict(const Asked *asked, const AccessQuestion *question) {
        if (!asked)
                return NULL;

        for (guint i = 0; i < asked->verdicts->len; i++) {
                const Verdict *verdict = &g_array_index(asked->verdicts, Verdict, i);

                if (verdict_is_about(verdict, question))
                        return verdict;
        }

        return NULL;
}

static Asked *asked_of(Errand *errand) {
        if (!errand->asked) {
                errand->asked = g_new0(Asked, 1);
                errand->asked->errand = errand;
                errand->asked->verdicts = g_array_new(FALSE, FALSE, sizeof(Verdict));
        }

        return errand->asked;
}

uint64_t asked_number(const Asked *asked) {
        return asked && asked->question ? asked->number : 0;
}

static void asked_close(Asked *asked) {
        Errand *errand = asked->errand;

        if (!asked->question)
                return;

        asked->question = sd_bus_slot_unref(asked->question);
        quota_discharge(errand->bus->quota, errand->uid, QUOTA_CALLS, 1);
}

Asked *asked_free(Asked *asked) {
        if (!asked)
                return NULL;

        /* the dialog that somebody may see is about nothing any more */
        if (asked->question)
                (void)sd_bus_call_method_async(asked->errand->bus->bus, NULL, POLKIT, POLKIT_PATH,
                                               POLKIT_INTERFACE, "CancelCheckAuthorization", NULL,
                                               NULL, "s", asked->cancellation);
        asked_close(asked);
        (void)g_array_unref(asked->verdicts);
        g_free(asked);
        return NULL;
}

static bool polkit_is_away(const sd_bus_error *error) {
        return sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
               sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

/* Why not; NULL: it may. */
static const char *polkit_refusal(sd_bus_message *reply, bool interactive) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        int is_authorized, is_challenge;

        if (polkit_is_away(error))
                return "polkit is not there, and without it the answer is no";
        if (error)
                return "polkit did not answer, so the answer is no";

        /* then come details, of any number */
        if (sd_bus_message_enter_container(reply, 'r', "bba{ss}") <= 0 ||
            sd_bus_message_read(reply, "bb", &is_authorized, &is_challenge) <= 0)
                return "polkit's answer cannot be read, so it is no";
        if (is_authorized)
                return NULL;
        if (!is_challenge)
                return "polkit says no";

        return interactive ? "polkit wants somebody to authenticate, and no agent is there to ask"
                           : "polkit wants somebody to authenticate; call with interactive "
                             "authorization allowed";
}

static int on_polkit(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Asked *asked = userdata;
        const sd_bus_error *failure = sd_bus_message_get_error(reply);
        g_autofree char *text = NULL;

        if (failure && !polkit_is_away(failure)) {
                text = g_strdup_printf("polkit does not answer: %s: %s", failure->name,
                                       failure->message);
                asks_log(asked->errand->bus, asked->errand->uid, LOG_WARNING, NULL, NULL, text);
        }

        asked->open.why_not = polkit_refusal(reply, is_interactive(asked->errand->m));
        g_array_append_val(asked->verdicts, asked->open);
        asked_close(asked);
        errand_ready(asked->errand);
        return 0;
}

static int polkit_question(Asked *asked, sd_bus_message **ret) {
        g_autofree char *action =
                g_strconcat(POLKIT_ACTION_PREFIX, access_verb_name(asked->open.verb), NULL);
        char about[ADDRESS_STRING_MAX] = "";
        Errand *errand = asked->errand;
        sd_bus_message *m = NULL;
        uint32_t flags = is_interactive(errand->m) ? POLKIT_ALLOW_INTERACTION : 0;
        int r;

        if (address_is_set(&asked->open.about))
                (void)address_format_port(&asked->open.about, about);

        r = sd_bus_message_new_method_call(errand->bus->bus, &m, POLKIT, POLKIT_PATH,
                                           POLKIT_INTERFACE, "CheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sa{sv})s", "system-bus-name", 1, "name", "s",
                                          sd_bus_message_get_sender(errand->m), action);
        if (r >= 0 && about[0] != '\0')
                r = sd_bus_message_append(m, "a{ss}", 1, "address", about);
        else if (r >= 0 && asked->open.entry[0] != '\0')
                r = sd_bus_message_append(m, "a{ss}", 1, "entry", asked->open.entry);
        else if (r >= 0)
                r = sd_bus_message_append(m, "a{ss}", 0);
        if (r >= 0)
                r = sd_bus_message_append(m, "us", flags, asked->cancellation);
        if (r < 0) {
                (void)sd_bus_message_unref(m);
                return fault(r);
        }

        *ret = m;
        return 0;
}

static int polkit_ask(Asked *asked) {
        sd_bus_message *question = NULL;
        Errand *errand = asked->errand;
        Bus *bus = errand->bus;
        int r;

        asked->number = ++bus->asks->n_asked;
        g_snprintf(asked->cancellation, sizeof(asked->cancellation), "dtlsd-%" G_GUINT64_FORMAT,
                   asked->number);

        r = polkit_question(asked, &question);
        if (r < 0)
                return r;

        r = sd_bus_call_async(bus->bus, &asked->question, question, on_polkit, asked,
                              POLKIT_ANSWER_USEC);
        (void)sd_bus_message_unref(question);
        if (r < 0)
                return fault(r);

        return 0;
}

/* Whoever has most questions open takes the last one back, when another has less even with one
 * more: some users cannot take all there is. */
static bool asks_give_way(Bus *bus, uid_t uid) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        Errand *errand = errands_last_asked(bus);
        uid_t most;

        if (!errand || errands_asked(bus, errand->uid) <= errands_asked(bus, uid) + 1)
                return false;

        most = errand->uid;

        (void)bus_refuse_text(&error, BUS_E_QUOTA,
                              "The service has %" G_GUINT64_FORMAT
                              " calls that wait for an authorization or for the store, all it "
                              "may; of the first user %u has most, and so gave way to another",
                              quota_used_total(bus->quota, QUOTA_CALLS), most);
        errand_refuse(errand, &error);
        sd_bus_error_free(&error);
        return true;
}

static int ask_charge(Bus *bus, uid_t uid, sd_bus_error *error) {
        g_autofree char *text = NULL;
        int r;

        r = quota_charge(bus->quota, uid, QUOTA_CALLS, 1);
        if (r == QUOTA_E_TOTAL && asks_give_way(bus, uid))
                r = quota_charge(bus->quota, uid, QUOTA_CALLS, 1);
        if (r == 0)
                return 1;

        text = quota_refusal(bus->quota, uid, QUOTA_CALLS, (QuotaOutcome)r);
        return bus_refuse_text(error, BUS_E_QUOTA, "%s", text);
}

static int ask_polkit(Bus *bus, sd_bus_message *m, const AccessQuestion *question,
                      sd_bus_error *error) {
        Errand *errand;
        Asked *asked;
        int r;

        /* cut off it would never be found again, and polkit be asked without end */
        if (question->entry && strlen(question->entry) >= sizeof(asked->open.entry))
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "No entry of the store has a name of %zu bytes",
                                       strlen(question->entry));

        r = errand_of(bus, m, &errand, error);
        if (r >= 0)
                r = ask_charge(bus, errand->uid, error);
        if (r < 0)
                return r;

        asked = asked_of(errand);
        asked->open = (Verdict){.verb = question->verb};
        if (question->address)
                asked->open.about = *question->address;
        if (question->entry)
                g_strlcpy(asked->open.entry, question->entry, sizeof(asked->open.entry));

        r = polkit_ask(asked);
        if (r < 0) {
                quota_discharge(bus->quota, errand->uid, QUOTA_CALLS, 1);
                return bus_refuse(error, r, NULL);
        }

        errand_wait(errand, /* hold= */ false);
        return 0;
}

/* ---- verbs ---- */

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

        asks_log(bus, question->subject.uid, LOG_NOTICE, MSG_ACCESS_REFUSED,
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
        const Errand *errand = errand_find(bus, m);
        const Verdict *verdict = asked_verdict(errand ? errand->asked : NULL, question);

        if (!verdict)
                return ask_polkit(bus, m, question, error);

        return verdict->why_not ? ask_denied(bus, question, verdict->why_not, answer, error) : 1;
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

int asks_new(Bus *bus, Asks **ret) {
        *ret = g_new0(Asks, 1);
        (*ret)->bus = bus;
        (*ret)->brakes = brakes_new();
        return 0;
}

Asks *asks_free(Asks *asks) {
        if (!asks)
                return NULL;

        g_hash_table_unref(asks->brakes);
        g_free(asks);
        return NULL;
}
