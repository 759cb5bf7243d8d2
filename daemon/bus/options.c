/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options: an a{sv} becomes a Spec. One table says which options there are, of which type, for
 * which call and in which range; interfaces/README.md shows the same table to people, and a test
 * compares the two.
 *
 * Three steps, none with an effect, because a call may be read again from the top: each option by
 * itself, then what they mean together, then, when all the rest is right, secrets go to the
 * keyring.
 */

#include "base/fault.h"
#include "base/memfd.h"
#include "base/terms.h"
#include "bus/private.h"

#include <string.h>

#define MSEC_USEC UINT64_C(1000)
#define HANDSHAKE_DEADLINE_USEC (60 * 1000 * MSEC_USEC)
#define CONNECT_DEADLINE_USEC (20 * 1000 * MSEC_USEC) /* callers give up after 25 s */
#define IDLE_PERSISTENT_USEC (300 * 1000 * MSEC_USEC)
#define IDLE_TIMEOUT_MIN 100              /* ms */
#define IDLE_TIMEOUT_MAX (7 * 86400000ul) /* ms, a week */
#define MTU_HINT_MIN 256                  /* what GnuTLS can cut its flights into */
#define MTU_HINT_MIN_CERTIFICATE 512
#define MTU_HINT_MAX 65507 /* UDP over IPv4 */
#define NAMES_MAX 256      /* more than there are */

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

const char *const cookie_hashes[] = {"Md5", "Sha1", "Sha224", "Sha256", "Sha384", "Sha512", NULL};

static const char *const options_calls[N_OPTIONS_FOR] = {
        [OPTIONS_FOR_CREATE] = "CreateConnection",
        [OPTIONS_FOR_CONNECT] = "Connect",
        [OPTIONS_FOR_LISTEN] = "Listen",
        [OPTIONS_FOR_VERIFIER] = "CreateClientVerifier",
        [OPTIONS_FOR_SET_CONFIGURATION] = "Connection.SetConfiguration",
        [OPTIONS_FOR_SET_LISTENER_CONFIGURATION] = "Listener.SetConfiguration",
        [OPTIONS_FOR_SET_DEFAULTS] = "SetDefaultConfiguration",
};

/* What is read, until all of it is known. @has_…: in this call; what is not may be in the spec all
 * the same, as a default. */
typedef struct Options {
        Spec *spec;
        Address peer_host, local_host;
        uint16_t peer_port, local_port;
        bool has_peer_port;
        bool has_idle_timeout;
        bool inherits_signals; /* a default that an object without a name has no use for */
        bool has_identity, has_chain, has_psk_identity;
        bool has_trust, has_ca_certificates;
        bool has_profile, has_ciphers;
        bool has_ticket;
        int private_key_fd, psk_fd; /* the message's, -1: not given */
} Options;

static int options_refuse(sd_bus_error *error, const char *text) {
        return bus_refuse_text(error, "InvalidInputParameters", "%s", text);
}

static void *options_field(const Options *options, const DictKey *key) {
        return (uint8_t *)options->spec + key->offset;
}

/* ---- values that go straight into the Spec ---- */

static int read_bool(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        bool *field = options_field(userdata, key);
        int value, r;

        r = sd_bus_message_read_basic(m, 'b', &value);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        *field = value;
        return 1;
}

