/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes, see changes.h. The queue and the one thread are the workers'. Whoever has the turn may
 * do what the loop does; the thread asks for it over an eventfd, and the loop then stops until it
 * is given back.
 */

#include "keyring/changes.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "keyring/workers.h"

#include <errno.h>
#include <sys/eventfd.h>

typedef struct Change {
        Changes *changes;
        ChangesMake make; /* NULL: it was made */
        void *userdata;
} Change;

struct Changes {
        Workers *workers;
        GPtrArray *stopped; /* of Change, owned */

        GMutex mutex;
        GCond turned;
        bool is_changes_turn; /* the thread's; else it is the loop's */
        bool is_stopping;     /* the loop does nothing but wait for the thread to end */
        int asked_fd;
        sd_event_source *asked_source;
};

/* ---- in the thread ---- */

static void changes_take_turn(Changes *changes) {
        (void)eventfd_write(changes->asked_fd, 1); /* fails only when it is readable anyway */

        g_mutex_lock(&changes->mutex);
        while (!changes->is_changes_turn)
                g_cond_wait(&changes->turned, &changes->mutex);
        g_mutex_unlock(&changes->mutex);
}

static void changes_give_turn(Changes *changes) {
        g_mutex_lock(&changes->mutex);
        changes->is_changes_turn = changes->is_stopping;
        g_cond_signal(&changes->turned);
        g_mutex_unlock(&changes->mutex);
}

static void changes_work(void *data) {
        Change *change = data;

        changes_take_turn(change->changes);
        change->make(change->userdata, /* stopped= */ false);
        change->make = NULL;
        changes_give_turn(change->changes);
}

void changes_wait(Changes *changes, void (*work)(void *data), void *data) {
        bool is_change = changes->is_changes_turn; /* whoever calls this has the turn */

        if (is_change)
                changes_give_turn(changes);
        work(data);
        if (is_change)
                changes_take_turn(changes);
}

/* ---- in the loop ---- */

static int on_asked(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Changes *changes = userdata;
        eventfd_t count;

        (void)eventfd_read(fd, &count); /* only to make it unreadable */

        g_mutex_lock(&changes->mutex);
        changes->is_changes_turn = true;
        g_cond_signal(&changes->turned);
        while (changes->is_changes_turn)
                g_cond_wait(&changes->turned, &changes->mutex);
        g_mutex_unlock(&changes->mutex);
        return 0;
}

static void changes_done(void *data, bool worked) {
        Change *change = data;

        if (change->make) /* the thread may have the turn */
                g_ptr_array_add(change->changes->stopped, change);
        else
                g_free(change);
}

int changes_put(Changes *changes, uid_t uid, ChangesMake make, void *userdata) {
        Change *change = g_new0(Change, 1);

        change->changes = changes;
        change->make = make;
        change->userdata = userdata;
        if (workers_put(changes->workers, uid, 0, change) == 0)
                return 0;

        g_free(change);
        return CHANGES_E_BUSY;
}

int changes_new(sd_event *event, Changes **ret) {
        static const WorkersPlan plan = {
                .n_threads = 1,
                .n_threads_per_uid = 1,
                .n_waiting_max = CHANGES_QUEUE_MAX,
                .n_waiting_per_uid_max = CHANGES_QUEUE_PER_UID_MAX,
                .work = changes_work,
                .done = changes_done,
        };
        g_autoptr(Changes) changes = g_new0(Changes, 1);
        int r;

        changes->stopped = g_ptr_array_new_with_free_func(g_free);
        g_mutex_init(&changes->mutex);
        g_cond_init(&changes->turned);

        changes->asked_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (changes->asked_fd < 0)
                return fault(-errno);

        r = sd_event_add_io(event, &changes->asked_source, changes->asked_fd, EPOLLIN, on_asked,
                            changes);
        if (r == 0)
                r = workers_new(event, &plan, &changes->workers);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&changes);
        return 0;
}

/* The thread has every turn from here on. */
static void changes_stop(Changes *changes) {
        g_mutex_lock(&changes->mutex);
        changes->is_stopping = true;
        changes->is_changes_turn = true;
        g_cond_signal(&changes->turned);
        g_mutex_unlock(&changes->mutex);

        changes->workers = workers_free(changes->workers);
}

Changes *changes_free(Changes *changes) {
        if (!changes)
                return NULL;

        changes_stop(changes);
        for (guint i = 0; i < changes->stopped->len; i++) {
                const Change *change = changes->stopped->pdata[i];

                change->make(change->userdata, /* stopped= */ true);
        }

        sd_event_source_disable_unref(changes->asked_source);
        autofd_close(&changes->asked_fd);
        g_ptr_array_unref(changes->stopped);
        g_cond_clear(&changes->turned);
        g_mutex_clear(&changes->mutex);
        g_free(changes);
        return NULL;
}
