/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One socket with many peers: strangers, quotas, the accept queue. */

#include "stranger.h"

#include "base/cleanup.h"
#include "channel/accept-queue.h"

#include <string.h>
#include <sys/socket.h>

#define PSK "a secret of both"

static int listen_at(World *world, uid_t uid, const char *address, uint16_t port, Reason *reason) {
        Spec *spec = world_listener_spec(address, port);
        Listener *listener;

        spec->uid = uid;
        return relay_listen(world->relay, spec, &listener, reason);
}

static void keeps_users_apart(World *world, gconstpointer unused) {
        Listener *first = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Address taken = listener_facts(first).local;
        uint16_t port = address_port(&taken);
        Reason reason = {0};

        g_assert_cmpint(listen_at(world, WORLD_OTHER_UID, "127.0.0.1", port, &reason), ==,
                        RELAY_E_EXISTS);
        g_assert_nonnull(strstr(reason.text, "another user"));
        g_assert_null(strstr(reason.text, "1000"));
        g_assert_cmpint(listen_at(world, WORLD_OTHER_UID, "0.0.0.0", port, &reason), ==,
                        RELAY_E_EXISTS);
        g_assert_cmpint(listen_at(world, WORLD_UID, "127.0.0.1", port, &reason), ==,
                        RELAY_E_EXISTS);
        g_assert_nonnull(strstr(reason.text, "yours"));

        g_assert_cmpint(listen_at(world, WORLD_OTHER_UID, "127.0.0.9", port, &reason), ==, 0);
        g_assert_cmpuint(quota_used(world->quota, WORLD_OTHER_UID, QUOTA_LISTENERS), ==, 1);
}

static void refuses_addresses_nobody_answers_from(World *world, gconstpointer unused) {
        static const char *const bad[] = {"224.0.0.1", "ff02::1", "255.255.255.255"};
        Reason reason = {0};

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_cmpint(listen_at(world, WORLD_UID, bad[i], 0, &reason), ==,
                                RELAY_E_INVALID_PARAMETERS);

        g_assert_cmpint(listen_at(world, WORLD_UID, "192.0.2.1", 0, &reason), ==, RELAY_E_SOCKET);
        g_assert_cmpstr(reason.text, !=, "");
        g_assert_cmpuint(world->n_listeners_added, ==, 0);
}

static void answers_from_where_it_was_asked(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("0.0.0.0", 0));
        char text[ADDRESS_STRING_MAX];
        Connection *client;
        Address local;

        world_use_psk(world, "someone", PSK);
        /* a connected socket takes nothing from another address */
        client = world_start(world, world_client_spec(), listener, "127.0.0.5");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        world_wait(world, world->n_announced == 1);
        local = connection_facts(relay_find_connection(world->relay, world->last_accepted)).local;
        g_assert_cmpstr(address_format(&local, text), ==, "127.0.0.5");
}

static void serves_many_peers(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Connection *clients[20];

        world_use_psk(world, "someone", PSK);
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                clients[i] = world_start(world, world_client_spec(), listener, "127.0.0.1");
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                world_wait_state(world, clients[i], HANDSHAKE_COMPLETE);
        world_wait(world, world->n_announced == G_N_ELEMENTS(clients));
        g_assert_cmpuint(listener_facts(listener).n_connections, ==, G_N_ELEMENTS(clients));

        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
                g_autofree char *text = g_strdup_printf("number %zu", i);
                g_autofree char *heard = NULL;

                world_send(clients[i], text);
                heard = world_read(world, world_other_end(world, clients[i]));
                g_assert_cmpstr(heard, ==, text);
        }
}

static void keeps_nothing_of_strangers(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Address there = listener_facts(listener).local;
        g_autofd int fd = world_udp("127.0.0.1", address_port(&there));
        g_autoptr(GRand) random = g_rand_new_with_seed(1);
        uint8_t noise[300];

        for (int i = 0; i < 200; i++) {
                size_t size = (size_t)g_rand_int_range(random, 0, sizeof(noise));

                for (size_t k = 0; k < size; k++)
                        noise[k] = (uint8_t)g_rand_int_range(random, 0, 256);
                (void)send(fd, noise, size, 0);
                world_turn_quickly(world, world_limit(world));
        }

        world_wait(world,
                   world_counter(listener_counters(listener), "DroppedStranger") +
                                   world_counter(listener_counters(listener), "CookiesAsked") >=
                           150);
        g_assert_cmpuint(world->n_added, ==, 0);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_CONNECTIONS), ==, 0);
        g_assert_cmpint(recv(fd, noise, sizeof(noise), MSG_DONTWAIT), <, 0);
}

static unsigned count_open(Connection *const *clients, size_t n) {
        unsigned n_open = 0;

        for (size_t i = 0; i < n; i++)
                n_open += connection_facts(clients[i]).encrypted;

        return n_open;
}

