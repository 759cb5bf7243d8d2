/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * DirectAfter of dtlsd.conf: whose record layer an open connection goes through, and that it can
 * be seen.
 */

#include "pair.h"
#include "stage.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_ROUNDS 100

typedef struct World {
        Service *service;
        sd_bus *bus;
        uint16_t port;
        int queue;
        char *listener;
} World;

typedef struct Line {
        char *path;
        int near, far; /* the channels of its two ends */
} Line;

static World world_new(const char *config) {
        World world = {.service = service_start(config)};

        world.bus = service_bus(world.service, UID_ALICE);
        world.listener = listen_queue(world.bus, &world.port, &world.queue);
        return world;
}

static void world_done(World *world) {
        (void)close(world->queue);
        g_free(world->listener);
        (void)bus_leave(world->bus);
        service_stop(world->service);
}

static Line line_new(const World *world) {
        Line line;

        line.path = connect_client(world->bus, world->port, &line.near);
        line.far = accept_channel(world->queue);
        return line;
}

static void line_done(Line *line) {
        (void)close(line->near);
        (void)close(line->far);
        g_free(line->path);
}

static void carry(int from, int to) {
        char text[16] = "";

        g_assert_cmpint(send(from, "over there", 10, 0), ==, 10);
        g_assert_cmpint(wait_fd(to), ==, POLLIN);
        g_assert_cmpint(recv(to, text, sizeof text, 0), ==, 10);
        g_assert_cmpstr(text, ==, "over there");
}

/* Back and forth; how many records of the near end went beside GnuTLS's record layer. */
static uint64_t talk(const World *world, const Line *line) {
        uint64_t before =
                get_counter(world->bus, line->path, CONNECTION, "Statistics", "RecordsDirect");

        for (int i = 0; i < N_ROUNDS; i++) {
                carry(line->near, line->far);
                carry(line->far, line->near);
        }

        return get_counter(world->bus, line->path, CONNECTION, "Statistics", "RecordsDirect") -
               before;
}

static void test_goes_by_the_file(void) {
        static const struct {
                const char *config;
                uint64_t n_least, n_most;
        } cases[] = {
                {"[Records]\nDirectAfter=0\n", 0, 0},
                {"", 2 * (N_ROUNDS - 32) - 2, 2 * (N_ROUNDS - 32) + 2},
                {"[Records]\nDirectAfter=1000\n", 0, 0},
                {"[Records]\nDirectAfter=1\n", 2 * N_ROUNDS - 2, 2 * N_ROUNDS},
                {"[Records]\nDirectAfter=50\n", N_ROUNDS - 2, N_ROUNDS + 2},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                World world = world_new(cases[i].config);
                Line line = line_new(&world);
                uint64_t n = talk(&world, &line);

                g_assert_cmpuint(n, >=, cases[i].n_least);
                g_assert_cmpuint(n, <=, cases[i].n_most);
                line_done(&line);
                world_done(&world);
        }
}

static void test_is_read_again_for_what_comes(void) {
        World world = world_new("[Records]\nDirectAfter=0\n");
        sd_bus *root = service_bus(world.service, geteuid());
        g_autofree char *path =
                g_build_filename(service_directory(world.service), "dtlsd.conf", NULL);
        Line old = line_new(&world), new;

        g_assert_cmpuint(talk(&world, &old), ==, 0);
        g_assert_true(g_file_set_contents(path, "[Records]\nDirectAfter=1\n", -1, NULL));
        (void)sd_bus_message_unref(call(root, ROOT, MANAGER, "Reload", ""));
        new = line_new(&world);
        g_assert_cmpuint(talk(&world, &new), >, N_ROUNDS);
        g_assert_cmpuint(talk(&world, &old), ==, 0);

        line_done(&old);
        line_done(&new);
        (void)bus_leave(root);
        world_done(&world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_unsetenv("DTLSD_TEST_DIRECT_AFTER"); /* the files of this test say it */
        g_test_add_func("/records/goes-by-the-file", test_goes_by_the_file);
        g_test_add_func("/records/is-read-again-for-what-comes", test_is_read_again_for_what_comes);
        return g_test_run();
}
