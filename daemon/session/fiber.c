/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fiber, see fiber.h. A stack begins by setcontext(), which alone can change to one, and costs two
 * system calls for a signal mask that never differs. So that happens once: its first frame then
 * runs one function after the other and waits in between, and every switch is a long jump.
 *
 * Of a stack that waits, two frames at its top are in use. They lie above a mark, everything a
 * function left lies below it and is wiped when the stack is given back.
 */

/* Its longjmp() takes a jump to another stack for one to a frame that is gone. */
#undef _FORTIFY_SOURCE

#include "session/fiber.h"

#include "base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#endif

#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

/* The top of a stack is used each time: it is wiped in place. What lies deeper is used seldom, and
 * is then returned to the kernel, which gives out zeros. */
#define FIBER_WIPE_SIZE ((size_t)16 * 1024)
#define FIBER_KEPT_SIZE 1024 /* between the mark and the stack's first frame; both frames fit */

/* ASan must know which stack is in use; without ASan all of this is nothing. */
typedef struct Bounds {
        const void *bottom;
        size_t size;
} Bounds;

typedef struct Stack {
        uint8_t *bottom; /* its lowest usable address */
        uint8_t *mark;   /* NULL: nothing has run on it yet */
        jmp_buf waiting; /* where its first frame waits for a fiber */
} Stack;

struct FiberPool {
        size_t n_stacks_max, n_spare_max;
        size_t n_used;
        GPtrArray *spare; /* of Stack, owned */
};

struct Fiber {
        FiberPool *pool;
        FiberFunction function;
        void *argument;

        Stack *stack; /* NULL: neither running nor suspended */
        bool finished;
        jmp_buf inside, outside;
        Fiber *entered_from;
        Bounds outside_bounds;
};

static _Thread_local Fiber *fiber_running;

/* Before a switch to @to; *fake keeps what ASan wants back after the switch back. NULL: never. */
static void fiber_leave(void **fake, Bounds to) {
#ifdef FIBER_ASAN
        __sanitizer_start_switch_fiber(fake, to.bottom, to.size);
#endif
}

