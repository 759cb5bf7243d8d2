/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options: an a{sv} becomes a Spec. One table says which options there are, of which type, for
 * which call and in which range; interfaces/README.md shows the same table to people, and a test
 * compares the two.
 *
 * Three steps, none with an effect, because a call may be read again from the top: each option by
 * itself, then what they mean together (option-joins.c), then, when all the rest is right, secrets
 * go to the keyring.
 */

#include "base/fault.h"
#include "base/terms.h"
#include "bus/option-readers.h"

#define NAMES_MAX 256 /* more than there are */
#define PSKS_MAX 32   /* names or patterns, each asked about */

#define CREATE (1u << OPTIONS_FOR_CREATE)
#define CONNECT (1u << OPTIONS_FOR_CONNECT)
#define LISTEN (1u << OPTIONS_FOR_LISTEN)
#define VERIFIER (1u << OPTIONS_FOR_VERIFIER)
#define DEFAULTS (1u << OPTIONS_FOR_SET_DEFAULTS) /* whatever a configuration may be */
#define SET_CONNECTION (1u << OPTIONS_FOR_SET_CONFIGURATION | DEFAULTS)
#define SET_LISTENER (1u << OPTIONS_FOR_SET_LISTENER_CONFIGURATION | DEFAULTS)
#define CLIENT (CREATE | CONNECT)
#define BIRTH (CLIENT | LISTEN)
#define SERVER (LISTEN | SET_LISTENER)
#define ALL (BIRTH | SET_CONNECTION | SET_LISTENER)

static const char *const options_calls[N_OPTIONS_FOR] = {
        [OPTIONS_FOR_CREATE] = "CreateConnection",
        [OPTIONS_FOR_CONNECT] = "Connect",
        [OPTIONS_FOR_LISTEN] = "Listen",
        [OPTIONS_FOR_VERIFIER] = "CreateClientVerifier",
        [OPTIONS_FOR_SET_CONFIGURATION] = "Connection.SetConfiguration",
        [OPTIONS_FOR_SET_LISTENER_CONFIGURATION] = "Listener.SetConfiguration",
        [OPTIONS_FOR_SET_DEFAULTS] = "SetDefaultConfiguration",
};

/* ---- the table ---- */

#define FIELD(name) offsetof(Spec, name)

