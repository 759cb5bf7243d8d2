/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bound socket and what waits for it. */

#include "world.h"

#include "base/cleanup.h"
#include "lib/capture.h"
#include "relay/private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static Endpoint *open_at(World *world, uid_t uid, const char *address, uint16_t port) {
        Endpoint *endpoint = NULL;
        Address local;
        Reason reason = {0};

        g_assert_cmpint(address_parse(address, port, &local), ==, 0);
        g_assert_cmpint(endpoint_new(world->relay, uid, &local, &endpoint, &reason), ==, 0);
        g_assert_cmpstr(reason.text, ==, "");
        return endpoint;
}

static int open_fails(World *world, uid_t uid, const Address *local, Reason *reason) {
        Endpoint *endpoint = NULL;
        int r = endpoint_new(world->relay, uid, local, &endpoint, reason);

        g_assert_null(endpoint);
        g_assert_cmpstr(reason->text, !=, "");
        return r;
}

static void gives_its_address_back(World *world, gconstpointer unused) {
        g_autoptr(Endpoint) endpoint = open_at(world, WORLD_UID, "127.0.0.1", 0);
        Address local = udp_local(endpoint->udp);
        Reason reason = {0};

        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_FDS), ==, 1);
        g_assert_cmpint(open_fails(world, WORLD_OTHER_UID, &local, &reason), ==, RELAY_E_EXISTS);
        g_assert_cmpuint(quota_used(world->quota, WORLD_OTHER_UID, QUOTA_FDS), ==, 0);

        endpoint = endpoint_free(endpoint);
        endpoint = open_at(world, WORLD_OTHER_UID, "127.0.0.1", address_port(&local));
}

static void warns_once_of_a_small_buffer(World *world, gconstpointer unused) {
        g_autofree char *first = NULL, *again = NULL, *enough = NULL;

        capture_begin();
        endpoint_judge_buffer(world->relay, UDP_BUFFER_SIZE);
        enough = capture_end();
        g_assert_cmpstr(enough, ==, "");

        capture_begin();
        endpoint_judge_buffer(world->relay, 212992);
        first = capture_end();
        g_assert_nonnull(strstr(first, "net.core.rmem_max to 1048576"));
        g_assert_nonnull(strstr(first, "212992"));

        capture_begin();
        endpoint_judge_buffer(world->relay, 212992);
        again = capture_end();
        g_assert_cmpstr(again, ==, "");
}

static void says_that_somebody_else_has_the_port(World *world, gconstpointer unused) {
        g_autofd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        Address local;
        socklen_t size = sizeof(local);
        Reason reason = {0};

        g_assert_cmpint(address_parse("127.0.0.1", 0, &local), ==, 0);
        g_assert_cmpint(bind(fd, &local.sa, address_size(&local)), ==, 0);
        g_assert_cmpint(getsockname(fd, &local.sa, &size), ==, 0);
        g_assert_cmpint(open_fails(world, WORLD_UID, &local, &reason), ==, RELAY_E_EXISTS);
        g_assert_nonnull(strstr(reason.text, "outside"));

        g_assert_cmpint(address_parse("192.0.2.1", 0, &local), ==, 0);
        g_assert_cmpint(open_fails(world, WORLD_UID, &local, &reason), ==, RELAY_E_SOCKET);
        g_assert_nonnull(strstr(reason.text, "192.0.2.1"));
}

static void put(World *world, const Address *peer, const char *text) {
        datagram_batch_address(world->relay->net, peer, &(Address){0});
        g_assert_true(datagram_batch_append(world->relay->net, text, strlen(text)));
}

static void sends_in_order_what_had_to_wait(World *world, gconstpointer unused) {
        g_autoptr(Endpoint) endpoint = open_at(world, WORLD_UID, "127.0.0.1", 0);
        g_autoptr(Endpoint) far = open_at(world, WORLD_UID, "127.0.0.1", 0);
        Address there = udp_local(far->udp);
        char buffer[16];

        /* full: what comes now waits behind what waits already */
        g_assert_cmpint(endpoint_start(endpoint), ==, 0);
        endpoint->waiting = datagram_batch_new(4, 1024);
        put(world, &there, "1");
        endpoint_flush(endpoint);
        put(world, &there, "22"); /* longer: it is not joined to the first */
        endpoint_flush(endpoint);
        g_assert_cmpuint(datagram_batch_count(world->relay->net), ==, 0);
        g_assert_cmpuint(datagram_batch_count(endpoint->waiting), ==, 2);

        endpoint_drain(endpoint);
        put(world, &there, "333");
        endpoint_flush(endpoint);
        for (int n = 1; n <= 3; n++) {
                g_assert_cmpint(recv(udp_fd(far->udp), buffer, sizeof(buffer), 0), ==, n);
                g_assert_cmpint(buffer[0], ==, '0' + n);
        }
}

static void keeps_no_more_than_a_batch(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Address there = listener_facts(listener).local;

        listener->endpoint->waiting = datagram_batch_new(4, 1024);
        for (int i = 0; i < 10; i++)
                put(world, &there, "x");
        endpoint_flush(listener->endpoint);
        g_assert_cmpuint(datagram_batch_count(listener->endpoint->waiting), ==, 4);
        g_assert_cmpuint(world_counter(listener_counters(listener), "DroppedSocketFull"), ==, 6);
}

static void ends_a_client_with_its_socket(World *world, gconstpointer unused) {
        Connection *client, *server;

        world_pair(world, &client, &server);
        endpoint_fail(client->endpoint, -EIO);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_UNDERLYING_SOCKET_ERROR);
        g_assert_true(connection_facts(server).encrypted);
}

static void ends_a_listener_with_its_socket(World *world, gconstpointer unused) {
        Connection *client, *server;

        world_pair(world, &client, &server);
        endpoint_fail(server->endpoint, -EIO);
        g_assert_cmpuint(world->n_listeners_removed, ==, 1);
        world_spend(world, 1000);
        g_assert_true(connection_facts(client).encrypted); /* nothing could be said to it */
}

/* What belongs to it ends all together, and one of those is what found out. */
static void breaks_under_a_goodbye(World *world, gconstpointer unused) {
        g_autofd int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        Connection *client, *server;
        uint32_t id;

        world_pair(world, &client, &server);
        id = connection_facts(server).id;
        g_assert_cmpint(dup2(null, udp_fd(server->endpoint->udp)), >=, 0);
        connection_end(server, END_SHUTDOWN);
        world_wait(world, !world_has(world, id));
        g_assert_cmpuint(world->n_listeners_removed, ==, 1);
        g_assert_cmpuint(world->n_removed, ==, 1);
        g_assert_cmpuint(g_hash_table_size(world->relay->lingering), ==, 0);
}

#define CASE(name, function)                                                                       \
        g_test_add("/endpoint/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("gives-its-address-back", gives_its_address_back);
        CASE("warns-once-of-a-small-buffer", warns_once_of_a_small_buffer);
        CASE("says-that-somebody-else-has-the-port", says_that_somebody_else_has_the_port);
        CASE("sends-in-order-what-had-to-wait", sends_in_order_what_had_to_wait);
        CASE("keeps-no-more-than-a-batch", keeps_no_more_than_a_batch);
        CASE("ends-a-client-with-its-socket", ends_a_client_with_its_socket);
        CASE("ends-a-listener-with-its-socket", ends_a_listener_with_its_socket);
        CASE("breaks-under-a-goodbye", breaks_under_a_goodbye);
        return g_test_run();
}
