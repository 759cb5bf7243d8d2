/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GetManagedObjects: complete, of some objects a turn, and true when it comes. */

#include "seat.h"

#include <string.h>

#define PEER "org.freedesktop.DBus.Peer"
#define PROPERTIES "org.freedesktop.DBus.Properties"
#define INTROSPECTABLE "org.freedesktop.DBus.Introspectable"
#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
#define ALICE 1000
#define BOB 1001
#ifdef __SANITIZE_ADDRESS__
#define N_MANY 2000 /* sd-bus reallocates what it has of a message with each piece of it */
#else
#define N_MANY 10000
#endif
#define N_LONG 9000
#define N_SOME 400 /* more than there are in a turn */
#define TOO_MANY 13000
#define OBJECT_BYTES 2048        /* as charged */
#define REST_USEC G_USEC_PER_SEC /* the longest there is */

int64_t __wrap_cpu_usec(void);

/* How long it takes is not the machine's to say. */
static int64_t step_usec, spent_usec;

int64_t __wrap_cpu_usec(void) {
        spent_usec += step_usec;
        return spent_usec;
}

/* Alice has :1.1 and :1.2, bob :1.0; all are known. */
static Seat *seat_of_three(void) {
        Seat *seat = seat_new();

        seat_meet(seat, ":1.0", BOB);
        seat_meet(seat, ":1.1", ALICE);
        seat_meet(seat, ":1.2", ALICE);
        seat->n_answers = 0;
        return seat;
}

static void make(Seat *seat, uid_t uid, const char *owner, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                (void)fake_connection(seat->relay, uid, owner, /* announced= */ false);
}

static Call *list(Seat *seat, const char *name) {
        return seat_call(seat, name, ROOT, OBJECT_MANAGER, "GetManagedObjects", "");
}

static Call *ping(Seat *seat, const char *name) {
        return seat_call(seat, name, ROOT, PEER, "Ping", "");
}

static uint64_t charged(const Seat *seat, uid_t uid) {
        return quota_used(seat->quota, uid, QUOTA_BYTES);
}

static bool is_answered(void *call) {
        return ((const Call *)call)->reply != NULL;
}

static const char *late_error(Call *call) {
        (void)seat_run_until(call->seat, is_answered, call, SEAT_LIMIT_USEC);
        return call_error(call);
}

static bool is_charged(void *seat) {
        return charged(seat, ALICE) > 0;
}

/* Some of it is there, and charged. */
static void run_until_begun(Seat *seat) {
        (void)seat_run_until(seat, is_charged, seat, SEAT_LIMIT_USEC);
}

/* ---- what is in it ---- */

static void expect_no_properties(sd_bus_message *m, const char *interface) {
        const char *name;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'e', "sa{sv}"), >, 0);
        g_assert_cmpint(sd_bus_message_read(m, "s", &name), >, 0);
        g_assert_cmpstr(name, ==, interface);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sv}"), >, 0);
        g_assert_cmpint(sd_bus_message_at_end(m, /* complete= */ false), >, 0);
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
}

/* The a{sv} that comes next in each is the same. */
static void expect_same_properties(sd_bus_message *m, sd_bus_message *all) {
        g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) others = g_hash_table_new(g_str_hash, g_str_equal);
        const struct {
                sd_bus_message *m;
                GHashTable *names;
        } both[] = {{m, names}, {all, others}};
        GHashTableIter iter;
        gpointer name;

        for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
                g_assert_cmpint(sd_bus_message_enter_container(both[i].m, 'a', "{sv}"), >, 0);
                while (sd_bus_message_enter_container(both[i].m, 'e', "sv") > 0) {
                        g_assert_cmpint(sd_bus_message_read(both[i].m, "s", &name), >, 0);
                        g_assert_true(g_hash_table_add(both[i].names, name));
                        g_assert_cmpint(sd_bus_message_skip(both[i].m, "v"), >, 0);
                        g_assert_cmpint(sd_bus_message_exit_container(both[i].m), >=, 0);
                }
                g_assert_cmpint(sd_bus_message_exit_container(both[i].m), >=, 0);
        }

        g_assert_cmpuint(g_hash_table_size(names), >, 0);
        g_assert_cmpuint(g_hash_table_size(names), ==, g_hash_table_size(others));
        g_hash_table_iter_init(&iter, names);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                g_assert_true(g_hash_table_contains(others, name));
}

