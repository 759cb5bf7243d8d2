/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trusts: whom a configuration trusts that names it: the system, or a set of the store. Each is
 * made at its first use and kept until it is another; a configuration has what is there when it is
 * made, so a change is for the handshakes that begin later. A set that is gone trusts nobody.
 *
 * Knows: names of sets, what the keyring says is in them. Does not know: who is judged by them.
 */

#include "base/fault.h"
#include "base/log.h"
#include "relay/private.h"

/* ---- the system's ---- */

static void relay_read_system_trust(Relay *relay) {
        Trust *trust = NULL;
        int r;

        relay->system_trust_read = true;

        r = trust_new_system(&trust);
        if (r < 0) {
                (void)fault(r);
                log_warning("Cannot read the system's trusted certificates; going on with those "
                            "from before, if any");
                return;
        }
        if (r > 0) {
                log_warning("%s; peers are trusted by CaCertificates alone",
                            trust_outcome_text((TrustOutcome)r));
                return;
        }

        g_clear_pointer(&relay->system_trust, trust_unref);
        relay->system_trust = trust;
}

static Trust *trusts_system(Relay *relay) {
        if (!relay->system_trust_read)
                relay_read_system_trust(relay);

        return relay->system_trust;
}

void trusts_reload_system(Relay *relay) {
        if (relay->system_trust_read) /* else its first use reads it */
                relay_read_system_trust(relay);
}

/* ---- the store's ---- */

static Trust *trusts_named(Relay *relay, const char *name) {
        Trust *trust = g_hash_table_lookup(relay->trusts, name);
        const KeysTrust *kept = keys_trust(relay->keys, name);

        if (trust || !kept)
                return trust;

        trust = trust_new_kept(kept->anchors);
        if (!trust)
                return NULL;

        (void)g_hash_table_insert(relay->trusts, g_strdup(name), trust);
        return trust;
}

static bool trust_has_changed(const Spec *spec, const void *name) {
        return spec->trust_name && (!name || g_str_equal(spec->trust_name, name));
}

static void on_trusts_changed(const char *name, void *userdata) {
        Relay *relay = userdata;

        if (name)
                (void)g_hash_table_remove(relay->trusts, name);
        else
                g_hash_table_remove_all(relay->trusts);

        kept_follow(relay);
        refresh_listeners(relay, trust_has_changed, name);
}

/* ---- both ---- */

static void trust_free(void *trust) {
        trust_unref(trust);
}

void trusts_open(Relay *relay) {
        relay->trusts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, trust_free);
        keys_observe_trusts(relay->keys, on_trusts_changed, relay);
}

void trusts_close(Relay *relay) {
        keys_observe_trusts(relay->keys, NULL, NULL);
        g_clear_pointer(&relay->trusts, g_hash_table_unref);
        g_clear_pointer(&relay->system_trust, trust_unref);
}

Trust *trusts_for(Relay *relay, const Spec *spec) {
        if (spec->trust)
                return spec->trust;

        /* reading costs files and time: not for who looks at nobody */
        if (spec->verify_mode == VERIFY_NONE)
                return NULL;

        return spec->trust_name     ? trusts_named(relay, spec->trust_name)
               : spec->trust_system ? trusts_system(relay)
                                    : NULL;
}
