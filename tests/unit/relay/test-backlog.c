/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How completed connections come to the owner of their listener. */

#include "world.h"

#include "base/cleanup.h"
#include "relay/private.h"
#include "session/session.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define PSK "a secret of both"

static int accept_one(int queue_fd) {
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control;
        uint8_t facts[4096];
        struct iovec iov = {.iov_base = facts, .iov_len = sizeof(facts)};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(queue_fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        int fd;

        if (n <= 0)
                return -1;

        g_assert_nonnull(CMSG_FIRSTHDR(&m));
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
        return fd;
}

static void hands_connections_over_a_queue(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        g_autofd int queue = -1;
        g_autofd int fd = -1;
        Connection *client;
        Reason reason = {0};
        unsigned n_added;

        world_use_psk(world, "someone", PSK);
        g_assert_cmpint(listener_open_accept_queue(listener, &queue, &reason), ==, 0);
        g_assert_cmpint(listener_open_accept_queue(listener, &fd, &reason), ==,
                        RELAY_E_CHANNEL_IN_USE);
        n_added = world->n_added;
        client = world_start(world, world_client_spec(), listener, "127.0.0.1");
        world_wait(world, (fd = accept_one(queue)) >= 0);
        g_assert_cmpuint(world->n_announced, ==, 0);
        g_assert_cmpuint(world->n_added, ==, n_added + 2);
        g_assert_false(connection_facts(world_other_end(world, client)).announced);

        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        world_send(client, "over the queue");
        g_autofree char *heard = world_recv(world, fd);
        g_assert_cmpstr(heard, ==, "over the queue");
        g_assert_cmpint(send(fd, "answer", 6, 0), ==, 6);
        g_autofree char *answer = world_read(world, client);
        g_assert_cmpstr(answer, ==, "answer");

        /* the channel is its life */
        close(autofd_steal(&fd));
        world_wait_state(world, client, HANDSHAKE_NOT_STARTED);
        g_assert_cmpuint(listener_facts(listener).n_connections, ==, 0);
}

static void lets_the_rest_wait_for_a_slow_acceptor(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        const unsigned n_clients = ACCEPT_QUEUE_UNDELIVERED_MAX + 6;
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
        g_autofd int queue = -1;
        Connection *last = NULL;
        unsigned n_changes;
        Reason reason = {0};

        world_use_psk(world, "someone", PSK);
        g_assert_cmpint(listener_open_accept_queue(listener, &queue, &reason), ==, 0);
        for (unsigned i = 0; i < n_clients; i++) {
                last = world_start(world, world_client_spec(), listener, "127.0.0.1");
                world_wait_state(world, last, HANDSHAKE_COMPLETE);
        }
        world_wait(world, listener_facts(listener).backlog == 6);

        /* that nothing changes is not told over and over */
        n_changes = world->n_backlog_changes;
        world_spend(world, 100 * 1000);
        g_assert_cmpuint(world->n_backlog_changes, ==, n_changes);

        /* what arrives for who waits is not lost */
        world_send(last, "waiting");
        while (fds->len < n_clients) {
                int fd;

                world_wait(world, (fd = accept_one(queue)) >= 0);
                g_array_append_val(fds, fd);
        }
        g_assert_cmpuint(listener_facts(listener).backlog, ==, 0);
        g_autofree char *heard = world_recv(world, g_array_index(fds, int, n_clients - 1));
        g_assert_cmpstr(heard, ==, "waiting");
        for (guint i = 0; i < fds->len; i++)
                close(g_array_index(fds, int, i));
}

static void forgets_who_left_while_it_waited(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        const unsigned n_clients = ACCEPT_QUEUE_UNDELIVERED_MAX + 2;
        g_autofd int queue = -1;
        Connection *last = NULL;
        Reason reason = {0};
        unsigned n_taken = 0;

        world_use_psk(world, "someone", PSK);
        g_assert_cmpint(listener_open_accept_queue(listener, &queue, &reason), ==, 0);
        for (unsigned i = 0; i < n_clients; i++) {
                last = world_start(world, world_client_spec(), listener, "127.0.0.1");
                world_wait_state(world, last, HANDSHAKE_COMPLETE);
        }
        world_wait(world, listener_facts(listener).backlog == 2);
        g_assert_cmpint(connection_shutdown(last, &reason), ==, 0);
        world_wait(world, listener_facts(listener).backlog == 1);

        while (n_taken < n_clients - 1) {
                int fd;

                world_wait(world, (fd = accept_one(queue)) >= 0);
                n_taken++;
                close(fd);
        }
        world_spend(world, 50 * 1000);
        g_assert_cmpint(accept_one(queue), <, 0);
}

static void tells_the_owner_when_the_queue_is_closed(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Connection *client;
        Reason reason = {0};
        int queue;

        world_use_psk(world, "someone", PSK);
        g_assert_cmpint(listener_open_accept_queue(listener, &queue, &reason), ==, 0);
        close(queue);
        world_wait(world, !listener_facts(listener).accept_queue_open);

        client = world_start(world, world_client_spec(), listener, "127.0.0.1");
        world_wait(world, world->n_announced == 1);
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
}

/* Found when the next is to be given, with some still waiting. */
static void ends_a_listener_that_nobody_has_any_more(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        const unsigned n_clients = ACCEPT_QUEUE_UNDELIVERED_MAX + 20;
        Reason reason = {0};
        int queue;

        world_use_psk(world, "someone", PSK);
        g_assert_cmpint(listener_open_accept_queue(listener, &queue, &reason), ==, 0);
        for (unsigned i = 0; i < n_clients; i++) {
                Spec *spec = world_client_spec();

                spec->persistent = true;
                world_wait_state(world, world_start(world, spec, listener, "127.0.0.1"),
                                 HANDSHAKE_COMPLETE);
        }
        world_wait(world, listener_facts(listener).backlog == 20);

        relay_owners_lost(world->relay);
        close(queue);
        backlog_retry(listener, relay_now(world->relay));
        world_wait(world, world->n_removed == n_clients);
        g_assert_cmpuint(world->n_listeners_removed, ==, 1);
        g_assert_cmpuint(world->n_announced, ==, 0);
}

#define CASE(name, function)                                                                       \
        g_test_add("/backlog/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("hands-connections-over-a-queue", hands_connections_over_a_queue);
        CASE("lets-the-rest-wait-for-a-slow-acceptor", lets_the_rest_wait_for_a_slow_acceptor);
        CASE("forgets-who-left-while-it-waited", forgets_who_left_while_it_waited);
        CASE("tells-the-owner-when-the-queue-is-closed", tells_the_owner_when_the_queue_is_closed);
        CASE("ends-a-listener-that-nobody-has-any-more", ends_a_listener_that_nobody_has_any_more);
        return g_test_run();
}
