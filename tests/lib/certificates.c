/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Certificates for tests, see certificates.h.
 *
 * A certificate is imported again from its DER after it was signed: the object it was built in
 * lacks fields that GnuTLS compares when it looks for an issuer.
 */

#include "lib/certificates.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509-ext.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define TEST_SERIAL_SIZE 8
#define DAY ((time_t)24 * 60 * 60)
/* Not a whole number of days: what is left of it would be another number within a test. */
#define VALID (30 * DAY - DAY / 2)

struct TestIdentity {
        gnutls_x509_privkey_t key;
        gnutls_x509_crt_t certificate;
        TestKeyType key_type;
        GBytes *der;
        GBytes *pem;
        GBytes *key_pem;
};

static const struct {
        gnutls_pk_algorithm_t algorithm;
        unsigned bits;
        gnutls_digest_algorithm_t digest; /* what such a key signs with */
} test_keys[] = {
        [TEST_KEY_ECDSA] = {GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
                            GNUTLS_DIG_SHA256},
        [TEST_KEY_ED25519] = {GNUTLS_PK_EDDSA_ED25519,
                              GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519), GNUTLS_DIG_SHA512},
        [TEST_KEY_RSA_1024] = {GNUTLS_PK_RSA, 1024, GNUTLS_DIG_SHA256},
        [TEST_KEY_RSA_2048] = {GNUTLS_PK_RSA, 2048, GNUTLS_DIG_SHA256},
        [TEST_KEY_RSA_4096] = {GNUTLS_PK_RSA, 4096, GNUTLS_DIG_SHA256},
};

static void test_must(int r) {
        if (r < 0)
                g_error("cannot make a certificate: %s", gnutls_strerror(r));
}

static GBytes *test_take(gnutls_datum_t datum) {
        GBytes *bytes = g_bytes_new(datum.data, datum.size);

        gnutls_free(datum.data);
        return bytes;
}

static void test_set_basics(gnutls_x509_crt_t certificate, const char *cn, TestIdentityFlags flags,
                            gnutls_x509_privkey_t key) {
        time_t now = time(NULL);
        uint8_t serial[TEST_SERIAL_SIZE];

        test_must(gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial)));
        serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and of full length */

        test_must(
                gnutls_x509_crt_set_version(certificate, flags & TEST_IDENTITY_VERSION_1 ? 1 : 3));
        test_must(gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial)));
        test_must(gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME,
                                                /* raw= */ 0, cn, strlen(cn)));
        test_must(gnutls_x509_crt_set_activation_time(
                certificate, flags & TEST_IDENTITY_NOT_YET_VALID ? now + DAY : now - 30 * DAY));
        test_must(gnutls_x509_crt_set_expiration_time(
                certificate, flags & TEST_IDENTITY_EXPIRED ? now - DAY : now + VALID));
        test_must(gnutls_x509_crt_set_key(certificate, key));
}

static void test_constrain(gnutls_x509_crt_t certificate) {
        gnutls_datum_t name = {(uint8_t *)"example.org", strlen("example.org")};
        gnutls_x509_name_constraints_t constraints;

        test_must(gnutls_x509_name_constraints_init(&constraints));
        test_must(
                gnutls_x509_name_constraints_add_permitted(constraints, GNUTLS_SAN_DNSNAME, &name));
        test_must(
                gnutls_x509_crt_set_name_constraints(certificate, constraints, /* critical= */ 1));
        gnutls_x509_name_constraints_deinit(constraints);
}

static void test_set_ca(gnutls_x509_crt_t certificate, TestIdentityFlags flags) {
        int path = flags & TEST_IDENTITY_PATH_ZERO ? 0 : -1;
        unsigned usage = GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN;

        if (flags & TEST_IDENTITY_ONLY_CRL)
                usage &= ~(unsigned)GNUTLS_KEY_KEY_CERT_SIGN;
        if (flags & TEST_IDENTITY_ONLY_CERTIFICATES)
                usage &= ~(unsigned)GNUTLS_KEY_CRL_SIGN;

        test_must(gnutls_x509_crt_set_basic_constraints(certificate, /* ca= */ 1, path));
        test_must(gnutls_x509_crt_set_key_usage(certificate, usage));
        if (flags & TEST_IDENTITY_ONLY_EXAMPLE)
                test_constrain(certificate);
}

