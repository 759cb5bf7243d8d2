/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * configuration: a Spec as the a{sv} of the property Configuration: the options as in effect. Keys
 * and certificates are shown by their fingerprints, secrets not at all. interfaces/README.md has
 * the types.
 */

#include "bus/private.h"

#define USEC_PER_MSEC 1000

static int append_fingerprint(sd_bus_message *reply, GBytes *der) {
        g_autofree char *fingerprint = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, der);

        return sd_bus_message_append_basic(reply, 's', fingerprint);
}

static int append_entry_strings(sd_bus_message *reply, const char *key,
                                const char *const *strings) {
        int r;

        r = entry_open(reply, key, "as");
        if (r < 0)
                return r;

        r = sd_bus_message_append_strv(reply, (char **)strings);
        return r < 0 ? r : entry_close(reply);
}

static int append_entry_bytes(sd_bus_message *reply, const char *key, GBytes *bytes) {
        int r;

        r = entry_open(reply, key, "ay");
        if (r < 0)
                return r;

        r = append_bytes(reply, bytes);
        return r < 0 ? r : entry_close(reply);
}

static int append_chain(sd_bus_message *reply, const Chain *chain) {
        int r;

        r = entry_open(reply, "CertificateChain", "as");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; r >= 0 && i < chain_count(chain); i++)
                r = append_fingerprint(reply, chain_der(chain, i));
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : entry_close(reply);
}

static int append_private_key(sd_bus_message *reply, const Key *key) {
        GBytes *spki = key_spki(key);
        int r;

        r = entry_open(reply, "PrivateKey", "s");
        if (r >= 0)
                r = spki ? append_fingerprint(reply, spki) : append_text(reply, "");
        return r < 0 ? r : entry_close(reply);
}

static int append_who_we_are(sd_bus_message *reply, const Spec *spec) {
        g_autoptr(GBytes) hint = NULL;
        int r = 0;

        if (spec->identity)
                r = append_entry_text(reply, "Identity", spec->identity);
        if (r >= 0 && spec->chain)
                r = append_chain(reply, spec->chain);
        if (r >= 0 && spec->key)
                r = append_private_key(reply, spec->key);
        if (r >= 0 && spec->psk_identity)
                r = append_entry_bytes(reply, "PreSharedKeyIdentity", spec->psk_identity);
        if (r >= 0)
                r = append_entry_bool(reply, "PreSharedKey", spec->psk);
        if (r >= 0 && spec->psks)
                r = append_entry_strings(reply, "Psks", (const char *const *)spec->psks->patterns);
        if (r >= 0 && spec->psk_hint) {
                hint = g_bytes_new(spec->psk_hint, strlen(spec->psk_hint));
                r = append_entry_bytes(reply, "PskIdentityHint", hint);
        }

        return r;
}

static int append_ignored_error(sd_bus_message *reply, const VerdictError *error) {
        int r;

        r = sd_bus_message_open_container(reply, 'r', "ss");
        if (r >= 0)
                r = append_text(reply, verdict_code_name(error->code));
        if (r >= 0)
                r = error->certificate ? append_fingerprint(reply, error->certificate)
                                       : append_text(reply, "");
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_ignored(sd_bus_message *reply, const GArray *ignored) {
        int r;

        r = entry_open(reply, "IgnoredErrors", "a(ss)");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ss)");
        for (guint i = 0; r >= 0 && i < ignored->len; i++)
                r = append_ignored_error(reply, &g_array_index(ignored, VerdictError, i));
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : entry_close(reply);
}

static int append_ignored_codes(sd_bus_message *reply, const GArray *codes) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();

        for (guint i = 0; i < codes->len; i++)
                g_ptr_array_add(names,
                                (char *)verdict_code_name(g_array_index(codes, VerdictCode, i)));
        g_ptr_array_add(names, NULL);

        return append_entry_strings(reply, "IgnoredErrorsOfAnyCertificate",
                                    (const char *const *)names->pdata);
}

static const char *trust_text(const Spec *spec) {
        if (spec->trust_name)
                return spec->trust_name;

        return spec->trust_system ? "system" : "";
}

