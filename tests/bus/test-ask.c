/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "seat.h"

#include <string.h>

#define INTROSPECTABLE "org.freedesktop.DBus.Introspectable"

static Call *listen_below(Seat *seat, const char *name, uint16_t port) {
        return seat_call(seat, name, ROOT, MANAGER, "Listen", "sqa{sv}", "127.0.0.1", port, 0);
}

static const char *error_text(const Call *call) {
        return sd_bus_message_get_error(call->reply)->message;
}

/* Two users, each on the bus under one name; polkit is there. */
static Seat *seat_with_users(void) {
        Seat *seat = seat_new();

        seat_enter(seat, ":1.0", 0);
        seat_enter(seat, ":1.1", 1000);
        seat_enter(seat, ":1.2", 1001);
        seat->has_polkit = true;
        return seat;
}

static void polkit_says_yes(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autoptr(Call) call = listen_below(seat, ":1.1", 1000);
        const char *path;

        seat_run(seat);
        g_assert_null(call->reply);
        g_assert_cmpuint(seat->polkit->len, ==, 1);

        seat_polkit_answers(seat, true, false);
        seat_run(seat);
        g_assert_null(call_error(call));
        g_assert_cmpint(sd_bus_message_read(call->reply, "o", &path), >, 0);
        g_assert_true(g_str_has_prefix(path, ROOT "/listener/"));
        g_assert_cmpuint(quota_used(seat->quota, 1000, QUOTA_CALLS), ==, 0);
        g_assert_cmpuint(quota_used(seat->quota, 1000, QUOTA_FDS), ==, 0);
}

static void polkit_says_no(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autoptr(Call) call = listen_below(seat, ":1.1", 1000);

        seat_run(seat);
        seat_polkit_answers(seat, false, false);
        seat_run(seat);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "NotAuthorized");
        g_assert_null(relay_find_listener(seat->relay, 1));
}

static void polkit_is_not_there(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autoptr(Call) call = NULL;

        seat->has_polkit = false;
        call = listen_below(seat, ":1.1", 1000);
        seat_run(seat);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "NotAuthorized");
        g_assert_nonnull(strstr(error_text(call), "polkit is not there"));
}

static void check_question(sd_bus_message *question, const char *name, uint32_t flags) {
        const char *kind, *key, *value, *action, *detail, *about;
        uint32_t got;

        g_assert_cmpint(sd_bus_message_rewind(question, true), >=, 0);
        g_assert_cmpint(
                sd_bus_message_read(question, "(sa{sv})s", &kind, 1, &key, "s", &value, &action), >,
                0);
        g_assert_cmpstr(kind, ==, "system-bus-name");
        g_assert_cmpstr(key, ==, "name");
        g_assert_cmpstr(value, ==, name);
        g_assert_cmpstr(action, ==, "io.github.dtlsd.dtlsd1.listen");
        g_assert_cmpint(sd_bus_message_read(question, "a{ss}u", 1, &detail, &about, &got), >, 0);
        g_assert_cmpstr(detail, ==, "address");
        g_assert_cmpstr(about, ==, "127.0.0.1:1000");
        g_assert_cmpuint(got, ==, flags);
}

static void asks_about_the_caller(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autoptr(Call) plain = listen_below(seat, ":1.1", 1000);
        g_autoptr(Call) interactive = NULL;
        sd_bus_message *m = seat_message(seat, ":1.2", ROOT, MANAGER, "Listen");

        g_assert_cmpint(sd_bus_message_append(m, "sqa{sv}", "127.0.0.1", 1000, 0), >=, 0);
        g_assert_cmpint(sd_bus_message_set_allow_interactive_authorization(m, true), >=, 0);
        interactive = seat_send(seat, m);
        seat_run(seat);

        g_assert_cmpuint(seat->polkit->len, ==, 2);
        check_question(g_ptr_array_index(seat->polkit, 0), ":1.1", 0);
        check_question(g_ptr_array_index(seat->polkit, 1), ":1.2", 1);
}

