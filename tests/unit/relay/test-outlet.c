/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A channel, whom it is charged to, and what it is good for. */

#include "world.h"

#include "base/cleanup.h"
#include "relay/private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHANNEL_COST ((uint64_t)2 * CHANNEL_BUFFER_DEFAULT)

static bool has_no_memory; /* the kernel, for the next send to a channel */

/* In the place of the C library's. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags) {
        int domain;

        if (has_no_memory && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &(socklen_t){4}) == 0 &&
            domain == AF_UNIX) {
                has_no_memory = false;
                errno = ENOBUFS;
                return -1;
        }

        return (int)syscall(SYS_sendmmsg, fd, messages, n, flags);
}

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

#define BURST_SIZE 1200

/* Sends so many, each beginning with its number, to a channel that nobody reads meanwhile. */
static void burst(World *world, Connection *client, Connection *server, unsigned n) {
        char datagram[BURST_SIZE] = {0};
        Reason reason;

        for (unsigned i = 0; i < n; i++) {
                memcpy(datagram, &i, sizeof(i));
                g_assert_cmpint(
                        connection_write(client, WORLD_UID, datagram, sizeof(datagram), &reason),
                        ==, 0);
                world_wait(world,
                           world_counter(connection_counters(server), "RecordsAccepted") >= i + 1);
        }
}

/* How many of them come, in their order. */
static unsigned read_burst(World *world, Connection *server, int fd, unsigned n) {
        unsigned n_read = 0, number, next = 0;
        char datagram[BURST_SIZE];

        while (n_read + world_counter(connection_counters(server), "DroppedAppFull") < n) {
                world_wait(world, recv(fd, datagram, sizeof(datagram), MSG_DONTWAIT) == BURST_SIZE);
                memcpy(&number, datagram, sizeof(number));
                g_assert_cmpuint(number, >=, next);
                next = number + 1;
                n_read++;
        }

        return n_read;
}

static void keeps_a_burst_for_its_reader(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int fd = -1;
        Reason reason = {0};
        uint64_t before;
        uint32_t mtu;

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(server, &fd, &mtu, &reason), ==, 0);
        before = quota_used(world->quota, WORLD_UID, QUOTA_BYTES);
        burst(world, client, server, 400);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), >, before);

        g_assert_cmpuint(read_burst(world, server, fd, 400), ==, 400);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, before);
}

static void keeps_no_more_than_is_charged(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int fd = -1;
        Reason reason = {0};
        unsigned n_read;
        uint32_t mtu;

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(server, &fd, &mtu, &reason), ==, 0);
        burst(world, client, server, 700);
        n_read = read_burst(world, server, fd, 700);
        g_assert_cmpuint(n_read, >=, 400);
        g_assert_cmpuint(n_read * BURST_SIZE, <=, CHANNEL_BUFFER_DEFAULT + 512 * 1024);
        g_assert_cmpuint(world_counter(connection_counters(server), "DatagramsDelivered"), ==,
                         n_read);

        /* and all is as before */
        burst(world, client, server, 1);
        world_wait(world, recv(fd, &mtu, sizeof(mtu), MSG_DONTWAIT) > 0);
}

static void keeps_nothing_where_the_quota_is_used_up(World *world, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(20000);
        Connection *client, *server;
        g_autofd int fd = -1;
        Reason reason = {0};
        uint32_t mtu;

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(server, &fd, &mtu, &reason), ==, 0);
        limits.per_uid[QUOTA_BYTES] = quota_used(world->quota, WORLD_UID, QUOTA_BYTES) + 1000;
        quota_set_limits(world->quota, &limits);
        burst(world, client, server, 200);
        g_assert_cmpuint(world_counter(connection_counters(server), "DroppedAppFull"), >, 100);
}

