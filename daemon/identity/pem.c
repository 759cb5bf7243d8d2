/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pem, see pem.h. The edges of blocks are found here; what is between them is GnuTLS's to decode.
 */

#include "identity/pem.h"
#include "base/fault.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>

#define PEM_MARK "-----BEGIN "

static int pem_decode(const char *block, size_t size, const char *label, GBytes **ret) {
        gnutls_datum_t pem = {(void *)block, (unsigned)size}, der;

        if (gnutls_pem_base64_decode2(label, &pem, &der) < 0)
                return PEM_E_MALFORMED;

        *ret = g_bytes_new_with_free_func(der.data, der.size, gnutls_free, der.data);
        return 0;
}

/* @at: the mark of a block in; behind the block out. */
static int pem_take(const char **at, const char *end, const char *label, GPtrArray *ders) {
        g_autofree char *first = g_strdup_printf("-----BEGIN %s-----", label);
        g_autofree char *last = g_strdup_printf("-----END %s-----", label);
        const char *stop;
        GBytes *der;
        int r;

        if (!g_str_has_prefix(*at, first))
                return PEM_E_MALFORMED;

        stop = memmem(*at, (size_t)(end - *at), last, strlen(last));
        if (!stop)
                return PEM_E_MALFORMED;

        stop += strlen(last);
        r = pem_decode(*at, (size_t)(stop - *at), label, &der);
        if (r)
                return r;

        g_ptr_array_add(ders, der);
        *at = stop;
        return 0;
}

int pem_split(GBytes *blob, const char *label, size_t n_max, GPtrArray *ders) {
        g_autofree char *text = NULL;
        gsize size;
        const char *data = g_bytes_get_data(blob, &size), *at, *end;

        if (size == 0 || memchr(data, '\0', size))
                return PEM_E_MALFORMED;

        text = g_strndup(data, size); /* ends, as the search for marks wants it */
        end = text + size;
        at = memmem(text, size, PEM_MARK, strlen(PEM_MARK));
        if (!at)
                return PEM_E_MALFORMED;

        for (; at; at = memmem(at, (size_t)(end - at), PEM_MARK, strlen(PEM_MARK))) {
                int r;

                if (ders->len >= n_max)
                        return PEM_E_TOO_MANY;

                r = pem_take(&at, end, label, ders);
                if (r)
                        return r;
        }

        return 0;
}

int pem_append(GByteArray *text, const char *label, GBytes *der) {
        gsize size;
        const void *data = g_bytes_get_data(der, &size);
        const gnutls_datum_t in = {(unsigned char *)data, (unsigned)size};
        gnutls_datum_t out = {NULL, 0};

        if (gnutls_pem_base64_encode2(label, &in, &out) < 0)
                return fault(-ENOMEM);

        (void)g_byte_array_append(text, out.data, out.size);
        gnutls_free(out.data);
        return 0;
}
