/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is counted, and where. */

#include "world.h"

#include "relay/private.h"

#include <string.h>

static void has_a_name_for_each(void) {
        Tally tally = {0};
        Counters counters;

        tally.at[TALLY_DROPPED_APP_FULL] = 7;
        counters = tally_counters(&tally);
        g_assert_cmpuint(counters.n, ==, N_TALLY_KINDS);
        for (size_t i = 0; i < counters.n; i++) {
                g_assert_nonnull(counters.at[i].name);
                g_assert_true(g_ascii_isupper(counters.at[i].name[0]));
                for (size_t k = 0; k < i; k++)
                        g_assert_cmpstr(counters.at[i].name, !=, counters.at[k].name);
        }
        g_assert_cmpuint(world_counter(counters, "DroppedAppFull"), ==, 7);
}

static void adds_upwards(World *world, gconstpointer unused) {
        Connection *client, *server;

        world_pair(world, &client, &server);
        tally_connection(server, TALLY_REPLACED, 2);
        tally_connection(client, TALLY_REPLACED, 3);
        g_assert_cmpuint(server->tally.at[TALLY_REPLACED], ==, 2);
        g_assert_cmpuint(server->listener->tally.at[TALLY_REPLACED], ==, 2);
        g_assert_cmpuint(world->relay->tally.at[TALLY_REPLACED], ==, 5);
}

static void counts_each_datagram_once(World *world, gconstpointer unused) {
        Connection *client, *server;
        Counters mine, theirs, all;

        relay_set_direct_after(world->relay, 1);
        world_pair(world, &client, &server);
        for (int i = 0; i < 10; i++) {
                world_send(client, "there");
                g_free(world_read(world, server));
        }

        /* nothing is lost on loopback: what one sends the other receives */
        mine = connection_counters(client);
        theirs = listener_counters(server->listener);
        all = relay_counters(world->relay);
        g_assert_cmpuint(world_counter(mine, "DatagramsSent"), ==,
                         world_counter(theirs, "DatagramsReceived"));
        g_assert_cmpuint(world_counter(mine, "BytesSent"), ==,
                         world_counter(theirs, "BytesReceived"));
        g_assert_cmpuint(world_counter(mine, "DatagramsReceived"), ==,
                         world_counter(theirs, "DatagramsSent"));
        g_assert_cmpuint(world_counter(all, "DatagramsSent"), ==,
                         world_counter(all, "DatagramsReceived"));

        /* and a peer has all of it but the round with the cookie */
        g_assert_cmpuint(world_counter(connection_counters(server), "DatagramsReceived") + 1, ==,
                         world_counter(theirs, "DatagramsReceived"));
        g_assert_cmpuint(world_counter(connection_counters(server), "DatagramsSent") + 1, ==,
                         world_counter(theirs, "DatagramsSent"));
        g_assert_cmpuint(world_counter(all, "HandshakesStarted"), ==, 2);
        g_assert_cmpuint(world_counter(all, "HandshakesCompleted"), ==, 2);
        g_assert_cmpuint(world_counter(all, "HandshakesFailed"), ==, 0);
        g_assert_cmpuint(world_counter(all, "RecordsAccepted"), >, 10);
        /* but the one by which GnuTLS shows how long they may be */
        g_assert_cmpuint(world_counter(all, "RecordsDirect"), ==, 10 + 9);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        g_test_add_func("/tally/has-a-name-for-each", has_a_name_for_each);
        g_test_add("/tally/adds-upwards", World, NULL, world_setup, adds_upwards, world_teardown);
        g_test_add("/tally/counts-each-datagram-once", World, NULL, world_setup,
                   counts_each_datagram_once, world_teardown);
        return g_test_run();
}
