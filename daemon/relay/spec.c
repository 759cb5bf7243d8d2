/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay/spec.h"

#include <string.h>

#define SECOND_USEC UINT64_C(1000000)

Spec *spec_new(DtlsRole role, uid_t uid, const char *owner) {
        Spec *spec = g_new0(Spec, 1);

        spec->role = role;
        spec->uid = uid;
        spec->owner = g_strdup(owner);
        spec->persistent = !owner;
        spec->verification_name = g_strdup("");
        spec->offer_psk = role == DTLS_CLIENT;
        spec->trust_system = true;
        spec->verify_mode = AUTO_VERIFY_PEER;
        spec->interrupt_on_error = true;
        spec->ignored = verdict_errors_new();
        spec->ignored_codes = g_array_new(FALSE, FALSE, sizeof(VerdictCode));
        spec->protocol = PROTOCOL_DTLS_1_2_OR_LATER;
        spec->profile = PROFILE_DEFAULT;
        spec->cookies = true;
        spec->cookie_hash = g_strdup("Sha256");
        spec->retransmit_initial_usec = SECOND_USEC;
        spec->retransmit_max_usec = 60 * SECOND_USEC;
        spec->handshake_deadline_usec = 60 * SECOND_USEC;
        spec->answer_deadline_usec = 50 * SECOND_USEC;
        spec->idle_timeout_usec = spec->persistent ? SPEC_IDLE_PERSISTENT_USEC : 0;
        return spec;
}

/* ---- pre-shared keys of the store ---- */

PskChoice *psk_choice_new(char **patterns) {
        PskChoice *psks = g_rc_box_new0(PskChoice);

        psks->patterns = g_strdupv(patterns);
        return psks;
}

static size_t psk_choice_memory(const PskChoice *psks) {
        size_t n_bytes = 0;

        for (char **pattern = psks->patterns; *pattern; pattern++)
                n_bytes += strlen(*pattern) + 1;
        return n_bytes;
}

PskChoice *psk_choice_ref(PskChoice *psks) {
        return g_rc_box_acquire(psks);
}

static void psk_choice_clear(void *data) {
        PskChoice *psks = data;

        g_strfreev(psks->patterns);
}

void psk_choice_unref(PskChoice *psks) {
        g_rc_box_release_full(psks, psk_choice_clear);
}

/* ---- what it costs ---- */

typedef struct SpecLease {
        Quota *quota;
        uid_t uid;
        uint64_t n_bytes;
} SpecLease;

static void spec_lease_done(gpointer data) {
        SpecLease *lease = data;

        quota_discharge(lease->quota, lease->uid, QUOTA_BYTES, lease->n_bytes);
}

bool spec_follow_identity(Spec *spec, const Keys *keys) {
        const KeysIdentity *identity = keys_identity(keys, spec->identity);
        Chain *chain;

        if (!identity || !identity->key)
                return false;
        if (spec->key == identity->key)
                return true;

        /* it was a chain in the keyring, so anything else is a damaged answer */
        if (chain_new(identity->chain, &chain) != 0)
                return false;

        g_clear_pointer(&spec->chain, chain_unref);
        key_unref(spec->key);
        spec->chain = chain;
        spec->key = key_ref(identity->key);
        return true;
}

size_t spec_errors_memory(const GArray *errors) {
        size_t n_bytes = errors ? errors->len * sizeof(VerdictError) : 0;

        for (guint i = 0; errors && i < errors->len; i++) {
                GBytes *certificate = g_array_index(errors, VerdictError, i).certificate;

                n_bytes += certificate ? g_bytes_get_size(certificate) : 0;
        }

        return n_bytes;
}

static size_t spec_bytes_memory(GBytes *bytes) {
        return bytes ? g_bytes_get_size(bytes) : 0;
}

static size_t spec_names_memory(const GPtrArray *names) {
        return names ? names->len * sizeof(names->pdata[0]) : 0;
}

/* What it holds that may be short or long as its user likes: not the groups, which are not its
 * doing, and not the cookie secret, which a command may change, and which is as bounded as the
 * number of those who have one. */
static size_t spec_memory(const Spec *spec) {
        size_t n_bytes = spec_errors_memory(spec->ignored);

        n_bytes += spec->ignored_codes->len * sizeof(VerdictCode);
        n_bytes += spec->trust ? trust_memory(spec->trust) : 0;
        for (size_t i = 0; spec->chain && i < chain_count(spec->chain); i++)
                n_bytes += g_bytes_get_size(chain_der(spec->chain, i));
        n_bytes += spec_bytes_memory(spec->psk_identity);
        n_bytes += spec->psks ? psk_choice_memory(spec->psks) : 0;
        n_bytes += spec->psk_hint ? strlen(spec->psk_hint) : 0;
        n_bytes += spec_names_memory(spec->ciphers);
        n_bytes += spec_names_memory(spec->curves);
        n_bytes += spec_names_memory(spec->ssl_options);
        for (guint i = 0; spec->next_protocols && i < spec->next_protocols->len; i++)
                n_bytes += g_bytes_get_size(spec->next_protocols->pdata[i]);
        n_bytes += spec_bytes_memory(spec->dh_parameters);
        n_bytes += spec_bytes_memory(spec->ticket);
        return n_bytes;
}

