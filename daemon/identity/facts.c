/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Facts, see facts.h. */

#include "identity/facts.h"
#include "identity/certificate.h"

/* GnuTLS escapes what RFC 4514 wants escaped, and leaves the rest as the issuer wrote it. What is
 * not text, or moves a terminal's cursor, is escaped as that RFC allows. */
static char *facts_escape(const char *text, size_t size) {
        GString *out = g_string_sized_new(size);

        for (size_t at = 0; at < size;) {
                gunichar c = g_utf8_get_char_validated(text + at, (gssize)(size - at));
                bool is_character = c != (gunichar)-1 && c != (gunichar)-2;
                size_t length = is_character ? (size_t)g_unichar_to_utf8(c, NULL) : 1;

                if (is_character && g_unichar_isprint(c))
                        g_string_append_len(out, text + at, (gssize)length);
                else
                        for (size_t i = 0; i < length; i++)
                                g_string_append_printf(out, "\\%02X", (uint8_t)text[at + i]);
                at += length;
        }

        return g_string_free(out, FALSE);
}

char *facts_name(GBytes *der) {
        const gnutls_datum_t datum = {(void *)g_bytes_get_data(der, NULL),
                                      (unsigned)g_bytes_get_size(der)};
        gnutls_datum_t text = {0};
        char *name;

        if (gnutls_x509_rdn_get2(&datum, &text, 0) < 0)
                return g_strdup("");

        name = facts_escape((const char *)text.data, text.size);
        gnutls_free(text.data);
        return name;
}

static char *facts_subject(gnutls_x509_crt_t certificate) {
        gnutls_datum_t name = {0};
        char *subject;

        if (gnutls_x509_crt_get_dn3(certificate, &name, 0) < 0)
                return g_strdup("");

        subject = facts_escape((const char *)name.data, name.size);
        gnutls_free(name.data);
        return subject;
}

static uint64_t facts_not_after_usec(gnutls_x509_crt_t certificate) {
        time_t end = gnutls_x509_crt_get_expiration_time(certificate);

        if (end == GNUTLS_X509_NO_WELL_DEFINED_EXPIRATION)
                return UINT64_MAX;

        return end > 0 ? (uint64_t)end * G_USEC_PER_SEC : 0;
}

static const char *facts_key_type(gnutls_x509_crt_t certificate) {
        switch (gnutls_x509_crt_get_pk_algorithm(certificate, NULL)) {
        case GNUTLS_PK_ECDSA:
                return "ECDSA";
        case GNUTLS_PK_RSA:
                return "RSA";
        case GNUTLS_PK_RSA_PSS:
                return "RSA-PSS";
        case GNUTLS_PK_EDDSA_ED25519:
                return "Ed25519";
        case GNUTLS_PK_EDDSA_ED448:
                return "Ed448";
        default:
                return "";
        }
}

Facts facts_look(GBytes *der) {
        certificate_auto certificate = NULL;

        if (certificate_import(der, &certificate) != 0)
                return (Facts){.subject = g_strdup(""), .key_type = ""};

        return (Facts){
                .subject = facts_subject(certificate),
                .not_after_usec = facts_not_after_usec(certificate),
                .key_type = facts_key_type(certificate),
        };
}

void facts_done(Facts *facts) {
        g_free(facts->subject);
}
