/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue: calls that wait, a queue a name, and whose turn it is.
 *
 * Each turn runs one call of a user, whatever number of names it has (and the next ones, while
 * nothing else has come), and takes a few off the socket; what is not run waits here, in its name's
 * order. So a call waits for one of each other user's, not for all that came before it, and the bus
 * daemon, which has one queue towards us for everybody, keeps none.
 *
 * Calls that wait are somebody's memory and file descriptors, so they are bounded. Bytes: for a
 * user, for a name of which nobody knows yet whose it is, and in all, and where all have no room
 * whoever has most gives way. Fds, also of those that wait for somebody's answer, are charged as
 * all that a user has, up to a share. How many came with a call sd-bus does not say, and most came
 * with none; so beyond the share calls wait as long as few fds are open that nobody is charged for.
 *
 * Nobody else is served while a call runs. One that takes long is not cut, but its user rests for
 * some times as long: so by such calls a user has a tenth of the time at most, and by shorter ones
 * one a turn.
 */

#include "base/fault.h"
#include "base/terms.h"
#include "bus/private.h"

#include <errno.h>
#include <sys/resource.h>
#include <time.h>

#define USERS_PER_TURN 4 /* what a turn costs those who wait for a datagram */
#define LONG_USEC 3000   /* after no more, as all take that deal with one object, nobody rests */
#define RESTS_FACTOR 9
#define REST_MAX_USEC G_USEC_PER_SEC
#define WATCHED_USEC (60 * G_USEC_PER_SEC)
#define CALL_FDS 16   /* that come with one, at most: dbus-daemon's bound on a system bus */
#define CALLS_SHARE 4 /* of what a user may have of fds, and of what the quota leaves of them */
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
        size_t n_calls, n_fds; /* those charged, of which no more came than CALL_FDS a call; of
                                * the calls also those that wait for somebody's answer */
        uint64_t turn;         /* in which a call of it has run, or is to */
        int64_t rests_usec;    /* until then, while it is among those that rest */
        int64_t watched_usec;  /* until then the processor time of its calls is looked at */
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
        GQueue ready;       /* of User, in turn; without those that rest */
        GQueue resting;     /* of User */
        User *running;      /* whose call runs, or NULL */
        int64_t ran_usec;   /* since when */
        int64_t ran_cpu_usec;
        size_t n_bytes;
        int64_t n_uncharged;  /* open fds, less those that somebody is charged for, at most */
        int64_t counted_usec; /* in the round that began then; 0: calls have waited or run since */
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

