/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* demux: a datagram belongs to whom its two addresses together say, and to nobody else. */

#include "transport/demux.h"

static Address at(const char *text, uint16_t port) {
        Address address;

        g_assert_cmpint(address_parse(text, port, &address), ==, 0);
        return address;
}

static void test_finds_what_was_put_there(void) {
        g_autoptr(Demux) demux = demux_new();
        Address peer = at("192.0.2.1", 40000), local = at("192.0.2.9", 5684);
        Address peer_6 = at("fe80::1%1", 40000), local_6 = at("fe80::2%1", 5684);
        int one, other;

        g_assert_null(demux_find(demux, &peer, &local));

        demux_insert(demux, &peer, &local, &one);
        demux_insert(demux, &peer_6, &local_6, &other);
        g_assert_true(demux_find(demux, &peer, &local) == &one);
        g_assert_true(demux_find(demux, &peer_6, &local_6) == &other);
        g_assert_cmpuint(demux_count(demux), ==, 2);
}

static void test_each_part_of_both_addresses_counts(void) {
        g_autoptr(Demux) demux = demux_new();
        Address peer = at("fe80::1%1", 40000), local = at("2001:db8::9", 5684);
        Address strangers[] = {at("fe80::2%1", 40000), at("fe80::1%1", 40001),
                               at("fe80::1%2", 40000), at("192.0.2.1", 40000)};
        Address elsewhere[] = {at("2001:db8::8", 5684), at("2001:db8::9", 5685)};
        int value;

        demux_insert(demux, &peer, &local, &value);
        for (size_t i = 0; i < G_N_ELEMENTS(strangers); i++)
                g_assert_null(demux_find(demux, &strangers[i], &local));
        for (size_t i = 0; i < G_N_ELEMENTS(elsewhere); i++)
                g_assert_null(demux_find(demux, &peer, &elsewhere[i]));
        g_assert_null(demux_find(demux, &local, &peer));
        g_assert_true(demux_find(demux, &peer, &local) == &value);
}

static void test_the_last_one_put_there_counts(void) {
        g_autoptr(Demux) demux = demux_new();
        Address peer = at("192.0.2.1", 40000), local = at("192.0.2.9", 5684);
        int one, other;

        demux_insert(demux, &peer, &local, &one);
        demux_insert(demux, &peer, &local, &other);
        g_assert_true(demux_find(demux, &peer, &local) == &other);
        g_assert_cmpuint(demux_count(demux), ==, 1);
}

static void test_what_is_removed_is_gone_and_the_rest_is_not(void) {
        g_autoptr(Demux) demux = demux_new();
        Address peer = at("192.0.2.1", 40000), neighbour = at("192.0.2.1", 40001);
        Address local = at("192.0.2.9", 5684);
        int one, other;

        demux_insert(demux, &peer, &local, &one);
        demux_insert(demux, &neighbour, &local, &other);
        demux_remove(demux, &peer, &local);
        demux_remove(demux, &peer, &local);

        g_assert_null(demux_find(demux, &peer, &local));
        g_assert_true(demux_find(demux, &neighbour, &local) == &other);
        g_assert_cmpuint(demux_count(demux), ==, 1);
        g_assert_null(demux_free(NULL));
}

/* Two hosts behind one port each, a peer that is its own local address: no pair is special. */
static void test_many_peers_stay_apart(void) {
        g_autoptr(Demux) demux = demux_new();
        Address local = at("127.0.0.1", 5684);
        static int values[2][65536];

        for (unsigned port = 1; port < 65536; port++) {
                Address one = at("127.0.0.1", (uint16_t)port);
                Address other = at("127.0.0.2", (uint16_t)port);

                demux_insert(demux, &one, &local, &values[0][port]);
                demux_insert(demux, &other, &local, &values[1][port]);
        }

        g_assert_cmpuint(demux_count(demux), ==, 2 * 65535);
        for (unsigned port = 1; port < 65536; port++) {
                Address one = at("127.0.0.1", (uint16_t)port);
                Address other = at("127.0.0.2", (uint16_t)port);

                g_assert_true(demux_find(demux, &one, &local) == &values[0][port]);
                g_assert_true(demux_find(demux, &other, &local) == &values[1][port]);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/demux/finds-what-was-put-there", test_finds_what_was_put_there);
        g_test_add_func("/demux/each-part-of-both-addresses-counts",
                        test_each_part_of_both_addresses_counts);
        g_test_add_func("/demux/the-last-one-put-there-counts", test_the_last_one_put_there_counts);
        g_test_add_func("/demux/what-is-removed-is-gone-and-the-rest-is-not",
                        test_what_is_removed_is_gone_and_the_rest_is_not);
        g_test_add_func("/demux/many-peers-stay-apart", test_many_peers_stay_apart);
        return g_test_run();
}
