/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shakes: sockets where something that belongs to handshakes had to wait. Established traffic goes
 * before: in between its turns there is one for all handshakes, bounded in time, and in it users
 * take turns, and so do the sockets of one. However many sockets somebody's handshakes come to,
 * what others wait for is that one turn, and nine tenths of the time are theirs if they have
 * something to do.
 *
 * Where nobody waits, handshakes need no turn of their own, as long as they take no more time.
 *
 * Knows: users, time. Does not know: what a handshake is.
 */

#include "relay/private.h"

#include <sched.h>

#define SHAKES_TURN_USEC 250     /* of all: about one by certificate */
#define SHAKES_TURN_BUSY_USEC 50 /* the same beside what is established: one step, or hellos */
#define SHAKES_USER_USEC 100     /* of one user, while others wait */
/* What an established datagram takes, with the programs that send and read it. */
#define SHAKES_PASSED_USEC 50
#define SHAKES_OTHERS_TIMES 9 /* as much as handshakes took is left to what is established */
#define SHAKES_SPELL_USEC                                                                          \
        1000 /* at the latest, those without a turn of their own may go on again */

struct Shaker {
        uid_t uid;
        GQueue endpoints;
        GList link;
};

static void shakes_arm(Relay *relay, gint64 at_usec) {
        watches_set_timer(relay, relay->shakes_timer, (uint64_t)at_usec);
}

/* ---- at once ---- */

/* When a socket has its turn again, all others that were ready have had theirs. */
gint64 shakes_allowance(const Endpoint *endpoint, gint64 now_usec) {
        Relay *relay = endpoint->relay;

        if (!g_queue_is_empty(&relay->shakers))
                return 0;

        if ((endpoint == relay->shakes_first && relay->n_passed == 0) ||
            now_usec >= relay->shakes_spell_usec + SHAKES_SPELL_USEC) {
                relay->shakes_first = endpoint;
                relay->shakes_spell_usec = now_usec;
                relay->shakes_spent_usec = 0;
                relay->n_passed = 0;
        }

        return MAX(SHAKES_TURN_USEC - relay->shakes_spent_usec, 0);
}

void shakes_spend(Relay *relay, gint64 usec) {
        relay->shakes_spent_usec += usec;
}

/* ---- later ---- */

static Shaker *shakes_find(Relay *relay, uid_t uid) {
        Shaker *shaker;

        for (GList *i = relay->shakers.head; i; i = i->next)
                if (((const Shaker *)i->data)->uid == uid)
                        return i->data;

        shaker = g_new0(Shaker, 1);
        shaker->uid = uid;
        shaker->link.data = shaker;
        g_queue_push_tail_link(&relay->shakers, &shaker->link);
        return shaker;
}

void shakes_wait(Endpoint *endpoint) {
        Relay *relay = endpoint->relay;

        if (endpoint->shaker)
                return;
        if (g_queue_is_empty(&relay->shakers))
                shakes_arm(relay, (gint64)relay_now(relay));

        endpoint->shaker = shakes_find(relay, endpoint->charges.uid);
        endpoint->shaker_link.data = endpoint;
        g_queue_push_tail_link(&endpoint->shaker->endpoints, &endpoint->shaker_link);
}

void shakes_forget(Endpoint *endpoint) {
        if (!endpoint->shaker)
                return;

        /* a user of whom nothing is left goes in the next turn */
        g_queue_unlink(&endpoint->shaker->endpoints, &endpoint->shaker_link);
        endpoint->shaker = NULL;
}

/* Each socket until there is nothing more, or the time is over. */
static void shakes_serve(Shaker *shaker, gint64 until_usec) {
        do {
                Endpoint *endpoint = g_queue_peek_head(&shaker->endpoints);

                if (!endpoint)
                        return;

                ingress_catch_up(endpoint, until_usec);
                if (!endpoint_has_later(endpoint))
                        shakes_forget(endpoint);
                if (!endpoint->shaker)
                        continue;

                g_queue_unlink(&shaker->endpoints, &endpoint->shaker_link);
                g_queue_push_tail_link(&shaker->endpoints, &endpoint->shaker_link);
        } while (g_get_monotonic_time() < until_usec);
}

gint64 shakes_share_of_others(size_t n_passed, gint64 took_usec) {
        return MIN(took_usec * SHAKES_OTHERS_TIMES, (gint64)n_passed * SHAKES_PASSED_USEC);
}

/* The time of what is established need not be the service's: what it waits for may be a program on
 * this processor. What the keyring was asked for has taken time too. */
static void shakes_give_way(Relay *relay, size_t n_passed, gint64 begun_usec, gint64 now_usec) {
        gint64 took_usec = now_usec - begun_usec + relay->shakes_spent_usec;

        relay->shakes_spent_usec = 0;
        shakes_arm(relay, now_usec + shakes_share_of_others(n_passed, took_usec));
        if (n_passed > 0)
                (void)sched_yield();
}

static int on_shakes(sd_event_source *source, uint64_t usec, void *userdata) {
        Relay *relay = userdata;
        size_t n_passed = relay->n_passed;
        gint64 begun_usec = g_get_monotonic_time(), now_usec = begun_usec;
        gint64 until_usec = begun_usec + (n_passed > 0 ? SHAKES_TURN_BUSY_USEC : SHAKES_TURN_USEC);

        relay->n_passed = 0;
        for (; now_usec < until_usec && !g_queue_is_empty(&relay->shakers);
             now_usec = g_get_monotonic_time()) {
                Shaker *shaker = relay->shakers.head->data;

                shakes_serve(shaker, MIN(until_usec, now_usec + SHAKES_USER_USEC));
                g_queue_unlink(&relay->shakers, &shaker->link);
                if (g_queue_is_empty(&shaker->endpoints))
                        g_free(shaker);
                else
                        g_queue_push_tail_link(&relay->shakers, &shaker->link);
        }

        if (!g_queue_is_empty(&relay->shakers))
                shakes_give_way(relay, n_passed, begun_usec, now_usec);
        return 0;
}

int shakes_new(Relay *relay) {
        return watches_new_timer(relay, on_shakes, relay, &relay->shakes_timer);
}

/* No endpoint is left. */
void shakes_free(Relay *relay) {
        relay->shakes_timer = sd_event_source_disable_unref(relay->shakes_timer);
        while (!g_queue_is_empty(&relay->shakers))
                g_free(g_queue_pop_head_link(&relay->shakers)->data);
}
