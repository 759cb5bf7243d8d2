/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What takes certificates back, see revocations.h. Written as DER, element by element: GnuTLS makes
 * no bad ones.
 */

#include "lib/revocations.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#define INTEGER 0x02
#define BIT_STRING 0x03
#define OCTET_STRING 0x04
#define ENUMERATED 0x0a
#define UTC_TIME 0x17
#define GENERALIZED_TIME 0x18
#define SEQUENCE 0x30
#define TAGGED(n) (uint8_t)(0xa0 | (n))

static const char ecdsa_sha256[] = "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
static const char ecdsa_sha1[] = "\x06\x07\x2a\x86\x48\xce\x3d\x04\x01";
static const char oid_sha1[] = "\x06\x05\x2b\x0e\x03\x02\x1a\x05"; /* and a NULL follows */
static const char oid_sha256[] = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05";
static const char oid_basic[] = "\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01";
static const char ed25519[] = "\x06\x03\x2b\x65\x70";
/* issuing distribution point, critical: only certificates of users */
static const char users_only[] = "\x06\x03\x55\x1d\x1c\x01\x01\xff\x04\x05\x30\x03\x81\x01\xff";

static void must(int r) {
        if (r < 0)
                g_error("cannot make a revocation: %s", gnutls_strerror(r));
}

/* ---- DER ---- */

static GBytes *raw(const void *data, size_t size) {
        return g_bytes_new(data, size);
}

