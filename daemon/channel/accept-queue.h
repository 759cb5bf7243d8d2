/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * AcceptQueue: a SEQPACKET pair over which a listener's owner gets a channel fd for each completed
 * connection, without the bus. A packet is type-length-value facts (interfaces/README.md) with one
 * fd. Undelivered fds count against the sending uid in the kernel, so they are bounded here.
 */

#include "channel/opened.h"

#define ACCEPT_QUEUE_UNDELIVERED_MAX 64 /* API: fds in flight on one queue */

typedef struct AcceptQueue AcceptQueue;

typedef enum AcceptQueueOutcome {
        ACCEPT_QUEUE_E_FULL = 1, /* ACCEPT_QUEUE_UNDELIVERED_MAX wait, or the kernel's bound */
        ACCEPT_QUEUE_E_HANGUP,
        ACCEPT_QUEUE_E_NO_FDS,
} AcceptQueueOutcome;

int accept_queue_new(AcceptQueue **ret, int *ret_app_fd);
AcceptQueue *accept_queue_free(AcceptQueue *queue);
int accept_queue_fd(const AcceptQueue *queue);
/* Whether ACCEPT_QUEUE_UNDELIVERED_MAX may wait. Where packets are long, a queue that has been full
 * has no room again before the application has taken more than one. */
bool accept_queue_is_full(AcceptQueue *queue);

/* Sends a copy of @channel_fd; the caller keeps and closes its own. */
int accept_queue_push(AcceptQueue *queue, const OpenedFacts *facts, int channel_fd);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(AcceptQueue, accept_queue_free)