static int options_read_number(sd_bus_message *m, const DictKey *key, uint32_t *ret,
                               sd_bus_error *error) {
        uint32_t value;
        int r;

        r = sd_bus_message_read_basic(m, 'u', &value);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        if (value < key->minimum || value > key->maximum)
                return bus_refuse_text(error, "InvalidInputParameters",
                                       "Option '%s' is %" G_GUINT32_FORMAT
                                       "; it has to be %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                                       key->name, value, key->minimum, key->maximum);

        *ret = value;
        return 1;
}

static int read_number(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        return options_read_number(m, key, options_field(userdata, key), error);
}

static int read_milliseconds(sd_bus_message *m, const DictKey *key, void *userdata,
                             sd_bus_error *error) {
        uint64_t *field = options_field(userdata, key);
        uint32_t value = 0;
        int r;

        r = options_read_number(m, key, &value, error);
        if (r < 0)
                return r;

        *field = value * MSEC_USEC;
        return 1;
}

static int read_idle_timeout(sd_bus_message *m, const DictKey *key, void *userdata,
                             sd_bus_error *error) {
        Options *options = userdata;
        uint32_t value = 0;
        int r;

        r = options_read_number(m, key, &value, error);
        if (r < 0)
                return r;

        if (value > 0 && value < IDLE_TIMEOUT_MIN)
                return bus_refuse_text(error, "InvalidInputParameters",
                                       "Option 'IdleTimeout' is %" G_GUINT32_FORMAT
                                       "; it has to be 0 or %d to %lu",
                                       value, IDLE_TIMEOUT_MIN, IDLE_TIMEOUT_MAX);

        options->has_idle_timeout = true;
        options->spec->idle_timeout_usec = value * MSEC_USEC;
        return 1;
}

static int read_mtu_hint(sd_bus_message *m, const DictKey *key, void *userdata,
                         sd_bus_error *error) {
        uint16_t *field = options_field(userdata, key);
        uint16_t value;
        int r;

        r = sd_bus_message_read_basic(m, 'q', &value);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        if (value != 0 && (value < MTU_HINT_MIN || value > MTU_HINT_MAX))
                return bus_refuse_text(error, "InvalidInputParameters",
                                       "Option 'MtuHint' is %u; it has to be 0 or %d to %d", value,
                                       MTU_HINT_MIN, MTU_HINT_MAX);

        *field = value;
        return 1;
}

/* ---- words ---- */

static int options_read_word(sd_bus_message *m, const char **ret, sd_bus_error *error) {
        int r;

        r = sd_bus_message_read_basic(m, 's', ret);
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}

static int read_transport(sd_bus_message *m, const DictKey *key, void *userdata,
                          sd_bus_error *error) {
        Options *options = userdata;
        const char *word;
        int r;

        r = options_read_word(m, &word, error);
        if (r < 0)
                return r;

        if (strcmp(word, "external") != 0 && strcmp(word, "udp") != 0)
                return dict_refuse(error, key, word, "'udp' or 'external'");

        options->spec->external = strcmp(word, "external") == 0;

        return 1;
}

static int read_trust(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        const char *word;
        int r;

        r = options_read_word(m, &word, error);
        if (r < 0)
                return r;

        if (strcmp(word, "system") != 0)
                return dict_refuse(error, key, word,
                                   "'system': named sets are not in this version of dtlsd");

        options->has_trust = true;
        return 1;
}

static int read_verify_mode(sd_bus_message *m, const DictKey *key, void *userdata,
                            sd_bus_error *error) {
        Options *options = userdata;
        const char *word;
        int r;

        r = options_read_word(m, &word, error);
        if (r < 0)
                return r;

        if (!peer_verify_mode_from_name(word, &options->spec->verify_mode))
                return dict_refuse(error, key, word,
                                   "'VerifyNone', 'QueryPeer', 'VerifyPeer' or 'AutoVerifyPeer'");

        return 1;
}

static int read_protocol(sd_bus_message *m, const DictKey *key, void *userdata,
                         sd_bus_error *error) {
        Options *options = userdata;
        const char *word;
        int r;

        r = options_read_word(m, &word, error);
        if (r < 0)
                return r;

        if (!dtls_protocol_from_name(word, &options->spec->protocol))
                return dict_refuse(error, key, word,
                                   "'DtlsV1_2', 'DtlsV1_2OrLater', 'DtlsV1_0' or "
                                   "'DtlsV1_0OrLater'");

        return 1;
}

static int read_profile(sd_bus_message *m, const DictKey *key, void *userdata,
                        sd_bus_error *error) {
        Options *options = userdata;
        const char *word;
        int r;

        r = options_read_word(m, &word, error);
        if (r < 0)
                return r;

        if (!cipher_profile_from_name(word, &options->spec->profile))
                return dict_refuse(error, key, word, "'default', 'iot' or 'legacy'");

        options->has_profile = true;
        return 1;
}

static int read_retransmission(sd_bus_message *m, const DictKey *key, void *userdata,
                               sd_bus_error *error) {
        Options *options = userdata;
        const char *word;
        int r;

        r = options_read_word(m, &word, error);
        if (r < 0)
                return r;

        options->spec->manual = strcmp(word, "manual") == 0;
        if (!options->spec->manual && strcmp(word, "automatic") != 0)
                return dict_refuse(error, key, word, "'automatic' or 'manual'");

        return 1;
}

/* ---- where ---- */

static int options_parse_address(const char *text, uint16_t port, Address *ret,
                                 sd_bus_error *error) {
        g_autofree char *quoted = text_quote(text);
        int r;

        r = address_parse(text, port, ret);
        if (r < 0)
                return bus_refuse(error, fault(r), NULL);
        if (r)
                return bus_refuse_text(error, "InvalidInputParameters",
                                       "'%s' is not a numeric IPv4 or IPv6 address; names are "
                                       "resolved by the caller",
                                       quoted);

        return 1;
}

int options_read_peer(const char *text, uint16_t port, Address *ret, sd_bus_error *error) {
        Address peer;
        int r;

        r = options_parse_address(text, port, &peer, error);
        if (r < 0)
                return r;

        if (!address_is_peer(&peer))
                return bus_refuse_text(error, "InvalidInputParameters",
                                       "'%s' with port %u is not an address of a peer: it must not "
                                       "be the null, a multicast or a broadcast address, and the "
                                       "port not 0",
                                       text, port);

        *ret = peer;
        return 1;
}

int options_read_local(const char *text, uint16_t port, Address *ret, sd_bus_error *error) {
        Address local, with_port;
        int r;

        r = options_parse_address(text, port, &local, error);
        if (r < 0)
                return r;

        with_port = local;
        address_set_port(&with_port, 1); /* any port will do here */
        if (!address_is_any(&local) && !address_is_peer(&with_port))
                return bus_refuse_text(error, "InvalidInputParameters",
                                       "'%s' cannot be an address of this host: it has to be one "
                                       "of its own, or the wildcard 0.0.0.0 or ::",
                                       text);

        *ret = local;
        return 1;
}

int options_check_name(const char *name, sd_bus_error *error) {
        if (strlen(name) > VERIFICATION_NAME_MAX)
                return bus_refuse_text(error, "InvalidInputParameters",
                                       "The verification name has %zu bytes; at most %d are "
                                       "possible",
                                       strlen(name), VERIFICATION_NAME_MAX);

        return 1;
}

static int read_verification_name(sd_bus_message *m, const DictKey *key, void *userdata,
                                  sd_bus_error *error) {
        Options *options = userdata;
        const char *name;
        int r;

        r = options_read_word(m, &name, error);
        if (r < 0)
                return r;

        r = options_check_name(name, error);
        if (r < 0)
                return r;

        g_free(options->spec->verification_name);
        options->spec->verification_name = g_strdup(name);
        return 1;
}

static int read_peer_address(sd_bus_message *m, const DictKey *key, void *userdata,
                             sd_bus_error *error) {
        Options *options = userdata;
        const char *text;
        int r;

        r = options_read_word(m, &text, error);
        if (r < 0)
                return r;

        return options_read_peer(text, /* port= */ 1, &options->peer_host, error);
}

static int read_local_address(sd_bus_message *m, const DictKey *key, void *userdata,
                              sd_bus_error *error) {
        Options *options = userdata;
        const char *text;
        int r;

        r = options_read_word(m, &text, error);
        if (r < 0)
                return r;

        return options_read_local(text, /* port= */ 0, &options->local_host, error);
}

static int read_peer_port(sd_bus_message *m, const DictKey *key, void *userdata,
                          sd_bus_error *error) {
        Options *options = userdata;
        int r;

        r = sd_bus_message_read_basic(m, 'q', &options->peer_port);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        if (options->peer_port == 0)
                return dict_refuse(error, key, "0", "1 to 65535");

        options->has_peer_port = true;
        return 1;
}

static int read_local_port(sd_bus_message *m, const DictKey *key, void *userdata,
                           sd_bus_error *error) {
        Options *options = userdata;
        int r;

        r = sd_bus_message_read_basic(m, 'q', &options->local_port);
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}

/* ---- certificates ---- */

static int read_identity(sd_bus_message *m, const DictKey *key, void *userdata,
                         sd_bus_error *error) {
        Options *options = userdata;
        const char *name;
        int r;

        r = options_read_word(m, &name, error);
        if (r < 0)
                return r;

        options->has_identity = true;
        g_free(options->spec->identity);
        options->spec->identity = g_strdup(name);
        return 1;
}

static int read_chain(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        g_autoptr(GPtrArray) blobs = NULL;
        int r;

        r = certificates_read(m, key, &blobs, error);
        if (r < 0)
                return r;

        options->has_chain = true;
        g_clear_pointer(&options->spec->identity, g_free);
        g_clear_pointer(&options->spec->chain, chain_unref);
        r = chain_new(blobs, &options->spec->chain);
        if (r < 0)
                return bus_refuse(error, fault(r), NULL);
        if (r)
                return bus_refuse_text(error, "InvalidInputParameters", "Option '%s': %s",
                                       key->name, chain_outcome_text((ChainOutcome)r));

        return 1;
}

static int read_ca_certificates(sd_bus_message *m, const DictKey *key, void *userdata,
                                sd_bus_error *error) {
        Options *options = userdata;
        g_autoptr(GPtrArray) blobs = NULL;
        int r;

        r = certificates_read(m, key, &blobs, error);
        if (r < 0)
                return r;

        options->has_ca_certificates = true;
        g_clear_pointer(&options->spec->trust, trust_unref);
        r = trust_new(blobs, &options->spec->trust);
        if (r < 0)
                return bus_refuse(error, fault(r), NULL);
        if (r)
                return bus_refuse_text(error, "InvalidInputParameters", "Option '%s': %s",
                                       key->name, trust_outcome_text((TrustOutcome)r));

        return 1;
}

/* ---- errors to ignore ---- */

static int read_ignored(sd_bus_message *m, const DictKey *key, void *userdata,
                        sd_bus_error *error) {
        Options *options = userdata;
        GArray *ignored;
        int r;

        r = ignored_read(m, &ignored, error);
        if (r < 0)
                return r;

        g_array_unref(options->spec->ignored);
        options->spec->ignored = ignored;
        return 1;
}

static int read_ignored_codes(sd_bus_message *m, const DictKey *key, void *userdata,
                              sd_bus_error *error) {
        Options *options = userdata;
        GArray *codes = options->spec->ignored_codes;
        VerdictCode code;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        if (r < 0)
                return bus_refuse(error, r, NULL);

        (void)g_array_set_size(codes, 0);
        for (;;) {
                r = sd_bus_message_at_end(m, /* complete= */ false);
                if (r < 0)
                        return bus_refuse(error, r, NULL);
                if (r > 0)
                        break;
                if (codes->len >= IGNORED_MAX)
                        return bus_refuse_text(error, "InvalidInputParameters",
                                               "Option '%s' has more than %d elements", key->name,
                                               IGNORED_MAX);

                r = verdict_code_read(m, &code, error);
                if (r < 0)
                        return r;

                g_array_append_val(codes, code);
        }

        r = sd_bus_message_exit_container(m);
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}

/* ---- what we speak ---- */

/* The length of the first name that cannot be one; SIZE_MAX: there is none. */
static size_t options_find_bad_protocol(const GPtrArray *protocols) {
        for (guint i = 0; i < protocols->len; i++) {
                size_t size = g_bytes_get_size(g_ptr_array_index(protocols, i));

                if (size == 0 || size > SESSION_NEXT_PROTOCOL_MAX)
                        return size;
        }

        return SIZE_MAX;
}

/* QSsl::SslOption's names. Those but the first four ask for what this service never does anyway. */
static const char *const options_ssl[] = {
        SPEC_NO_SERVER_NAME,
        SPEC_NO_SERVER_PREFERENCE,
        SPEC_NO_PERSISTENCE,
        SPEC_NO_TICKETS,
        "DisableCompression",
        "DisableEmptyFragments",
        "DisableLegacyRenegotiation",
        "DisableSessionSharing",
        NULL,
};

static const char *ssl_option_from_name(const char *name) {
        for (size_t i = 0; options_ssl[i]; i++)
                if (g_str_equal(options_ssl[i], name))
                        return options_ssl[i];

        return NULL;
}

static int options_refuse_name(sd_bus_error *error, const DictKey *key, const char *word) {
        g_autofree char *quoted = text_quote(word);

        return bus_refuse_text(error, "InvalidInputParameters",
                               "Option '%s': there is no '%s' here", key->name, quoted);
}

/* An "as" of known names into @names, each once. */
static int options_read_each(sd_bus_message *m, const DictKey *key,
                             const char *(*from_name)(const char *name), GPtrArray *names,
                             sd_bus_error *error) {
        const char *word, *name;
        uint64_t n = 0;
        int r;

        for (;;) {
                r = sd_bus_message_read_basic(m, 's', &word);
                if (r < 0)
                        return bus_refuse(error, r, NULL);
                if (r == 0)
                        return 1;

                n++;
                if (n > key->maximum)
                        return bus_refuse_text(error, "InvalidInputParameters",
                                               "Option '%s' has more than %" G_GUINT64_FORMAT
                                               " elements",
                                               key->name, key->maximum);

                name = from_name(word);
                if (!name)
                        return options_refuse_name(error, key, word);
                if (!g_ptr_array_find(names, name, NULL))
                        g_ptr_array_add(names, (void *)name);
        }
}

static int options_read_names(sd_bus_message *m, const DictKey *key,
                              const char *(*from_name)(const char *name), GPtrArray **ret,
                              sd_bus_error *error) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = options_read_each(m, key, from_name, names, error);
        if (r < 0)
                return r;

        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        g_clear_pointer(ret, g_ptr_array_unref);
        *ret = g_steal_pointer(&names);
        return 1;
}