static void test_set_names(gnutls_x509_crt_t certificate, const char *cn, TestIdentityFlags flags) {
        static const uint8_t ipv4[4] = {127, 0, 0, 1};
        static const uint8_t ipv6[16] = {[15] = 1};

        if (!(flags & TEST_IDENTITY_NO_SAN))
                test_must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, cn,
                                                               (unsigned)strlen(cn),
                                                               GNUTLS_FSAN_APPEND));
        if (flags & TEST_IDENTITY_LOOPBACK) {
                test_must(gnutls_x509_crt_set_subject_alt_name(
                        certificate, GNUTLS_SAN_IPADDRESS, ipv4, sizeof(ipv4), GNUTLS_FSAN_APPEND));
                test_must(gnutls_x509_crt_set_subject_alt_name(
                        certificate, GNUTLS_SAN_IPADDRESS, ipv6, sizeof(ipv6), GNUTLS_FSAN_APPEND));
        }
}

/* As DER: GnuTLS does not make more than 64. */
static void test_set_many_purposes(gnutls_x509_crt_t certificate) {
        static const uint8_t server[] = {6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1};
        uint8_t der[4 + 200 * sizeof(server)] = {0x30, 0x82, (sizeof(der) - 4) >> 8,
                                                 (uint8_t)(sizeof(der) - 4)};

        for (size_t i = 4; i < sizeof(der); i += sizeof(server))
                memcpy(der + i, server, sizeof(server));
        test_must(gnutls_x509_crt_set_extension_by_oid(certificate, "2.5.29.37", der, sizeof(der),
                                                       /* critical= */ 0));
}

static void test_set_purposes(gnutls_x509_crt_t certificate, TestIdentityFlags flags) {
        if (flags & TEST_IDENTITY_MANY_PURPOSES) {
                test_set_many_purposes(certificate);
                return;
        }

        if (flags & TEST_IDENTITY_OCSP) {
                test_must(gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_OCSP_SIGNING,
                                                              /* critical= */ 0));
                return;
        }

        if (!(flags & TEST_IDENTITY_CLIENT_ONLY))
                test_must(gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER,
                                                              /* critical= */ 0));
        if (!(flags & TEST_IDENTITY_SERVER_ONLY))
                test_must(gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_CLIENT,
                                                              /* critical= */ 0));
}

static void test_set_leaf(gnutls_x509_crt_t certificate, const char *cn, TestIdentityFlags flags,
                          TestKeyType key) {
        unsigned usage = GNUTLS_KEY_DIGITAL_SIGNATURE;

        if (test_keys[key].algorithm == GNUTLS_PK_RSA)
                usage |= GNUTLS_KEY_KEY_ENCIPHERMENT;

        test_must(gnutls_x509_crt_set_basic_constraints(certificate, /* ca= */ 0, -1));
        test_must(gnutls_x509_crt_set_key_usage(certificate, usage));
        test_set_names(certificate, cn, flags);
        test_set_purposes(certificate, flags);
}

static void test_set_extensions(gnutls_x509_crt_t certificate, const char *cn,
                                TestIdentityFlags flags, TestKeyType key) {
        uint8_t id[64];
        size_t id_size = sizeof(id);

        test_must(gnutls_x509_crt_get_key_id(certificate, 0, id, &id_size));
        test_must(gnutls_x509_crt_set_subject_key_id(certificate, id, id_size));

        if (flags & TEST_IDENTITY_CA)
                test_set_ca(certificate, flags);
        else
                test_set_leaf(certificate, cn, flags, key);
        if (flags & TEST_IDENTITY_CRITICAL)
                test_must(gnutls_x509_crt_set_extension_by_oid(certificate, "1.2.3.4.5", "\x05\x00",
                                                               2, /* critical= */ 1));
}

/* RFC 5280, 4.2.1.1: a name has to be beside a serial number; nobody looks at one of this kind. */
static void test_set_authority_serial(gnutls_x509_crt_t certificate, const TestIdentity *issuer,
                                      bool other) {
        uint8_t extension[64] = "\x30\x10\xa1\x04\x86\x02u:\x82\x08", *serial = extension + 10;
        size_t size = TEST_SERIAL_SIZE;

        test_must(gnutls_x509_crt_get_serial(issuer->certificate, serial, &size));
        g_assert_cmpuint(size, ==, TEST_SERIAL_SIZE);
        serial[size - 1] ^= other;
        test_must(gnutls_x509_crt_set_extension_by_oid(
                certificate, GNUTLS_X509EXT_OID_AUTHORITY_KEY_ID, extension, 10 + size,
                /* critical= */ 0));
}

