/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/fiber.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Walk {
        unsigned n_steps;
        unsigned step;
        Fiber *seen; /* fiber_current() from inside */
} Walk;

static void walk(void *argument) {
        Walk *state = argument;

        for (state->step = 0; state->step < state->n_steps; state->step++) {
                state->seen = fiber_current();
                fiber_yield();
        }
}

static void test_goes_on_behind_its_yield(void) {
        g_autoptr(FiberPool) pool = fiber_pool_new(4, 4);
        Walk state = {.n_steps = 3};
        g_autoptr(Fiber) fiber = fiber_new(pool, walk, &state);

        for (unsigned i = 0; i < 3; i++) {
                g_assert_cmpint(fiber_enter(fiber), ==, FIBER_E_YIELDED);
                g_assert_true(fiber_is_suspended(fiber));
                g_assert_cmpuint(state.step, ==, i);
                g_assert_true(state.seen == fiber);
                g_assert_null(fiber_current());
        }
        g_assert_cmpint(fiber_enter(fiber), ==, 0);
        g_assert_cmpuint(state.step, ==, 3);
        g_assert_false(fiber_is_suspended(fiber));
}

static void test_begins_again_when_it_has_returned(void) {
        g_autoptr(FiberPool) pool = fiber_pool_new(1, 1);
        Walk state = {.n_steps = 1};
        g_autoptr(Fiber) fiber = fiber_new(pool, walk, &state);

        for (unsigned i = 0; i < 3; i++) {
                g_assert_cmpint(fiber_enter(fiber), ==, FIBER_E_YIELDED);
                g_assert_cmpuint(state.step, ==, 0);
                g_assert_cmpint(fiber_enter(fiber), ==, 0);
        }
}

static void test_holds_a_stack_only_while_it_needs_one(void) {
        g_autoptr(FiberPool) pool = fiber_pool_new(2, 1);
        Walk state = {.n_steps = 1};
        g_autoptr(Fiber) fiber = fiber_new(pool, walk, &state);

        g_assert_cmpuint(fiber_pool_used(pool), ==, 0);
        g_assert_cmpint(fiber_enter(fiber), ==, FIBER_E_YIELDED);
        g_assert_cmpuint(fiber_pool_used(pool), ==, 1);
        g_assert_cmpint(fiber_enter(fiber), ==, 0);
        g_assert_cmpuint(fiber_pool_used(pool), ==, 0);
        g_assert_cmpuint(fiber_pool_spare(pool), ==, 1);
}

static void test_runs_nothing_without_a_stack(void) {
        g_autoptr(FiberPool) pool = fiber_pool_new(1, 1);
        Walk first = {.n_steps = 1}, second = {.n_steps = 1, .step = 99};
        g_autoptr(Fiber) one = fiber_new(pool, walk, &first);
        g_autoptr(Fiber) two = fiber_new(pool, walk, &second);

        g_assert_cmpint(fiber_enter(one), ==, FIBER_E_YIELDED);
        g_assert_cmpint(fiber_enter(two), ==, FIBER_E_NO_STACK);
        g_assert_cmpuint(second.step, ==, 99);
        g_assert_false(fiber_is_suspended(two));

        /* the one that has a stack is not hindered, and what it gives back serves the other */
        g_assert_cmpint(fiber_enter(one), ==, 0);
        g_assert_cmpint(fiber_enter(two), ==, FIBER_E_YIELDED);
        g_assert_cmpint(fiber_enter(two), ==, 0);
}

static void test_keeps_no_more_spare_stacks_than_told(void) {
        enum {
                N = 5
        };
        g_autoptr(FiberPool) pool = fiber_pool_new(N, 2);
        Walk states[N];
        Fiber *fibers[N];

        for (unsigned i = 0; i < N; i++) {
                states[i] = (Walk){.n_steps = 1};
                fibers[i] = fiber_new(pool, walk, &states[i]);
                g_assert_cmpint(fiber_enter(fibers[i]), ==, FIBER_E_YIELDED);
        }
        for (unsigned i = 0; i < N; i++) {
                g_assert_cmpint(fiber_enter(fibers[i]), ==, 0);
                fiber_free(fibers[i]);
        }
        g_assert_cmpuint(fiber_pool_spare(pool), ==, 2);
        g_assert_cmpuint(fiber_pool_used(pool), ==, 0);
}

typedef struct Secrets {
        uintptr_t place; /* of a frame that is gone */
        bool dirty;
} Secrets;

/* Leaves a pattern on the stack, deep and near its top, as a key would be left. */
static void __attribute__((noinline)) secrets_leave(Secrets *secrets) {
        volatile uint8_t key[40 * 1024];

        secrets->place = (uintptr_t)key;
        for (size_t i = 0; i < sizeof(key); i++)
                key[i] = 0x5a;
}

static void secrets_write(void *argument) {
        secrets_leave(argument);
}

