/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "seat.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PEER "org.freedesktop.DBus.Peer"
#define ALICE 1000
#define BOB 1001
#define N_FLOOD 400
#define NEWS_BETWEEN_MAX 100
#define N_FDS 800
#define MEBIBYTE ((size_t)1024 * 1024)

/* Alice has names :1.1 and so on, bob :1.0; all of them are known. */
static Seat *seat_of_two(unsigned n_names) {
        Seat *seat = seat_new();

        for (unsigned i = 0; i <= n_names; i++) {
                g_autofree char *name = g_strdup_printf(":1.%u", i);
                g_autoptr(Call) call = NULL;

                seat_enter(seat, name, i == 0 ? BOB : ALICE);
                call = seat_call(seat, name, ROOT, PEER, "Ping", "");
                seat_run(seat);
                g_assert_null(call_error(call));
        }

        seat->n_answers = 0;
        return seat;
}

/* Alice has the name :1.1, and her calls wait until the driver says so. */
static Seat *seat_of_waiting(void) {
        Seat *seat = seat_new();

        seat_enter(seat, ":1.1", ALICE);
        seat->withholds = true;
        return seat;
}

static void send_pings(Seat *seat, GPtrArray *calls, const char *name, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                g_ptr_array_add(calls, seat_call(seat, name, ROOT, PEER, "Ping", ""));
}

static GPtrArray *calls_new(void) {
        return g_ptr_array_new_with_free_func((GDestroyNotify)call_free);
}

static void flood(Seat *seat, GPtrArray *calls, unsigned n_names) {
        for (unsigned i = 1; i <= n_names; i++) {
                g_autofree char *name = g_strdup_printf(":1.%u", i);

                send_pings(seat, calls, name, N_FLOOD / n_names);
        }
}

static void assert_done(const GPtrArray *calls) {
        for (guint i = 0; i < calls->len; i++)
                g_assert_null(call_error(g_ptr_array_index(calls, i)));
}

/* A call waits for one of each other user's, from when it is read; it is counted, not timed. */
static void users_take_turns(void) {
        g_autoptr(Seat) seat = seat_of_two(1);
        g_autoptr(GPtrArray) flooding = calls_new(), calls = calls_new();

        flood(seat, flooding, 1);
        send_pings(seat, calls, ":1.0", 20);
        seat_run(seat);

        assert_done(flooding);
        assert_done(calls);
        /* it is read with 16 others a turn, of which one runs; then they alternate */
        g_assert_cmpuint(((Call *)calls->pdata[0])->order, <=, N_FLOOD / 16 + 5);
        g_assert_cmpuint(((Call *)calls->pdata[19])->order, <=, N_FLOOD / 16 + 5 + 2 * 20);
}

static void names_of_a_user_are_one_user(void) {
        g_autoptr(Seat) seat = seat_of_two(20);
        g_autoptr(GPtrArray) flooding = calls_new(), calls = calls_new();

        flood(seat, flooding, 20);
        send_pings(seat, calls, ":1.0", 20);
        seat_run(seat);

        assert_done(flooding);
        assert_done(calls);
        g_assert_cmpuint(((Call *)calls->pdata[19])->order, <=, N_FLOOD / 16 + 5 + 2 * 20);
}

/* Nor does anybody wait behind another's answers that the bus has not taken. */
static void answers_wait_for_the_bus_in_turn(void) {
        g_autoptr(Seat) seat = seat_of_two(1);
        g_autoptr(GPtrArray) flooding = calls_new(), calls = calls_new();

        flood(seat, flooding, 1);
        seat_stop_reading(seat);
        seat_run(seat);
        send_pings(seat, calls, ":1.0", 1);
        seat_run(seat);
        seat_read_again(seat);
        seat_run(seat);

        assert_done(flooding);
        assert_done(calls);
        g_assert_cmpuint(((Call *)calls->pdata[0])->order, <=, 100);
}

static void tell(Connection *connection, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                fake_state(connection, HANDSHAKE_IN_PROGRESS, DTLS_NO_ERROR, "");
}

/* Nor behind news for another, which the bus takes more slowly than they come. */
static void calls_come_between_news(void) {
        g_autoptr(Seat) seat = seat_of_two(1);
        g_autoptr(GPtrArray) calls = calls_new();
        Connection *connection = fake_connection(seat->relay, ALICE, ":1.1", true);

        seat_run(seat);
        seat_forget(seat);
        seat_stop_reading(seat);
        tell(connection, 2000);
        seat_run(seat);
        send_pings(seat, calls, ":1.0", 5);
        seat_run(seat);
        seat_read_again(seat);

        for (guint i = 0; i < calls->len; i++) {
                const Call *call = g_ptr_array_index(calls, i);

                /* 32 that wait at most, and what the socket holds */
                while (!call->reply) {
                        tell(connection, 4);
                        g_assert_cmpint(sd_event_run(seat->event, UINT64_MAX), >=, 0);
                        g_assert_cmpuint(seat->signals->len, <=, (i + 1) * NEWS_BETWEEN_MAX);
                }
        }
        g_assert_cmpuint(seat->signals->len, >, 0);
        assert_done(calls);
}