static void answer_first(Seat *seat, bool is_authorized) {
        sd_bus_message *question = g_ptr_array_index(seat->polkit, 0);

        g_assert_cmpint(sd_bus_reply_method_return(question, "(bba{ss})", is_authorized, false, 0),
                        >=, 0);
        g_ptr_array_remove_index(seat->polkit, 0);
        seat_run(seat);
}

/* A verdict is for one message: not for another one that carries the same serial. */
static void a_verdict_is_for_its_message(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autoptr(Call) first = listen_below(seat, ":1.1", 1000);
        sd_bus_message *m = seat_message(seat, ":1.1", ROOT, MANAGER, "Listen");

        g_assert_cmpint(sd_bus_message_append(m, "sqa{sv}", "127.0.0.1", 1000, 0), >=, 0);
        g_assert_cmpint(sd_bus_message_seal(m, first->cookie, 0), >=, 0);
        g_assert_cmpint(sd_bus_send(seat->theirs, m, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
        seat_run(seat);
        g_assert_cmpuint(seat->polkit->len, ==, 2);

        answer_first(seat, true);
        g_assert_null(call_error(first));
        g_assert_nonnull(relay_find_listener(seat->relay, 1));
        answer_first(seat, false);
        g_assert_null(relay_find_listener(seat->relay, 2));
}

static void questions_are_bounded(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autoptr(Call) other = NULL;
        Call *calls[9];

        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
                calls[i] = listen_below(seat, ":1.1", (uint16_t)(100 + i));
        seat_run(seat);
        g_assert_cmpuint(seat->polkit->len, ==, 8);
        g_assert_cmpstr(call_error(calls[8]), ==, ERROR_PREFIX "QuotaExceeded");

        /* which is nothing to another user */
        other = listen_below(seat, ":1.2", 100);
        seat_run(seat);
        g_assert_null(other->reply);

        seat_polkit_answers(seat, true, false);
        seat_run(seat);
        for (size_t i = 0; i < 8; i++)
                g_assert_null(call_error(calls[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
                call_free(calls[i]);
}

/* As the unit has it; each of the users has so many open. */
static void fill_questions(Seat *seat, GPtrArray *calls, unsigned n_users, uint16_t n_each) {
        const QuotaLimits limits = quota_limits_default(65536);

        quota_set_limits(seat->quota, &limits);
        for (uid_t uid = 2000; uid < 2000 + n_users; uid++) {
                g_autofree char *name = g_strdup_printf(":2.%u", uid);

                seat_enter(seat, name, uid);
                for (uint16_t i = 0; i < n_each; i++)
                        g_ptr_array_add(calls, listen_below(seat, name, (uint16_t)(100 + i)));
        }
        seat_run(seat);
        g_assert_cmpuint(seat->polkit->len, ==, 64);
}

/* dbus-daemon bears 128 calls of ours at once, and everything that we ask the bus is one. */
static void all_questions_are_bounded(void) {
        g_autoptr(Seat) seat = seat_with_users();
        GPtrArray *calls = g_ptr_array_new_with_free_func((GDestroyNotify)call_free);

        fill_questions(seat, calls, 64, 1);
        {
                g_autoptr(Call) refused = listen_below(seat, ":1.1", 100);
                g_autoptr(Call) other = listen_below(seat, ":1.1", 2000);

                seat_run(seat);
                g_assert_cmpstr(call_error(refused), ==, ERROR_PREFIX "QuotaExceeded");
                g_assert_nonnull(strstr(error_text(refused), "The service has 64 of 64 calls"));
                g_assert_null(call_error(other)); /* about which nobody is asked */
        }

        seat_leave(seat, ":2.2000"); /* gives back its one */
        seat_run(seat);
        {
                g_autoptr(Call) asked = listen_below(seat, ":1.1", 100);

                seat_run(seat);
                g_assert_null(asked->reply);
        }
        g_ptr_array_unref(calls);
}

/* Eight users with all their eight; the ninth is asked too, until it has as many as the others. */
static void who_has_most_questions_gives_way(void) {
        g_autoptr(Seat) seat = seat_with_users();
        GPtrArray *calls = g_ptr_array_new_with_free_func((GDestroyNotify)call_free);
        Call *late[8];
        unsigned n_refused = 0;

        fill_questions(seat, calls, 8, 8);
        for (size_t i = 0; i < G_N_ELEMENTS(late); i++)
                late[i] = listen_below(seat, ":1.1", (uint16_t)(100 + i));
        seat_run(seat);

        for (size_t i = 0; i < 7; i++)
                g_assert_null(late[i]->reply);
        g_assert_cmpstr(call_error(late[7]), ==, ERROR_PREFIX "QuotaExceeded");
        g_assert_cmpuint(seat->n_cancelled, ==, 7);
        for (guint i = 0; i < calls->len; i++) {
                Call *call = g_ptr_array_index(calls, i);

                if (!call->reply)
                        continue;

                n_refused++;
                g_assert_cmpuint(i % 8, ==, 7); /* the last of each */
                g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "QuotaExceeded");
                g_assert_nonnull(strstr(error_text(call), "has most, and so gave way"));
        }
        g_assert_cmpuint(n_refused, ==, 7);

        for (size_t i = 0; i < G_N_ELEMENTS(late); i++)
                call_free(late[i]);
        g_ptr_array_unref(calls);
}

static void a_name_that_no_entry_has_is_not_asked_about(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autofree char *name = g_strnfill(200, 'a');
        g_autoptr(Call) call = seat_call(seat, ":1.1", ROOT, MANAGER, "RemoveIdentity", "s", name);

        seat_run(seat);
        g_assert_cmpuint(seat->polkit->len, ==, 0);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "InvalidInputParameters");
}

static void a_question_goes_with_its_caller(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autoptr(Call) call = listen_below(seat, ":1.1", 1000);

        seat_run(seat);
        seat_leave(seat, ":1.1");
        seat_run(seat);
        g_assert_cmpuint(seat->n_cancelled, ==, 1);
        g_assert_cmpuint(quota_used(seat->quota, 1000, QUOTA_CALLS), ==, 0);

        seat_polkit_answers(seat, true, false);
        seat_run(seat);
        g_assert_null(relay_find_listener(seat->relay, 1));
}

/* ---- what the journal has of it ---- */

void __wrap_log_write(int level, const char *message_id, const char *const *fields,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

static struct {
        unsigned n_lines;
        char *text, *message_id;
        char **fields;
} journal; /* lines that have a message id; the last of them */

/* In the place of log_write(), which has no fields to show here. */
void __wrap_log_write(int level, const char *message_id, const char *const *fields,
                      const char *format, ...) {
        va_list arguments;

        if (!message_id)
                return;

        g_free(journal.text);
        va_start(arguments, format);
        journal.text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_free(journal.message_id);
        journal.message_id = g_strdup(message_id);
        g_strfreev(journal.fields);
        journal.fields = g_strdupv((char **)fields);
        journal.n_lines++;
}

static bool journal_has(const char *field) {
        return g_strv_contains((const char *const *)journal.fields, field);
}

static void a_refusal_is_in_the_journal(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autoptr(Call) call = listen_below(seat, ":1.1", 1000);
        g_autofree char *text = NULL;

        seat_run(seat);
        seat_polkit_answers(seat, false, false);
        seat_run(seat);
        g_assert_cmpuint(strlen(journal.message_id), ==, 32);
        g_assert_true(journal_has("DTLSD_UID=1000"));
        g_assert_true(journal_has("DTLSD_VERB=listen"));
        g_assert_true(journal_has("DTLSD_RULE=Ports below 1024"));
        g_assert_true(journal_has("DTLSD_ADDRESS=127.0.0.1:1000"));
        g_assert_nonnull(strstr(journal.text, "User 1000 may not listen: polkit says no"));
        g_assert_nonnull(strstr(journal.text, "(rule 'Ports below 1024' of "));

        /* where the rule stands is in both, and not in what the caller is told */
        text = g_strdup(strstr(journal.text, " of ") + strlen(" of "));
        *strrchr(text, ':') = '\0';
        {
                g_autofree char *file = g_strconcat("DTLSD_FILE=", text, NULL);

                g_assert_true(journal_has(file));
                g_assert_null(strstr(error_text(call), text));
        }
}

/* Whoever is refused may go on asking. */
static void refusals_do_not_fill_the_journal(void) {
        g_autoptr(Seat) seat = seat_with_users();
        unsigned n_before = journal.n_lines, n_of_one;

        seat->has_polkit = false;
        for (int i = 0; i < 100; i++) {
                g_autoptr(Call) call = listen_below(seat, ":1.1", 1000);

                seat_run(seat);
                g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "NotAuthorized");
        }
        n_of_one = journal.n_lines - n_before;
        g_assert_cmpuint(n_of_one, >, 10);
        g_assert_cmpuint(n_of_one, <, 50);
        {
                g_autoptr(Call) call = listen_below(seat, ":1.2", 1000);

                seat_run(seat);
                g_assert_cmpuint(journal.n_lines, ==, n_before + n_of_one + 1);
                g_assert_true(journal_has("DTLSD_UID=1001"));
        }
}

/* ---- objects ---- */

static Call *close_it(Seat *seat, const char *name, const char *path) {
        return seat_call(seat, name, path, CONNECTION, "Close", "");
}

static void a_foreign_object_is_not_there(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autoptr(Call) foreign = NULL;
        g_autoptr(Call) missing = NULL;
        g_autofree char *text = NULL;

        (void)fake_connection(seat->relay, 1000, ":1.1", true);
        foreign = close_it(seat, ":1.2", ROOT "/connection/1");
        missing = close_it(seat, ":1.2", ROOT "/connection/2");
        seat_run(seat);

        g_assert_cmpstr(call_error(foreign), ==, SD_BUS_ERROR_UNKNOWN_OBJECT);
        g_assert_cmpstr(call_error(missing), ==, SD_BUS_ERROR_UNKNOWN_OBJECT);
        text = g_strdup(error_text(missing));
        text[strlen(ROOT "/connection/") + strlen("Unknown object '")] = '1';
        g_assert_cmpstr(error_text(foreign), ==, text);
        g_assert_cmpint(fake_close_reason(seat->relay), ==, N_END_REASONS);
}

static void seeing_is_not_controlling(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autoptr(Call) same_user = NULL;
        g_autoptr(Call) root = NULL;
        g_autoptr(Call) owner = NULL;

        seat_enter(seat, ":1.10", 1000);
        (void)fake_connection(seat->relay, 1000, ":1.1", true);
        same_user = close_it(seat, ":1.10", ROOT "/connection/1");
        root = close_it(seat, ":1.0", ROOT "/connection/1");
        seat_run(seat);
        g_assert_cmpstr(call_error(same_user), ==, ERROR_PREFIX "NotAuthorized");
        g_assert_cmpstr(call_error(root), ==, ERROR_PREFIX "NotAuthorized");
        g_assert_cmpint(fake_close_reason(seat->relay), ==, N_END_REASONS);

        owner = close_it(seat, ":1.1", ROOT "/connection/1");
        seat_run(seat);
        g_assert_null(call_error(owner));
}

static void a_persistent_object_is_its_users(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autoptr(Call) same_user = NULL;

        seat_enter(seat, ":1.10", 1000);
        (void)fake_connection(seat->relay, 1000, NULL, true);
        same_user = close_it(seat, ":1.10", ROOT "/connection/1");
        seat_run(seat);
        g_assert_null(call_error(same_user));
}

/* A restarted bus hands out the same unique names, to others. */
static void a_name_alone_proves_nothing(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autoptr(Call) call = NULL;

        (void)fake_connection(seat->relay, 1000, ":1.0", true);
        call = close_it(seat, ":1.0", ROOT "/connection/1"); /* root's now */
        seat_run(seat);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "NotAuthorized");
}

static char *introspect(Seat *seat, const char *name, const char *path) {
        g_autoptr(Call) call = seat_call(seat, name, path, INTROSPECTABLE, "Introspect", "");
        const char *xml;

        seat_run(seat);
        if (call_error(call))
                return g_strdup(call_error(call));

        g_assert_cmpint(sd_bus_message_read(call->reply, "s", &xml), >, 0);
        return g_strdup(xml);
}

static void introspection_shows_ones_own(void) {
        g_autoptr(Seat) seat = seat_with_users();
        g_autofree char *own = NULL;
        g_autofree char *foreign = NULL;
        g_autofree char *object = NULL;

        (void)fake_connection(seat->relay, 1000, ":1.1", true);
        own = introspect(seat, ":1.1", ROOT "/connection");
        foreign = introspect(seat, ":1.2", ROOT "/connection");
        object = introspect(seat, ":1.2", ROOT "/connection/1");

        g_assert_nonnull(strstr(own, "<node name=\"1\""));
        g_assert_null(strstr(foreign, "<node name="));
        g_assert_cmpstr(object, ==, SD_BUS_ERROR_UNKNOWN_OBJECT);
}

static unsigned n_managed(Seat *seat, const char *name) {
        g_autoptr(Call) call = seat_call(seat, name, ROOT, "org.freedesktop.DBus.ObjectManager",
                                         "GetManagedObjects", "");
        unsigned n = 0;

        seat_run(seat);
        g_assert_null(call_error(call));
        g_assert_cmpint(sd_bus_message_enter_container(call->reply, 'a', "{oa{sa{sv}}}"), >, 0);
        while (sd_bus_message_enter_container(call->reply, 'e', "oa{sa{sv}}") > 0) {
                const char *path;

                g_assert_cmpint(sd_bus_message_read(call->reply, "o", &path), >, 0);
                n += strstr(path, "/connection/") != NULL;
                g_assert_cmpint(sd_bus_message_skip(call->reply, "a{sa{sv}}"), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(call->reply), >=, 0);
        }

        return n;
}

static void managed_objects_are_ones_own(void) {
        g_autoptr(Seat) seat = seat_with_users();

        (void)fake_connection(seat->relay, 1000, ":1.1", true);
        (void)fake_connection(seat->relay, 1001, ":1.2", true);
        (void)fake_connection(seat->relay, 1000, NULL, true);
        g_assert_cmpuint(n_managed(seat, ":1.1"), ==, 2);
        g_assert_cmpuint(n_managed(seat, ":1.2"), ==, 1);
        g_assert_cmpuint(n_managed(seat, ":1.0"), ==, 3);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bus/ask/a-yes-of-polkit-lets-the-call-run-again", polkit_says_yes);
        g_test_add_func("/bus/ask/a-no-of-polkit-has-no-effect", polkit_says_no);
        g_test_add_func("/bus/ask/without-polkit-the-answer-is-no-and-says-so",
                        polkit_is_not_there);
        g_test_add_func("/bus/ask/polkit-is-asked-about-the-caller-and-the-address",
                        asks_about_the_caller);
        g_test_add_func("/bus/ask/a-verdict-is-for-its-message-alone",
                        a_verdict_is_for_its_message);
        g_test_add_func("/bus/ask/a-user-has-so-many-questions", questions_are_bounded);
        g_test_add_func("/bus/ask/all-users-together-have-so-many-questions",
                        all_questions_are_bounded);
        g_test_add_func("/bus/ask/who-has-most-questions-gives-way",
                        who_has_most_questions_gives_way);
        g_test_add_func("/bus/ask/a-name-that-no-entry-has-is-not-asked-about",
                        a_name_that_no_entry_has_is_not_asked_about);
        g_test_add_func("/bus/ask/a-question-goes-with-its-caller",
                        a_question_goes_with_its_caller);
        g_test_add_func("/bus/ask/a-refusal-is-in-the-journal", a_refusal_is_in_the_journal);
        g_test_add_func("/bus/ask/refusals-do-not-fill-the-journal",
                        refusals_do_not_fill_the_journal);
        g_test_add_func("/bus/see/a-foreign-object-is-as-one-that-is-not-there",
                        a_foreign_object_is_not_there);
        g_test_add_func("/bus/see/introspection-shows-ones-own", introspection_shows_ones_own);
        g_test_add_func("/bus/see/managed-objects-are-ones-own", managed_objects_are_ones_own);
        g_test_add_func("/bus/control/who-sees-an-object-may-not-control-it",
                        seeing_is_not_controlling);
        g_test_add_func("/bus/control/a-persistent-object-is-its-users",
                        a_persistent_object_is_its_users);
        g_test_add_func("/bus/control/a-name-alone-proves-nothing", a_name_alone_proves_nothing);
        return g_test_run();
}