static void __attribute__((no_sanitize("address"))) secrets_look(void *argument) {
        Secrets *secrets = argument;

        for (size_t i = 0; i < (size_t)40 * 1024 - 4096; i++) /* not where our own frame is */
                if (*(const volatile uint8_t *)(secrets->place + i) == 0x5a)
                        secrets->dirty = true;
}

static void test_wipes_a_stack_before_it_is_used_again(void) {
        g_autoptr(FiberPool) pool = fiber_pool_new(1, 1);
        Secrets secrets = {};
        g_autoptr(Fiber) writer = fiber_new(pool, secrets_write, &secrets);
        g_autoptr(Fiber) reader = fiber_new(pool, secrets_look, &secrets);

        g_assert_cmpint(fiber_enter(writer), ==, 0);
        g_assert_cmpint(fiber_enter(reader), ==, 0);
        g_assert_false(secrets.dirty);
}

static void enter_other(void *argument) {
        Fiber *inner = argument, *self = fiber_current();

        g_assert_cmpint(fiber_enter(inner), ==, FIBER_E_YIELDED);
        g_assert_true(fiber_current() == self);
        fiber_yield();
        g_assert_cmpint(fiber_enter(inner), ==, 0);
        g_assert_true(fiber_current() == self);
}

static void test_may_enter_another_fiber(void) {
        g_autoptr(FiberPool) pool = fiber_pool_new(2, 2);
        Walk state = {.n_steps = 1};
        g_autoptr(Fiber) inner = fiber_new(pool, walk, &state);
        g_autoptr(Fiber) outer = fiber_new(pool, enter_other, inner);

        g_assert_cmpint(fiber_enter(outer), ==, FIBER_E_YIELDED);
        g_assert_null(fiber_current());
        g_assert_true(fiber_is_suspended(inner));
        g_assert_cmpint(fiber_enter(outer), ==, 0);
}

static void test_many_suspended_at_once_keep_apart(void) {
        enum {
                N = 500
        };
        g_autoptr(FiberPool) pool = fiber_pool_new(N, 8);
        g_autofree Walk *states = g_new0(Walk, N);
        g_autofree Fiber **fibers = g_new0(Fiber *, N);

        for (unsigned i = 0; i < N; i++) {
                states[i].n_steps = i % 7;
                fibers[i] = fiber_new(pool, walk, &states[i]);
        }
        for (unsigned round = 0; round < 7; round++)
                for (unsigned i = round; i < N; i++)
                        if (states[i].n_steps >= round && (i % 7) >= round)
                                g_assert_cmpint(fiber_enter(fibers[i]), ==,
                                                i % 7 == round ? 0 : FIBER_E_YIELDED);
        for (unsigned i = 0; i < N; i++)
                fiber_free(fibers[i]);
        g_assert_cmpuint(fiber_pool_used(pool), ==, 0);
}

static unsigned __attribute__((noinline)) dig(unsigned depth) {
        volatile uint8_t frame[1024];

        frame[0] = (uint8_t)depth;
        return depth == 0 ? frame[0] : dig(depth - 1) + frame[0];
}

static void dig_forever(void *argument) {
        (void)dig(1024 * 1024);
}

static void test_overflow_ends_at_the_guard_page(void) {
        if (g_test_subprocess()) {
                const struct rlimit no_core = {0};
                g_autoptr(FiberPool) pool = fiber_pool_new(1, 1);
                Fiber *fiber = fiber_new(pool, dig_forever, NULL);

                (void)setrlimit(RLIMIT_CORE, &no_core);
                (void)fiber_enter(fiber);
                _exit(0); /* must not get here */
        }

        g_test_trap_subprocess(NULL, 60 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_DEFAULT);
        g_test_trap_assert_failed();
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/fiber/goes-on-behind-its-yield", test_goes_on_behind_its_yield);
        g_test_add_func("/fiber/begins-again-when-it-has-returned",
                        test_begins_again_when_it_has_returned);
        g_test_add_func("/fiber/holds-a-stack-only-while-it-needs-one",
                        test_holds_a_stack_only_while_it_needs_one);
        g_test_add_func("/fiber/runs-nothing-without-a-stack", test_runs_nothing_without_a_stack);
        g_test_add_func("/fiber/keeps-no-more-spare-stacks-than-told",
                        test_keeps_no_more_spare_stacks_than_told);
        g_test_add_func("/fiber/wipes-a-stack-before-it-is-used-again",
                        test_wipes_a_stack_before_it_is_used_again);
        g_test_add_func("/fiber/may-enter-another-fiber", test_may_enter_another_fiber);
        g_test_add_func("/fiber/many-suspended-at-once-keep-apart",
                        test_many_suspended_at_once_keep_apart);
        g_test_add_func("/fiber/an-overflow-ends-at-the-guard-page",
                        test_overflow_ends_at_the_guard_page);

        return g_test_run();
}
