/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* closing: many that end together end some in a turn, all of them, and nobody waits for them. */

#include "world.h"

#include "relay/private.h"

#include <string.h>

#define N 60
#define A_TURN 16

static Listener *listen_with(World *world, unsigned n, const char *owner) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        unsigned before = world->n_announced;

        world_use_psk(world, "someone", "secret");
        for (unsigned i = 0; i < n; i++) {
                Spec *spec = world_client_spec();
                Connection *client;

                g_free(spec->owner);
                spec->owner = g_strdup(owner);
                client = world_start(world, spec, listener, "127.0.0.1");
                world_wait_state(world, client, HANDSHAKE_COMPLETE);
        }
        world_wait(world, world->n_announced == before + n);
        return listener;
}

static unsigned n_closed(const World *world, const char *why) {
        g_auto(GStrv) words = g_strsplit(world->closed->str, why, -1);

        return g_strv_length(words) > 0 ? g_strv_length(words) - 1 : 0;
}

/* What is told in a turn of the loop, or in what the test does itself. */
static void assert_ends_by_turns(World *world, const char *why) {
        unsigned n = 0;

        while (n < N) {
                unsigned now = n_closed(world, why);

                g_assert_cmpuint(now, <=, n + A_TURN);
                n = now;
                if (n < N)
                        world_turn_quickly(world, world_limit(world));
        }
}

static void a_listener_ends_its_connections_by_turns(World *world, gconstpointer unused) {
        Listener *listener = listen_with(world, N, WORLD_OTHER_OWNER);
        Address local = listener_facts(listener).local;
        uint32_t id = listener_facts(listener).id;
        Spec *spec = world_listener_spec("127.0.0.1", address_port(&local));
        Reason reason;

        g_assert_false(listener_close(listener));
        g_assert_null(relay_find_listener(world->relay, id));
        g_assert_cmpuint(world->n_listeners_removed, ==, 0);
        g_assert_cmpint(relay_listen(world->relay, spec, &listener, &reason), ==, RELAY_E_EXISTS);
        assert_ends_by_turns(world, "ListenerClosed");
        world_wait(world, world->n_listeners_removed == 1);
        /* the clients have heard it */
        world_wait(world, n_closed(world, "PeerClosed") == N);
        world_wait(world, !relay_find_listener(world->relay, id));
        (void)world_listen(world, world_listener_spec("127.0.0.1", address_port(&local)));
}

static void few_end_at_once(World *world, gconstpointer unused) {
        Listener *listener = listen_with(world, 3, WORLD_OTHER_OWNER);

        g_assert_true(listener_close(listener));
        g_assert_cmpuint(world->n_listeners_removed, ==, 1);
}

/* Whoever comes while it ends is not let in. */
static void nobody_comes_while_it_ends(World *world, gconstpointer unused) {
        Listener *listener = listen_with(world, N, WORLD_OTHER_OWNER);
        unsigned n_added = world->n_added;

        g_assert_false(listener_close(listener));
        (void)world_start(world, world_client_spec(), listener, "127.0.0.1");
        world_wait(world, world->n_listeners_removed == 1);
        g_assert_cmpuint(world->n_added, ==, n_added + 1);
}

static void a_name_takes_its_connections_along_by_turns(World *world, gconstpointer unused) {
        Listener *listener = listen_with(world, N, WORLD_OTHER_OWNER);
        Connection *other;

        (void)listener;
        other = world_start(world, world_client_spec(), listener, "127.0.0.1");
        world_wait_state(world, other, HANDSHAKE_COMPLETE);
        relay_owner_gone(world->relay, WORLD_OTHER_OWNER);
        assert_ends_by_turns(world, "OwnerGone");
        world_spend(world, 10 * 1000);
        g_assert_cmpint(connection_facts(other).state, ==, HANDSHAKE_COMPLETE);
        g_assert_cmpuint(n_closed(world, "OwnerGone"), ==, N);
}

/* Two that end have turns, not one before the other. */
static void those_that_end_take_turns(World *world, gconstpointer unused) {
        Listener *one = listen_with(world, N, WORLD_OTHER_OWNER);
        Listener *other = listen_with(world, A_TURN + 4, WORLD_OTHER_OWNER);
        uint32_t id = listener_facts(one).id;

        g_assert_false(listener_close(one));
        g_assert_false(listener_close(other));
        world_wait(world, world->n_listeners_removed == 1);
        g_assert_cmpuint(n_closed(world, "ListenerClosed"), <, N + A_TURN + 4);
        world_wait(world, world->n_listeners_removed == 2);
        g_assert_null(relay_find_listener(world->relay, id));
}

/* The relay's end does not wait: world_teardown() asserts that nothing is left. */
static void the_end_of_all_does_not_wait(World *world, gconstpointer unused) {
        g_assert_false(listener_close(listen_with(world, N, WORLD_OTHER_OWNER)));
        relay_owner_gone(world->relay, WORLD_OTHER_OWNER);
}

/* Without a bus no name leaves; what was closing goes on. */
static void a_lost_bus_takes_no_names_along(World *world, gconstpointer unused) {
        Listener *listener = listen_with(world, N, WORLD_OTHER_OWNER);
        Connection *other = world_start(world, world_client_spec(), listener, "127.0.0.1");
        g_autofd int channel = -1, queue = -1;
        Reason reason = {0};
        uint32_t mtu;

        world_wait_state(world, other, HANDSHAKE_COMPLETE);
        g_assert_cmpint(connection_open_channel(other, &channel, &mtu, &reason), ==, 0);
        g_assert_cmpint(listener_open_accept_queue(listener, &queue, &reason), ==, 0);
        relay_owner_gone(world->relay, WORLD_OTHER_OWNER);
        relay_owners_lost(world->relay);
        relay_owner_gone(world->relay, WORLD_OWNER);
        world_wait(world, n_closed(world, "OwnerGone") == N);
        g_assert_cmpint(connection_facts(other).state, ==, HANDSHAKE_COMPLETE);
}

#define CASE(name, function)                                                                       \
        g_test_add("/closing/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("a-listener-ends-its-connections-by-turns", a_listener_ends_its_connections_by_turns);
        CASE("few-end-at-once", few_end_at_once);
        CASE("nobody-comes-while-it-ends", nobody_comes_while_it_ends);
        CASE("a-name-takes-its-connections-along-by-turns",
             a_name_takes_its_connections_along_by_turns);
        CASE("those-that-end-take-turns", those_that_end_take_turns);
        CASE("the-end-of-all-does-not-wait", the_end_of_all_does_not_wait);
        CASE("a-lost-bus-takes-no-names-along", a_lost_bus_takes_no_names_along);
        return g_test_run();
}
