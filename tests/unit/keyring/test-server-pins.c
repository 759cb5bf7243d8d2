/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The door's methods about pins: what the other end reads when it is refused. That they work is
 * told by tests/unit/keys/test-pins.c.
 */

#include "door.h"

#define ALICE 1000

static void unpin_refused(Door *door, const char *table, size_t size, const char *error,
                          const char *text) {
        g_autoptr(sd_bus_message) m = door_new_call(door, "Unpin");
        const uint8_t pin[64] = {1};

        g_assert_cmpint(sd_bus_message_append(m, "ussq", ALICE, table, "meter", 5684), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', pin, size), >=, 0);
        door_refuses(door, m, error, text);
}

static void says_why_it_refuses(Door *door, gconstpointer data) {
        g_autoptr(sd_bus_message) m = door_new_call(door, "Pin");

        unpin_refused(door, "..", 32, "BadSecret", "1 to 64");
        unpin_refused(door, "u/1001/pins", 32, "NotAuthorized", "another");
        unpin_refused(door, "u/1000/pins", 31, "BadSecret", "32 bytes");
        unpin_refused(door, "u/1000/pins", 32, "Failed", "--store");
        g_assert_cmpint(
                sd_bus_message_append(m, "ussqayb", ALICE, "u/1000/pins", "meter", 5684, 0, 0), >=,
                0);
        door_refuses(door, m, "BadSecret", "no pin");
}

static void without_a_store_it_keeps_nothing(Door *door, gconstpointer data) {
        door_lists_nothing(door, "ListPins", "(ssqaay)");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/server-pins/says-why-it-refuses", Door, NULL, door_set_up, says_why_it_refuses,
                   door_tear_down);
        g_test_add("/server-pins/without-a-store-it-keeps-nothing", Door, NULL, door_set_up,
                   without_a_store_it_keeps_nothing, door_tear_down);
        return g_test_run();
}
