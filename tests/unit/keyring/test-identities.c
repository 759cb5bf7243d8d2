/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* identities: the store's chains with their keys, over a real store and a real vault. */

#include "ground.h"
#include "keyring/identities.h"
#include "lib/certificates.h"

#include <string.h>

#define ALICE 1000

typedef struct World {
        Ground ground;
        Identities *identities;
        TestIdentity *first, *second;
} World;

static void world_read(World *world) {
        g_assert_cmpint(
                identities_new(world->ground.store, world->ground.vault, &world->identities), ==,
                0);
}

static World world_new(void) {
        World world = {.ground = ground_new(/* sealed= */ false)};

        world.first = test_identity_new("first", NULL, 0, TEST_KEY_ECDSA);
        world.second = test_identity_new("second", NULL, 0, TEST_KEY_ED25519);
        world_read(&world);
        return world;
}

static void world_close(World *world) {
        identities_free(world->identities);
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
        test_identity_free(world->first);
        test_identity_free(world->second);
}

static int put_pair(World *world, const char *name, const TestIdentity *certificate,
                    const TestIdentity *key, const Identity **ret, const char **ret_text) {
        GBytes *pem = test_identity_key_pem(key);
        g_autoptr(GPtrArray) ders = test_chain_ders(certificate, NULL);
        g_autoptr(Secret) secret = secret_new(g_bytes_get_data(pem, NULL), g_bytes_get_size(pem));
        g_autoptr(PrivateKey) private = NULL;
        g_autoptr(Chain) chain = NULL;

        g_assert_cmpint(chain_new(ders, &chain), ==, 0);
        g_assert_cmpint(private_key_read(secret, NULL, &private, ret_text), ==, 0);
        return identities_put(world->identities, name, chain, private, ret, ret_text);
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
        world_again(&world);

        assert_listed(&world, (const char *const[]){"gateway", "u/1000/own", NULL});
        list = identities_list(world.identities);
        identity = list->pdata[0];
        g_assert_true(g_bytes_equal(chain_der(identity->chain, 0), test_identity_der(world.first)));
        /* anybody's to sign with */
        g_assert_cmpint(vault_use_private_key(world.ground.vault, vault_key_id(identity->key),
                                              ALICE, 1, &key),
                        ==, 0);
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
        g_assert_cmpint(vault_use_private_key(world.ground.vault, old, ALICE, 1, &key), ==, 0);
        g_assert_cmpint(vault_remove(world.ground.vault, old, NULL), ==, 0);
        g_assert_cmpint(vault_use_private_key(world.ground.vault, old, ALICE, 1, &key), ==,
                        VAULT_E_UNKNOWN);
        world_done(&world);
}

static void what_does_not_fit_leaves_the_last_good_pair(void) {
        World world = world_new();
        const Identity *identity = NULL;
        const char *text = NULL;
        size_t n_keys;

        put(&world, "x", world.first);
        n_keys = vault_count(world.ground.vault, 0);
        g_assert_cmpint(put_pair(&world, "x", world.second, world.first, &identity, &text), ==,
                        ENTRIES_E_BAD);
        g_assert_nonnull(strstr(text, "not that of the first certificate"));
        g_assert_cmpuint(vault_count(world.ground.vault, 0), ==, n_keys);
        world_again(&world);
        g_assert_cmpuint(vault_count(world.ground.vault, 0), ==, 1);
        world_done(&world);
}

/* ---- keys that were made here ---- */

/* The key of @identity waits. */
static int wait_key(World *world, const char *name, const TestIdentity *identity) {
        GBytes *pem = test_identity_key_pem(identity);
        g_autoptr(Secret) secret = secret_new(g_bytes_get_data(pem, NULL), g_bytes_get_size(pem));
        const char *text = NULL;

        return identities_wait(world->identities, name, secret, &text);
}