/* Enters the next object of @m; NULL: there is none. */
static const char *next_object(sd_bus_message *m) {
        const char *path;

        if (sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}") <= 0)
                return NULL;

        g_assert_cmpint(sd_bus_message_read(m, "o", &path), >, 0);
        return path;
}

/* The paths in it, each once. */
static GHashTable *paths_in(Call *call) {
        GHashTable *paths = g_hash_table_new(g_str_hash, g_str_equal);
        const char *path;

        g_assert_cmpstr(late_error(call), ==, NULL);
        g_assert_cmpint(sd_bus_message_rewind(call->reply, /* complete= */ true), >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(call->reply, 'a', "{oa{sa{sv}}}"), >, 0);
        while ((path = next_object(call->reply))) {
                g_assert_true(g_hash_table_add(paths, (void *)path));
                g_assert_cmpint(sd_bus_message_skip(call->reply, "a{sa{sv}}"), >, 0);
                g_assert_cmpint(sd_bus_message_exit_container(call->reply), >=, 0);
        }
        return paths;
}

static unsigned count(Call *call) {
        g_autoptr(GHashTable) paths = paths_in(call);

        return g_hash_table_size(paths);
}

/* Each kind of object has sd-bus's interfaces and its own, and that has what GetAll gives. */
static void each_object_is_whole(void) {
        g_autoptr(Seat) seat = seat_of_three();
        g_autoptr(Call) call = NULL;
        const char *path;
        unsigned n = 0;

        (void)fake_connection(seat->relay, ALICE, ":1.1", true);
        (void)fake_listener(seat->relay, ALICE, ":1.1");
        (void)fake_verifier(seat->relay, ALICE, ":1.1");
        call = list(seat, ":1.1");
        g_assert_cmpstr(call_error(call), ==, NULL);
        g_assert_cmpstr(sd_bus_message_get_signature(call->reply, true), ==, "a{oa{sa{sv}}}");

        g_assert_cmpint(sd_bus_message_enter_container(call->reply, 'a', "{oa{sa{sv}}}"), >, 0);
        for (; (path = next_object(call->reply)); n++) {
                g_autoptr(Call) all = NULL;
                const char *interface;

                g_assert_cmpint(sd_bus_message_enter_container(call->reply, 'a', "{sa{sv}}"), >, 0);
                expect_no_properties(call->reply, PEER);
                expect_no_properties(call->reply, INTROSPECTABLE);
                expect_no_properties(call->reply, PROPERTIES);
                g_assert_cmpint(sd_bus_message_enter_container(call->reply, 'e', "sa{sv}"), >, 0);
                g_assert_cmpint(sd_bus_message_read(call->reply, "s", &interface), >, 0);
                all = seat_call(seat, ":1.1", path, PROPERTIES, "GetAll", "s", interface);
                g_assert_cmpstr(call_error(all), ==, NULL);
                expect_same_properties(call->reply, all->reply);
                g_assert_cmpint(sd_bus_message_exit_container(call->reply), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(call->reply), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(call->reply), >=, 0);
        }
        g_assert_cmpuint(n, ==, 3);
}

static void very_many_are_all_there(void) {
        g_autoptr(Seat) seat = seat_of_three();
        g_autoptr(Call) mine = NULL, others = NULL;

        make(seat, ALICE, ":1.1", N_MANY);
        (void)fake_listener(seat->relay, ALICE, ":1.1");
        make(seat, BOB, ":1.0", 1);
        mine = list(seat, ":1.1");
        others = list(seat, ":1.0");

        g_assert_cmpuint(count(mine), ==, N_MANY + 1);
        g_assert_cmpuint(count(others), ==, 1);
        seat_run(seat);
        g_assert_cmpuint(charged(seat, ALICE), ==, 0);
        g_assert_cmpuint(quota_used(seat->quota, ALICE, QUOTA_FDS), ==, 0);
}

