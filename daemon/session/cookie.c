/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/cookie.h"

#include "base/fault.h"
#include "base/secret.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#define RANDOM_SECRET_SIZE 32
#define HASH_SIZE_MAX 64

#define RECORD_HEADER_SIZE 13
#define MESSAGE_HEADER_SIZE 12
#define ANSWER_BODY_SIZE(cookie_size) ((size_t)3 + (cookie_size))
#define ANSWER_SIZE_MAX                                                                            \
        (RECORD_HEADER_SIZE + MESSAGE_HEADER_SIZE + ANSWER_BODY_SIZE(COOKIE_SIZE_MAX))

/* never more than the stranger paid for */
G_STATIC_ASSERT(ANSWER_SIZE_MAX <= HELLO_SIZE_MIN);

struct CookieJar {
        const char *hash;
        gnutls_mac_algorithm_t mac;
        size_t cookie_size;
        Secret *secret;
        Secret *previous; /* random only: of before the last rotation, or NULL */
        bool rotates;
        uint64_t rotated_usec; /* 0: no time was told yet */
};

/* QCryptographicHash's names, of those that GnuTLS has an HMAC for */
static const struct {
        const char *name;
        gnutls_mac_algorithm_t mac;
} cookie_hashes[] = {
        {"Md5", GNUTLS_MAC_MD5},       {"Sha1", GNUTLS_MAC_SHA1},     {"Sha224", GNUTLS_MAC_SHA224},
        {"Sha256", GNUTLS_MAC_SHA256}, {"Sha384", GNUTLS_MAC_SHA384}, {"Sha512", GNUTLS_MAC_SHA512},
};

static bool cookie_jar_set_hash(CookieJar *jar, const char *hash) {
        for (size_t i = 0; i < G_N_ELEMENTS(cookie_hashes); i++)
                if (strcmp(cookie_hashes[i].name, hash) == 0) {
                        jar->hash = cookie_hashes[i].name;
                        jar->mac = cookie_hashes[i].mac;
                        jar->cookie_size = MIN(gnutls_hmac_get_len(jar->mac), COOKIE_SIZE_MAX);
                        return jar->cookie_size > 0;
                }

        return false;
}

static int cookie_random_secret(Secret **ret) {
        g_autoptr(Secret) secret = secret_new_zero(RANDOM_SECRET_SIZE);

        if (gnutls_rnd(GNUTLS_RND_KEY, secret_data(secret), secret_size(secret)) < 0)
                return fault(-EIO);

        *ret = g_steal_pointer(&secret);
        return 0;
}

int cookie_jar_new(const char *hash, const void *secret, size_t secret_size, CookieJar **ret) {
        g_autoptr(CookieJar) jar = g_new0(CookieJar, 1);
        int r;

        if (!cookie_jar_set_hash(jar, hash))
                return COOKIE_E_BAD_HASH;

        if (secret && secret_size == 0)
                return COOKIE_E_BAD_SECRET;

        if (secret) {
                jar->secret = secret_new(secret, secret_size);
        } else {
                jar->rotates = true;
                r = cookie_random_secret(&jar->secret);
                if (r < 0)
                        return fault(r);
        }

        *ret = g_steal_pointer(&jar);
        return 0;
}

CookieJar *cookie_jar_free(CookieJar *jar) {
        if (!jar)
                return NULL;

        secret_free(jar->secret);
        secret_free(jar->previous);
        g_free(jar);
        return NULL;
}

const char *cookie_jar_hash(const CookieJar *jar) {
        return jar->hash;
}

const void *cookie_jar_secret(const CookieJar *jar, size_t *ret_size) {
        *ret_size = secret_size(jar->secret);
        return secret_peek(jar->secret);
}

static int cookie_jar_rotate(CookieJar *jar, uint64_t now_usec) {
        g_autoptr(Secret) fresh = NULL;
        uint64_t age_usec = now_usec - jar->rotated_usec;
        int r;

        if (!jar->rotates)
                return 0;

        if (jar->rotated_usec == 0) {
                jar->rotated_usec = MAX(now_usec, 1);
                return 0;
        }

        if (age_usec < COOKIE_ROTATION_USEC)
                return 0;

        r = cookie_random_secret(&fresh);
        if (r < 0)
                return fault(r);

        /* after a pause of two rotations nothing that was given out may still be good */
        secret_free(jar->previous);
        jar->previous = age_usec < 2 * COOKIE_ROTATION_USEC ? g_steal_pointer(&jar->secret) : NULL;
        secret_free(jar->secret);
        jar->secret = g_steal_pointer(&fresh);
        jar->rotated_usec = now_usec;
        return 0;
}

