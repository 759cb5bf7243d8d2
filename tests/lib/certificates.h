/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Certificates and keys for tests, made during the run.
 *
 * Every certificate is as a strict peer wants it, except for what its flags break. A failure to
 * make one ends the test.
 */

#include <glib.h>

typedef struct TestIdentity TestIdentity;

typedef enum TestIdentityFlags {
        TEST_IDENTITY_CA = 1 << 0,            /* may issue; no SAN, no purposes */
        TEST_IDENTITY_EXPIRED = 1 << 1,       /* ended yesterday */
        TEST_IDENTITY_NOT_YET_VALID = 1 << 2, /* begins tomorrow */
        TEST_IDENTITY_NO_SAN = 1 << 3,        /* the name is in the CN alone */
        TEST_IDENTITY_SHA1 = 1 << 4,          /* signed with SHA-1 */
        TEST_IDENTITY_CRITICAL = 1 << 5,      /* a critical extension that nobody knows */
        TEST_IDENTITY_CLIENT_ONLY = 1 << 6,   /* not for servers; both by default */
        TEST_IDENTITY_SERVER_ONLY = 1 << 7,   /* not for clients */
        TEST_IDENTITY_LOOPBACK = 1 << 8,      /* IP SANs 127.0.0.1 and ::1 too */
        TEST_IDENTITY_PATH_ZERO = 1 << 9,     /* a CA that may not issue another CA */
        TEST_IDENTITY_ONLY_EXAMPLE = 1 << 10, /* a CA constrained to names under example.org */
        TEST_IDENTITY_NO_AUTHORITY = 1 << 11, /* names its issuer, but not by key */
        TEST_IDENTITY_ONLY_CRL = 1 << 12,     /* a CA whose key may not sign certificates */
        TEST_IDENTITY_VERSION_1 = 1 << 13, /* of before extensions: none, whatever else is said */
        TEST_IDENTITY_AUTHORITY_SERIAL = 1 << 14, /* names its issuer by serial number too */
        TEST_IDENTITY_OTHER_SERIAL = 1 << 15,     /* the same, but not its issuer's */
        TEST_IDENTITY_MANY_PURPOSES = 1 << 16,    /* 200, all of them a server's */
        TEST_IDENTITY_OCSP = 1 << 18, /* for signing responses of OCSP, and nothing else */
        TEST_IDENTITY_ONLY_CERTIFICATES = 1 << 17, /* a CA whose key may sign no revocation list */
} TestIdentityFlags;

typedef enum TestKeyType {
        TEST_KEY_ECDSA, /* P-256; the quickest to make */
        TEST_KEY_ED25519,
        TEST_KEY_RSA_1024, /* too small for anybody */
        TEST_KEY_RSA_2048,
        TEST_KEY_RSA_4096, /* seconds to make: for large flights only */
} TestKeyType;

/* @cn: the subject's common name and the DNS SAN. @issuer: NULL makes it self-signed. */
TestIdentity *test_identity_new(const char *cn, const TestIdentity *issuer, TestIdentityFlags flags,
                                TestKeyType key);
/* For nobody in particular, self-signed; ends then, which may be past. */
TestIdentity *test_identity_until(const char *cn, int64_t end);
/* The same certificate, but for the first bytes in its body that are @from and now are @to, signed
 * anew by @issuer, which has a P-256 key. It may be past reading, and issues nothing. */
TestIdentity *test_identity_altered(const TestIdentity *identity, const TestIdentity *issuer,
                                    const void *from, const void *to, size_t size);
TestIdentity *test_identity_free(TestIdentity *identity);

/* What @ca makes of a request (PKCS#10, PEM): a certificate for 127.0.0.1 and ::1, in DER. */
GBytes *test_certify(const char *csr, const TestIdentity *ca);

/* All borrowed. */
GBytes *test_identity_der(const TestIdentity *identity);
GBytes *test_identity_pem(const TestIdentity *identity);
GBytes *test_identity_key_pem(const TestIdentity *identity); /* PKCS#8, not encrypted */
/* A gnutls_x509_privkey_t, for tests that sign. */
void *test_identity_key(const TestIdentity *identity);

/* The DER of a CA "inter" with an RSA key of this many bytes that nobody has the other half of. */
GBytes *test_monstrous_der(const TestIdentity *issuer, unsigned modulus_size,
                           unsigned exponent_size);

/* The certificates one after the other; end with NULL. */
GBytes *test_chain_pem(const TestIdentity *first, ...) G_GNUC_NULL_TERMINATED;
/* A new array of their DER, as the functions of identity/ take it; end with NULL. */
GPtrArray *test_chain_ders(const TestIdentity *first, ...) G_GNUC_NULL_TERMINATED;
/* A new array with these GBytes; takes a reference to each; end with NULL. */
GPtrArray *test_blobs(GBytes *first, ...) G_GNUC_NULL_TERMINATED;

/* Writes a file, readable by its owner alone, and returns its path. */
char *test_write(const char *directory, const char *name, GBytes *contents);
/* "NAME.crt" and "NAME.key" in @directory. */
void test_identity_write(const TestIdentity *identity, const char *directory, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestIdentity, test_identity_free)
