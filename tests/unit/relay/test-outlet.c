/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A channel, whom it is charged to, and what it is good for. */

#include "world.h"

#include "base/cleanup.h"
#include "relay/private.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define CHANNEL_COST ((uint64_t)2 * CHANNEL_BUFFER_DEFAULT)

static const Opener other = {.subject = {.uid = WORLD_OTHER_UID}, .name = WORLD_OTHER_OWNER};

static void share(Connection *connection, unsigned rights) {
        const Share share = {.id = WORLD_OTHER_UID, .rights = rights};
        Reason reason = {0};

        g_assert_cmpint(connection_share(connection, &share, &reason), ==, 0);
}

static void costs_who_opened_it(World *world, gconstpointer unused) {
        Connection *client, *server;
        uint64_t owners;
        Outlet *outlet;
        g_autofd int fd = -1;

        world_pair(world, &client, &server);
        share(client, SHARE_READ);
        owners = quota_used(world->quota, WORLD_UID, QUOTA_BYTES);
        g_assert_cmpint(outlet_new(client, &other, &outlet, &fd, NULL), ==, 0);
        g_assert_cmpuint(quota_used(world->quota, WORLD_OTHER_UID, QUOTA_FDS), ==, 1);
        g_assert_cmpuint(quota_used(world->quota, WORLD_OTHER_UID, QUOTA_BYTES), ==, CHANNEL_COST);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, owners);

        outlet_bury(outlet);
        g_assert_cmpuint(quota_used(world->quota, WORLD_OTHER_UID, QUOTA_FDS), ==, 0);
        g_assert_cmpuint(quota_used(world->quota, WORLD_OTHER_UID, QUOTA_BYTES), ==, 0);
}

static void takes_nothing_of_who_may_not_write(World *world, gconstpointer unused) {
        Connection *client, *server;
        Outlet *outlet;
        g_autofd int fd = -1;

        world_pair(world, &client, &server);
        share(client, SHARE_READ);
        g_assert_cmpint(outlet_new(client, &other, &outlet, &fd, NULL), ==, 0);
        g_assert_cmpint(send(fd, "x", 1, MSG_NOSIGNAL), ==, -1);
        g_assert_cmpint(errno, ==, EPIPE);
        outlet_bury(outlet);
}

static void hangs_up_when_it_is_over(World *world, gconstpointer unused) {
        Connection *client, *server;
        Outlet *outlet;
        g_autofd int fd = -1;

        world_pair(world, &client, &server);
        share(client, SHARE_WRITE);
        g_assert_cmpint(outlet_new(client, &other, &outlet, &fd, NULL), ==, 0);
        g_assert_cmpint(send(fd, "unread", 6, MSG_NOSIGNAL), ==, 6);
        outlet_bury(outlet);
        g_assert_null(world_recv(world, fd));
}

#define CASE(name, function)                                                                       \
        g_test_add("/outlet/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("costs-who-opened-it", costs_who_opened_it);
        CASE("takes-nothing-of-who-may-not-write", takes_nothing_of_who_may_not_write);
        CASE("hangs-up-when-it-is-over", hangs_up_when_it_is_over);
        return g_test_run();
}
