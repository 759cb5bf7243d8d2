/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When it is told that a certificate of the store ends, and how often. */

#include "world.h"

#include "base/memfd.h"
#include "relay/expiry.h"
#include "relay/private.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY UINT64_C(86400000000)
#define END (100 * DAY)
#define NAME "gateway"

/* ---- lead times, which know no clock ---- */

static const LeadTimes times = {.days = {7, 30, 14, 14, 1}, .n = 5};

static void the_shortest_that_has_come_counts(void) {
        g_assert_cmpuint(lead_times_reached(&times, END, END - 30 * DAY - 1), ==, LEAD_NONE);
        g_assert_cmpuint(lead_times_reached(&times, END, END - 30 * DAY), ==, 30);
        g_assert_cmpuint(lead_times_reached(&times, END, END - 14 * DAY - 1), ==, 30);
        g_assert_cmpuint(lead_times_reached(&times, END, END - 10 * DAY), ==, 14);
        g_assert_cmpuint(lead_times_reached(&times, END, END - 1), ==, 1);
        g_assert_cmpuint(lead_times_reached(&times, END, END), ==, 0);
        g_assert_cmpuint(lead_times_reached(&times, END, END + 1000 * DAY), ==, 0);
}

static void the_next_is_the_longest_that_is_left(void) {
        g_assert_cmpuint(lead_times_next_usec(&times, END, LEAD_NONE), ==, END - 30 * DAY);
        g_assert_cmpuint(lead_times_next_usec(&times, END, 30), ==, END - 14 * DAY);
        g_assert_cmpuint(lead_times_next_usec(&times, END, 14), ==, END - 7 * DAY);
        g_assert_cmpuint(lead_times_next_usec(&times, END, 1), ==, END);
        g_assert_cmpuint(lead_times_next_usec(&times, END, 0), ==, UINT64_MAX);
}

static void the_end_needs_no_lead_time(void) {
        static const LeadTimes none = {.n = 0};

        g_assert_cmpuint(lead_times_reached(&none, END, END - 1), ==, LEAD_NONE);
        g_assert_cmpuint(lead_times_next_usec(&none, END, LEAD_NONE), ==, END);
        g_assert_cmpuint(lead_times_reached(&none, END, END), ==, 0);
}

static void before_the_epoch_is_no_time(void) {
        g_assert_cmpuint(lead_times_next_usec(&times, DAY, LEAD_NONE), ==, 0);
        g_assert_cmpuint(lead_times_reached(&times, DAY, 0), ==, 1);
}

/* ---- with a keyring, and the real clock ---- */

typedef struct Fixture {
        World world;
        GString *told; /* "gateway:14 " … */
} Fixture;

static void on_ends_soon(const char *name, uint64_t not_after_usec, uint32_t days, void *userdata) {
        Fixture *fixture = userdata;

        g_assert_cmpuint(not_after_usec, >, 0);
        g_string_append_printf(fixture->told, "%s:%u ", name, days);
}

static const RelayObserver observer = {.identity_ends_soon = on_ends_soon};

static void setup(Fixture *fixture, gconstpointer unused) {
        fixture->told = g_string_new(NULL);
        world_open_store(&fixture->world);
        world_setup(&fixture->world, NULL);
        relay_observe(fixture->world.relay, &observer, fixture);
        relay_set_lead_times(fixture->world.relay, &times);
        world_start_keyring(&fixture->world);
}

static void teardown(Fixture *fixture, gconstpointer unused) {
        world_teardown(&fixture->world, NULL);
        (void)g_string_free(fixture->told, TRUE);
}

static void keep(Fixture *fixture, const char *name, const TestIdentity *identity) {
        g_autoptr(GPtrArray) blobs = test_blobs(test_identity_der(identity), NULL);
        GBytes *pem = test_identity_key_pem(identity);
        KeysImport import = {.blobs = blobs, .form = "key", .passphrase_fd = -1};
        gsize size;
        const void *data = g_bytes_get_data(pem, &size);

        g_assert_cmpint(memfd_new(data, size, &import.key_fd), ==, 0);
        (void)keys_store_identity(fixture->world.keys, 0, name, &import, world_on_done,
                                  &fixture->world);
        world_wait_done(&fixture->world);
        (void)close(import.key_fd);
}

