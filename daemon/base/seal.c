/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Seal, see seal.h: nonce, ciphertext, tag. The nonces are random: 96 bits are enough for more of
 * them than a process can make.
 */

#include "base/seal.h"

#include "base/fault.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <string.h>

#define NONCE_SIZE 12
#define TAG_SIZE 16

G_STATIC_ASSERT(SEAL_OVERHEAD == NONCE_SIZE + TAG_SIZE);

struct Seal {
        gnutls_aead_cipher_hd_t cipher;
};

int seal_new_of(const Secret *key, Seal **ret) {
        gnutls_datum_t datum = {(unsigned char *)secret_peek(key), SEAL_KEY_SIZE};
        gnutls_aead_cipher_hd_t cipher;

        g_assert(secret_size(key) == SEAL_KEY_SIZE);

        if (gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_GCM, &datum) < 0)
                return fault(-ENOMEM);

        *ret = g_new0(Seal, 1);
        (*ret)->cipher = cipher;
        return 0;
}

int seal_new(Seal **ret) {
        g_autoptr(Secret) key = secret_new_zero(SEAL_KEY_SIZE);

        if (gnutls_rnd(GNUTLS_RND_KEY, secret_data(key), SEAL_KEY_SIZE) < 0)
                return fault(-ENOTRECOVERABLE);

        return seal_new_of(key, ret);
}

Seal *seal_free(Seal *seal) {
        if (!seal)
                return NULL;

        gnutls_aead_cipher_deinit(seal->cipher);
        g_free(seal);
        return NULL;
}

int seal_close(const Seal *seal, const void *bound, size_t bound_size, const Secret *secret,
               GBytes **ret) {
        size_t size = secret_size(secret) + TAG_SIZE;
        g_autofree uint8_t *sealed = g_malloc(NONCE_SIZE + size);

        if (gnutls_rnd(GNUTLS_RND_NONCE, sealed, NONCE_SIZE) < 0)
                return fault(-ENOTRECOVERABLE);
        if (gnutls_aead_cipher_encrypt(seal->cipher, sealed, NONCE_SIZE, bound, bound_size,
                                       TAG_SIZE, secret_peek(secret), secret_size(secret),
                                       sealed + NONCE_SIZE, &size) < 0)
                return fault(-ENOTRECOVERABLE);

        *ret = g_bytes_new_take(g_steal_pointer(&sealed), NONCE_SIZE + size);
        return 0;
}

int seal_open(const Seal *seal, const void *bound, size_t bound_size, GBytes *sealed,
              Secret **ret) {
        g_autoptr(Secret) secret = NULL;
        const uint8_t *data;
        size_t size;
        gsize all;

        data = g_bytes_get_data(sealed, &all);
        if (all < SEAL_OVERHEAD)
                return SEAL_E_FOREIGN;

        size = all - SEAL_OVERHEAD;
        secret = secret_new_zero(size);
        if (gnutls_aead_cipher_decrypt(seal->cipher, data, NONCE_SIZE, bound, bound_size, TAG_SIZE,
                                       data + NONCE_SIZE, all - NONCE_SIZE, secret_data(secret),
                                       &size) < 0)
                return SEAL_E_FOREIGN;

        *ret = g_steal_pointer(&secret);
        return 0;
}
