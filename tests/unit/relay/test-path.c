/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How wide a path is, and for how long that is believed. */

#include "world.h"

#include "relay/private.h"

#define NARROW 700 /* what no path here is: who has it has remembered it */

/* One more client of @listener, from @address; the listener's end of it. */
static Connection *another(World *world, const Listener *listener, const char *address) {
        Spec *spec = world_client_spec();
        Connection *client;

        g_assert_cmpint(address_parse(address, 0, &spec->local), ==, 0);
        client = world_start(world, spec, listener, "127.0.0.1");
        world_wait(world, world_other_end(world, client) &&
                                  world_other_end(world, client)->state == HANDSHAKE_COMPLETE);
        return world_other_end(world, client);
}

static void remembered_for_a_host(World *world, gconstpointer unused) {
        Connection *client, *server, *other;

        world_pair(world, &client, &server);
        server->endpoint->path.payload = NARROW;
        server->endpoint->path.asked_usec = relay_now(world->relay) + 60 * PATH_USEC;

        other = another(world, server->listener, "127.0.0.1");
        g_assert_cmpuint(other->data_mtu, <, NARROW);
        other = another(world, server->listener, "127.0.0.2");
        g_assert_cmpuint(other->data_mtu, >, NARROW);
}

static void asked_again_when_it_is_old(World *world, gconstpointer unused) {
        Connection *client, *server, *other;

        world_pair(world, &client, &server);
        server->endpoint->path.payload = NARROW;
        server->endpoint->path.asked_usec = relay_now(world->relay) - PATH_USEC;

        other = another(world, server->listener, "127.0.0.1");
        g_assert_cmpuint(other->data_mtu, >, NARROW);
        g_assert_cmpuint(other->measured_usec, ==, server->endpoint->path.asked_usec);
}

static void asked_again_when_the_kernel_refused_one(World *world, gconstpointer unused) {
        Connection *client, *server, *other;

        world_pair(world, &client, &server);
        server->endpoint->path.payload = NARROW;
        server->endpoint->path.n_too_long++;

        other = another(world, server->listener, "127.0.0.1");
        g_assert_cmpuint(other->data_mtu, >, NARROW);
}

static void asked_at_once_if_told(World *world, gconstpointer unused) {
        Connection *client, *server;

        world_pair(world, &client, &server);
        server->endpoint->path.payload = NARROW;
        path_measure(server, /* at_once= */ false);
        g_assert_cmpuint(server->data_mtu, <, NARROW);
        path_measure(server, /* at_once= */ true);
        g_assert_cmpuint(server->data_mtu, >, NARROW);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);
        g_test_add("/path/remembered-for-a-host", World, NULL, world_setup, remembered_for_a_host,
                   world_teardown);
        g_test_add("/path/asked-again-when-it-is-old", World, NULL, world_setup,
                   asked_again_when_it_is_old, world_teardown);
        g_test_add("/path/asked-again-when-the-kernel-refused-one", World, NULL, world_setup,
                   asked_again_when_the_kernel_refused_one, world_teardown);
        g_test_add("/path/asked-at-once-if-told", World, NULL, world_setup, asked_at_once_if_told,
                   world_teardown);
        return g_test_run();
}
