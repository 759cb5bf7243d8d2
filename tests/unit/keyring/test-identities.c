/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* identities: the store's chains with their keys, over a real store and a real vault. */

#include "keyring/identities.h"
#include "lib/certificates.h"

#include <glib/gstdio.h>
#include <string.h>

#define ALICE 1000

typedef struct World {
        char *path;
        Store *store;
        Vault *vault;
        Identities *identities;
        TestIdentity *first, *second;
} World;

static void world_open(World *world) {
        g_autofree char *text = NULL;

        g_assert_cmpint(store_open(world->path, NULL, &world->store, &text), ==, 0);
        world->vault = vault_new();
        g_assert_cmpint(identities_new(world->store, world->vault, &world->identities), ==, 0);
}

static void world_close(World *world) {
        identities_free(world->identities);
        vault_free(world->vault);
        store_free(world->store);
}

static World world_new(void) {
        World world = {.path = g_dir_make_tmp("dtlsd-identities.XXXXXX", NULL)};

        world.first = test_identity_new("first", NULL, 0, TEST_KEY_ECDSA);
        world.second = test_identity_new("second", NULL, 0, TEST_KEY_ED25519);
        world_open(&world);
        return world;
}

static void world_done(World *world) {
        g_autoptr(GDir) folder = g_dir_open(world->path, 0, NULL);
        const char *name;

        world_close(world);
        while ((name = g_dir_read_name(folder))) {
                g_autofree char *file = g_build_filename(world->path, name, NULL);

                (void)g_unlink(file);
        }
        (void)g_rmdir(world->path);
        g_free(world->path);
        test_identity_free(world->first);
        test_identity_free(world->second);
}

static int put_pair(World *world, const char *name, const TestIdentity *certificate,
                    const TestIdentity *key, const Identity **ret, const char **ret_text) {
        GBytes *pem = test_identity_key_pem(key);
        g_autoptr(GPtrArray) chain = test_chain_ders(certificate, NULL);
        g_autoptr(Secret) secret = secret_new(g_bytes_get_data(pem, NULL), g_bytes_get_size(pem));

        return identities_put(world->identities, name, chain, secret, NULL, ret, ret_text);
}

static const Identity *put(World *world, const char *name, const TestIdentity *identity) {
        const Identity *put_one = NULL;
        const char *text = NULL;

        g_assert_cmpint(put_pair(world, name, identity, identity, &put_one, &text), ==, 0);
        return put_one;
}

static void assert_listed(const World *world, const char *const *names) {
        g_autoptr(GPtrArray) list = identities_list(world->identities);

        g_assert_cmpuint(list->len, ==, g_strv_length((char **)names));
        for (guint i = 0; i < list->len; i++)
                g_assert_cmpstr(((const Identity *)list->pdata[i])->name, ==, names[i]);
}

static void is_there_again_with_its_key(void) {
        World world = world_new();
        g_autoptr(GPtrArray) list = NULL;
        const Identity *identity;
        VaultKey *key;

        put(&world, "gateway", world.first);
        put(&world, "u/1000/own", world.second);
        world_close(&world);
        world_open(&world);

        assert_listed(&world, (const char *const[]){"gateway", "u/1000/own", NULL});
        list = identities_list(world.identities);
        identity = list->pdata[0];
        g_assert_true(g_bytes_equal(chain_der(identity->chain, 0), test_identity_der(world.first)));
        /* anybody's to sign with */
        g_assert_cmpint(
                vault_use_private_key(world.vault, vault_key_id(identity->key), ALICE, 1, &key), ==,
                0);
        g_assert_true(key == identity->key);
        world_done(&world);
}

