/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Actions: the three lists are one. The methods of interfaces/ with the verbs that the table of its
 * README gives them, the verbs of the rules, and the actions of polkit have the same in them; and a
 * call of each method, for each of its verbs, is refused when that verb is denied, asked about when
 * it is to be asked, and not refused when what the table names is all that is allowed.
 */

#include "base/terms.h"
#include "bus/private.h"
#include "lib/contract.h"
#include "seat.h"

#include <string.h>

#define CALLER ":1.1"
#define ACTION_PREFIX "io.github.dtlsd.dtlsd1."
#define NOT_AUTHORIZED ERROR_PREFIX "NotAuthorized"

typedef struct World {
        Seat *seat;
        Contract *contract;
} World;

static void set_up(World *world, const void *unused) {
        world->contract = contract_new();
        world->seat = seat_new();
        world->seat->has_polkit = true;
        seat_enter(world->seat, CALLER, 1000);
}

static void tear_down(World *world, const void *unused) {
        world->seat = seat_free(world->seat);
        world->contract = contract_free(world->contract);
}

/* ---- the lists ---- */

static GHashTable *set_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void assert_has(GHashTable *set, GHashTable *of, const char *name) {
        GHashTableIter words;
        gpointer word;

        g_hash_table_iter_init(&words, of);
        while (g_hash_table_iter_next(&words, &word, NULL))
                if (!g_hash_table_contains(set, word))
                        g_error("'%s' is not in %s", (char *)word, name);
}

static void assert_same(GHashTable *one, const char *name, GHashTable *other,
                        const char *other_name) {
        g_assert_cmpuint(g_hash_table_size(one), >, 0);
        assert_has(one, other, name);
        assert_has(other, one, other_name);
}

static void test_each_method_of_the_code_is_in_the_table(World *world, const void *unused) {
        static const struct {
                const char *interface;
                const sd_bus_vtable *vtable;
        } tables[] = {
                {"Manager", manager_vtable},         {"Connection", connection_vtable},
                {"Identity", identity_vtable},       {"Listener", listener_vtable},
                {"ClientVerifier", verifier_vtable},
        };
        g_autoptr(GHashTable) in_code = set_new();
        g_autoptr(GHashTable) in_table = set_new();

        for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
                for (const sd_bus_vtable *row = tables[i].vtable + 1;
                     row->type != _SD_BUS_VTABLE_END; row++)
                        if (row->type == _SD_BUS_VTABLE_METHOD)
                                (void)g_hash_table_add(in_code,
                                                       g_strdup_printf("%s.%s", tables[i].interface,
                                                                       row->x.method.member));

        for (guint i = 0; i < world->contract->methods->len; i++) {
                const ContractMethod *method = world->contract->methods->pdata[i];

                if (method->who)
                        (void)g_hash_table_add(in_table, g_strdup(method->name));
        }

        assert_same(in_code, "the code", in_table, "the table");
}

static GHashTable *verbs_of_the_rules(void) {
        GHashTable *verbs = set_new();

        for (AccessVerb verb = 0; verb < N_ACCESS_VERBS; verb++)
                (void)g_hash_table_add(verbs, g_strdup(access_verb_name(verb)));

        return verbs;
}

static void test_each_verb_is_of_a_method(World *world, const void *unused) {
        g_autoptr(GHashTable) in_code = verbs_of_the_rules();
        g_autoptr(GHashTable) in_table = set_new();

        for (guint i = 0; i < world->contract->methods->len; i++) {
                const ContractMethod *method = world->contract->methods->pdata[i];

                for (char **verb = method->verbs; verb && *verb; verb++)
                        (void)g_hash_table_add(in_table, g_strdup(*verb));
        }

        /* kept for a method to come, and asked within handshakes; that no other is, is what the
         * comparison says */
        g_assert_true(g_hash_table_add(in_table, g_strdup("key-log")));
        g_assert_true(g_hash_table_add(in_table, g_strdup("rest-psk")));
        assert_same(in_code, "the rules", in_table, "the table");
}

/* Polkit refuses to be asked about an action that no policy file has, and any rule may ask. */
static void test_each_verb_is_an_action_of_the_service(World *world, const void *unused) {
        g_autoptr(GRegex) action =
                g_regex_new("<action id=\"" ACTION_PREFIX "([^\"]+)\">(?:(?!</action>).)*"
                            "policykit.owner\">unix-user:dtlsd<",
                            G_REGEX_DOTALL, 0, NULL);
        g_autoptr(GHashTable) in_code = verbs_of_the_rules();
        g_autoptr(GHashTable) in_policy = set_new();
        g_autoptr(GMatchInfo) match = NULL;
        g_autofree char *policy = NULL;

        g_assert_true(g_file_get_contents(POLKIT_POLICY, &policy, NULL, NULL));
        for (g_regex_match(action, policy, 0, &match); g_match_info_matches(match);
             g_match_info_next(match, NULL))
                g_assert_true(g_hash_table_add(in_policy, g_match_info_fetch(match, 1)));

        assert_same(in_code, "the rules", in_policy, "the policy of polkit");
}