static void test_set_authority(gnutls_x509_crt_t certificate, const TestIdentity *issuer,
                               TestIdentityFlags flags) {
        uint8_t id[64];
        size_t id_size = sizeof(id);

        if (flags & (TEST_IDENTITY_AUTHORITY_SERIAL | TEST_IDENTITY_OTHER_SERIAL)) {
                test_set_authority_serial(certificate, issuer, flags & TEST_IDENTITY_OTHER_SERIAL);
                return;
        }

        /* an issuer of version 1 has none */
        if (gnutls_x509_crt_get_subject_key_id(issuer->certificate, id, &id_size, NULL) >= 0)
                test_must(gnutls_x509_crt_set_authority_key_id(certificate, id, id_size));
}

static void test_sign(gnutls_x509_crt_t certificate, const TestIdentity *issuer,
                      TestIdentityFlags flags) {
        gnutls_digest_algorithm_t digest = test_keys[issuer->key_type].digest;

        if (issuer->certificate != certificate &&
            !(flags & (TEST_IDENTITY_NO_AUTHORITY | TEST_IDENTITY_VERSION_1)))
                test_set_authority(certificate, issuer, flags);

        test_must(gnutls_x509_crt_sign2(certificate, issuer->certificate, issuer->key,
                                        flags & TEST_IDENTITY_SHA1 ? GNUTLS_DIG_SHA1 : digest, 0));
}

static void test_identity_export(TestIdentity *identity) {
        gnutls_datum_t der, pem, key_pem;

        test_must(gnutls_x509_crt_export2(identity->certificate, GNUTLS_X509_FMT_DER, &der));
        test_must(gnutls_x509_crt_export2(identity->certificate, GNUTLS_X509_FMT_PEM, &pem));
        test_must(gnutls_x509_privkey_export2_pkcs8(identity->key, GNUTLS_X509_FMT_PEM, NULL,
                                                    GNUTLS_PKCS_PLAIN, &key_pem));

        gnutls_x509_crt_deinit(identity->certificate);
        test_must(gnutls_x509_crt_init(&identity->certificate));
        test_must(gnutls_x509_crt_import(identity->certificate, &der, GNUTLS_X509_FMT_DER));

        identity->der = test_take(der);
        identity->pem = test_take(pem);
        identity->key_pem = test_take(key_pem);
}

/* @end: 0: as the flags say. */
static TestIdentity *test_identity_make(const char *cn, const TestIdentity *issuer,
                                        TestIdentityFlags flags, TestKeyType key, int64_t end) {
        TestIdentity *identity = g_new0(TestIdentity, 1);

        identity->key_type = key;
        test_must(gnutls_x509_privkey_init(&identity->key));
        test_must(gnutls_x509_privkey_generate(identity->key, test_keys[key].algorithm,
                                               test_keys[key].bits, 0));

        test_must(gnutls_x509_crt_init(&identity->certificate));
        test_set_basics(identity->certificate, cn, flags, identity->key);
        if (end > 0)
                test_must(gnutls_x509_crt_set_expiration_time(identity->certificate, end));
        if (!(flags & TEST_IDENTITY_VERSION_1))
                test_set_extensions(identity->certificate, cn, flags, key);

        test_sign(identity->certificate, issuer ? issuer : identity, flags);
        test_identity_export(identity);
        return identity;
}

TestIdentity *test_identity_new(const char *cn, const TestIdentity *issuer, TestIdentityFlags flags,
                                TestKeyType key) {
        return test_identity_make(cn, issuer, flags, key, 0);
}

TestIdentity *test_identity_until(const char *cn, int64_t end) {
        return test_identity_make(cn, NULL, 0, TEST_KEY_ECDSA, end);
}

