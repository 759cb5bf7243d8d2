/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Workers, see workers.h. A job waits in the lane of its uid and thing, is worked on in a thread of
 * GLib's pool, and comes back over a queue and an eventfd. Users are served in turn, and so are the
 * lanes of each. Only the loop's thread touches users and lanes.
 */

#include "keyring/workers.h"

#include "base/cleanup.h"
#include "base/fault.h"

#include <errno.h>
#include <sys/eventfd.h>

typedef struct WorkersLane {
        uint64_t thing;
        GQueue waiting; /* of WorkersJob; never empty between calls */
} WorkersLane;

typedef struct WorkersUser {
        uid_t uid;
        GHashTable *lanes; /* thing in the lane itself to WorkersLane, owned; with jobs that wait */
        GQueue turns;      /* the same lanes, in the order they are served */
        size_t n_waiting;
        unsigned n_working;
} WorkersUser;

typedef struct WorkersJob {
        WorkersUser *user;
        void *job;
} WorkersJob;

struct Workers {
        WorkersPlan plan;
        GHashTable *users; /* uid to WorkersUser, owned; those with a job */
        GQueue turns;      /* users with jobs that wait, in the order they are served */
        size_t n_waiting;
        unsigned n_working;

        GThreadPool *pool;
        GAsyncQueue *done;
        int done_fd;
        sd_event_source *done_source;
};

/* ---- in a thread ---- */

static void workers_work(gpointer data, gpointer userdata) {
        WorkersJob *job = data;
        Workers *workers = userdata;

        workers->plan.work(job->job);
        g_async_queue_push(workers->done, job);
        (void)eventfd_write(workers->done_fd, 1); /* fails only when it is readable anyway */
}

/* ---- in the loop: users and lanes ---- */

static void workers_lane_free(void *data) {
        WorkersLane *lane = data;

        g_queue_clear_full(&lane->waiting, g_free);
        g_free(lane);
}

static void workers_user_free(void *data) {
        WorkersUser *user = data;

        g_queue_clear(&user->turns);
        g_hash_table_unref(user->lanes);
        g_free(user);
}

static WorkersUser *workers_user(Workers *workers, uid_t uid) {
        WorkersUser *user = g_hash_table_lookup(workers->users, GUINT_TO_POINTER(uid));

        if (user)
                return user;

        user = g_new0(WorkersUser, 1);
        user->uid = uid;
        user->lanes = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, workers_lane_free);
        g_queue_init(&user->turns);
        g_hash_table_insert(workers->users, GUINT_TO_POINTER(uid), user);
        return user;
}

static WorkersLane *workers_lane(WorkersUser *user, uint64_t thing) {
        WorkersLane *lane = g_hash_table_lookup(user->lanes, &thing);

        if (lane)
                return lane;

        lane = g_new0(WorkersLane, 1);
        lane->thing = thing;
        g_queue_init(&lane->waiting);
        g_hash_table_insert(user->lanes, &lane->thing, lane);
        g_queue_push_tail(&user->turns, lane);
        return lane;
}

/* The next job of a user that has one waiting. */
static WorkersJob *workers_take(Workers *workers, WorkersUser *user) {
        WorkersLane *lane = g_queue_pop_head(&user->turns);
        WorkersJob *job = g_queue_pop_head(&lane->waiting);

        if (g_queue_is_empty(&lane->waiting))
                g_hash_table_remove(user->lanes, &lane->thing);
        else
                g_queue_push_tail(&user->turns, lane);

        user->n_waiting--;
        workers->n_waiting--;
        return job;
}

static void workers_start(Workers *workers, WorkersUser *user) {
        WorkersJob *job = workers_take(workers, user);

        workers->n_working++;
        user->n_working++;
        g_thread_pool_push(workers->pool, job, NULL); /* its threads are there since the start */
}

