/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trust sets, as dtlsd knows them, and the keyring's methods about them: both real, over a socket.
 */

#include "couple.h"

#include <string.h>

static int add(Couple *couple, uid_t uid, const char *name, const TestIdentity *anchor) {
        g_autoptr(GPtrArray) blobs = test_blobs(test_identity_pem(anchor), NULL);

        (void)keys_add_trust_anchors(couple->keys, uid, name, blobs, couple_done, couple);
        return couple_wait(couple);
}

static int drop(Couple *couple, uid_t uid, const char *name, const void *digest, size_t size) {
        (void)keys_remove_trust_anchor(couple->keys, uid, name, digest, size, couple_done, couple);
        return couple_wait(couple);
}

static int drop_one(Couple *couple, uid_t uid, const char *name, const TestIdentity *anchor) {
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        GBytes *der = test_identity_der(anchor);
        uint8_t digest[32];
        gsize size = sizeof(digest);

        g_checksum_update(checksum, g_bytes_get_data(der, NULL), (gssize)g_bytes_get_size(der));
        g_checksum_get_digest(checksum, digest, &size);
        return drop(couple, uid, name, digest, size);
}

static bool has(const Couple *couple, const char *name, const TestIdentity *anchor) {
        const KeysTrust *trust = keys_trust(couple->keys, name);

        return trust && g_ptr_array_find_with_equal_func(trust->anchors, test_identity_der(anchor),
                                                         (GEqualFunc)g_bytes_equal, NULL);
}

static void what_is_changed_is_known_here(void) {
        Couple *couple = couple_new();

        keys_observe_trusts(couple->keys, couple_changed, couple);
        g_assert_cmpint(add(couple, 0, "field", couple->first), ==, 0);
        g_assert_true(has(couple, "field", couple->first));
        g_assert_cmpint(add(couple, 0, "field", couple->second), ==, 0);
        g_assert_true(has(couple, "field", couple->first));
        g_assert_true(has(couple, "field", couple->second));

        g_assert_cmpint(drop_one(couple, 0, "field", couple->first), ==, 0);
        g_assert_false(has(couple, "field", couple->first));
        g_assert_cmpint(drop_one(couple, 0, "field", couple->first), ==, KEYS_E_UNKNOWN);
        g_assert_cmpint(drop_one(couple, 0, "field", couple->second), ==, 0);
        g_assert_null(keys_trust(couple->keys, "field"));
        g_assert_cmpint(drop(couple, 0, "field", NULL, 0), ==, KEYS_E_UNKNOWN);
        g_assert_cmpstr(couple->changes->str, ==, "field field field field ");
        couple_free(couple);
}

static void outlive_the_keyring_and_are_as_the_next_says(void) {
        Couple *couple = couple_new();
        g_autoptr(GPtrArray) list = NULL;

        g_assert_cmpint(add(couple, 0, "b", couple->first), ==, 0);
        g_assert_cmpint(add(couple, ALICE, "u/1000/a", couple->second), ==, 0);
        keys_observe_trusts(couple->keys, couple_changed, couple);
        couple->server = server_free(couple->server);
        g_assert_cmpint(add(couple, 0, "c", couple->first), ==, KEYS_E_GONE);
        g_assert_true(has(couple, "b", couple->first));

        /* meanwhile, in what the next one reads */
        g_assert_cmpint(store_remove(couple->store, STORE_TRUST, "b"), ==, 0);
        couple_connect(couple);
        list = keys_trusts(couple->keys);
        g_assert_cmpuint(list->len, ==, 1);
        g_assert_cmpstr(((const KeysTrust *)list->pdata[0])->name, ==, "u/1000/a");
        g_assert_true(has(couple, "u/1000/a", couple->second));
        g_assert_cmpstr(couple->changes->str, ==, "* ");
        couple_free(couple);
}

static void one_user_does_not_write_anothers(void) {
        Couple *couple = couple_new();

        g_assert_cmpint(add(couple, ALICE, "u/1000/x", couple->first), ==, 0);
        g_assert_cmpint(add(couple, BOB, "u/1000/x", couple->second), ==, KEYS_E_REFUSED);
        g_assert_cmpint(drop(couple, BOB, "u/1000/x", NULL, 0), ==, KEYS_E_REFUSED);
        g_assert_cmpint(add(couple, ALICE, "u/10/x", couple->first), ==, KEYS_E_REFUSED);
        g_assert_false(has(couple, "u/1000/x", couple->second));
        g_assert_cmpint(add(couple, 0, "u/1000/x", couple->second), ==, 0); /* root may */
        couple_free(couple);
}

static void what_cannot_be_is_told(void) {
        Couple *couple = couple_new();
        g_autoptr(GBytes) noise = g_bytes_new_static("noise", 5);
        g_autoptr(GPtrArray) blobs = test_blobs(noise, NULL);

        g_assert_cmpint(add(couple, 0, "../x", couple->first), ==, KEYS_E_BAD_SECRET);
        g_assert_nonnull(strstr(couple->text, "a name is 1 to 64"));
        g_assert_cmpint(add(couple, 0, "system", couple->first), ==, KEYS_E_BAD_SECRET);
        (void)keys_add_trust_anchors(couple->keys, 0, "x", blobs, couple_done, couple);
        g_assert_cmpint(couple_wait(couple), ==, KEYS_E_BAD_SECRET);
        g_assert_nonnull(strstr(couple->text, "not certificates"));
        couple_free(couple);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/trusts/what-is-changed-is-known-here", what_is_changed_is_known_here);
        g_test_add_func("/trusts/outlive-the-keyring-and-are-as-the-next-says",
                        outlive_the_keyring_and_are_as_the_next_says);
        g_test_add_func("/trusts/one-user-does-not-write-anothers",
                        one_user_does_not_write_anothers);
        g_test_add_func("/trusts/what-cannot-be-is-told", what_cannot_be_is_told);
        return g_test_run();
}
