/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* revoked: entries of denied certificates and revocation lists, over a real store. */

#include "ground.h"
#include "identity/revocation-text.h"
#include "keyring/revoked.h"
#include "lib/revocations.h"

#include <string.h>

#define HASH "abcd000000000000000000000000000000000000000000000000000000000001\n"

typedef struct World {
        Ground ground;
        Revoked *revoked;
        const char *text; /* why the last one was refused */
} World;

static World world_new(void) {
        World world = {.ground = ground_new(/* sealed= */ false)};

        g_assert_cmpint(revoked_new(world.ground.store, &world.revoked), ==, 0);
        return world;
}

static void world_close(World *world) {
        revoked_free(world->revoked);
        ground_close(&world->ground);
}

static void world_again(World *world) {
        world_close(world);
        ground_open(&world->ground);
        g_assert_cmpint(revoked_new(world->ground.store, &world->revoked), ==, 0);
}

static void world_done(World *world) {
        world_close(world);
        ground_done(&world->ground);
}

static int put_bytes(World *world, const char *name, GBytes *taken) {
        g_autoptr(GBytes) bytes = taken;

        return revoked_put(world->revoked, name, bytes, &world->text);
}

static int put(World *world, const char *name, const char *text) {
        return put_bytes(world, name, g_bytes_new(text, strlen(text)));
}

/* Of hashes, and so long at least. */
static int put_long(World *world, const char *name, size_t size) {
        GString *text = g_string_new(NULL);

        while (text->len < size)
                g_string_append_printf(text, "%064zx\n", text->len);
        return put_bytes(world, name, g_string_free_to_bytes(text));
}

/* "name:size name:damaged ...", all of them. */
static void assert_listed(const World *world, const char *expected) {
        g_autoptr(GPtrArray) list = revoked_list(world->revoked);
        g_autoptr(GString) found = g_string_new(NULL);

        for (guint i = 0; i < list->len; i++) {
                const RevokedEntry *entry = list->pdata[i];

                g_string_append_printf(found, "%s%s:", i > 0 ? " " : "", entry->name);
                if (entry->text)
                        g_string_append_printf(found, "%zu", g_bytes_get_size(entry->text));
                else
                        g_string_append(found, "damaged");
        }
        g_assert_cmpstr(found->str, ==, expected);
}

static void are_put_replaced_and_removed(void) {
        World world = world_new();

        g_assert_cmpint(put(&world, "stolen", HASH), ==, 0);
        g_assert_cmpint(put(&world, "u/1000/own", HASH HASH), ==, 0);
        world_again(&world);
        assert_listed(&world, "stolen:65 u/1000/own:130");
        g_assert_cmpint(put(&world, "stolen", HASH HASH HASH), ==, 0);
        g_assert_cmpint(revoked_remove(world.revoked, "u/1000/own"), ==, 0);
        assert_listed(&world, "stolen:195");
        world_again(&world);
        assert_listed(&world, "stolen:195");
        g_assert_cmpint(revoked_remove(world.revoked, "u/1000/own"), ==, ENTRIES_E_UNKNOWN);
        world_done(&world);
}

static void nonsense_leaves_all_as_it_was(void) {
        World world = world_new();

        g_assert_cmpint(put(&world, "stolen", HASH), ==, 0);
        g_assert_cmpint(put(&world, "stolen", "nonsense"), ==, ENTRIES_E_BAD);
        g_assert_nonnull(strstr(world.text, "SHA-256"));
        g_assert_cmpint(put(&world, "stolen", ""), ==, ENTRIES_E_BAD);
        g_assert_cmpint(put_long(&world, "stolen", REVOCATION_TEXT_MAX + 1), ==, ENTRIES_E_BAD);
        g_assert_nonnull(strstr(world.text, "256 KiB"));
        assert_listed(&world, "stolen:65");
        world_again(&world);
        assert_listed(&world, "stolen:65");
        world_done(&world);
}

/* Whom it took back is not trusted again for that. */
static void a_damaged_one_is_told_and_stays(void) {
        World world = world_new();

        g_assert_cmpint(put(&world, "bad", HASH), ==, 0);
        g_assert_cmpint(put(&world, "good", HASH), ==, 0);
        ground_write(&world.ground, STORE_REVOCATIONS, "bad", "nonsense");
        world_again(&world);
        assert_listed(&world, "bad:damaged good:65");
        ground_empty(&world.ground, STORE_REVOCATIONS, "bad");
        world_again(&world);
        assert_listed(&world, "bad:damaged good:65");

        g_assert_cmpint(put(&world, "bad", HASH HASH), ==, 0);
        assert_listed(&world, "bad:130 good:65");
        ground_empty(&world.ground, STORE_REVOCATIONS, "bad");
        world_again(&world);
        g_assert_cmpint(revoked_remove(world.revoked, "bad"), ==, 0);
        assert_listed(&world, "good:65");
        world_done(&world);
}