/* Covers both ends of the path and nothing that the hello says: the second hello of one client may
 * differ from its first in extensions and padding. */
static int cookie_bake(const CookieJar *jar, const Secret *secret, const Datagram *in,
                       uint8_t cookie[static COOKIE_SIZE_MAX]) {
        uint8_t path[2 * ADDRESS_CANONICAL_MAX], hash[HASH_SIZE_MAX];
        size_t size;
        int r;

        size = address_canonical(&in->peer, path);
        size += address_canonical(&in->local, path + size);

        r = gnutls_hmac_fast(jar->mac, secret_peek(secret), secret_size(secret), path, size, hash);
        if (r < 0)
                return fault(-EIO);

        memcpy(cookie, hash, jar->cookie_size);
        return 0;
}

static int cookie_is_good(const CookieJar *jar, const Secret *secret, const Datagram *in,
                          const Hello *hello, bool *ret) {
        uint8_t cookie[COOKIE_SIZE_MAX];
        int r;

        *ret = false;
        if (!secret || hello->cookie_size != jar->cookie_size)
                return 0;

        r = cookie_bake(jar, secret, in, cookie);
        if (r < 0)
                return fault(r);

        *ret = gnutls_memcmp(cookie, hello->cookie, jar->cookie_size) == 0;
        return 0;
}

static uint8_t *cookie_put(uint8_t *to, uint64_t number, size_t size) {
        for (size_t i = size; i > 0; i--)
                *to++ = number >> (8 * (i - 1));

        return to;
}

/* A HelloVerifyRequest, with both numbers of the hello: so a client takes a second one too, when
 * the secret was replaced between its hellos. */
static size_t cookie_answer(const CookieJar *jar, const Hello *hello, const uint8_t *cookie,
                            uint8_t answer[static ANSWER_SIZE_MAX]) {
        size_t body_size = ANSWER_BODY_SIZE(jar->cookie_size);
        uint8_t *end = answer;

        end = cookie_put(end, 22, 1);     /* handshake */
        end = cookie_put(end, 0xfeff, 2); /* DTLS 1.0, whatever comes later (RFC 6347 4.2.1) */
        end = cookie_put(end, 0, 2);      /* epoch */
        end = cookie_put(end, hello->record_sequence, 6);
        end = cookie_put(end, MESSAGE_HEADER_SIZE + body_size, 2);

        end = cookie_put(end, 3, 1); /* hello_verify_request */
        end = cookie_put(end, body_size, 3);
        end = cookie_put(end, hello->message_seq, 2);
        end = cookie_put(end, 0, 3); /* fragment offset */
        end = cookie_put(end, body_size, 3);

        end = cookie_put(end, 0xfeff, 2);
        end = cookie_put(end, jar->cookie_size, 1);
        memcpy(end, cookie, jar->cookie_size);
        return end + jar->cookie_size - answer;
}

static int cookie_ask(const CookieJar *jar, const Datagram *in, const Hello *hello,
                      DatagramBatch *net) {
        uint8_t cookie[COOKIE_SIZE_MAX], answer[ANSWER_SIZE_MAX];
        size_t size;
        int r;

        r = cookie_bake(jar, jar->secret, in, cookie);
        if (r < 0)
                return fault(r);

        size = cookie_answer(jar, hello, cookie, answer);
        /* no room is a loss like any other: the stranger asks again */
        datagram_batch_address(net, &in->peer, &in->local);
        (void)datagram_batch_append(net, answer, size);
        return COOKIE_E_ASKED;
}

/**
 * cookie_check() - find out whether a stranger is where it says it is
 *
 * Return: 0, COOKIE_E_ASKED, COOKIE_E_NOISE, or a fault.
 */
int cookie_check(CookieJar *jar, uint64_t now_usec, const Datagram *in, DatagramBatch *net,
                 Hello *ret) {
        bool good, good_before;
        Hello hello;
        int r;

        r = hello_parse(in->data, in->size, &hello);
        if (r)
                return r < 0 ? fault(r) : COOKIE_E_NOISE;

        r = cookie_jar_rotate(jar, now_usec);
        if (r < 0)
                return fault(r);

        r = cookie_is_good(jar, jar->secret, in, &hello, &good);
        if (r < 0)
                return fault(r);

        r = cookie_is_good(jar, jar->previous, in, &hello, &good_before);
        if (r < 0)
                return fault(r);

        if (!good && !good_before)
                return cookie_ask(jar, in, &hello, net);

        *ret = hello;
        return 0;
}
