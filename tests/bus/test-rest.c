/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* After a call that took long its user rests, and nobody else. */

#include "seat.h"

#include <systemd/sd-bus-vtable.h>
#include <time.h>

#define PEER "org.freedesktop.DBus.Peer"
#define SLOW "test.Slow"
#define SLOW_USEC ((int64_t)5000)
#define RESTS 9 /* times as long as the call took */
#define N_SLOW 4
#define N_MANY 60
#define OWED_MAX_USEC 300000
#define REST_MAX_USEC G_USEC_PER_SEC
#define ALICE 1000
#define BOB 1001

static int64_t started_usec[N_MANY];
static unsigned n_started;
static int64_t slow_usec;

static int64_t cpu_usec(void) {
        struct timespec now;

        g_assert_cmpint(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), ==, 0);
        return (int64_t)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

static int method_take_long(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_assert_cmpuint(n_started, <, G_N_ELEMENTS(started_usec));
        started_usec[n_started++] = g_get_monotonic_time();
        for (int64_t until = cpu_usec() + slow_usec; cpu_usec() < until;)
                ;
        return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable slow_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("TakeLong", "", "", method_take_long, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* Alice has :1.1 and :1.2, bob :1.0; all are known. */
static Seat *slow_seat(void) {
        Seat *seat = seat_new();

        g_assert_cmpint(
                sd_bus_add_object_vtable(seat->ours, NULL, "/slow", SLOW, slow_vtable, NULL), >=,
                0);
        seat_meet(seat, ":1.0", BOB);
        seat_meet(seat, ":1.1", ALICE);
        seat_meet(seat, ":1.2", ALICE);
        seat->n_answers = 0;
        n_started = 0;
        slow_usec = SLOW_USEC;
        return seat;
}

static Call *take_long(Seat *seat, const char *name) {
        return seat_call(seat, name, "/slow", SLOW, "TakeLong", "");
}

static bool is_answered(void *userdata) {
        return ((const Call *)userdata)->reply != NULL;
}

static void wait_answer(Seat *seat, Call *call) {
        (void)seat_run_until(seat, is_answered, call, SEAT_LIMIT_USEC);
        g_assert_null(call_error(call));
}

/* The first one says only whose calls are to be looked at. */
static void expect_rests(void) {
        for (unsigned i = 2; i < n_started; i++)
                g_assert_cmpint(started_usec[i] - started_usec[i - 1], >=, SLOW_USEC * (RESTS + 1));
}

/* By whichever of its names. */
static void a_user_rests_after_a_long_call(void) {
        g_autoptr(Seat) seat = slow_seat();
        g_autoptr(GPtrArray) calls = g_ptr_array_new_with_free_func((GDestroyNotify)call_free);

        for (unsigned i = 0; i < N_SLOW; i++)
                g_ptr_array_add(calls, take_long(seat, i % 2 ? ":1.1" : ":1.2"));
        for (unsigned i = 0; i < N_SLOW; i++)
                wait_answer(seat, g_ptr_array_index(calls, i));

        g_assert_cmpuint(n_started, ==, N_SLOW);
        expect_rests();
}

/* Not after one, nor few; but by many it has no more than by long ones. What it may owe is let off
 * once, when its calls begin to be looked at, and once it is owed still. */
static void a_user_rests_after_many_that_are_nearly_long(void) {
        g_autoptr(Seat) seat = slow_seat();
        g_autoptr(GPtrArray) calls = g_ptr_array_new_with_free_func((GDestroyNotify)call_free);
        int64_t owed_usec, begun_usec = g_get_monotonic_time();

        slow_usec = SLOW_USEC / 2;
        for (unsigned i = 0; i < N_MANY; i++)
                g_ptr_array_add(calls, take_long(seat, i % 2 ? ":1.1" : ":1.2"));
        for (unsigned i = 0; i < N_MANY; i++)
                wait_answer(seat, g_ptr_array_index(calls, i));

        owed_usec = N_MANY * slow_usec * RESTS - 2 * (OWED_MAX_USEC + slow_usec * RESTS);
        g_assert_cmpint(g_get_monotonic_time() - begun_usec, >=, owed_usec);
}

static void nobody_else_rests(void) {
        g_autoptr(Seat) seat = slow_seat();
        g_autoptr(Call) first = take_long(seat, ":1.1"), one = NULL, two = NULL, ping = NULL;

        wait_answer(seat, first);
        slow_usec = 20 * SLOW_USEC; /* a rest of nearly a second, so that there is time to see it */
        one = take_long(seat, ":1.1");
        wait_answer(seat, one);
        two = take_long(seat, ":1.2");
        ping = seat_call(seat, ":1.0", ROOT, PEER, "Ping", "");
        wait_answer(seat, ping);
        g_assert_null(two->reply);
}

/* What is there already when the long one ends is not put off to a round behind all that it has
 * brought about. */
static void who_comes_behind_is_in_the_same_round(void) {
        g_autoptr(Seat) seat = slow_seat();
        g_autoptr(Call) slow = NULL, ping = NULL;

        seat_stop_reading(seat);
        slow = take_long(seat, ":1.1");
        ping = seat_call(seat, ":1.0", ROOT, PEER, "Ping", "");
        g_assert_cmpint(sd_bus_flush(seat->theirs), >=, 0);
        g_assert_cmpint(sd_event_run(seat->event, 0), >, 0);
        while (!slow->reply || !ping->reply)
                g_assert_cmpint(sd_bus_process(seat->theirs, NULL), >, 0);
        seat_read_again(seat);
}

/* A new name is no way out. */
static void who_comes_again_rests_on(void) {
        g_autoptr(Seat) seat = slow_seat();
        g_autoptr(Call) first = take_long(seat, ":1.1"), one = NULL, two = NULL;

        wait_answer(seat, first);
        seat_leave(seat, ":1.1");
        seat_leave(seat, ":1.2");
        seat_enter(seat, ":1.3", ALICE);
        one = take_long(seat, ":1.3");
        wait_answer(seat, one);
        seat_leave(seat, ":1.3");
        seat_enter(seat, ":1.4", ALICE);
        two = take_long(seat, ":1.4");
        wait_answer(seat, two);
        g_assert_cmpuint(n_started, ==, 3);
        expect_rests();
}

static void who_rests_may_be_there_at_the_end(void) {
        g_autoptr(Seat) seat = slow_seat();
        g_autoptr(Call) first = take_long(seat, ":1.1"), one = take_long(seat, ":1.1"),
                        two = take_long(seat, ":1.1");

        wait_answer(seat, first);
        wait_answer(seat, one);
}

/* The service ends, or has lost its bus: others' datagrams wait for it. */
static void nobody_waits_at_the_end_for_who_rests(void) {
        Seat *seat = slow_seat();
        g_autoptr(Call) first = take_long(seat, ":1.1"), one = take_long(seat, ":1.1");
        int64_t begun_usec;

        slow_usec = REST_MAX_USEC / RESTS;
        wait_answer(seat, first);
        wait_answer(seat, one);
        begun_usec = cpu_usec();
        seat_free(seat);
        g_assert_cmpint(cpu_usec() - begun_usec, <, REST_MAX_USEC / 10);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bus/rest/a-user-rests-after-a-long-call", a_user_rests_after_a_long_call);
        g_test_add_func("/bus/rest/a-user-rests-after-many-that-are-nearly-long",
                        a_user_rests_after_many_that_are_nearly_long);
        g_test_add_func("/bus/rest/nobody-else-rests", nobody_else_rests);
        g_test_add_func("/bus/rest/who-comes-behind-is-in-the-same-round",
                        who_comes_behind_is_in_the_same_round);
        g_test_add_func("/bus/rest/who-comes-again-rests-on", who_comes_again_rests_on);
        g_test_add_func("/bus/rest/who-rests-may-be-there-at-the-end",
                        who_rests_may_be_there_at_the_end);
        g_test_add_func("/bus/rest/nobody-waits-at-the-end-for-who-rests",
                        nobody_waits_at_the_end_for_who_rests);
        return g_test_run();
}
