/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* access: the shipped defaults, as the contract states them. */

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
        g_assert_cmpint(decide(ALICE, ACCESS_RELOAD, NULL), ==, ACCESS_ASK);
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

static void test_names_lead_back_to_verbs(void) {
        AccessVerb verb = N_ACCESS_VERBS;

        for (int i = 0; i < N_ACCESS_VERBS; i++) {
                g_assert_true(access_verb_from_name(access_verb_name(i), &verb));
                g_assert_cmpint(verb, ==, i);
        }

        g_assert_cmpstr(access_verb_name(ACCESS_VERIFY_NONE), ==, "verify-none");
        g_assert_false(access_verb_from_name("", &verb));
        g_assert_false(access_verb_from_name("Connect", &verb));
        g_assert_cmpint(verb, ==, N_ACCESS_VERBS - 1);
        g_assert_cmpstr(access_verdict_name(ACCESS_ALLOW), ==, "allow");
        g_assert_cmpstr(access_verdict_name(ACCESS_DENY), ==, "deny");
        g_assert_cmpstr(access_verdict_name(ACCESS_ASK), ==, "ask");
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
        g_test_add_func("/access/names-lead-back-to-verbs", test_names_lead_back_to_verbs);
        return g_test_run();
}