GBytes *test_certify(const char *csr, const TestIdentity *ca) {
        gnutls_datum_t pem = {(unsigned char *)csr, (unsigned)strlen(csr)}, der;
        gnutls_x509_crt_t certificate;
        gnutls_x509_crq_t request;

        test_must(gnutls_x509_crq_init(&request));
        test_must(gnutls_x509_crq_import(request, &pem, GNUTLS_X509_FMT_PEM));
        test_must(gnutls_x509_crt_init(&certificate));
        test_set_basics(certificate, "certified", 0, ca->key);
        test_must(gnutls_x509_crt_set_crq(certificate, request));
        test_set_extensions(certificate, "certified", TEST_IDENTITY_LOOPBACK, TEST_KEY_ECDSA);
        test_sign(certificate, ca, 0);
        test_must(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, &der));
        gnutls_x509_crt_deinit(certificate);
        gnutls_x509_crq_deinit(request);
        return test_take(der);
}

/* One DER element at the beginning of @data, whose length is of one to three bytes. */
static GBytes *test_element(const uint8_t *data) {
        size_t size = data[1], head = 2;

        if (data[1] & 0x80) {
                size = 0;
                for (head = 2; head < 2U + (data[1] & 0x7f); head++)
                        size = size << 8 | data[head];
        }

        return g_bytes_new(data, head + size);
}

static void test_append(GByteArray *der, const void *data, size_t size) {
        g_byte_array_append(der, data, (unsigned)size);
}

/* Body, algorithm, signature: RFC 5280, 4.1. */
static GBytes *test_signed(GBytes *body, const uint8_t *algorithm, const TestIdentity *issuer) {
        g_autoptr(GBytes) algorithm_der = test_element(algorithm);
        gnutls_datum_t data = {(void *)g_bytes_get_data(body, NULL),
                               (unsigned)g_bytes_get_size(body)};
        gnutls_datum_t signature;
        gnutls_privkey_t key;
        GByteArray *der = g_byte_array_new();
        size_t size;

        g_assert(issuer->key_type == TEST_KEY_ECDSA);
        test_must(gnutls_privkey_init(&key));
        test_must(gnutls_privkey_import_x509(key, issuer->key, 0));
        test_must(gnutls_privkey_sign_data(key, GNUTLS_DIG_SHA256, 0, &data, &signature));
        gnutls_privkey_deinit(key);

        size = data.size + g_bytes_get_size(algorithm_der) + 3 + signature.size;
        test_append(der, (uint8_t[]){0x30, 0x82, (uint8_t)(size >> 8), (uint8_t)size}, 4);
        test_append(der, data.data, data.size);
        test_append(der, g_bytes_get_data(algorithm_der, NULL), g_bytes_get_size(algorithm_der));
        test_append(der, (uint8_t[]){0x03, (uint8_t)(signature.size + 1), 0x00}, 3);
        test_append(der, signature.data, signature.size);
        gnutls_free(signature.data);
        return g_byte_array_free_to_bytes(der);
}

TestIdentity *test_identity_altered(const TestIdentity *identity, const TestIdentity *issuer,
                                    const void *from, const void *to, size_t size) {
        const uint8_t *inside = g_bytes_get_data(identity->der, NULL);
        g_autoptr(GBytes) old = test_element(inside + 4), body = NULL;
        size_t body_size = g_bytes_get_size(old);
        uint8_t *copy = g_memdup2(g_bytes_get_data(old, NULL), body_size), *at;
        TestIdentity *altered = g_new0(TestIdentity, 1);
        gnutls_datum_t der, pem;

        at = memmem(copy, body_size, from, size);
        g_assert(at);
        memcpy(at, to, size);
        body = g_bytes_new_take(copy, body_size);

        altered->key_type = identity->key_type;
        altered->der = test_signed(body, inside + 4 + body_size, issuer);
        der.data = (void *)g_bytes_get_data(altered->der, NULL);
        der.size = (unsigned)g_bytes_get_size(altered->der);
        test_must(gnutls_pem_base64_encode2("CERTIFICATE", &der, &pem));
        altered->pem = test_take(pem);
        altered->key_pem = g_bytes_ref(identity->key_pem);
        test_must(gnutls_x509_privkey_init(&altered->key));
        test_must(gnutls_x509_privkey_cpy(altered->key, identity->key));
        return altered;
}

TestIdentity *test_identity_free(TestIdentity *identity) {
        if (!identity)
                return NULL;

        gnutls_x509_crt_deinit(identity->certificate);
        gnutls_x509_privkey_deinit(identity->key);
        g_bytes_unref(identity->der);
        g_bytes_unref(identity->pem);
        g_bytes_unref(identity->key_pem);
        g_free(identity);
        return NULL;
}

GBytes *test_identity_der(const TestIdentity *identity) {
        return identity->der;
}