static int append_whom_we_trust(sd_bus_message *reply, const Spec *spec) {
        int r;

        if (spec->trust)
                r = append_entry_strings(reply, "CaCertificates", trust_fingerprints(spec->trust));
        else
                r = append_entry_text(reply, "Trust", trust_text(spec));
        if (r >= 0)
                r = append_entry_text(reply, "PeerVerifyMode",
                                      peer_verify_mode_name(spec->verify_mode));
        if (r >= 0)
                r = append_entry_number(reply, "PeerVerifyDepth", spec->verify_depth);
        if (r >= 0)
                r = append_entry_bool(reply, "HandshakeMustInterruptOnError",
                                      spec->interrupt_on_error);
        if (r >= 0)
                r = append_entry_bool(reply, "MissingCertificateIsFatal",
                                      spec->missing_certificate_is_fatal);
        if (r >= 0 && spec->role == DTLS_CLIENT)
                r = append_entry_bool(reply, "OcspStapling", spec->ocsp_stapling);
        if (r >= 0 && spec->role == DTLS_CLIENT)
                r = append_entry_bool(reply, "TrustOnFirstUse", spec->first_use);
        if (r >= 0 && spec->role == DTLS_CLIENT)
                r = append_entry_bool(reply, "SessionTicket", spec->ticket);
        if (r >= 0)
                r = append_ignored(reply, spec->ignored);
        if (r >= 0)
                r = append_ignored_codes(reply, spec->ignored_codes);
        return r;
}

static int append_times(sd_bus_message *reply, const Spec *spec) {
        const struct {
                const char *key;
                uint64_t usec;
        } times[] = {
                {"RetransmitInitial", spec->retransmit_initial_usec},
                {"RetransmitMax", spec->retransmit_max_usec},
                {"HandshakeDeadline", spec->handshake_deadline_usec},
                {"AnswerDeadline", spec->answer_deadline_usec},
                {"IdleTimeout", spec->idle_timeout_usec},
        };
        int r;

        r = append_entry_text(reply, "Retransmission", spec->manual ? "manual" : "automatic");
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(times); i++)
                r = append_entry_number(reply, times[i].key, times[i].usec / USEC_PER_MSEC);
        return r;
}

static int append_server(sd_bus_message *reply, const Spec *spec) {
        int r;

        r = append_entry_bool(reply, "CookieVerification", spec->cookies);
        if (r >= 0)
                r = append_entry_text(reply, "CookieHash", spec->cookie_hash);
        if (r >= 0 && spec->dh_parameters)
                r = append_entry_bytes(reply, "DhParameters", spec->dh_parameters);
        if (r >= 0)
                r = append_entry_bool(reply, "Announce", spec->announce);
        return r;
}

static int append_names(sd_bus_message *reply, const char *key, const GPtrArray *names) {
        g_autoptr(GPtrArray) strings = NULL;

        if (!names)
                return 0;

        strings = g_ptr_array_copy((GPtrArray *)names, NULL, NULL);
        g_ptr_array_add(strings, NULL);
        return append_entry_strings(reply, key, (const char *const *)strings->pdata);
}

static int append_next_protocols(sd_bus_message *reply, GPtrArray *protocols) {
        int r;

        r = entry_open(reply, "NextProtocols", "aay");
        if (r >= 0)
                r = append_byte_arrays(reply, protocols);
        return r < 0 ? r : entry_close(reply);
}

const char *transport_name(const Spec *spec) {
        return spec->external ? "external" : "udp";
}

static int append_rest(sd_bus_message *reply, const Spec *spec) {
        int r;

        r = append_entry_text(reply, "Transport", transport_name(spec));
        if (r >= 0 && spec->channel > 0)
                r = append_entry_number(reply, "Channel", spec->channel);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}", "MtuHint", "q", spec->mtu_hint);
        if (r >= 0)
                r = append_entry_bool(reply, "DontFragment", spec->dont_fragment);
        if (r >= 0)
                r = append_entry_text(reply, "Protocol", dtls_protocol_name(spec->protocol));
        if (r >= 0 && !spec->ciphers)
                r = append_entry_text(reply, "CipherProfile", cipher_profile_name(spec->profile));
        if (r >= 0)
                r = append_names(reply, "Ciphers", spec->ciphers);
        if (r >= 0)
                r = append_names(reply, "EllipticCurves", spec->curves);
        if (r >= 0)
                r = append_names(reply, "SslOptions", spec->ssl_options);
        if (r >= 0 && spec->next_protocols)
                r = append_next_protocols(reply, spec->next_protocols);
        if (r >= 0)
                r = append_entry_bool(reply, "DatagramSignals", spec->datagram_signals);
        if (r >= 0)
                r = append_entry_bool(reply, "Persistent", spec->persistent);
        if (r >= 0 && spec->shares)
                r = append_shares_entry(reply, spec->shares);
        return r;
}

int options_append(sd_bus_message *reply, const Spec *spec) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = append_rest(reply, spec);
        if (r >= 0)
                r = append_who_we_are(reply, spec);
        if (r >= 0)
                r = append_whom_we_trust(reply, spec);
        if (r >= 0)
                r = append_times(reply, spec);
        if (r >= 0 && spec->role == DTLS_SERVER)
                r = append_server(reply, spec);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
