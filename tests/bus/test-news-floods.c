/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What leaves the service by itself when there is much of it, or the bus takes it slowly.
 */

#include "seat.h"

#include <string.h>

#define LOUD ":1.1"
#define QUIET ":1.2"

static Seat *seat_of_two(void) {
        Seat *seat = seat_new();

        seat_meet(seat, LOUD, 1000);
        seat_meet(seat, QUIET, 1001);
        return seat;
}

static bool is_read(void *connection) {
        return fake_n_datagrams(connection) == 0;
}

static void datagrams_have_a_rate(void) {
        g_autoptr(Seat) seat = seat_of_two();
        Connection *connection = fake_connection(seat->relay, 1000, LOUD, true);
        uint64_t took;

        fake_datagram_signals(connection, true);
        fake_state(connection, HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");
        for (size_t i = 0; i < 600; i++)
                fake_datagram(connection, "x");
        seat_run(seat);
        g_assert_cmpuint(seat_heard(seat, LOUD, "DatagramReceived"), ==, 500);

        /* what is left comes in the next second, without anything new arriving */
        took = seat_run_until(seat, is_read, connection, 3 * 1000 * 1000);
        seat_run(seat);
        g_assert_cmpuint(seat_heard(seat, LOUD, "DatagramReceived"), ==, 600);
        g_assert_cmpuint(took, >, 500 * 1000);
}

static void without_an_owner_datagrams_stay(void) {
        g_autoptr(Seat) seat = seat_of_two();
        Connection *connection = fake_connection(seat->relay, 1000, NULL, true);

        fake_datagram_signals(connection, true);
        fake_state(connection, HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");
        fake_datagram(connection, "x");
        seat_run(seat);
        g_assert_cmpuint(fake_n_datagrams(connection), ==, 1);
        g_assert_cmpuint(seat_heard(seat, NULL, "DatagramReceived"), ==, 0);
}

/* A bus that reads nothing: what we hold for it has a bound, and the last word comes through. */
static void a_bus_that_does_not_read(void) {
        g_autoptr(Seat) seat = seat_of_two();
        Connection *connection = fake_connection(seat->relay, 1000, LOUD, true);
        const char *state, *error, *text;
        uint64_t n = 0;

        seat_run(seat);
        seat_forget(seat);
        seat_stop_reading(seat);
        for (size_t i = 0; i < 100; i++) {
                for (size_t j = 0; j < 1000; j++)
                        fake_state(connection, HANDSHAKE_IN_PROGRESS, DTLS_NO_ERROR, "");
                seat_run(seat);
        }
        g_assert_cmpint(sd_bus_get_n_queued_write(seat->ours, &n), >=, 0);
        g_assert_cmpuint(n, >, 0);
        g_assert_cmpuint(n, <=, 1100);

        seat_read_again(seat);
        for (size_t i = 0; i < 100 && seat_heard(seat, NULL, NULL) < 16000; i++) {
                (void)sd_event_run(seat->event, 60 * 1000);
                seat_run(seat);
        }
        g_assert_cmpuint(seat_heard(seat, LOUD, "StateChanged"), <, 50000); /* of 100000 */

        seat_forget(seat);
        fake_state(connection, HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");
        seat_run(seat);
        g_assert_cmpint(sd_bus_message_read(seat_last(seat, LOUD, "StateChanged"), "sss", &state,
                                            &error, &text),
                        >, 0);
        g_assert_cmpstr(state, ==, "HandshakeComplete");
}

/* Where among all that left this name was first told this. */
static guint place_of(const Seat *seat, const char *name, const char *member) {
        for (guint i = 0; i < seat->signals->len; i++) {
                sd_bus_message *m = g_ptr_array_index(seat->signals, i);

                if (g_strcmp0(sd_bus_message_get_destination(m), name) == 0 &&
                    g_strcmp0(sd_bus_message_get_member(m), member) == 0)
                        return i;
        }

        g_error("%s was not told %s", name, member);
}

/* One's news are told behind one of each other user's, not behind all that came before. */
static void users_have_turns(void) {
        g_autoptr(Seat) seat = seat_of_two();
        Connection *loud = fake_connection(seat->relay, 1000, LOUD, true);
        Connection *quiet = fake_connection(seat->relay, 1001, QUIET, true);

        fake_datagram_signals(quiet, true);
        seat_run(seat);
        seat_forget(seat);
        for (size_t i = 0; i < 2000; i++)
                fake_state(loud, HANDSHAKE_IN_PROGRESS, DTLS_NO_ERROR, "");
        fake_state(quiet, HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");
        fake_datagram(quiet, "x");
        seat_run(seat);
        g_assert_cmpuint(seat_heard(seat, LOUD, "StateChanged"), ==, 2000);
        g_assert_cmpuint(place_of(seat, QUIET, "PropertiesChanged"), <, 10);
        g_assert_cmpuint(place_of(seat, QUIET, "StateChanged"), <, 10);
        g_assert_cmpuint(place_of(seat, QUIET, "DatagramReceived"), <, 10);
}

/* Where there is no room for more, it is of whoever has most. */
static void whoever_has_most_loses(void) {
        g_autoptr(Seat) seat = seat_of_two();
        Connection *loud = fake_connection(seat->relay, 1000, LOUD, true);
        Connection *quiet = fake_connection(seat->relay, 1001, QUIET, true);

        seat_run(seat);
        seat_forget(seat);
        seat_stop_reading(seat);
        for (size_t i = 0; i < 20000; i++)
                fake_state(loud, HANDSHAKE_IN_PROGRESS, DTLS_NO_ERROR, "");
        fake_state(quiet, HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");
        seat_run(seat);

        seat_read_again(seat);
        seat_run(seat);
        g_assert_cmpuint(seat_heard(seat, QUIET, "StateChanged"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, LOUD, "StateChanged"), <, 20000);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bus/news-floods/datagrams-have-a-rate", datagrams_have_a_rate);
        g_test_add_func("/bus/news-floods/datagrams-nobody-hears-stay-to-be-read",
                        without_an_owner_datagrams_stay);
        g_test_add_func("/bus/news-floods/a-bus-that-does-not-read-costs-so-much",
                        a_bus_that_does_not_read);
        g_test_add_func("/bus/news-floods/users-have-turns", users_have_turns);
        g_test_add_func("/bus/news-floods/whoever-has-most-loses", whoever_has_most_loses);
        return g_test_run();
}
