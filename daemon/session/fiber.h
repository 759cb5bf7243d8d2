/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fiber: a function that can stop in the middle and go on later, on a stack of its own.
 *
 * GnuTLS asks for a PSK or a signature by a callback and cannot be told "later" there, so the whole
 * gnutls_handshake() is stopped inside the callback (fiber_yield) and goes on when the answer is
 * known (fiber_enter).
 *
 * A fiber has a stack only while it is running or suspended. Stacks come from a pool, which is a
 * bound too: none left is an outcome. What was on a stack is wiped when it is given back.
 *
 * One thread: a fiber is entered by the thread that uses its pool. Knows nothing of TLS.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define FIBER_STACK_SIZE                                                                           \
        ((size_t)128 * 1024) /* the deepest handshake seen (DHE-PSK) used 22 KiB                   \
                              */

typedef struct FiberPool FiberPool;
typedef struct Fiber Fiber;
typedef void (*FiberFunction)(void *argument);

typedef enum FiberOutcome {
        FIBER_E_YIELDED = 1, /* suspended: fiber_enter() goes on behind its fiber_yield() */
        FIBER_E_NO_STACK,    /* all of the pool's stacks are in use; nothing was run */
} FiberOutcome;

/* At most @n_stacks_max in use at once; at most @n_spare_max kept for reuse. */
FiberPool *fiber_pool_new(size_t n_stacks_max, size_t n_spare_max);
FiberPool *fiber_pool_free(FiberPool *pool); /* not before its fibers */
size_t fiber_pool_used(const FiberPool *pool);
size_t fiber_pool_spare(const FiberPool *pool);

/* Takes no stack yet. */
Fiber *fiber_new(FiberPool *pool, FiberFunction function, void *argument);
/* Not while suspended: what is on the stack must be unwound by going on. */
Fiber *fiber_free(Fiber *fiber);

/* Calls the function from its beginning, or goes on behind its yield. 0: it returned (and can be
 * entered again, from its beginning), FIBER_E_YIELDED, FIBER_E_NO_STACK, or a fault. */
int fiber_enter(Fiber *fiber);
bool fiber_is_suspended(const Fiber *fiber);

/* From inside a fiber: stop here, back to who entered. */
void fiber_yield(void);
/* The fiber that is running; NULL: none is. */
Fiber *fiber_current(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FiberPool, fiber_pool_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fiber, fiber_free)