/* Of what an empty list says nothing about: *ret is NULL then. */
static int options_read_choice(sd_bus_message *m, const DictKey *key,
                               const char *(*from_name)(const char *name), GPtrArray **ret,
                               sd_bus_error *error) {
        int r;

        r = options_read_names(m, key, from_name, ret, error);
        if (r > 0 && (*ret)->len == 0)
                g_clear_pointer(ret, g_ptr_array_unref);
        return r;
}

static int read_ciphers(sd_bus_message *m, const DictKey *key, void *userdata,
                        sd_bus_error *error) {
        Options *options = userdata;
        int r;

        r = options_read_choice(m, key, session_cipher_from_name, &options->spec->ciphers, error);
        options->has_ciphers = r > 0 && options->spec->ciphers; /* an empty list says none */
        return r;
}

static int read_curves(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;

        return options_read_choice(m, key, session_curve_from_name, &options->spec->curves, error);
}

static int read_ssl_options(sd_bus_message *m, const DictKey *key, void *userdata,
                            sd_bus_error *error) {
        Options *options = userdata;

        return options_read_names(m, key, ssl_option_from_name, &options->spec->ssl_options, error);
}

static int read_next_protocols(sd_bus_message *m, const DictKey *key, void *userdata,
                               sd_bus_error *error) {
        Options *options = userdata;
        g_autoptr(GPtrArray) protocols = NULL;
        size_t bad;
        int r;

        r = certificates_read(m, key, &protocols, error);
        if (r < 0)
                return r;

        bad = options_find_bad_protocol(protocols);
        if (bad != SIZE_MAX)
                return bus_refuse_text(error, "InvalidInputParameters",
                                       "Option '%s' has a name of %zu bytes; each has to have 1 to "
                                       "%d",
                                       key->name, bad, SESSION_NEXT_PROTOCOL_MAX);

        g_clear_pointer(&options->spec->next_protocols, g_ptr_array_unref);
        if (protocols->len > 0)
                options->spec->next_protocols = g_steal_pointer(&protocols);
        return 1;
}

