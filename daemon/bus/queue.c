/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue: calls that wait, a queue a name, and whose turn it is.
 *
 * Each turn runs one call of a user, whatever number of names it has, and takes the next few off
 * the socket; what is not run waits here, in its name's order. So a call waits for one of each
 * other user's, not for all that came before it, and the bus daemon, which has one queue towards us
 * for everybody, keeps none.
 *
 * Calls that wait are somebody's memory and file descriptors, so they are bounded. Bytes: for a
 * user, for a name of which nobody knows yet whose it is, and in all, and where all have no room
 * whoever has most gives way. Fds are charged as all that a user has, up to a share. How many came
 * with a call sd-bus does not say, and most came with none; so beyond the share calls wait as long
 * as few fds are open that nobody is charged for.
 */

#include "base/fault.h"
#include "base/terms.h"
#include "bus/private.h"

#include <errno.h>
#include <sys/resource.h>

#define USERS_PER_TURN 4 /* what a turn costs those who wait for a datagram */
#define CALL_FDS 16      /* that come with one, at most: dbus-daemon's bound on a system bus */
#define CALLS_SHARE 4    /* of what a user may have of fds, and of what the quota leaves of them */
#define WAITING_BYTES_PER_USER_MAX ((size_t)4 * 1024 * 1024)
#define WAITING_BYTES_MAX ((size_t)16 * 1024 * 1024)

#define TEXT_FULL "Calls of yours that wait take 4 MiB, all that a user may have; wait for answers"
#define TEXT_FULL_ALL                                                                              \
        "Calls that wait take 16 MiB, all that the service has for them, and most are yours; "     \
        "wait for answers"
#define TEXT_FDS                                                                                   \
        "Calls of yours that wait may have brought a quarter of the file descriptors that you "    \
        "may have (Limits, FdsPerUser); wait for answers"

typedef struct Waiting {
        sd_bus_message *m;
        size_t weight;
} Waiting;

/* A uid; or a name of which it is not known yet. */
typedef struct User {
        Queues *queues;
        uid_t uid;
        bool is_known;
        GPtrArray *names; /* its queues */
        GQueue ready;     /* those with a call that may run, in turn */
        size_t n_bytes;
        size_t n_calls, n_fds; /* those charged, of which no more came than CALL_FDS a call */
        uint64_t turn;         /* in which a call of it has run, or is to */
} User;

struct Queue {
        User *user;
        GQueue calls; /* of Waiting */
        size_t n_bytes;
        sd_bus_message *next; /* has its turn; sd-bus reads it again */
        bool is_held;
        bool is_ready;
};

struct Queues {
        Bus *bus;
        GHashTable *by_uid; /* User */
        GPtrArray *users;   /* all of them, those that are not known too */
        GQueue ready;       /* of User, in turn */
        size_t n_bytes;
        int64_t n_uncharged; /* open fds, less those that somebody is charged for, at most */
        uint64_t
                counted; /* in which round of the loop, from 1; 0: calls have waited or run since */
        uint64_t turn;
};

/* ---- users ---- */

static User *user_new(Queues *queues) {
        User *user = g_new0(User, 1);

        user->queues = queues;
        user->uid = (uid_t)-1; /* nobody's */
        user->names = g_ptr_array_new();
        g_queue_init(&user->ready);
        g_ptr_array_add(queues->users, user);
        return user;
}

static User *user_of(Queues *queues, uid_t uid) {
        User *user = g_hash_table_lookup(queues->by_uid, GUINT_TO_POINTER(uid));

        if (user)
                return user;

        user = user_new(queues);
        user->uid = uid;
        user->is_known = true;
        g_hash_table_insert(queues->by_uid, GUINT_TO_POINTER(uid), user);
        return user;
}

static void user_free(User *user) {
        Queues *queues = user->queues;

        if (user->is_known)
                (void)g_hash_table_remove(queues->by_uid, GUINT_TO_POINTER(user->uid));
        (void)g_ptr_array_remove_fast(queues->users, user);
        g_ptr_array_unref(user->names);
        g_free(user);
}

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
        uint64_t round = 0;

        (void)sd_event_get_iteration(queues->bus->event, &round);
        if (queues->counted == round + 1)
                return;

        queues->n_uncharged =
                (int64_t)fds_used() - (int64_t)quota_used_total(queues->bus->quota, QUOTA_FDS);
        queues->counted = round + 1;
}

