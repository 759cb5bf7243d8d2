/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * changes: who runs when. A gate stands in for the disk, so that nothing here depends on the clock.
 */

#include "keyring/changes.h"

#define ALICE 1000
#define BOB 1001
#define LIMIT_USEC (30 * G_USEC_PER_SEC)

typedef struct Fixture {
        sd_event *event;
        Changes *changes;
        GString *told; /* of each change: its letter when it begins and, large, when it ends */
        GMutex gate;
        int n_waiting; /* at the gate; atomic */
        bool is_loop;  /* the loop is in the middle of something */
} Fixture;

typedef struct Change {
        Fixture *fixture;
        char letter;
        bool waits; /* at the gate */
} Change;

static void set_up(Fixture *f, gconstpointer data) {
        f->told = g_string_new(NULL);
        g_mutex_init(&f->gate);
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(changes_new(f->event, &f->changes), ==, 0);
}

static void tear_down(Fixture *f, gconstpointer data) {
        changes_free(f->changes);
        sd_event_unref(f->event);
        (void)g_string_free(f->told, TRUE);
        g_mutex_clear(&f->gate);
}

static void pass_gate(void *data) {
        Change *change = data;

        if (!change->waits)
                return;

        g_atomic_int_inc(&change->fixture->n_waiting);
        g_mutex_lock(&change->fixture->gate);
        g_mutex_unlock(&change->fixture->gate);
}

static void make(void *userdata, bool stopped) {
        g_autofree Change *change = userdata;
        Fixture *f = change->fixture;

        g_assert_false(f->is_loop);
        if (stopped) {
                g_string_append_c(f->told, '-');
                return;
        }

        g_string_append_c(f->told, change->letter);
        changes_wait(f->changes, pass_gate, change);
        g_assert_false(f->is_loop);
        g_string_append_c(f->told, g_ascii_toupper(change->letter));
}

static void put(Fixture *f, uid_t uid, char letter, bool waits) {
        Change *change = g_new0(Change, 1);

        *change = (Change){.fixture = f, .letter = letter, .waits = waits};
        g_assert_cmpint(changes_put(f->changes, uid, make, change), ==, 0);
}

static void turn(Fixture *f, gint64 limit) {
        g_assert_cmpint(g_get_monotonic_time(), <, limit);
        g_assert_cmpint(sd_event_run(f->event, 10000), >=, 0);
}

static void wait_until_told(Fixture *f, gsize n) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (f->told->len < n)
                turn(f, limit);
}

static void wait_until_it_waits(Fixture *f) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (g_atomic_int_get(&f->n_waiting) == 0)
                turn(f, limit);
}

static void the_loop_goes_on_while_one_waits(Fixture *f, gconstpointer data) {
        g_mutex_lock(&f->gate);
        put(f, ALICE, 'a', true);
        put(f, ALICE, 'b', false);
        put(f, ALICE, 'c', false);
        put(f, BOB, 'x', false);
        wait_until_it_waits(f);

        /* and no other is begun meanwhile */
        for (int i = 0; i < 100; i++)
                g_assert_cmpint(sd_event_run(f->event, 0), >=, 0);
        g_assert_cmpstr(f->told->str, ==, "a");
        g_mutex_unlock(&f->gate);
        wait_until_told(f, 8);

        /* one after the other, users in turn */
        g_assert_cmpstr(f->told->str, ==, "aAbBxXcC");
}

static void only_one_of_the_two_runs(Fixture *f, gconstpointer data) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        for (int i = 0; i < 500; i++)
                put(f, ALICE, 'a', false);
        while (f->told->len < 1000) {
                f->is_loop = true;
                g_thread_yield();
                f->is_loop = false;
                turn(f, limit);
        }
}

static void from_the_loop_it_just_waits(Fixture *f, gconstpointer data) {
        Change change = {.fixture = f, .waits = true};

        changes_wait(f->changes, pass_gate, &change);
        g_assert_cmpint(f->n_waiting, ==, 1);
}

static void what_was_begun_is_made_to_its_end(Fixture *f, gconstpointer data) {
        g_mutex_lock(&f->gate);
        put(f, ALICE, 'a', true);
        put(f, ALICE, 'b', false);
        put(f, BOB, 'x', false);
        wait_until_it_waits(f);
        g_mutex_unlock(&f->gate);
        f->changes = changes_free(f->changes); /* gives the turn that the first asks for */
        g_assert_cmpstr(f->told->str, ==, "aA--");
}

#define ADD(path, function) g_test_add("/changes/" path, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("the-loop-goes-on-while-one-waits", the_loop_goes_on_while_one_waits);
        ADD("only-one-of-the-two-runs", only_one_of_the_two_runs);
        ADD("from-the-loop-it-just-waits", from_the_loop_it_just_waits);
        ADD("what-was-begun-is-made-to-its-end", what_was_begun_is_made_to_its_end);
        return g_test_run();
}
