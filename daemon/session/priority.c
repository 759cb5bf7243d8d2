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
        default:
                return "+VERS-DTLS1.2";
        }
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

/* Once, however many suites have it. */
static void priority_add(GString *priority, const char *word) {
        g_auto(GStrv) words = g_strsplit(priority->str, ":", -1);
        g_autofree char *keyword = g_strconcat("+", word, NULL);

        if (!g_strv_contains((const char *const *)words, keyword))
                g_string_append_printf(priority, ":%s", keyword);
}

/* The product of which these suites are a part. */
static void priority_suites(GString *priority, const Suite *const *suites, size_t n_suites) {
        g_string_append(priority, ":-KX-ALL");
        for (size_t i = 0; i < n_suites; i++)
                priority_add(priority, suites[i]->key_exchange);
        g_string_append(priority, ":-CIPHER-ALL");
        for (size_t i = 0; i < n_suites; i++)
                priority_add(priority, suites[i]->cipher);
        g_string_append(priority, ":-MAC-ALL");
        for (size_t i = 0; i < n_suites; i++)
                priority_add(priority, suites[i]->mac);
}

static void priority_curves(GString *priority, const GPtrArray *curves) {
        g_string_append(priority, ":-GROUP-ALL");
        for (guint i = 0; i < curves->len; i++)
                g_string_append_printf(priority, ":+GROUP-%s", (const char *)curves->pdata[i]);
        g_string_append(priority, ":+GROUP-DH-ALL");
}

char *priority_string(const SessionConfigSpec *spec, bool certificates, const Suite *const *suites,
                      size_t n_suites) {
        GString *priority = g_string_new("NORMAL:-VERS-ALL:");

        g_string_append(priority, priority_versions(spec->protocol));
        if (n_suites > 0) {
                priority_suites(priority, suites, n_suites);
        } else {
                priority_key_exchanges(priority, spec, certificates);
                priority_ciphers(priority, spec);
        }
        if (spec->curves)
                priority_curves(priority, spec->curves);
        if (!priority_is_legacy(spec))
                g_string_append(priority, ":-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:%PROFILE_MEDIUM");
        if (spec->role == DTLS_SERVER && spec->server_preference)
                g_string_append(priority, ":%SERVER_PRECEDENCE");

        return g_string_free(priority, FALSE);
}
