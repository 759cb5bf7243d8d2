/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rules: what is broken is named; what is not is read as it is meant. The second is held by an
 * evaluator that knows the rules before they were written down, and decides in its own way.
 */

#include "access/access.h"

#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

#define ALICE 1000

static Access *access_of(const char *rules) {
        g_autofree char *text = NULL;
        Access *access = access_new();

        if (access_read(access, "test.conf", rules, &text))
                g_error("%s", text);
        return access;
}

static AccessVerdict decide(const Access *access, AccessVerb verb) {
        AccessQuestion question = {.subject = {.uid = ALICE}, .verb = verb};

        return access_decide(access, &question).verdict;
}

#define NAME_OF_25 "abcdefghijklmnopqrstuvwxy"
#define NAME_OF_101 NAME_OF_25 NAME_OF_25 NAME_OF_25 NAME_OF_25 "z"

typedef struct Broken {
        const char *rules;
        const char *text;
} Broken;

static const Broken broken[] = {
        {"[a]\nVerdict=allow\nMay=share\n", "test.conf:1: [a] Subjects= is missing"},
        {"[a]\nSubjects=any\nMay=share\n", "test.conf:1: [a] Verdict= is missing"},
        {"[a]\nSubjects=any\nVerdict=allow\n", "test.conf:1: [a] it is about nothing"},
        {"\n[a]\nSubjects=any\nVerdict=yes\nMay=share\n", "test.conf:2: [a] Verdict=: 'yes'"},
        {"[a]\nSubjects=any\nVerdict=allow;deny\nMay=share\n", "[a] Verdict=: at most 1"},
        {"[a]\nSubjects=\nVerdict=allow\nMay=share\n", "[a] Subjects=: it is empty"},
        {"[a]\nSubjects=all\nVerdict=allow\nMay=share\n", "[a] Subjects=: 'all' is nobody"},
        {"[a]\nSubjects=uid:-1\nVerdict=allow\nMay=share\n", "'uid:-1' is nobody"},
        {"[a]\nSubjects=uid:4294967295\nVerdict=allow\nMay=share\n", "is nobody"},
        {"[a]\nSubjects=user:nosuchuser-x\nVerdict=allow\nMay=share\n", "is nobody"},
        {"[a]\nSubjects=any\nVerdict=allow\nMay=fly\n", "[a] May=: 'fly' is nothing"},
        {"[a]\nSubjects=any\nVerdict=allow\nMay=connect\n", "'connect' has a key of its own"},
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=example.org\n", "'example.org' is no place"},
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=192.0.2.0/33\n", "is no place"},
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=2001:db8::1\n", "is no place"},
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=[2001:db8::1\n", "is no place"},
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=*/8\n", "is no place"},
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=*:2-1\n", "is no place"},
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=*:65536\n", "is no place"},
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=*:\n", "is no place"},
        {"[a]\nSubjects=any\nVerdict=allow\nUse=gateway\n", "'gateway' is no entry of the store"},
        {"[a]\nSubjects=any\nVerdict=allow\nWish=share\n", "[a] Wish=: there is no such key"},
        {"[a]\nSubjects=any\nVerdict=deny\nVerdict=allow\nMay=share\n",
         "[a] Verdict=: it is there twice"},
        {"[a]\nSubjects=any\nVerdict=deny\nConnect=*\n Connect=192.0.2.1\n",
         "[a] Connect=: it is there twice"},
        {"[a]\nSubjects=any\nListenersPerUser=many\n", "'many' is not a number"},
        {"[a]\nSubjects=any\nListenersTotal=1\n", "ListenersTotal=: there is no such key"},
        {"[a]\nSubjects=any\nVerdict=allow\nMay=share\n[a]\nSubjects=any\nMay=reload\n",
         "two rules have the same name"},
        {"[" NAME_OF_101 "]\nSubjects=any\nVerdict=allow\nMay=share\n",
         "the name of a rule has at most 100 bytes"},
        {"Subjects=any\n", "test.conf: "},
        {"[a\n", "test.conf: "},
};

static void test_what_is_broken_is_named_and_nothing_of_it_taken(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
                g_autoptr(Access) access =
                        access_of("[good]\nSubjects=any\nVerdict=allow\nMay=reload\n");
                g_autofree char *text = NULL;

                g_assert_cmpint(access_read(access, "test.conf", broken[i].rules, &text), ==,
                                ACCESS_E_BROKEN);
                g_test_message("%s", text);
                g_assert_nonnull(strstr(text, broken[i].text));
                g_assert_cmpint(decide(access, ACCESS_SHARE), ==, ACCESS_DENY);
                g_assert_cmpint(decide(access, ACCESS_RELOAD), ==, ACCESS_ALLOW);
        }
}