static const DictKey options_keys[] = {
        {"Transport", "s", BIRTH, read_transport, 0, 0, 0},
        {"PeerAddress", "s", CREATE, read_peer_address, 0, 0, 0},
        {"PeerPort", "q", CREATE, read_peer_port, 0, 1, 65535},
        {"VerificationName", "s", CLIENT, read_verification_name, 0, 0, 0},
        {"LocalAddress", "s", CLIENT, read_local_address, 0, 0, 0},
        {"LocalPort", "q", CLIENT, read_local_port, 0, 0, 0},
        {"MtuHint", "q", BIRTH | SET_LISTENER, read_mtu_hint, FIELD(mtu_hint), 0, 0},
        {"DontFragment", "b", BIRTH, read_bool, FIELD(dont_fragment), 0, 0},
        {"Identity", "s", ALL, read_identity, 0, 0, 0},
        {"CertificateChain", "aay", ALL, read_chain, 0, 0, CHAIN_LENGTH_MAX},
        {"PrivateKey", "h", ALL, read_private_key, 0, 0, 0},
        {"PreSharedKeyIdentity", "ay", ALL, read_psk_identity, 0, 1, SESSION_PSK_IDENTITY_MAX},
        {"PreSharedKey", "h", ALL, read_psk, 0, 0, 0},
        {"Psks", "as", ALL, read_psks, 0, 0, PSKS_MAX},
        {"PskIdentityHint", "ay", SERVER | CREATE | SET_CONNECTION, read_psk_hint, 0, 0,
         SESSION_PSK_IDENTITY_MAX},
        {"Trust", "s", ALL, read_trust, 0, 0, 0},
        {"CaCertificates", "aay", ALL, read_ca_certificates, 0, 0, TRUST_ANCHORS_MAX},
        {"TrustOnFirstUse", "b", CLIENT | SET_CONNECTION, read_bool, FIELD(first_use), 0, 0},
        {"PeerVerifyMode", "s", ALL, read_verify_mode, 0, 0, 0},
        {"PeerVerifyDepth", "u", ALL, read_number, FIELD(verify_depth), 0, CHAIN_LENGTH_MAX},
        {"HandshakeMustInterruptOnError", "b", ALL, read_bool, FIELD(interrupt_on_error), 0, 0},
        {"MissingCertificateIsFatal", "b", ALL, read_bool, FIELD(missing_certificate_is_fatal), 0,
         0},
        {"OcspStapling", "b", CLIENT | SET_CONNECTION, read_bool, FIELD(ocsp_stapling), 0, 0},
        {"IgnoredErrors", "a(say)", ALL, read_ignored, 0, 0, 0},
        {"IgnoredErrorsOfAnyCertificate", "as", ALL, read_ignored_codes, 0, 0, 0},
        {"Protocol", "s", ALL, read_protocol, 0, 0, 0},
        {"CipherProfile", "s", ALL, read_profile, 0, 0, 0},
        {"Ciphers", "as", ALL, read_ciphers, 0, 0, NAMES_MAX},
        {"EllipticCurves", "as", ALL, read_curves, 0, 0, NAMES_MAX},
        {"SslOptions", "as", ALL, read_ssl_options, 0, 0, NAMES_MAX},
        {"NextProtocols", "aay", ALL, read_next_protocols, 0, 0, SESSION_NEXT_PROTOCOLS_MAX},
        {"DhParameters", "ay", SERVER | CREATE | SET_CONNECTION, read_dh_parameters, 0, 0,
         SESSION_DH_SIZE_MAX},
        {"SessionTicket", "ay", CLIENT | SET_CONNECTION, read_session_ticket, 0, 0,
         SPEC_TICKET_MAX},
        {"CookieVerification", "b", SERVER | CREATE | SET_CONNECTION, read_bool, FIELD(cookies), 0,
         0},
        {"CookieHash", "s", CREATE | LISTEN | VERIFIER, read_cookie_hash, 0, 0, 0},
        {"CookieSecret", "h", CREATE | LISTEN | VERIFIER, read_cookie_secret, 0, 0, 0},
        {"Retransmission", "s", CREATE | SET_CONNECTION, read_retransmission, 0, 0, 0},
        {"RetransmitInitial", "u", ALL, read_milliseconds, FIELD(retransmit_initial_usec), 10,
         60000},
        {"RetransmitMax", "u", ALL, read_milliseconds, FIELD(retransmit_max_usec), 10, 60000},
        {"HandshakeDeadline", "u", ALL, read_milliseconds, FIELD(handshake_deadline_usec), 100,
         600000},
        {"AnswerDeadline", "u", ALL, read_milliseconds, FIELD(answer_deadline_usec), 100, 600000},
        {"IdleTimeout", "u", ALL, read_idle_timeout, 0, 0, IDLE_TIMEOUT_MAX},
        {"DatagramSignals", "b", CREATE | LISTEN | SET_CONNECTION | SET_LISTENER, read_bool,
         FIELD(datagram_signals), 0, 0},
        {"Persistent", "b", CREATE | LISTEN, read_bool, FIELD(persistent), 0, 0},
        {"Share", "as", CREATE | CONNECT | LISTEN, read_shares, 0, 0, SHARES_MAX},
        {"Announce", "b", LISTEN, read_bool, FIELD(announce), 0, 0},
        {"Channel", "u", CREATE | LISTEN, read_number, FIELD(channel), 0, UINT32_MAX},
};

/* ---- the store ---- */

/* Who may not use it hears that, and not whether it is there. */
static int options_check_use(Bus *bus, sd_bus_message *m, const char *kind, const char *name,
                             sd_bus_error *error) {
        if (store_may_see(bus, caller_of(bus, m), kind, name))
                return 1;

        return store_ask(bus, m, ACCESS_USE, kind, name, error);
}

static int options_take_identity(Bus *bus, sd_bus_message *m, const Options *options,
                                 sd_bus_error *error) {
        Spec *spec = options->spec;
        int r;

        if (!spec->identity)
                return 1;

        r = options_check_use(bus, m, "identity", spec->identity, error);
        if (r < 0)
                return r;

        if (store_name_is_for(spec->identity, spec->uid) && spec_follow_identity(spec, bus->keys))
                return 1;

        if (store_name_is_for(spec->identity, spec->uid) &&
            keys_identity(bus->keys, spec->identity))
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "The identity '%s' has no certificate yet: its key waits "
                                       "for InstallCertificate",
                                       spec->identity);

        return store_refuse_unknown("identity", spec->identity, error);
}

static int options_take_trust(Bus *bus, sd_bus_message *m, const Spec *spec, sd_bus_error *error) {
        int r;

        if (!spec->trust_name)
                return 1;

        r = options_check_use(bus, m, "trust", spec->trust_name, error);
        if (r < 0)
                return r;

        if (store_name_is_for(spec->trust_name, spec->uid) &&
            keys_trust(bus->keys, spec->trust_name))
                return 1;

        return store_refuse_unknown("trust set", spec->trust_name, error);
}

/* ---- secrets ---- */

static int options_take_private_key(Bus *bus, sd_bus_message *m, const Options *options,
                                    sd_bus_error *error) {
        Spec *spec = options->spec;
        GBytes *of_key;
        int r;

        if (options->private_key_fd < 0)
                return 1;

        g_clear_pointer(&spec->key, key_unref);
        r = bus_intake(bus, m, INTAKE_PRIVATE_KEY, options->private_key_fd, &spec->key, error);
        if (r <= 0)
                return r;

        of_key = key_spki(spec->key);
        if (!of_key || !g_bytes_equal(of_key, chain_spki(spec->chain)))
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "PrivateKey does not match the first certificate of "
                                       "CertificateChain");

        return 1;
}