static void expect_too_long(Seat *seat) {
        g_autoptr(Call) call = list(seat, ":1.1");
        const sd_bus_error *error;

        g_assert_cmpstr(late_error(call), ==, ERROR_PREFIX "MessageTooLong");
        error = sd_bus_message_get_error(call->reply);
        g_assert_nonnull(strstr(error->message, "ListConnections"));
        seat_run(seat);
        g_assert_cmpuint(charged(seat, ALICE), ==, 0);
}

static void too_many_are_not_listed(void) {
        g_autoptr(Seat) seat = seat_of_three();
        g_autoptr(Call) others = NULL;

        make(seat, ALICE, ":1.1", TOO_MANY);
        expect_too_long(seat);

        /* which they are not for somebody else */
        others = list(seat, ":1.0");
        g_assert_cmpuint(count(others), ==, 0);
}

/* What has long texts counts for more. */
static void too_long_ones_are_not_listed(void) {
        g_autoptr(Seat) seat = seat_of_three();
        g_autofree char *text = g_strnfill(255, 'x');

        make(seat, ALICE, ":1.1", N_LONG);
        for (uint32_t id = 1; id <= N_LONG; id++)
                fake_state(relay_find_connection(seat->relay, id), HANDSHAKE_NOT_STARTED,
                           DTLS_TLS_FATAL_ERROR, text);
        expect_too_long(seat);
}

/* ---- turns ---- */

static void others_are_served_between(void) {
        g_autoptr(Seat) seat = seat_of_three();
        g_autoptr(Call) call = NULL;

        make(seat, ALICE, ":1.1", N_MANY);
        call = list(seat, ":1.1");
        run_until_begun(seat);

        for (unsigned i = 0; i < 100; i++) {
                g_autoptr(Call) other = ping(seat, ":1.0");

                g_assert_cmpstr(call_error(other), ==, NULL);
                g_assert_null(call->reply);
        }
        g_assert_cmpuint(count(call), ==, N_MANY);
}

/* Whichever came first. */
static void a_short_list_does_not_wait_for_a_long_one(void) {
        g_autoptr(Seat) seat = seat_of_three();

        make(seat, ALICE, ":1.1", N_MANY);
        make(seat, BOB, ":1.0", N_SOME);
        for (unsigned is_first = 0; is_first < 2; is_first++) {
                g_autoptr(Call) first = list(seat, is_first ? ":1.0" : ":1.1");
                g_autoptr(Call) second = list(seat, is_first ? ":1.1" : ":1.0");
                Call *some = is_first ? first : second, *many = is_first ? second : first;

                g_assert_cmpuint(count(some), ==, N_SOME);
                g_assert_null(many->reply);
                g_assert_cmpuint(count(many), ==, N_MANY);
        }
}

static void one_of_a_user_is_made_after_the_other(void) {
        g_autoptr(Seat) seat = seat_of_three();
        g_autoptr(Call) first = NULL, second = NULL;
        uint64_t n_most = 0;

        make(seat, ALICE, ":1.1", N_SOME);
        first = list(seat, ":1.1");
        second = list(seat, ":1.2");
        while (!first->reply || !second->reply) {
                n_most = MAX(n_most, charged(seat, ALICE));
                g_assert_cmpint(sd_event_run(seat->event, SEAT_LIMIT_USEC), >, 0);
        }

        g_assert_cmpuint(first->order, <, second->order);
        g_assert_cmpuint(count(first), ==, N_SOME);
        g_assert_cmpuint(count(second), ==, N_SOME);
        /* whole, and of the other no more than the first turn */
        g_assert_cmpuint(n_most, >, N_SOME / 2 * OBJECT_BYTES);
        g_assert_cmpuint(n_most, <, N_SOME * 3 / 2 * OBJECT_BYTES);
}

static void later_calls_of_the_name_wait(void) {
        g_autoptr(Seat) seat = seat_of_three();
        g_autoptr(Call) call = NULL, later = NULL, another = NULL;

        make(seat, ALICE, ":1.1", N_SOME);
        call = list(seat, ":1.1");
        later = ping(seat, ":1.1");
        another = ping(seat, ":1.2");
        g_assert_cmpstr(call_error(later), ==, NULL);
        g_assert_cmpstr(call_error(another), ==, NULL);

        g_assert_cmpuint(another->order, <, call->order);
        g_assert_cmpuint(call->order, <, later->order);
}