/* Of two calls of a turn the second's, too. */
static void news_come_before_later_answers(void) {
        g_autoptr(Seat) seat = seat_of_two(1);
        g_autoptr(Call) create = NULL, ping = NULL;

        seat_forget(seat);
        seat_stop_reading(seat);
        create = seat_call(seat, ":1.1", ROOT, DTLSD_INTERFACE_MANAGER, "CreateConnection",
                           "sa{sv}", "client", 0);
        ping = seat_call(seat, ":1.1", ROOT, PEER, "Ping", "");
        seat_run(seat);
        seat_read_again(seat);

        while (!ping->reply)
                g_assert_cmpint(sd_event_run(seat->event, UINT64_MAX), >=, 0);
        g_assert_null(call_error(create));
        g_assert_cmpuint(seat->signals->len, ==, 1);
}

/* Reading, running and what comes behind it: where nothing else waits, nothing is left to do. */
static void a_call_takes_one_round(void) {
        g_autoptr(Seat) seat = seat_of_two(0);
        g_autoptr(Call) call = NULL;

        seat_stop_reading(seat);
        call = seat_call(seat, ":1.0", ROOT, PEER, "Ping", "");
        g_assert_cmpint(sd_bus_flush(seat->theirs), >=, 0);
        g_assert_cmpint(sd_event_run(seat->event, 0), >, 0);
        g_assert_cmpint(sd_event_run(seat->event, 0), ==, 0);
        while (!call->reply)
                g_assert_cmpint(sd_bus_process(seat->theirs, NULL), >, 0);
        g_assert_null(call_error(call));
        seat_read_again(seat);
}

static void order_of_a_name_is_kept(void) {
        g_autoptr(Seat) seat = seat_of_two(4);
        g_autoptr(GPtrArray) calls = calls_new();

        flood(seat, calls, 4);
        seat_run(seat);
        for (guint i = 0; i < calls->len; i++) {
                const Call *call = g_ptr_array_index(calls, i);

                if (i % (N_FLOOD / 4) > 0)
                        g_assert_cmpuint(call->order, >, ((Call *)calls->pdata[i - 1])->order);
        }
}

/* What it sent before it left is done, and then it is gone. */
static void who_leaves_is_gone_when_its_calls_have_run(void) {
        g_autoptr(Seat) seat = seat_of_two(1);
        g_autoptr(GPtrArray) calls = calls_new();

        send_pings(seat, calls, ":1.1", 100);
        seat_leave(seat, ":1.1");
        seat_run(seat);
        assert_done(calls);
        g_assert_cmpuint(fake_n_owners_gone(seat->relay), ==, 1);
}

/* ---- room ---- */

static Call *send_bytes(Seat *seat, const char *name, size_t size) {
        sd_bus_message *m = seat_message(seat, name, ROOT, PEER, "Ping");
        g_autofree char *bytes = g_malloc0(size);

        g_assert_cmpint(sd_bus_message_append_array(m, 'y', bytes, size), >=, 0);
        return seat_send(seat, m);
}

static unsigned count_refused(const GPtrArray *calls) {
        unsigned n = 0;

        for (guint i = 0; i < calls->len; i++) {
                const Call *call = g_ptr_array_index(calls, i);

                if (!call->reply)
                        continue;

                g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "QuotaExceeded");
                n++;
        }

        return n;
}

static void so_many_calls_of_a_name_wait(void) {
        g_autoptr(Seat) seat = seat_of_waiting();
        g_autoptr(GPtrArray) calls = calls_new();

        send_pings(seat, calls, ":1.1", 5000);
        seat_run(seat);
        g_assert_cmpuint(count_refused(calls), ==, 5000 - 4096);

        /* and those that were taken are answered, all of them */
        seat_release(seat);
        seat_run(seat);
        for (guint i = 0; i < calls->len; i++)
                (void)call_error(g_ptr_array_index(calls, i));
}

static void so_many_bytes_of_a_name_wait(void) {
        g_autoptr(Seat) seat = seat_of_waiting();
        g_autoptr(Call) first = NULL;
        g_autoptr(Call) second = NULL;
        g_autoptr(Call) third = NULL;

        first = send_bytes(seat, ":1.1", 2 * MEBIBYTE);
        second = send_bytes(seat, ":1.1", 2 * MEBIBYTE);
        third = seat_call(seat, ":1.1", ROOT, PEER, "Ping", "");
        seat_run(seat);

        g_assert_null(first->reply);
        g_assert_cmpstr(call_error(second), ==, ERROR_PREFIX "QuotaExceeded");
        g_assert_null(third->reply);
}

