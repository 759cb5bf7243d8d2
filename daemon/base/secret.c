/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Secret, see secret.h. One allocation: size and bytes.
 */

#include "base/secret.h"

#include <string.h>

struct Secret {
        size_t size;
        uint8_t data[];
};

Secret *secret_new_zero(size_t size) {
        Secret *secret;

        g_assert(size <= SIZE_MAX - sizeof(Secret));

        secret = g_malloc0(sizeof(Secret) + size);
        secret->size = size;
        return secret;
}

Secret *secret_new(const void *data, size_t size) {
        Secret *secret = secret_new_zero(size);

        if (size > 0)
                memcpy(secret->data, data, size);
        return secret;
}

Secret *secret_free(Secret *secret) {
        if (!secret)
                return NULL;

        explicit_bzero(secret->data, secret->size);
        g_free(secret);
        return NULL;
}

uint8_t *secret_data(Secret *secret) {
        return secret->data;
}

const uint8_t *secret_peek(const Secret *secret) {
        return secret->data;
}

size_t secret_size(const Secret *secret) {
        return secret->size;
}
