/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One timer for all. */

#include "world.h"

#include "relay/private.h"

#include <string.h>

typedef struct Bell {
        Relay *relay;
        GString *rung;
        char name;
        uint64_t again_usec; /* sets itself once more */
        gint64 busy_usec;    /* it takes so long */
        Alarm alarm;
} Bell;

static void bell_ring(void *owner, uint64_t now_usec) {
        Bell *bell = owner;

        g_assert_null(bell->alarm.iter);
        g_assert_cmpuint(now_usec, >=, bell->alarm.at_usec);
        g_string_append_c(bell->rung, bell->name);
        if (bell->again_usec > 0)
                alarm_set(bell->relay, &bell->alarm, now_usec + bell->again_usec);
        bell->again_usec = 0;
        for (gint64 end = g_get_monotonic_time() + bell->busy_usec; g_get_monotonic_time() < end;)
                ;
}

static Bell bell(World *world, GString *rung, char name) {
        return (Bell){.relay = world->relay, .rung = rung, .name = name};
}

#define hang(bell) ((bell)->alarm.ring = bell_ring, (bell)->alarm.owner = (bell), &(bell)->alarm)

static void ring_in_order(World *world, gconstpointer unused) {
        g_autoptr(GString) rung = g_string_new(NULL);
        Bell a = bell(world, rung, 'a');
        Bell b = bell(world, rung, 'b');
        Bell c = bell(world, rung, 'c');
        uint64_t now_usec = relay_now(world->relay);

        alarm_set(world->relay, hang(&c), now_usec + 30 * 1000);
        alarm_set(world->relay, hang(&a), now_usec + 10 * 1000);
        alarm_set(world->relay, hang(&b), now_usec + 20 * 1000);
        world_wait(world, rung->len == 3);
        g_assert_cmpstr(rung->str, ==, "abc");
}

static void move_and_are_taken_down(World *world, gconstpointer unused) {
        g_autoptr(GString) rung = g_string_new(NULL);
        Bell a = bell(world, rung, 'a');
        Bell b = bell(world, rung, 'b');
        Bell c = bell(world, rung, 'c');
        uint64_t now_usec = relay_now(world->relay);

        alarm_set(world->relay, hang(&a), now_usec + 10 * 1000);
        alarm_set(world->relay, hang(&b), now_usec + 20 * 1000);
        alarm_set(world->relay, hang(&c), now_usec + 15 * 1000);
        alarm_set(world->relay, &a.alarm, now_usec + 40 * 1000);
        alarm_clear(world->relay, &c.alarm);
        alarm_clear(world->relay, &c.alarm); /* twice is fine */
        world_wait(world, rung->len == 2);
        g_assert_cmpstr(rung->str, ==, "ba");

        alarm_set(world->relay, &a.alarm, relay_now(world->relay) + 5000);
        alarm_set(world->relay, &a.alarm, SESSION_NEVER);
        world_spend(world, 20 * 1000);
        g_assert_cmpstr(rung->str, ==, "ba");
}

static void may_be_set_while_they_ring(World *world, gconstpointer unused) {
        g_autoptr(GString) rung = g_string_new(NULL);
        Bell a = bell(world, rung, 'a');
        Bell b = bell(world, rung, 'b');
        uint64_t now_usec = relay_now(world->relay);

        a.again_usec = 20 * 1000;
        alarm_set(world->relay, hang(&a), now_usec + 10 * 1000);
        alarm_set(world->relay, hang(&b), now_usec + 20 * 1000);
        world_wait(world, rung->len == 3);
        g_assert_cmpstr(rung->str, ==, "aba");
}

/* Somebody whose turn is due at the same time, and again until it was there after the first bell.
 */
static int on_other(sd_event_source *source, uint64_t usec, void *userdata) {
        GString *rung = userdata;

        g_string_append_c(rung, '.');
        if (strchr(rung->str, 'a'))
                return 0;

        g_assert_cmpint(sd_event_source_set_time(source, usec + 1), >=, 0);
        g_assert_cmpint(sd_event_source_set_enabled(source, SD_EVENT_ONESHOT), >=, 0);
        return 0;
}

static void let_others_have_their_turns(World *world, gconstpointer unused) {
        g_autoptr(GString) rung = g_string_new(NULL);
        sd_event_source *other = NULL;
        Bell bells[26];
        uint64_t at_usec = relay_now(world->relay) + 1000;

        for (size_t i = 0; i < G_N_ELEMENTS(bells); i++) {
                bells[i] = bell(world, rung, (char)('a' + i));
                bells[i].busy_usec = 200;
                alarm_set(world->relay, hang(&bells[i]), at_usec);
        }
        g_assert_cmpint(sd_event_add_time(world->event, &other, CLOCK_MONOTONIC, at_usec, 1,
                                          on_other, rung),
                        >=, 0);
        world_wait(world, strchr(rung->str, 'a' + G_N_ELEMENTS(bells) - 1));
        g_assert_cmpint(strchr(rung->str, '.') - rung->str, <, G_N_ELEMENTS(bells) / 2);
        g_assert_true(strrchr(rung->str, '.') > strchr(rung->str, 'a'));
        sd_event_source_disable_unref(other);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add("/alarms/ring-in-order", World, NULL, world_setup, ring_in_order,
                   world_teardown);
        g_test_add("/alarms/move-and-are-taken-down", World, NULL, world_setup,
                   move_and_are_taken_down, world_teardown);
        g_test_add("/alarms/may-be-set-while-they-ring", World, NULL, world_setup,
                   may_be_set_while_they_ring, world_teardown);
        g_test_add("/alarms/let-others-have-their-turns", World, NULL, world_setup,
                   let_others_have_their_turns, world_teardown);
        return g_test_run();
}