static void append_head(GByteArray *array, uint8_t tag, size_t size) {
        uint8_t head[] = {tag, 0x83, (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};

        g_assert_cmpuint(size, <, 1 << 24);
        if (size < 0x80)
                g_byte_array_append(array, (uint8_t[]){tag, (uint8_t)size}, 2);
        else if (size < 0x100)
                g_byte_array_append(array, (uint8_t[]){tag, 0x81, (uint8_t)size}, 3);
        else if (size < 0x10000)
                g_byte_array_append(array, (uint8_t[]){tag, 0x82, head[3], head[4]}, 4);
        else
                g_byte_array_append(array, head, 5);
}

static void append_bytes(GByteArray *array, GBytes *bytes) {
        g_byte_array_append(array, g_bytes_get_data(bytes, NULL), (guint)g_bytes_get_size(bytes));
}

/* Takes what is in it; NULL: nothing. */
static GBytes *wrap(uint8_t tag, GBytes *inside) {
        GByteArray *array = g_byte_array_new();

        append_head(array, tag, inside ? g_bytes_get_size(inside) : 0);
        if (inside)
                append_bytes(array, inside);
        g_clear_pointer(&inside, g_bytes_unref);
        return g_byte_array_free_to_bytes(array);
}

/* Takes its @n parts; those that are NULL are left out. */
static GBytes *sequence(GBytes *const *parts, size_t n) {
        GByteArray *array = g_byte_array_new();

        for (size_t i = 0; i < n; i++)
                if (parts[i]) {
                        append_bytes(array, parts[i]);
                        g_bytes_unref(parts[i]);
                }

        return wrap(SEQUENCE, g_byte_array_free_to_bytes(array));
}

#define SEQUENCE_OF(...)                                                                           \
        sequence((GBytes *const[]){__VA_ARGS__},                                                   \
                 sizeof((GBytes *const[]){__VA_ARGS__}) / sizeof(GBytes *))

static GBytes *time_as(uint8_t tag, const char *format, int seconds_from_now) {
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autoptr(GDateTime) then = g_date_time_add_seconds(now, seconds_from_now);
        g_autofree char *text = g_date_time_format(then, format);

        return wrap(tag, raw(text, strlen(text)));
}

/* RFC 5280, 4.1.2.5: until 2049 */
static GBytes *time_der(int seconds_from_now) {
        return time_as(UTC_TIME, "%y%m%d%H%M%SZ", seconds_from_now);
}

static GBytes *long_time_der(int seconds_from_now) {
        return time_as(GENERALIZED_TIME, "%Y%m%d%H%M%SZ", seconds_from_now);
}

/* ---- of certificates ---- */

static gnutls_x509_crt_t import(const TestIdentity *identity) {
        gsize size;
        const void *data = g_bytes_get_data(test_identity_der(identity), &size);
        gnutls_datum_t der = {(void *)data, (unsigned)size};
        gnutls_x509_crt_t certificate;

        must(gnutls_x509_crt_init(&certificate));
        must(gnutls_x509_crt_import(certificate, &der, GNUTLS_X509_FMT_DER));
        return certificate;
}

static GBytes *name_of(const TestIdentity *identity) {
        gnutls_x509_crt_t certificate = import(identity);
        gnutls_datum_t name;

        must(gnutls_x509_crt_get_raw_dn(certificate, &name));
        gnutls_x509_crt_deinit(certificate);
        return g_bytes_new_with_free_func(name.data, name.size, gnutls_free, name.data);
}

static GBytes *serial_of(const TestIdentity *identity) {
        gnutls_x509_crt_t certificate = import(identity);
        uint8_t serial[64];
        size_t size = sizeof(serial);

        must(gnutls_x509_crt_get_serial(certificate, serial, &size));
        gnutls_x509_crt_deinit(certificate);
        return wrap(INTEGER, raw(serial, size));
}

/* ---- signatures ---- */

typedef struct Algorithm {
        GBytes *der;
        gnutls_digest_algorithm_t digest;
} Algorithm;

static Algorithm algorithm_of(const TestIdentity *signer, bool sha1) {
        if (gnutls_x509_privkey_get_pk_algorithm(test_identity_key(signer)) != GNUTLS_PK_ECDSA)
                return (Algorithm){wrap(SEQUENCE, raw(ed25519, sizeof(ed25519) - 1)),
                                   GNUTLS_DIG_SHA512};
        if (sha1)
                return (Algorithm){wrap(SEQUENCE, raw(ecdsa_sha1, sizeof(ecdsa_sha1) - 1)),
                                   GNUTLS_DIG_SHA1};

        return (Algorithm){wrap(SEQUENCE, raw(ecdsa_sha256, sizeof(ecdsa_sha256) - 1)),
                           GNUTLS_DIG_SHA256};
}

static GBytes *signature_of(GBytes *body, const TestIdentity *signer,
                            gnutls_digest_algorithm_t digest) {
        gnutls_datum_t data = {(void *)g_bytes_get_data(body, NULL),
                               (unsigned)g_bytes_get_size(body)};
        GByteArray *bits = g_byte_array_new();
        gnutls_datum_t signature;
        gnutls_privkey_t key;

        must(gnutls_privkey_init(&key));
        must(gnutls_privkey_import_x509(key, test_identity_key(signer), 0));
        must(gnutls_privkey_sign_data(key, digest, 0, &data, &signature));
        gnutls_privkey_deinit(key);

        g_byte_array_append(bits, (const uint8_t *)"", 1); /* no bits are left over */
        g_byte_array_append(bits, signature.data, signature.size);
        gnutls_free(signature.data);
        return wrap(BIT_STRING, g_byte_array_free_to_bytes(bits));
}

/* ---- revocation lists ---- */

static void append_entry(GByteArray *entries, GBytes *serial) {
        g_autoptr(GBytes) entry = SEQUENCE_OF(serial, time_der(-TEST_DAY));

        append_bytes(entries, entry);
}

static GBytes *crl_strangers(size_t n) {
        GByteArray *entries = g_byte_array_new();

        for (size_t i = 0; i < n; i++) {
                uint8_t serial[] = {0x01, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

                append_entry(entries, wrap(INTEGER, raw(serial, sizeof(serial))));
        }

        return g_byte_array_free_to_bytes(entries);
}

static GBytes *crl_entries(const TestCrl *how, const TestIdentity *first, va_list rest) {
        GByteArray *entries = g_bytes_unref_to_array(crl_strangers(how->n_more));

        for (const TestIdentity *i = first; i; i = va_arg(rest, const TestIdentity *))
                append_entry(entries, serial_of(i));
        if (entries->len == 0) {
                g_byte_array_unref(entries);
                return NULL; /* RFC 5280, 5.1.2.6: not an empty one */
        }

        return wrap(SEQUENCE, g_byte_array_free_to_bytes(entries));
}

GBytes *test_crl_new(const TestIdentity *issuer, const TestCrl *how, const TestIdentity *first,
                     ...) {
        static const TestCrl plain = {0};
        const TestCrl *chosen = how ? how : &plain;
        const TestIdentity *signer = chosen->signer ? chosen->signer : issuer;
        Algorithm algorithm = algorithm_of(signer, chosen->sha1);
        bool usual = chosen->begin == 0 && chosen->end == 0;
        g_autoptr(GBytes) body = NULL;
        GBytes *entries, *extensions = NULL;
        va_list rest;

        va_start(rest, first);
        entries = crl_entries(chosen, first, rest);
        va_end(rest);

        if (chosen->critical)
                extensions =
                        wrap(TAGGED(0),
                             SEQUENCE_OF(wrap(SEQUENCE, raw(users_only, sizeof(users_only) - 1))));
        body = SEQUENCE_OF(wrap(INTEGER, raw("\1", 1)), g_bytes_ref(algorithm.der), name_of(issuer),
                           time_der(usual ? -TEST_DAY : chosen->begin),
                           chosen->endless ? NULL : time_der(usual ? 30 * TEST_DAY : chosen->end),
                           entries, extensions);
        return SEQUENCE_OF(g_bytes_ref(body), algorithm.der,
                           signature_of(body, signer, algorithm.digest));
}

GBytes *test_crl_pem(GBytes *der) {
        gnutls_datum_t data = {(void *)g_bytes_get_data(der, NULL),
                               (unsigned)g_bytes_get_size(der)};
        gnutls_datum_t pem;

        must(gnutls_pem_base64_encode2("X509 CRL", &data, &pem));
        return g_bytes_new_with_free_func(pem.data, pem.size, gnutls_free, pem.data);
}

/* ---- responses of OCSP ---- */

static GBytes *hash_of(gnutls_digest_algorithm_t digest, const void *data, size_t size) {
        uint8_t hash[64];

        must(gnutls_hash_fast(digest, data, size, hash));
        return wrap(OCTET_STRING, raw(hash, gnutls_hash_get_len(digest)));
}

static GBytes *name_hash_of(const TestIdentity *identity, gnutls_digest_algorithm_t digest) {
        g_autoptr(GBytes) name = name_of(identity);

        return hash_of(digest, g_bytes_get_data(name, NULL), g_bytes_get_size(name));
}

/* Of the point alone, which is the end of what GnuTLS writes for a P-256 key. */
static GBytes *key_hash_of(const TestIdentity *identity, gnutls_digest_algorithm_t digest,
                           bool other) {
        gnutls_x509_crt_t certificate = import(identity);
        gnutls_datum_t der;
        gnutls_pubkey_t key;
        GBytes *hash;

        must(gnutls_pubkey_init(&key));
        must(gnutls_pubkey_import_x509(key, certificate, 0));
        must(gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der));
        g_assert_cmpuint(der.size, ==, 26 + 65);
        der.data[26 + 64] ^= other;
        hash = hash_of(digest, der.data + 26, 65);

        gnutls_free(der.data);
        gnutls_pubkey_deinit(key);
        gnutls_x509_crt_deinit(certificate);
        return hash;
}

static GBytes *ocsp_certificate(const TestOcsp *how) {
        gnutls_digest_algorithm_t digest = how->sha256 ? GNUTLS_DIG_SHA256 : GNUTLS_DIG_SHA1;
        /* the NULL behind has a length, which is the 0 that ends the string */
        GBytes *algorithm =
                how->sha256 ? raw(oid_sha256, sizeof(oid_sha256)) : raw(oid_sha1, sizeof(oid_sha1));

        return SEQUENCE_OF(wrap(SEQUENCE, algorithm), name_hash_of(how->issuer, digest),
                           key_hash_of(how->issuer, digest, how->other_key),
                           serial_of(how->subject));
}

static GBytes *ocsp_status(TestOcspStatus status) {
        switch (status) {
        case TEST_OCSP_GOOD:
                return raw("\x80\x00", 2);
        case TEST_OCSP_REVOKED:
                return wrap(TAGGED(1), long_time_der(-TEST_DAY));
        case TEST_OCSP_UNKNOWN:
                return raw("\x82\x00", 2);
        }

        g_assert_not_reached();
}

static GBytes *ocsp_singles(const TestOcsp *how) {
        bool usual = how->begin == 0 && how->end == 0;
        GByteArray *singles = g_byte_array_new();

        for (size_t i = 0; i < 1 + how->n_more; i++) {
                GBytes *end = how->endless ? NULL : long_time_der(usual ? TEST_DAY : how->end);
                g_autoptr(GBytes) single = SEQUENCE_OF(
                        ocsp_certificate(how), ocsp_status(how->status),
                        long_time_der(usual ? -60 : how->begin), end ? wrap(TAGGED(0), end) : NULL);

                append_bytes(singles, single);
        }

        return wrap(SEQUENCE, g_byte_array_free_to_bytes(singles));
}

GBytes *test_ocsp_refusal(uint8_t status) {
        return SEQUENCE_OF(wrap(ENUMERATED, raw(&status, 1)));
}

GBytes *test_ocsp_new(const TestOcsp *how) {
        const TestIdentity *signer = how->signer ? how->signer : how->issuer;
        Algorithm algorithm = algorithm_of(signer, how->sha1);
        GBytes *companions = NULL, *basic;
        g_autoptr(GBytes) body = SEQUENCE_OF(wrap(TAGGED(1), name_of(signer)), long_time_der(-60),
                                             ocsp_singles(how));

        if (how->companion)
                companions = wrap(TAGGED(0),
                                  wrap(SEQUENCE, g_bytes_ref(test_identity_der(how->companion))));
        basic = SEQUENCE_OF(g_bytes_ref(body), algorithm.der,
                            signature_of(body, signer, algorithm.digest), companions);

        return SEQUENCE_OF(wrap(ENUMERATED, raw("", 1)),
                           wrap(TAGGED(0), SEQUENCE_OF(raw(oid_basic, sizeof(oid_basic) - 1),
                                                       wrap(OCTET_STRING, basic))));
}
