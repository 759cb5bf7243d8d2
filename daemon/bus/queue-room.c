/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue-room: how much may wait.
 *
 * Calls that wait are somebody's memory and file descriptors, so they are bounded. Bytes: for a
 * user, for a name of which nobody knows yet whose it is, and in all, and where all have no room
 * whoever has most gives way. Fds, also of those that wait for somebody's answer, are charged as
 * all that a user has, up to a share. How many came with a call sd-bus does not say, and most came
 * with none; so beyond the share calls wait as long as few fds are open that nobody is charged for.
 */

#include "bus/queue.h"

#include <sys/resource.h>

#define CALL_FDS 16   /* that come with one, at most: dbus-daemon's bound on a system bus */
#define CALLS_SHARE 4 /* of what a user may have of fds, and of what the quota leaves of them */
#define WAITING_BYTES_MAX ((size_t)16 * 1024 * 1024)

#define TEXT_FULL "Calls of yours that wait take 4 MiB, all that a user may have; wait for answers"
#define TEXT_FULL_ALL                                                                              \
        "Calls that wait take 16 MiB, all that the service has for them, and most are yours; "     \
        "wait for answers"
#define TEXT_FDS                                                                                   \
        "Calls of yours that wait may have brought a quarter of the file descriptors that you "    \
        "may have (Limits, FdsPerUser); wait for answers"

/* ---- file descriptors ---- */

/* For one call more. */
static bool user_charge_fds(User *user) {
        Quota *quota = user->queues->bus->quota;
        uint64_t share = quota_limit(quota, user->uid, QUOTA_FDS) / CALLS_SHARE;

        if (user->n_fds + CALL_FDS > MAX(share, CALL_FDS) ||
            !quota_has_room(quota, user->uid, QUOTA_FDS, CALL_FDS))
                return false;

        user->n_fds += CALL_FDS;
        return quota_charge(quota, user->uid, QUOTA_FDS, CALL_FDS) == 0;
}

/* What may still be open stays charged. */
static void user_discharge_fds(User *user) {
        size_t n_max = user->n_calls * CALL_FDS, n = user->n_fds;

        if (n <= n_max)
                return;

        user->n_fds = n_max;
        quota_discharge(user->queues->bus->quota, user->uid, QUOTA_FDS, n - n_max);
        user->queues->n_uncharged += (int64_t)(n - n_max);
}

/* What the quota leaves to the service is for this too, a part of it. */
static int64_t queues_slack(const Queues *queues) {
        uint64_t n_charged_max = quota_limit_total(queues->bus->quota, QUOTA_FDS);
        struct rlimit limit = {0};

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= n_charged_max)
                return 2 * CALL_FDS;

        return (int64_t)MAX((limit.rlim_cur - n_charged_max) / CALLS_SHARE, 2 * CALL_FDS);
}

/* Before Linux 6.2 that takes long where there are many, so it is not done again for nothing. */
static void queues_count_fds(Queues *queues) {
        if (queues->counted_usec == queues->bus->round_usec)
                return;

        queues->n_uncharged =
                (int64_t)fds_used() - (int64_t)quota_used_total(queues->bus->quota, QUOTA_FDS);
        queues->counted_usec = queues->bus->round_usec;
}

/* Whether @n more that are charged to nobody are too many. It is known how many there are at most;
 * only where that says yes they are counted. */
static bool queues_are_short_of_fds(Queues *queues, int64_t n) {
        int64_t slack = queues_slack(queues);

        if (queues->n_uncharged + n > slack)
                queues_count_fds(queues);

        return queues->n_uncharged + n > slack;
}

/* ---- who gives way ---- */

