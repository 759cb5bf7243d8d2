/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue-users: whose turn it is.
 *
 * Each turn runs one call of a user, whatever number of names it has (and the next ones, while
 * nothing else has come). So a call waits for one of each other user's, not for all that came
 * before it.
 *
 * Nobody else is served while a call runs. One that takes long is not cut, but its user owes some
 * times as long, and rests. What takes less, but no little, is owed too, and its user rests when
 * that comes to much. So by such calls a user has a tenth of the time at most, and by short ones
 * one a turn.
 */

#include "bus/queue.h"

#include <time.h>

#define USERS_PER_TURN 4     /* what a turn costs those who wait for a datagram */
#define LONG_USEC 3000       /* after one of no more, as those of one object are, nobody rests */
#define SHORT_USEC 1000      /* of no more nothing is owed */
#define OWED_MAX_USEC 300000 /* for some 30 ms at once */
#define RESTS_FACTOR 9
#define REST_MAX_USEC G_USEC_PER_SEC
#define WATCHED_USEC (60 * G_USEC_PER_SEC)

/* ---- users ---- */

User *user_new(Queues *queues) {
        User *user = g_new0(User, 1);

        user->queues = queues;
        user->uid = (uid_t)-1; /* nobody's */
        user->names = g_ptr_array_new();
        g_queue_init(&user->ready);
        g_ptr_array_add(queues->users, user);
        return user;
}

User *user_of(Queues *queues, uid_t uid) {
        User *user = g_hash_table_lookup(queues->by_uid, GUINT_TO_POINTER(uid));

        if (user)
                return user;

        user = user_new(queues);
        user->uid = uid;
        user->is_known = true;
        g_hash_table_insert(queues->by_uid, GUINT_TO_POINTER(uid), user);
        return user;
}

/* Who rests, owes or is watched stays, or a new name would be a way out. */
static void user_free(User *user) {
        Queues *queues = user->queues;

        if (user->rests_usec > 0 ||
            MAX(user->watched_usec, user->owes_usec) > g_get_monotonic_time())
                return;

        if (queues->running == user)
                queues->running = NULL;
        if (user->is_known)
                (void)g_hash_table_remove(queues->by_uid, GUINT_TO_POINTER(user->uid));
        (void)g_ptr_array_remove_fast(queues->users, user);
        g_ptr_array_unref(user->names);
        g_free(user);
}

void user_add_name(User *user, Queue *queue) {
        g_ptr_array_add(user->names, queue);
}

void user_remove_name(User *user, Queue *queue) {
        (void)g_ptr_array_remove_fast(user->names, queue);
        if (user->names->len == 0)
                user_free(user);
}

/* ---- rest ---- */

static void user_begin_rest(User *user, int64_t until_usec) {
        Queues *queues = user->queues;

        if (user->rests_usec == 0) {
                g_queue_push_tail(&queues->resting, user);
                (void)g_queue_remove(&queues->ready, user);
        }
        user->rests_usec = MAX(user->rests_usec, until_usec);
}

static void user_end_rest(User *user) {
        Queues *queues = user->queues;

        user->rests_usec = 0;
        (void)g_queue_remove(&queues->resting, user);
        if (user->ready.length > 0)
                g_queue_push_tail(&queues->ready, user);
        if (user->names->len == 0)
                user_free(user);
}