static void spec_release(Spec *spec) {
        if (spec->lease)
                g_rc_box_release_full(g_steal_pointer(&spec->lease), spec_lease_done);
}

/* @n_had: so much of it is charged already. */
static int spec_hold(Spec *spec, Quota *quota, size_t n_bytes, size_t n_had) {
        SpecLease *lease;
        int r;

        r = n_bytes > n_had ? quota_charge(quota, spec->uid, QUOTA_BYTES, n_bytes - n_had) : 0;
        if (r)
                return r;

        if (n_had > n_bytes)
                quota_discharge(quota, spec->uid, QUOTA_BYTES, n_had - n_bytes);
        lease = g_rc_box_new(SpecLease);
        *lease = (SpecLease){.quota = quota, .uid = spec->uid, .n_bytes = n_bytes};
        spec_release(spec);
        spec->lease = lease;
        return 0;
}

int spec_charge(Spec *spec, Quota *quota) {
        size_t n_bytes = spec_memory(spec);

        if (spec->lease && spec->lease->n_bytes == n_bytes)
                return 0;

        return spec_hold(spec, quota, n_bytes, 0);
}

int spec_charge_instead(Spec *spec, Spec *old, Quota *quota) {
        size_t n_had = old && old->lease ? old->lease->n_bytes : 0;
        int r;

        r = spec_hold(spec, quota, spec_memory(spec), n_had);
        if (r == 0 && n_had > 0)
                old->lease->n_bytes = 0;

        return r;
}

/* ---- copies ---- */

static GPtrArray *spec_ref_names(GPtrArray *names) {
        return names ? g_ptr_array_ref(names) : NULL;
}

Spec *spec_copy(const Spec *spec) {
        Spec *copy = g_new0(Spec, 1);

        *copy = *spec; /* plain values; whatever is owned follows */
        copy->gids = spec->gids ? g_bytes_ref(spec->gids) : NULL;
        copy->owner = g_strdup(spec->owner);
        copy->shares = spec->shares ? g_array_ref(spec->shares) : NULL;
        copy->verification_name = g_strdup(spec->verification_name);
        copy->identity = g_strdup(spec->identity);
        copy->chain = spec->chain ? chain_ref(spec->chain) : NULL;
        copy->key = spec->key ? key_ref(spec->key) : NULL;
        copy->psk_identity = spec->psk_identity ? g_bytes_ref(spec->psk_identity) : NULL;
        copy->psk = spec->psk ? key_ref(spec->psk) : NULL;
        copy->psks = spec->psks ? psk_choice_ref(spec->psks) : NULL;
        copy->psk_hint = g_strdup(spec->psk_hint);
        copy->trust = spec->trust ? trust_ref(spec->trust) : NULL;
        copy->trust_name = g_strdup(spec->trust_name);
        copy->ignored = g_array_ref(spec->ignored);
        copy->ignored_codes = g_array_ref(spec->ignored_codes);
        copy->ciphers = spec_ref_names(spec->ciphers);
        copy->curves = spec_ref_names(spec->curves);
        copy->ssl_options = spec_ref_names(spec->ssl_options);
        copy->next_protocols = spec_ref_names(spec->next_protocols);
        copy->dh_parameters = spec->dh_parameters ? g_bytes_ref(spec->dh_parameters) : NULL;
        copy->ticket = spec->ticket ? g_bytes_ref(spec->ticket) : NULL;
        copy->cookie_hash = g_strdup(spec->cookie_hash);
        copy->cookie_secret = spec->cookie_secret ? secret_new(secret_peek(spec->cookie_secret),
                                                               secret_size(spec->cookie_secret))
                                                  : NULL;
        copy->lease = spec->lease ? g_rc_box_acquire(spec->lease) : NULL;
        return copy;
}

Spec *spec_derive(const Spec *spec, DtlsRole role) {
        Spec *derived = spec_copy(spec);

        derived->role = role;
        derived->offer_psk = role == DTLS_CLIENT;
        spec_release(derived);
        return derived;
}

AccessSubject spec_subject(const Spec *spec) {
        gsize size = 0;
        const gid_t *gids = spec->gids ? g_bytes_get_data(spec->gids, &size) : NULL;

        return (AccessSubject){.uid = spec->uid, .gids = gids, .n_gids = size / sizeof(gid_t)};
}

