/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * workers: the order in which jobs are begun. A gate stands in for the time that a job takes, so
 * that nothing here depends on the clock. (That threads sign, and the bounds: test-signer.c.)
 */

#include "keyring/workers.h"

#define ALICE 1000
#define BOB 1001
#define LIMIT_USEC (30 * G_USEC_PER_SEC)

/* One thread, which holds its first job until the gate is opened. */
typedef struct Fixture {
        sd_event *event;
        Workers *workers;
        GString *begun, *ended; /* letters */
} Fixture;

typedef struct Job {
        char letter;
        Fixture *fixture;
        GMutex *gate; /* NULL: goes at once */
} Job;

static void job_work(void *data) {
        Job *job = data;

        if (job->gate) {
                g_mutex_lock(job->gate);
                g_mutex_unlock(job->gate);
        }
        g_string_append_c(job->fixture->begun, job->letter); /* by the only thread */
}

static void job_done(void *data, bool worked) {
        Job *job = data;

        g_string_append_c(job->fixture->ended, worked ? job->letter : '-');
        g_free(job);
}

static const WorkersPlan plan = {
        .n_threads = 1,
        .n_threads_per_uid = 1,
        .n_waiting_max = 6,
        .n_waiting_per_uid_max = 4,
        .work = job_work,
        .done = job_done,
};

static void set_up(Fixture *f, gconstpointer data) {
        f->begun = g_string_new(NULL);
        f->ended = g_string_new(NULL);
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(workers_new(f->event, &plan, &f->workers), ==, 0);
}

static void tear_down(Fixture *f, gconstpointer data) {
        workers_free(f->workers);
        sd_event_unref(f->event);
        (void)g_string_free(f->begun, TRUE);
        (void)g_string_free(f->ended, TRUE);
}

static int put(Fixture *f, uid_t uid, uint64_t thing, char letter, GMutex *gate) {
        Job *job = g_new0(Job, 1);
        int r;

        *job = (Job){.letter = letter, .fixture = f, .gate = gate};
        r = workers_put(f->workers, uid, thing, job);
        if (r)
                g_free(job);
        return r;
}

static void wait_ended(Fixture *f, gsize n) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (f->ended->len < n) {
                g_assert_cmpint(g_get_monotonic_time(), <, limit);
                g_assert_cmpint(sd_event_run(f->event, 100000), >=, 0);
        }
}

static void users_and_their_things_take_turns(Fixture *f, gconstpointer data) {
        GMutex gate;

        g_mutex_init(&gate);
        g_mutex_lock(&gate);
        g_assert_cmpint(put(f, ALICE, 1, 'a', &gate), ==, 0);
        g_assert_cmpint(put(f, ALICE, 1, 'b', NULL), ==, 0);
        g_assert_cmpint(put(f, ALICE, 1, 'c', NULL), ==, 0);
        g_assert_cmpint(put(f, ALICE, 2, 'x', NULL), ==, 0);
        g_assert_cmpint(put(f, BOB, 1, 'B', NULL), ==, 0);
        g_assert_cmpint(put(f, BOB, 1, 'C', NULL), ==, 0);
        g_mutex_unlock(&gate);
        wait_ended(f, 6);

        /* each user's next: alice's b, bob's B, then alice's other thing, and so on */
        g_assert_cmpstr(f->begun->str, ==, "abBxCc");
        g_assert_cmpstr(f->ended->str, ==, "abBxCc");
        g_mutex_clear(&gate);
}

static void what_waits_is_bounded(Fixture *f, gconstpointer data) {
        GMutex gate;

        g_mutex_init(&gate);
        g_mutex_lock(&gate);
        for (int i = 0; i < 5; i++) /* one in work, four wait */
                g_assert_cmpint(put(f, ALICE, (uint64_t)i, 'a', &gate), ==, 0);
        g_assert_cmpint(put(f, ALICE, 9, 'x', NULL), ==, WORKERS_E_BUSY);
        g_assert_cmpint(put(f, BOB, 1, 'b', NULL), ==, 0);
        g_assert_cmpint(put(f, BOB, 1, 'b', NULL), ==, 0);
        g_assert_cmpint(put(f, BOB + 1, 1, 'x', NULL), ==, WORKERS_E_BUSY);
        g_mutex_unlock(&gate);
        wait_ended(f, 7);
        g_assert_cmpint(put(f, ALICE, 9, 'y', NULL), ==, 0);
        wait_ended(f, 8);
        g_mutex_clear(&gate);
}

static void what_waits_is_given_back(Fixture *f, gconstpointer data) {
        for (int i = 0; i < 4; i++)
                g_assert_cmpint(put(f, ALICE, 1, 'a', NULL), ==, 0);
        f->workers = workers_free(f->workers);
        g_assert_cmpstr(f->ended->str, ==, "----");
        g_assert_cmpuint(f->begun->len, <=, 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/workers/users-and-their-things-take-turns", Fixture, NULL, set_up,
                   users_and_their_things_take_turns, tear_down);
        g_test_add("/workers/what-waits-is-bounded", Fixture, NULL, set_up, what_waits_is_bounded,
                   tear_down);
        g_test_add("/workers/what-waits-is-given-back", Fixture, NULL, set_up,
                   what_waits_is_given_back, tear_down);
        return g_test_run();
}