/* Polkit keeps an authentication for an action, whatever it was about: so of what is about
 * something it keeps none, and says what that is. */
static void test_what_is_about_something_is_asked_each_time(World *world, const void *unused) {
        static const char *const about[][2] = {
                {"connect", "$(address)"},
                {"listen", "$(address)"},
                {"use", "$(entry)"},
                {"manage-store", "$(entry)"},
        };
        g_autofree char *policy = NULL;

        g_assert_true(g_file_get_contents(POLKIT_POLICY, &policy, NULL, NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(about); i++) {
                g_autofree char *start =
                        g_strdup_printf("<action id=\"" ACTION_PREFIX "%s\">", about[i][0]);
                const char *action = strstr(policy, start);
                g_autofree char *text = NULL;

                g_assert_nonnull(action);
                text = g_strndup(action, strstr(action, "</action>") - action);
                g_assert_nonnull(strstr(text, about[i][1]));
                g_assert_null(strstr(text, "_keep"));
        }
}

/* And so what follows leaves none out. */
static void test_each_verb_of_a_method_has_a_call(World *world, const void *unused) {
        g_autoptr(GHashTable) in_calls = set_new();
        g_autoptr(GHashTable) in_table = set_new();

        for (guint i = 0; i < world->contract->calls->len; i++) {
                const ContractCall *call = world->contract->calls->pdata[i];

                (void)g_hash_table_add(in_calls, g_strdup(call->method->name));
                if (call->verb)
                        (void)g_hash_table_add(
                                in_calls, g_strdup_printf("%s %s", call->method->name, call->verb));
        }
        for (guint i = 0; i < world->contract->methods->len; i++) {
                const ContractMethod *method = world->contract->methods->pdata[i];

                (void)g_hash_table_add(in_table, g_strdup(method->name));
                for (char **verb = method->verbs; verb && *verb; verb++)
                        (void)g_hash_table_add(in_table,
                                               g_strdup_printf("%s %s", method->name, *verb));
        }

        assert_same(in_calls, "contract.calls", in_table, "the table");
}

/* ---- what they say is done ---- */

static void append_rule(GString *text, const char *verdict, const char *verb) {
        g_string_append_printf(text, "[%s %s]\nSubjects=any\nVerdict=%s\n", verdict, verb, verdict);
        if (g_str_equal(verb, "connect"))
                g_string_append(text, "Connect=*\n");
        else if (g_str_equal(verb, "listen"))
                g_string_append(text, "Listen=*\n");
        else if (g_str_equal(verb, "use"))
                g_string_append(text, "Use=identity:*;psk:*;trust:*\n");
        else
                g_string_append_printf(text, "May=%s\n", verb);
}

/* This @verdict for @verb (NULL: none), and all others allowed. */
static void rule_but(const World *world, const char *verdict, const char *verb) {
        g_autoptr(GString) rules = g_string_new(NULL);
        g_autofree char *wrong = NULL;
        Access *access = access_new();

        append_rule(rules, verdict, verb);
        for (AccessVerb other = 0; other < N_ACCESS_VERBS; other++)
                append_rule(rules, "allow", access_verb_name(other));
        g_assert_cmpint(access_read(access, "test", rules->str, &wrong), ==, 0);
        access_replace(world->seat->access, access);
}

/* What is not in @verbs is denied; NULL: none. */
static void rule_only(const World *world, char **verbs) {
        g_autoptr(GString) rules = g_string_new(NULL);
        g_autofree char *wrong = NULL;
        Access *access = access_new();

        for (; verbs && *verbs; verbs++)
                append_rule(rules, "allow", *verbs);
        g_assert_cmpint(access_read(access, "test", rules->str, &wrong), ==, 0);
        access_replace(world->seat->access, access);
}

/* Of an object that was made for it. */
static Call *make(const World *world, const ContractCall *call) {
        Relay *relay = world->seat->relay;
        const char *member = strchr(call->method->name, '.') + 1;
        g_autofree char *interface = g_strdup_printf(
                NAME ".%.*s", (int)(member - 1 - call->method->name), call->method->name);
        g_autofree char *path = NULL;
        sd_bus_message *m;
        Call *made;

        if (g_str_equal(interface, CONNECTION))
                path = g_strdup_printf(ROOT "/connection/%u",
                                       fake_id(fake_connection(relay, 1000, CALLER, true)));
        else if (g_str_equal(interface, DTLSD_INTERFACE_LISTENER))
                path = g_strdup_printf(ROOT "/listener/%u",
                                       listener_facts(fake_listener(relay, 1000, CALLER)).id);
        else if (g_str_equal(interface, DTLSD_INTERFACE_VERIFIER))
                path = g_strdup_printf(ROOT "/verifier/%u",
                                       verifier_facts(fake_verifier(relay, 1000, CALLER)).id);

        m = seat_message(world->seat, CALLER, path ? path : ROOT, interface, member);
        contract_append(m, call, call->arguments);
        made = seat_send(world->seat, m);
        seat_run(world->seat);
        return made;
}

static const char *error_of(const Call *made) {
        return made->reply && call_error(made) ? call_error(made) : "";
}

static void test_what_is_denied_is_refused(World *world, const void *unused) {
        for (guint i = 0; i < world->contract->calls->len; i++) {
                const ContractCall *call = world->contract->calls->pdata[i];
                g_autofree char *words = g_strdup_printf("User 1000 may not %s here", call->verb);
                g_autoptr(Call) made = NULL;

                if (!call->verb)
                        continue;

                rule_but(world, "deny", call->verb);
                made = make(world, call);
                g_test_message("%s without %s", call->method->name, call->verb);
                g_assert_cmpstr(error_of(made), ==, NOT_AUTHORIZED);
                if (!g_str_equal(call->verb, "inspect")) /* is no question of its own there */
                        g_assert_true(g_str_has_prefix(
                                sd_bus_message_get_error(made->reply)->message, words));
        }
}

/* Who may be asked about may hear what there is, which here is nothing. */
static bool is_unknown(const ContractCall *call, const Call *made) {
        return g_str_equal(call->verb, "use") && !strstr(call->arguments, "Psks") &&
               g_str_equal(error_of(made), ERROR_PREFIX "InvalidInputParameters");
}

static void test_what_is_to_be_asked_is_asked(World *world, const void *unused) {
        for (guint i = 0; i < world->contract->calls->len; i++) {
                const ContractCall *call = world->contract->calls->pdata[i];
                g_autofree char *expected = g_strconcat(ACTION_PREFIX, call->verb, NULL);
                g_autoptr(Call) made = NULL;
                sd_bus_message *question;
                const char *action;

                if (!call->verb || g_str_equal(call->verb, "inspect")) /* it cannot wait */
                        continue;

                rule_but(world, "ask", call->verb);
                made = make(world, call);
                if (is_unknown(call, made))
                        continue;

                g_test_message("%s asks for %s", call->method->name, call->verb);
                g_assert_cmpuint(world->seat->polkit->len, ==, 1);
                question = world->seat->polkit->pdata[0];
                g_assert_cmpint(sd_bus_message_skip(question, "(sa{sv})"), >, 0);
                g_assert_cmpint(sd_bus_message_read(question, "s", &action), >, 0);
                g_assert_cmpstr(action, ==, expected);

                seat_polkit_answers(world->seat, false, false);
                seat_run(world->seat);
                g_assert_cmpstr(error_of(made), ==, NOT_AUTHORIZED);
        }
}

static void test_what_the_table_names_is_enough(World *world, const void *unused) {
        for (guint i = 0; i < world->contract->calls->len; i++) {
                const ContractCall *call = world->contract->calls->pdata[i];
                g_autoptr(Call) made = NULL;

                rule_only(world, call->verb ? call->method->verbs : NULL);
                made = make(world, call);
                if (g_str_equal(error_of(made), NOT_AUTHORIZED))
                        g_error("%s%s: %s", call->method->name, call->arguments,
                                sd_bus_message_get_error(made->reply)->message);
                /* nor is it refused for another reason before it is asked about */
                g_assert_cmpstr(error_of(made), !=, SD_BUS_ERROR_INVALID_ARGS);
                seat_forget(world->seat);
        }
}

#define ADD(path, function) g_test_add("/actions/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("each-method-of-the-code-is-in-the-table",
            test_each_method_of_the_code_is_in_the_table);
        ADD("each-verb-is-of-a-method", test_each_verb_is_of_a_method);
        ADD("each-verb-is-an-action-of-the-service", test_each_verb_is_an_action_of_the_service);
        ADD("what-is-about-something-is-asked-each-time",
            test_what_is_about_something_is_asked_each_time);
        ADD("each-verb-of-a-method-has-a-call", test_each_verb_of_a_method_has_a_call);
        ADD("what-is-denied-is-refused", test_what_is_denied_is_refused);
        ADD("what-is-to-be-asked-is-asked", test_what_is_to_be_asked_is_asked);
        ADD("what-the-table-names-is-enough", test_what_the_table_names_is_enough);
        return g_test_run();
}
