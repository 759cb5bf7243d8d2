/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fault: always negative, traced at debug, and harmless to errno. */

#include "base/fault.h"
#include "base/log.h"
#include "lib/capture.h"

#include <errno.h>
#include <glib.h>

static void test_a_fault_passes_as_it_is(void) {
        g_assert_cmpint(fault(-ENOENT), ==, -ENOENT);
        g_assert_cmpint(fault(fault(-EIO)), ==, -EIO);
}

static void test_a_forgotten_outcome_becomes_a_fault(void) {
        g_assert_cmpint(fault(1), ==, -ENOTRECOVERABLE);
        g_assert_cmpint(fault(0), ==, -ENOTRECOVERABLE);
}

static void test_each_hop_is_a_line_at_debug(void) {
        g_autofree char *quiet = NULL, *loud = NULL;

        log_set_level(LOG_INFO);
        capture_begin();
        (void)fault(-ENOENT);
        quiet = capture_end();
        g_assert_cmpstr(quiet, ==, "");

        log_set_level(LOG_DEBUG);
        capture_begin();
        errno = EBUSY;
        (void)fault(-ENOENT);
        g_assert_cmpint(errno, ==, EBUSY);
        (void)fault(5);
        loud = capture_end();
        log_set_level(LOG_INFO);

        g_assert_nonnull(g_strstr_len(loud, -1, "test-fault.c:"));
        g_assert_nonnull(g_strstr_len(loud, -1, __func__));
        g_assert_nonnull(g_strstr_len(loud, -1, "No such file or directory"));
        g_assert_nonnull(g_strstr_len(loud, -1, "unhandled outcome 5"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/fault/passes-as-it-is", test_a_fault_passes_as_it_is);
        g_test_add_func("/fault/a-forgotten-outcome-becomes-one",
                        test_a_forgotten_outcome_becomes_a_fault);
        g_test_add_func("/fault/each-hop-is-a-line-at-debug", test_each_hop_is_a_line_at_debug);

        return g_test_run();
}
