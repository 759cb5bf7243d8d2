/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Secret, see secret.h. One allocation: size and bytes.
 */

#include "base/secret.h"

#include "base/fault.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

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

int secret_protect_process(void) {
        const struct rlimit none = {0, 0};

        if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return fault(-errno);

#ifndef __SANITIZE_ADDRESS__ /* whose leak check reads the process from another */
        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return fault(-errno);
#endif
        return 0;
}
