/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "seat.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATH ROOT "/connection/1"

static Seat *seat_with_user(void) {
        Seat *seat = seat_new();

        seat_enter(seat, ":1.1", 1000);
        return seat;
}

static Call *connect_to(Seat *seat) {
        Call *call =
                seat_call(seat, ":1.1", ROOT, MANAGER, "Connect", "sqa{sv}", "127.0.0.1", 4711, 0);

        seat_run(seat);
        g_assert_null(call->reply);
        return call;
}

static Connection *the_connection(Seat *seat) {
        Connection *connection = relay_find_connection(seat->relay, 1);

        g_assert_nonnull(connection);
        return connection;
}

static const char *error_text(const Call *call) {
        return sd_bus_message_get_error(call->reply)->message;
}

static void connects(void) {
        g_autoptr(Seat) seat = seat_with_user();
        g_autoptr(Call) call = connect_to(seat);
        const char *path;
        uint32_t mtu;
        int fd;

        fake_state(the_connection(seat), HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");
        seat_run(seat);
        g_assert_null(call_error(call));
        g_assert_cmpint(sd_bus_message_read(call->reply, "ohu", &path, &fd, &mtu), >, 0);
        g_assert_cmpstr(path, ==, PATH);
        g_assert_cmpuint(mtu, ==, 1371);
        g_assert_cmpint(send(fd, "x", 1, MSG_NOSIGNAL), ==, 1);
        g_assert_cmpint(fake_close_reason(seat->relay), ==, N_END_REASONS);
}

static void connect_fails(void) {
        g_autoptr(Seat) seat = seat_with_user();
        g_autoptr(Call) call = connect_to(seat);

        fake_state(the_connection(seat), HANDSHAKE_NOT_STARTED, DTLS_TLS_FATAL_ERROR,
                   "nothing was heard for 20 s");
        seat_run(seat);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "TlsFatalError");
        g_assert_cmpstr(error_text(call), ==, "nothing was heard for 20 s");
        g_assert_cmpint(fake_close_reason(seat->relay), ==, END_FAILED);
}

static void connect_is_not_verified(void) {
        g_autoptr(Seat) seat = seat_with_user();
        g_autoptr(Call) call = connect_to(seat);

        fake_verification_error(the_connection(seat), VERDICT_SELF_SIGNED_CERTIFICATE);
        fake_verification_error(the_connection(seat), VERDICT_HOST_NAME_MISMATCH);
        fake_state(the_connection(seat), HANDSHAKE_PEER_VERIFICATION_FAILED,
                   DTLS_PEER_VERIFICATION_ERROR, "");
        seat_run(seat);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "PeerVerificationError");
        g_assert_nonnull(strstr(error_text(call), "SelfSignedCertificate"));
        g_assert_nonnull(strstr(error_text(call), "HostNameMismatch"));
        g_assert_cmpint(fake_close_reason(seat->relay), ==, END_FAILED);
}

static void connect_text_is_not_utf8(void) {
        g_autoptr(Seat) seat = seat_with_user();
        g_autoptr(Call) call = connect_to(seat);
        g_autoptr(Call) after = NULL;

        fake_state(the_connection(seat), HANDSHAKE_NOT_STARTED, DTLS_TLS_FATAL_ERROR, "\xff\xfe");
        seat_run(seat);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "TlsFatalError");
        after = seat_call(seat, ":1.1", ROOT, "org.freedesktop.DBus.Peer", "Ping", "");
        seat_run(seat);
        g_assert_null(call_error(after)); /* the connection to the bus lives */
}

static void connection_goes_under_connect(void) {
        g_autoptr(Seat) seat = seat_with_user();
        g_autoptr(Call) call = connect_to(seat);

        fake_removed(the_connection(seat));
        seat_run(seat);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "RemoteClosedConnectionError");
}

static void caller_leaves_connect(void) {
        g_autoptr(Seat) seat = seat_with_user();
        g_autoptr(Call) call = connect_to(seat);

        seat_leave(seat, ":1.1");
        seat_run(seat);
        g_assert_null(relay_find_connection(seat->relay, 1));
        g_assert_null(call->reply);
}

/* ---- ReadDatagram ---- */