/* ---- the evaluator: IPv4, users, groups, and words, as numbers ---- */

#define N_RULES 10000
#define N_QUESTIONS 10000
#define SEED 20

typedef struct Range {
        uint32_t first, last; /* addresses */
        uint16_t first_port, last_port;
} Range;

typedef struct Drawn {
        int uid, gid; /* -1: none; both: any */
        AccessVerdict verdict;
        AccessVerb verb;
        Range range; /* connect and listen */
} Drawn;

typedef struct Asked {
        uid_t uid;
        gid_t gids[2];
        AccessVerb verb;
        uint32_t address;
        uint16_t port;
} Asked;

static Range draw_range(GRand *random, GString *text) {
        uint32_t bits = (uint32_t)g_rand_int_range(random, 24, 33);
        uint32_t size = UINT32_C(1) << (32 - bits);
        uint32_t first =
                (UINT32_C(0x0a000000) | (uint32_t)g_rand_int_range(random, 1, 2048)) & ~(size - 1);
        struct in_addr in = {htonl(first)};
        Range range = {first, first + size - 1, 0, 65535};

        g_string_append_printf(text, "%s/%u", inet_ntoa(in), bits);
        if (g_rand_boolean(random)) {
                range.first_port = (uint16_t)g_rand_int_range(random, 1, 12);
                range.last_port = (uint16_t)(range.first_port + g_rand_int_range(random, 0, 4));
                g_string_append_printf(text, ":%u-%u", range.first_port, range.last_port);
        }
        return range;
}

static AccessVerb draw_verb(GRand *random) {
        static const AccessVerb verbs[] = {ACCESS_CONNECT, ACCESS_LISTEN, ACCESS_CONNECT,
                                           ACCESS_LISTEN,  ACCESS_SHARE,  ACCESS_EXPORT_KEY};

        return verbs[g_rand_int_range(random, 0, G_N_ELEMENTS(verbs))];
}

static Drawn draw_rule(GRand *random, int number, GString *text) {
        Drawn drawn = {.uid = -1, .gid = -1, .verb = draw_verb(random)};

        drawn.verdict = (AccessVerdict)g_rand_int_range(random, ACCESS_DENY, ACCESS_ALLOW + 1);
        if (g_rand_boolean(random))
                drawn.uid = g_rand_int_range(random, 1, 400);
        if (drawn.uid < 0 || g_rand_boolean(random))
                drawn.gid = g_rand_int_range(random, 1, 400);

        g_string_append_printf(text, "[rule %d]\nSubjects=", number);
        if (drawn.uid >= 0)
                g_string_append_printf(text, "uid:%d;", drawn.uid);
        if (drawn.gid >= 0)
                g_string_append_printf(text, "gid:%d;", drawn.gid);
        g_string_append_printf(text, "\nVerdict=%s\n", access_verdict_name(drawn.verdict));

        if (drawn.verb == ACCESS_CONNECT || drawn.verb == ACCESS_LISTEN) {
                g_string_append(text, drawn.verb == ACCESS_CONNECT ? "Connect=" : "Listen=");
                drawn.range = draw_range(random, text);
        } else {
                g_string_append_printf(text, "May=%s", access_verb_name(drawn.verb));
        }
        g_string_append_c(text, '\n');
        return drawn;
}