static void a_replaced_ones_key_stays_until_it_is_removed(void) {
        World world = world_new();
        uint64_t old = vault_key_id(put(&world, "x", world.first)->key);
        uint64_t new = vault_key_id(put(&world, "x", world.second)->key);
        VaultKey *key;

        assert_listed(&world, (const char *const[]){"x", NULL});
        g_assert_cmpuint(old, !=, new);
        g_assert_cmpint(vault_use_private_key(world.vault, old, ALICE, 1, &key), ==, 0);
        g_assert_cmpint(vault_remove(world.vault, old, NULL), ==, 0);
        g_assert_cmpint(vault_use_private_key(world.vault, old, ALICE, 1, &key), ==,
                        VAULT_E_UNKNOWN);
        world_done(&world);
}

static void what_does_not_fit_leaves_the_last_good_pair(void) {
        World world = world_new();
        const Identity *identity = NULL;
        const char *text = NULL;
        size_t n_keys;

        put(&world, "x", world.first);
        n_keys = vault_count(world.vault, 0);
        g_assert_cmpint(put_pair(&world, "x", world.second, world.first, &identity, &text), ==,
                        IDENTITIES_E_BAD_SECRET);
        g_assert_nonnull(strstr(text, "not that of the first certificate"));
        g_assert_cmpuint(vault_count(world.vault, 0), ==, n_keys);
        world_close(&world);
        world_open(&world);
        g_assert_cmpuint(vault_count(world.vault, 0), ==, 1);
        world_done(&world);
}

static void a_damaged_one_is_left_out_and_can_be_removed(void) {
        World world = world_new();
        g_autofree char *file = NULL;

        put(&world, "bad", world.first);
        put(&world, "good", world.second);
        file = store_file(world.store, STORE_IDENTITY, "bad");
        world_close(&world);
        g_assert_true(g_file_set_contents_full(file, "dtlsd-store 1 plain identity bad\nnonsense",
                                               -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
        world_open(&world);

        assert_listed(&world, (const char *const[]){"good", NULL});
        g_assert_cmpint(identities_remove(world.identities, "bad"), ==, 0);
        g_assert_cmpint(identities_remove(world.identities, "bad"), ==, IDENTITIES_E_UNKNOWN);
        g_assert_false(g_file_test(file, G_FILE_TEST_EXISTS));
        world_done(&world);
}

static void a_user_has_so_many(void) {
        World world = world_new();
        const Identity *identity;
        const char *text = NULL;

        for (int i = 0; i < IDENTITIES_PER_USER_MAX; i++) {
                g_autofree char *name = g_strdup_printf("u/1000/%d", i);

                put(&world, name, world.first);
        }
        g_assert_cmpint(put_pair(&world, "u/1000/x", world.first, world.first, &identity, &text),
                        ==, IDENTITIES_E_FULL);
        put(&world, "u/1000/0", world.second); /* in its place */
        put(&world, "u/1001/x", world.second);
        put(&world, "x", world.second);
        world_done(&world);
}

static void without_a_store_nothing_is_kept(void) {
        g_autoptr(Vault) vault = vault_new();
        g_autoptr(Identities) identities = NULL;

        g_assert_cmpint(identities_new(NULL, vault, &identities), ==, 0);
        g_assert_cmpint(identities_remove(identities, "x"), ==, IDENTITIES_E_NO_STORE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/identities/is-there-again-with-its-key", is_there_again_with_its_key);
        g_test_add_func("/identities/a-replaced-ones-key-stays-until-it-is-removed",
                        a_replaced_ones_key_stays_until_it_is_removed);
        g_test_add_func("/identities/what-does-not-fit-leaves-the-last-good-pair",
                        what_does_not_fit_leaves_the_last_good_pair);
        g_test_add_func("/identities/a-damaged-one-is-left-out-and-can-be-removed",
                        a_damaged_one_is_left_out_and_can_be_removed);
        g_test_add_func("/identities/a-user-has-so-many", a_user_has_so_many);
        g_test_add_func("/identities/without-a-store-nothing-is-kept",
                        without_a_store_nothing_is_kept);
        return g_test_run();
}