/* The longest queue of whoever has most. */
static Queue *queues_biggest(const Queues *queues) {
        const User *user = NULL;
        Queue *queue = NULL;

        for (guint i = 0; i < queues->users->len; i++) {
                const User *other = g_ptr_array_index(queues->users, i);

                if (!user || other->n_bytes > user->n_bytes)
                        user = other;
        }
        for (guint i = 0; user && i < user->names->len; i++) {
                Queue *other = g_ptr_array_index(user->names, i);

                if (!queue || other->n_bytes > queue->n_bytes)
                        queue = other;
        }

        return queue;
}

/* Somebody has more than @queue's user would: the last call of that one is given up. */
static bool queues_give_way(Queue *queue, size_t weight) {
        Queue *biggest = queues_biggest(queue->user->queues);

        if (!biggest || biggest->user->n_bytes <= queue->user->n_bytes + weight)
                return false;

        queue_drop(biggest, biggest->calls.tail, BUS_E_QUOTA, TEXT_FULL_ALL);
        return true;
}

/* Names of which nobody knows yet whose they are have what one user may have, together. So that
 * they are not one name's, another's gives way that has more. */
static bool fds_give_way(const Queue *queue) {
        const GPtrArray *users = queue->user->queues->users;
        const User *most = queue->user;
        Queue *other;

        for (guint i = 0; !queue->user->is_known && i < users->len; i++) {
                const User *user = g_ptr_array_index(users, i);

                if (!user->is_known && user->n_calls > most->n_calls)
                        most = user;
        }
        if (most->n_calls <= queue->user->n_calls + 1)
                return false;

        other = g_ptr_array_index(most->names, 0); /* its only one */
        queue_drop(other, other->calls.tail, BUS_E_QUOTA, TEXT_FDS);
        return true;
}

/* For one call more: why there are none; NULL: there are. */
const char *queue_has_no_fds(Queue *queue) {
        Queues *queues = queue->user->queues;

        while (!user_charge_fds(queue->user)) {
                if (!queues_are_short_of_fds(queues, CALL_FDS)) {
                        queues->n_uncharged += CALL_FDS;
                        return NULL;
                }
                if (!fds_give_way(queue))
                        return TEXT_FDS;
        }

        return NULL;
}

/* Why there is none; NULL: there is. */
const char *queue_has_no_room(Queue *queue, size_t weight) {
        Queues *queues = queue->user->queues;

        if (queue->user->n_bytes + weight > WAITING_BYTES_PER_USER_MAX)
                return TEXT_FULL;

        while (queues->n_bytes + weight > WAITING_BYTES_MAX)
                if (!queues_give_way(queue, weight))
                        return TEXT_FULL_ALL;

        return queue_has_no_fds(queue);
}

/* ---- what there is ---- */

static void user_weigh(User *user, ssize_t n_calls, ssize_t n_bytes) {
        user->n_calls += (size_t)n_calls;
        user->n_bytes += (size_t)n_bytes;
        user_discharge_fds(user);
}

void queue_weigh(Queue *queue, ssize_t n_calls, ssize_t n_bytes) {
        Queues *queues = queue->user->queues;

        queue->n_bytes += (size_t)n_bytes;
        queues->n_bytes += (size_t)n_bytes;
        queues->counted_usec = 0;
        user_weigh(queue->user, n_calls, n_bytes);
}

void queue_weigh_out(Queue *queue) {
        user_weigh(queue->user, -(ssize_t)queue->calls.length, -(ssize_t)queue->n_bytes);
}

/* What is not charged may not be too much. */
void queue_weigh_in(Queue *queue) {
        User *user = queue->user;

        user_weigh(user, queue->calls.length, (ssize_t)queue->n_bytes);
        while (user->n_fds < user->n_calls * CALL_FDS && user_charge_fds(user))
                user->queues->n_uncharged -= CALL_FDS;
        while (queue->calls.tail && user->n_fds < user->n_calls * CALL_FDS &&
               queues_are_short_of_fds(user->queues, 0))
                queue_drop(queue, queue->calls.tail, BUS_E_QUOTA, TEXT_FDS);
}
