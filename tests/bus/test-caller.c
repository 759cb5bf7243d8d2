/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "seat.h"

#include <string.h>

#define PEER "org.freedesktop.DBus.Peer"
#define N_CALLS 100

static Call *ping(Seat *seat, const char *name) {
        return seat_call(seat, name, ROOT, PEER, "Ping", "");
}

static void order_is_kept(void) {
        g_autoptr(Seat) seat = seat_new();
        Call *calls[N_CALLS];

        seat_enter(seat, ":1.1", 1000);
        seat->withholds = true;
        for (size_t i = 0; i < N_CALLS / 2; i++)
                calls[i] = ping(seat, ":1.1");
        seat_run(seat);
        for (size_t i = 0; i < N_CALLS / 2; i++)
                g_assert_null(calls[i]->reply);

        /* the second half is on its way when the driver answers */
        seat_release(seat);
        for (size_t i = N_CALLS / 2; i < N_CALLS; i++)
                calls[i] = ping(seat, ":1.1");
        seat_run(seat);

        for (size_t i = 0; i < N_CALLS; i++) {
                g_assert_null(call_error(calls[i]));
                g_assert_cmpuint(calls[i]->order, ==, i + 1);
                call_free(calls[i]);
        }
        g_assert_cmpuint(seat->n_credentials, ==, 1);
}

static void asks_once(void) {
        g_autoptr(Seat) seat = seat_new();
        g_autoptr(Call) first = NULL;
        g_autoptr(Call) second = NULL;

        seat_enter(seat, ":1.1", 1000);
        first = ping(seat, ":1.1");
        seat_run(seat);
        second = ping(seat, ":1.1");
        seat_run(seat);

        g_assert_null(call_error(second));
        g_assert_cmpuint(seat->n_credentials, ==, 1);
}

static void names_do_not_wait_for_each_other(void) {
        g_autoptr(Seat) seat = seat_new();
        g_autoptr(Call) known = NULL;
        g_autoptr(Call) parked = NULL;
        g_autoptr(Call) other = NULL;

        seat_enter(seat, ":1.1", 1000);
        seat_enter(seat, ":1.2", 1001);
        known = ping(seat, ":1.1");
        seat_run(seat);

        seat->withholds = true;
        parked = ping(seat, ":1.2");
        other = ping(seat, ":1.1");
        seat_run(seat);
        g_assert_null(parked->reply);
        g_assert_nonnull(other->reply);
}

static void refuses_what_nobody_sent(void) {
        g_autoptr(Seat) seat = seat_new();
        g_autoptr(Call) call = ping(seat, NULL);

        seat_run(seat);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "NotAuthorized");
}

static void left_before_it_was_known(void) {
        g_autoptr(Seat) seat = seat_new();
        g_autoptr(Call) call = NULL;
        g_autoptr(Call) again = NULL;

        seat_enter(seat, ":1.1", 1000);
        seat->withholds = true;
        call = ping(seat, ":1.1");
        seat_run(seat);
        seat_leave(seat, ":1.1");
        seat_run(seat);
        seat_release(seat); /* too late, and it says that there is no such name */
        seat_run(seat);
        g_assert_null(call->reply);

        /* a name that the driver does not know is answered, and not remembered */
        seat->withholds = false;
        again = ping(seat, ":1.1");
        seat_run(seat);
        g_assert_cmpstr(call_error(again), ==, ERROR_PREFIX "Failed");
        g_assert_cmpuint(seat->n_credentials, ==, 2);
}

static void send_name_owner_changed(Seat *seat, const char *sender, const char *name) {
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_signal(seat->theirs, &m, "/org/freedesktop/DBus",
                                                  "org.freedesktop.DBus", "NameOwnerChanged"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_set_sender(m, sender), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "sss", name, name, ""), >=, 0);
        g_assert_cmpint(sd_bus_send(seat->theirs, m, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

static void only_the_driver_says_who_left(void) {
        g_autoptr(Seat) seat = seat_new();
        g_autoptr(Call) call = NULL;

        seat_enter(seat, ":1.1", 1000);
        seat_enter(seat, ":1.66", 1001);
        call = ping(seat, ":1.1");
        seat_run(seat);
        (void)fake_connection(seat->relay, 1000, ":1.1", true);

        send_name_owner_changed(seat, ":1.66", ":1.1");
        seat_run(seat);
        g_assert_cmpuint(fake_n_owners_gone(seat->relay), ==, 0);
        g_assert_nonnull(relay_find_connection(seat->relay, 1));

        send_name_owner_changed(seat, "org.freedesktop.DBus", ":1.1");
        seat_run(seat);
        g_assert_cmpuint(fake_n_owners_gone(seat->relay), ==, 1);
        g_assert_null(relay_find_connection(seat->relay, 1));
}

static void is_lost_once(void) {
        g_autoptr(Seat) seat = seat_new();

        sd_bus_close(seat->theirs);
        seat_run(seat);

        g_assert_true(seat->is_lost);
        g_assert_cmpuint(fake_n_owners_lost(seat->relay), ==, 1);
}

static void anybody_says_disconnected(void) {
        g_autoptr(Seat) seat = seat_new();
        g_autoptr(Call) call = NULL;
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_signal(seat->theirs, &m, "/org/freedesktop/DBus/Local",
                                                  "org.freedesktop.DBus.Local", "Disconnected"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_set_sender(m, "org.freedesktop.DBus.Local"), >=, 0);
        g_assert_cmpint(sd_bus_send(seat->theirs, m, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
        seat_run(seat);
        g_assert_false(seat->is_lost);

        seat_enter(seat, ":1.1", 1000);
        call = ping(seat, ":1.1");
        seat_run(seat);
        g_assert_null(call_error(call));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bus/caller/order-is-kept-while-credentials-are-fetched", order_is_kept);
        g_test_add_func("/bus/caller/the-driver-is-asked-once-a-name", asks_once);
        g_test_add_func("/bus/caller/names-do-not-wait-for-each-other",
                        names_do_not_wait_for_each_other);
        g_test_add_func("/bus/caller/a-call-that-nobody-sent-is-refused", refuses_what_nobody_sent);
        g_test_add_func("/bus/caller/a-name-that-left-before-it-was-known-leaves-nothing",
                        left_before_it_was_known);
        g_test_add_func("/bus/caller/only-the-driver-says-who-left", only_the_driver_says_who_left);
        g_test_add_func("/bus/bus/its-end-is-told-once", is_lost_once);
        g_test_add_func("/bus/bus/its-end-cannot-be-claimed", anybody_says_disconnected);
        return g_test_run();
}
