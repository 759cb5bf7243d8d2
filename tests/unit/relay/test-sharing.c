/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Channels of those a connection is shared with. */

#include "world.h"

#include "base/cleanup.h"
#include "session/session.h"

#include <string.h>
#include <sys/socket.h>

#define FIRST 2001
#define SECOND 2002

/* Of the client. */
static int try_open(Connection *connection, uid_t uid, const char *name, int *ret_fd) {
        const Opener opener = {.subject = {.uid = uid}, .name = name};
        uint32_t mtu;
        Reason reason = {0};

        return connection_open_shared_channel(connection, &opener, ret_fd, &mtu, &reason);
}

static int open_as(Connection *connection, uid_t uid, const char *name) {
        int fd = -1;

        g_assert_cmpint(try_open(connection, uid, name, &fd), ==, 0);
        return fd;
}

static void share(Connection *connection, uid_t uid, unsigned rights) {
        const Share share = {.id = uid, .rights = rights};
        Reason reason = {0};

        g_assert_cmpint(connection_share(connection, &share, &reason), ==, 0);
}

static void assert_comes(World *world, int fd, const char *text) {
        g_autofree char *heard = world_recv(world, fd);

        g_assert_cmpstr(heard, ==, text);
}

static void every_reader_sees_every_datagram(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int one = -1;
        g_autofd int two = -1;
        char text[16];

        world_pair(world, &client, &server);
        share(client, FIRST, SHARE_READ);
        share(client, SECOND, SHARE_READ);
        one = open_as(client, FIRST, ":1.1");
        two = open_as(client, SECOND, ":1.2");
        for (int i = 0; i < 20; i++) {
                (void)g_snprintf(text, sizeof(text), "%d", i);
                world_send(server, text);
        }
        for (int i = 0; i < 20; i++) {
                g_autofree char *owners = world_read(world, client);

                (void)g_snprintf(text, sizeof(text), "%d", i);
                g_assert_cmpstr(owners, ==, text);
                assert_comes(world, one, text);
                assert_comes(world, two, text);
        }
}

static void a_slow_one_loses_its_own(World *world, gconstpointer unused) {
        g_autofree char *payload = g_strnfill(1200, 'x');
        g_autoptr(GArray) attached = NULL;
        Connection *client, *server;
        g_autofd int slow = -1;
        g_autofd int quick = -1;
        uint64_t dropped = 0;
        int n = 0;

        world_pair(world, &client, &server);
        share(client, FIRST, SHARE_READ);
        share(client, SECOND, SHARE_READ);
        slow = open_as(client, FIRST, ":1.1");
        quick = open_as(client, SECOND, ":1.2");
        for (; n < 4000 && dropped == 0; n++) {
                world_send(server, payload);
                assert_comes(world, quick, payload);
                g_free(world_read(world, client));
                dropped = world_counter(connection_counters(client), "DroppedSharedFull");
        }
        g_assert_cmpuint(dropped, ==, 1);
        g_assert_cmpuint(world_counter(connection_counters(client), "DroppedAppFull"), ==, 0);
        g_assert_cmpuint(world_counter(connection_counters(client), "DatagramsDelivered"), ==,
                         (unsigned)n);
        attached = connection_attached(client);
        g_assert_cmpuint(attached->len, ==, 2);
        g_assert_cmpuint(g_array_index(attached, Attached, 0).n_dropped, ==, 1);
        g_assert_cmpuint(g_array_index(attached, Attached, 1).n_dropped, ==, 0);
        assert_comes(world, slow, payload);
}

static void one_that_leaves_is_nobodys_loss(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int two = -1;
        int one;

        world_pair(world, &client, &server);
        share(client, FIRST, SHARE_READ | SHARE_WRITE);
        share(client, SECOND, SHARE_READ);
        one = open_as(client, FIRST, ":1.1");
        two = open_as(client, SECOND, ":1.2");
        g_assert_cmpint(send(one, "bye", 3, 0), ==, 3);
        (void)close(one);
        g_autofree char *bye = world_read(world, server);
        g_assert_cmpstr(bye, ==, "bye");
        world_send(server, "next");
        assert_comes(world, two, "next");
        world_wait(world, quota_used(world->quota, FIRST, QUOTA_FDS) == 0);
        g_assert_true(connection_facts(client).encrypted);
}

static void who_may_write_alone_hears_nothing(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int fd = -1;
        char byte;

        world_pair(world, &client, &server);
        share(client, FIRST, SHARE_WRITE);
        fd = open_as(client, FIRST, ":1.1");
        world_send(server, "for the owner");
        g_autofree char *owners = world_read(world, client);
        g_assert_cmpstr(owners, ==, "for the owner");
        g_assert_cmpint(recv(fd, &byte, 1, MSG_DONTWAIT), ==, -1);
        g_assert_cmpint(send(fd, "from another", 12, 0), ==, 12);
        g_autofree char *heard = world_read(world, server);
        g_assert_cmpstr(heard, ==, "from another");
}

