/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The two tables of states in interfaces/README.md, cell by cell: a connection is brought to the
 * state, the call is made, and what comes of it, the new state and the property Error are as the
 * cell says. The tables are the only place where that is said. The second is of Transport
 * "external": what it has no row for has to be as in the first.
 */

#include "state-table.h"
#include "subject.h"

#include <string.h>

#define GONE "gone"

static const char *const role_names[] = {"client", "listener's", "server", NULL};
static const Role roles[] = {
        {"client", false}, {"listener's", false}, {"client", true}, {"server", true}};

/* ---- the calls ---- */

#define APPEND(name, ...)                                                                          \
        static int append_##name(sd_bus_message *m) {                                              \
                return sd_bus_message_append(m, __VA_ARGS__);                                      \
        }

APPEND(peer, "sqs", "127.0.0.1", 5684, "")
APPEND(name, "s", "localhost")
APPEND(mtu, "q", 1280)
APPEND(bytes, "ay", 0)
APPEND(datagram, "ay", 1, 'x')
APPEND(options, "a{sv}", 0)
APPEND(errors, "a(say)", 0)
APPEND(export, "sayu", "EXPORTER-test", 0, 16)
APPEND(cookie, "say", "Sha256", 1, 's')
APPEND(share, "sas", "uid:5", 1, "read")
APPEND(subject, "s", "uid:5")

static int append_psk(sd_bus_message *m) {
        int r;

        r = sd_bus_message_append_array(m, 'y', PSK_IDENTITY, strlen(PSK_IDENTITY));
        return r < 0 ? r : sd_bus_message_append_array(m, 'y', PSK_KEY, strlen(PSK_KEY));
}

/* By a row's first cell, with arguments that are right. */
static const struct {
        const char *call;
        int (*append)(sd_bus_message *m); /* NULL: it has none */
} calls[] = {
        {"SetPeer", append_peer},
        {"SetPeerVerificationName", append_name},
        {"SetConfiguration", append_options},
        {"SetMtuHint", append_mtu},
        {"IgnoreVerificationErrors", append_errors},
        {"DoHandshake, empty", append_bytes},
        {"DoHandshake, a datagram", append_datagram},
        {"HandleTimeout", NULL},
        {"ResumeHandshake", NULL},
        {"AbortHandshake", NULL},
        {"ProvidePsk", append_psk},
        {"RefusePsk", NULL},
        {"WriteDatagramEncrypted", append_datagram},
        {"ReadDatagram", append_options},
        {"DecryptDatagram", append_datagram},
        {"OpenCarrier", NULL},
        {"OpenChannel", append_options},
        {"ExportKeyingMaterial", append_export},
        {"GetSessionTicket", NULL},
        {"Shutdown", NULL},
        {"Share", append_share},
        {"Unshare", append_subject},
        {"Close", NULL},
        {"SetCookieGeneratorParameters", append_cookie},
        {"GetCookieGeneratorParameters", NULL},
};

static int append_given(sd_bus_message *m, GBytes *datagram) {
        return sd_bus_message_append_array(m, 'y', g_bytes_get_data(datagram, NULL),
                                           g_bytes_get_size(datagram));
}

static sd_bus_message *call_new(const Subject *subject, const StateRow *row) {
        g_autofree char *method = state_row_method(row);
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(subject->world->bus, &m, NAME, subject->path,
                                                       CONNECTION, method),
                        >=, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
                if (!g_str_equal(calls[i].call, row->call))
                        continue;
                if (subject->datagram)
                        g_assert_cmpint(append_given(m, subject->datagram), >=, 0);
                else if (calls[i].append)
                        g_assert_cmpint(calls[i].append(m), >=, 0);
                return m;
        }

        g_error("this test does not know how to call %s", row->call);
}

/* ---- what comes of them ---- */

typedef struct Result {
        bool worked;
        char *text;            /* "works", "true", "false", or the error's name without prefix */
        sd_bus_message *reply; /* it may hold a channel open */
} Result;

static void result_done(Result *result) {
        g_free(result->text);
        (void)sd_bus_message_unref(result->reply);
}