/* As after other calls: the first in a minute only has the user looked at. */
static void after_a_long_one_its_user_rests(void) {
        g_autoptr(Seat) seat = seat_of_three();
        g_autoptr(Call) first = NULL, second = NULL, third = NULL, later = NULL;
        uint64_t n_begun;

        step_usec = REST_USEC;
        make(seat, ALICE, ":1.1", N_SOME);
        first = list(seat, ":1.1");
        g_assert_cmpuint(count(first), ==, N_SOME);
        second = list(seat, ":1.1");
        third = list(seat, ":1.2");
        g_assert_cmpuint(count(second), ==, N_SOME);
        later = ping(seat, ":1.1");

        n_begun = charged(seat, ALICE);
        for (unsigned i = 0; i < 10; i++) {
                g_autoptr(Call) other = ping(seat, ":1.0");

                g_assert_cmpstr(call_error(other), ==, NULL);
        }
        g_assert_null(later->reply);
        g_assert_cmpuint(charged(seat, ALICE), ==, n_begun);
        g_assert_cmpuint(count(third), ==, N_SOME);
        g_assert_cmpstr(call_error(later), ==, NULL);
        step_usec = 0;
}

/* ---- its end ---- */

static void it_goes_with_its_caller(void) {
        g_autoptr(Seat) seat = seat_of_three();
        g_autoptr(Call) call = NULL, later = NULL;

        make(seat, ALICE, ":1.2", N_MANY);
        call = list(seat, ":1.1");
        later = ping(seat, ":1.1");
        run_until_begun(seat);
        seat_leave(seat, ":1.1");
        /* what it sent before it left runs */
        g_assert_cmpstr(call_error(later), ==, NULL);
        seat_run(seat);

        g_assert_null(call->reply);
        g_assert_cmpuint(charged(seat, ALICE), ==, 0);
        g_assert_cmpuint(quota_used(seat->quota, ALICE, QUOTA_FDS), ==, 0);
}

static void the_next_begins_when_a_caller_leaves(void) {
        g_autoptr(Seat) seat = seat_of_three();
        g_autoptr(Call) first = NULL, second = NULL;

        make(seat, ALICE, ":1.2", N_SOME);
        first = list(seat, ":1.1");
        run_until_begun(seat);
        second = list(seat, ":1.2");
        seat_leave(seat, ":1.1");

        g_assert_cmpuint(count(second), ==, N_SOME);
        g_assert_null(first->reply);
}

static void it_is_charged(void) {
        g_autoptr(Seat) seat = seat_of_three();
        g_autoptr(Call) call = NULL;

        make(seat, ALICE, ":1.1", N_SOME);
        quota_set_user_limit(seat->quota, ALICE, QUOTA_BYTES, N_SOME / 2 * OBJECT_BYTES);
        call = list(seat, ":1.1");
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "QuotaExceeded");
        seat_run(seat);
        g_assert_cmpuint(charged(seat, ALICE), ==, 0);
}

static void it_goes_with_the_service(void) {
        g_autoptr(Seat) seat = seat_of_three();
        g_autoptr(Call) first = NULL, second = NULL;

        make(seat, ALICE, ":1.1", N_SOME);
        first = list(seat, ":1.1");
        second = list(seat, ":1.2");
        run_until_begun(seat);
        seat->bus = bus_free(seat->bus);
        g_assert_cmpuint(charged(seat, ALICE), ==, 0);
        g_assert_null(first->reply);
        g_assert_null(second->reply);
}

/* ---- what happens meanwhile ---- */

/* How often @name was told of @path: that it is gone, or has changed. */
static unsigned told(const Seat *seat, const char *name, const char *member, const char *path) {
        bool is_gone = strcmp(member, "InterfacesRemoved") == 0;
        unsigned n = 0;

        for (guint i = 0; i < seat->signals->len; i++) {
                sd_bus_message *m = seat->signals->pdata[i];
                const char *about = sd_bus_message_get_path(m);

                if (strcmp(sd_bus_message_get_destination(m), name) != 0 ||
                    strcmp(sd_bus_message_get_member(m), member) != 0)
                        continue;

                g_assert_cmpint(sd_bus_message_rewind(m, /* complete= */ true), >=, 0);
                if (is_gone)
                        g_assert_cmpint(sd_bus_message_read(m, "o", &about), >, 0);
                n += strcmp(about, path) == 0;
        }
        return n;
}