static void a_user_has_so_many_and_so_much(void) {
        World world = world_new();

        for (int i = 0; i < REVOKED_PER_USER_MAX; i++) {
                g_autofree char *name = g_strdup_printf("u/1000/%d", i);

                g_assert_cmpint(put(&world, name, HASH), ==, 0);
        }
        g_assert_cmpint(put(&world, "u/1000/x", HASH), ==, ENTRIES_E_FULL);
        g_assert_nonnull(strstr(world.text, "16"));
        g_assert_cmpint(put(&world, "u/1000/0", HASH HASH), ==, 0);
        g_assert_cmpint(put_long(&world, "u/1000/0", REVOCATION_TEXT_MAX - 100), ==,
                        ENTRIES_E_FULL);
        g_assert_cmpint(put_long(&world, "u/1001/x", REVOCATION_TEXT_MAX - 100), ==, 0);
        g_assert_cmpint(put_long(&world, "x", REVOCATION_TEXT_MAX - 100), ==, 0);
        g_assert_cmpint(put_long(&world, "y", REVOCATION_TEXT_MAX - 100), ==, 0);
        world_done(&world);
}

static void a_user_has_so_many_lists(void) {
        World world = world_new();
        g_autoptr(TestIdentity) ca =
                test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(GBytes) crl = test_crl_new(ca, NULL, NULL, NULL);
        g_autoptr(GPtrArray) blobs = test_blobs(NULL, NULL);
        g_autoptr(GPtrArray) none = g_ptr_array_new();
        g_autoptr(GBytes) text = NULL;
        g_autoptr(GBytes) more = NULL;

        for (int i = 0; i < REVOKED_LISTS_PER_USER_MAX; i++)
                g_ptr_array_add(blobs, g_bytes_ref(crl));
        g_assert_cmpint(revocation_text_new(blobs, none, &text), ==, 0);
        g_assert_cmpint(put_bytes(&world, "u/1000/x", g_bytes_ref(text)), ==, 0);
        g_assert_cmpint(put_bytes(&world, "u/1000/y", g_bytes_ref(text)), ==, ENTRIES_E_FULL);
        g_assert_cmpint(put(&world, "u/1000/y", HASH), ==, 0);

        g_ptr_array_add(blobs, g_bytes_ref(crl));
        g_assert_cmpint(revocation_text_new(blobs, none, &more), ==, 0);
        g_assert_cmpint(put_bytes(&world, "u/1000/x", g_bytes_ref(more)), ==, ENTRIES_E_FULL);
        g_assert_cmpint(put_bytes(&world, "x", g_bytes_ref(more)), ==, 0);
        world_done(&world);
}

static void the_administrator_has_so_many(void) {
        World world = world_new();

        for (int i = 0; i < REVOKED_ADMINISTRATOR_MAX; i++) {
                g_autofree char *name = g_strdup_printf("%d", i);

                g_assert_cmpint(put(&world, name, HASH), ==, 0);
        }
        g_assert_cmpint(put(&world, "x", HASH), ==, ENTRIES_E_FULL);
        g_assert_nonnull(strstr(world.text, "256"));
        g_assert_cmpint(put(&world, "0", HASH HASH), ==, 0);
        world_done(&world);
}

static void without_a_store_nothing_is_kept(void) {
        g_autoptr(GBytes) text = g_bytes_new_static(HASH, 65);
        g_autoptr(Revoked) revoked = NULL;
        const char *why;

        g_assert_cmpint(revoked_new(NULL, &revoked), ==, 0);
        g_assert_cmpint(revoked_put(revoked, "x", text, &why), ==, ENTRIES_E_NO_STORE);
        g_assert_cmpint(revoked_remove(revoked, "x"), ==, ENTRIES_E_NO_STORE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/revoked/are-put-replaced-and-removed", are_put_replaced_and_removed);
        g_test_add_func("/revoked/nonsense-leaves-all-as-it-was", nonsense_leaves_all_as_it_was);
        g_test_add_func("/revoked/a-damaged-one-is-told-and-stays",
                        a_damaged_one_is_told_and_stays);
        g_test_add_func("/revoked/a-user-has-so-many-and-so-much", a_user_has_so_many_and_so_much);
        g_test_add_func("/revoked/a-user-has-so-many-lists", a_user_has_so_many_lists);
        g_test_add_func("/revoked/the-administrator-has-so-many", the_administrator_has_so_many);
        g_test_add_func("/revoked/without-a-store-nothing-is-kept",
                        without_a_store_nothing_is_kept);
        return g_test_run();
}
