/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* asks: that each is answered once, and from the loop; how calls end is test-keys.c's. */

#include "couple.h"

static void nothing_is_answered_inside_the_call(void) {
        Couple *couple = couple_new();

        (void)keys_remove_identity(couple->keys, 0, "none", couple_done, couple);
        g_assert_false(couple->answered);
        g_assert_cmpint(couple_wait(couple), ==, KEYS_E_UNKNOWN);

        couple->server = server_free(couple->server);
        (void)keys_remove_identity(couple->keys, 0, "none", couple_done, couple);
        g_assert_false(couple->answered);
        g_assert_cmpint(couple_wait(couple), ==, KEYS_E_GONE);
        couple_free(couple);
}

static void on_heard(int outcome, const char *text, void *userdata) {
        *(bool *)userdata = true;
}

static void who_forgets_hears_nothing(void) {
        Couple *couple = couple_new();
        bool is_heard = false;
        uint64_t first, second;

        first = keys_remove_identity(couple->keys, 0, "none", on_heard, &is_heard);
        second = keys_remove_identity(couple->keys, 0, "none", couple_done, couple);
        g_assert_cmpuint(first, !=, second);
        keys_forget(couple->keys, first);
        keys_forget(couple->keys, first);
        keys_forget(couple->keys, 999);
        g_assert_cmpint(couple_wait(couple), ==, KEYS_E_UNKNOWN);
        g_assert_false(is_heard);
        couple_free(couple);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/asks/nothing-is-answered-inside-the-call",
                        nothing_is_answered_inside_the_call);
        g_test_add_func("/asks/who-forgets-hears-nothing", who_forgets_hears_nothing);
        return g_test_run();
}
