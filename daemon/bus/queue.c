/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue: calls that wait, a queue a name.
 *
 * A turn takes a few off the socket; what is not run waits here, in its name's order. So the bus
 * daemon, which has one queue towards us for everybody, keeps none.
 */

#include "bus/queue.h"

typedef struct Waiting {
        sd_bus_message *m;
        size_t weight;
} Waiting;

/* ---- what waits ---- */

static void queue_settle(Queue *queue) {
        queue_set_ready(queue, queue->user->is_known && !queue->is_held && !queue->next &&
                                       queue->calls.length > 0);
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

void queue_drop(Queue *queue, GList *link, BusError what, const char *text) {
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

/* ---- what comes ---- */

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
                return bus_refuse_text(error, BUS_E_QUOTA, "%s", why);

        queue_push(queue, m, weight);
        return 0;
}

int queue_admit(Queue *queue, sd_bus_message *m, sd_bus_error *error) {
        if (queue->next == m) {
                queue->next = NULL;
                queue_settle(queue);
                queue_runs(queue);
                return 1;
        }

        if (!queue_is_first(queue) || !user_take_turn(queue->user))
                return queue_wait(queue, m, error);

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
        unsigned n = queues_begin_turn(queues);

        for (unsigned i = 0; i < n; i++)
                queue_run_next(queues_next(queues));

        return n;
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
}

bool queue_is_over(const Queue *queue) {
        return queue->calls.length == 0 && !queue->next;
}

/* ---- birth and death ---- */

static void queue_leave_user(Queue *queue) {
        queue_weigh_out(queue);
        user_remove_name(queue->user, queue);
        queue->user = NULL;
}

static void queue_enter_user(Queue *queue, User *user) {
        queue->user = user;
        user_add_name(user, queue);
        queue_weigh_in(queue);
        queue_settle(queue);
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
