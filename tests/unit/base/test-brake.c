/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of the log, so many for each who can cause them. */

#include "base/brake.h"
#include "base/log.h"
#include "lib/capture.h"

#include <string.h>

#define SECOND_USEC UINT64_C(1000000)

static unsigned count_lines(const char *text) {
        unsigned n = 0;

        for (; *text; text++)
                n += *text == '\n';
        return n;
}

static char *write_lines(Brake *brake, uint64_t now_usec, int level, unsigned n) {
        capture_begin();
        for (unsigned i = 0; i < n; i++)
                brake_write(brake, now_usec, level, NULL, NULL, "once more");
        return capture_end();
}

static void leaves_out_and_says_how_many(void) {
        Brake brake = {0};
        g_autofree char *flood = write_lines(&brake, 100 * SECOND_USEC, LOG_INFO, 1000);
        g_autofree char *soon = write_lines(&brake, 109 * SECOND_USEC, LOG_INFO, 1);
        g_autofree char *later = write_lines(&brake, 110 * SECOND_USEC, LOG_INFO, 1);

        g_assert_cmpuint(count_lines(flood), ==, 20);
        g_assert_cmpuint(count_lines(soon), ==, 0);
        g_assert_cmpuint(count_lines(later), ==, 1);
        g_assert_nonnull(strstr(later, "(981 lines left out)"));
}

static void counts_nothing_that_nobody_would_read(void) {
        Brake brake = {0};
        g_autofree char *unread = write_lines(&brake, 0, LOG_DEBUG, 1000);
        g_autofree char *read = write_lines(&brake, 0, LOG_INFO, 1);

        g_assert_cmpuint(count_lines(unread), ==, 0);
        g_assert_cmpuint(count_lines(read), ==, 1);
        g_assert_null(strstr(read, "left out"));
}

static void may_be_asked_before(void) {
        Brake brake = {0};
        g_autofree char *first = NULL, *later = NULL;

        for (unsigned i = 0; i < 100; i++) /* to ask writes nothing */
                g_assert_false(brake_leaves_out(&brake, 100 * SECOND_USEC, LOG_INFO));
        g_assert_true(brake_leaves_out(&brake, 100 * SECOND_USEC, LOG_DEBUG));

        first = write_lines(&brake, 100 * SECOND_USEC, LOG_INFO, 20);
        g_assert_cmpuint(count_lines(first), ==, 20);
        for (unsigned i = 0; i < 7; i++) /* but counts what it leaves out */
                g_assert_true(brake_leaves_out(&brake, 100 * SECOND_USEC, LOG_INFO));
        g_assert_true(brake_leaves_out(&brake, 100 * SECOND_USEC, LOG_DEBUG));

        later = write_lines(&brake, 110 * SECOND_USEC, LOG_INFO, 1);
        g_assert_nonnull(strstr(later, "(7 lines left out)"));
}

static void is_each_users_own(void) {
        g_autoptr(GHashTable) brakes = brakes_new();
        g_autofree char *flood = write_lines(brakes_of(brakes, 1000), 0, LOG_INFO, 1000);
        g_autofree char *again = write_lines(brakes_of(brakes, 1000), 0, LOG_INFO, 1);
        g_autofree char *other = write_lines(brakes_of(brakes, 1001), 0, LOG_INFO, 1);

        g_assert_cmpuint(count_lines(flood), ==, 20);
        g_assert_cmpuint(count_lines(again), ==, 0);
        g_assert_cmpuint(count_lines(other), ==, 1);
}

/* A uid may be anybody's word. */
static void has_one_for_all_that_are_too_many(void) {
        g_autoptr(GHashTable) brakes = brakes_new();
        Brake *first = brakes_of(brakes, 0), *late;

        for (uid_t uid = 1; uid < 10000; uid++)
                (void)brakes_of(brakes, uid);
        late = brakes_of(brakes, 10000);
        g_assert_true(late == brakes_of(brakes, 10001));
        g_assert_true(late != first);
        g_assert_true(first == brakes_of(brakes, 0));
        g_assert_cmpuint(g_hash_table_size(brakes), <, 5000);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        log_set_level(LOG_INFO);
        g_test_add_func("/brake/leaves-out-and-says-how-many", leaves_out_and_says_how_many);
        g_test_add_func("/brake/counts-nothing-that-nobody-would-read",
                        counts_nothing_that_nobody_would_read);
        g_test_add_func("/brake/may-be-asked-before", may_be_asked_before);
        g_test_add_func("/brake/is-each-users-own", is_each_users_own);
        g_test_add_func("/brake/has-one-for-all-that-are-too-many",
                        has_one_for_all_that_are_too_many);
        return g_test_run();
}
