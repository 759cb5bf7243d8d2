/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refresh: very many listeners follow what has changed some in a turn, and none is used before. */

#include "world.h"

#include "relay/private.h"

#define N 30
#define A_TURN 8

typedef struct Fixture {
        World world;
        Listener *listeners[N];
        SessionConfig *before[N]; /* kept, so that no other is in its place */
} Fixture;

static void setup(Fixture *fixture, gconstpointer unused) {
        world_setup(&fixture->world, NULL);
        world_use_psk(&fixture->world, "someone", "secret");
        for (size_t i = 0; i < N; i++) {
                Listener *listener =
                        world_listen(&fixture->world, world_listener_spec("127.0.0.1", 0));

                fixture->listeners[i] = listener;
                fixture->before[i] = session_config_ref(listener->config);
        }
}

static void teardown(Fixture *fixture, gconstpointer unused) {
        world_teardown(&fixture->world, NULL);
        for (size_t i = 0; i < N; i++)
                session_config_unref(fixture->before[i]);
}

static bool is_new(const Fixture *fixture, size_t i) {
        return fixture->listeners[i]->config != fixture->before[i];
}

static unsigned n_new(const Fixture *fixture) {
        unsigned n = 0;

        for (size_t i = 0; i < N; i++)
                n += is_new(fixture, i);
        return n;
}

static void reload(World *world) {
        g_autoptr(Revocations) revocations = revocations_new_unknown();

        relay_reload_trust(world->relay, revocations);
}

static void all_follow_some_in_a_turn(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        unsigned n = A_TURN;

        reload(world);
        g_assert_cmpuint(n_new(fixture), ==, A_TURN);
        while (n < N) {
                world_turn_quickly(world, world_limit(world));
                g_assert_cmpuint(n_new(fixture), <=, n + A_TURN);
                n = n_new(fixture);
        }
}

/* One whose turn has not come; without the timer none comes. */
static void none_is_used_before(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Connection *client, *server = NULL;

        reload(world);
        (void)sd_event_source_set_enabled(world->relay->refreshes_timer, SD_EVENT_OFF);
        g_assert_false(is_new(fixture, N - 1));
        client = world_start(world, world_client_spec(), fixture->listeners[N - 1], "127.0.0.1");
        world_wait(world, (server = world_other_end(world, client)));
        g_assert_true(is_new(fixture, N - 1));
        g_assert_true(server->config == fixture->listeners[N - 1]->config);
        g_assert_cmpuint(n_new(fixture), ==, A_TURN + 1);
}

/* What changes again before it had its turn is one change; what is configured or closed meanwhile
 * has none. */
static void what_waits_can_go(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Listener *configured = fixture->listeners[N - 1];
        SessionConfig *config;
        Reason reason;

        reload(world);
        reload(world);
        g_assert_cmpuint(n_new(fixture), ==, 2 * A_TURN);
        g_assert_cmpint(listener_set_spec(configured, spec_copy(configured->spec), &reason), ==, 0);
        config = configured->config;
        (void)listener_close(fixture->listeners[N - 2]);
        g_assert_cmpuint(world->relay->refreshes.length, ==, N - A_TURN - 2);
        world_wait(world, world->relay->refreshes.length == 0);
        g_assert_true(configured->config == config);
}

#define CASE(name, function) g_test_add("/refresh/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("all-follow-some-in-a-turn", all_follow_some_in_a_turn);
        CASE("none-is-used-before", none_is_used_before);
        CASE("what-waits-can-go", what_waits_can_go);
        return g_test_run();
}
