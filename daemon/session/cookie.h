/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Cookie: lets a stranger prove its address and keeps nothing until it has (RFC 6347 4.2.1).
 *
 * A cookie is HMAC(secret, peer, local) cut to 32 bytes. A secret that was given stays; a random
 * one is replaced every COOKIE_ROTATION_USEC and the one before it stays good.
 */

#include "base/datagram.h"
#include "session/hello.h"

#define COOKIE_SIZE_MAX 32 /* what GnuTLS clients take, and DTLS 1.0 allows */
#define COOKIE_ROTATION_USEC (10 * 60 * UINT64_C(1000000))

typedef struct CookieJar CookieJar;

typedef enum CookieOutcome {
        COOKIE_E_ASKED = 1,  /* no or no good cookie: a HelloVerifyRequest was appended to net */
        COOKIE_E_NOISE,      /* not a ClientHello with room for a cookie: say nothing */
        COOKIE_E_BAD_HASH,   /* cookie_jar_new: no such hash, or GnuTLS has no HMAC of it */
        COOKIE_E_BAD_SECRET, /* cookie_jar_new: empty */
} CookieOutcome;

/* @hash: "Md5", "Sha1", "Sha224", "Sha256", "Sha384", "Sha512". @secret: NULL for a random one,
 * rotated. */
int cookie_jar_new(const char *hash, const void *secret, size_t secret_size, CookieJar **ret);
CookieJar *cookie_jar_free(CookieJar *jar);
const char *cookie_jar_hash(const CookieJar *jar);
/* The secret in force, for its owner's GetCookieGeneratorParameters. */
const void *cookie_jar_secret(const CookieJar *jar, size_t *ret_size);

/* 0: the address is proven and *ret filled (pointing into in). */
int cookie_check(CookieJar *jar, uint64_t now_usec, const Datagram *in, DatagramBatch *net,
                 Hello *ret);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CookieJar, cookie_jar_free)
