/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * option-values: options that are one number, word or address.
 */

#include "base/fault.h"
#include "bus/option-readers.h"

#include <string.h>

#define IDLE_TIMEOUT_MIN 100 /* ms */
#define MTU_HINT_MAX 65507   /* UDP over IPv4 */

static void *options_field(const Options *options, const DictKey *key) {
        return (uint8_t *)options->spec + key->offset;
}

/* ---- values that go straight into the Spec ---- */

int read_bool(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
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
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option '%s' is %" G_GUINT32_FORMAT
                                       "; it has to be %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                                       key->name, value, key->minimum, key->maximum);

        *ret = value;
        return 1;
}

int read_number(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        return options_read_number(m, key, options_field(userdata, key), error);
}

int read_milliseconds(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        uint64_t *field = options_field(userdata, key);
        uint32_t value = 0;
        int r;

        r = options_read_number(m, key, &value, error);
        if (r < 0)
                return r;

        *field = value * MSEC_USEC;
        return 1;
}

int read_idle_timeout(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        uint32_t value = 0;
        int r;

        r = options_read_number(m, key, &value, error);
        if (r < 0)
                return r;

        if (value > 0 && value < IDLE_TIMEOUT_MIN)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option 'IdleTimeout' is %" G_GUINT32_FORMAT
                                       "; it has to be 0 or %d to %lu",
                                       value, IDLE_TIMEOUT_MIN, IDLE_TIMEOUT_MAX);

        options->has_idle_timeout = true;
        options->spec->idle_timeout_usec = value * MSEC_USEC;
        return 1;
}

int read_mtu_hint(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        uint16_t *field = options_field(userdata, key);
        uint16_t value;
        int r;

        r = sd_bus_message_read_basic(m, 'q', &value);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        if (value != 0 && (value < SESSION_MTU_MIN || value > MTU_HINT_MAX))
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option 'MtuHint' is %u; it has to be 0 or %d to %d", value,
                                       SESSION_MTU_MIN, MTU_HINT_MAX);

        *field = value;
        return 1;
}

/* ---- words ---- */

int options_read_word(sd_bus_message *m, const char **ret, sd_bus_error *error) {
        int r;

        r = sd_bus_message_read_basic(m, 's', ret);
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}

int read_transport(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
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

int read_trust(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        const char *word;
        int r;

        r = options_read_word(m, &word, error);
        if (r < 0)
                return r;

        options->has_trust = true;
        g_free(options->spec->trust_name);
        options->spec->trust_name = strcmp(word, "system") == 0 ? NULL : g_strdup(word);
        return 1;
}

int read_verify_mode(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
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

int read_protocol(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
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

int read_profile(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
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

int read_retransmission(sd_bus_message *m, const DictKey *key, void *userdata,
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
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
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

        if (port == 0)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Port 0 is no peer's port; say one from 1 to 65535");
        if (!address_is_peer(&peer))
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "'%s' is no peer's address: it must not be the null, a "
                                       "multicast or a broadcast address",
                                       text);

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
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "'%s' cannot be an address of this host: it has to be one "
                                       "of its own, or the wildcard 0.0.0.0 or ::",
                                       text);

        *ret = local;
        return 1;
}

int options_check_name(const char *name, sd_bus_error *error) {
        if (strlen(name) > VERIFICATION_NAME_MAX)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "The verification name has %zu bytes; at most %d are "
                                       "possible",
                                       strlen(name), VERIFICATION_NAME_MAX);

        return 1;
}

int read_verification_name(sd_bus_message *m, const DictKey *key, void *userdata,
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

int read_peer_address(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        const char *text;
        int r;

        r = options_read_word(m, &text, error);
        if (r < 0)
                return r;

        return options_read_peer(text, /* port= */ 1, &options->peer_host, error);
}

int read_local_address(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        const char *text;
        int r;

        r = options_read_word(m, &text, error);
        if (r < 0)
                return r;

        return options_read_local(text, /* port= */ 0, &options->local_host, error);
}

int read_peer_port(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
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

int read_local_port(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        int r;

        r = sd_bus_message_read_basic(m, 'q', &options->local_port);
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}
