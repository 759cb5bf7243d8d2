/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pins: which keys a client's peer may have, because its user or the administrator said so, or
 * because it had it at the first time.
 *
 * Knows: whom a client expects, what the keyring keeps. Does not know: how a peer is judged.
 */

#include "base/host.h"
#include "relay/private.h"

/* NULL: nothing can be pinned for it. */
static char *pins_host(const Spec *spec) {
        char literal[ADDRESS_STRING_MAX];

        return host_normal(spec_peer_name(spec, literal));
}

GPtrArray *pins_for(const Relay *relay, const Spec *spec) {
        g_autofree char *host = spec->role == DTLS_CLIENT ? pins_host(spec) : NULL;

        return host ? keys_pins(relay->keys, spec->uid, host, address_port(&spec->peer)) : NULL;
}

uint64_t pins_first_use(Relay *relay, const Spec *spec, GBytes *leaf, KeysDone answer,
                        void *userdata, const char **ret_why) {
        g_autoptr(GBytes) key = verdict_pin(leaf);
        g_autofree char *host = pins_host(spec);
        const KeysPin pin = {
                .uid = spec->uid,
                .host = host,
                .port = address_port(&spec->peer),
                .key = key,
        };

        if (!host || !key) {
                *ret_why = host ? "it cannot be read" : "VerificationName is no host's name";
                return 0;
        }

        return keys_pin(relay->keys, &pin, /* first= */ true, answer, userdata);
}