static Asked draw_question(GRand *random) {
        return (Asked){
                .uid = (uid_t)g_rand_int_range(random, 1, 400),
                .gids = {(gid_t)g_rand_int_range(random, 1, 400),
                         (gid_t)g_rand_int_range(random, 1, 400)},
                .verb = draw_verb(random),
                .address = UINT32_C(0x0a000000) | (uint32_t)g_rand_int_range(random, 1, 2048),
                .port = (uint16_t)g_rand_int_range(random, 1, 20),
        };
}

static bool is_about(const Drawn *rule, const Asked *asked) {
        bool about_subject = rule->uid == (int)asked->uid || rule->gid == (int)asked->gids[0] ||
                             rule->gid == (int)asked->gids[1];
        bool in_range = rule->range.first <= asked->address && asked->address <= rule->range.last &&
                        rule->range.first_port <= asked->port &&
                        asked->port <= rule->range.last_port;
        bool has_range = rule->verb == ACCESS_CONNECT || rule->verb == ACCESS_LISTEN;

        return about_subject && rule->verb == asked->verb && (!has_range || in_range);
}

/* From the last rule to the first: what is left is what the first said. */
static AccessVerdict evaluate(const Drawn *rules, const Asked *asked, int *ret_number) {
        AccessVerdict verdict = ACCESS_DENY;

        *ret_number = -1;
        for (int i = N_RULES - 1; i >= 0; i--) {
                if (is_about(&rules[i], asked)) {
                        verdict = rules[i].verdict;
                        *ret_number = i;
                }
        }

        return verdict;
}

static void check_question(const Access *access, const Drawn *rules, const Asked *asked,
                           unsigned *n_decided) {
        struct in_addr in = {htonl(asked->address)};
        Address address;
        AccessQuestion question = {
                .subject = {asked->uid, asked->gids, 2},
                .verb = asked->verb,
                .address = &address,
        };
        AccessAnswer answer;
        int number;

        g_assert_cmpint(address_parse(inet_ntoa(in), asked->port, &address), ==, 0);
        answer = access_decide(access, &question);
        g_assert_cmpint(answer.verdict, ==, evaluate(rules, asked, &number));
        if (number < 0) {
                g_assert_null(answer.file);
        } else {
                g_autofree char *name = g_strdup_printf("rule %d", number);

                g_assert_cmpstr(answer.rule, ==, name);
                g_assert_cmpuint(answer.line, ==, (unsigned)number * 4 + 1);
                (*n_decided)++;
        }
}

static void test_ten_thousand_mean_what_they_were_drawn_as(void) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree Drawn *rules = g_new(Drawn, N_RULES);
        GRand *random = g_rand_new_with_seed(SEED);
        g_autoptr(Access) access = NULL;
        unsigned n_decided = 0;

        for (int i = 0; i < N_RULES; i++)
                rules[i] = draw_rule(random, i, text);
        access = access_of(text->str);

        for (int i = 0; i < N_QUESTIONS; i++) {
                Asked asked = draw_question(random);

                check_question(access, rules, &asked, &n_decided);
        }

        g_test_message("%u of %d questions were decided by a rule", n_decided, N_QUESTIONS);
        g_assert_cmpuint(n_decided, >, N_QUESTIONS / 4);
        g_assert_cmpuint(n_decided, <, N_QUESTIONS);
        g_rand_free(random);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/rules/what-is-broken-is-named-and-nothing-of-it-taken",
                        test_what_is_broken_is_named_and_nothing_of_it_taken);
        g_test_add_func("/rules/ten-thousand-mean-what-they-were-drawn-as",
                        test_ten_thousand_mean_what_they_were_drawn_as);
        return g_test_run();
}
