/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* access: rules in order, and the shipped ones as the contract states them. */

#include "access/access.h"

#include <glib.h>
#include <string.h>

#define ALICE 1000
#define BOB 1001
#define STAFF 500

static Access *access_of(const char *rules) {
        g_autofree char *text = NULL;
        Access *access = access_new();

        if (access_read(access, "test.conf", rules, &text))
                g_error("%s", text);
        return access;
}

static AccessAnswer answer(const Access *access, uid_t uid, AccessVerb verb,
                           const Address *address) {
        return access_decide(access, &(AccessQuestion){
                                             .subject = {.uid = uid},
                                             .verb = verb,
                                             .address = address,
                                     });
}

static AccessVerdict decide(const Access *access, uid_t uid, AccessVerb verb, const char *text,
                            uint16_t port) {
        Address address;

        if (!text)
                return answer(access, uid, verb, NULL).verdict;

        g_assert_cmpint(address_parse(text, port, &address), ==, 0);
        return answer(access, uid, verb, &address).verdict;
}

/* ---- the shipped rules ---- */

static Access *shipped(void) {
        g_autofree char *rules = NULL;

        g_assert_true(g_file_get_contents(SHIPPED_RULES, &rules, NULL, NULL));
        return access_of(rules);
}

static void test_any_user_may_connect(void) {
        g_autoptr(Access) access = shipped();

        g_assert_cmpint(decide(access, ALICE, ACCESS_CONNECT, "192.0.2.1", 5684), ==, ACCESS_ALLOW);
        g_assert_cmpint(decide(access, ALICE, ACCESS_CONNECT, "2001:db8::1", 443), ==,
                        ACCESS_ALLOW);
        g_assert_cmpint(decide(access, ALICE, ACCESS_CONNECT, NULL, 0), ==, ACCESS_ALLOW);
}

static void test_listening_below_1024_asks(void) {
        g_autoptr(Access) access = shipped();

        g_assert_cmpint(decide(access, ALICE, ACCESS_LISTEN, "0.0.0.0", 1), ==, ACCESS_ASK);
        g_assert_cmpint(decide(access, ALICE, ACCESS_LISTEN, "127.0.0.1", 853), ==, ACCESS_ASK);
        g_assert_cmpint(decide(access, ALICE, ACCESS_LISTEN, "::", 1023), ==, ACCESS_ASK);
        g_assert_cmpint(decide(access, ALICE, ACCESS_LISTEN, "::", 1024), ==, ACCESS_ALLOW);
        g_assert_cmpint(decide(access, ALICE, ACCESS_LISTEN, "0.0.0.0", 65535), ==, ACCESS_ALLOW);
        g_assert_cmpint(decide(access, ALICE, ACCESS_LISTEN, "0.0.0.0", 0), ==, ACCESS_ALLOW);
}

static void test_what_concerns_others_asks(void) {
        g_autoptr(Access) access = shipped();
        static const AccessVerb verbs[] = {
                ACCESS_INSPECT, ACCESS_LEGACY_PROTOCOL, ACCESS_MANAGE_STORE,
                ACCESS_KEY_LOG, ACCESS_RELOAD,
        };

        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
                g_assert_cmpint(decide(access, ALICE, verbs[i], NULL, 0), ==, ACCESS_ASK);
}

static void test_no_key_rests_of_itself(void) {
        g_autoptr(Access) access = shipped();

        g_assert_cmpint(decide(access, ALICE, ACCESS_REST_PSK, NULL, 0), ==, ACCESS_DENY);
        g_assert_cmpint(decide(access, 0, ACCESS_REST_PSK, NULL, 0), ==, ACCESS_DENY);
}

static void test_own_objects_are_the_users_business(void) {
        g_autoptr(Access) access = shipped();
        static const AccessVerb verbs[] = {
                ACCESS_PERSISTENT,  ACCESS_EXTERNAL,    ACCESS_SHARE,
                ACCESS_VERIFY_NONE, ACCESS_RAW_CIPHERS, ACCESS_EXPORT_KEY,
        };

        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
                g_assert_cmpint(decide(access, ALICE, verbs[i], NULL, 0), ==, ACCESS_ALLOW);
}

/* ---- who, and in which order ---- */

