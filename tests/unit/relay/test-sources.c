/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sources: a host that keeps many handshakes waiting keeps nobody else out: no other host, nobody
 * at another listener, no other user, and not the user itself. */

#include "relay/private.h"
#include "stranger.h"
#include "world.h"

#define N_SHARE 4
#define GREEDY "127.0.0.2"
#define OTHER "127.0.0.3"
#define THIRD_UID 1002
#define FOURTH_UID 1003

typedef struct Stage {
        World world;
        Listener *listener;
} Stage;

static Listener *listen_as(Stage *stage, uid_t uid) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);

        spec->uid = uid;
        return world_listen(&stage->world, spec);
}

/* The listener's owner, who may have so many unfinished handshakes, never says a key. */
static void set_up_total(Stage *stage, uint64_t total) {
        QuotaLimits limits = quota_limits_default(4096);

        limits.per_uid[QUOTA_HALF_OPEN] = N_SHARE;
        limits.total[QUOTA_HALF_OPEN] = total;
        world_setup_limits(&stage->world, &limits);
        stage->listener = listen_as(stage, WORLD_OTHER_UID);
        /* the clients are another user's */
        quota_set_user_limit(stage->world.quota, WORLD_UID, QUOTA_HALF_OPEN, 100);
}

static void set_up(Stage *stage, gconstpointer unused) {
        set_up_total(stage, 100);
}

/* No more than one user's strangers, and the clients that they are. */
static void set_up_full(Stage *stage, gconstpointer unused) {
        set_up_total(stage, 2 * N_SHARE);
}

static void tear_down(Stage *stage, gconstpointer unused) {
        world_teardown(&stage->world, NULL);
}

static Connection *start_at(Stage *stage, const Listener *listener, uid_t uid, const char *host) {
        Spec *spec = world_client_spec();

        spec->uid = uid;
        g_assert_cmpint(address_parse(host, 0, &spec->local), ==, 0);
        return world_start(&stage->world, spec, listener, "127.0.0.1");
}

static Connection *start_from(Stage *stage, const char *host) {
        return start_at(stage, stage->listener, WORLD_UID, host);
}

static uint64_t half_open(const Stage *stage, uid_t uid) {
        return quota_used(stage->world.quota, uid, QUOTA_HALF_OPEN);
}