static void workers_dispatch(Workers *workers) {
        const WorkersPlan *plan = &workers->plan;

        for (guint n = workers->turns.length; n > 0 && workers->n_working < plan->n_threads; n--) {
                WorkersUser *user = g_queue_pop_head(&workers->turns);

                if (user->n_working < plan->n_threads_per_uid)
                        workers_start(workers, user);
                if (user->n_waiting > 0)
                        g_queue_push_tail(&workers->turns, user);
        }
}

int workers_put(Workers *workers, uid_t uid, uint64_t thing, void *job) {
        WorkersUser *user;
        WorkersJob *put;

        if (workers->n_waiting >= workers->plan.n_waiting_max)
                return WORKERS_E_BUSY;

        user = workers_user(workers, uid);
        if (user->n_waiting >= workers->plan.n_waiting_per_uid_max)
                return WORKERS_E_BUSY;

        put = g_new0(WorkersJob, 1);
        put->user = user;
        put->job = job;
        g_queue_push_tail(&workers_lane(user, thing)->waiting, put);
        workers->n_waiting++;
        if (user->n_waiting++ == 0)
                g_queue_push_tail(&workers->turns, user);

        workers_dispatch(workers);
        return 0;
}

/* ---- in the loop: what comes back ---- */

static void workers_take_back(Workers *workers, WorkersJob *job) {
        WorkersUser *user = job->user;

        workers->n_working--;
        user->n_working--;
        if (user->n_working == 0 && user->n_waiting == 0)
                g_hash_table_remove(workers->users, GUINT_TO_POINTER(user->uid));

        workers->plan.done(job->job, /* worked= */ true);
        g_free(job);
}

static int on_workers_done(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Workers *workers = userdata;
        eventfd_t count;
        WorkersJob *job;

        (void)eventfd_read(fd, &count); /* only to make it unreadable */

        job = g_async_queue_try_pop(workers->done);
        while (job) {
                workers_take_back(workers, job);
                workers_dispatch(workers);
                job = g_async_queue_try_pop(workers->done);
        }

        return 0;
}

/* ---- the whole ---- */

int workers_new(sd_event *event, const WorkersPlan *plan, Workers **ret) {
        g_autoptr(Workers) workers = g_new0(Workers, 1);
        int r;

        workers->plan = *plan;
        workers->users = g_hash_table_new_full(NULL, NULL, NULL, workers_user_free);
        g_queue_init(&workers->turns);
        workers->done = g_async_queue_new();

        workers->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (workers->done_fd < 0)
                return fault(-errno);

        r = sd_event_add_io(event, &workers->done_source, workers->done_fd, EPOLLIN,
                            on_workers_done, workers);
        if (r < 0)
                return fault(r);

        workers->pool = g_thread_pool_new(workers_work, workers, (int)plan->n_threads,
                                          /* exclusive= */ TRUE, NULL);
        if (!workers->pool || g_thread_pool_get_num_threads(workers->pool) == 0)
                return fault(-EAGAIN);

        *ret = g_steal_pointer(&workers);
        return 0;
}

static void workers_drop_waiting(Workers *workers) {
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, workers->users);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                WorkersUser *user = value;

                while (user->n_waiting > 0) {
                        WorkersJob *job = workers_take(workers, user);

                        workers->plan.done(job->job, /* worked= */ false);
                        g_free(job);
                }
        }
}

Workers *workers_free(Workers *workers) {
        WorkersJob *job;

        if (!workers)
                return NULL;

        workers_drop_waiting(workers);
        if (workers->pool)
                g_thread_pool_free(workers->pool, /* immediate= */ FALSE, /* wait= */ TRUE);
        job = g_async_queue_try_pop(workers->done);
        while (job) {
                workers->plan.done(job->job, /* worked= */ false);
                g_free(job);
                job = g_async_queue_try_pop(workers->done);
        }

        sd_event_source_disable_unref(workers->done_source);
        autofd_close(&workers->done_fd);
        g_async_queue_unref(workers->done);
        g_queue_clear(&workers->turns);
        g_hash_table_unref(workers->users);
        g_free(workers);
        return NULL;
}
