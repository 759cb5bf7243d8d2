/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Alarms: when which connection or listener wants to be called, in a sorted sequence behind one
 * timer of the loop. A thousand handshakes cost one timer.
 *
 * Knows: times. Does not know: what is due.
 */

#include "base/fault.h"
#include "relay/private.h"

#define ALARMS_TURN_USEC 250 /* so long they ring; the rest at once after the others' turn */
#define ALARMS_ACCURACY_USEC 1000

static int alarms_compare(gconstpointer a, gconstpointer b, gpointer userdata) {
        const Alarm *one = a;
        const Alarm *other = b;

        if (one->at_usec != other->at_usec)
                return one->at_usec < other->at_usec ? -1 : 1;

        return 0;
}

static Alarm *alarms_first(Relay *relay) {
        GSequenceIter *begin = g_sequence_get_begin_iter(relay->alarms);

        return g_sequence_iter_is_end(begin) ? NULL : g_sequence_get(begin);
}

/* Only ever forward: what is set for a handshake is nearly always taken back in time, and a timer
 * that finds nothing due, at most once, costs less than moving it to and fro for each. */
static void alarms_arm(Relay *relay) {
        const Alarm *first = alarms_first(relay);

        if (!first || first->at_usec >= relay->timer_usec)
                return;

        relay->timer_usec = first->at_usec;
        watches_set_timer(relay, relay->timer, first->at_usec);
}

static int on_alarm(sd_event_source *source, uint64_t usec, void *userdata) {
        Relay *relay = userdata;
        gint64 until_usec = g_get_monotonic_time() + ALARMS_TURN_USEC;
        uint64_t now_usec = relay_now(relay);

        relay->timer_usec = SESSION_NEVER;
        do {
                Alarm *alarm = alarms_first(relay);

                if (!alarm || alarm->at_usec > now_usec)
                        break;

                g_sequence_remove(alarm->iter);
                alarm->iter = NULL;
                alarm->ring(alarm->owner, now_usec);
        } while (g_get_monotonic_time() < until_usec);

        alarms_arm(relay);
        return 0;
}

int alarms_new(Relay *relay) {
        int r;

        relay->alarms = g_sequence_new(NULL);
        relay->timer_usec = SESSION_NEVER;

        r = sd_event_add_time(relay->event, &relay->timer, CLOCK_MONOTONIC, SESSION_NEVER,
                              ALARMS_ACCURACY_USEC, on_alarm, relay);
        return r < 0 ? fault(r) : 0;
}

void alarms_free(Relay *relay) {
        relay->timer = sd_event_source_disable_unref(relay->timer);
        g_clear_pointer(&relay->alarms, g_sequence_free);
}

/* As g_sequence_insert_sorted(), which makes a second sequence for it each time. */
static GSequenceIter *alarms_insert(Relay *relay, Alarm *alarm) {
        return g_sequence_insert_before(
                g_sequence_search(relay->alarms, alarm, alarms_compare, NULL), alarm);
}

void alarm_set(Relay *relay, Alarm *alarm, uint64_t at_usec) {
        if (at_usec == SESSION_NEVER) {
                alarm_clear(relay, alarm);
                return;
        }
        if (alarm->iter && alarm->at_usec == at_usec)
                return;

        alarm->at_usec = at_usec;
        if (alarm->iter)
                g_sequence_sort_changed(alarm->iter, alarms_compare, NULL);
        else
                alarm->iter = alarms_insert(relay, alarm);

        alarms_arm(relay);
}

void alarm_clear(Relay *relay, Alarm *alarm) {
        if (!alarm->iter)
                return;

        g_sequence_remove(alarm->iter);
        alarm->iter = NULL;
}
