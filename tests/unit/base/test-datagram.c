/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* datagram: a batch takes what fits, keeps it in order and in one piece, and refuses the rest. */

#include "base/datagram.h"

#include <string.h>

static void assert_datagram(const DatagramBatch *batch, size_t i, const char *text) {
        Datagram datagram = datagram_batch_at(batch, i);

        g_assert_cmpmem(datagram.data, datagram.size, text, strlen(text));
}

static void test_append_keeps_order_and_bytes(void) {
        g_autoptr(DatagramBatch) batch = datagram_batch_new(3, 100);

        g_assert_cmpuint(datagram_batch_count(batch), ==, 0);
        g_assert_true(datagram_batch_append(batch, "one", 3));
        g_assert_true(datagram_batch_append(batch, NULL, 0)); /* UDP has empty datagrams */
        g_assert_true(datagram_batch_append(batch, "three", 5));

        g_assert_cmpuint(datagram_batch_count(batch), ==, 3);
        assert_datagram(batch, 0, "one");
        assert_datagram(batch, 1, "");
        assert_datagram(batch, 2, "three");
}

static void test_neighbours_are_one_stretch_of_memory(void) {
        g_autoptr(DatagramBatch) batch = datagram_batch_new(4, 100);
        uint8_t *place;

        g_assert_true(datagram_batch_append(batch, "aaaa", 4));
        place = datagram_batch_reserve(batch, 50);
        memcpy(place, "bbbb", 4);
        datagram_batch_commit(batch, 4);
        g_assert_true(datagram_batch_append(batch, "cccc", 4));

        g_assert_cmpmem(datagram_batch_at(batch, 0).data, 12, "aaaabbbbcccc", 12);
}

static void test_full_of_places_refuses(void) {
        g_autoptr(DatagramBatch) batch = datagram_batch_new(2, 100);

        g_assert_true(datagram_batch_append(batch, "1", 1));
        g_assert_cmpuint(datagram_batch_room(batch), ==, 99);
        g_assert_true(datagram_batch_append(batch, "2", 1));

        g_assert_cmpuint(datagram_batch_room(batch), ==, 0);
        g_assert_false(datagram_batch_append(batch, "3", 1));
        g_assert_false(datagram_batch_append(batch, NULL, 0));
        g_assert_null(datagram_batch_reserve(batch, 0));
        g_assert_false(datagram_batch_place(batch, 0, 1));
        g_assert_cmpuint(datagram_batch_count(batch), ==, 2);
}

static void test_full_of_bytes_refuses_and_is_not_harmed(void) {
        g_autoptr(DatagramBatch) batch = datagram_batch_new(10, 8);

        g_assert_true(datagram_batch_append(batch, "12345", 5));
        g_assert_false(datagram_batch_append(batch, "1234", 4));
        g_assert_null(datagram_batch_reserve(batch, 4));
        g_assert_null(datagram_batch_reserve(batch, SIZE_MAX));
        g_assert_cmpuint(datagram_batch_room(batch), ==, 3);

        g_assert_true(datagram_batch_append(batch, "678", 3));
        g_assert_cmpuint(datagram_batch_room(batch), ==, 0);
        assert_datagram(batch, 0, "12345");
        assert_datagram(batch, 1, "678");
}

static void test_addresses_hold_until_changed_or_reset(void) {
        g_autoptr(DatagramBatch) batch = datagram_batch_new(4, 100);
        Address peer = address_any(AF_INET, 1), local = address_any(AF_INET6, 2);
        Datagram datagram;

        datagram_batch_address(batch, &peer, &local);
        g_assert_true(datagram_batch_append(batch, "1", 1));
        g_assert_true(datagram_batch_append(batch, "2", 1));
        datagram_batch_address(batch, &local, NULL);
        g_assert_true(datagram_batch_append(batch, "3", 1));

        datagram = datagram_batch_at(batch, 1);
        g_assert_true(address_equal(&datagram.peer, &peer));
        g_assert_true(address_equal(&datagram.local, &local));
        datagram = datagram_batch_at(batch, 2);
        g_assert_true(address_equal(&datagram.peer, &local));
        g_assert_false(address_is_set(&datagram.local));

        datagram_batch_address(batch, &peer, &local);
        datagram_batch_reset(batch);
        g_assert_true(datagram_batch_append(batch, "4", 1));
        datagram = datagram_batch_at(batch, 0);
        g_assert_false(address_is_set(&datagram.peer));
        g_assert_false(address_is_set(&datagram.local));
}

static void test_reset_gives_all_room_back(void) {
        g_autoptr(DatagramBatch) batch = datagram_batch_new(1, 4);

        for (int i = 0; i < 3; i++) {
                g_assert_true(datagram_batch_append(batch, "1234", 4));
                g_assert_false(datagram_batch_append(batch, "1", 1));
                datagram_batch_reset(batch);
                g_assert_cmpuint(datagram_batch_count(batch), ==, 0);
                g_assert_cmpuint(datagram_batch_room(batch), ==, 4);
        }
}

static void test_what_the_kernel_placed_is_found_there(void) {
        g_autoptr(DatagramBatch) batch = datagram_batch_new(4, 100);
        uint8_t *buffer;
        size_t size;

        buffer = datagram_batch_buffer(batch, &size);
        g_assert_cmpuint(size, ==, 100);
        memcpy(buffer, "first...second..", 16);
        g_assert_true(datagram_batch_place(batch, 8, 6));
        g_assert_true(datagram_batch_place(batch, 0, 5));

        assert_datagram(batch, 0, "second");
        assert_datagram(batch, 1, "first");
        g_assert_true(datagram_batch_append(batch, "third", 5)); /* after the furthest */
        assert_datagram(batch, 0, "second");
        g_assert_cmpuint(datagram_batch_room(batch), ==, 100 - 14 - 5);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/datagram/append/keeps-order-and-bytes",
                        test_append_keeps_order_and_bytes);
        g_test_add_func("/datagram/append/neighbours-are-one-stretch-of-memory",
                        test_neighbours_are_one_stretch_of_memory);
        g_test_add_func("/datagram/full/of-places-refuses", test_full_of_places_refuses);
        g_test_add_func("/datagram/full/of-bytes-refuses-and-is-not-harmed",
                        test_full_of_bytes_refuses_and_is_not_harmed);
        g_test_add_func("/datagram/address/holds-until-changed-or-reset",
                        test_addresses_hold_until_changed_or_reset);
        g_test_add_func("/datagram/reset/gives-all-room-back", test_reset_gives_all_room_back);
        g_test_add_func("/datagram/place/what-the-kernel-placed-is-found-there",
                        test_what_the_kernel_placed_is_found_there);

        return g_test_run();
}
