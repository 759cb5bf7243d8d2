/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store that is full to its bounds: all of it is known here, though each kind is told at once. */

#include "couple.h"
#include "identity/revocation-text.h"
#include "keyring/identities.h"
#include "keyring/revoked.h"
#include "keyring/trusts.h"

#include <string.h>

/* Long ones; each has issued itself, so that a chain may have it again and again. */
static TestIdentity *long_identity(void) {
        return test_identity_new("long", NULL, TEST_IDENTITY_MANY_PURPOSES, TEST_KEY_ECDSA);
}

/* As if it had been stored so many times, but for what a thousand times to sync takes. */
static void fill(Store *store, StoreKind kind, const char *word, const GString *text, size_t n) {
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        guint8 digest[32];
        gsize size = sizeof digest;

        g_checksum_update(checksum, (const guchar *)text->str, (gssize)text->len);
        g_checksum_get_digest(checksum, digest, &size);
        for (size_t i = 0; i < n; i++) {
                g_autofree char *name = g_strdup_printf("%zu", i);
                g_autofree char *file = store_file(store, kind, name);
                g_autoptr(GString) contents = g_string_new(NULL);

                g_string_printf(contents, "dtlsd-store 1 plain %s %s\n", word, name);
                g_string_append_len(contents, (const char *)digest, sizeof digest);
                g_string_append_len(contents, text->str, (gssize)text->len);
                g_assert_true(g_file_set_contents_full(file, contents->str, (gssize)contents->len,
                                                       G_FILE_SET_CONTENTS_NONE, 0600, NULL));
        }
}

static void append(GString *text, GBytes *pem) {
        g_string_append_len(text, g_bytes_get_data(pem, NULL), (gssize)g_bytes_get_size(pem));
}

static size_t fill_identities(Store *store) {
        g_autoptr(TestIdentity) identity = long_identity();
        size_t size = CHAIN_LENGTH_MAX * g_bytes_get_size(test_identity_der(identity));
        size_t n = IDENTITIES_BYTES_MAX / size;
        g_autoptr(GString) text = g_string_new(NULL);

        for (int i = 0; i < CHAIN_LENGTH_MAX; i++)
                append(text, test_identity_pem(identity));
        append(text, test_identity_key_pem(identity));
        fill(store, STORE_IDENTITY, "identity", text, n);
        return n;
}

static size_t fill_trusts(Store *store) {
        g_autoptr(GString) text = g_string_new(NULL);
        size_t n_bytes = 0, n;

        for (;;) {
                g_autoptr(TestIdentity) anchor = long_identity();
                GBytes *pem = test_identity_pem(anchor);

                if (text->len + g_bytes_get_size(pem) > STORE_ENTRY_MAX)
                        break;
                append(text, pem);
                n_bytes += g_bytes_get_size(test_identity_der(anchor));
        }

        n = TRUSTS_BYTES_MAX / n_bytes;
        fill(store, STORE_TRUST, "trust", text, n);
        return n;
}

static size_t fill_revoked(Store *store) {
        g_autoptr(GString) text = g_string_new(NULL);
        size_t n;

        while (text->len + 65 <= REVOCATION_TEXT_MAX)
                g_string_append_printf(text, "%064zx\n", text->len);
        n = REVOKED_BYTES_MAX / text->len;
        fill(store, STORE_REVOCATIONS, "revocations", text, n);
        return n;
}

static void all_of_it_is_known(void) {
        Couple *couple = couple_new();
        size_t n_identities = fill_identities(couple->store);
        size_t n_trusts = fill_trusts(couple->store);
        size_t n_revoked = fill_revoked(couple->store);
        g_autoptr(GPtrArray) identities = NULL;
        g_autoptr(GPtrArray) trusts = NULL;
        g_autoptr(GPtrArray) revoked = NULL;

        couple->server = server_free(couple->server);
        (void)keys_remove_identity(couple->keys, 0, "x", couple_done, couple);
        g_assert_cmpint(couple_wait(couple), ==, KEYS_E_GONE);
        couple_connect(couple);

        identities = keys_identities(couple->keys);
        trusts = keys_trusts(couple->keys);
        revoked = keys_revoked_list(couple->keys);
        g_test_message("%u identities, %u trust sets, %u revocations", identities->len, trusts->len,
                       revoked->len);
        g_assert_cmpuint(identities->len, ==, n_identities);
        g_assert_cmpuint(trusts->len, ==, n_trusts);
        g_assert_cmpuint(revoked->len, ==, n_revoked);
        g_assert_true(keys_revoked_known(couple->keys));
        couple_free(couple);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/full/all-of-it-is-known", all_of_it_is_known);
        return g_test_run();
}
