/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files about calls that wait see of each other: queue.c is what waits, queue-users.c
 * whose turn it is, queue-room.c how much may wait. Each field is written in one of them.
 */

#include "bus/private.h"

/* A uid; or a name of which it is not known yet. */
typedef struct User {
        Queues *queues;
        uid_t uid;
        bool is_known;
        GPtrArray *names;     /* its queues */
        GQueue ready;         /* those with a call that may run, in turn */
        uint64_t turn;        /* in which a call of it has run, or is to */
        int64_t rests_usec;   /* until then, while it is among those that rest */
        int64_t owes_usec;    /* until then what its calls have taken is more than a tenth */
        int64_t watched_usec; /* until then the processor time of its calls is looked at */
        size_t n_bytes;
        size_t n_calls, n_fds; /* those charged, of which no more came than CALL_FDS a call; of
                                * the calls also those that wait for somebody's answer */
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
        uint64_t turn;
        size_t n_bytes;
        int64_t n_uncharged;  /* open fds, less those that somebody is charged for, at most */
        int64_t counted_usec; /* in the round that began then; 0: calls have waited or run since */
};

/* ---- queue.c ---- */

/* Refuses one that waits. */
void queue_drop(Queue *queue, GList *link, BusError what, const char *text);

/* ---- queue-users.c ---- */

User *user_new(Queues *queues);
User *user_of(Queues *queues, uid_t uid);
void user_add_name(User *user, Queue *queue);
void user_remove_name(User *user, Queue *queue); /* with the last one it may go */
/* Whether @queue is among those that a turn looks at. */
void queue_set_ready(Queue *queue, bool is_ready);
/* For a call that has just come; false: others' are first. */
bool user_take_turn(User *user);
/* A turn begins, for so many users; and the queue of the next, which has a call that may run. */
unsigned queues_begin_turn(Queues *queues);
Queue *queues_next(Queues *queues);

/* ---- queue-room.c ---- */

#define WAITING_BYTES_PER_USER_MAX ((size_t)4 * 1024 * 1024)

/* For one call more: why there is no room, or NULL, and then it has to be weighed. Others' calls
 * may give way. */
const char *queue_has_no_room(Queue *queue, size_t weight);
const char *queue_has_no_fds(Queue *queue); /* for one that has its bytes elsewhere */
void queue_weigh(Queue *queue, ssize_t n_calls, ssize_t n_bytes); /* more; or less, where < 0 */
/* With all that waits in it. */
void queue_weigh_in(Queue *queue);
void queue_weigh_out(Queue *queue);
