/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables, whose objects go when, and the end of a turn. */

#include "world.h"

#include "base/cleanup.h"
#include "relay/private.h"

#include <string.h>
#include <sys/socket.h>

static uint32_t create(World *world, uid_t uid, const char *owner) {
        Connection *connection;
        Reason reason = {0};

        g_assert_cmpint(relay_create_connection(world->relay, spec_new(DTLS_CLIENT, uid, owner),
                                                &connection, &reason),
                        ==, 0);
        return connection_facts(connection).id;
}

static void lists_pages_in_rising_order(World *world, gconstpointer unused) {
        g_autoptr(GArray) first = NULL;
        g_autoptr(GArray) second = NULL;

        for (int i = 0; i < 5; i++)
                (void)create(world, WORLD_UID, WORLD_OWNER);
        connection_close(relay_find_connection(world->relay, 2), END_CLOSE);

        first = relay_list_connections(world->relay, 0, 3);
        g_assert_cmpuint(first->len, ==, 3);
        g_assert_cmpuint(g_array_index(first, uint32_t, 0), ==, 1);
        g_assert_cmpuint(g_array_index(first, uint32_t, 1), ==, 3);
        g_assert_cmpuint(g_array_index(first, uint32_t, 2), ==, 4);
        second = relay_list_connections(world->relay, 4, 3);
        g_assert_cmpuint(second->len, ==, 1);
        g_assert_cmpuint(g_array_index(second, uint32_t, 0), ==, 5);
}

static void never_gives_a_number_twice(World *world, gconstpointer unused) {
        uint32_t id = create(world, WORLD_UID, WORLD_OWNER);

        connection_close(relay_find_connection(world->relay, id), END_CLOSE);
        g_assert_null(relay_find_connection(world->relay, id));
        world_spend(world, 1000);
        g_assert_cmpuint(create(world, WORLD_UID, WORLD_OWNER), >, id);
}

static void frees_at_the_end_of_the_turn(World *world, gconstpointer unused) {
        uint32_t id = create(world, WORLD_UID, WORLD_OWNER);
        Connection *connection = relay_find_connection(world->relay, id);

        connection_close(connection, END_CLOSE);
        /* still there for who holds it, and still charged */
        g_assert_cmpuint(connection_facts(connection).id, ==, id);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_CONNECTIONS), ==, 1);
        connection_close(connection, END_CLOSE); /* twice is once */
        g_assert_cmpuint(world->n_removed, ==, 1);

        g_assert_cmpint(sd_event_run(world->event, 0), >=, 0);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_CONNECTIONS), ==, 0);
}

static void does_not_keep_the_loop_busy(World *world, gconstpointer unused) {
        (void)create(world, WORLD_UID, WORLD_OWNER);
        connection_close(relay_find_connection(world->relay, 1), END_CLOSE);
        for (int i = 0; i < 3; i++)
                (void)sd_event_run(world->event, 0);

        /* nothing is pending: the loop waits as long as it is told to */
        g_assert_cmpint(sd_event_run(world->event, 1000), ==, 0);
}

static void lets_the_objects_of_a_name_go(World *world, gconstpointer unused) {
        Connection *client, *server;
        uint32_t others, persistent;

        world_pair(world, &client, &server);
        others = create(world, WORLD_UID, WORLD_OTHER_OWNER);
        persistent = create(world, WORLD_UID, NULL);

        relay_owner_gone(world->relay, WORLD_OWNER);
        g_assert_true(world_has(world, others));
        g_assert_true(world_has(world, persistent));
        g_assert_cmpuint(world->n_removed, ==, 2);
        g_assert_cmpuint(world->n_listeners_removed, ==, 1);
        g_assert_nonnull(strstr(world->closed->str, "1:OwnerGone "));
        g_assert_nonnull(strstr(world->closed->str, "2:ListenerClosed "));
}

static Connection *start_persistent(World *world, const Listener *listener) {
        Spec *spec = world_client_spec();

        spec->persistent = true;
        spec->handshake_deadline_usec = 500 * 1000;
        return world_start(world, spec, listener, "127.0.0.1");
}

static void leaves_what_has_a_channel_when_the_bus_is_lost(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Connection *first, *second, *third;
        int fd;

        world_use_psk(world, "someone", "secret");
        first = start_persistent(world, listener);
        second = start_persistent(world, listener);
        world_wait_state(world, first, HANDSHAKE_COMPLETE);
        world_wait_state(world, second, HANDSHAKE_COMPLETE);
        world_wait(world, world->n_announced == 2);
        fd = world_open_channel(world_other_end(world, first));

        relay_owners_lost(world->relay);
        world_wait_state(world, second, HANDSHAKE_NOT_STARTED);
        g_assert_cmpuint(listener_facts(listener).n_connections, ==, 1);
        g_assert_cmpuint(world->n_listeners_removed, ==, 0);
        world_send(first, "on and on");
        g_autofree char *heard = world_recv(world, fd);
        g_assert_cmpstr(heard, ==, "on and on");

        /* there is nobody to whom one more would come */
        third = start_persistent(world, listener);
        world_wait_state(world, third, HANDSHAKE_NOT_STARTED);
        g_assert_cmpuint(world->n_added, ==, 5);

        close(fd);
        world_wait(world, world->n_listeners_removed == 1);
        world_wait_state(world, first, HANDSHAKE_NOT_STARTED);
}

