/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/entry.h"

#include <glib.h>

static void names_are_words(void) {
        g_autofree char *longest = g_strnfill(ENTRY_WORD_MAX, 'x');
        g_autofree char *longer = g_strnfill(ENTRY_WORD_MAX + 1, 'x');
        g_autofree char *longest_of_user = g_strconcat("u/4294967294/", longest, NULL);
        const char *const good[] = {"a", "Gate.way-2_x", longest, "u/0/a", longest_of_user};
        const char *const bad[] = {
                "",
                ".",
                "..",
                "../x",
                ".hidden",
                "a/b",
                "u/1000",
                "u/1000/",
                "u/1000/../x",
                "u//a",
                "u/-1/a",
                "u/01/a",
                "u/4294967295/a",
                "u/99999999999/a",
                "g/1/a",
                "u/1/a/b",
                "a b",
                "caf\xc3\xa9",
                "a,b",
                "a:b",
                "a\nb",
                "u/ 1/a",
                longer,
        };

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
                g_assert_true(entry_name_is_valid(good[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_test_message("'%s'", bad[i]);
                g_assert_false(entry_name_is_valid(bad[i]));
        }
}

static void patterns_are_of_their_letters(void) {
        g_autofree char *longest = g_strnfill(ENTRY_PATTERN_MAX, '*');
        g_autofree char *longer = g_strnfill(ENTRY_PATTERN_MAX + 1, '*');
        const char *const good[] = {"a", "*", "s?nsor-*", "u/0/*", longest};
        const char *const bad[] = {"", "..", "a/b", "[a-z]*", "{a,b}*", "a *", "a:*", longer};

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
                g_assert_true(entry_pattern_can_be(good[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_test_message("'%s'", bad[i]);
                g_assert_false(entry_pattern_can_be(bad[i]));
        }
}

static void say_whose_they_are(void) {
        g_assert_cmpuint(entry_name_uid("gateway"), ==, 0);
        g_assert_cmpuint(entry_name_uid("u-1000"), ==, 0);
        g_assert_cmpuint(entry_name_uid("u/1000/gateway"), ==, 1000);
        g_assert_cmpuint(entry_name_uid("u/4294967294/7"), ==, 4294967294);
}

static void are_listed_in_their_order(void) {
        static const char *const kept[][2] = {
                {"b", "third"}, {"u/9/a", "fourth"}, {"a", "second"}, {"B", "first"}};
        static const char *const expected[] = {"first", "second", "third", "fourth"};
        g_autoptr(GHashTable) by_name = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GPtrArray) list = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
                g_hash_table_insert(by_name, (void *)kept[i][0], (void *)kept[i][1]);
        list = entry_list(by_name);
        g_assert_cmpuint(list->len, ==, G_N_ELEMENTS(expected));
        for (guint i = 0; i < list->len; i++)
                g_assert_cmpstr(list->pdata[i], ==, expected[i]);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/entry/names-are-words", names_are_words);
        g_test_add_func("/entry/names-say-whose-they-are", say_whose_they_are);
        g_test_add_func("/entry/patterns-are-of-letters-of-names", patterns_are_of_their_letters);
        g_test_add_func("/entry/what-is-kept-is-listed-in-their-order", are_listed_in_their_order);
        return g_test_run();
}
