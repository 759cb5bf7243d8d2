/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* access: the shipped defaults, as the contract states them, and the polkit policy beside them. */

#include "access/access.h"

#include <glib.h>
#include <string.h>

#define ALICE 1000

static AccessVerdict decide(uid_t uid, AccessVerb verb, const Address *address) {
        AccessQuestion question = {.uid = uid, .verb = verb, .address = address};
        const char *rule = NULL;
        AccessVerdict verdict;

        verdict = access_decide(&question, &rule);
        g_assert_nonnull(rule);
        g_assert_true(g_str_has_prefix(rule, "shipped default: "));
        return verdict;
}

static AccessVerdict decide_at(uid_t uid, AccessVerb verb, const char *text, uint16_t port) {
        Address address;

        g_assert_cmpint(address_parse(text, port, &address), ==, 0);
        return decide(uid, verb, &address);
}

static void test_any_user_may_connect(void) {
        g_assert_cmpint(decide_at(ALICE, ACCESS_CONNECT, "192.0.2.1", 5684), ==, ACCESS_ALLOW);
        g_assert_cmpint(decide_at(ALICE, ACCESS_CONNECT, "2001:db8::1", 443), ==, ACCESS_ALLOW);
        g_assert_cmpint(decide(ALICE, ACCESS_CONNECT, NULL), ==, ACCESS_ALLOW);
}

static void test_listening_below_1024_asks(void) {
        g_assert_cmpint(decide_at(ALICE, ACCESS_LISTEN, "0.0.0.0", 1), ==, ACCESS_ASK);
        g_assert_cmpint(decide_at(ALICE, ACCESS_LISTEN, "127.0.0.1", 853), ==, ACCESS_ASK);
        g_assert_cmpint(decide_at(ALICE, ACCESS_LISTEN, "::", 1023), ==, ACCESS_ASK);
        g_assert_cmpint(decide_at(ALICE, ACCESS_LISTEN, "::", 1024), ==, ACCESS_ALLOW);
        g_assert_cmpint(decide_at(ALICE, ACCESS_LISTEN, "0.0.0.0", 65535), ==, ACCESS_ALLOW);
}

static void test_a_port_that_the_kernel_picks_is_anybodys(void) {
        g_assert_cmpint(decide_at(ALICE, ACCESS_LISTEN, "0.0.0.0", 0), ==, ACCESS_ALLOW);
}

static void test_own_objects_are_the_users_business(void) {
        g_assert_cmpint(decide(ALICE, ACCESS_PERSISTENT, NULL), ==, ACCESS_ALLOW);
        g_assert_cmpint(decide(ALICE, ACCESS_VERIFY_NONE, NULL), ==, ACCESS_ALLOW);
}

static void test_what_concerns_others_asks(void) {
        g_assert_cmpint(decide(ALICE, ACCESS_INSPECT, NULL), ==, ACCESS_ASK);
        g_assert_cmpint(decide(ALICE, ACCESS_LEGACY_PROTOCOL, NULL), ==, ACCESS_ASK);
}

static void test_root_may_all(void) {
        for (int verb = 0; verb < N_ACCESS_VERBS; verb++)
                g_assert_cmpint(decide(0, verb, NULL), ==, ACCESS_ALLOW);

        g_assert_cmpint(decide_at(0, ACCESS_LISTEN, "0.0.0.0", 853), ==, ACCESS_ALLOW);
}

static void test_being_in_roots_group_is_not_being_root(void) {
        const gid_t gids[] = {0};
        AccessQuestion question = {.uid = ALICE, .gids = gids, .n_gids = 1, .verb = ACCESS_INSPECT};
        const char *rule;

        g_assert_cmpint(access_decide(&question, &rule), ==, ACCESS_ASK);
}

static void test_a_rule_says_which_it_is(void) {
        AccessQuestion question = {.uid = ALICE, .verb = ACCESS_LISTEN};
        Address address = address_any(AF_INET, 853);
        const char *rule;

        question.address = &address;
        (void)access_decide(&question, &rule);
        g_assert_nonnull(strstr(rule, "below port 1024"));
}

static unsigned count_of(const char *text, const char *what) {
        unsigned n = 0;

        for (text = strstr(text, what); text; text = strstr(text + 1, what))
                n++;
        return n;
}

/* Polkit refuses to be asked about an action that no policy file has. */
static void test_what_asks_is_an_action_of_polkit(void) {
        Address privileged = address_any(AF_INET, 853);
        g_autofree char *policy = NULL;
        unsigned n_asking = 0;

        g_assert_true(g_file_get_contents(POLKIT_POLICY, &policy, NULL, NULL));
        for (int verb = 0; verb < N_ACCESS_VERBS; verb++) {
                g_autofree char *action =
                        g_strdup_printf("<action id=\"io.github.dtlsd.dtlsd1.%s\">",
                                        access_verb_name((AccessVerb)verb));
                bool asks = decide(ALICE, verb, &privileged) == ACCESS_ASK;

                g_test_message("%s: %d", action, asks);
                g_assert_cmpuint(count_of(policy, action), ==, asks);
                n_asking += asks;
        }
        g_assert_cmpuint(n_asking, >, 0);
        g_assert_cmpuint(count_of(policy, "<action id="), ==, n_asking);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/access/any-user-may-connect", test_any_user_may_connect);
        g_test_add_func("/access/listening-below-1024-asks", test_listening_below_1024_asks);
        g_test_add_func("/access/a-port-that-the-kernel-picks-is-anybodys",
                        test_a_port_that_the_kernel_picks_is_anybodys);
        g_test_add_func("/access/own-objects-are-the-users-business",
                        test_own_objects_are_the_users_business);
        g_test_add_func("/access/what-concerns-others-asks", test_what_concerns_others_asks);
        g_test_add_func("/access/root-may-all", test_root_may_all);
        g_test_add_func("/access/being-in-roots-group-is-not-being-root",
                        test_being_in_roots_group_is_not_being_root);
        g_test_add_func("/access/a-rule-says-which-it-is", test_a_rule_says_which_it_is);
        g_test_add_func("/access/what-asks-is-an-action-of-polkit",
                        test_what_asks_is_an_action_of_polkit);
        return g_test_run();
}