static int options_take_psk(Bus *bus, sd_bus_message *m, const Options *options,
                            sd_bus_error *error) {
        if (options->psk_fd < 0)
                return 1;

        g_clear_pointer(&options->spec->psk, key_unref);
        return bus_intake(bus, m, INTAKE_PSK, options->psk_fd, &options->spec->psk, error);
}

static void options_note_caller(Spec *spec, const Caller *caller) {
        g_clear_pointer(&spec->gids, g_bytes_unref);
        spec->gids = caller->gids ? g_bytes_ref(caller->gids) : NULL;
}

int options_read(Bus *bus, sd_bus_message *m, OptionsFor what, Spec *spec, sd_bus_error *error) {
        Options options = {.spec = spec, .private_key_fd = -1, .psk_fd = -1};
        Dict dict = {
                .keys = options_keys,
                .n_keys = G_N_ELEMENTS(options_keys),
                .where = 1u << what,
                .call = options_calls[what],
        };
        int r;

        options_note_caller(spec, caller_of(bus, m));
        options.inherits_signals = spec->datagram_signals;
        r = dict_read(m, &dict, &options, error);
        if (r < 0)
                return r;

        r = options_join(&options, what, error);
        if (r < 0)
                return r;

        r = options_take_identity(bus, m, &options, error);
        if (r < 0)
                return r;

        r = options_take_trust(bus, m, spec, error);
        if (r < 0)
                return r;

        r = options_take_private_key(bus, m, &options, error);
        if (r <= 0)
                return r;

        return options_take_psk(bus, m, &options, error);
}

/* ---- asking ---- */

/* Whether a client goes on with a peer that nobody vouches for. */
static bool options_trust_anybody(const Spec *spec) {
        return spec->role == DTLS_CLIENT &&
               (spec->verify_mode == VERIFY_NONE || spec->verify_mode == QUERY_PEER ||
                spec->ignored->len > 0 || spec->ignored_codes->len > 0);
}

static bool options_are_legacy(const Spec *spec) {
        for (guint i = 0; spec->ciphers && i < spec->ciphers->len; i++)
                if (session_cipher_is_legacy(g_ptr_array_index(spec->ciphers, i)))
                        return true;

        return spec->protocol == PROTOCOL_DTLS_1_0 ||
               spec->protocol == PROTOCOL_DTLS_1_0_OR_LATER || spec->profile == PROFILE_LEGACY;
}

static int options_ask_store(Bus *bus, sd_bus_message *m, const char *kind, const char *name,
                             sd_bus_error *error) {
        return name ? store_ask(bus, m, ACCESS_USE, kind, name, error) : 1;
}

int options_ask(Bus *bus, sd_bus_message *m, OptionsFor what, const Spec *spec,
                sd_bus_error *error) {
        bool birth = BIRTH & (1u << what);
        bool binds = spec->role == DTLS_SERVER || address_port(&spec->local) != 0;
        const struct {
                bool needed;
                AccessVerb verb;
                const Address *about;
        } asks[] = {
                {birth && address_is_set(&spec->peer) && !spec->external, ACCESS_CONNECT,
                 &spec->peer},
                {birth && spec->external, ACCESS_EXTERNAL, NULL},
                {birth && address_is_set(&spec->local) && binds, ACCESS_LISTEN, &spec->local},
                {birth && spec->persistent, ACCESS_PERSISTENT, NULL},
                {birth && spec->shares, ACCESS_SHARE, NULL},
                {options_trust_anybody(spec), ACCESS_VERIFY_NONE, NULL},
                {spec->role == DTLS_CLIENT && spec->first_use, ACCESS_TRUST_FIRST_USE, NULL},
                {options_are_legacy(spec), ACCESS_LEGACY_PROTOCOL, NULL},
                {spec->ciphers != NULL, ACCESS_RAW_CIPHERS, NULL},
        };
        int r;

        r = options_ask_store(bus, m, "identity", spec->identity, error);
        if (r > 0)
                r = options_ask_store(bus, m, "trust", spec->trust_name, error);
        for (size_t i = 0; r > 0 && spec->psks && spec->psks->patterns[i]; i++)
                r = options_ask_store(bus, m, "psk", spec->psks->patterns[i], error);
        if (r <= 0)
                return r;

        for (size_t i = 0; i < G_N_ELEMENTS(asks); i++) {
                if (!asks[i].needed)
                        continue;

                r = bus_ask(bus, m, asks[i].verb, asks[i].about, error);
                if (r <= 0)
                        return r;
        }

        return 1;
}