static int install(World *world, const char *name, const TestIdentity *identity) {
        g_autoptr(GPtrArray) chain = test_chain_ders(identity, NULL);
        const Identity *installed;
        const char *text = NULL;

        return identities_install(world->identities, name, chain, &installed, &text);
}

/* What "x" is: @in_use with its key, or NULL for nothing; and whether a key waits. */
static bool is(const World *world, const TestIdentity *in_use, bool waits) {
        g_autoptr(GPtrArray) list = identities_list(world->identities);
        const Identity *identity = list->pdata[0];

        g_assert_cmpuint(list->len, ==, 1);
        g_assert_cmpstr(identity->name, ==, "x");
        g_assert_true(!identity->chain == !identity->key);
        if ((identity->waiting != NULL) != waits || !identity->chain != !in_use)
                return false;

        return !in_use || g_bytes_equal(chain_der(identity->chain, 0), test_identity_der(in_use));
}

static void a_key_waits_for_its_certificate(void) {
        World world = world_new();

        g_assert_cmpint(install(&world, "x", world.first), ==, ENTRIES_E_UNKNOWN);
        g_assert_cmpint(wait_key(&world, "x", world.first), ==, 0);
        g_assert_true(is(&world, NULL, true));
        g_assert_cmpuint(vault_count(world.ground.vault, 0), ==, 0); /* nobody signs with it */
        world_again(&world);
        g_assert_true(is(&world, NULL, true));

        g_assert_cmpint(install(&world, "x", world.second), ==, ENTRIES_E_BAD);
        g_assert_true(is(&world, NULL, true));
        g_assert_cmpint(install(&world, "x", world.first), ==, 0);
        g_assert_true(is(&world, world.first, false));
        world_again(&world);
        g_assert_true(is(&world, world.first, false));
        world_done(&world);
}

static void a_key_waits_beside_the_pair_in_use(void) {
        World world = world_new();
        g_autoptr(TestIdentity) third = test_identity_new("third", NULL, 0, TEST_KEY_ECDSA);

        put(&world, "x", world.first);
        g_assert_cmpint(wait_key(&world, "x", world.second), ==, 0);
        g_assert_true(is(&world, world.first, true));
        world_again(&world);
        g_assert_true(is(&world, world.first, true));

        /* renewed with the same key, the other goes on waiting; so it does after a refusal */
        g_assert_cmpint(install(&world, "x", world.first), ==, 0);
        g_assert_true(is(&world, world.first, true));
        g_assert_cmpint(install(&world, "x", third), ==, ENTRIES_E_BAD);
        world_again(&world);
        g_assert_true(is(&world, world.first, true));

        g_assert_cmpint(install(&world, "x", world.second), ==, 0);
        g_assert_true(is(&world, world.second, false));
        g_assert_cmpint(install(&world, "x", world.first), ==, ENTRIES_E_BAD);
        world_done(&world);
}

static void the_last_key_is_the_one_that_waits(void) {
        World world = world_new();

        g_assert_cmpint(wait_key(&world, "x", world.first), ==, 0);
        g_assert_cmpint(wait_key(&world, "x", world.second), ==, 0);
        world_again(&world);
        g_assert_cmpint(install(&world, "x", world.first), ==, ENTRIES_E_BAD);
        g_assert_cmpint(install(&world, "x", world.second), ==, 0);

        /* who brings a pair of his own does without */
        g_assert_cmpint(wait_key(&world, "x", world.first), ==, 0);
        put(&world, "x", world.second);
        g_assert_true(is(&world, world.second, false));
        world_done(&world);
}

/* ---- what may be ---- */

static void a_damaged_one_is_left_out_and_can_be_removed(void) {
        World world = world_new();
        g_autofree char *file = NULL;

        put(&world, "bad", world.first);
        put(&world, "good", world.second);
        file = store_file(world.ground.store, STORE_IDENTITY, "bad");
        ground_write(&world.ground, STORE_IDENTITY, "bad", "nonsense");
        world_again(&world);

        assert_listed(&world, (const char *const[]){"good", NULL});
        g_assert_cmpint(identities_remove(world.identities, "bad"), ==, 0);
        g_assert_cmpint(identities_remove(world.identities, "bad"), ==, ENTRIES_E_UNKNOWN);
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
                        ==, ENTRIES_E_FULL);
        put(&world, "u/1000/0", world.second); /* in its place */
        put(&world, "u/1001/x", world.second);
        put(&world, "x", world.second);
        world_done(&world);
}

