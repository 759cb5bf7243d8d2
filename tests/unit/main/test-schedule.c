/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "schedule.h"

#include <glib.h>
#include <sched.h>
#include <sys/resource.h>

static void choose(int policy) {
        const struct sched_param param = {0};

        g_assert_cmpint(sched_setscheduler(0, policy, &param), ==, 0);
}

static void test_who_has_chosen_nothing_runs_as_batch(void) {
        choose(SCHED_OTHER);
        schedule_as_batch();
        g_assert_cmpint(sched_getscheduler(0), ==, SCHED_BATCH);
}

static void test_being_nice_is_kept(void) {
        int nice;

        choose(SCHED_OTHER);
        nice = MIN(getpriority(PRIO_PROCESS, 0) + 1, 19); /* the nicest there is */
        g_assert_cmpint(setpriority(PRIO_PROCESS, 0, nice), ==, 0);
        schedule_as_batch();
        g_assert_cmpint(sched_getscheduler(0), ==, SCHED_BATCH);
        g_assert_cmpint(getpriority(PRIO_PROCESS, 0), ==, nice);
}

/* Last: who is not privileged does not come back from there. */
static void test_what_was_chosen_stands(void) {
        choose(SCHED_IDLE);
        schedule_as_batch();
        g_assert_cmpint(sched_getscheduler(0), ==, SCHED_IDLE);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/schedule/who-has-chosen-nothing-runs-as-batch",
                        test_who_has_chosen_nothing_runs_as_batch);
        g_test_add_func("/schedule/being-nice-is-kept", test_being_nice_is_kept);
        g_test_add_func("/schedule/what-was-chosen-stands", test_what_was_chosen_stands);
        return g_test_run();
}