static void test_without_rules_root_alone_may(void) {
        g_autoptr(Access) access = access_of("");

        for (int verb = 0; verb < N_ACCESS_VERBS; verb++) {
                /* for root nothing is done that it did not ask for */
                g_assert_cmpint(decide(access, 0, verb, NULL, 0), ==,
                                verb == ACCESS_REST_PSK ? ACCESS_DENY : ACCESS_ALLOW);
                g_assert_cmpint(decide(access, ALICE, verb, NULL, 0), ==, ACCESS_DENY);
        }
}

static void test_root_may_what_a_rule_denies(void) {
        g_autoptr(Access) access =
                access_of("[no]\nSubjects=any;uid:0\nVerdict=deny\nConnect=*\nListen=*\n");

        g_assert_cmpint(decide(access, 0, ACCESS_LISTEN, "0.0.0.0", 853), ==, ACCESS_ALLOW);
}

static void test_the_first_that_matches_decides(void) {
        g_autoptr(Access) access = access_of("[alice]\nSubjects=uid:1000\nVerdict=deny\n"
                                             "May=persistent\n"
                                             "[all]\nSubjects=any\nVerdict=allow\n"
                                             "May=persistent;share\n");

        g_assert_cmpint(decide(access, ALICE, ACCESS_PERSISTENT, NULL, 0), ==, ACCESS_DENY);
        g_assert_cmpint(decide(access, ALICE, ACCESS_SHARE, NULL, 0), ==, ACCESS_ALLOW);
        g_assert_cmpint(decide(access, BOB, ACCESS_PERSISTENT, NULL, 0), ==, ACCESS_ALLOW);
}

static void test_files_follow_each_other(void) {
        g_autoptr(Access) access =
                access_of("[alice]\nSubjects=uid:1000\nVerdict=deny\nMay=share\n");
        g_autofree char *text = NULL;

        g_assert_cmpint(access_read(access, "later.conf",
                                    "[all]\nSubjects=any\nVerdict=allow\nMay=share\n", &text),
                        ==, 0);
        g_assert_cmpint(decide(access, ALICE, ACCESS_SHARE, NULL, 0), ==, ACCESS_DENY);
        g_assert_cmpint(decide(access, BOB, ACCESS_SHARE, NULL, 0), ==, ACCESS_ALLOW);
}

static void test_a_group_is_any_of_the_callers(void) {
        g_autoptr(Access) access =
                access_of("[staff]\nSubjects=gid:500\nVerdict=allow\nMay=share\n");
        const gid_t gids[] = {100, STAFF};
        AccessQuestion question = {.subject = {ALICE, gids, 2}, .verb = ACCESS_SHARE};

        g_assert_cmpint(access_decide(access, &question).verdict, ==, ACCESS_ALLOW);
        question.subject.n_gids = 1;
        g_assert_cmpint(access_decide(access, &question).verdict, ==, ACCESS_DENY);
}

static void test_a_group_with_the_number_of_a_user_is_not_that_user(void) {
        g_autoptr(Access) access = access_of("[g]\nSubjects=gid:1000\nVerdict=allow\nMay=share\n");

        g_assert_cmpint(decide(access, ALICE, ACCESS_SHARE, NULL, 0), ==, ACCESS_DENY);
}

static void test_names_are_of_the_system(void) {
        g_autoptr(Access) access =
                access_of("[n]\nSubjects=user:nobody;group:daemon\nVerdict=allow\nMay=share\n");

        g_assert_cmpint(decide(access, 65534, ACCESS_SHARE, NULL, 0), ==, ACCESS_ALLOW);
        g_assert_cmpint(decide(access, ALICE, ACCESS_SHARE, NULL, 0), ==, ACCESS_DENY);
}

static void test_an_answer_says_where_its_rule_stands(void) {
        g_autoptr(Access) access =
                access_of("# of the administrator\n\n"
                          "[first]\nSubjects=any\nVerdict=ask\nMay=share\n\n"
                          "  [second]\nSubjects=any\nVerdict=deny\nMay=reload\n");
        AccessAnswer second = answer(access, ALICE, ACCESS_RELOAD, NULL);

        g_assert_cmpstr(second.rule, ==, "second");
        g_assert_cmpstr(second.file, ==, "test.conf");
        g_assert_cmpuint(second.line, ==, 8);
        g_assert_cmpuint(answer(access, ALICE, ACCESS_SHARE, NULL).line, ==, 3);
        g_assert_null(answer(access, ALICE, ACCESS_KEY_LOG, NULL).file);
}

