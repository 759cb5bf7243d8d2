/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The cipher suites and curves there are, by every name that callers write: IANA's, and OpenSSL's,
 * which is what users of Qt know. GnuTLS has other names, and no way back from these.
 */

#include "session/private.h"

/* Best first within a key exchange. */
static const Suite suites_all[] = {
        {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", 0xc02b,
         "ECDHE-ECDSA", "AES-128-GCM", "AEAD"},
        {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", 0xcca9,
         "ECDHE-ECDSA", "CHACHA20-POLY1305", "AEAD"},
        {"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", 0xc02c,
         "ECDHE-ECDSA", "AES-256-GCM", "AEAD"},
        {"TLS_ECDHE_ECDSA_WITH_AES_128_CCM", "ECDHE-ECDSA-AES128-CCM", 0xc0ac, "ECDHE-ECDSA",
         "AES-128-CCM", "AEAD"},
        {"TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", "ECDHE-ECDSA-AES128-CCM8", 0xc0ae, "ECDHE-ECDSA",
         "AES-128-CCM-8", "AEAD"},
        {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "ECDHE-ECDSA-AES128-SHA256", 0xc023,
         "ECDHE-ECDSA", "AES-128-CBC", "SHA256"},
        {"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-SHA", 0xc009, "ECDHE-ECDSA",
         "AES-128-CBC", "SHA1"},
        {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "ECDHE-ECDSA-AES256-SHA384", 0xc024,
         "ECDHE-ECDSA", "AES-256-CBC", "SHA384"},
        {"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "ECDHE-ECDSA-AES256-SHA", 0xc00a, "ECDHE-ECDSA",
         "AES-256-CBC", "SHA1"},
        {"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", 0xc02f,
         "ECDHE-RSA", "AES-128-GCM", "AEAD"},
        {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305", 0xcca8,
         "ECDHE-RSA", "CHACHA20-POLY1305", "AEAD"},
        {"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", 0xc030,
         "ECDHE-RSA", "AES-256-GCM", "AEAD"},
        {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "ECDHE-RSA-AES128-SHA256", 0xc027, "ECDHE-RSA",
         "AES-128-CBC", "SHA256"},
        {"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA", 0xc013, "ECDHE-RSA",
         "AES-128-CBC", "SHA1"},
        {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", "ECDHE-RSA-AES256-SHA384", 0xc028, "ECDHE-RSA",
         "AES-256-CBC", "SHA384"},
        {"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA", 0xc014, "ECDHE-RSA",
         "AES-256-CBC", "SHA1"},
        {"TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", "DHE-RSA-AES128-GCM-SHA256", 0x009e, "DHE-RSA",
         "AES-128-GCM", "AEAD"},
        {"TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "DHE-RSA-CHACHA20-POLY1305", 0xccaa,
         "DHE-RSA", "CHACHA20-POLY1305", "AEAD"},
        {"TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", "DHE-RSA-AES256-GCM-SHA384", 0x009f, "DHE-RSA",
         "AES-256-GCM", "AEAD"},
        {"TLS_DHE_RSA_WITH_AES_128_CCM", "DHE-RSA-AES128-CCM", 0xc09e, "DHE-RSA", "AES-128-CCM",
         "AEAD"},
        {"TLS_DHE_RSA_WITH_AES_128_CBC_SHA256", "DHE-RSA-AES128-SHA256", 0x0067, "DHE-RSA",
         "AES-128-CBC", "SHA256"},
        {"TLS_DHE_RSA_WITH_AES_128_CBC_SHA", "DHE-RSA-AES128-SHA", 0x0033, "DHE-RSA", "AES-128-CBC",
         "SHA1"},
        {"TLS_DHE_RSA_WITH_AES_256_CBC_SHA256", "DHE-RSA-AES256-SHA256", 0x006b, "DHE-RSA",
         "AES-256-CBC", "SHA256"},
        {"TLS_DHE_RSA_WITH_AES_256_CBC_SHA", "DHE-RSA-AES256-SHA", 0x0039, "DHE-RSA", "AES-256-CBC",
         "SHA1"},
        {"TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-PSK-CHACHA20-POLY1305", 0xccac,
         "ECDHE-PSK", "CHACHA20-POLY1305", "AEAD"},
        {"TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256", "ECDHE-PSK-AES128-CBC-SHA256", 0xc037,
         "ECDHE-PSK", "AES-128-CBC", "SHA256"},
        {"TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA", "ECDHE-PSK-AES128-CBC-SHA", 0xc035, "ECDHE-PSK",
         "AES-128-CBC", "SHA1"},
        {"TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384", "ECDHE-PSK-AES256-CBC-SHA384", 0xc038,
         "ECDHE-PSK", "AES-256-CBC", "SHA384"},
        {"TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA", "ECDHE-PSK-AES256-CBC-SHA", 0xc036, "ECDHE-PSK",
         "AES-256-CBC", "SHA1"},
        {"TLS_PSK_WITH_AES_128_GCM_SHA256", "PSK-AES128-GCM-SHA256", 0x00a8, "PSK", "AES-128-GCM",
         "AEAD"},
        {"TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", "PSK-CHACHA20-POLY1305", 0xccab, "PSK",
         "CHACHA20-POLY1305", "AEAD"},
        {"TLS_PSK_WITH_AES_256_GCM_SHA384", "PSK-AES256-GCM-SHA384", 0x00a9, "PSK", "AES-256-GCM",
         "AEAD"},
        {"TLS_PSK_WITH_AES_128_CCM", "PSK-AES128-CCM", 0xc0a4, "PSK", "AES-128-CCM", "AEAD"},
        {"TLS_PSK_WITH_AES_128_CCM_8", "PSK-AES128-CCM8", 0xc0a8, "PSK", "AES-128-CCM-8", "AEAD"},
        {"TLS_PSK_WITH_AES_128_CBC_SHA256", "PSK-AES128-CBC-SHA256", 0x00ae, "PSK", "AES-128-CBC",
         "SHA256"},
        {"TLS_PSK_WITH_AES_128_CBC_SHA", "PSK-AES128-CBC-SHA", 0x008c, "PSK", "AES-128-CBC",
         "SHA1"},
        {"TLS_PSK_WITH_AES_256_CBC_SHA384", "PSK-AES256-CBC-SHA384", 0x00af, "PSK", "AES-256-CBC",
         "SHA384"},
        {"TLS_PSK_WITH_AES_256_CBC_SHA", "PSK-AES256-CBC-SHA", 0x008d, "PSK", "AES-256-CBC",
         "SHA1"},
        {"TLS_DHE_PSK_WITH_AES_128_GCM_SHA256", "DHE-PSK-AES128-GCM-SHA256", 0x00aa, "DHE-PSK",
         "AES-128-GCM", "AEAD"},
        {"TLS_DHE_PSK_WITH_CHACHA20_POLY1305_SHA256", "DHE-PSK-CHACHA20-POLY1305", 0xccad,
         "DHE-PSK", "CHACHA20-POLY1305", "AEAD"},
        {"TLS_DHE_PSK_WITH_AES_256_GCM_SHA384", "DHE-PSK-AES256-GCM-SHA384", 0x00ab, "DHE-PSK",
         "AES-256-GCM", "AEAD"},
        {"TLS_DHE_PSK_WITH_AES_128_CCM", "DHE-PSK-AES128-CCM", 0xc0a6, "DHE-PSK", "AES-128-CCM",
         "AEAD"},
        {"TLS_DHE_PSK_WITH_AES_128_CBC_SHA256", "DHE-PSK-AES128-CBC-SHA256", 0x00b2, "DHE-PSK",
         "AES-128-CBC", "SHA256"},
        {"TLS_DHE_PSK_WITH_AES_128_CBC_SHA", "DHE-PSK-AES128-CBC-SHA", 0x0090, "DHE-PSK",
         "AES-128-CBC", "SHA1"},
        {"TLS_DHE_PSK_WITH_AES_256_CBC_SHA384", "DHE-PSK-AES256-CBC-SHA384", 0x00b3, "DHE-PSK",
         "AES-256-CBC", "SHA384"},
        {"TLS_DHE_PSK_WITH_AES_256_CBC_SHA", "DHE-PSK-AES256-CBC-SHA", 0x0091, "DHE-PSK",
         "AES-256-CBC", "SHA1"},
};