/* Who rests or is watched stays, or a new name would be a way out. */
static void user_free(User *user) {
        Queues *queues = user->queues;

        if (user->rests_usec > 0 || user->watched_usec > g_get_monotonic_time())
                return;

        if (queues->running == user)
                queues->running = NULL;
        if (user->is_known)
                (void)g_hash_table_remove(queues->by_uid, GUINT_TO_POINTER(user->uid));
        (void)g_ptr_array_remove_fast(queues->users, user);
        g_ptr_array_unref(user->names);
        g_free(user);
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

/* @took_usec: of the processor's time, where it was looked at. */
static void user_ran_long(User *user, int64_t took_usec) {
        int64_t now_usec = g_get_monotonic_time();

        user->watched_usec = now_usec + WATCHED_USEC;
        if (took_usec > LONG_USEC)
                user_begin_rest(user, now_usec + MIN(took_usec * RESTS_FACTOR, REST_MAX_USEC));
}

/* By the clock a call is long also where the machine has other things to do. So that makes its user
 * only one whose calls are looked at more closely, which costs two system calls each. */
void queues_ran(Queues *queues) {
        User *user = queues->running;
        bool is_watched;

        if (!user)
                return;

        queues->running = NULL;
        if (g_get_monotonic_time() - queues->ran_usec <= LONG_USEC)
                return;

        is_watched = queues->ran_usec < user->watched_usec;
        user_ran_long(user, is_watched ? cpu_usec() - queues->ran_cpu_usec : 0);
}

void queues_took(Queues *queues, uid_t uid, int64_t usec) {
        User *user = user_of(queues, uid);
        bool is_watched = g_get_monotonic_time() < user->watched_usec;

        if (usec > LONG_USEC)
                user_ran_long(user, is_watched ? usec : 0);
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
                if (user->ready.length == 0 && user->rests_usec == 0)
                        g_queue_push_tail(ready, user);
                g_queue_push_tail(&user->ready, queue);
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
        queue->user->queues->counted_usec = 0;
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

static void queue_drop(Queue *queue, GList *link, BusError what, const char *text) {
        Bus *bus = queue->user->queues->bus;
        sd_bus_message *m = queue_pop(queue, link);
        sd_bus_error error = SD_BUS_ERROR_NULL;

        (void)bus_refuse_text(&error, what, "%s", text);
        (void)sd_bus_reply_method_error(m, &error);
        sd_bus_error_free(&error);
        bin_put(bus, m);
}

void queue_refuse(Queue *queue, BusError what, const char *text) {
        while (queue->calls.head)
                queue_drop(queue, queue->calls.head, what, text);
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
static const char *queue_has_no_fds(Queue *queue) {
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
static const char *queue_has_no_room(Queue *queue, size_t weight) {
        Queues *queues = queue->user->queues;

        if (queue->user->n_bytes + weight > WAITING_BYTES_PER_USER_MAX)
                return TEXT_FULL;

        while (queues->n_bytes + weight > WAITING_BYTES_MAX)
                if (!queues_give_way(queue, weight))
                        return TEXT_FULL_ALL;

        return queue_has_no_fds(queue);
}

/* Nothing of its user is before it. */
static bool queue_is_first(const Queue *queue) {
        return queue->user->is_known && queue->user->n_bytes == 0 && !queue->is_held &&
               !queue->next;
}

/* Or nobody waits who could have it. */
static bool user_has_turn(const User *user) {
        return user->rests_usec == 0 &&
               (user->turn != user->queues->turn || bus_has_room(user->queues->bus));
}

/* One that is more than a user may have waits alone. */
static int queue_wait(Queue *queue, sd_bus_message *m, sd_bus_error *error) {
        size_t weight =
                MIN(message_weight(m, WAITING_BYTES_PER_USER_MAX), WAITING_BYTES_PER_USER_MAX);
        const char *why = queue_has_no_room(queue, weight);

        if (why)
                return bus_refuse_text(error, BUS_E_QUOTA, "%s", why);

        queue_push(queue, m, weight);
        return 0;
}

/* ---- turns ---- */

int queue_admit(Queue *queue, sd_bus_message *m, sd_bus_error *error) {
        if (queue->next == m) {
                queue->next = NULL;
                queue_settle(queue);
                queue_runs(queue);
                return 1;
        }

        if (!queue_is_first(queue) || !user_has_turn(queue->user))
                return queue_wait(queue, m, error);

        queue->user->turn = queue->user->queues->turn;
        queue_runs(queue);
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
        unsigned n;

        queues_end_rests(queues);
        n = MIN(queues->ready.length, USERS_PER_TURN);
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

int queue_keep(Queue *queue, sd_bus_error *error) {
        const char *why = queue_has_no_fds(queue);

        if (why)
                return bus_refuse_text(error, BUS_E_QUOTA, "%s", why);

        queue_weigh(queue, 1, 0);
        return 1;
}

void queue_let_go(Queue *queue) {
        queue_weigh(queue, -1, 0);
        user_discharge_fds(queue->user);
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
                queue_drop(queue, queue->calls.tail, BUS_E_QUOTA, TEXT_FDS);
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
        g_queue_init(&queues->resting);
        *ret = queues;
        return 0;
}

Queues *queues_free(Queues *queues) {
        if (!queues)
                return NULL;

        while (queues->users->len > 0) { /* without names; who rests, or is watched */
                User *user = g_ptr_array_index(queues->users, 0);

                user->watched_usec = 0;
                user_end_rest(user);
        }
        g_hash_table_unref(queues->by_uid);
        (void)g_ptr_array_unref(queues->users);
        g_free(queues);
        return NULL;
}
