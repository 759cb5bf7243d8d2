/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* deadlines: what a connection does at some time by itself. */

#include "world.h"

#include "base/cleanup.h"
#include "relay/private.h"
#include "session/session.h"

#include <string.h>
#include <sys/socket.h>

static void expect_to_be_woken_with_all_others(const Connection *connection) {
        if (connection->alarm.iter)
                g_assert_cmpuint(connection->alarm.at_usec % (30 * G_USEC_PER_SEC), ==, 0);
}

/* The deadlines of its handshake would wake the daemon once for every connection. */
static void an_open_one_has_no_deadline_of_its_own(World *world, gconstpointer unused) {
        Connection *client, *server;

        world_pair(world, &client, &server);
        expect_to_be_woken_with_all_others(client);
        expect_to_be_woken_with_all_others(server);
}

static void goes_idle_and_says_so(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Spec *spec = world_client_spec();
        Connection *client, *server;

        spec->idle_timeout_usec = 1500 * 1000;
        world_use_psk(world, "someone", "secret");
        client = world_start(world, spec, listener, "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);

        world_wait(world, world->n_announced == 1);
        server = relay_find_connection(world->relay, world->last_accepted);

        /* what hears or speaks is not idle */
        for (int i = 0; i < 8; i++) {
                world_spend(world, 300 * 1000);
                world_send(i < 4 ? client : server, "here");
        }
        g_assert_true(connection_facts(client).encrypted);

        world_wait_state(world, client, HANDSHAKE_NOT_STARTED);
        g_assert_nonnull(strstr(world->closed->str, "1:IdleTimeout "));
        world_wait(world, strstr(world->closed->str, "2:PeerClosed "));
}

static void goes_when_persistent_and_never_used(World *world, gconstpointer unused) {
        Spec *spec = spec_new(DTLS_CLIENT, WORLD_UID, NULL);
        Connection *connection;
        Reason reason = {0};
        uint32_t id;

        spec->idle_timeout_usec = 50 * 1000;
        g_assert_cmpint(relay_create_connection(world->relay, spec, &connection, &reason), ==, 0);
        id = connection_facts(connection).id;
        world_wait(world, !world_has(world, id));
        g_assert_cmpuint(world->n_removed, ==, 1);
}

static void fails_with_a_reason_when_nobody_answers(World *world, gconstpointer unused) {
        g_autofd int silent = -1;
        Spec *spec = world_client_spec();
        Address there;
        socklen_t size = sizeof(there);
        Connection *client;
        Reason reason = {0};

        silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(address_parse("127.0.0.1", 0, &there), ==, 0);
        g_assert_cmpint(bind(silent, &there.sa, address_size(&there)), ==, 0);
        g_assert_cmpint(getsockname(silent, &spec->peer.sa, &size), ==, 0);
        spec->handshake_deadline_usec = 700 * 1000;

        g_assert_cmpint(relay_create_connection(world->relay, spec, &client, &reason), ==, 0);
        g_assert_cmpint(connection_do_handshake(client, &reason), ==, 0);
        world_wait_state(world, client, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(client).error, !=, DTLS_NO_ERROR);
        g_assert_cmpstr(connection_facts(client).error_text, !=, "");
        g_assert_true(connection_facts(client).timed_out);
        g_assert_cmpuint(world->n_timeouts, >=, 1);
        g_assert_cmpuint(world_counter(connection_counters(client), "HandshakesFailed"), ==, 1);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_HALF_OPEN), ==, 0);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_FDS), ==, 1);
        world_spend(world, 1000);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_FDS), ==, 0);
}

#define CASE(name, function)                                                                       \
        g_test_add("/deadlines/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("an-open-one-has-none-of-its-own", an_open_one_has_no_deadline_of_its_own);
        CASE("goes-idle-and-says-so", goes_idle_and_says_so);
        CASE("goes-when-persistent-and-never-used", goes_when_persistent_and_never_used);
        CASE("fails-with-a-reason-when-nobody-answers", fails_with_a_reason_when_nobody_answers);
        return g_test_run();
}