static Connection *open_connection(Seat *seat) {
        Connection *connection = fake_connection(seat->relay, 1000, ":1.1", true);

        fake_state(connection, HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");
        seat_run(seat);
        return connection;
}

static Call *read_for(Seat *seat, uint32_t milliseconds) {
        return seat_call(seat, ":1.1", PATH, CONNECTION, "ReadDatagram", "a{sv}", 1, "Timeout", "u",
                         milliseconds);
}

static void assert_read(const Call *call, const char *text) {
        const void *data;
        size_t size;

        g_assert_null(call_error(call));
        g_assert_cmpint(sd_bus_message_read_array(call->reply, 'y', &data, &size), >, 0);
        g_assert_cmpmem(data, size, text, strlen(text));
}

static void reads_what_comes(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Connection *connection = open_connection(seat);
        g_autoptr(Call) first = read_for(seat, 10000);
        g_autoptr(Call) second = read_for(seat, 10000);
        g_autoptr(Call) third = read_for(seat, 10000);

        seat_run(seat);
        g_assert_null(first->reply);
        fake_datagram(connection, "one");
        fake_datagram(connection, "two");
        seat_run(seat);
        assert_read(first, "one");
        assert_read(second, "two");
        g_assert_null(third->reply);
        fake_datagram(connection, "three");
        seat_run(seat);
        assert_read(third, "three");
}

static void reading_comes_before_signals(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Connection *connection = open_connection(seat);
        g_autoptr(Call) call = NULL;

        fake_datagram_signals(connection, true);
        call = read_for(seat, 10000);
        seat_run(seat);
        fake_datagram(connection, "one");
        fake_datagram(connection, "two");
        seat_run(seat);
        assert_read(call, "one");
        g_assert_cmpuint(seat_heard(seat, ":1.1", "DatagramReceived"), ==, 1);
}

static bool is_answered(void *call) {
        return ((Call *)call)->reply;
}

static void reading_times_out(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Connection *connection = open_connection(seat);
        g_autoptr(Call) call = read_for(seat, 50);

        g_assert_cmpuint(seat_run_until(seat, is_answered, call, 5 * 1000 * 1000), >=, 50 * 1000);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "TimedOut");

        fake_datagram(connection, "late");
        seat_run(seat);
        g_assert_cmpuint(fake_n_datagrams(connection), ==, 1); /* for the next one */
}

static void reading_ends_with_the_connection(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Connection *connection = open_connection(seat);
        g_autoptr(Call) first = read_for(seat, 10000);
        g_autoptr(Call) second = read_for(seat, 10000);
        g_autoptr(Call) third = NULL;

        seat_run(seat);
        fake_datagram(connection, "last words");
        fake_state(connection, HANDSHAKE_NOT_STARTED, DTLS_REMOTE_CLOSED_CONNECTION_ERROR, "bye");
        seat_run(seat);
        assert_read(first, "last words");
        g_assert_cmpstr(call_error(second), ==, ERROR_PREFIX "RemoteClosedConnectionError");

        fake_state(connection, HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");
        third = read_for(seat, 10000);
        seat_run(seat);
        fake_removed(connection);
        seat_run(seat);
        g_assert_cmpstr(call_error(third), ==, ERROR_PREFIX "RemoteClosedConnectionError");
}

static void readers_are_bounded(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Call *calls[17];

        (void)open_connection(seat);
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
                calls[i] = read_for(seat, 10000);
        seat_run(seat);
        g_assert_cmpstr(call_error(calls[16]), ==, ERROR_PREFIX "QuotaExceeded");
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
                g_assert_true(!!calls[i]->reply == (i == 16));
                call_free(calls[i]);
        }
}

static void a_reader_leaves(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Connection *connection = fake_connection(seat->relay, 1000, NULL, true);
        g_autoptr(Call) gone = NULL;
        g_autoptr(Call) stays = NULL;

        seat_enter(seat, ":1.2", 1000);
        fake_state(connection, HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");
        gone = read_for(seat, 10000);
        stays = seat_call(seat, ":1.2", PATH, CONNECTION, "ReadDatagram", "a{sv}", 1, "Timeout",
                          "u", 10000);
        seat_run(seat);
        seat_leave(seat, ":1.1");
        seat_run(seat);
        fake_datagram(connection, "hello");
        seat_run(seat);
        assert_read(stays, "hello");
        g_assert_null(gone->reply);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bus/connect/answers-with-a-channel-when-complete", connects);
        g_test_add_func("/bus/connect/says-why-it-failed-and-leaves-nothing", connect_fails);
        g_test_add_func("/bus/connect/lists-what-is-wrong-with-the-certificate",
                        connect_is_not_verified);
        g_test_add_func("/bus/connect/a-text-that-is-not-utf8-breaks-nothing",
                        connect_text_is_not_utf8);
        g_test_add_func("/bus/connect/is-answered-when-its-object-goes",
                        connection_goes_under_connect);
        g_test_add_func("/bus/connect/goes-with-its-caller", caller_leaves_connect);
        g_test_add_func("/bus/read/answers-in-order-as-datagrams-come", reads_what_comes);
        g_test_add_func("/bus/read/comes-before-signals", reading_comes_before_signals);
        g_test_add_func("/bus/read/times-out-and-loses-nothing", reading_times_out);
        g_test_add_func("/bus/read/ends-with-the-connection", reading_ends_with_the_connection);
        g_test_add_func("/bus/read/a-connection-has-so-many-readers", readers_are_bounded);
        g_test_add_func("/bus/read/a-reader-that-left-takes-nothing", a_reader_leaves);
        return g_test_run();
}
