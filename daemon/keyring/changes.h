/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Changes: what changes something that is kept. One is made after the other, so that each sees what
 * the one before it left, on the disk and in memory; users take turns, and the changes of one are
 * made in their order.
 *
 * A change is written as if it were made in the loop, and waits for the disk in the middle of it,
 * or for what else takes long (changes_wait()), while the loop goes on: so it has a thread of its
 * own, which takes the loop's turn. Only one of the two runs at any time, save for what is done in
 * changes_wait().
 *
 * Knows: threads, the event loop. Does not know: what a change does.
 */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include <glib.h>

/* First keys are pinned as they come: as many as a user may pin. Of calls dtlsd has less at once.
 */
#define CHANGES_QUEUE_PER_UID_MAX 2048
#define CHANGES_QUEUE_MAX 16384

typedef struct Changes Changes;

typedef enum ChangesOutcome {
        CHANGES_E_BUSY = 1, /* too many wait, of this uid or of all */
} ChangesOutcome;

/* Once for each change that was accepted. @stopped: nothing more may be changed. */
typedef void (*ChangesMake)(void *userdata, bool stopped);

int changes_new(sd_event *event, Changes **ret);
/* What was begun is made to its end; what waits is stopped. */
Changes *changes_free(Changes *changes);

int changes_put(Changes *changes, uid_t uid, ChangesMake make, void *userdata);

/* Returns when @work has. From a change: the loop goes on meanwhile, and @work looks at nothing
 * that the loop may change. */
void changes_wait(Changes *changes, void (*work)(void *data), void *data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Changes, changes_free)