/* ---- entries of the store ---- */

static void test_entries_match_patterns(void) {
        g_autoptr(Access) access =
                access_of("[u]\nSubjects=any\nVerdict=allow\nUse=identity:gateway;psk:sensor-*\n");
        AccessQuestion question = {.subject = {.uid = ALICE}, .verb = ACCESS_USE};
        static const struct {
                const char *entry;
                AccessVerdict verdict;
        } cases[] = {
                {"identity:gateway", ACCESS_ALLOW},
                {"identity:gateway2", ACCESS_DENY},
                {"psk:sensor-", ACCESS_ALLOW},
                {"psk:sensor-17", ACCESS_ALLOW},
                {"psk:gateway", ACCESS_DENY},
                {"trust:gateway", ACCESS_DENY},
                {NULL, ACCESS_DENY},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                question.entry = cases[i].entry;
                g_assert_cmpint(access_decide(access, &question).verdict, ==, cases[i].verdict);
        }
}

/* ---- limits ---- */

static void test_limits_are_of_the_first_rule_that_names_them(void) {
        g_autoptr(Access) access = access_of("[alice]\nSubjects=uid:1000\nListenersPerUser=3\n"
                                             "[all]\nSubjects=any\nListenersPerUser=9\n"
                                             "ConnectionsPerUser=0\n");
        AccessSubject alice = {.uid = ALICE}, bob = {.uid = BOB};
        uint64_t limit;

        g_assert_true(access_limit(access, &alice, QUOTA_LISTENERS, &limit));
        g_assert_cmpuint(limit, ==, 3);
        g_assert_true(access_limit(access, &bob, QUOTA_LISTENERS, &limit));
        g_assert_cmpuint(limit, ==, 9);
        g_assert_true(access_limit(access, &alice, QUOTA_CONNECTIONS, &limit));
        g_assert_cmpuint(limit, ==, 0);
        g_assert_false(access_limit(access, &alice, QUOTA_BYTES, &limit));
}

static void test_others_rules_take_the_place_of_all(void) {
        g_autoptr(Access) access =
                access_of("[a]\nSubjects=any\nVerdict=allow\nMay=share;reload\n");

        access_replace(access, access_of("[b]\nSubjects=any\nVerdict=ask\nMay=share\n"));
        g_assert_cmpint(decide(access, ALICE, ACCESS_SHARE, NULL, 0), ==, ACCESS_ASK);
        g_assert_cmpint(decide(access, ALICE, ACCESS_RELOAD, NULL, 0), ==, ACCESS_DENY);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/access/shipped/any-user-may-connect", test_any_user_may_connect);
        g_test_add_func("/access/shipped/listening-below-1024-asks",
                        test_listening_below_1024_asks);
        g_test_add_func("/access/shipped/own-objects-are-the-users-business",
                        test_own_objects_are_the_users_business);
        g_test_add_func("/access/shipped/no-key-rests-of-itself", test_no_key_rests_of_itself);
        g_test_add_func("/access/shipped/what-concerns-others-asks",
                        test_what_concerns_others_asks);
        g_test_add_func("/access/without-rules-root-alone-may", test_without_rules_root_alone_may);
        g_test_add_func("/access/root-may-what-a-rule-denies", test_root_may_what_a_rule_denies);
        g_test_add_func("/access/the-first-that-matches-decides",
                        test_the_first_that_matches_decides);
        g_test_add_func("/access/files-follow-each-other", test_files_follow_each_other);
        g_test_add_func("/access/a-group-is-any-of-the-callers",
                        test_a_group_is_any_of_the_callers);
        g_test_add_func("/access/a-group-with-the-number-of-a-user-is-not-that-user",
                        test_a_group_with_the_number_of_a_user_is_not_that_user);
        g_test_add_func("/access/names-are-of-the-system", test_names_are_of_the_system);
        g_test_add_func("/access/an-answer-says-where-its-rule-stands",
                        test_an_answer_says_where_its_rule_stands);
        g_test_add_func("/access/entries-match-patterns", test_entries_match_patterns);
        g_test_add_func("/access/limits-are-of-the-first-rule-that-names-them",
                        test_limits_are_of_the_first_rule_that_names_them);
        g_test_add_func("/access/others-rules-take-the-place-of-all",
                        test_others_rules_take_the_place_of_all);
        return g_test_run();
}
