/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lingering: what is over and can still be read stands in nobody's way. */

#include "world.h"

#include "relay/private.h"

#define N_SHARE 3

typedef struct Stage {
        World world;
        Listener *listener, *other_listener; /* of two users, who may have N_SHARE each */
} Stage;

static Listener *listen_as(Stage *stage, uid_t uid) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);

        spec->uid = uid;
        quota_set_user_limit(stage->world.quota, uid, QUOTA_CONNECTIONS, N_SHARE);
        return world_listen(&stage->world, spec);
}

static void set_up(Stage *stage, gconstpointer unused) {
        world_setup(&stage->world, NULL);
        world_use_psk(&stage->world, "someone", "secret");
        stage->listener = listen_as(stage, WORLD_OTHER_UID);
        stage->other_listener = listen_as(stage, WORLD_OTHER_UID + 1);
}

static void tear_down(Stage *stage, gconstpointer unused) {
        world_teardown(&stage->world, NULL);
}

/* The listener's end. */
static Connection *open_at(Stage *stage, Listener *listener, Connection **ret_client) {
        Connection *server;

        *ret_client = world_start(&stage->world, world_client_spec(), listener, "127.0.0.1");
        world_wait_state(&stage->world, *ret_client, HANDSHAKE_COMPLETE);
        server = world_other_end(&stage->world, *ret_client);
        world_wait_state(&stage->world, server, HANDSHAKE_COMPLETE);
        return server;
}

/* Says this and goodbye; the id of what is left of it. */
static uint32_t leave_at(Stage *stage, Listener *listener, const char *text) {
        Connection *client, *server = open_at(stage, listener, &client);
        Reason reason = {0};

        world_send(client, text);
        g_assert_cmpint(connection_shutdown(client, &reason), ==, 0);
        world_wait_state(&stage->world, server, HANDSHAKE_NOT_STARTED);
        return connection_facts(server).id;
}

static void assert_reads(Stage *stage, uint32_t id, const char *text) {
        g_autofree char *heard =
                world_read(&stage->world, relay_find_connection(stage->world.relay, id));

        g_assert_cmpstr(heard, ==, text);
}

static void the_oldest_gives_way(Stage *stage, gconstpointer unused) {
        uint32_t ids[N_SHARE], others;
        Connection *client;

        others = leave_at(stage, stage->other_listener, "another user's");
        ids[0] = leave_at(stage, stage->listener, "first");
        ids[1] = leave_at(stage, stage->listener, "second");
        ids[2] = leave_at(stage, stage->listener, "third");
        g_assert_true(world_has(&stage->world, ids[0])); /* there was room */

        (void)open_at(stage, stage->listener, &client);
        g_assert_false(world_has(&stage->world, ids[0]));
        assert_reads(stage, ids[1], "second");
        assert_reads(stage, ids[2], "third");
        assert_reads(stage, others, "another user's");
        g_assert_cmpuint(world_counter(listener_counters(stage->listener), "DroppedQuota"), ==, 0);
        g_assert_cmpuint(quota_used(stage->world.quota, WORLD_OTHER_UID, QUOTA_CONNECTIONS), ==,
                         N_SHARE);
}

static void a_client_of_the_same_user_comes_first_too(Stage *stage, gconstpointer unused) {
        Spec *spec = world_client_spec();
        uint32_t ids[N_SHARE];
        Connection *connection;
        Reason reason = {0};

        for (size_t i = 0; i < N_SHARE; i++)
                ids[i] = leave_at(stage, stage->listener, "over");
        spec->uid = WORLD_OTHER_UID;
        g_assert_cmpint(relay_create_connection(stage->world.relay, spec, &connection, &reason), ==,
                        0);
        g_assert_false(world_has(&stage->world, ids[0]));
        g_assert_true(world_has(&stage->world, ids[1]));
}

static void what_is_open_does_not_give_way(Stage *stage, gconstpointer unused) {
        Connection *clients[N_SHARE], *more;

        for (size_t i = 0; i < N_SHARE; i++)
                (void)open_at(stage, stage->listener, &clients[i]);
        more = world_start(&stage->world, world_client_spec(), stage->listener, "127.0.0.1");
        world_wait(&stage->world,
                   world_counter(listener_counters(stage->listener), "DroppedQuota") > 0);
        for (size_t i = 0; i < N_SHARE; i++)
                g_assert_true(connection_facts(clients[i]).encrypted);
        g_assert_false(connection_facts(more).encrypted);
}

#define CASE(name, function)                                                                       \
        g_test_add("/lingering/" name, Stage, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("the-oldest-gives-way", the_oldest_gives_way);
        CASE("a-client-of-the-same-user-comes-first-too",
             a_client_of_the_same_user_comes_first_too);
        CASE("what-is-open-does-not-give-way", what_is_open_does_not_give_way);
        return g_test_run();
}