/* Peers send, nobody reads: what is left is for who comes. */
static void keeps_no_more_than_leaves_half_of_the_quota(World *world, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(20000);
        Connection *client, *server;
        g_autofd int fd = -1;
        Reason reason = {0};
        uint64_t used;
        uint32_t mtu;

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(server, &fd, &mtu, &reason), ==, 0);
        used = quota_used(world->quota, WORLD_UID, QUOTA_BYTES);
        limits.per_uid[QUOTA_BYTES] = 2 * (used + 512 * UINT64_C(1024)) - 2;
        quota_set_limits(world->quota, &limits);
        burst(world, client, server, 200);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, used);
        g_assert_cmpuint(world_counter(connection_counters(server), "DroppedAppFull"), >, 0);

        limits.per_uid[QUOTA_BYTES] += 2;
        quota_set_limits(world->quota, &limits);
        g_assert_cmpint(connection_write(client, WORLD_UID, "more", 4, &reason), ==, 0);
        world_wait(world, quota_used(world->quota, WORLD_UID, QUOTA_BYTES) > used);
}

/* That the application's own way out is full is nothing to its way in. */
static void gives_what_it_kept_while_the_socket_is_full(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int fd = -1;
        Reason reason = {0};
        Endpoint *endpoint;
        uint32_t mtu;

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(server, &fd, &mtu, &reason), ==, 0);
        burst(world, client, server, 400);

        /* as in test-egress.c */
        endpoint = server->endpoint;
        endpoint->waiting = datagram_batch_new(RELAY_NET_DATAGRAMS, RELAY_NET_BYTES);
        endpoint->waiting_index = 0;
        g_assert_cmpint(send(fd, "back", 4, 0), ==, 4);
        world_wait(world, endpoint->paused->len == 1);
        g_assert_cmpuint(read_burst(world, server, fd, 400), ==, 400);
        g_assert_cmpuint(world_counter(connection_counters(server), "DatagramsCollected"), ==, 0);

        endpoint_drain(endpoint);
        g_autofree char *back = world_read(world, client);
        g_assert_cmpstr(back, ==, "back");
}

/* It fails once for want of memory, when all that was in the socket is read already: no room that
 * is made later tells of it. */
static void goes_on_when_there_is_memory_again(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int fd = -1;
        char datagram[BURST_SIZE];
        Reason reason = {0};
        unsigned n_read = 0;
        uint32_t mtu;

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(server, &fd, &mtu, &reason), ==, 0);
        burst(world, client, server, 400);
        world_wait(world, world_counter(connection_counters(server), "DatagramsDelivered") +
                                          datagram_batch_count(server->outlet->held) ==
                                  400);
        while (recv(fd, datagram, sizeof(datagram), MSG_DONTWAIT) > 0)
                n_read++;
        g_assert_cmpuint(n_read, <, 400);

        has_no_memory = true;
        g_assert_cmpint(send(fd, "back", 4, 0), ==, 4);
        world_wait(world, !has_no_memory);
        g_assert_cmpuint(read_burst(world, server, fd, 400 - n_read), ==, 400 - n_read);
}

#define CASE(name, function)                                                                       \
        g_test_add("/outlet/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("costs-who-opened-it", costs_who_opened_it);
        CASE("takes-nothing-of-who-may-not-write", takes_nothing_of_who_may_not_write);
        CASE("hangs-up-when-it-is-over", hangs_up_when_it_is_over);
        CASE("keeps-a-burst-for-its-reader", keeps_a_burst_for_its_reader);
        CASE("keeps-no-more-than-is-charged", keeps_no_more_than_is_charged);
        CASE("keeps-nothing-where-the-quota-is-used-up", keeps_nothing_where_the_quota_is_used_up);
        CASE("gives-what-it-kept-while-the-socket-is-full",
             gives_what_it_kept_while_the_socket_is_full);
        CASE("keeps-no-more-than-leaves-half-of-the-quota",
             keeps_no_more_than_leaves_half_of_the_quota);
        CASE("goes-on-when-there-is-memory-again", goes_on_when_there_is_memory_again);
        return g_test_run();
}