/* ---- keys and cookies ---- */

static int read_fd(sd_bus_message *m, int *ret, sd_bus_error *error) {
        int r;

        r = sd_bus_message_read_basic(m, 'h', ret);
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}

static int read_private_key(sd_bus_message *m, const DictKey *key, void *userdata,
                            sd_bus_error *error) {
        Options *options = userdata;

        return read_fd(m, &options->private_key_fd, error);
}

static int read_psk(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;

        return read_fd(m, &options->psk_fd, error);
}

static int options_read_bytes(sd_bus_message *m, const DictKey *key, GBytes **ret,
                              sd_bus_error *error) {
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        if (size < key->minimum || size > key->maximum)
                return bus_refuse_text(
                        error, "InvalidInputParameters",
                        "Option '%s' has %zu bytes; it has to have %" G_GUINT64_FORMAT
                        " to %" G_GUINT64_FORMAT,
                        key->name, size, key->minimum, key->maximum);

        g_clear_pointer(ret, g_bytes_unref);
        *ret = g_bytes_new(data, size);
        return 1;
}

static int read_psk_identity(sd_bus_message *m, const DictKey *key, void *userdata,
                             sd_bus_error *error) {
        Options *options = userdata;

        options->has_psk_identity = true;
        return options_read_bytes(m, key, &options->spec->psk_identity, error);
}