static void wait_half_open(Stage *stage, uint64_t n) {
        world_wait(&stage->world, half_open(stage, WORLD_OTHER_UID) == n);
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

/* Not even the same host: it may be everybody's here. */
static void a_flooded_listener_keeps_nobody_from_another(Stage *stage, gconstpointer unused) {
        Listener *second = listen_as(stage, WORLD_OTHER_UID);
        Connection *greedy[N_SHARE], *other;
        uint32_t oldest;

        fill_from(stage, GREEDY, greedy);
        oldest = connection_facts(world_other_end(&stage->world, greedy[0])).id;
        other = start_at(stage, second, WORLD_UID, GREEDY);
        world_wait(&stage->world, world_other_end(&stage->world, other));

        g_assert_false(world_has(&stage->world, oldest));
        g_assert_cmpuint(listener_facts(second).n_connections, ==, 1);
        g_assert_cmpuint(listener_facts(stage->listener).n_connections, ==, N_SHARE - 1);
        g_assert_cmpuint(n_turned_away(stage), ==, 1); /* the oldest */
}

static Connection *begin(Stage *stage, uid_t uid, int expected) {
        Connection *connection = NULL;
        Spec *spec = world_client_spec();
        Reason reason = {0};

        spec->uid = uid;
        g_assert_cmpint(address_parse("127.0.0.1", 9, &spec->peer), ==, 0);
        g_assert_cmpint(relay_create_connection(stage->world.relay, spec, &connection, &reason), ==,
                        0);
        g_assert_cmpint(connection_do_handshake(connection, &reason), ==, expected);
        return connection;
}

/* Of which none gives way, however many there are. */
static void what_a_user_begins_goes_before_strangers(Stage *stage, gconstpointer unused) {
        Connection *greedy[N_SHARE], *more;

        fill_from(stage, GREEDY, greedy);
        for (unsigned i = 0; i < N_SHARE; i++) {
                (void)begin(stage, WORLD_OTHER_UID, 0);
                g_assert_cmpuint(half_open(stage, WORLD_OTHER_UID), ==, N_SHARE);
                g_assert_cmpuint(listener_facts(stage->listener).n_connections, ==,
                                 N_SHARE - 1 - i);
        }

        (void)begin(stage, WORLD_OTHER_UID, RELAY_E_QUOTA);
        more = start_from(stage, OTHER);
        world_wait(&stage->world, n_turned_away(stage) > N_SHARE);
        g_assert_null(world_other_end(&stage->world, more));
        g_assert_cmpuint(half_open(stage, WORLD_OTHER_UID), ==, N_SHARE);
}

/* Of two with as many, who has strangers. */
static void who_has_most_of_all_gives_way(Stage *stage, gconstpointer unused) {
        Listener *third = listen_as(stage, THIRD_UID);
        Connection *greedy[N_SHARE], *own;

        fill_from(stage, GREEDY, greedy);
        g_assert_false(quota_has_room(stage->world.quota, THIRD_UID, QUOTA_HALF_OPEN, 1));

        /* two more: what the third user begins, and who comes to that user's listener by it */
        own = start_at(stage, third, THIRD_UID, GREEDY);
        g_assert_cmpuint(half_open(stage, WORLD_OTHER_UID), ==, N_SHARE - 1);
        g_assert_cmpuint(half_open(stage, WORLD_UID), ==, N_SHARE);
        world_wait(&stage->world, world_other_end(&stage->world, own));
        g_assert_cmpuint(half_open(stage, WORLD_OTHER_UID), ==, N_SHARE - 1);
        g_assert_cmpuint(half_open(stage, WORLD_UID), ==, N_SHARE - 1);
        g_assert_cmpuint(half_open(stage, THIRD_UID), ==, 2);
}

/* Who has as many as others has to do with them: its own strangers give way to what it begins. */
static void who_has_as_many_as_others_takes_none(Stage *stage, gconstpointer unused) {
        Listener *third = listen_as(stage, THIRD_UID);
        Connection *greedy[N_SHARE], *own;

        fill_from(stage, GREEDY, greedy);
        own = start_at(stage, third, THIRD_UID, GREEDY);
        world_wait(&stage->world, world_other_end(&stage->world, own));

        (void)begin(stage, THIRD_UID, 0);
        g_assert_null(world_other_end(&stage->world, own));
        (void)begin(stage, THIRD_UID, RELAY_E_QUOTA);
        g_assert_cmpuint(half_open(stage, THIRD_UID), ==, 2);
        g_assert_cmpuint(half_open(stage, WORLD_OTHER_UID), ==, N_SHARE - 1);
}

/* Two users with all there is between them, of which nothing is a stranger's. */
static void fill_by_two(Stage *stage) {
        for (unsigned i = 0; i < N_SHARE; i++) {
                (void)begin(stage, WORLD_OTHER_UID, 0);
                (void)begin(stage, THIRD_UID, 0);
        }
        g_assert_false(quota_has_room(stage->world.quota, FOURTH_UID, QUOTA_HALF_OPEN, 1));
}

/* To another user alone, and until they have as many. */
static void what_users_begin_gives_way_to_who_has_fewer(Stage *stage, gconstpointer unused) {
        Connection *oldest;

        quota_set_user_limit(stage->world.quota, WORLD_OTHER_UID, QUOTA_HALF_OPEN, N_SHARE + 1);
        oldest = begin(stage, WORLD_OTHER_UID, 0);
        for (unsigned i = 0; i < N_SHARE; i++)
                (void)begin(stage, WORLD_OTHER_UID, 0);
        for (unsigned i = 0; i < N_SHARE - 1; i++)
                (void)begin(stage, THIRD_UID, 0);

        (void)begin(stage, FOURTH_UID, 0);
        g_assert_cmpuint(half_open(stage, WORLD_OTHER_UID), ==, N_SHARE);
        g_assert_cmpint(connection_facts(oldest).state, ==, HANDSHAKE_NOT_STARTED);
        g_assert_cmpstr(connection_facts(oldest).error_text, ==,
                        "There is no room for all unfinished handshakes, and its user has most");

        (void)begin(stage, FOURTH_UID, 0);
        g_assert_cmpuint(half_open(stage, WORLD_OTHER_UID), ==, N_SHARE - 1);
        (void)begin(stage, FOURTH_UID, RELAY_E_QUOTA);
        g_assert_cmpuint(half_open(stage, WORLD_OTHER_UID), ==, N_SHARE - 1);
        g_assert_cmpuint(half_open(stage, THIRD_UID), ==, N_SHARE - 1);
}

static void it_gives_way_to_who_comes_to_another_user(Stage *stage, gconstpointer unused) {
        Listener *listener = listen_as(stage, FOURTH_UID);
        g_autoptr(Stranger) stranger = stranger_new(&stage->world, listener, NULL);

        fill_by_two(stage);
        stranger_start(stranger);
        stranger_wait(stranger, half_open(stage, FOURTH_UID) == 1);
        g_assert_cmpuint(half_open(stage, WORLD_OTHER_UID) + half_open(stage, THIRD_UID), ==,
                         2 * N_SHARE - 1);
}

/* No socket: this machine has no such addresses. */
static void an_ipv6_subnet_is_one_host(Stage *stage, gconstpointer unused) {
        const char *const hosts[] = {
                "2001:db8:0:1::1",
                "2001:db8:0:1:ffff:ffff:ffff:ffff",
                "2001:db8:0:2::1",
        };
        Connection connections[G_N_ELEMENTS(hosts)];
        Spec specs[G_N_ELEMENTS(hosts)];

        for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
                specs[i] = (Spec){.uid = WORLD_OTHER_UID};
                g_assert_cmpint(address_parse(hosts[i], (uint16_t)(1000 + i), &specs[i].peer), ==,
                                0);
                connections[i] = (Connection){
                        .relay = stage->world.relay,
                        .listener = stage->listener,
                        .spec = &specs[i],
                };
                source_add(&connections[i]);
        }
        g_assert_true(connections[0].source == connections[1].source);
        g_assert_true(connections[0].source != connections[2].source);
        for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++)
                source_drop(&connections[i]);
}

