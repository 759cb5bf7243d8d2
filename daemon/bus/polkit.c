/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * polkit: what the rules leave to it, asked for a call that waits as an errand. Its handler then
 * runs again and finds the answer here. What is remembered is the exact question (message, verb,
 * address, entry), no more. Where polkit is not there the answer is no.
 */

#include "access/access.h"
#include "base/fault.h"
#include "base/log.h"
#include "bus/private.h"

#include <string.h>

#define POLKIT "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define POLKIT_ACTION_PREFIX "io.github.dtlsd.dtlsd1."
#define POLKIT_ALLOW_INTERACTION 1u
#define POLKIT_ANSWER_USEC (120 * UINT64_C(1000000)) /* somebody may have to type a password */

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
                ask_log(asked->errand->bus, asked->errand->uid, LOG_WARNING, NULL, NULL, text);
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

static int polkit_send(Asked *asked) {
        sd_bus_message *question = NULL;
        Errand *errand = asked->errand;
        Bus *bus = errand->bus;
        int r;

        asked->number = ++bus->n_asked;
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
static bool polkit_gives_way(Bus *bus, uid_t uid) {
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

static int polkit_charge(Bus *bus, uid_t uid, sd_bus_error *error) {
        g_autofree char *text = NULL;
        int r;

        r = quota_charge(bus->quota, uid, QUOTA_CALLS, 1);
        if (r == QUOTA_E_TOTAL && polkit_gives_way(bus, uid))
                r = quota_charge(bus->quota, uid, QUOTA_CALLS, 1);
        if (r == 0)
                return 1;

        text = quota_refusal(bus->quota, uid, QUOTA_CALLS, (QuotaOutcome)r);
        return bus_refuse_text(error, BUS_E_QUOTA, "%s", text);
}

static int polkit_ask(Bus *bus, sd_bus_message *m, const AccessQuestion *question,
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
                r = polkit_charge(bus, errand->uid, error);
        if (r < 0)
                return r;

        asked = asked_of(errand);
        asked->open = (Verdict){.verb = question->verb};
        if (question->address)
                asked->open.about = *question->address;
        if (question->entry)
                g_strlcpy(asked->open.entry, question->entry, sizeof(asked->open.entry));

        r = polkit_send(asked);
        if (r < 0) {
                quota_discharge(bus->quota, errand->uid, QUOTA_CALLS, 1);
                return bus_refuse(error, r, NULL);
        }

        errand_wait(errand, /* hold= */ false);
        return 0;
}

int polkit_may(Bus *bus, sd_bus_message *m, const AccessQuestion *question,
               const char **ret_why_not, sd_bus_error *error) {
        const Errand *errand = errand_find(bus, m);
        const Verdict *verdict = asked_verdict(errand ? errand->asked : NULL, question);

        if (!verdict)
                return polkit_ask(bus, m, question, error);

        *ret_why_not = verdict->why_not;
        return 1;
}