/* A certificate that has issued itself can be in a chain again and again. */
static void a_user_has_so_many_bytes(void) {
        World world = world_new();
        g_autoptr(TestIdentity) long_one =
                test_identity_new("long", NULL, TEST_IDENTITY_MANY_PURPOSES, TEST_KEY_ECDSA);
        g_autoptr(GPtrArray) ders = test_blobs(NULL, NULL);
        GBytes *pem = test_identity_key_pem(long_one);
        g_autoptr(Secret) secret = secret_new(g_bytes_get_data(pem, NULL), g_bytes_get_size(pem));
        g_autoptr(PrivateKey) key = NULL;
        g_autoptr(Chain) chain = NULL;
        const Identity *identity;
        const char *text = NULL;
        size_t n_keys;
        int r = 0;

        for (int i = 0; i < CHAIN_LENGTH_MAX; i++)
                g_ptr_array_add(ders, g_bytes_ref(test_identity_der(long_one)));
        g_assert_cmpint(chain_new(ders, &chain), ==, 0);
        g_assert_cmpint(private_key_read(secret, NULL, &key, &text), ==, 0);
        for (int i = 0; r == 0 && i < IDENTITIES_PER_USER_MAX; i++) {
                g_autofree char *name = g_strdup_printf("u/1000/%d", i);

                n_keys = vault_count(world.ground.vault, 1000);
                r = identities_put(world.identities, name, chain, key, &identity, &text);
        }
        g_assert_cmpint(r, ==, ENTRIES_E_FULL);
        g_assert_nonnull(strstr(text, "512 KiB"));
        g_assert_cmpuint(vault_count(world.ground.vault, 1000), ==, n_keys);
        put(&world, "u/1000/0", world.second); /* in the place of a long one */
        g_assert_cmpint(identities_put(world.identities, "u/1001/x", chain, key, &identity, &text),
                        ==, 0);
        world_done(&world);
}

static void without_a_store_nothing_is_kept(void) {
        g_autoptr(Vault) vault = vault_new();
        g_autoptr(Identities) identities = NULL;

        g_assert_cmpint(identities_new(NULL, vault, &identities), ==, 0);
        g_assert_cmpint(identities_remove(identities, "x"), ==, ENTRIES_E_NO_STORE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/identities/is-there-again-with-its-key", is_there_again_with_its_key);
        g_test_add_func("/identities/a-replaced-ones-key-stays-until-it-is-removed",
                        a_replaced_ones_key_stays_until_it_is_removed);
        g_test_add_func("/identities/what-does-not-fit-leaves-the-last-good-pair",
                        what_does_not_fit_leaves_the_last_good_pair);
        g_test_add_func("/identities/a-key-waits-for-its-certificate",
                        a_key_waits_for_its_certificate);
        g_test_add_func("/identities/a-key-waits-beside-the-pair-in-use",
                        a_key_waits_beside_the_pair_in_use);
        g_test_add_func("/identities/the-last-key-is-the-one-that-waits",
                        the_last_key_is_the_one_that_waits);
        g_test_add_func("/identities/a-damaged-one-is-left-out-and-can-be-removed",
                        a_damaged_one_is_left_out_and_can_be_removed);
        g_test_add_func("/identities/a-user-has-so-many", a_user_has_so_many);
        g_test_add_func("/identities/a-user-has-so-many-bytes", a_user_has_so_many_bytes);
        g_test_add_func("/identities/without-a-store-nothing-is-kept",
                        without_a_store_nothing_is_kept);
        return g_test_run();
}
