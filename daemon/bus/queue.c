/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue: calls that wait, a queue a name, and whose turn it is.
 *
 * Each turn runs one call of a user, whatever number of names it has, and takes the next few off
 * the socket; what is not run waits here, in its name's order. So a call waits for one of each
 * other user's, not for all that came before it, and the bus daemon, which has one queue towards us
 * for everybody, keeps none.
 *
 * Calls that wait are somebody's memory and file descriptors, so they are bounded: for a user, for
 * a name of which nobody knows yet whose it is, and in all. Where all have no room, or file
 * descriptors are short, whoever has most gives way.
 */

#include "base/fault.h"
#include "base/terms.h"
#include "bus/private.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define USERS_PER_TURN 4 /* what a turn costs those who wait for a datagram */
/* A call counts as so much at least: what sd-bus has of it beside its contents, and the fds that
 * came with it, up to 16 (dbus-daemon's bound on a system bus), of which it does not say how many.
 */
#define CALL_BYTES_MIN ((size_t)1024)
#define CALL_FDS 16
#define WAITING_BYTES_PER_USER_MAX ((size_t)4 * 1024 * 1024)
#define WAITING_BYTES_MAX ((size_t)16 * 1024 * 1024)
/* Where the fds of all that wait might not fit, it is counted how many the process has left, after
 * so many more calls. */
#define CALLS_PER_COUNT 4
/* For those that wait since the last count, or are freed at the end of this turn; and some for
 * ourselves. Less than what the quota of fds leaves. */
#define FDS_SPARE                                                                                  \
        ((size_t)CALL_FDS * (CALLS_PER_COUNT + USERS_PER_TURN + BUS_MESSAGES_PER_TURN) + 64)

#define TEXT_FULL "Calls of yours that wait take 4 MiB, all that a user may have; wait for answers"
#define TEXT_FULL_ALL                                                                              \
        "Calls that wait take 16 MiB, all that the service has for them, and most are yours; "     \
        "wait "                                                                                    \
        "for answers"
#define TEXT_SCARCE "The service is short of file descriptors, and most calls that wait are yours"

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
        uint64_t turn; /* in which a call of it has run, or is to */
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
        size_t n_calls;
        size_t n_bytes;
        uint64_t turn;
};

/* ---- users ---- */

static User *user_new(Queues *queues) {
        User *user = g_new0(User, 1);

        user->queues = queues;
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
        queue->user->queues->n_bytes += (size_t)n_bytes;
        queue->user->queues->n_calls += (size_t)n_calls;
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

/* ---- weights ---- */

static int weigh_basic(sd_bus_message *m, char type, size_t *total) {
        union {
                const char *text;
                uint64_t number;
                int fd;
        } value;
        int r;

        r = sd_bus_message_read_basic(m, type, &value);
        if (r < 0)
                return r;

        *total += sizeof(uint64_t);
        if (type == 's' || type == 'o' || type == 'g')
                *total += strlen(value.text);
        return 0;
}

/* Adds what is left of the container to @total, and stops as soon as that is over @limit, so that
 * its own cost is bounded. D-Bus bounds the depth. */
static int weigh(sd_bus_message *m, size_t limit, size_t *total) {
        const char *contents;
        const void *bytes;
        size_t size;
        char type;
        int r;

        while (*total <= limit) {
                r = sd_bus_message_peek_type(m, &type, &contents);
                if (r <= 0)
                        return r;

                if (type == 'a' && strcmp(contents, "y") == 0) {
                        r = sd_bus_message_read_array(m, 'y', &bytes, &size);
                        *total += sizeof(uint64_t) + (r < 0 ? 0 : size);
                } else if (strchr("aver", type)) {
                        *total += sizeof(uint64_t);
                        r = sd_bus_message_enter_container(m, type, contents);
                        if (r >= 0)
                                r = weigh(m, limit, total);
                        if (r >= 0 && *total <= limit)
                                r = sd_bus_message_exit_container(m);
                } else {
                        r = weigh_basic(m, type, total);
                }
                if (r < 0)
                        return r;
        }

        return 0;
}

static size_t message_weight(sd_bus_message *m, size_t limit) {
        size_t total = 0;

        if (weigh(m, limit, &total) < 0)
                total = limit + 1; /* not even readable: not kept */
        (void)sd_bus_message_rewind(m, /* complete= */ true);
        return MAX(total, CALL_BYTES_MIN);
}

static size_t fds_used(void) {
        struct stat st;
        size_t n = 0;
        DIR *directory;

        /* Linux 6.2 and later say it without being walked */
        if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
                return (size_t)st.st_size;

        directory = opendir("/proc/self/fd");
        if (!directory)
                return 0;
        while (readdir(directory))
                n++;
        (void)closedir(directory);
        return n;
}

static bool queues_are_short_of_fds(const Queues *queues) {
        uint64_t used_by_most = quota_used_total(queues->bus->quota, QUOTA_FDS) +
                                queues->n_calls * CALL_FDS + FDS_SPARE;
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || used_by_most <= limit.rlim_cur ||
            queues->n_calls % CALLS_PER_COUNT < CALLS_PER_COUNT - 1)
                return false;

        return fds_used() + MIN(FDS_SPARE, limit.rlim_cur * 3 / 8) > limit.rlim_cur;
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

/* Somebody has more than @queue's user would: the last calls of that one are given up. */
static bool queues_give_way(Queue *queue, size_t weight, unsigned n, const char *text) {
        Queue *biggest = queues_biggest(queue->user->queues);

        if (!biggest || biggest->user->n_bytes <= queue->user->n_bytes + weight)
                return false;

        for (unsigned i = 0; i < n && biggest->calls.tail; i++)
                queue_drop(biggest, biggest->calls.tail, "QuotaExceeded", text);
        return true;
}

/* Why there is none; NULL: there is. */
static const char *queue_has_no_room(Queue *queue, size_t weight) {
        Queues *queues = queue->user->queues;

        if (queue->user->n_bytes + weight > WAITING_BYTES_PER_USER_MAX)
                return TEXT_FULL;

        while (queues->n_bytes + weight > WAITING_BYTES_MAX)
                if (!queues_give_way(queue, weight, 1, TEXT_FULL_ALL))
                        return TEXT_FULL_ALL;

        if (queues_are_short_of_fds(queues) &&
            !queues_give_way(queue, weight, CALLS_PER_COUNT, TEXT_SCARCE))
                return TEXT_SCARCE;

        return NULL;
}

/* Nothing of its user is before it. */
static bool queue_is_first(const Queue *queue) {
        return queue->user->is_known && queue->user->n_bytes == 0 && !queue->is_held &&
               !queue->next;
}

/* 1: rather not. */
static int queue_wait(Queue *queue, sd_bus_message *m, sd_bus_error *error) {
        size_t weight = message_weight(m, WAITING_BYTES_PER_USER_MAX);
        const char *why;

        if (weight > WAITING_BYTES_PER_USER_MAX && queue_is_first(queue))
                return 1;

        why = queue_has_no_room(queue, weight);
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
        (void)g_ptr_array_remove_fast(user->names, queue);
        if (user->names->len == 0)
                user_free(user);
        queue->user = NULL;
}

static void queue_enter_user(Queue *queue, User *user) {
        queue->user = user;
        user->n_bytes += queue->n_bytes;
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
