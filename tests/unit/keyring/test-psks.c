/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* psks: the store's pre-shared keys, over a real store and a real vault. */

#include "ground.h"
#include "keyring/psks.h"

#include <string.h>

#define ALICE 1000
#define OLD_KEY "the old key"
#define NEW_KEY "a new key, and a longer one"

typedef struct World {
        Ground ground;
        Psks *psks;
} World;

static void world_read(World *world) {
        g_assert_cmpint(psks_new(world->ground.store, world->ground.vault, &world->psks), ==, 0);
}

static World world_new(bool sealed) {
        World world = {.ground = ground_new(sealed)};

        world_read(&world);
        return world;
}

static void world_close(World *world) {
        psks_free(world->psks);
        ground_close(&world->ground);
}

static void world_again(World *world) {
        world_close(world);
        ground_open(&world->ground);
        world_read(world);
}

static void world_done(World *world) {
        world_close(world);
        ground_done(&world->ground);
}

static int try_put(Psks *psks, const char *name, size_t n_identity, const char *identity,
                   size_t n_key, const char *key, const char **ret_text) {
        g_autoptr(GBytes) bytes = g_bytes_new(identity, n_identity);
        g_autoptr(Secret) secret = secret_new(key, n_key);
        const StoredPsk *psk;

        return psks_put(psks, name, bytes, secret, &psk, ret_text);
}

static void put(World *world, const char *name, const char *identity, const char *key) {
        const char *text = NULL;

        g_assert_cmpint(
                try_put(world->psks, name, strlen(identity), identity, strlen(key), key, &text), ==,
                0);
}

/* NULL: there is none. Borrowed. */
static const StoredPsk *find(const World *world, const char *name) {
        g_autoptr(GPtrArray) list = psks_list(world->psks);

        for (guint i = 0; i < list->len; i++)
                if (g_str_equal(((const StoredPsk *)list->pdata[i])->name, name))
                        return list->pdata[i];

        return NULL;
}

static bool is(const World *world, const char *name, const char *identity, const char *key) {
        const StoredPsk *psk = find(world, name);
        const Secret *secret = psk ? vault_key_psk(psk->key) : NULL;
        g_autoptr(GBytes) bytes = g_bytes_new(identity, strlen(identity));

        return psk && g_bytes_equal(psk->identity, bytes) && secret_size(secret) == strlen(key) &&
               memcmp(secret_peek(secret), key, strlen(key)) == 0;
}

static void is_there_again(gconstpointer sealed) {
        World world = world_new(sealed != NULL);
        VaultKey *key;

        put(&world, "sensor", "identity", OLD_KEY);
        put(&world, "u/1000/own", "\xff:\n", "\x01");
        world_again(&world);

        g_assert_true(is(&world, "sensor", "identity", OLD_KEY));
        g_assert_true(is(&world, "u/1000/own", "\xff:\n", "\x01"));
        /* anybody's to be handed out for */
        g_assert_cmpint(vault_use_psk(world.ground.vault, vault_key_id(find(&world, "sensor")->key),
                                      ALICE, &key),
                        ==, 0);
        world_done(&world);
}

static void holds_the_longest_of_both(void) {
        World world = world_new(/* sealed= */ false);
        g_autofree char *identity = g_strnfill(PSKS_IDENTITY_MAX, 'i');
        g_autofree char *key = g_strnfill(VAULT_PSK_MAX, 'k');

        put(&world, "x", identity, key);
        world_again(&world);
        g_assert_true(is(&world, "x", identity, key));
        world_done(&world);
}

static void a_replaced_ones_key_stays_until_it_is_removed(void) {
        World world = world_new(/* sealed= */ false);
        uint64_t old;
        VaultKey *key;

        put(&world, "x", "i", OLD_KEY);
        old = vault_key_id(find(&world, "x")->key);
        put(&world, "x", "i", NEW_KEY);
        g_assert_true(is(&world, "x", "i", NEW_KEY));
        g_assert_cmpint(vault_use_psk(world.ground.vault, old, ALICE, &key), ==, 0);
        g_assert_cmpint(vault_remove(world.ground.vault, old, NULL), ==, 0);
        g_assert_cmpint(vault_use_psk(world.ground.vault, old, ALICE, &key), ==, VAULT_E_UNKNOWN);
        world_done(&world);
}

