/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is offered and accepted: GnuTLS's priority strings, put together from a profile, the
 * protocols and the kinds of credentials there are.
 *
 * Key transport with RSA is never offered: the keys are in another process, which signs only. DTLS
 * 1.0 has no AEAD suites, so whoever asks for it gets CBC with it. GnuTLS has ECDHE-PSK with
 * ChaCha20 and CBC alone.
 */

#include "session/private.h"

static bool priority_is_legacy(const SessionConfigSpec *spec) {
        return spec->profile == PROFILE_LEGACY || spec->protocol == PROTOCOL_DTLS_1_0 ||
               spec->protocol == PROTOCOL_DTLS_1_0_OR_LATER;
}

static const char *priority_versions(DtlsProtocol protocol) {
        switch (protocol) {
        case PROTOCOL_DTLS_1_0:
                return "+VERS-DTLS1.0";
        case PROTOCOL_DTLS_1_0_OR_LATER:
                return "+VERS-DTLS1.2:+VERS-DTLS1.0";
        case PROTOCOL_DTLS_1_2:
        case PROTOCOL_DTLS_1_2_OR_LATER:
        case N_DTLS_PROTOCOLS:
                break;
        }

        return "+VERS-DTLS1.2";
}

static void priority_key_exchanges(GString *priority, const SessionConfigSpec *spec,
                                   bool certificates) {
        bool legacy = spec->profile == PROFILE_LEGACY;

        g_string_append(priority, ":-KX-ALL");
        if (certificates)
                g_string_append(priority, ":+ECDHE-ECDSA:+ECDHE-RSA");
        if (certificates && legacy)
                g_string_append(priority, ":+DHE-RSA");
        if (spec->psk)
                g_string_append(priority, ":+ECDHE-PSK:+PSK");
        if (spec->psk && legacy)
                g_string_append(priority, ":+DHE-PSK");
}

static void priority_ciphers(GString *priority, const SessionConfigSpec *spec) {
        g_string_append(priority, ":-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:+AES-256-GCM");
        g_string_append(priority, ":+AES-128-CCM:-MAC-ALL:+AEAD");
        if (spec->profile == PROFILE_IOT)
                g_string_append(priority, ":+AES-128-CCM-8");
        if (priority_is_legacy(spec))
                g_string_append(priority, ":+AES-128-CBC:+AES-256-CBC:+SHA256:+SHA384:+SHA1");
}

char *priority_string(const SessionConfigSpec *spec, bool certificates) {
        GString *priority = g_string_new("NORMAL:-VERS-ALL:");

        g_string_append(priority, priority_versions(spec->protocol));
        priority_key_exchanges(priority, spec, certificates);
        priority_ciphers(priority, spec);
        if (!priority_is_legacy(spec))
                g_string_append(priority, ":-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:%PROFILE_MEDIUM");
        if (spec->role == DTLS_SERVER && spec->server_preference)
                g_string_append(priority, ":%SERVER_PRECEDENCE");

        return g_string_free(priority, FALSE);
}

const char *const *session_supported_ciphers(void) {
        static const char *const ciphers[] = {
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
                "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
                "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
                "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
                "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
                "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
                "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
                "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
                "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
                "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
                "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
                "TLS_DHE_RSA_WITH_AES_128_CCM",
                "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256",
                "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
                "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
                "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
                "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256",
                "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA",
                "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384",
                "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA",
                "TLS_PSK_WITH_AES_128_GCM_SHA256",
                "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_PSK_WITH_AES_256_GCM_SHA384",
                "TLS_PSK_WITH_AES_128_CCM",
                "TLS_PSK_WITH_AES_128_CCM_8",
                "TLS_PSK_WITH_AES_128_CBC_SHA256",
                "TLS_PSK_WITH_AES_128_CBC_SHA",
                "TLS_PSK_WITH_AES_256_CBC_SHA384",
                "TLS_PSK_WITH_AES_256_CBC_SHA",
                "TLS_DHE_PSK_WITH_AES_128_GCM_SHA256",
                "TLS_DHE_PSK_WITH_CHACHA20_POLY1305_SHA256",
                "TLS_DHE_PSK_WITH_AES_256_GCM_SHA384",
                "TLS_DHE_PSK_WITH_AES_128_CCM",
                "TLS_DHE_PSK_WITH_AES_128_CBC_SHA256",
                "TLS_DHE_PSK_WITH_AES_128_CBC_SHA",
                "TLS_DHE_PSK_WITH_AES_256_CBC_SHA384",
                "TLS_DHE_PSK_WITH_AES_256_CBC_SHA",
                NULL,
        };

        return ciphers;
}

const char *const *session_supported_curves(void) {
        static const char *const curves[] = {
                "SECP256R1", "SECP384R1", "SECP521R1", "X25519", "X448", NULL,
        };

        return curves;
}
