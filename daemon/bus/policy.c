/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy: the Manager's two methods about the rules: what they would say, and that they be read
 * again.
 */

#include "access/access.h"
#include "bus/private.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#define ACTION_PREFIX "io.github.dtlsd.dtlsd1."

typedef struct Details {
        AccessSubject subject;
        const char *address; /* NULL: all */
        uint16_t port;
        const char *entry; /* NULL: all */
        uint32_t uid;
        bool has_uid, has_port;
} Details;

static int read_uid(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Details *details = userdata;

        details->has_uid = true;
        return dict_read_basic(m, key, userdata, error);
}

static int read_port(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Details *details = userdata;

        details->has_port = true;
        return dict_read_basic(m, key, userdata, error);
}

static int read_gids(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Details *details = userdata;
        const void *gids;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'u', &gids, &size);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        details->subject.gids = gids; /* of the message, which stays */
        details->subject.n_gids = size / sizeof(gid_t);
        if (details->subject.n_gids > key->maximum)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option '%s' has %zu elements, more groups than anybody is "
                                       "in: %" G_GUINT64_FORMAT,
                                       key->name, details->subject.n_gids, key->maximum);

        return 1;
}

#define FIELD(name) offsetof(Details, name)

static const DictKey details_keys[] = {
        {"Address", "s", 1, dict_read_basic, FIELD(address), 0, 0},
        {"Entry", "s", 1, dict_read_basic, FIELD(entry), 0, 0},
        {"Gids", "au", 1, read_gids, 0, 0, NGROUPS_MAX},
        {"Port", "q", 1, read_port, FIELD(port), 0, 0},
        {"Uid", "u", 1, read_uid, FIELD(uid), 0, 0},
};
static const Dict details_dict = {details_keys, G_N_ELEMENTS(details_keys), 1, "CheckAccess"};

/* Who is meant: the caller, or for root anybody. */
static int details_complete(Details *details, const Caller *caller, sd_bus_error *error) {
        bool names_somebody = details->has_uid || details->subject.gids;

        if (!names_somebody) {
                details->subject = caller_subject(caller);
                return 1;
        }

        if (caller->uid != 0)
                return bus_refuse_text(error, BUS_E_NOT_AUTHORIZED,
                                       "Uid and Gids are for root to name; without them the "
                                       "answer is about you");

        if (!details->has_uid)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Gids are of a Uid; give both, or none of them");

        details->subject.uid = details->uid;
        return 1;
}

static int check_read_verb(sd_bus_message *m, AccessVerb *ret, sd_bus_error *error) {
        g_autofree char *quoted = NULL;
        const char *action;
        int r;

        r = sd_bus_message_read_basic(m, 's', &action);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        if (g_str_has_prefix(action, ACTION_PREFIX))
                action += strlen(ACTION_PREFIX);
        if (access_verb_from_name(action, ret))
                return 1;

        quoted = text_quote(action);
        return bus_refuse_text(
                error, BUS_E_INVALID_PARAMETERS,
                "There is no action '%s'; the verbs of dtlsd-policy.d(5) are actions", quoted);
}

/* What would change nothing would leave who asks in the belief that it did. */
static int check_details(const Details *details, AccessVerb verb, sd_bus_error *error) {
        if (details->address && verb != ACCESS_CONNECT && verb != ACCESS_LISTEN)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Address is of connect and listen; nobody may %s here or "
                                       "there",
                                       access_verb_name(verb));
        if (details->has_port && !details->address)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Port is of an Address; give both, or none of them");
        if (details->entry && verb != ACCESS_USE && verb != ACCESS_MANAGE_STORE)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Entry is of use and manage-store; %s is about none",
                                       access_verb_name(verb));

        return 1;
}

static int check_read_address(const Details *details, AccessVerb verb, Address *ret,
                              sd_bus_error *error) {
        if (!details->address)
                return 1;

        return verb == ACCESS_CONNECT
                       ? options_read_peer(details->address, details->port, ret, error)
                       : options_read_local(details->address, details->port, ret, error);
}

int method_check_access(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        const Caller *caller = caller_of(bus, m);
        g_autofree char *rule = NULL;
        Details details = {0};
        AccessQuestion question = {0};
        AccessAnswer answer;
        Address address = {0};
        int r;

        r = check_read_verb(m, &question.verb, error);
        if (r >= 0)
                r = dict_read(m, &details_dict, &details, error);
        if (r >= 0)
                r = details_complete(&details, caller, error);
        if (r >= 0)
                r = check_details(&details, question.verb, error);
        if (r >= 0)
                r = check_read_address(&details, question.verb, &address, error);
        if (r < 0)
                return r;

        question.subject = details.subject;
        question.address = &address;
        question.entry = details.entry;
        answer = access_decide(bus->access, &question);

        rule = answer.file && caller->uid == 0
                       ? g_strdup_printf("%s:%u: %s", answer.file, answer.line, answer.rule)
                       : g_strdup(answer.rule);
        return sd_bus_reply_method_return(m, "ss", access_verdict_name(answer.verdict), rule);
}

int method_reload(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        g_autofree char *text = NULL;
        int r;

        r = bus_ask(bus, m, ACCESS_RELOAD, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = bus->host.reload(bus->host.userdata, &text);
        if (r)
                return bus_refuse_text(error, BUS_E_FAILED, "%s; everything is as it was", text);

        return sd_bus_reply_method_return(m, NULL);
}
