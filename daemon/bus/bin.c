/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bin: where messages that came in are freed.
 *
 * Whoever may call can send any fd of theirs along, in a message whose signature does not even
 * mention it, and the close() that comes with freeing the message may block: a TCP socket with
 * SO_LINGER and unsent data waits for its linger time. A signal ends that wait. So messages are
 * freed here alone, and while they are, a timer of this thread signals every BIN_TICK_USEC.
 *
 * To set a timer is dear, above all in a virtual machine. So it is not stopped each time, but by
 * the first signal that finds nothing being freed. That may interrupt other code, which is taken up
 * again; and an idle loop has no timer.
 */

#include "base/fault.h"
#include "bus/private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define BIN_TICK_USEC 2000 /* what one blocking close() costs; a message carries up to 16 */

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid /* glibc before 2.38 does not name it */
#endif

struct Bin {
        GPtrArray *messages;
        timer_t timer;
        bool has_timer;
        volatile sig_atomic_t is_ticking;
        volatile sig_atomic_t is_emptying;
};

static void bin_tick(Bin *bin, long usec) {
        struct itimerspec when = {
                .it_value.tv_nsec = usec * 1000,
                .it_interval.tv_nsec = usec * 1000,
        };

        bin->is_ticking = usec > 0;
        (void)timer_settime(bin->timer, 0, &when, NULL); /* only fails for bad arguments */
}

/* While something is freed that it comes is all: it ends a close() that waits. */
static void on_tick(int number, siginfo_t *info, void *context) {
        Bin *bin = info->si_value.sival_ptr;

        if (info->si_code == SI_TIMER && !bin->is_emptying)
                bin_tick(bin, 0);
}

static int bin_prepare_signal(void) {
        /* a close() is not restarted */
        struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
        sigset_t set;

        (void)sigemptyset(&action.sa_mask);
        if (sigaction(SIGALRM, &action, NULL) < 0)
                return fault(-errno);

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGALRM);
        if (sigprocmask(SIG_UNBLOCK, &set, NULL) < 0)
                return fault(-errno);

        return 0;
}

int bin_new(Bus *bus, Bin **ret) {
        struct sigevent event = {
                .sigev_notify = SIGEV_THREAD_ID,
                .sigev_signo = SIGALRM,
                .sigev_notify_thread_id = gettid(),
        };
        Bin *bin;
        int r;

        r = bin_prepare_signal();
        if (r < 0)
                return r;

        bin = g_new0(Bin, 1);
        bin->messages = g_ptr_array_new();
        event.sigev_value.sival_ptr = bin;
        *ret = bin;

        if (timer_create(CLOCK_MONOTONIC, &event, &bin->timer) < 0)
                return fault(-errno);

        bin->has_timer = true;
        return 0;
}

static void bin_unref_all(Bin *bin) {
        if (bin->messages->len == 0)
                return;

        bin->is_emptying = true;
        if (bin->has_timer && !bin->is_ticking)
                bin_tick(bin, BIN_TICK_USEC);
        for (guint i = 0; i < bin->messages->len; i++)
                (void)sd_bus_message_unref(g_ptr_array_index(bin->messages, i));
        bin->is_emptying = false;

        g_ptr_array_set_size(bin->messages, 0);
}

Bin *bin_free(Bin *bin) {
        if (!bin)
                return NULL;

        bin_unref_all(bin);
        if (bin->has_timer)
                (void)timer_delete(bin->timer);
        (void)g_ptr_array_unref(bin->messages);
        g_free(bin);
        return NULL;
}

void bin_put(Bus *bus, sd_bus_message *m) {
        if (!m)
                return;

        g_ptr_array_add(bus->bin->messages, m);
        bus_turn(bus);
}

void bin_empty(Bus *bus) {
        bin_unref_all(bus->bin);
}