/* Of what is in the answer and is not so any more, also behind it; of the rest once. */
static void what_happens_meanwhile_is_told_behind_it(void) {
        g_autoptr(Seat) seat = seat_of_three();
        Connection *gone, *changed, *later;
        g_autoptr(GHashTable) paths = NULL;
        g_autoptr(Call) call = NULL;

        gone = fake_connection(seat->relay, ALICE, ":1.1", true);
        changed = fake_connection(seat->relay, ALICE, ":1.1", true);
        make(seat, ALICE, ":1.1", N_SOME);
        later = fake_connection(seat->relay, ALICE, ":1.1", true);
        seat_run(seat);
        seat_forget(seat);

        call = list(seat, ":1.2");
        run_until_begun(seat);
        fake_removed(gone);
        fake_state(changed, HANDSHAKE_IN_PROGRESS, DTLS_NO_ERROR, "");
        fake_removed(later);
        (void)fake_connection(seat->relay, ALICE, ":1.1", true);
        (void)seat_run_until(seat, is_answered, call, SEAT_LIMIT_USEC);

        paths = paths_in(call);
        g_assert_true(g_hash_table_contains(paths, ROOT "/connection/1"));
        g_assert_true(g_hash_table_contains(paths, ROOT "/connection/2"));
        g_assert_false(g_hash_table_contains(paths, ROOT "/connection/403"));
        g_assert_cmpuint(told(seat, ":1.2", "InterfacesRemoved", ROOT "/connection/1"), ==, 1);
        g_assert_cmpuint(told(seat, ":1.2", "InterfacesRemoved", ROOT "/connection/403"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, ":1.2", "InterfacesAdded"), ==, 1);

        seat_forget(seat);
        seat_run(seat);
        g_assert_cmpuint(told(seat, ":1.2", "InterfacesRemoved", ROOT "/connection/1"), ==, 1);
        g_assert_cmpuint(told(seat, ":1.2", "PropertiesChanged", ROOT "/connection/2"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, ":1.2", NULL), ==, 2);
        /* who has no list hears it once */
        g_assert_cmpuint(seat_heard(seat, ":1.1", NULL), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bus/managed/each-object-is-whole", each_object_is_whole);
        g_test_add_func("/bus/managed/very-many-are-all-there", very_many_are_all_there);
        g_test_add_func("/bus/managed/too-many-are-not-listed", too_many_are_not_listed);
        g_test_add_func("/bus/managed/too-long-ones-are-not-listed", too_long_ones_are_not_listed);
        g_test_add_func("/bus/managed/others-are-served-between", others_are_served_between);
        g_test_add_func("/bus/managed/a-short-list-does-not-wait-for-a-long-one",
                        a_short_list_does_not_wait_for_a_long_one);
        g_test_add_func("/bus/managed/one-of-a-user-is-made-after-the-other",
                        one_of_a_user_is_made_after_the_other);
        g_test_add_func("/bus/managed/later-calls-of-the-name-wait", later_calls_of_the_name_wait);
        g_test_add_func("/bus/managed/after-a-long-one-its-user-rests",
                        after_a_long_one_its_user_rests);
        g_test_add_func("/bus/managed/it-goes-with-its-caller", it_goes_with_its_caller);
        g_test_add_func("/bus/managed/the-next-begins-when-a-caller-leaves",
                        the_next_begins_when_a_caller_leaves);
        g_test_add_func("/bus/managed/it-is-charged", it_is_charged);
        g_test_add_func("/bus/managed/it-goes-with-the-service", it_goes_with_the_service);
        g_test_add_func("/bus/managed/what-happens-meanwhile-is-told-behind-it",
                        what_happens_meanwhile_is_told_behind_it);
        return g_test_run();
}
