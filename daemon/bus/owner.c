/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* owner: whose an object is, and who else may see it or call it. */

#include "access/access.h"
#include "bus/private.h"

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
