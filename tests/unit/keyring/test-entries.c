/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* entries: how many there may be, and in which order they are. */

#include "keyring/entries.h"

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

static void are_listed_by_their_names(void) {
        g_autoptr(GHashTable) by_name = table((const char *const[]){"b", "u/9/a", "a", "B", NULL});
        g_autoptr(GPtrArray) list = entries_list(by_name);
        const char *const expected[] = {"B", "a", "b", "u/9/a"};

        g_assert_cmpuint(list->len, ==, G_N_ELEMENTS(expected));
        for (guint i = 0; i < list->len; i++)
                g_assert_cmpstr(list->pdata[i], ==, expected[i]);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/entries/a-user-has-a-share-and-the-administrator-what-is-left",
                        a_user_has_a_share_and_the_administrator_what_is_left);
        g_test_add_func("/entries/what-is-there-has-its-room", what_is_there_has_its_room);
        g_test_add_func("/entries/are-listed-by-their-names", are_listed_by_their_names);
        return g_test_run();
}
