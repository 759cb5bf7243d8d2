/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether two configurations are alike: by what they say, wherever it lies. */

#include "session/private.h"

/* Of static names. */
static bool alike_names(const GPtrArray *a, const GPtrArray *b) {
        if (a == b)
                return true;
        if (!a || !b || a->len != b->len)
                return false;

        for (guint i = 0; i < a->len; i++)
                if (!g_str_equal(a->pdata[i], b->pdata[i]))
                        return false;

        return true;
}

/* Of GBytes. */
static bool alike_bytes(const GPtrArray *a, const GPtrArray *b) {
        if (a == b)
                return true;
        if (!a || !b || a->len != b->len)
                return false;

        for (guint i = 0; i < a->len; i++)
                if (!g_bytes_equal(a->pdata[i], b->pdata[i]))
                        return false;

        return true;
}

/* The system's does not say what is in it, and so is like itself alone. */
static bool alike_trust(const SessionConfig *config, const Trust *trust) {
        const char *const *own = trust_fingerprints(config->spec.trust);

        if (config->trusts_nobody || !trust)
                return config->trusts_nobody && !trust;

        return config->spec.trust == trust ||
               (*own && g_strv_equal(own, trust_fingerprints(trust)));
}

static bool alike_judgement(const SessionConfigSpec *a, const SessionConfigSpec *b) {
        return a->verify_mode == b->verify_mode && a->verify_depth == b->verify_depth &&
               a->interrupt_on_error == b->interrupt_on_error &&
               a->missing_certificate_is_fatal == b->missing_certificate_is_fatal &&
               a->ocsp_stapling == b->ocsp_stapling && a->first_use == b->first_use &&
               a->revocations == b->revocations && alike_bytes(a->pins, b->pins);
}

static bool alike_protocol(const SessionConfigSpec *a, const SessionConfigSpec *b) {
        return a->role == b->role && a->protocol == b->protocol && a->profile == b->profile &&
               a->server_name_indication == b->server_name_indication &&
               a->server_preference == b->server_preference && a->tickets == b->tickets &&
               alike_names(a->ciphers, b->ciphers) && alike_names(a->curves, b->curves) &&
               alike_bytes(a->next_protocols, b->next_protocols);
}

static bool alike_credentials(const SessionConfigSpec *a, const SessionConfigSpec *b) {
        return a->chain == b->chain && a->key_id == b->key_id && a->psk == b->psk &&
               a->psk_alone == b->psk_alone && g_strcmp0(a->psk_hint, b->psk_hint) == 0 &&
               a->dh_parameters == b->dh_parameters;
}

bool session_config_is_like(const SessionConfig *config, const SessionConfigSpec *spec) {
        const SessionConfigSpec *own = &config->spec;

        return alike_protocol(own, spec) && alike_credentials(own, spec) &&
               alike_judgement(own, spec) && alike_trust(config, spec->trust);
}
