/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose handshakes go on when. */

#include "stranger.h"
#include "world.h"

#include "relay/private.h"

#define LISTENERS 40
#define HELLOS 5 /* to each */

/* Listeners of one user where each hello begins a handshake, and who says these hellos. */
typedef struct Crowd {
        Listener *listeners[LISTENERS];
        Stranger *strangers[LISTENERS * HELLOS];
        size_t n_listeners;
} Crowd;

static void crowd_begin(Crowd *crowd, World *world, uid_t uid, size_t n_listeners) {
        crowd->n_listeners = n_listeners;
        for (size_t i = 0; i < n_listeners; i++) {
                Spec *spec = world_listener_spec("127.0.0.1", 0);

                spec->cookies = false;
                spec->uid = uid;
                spec->handshake_deadline_usec = 2 * WORLD_LIMIT_USEC; /* none ends meanwhile */
                crowd->listeners[i] = world_listen(world, spec);
        }
        for (size_t i = 0; i < n_listeners * HELLOS; i++)
                crowd->strangers[i] = stranger_new(world, crowd->listeners[i % n_listeners], NULL);
}

static void crowd_say_hello(Crowd *crowd) {
        for (size_t i = 0; i < crowd->n_listeners * HELLOS; i++)
                stranger_start(crowd->strangers[i]);
}

static size_t crowd_begun(const Crowd *crowd) {
        size_t n = 0;

        for (size_t i = 0; i < crowd->n_listeners; i++)
                n += listener_facts(crowd->listeners[i]).n_connections;
        return n;
}

static bool crowd_has_all(const Crowd *crowd) {
        return crowd_begun(crowd) == crowd->n_listeners * HELLOS;
}

static void crowd_end(Crowd *crowd) {
        for (size_t i = 0; i < crowd->n_listeners * HELLOS; i++)
                stranger_free(crowd->strangers[i]);
}

static void have_one_turn_for_all_sockets(World *world, gconstpointer unused) {
        Connection *client, *server;
        Crowd crowd;

        world_pair(world, &client, &server);
        crowd_begin(&crowd, world, WORLD_OTHER_UID, LISTENERS);
        crowd_say_hello(&crowd);
        world_turn(world, world_limit(world));
        world_send(client, "behind them");
        g_autofree char *heard = world_read(world, server);
        g_assert_cmpstr(heard, ==, "behind them");
        /* all sockets that were ready before have had a turn by now */
        g_assert_cmpuint(crowd_begun(&crowd), <, LISTENERS);

        world_wait(world, crowd_has_all(&crowd));
        crowd_end(&crowd);
}

static void of_a_user_do_not_wait_for_all_of_anothers(World *world, gconstpointer unused) {
        Crowd many, few;

        crowd_begin(&many, world, WORLD_OTHER_UID, LISTENERS);
        crowd_begin(&few, world, WORLD_UID, 1);
        crowd_say_hello(&many);
        crowd_say_hello(&few);
        world_wait(world, crowd_has_all(&few));
        g_assert_cmpuint(crowd_begun(&many), <, LISTENERS * HELLOS / 2);

        world_wait(world, crowd_has_all(&many));
        crowd_end(&many);
        crowd_end(&few);
}

static void go_on_beside_what_is_always_ready(World *world, gconstpointer unused) {
        Connection *client, *server;
        Crowd crowd;

        world_pair(world, &client, &server);
        crowd_begin(&crowd, world, WORLD_OTHER_UID, LISTENERS);
        crowd_say_hello(&crowd);
        /* the limit of the turns is how long it may take: time is what they share */
        for (uint64_t limit = world_limit(world); !crowd_has_all(&crowd);) {
                world_send(client, "and on");
                world_turn(world, limit);
        }
        crowd_end(&crowd);
}

/* As much time as the established take, and no more than nine times that of handshakes. */
static void leave_time_to_what_is_established(void) {
        g_assert_cmpint(shakes_share_of_others(0, 200), ==, 0);
        g_assert_cmpint(shakes_share_of_others(1, 200), >, 0);
        g_assert_cmpint(shakes_share_of_others(1, 200), <, 100);
        g_assert_cmpint(shakes_share_of_others(10000, 200), ==, 9 * 200);
}

/* Whatever they took elsewhere counts too. */
static void leave_time_for_what_the_keyring_took(World *world, gconstpointer unused) {
        Relay *relay = world->relay;
        uint64_t begun_usec, at_usec;
        Crowd crowd;

        crowd_begin(&crowd, world, WORLD_OTHER_UID, LISTENERS);
        crowd_say_hello(&crowd);
        world_wait(world, !g_queue_is_empty(&relay->shakers));
        begun_usec = (uint64_t)g_get_monotonic_time();
        relay->n_passed = 1000000;
        shakes_spend(relay, 100000);
        world_wait(world, relay->n_passed == 0);
        g_assert_cmpint(sd_event_source_get_time(relay->shakes_timer, &at_usec), >=, 0);
        g_assert_cmpuint(at_usec, >=, begun_usec + 900000);

        for (size_t i = 0; i < LISTENERS; i++)
                (void)listener_close(crowd.listeners[i]);
        crowd_end(&crowd);
}

static void go_with_their_listener(World *world, gconstpointer unused) {
        g_autoptr(GArray) left = NULL;
        Crowd crowd;

        crowd_begin(&crowd, world, WORLD_OTHER_UID, LISTENERS);
        crowd_say_hello(&crowd);
        world_wait(world, !g_queue_is_empty(&world->relay->shakers));
        for (size_t i = 0; i < LISTENERS; i++)
                (void)listener_close(crowd.listeners[i]);
        world_wait(world, g_queue_is_empty(&world->relay->shakers));
        left = relay_list_connections(world->relay, 0, 1);
        g_assert_cmpuint(left->len, ==, 0);
        crowd_end(&crowd);
}

#define CASE(name, function)                                                                       \
        g_test_add("/shakes/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("have-one-turn-for-all-sockets", have_one_turn_for_all_sockets);
        CASE("of-a-user-do-not-wait-for-all-of-anothers",
             of_a_user_do_not_wait_for_all_of_anothers);
        CASE("go-on-beside-what-is-always-ready", go_on_beside_what_is_always_ready);
        g_test_add_func("/shakes/leave-time-to-what-is-established",
                        leave_time_to_what_is_established);
        CASE("leave-time-for-what-the-keyring-took", leave_time_for_what_the_keyring_took);
        CASE("go-with-their-listener", go_with_their_listener);
        return g_test_run();
}