typedef struct SuiteCurve {
        const char *name;   /* GnuTLS's, which the bus shows */
        const char *others; /* OpenSSL's and NIST's, each with a space behind */
} SuiteCurve;

static const SuiteCurve suites_curves[] = {
        {"SECP256R1", "prime256v1 secp256r1 P-256 "},
        {"SECP384R1", "secp384r1 P-384 "},
        {"SECP521R1", "secp521r1 P-521 "},
        {"X25519", "x25519 "},
        {"X448", "x448 "},
};

const Suite *suite_find(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(suites_all); i++)
                if (g_str_equal(suites_all[i].iana, name) ||
                    g_str_equal(suites_all[i].openssl, name))
                        return &suites_all[i];

        return NULL;
}

const Suite *suite_find_id(uint16_t id) {
        for (size_t i = 0; i < G_N_ELEMENTS(suites_all); i++)
                if (suites_all[i].id == id)
                        return &suites_all[i];

        return NULL;
}

bool suite_has_psk(const Suite *suite) {
        return g_str_has_suffix(suite->key_exchange, "PSK");
}

bool suite_is_for_dtls_1_0(const Suite *suite) {
        return g_str_equal(suite->mac, "SHA1");
}

const char *session_cipher_from_name(const char *name) {
        const Suite *suite = suite_find(name);

        return suite ? suite->iana : NULL;
}

bool session_cipher_is_legacy(const char *name) {
        const Suite *suite = suite_find(name);

        return suite &&
               (g_str_has_prefix(suite->key_exchange, "DHE") || !g_str_equal(suite->mac, "AEAD"));
}

const char *session_curve_from_name(const char *name) {
        g_autofree char *other = g_strconcat(name, " ", NULL);

        if (strchr(name, ' '))
                return NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(suites_curves); i++) {
                const char *others = suites_curves[i].others;
                const char *at = strstr(others, other);

                if (g_str_equal(suites_curves[i].name, name))
                        return suites_curves[i].name;
                if (at && (at == others || at[-1] == ' '))
                        return suites_curves[i].name;
        }

        return NULL;
}

const char *const *session_supported_ciphers(void) {
        static const char *names[G_N_ELEMENTS(suites_all) + 1];

        for (size_t i = 0; i < G_N_ELEMENTS(suites_all); i++)
                names[i] = suites_all[i].iana;

        return names;
}

const char *const *session_supported_curves(void) {
        static const char *names[G_N_ELEMENTS(suites_curves) + 1];

        for (size_t i = 0; i < G_N_ELEMENTS(suites_curves); i++)
                names[i] = suites_curves[i].name;

        return names;
}
