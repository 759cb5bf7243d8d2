/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "material.h"

#include <gnutls/crypto.h>
#include <string.h>

static unsigned material_bits(gnutls_pk_algorithm_t algorithm, unsigned bits) {
        if (algorithm != GNUTLS_PK_ECDSA)
                return bits;

        switch (bits) {
        case 224:
                return GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP224R1);
        case 256:
                return GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
        case 384:
                return GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1);
        default:
                return GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP521R1);
        }
}

gnutls_x509_privkey_t material_key(gnutls_pk_algorithm_t algorithm, unsigned bits) {
        gnutls_x509_privkey_t key;

        g_assert_cmpint(gnutls_x509_privkey_init(&key), ==, 0);
        g_assert_cmpint(
                gnutls_x509_privkey_generate(key, algorithm, material_bits(algorithm, bits), 0), ==,
                0);
        return key;
}

gnutls_x509_privkey_t material_of_no_use(gnutls_x509_privkey_t rsa) {
        gnutls_datum_t m, e, d, p, q, u, less = {NULL, 0};
        gnutls_x509_privkey_t key;

        g_assert_cmpint(gnutls_x509_privkey_export_rsa_raw(rsa, &m, &e, &d, &p, &q, &u), ==, 0);
        less = (gnutls_datum_t){g_memdup2(p.data, p.size), p.size};
        less.data[less.size - 1] &= 0xfe; /* a prime less 1 */
        g_assert_cmpint(gnutls_x509_privkey_init(&key), ==, 0);
        g_assert_cmpint(
                gnutls_x509_privkey_import_rsa_raw2(key, &m, &e, &less, &p, &q, NULL, NULL, NULL),
                ==, 0);
        g_free(less.data);
        gnutls_free(m.data);
        gnutls_free(e.data);
        gnutls_free(d.data);
        gnutls_free(p.data);
        gnutls_free(q.data);
        gnutls_free(u.data);
        return key;
}

static GBytes *material_take(gnutls_datum_t *data) {
        GBytes *bytes = g_bytes_new(data->data, data->size);

        gnutls_free(data->data);
        return bytes;
}

GBytes *material_export(gnutls_x509_privkey_t key, MaterialForm form) {
        bool pem = form == MATERIAL_TRADITIONAL_PEM || form == MATERIAL_PKCS8_PEM ||
                   form == MATERIAL_ENCRYPTED_PEM;
        bool encrypted = form == MATERIAL_ENCRYPTED_PEM || form == MATERIAL_ENCRYPTED_DER;
        gnutls_x509_crt_fmt_t format = pem ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER;
        gnutls_datum_t data;
        int r;

        if (form == MATERIAL_TRADITIONAL_PEM || form == MATERIAL_TRADITIONAL_DER)
                r = gnutls_x509_privkey_export2(key, format, &data);
        else
                r = gnutls_x509_privkey_export2_pkcs8(
                        key, format, encrypted ? "passphrase" : NULL,
                        encrypted ? GNUTLS_PKCS_PBES2_AES_128 : GNUTLS_PKCS_PLAIN, &data);
        g_assert_cmpint(r, ==, 0);
        return material_take(&data);
}

GBytes *material_spki(gnutls_x509_privkey_t key) {
        gnutls_privkey_t private;
        gnutls_pubkey_t public;
        gnutls_datum_t der;

        g_assert_cmpint(gnutls_privkey_init(&private), ==, 0);
        g_assert_cmpint(gnutls_privkey_import_x509(private, key, 0), ==, 0);
        g_assert_cmpint(gnutls_pubkey_init(&public), ==, 0);
        g_assert_cmpint(gnutls_pubkey_import_privkey(public, private, 0, 0), ==, 0);
        g_assert_cmpint(gnutls_pubkey_export2(public, GNUTLS_X509_FMT_DER, &der), ==, 0);
        gnutls_pubkey_deinit(public);
        gnutls_privkey_deinit(private);
        return material_take(&der);
}

GBytes *material_hash(gnutls_digest_algorithm_t hash, const char *text) {
        size_t size = (size_t)gnutls_hash_get_len(hash);
        g_autofree guint8 *digest = g_malloc(size);

        g_assert_cmpint(gnutls_hash_fast(hash, text, strlen(text), digest), ==, 0);
        return g_bytes_new(digest, size);
}

GBytes *material_digest_info(gnutls_digest_algorithm_t hash, const char *text) {
        g_autoptr(GBytes) bytes = material_hash(hash, text);
        gnutls_datum_t digest, info = {NULL, 0};
        gsize size;

        digest.data = (unsigned char *)g_bytes_get_data(bytes, &size);
        digest.size = (unsigned)size;
        g_assert_cmpint(gnutls_encode_ber_digest_info(hash, &digest, &info), ==, 0);
        return material_take(&info);
}

bool material_verifies(GBytes *spki, gnutls_sign_algorithm_t algorithm, const char *text,
                       const void *signature, size_t size) {
        const gnutls_datum_t data = {(unsigned char *)text, (unsigned)strlen(text)};
        const gnutls_datum_t signed_ = {(unsigned char *)signature, (unsigned)size};
        gnutls_datum_t der;
        gnutls_pubkey_t public;
        gsize der_size;
        int r;

        der.data = (unsigned char *)g_bytes_get_data(spki, &der_size);
        der.size = (unsigned)der_size;
        g_assert_cmpint(gnutls_pubkey_init(&public), ==, 0);
        g_assert_cmpint(gnutls_pubkey_import(public, &der, GNUTLS_X509_FMT_DER), ==, 0);
        r = gnutls_pubkey_verify_data2(public, algorithm, 0, &data, &signed_);
        gnutls_pubkey_deinit(public);
        return r >= 0;
}