static Result make_call(const Subject *subject, const StateRow *row) {
        sd_bus_message *m = call_new(subject, row);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        Result result = {.worked = true};
        int yes;

        if (sd_bus_call(subject->world->bus, m, CALL_USEC, &error, &result.reply) < 0) {
                g_assert_true(g_str_has_prefix(error.name, ERROR_PREFIX));
                g_assert_cmpstr(error.message, !=, "");
                result.worked = false;
                result.text = g_strdup(error.name + strlen(ERROR_PREFIX));
        } else if (sd_bus_message_has_signature(result.reply, "b")) {
                g_assert_cmpint(sd_bus_message_read(result.reply, "b", &yes), >=, 0);
                result.text = g_strdup(yes ? "true" : "false");
        } else {
                result.text = g_strdup("works");
        }
        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(m);
        return result;
}

/* What the property Error begins with after the call. */
static const char *expected_error(const Subject *subject, const StateRow *row, const Result *result,
                                  const char *state, const char *before) {
        bool is_read = g_str_has_prefix(row->call, "Get"); /* it does nothing else */

        if (result->worked && (subject->has_end || is_read || g_str_equal(state, FAILED)))
                return before;
        if (result->worked)
                return "NoError: ";
        if (g_str_equal(result->text, "TimedOut"))
                return before; /* that nothing has arrived is no error */

        return g_str_equal(result->text, "ChannelInUse") ? "InvalidOperation" : result->text;
}

static bool is_gone(void *userdata) {
        const Subject *subject = userdata;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char *state = NULL;
        bool gone;

        (void)sd_bus_get_property_string(subject->world->bus, NAME, subject->path, CONNECTION,
                                         "HandshakeState", &error, &state);
        gone = g_strcmp0(error.name, "org.freedesktop.DBus.Error.UnknownObject") == 0;
        sd_bus_error_free(&error);
        free(state);
        return gone;
}

static void check_gone(Subject *subject) {
        bus_wait(subject->world->bus, is_gone, subject, "the object's end");
}

/* @to: the state it leads to; @error: how Error begins then. */
static void check_after(Subject *subject, const char *to, const char *expected) {
        g_autofree char *error = NULL;

        if (g_str_equal(to, GONE)) {
                check_gone(subject);
                return;
        }

        wait_string(subject->world->bus, subject->path, CONNECTION, "HandshakeState", to);
        error = get_error(subject->world->bus, subject->path);
        if (!g_str_has_prefix(error, expected))
                g_error("Error is '%s', it should be %s", error, expected);
}

static void check_outcome(Subject *subject, const StateRow *row, const char *state,
                          const char *outcome) {
        g_auto(GStrv) words = g_strsplit(outcome, " ", -1);
        bool moves = g_str_equal(words[0], "→");
        bool has_with = moves && g_strcmp0(words[2], "with") == 0;
        const char *to = moves ? words[1] : state;
        g_autofree char *before = NULL;
        Result result;

        if (!subject->has_end) /* for what works to clear */
                g_free(call_refused("InvalidInputParameters", subject->world->bus, subject->path,
                                    CONNECTION, "SetMtuHint", "q", 1));
        before = get_error(subject->world->bus, subject->path);

        result = make_call(subject, row);
        g_assert_cmpstr(result.text, ==,
                        moves                        ? "works"
                        : g_str_equal(outcome, "op") ? "InvalidOperation"
                                                     : outcome);
        check_after(subject, to,
                    has_with ? words[3] : expected_error(subject, row, &result, to, before));
        result_done(&result);
}

static void check_clause(World *world, const StateRow *row, const Role *role, const char *state,
                         const StateClause *clause) {
        Subject subject;

        g_test_message("%s of a %s%s in %s, %s: %s", row->call, role->name,
                       role->external ? " with Transport external" : "", state,
                       *clause->situation ? clause->situation : "as usual", clause->outcome);
        subject_init(&subject, world, role, state, clause->situation);
        check_outcome(&subject, row, state, clause->outcome);
        subject_done(&subject);
}

/* ---- the tests ---- */

/* A row, and whose it is. */
typedef struct Case {
        const StateTable *table;
        const StateRow *row;
        bool udp, external;
} Case;

static bool is_about(const StateClause *clause, const Role *role) {
        return !clause->who || g_strv_contains((const char *const *)clause->who, role->name);
}

static bool has_role(const Case *a_case, const Role *role) {
        return role->external ? a_case->external : a_case->udp;
}

