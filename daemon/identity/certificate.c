/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * certificate, see certificate.h. What is inside is GnuTLS's to judge, which refuses bytes behind a
 * certificate by itself.
 */

#include "identity/certificate.h"
#include "base/fault.h"
#include "identity/pem.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A signature of such a key is checked in a millisecond. An exponent as long as the modulus takes
 * a hundred times that, for each of a chain, and the whole service waits. */
#define CERTIFICATE_KEY_BITS_MAX 8192
#define CERTIFICATE_EXPONENT_SIZE_MAX 8

static gnutls_datum_t certificate_datum(GBytes *bytes) {
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);

        g_assert(size <= UINT_MAX);

        return (gnutls_datum_t){(void *)data, (unsigned)size};
}

/* No certificate is shorter than 128 bytes, so its length has the long form. */
static bool certificate_is_der(const uint8_t *data, size_t size) {
        return size >= 2 && data[0] == 0x30 && data[1] & 0x80;
}

int certificate_import(GBytes *der, gnutls_x509_crt_t *ret) {
        certificate_auto certificate = NULL;
        gnutls_datum_t datum = certificate_datum(der);

        if (gnutls_x509_crt_init(&certificate) < 0)
                return fault(-ENOMEM);

        if (gnutls_x509_crt_import(certificate, &datum, GNUTLS_X509_FMT_DER) < 0)
                return CERTIFICATE_E_MALFORMED;

        *ret = g_steal_pointer(&certificate);
        return 0;
}

GBytes *certificate_export(gnutls_x509_crt_t certificate) {
        gnutls_datum_t der;

        if (gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, &der) < 0)
                return NULL;

        return g_bytes_new_with_free_func(der.data, der.size, gnutls_free, der.data);
}

char *certificate_fingerprint(GBytes *der) {
        return g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, der);
}

static bool certificate_has_short_exponent(gnutls_x509_crt_t certificate) {
        gnutls_datum_t modulus, exponent;
        gnutls_pubkey_t key;
        bool is = false;

        if (gnutls_pubkey_init(&key) < 0)
                return false;

        if (gnutls_pubkey_import_x509(key, certificate, 0) >= 0 &&
            gnutls_pubkey_export_rsa_raw2(key, &modulus, &exponent, GNUTLS_EXPORT_FLAG_NO_LZ) >=
                    0) {
                is = exponent.size <= CERTIFICATE_EXPONENT_SIZE_MAX;
                gnutls_free(modulus.data);
                gnutls_free(exponent.data);
        }

        gnutls_pubkey_deinit(key);
        return is;
}

bool certificate_is_bearable(gnutls_x509_crt_t certificate) {
        unsigned bits = 0;
        int algorithm = gnutls_x509_crt_get_pk_algorithm(certificate, &bits);

        switch (algorithm) {
        case GNUTLS_PK_RSA:
        case GNUTLS_PK_RSA_PSS:
                return bits <= CERTIFICATE_KEY_BITS_MAX &&
                       certificate_has_short_exponent(certificate);
        case GNUTLS_PK_DSA: /* as slow, and nobody has one */
                return false;
        default:
                return algorithm >= 0 && bits <= CERTIFICATE_KEY_BITS_MAX;
        }
}

bool certificate_signature_is_strong(int algorithm) {
        return algorithm >= 0 && gnutls_sign_is_secure2((gnutls_sign_algorithm_t)algorithm,
                                                        GNUTLS_SIGN_FLAG_SECURE_FOR_CERTS);
}

static int certificate_split_pem(GBytes *blob, size_t n_max, GPtrArray *ders) {
        switch ((PemOutcome)pem_split(blob, "CERTIFICATE", n_max, ders)) {
        case PEM_E_MALFORMED:
                return CERTIFICATE_E_MALFORMED;
        case PEM_E_TOO_MANY:
                return CERTIFICATE_E_TOO_MANY;
        }

        return 0;
}

static int certificate_split_der(GBytes *blob, size_t n_max, GPtrArray *ders) {
        if (ders->len >= n_max)
                return CERTIFICATE_E_TOO_MANY;

        g_ptr_array_add(ders, g_bytes_ref(blob));
        return 0;
}

GPtrArray *certificate_array_new(void) {
        return g_ptr_array_new_with_free_func((GDestroyNotify)gnutls_x509_crt_deinit);
}

int certificate_split(GBytes *blob, size_t n_max, GPtrArray *ders, GPtrArray *certificates) {
        size_t n_before = ders->len;
        gsize size;
        const uint8_t *data = g_bytes_get_data(blob, &size);
        int r;

        r = certificate_is_der(data, size) ? certificate_split_der(blob, n_max, ders)
                                           : certificate_split_pem(blob, n_max, ders);
        if (r)
                return r;

        for (size_t i = n_before; i < ders->len; i++) {
                gnutls_x509_crt_t certificate = NULL;

                if (g_bytes_get_size(ders->pdata[i]) > CERTIFICATE_SIZE_MAX)
                        return CERTIFICATE_E_TOO_LONG;

                r = certificate_import(ders->pdata[i], &certificate);
                if (r)
                        return r < 0 ? fault(r) : r;

                g_ptr_array_add(certificates, certificate);
        }

        return 0;
}
