/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * World: root and two users on a service, for tests of what is kept for them.
 */

#include "stage.h"

typedef struct World {
        Service *service;
        sd_bus *root, *alice, *bob;
        char *directory; /* for files of the test's */
        /* what a test has made of them, and NULL */
        TestIdentity *ca, *other, *server, *first, *second;
} World;

/* False: there cannot be several users here, and the test is skipped. */
bool world_of_users(World *world);
void world_free(World *world);
/* Kills both processes, with everything that is only in their memory, and starts them again. */
void world_restart(const World *world);
