/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trusts: sets of anchors that are kept, over a real store. */

#include "ground.h"
#include "keyring/trusts.h"
#include "lib/certificates.h"

#include <string.h>

typedef struct World {
        Ground ground;
        Trusts *trusts;
        TestIdentity *first, *second;
} World;

static World world_new(void) {
        World world = {.ground = ground_new(/* sealed= */ false)};

        world.first = test_identity_new("first", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world.second = test_identity_new("second", NULL, TEST_IDENTITY_CA, TEST_KEY_ED25519);
        g_assert_cmpint(trusts_new(world.ground.store, &world.trusts), ==, 0);
        return world;
}

static void world_close(World *world) {
        trusts_free(world->trusts);
        ground_close(&world->ground);
}

static void world_again(World *world) {
        world_close(world);
        ground_open(&world->ground);
        g_assert_cmpint(trusts_new(world->ground.store, &world->trusts), ==, 0);
}

static void world_done(World *world) {
        world_close(world);
        ground_done(&world->ground);
        test_identity_free(world->first);
        test_identity_free(world->second);
}

static int add_blob(World *world, const char *name, GBytes *blob, const char **ret_text) {
        g_autoptr(GPtrArray) blobs = test_blobs(blob, NULL);
        const TrustSet *set;

        return trusts_add(world->trusts, name, blobs, &set, ret_text);
}

static void add(World *world, const char *name, const TestIdentity *anchor) {
        const char *text = NULL;

        g_assert_cmpint(add_blob(world, name, test_identity_der(anchor), &text), ==, 0);
}

static int drop(World *world, const char *name, const TestIdentity *anchor) {
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        GBytes *der = test_identity_der(anchor);
        uint8_t digest[TRUST_FINGERPRINT_SIZE];
        gsize size = sizeof(digest);
        const TrustSet *set;
        const char *text;

        g_checksum_update(checksum, g_bytes_get_data(der, NULL), (gssize)g_bytes_get_size(der));
        g_checksum_get_digest(checksum, digest, &size);
        return trusts_remove(world->trusts, name, digest, size, &set, &text);
}

static int drop_all(World *world, const char *name) {
        const TrustSet *set;
        const char *text;

        return trusts_remove(world->trusts, name, NULL, 0, &set, &text);
}

static bool has(const World *world, const char *name, const TestIdentity *anchor) {
        g_autoptr(GPtrArray) list = trusts_list(world->trusts);

        for (guint i = 0; i < list->len; i++) {
                const TrustSet *set = list->pdata[i];

                if (g_str_equal(set->name, name) &&
                    g_ptr_array_find_with_equal_func(set->anchors, test_identity_der(anchor),
                                                     (GEqualFunc)g_bytes_equal, NULL))
                        return true;
        }

        return false;
}

static void assert_listed(const World *world, const char *const *names) {
        g_autoptr(GPtrArray) list = trusts_list(world->trusts);

        g_assert_cmpuint(list->len, ==, g_strv_length((char **)names));
        for (guint i = 0; i < list->len; i++)
                g_assert_cmpstr(((const TrustSet *)list->pdata[i])->name, ==, names[i]);
}

static void grows_and_shrinks_and_is_there_again(void) {
        World world = world_new();

        add(&world, "field", world.first);
        add(&world, "u/1000/own", world.second);
        add(&world, "field", world.second);
        add(&world, "field", world.second); /* once */
        world_again(&world);
        assert_listed(&world, (const char *const[]){"field", "u/1000/own", NULL});
        g_assert_true(has(&world, "field", world.first));
        g_assert_true(has(&world, "field", world.second));
        g_assert_false(has(&world, "u/1000/own", world.first));

        g_assert_cmpint(drop(&world, "field", world.first), ==, 0);
        g_assert_cmpint(drop(&world, "field", world.first), ==, ENTRIES_E_UNKNOWN);
        world_again(&world);
        g_assert_false(has(&world, "field", world.first));
        g_assert_true(has(&world, "field", world.second));

        /* with its last */
        g_assert_cmpint(drop(&world, "field", world.second), ==, 0);
        assert_listed(&world, (const char *const[]){"u/1000/own", NULL});
        world_again(&world);
        assert_listed(&world, (const char *const[]){"u/1000/own", NULL});
        g_assert_cmpint(drop(&world, "field", world.second), ==, ENTRIES_E_UNKNOWN);
        world_done(&world);
}

static void what_is_no_anchor_leaves_the_set_as_it_is(void) {
        World world = world_new();
        g_autoptr(GBytes) noise = g_bytes_new_static("noise", 5);
        g_autoptr(GBytes) cut = g_bytes_new_from_bytes(test_identity_pem(world.second), 0, 200);
        g_autoptr(GPtrArray) none = test_blobs(NULL, NULL);
        const TrustSet *set;
        const char *text = NULL;

        add(&world, "field", world.first);
        g_assert_cmpint(add_blob(&world, "field", noise, &text), ==, ENTRIES_E_BAD);
        g_assert_nonnull(strstr(text, "not certificates"));
        g_assert_cmpint(add_blob(&world, "field", cut, &text), ==, ENTRIES_E_BAD);
        g_assert_cmpint(add_blob(&world, "field", test_identity_key_pem(world.second), &text), ==,
                        ENTRIES_E_BAD);
        g_assert_cmpint(trusts_add(world.trusts, "new", none, &set, &text), ==, ENTRIES_E_BAD);
        world_again(&world);
        assert_listed(&world, (const char *const[]){"field", NULL});
        g_assert_true(has(&world, "field", world.first));
        world_done(&world);
}

static void the_systems_name_is_the_systems(void) {
        World world = world_new();
        const char *text = NULL;

        g_assert_cmpint(add_blob(&world, "system", test_identity_der(world.first), &text), ==,
                        ENTRIES_E_BAD);
        g_assert_nonnull(strstr(text, "what the system trusts"));
        add(&world, "u/1000/system", world.first); /* cannot be mistaken for it */
        world_done(&world);
}

static void a_damaged_one_is_left_out_and_made_anew(void) {
        World world = world_new();
        g_autofree char *file = NULL;

        add(&world, "bad", world.first);
        add(&world, "good", world.second);
        file = store_file(world.ground.store, STORE_TRUST, "bad");
        ground_write(&world.ground, STORE_TRUST, "bad", "nonsense");
        world_again(&world);
        assert_listed(&world, (const char *const[]){"good", NULL});
        g_assert_cmpint(drop(&world, "bad", world.first), ==, ENTRIES_E_UNKNOWN);
        g_assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
        add(&world, "bad", world.second);
        g_assert_true(has(&world, "bad", world.second));

        ground_empty(&world.ground, STORE_TRUST, "bad");
        world_again(&world);
        g_assert_cmpint(drop_all(&world, "bad"), ==, 0);
        g_assert_false(g_file_test(file, G_FILE_TEST_EXISTS));
        g_assert_cmpint(drop_all(&world, "bad"), ==, ENTRIES_E_UNKNOWN);
        world_done(&world);
}

static void a_user_has_so_many(void) {
        World world = world_new();
        const char *text = NULL;

        for (int i = 0; i < TRUSTS_PER_USER_MAX; i++) {
                g_autofree char *name = g_strdup_printf("u/1000/%d", i);

                add(&world, name, world.first);
        }
        g_assert_cmpint(add_blob(&world, "u/1000/x", test_identity_der(world.first), &text), ==,
                        ENTRIES_E_FULL);
        g_assert_nonnull(strstr(text, "16"));
        add(&world, "u/1000/0", world.second);
        add(&world, "u/1001/x", world.second);
        add(&world, "x", world.second);
        world_done(&world);
}

/* A set of @n anchors that nobody else has. */
static int add_many(World *world, const char *name, int n, const char **ret_text) {
        g_autoptr(GPtrArray) blobs = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        const TrustSet *set;

        for (int i = 0; i < n; i++) {
                TestIdentity *anchor =
                        test_identity_new("many", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);

                g_ptr_array_add(blobs, g_bytes_ref(test_identity_der(anchor)));
                test_identity_free(anchor);
        }

        return trusts_add(world->trusts, name, blobs, &set, ret_text);
}

static void a_user_has_so_many_bytes(void) {
        World world = world_new();
        const char *text = NULL;
        int r = 0;

        for (int i = 0; r == 0 && i < TRUSTS_PER_USER_MAX; i++) {
                g_autofree char *name = g_strdup_printf("u/1000/%d", i);

                r = add_many(&world, name, 100, &text);
        }
        g_assert_cmpint(r, ==, ENTRIES_E_FULL);
        g_assert_nonnull(strstr(text, "256 KiB"));
        add(&world, "u/1001/x", world.first);
        world_done(&world);
}

static void without_a_store_nothing_is_kept(void) {
        g_autoptr(GPtrArray) none = test_blobs(NULL, NULL);
        g_autoptr(Trusts) trusts = NULL;
        const TrustSet *set;
        const char *text;

        g_assert_cmpint(trusts_new(NULL, &trusts), ==, 0);
        g_assert_cmpint(trusts_add(trusts, "x", none, &set, &text), ==, ENTRIES_E_NO_STORE);
        g_assert_cmpint(trusts_remove(trusts, "x", NULL, 0, &set, &text), ==, ENTRIES_E_NO_STORE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/trusts/grow-and-shrink-and-are-there-again",
                        grows_and_shrinks_and_is_there_again);
        g_test_add_func("/trusts/what-is-no-anchor-leaves-the-set-as-it-is",
                        what_is_no_anchor_leaves_the_set_as_it_is);
        g_test_add_func("/trusts/the-systems-name-is-the-systems", the_systems_name_is_the_systems);
        g_test_add_func("/trusts/a-damaged-one-is-left-out-and-made-anew",
                        a_damaged_one_is_left_out_and_made_anew);
        g_test_add_func("/trusts/a-user-has-so-many", a_user_has_so_many);
        g_test_add_func("/trusts/a-user-has-so-many-bytes", a_user_has_so_many_bytes);
        g_test_add_func("/trusts/without-a-store-nothing-is-kept", without_a_store_nothing_is_kept);
        return g_test_run();
}
