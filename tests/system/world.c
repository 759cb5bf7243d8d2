/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include <signal.h>
#include <sys/wait.h>

bool world_of_users(World *world) {
        if (!service_has_users())
                return false;

        *world = (World){.service = service_start(NULL)};
        world->root = service_bus(world->service, 0);
        world->alice = service_bus(world->service, UID_ALICE);
        world->bob = service_bus(world->service, UID_BOB);
        world->directory = g_dir_make_tmp("dtlsd-world.XXXXXX", NULL);
        g_assert_nonnull(world->directory);
        return true;
}

void world_free(World *world) {
        TestIdentity *const made[] = {world->server, world->other, world->first, world->second,
                                      world->ca};

        (void)bus_leave(world->root);
        (void)bus_leave(world->alice);
        (void)bus_leave(world->bob);
        for (size_t i = 0; i < G_N_ELEMENTS(made); i++)
                (void)test_identity_free(made[i]);
        service_stop(world->service);
        service_remove_directory(world->directory);
        g_free(world->directory);
}

void world_restart(const World *world) {
        pid_t daemon = service_pid(world->service);

        g_assert_cmpint(kill(service_keyring_pid(world->service), SIGKILL), ==, 0);
        g_assert_cmpint(kill(daemon, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(daemon, NULL, 0), ==, daemon);
        service_restart(world->service);
}