/* Who has most gives way to who has less: nobody takes all there is. */
static void who_has_most_gives_way(void) {
        g_autoptr(Seat) seat = seat_new();
        g_autoptr(GPtrArray) calls = calls_new(), late = calls_new();

        seat->withholds = true;
        for (unsigned i = 0; i < 16; i++) {
                g_autofree char *name = g_strdup_printf(":1.%u", i / 3);

                seat_enter(seat, name, ALICE);
                g_ptr_array_add(calls, send_bytes(seat, name, MEBIBYTE - 64));
        }
        seat_run(seat);
        g_assert_cmpuint(count_refused(calls), ==, 0);

        seat_enter(seat, ":1.9", BOB);
        send_pings(seat, late, ":1.9", 2);
        seat_run(seat);
        g_assert_cmpuint(count_refused(late), ==, 0);
        g_assert_cmpuint(count_refused(calls), ==, 1);

        /* which has three; who has as much as others is refused itself */
        g_ptr_array_add(late, send_bytes(seat, ":1.9", 3 * MEBIBYTE));
        seat_run(seat);
        g_assert_cmpuint(count_refused(late), ==, 1);
        g_assert_cmpuint(count_refused(calls), ==, 1);
}

/* One that takes more than a user may have waits as others do, and nothing behind it. */
static void one_that_is_too_much_waits_alone(void) {
        g_autoptr(Seat) seat = seat_of_waiting();
        g_autoptr(Call) first = NULL;
        g_autoptr(Call) second = NULL;

        first = send_bytes(seat, ":1.1", 5 * MEBIBYTE);
        second = seat_call(seat, ":1.1", ROOT, PEER, "Ping", "");
        seat_run(seat);
        g_assert_null(first->reply);
        g_assert_cmpstr(call_error(second), ==, ERROR_PREFIX "QuotaExceeded");

        seat_release(seat);
        seat_run(seat);
        g_assert_null(call_error(first));
}

/* ---- file descriptors ---- */

/* So that few are left of those that the process may have. */
static void fds_use_up(int fds[static N_FDS]) {
        struct rlimit limit;

        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        limit.rlim_cur = N_FDS + 200;
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        for (size_t i = 0; i < N_FDS; i++)
                fds[i] = dup(STDERR_FILENO);
}

static void fds_give_back(const int fds[static N_FDS]) {
        for (size_t i = 0; i < N_FDS; i++)
                (void)close(fds[i]);
}

static uint64_t used(const Seat *seat, uid_t uid) {
        return quota_used(seat->quota, uid, QUOTA_FDS);
}

/* Any call may have brought some, and nobody knows whose they are; none did, so more wait than are
 * charged. */
static void fds_of_calls_that_wait_are_charged(void) {
        g_autoptr(Seat) seat = seat_of_waiting();
        g_autoptr(GPtrArray) calls = calls_new();
        uint64_t share = quota_limit(seat->quota, ALICE, QUOTA_FDS) / 4;

        send_pings(seat, calls, ":1.1", 2);
        seat_run(seat);
        g_assert_cmpuint(used(seat, (uid_t)-1), ==, 32);
        send_pings(seat, calls, ":1.1", 100);
        seat_run(seat);
        g_assert_cmpuint(used(seat, (uid_t)-1), ==, share);

        seat_release(seat);
        while (used(seat, ALICE) == 0)
                g_assert_cmpint(sd_event_run(seat->event, UINT64_MAX), >=, 0);
        g_assert_cmpuint(used(seat, (uid_t)-1), ==, 0);
        g_assert_cmpuint(used(seat, ALICE), ==, share);
        seat_run(seat);
        assert_done(calls);
        g_assert_cmpuint(used(seat, ALICE), ==, 0);
        g_assert_cmpuint(quota_refused(seat->quota, QUOTA_FDS), ==, 0);
}

/* They leave to others what a user has for all else. */
static void fds_of_calls_that_wait_are_a_share(void) {
        g_autoptr(Seat) seat = seat_of_waiting();
        g_autoptr(GPtrArray) calls = calls_new();
        uint64_t limit = quota_limit(seat->quota, (uid_t)-1, QUOTA_FDS);
        unsigned n_refused;
        int fds[N_FDS];

        g_assert_cmpint(quota_charge(seat->quota, (uid_t)-1, QUOTA_FDS, limit - 20), ==, 0);
        send_pings(seat, calls, ":1.1", 3);
        seat_run(seat);
        g_assert_cmpuint(used(seat, (uid_t)-1), ==, limit - 4);

        /* that nobody is charged for: now calls might have brought some */
        fds_use_up(fds);
        send_pings(seat, calls, ":1.1", 20);
        seat_run(seat);
        n_refused = count_refused(calls);
        g_assert_cmpuint(n_refused, >=, 10);
        fds_give_back(fds);
        send_pings(seat, calls, ":1.1", 20);
        seat_run(seat);
        g_assert_cmpuint(count_refused(calls), ==, n_refused);
        quota_discharge(seat->quota, (uid_t)-1, QUOTA_FDS, limit - 20);
}

