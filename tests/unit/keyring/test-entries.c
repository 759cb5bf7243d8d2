/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* entries: how many there may be, and what is done to all kinds alike. */

#include "keyring/entries.h"

#include "ground.h"

static GHashTable *table(const char *const *names) {
        GHashTable *by_name = g_hash_table_new(g_str_hash, g_str_equal);

        for (; *names; names++)
                g_hash_table_insert(by_name, (void *)*names, (void *)*names);
        return by_name;
}

static void a_user_has_a_share_and_the_administrator_what_is_left(void) {
        g_autoptr(GHashTable) by_name =
                table((const char *const[]){"a", "b", "u/1000/a", "u/1000/b", "u/1001/a", NULL});

        g_assert_false(entries_have_room(by_name, "u/1000/c", 2, 10));
        g_assert_true(entries_have_room(by_name, "u/1001/b", 2, 10));
        g_assert_true(entries_have_room(by_name, "u/100/a", 2, 10));
        g_assert_true(entries_have_room(by_name, "c", 2, 10));
        g_assert_false(entries_have_room(by_name, "c", 2, 5));
        g_assert_false(entries_have_room(by_name, "u/1001/b", 2, 5));
}

static void what_is_there_has_its_room(void) {
        g_autoptr(GHashTable) by_name =
                table((const char *const[]){"a", "u/1000/a", "u/1000/b", NULL});

        g_assert_true(entries_have_room(by_name, "u/1000/b", 2, 3));
        g_assert_true(entries_have_room(by_name, "a", 2, 3));
}

static int note(void *heard, const char *name, const Secret *contents, const char **ret_why) {
        g_string_append_printf(heard, "%s=%.*s ", name, contents ? (int)secret_size(contents) : 1,
                               contents ? (const char *)secret_peek(contents) : "?");
        return 0;
}

static void those_of_a_kind_are_loaded(void) {
        g_autoptr(GString) heard = g_string_new(NULL);
        Ground ground = ground_new(/* sealed= */ false);

        ground_write(&ground, STORE_PSK, "b", "x");
        ground_write(&ground, STORE_TRUST, "other", "x");
        ground_write(&ground, STORE_PSK, "u/1000/a", "y");
        ground_write(&ground, STORE_PSK, "damaged", "z");
        ground_empty(&ground, STORE_PSK, "damaged");
        g_assert_cmpint(entries_load(ground.store, STORE_PSK, note, heard), ==, 0);
        g_assert_cmpint(entries_load(NULL, STORE_PSK, note, heard), ==, 0);
        g_assert_cmpstr(heard->str, ==, "b=x damaged=? u/1000/a=y ");

        ground_close(&ground);
        ground_done(&ground);
}

static void what_is_removed_is_gone_from_disk_and_table(void) {
        g_autoptr(GHashTable) by_name = table((const char *const[]){"a", "kept", NULL});
        Ground ground = ground_new(/* sealed= */ false);
        g_autoptr(Secret) contents = NULL;

        g_assert_cmpint(entries_remove(NULL, STORE_PSK, by_name, "a"), ==, ENTRIES_E_NO_STORE);
        g_assert_cmpint(entries_remove(ground.store, STORE_PSK, by_name, "no"), ==,
                        ENTRIES_E_UNKNOWN);
        g_assert_cmpuint(g_hash_table_size(by_name), ==, 2);

        ground_write(&ground, STORE_PSK, "a", "x");
        ground_write(&ground, STORE_PSK, "damaged", "x"); /* and so not in the table */
        g_assert_cmpint(entries_remove(ground.store, STORE_PSK, by_name, "a"), ==, 0);
        g_assert_cmpint(entries_remove(ground.store, STORE_PSK, by_name, "damaged"), ==, 0);
        g_assert_cmpint(store_get(ground.store, STORE_PSK, "a", &contents), ==, STORE_E_UNKNOWN);
        g_assert_false(g_hash_table_contains(by_name, "a"));
        g_assert_true(g_hash_table_contains(by_name, "kept"));

        ground_close(&ground);
        ground_done(&ground);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/entries/a-user-has-a-share-and-the-administrator-what-is-left",
                        a_user_has_a_share_and_the_administrator_what_is_left);
        g_test_add_func("/entries/what-is-there-has-its-room", what_is_there_has_its_room);
        g_test_add_func("/entries/those-of-a-kind-are-loaded", those_of_a_kind_are_loaded);
        g_test_add_func("/entries/what-is-removed-is-gone-from-disk-and-table",
                        what_is_removed_is_gone_from_disk_and_table);
        return g_test_run();
}