static int read_psk_hint(sd_bus_message *m, const DictKey *key, void *userdata,
                         sd_bus_error *error) {
        Options *options = userdata;
        g_autoptr(GBytes) hint = NULL;
        const char *data;
        gsize size;
        int r;

        r = options_read_bytes(m, key, &hint, error);
        if (r < 0)
                return r;

        data = g_bytes_get_data(hint, &size);
        if (size > 0 && memchr(data, 0, size))
                return bus_refuse_text(error, "InvalidInputParameters",
                                       "Option '%s' has a NUL byte in it, which cannot be sent",
                                       key->name);

        g_free(options->spec->psk_hint);
        options->spec->psk_hint = g_strndup(size > 0 ? data : "", size);
        return 1;
}

static int read_dh_parameters(sd_bus_message *m, const DictKey *key, void *userdata,
                              sd_bus_error *error) {
        Options *options = userdata;
        g_autoptr(GBytes) parameters = NULL;
        int r;

        r = options_read_bytes(m, key, &parameters, error);
        if (r < 0)
                return r;

        g_clear_pointer(&options->spec->dh_parameters, g_bytes_unref);
        if (g_bytes_get_size(parameters) == 0)
                return 1;

        r = session_dh_read(g_bytes_get_data(parameters, NULL), g_bytes_get_size(parameters),
                            &options->spec->dh_parameters);
        if (r < 0)
                return bus_refuse(error, fault(r), NULL);
        if (r)
                return bus_refuse_text(error, "InvalidInputParameters", "Option '%s': %s",
                                       key->name, session_dh_outcome_text((SessionDhOutcome)r));

        return 1;
}

