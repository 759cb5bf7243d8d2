/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "relay/private.h"

static void each_name_has_its_own(void) {
        g_autoptr(GHashTable) names = names_new();
        int one, two, three;
        void *first;

        g_assert_null(names_first(names, ":1.1"));
        g_assert_null(names_first(names, NULL));
        names_add(names, ":1.1", &one);
        names_add(names, ":1.2", &two);
        names_add(names, ":1.2", &three);
        g_assert_true(names_first(names, ":1.1") == &one);
        first = names_first(names, ":1.2");
        g_assert_true(first == &two || first == &three);

        names_remove(names, ":1.1", &two); /* which is another's */
        names_remove(names, ":1.3", &two);
        names_remove(names, ":1.2", first);
        g_assert_true(names_first(names, ":1.1") == &one);
        g_assert_true(names_first(names, ":1.2") == (first == &two ? &three : &two));
}

static void all_can_go(void) {
        g_autoptr(GHashTable) names = names_new();
        int things[3];
        unsigned n = 0;

        names_add(names, ":1.1", &things[0]);
        names_add(names, ":1.1", &things[1]);
        names_add(names, ":1.2", &things[2]);
        for (int *thing; (thing = names_first(names, NULL)); n++)
                names_remove(names, thing == &things[2] ? ":1.2" : ":1.1", thing);
        g_assert_cmpuint(n, ==, 3);
        g_assert_cmpuint(g_hash_table_size(names), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/names/each-name-has-its-own", each_name_has_its_own);
        g_test_add_func("/names/all-can-go", all_can_go);
        return g_test_run();
}