#define ADD(name, set_up, function)                                                                \
        g_test_add("/sources/" name, Stage, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);
        ADD("the-greedy-ones-oldest-gives-way", set_up, the_greedy_ones_oldest_gives_way);
        ADD("who-has-as-many-waits", set_up, who_has_as_many_waits);
        ADD("an-even-share-is-left-as-it-is", set_up, an_even_share_is_left_as_it_is);
        ADD("a-flooded-listener-keeps-nobody-from-another", set_up,
            a_flooded_listener_keeps_nobody_from_another);
        ADD("an-ipv6-subnet-is-one-host", set_up, an_ipv6_subnet_is_one_host);
        ADD("what-a-user-begins-goes-before-strangers", set_up,
            what_a_user_begins_goes_before_strangers);
        ADD("what-users-begin-gives-way-to-who-has-fewer", set_up_full,
            what_users_begin_gives_way_to_who_has_fewer);
        ADD("it-gives-way-to-who-comes-to-another-user", set_up_full,
            it_gives_way_to_who_comes_to_another_user);
        ADD("who-has-most-of-all-gives-way", set_up_full, who_has_most_of_all_gives_way);
        ADD("who-has-as-many-as-others-takes-none", set_up_full,
            who_has_as_many_as_others_takes_none);
        return g_test_run();
}
