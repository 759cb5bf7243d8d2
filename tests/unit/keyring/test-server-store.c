/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The door's methods about what is kept: what the other end reads when it is refused. That they
 * work is told by tests/unit/keys/test-identities.c.
 */

#include "door.h"

static void says_why_a_name_is_refused(Door *door, gconstpointer data) {
        door_refuses_names(door, "RemoveIdentity");
}

static void without_a_store_it_keeps_nothing(Door *door, gconstpointer data) {
        door_lists_nothing(door, "ListIdentities", "(stayaayb)");
}

#define ADD(path, function)                                                                        \
        g_test_add("/server-store/" path, Door, NULL, door_set_up, function, door_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("says-why-a-name-is-refused", says_why_a_name_is_refused);
        ADD("without-a-store-it-keeps-nothing", without_a_store_it_keeps_nothing);
        return g_test_run();
}