/* A part of a cell, for each role it is about; how many that were. */
static unsigned check_part(World *world, const Case *a_case, const char *state, const char *part,
                           unsigned n_usual[G_N_ELEMENTS(roles)]) {
        StateClause clause = state_clause_parse(part, role_names);
        unsigned n_roles = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(roles); i++) {
                if (!has_role(a_case, &roles[i]) || !is_about(&clause, &roles[i]))
                        continue;

                check_clause(world, a_case->row, &roles[i], state, &clause);
                n_usual[i] += *clause.situation == '\0';
                n_roles++;
        }
        state_clause_done(&clause);
        return n_roles;
}

/* Each part is about somebody, and each role has one as usual. */
static void check_cell(World *world, const Case *a_case, const char *state, const char *cell) {
        g_auto(GStrv) parts = g_strsplit(cell, "; ", -1);
        unsigned n_usual[G_N_ELEMENTS(roles)] = {0};

        for (size_t i = 0; parts[i]; i++)
                if (check_part(world, a_case, state, parts[i], n_usual) == 0)
                        g_error("%s in %s: '%s' is about nobody", a_case->row->call, state,
                                parts[i]);

        for (size_t i = 0; i < G_N_ELEMENTS(roles); i++)
                if (n_usual[i] != has_role(a_case, &roles[i]))
                        g_error("%s in %s is said %u times for a %s", a_case->row->call, state,
                                n_usual[i], roles[i].name);
}

static void test_row(const void *data) {
        const Case *a_case = data;
        World world;

        world_set_up(&world);
        for (size_t i = 0; a_case->table->states[i]; i++)
                check_cell(&world, a_case, a_case->table->states[i], a_case->row->cells[i]);
        world_tear_down(&world);
}

static char *read_interfaces(const char *name) {
        g_autofree char *path = g_build_filename(g_getenv("DTLSD_INTERFACES"), name, NULL);
        char *text;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return text;
}

static GHashTable *row_methods(const StateTable *table) {
        GHashTable *methods = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (guint i = 0; i < table->rows->len; i++)
                (void)g_hash_table_add(methods, state_row_method(table->rows->pdata[i]));
        return methods;
}

static void test_every_method_has_a_row(const void *data) {
        g_autofree char *xml = read_interfaces(CONNECTION ".xml");
        g_autoptr(GRegex) pattern = g_regex_new("<method name=\"(\\w+)\"", 0, 0, NULL);
        g_autoptr(GHashTable) methods = row_methods(data);
        g_autoptr(GMatchInfo) match = NULL;

        for (g_regex_match(pattern, xml, 0, &match); g_match_info_matches(match);
             g_match_info_next(match, NULL)) {
                g_autofree char *method = g_match_info_fetch(match, 1);

                if (!g_hash_table_remove(methods, method))
                        g_error("%s has no row", method);
        }
        g_assert_cmpuint(g_hash_table_size(methods), ==, 0);
}

static void add_row(const char *folder, Case *a_case) {
        g_auto(GStrv) words = g_strsplit(a_case->row->call, ", ", 2);
        g_autofree char *how = words[1] ? g_strdelimit(g_strdup(words[1]), " ", '-') : NULL;
        g_autofree char *path = how ? g_strdup_printf("/states/%s/%s/%s", folder, words[0], how)
                                    : g_strdup_printf("/states/%s/%s", folder, words[0]);

        g_test_add_data_func_full(path, a_case, test_row, g_free);
}

static void add_tables(const StateTable *all, const StateTable *external) {
        for (guint i = 0; i < all->rows->len; i++) {
                const StateRow *row = g_ptr_array_index(all->rows, i);
                bool is_both = !state_table_find(external, row->call);

                add_row("of", g_memdup2(&(Case){all, row, true, is_both}, sizeof(Case)));
        }
        for (guint i = 0; i < external->rows->len; i++) {
                const StateRow *row = g_ptr_array_index(external->rows, i);

                if (!state_table_find(all, row->call))
                        g_error("%s has no row in the first table", row->call);
                add_row("external", g_memdup2(&(Case){external, row, false, true}, sizeof(Case)));
        }
}

int main(int argc, char **argv) {
        g_autofree char *text = read_interfaces("README.md");
        g_autoptr(StateTable) all =
                state_table_read(text, "## What a connection may do in which state");
        g_autoptr(StateTable) external = state_table_read(text, "With Transport `external`");

        g_test_init(&argc, &argv, NULL);
        g_test_add_data_func("/states/every-method-has-a-row", all, test_every_method_has_a_row);
        add_tables(all, external);
        return g_test_run();
}