static void keep_until(Fixture *fixture, const char *name, time_t end) {
        g_autoptr(TestIdentity) identity = test_identity_until(name, end);

        keep(fixture, name, identity);
}

static void what_is_stored_late_is_told_once(Fixture *fixture, gconstpointer unused) {
        keep_until(fixture, NAME, time(NULL) + 10 * 86400);
        keep_until(fixture, "far", time(NULL) + 100 * 86400);
        keep_until(fixture, "over", time(NULL) - 10);
        g_assert_cmpstr(fixture->told->str, ==, "gateway:14 over:0 ");
}

static unsigned n_told(const Fixture *fixture, const char *what) {
        g_auto(GStrv) parts = g_strsplit(fixture->told->str, what, -1);

        return g_strv_length(parts) - 1;
}

/* Both are some seconds from here: enough for what comes before, mostly. */
static void a_moment_that_comes_is_told(Fixture *fixture, gconstpointer unused) {
        keep_until(fixture, NAME, time(NULL) + 86400 + 3);
        keep_until(fixture, "end", time(NULL) + 4);
        world_wait(&fixture->world, n_told(fixture, "end:0 ") && n_told(fixture, "gateway:1 "));
        g_assert_cmpuint(n_told(fixture, "end:0 "), ==, 1);
        g_assert_cmpuint(n_told(fixture, "gateway:1 "), ==, 1);
        g_assert_cmpuint(n_told(fixture, ":"), <=, 4);
}

static void another_keyring_has_nothing_told_again(Fixture *fixture, gconstpointer unused) {
        keep_until(fixture, NAME, time(NULL) + 10 * 86400);
        world_kill_keyring(&fixture->world);
        g_assert_false(keys_identities_known(fixture->world.keys));
        world_start_keyring(&fixture->world);
        g_assert_nonnull(keys_identity(fixture->world.keys, NAME));
        g_assert_cmpstr(fixture->told->str, ==, "gateway:14 ");
}

static void another_certificate_begins_anew(Fixture *fixture, gconstpointer unused) {
        keep_until(fixture, NAME, time(NULL) + 10 * 86400);
        keep_until(fixture, NAME, time(NULL) + 100 * 86400);
        g_assert_cmpstr(fixture->told->str, ==, "gateway:14 ");
        keep_until(fixture, NAME, time(NULL) + 20 * 86400);
        g_assert_cmpstr(fixture->told->str, ==, "gateway:14 gateway:30 ");
}

static void what_was_removed_is_not_told(Fixture *fixture, gconstpointer unused) {
        keep_until(fixture, NAME, time(NULL) + 86400 + 3);
        (void)keys_remove_identity(fixture->world.keys, 0, NAME, world_on_done, &fixture->world);
        world_wait_done(&fixture->world);
        (void)g_string_truncate(fixture->told, 0);
        keep_until(fixture, "later", time(NULL) + 86400 + 4);
        world_wait(&fixture->world, n_told(fixture, "later:1 "));
        g_assert_cmpuint(n_told(fixture, NAME), ==, 0);
}

/* ---- a clock that is the test's: what the loop finds when the real one was set ---- */

static void look_at(Fixture *fixture, uint64_t now_usec) {
        expiry_look_at(fixture->world.relay->expiry, now_usec);
}

static void a_jump_tells_the_shortest_that_has_come(Fixture *fixture, gconstpointer unused) {
        time_t end = time(NULL) + 100 * 86400;

        keep_until(fixture, NAME, end);
        look_at(fixture, (uint64_t)end * 1000000 - 5 * DAY);
        g_assert_cmpstr(fixture->told->str, ==, "gateway:7 ");
        look_at(fixture, (uint64_t)end * 1000000 + 5 * DAY);
        g_assert_cmpstr(fixture->told->str, ==, "gateway:7 gateway:0 ");
}