static void fiber_arrive(void *fake, Bounds *from) {
#ifdef FIBER_ASAN
        if (from)
                __sanitizer_finish_switch_fiber(fake, &from->bottom, &from->size);
        else
                __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

static int stack_new(Stack **ret) {
        size_t guard = sysconf(_SC_PAGESIZE);
        uint8_t *mapping;

        mapping = mmap(NULL, guard + FIBER_STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
        if (mapping == MAP_FAILED)
                return fault(-errno);

        if (mprotect(mapping, guard, PROT_NONE) < 0) {
                int r = -errno;

                (void)munmap(mapping, guard + FIBER_STACK_SIZE); /* it was mapped just now */
                return fault(r);
        }

        *ret = g_new0(Stack, 1);
        (*ret)->bottom = mapping + guard;
        return 0;
}

/* What its first frames hold is of no function's. */
static void stack_free(void *data) {
        Stack *stack = data;
        size_t guard = sysconf(_SC_PAGESIZE);
        int r = munmap(stack->bottom - guard, guard + FIBER_STACK_SIZE);

        g_assert(r == 0);
        g_free(stack);
}

static void stack_wipe(Stack *stack) {
        size_t deep = FIBER_STACK_SIZE - FIBER_WIPE_SIZE;

#ifdef FIBER_ASAN
        __asan_unpoison_memory_region(stack->bottom, FIBER_STACK_SIZE);
#endif
        explicit_bzero(stack->bottom + deep, (size_t)(stack->mark - stack->bottom) - deep);

        /* to look whether it was used would cost more */
        if (madvise(stack->bottom, deep, MADV_DONTNEED) < 0)
                explicit_bzero(stack->bottom, deep);
}

FiberPool *fiber_pool_new(size_t n_stacks_max, size_t n_spare_max) {
        FiberPool *pool = g_new0(FiberPool, 1);

        pool->n_stacks_max = n_stacks_max;
        pool->n_spare_max = n_spare_max;
        pool->spare = g_ptr_array_new_with_free_func(stack_free);
        return pool;
}

FiberPool *fiber_pool_free(FiberPool *pool) {
        if (!pool)
                return NULL;

        g_assert(pool->n_used == 0);
        g_ptr_array_unref(pool->spare);
        g_free(pool);
        return NULL;
}

size_t fiber_pool_used(const FiberPool *pool) {
        return pool->n_used;
}

size_t fiber_pool_spare(const FiberPool *pool) {
        return pool->spare->len;
}

static int fiber_pool_take(FiberPool *pool, Stack **ret) {
        int r;

        if (pool->n_used >= pool->n_stacks_max)
                return FIBER_E_NO_STACK;

        if (pool->spare->len > 0) {
                *ret = g_ptr_array_steal_index_fast(pool->spare, pool->spare->len - 1);
        } else {
                r = stack_new(ret);
                if (r == -ENOMEM) /* the kernel's bound is as good as ours */
                        return FIBER_E_NO_STACK;
                if (r)
                        return fault(r);
        }

        pool->n_used++;
        return 0;
}

static void fiber_pool_give_back(FiberPool *pool, Stack *stack) {
        pool->n_used--;
        stack_wipe(stack);

        if (pool->spare->len < pool->n_spare_max)
                g_ptr_array_add(pool->spare, stack);
        else
                stack_free(stack);
}

Fiber *fiber_new(FiberPool *pool, FiberFunction function, void *argument) {
        Fiber *fiber = g_new0(Fiber, 1);

        fiber->pool = pool;
        fiber->function = function;
        fiber->argument = argument;
        return fiber;
}

Fiber *fiber_free(Fiber *fiber) {
        if (!fiber)
                return NULL;

        g_assert(!fiber->stack);
        g_free(fiber);
        return NULL;
}

bool fiber_is_suspended(const Fiber *fiber) {
        return fiber->stack && fiber_running != fiber;
}

Fiber *fiber_current(void) {
        return fiber_running;
}

/* Goes on at @to; returns when somebody goes on at @from. */
static void __attribute__((noinline)) fiber_switch(jmp_buf from, jmp_buf to) {
        if (_setjmp(from) == 0)
                _longjmp(to, 1);
}

/* Sets the mark: whatever the function calls has its frames below. (ASan might put the space
 * elsewhere.) */
static void __attribute__((noinline, no_sanitize("address"))) fiber_run(Fiber *fiber) {
        volatile uint8_t space[FIBER_KEPT_SIZE];

        space[0] = 0;
        fiber->stack->mark = (uint8_t *)space;
        fiber->function(fiber->argument);
        space[0] = 0; /* the frame stays until here */
}

/* The first frame of every stack. makecontext() passes ints, so the fiber comes in by
 * fiber_running. */
static void fiber_main(void) {
        for (;;) {
                Fiber *fiber = fiber_running;

                fiber_arrive(/* fake= */ NULL, &fiber->outside_bounds);
                fiber_run(fiber);
                fiber->finished = true;

                fiber_leave(/* fake= */ NULL, fiber->outside_bounds);
                fiber_switch(fiber->stack->waiting, fiber->outside);
        }
}

/* Goes to fiber_main() on a stack where nothing has run yet. */
static void fiber_launch(Fiber *fiber) {
        ucontext_t beginning;
        int r;

        r = getcontext(&beginning);
        g_assert(r == 0);
        beginning.uc_stack.ss_sp = fiber->stack->bottom;
        beginning.uc_stack.ss_size = FIBER_STACK_SIZE;
        beginning.uc_link = NULL;
        makecontext(&beginning, fiber_main, 0);

        if (_setjmp(fiber->outside) == 0)
                (void)setcontext(&beginning); /* cannot fail with one that getcontext() made */
}

static int fiber_begin(Fiber *fiber) {
        int r;

        r = fiber_pool_take(fiber->pool, &fiber->stack);
        if (r == FIBER_E_NO_STACK)
                return FIBER_E_NO_STACK;
        if (r < 0)
                return fault(r);

        fiber->finished = false;
        return 0;
}

/* The registers that were saved are of a stack that is gone. */
static void fiber_end(Fiber *fiber) {
        fiber_pool_give_back(fiber->pool, fiber->stack);
        fiber->stack = NULL;
        explicit_bzero(&fiber->inside, sizeof(fiber->inside));
}

int fiber_enter(Fiber *fiber) {
        bool begins = !fiber->stack;
        void *fake = NULL;
        int r;

        g_assert(fiber_running != fiber);

        if (begins) {
                r = fiber_begin(fiber);
                if (r == FIBER_E_NO_STACK)
                        return FIBER_E_NO_STACK;
                if (r < 0)
                        return fault(r);
        }

        fiber->entered_from = fiber_running;
        fiber_running = fiber;

        fiber_leave(&fake, (Bounds){.bottom = fiber->stack->bottom, .size = FIBER_STACK_SIZE});
        if (!fiber->stack->mark)
                fiber_launch(fiber);
        else
                fiber_switch(fiber->outside, begins ? fiber->stack->waiting : fiber->inside);
        fiber_arrive(fake, NULL);

        fiber_running = fiber->entered_from;

        if (!fiber->finished)
                return FIBER_E_YIELDED;

        fiber_end(fiber);
        return 0;
}

void fiber_yield(void) {
        Fiber *fiber = fiber_running;
        void *fake = NULL;

        g_assert(fiber);

        fiber_leave(&fake, fiber->outside_bounds);
        fiber_switch(fiber->inside, fiber->outside);
        fiber_arrive(fake, &fiber->outside_bounds);
}
