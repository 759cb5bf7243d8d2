/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The time GnuTLS is told.
 *
 * GnuTLS reads the wall clock and resends from whatever call happens to come after a timeout; a
 * clock that steps back by a millisecond ends its handshakes. So it is given a clock of ours, for
 * each session its own, which stands still. It is moved forward, by more than GnuTLS's longest
 * interval, exactly when a flight shall be resent; then GnuTLS resends it in the next call, once.
 *
 * Which session is meant is known by a variable of the thread, bound around every call. Certificate
 * validity is not concerned: it is judged by the wall clock, in identity/.
 */

#include "session/private.h"

#include <time.h>

#define CLOCK_START_MSEC UINT64_C(1000000) /* not 0, which GnuTLS takes for "not set" */
#define CLOCK_STEP_MSEC 61000              /* GnuTLS's intervals are less than 60 s */

/* Exported by GnuTLS for its own tests; weak, so that one without it still links. */
extern void _gnutls_global_set_gettime_function(void (*)(struct timespec *)) __attribute__((weak));

static _Thread_local Session *clock_session;

static void clock_read(struct timespec *ret) {
        uint64_t msec;

        if (!clock_session) {
                (void)clock_gettime(CLOCK_BOOTTIME, ret); /* cannot fail with this clock */
                return;
        }

        msec = CLOCK_START_MSEC + clock_session->clock_msec;
        *ret = (struct timespec){
                .tv_sec = (time_t)(msec / 1000),
                .tv_nsec = (long)(msec % 1000) * 1000000,
        };
}

void clock_install(void) {
        g_assert(_gnutls_global_set_gettime_function);

        _gnutls_global_set_gettime_function(clock_read);
}

Session *clock_bind(Session *session) {
        Session *before = clock_session;

        clock_session = session;
        return before;
}

Session *clock_bound(void) {
        return clock_session;
}

void clock_advance(Session *session) {
        session->clock_msec += CLOCK_STEP_MSEC;
}
