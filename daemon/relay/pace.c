/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pace: so many datagrams a second of a user. Where they are used up its channels are not read
 * until there is room again, so that the application feels it as a full fd and loses nothing; those
 * that wait take turns.
 *
 * Knows: users, who waits. Does not know: channels, datagrams.
 */

#include "relay/private.h"

struct Pace {
        Relay *relay;
        uid_t uid;
        GQueue waiting; /* of Paced */
        Alarm alarm;
};

uint64_t pace_allows(const Relay *relay, uid_t uid, uint64_t ahead_usec) {
        if (!quota_has_rates(relay->quota))
                return UINT64_MAX;

        return quota_may_send(relay->quota, uid, relay_now(relay), ahead_usec);
}

int pace_take_one(const Relay *relay, uid_t uid, Reason *reason) {
        g_autofree char *refusal = NULL;
        int r;

        r = quota_send(relay->quota, uid, relay_now(relay));
        if (r == 0)
                return 0;

        refusal = quota_refusal(relay->quota, uid, QUOTA_DATAGRAMS, (QuotaOutcome)r);
        return reason_set(reason, RELAY_E_QUOTA, "%s", refusal);
}

static void pace_arm(Pace *pace) {
        uint64_t now_usec = relay_now(pace->relay);

        alarm_set(pace->relay, &pace->alarm,
                  now_usec + quota_send_wait_usec(pace->relay->quota, pace->uid, now_usec));
}

static Paced *pace_pop(Pace *pace) {
        Paced *paced = g_queue_peek_head(&pace->waiting);

        g_queue_unlink(&pace->waiting, &paced->link);
        paced->pace = NULL;
        return paced;
}

static void pace_end(Pace *pace) {
        alarm_clear(pace->relay, &pace->alarm);
        g_hash_table_remove(pace->relay->paces, GUINT_TO_POINTER(pace->uid));
        g_free(pace);
}

/* Each takes one at least, or waits again, behind the others. */
static void pace_ring(void *owner, uint64_t now_usec) {
        Pace *pace = owner;
        uint64_t n = pace_allows(pace->relay, pace->uid, 0);

        for (; n > 0 && !g_queue_is_empty(&pace->waiting); n--) {
                Paced *paced = pace_pop(pace);

                paced->resume(paced->owner);
        }

        if (g_queue_is_empty(&pace->waiting))
                pace_end(pace);
        else
                pace_arm(pace);
}

void pace_wait(Relay *relay, uid_t uid, Paced *paced) {
        Pace *pace = g_hash_table_lookup(relay->paces, GUINT_TO_POINTER(uid));

        if (paced->pace)
                return;

        if (!pace) {
                pace = g_new0(Pace, 1);
                pace->relay = relay;
                pace->uid = uid;
                pace->alarm = (Alarm){.ring = pace_ring, .owner = pace};
                g_hash_table_insert(relay->paces, GUINT_TO_POINTER(uid), pace);
                pace_arm(pace);
        }

        paced->pace = pace;
        paced->link.data = paced;
        g_queue_push_tail_link(&pace->waiting, &paced->link);
}

void pace_forget(Paced *paced) {
        Pace *pace = paced->pace;

        if (!pace)
                return;

        g_queue_unlink(&pace->waiting, &paced->link);
        paced->pace = NULL;
        if (g_queue_is_empty(&pace->waiting))
                pace_end(pace);
}