/* Whether @n more that are charged to nobody are too many. It is known how many there are at most;
 * only where that says yes they are counted. */
static bool queues_are_short_of_fds(Queues *queues, int64_t n) {
        int64_t slack = queues_slack(queues);

        if (queues->n_uncharged + n > slack)
                queues_count_fds(queues);

        return queues->n_uncharged + n > slack;
}

/* ---- what waits ---- */

/* Whether it is among those that a turn looks at. */
static void queue_settle(Queue *queue) {
        User *user = queue->user;
        GQueue *ready = &user->queues->ready;
        bool is_ready =
                user->is_known && !queue->is_held && !queue->next && queue->calls.length > 0;

        if (is_ready == queue->is_ready)
                return;

        queue->is_ready = is_ready;
        if (is_ready) {
                if (user->ready.length == 0)
                        g_queue_push_tail(ready, user);
                g_queue_push_tail(&user->ready, queue);
                bus_turn(user->queues->bus);
        } else {
                (void)g_queue_remove(&user->ready, queue);
                if (user->ready.length == 0)
                        (void)g_queue_remove(ready, user);
        }
}

static void queue_weigh(Queue *queue, ssize_t n_calls, ssize_t n_bytes) {
        queue->n_bytes += (size_t)n_bytes;
        queue->user->n_bytes += (size_t)n_bytes;
        queue->user->n_calls += (size_t)n_calls;
        queue->user->queues->n_bytes += (size_t)n_bytes;
        queue->user->queues->counted = 0;
}

static void queue_push(Queue *queue, sd_bus_message *m, size_t weight) {
        Waiting *waiting = g_new0(Waiting, 1);

        waiting->m = sd_bus_message_ref(m);
        waiting->weight = weight;
        g_queue_push_tail(&queue->calls, waiting);
        queue_weigh(queue, 1, (ssize_t)weight);
        queue_settle(queue);
}

/* The reference is the caller's. */
static sd_bus_message *queue_pop(Queue *queue, GList *link) {
        Waiting *waiting = link->data;
        sd_bus_message *m = waiting->m;

        g_queue_delete_link(&queue->calls, link);
        queue_weigh(queue, -1, -(ssize_t)waiting->weight);
        user_discharge_fds(queue->user);
        g_free(waiting);
        queue_settle(queue);
        return m;
}

static void queue_drop(Queue *queue, GList *link, const char *name, const char *text) {
        Bus *bus = queue->user->queues->bus;
        sd_bus_message *m = queue_pop(queue, link);
        sd_bus_error error = SD_BUS_ERROR_NULL;

        (void)bus_refuse_text(&error, name, "%s", text);
        (void)sd_bus_reply_method_error(m, &error);
        sd_bus_error_free(&error);
        bin_put(bus, m);
}

void queue_refuse(Queue *queue, const char *name, const char *text) {
        while (queue->calls.head)
                queue_drop(queue, queue->calls.head, name, text);
}

/* ---- room ---- */

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

        queue_drop(biggest, biggest->calls.tail, "QuotaExceeded", TEXT_FULL_ALL);
        return true;
}

/* Why there is none; NULL: there is. */
static const char *queue_has_no_room(Queue *queue, size_t weight) {
        Queues *queues = queue->user->queues;

        if (queue->user->n_bytes + weight > WAITING_BYTES_PER_USER_MAX)
                return TEXT_FULL;

        while (queues->n_bytes + weight > WAITING_BYTES_MAX)
                if (!queues_give_way(queue, weight))
                        return TEXT_FULL_ALL;

        if (user_charge_fds(queue->user))
                return NULL;
        if (queues_are_short_of_fds(queues, CALL_FDS))
                return TEXT_FDS;

        queues->n_uncharged += CALL_FDS;
        return NULL;
}

/* Nothing of its user is before it. */
static bool queue_is_first(const Queue *queue) {
        return queue->user->is_known && queue->user->n_bytes == 0 && !queue->is_held &&
               !queue->next;
}

/* One that is more than a user may have waits alone. */
static int queue_wait(Queue *queue, sd_bus_message *m, sd_bus_error *error) {
        size_t weight =
                MIN(message_weight(m, WAITING_BYTES_PER_USER_MAX), WAITING_BYTES_PER_USER_MAX);
        const char *why = queue_has_no_room(queue, weight);

        if (why)
                return bus_refuse_text(error, "QuotaExceeded", "%s", why);

        queue_push(queue, m, weight);
        return 0;
}

