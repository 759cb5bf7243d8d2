/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ticket: how a client's session leaves the service and comes back. Its owner keeps it sealed, so
 * that nobody learns its keys; only the same user gets it opened again, and only for a connection
 * that trusts, names, speaks and is the same as the one it came from.
 *
 * Knows: what a ticket is bound to. Does not know: what GnuTLS makes of it.
 */

#include "base/fault.h"
#include "relay/private.h"

#include <string.h>

#define BINDING_SIZE 32 /* bytes, before the session's own */

/* With its NUL, so that no two lists of texts look the same. */
static void ticket_add_text(GChecksum *checksum, const char *text) {
        g_checksum_update(checksum, (const guchar *)text, (gssize)strlen(text) + 1);
}

static void ticket_add_trust(GChecksum *checksum, const Spec *spec) {
        const char *const *fingerprints = spec->trust ? trust_fingerprints(spec->trust) : NULL;

        ticket_add_text(checksum, spec->trust          ? "these"
                                  : spec->trust_name   ? "set"
                                  : spec->trust_system ? "system"
                                                       : "nobody");
        ticket_add_text(checksum, spec->trust_name ? spec->trust_name : "");
        for (size_t i = 0; fingerprints && fingerprints[i]; i++)
                ticket_add_text(checksum, fingerprints[i]);
        ticket_add_text(checksum, "");
}

static void ticket_add_ciphers(GChecksum *checksum, const Spec *spec) {
        ticket_add_text(checksum, dtls_protocol_name(spec->protocol));
        ticket_add_text(checksum, cipher_profile_name(spec->profile));
        for (guint i = 0; spec->ciphers && i < spec->ciphers->len; i++)
                ticket_add_text(checksum, g_ptr_array_index(spec->ciphers, i));
        ticket_add_text(checksum, "");
}

static void ticket_add_chain(GChecksum *checksum, const Chain *chain) {
        for (size_t i = 0; chain && i < chain_count(chain); i++) {
                g_autofree char *fingerprint =
                        g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, chain_der(chain, i));

                ticket_add_text(checksum, fingerprint);
        }
}

static void ticket_bind(const Spec *spec, uint8_t ret[static BINDING_SIZE]) {
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        char literal[ADDRESS_STRING_MAX];
        gsize size = BINDING_SIZE;

        ticket_add_text(checksum, spec_peer_name(spec, literal));
        ticket_add_text(checksum, peer_verify_mode_name(spec->verify_mode));
        g_checksum_update(checksum, (const guchar *)&spec->verify_depth,
                          sizeof(spec->verify_depth));
        ticket_add_trust(checksum, spec);
        ticket_add_ciphers(checksum, spec);
        ticket_add_chain(checksum, spec->chain);
        g_checksum_get_digest(checksum, ret, &size);
}

int ticket_seal(const Relay *relay, const Spec *spec, const Secret *session, GBytes **ret) {
        g_autoptr(Secret) bound = secret_new_zero(BINDING_SIZE + secret_size(session));

        ticket_bind(spec, secret_data(bound));
        memcpy(secret_data(bound) + BINDING_SIZE, secret_peek(session), secret_size(session));
        return seal_close(relay->seal, &spec->uid, sizeof(spec->uid), bound, ret);
}

static int ticket_unseal(const Relay *relay, const Spec *spec, Secret **ret, Reason *reason) {
        g_autoptr(Secret) bound = NULL;
        int r;

        r = seal_open(relay->seal, &spec->uid, sizeof(spec->uid), spec->ticket, &bound);
        if (r || secret_size(bound) < BINDING_SIZE)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "SessionTicket is no ticket of this user's, was altered, or the "
                                  "service was started anew since; connect without it");

        *ret = g_steal_pointer(&bound);
        return 0;
}

static bool ticket_is_given(const Spec *spec) {
        return spec->role == DTLS_CLIENT && spec->ticket;
}

int ticket_check(const Relay *relay, const Spec *spec, Reason *reason) {
        g_autoptr(Secret) bound = NULL;

        return ticket_is_given(spec) ? ticket_unseal(relay, spec, &bound, reason) : 0;
}

int ticket_open(const Relay *relay, const Spec *spec, Secret **ret, Reason *reason) {
        g_autoptr(Secret) bound = NULL;
        uint8_t binding[BINDING_SIZE];
        int r;

        if (!ticket_is_given(spec))
                return 0;

        r = ticket_unseal(relay, spec, &bound, reason);
        if (r)
                return r;

        ticket_bind(spec, binding);
        if (memcmp(secret_peek(bound), binding, BINDING_SIZE) != 0)
                return reason_set(reason, RELAY_E_TLS_INITIALIZATION,
                                  "SessionTicket is of a connection with another verification "
                                  "name, trust, PeerVerifyMode, PeerVerifyDepth, Protocol, ciphers "
                                  "or own certificate; connect without it");

        *ret = secret_new(secret_peek(bound) + BINDING_SIZE, secret_size(bound) - BINDING_SIZE);
        return 0;
}
