/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Config: from what a caller chose to what its sessions have in common; and everything that can be
 * wrong with that choice, said before the first datagram.
 *
 * Knows: specs, chains, keys. Does not know: connections, listeners.
 */

#include "base/fault.h"
#include "relay/private.h"

int config_check_mtu(const Spec *spec, uint16_t mtu, Reason *reason) {
        uint16_t minimum = spec->chain ? SESSION_MTU_MIN_CERTIFICATE : SESSION_MTU_MIN;

        if (mtu == 0 || mtu >= minimum)
                return 0;

        return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                          "An MTU hint of %u is too small; it must be 0, or at least %u%s", mtu,
                          minimum, spec->chain ? " with certificates" : "");
}

static int config_check_key(const Spec *spec, Reason *reason) {
        if (!spec->chain && !spec->key)
                return 0;
        if (!spec->key)
                return reason_set(reason, RELAY_E_TLS_INITIALIZATION,
                                  "There is a certificate but no private key of it; give "
                                  "PrivateKey too");
        if (!spec->chain)
                return reason_set(reason, RELAY_E_TLS_INITIALIZATION,
                                  "There is a private key but no certificate of it; give "
                                  "CertificateChain too");
        if (!key_is_alive(spec->key))
                return reason_set(reason, RELAY_E_TLS_INITIALIZATION,
                                  "The keyring process died and this private key with it; give it "
                                  "again");
        if (!key_spki(spec->key) || !g_bytes_equal(key_spki(spec->key), chain_spki(spec->chain)))
                return reason_set(reason, RELAY_E_TLS_INITIALIZATION,
                                  "The private key does not belong to the first certificate of "
                                  "CertificateChain");

        return 0;
}

static int config_check_psk(const Spec *spec, Reason *reason) {
        if (!spec->psk)
                return 0;
        if (!spec->psk_identity)
                return reason_set(reason, RELAY_E_TLS_INITIALIZATION,
                                  "There is a pre-shared key without an identity; give "
                                  "PreSharedKeyIdentity too");
        if (g_bytes_get_size(spec->psk_identity) > SESSION_PSK_IDENTITY_MAX)
                return reason_set(reason, RELAY_E_TLS_INITIALIZATION,
                                  "The identity of the pre-shared key is longer than %d bytes",
                                  SESSION_PSK_IDENTITY_MAX);
        if (!key_is_alive(spec->psk))
                return reason_set(reason, RELAY_E_TLS_INITIALIZATION,
                                  "The keyring process died and this pre-shared key with it; give "
                                  "it again");

        return 0;
}

static int config_check(const Spec *spec, Reason *reason) {
        int r;

        r = config_check_mtu(spec, spec->mtu_hint, reason);
        if (r)
                return r;

        r = config_check_key(spec, reason);
        if (r)
                return r;

        if (spec->ocsp_stapling && spec->role == DTLS_SERVER)
                return reason_set(reason, RELAY_E_TLS_INITIALIZATION,
                                  "OcspStapling is for clients: a server has no responses to "
                                  "staple, and its clients none to bring");

        return config_check_psk(spec, reason);
}

static const char *config_refusal(SessionConfigOutcome outcome) {
        switch (outcome) {
        case SESSION_CONFIG_E_UNUSABLE:
                return "A server needs a certificate with its key, or a pre-shared key";
        case SESSION_CONFIG_E_NO_SUITE:
                return "None of Ciphers can be spoken with this Protocol and these certificates or "
                       "pre-shared keys";
        case SESSION_CONFIG_E_NOT_DTLS:
                return "Protocol names one of TLS, and this is DTLS; say 'DtlsV1_2OrLater' or "
                       "'DtlsV1_2'";
        case SESSION_CONFIG_E_BAD_CHAIN:
                return "The certificate cannot be used for DTLS with these options: its key type "
                       "fits no cipher suite";
        }

        return "This configuration cannot be used";
}