GBytes *test_identity_pem(const TestIdentity *identity) {
        return identity->pem;
}

GBytes *test_identity_key_pem(const TestIdentity *identity) {
        return identity->key_pem;
}

void *test_identity_key(const TestIdentity *identity) {
        return identity->key;
}

GBytes *test_chain_pem(const TestIdentity *first, ...) {
        GByteArray *pem = g_byte_array_new();
        va_list identities;

        va_start(identities, first);
        for (const TestIdentity *i = first; i; i = va_arg(identities, const TestIdentity *)) {
                gsize size;
                const uint8_t *data = g_bytes_get_data(i->pem, &size);

                g_byte_array_append(pem, data, (unsigned)size);
        }
        va_end(identities);

        return g_byte_array_free_to_bytes(pem);
}

GPtrArray *test_chain_ders(const TestIdentity *first, ...) {
        GPtrArray *ders = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        va_list identities;

        va_start(identities, first);
        for (const TestIdentity *i = first; i; i = va_arg(identities, const TestIdentity *))
                g_ptr_array_add(ders, g_bytes_ref(i->der));
        va_end(identities);

        return ders;
}

GPtrArray *test_blobs(GBytes *first, ...) {
        GPtrArray *blobs = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        va_list rest;

        va_start(rest, first);
        for (GBytes *i = first; i; i = va_arg(rest, GBytes *))
                g_ptr_array_add(blobs, g_bytes_ref(i));
        va_end(rest);

        return blobs;
}

GBytes *test_monstrous_der(const TestIdentity *issuer, unsigned modulus_size,
                           unsigned exponent_size) {
        uint8_t number[2048];
        gnutls_datum_t modulus = {number, modulus_size}, exponent = {number, exponent_size}, der;
        gnutls_x509_crt_t certificate;
        gnutls_pubkey_t key;
        GBytes *bytes;

        g_assert_cmpuint(modulus_size, <=, sizeof(number));
        memset(number, 0x7b, sizeof(number));
        g_assert_cmpint(gnutls_pubkey_init(&key), >=, 0);
        g_assert_cmpint(gnutls_pubkey_import_rsa_raw(key, &modulus, &exponent), >=, 0);
        g_assert_cmpint(gnutls_x509_crt_init(&certificate), >=, 0);
        g_assert_cmpint(gnutls_x509_crt_set_version(certificate, 3), >=, 0);
        g_assert_cmpint(gnutls_x509_crt_set_serial(certificate, "\1", 1), >=, 0);
        g_assert_cmpint(gnutls_x509_crt_set_dn(certificate, "CN=inter", NULL), >=, 0);
        g_assert_cmpint(gnutls_x509_crt_set_activation_time(certificate, 0), >=, 0);
        g_assert_cmpint(gnutls_x509_crt_set_expiration_time(certificate, 4000000000), >=, 0);
        g_assert_cmpint(gnutls_x509_crt_set_pubkey(certificate, key), >=, 0);
        g_assert_cmpint(gnutls_x509_crt_set_basic_constraints(certificate, 1, -1), >=, 0);

        g_assert_cmpint(gnutls_x509_crt_sign2(certificate, issuer->certificate, issuer->key,
                                              GNUTLS_DIG_SHA256, 0),
                        >=, 0);
        g_assert_cmpint(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, &der), >=, 0);

        bytes = g_bytes_new(der.data, der.size);
        gnutls_free(der.data);
        gnutls_x509_crt_deinit(certificate);
        gnutls_pubkey_deinit(key);
        return bytes;
}

char *test_write(const char *directory, const char *name, GBytes *contents) {
        char *path = g_build_filename(directory, name, NULL);
        g_autoptr(GError) error = NULL;
        gsize size;
        const char *data = g_bytes_get_data(contents, &size);

        if (!g_file_set_contents_full(path, data, (gssize)size, G_FILE_SET_CONTENTS_CONSISTENT,
                                      0600, &error))
                g_error("cannot write %s: %s", path, error->message);

        return path;
}

void test_identity_write(const TestIdentity *identity, const char *directory, const char *name) {
        g_autofree char *certificate = g_strconcat(name, ".crt", NULL);
        g_autofree char *key = g_strconcat(name, ".key", NULL);

        g_free(test_write(directory, certificate, identity->pem));
        g_free(test_write(directory, key, identity->key_pem));
}