static void what_was_told_before_a_jump_back_is_told_again(Fixture *fixture, gconstpointer unused) {
        time_t end = time(NULL) + 100 * 86400;

        keep_until(fixture, NAME, end);
        look_at(fixture, (uint64_t)end * 1000000 + DAY);
        look_at(fixture, (uint64_t)end * 1000000 - 50 * DAY);
        look_at(fixture, (uint64_t)end * 1000000 - 40 * DAY);
        g_assert_cmpstr(fixture->told->str, ==, "gateway:0 ");
        look_at(fixture, (uint64_t)end * 1000000 - 20 * DAY);
        g_assert_cmpstr(fixture->told->str, ==, "gateway:0 gateway:30 ");
}

/* A machine that began with the wrong year: it said that all has ended, and has no alarm then. */
static void a_jump_back_sets_the_alarm_anew(Fixture *fixture, gconstpointer unused) {
        keep_until(fixture, NAME, time(NULL) + 86400 + 3);
        look_at(fixture, (uint64_t)(time(NULL) + 1000 * 86400) * 1000000);
        g_assert_cmpuint(n_told(fixture, "gateway:0 "), ==, 1);
        (void)g_string_truncate(fixture->told, 0);

        look_at(fixture, (uint64_t)time(NULL) * 1000000);
        world_wait(&fixture->world, n_told(fixture, "gateway:1 "));
}

/* The alarm that the kernel has; setting the real clock is not the test's. */
static void the_alarm_hears_of_jumps(Fixture *fixture, gconstpointer unused) {
        unsigned n = 0;

        keep_until(fixture, NAME, time(NULL) - 10); /* nothing is left to come */
        for (int fd = 0; fd < 1024; fd++) {
                g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", fd), *text = NULL;

                if (g_file_get_contents(path, &text, NULL, NULL) && strstr(text, "clockid: 0") &&
                    strstr(text, "settime flags: 03")) /* absolute, and cancelled when it is set */
                        n++;
        }
        g_assert_cmpuint(n, ==, 1);
}

static void new_lead_times_tell_what_they_have_new(Fixture *fixture, gconstpointer unused) {
        Relay *relay = fixture->world.relay;

        keep_until(fixture, NAME, time(NULL) + 10 * 86400);
        relay_set_lead_times(relay, &times);
        relay_set_lead_times(relay, &(LeadTimes){.days = {60, 20}, .n = 2}); /* longer than told */
        g_assert_cmpstr(fixture->told->str, ==, "gateway:14 ");
        relay_set_lead_times(relay, &(LeadTimes){.days = {60, 20, 11}, .n = 3});
        g_assert_cmpstr(fixture->told->str, ==, "gateway:14 gateway:11 ");
}

#define CASE(name, function) g_test_add("/expiry/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        g_test_add_func("/expiry/lead-times/the-shortest-that-has-come-counts",
                        the_shortest_that_has_come_counts);
        g_test_add_func("/expiry/lead-times/the-next-is-the-longest-that-is-left",
                        the_next_is_the_longest_that_is_left);
        g_test_add_func("/expiry/lead-times/the-end-needs-none", the_end_needs_no_lead_time);
        g_test_add_func("/expiry/lead-times/before-the-epoch-is-no-time",
                        before_the_epoch_is_no_time);
        CASE("what-is-stored-late-is-told-once", what_is_stored_late_is_told_once);
        CASE("a-moment-that-comes-is-told", a_moment_that_comes_is_told);
        CASE("another-keyring-has-nothing-told-again", another_keyring_has_nothing_told_again);
        CASE("another-certificate-begins-anew", another_certificate_begins_anew);
        CASE("what-was-removed-is-not-told", what_was_removed_is_not_told);
        CASE("fake-clock/a-jump-tells-the-shortest-that-has-come",
             a_jump_tells_the_shortest_that_has_come);
        CASE("fake-clock/what-was-told-before-a-jump-back-is-told-again",
             what_was_told_before_a_jump_back_is_told_again);
        CASE("fake-clock/a-jump-back-sets-the-alarm-anew", a_jump_back_sets_the_alarm_anew);
        CASE("the-alarm-hears-of-jumps", the_alarm_hears_of_jumps);
        CASE("new-lead-times-tell-what-they-have-new", new_lead_times_tell_what_they_have_new);
        return g_test_run();
}