/* ---- turns ---- */

int queue_admit(Queue *queue, sd_bus_message *m, sd_bus_error *error) {
        if (queue->next == m) {
                queue->next = NULL;
                queue_settle(queue);
                return 1;
        }

        if (!queue_is_first(queue) || queue->user->turn == queue->user->queues->turn)
                return queue_wait(queue, m, error);

        queue->user->turn = queue->user->queues->turn;
        return 1;
}

static void queue_run_next(Queue *queue) {
        Queues *queues = queue->user->queues;
        sd_bus_message *m = queue_pop(queue, queue->calls.head);
        int r;

        r = sd_bus_enqueue_for_read(queues->bus->bus, m);
        if (r < 0)
                (void)sd_bus_reply_method_errnof(m, r, "The call could not be taken up");
        else
                queue->next = m;

        bin_put(queues->bus, m);
        queue_settle(queue);
}

unsigned queues_turn(Queues *queues) {
        unsigned n = MIN(queues->ready.length, USERS_PER_TURN);

        queues->turn++;
        for (unsigned i = 0; i < n; i++) {
                User *user = g_queue_peek_head(&queues->ready);

                user->turn = queues->turn;
                queue_run_next(g_queue_peek_head(&user->ready));
                /* if it has more, behind the others */
                if (g_queue_peek_head(&queues->ready) == user)
                        g_queue_push_tail(&queues->ready, g_queue_pop_head(&queues->ready));
        }

        return n;
}

bool queues_wait(const Queues *queues) {
        return queues->ready.length > 0;
}

void queue_hold(Queue *queue, bool is_held) {
        queue->is_held = is_held;
        queue_settle(queue);
}

bool queue_is_over(const Queue *queue) {
        return queue->calls.length == 0 && !queue->next;
}

/* ---- birth and death ---- */

static void queue_leave_user(Queue *queue) {
        User *user = queue->user;

        user->n_bytes -= queue->n_bytes;
        user->n_calls -= queue->calls.length;
        user_discharge_fds(user);
        (void)g_ptr_array_remove_fast(user->names, queue);
        if (user->names->len == 0)
                user_free(user);
        queue->user = NULL;
}

static void queue_enter_user(Queue *queue, User *user) {
        queue->user = user;
        user->n_bytes += queue->n_bytes;
        user->n_calls += queue->calls.length;
        while (user->n_fds < user->n_calls * CALL_FDS && user_charge_fds(user))
                user->queues->n_uncharged -= CALL_FDS;
        g_ptr_array_add(user->names, queue);
}

Queue *queue_new(Queues *queues) {
        Queue *queue = g_new0(Queue, 1);

        g_queue_init(&queue->calls);
        queue_enter_user(queue, user_new(queues));
        return queue;
}

void queue_set_user(Queue *queue, uid_t uid) {
        Queues *queues = queue->user->queues;

        queue_leave_user(queue);
        queue_enter_user(queue, user_of(queues, uid));
        while (queue->calls.tail && queue->user->n_fds < queue->user->n_calls * CALL_FDS &&
               queues_are_short_of_fds(queues, 0))
                queue_drop(queue, queue->calls.tail, "QuotaExceeded", TEXT_FDS);
        queue_settle(queue);
}

Queue *queue_free(Queue *queue) {
        if (!queue)
                return NULL;

        while (queue->calls.head)
                bin_put(queue->user->queues->bus, queue_pop(queue, queue->calls.head));
        queue_leave_user(queue);
        g_free(queue);
        return NULL;
}

int queues_new(Bus *bus, Queues **ret) {
        Queues *queues = g_new0(Queues, 1);

        queues->bus = bus;
        queues->turn = 1;
        queues->by_uid = g_hash_table_new(NULL, NULL);
        queues->users = g_ptr_array_new();
        g_queue_init(&queues->ready);
        *ret = queues;
        return 0;
}

Queues *queues_free(Queues *queues) {
        if (!queues)
                return NULL;

        g_hash_table_unref(queues->by_uid);
        (void)g_ptr_array_unref(queues->users);
        g_free(queues);
        return NULL;
}
