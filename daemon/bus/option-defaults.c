/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * option-defaults: what an object is like of which a call says nothing.
 */

#include "bus/private.h"

#define HANDSHAKE_DEADLINE_USEC (60 * UINT64_C(1000000))
#define CONNECT_DEADLINE_USEC (20 * UINT64_C(1000000)) /* callers give up after 25 s */

/* A default that is not said is not known before the call is. */
#define NOT_SAID 0

Spec *options_new_defaults(Bus *bus, sd_bus_message *m) {
        const Caller *caller = caller_of(bus, m);
        Spec *spec = spec_new(DTLS_CLIENT, caller->uid, caller->name);

        spec->handshake_deadline_usec = NOT_SAID;
        return spec;
}

static Spec *options_inherit(Bus *bus, sd_bus_message *m, DtlsRole role, uint64_t deadline_usec) {
        const Spec *said = caller_defaults(bus, m);
        g_autoptr(Spec) standard = options_new_defaults(bus, m);
        Spec *spec = spec_derive(said ? said : standard, role);

        if (spec->handshake_deadline_usec == NOT_SAID)
                spec->handshake_deadline_usec = deadline_usec;
        return spec;
}

Spec *options_shown_defaults(Bus *bus, sd_bus_message *m) {
        return options_inherit(bus, m, DTLS_SERVER, HANDSHAKE_DEADLINE_USEC);
}

Spec *options_new(Bus *bus, sd_bus_message *m, OptionsFor what, DtlsRole role) {
        bool connects = what == OPTIONS_FOR_CONNECT;
        Spec *spec = options_inherit(bus, m, role,
                                     connects ? CONNECT_DEADLINE_USEC : HANDSHAKE_DEADLINE_USEC);

        /* what these calls do not take */
        if (what != OPTIONS_FOR_CREATE)
                spec->manual = false;
        if (connects)
                spec->datagram_signals = false;
        return spec;
}

Spec *options_start_from(const Spec *old) {
        Spec *spec = spec_new(old->role, old->uid, old->owner);
        Spec *copy = spec_copy(old);

        spec->persistent = old->persistent;
        spec->peer = old->peer;
        spec->local = old->local;
        spec->mtu_hint = old->mtu_hint;
        spec->dont_fragment = old->dont_fragment;
        spec->external = old->external;
        spec->announce = old->announce;
        spec->channel = old->channel;
        spec->offer_psk = old->offer_psk;

        /* what is owned changes places; the defaults go with the copy */
        g_free(spec->verification_name);
        spec->verification_name = g_steal_pointer(&copy->verification_name);
        g_free(spec->cookie_hash);
        spec->cookie_hash = g_steal_pointer(&copy->cookie_hash);
        spec->cookie_secret = g_steal_pointer(&copy->cookie_secret);
        g_array_unref(spec->ignored);
        spec->ignored = g_steal_pointer(&copy->ignored);
        g_array_unref(spec->ignored_codes);
        spec->ignored_codes = g_steal_pointer(&copy->ignored_codes);

        (void)spec_free(copy);
        return spec;
}
