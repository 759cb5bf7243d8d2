/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* secret: holds bytes of its own. That they are wiped cannot be seen from outside, and is not. */

#include "base/secret.h"

#include <sys/prctl.h>
#include <sys/resource.h>

static void test_new_copies(void) {
        uint8_t bytes[] = {1, 0, 2};
        g_autoptr(Secret) secret = secret_new(bytes, sizeof(bytes));

        bytes[0] = 9;
        g_assert_cmpuint(secret_size(secret), ==, 3);
        g_assert_cmpmem(secret_peek(secret), 3, "\1\0\2", 3);
        g_assert_true(secret_data(secret) == secret_peek(secret));
}

static void test_new_zero_is_zero_and_can_be_filled(void) {
        g_autoptr(Secret) secret = secret_new_zero(4096);

        for (size_t i = 0; i < 4096; i++)
                g_assert_cmpuint(secret_peek(secret)[i], ==, 0);

        secret_data(secret)[4095] = 7;
        g_assert_cmpuint(secret_peek(secret)[4095], ==, 7);
}

static void test_none_and_empty_are_fine(void) {
        g_autoptr(Secret) empty = secret_new(NULL, 0);

        g_assert_cmpuint(secret_size(empty), ==, 0);
        g_assert_nonnull(secret_peek(empty));
        g_assert_null(secret_free(NULL));
}

static void test_a_process_is_protected(void) {
        struct rlimit core;

        if (!g_test_subprocess()) {
                g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
                g_test_trap_assert_passed();
                return;
        }

        g_assert_cmpint(secret_protect_process(), ==, 0);
        g_assert_cmpint(getrlimit(RLIMIT_CORE, &core), ==, 0);
        g_assert_cmpuint(core.rlim_max, ==, 0);
        g_assert_cmpint(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), ==, 1);
#ifndef __SANITIZE_ADDRESS__
        g_assert_cmpint(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), ==, 0);
#endif
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/secret/new/copies", test_new_copies);
        g_test_add_func("/secret/new-zero/is-zero-and-can-be-filled",
                        test_new_zero_is_zero_and_can_be_filled);
        g_test_add_func("/secret/none-and-empty-are-fine", test_none_and_empty_are_fine);
        g_test_add_func("/secret/a-process-is-protected", test_a_process_is_protected);

        return g_test_run();
}