static void turns_away_whom_it_has_no_room_for(World *unused_world, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(4096);
        World world_of_two = {0};
        World *world = &world_of_two;
        Listener *listener;
        Spec *spec;
        Connection *clients[4];

        /* the clients are another user's, so that the listener's owner has but two */
        limits.per_uid[QUOTA_CONNECTIONS] = 4;
        world_setup_limits(world, &limits);
        spec = world_listener_spec("127.0.0.1", 0);
        spec->uid = WORLD_OTHER_UID;
        listener = world_listen(world, spec);

        world_use_psk(world, "someone", PSK);
        g_assert_cmpint(quota_charge(world->quota, WORLD_OTHER_UID, QUOTA_CONNECTIONS, 2), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                clients[i] = world_start(world, world_client_spec(), listener, "127.0.0.1");
        world_wait(world, world_counter(listener_counters(listener), "DroppedQuota") >= 2);
        world_wait(world, world->n_announced == 2);
        world_wait(world, count_open(clients, G_N_ELEMENTS(clients)) == 2);

        /* and the listener lives: with room again, who asks again is let in */
        quota_discharge(world->quota, WORLD_OTHER_UID, QUOTA_CONNECTIONS, 2);
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                world_wait_state(world, clients[i], HANDSHAKE_COMPLETE);
        world_teardown(world, NULL);
}

/* One packet of an accept queue: the channel's fd, or -1 when there is none now. */
static void takes_its_connections_with_it(World *world, gconstpointer unused) {
        Connection *client, *server;
        uint32_t id;

        world_pair(world, &client, &server);
        id = connection_facts(server).id;
        (void)listener_close((Listener *)connection_facts(server).listener);
        g_assert_false(world_has(world, id));
        g_assert_cmpuint(world->n_listeners_removed, ==, 1);
        g_assert_nonnull(strstr(world->closed->str, "2:ListenerClosed "));
        world_wait_state(world, client, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_REMOTE_CLOSED_CONNECTION_ERROR);
}

static void ends_what_a_failed_handshake_left(World *world, gconstpointer unused) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        Listener *listener;
        g_autoptr(Stranger) stranger = NULL;

        spec->handshake_deadline_usec = 300 * 1000;
        listener = world_listen(world, spec);
        stranger = stranger_new(world, listener, NULL);
        stranger_start(stranger);
        stranger_wait(stranger, world->n_added == 1);

        world_wait(world, world->n_removed == 1);
        world_spend(world, 1000); /* the end of the turn */
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_HALF_OPEN), ==, 0);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_CONNECTIONS), ==, 0);
        g_assert_cmpuint(world_counter(listener_counters(listener), "HandshakesFailed"), ==, 1);
}

static void changes_how_cookies_are_made(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        CookieParameters parameters = {.hash = "Sha512", .secret = "spice", .size = 5};
        Reason reason = {0};
        Connection *client;

        g_assert_cmpint(listener_set_cookie_parameters(listener, &parameters, &reason), ==, 0);
        parameters.hash = "Sha3";
        g_assert_cmpint(listener_set_cookie_parameters(listener, &parameters, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        parameters = listener_cookie_parameters(listener);
        g_assert_cmpstr(parameters.hash, ==, "Sha512");
        g_assert_cmpmem(parameters.secret, parameters.size, "spice", 5);
        g_assert_cmpstr(listener_facts(listener).spec->cookie_hash, ==, "Sha512");
        g_assert_cmpuint(secret_size(listener_facts(listener).spec->cookie_secret), ==, 5);

        world_use_psk(world, "someone", PSK);
        client = world_start(world, world_client_spec(), listener, "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        g_assert_cmpuint(world_counter(listener_counters(listener), "CookiesAsked"), ==, 1);
}

static void asks_no_cookie_when_told_so(World *world, gconstpointer unused) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        Listener *listener;
        Connection *client;

        spec->cookies = false;
        listener = world_listen(world, spec);
        world_use_psk(world, "someone", PSK);
        client = world_start(world, world_client_spec(), listener, "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        g_assert_cmpuint(world_counter(listener_counters(listener), "CookiesAsked"), ==, 0);
}

static void uses_a_new_configuration_for_later_peers(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Spec *spec = spec_new(DTLS_SERVER, WORLD_OTHER_UID, NULL);
        Reason reason = {0};
        Address local;

        spec->cookies = false;
        g_assert_cmpint(listener_set_spec(listener, spec, &reason), ==, 0);
        local = listener_facts(listener).local;
        g_assert_false(listener_facts(listener).spec->cookies);
        g_assert_cmpuint(listener_facts(listener).spec->uid, ==, WORLD_UID);
        g_assert_cmpuint(address_port(&local), !=, 0);
}

#define CASE(name, function)                                                                       \
        g_test_add("/listener/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("keeps-users-apart", keeps_users_apart);
        CASE("refuses-addresses-nobody-answers-from", refuses_addresses_nobody_answers_from);
        CASE("answers-from-where-it-was-asked", answers_from_where_it_was_asked);
        CASE("serves-many-peers", serves_many_peers);
        CASE("keeps-nothing-of-strangers", keeps_nothing_of_strangers);
        CASE("turns-away-whom-it-has-no-room-for", turns_away_whom_it_has_no_room_for);
        CASE("takes-its-connections-with-it", takes_its_connections_with_it);
        CASE("ends-what-a-failed-handshake-left", ends_what_a_failed_handshake_left);
        CASE("changes-how-cookies-are-made", changes_how_cookies_are_made);
        CASE("asks-no-cookie-when-told-so", asks_no_cookie_when_told_so);
        CASE("uses-a-new-configuration-for-later-peers", uses_a_new_configuration_for_later_peers);
        return g_test_run();
}