int64_t cpu_usec(void) {
        struct timespec now = {0};

        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* cannot fail */
        return (int64_t)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

void queue_runs(const Queue *queue) {
        Queues *queues = queue->user->queues;

        queues->running = queue->user;
        queues->ran_usec = g_get_monotonic_time();
        if (queues->ran_usec < queue->user->watched_usec)
                queues->ran_cpu_usec = cpu_usec();
}

/* @took_usec: of the processor's time, where its calls are @is_watched. */
static void user_ran(User *user, int64_t took_usec, bool is_watched) {
        int64_t now_usec = g_get_monotonic_time();

        if (took_usec <= SHORT_USEC)
                return;

        user->owes_usec = MIN(MAX(user->owes_usec, now_usec) + took_usec * RESTS_FACTOR,
                              now_usec + REST_MAX_USEC);
        if (took_usec <= LONG_USEC && user->owes_usec - now_usec <= OWED_MAX_USEC)
                return;

        user->watched_usec = now_usec + WATCHED_USEC;
        if (is_watched)
                user_begin_rest(user, user->owes_usec);
        else
                user->owes_usec = 0;
}

/* By the clock a call takes long also where the machine has other things to do. So that makes its
 * user only one whose calls are looked at more closely, which costs two system calls each. */
void queues_ran(Queues *queues) {
        User *user = queues->running;
        int64_t took_usec;
        bool is_watched;

        if (!user)
                return;

        queues->running = NULL;
        took_usec = g_get_monotonic_time() - queues->ran_usec;
        if (took_usec <= SHORT_USEC)
                return;

        is_watched = queues->ran_usec < user->watched_usec;
        user_ran(user, is_watched ? cpu_usec() - queues->ran_cpu_usec : took_usec, is_watched);
}

void queues_took(Queues *queues, uid_t uid, int64_t usec) {
        User *user = user_of(queues, uid);

        if (usec > LONG_USEC)
                user_ran(user, usec, g_get_monotonic_time() < user->watched_usec);
}

bool queues_user_rests(const Queues *queues, uid_t uid) {
        const User *user = g_hash_table_lookup(queues->by_uid, GUINT_TO_POINTER(uid));

        return user && user->rests_usec > 0;
}

uint64_t queues_rest_until(const Queues *queues) {
        int64_t until_usec = INT64_MAX;

        for (const GList *link = queues->resting.head; link; link = link->next)
                until_usec = MIN(until_usec, ((const User *)link->data)->rests_usec);

        return until_usec == INT64_MAX ? UINT64_MAX : (uint64_t)until_usec;
}

static void queues_end_rests(Queues *queues) {
        GList *next;
        int64_t now_usec;

        if (!queues->resting.head)
                return;

        now_usec = g_get_monotonic_time();
        for (GList *link = queues->resting.head; link; link = next) {
                User *user = link->data;

                next = link->next;
                if (user->rests_usec <= now_usec)
                        user_end_rest(user);
        }
}

/* ---- turns ---- */

void queue_set_ready(Queue *queue, bool is_ready) {
        User *user = queue->user;
        GQueue *ready = &user->queues->ready;

        if (is_ready == queue->is_ready)
                return;

        queue->is_ready = is_ready;
        if (is_ready) {
                if (user->ready.length == 0 && user->rests_usec == 0)
                        g_queue_push_tail(ready, user);
                g_queue_push_tail(&user->ready, queue);
        } else {
                (void)g_queue_remove(&user->ready, queue);
                if (user->ready.length == 0)
                        (void)g_queue_remove(ready, user);
        }
}

/* A second one in a turn only where nobody waits who could have it. */
bool user_take_turn(User *user) {
        Queues *queues = user->queues;

        if (user->rests_usec > 0 || (user->turn == queues->turn && !bus_has_room(queues->bus)))
                return false;

        user->turn = queues->turn;
        return true;
}

unsigned queues_begin_turn(Queues *queues) {
        queues_end_rests(queues);
        queues->turn++;
        return MIN(queues->ready.length, USERS_PER_TURN);
}

Queue *queues_next(Queues *queues) {
        User *user = g_queue_pop_head(&queues->ready);

        user->turn = queues->turn;
        g_queue_push_tail(&queues->ready, user); /* if it has more, behind the others */
        return g_queue_peek_head(&user->ready);
}

bool queues_wait(const Queues *queues) {
        return queues->ready.length > 0;
}

/* ---- birth and death ---- */

int queues_new(Bus *bus, Queues **ret) {
        Queues *queues = g_new0(Queues, 1);

        queues->bus = bus;
        queues->turn = 1;
        queues->by_uid = g_hash_table_new(NULL, NULL);
        queues->users = g_ptr_array_new();
        g_queue_init(&queues->ready);
        g_queue_init(&queues->resting);
        *ret = queues;
        return 0;
}

Queues *queues_free(Queues *queues) {
        if (!queues)
                return NULL;

        while (queues->users->len > 0) { /* without names; who rests, or is watched */
                User *user = g_ptr_array_index(queues->users, 0);

                user->watched_usec = user->owes_usec = 0;
                user_end_rest(user);
        }
        g_hash_table_unref(queues->by_uid);
        (void)g_ptr_array_unref(queues->users);
        g_free(queues);
        return NULL;
}
