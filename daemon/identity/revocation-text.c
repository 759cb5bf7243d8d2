/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RevocationText, see revocation-text.h. */

#include "identity/revocation-text.h"
#include "base/fault.h"
#include "identity/pem.h"

#include <string.h>

#define LABEL "X509 CRL"
#define LIST_BEGIN "-----BEGIN"

static int text_append_hash(GByteArray *text, const char *denied) {
        g_autoptr(GBytes) hash = revocations_read_hash(denied);
        g_autofree char *line = NULL;

        if (!hash)
                return REVOCATIONS_E_NO_HASH;

        line = revocations_hash_text(hash);
        (void)g_byte_array_append(text, (const uint8_t *)line, (guint)strlen(line));
        (void)g_byte_array_append(text, (const uint8_t *)"\n", 1);
        return 0;
}

static int text_append_lists(GByteArray *text, GBytes *blob) {
        g_autoptr(GPtrArray) ders = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        int r;

        r = revocations_split_lists(blob, ders);
        for (guint i = 0; r == 0 && i < ders->len; i++)
                r = pem_append(text, LABEL, ders->pdata[i]);

        return r;
}

int revocation_text_new(GPtrArray *blobs, GPtrArray *denied, GBytes **ret) {
        g_autoptr(GByteArray) text = g_byte_array_new();
        int r = 0;

        /* what is over the limit costs no more than what is just below it */
        for (guint i = 0; r == 0 && text->len <= REVOCATION_TEXT_MAX && i < denied->len; i++)
                r = text_append_hash(text, denied->pdata[i]);
        for (guint i = 0; r == 0 && text->len <= REVOCATION_TEXT_MAX && i < blobs->len; i++)
                r = text_append_lists(text, blobs->pdata[i]);
        if (r == 0 && text->len > REVOCATION_TEXT_MAX)
                r = REVOCATIONS_E_TOO_MUCH;
        if (r)
                return r < 0 ? fault(r) : r;

        *ret = g_byte_array_free_to_bytes(g_steal_pointer(&text));
        return 0;
}

int revocation_text_read(GBytes *text, Revocations **ret) {
        g_autoptr(Revocations) revocations = revocations_new();
        g_autoptr(GBytes) hashes = NULL;
        g_autoptr(GBytes) lists = NULL;
        size_t n_bad = 0, bad = 0;
        gsize size, n_hashes;
        const uint8_t *data = g_bytes_get_data(text, &size), *begin;
        int r;

        begin = size > 0 ? memmem(data, size, LIST_BEGIN, strlen(LIST_BEGIN)) : NULL;
        n_hashes = begin ? (gsize)(begin - data) : size;
        hashes = g_bytes_new_from_bytes(text, 0, n_hashes);
        lists = g_bytes_new_from_bytes(text, n_hashes, size - n_hashes);
        if (size == 0)
                return REVOCATIONS_E_MALFORMED;
        if (size > REVOCATION_TEXT_MAX)
                return REVOCATIONS_E_TOO_MUCH;

        r = revocations_add_denied(revocations, hashes, &n_bad, &bad);
        if (r == 0 && n_bad > 0)
                r = REVOCATIONS_E_NO_HASH;
        if (r == 0 && begin)
                r = revocations_add_lists(revocations, lists);
        if (r)
                return r < 0 ? fault(r) : r;

        *ret = g_steal_pointer(&revocations);
        return 0;
}
