/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Workers: jobs in threads, so that what takes long stops neither the loop nor anybody else's jobs.
 * Users take turns, and so do the things each of them has jobs for; one user never has more threads
 * than its share.
 *
 * Knows: threads, the event loop. Does not know: what a job does.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include <glib.h>

typedef struct Workers Workers;

typedef enum WorkersOutcome {
        WORKERS_E_BUSY = 1, /* too many jobs wait, of this uid or of all */
} WorkersOutcome;

typedef struct WorkersPlan {
        unsigned n_threads, n_threads_per_uid;
        size_t n_waiting_max, n_waiting_per_uid_max;
        void (*work)(void *job); /* in a thread; nobody else touches the job meanwhile */
        /* From the loop, once for each job that was accepted: it is the callee's again. @worked:
         * false: the workers went away first. */
        void (*done)(void *job, bool worked);
} WorkersPlan;

int workers_new(sd_event *event, const WorkersPlan *plan, Workers **ret);
/* Waits for the jobs in work; none of those that wait is worked on. */
Workers *workers_free(Workers *workers);

/* @thing: what it is for, of that uid's; a thing's jobs are begun in their order. */
int workers_put(Workers *workers, uid_t uid, uint64_t thing, void *job);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Workers, workers_free)