static int read_session_ticket(sd_bus_message *m, const DictKey *key, void *userdata,
                               sd_bus_error *error) {
        Options *options = userdata;
        GBytes **ticket = &options->spec->ticket;
        int r;

        r = options_read_bytes(m, key, ticket, error);
        if (r < 0)
                return r;

        options->has_ticket = g_bytes_get_size(*ticket) > 0;
        if (!options->has_ticket)
                g_clear_pointer(ticket, g_bytes_unref);
        return 1;
}

static int read_cookie_hash(sd_bus_message *m, const DictKey *key, void *userdata,
                            sd_bus_error *error) {
        Options *options = userdata;
        const char *word;
        int r;

        r = options_read_word(m, &word, error);
        if (r < 0)
                return r;

        if (!g_strv_contains(cookie_hashes, word))
                return dict_refuse(error, key, word, COOKIE_HASHES);

        g_free(options->spec->cookie_hash);
        options->spec->cookie_hash = g_strdup(word);
        return 1;
}

static int read_cookie_secret(sd_bus_message *m, const DictKey *key, void *userdata,
                              sd_bus_error *error) {
        Options *options = userdata;
        int fd, r;

        r = read_fd(m, &fd, error);
        if (r < 0)
                return r;

        r = memfd_read(fd, &options->spec->cookie_secret);
        if (r < 0)
                return bus_refuse(error, fault(r), NULL);
        if (r)
                return bus_refuse_text(error, "InvalidInputParameters", "Option '%s': %s",
                                       key->name, memfd_outcome_text((MemfdOutcome)r));

        if (secret_size(options->spec->cookie_secret) > COOKIE_SECRET_MAX)
                return bus_refuse_text(error, "InvalidInputParameters",
                                       "Option '%s' has %zu bytes; it has to have 1 to %d",
                                       key->name, secret_size(options->spec->cookie_secret),
                                       COOKIE_SECRET_MAX);

        return 1;
}

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
        {"PskIdentityHint", "ay", SERVER | CREATE | SET_CONNECTION, read_psk_hint, 0, 0,
         SESSION_PSK_IDENTITY_MAX},
        {"Trust", "s", ALL, read_trust, 0, 0, 0},
        {"CaCertificates", "aay", ALL, read_ca_certificates, 0, 0, TRUST_ANCHORS_MAX},
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
        {"Announce", "b", LISTEN, read_bool, FIELD(announce), 0, 0},
        {.name = "Channel"},
        {.name = "Psks"},
        {.name = "Share"},
};

/* ---- what they mean together ---- */

