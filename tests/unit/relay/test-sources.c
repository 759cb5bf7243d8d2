/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sources: a host that keeps many handshakes waiting keeps nobody else out. */

#include "world.h"

#define N_SHARE 4
#define GREEDY "127.0.0.2"
#define OTHER "127.0.0.3"

typedef struct Stage {
        World world;
        Listener *listener;
} Stage;

/* The listener's owner, who may have so many unfinished handshakes, never says a key. */
static void set_up(Stage *stage, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(4096);
        Spec *spec;

        limits.per_uid[QUOTA_HALF_OPEN] = N_SHARE;
        world_setup_limits(&stage->world, &limits);
        spec = world_listener_spec("127.0.0.1", 0);
        spec->uid = WORLD_OTHER_UID;
        stage->listener = world_listen(&stage->world, spec);
        /* the clients are another user's */
        quota_set_user_limit(stage->world.quota, WORLD_UID, QUOTA_HALF_OPEN, 100);
}

static void tear_down(Stage *stage, gconstpointer unused) {
        world_teardown(&stage->world, NULL);
}

static Connection *start_from(Stage *stage, const char *host) {
        Spec *spec = world_client_spec();

        g_assert_cmpint(address_parse(host, 0, &spec->local), ==, 0);
        return world_start(&stage->world, spec, stage->listener, "127.0.0.1");
}

static void wait_half_open(Stage *stage, uint64_t n) {
        world_wait(&stage->world,
                   quota_used(stage->world.quota, WORLD_OTHER_UID, QUOTA_HALF_OPEN) == n);
}

static void fill_from(Stage *stage, const char *host, Connection *clients[static N_SHARE]) {
        for (unsigned i = 0; i < N_SHARE; i++) {
                clients[i] = start_from(stage, host);
                wait_half_open(stage, i + 1);
        }
}

static uint64_t n_turned_away(const Stage *stage) {
        return world_counter(listener_counters(stage->listener), "DroppedQuota");
}

static void the_greedy_ones_oldest_gives_way(Stage *stage, gconstpointer unused) {
        Connection *greedy[N_SHARE], *other;
        uint32_t oldest;

        fill_from(stage, GREEDY, greedy);
        oldest = connection_facts(world_other_end(&stage->world, greedy[0])).id;
        other = start_from(stage, OTHER);
        world_wait(&stage->world, world_other_end(&stage->world, other));

        g_assert_false(world_has(&stage->world, oldest));
        for (unsigned i = 1; i < N_SHARE; i++)
                g_assert_nonnull(world_other_end(&stage->world, greedy[i]));
        wait_half_open(stage, N_SHARE);
}

static void who_has_as_many_waits(Stage *stage, gconstpointer unused) {
        Connection *greedy[N_SHARE], *more;

        fill_from(stage, GREEDY, greedy);
        more = start_from(stage, GREEDY);
        world_wait(&stage->world, n_turned_away(stage) >= 1);
        g_assert_null(world_other_end(&stage->world, more));
        for (unsigned i = 0; i < N_SHARE; i++)
                g_assert_nonnull(world_other_end(&stage->world, greedy[i]));
}

/* Not to and fro: with one less than the other nobody is better served. */
static void an_even_share_is_left_as_it_is(Stage *stage, gconstpointer unused) {
        Connection *greedy[N_SHARE], *others[2], *third;

        fill_from(stage, GREEDY, greedy);
        for (unsigned i = 0; i < 2; i++) {
                others[i] = start_from(stage, OTHER);
                world_wait(&stage->world, world_other_end(&stage->world, others[i]));
        }

        third = start_from(stage, OTHER);
        world_wait(&stage->world, n_turned_away(stage) >= 3);
        g_assert_null(world_other_end(&stage->world, third));
        g_assert_nonnull(world_other_end(&stage->world, greedy[N_SHARE - 1]));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);
        g_test_add("/sources/the-greedy-ones-oldest-gives-way", Stage, NULL, set_up,
                   the_greedy_ones_oldest_gives_way, tear_down);
        g_test_add("/sources/who-has-as-many-waits", Stage, NULL, set_up, who_has_as_many_waits,
                   tear_down);
        g_test_add("/sources/an-even-share-is-left-as-it-is", Stage, NULL, set_up,
                   an_even_share_is_left_as_it_is, tear_down);
        return g_test_run();
}