static void takes_objects_from_names_that_a_new_bus_hands_out(World *world, gconstpointer unused) {
        g_autofd int client_fd = -1, server_fd = -1;
        Connection *client, *server;

        world_pair(world, &client, &server);
        client_fd = world_open_channel(client);
        server_fd = world_open_channel(server);
        relay_owners_lost(world->relay);
        /* somebody else, who got the same name from the bus that came back, leaves */
        relay_owner_gone(world->relay, WORLD_OWNER);
        g_assert_cmpuint(world->n_removed, ==, 0);
        g_assert_cmpuint(world->n_listeners_removed, ==, 0);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_COMPLETE);
        g_assert_cmpint(connection_facts(server).state, ==, HANDSHAKE_COMPLETE);
}

static void says_goodbye_for_an_owner_that_left(World *world, gconstpointer unused) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        Connection *client;
        g_autofd int fd = -1;
        uint32_t mtu;
        Reason reason = {0};

        g_free(spec->owner);
        spec->owner = g_strdup(WORLD_OTHER_OWNER);
        world_use_psk(world, "someone", "secret");
        client = world_start(world, world_client_spec(), world_listen(world, spec), "127.0.0.1");
        world_wait(world, world->n_announced == 1);
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        g_assert_cmpint(connection_open_channel(client, &fd, &mtu, &reason), ==, 0);

        /* it wrote, and died */
        g_assert_cmpint(send(fd, "testament", 9, 0), ==, 9);
        relay_owner_gone(world->relay, WORLD_OWNER);
        g_autofree char *heard =
                world_read(world, relay_find_connection(world->relay, world->last_accepted));
        g_assert_cmpstr(heard, ==, "testament");
        world_wait(world, strstr(world->closed->str, "2:PeerClosed "));
        g_assert_null(world_recv(world, fd));
}

static void refuses_servers_without_a_listener(World *world, gconstpointer unused) {
        Connection *connection;
        Reason reason = {0};

        g_assert_cmpint(relay_create_connection(world->relay,
                                                spec_new(DTLS_SERVER, WORLD_UID, WORLD_OWNER),
                                                &connection, &reason),
                        ==, RELAY_E_INVALID_PARAMETERS);
        g_assert_nonnull(strstr(reason.text, "Listen"));
        g_assert_cmpuint(world->n_added, ==, 0);
}

static void says_why_a_quota_refuses(World *unused_world, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(4096);
        World world = {0};
        Connection *connection;
        Reason reason = {0};

        limits.per_uid[QUOTA_CONNECTIONS] = 1;
        world_setup_limits(&world, &limits);
        (void)create(&world, WORLD_UID, WORLD_OWNER);
        g_assert_cmpint(relay_create_connection(world.relay,
                                                spec_new(DTLS_CLIENT, WORLD_UID, WORLD_OWNER),
                                                &connection, &reason),
                        ==, RELAY_E_QUOTA);
        g_assert_nonnull(strstr(reason.text, "1 of 1"));
        (void)create(&world, WORLD_OTHER_UID, WORLD_OWNER); /* others have their own share */
        world_teardown(&world, NULL);
}

static void takes_an_open_world_down(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int fd = -1;
        uint32_t mtu;
        Reason reason = {0};

        /* and teardown asserts the rest */
        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(server, &fd, &mtu, &reason), ==, 0);
        (void)world_start(world, world_client_spec(), connection_facts(server).listener,
                          "127.0.0.1");
}

#define CASE(name, function)                                                                       \
        g_test_add("/relay/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("lists-pages-in-rising-order", lists_pages_in_rising_order);
        CASE("never-gives-a-number-twice", never_gives_a_number_twice);
        CASE("frees-at-the-end-of-the-turn", frees_at_the_end_of_the_turn);
        CASE("does-not-keep-the-loop-busy", does_not_keep_the_loop_busy);
        CASE("lets-the-objects-of-a-name-go", lets_the_objects_of_a_name_go);
        CASE("leaves-what-has-a-channel-when-the-bus-is-lost",
             leaves_what_has_a_channel_when_the_bus_is_lost);
        CASE("takes-objects-from-names-that-a-new-bus-hands-out",
             takes_objects_from_names_that_a_new_bus_hands_out);
        CASE("says-goodbye-for-an-owner-that-left", says_goodbye_for_an_owner_that_left);
        CASE("refuses-servers-without-a-listener", refuses_servers_without_a_listener);
        CASE("says-why-a-quota-refuses", says_why_a_quota_refuses);
        CASE("takes-an-open-world-down", takes_an_open_world_down);
        return g_test_run();
}