/* Names that are not known yet share what one user may have; none has it all. */
static void a_new_name_with_fewer_calls_has_fds(void) {
        g_autoptr(Seat) seat = seat_of_waiting();
        g_autoptr(GPtrArray) calls = calls_new(), late = calls_new();
        uint64_t limit = quota_limit(seat->quota, (uid_t)-1, QUOTA_FDS);
        unsigned n_refused;
        int fds[N_FDS];

        seat_enter(seat, ":1.9", BOB);
        g_assert_cmpint(quota_charge(seat->quota, (uid_t)-1, QUOTA_FDS, limit - 64), ==, 0);
        send_pings(seat, calls, ":1.1", 4);
        seat_run(seat);
        g_assert_cmpuint(used(seat, (uid_t)-1), ==, limit);

        fds_use_up(fds);
        send_pings(seat, calls, ":1.1", 20);
        seat_run(seat);
        n_refused = count_refused(calls);
        g_assert_cmpuint(n_refused, >=, 10);
        send_pings(seat, late, ":1.9", 1);
        seat_run(seat);
        g_assert_cmpuint(count_refused(late), ==, 0);
        g_assert_cmpuint(count_refused(calls), >, n_refused);
        n_refused = count_refused(calls);
        send_pings(seat, calls, ":1.1", 1);
        seat_run(seat);
        g_assert_cmpuint(count_refused(late), ==, 0);
        g_assert_cmpuint(count_refused(calls), ==, n_refused + 1);
        fds_give_back(fds);
        quota_discharge(seat->quota, (uid_t)-1, QUOTA_FDS, limit - 64);
}

/* A million empty arrays in one message: four MiB that take long to look at. */
static void weighing_stops(void) {
        g_autoptr(Seat) seat = seat_of_waiting();
        g_autoptr(Call) call = NULL;
        g_autoptr(Call) second = NULL;
        sd_bus_message *m = seat_message(seat, ":1.1", ROOT, PEER, "Ping");

        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "as"), >=, 0);
        for (size_t i = 0; i < 1000 * 1000; i++)
                g_assert_cmpint(sd_bus_message_append(m, "as", 0), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);

        call = seat_send(seat, m);
        seat_run(seat);
        /* it waits, for as much as there may be */
        second = seat_call(seat, ":1.1", ROOT, PEER, "Ping", "");
        seat_run(seat);
        g_assert_null(call->reply);
        g_assert_cmpstr(call_error(second), ==, ERROR_PREFIX "QuotaExceeded");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bus/queue/users-take-turns", users_take_turns);
        g_test_add_func("/bus/queue/names-of-a-user-are-one-user", names_of_a_user_are_one_user);
        g_test_add_func("/bus/queue/answers-wait-for-the-bus-in-turn",
                        answers_wait_for_the_bus_in_turn);
        g_test_add_func("/bus/queue/calls-come-between-news", calls_come_between_news);
        g_test_add_func("/bus/queue/news-come-before-later-answers",
                        news_come_before_later_answers);
        g_test_add_func("/bus/queue/a-call-takes-one-round-of-the-loop", a_call_takes_one_round);
        g_test_add_func("/bus/queue/the-order-of-a-name-is-kept", order_of_a_name_is_kept);
        g_test_add_func("/bus/queue/who-leaves-is-gone-when-its-calls-have-run",
                        who_leaves_is_gone_when_its_calls_have_run);
        g_test_add_func("/bus/queue/so-many-calls-of-a-name-wait", so_many_calls_of_a_name_wait);
        g_test_add_func("/bus/queue/so-many-bytes-of-a-name-wait", so_many_bytes_of_a_name_wait);
        g_test_add_func("/bus/queue/who-has-most-gives-way", who_has_most_gives_way);
        g_test_add_func("/bus/queue/one-that-is-too-much-waits-alone",
                        one_that_is_too_much_waits_alone);
        g_test_add_func("/bus/queue/fds-of-calls-that-wait-are-charged",
                        fds_of_calls_that_wait_are_charged);
        g_test_add_func("/bus/queue/fds-of-calls-that-wait-are-a-share",
                        fds_of_calls_that_wait_are_a_share);
        g_test_add_func("/bus/queue/a-new-name-with-fewer-calls-has-fds",
                        a_new_name_with_fewer_calls_has_fds);
        g_test_add_func("/bus/queue/weighing-a-call-stops-at-the-limit", weighing_stops);
        return g_test_run();
}