static int options_join_peer(Options *options, sd_bus_error *error) {
        bool has_host = address_is_set(&options->peer_host);

        if (has_host != options->has_peer_port)
                return options_refuse(error, "PeerAddress and PeerPort belong together");

        if (has_host) {
                options->spec->peer = options->peer_host;
                address_set_port(&options->spec->peer, options->peer_port);
        }

        return 1;
}

static int options_join_local(Options *options, sd_bus_error *error) {
        const Address *peer = &options->spec->peer;
        bool has_host = address_is_set(&options->local_host);

        if (!has_host && options->local_port == 0)
                return 1;
        if (!has_host && !address_is_set(peer))
                return options_refuse(error, "LocalPort needs LocalAddress or PeerAddress, to tell "
                                             "IPv4 from IPv6");
        if (!has_host)
                options->local_host = address_any(address_family(peer), 0);
        if (address_is_set(peer) && address_family(peer) != address_family(&options->local_host))
                return options_refuse(error, "LocalAddress and PeerAddress have to be both IPv4 or "
                                             "both IPv6");

        options->spec->local = options->local_host;
        address_set_port(&options->spec->local, options->local_port);
        return 1;
}

static int options_join_transport(const Options *options, OptionsFor what, sd_bus_error *error) {
        const Spec *spec = options->spec;

        if (what == OPTIONS_FOR_CREATE && spec->role == DTLS_SERVER && !spec->external)
                return options_refuse(error, "Objects of mode 'server' need Transport 'external'; "
                                             "with 'udp' they come from a listener: call Listen");
        if (!spec->external)
                return 1;
        if (what != OPTIONS_FOR_CREATE && what != OPTIONS_FOR_SET_CONFIGURATION)
                return options_refuse(error, "Transport 'external' is for CreateConnection alone: "
                                             "nobody else could carry the datagrams");
        if (address_is_set(&options->local_host) || options->local_port != 0)
                return options_refuse(error, "With Transport 'external' there is no socket, and so "
                                             "neither LocalAddress nor LocalPort");
        if (spec->persistent)
                return options_refuse(error, "With Transport 'external' datagrams go to the name "
                                             "that owns the object; one that is Persistent has "
                                             "none");

        return 1;
}

static int options_join_credentials(const Options *options, sd_bus_error *error) {
        const Spec *spec = options->spec;

        if (options->has_identity && (options->has_chain || options->private_key_fd >= 0))
                return options_refuse(error, "Identity takes the place of CertificateChain and "
                                             "PrivateKey; give one of them");
        if (options->has_chain != (options->private_key_fd >= 0))
                return options_refuse(error, "CertificateChain and PrivateKey belong together");
        if (options->has_psk_identity != (options->psk_fd >= 0))
                return options_refuse(error, "PreSharedKeyIdentity and PreSharedKey belong "
                                             "together");
        if (options->has_ca_certificates && options->has_trust)
                return options_refuse(error, "CaCertificates take the place of Trust; give one of "
                                             "them");
        if (options->has_ciphers && options->has_profile)
                return options_refuse(error, "Ciphers take the place of CipherProfile; give one of "
                                             "them");
        if (options->has_ticket && !spec_has_tickets(spec))
                return options_refuse(error, "SessionTicket needs SslOptions, which may be empty, "
                                             "without DisableSessionTickets and "
                                             "DisableSessionPersistence");
        if (spec->chain && spec->mtu_hint != 0 && spec->mtu_hint < MTU_HINT_MIN_CERTIFICATE)
                return bus_refuse_text(error, "InvalidInputParameters",
                                       "MtuHint is %u; with CertificateChain it has to be 0, or %d "
                                       "and more",
                                       spec->mtu_hint, MTU_HINT_MIN_CERTIFICATE);

        return 1;
}

static int options_join_times(const Options *options, sd_bus_error *error) {
        Spec *spec = options->spec;

        if (spec->retransmit_max_usec < spec->retransmit_initial_usec)
                return options_refuse(error, "RetransmitMax has to be RetransmitInitial or more");

        if (!spec->persistent)
                return 1;
        if (options->inherits_signals)
                spec->datagram_signals = false;
        if (spec->datagram_signals)
                return options_refuse(error, "DatagramSignals go to the name that owns an object; "
                                             "one that is Persistent has none. Use ReadDatagram");
        if (options->has_idle_timeout && spec->idle_timeout_usec == 0)
                return options_refuse(error, "Persistent needs an IdleTimeout that is not 0");
        if (spec->idle_timeout_usec == 0)
                spec->idle_timeout_usec = IDLE_PERSISTENT_USEC;

        return 1;
}