static void what_cannot_be_leaves_the_last_one(void) {
        World world = world_new(/* sealed= */ false);
        const char long_one[VAULT_PSK_MAX + 1] = "x";
        const char *text = NULL;

        put(&world, "x", "i", OLD_KEY);
        g_assert_cmpint(try_put(world.psks, "x", 0, "", 1, "k", &text), ==, ENTRIES_E_BAD);
        g_assert_nonnull(strstr(text, "1 to 255"));
        g_assert_cmpint(try_put(world.psks, "x", 256, long_one, 1, "k", &text), ==, ENTRIES_E_BAD);
        g_assert_cmpint(try_put(world.psks, "x", 1, "i", 0, "", &text), ==, ENTRIES_E_BAD);
        g_assert_nonnull(strstr(text, "1 to 512"));
        g_assert_cmpint(try_put(world.psks, "x", 1, "i", sizeof(long_one), long_one, &text), ==,
                        ENTRIES_E_BAD);
        g_assert_true(is(&world, "x", "i", OLD_KEY));
        g_assert_cmpuint(vault_count(world.ground.vault, 0), ==, 1);
        world_done(&world);
}

static void a_damaged_one_is_left_out_and_can_be_removed(gconstpointer contents) {
        World world = world_new(/* sealed= */ false);
        g_autofree char *file = NULL;

        put(&world, "bad", "i", OLD_KEY);
        put(&world, "good", "i", OLD_KEY);
        file = store_file(world.ground.store, STORE_PSK, "bad");
        ground_write(&world.ground, STORE_PSK, "bad", contents);
        world_again(&world);

        g_assert_null(find(&world, "bad"));
        g_assert_true(is(&world, "good", "i", OLD_KEY));
        g_assert_cmpint(psks_remove(world.psks, "bad"), ==, 0);
        g_assert_cmpint(psks_remove(world.psks, "bad"), ==, ENTRIES_E_UNKNOWN);
        g_assert_false(g_file_test(file, G_FILE_TEST_EXISTS));
        world_done(&world);
}

static void a_user_has_so_many(void) {
        World world = world_new(/* sealed= */ false);
        const char *text = NULL;

        for (int i = 0; i < PSKS_PER_USER_MAX; i++) {
                g_autofree char *name = g_strdup_printf("u/1000/%d", i);

                put(&world, name, "i", "k");
        }
        g_assert_cmpint(try_put(world.psks, "u/1000/x", 1, "i", 1, "k", &text), ==, ENTRIES_E_FULL);
        g_assert_nonnull(strstr(text, "remove some"));
        put(&world, "u/1000/0", "i", NEW_KEY); /* in its place */
        put(&world, "u/1001/x", "i", "k");
        put(&world, "x", "i", "k");
        world_done(&world);
}

static void without_a_store_nothing_is_kept(void) {
        g_autoptr(Vault) vault = vault_new();
        g_autoptr(Psks) psks = NULL;
        const char *text;

        g_assert_cmpint(psks_new(NULL, vault, &psks), ==, 0);
        g_assert_cmpint(try_put(psks, "x", 1, "i", 1, "k", &text), ==, ENTRIES_E_NO_STORE);
        g_assert_cmpint(psks_remove(psks, "x"), ==, ENTRIES_E_NO_STORE);
        g_assert_cmpuint(vault_count(vault, 0), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_data_func("/psks/plain/is-there-again", NULL, is_there_again);
        g_test_add_data_func("/psks/sealed/is-there-again", "", is_there_again);
        g_test_add_func("/psks/holds-the-longest-of-both", holds_the_longest_of_both);
        g_test_add_func("/psks/a-replaced-ones-key-stays-until-it-is-removed",
                        a_replaced_ones_key_stays_until_it_is_removed);
        g_test_add_func("/psks/what-cannot-be-leaves-the-last-one",
                        what_cannot_be_leaves_the_last_one);
        g_test_add_data_func("/psks/empty/is-left-out-and-can-be-removed", "",
                             a_damaged_one_is_left_out_and_can_be_removed);
        g_test_add_data_func("/psks/cut/is-left-out-and-can-be-removed", "\x05iden",
                             a_damaged_one_is_left_out_and_can_be_removed);
        g_test_add_data_func("/psks/without-a-key/is-left-out-and-can-be-removed", "\x01i",
                             a_damaged_one_is_left_out_and_can_be_removed);
        g_test_add_func("/psks/a-user-has-so-many", a_user_has_so_many);
        g_test_add_func("/psks/without-a-store-nothing-is-kept", without_a_store_nothing_is_kept);
        return g_test_run();
}