void spec_disown(Spec *spec) {
        if (spec->persistent)
                return;

        g_free(spec->owner);
        spec->owner = g_strdup(SPEC_NOBODY);
}

bool spec_is_disowned(const Spec *spec) {
        return g_strcmp0(spec->owner, SPEC_NOBODY) == 0;
}

void spec_share_as(Spec *spec, const Spec *other) {
        GArray *shares = other->shares ? g_array_ref(other->shares) : NULL;

        g_clear_pointer(&spec->shares, g_array_unref);
        spec->shares = shares;
}

Spec *spec_free(Spec *spec) {
        if (!spec)
                return NULL;

        g_clear_pointer(&spec->gids, g_bytes_unref);
        g_free(spec->owner);
        g_clear_pointer(&spec->shares, g_array_unref);
        g_free(spec->verification_name);
        g_free(spec->identity);
        g_clear_pointer(&spec->chain, chain_unref);
        g_clear_pointer(&spec->key, key_unref);
        g_clear_pointer(&spec->psk_identity, g_bytes_unref);
        g_clear_pointer(&spec->psk, key_unref);
        g_clear_pointer(&spec->psks, psk_choice_unref);
        g_free(spec->psk_hint);
        g_clear_pointer(&spec->trust, trust_unref);
        g_free(spec->trust_name);
        g_clear_pointer(&spec->ignored, g_array_unref);
        g_clear_pointer(&spec->ignored_codes, g_array_unref);
        g_clear_pointer(&spec->ciphers, g_ptr_array_unref);
        g_clear_pointer(&spec->curves, g_ptr_array_unref);
        g_clear_pointer(&spec->ssl_options, g_ptr_array_unref);
        g_clear_pointer(&spec->next_protocols, g_ptr_array_unref);
        g_clear_pointer(&spec->dh_parameters, g_bytes_unref);
        g_clear_pointer(&spec->ticket, g_bytes_unref);
        g_free(spec->cookie_hash);
        secret_free(spec->cookie_secret);
        spec_release(spec);
        g_free(spec);
        return NULL;
}

/* Whether PSK suites are offered (client) or taken (server). A server that has no certificate can
 * only live by PSK; one that has takes PSK when something was said about it, because a client that
 * only tries would otherwise wait for an owner who never heard of PSK. */
static bool spec_has_psk(const Spec *spec) {
        if (spec->psk || spec->psks || spec->offer_psk)
                return true;

        return spec->role == DTLS_SERVER && (spec->psk_hint || !spec->chain);
}

static bool spec_has_option(const Spec *spec, const char *name) {
        return spec->ssl_options &&
               g_ptr_array_find_with_equal_func(spec->ssl_options, name, g_str_equal, NULL);
}

const char *spec_peer_name(const Spec *spec, char buffer[static ADDRESS_STRING_MAX]) {
        if (spec->verification_name && *spec->verification_name)
                return spec->verification_name;

        address_format(&spec->peer, buffer);
        *strchrnul(buffer, '%') = '\0';
        return buffer;
}

bool spec_has_tickets(const Spec *spec) {
        if (!spec->ssl_options || spec_has_option(spec, SPEC_NO_PERSISTENCE) ||
            spec_has_option(spec, SPEC_NO_TICKETS))
                return false;

        /* a server of one handshake would see none of its tickets again */
        return spec->role == DTLS_CLIENT || !spec->external;
}

SessionConfigSpec spec_session(const Spec *spec, const SpecJudgement *judgement) {
        return (SessionConfigSpec){
                .role = spec->role,
                .protocol = spec->protocol,
                .profile = spec->profile,
                .chain = spec->chain,
                .key_id = spec->key ? key_id(spec->key) : 0,
                .psk = spec_has_psk(spec),
                .psk_alone = !spec->trust && !spec->trust_name && !spec->trust_system,
                .psk_hint = spec->psk_hint,
                .trust = judgement->trust,
                .revocations = judgement->revocations,
                .pins = judgement->pins,
                .first_use = spec->role == DTLS_CLIENT && spec->first_use && !judgement->pins,
                .verify_mode = spec->verify_mode,
                .verify_depth = spec->verify_depth,
                .interrupt_on_error = spec->interrupt_on_error,
                .missing_certificate_is_fatal = spec->missing_certificate_is_fatal,
                .ocsp_stapling = spec->ocsp_stapling,
                .server_name_indication = !spec_has_option(spec, SPEC_NO_SERVER_NAME),
                .server_preference = !spec_has_option(spec, SPEC_NO_SERVER_PREFERENCE),
                .ciphers = spec->ciphers,
                .curves = spec->curves,
                .next_protocols = spec->next_protocols,
                .dh_parameters = spec->dh_parameters,
                .tickets = spec_has_tickets(spec),
        };
}