/* Of two that exclude each other the one that was named counts. */
static void options_join_choices(const Options *options) {
        Spec *spec = options->spec;

        if (options->has_trust) {
                g_clear_pointer(&spec->trust, trust_unref);
                spec->trust_said = true;
        }
        if (options->has_profile)
                g_clear_pointer(&spec->ciphers, g_ptr_array_unref);
        if (options->has_ciphers)
                spec->profile = PROFILE_DEFAULT;

        /* who has a pre-shared key and says nothing of certificates wants no certificate */
        spec->trust_system =
                !spec->trust && (spec->trust_said || spec->chain || !spec->psk_identity);
}

static int options_join(Options *options, OptionsFor what, sd_bus_error *error) {
        Spec *spec = options->spec;
        int r;

        r = options_join_transport(options, what, error);
        if (r < 0)
                return r;

        r = options_join_peer(options, error);
        if (r < 0)
                return r;

        r = options_join_local(options, error);
        if (r < 0)
                return r;

        r = options_join_credentials(options, error);
        if (r < 0)
                return r;

        r = options_join_times(options, error);
        if (r < 0)
                return r;

        if (spec->persistent)
                g_clear_pointer(&spec->owner, g_free);
        options_join_choices(options);
        if (what == OPTIONS_FOR_CONNECT)
                spec->offer_psk = spec->psk_identity; /* nobody could be asked for one */
        return 1;
}

/* ---- the store ---- */

/* One user's name of another's is as if it were not there. */
static int options_take_identity(Bus *bus, const Options *options, sd_bus_error *error) {
        Spec *spec = options->spec;
        g_autofree char *quoted = NULL;

        if (!spec->identity)
                return 1;
        if (identity_is_for(spec->identity, spec->uid) && spec_follow_identity(spec, bus->keys))
                return 1;

        quoted = text_quote(spec->identity);
        return bus_refuse_text(error, "InvalidInputParameters",
                               "There is no identity '%s' in the store", quoted);
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
                return options_refuse(error, "PrivateKey does not match the first certificate of "
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

int options_read(Bus *bus, sd_bus_message *m, OptionsFor what, Spec *spec, sd_bus_error *error) {
        Options options = {.spec = spec, .private_key_fd = -1, .psk_fd = -1};
        Dict dict = {
                .keys = options_keys,
                .n_keys = G_N_ELEMENTS(options_keys),
                .where = 1u << what,
                .call = options_calls[what],
        };
        int r;

        options.inherits_signals = spec->datagram_signals;
        r = dict_read(m, &dict, &options, error);
        if (r < 0)
                return r;

        r = options_join(&options, what, error);
        if (r < 0)
                return r;

        r = options_take_identity(bus, &options, error);
        if (r < 0)
                return r;

        r = options_take_private_key(bus, m, &options, error);
        if (r <= 0)
                return r;

        return options_take_psk(bus, m, &options, error);
}

/* ---- what is not named ---- */

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

/* ---- asking ---- */

/* Whether a client goes on with a peer that nobody vouches for. */
static bool options_trust_anybody(const Spec *spec) {
        return spec->role == DTLS_CLIENT &&
               (spec->verify_mode == VERIFY_NONE || spec->verify_mode == QUERY_PEER ||
                spec->ignored_codes->len > 0);
}

static bool options_are_legacy(const Spec *spec) {
        for (guint i = 0; spec->ciphers && i < spec->ciphers->len; i++)
                if (session_cipher_is_legacy(g_ptr_array_index(spec->ciphers, i)))
                        return true;

        return spec->protocol == PROTOCOL_DTLS_1_0 ||
               spec->protocol == PROTOCOL_DTLS_1_0_OR_LATER || spec->profile == PROFILE_LEGACY;
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
                {options_trust_anybody(spec), ACCESS_VERIFY_NONE, NULL},
                {options_are_legacy(spec), ACCESS_LEGACY_PROTOCOL, NULL},
                {spec->ciphers != NULL, ACCESS_RAW_CIPHERS, NULL},
        };
        int r;

        r = spec->identity ? identity_ask(bus, m, ACCESS_USE, spec->identity, error) : 1;
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
