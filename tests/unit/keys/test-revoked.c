/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* what is taken back, as dtlsd knows it, and the keyring's methods about it: both real. */

#include "couple.h"
#include "identity/revocation-text.h"

#include <string.h>

static int store(Couple *couple, uid_t uid, const char *name, const TestIdentity *identity) {
        g_autofree char *hash =
                g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(identity));
        g_autoptr(GPtrArray) none = test_blobs(NULL, NULL);
        g_autoptr(GPtrArray) denied = g_ptr_array_new();
        g_autoptr(Revocations) revocations = NULL;
        g_autoptr(GBytes) text = NULL;

        g_ptr_array_add(denied, hash);
        g_assert_cmpint(revocation_text_new(none, denied, &text), ==, 0);
        g_assert_cmpint(revocation_text_read(text, &revocations), ==, 0);
        (void)keys_store_revocations(couple->keys, uid, name, text, revocations, couple_done,
                                     couple);
        return couple_wait(couple);
}

static int drop(Couple *couple, uid_t uid, const char *name) {
        (void)keys_remove_revocations(couple->keys, uid, name, couple_done, couple);
        return couple_wait(couple);
}

static bool denies(const Couple *couple, const char *name, const TestIdentity *identity) {
        const KeysRevoked *revoked = keys_revoked(couple->keys, name);
        g_autofree char *hash =
                g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(identity));
        g_autoptr(GBytes) expected = revocations_read_hash(hash);
        g_autoptr(GPtrArray) denied = revoked ? revocations_denied(revoked->revocations) : NULL;

        return revoked && !revoked->damaged && denied->len == 1 &&
               g_bytes_equal(denied->pdata[0], expected);
}

static void what_is_changed_is_known_here(void) {
        Couple *couple = couple_new();

        g_assert_true(keys_revoked_known(couple->keys));
        keys_observe_revoked(couple->keys, couple_changed, couple);
        g_assert_cmpint(store(couple, 0, "stolen", couple->first), ==, 0);
        g_assert_true(denies(couple, "stolen", couple->first));
        g_assert_cmpint(store(couple, 0, "stolen", couple->second), ==, 0);
        g_assert_true(denies(couple, "stolen", couple->second));
        g_assert_cmpint(drop(couple, 0, "stolen"), ==, 0);
        g_assert_null(keys_revoked(couple->keys, "stolen"));
        g_assert_cmpint(drop(couple, 0, "stolen"), ==, KEYS_E_UNKNOWN);
        g_assert_cmpstr(couple->changes->str, ==, "stolen stolen stolen ");
        couple_free(couple);
}

/* What the next one says as well is not read again, and told to nobody. */
static void outlive_the_keyring_and_are_as_the_next_says(void) {
        Couple *couple = couple_new();
        g_autoptr(GPtrArray) list = NULL;
        const KeysRevoked *before;

        g_assert_cmpint(store(couple, 0, "b", couple->first), ==, 0);
        g_assert_cmpint(store(couple, ALICE, "u/1000/a", couple->second), ==, 0);
        keys_observe_revoked(couple->keys, couple_changed, couple);
        couple->server = server_free(couple->server);
        g_assert_cmpint(store(couple, 0, "c", couple->first), ==, KEYS_E_GONE);
        g_assert_true(denies(couple, "b", couple->first));
        before = keys_revoked(couple->keys, "u/1000/a");
        couple_connect(couple);
        g_assert_cmpstr(couple->changes->str, ==, "");
        g_assert_true(keys_revoked(couple->keys, "u/1000/a") == before);

        couple->server = server_free(couple->server);
        g_assert_cmpint(store(couple, 0, "c", couple->first), ==, KEYS_E_GONE);
        g_assert_cmpint(store_remove(couple->store, STORE_REVOCATIONS, "b"), ==, 0);
        couple_connect(couple);
        list = keys_revoked_list(couple->keys);
        g_assert_cmpuint(list->len, ==, 1);
        g_assert_true(denies(couple, "u/1000/a", couple->second));
        g_assert_cmpstr(couple->changes->str, ==, "* ");
        couple_free(couple);
}

static void a_damaged_one_is_known_to_be(void) {
        Couple *couple = couple_new();
        g_autoptr(Secret) nonsense = secret_new("nonsense", 8);

        g_assert_cmpint(store(couple, 0, "stolen", couple->first), ==, 0);
        couple->server = server_free(couple->server);
        g_assert_cmpint(store(couple, 0, "c", couple->first), ==, KEYS_E_GONE);
        g_assert_cmpint(store_put(couple->store, STORE_REVOCATIONS, "stolen", nonsense), ==, 0);
        couple_connect(couple);
        g_assert_true(keys_revoked(couple->keys, "stolen")->damaged);
        g_assert_cmpint(store(couple, 0, "stolen", couple->second), ==, 0);
        g_assert_true(denies(couple, "stolen", couple->second));
        couple_free(couple);
}

static void one_user_does_not_write_anothers(void) {
        Couple *couple = couple_new();

        g_assert_cmpint(store(couple, ALICE, "u/1000/x", couple->first), ==, 0);
        g_assert_cmpint(store(couple, BOB, "u/1000/x", couple->second), ==, KEYS_E_REFUSED);
        g_assert_cmpint(drop(couple, BOB, "u/1000/x"), ==, KEYS_E_REFUSED);
        g_assert_true(denies(couple, "u/1000/x", couple->first));
        g_assert_cmpint(store(couple, 0, "u/1000/x", couple->second), ==, 0); /* root may */
        g_assert_cmpint(store(couple, 0, "../x", couple->first), ==, KEYS_E_BAD_SECRET);
        couple_free(couple);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/revoked/what-is-changed-is-known-here", what_is_changed_is_known_here);
        g_test_add_func("/revoked/outlive-the-keyring-and-are-as-the-next-says",
                        outlive_the_keyring_and_are_as_the_next_says);
        g_test_add_func("/revoked/a-damaged-one-is-known-to-be", a_damaged_one_is_known_to_be);
        g_test_add_func("/revoked/one-user-does-not-write-anothers",
                        one_user_does_not_write_anothers);
        return g_test_run();
}