/* ---- clients that are configured alike have one configuration, while any of them is there ---- */

#define CONFIGS_MAX 16 /* looked at: of those in use the last ones */

static void configs_drop(Relay *relay, GList *link) {
        session_config_unref(link->data);
        g_queue_delete_link(&relay->configs, link);
}

/* A server's is its own: so is the key of its tickets. */
static SessionConfig *configs_find(Relay *relay, const SessionConfigSpec *wanted) {
        GList *next;

        for (GList *i = wanted->role == DTLS_CLIENT ? relay->configs.head : NULL; i; i = next) {
                next = i->next;
                if (!session_config_is_shared(i->data)) {
                        configs_drop(relay, i);
                } else if (session_config_is_like(i->data, wanted)) {
                        g_queue_unlink(&relay->configs, i);
                        g_queue_push_head_link(&relay->configs, i);
                        return i->data;
                }
        }

        return NULL;
}

static void configs_add(Relay *relay, SessionConfig *config) {
        if (relay->configs.length == CONFIGS_MAX)
                configs_drop(relay, relay->configs.tail);
        g_queue_push_head(&relay->configs, session_config_ref(config));
}

void config_release(Relay *relay, SessionConfig **config) {
        GList *link = g_queue_find(&relay->configs, *config);

        g_clear_pointer(config, session_config_unref);
        if (link && !session_config_is_shared(link->data))
                configs_drop(relay, link);
}

void configs_close(Relay *relay) {
        while (relay->configs.head)
                configs_drop(relay, relay->configs.head);
}

/* ---- making one ---- */

int config_make_again(Relay *relay, const Spec *spec, SessionConfig **ret, Reason *reason) {
        g_autoptr(GPtrArray) pins = pins_for(relay, spec);
        const SpecJudgement judgement = {
                .trust = trusts_for(relay, spec),
                .revocations = revoked_for(relay, spec->uid),
                .pins = pins,
        };
        const SessionConfigSpec wanted = spec_session(spec, &judgement);
        SessionConfig *alike = configs_find(relay, &wanted);
        int r;

        if (alike) {
                *ret = session_config_ref(alike);
                return 0;
        }

        r = session_config_new(&wanted, ret);
        if (r < 0)
                return fault(r);
        if (r > 0)
                return reason_set(reason, RELAY_E_TLS_INITIALIZATION, "%s",
                                  config_refusal((SessionConfigOutcome)r));

        if (wanted.role == DTLS_CLIENT)
                configs_add(relay, *ret);
        return 0;
}

static int config_follow_identity(const Relay *relay, Spec *spec, Reason *reason) {
        bool is_there = spec_follow_identity(spec, relay->keys);

        if (is_there && key_is_alive(spec->key))
                return 0;

        return reason_set(reason, RELAY_E_TLS_INITIALIZATION,
                          keys_identities_known(relay->keys)
                                  ? "There is no identity '%s' with a certificate in the store"
                                  : "The keyring process died, and the next is not ready; it will "
                                    "have identity '%s': try again",
                          spec->identity);
}

int config_make(Relay *relay, Spec *spec, SessionConfig **ret, Reason *reason) {
        int r;

        r = spec->identity ? config_follow_identity(relay, spec, reason) : 0;
        if (r)
                return r;

        /* the store may have given it another chain since */
        r = spec->lease ? charges_add_spec(relay, spec, reason) : 0;
        if (r)
                return r;

        r = config_check(spec, reason);
        if (r)
                return r;

        r = psks_check(relay, spec, reason);
        if (r)
                return r;

        r = config_make_again(relay, spec, ret, reason);
        if (r)
                return r;

        /* parsed once for all that are alike, and each pays for it */
        if (spec->role == DTLS_CLIENT && spec->trust) {
                trust_unref(spec->trust);
                spec->trust = trust_ref(session_config_spec(*ret)->trust);
        }

        return 0;
}
