/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Very many connections that end together: of a listener that is closed, or of a bus name that
 * leaves. Another user's call that comes behind is answered while they do.
 */

#include "stage.h"

#include <signal.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#define MANY 400
#else
#define MANY 2000
#endif
#define LIMITS                                                                                     \
        "[Limits]\nConnectionsPerUser=20000\nConnectionsTotal=40000\nHalfOpenPerUser=4000\n"       \
        "HalfOpenTotal=8000\nFdsPerUser=8000\nFdsTotal=8000\nBytesPerUser=4000000000\n"            \
        "BytesTotal=8000000000\n"

typedef struct World {
        Service *service;
        sd_bus *server, *client, *bob; /* the first two are alice's */
        char *listener;
        uint16_t port;
} World;

/* MANY connections of a client, and as many of a listener. */
static bool world_new(World *world) {
        if (!service_has_users())
                return false;

        world->service = service_start(LIMITS);
        world->server = service_bus(world->service, UID_ALICE);
        world->client = service_bus(world->service, UID_ALICE);
        world->bob = service_bus(world->service, UID_BOB);
        (void)get_statistic(world->bob, "ConnectionsInUse"); /* who he is is known */
        world->listener = listen_psk(world->server, &world->port);
        for (int i = 0; i < MANY; i++) {
                g_autofree char *path = create_client(world->client, world->port, false);

                do_handshake(world->client, path);
        }
        wait_statistic(world->bob, "HandshakesCompleted", 2 * MANY);
        return true;
}

static void world_free(World *world) {
        wait_nothing_used(world->bob);
        (void)bus_leave(world->bob);
        service_stop(world->service);
        g_free(world->listener);
}

/* What this name has sent is on its way to the service. */
static void wait_for_the_bus(sd_bus *bus) {
        g_assert_cmpint(sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "GetId", NULL, NULL, ""),
                        >=, 0);
}

static int on_statistics(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        uint64_t value, *in_use = userdata;
        const char *name;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'v', "a{st}"), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{st}"), >, 0);
        while (sd_bus_message_read(m, "{st}", &name, &value) > 0)
                if (g_str_equal(name, "ConnectionsInUse"))
                        *in_use = value;
        return 1;
}

static bool is_there(void *userdata) {
        return *(uint64_t *)userdata != UINT64_MAX;
}

/* Bob asks right behind, how many connections there are; the service has not begun yet. */
static uint64_t ask_behind(World *world) {
        uint64_t in_use = UINT64_MAX;

        g_assert_cmpint(sd_bus_call_method_async(world->bob, NULL, NAME, ROOT, PROPERTIES, "Get",
                                                 on_statistics, &in_use, "ss", MANAGER,
                                                 "Statistics"),
                        >=, 0);
        wait_for_the_bus(world->bob);
        g_assert_cmpint(kill(service_pid(world->service), SIGCONT), ==, 0);
        bus_wait(world->bob, is_there, &in_use, "an answer for bob");
        return in_use;
}

static int on_closed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        *(bool *)userdata = !sd_bus_message_is_method_error(m, NULL);
        return 1;
}

static bool is_true(void *userdata) {
        return *(bool *)userdata;
}

/* Close is answered when they have ended, and what the same name sent behind it comes after. */
static void test_a_listener(void) {
        bool is_closed = false;
        World world;
        sd_bus_message *m;

        if (!world_new(&world))
                return;

        g_assert_cmpint(kill(service_pid(world.service), SIGSTOP), ==, 0);
        g_assert_cmpint(sd_bus_call_method_async(world.server, NULL, NAME, world.listener, LISTENER,
                                                 "Close", on_closed, &is_closed, ""),
                        >=, 0);
        wait_for_the_bus(world.server);
        g_assert_cmpuint(ask_behind(&world), >, MANY);
        m = options_begin(world.server, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", world.port);
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_free(options_end_path(world.server, m));
        bus_wait(world.server, is_true, &is_closed, "the answer to Close");
        g_assert_cmpuint(get_statistic(world.bob, "ConnectionsInUse"), ==, MANY);

        (void)bus_leave(world.server);
        (void)bus_leave(world.client);
        world_free(&world);
}

static void test_a_name(void) {
        World world;

        if (!world_new(&world))
                return;

        g_assert_cmpint(kill(service_pid(world.service), SIGSTOP), ==, 0);
        (void)bus_leave(world.client);
        wait_for_the_bus(world.bob);
        g_assert_cmpuint(ask_behind(&world), >, MANY);
        (void)bus_leave(world.server);
        world_free(&world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/closing/a-listener-with-very-many-connections-delays-nobody",
                        test_a_listener);
        g_test_add_func("/closing/a-name-with-very-many-connections-delays-nobody", test_a_name);
        return g_test_run();
}
