/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/filter-queue.h"

#include <glib.h>

static const uint8_t bytes[FILTER_QUEUE_BYTES_MAX];

static void add(FilterQueue *queue, FilterRecordKind kind, bool is_due, size_t n, size_t size) {
        for (size_t i = 0; i < n; i++)
                filter_queue_add(queue, kind, is_due, bytes + i, size);
}

/* Which of those that were added it is, by where its bytes lie. */
static size_t take(FilterQueue *queue, unsigned kinds) {
        FilterRecord record;

        g_assert_true(filter_queue_take(queue, kinds, &record));
        g_assert_null(record.own);
        return record.bytes - bytes;
}

static void test_takes_what_is_due_in_its_order(void) {
        FilterQueue queue = {0};
        FilterRecord record;

        filter_queue_add(&queue, FILTER_DATA, false, bytes + 1, 7);
        filter_queue_add(&queue, FILTER_SEALED, false, bytes + 2, 7);
        filter_queue_add(&queue, FILTER_DATA, false, bytes + 3, 7);
        g_assert_false(filter_queue_has(&queue, FILTER_CHANGE));
        g_assert_false(filter_queue_has(&queue, 0));
        g_assert_false(filter_queue_take(&queue, FILTER_CHANGE, &record));
        g_assert_true(filter_queue_has(&queue, FILTER_SEALED));
        g_assert_cmpuint(take(&queue, FILTER_SEALED), ==, 2);
        g_assert_cmpuint(take(&queue, FILTER_CHANGE | FILTER_SEALED | FILTER_DATA), ==, 1);
        g_assert_cmpuint(take(&queue, FILTER_DATA), ==, 3);
        g_assert_cmpuint(queue.n, ==, 0);
        g_assert_cmpuint(queue.n_bytes, ==, 0);
        filter_queue_clear(&queue);
}

static void test_what_is_due_is_bounded_and_the_newest_goes(void) {
        FilterQueue queue = {0};

        add(&queue, FILTER_DATA, true, FILTER_QUEUE_RECORDS_MAX + 5, 10);
        g_assert_cmpuint(queue.n, ==, FILTER_QUEUE_RECORDS_MAX);
        g_assert_cmpuint(queue.n_dropped, ==, 5);
        for (size_t i = 0; i < FILTER_QUEUE_RECORDS_MAX; i++)
                g_assert_cmpuint(take(&queue, FILTER_DATA), ==, i);

        add(&queue, FILTER_DATA, true, 3, FILTER_QUEUE_BYTES_MAX / 2);
        g_assert_cmpuint(queue.n, ==, 2);
        g_assert_cmpuint(queue.n_bytes, ==, FILTER_QUEUE_BYTES_MAX);
        filter_queue_clear(&queue);
}

static void test_what_waits_leaves_room_and_the_oldest_goes(void) {
        FilterQueue queue = {0};

        add(&queue, FILTER_SEALED, false, 100, 10);
        add(&queue, FILTER_DATA, false, 100, 10);
        g_assert_cmpuint(queue.n, ==, 2 * FILTER_HELD_MAX);
        g_assert_cmpuint(queue.n_dropped, ==, 200 - 2 * FILTER_HELD_MAX);
        add(&queue, FILTER_CHANGE, true, 1, 14);
        g_assert_true(filter_queue_has(&queue, FILTER_CHANGE));
        for (size_t i = 0; i < FILTER_HELD_MAX; i++)
                g_assert_cmpuint(take(&queue, FILTER_SEALED), ==, 100 - FILTER_HELD_MAX + i);
        filter_queue_clear(&queue);
}

static void test_keeps_bytes_of_its_own(void) {
        uint8_t datagram[] = "before";
        FilterQueue queue = {0};
        FilterRecord record;

        filter_queue_add(&queue, FILTER_DATA, true, datagram, sizeof datagram);
        filter_queue_add(&queue, FILTER_DATA, true, datagram, sizeof datagram);
        filter_queue_keep(&queue);
        datagram[0] = 'x';
        filter_queue_keep(&queue); /* what is kept is not copied again */
        g_assert_true(filter_queue_take(&queue, FILTER_DATA, &record));
        g_assert_true(record.bytes == record.own);
        g_assert_cmpmem(record.bytes, record.size, "before", sizeof datagram);
        g_free(record.own);
        filter_queue_clear(&queue);
        g_assert_cmpuint(queue.n, ==, 0);
}

static void test_lets_go_of_places_that_many_had(void) {
        FilterQueue queue = {0};

        add(&queue, FILTER_DATA, true, FILTER_QUEUE_KEPT, 10);
        while (queue.n > 0)
                (void)take(&queue, FILTER_DATA);
        g_assert_cmpuint(queue.n_places, ==, FILTER_QUEUE_KEPT);

        add(&queue, FILTER_DATA, true, FILTER_QUEUE_KEPT + 1, 10);
        while (queue.n > 0)
                (void)take(&queue, FILTER_DATA);
        g_assert_cmpuint(queue.n_places, ==, 0);
        g_assert_null(queue.records);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/filter-queue/takes-what-is-due-in-its-order",
                        test_takes_what_is_due_in_its_order);
        g_test_add_func("/filter-queue/what-is-due-is-bounded-and-the-newest-goes",
                        test_what_is_due_is_bounded_and_the_newest_goes);
        g_test_add_func("/filter-queue/what-waits-leaves-room-and-the-oldest-goes",
                        test_what_waits_leaves_room_and_the_oldest_goes);
        g_test_add_func("/filter-queue/keeps-bytes-of-its-own", test_keeps_bytes_of_its_own);
        g_test_add_func("/filter-queue/lets-go-of-places-that-many-had",
                        test_lets_go_of_places_that_many_had);
        return g_test_run();
}