static void what_is_not_allowed_any_more_is_closed(World *world, gconstpointer unused) {
        const Share second = {.id = SECOND};
        Connection *client, *server;
        g_autofd int one = -1;
        g_autofd int two = -1;
        Reason reason = {0};

        world_pair(world, &client, &server);
        share(client, FIRST, SHARE_READ | SHARE_WRITE);
        share(client, SECOND, SHARE_READ);
        one = open_as(client, FIRST, ":1.1");
        two = open_as(client, SECOND, ":1.2");
        world_send(server, "before");
        g_free(world_read(world, client));
        g_assert_cmpint(connection_unshare(client, &second, &reason), ==, 0);
        world_send(server, "after");
        g_free(world_read(world, client));

        /* all that came until then, and not a byte more */
        assert_comes(world, two, "before");
        g_assert_null(world_recv(world, two));
        g_assert_cmpint(try_open(client, SECOND, ":1.2", &two), ==, RELAY_E_INVALID_OPERATION);
        /* what was written and not taken yet is not sent either */
        g_assert_cmpint(send(one, "too late", 8, 0), ==, 8);
        share(client, FIRST, SHARE_READ);
        assert_comes(world, one, "before");
        assert_comes(world, one, "after");
        g_assert_null(world_recv(world, one));
        g_assert_cmpuint(world_counter(connection_counters(server), "DatagramsDelivered"), ==, 0);
}

static void they_go_with_the_name(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int owners = -1, far = -1;
        g_autofd int one = -1;
        g_autofd int two = -1;
        Reason reason = {0};
        uint32_t mtu;

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_open_channel(client, &owners, &mtu, &reason), ==, 0);
        g_assert_cmpint(connection_open_channel(server, &far, &mtu, &reason), ==, 0);
        share(client, FIRST, SHARE_READ);
        one = open_as(client, FIRST, ":1.1");
        two = open_as(client, FIRST, ":1.2");
        relay_owner_gone(world->relay, ":1.1");
        g_assert_null(world_recv(world, one));
        /* the names of another bus are other names */
        relay_owners_lost(world->relay);
        relay_owner_gone(world->relay, ":1.2");
        g_assert_cmpint(send(far, "still here", 10, 0), ==, 10);
        assert_comes(world, two, "still here");
}

static void they_go_with_the_association(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofd int fd = -1;
        Reason reason = {0};

        world_pair(world, &client, &server);
        share(client, FIRST, SHARE_READ | SHARE_WRITE);
        fd = open_as(client, FIRST, ":1.1");
        g_assert_cmpint(send(fd, "last", 4, 0), ==, 4);
        g_assert_cmpint(connection_shutdown(client, &reason), ==, 0);
        g_autofree char *last = world_read(world, server);
        g_assert_cmpstr(last, ==, "last");
        g_assert_null(world_recv(world, fd));
        g_assert_cmpuint(connection_facts(client).spec->shares->len, ==, 1);
}

static void there_are_not_more_than_so_many(World *world, gconstpointer unused) {
        Connection *client, *server;
        int fds[16], fd;

        world_pair(world, &client, &server);
        for (unsigned i = 0; i < 5; i++)
                share(client, FIRST + i, SHARE_READ);
        for (unsigned i = 0; i < 16; i++)
                fds[i] = open_as(client, FIRST + i / 4, ":1.1");
        g_assert_cmpint(try_open(client, FIRST + 4, ":1.1", &fd), ==, RELAY_E_QUOTA);
        (void)close(fds[0]);
        world_wait(world, quota_used(world->quota, FIRST, QUOTA_FDS) == 3);
        g_assert_cmpint(try_open(client, FIRST + 1, ":1.1", &fd), ==, RELAY_E_QUOTA);
        fds[0] = open_as(client, FIRST + 4, ":1.1");
        for (unsigned i = 0; i < 16; i++)
                (void)close(fds[i]);
}

#define CASE(name, function)                                                                       \
        g_test_add("/relay-sharing/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("every-reader-sees-every-datagram", every_reader_sees_every_datagram);
        CASE("a-slow-one-loses-its-own", a_slow_one_loses_its_own);
        CASE("one-that-leaves-is-nobodys-loss", one_that_leaves_is_nobodys_loss);
        CASE("who-may-write-alone-hears-nothing", who_may_write_alone_hears_nothing);
        CASE("what-is-not-allowed-any-more-is-closed", what_is_not_allowed_any_more_is_closed);
        CASE("they-go-with-the-name", they_go_with_the_name);
        CASE("they-go-with-the-association", they_go_with_the_association);
        CASE("there-are-not-more-than-so-many", there_are_not_more_than_so_many);
        return g_test_run();
}
