/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* identities, as dtlsd knows them, and the keyring's methods about them: both real, over a socket.
 */

#include "base/memfd.h"
#include "couple.h"

#include <string.h>
#include <unistd.h>

static int store(Couple *couple, uid_t uid, const char *name, const TestIdentity *identity) {
        GBytes *key = test_identity_key_pem(identity);
        g_autoptr(GPtrArray) chain = test_blobs(test_identity_pem(identity), NULL);
        KeysImport import = {.blobs = chain, .form = "key", .passphrase_fd = -1};

        g_assert_cmpint(
                memfd_new(g_bytes_get_data(key, NULL), g_bytes_get_size(key), &import.key_fd), ==,
                0);
        (void)keys_store_identity(couple->keys, uid, name, &import, couple_done, couple);
        (void)close(import.key_fd);
        return couple_wait(couple);
}

static int remove_identity(Couple *couple, uid_t uid, const char *name) {
        (void)keys_remove_identity(couple->keys, uid, name, couple_done, couple);
        return couple_wait(couple);
}

static void what_is_stored_is_known_here(void) {
        Couple *couple = couple_new();
        const KeysIdentity *identity;

        keys_observe_identities(couple->keys, couple_changed, couple);
        g_assert_cmpint(store(couple, 0, "gateway", couple->first), ==, 0);
        identity = keys_identity(couple->keys, "gateway");
        g_assert_nonnull(identity);
        g_assert_cmpuint(identity->chain->len, ==, 1);
        g_assert_true(g_bytes_equal(identity->chain->pdata[0], test_identity_der(couple->first)));
        g_assert_true(key_is_alive(identity->key));
        g_assert_null(keys_identity(couple->keys, "other"));

        g_assert_cmpint(store(couple, 0, "gateway", couple->second), ==, 0);
        identity = keys_identity(couple->keys, "gateway");
        g_assert_true(g_bytes_equal(identity->chain->pdata[0], test_identity_der(couple->second)));

        g_assert_cmpint(remove_identity(couple, 0, "gateway"), ==, 0);
        g_assert_null(keys_identity(couple->keys, "gateway"));
        g_assert_cmpint(remove_identity(couple, 0, "gateway"), ==, KEYS_E_UNKNOWN);
        g_assert_cmpstr(couple->changes->str, ==, "gateway gateway gateway ");
        couple_free(couple);
}

static void the_next_keyring_says_what_it_keeps(void) {
        Couple *couple = couple_new();
        g_autoptr(GPtrArray) list = NULL;
        g_autoptr(Key) old = NULL;

        g_assert_cmpint(store(couple, 0, "b", couple->first), ==, 0);
        g_assert_cmpint(store(couple, 0, "gone", couple->first), ==, 0);
        g_assert_cmpint(store(couple, ALICE, "u/1000/a", couple->second), ==, 0);
        old = key_ref(keys_identity(couple->keys, "b")->key);
        server_free(couple->server);
        g_assert_cmpint(store_remove(couple->store, STORE_IDENTITY, "gone"), ==, 0);
        couple_connect(couple);

        g_assert_false(key_is_alive(old));
        g_assert_null(keys_identity(couple->keys, "gone"));
        list = keys_identities(couple->keys);
        g_assert_cmpuint(list->len, ==, 2);
        g_assert_cmpstr(((const KeysIdentity *)list->pdata[0])->name, ==, "b");
        g_assert_cmpstr(((const KeysIdentity *)list->pdata[1])->name, ==, "u/1000/a");
        g_assert_true(key_is_alive(keys_identity(couple->keys, "b")->key));
        couple_free(couple);
}

static void one_user_does_not_write_anothers(void) {
        Couple *couple = couple_new();

        g_assert_cmpint(store(couple, ALICE, "u/1000/x", couple->first), ==, 0);
        g_assert_cmpint(store(couple, BOB, "u/1000/x", couple->second), ==, KEYS_E_REFUSED);
        g_assert_cmpint(remove_identity(couple, BOB, "u/1000/x"), ==, KEYS_E_REFUSED);
        g_assert_cmpint(store(couple, ALICE, "u/10/x", couple->first), ==, KEYS_E_REFUSED);
        g_assert_cmpint(store(couple, 0, "u/1000/x", couple->second), ==, 0); /* root may */
        couple_free(couple);
}

static void a_name_that_is_none_is_refused(void) {
        Couple *couple = couple_new();

        g_assert_cmpint(store(couple, 0, "../x", couple->first), ==, KEYS_E_BAD_SECRET);
        g_assert_nonnull(strstr(couple->text, "a name is 1 to 64"));
        g_assert_cmpint(remove_identity(couple, 0, "../x"), ==, KEYS_E_BAD_SECRET);
        couple_free(couple);
}

static void without_a_keyring_it_says_so(void) {
        Couple *couple = couple_new();
        g_autoptr(GPtrArray) list = NULL;

        g_assert_cmpint(store(couple, 0, "x", couple->first), ==, 0);
        couple->server = server_free(couple->server);
        g_assert_cmpint(store(couple, 0, "x", couple->second), ==, KEYS_E_GONE);
        list = keys_identities(couple->keys);
        g_assert_cmpuint(list->len, ==, 1);
        g_assert_false(keys_identities_known(couple->keys));
        g_assert_false(key_is_alive(((const KeysIdentity *)list->pdata[0])->key));
        couple_free(couple);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/identities/what-is-stored-is-known-here", what_is_stored_is_known_here);
        g_test_add_func("/identities/the-next-keyring-says-what-it-keeps",
                        the_next_keyring_says_what_it_keeps);
        g_test_add_func("/identities/one-user-does-not-write-anothers",
                        one_user_does_not_write_anothers);
        g_test_add_func("/identities/a-name-that-is-none-is-refused",
                        a_name_that_is_none_is_refused);
        g_test_add_func("/identities/without-a-keyring-it-says-so", without_a_keyring_it_says_so);
        return g_test_run();
}
