/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The wall clock is set while sessions shake: nothing may follow from that.
 *
 * This program has a clock_gettime() of its own, which libraries find before libc's.
 */

#include "wire.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static gint64 wall_jump_sec; /* 0: the wall clock goes as it should */
static unsigned n_asked;     /* how often anybody asked for the wall clock */

int clock_gettime(clockid_t id, struct timespec *ret) {
        int r = (int)syscall(SYS_clock_gettime, id, ret);

        if (id != CLOCK_REALTIME || wall_jump_sec == 0)
                return r;

        /* forth, and back by more, at every look */
        n_asked++;
        ret->tv_sec += n_asked % 2 ? wall_jump_sec : -2 * wall_jump_sec;
        return r;
}

static void test_the_wall_clock_can_be_set(const void *data) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (unsigned seed = 0; seed < 10; seed++) {
                        g_autoptr(Wire) wire = wire_new(&(WireSetup){
                                .kind = kind, .seed = seed, .loss = 20, .cookies = seed % 2});

                        wall_jump_sec = GPOINTER_TO_INT(data);
                        wire_start(wire);
                        g_assert_true(wire_shake(wire, 300 * WIRE_SECOND));
                        g_assert_true(wire_talks(&wire->client, 60));
                        g_assert_true(wire_talks(&wire->server, 60));
                        wire_pass(wire, 100 * WIRE_SECOND);
                        g_assert_true(wire_talks(&wire->client, 60));
                        wall_jump_sec = 0;
                }
}

static void test_this_clock_is_the_one_that_is_read(void) {
        struct timespec first, second;

        wall_jump_sec = 1000;
        g_assert_cmpint(clock_gettime(CLOCK_REALTIME, &first), ==, 0);
        g_assert_cmpint(clock_gettime(CLOCK_REALTIME, &second), ==, 0);
        wall_jump_sec = 0;
        g_assert_cmpint(ABS((gint64)first.tv_sec - second.tv_sec), >, 2000);
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        wire_world_make();

        g_test_add_func("/sim/clock/this-clock-is-the-one-that-is-read",
                        test_this_clock_is_the_one_that_is_read);
        g_test_add_data_func("/sim/clock/the-wall-clock-can-be-set/by-a-second", GINT_TO_POINTER(1),
                             test_the_wall_clock_can_be_set);
        g_test_add_data_func("/sim/clock/the-wall-clock-can-be-set/by-an-hour",
                             GINT_TO_POINTER(3600), test_the_wall_clock_can_be_set);
        g_test_add_data_func("/sim/clock/the-wall-clock-can-be-set/by-years",
                             GINT_TO_POINTER(100000000), test_the_wall_clock_can_be_set);

        r = g_test_run();
        wire_world_free();
        return r;
}
