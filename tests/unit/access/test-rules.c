/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rules: what is broken is named; what is not is read as it is meant. The second is held by an
 * evaluator that knows the rules before they were written down, and decides in its own way.
 */

#include "access/access.h"

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
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=192.0.2.1/24\n",
         "test.conf:1: [a] Connect=: '192.0.2.1/24' is one address"},
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=*:1;192.0.2.64/25:5684\n",
         "the network's address, 192.0.2.0"},
        {"[a]\nSubjects=any\nVerdict=allow\nListen=[2001:db8:4000::]/33\n",
         "the network's address, 2001:db8::"},
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=*:2-1\n", "is no place"},
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=*:65536\n", "is no place"},
        {"[a]\nSubjects=any\nVerdict=allow\nConnect=*:\n", "is no place"},
        {"[a]\nSubjects=any\nVerdict=allow\nUse=gateway\n", "'gateway' is no entry of the store"},
        {"[a]\nSubjects=any\nVerdict=deny\nUse=psk:sensor-*;psk:[0-9]*\n",
         "'psk:[0-9]*' is no entry of the store"},
        {"[a]\nSubjects=any\nVerdict=deny\nUse=identity:\n", "is no entry of the store"},
        {"[a]\nSubjects=any\nVerdict=deny\nUse=key:*\n", "is no entry of the store"},
        {"[a]\nSubjects=any\nVerdict=allow\nWish=share\n", "[a] Wish=: there is no such key"},
        {"[a]\nSubjects=any\nVerdict=deny\nMay[xx]=share\nMay=reload\n",
         "[a] May[xx]=: there is no such key"},
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

/* ---- the evaluator: addresses, users, groups, words and names, as numbers and letters ---- */

#define N_RULES 10000
#define N_QUESTIONS 10000
#define N_PLACES_MAX 3
#define SEED 20

typedef enum Family {
        IPV4, /* 10.0.0.0/21 */
        IPV6, /* 2001:db8::/117 */
        N_FAMILIES,
        ALL_FAMILIES = N_FAMILIES, /* "*" */
} Family;

typedef struct Range {
        Family family;
        uint32_t first, last; /* the last bits of addresses */
        uint16_t first_port, last_port;
} Range;

typedef struct Drawn {
        bool any;
        int uid, gid; /* -1: none */
        AccessVerdict verdict;
        AccessVerb verb, other_verb; /* the second of May */
        Range ranges[N_PLACES_MAX];  /* connect and listen */
        size_t n_ranges;
        char pattern[16]; /* use */
} Drawn;

typedef struct Asked {
        uid_t uid;
        gid_t gids[2];
        AccessVerb verb;
        Family family;
        bool everywhere; /* the wildcard address */
        uint32_t address;
        uint16_t port; /* 0: any that is free */
        char entry[16];
} Asked;

static bool has_places(AccessVerb verb) {
        return verb == ACCESS_CONNECT || verb == ACCESS_LISTEN;
}

static char *address_text(Family family, uint32_t address) {
        return family == IPV4 ? g_strdup_printf("10.0.%u.%u", address >> 8, address & 0xff)
                              : g_strdup_printf("2001:db8::%x", address);
}

static Range draw_range(GRand *random, GString *text) {
        uint32_t bits = (uint32_t)g_rand_int_range(random, 0, 9), size = UINT32_C(1) << bits;
        Range range = {.family = (Family)g_rand_int_range(random, 0, N_FAMILIES),
                       .last_port = UINT16_MAX};
        g_autofree char *address = NULL;

        range.first = (uint32_t)g_rand_int_range(random, 1, 2048) & ~(size - 1);
        range.last = range.first + size - 1;
        address = address_text(range.family, range.first);
        if (g_rand_int_range(random, 0, 40) == 0) {
                range = (Range){ALL_FAMILIES, 0, UINT32_MAX, 0, UINT16_MAX};
                g_string_append_c(text, '*');
        } else if (range.family == IPV4) {
                g_string_append_printf(text, "%s/%u", address, 32 - bits);
        } else {
                g_string_append_printf(text, "[%s]/%u", address, 128 - bits);
        }
        if (g_rand_boolean(random)) {
                range.first_port = (uint16_t)g_rand_int_range(random, 1, 12);
                range.last_port = (uint16_t)(range.first_port + g_rand_int_range(random, 0, 4));
                g_string_append_printf(text, ":%u-%u", range.first_port, range.last_port);
        }
        g_string_append_c(text, ';');
        return range;
}

static AccessVerb draw_verb(GRand *random) {
        static const AccessVerb verbs[] = {ACCESS_CONNECT, ACCESS_LISTEN,     ACCESS_CONNECT,
                                           ACCESS_LISTEN,  ACCESS_SHARE,      ACCESS_EXPORT_KEY,
                                           ACCESS_USE,     ACCESS_PERSISTENT, ACCESS_USE};

        return verbs[g_rand_int_range(random, 0, G_N_ELEMENTS(verbs))];
}

/* "psk:ab?*", of these letters. */
static void draw_entry(GRand *random, const char *letters, char ret[16]) {
        static const char *const kinds[] = {"identity:", "psk:", "trust:"};
        size_t length;

        (void)g_strlcpy(ret, kinds[g_rand_int_range(random, 0, G_N_ELEMENTS(kinds))], 16);
        length = strlen(ret);
        for (int n = g_rand_int_range(random, 1, 6); n > 0; n--)
                ret[length++] = letters[g_rand_int_range(random, 0, (gint32)strlen(letters))];
        ret[length] = '\0';
}

static void draw_what(GRand *random, Drawn *drawn, GString *text) {
        if (has_places(drawn->verb)) {
                g_string_append(text, drawn->verb == ACCESS_CONNECT ? "Connect=" : "Listen=");
                drawn->n_ranges = (size_t)g_rand_int_range(random, 1, N_PLACES_MAX + 1);
                for (size_t i = 0; i < drawn->n_ranges; i++)
                        drawn->ranges[i] = draw_range(random, text);
        } else if (drawn->verb == ACCESS_USE) {
                draw_entry(random, "abab*?", drawn->pattern);
                g_string_append_printf(text, "Use=%s", drawn->pattern);
        } else {
                drawn->other_verb = g_rand_boolean(random) ? ACCESS_RELOAD : ACCESS_SHARE;
                g_string_append_printf(text, "May=%s;%s", access_verb_name(drawn->verb),
                                       access_verb_name(drawn->other_verb));
        }
        g_string_append_c(text, '\n');
}

static Drawn draw_rule(GRand *random, int number, GString *text) {
        Drawn drawn = {.uid = -1, .gid = -1, .verb = draw_verb(random)};

        drawn.other_verb = drawn.verb;
        drawn.verdict = (AccessVerdict)g_rand_int_range(random, ACCESS_DENY, ACCESS_ALLOW + 1);
        /* few, or nothing behind the first of them would ever decide */
        drawn.any = number > N_RULES / 2 && g_rand_int_range(random, 0, 100) == 0;
        if (g_rand_boolean(random))
                drawn.uid = g_rand_int_range(random, 1, 400);
        if (drawn.uid < 0 || g_rand_boolean(random))
                drawn.gid = g_rand_int_range(random, 1, 400);

        g_string_append_printf(text, "[rule %d]\nSubjects=", number);
        if (drawn.any)
                g_string_append(text, "any;");
        if (drawn.uid >= 0)
                g_string_append_printf(text, "uid:%d;", drawn.uid);
        if (drawn.gid >= 0)
                g_string_append_printf(text, "gid:%d;", drawn.gid);
        g_string_append_printf(text, "\nVerdict=%s\n", access_verdict_name(drawn.verdict));
        draw_what(random, &drawn, text);
        return drawn;
}

static Asked draw_question(GRand *random) {
        Asked asked = {
                .uid = (uid_t)g_rand_int_range(random, 1, 400),
                .gids = {(gid_t)g_rand_int_range(random, 1, 400),
                         (gid_t)g_rand_int_range(random, 1, 400)},
                .verb = draw_verb(random),
                .family = (Family)g_rand_int_range(random, 0, N_FAMILIES),
                .address = (uint32_t)g_rand_int_range(random, 1, 2048),
                .port = (uint16_t)g_rand_int_range(random, 1, 20),
        };

        if (asked.verb == ACCESS_LISTEN) {
                asked.everywhere = g_rand_int_range(random, 0, 4) == 0;
                asked.port *= g_rand_int_range(random, 0, 8) != 0;
        }
        draw_entry(random, "ab", asked.entry);
        return asked;
}

/* A port that is free is one of the unprivileged, and of all of them. */
static bool has_port(const Range *range, uint16_t port) {
        return port == 0 ? range->first_port <= 1024 && range->last_port == UINT16_MAX
                         : range->first_port <= port && port <= range->last_port;
}

/* To listen everywhere is to listen at each address that is forbidden, and not only where one may.
 */
static bool is_in(const Range *range, const Asked *asked, AccessVerdict verdict) {
        if (!has_port(range, asked->port))
                return false;
        if (range->family == ALL_FAMILIES)
                return true;
        if (asked->everywhere)
                return verdict != ACCESS_ALLOW;

        return range->family == asked->family && range->first <= asked->address &&
               asked->address <= range->last;
}

static bool fits(const char *pattern, const char *text) {
        if (*pattern == '*')
                return fits(pattern + 1, text) || (*text && fits(pattern, text + 1));
        if (*pattern == '\0' || *text == '\0')
                return *pattern == *text;

        return (*pattern == '?' || *pattern == *text) && fits(pattern + 1, text + 1);
}

static bool is_about(const Drawn *rule, const Asked *asked) {
        bool about_subject = rule->any || rule->uid == (int)asked->uid ||
                             rule->gid == (int)asked->gids[0] || rule->gid == (int)asked->gids[1];
        bool about_place = false;

        if (!about_subject || (rule->verb != asked->verb && rule->other_verb != asked->verb))
                return false;
        if (asked->verb == ACCESS_USE)
                return fits(rule->pattern, asked->entry);

        for (size_t i = 0; i < rule->n_ranges; i++)
                about_place |= is_in(&rule->ranges[i], asked, rule->verdict);
        return !has_places(asked->verb) || about_place;
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

static void asked_address(const Asked *asked, Address *ret) {
        g_autofree char *text = asked->everywhere
                                        ? g_strdup(asked->family == IPV4 ? "0.0.0.0" : "::")
                                        : address_text(asked->family, asked->address);

        g_assert_cmpint(address_parse(text, asked->port, ret), ==, 0);
}

/* How many questions were decided by a rule. */
typedef struct Tally {
        unsigned of_verb[N_ACCESS_VERBS];
        unsigned to[ACCESS_ALLOW + 1];
        unsigned by_none;
} Tally;

static void check_question(const Access *access, const Drawn *rules, const Asked *asked,
                           Tally *tally) {
        Address address;
        AccessQuestion question = {
                .subject = {asked->uid, asked->gids, 2},
                .verb = asked->verb,
                .address = has_places(asked->verb) ? &address : NULL,
                .entry = asked->verb == ACCESS_USE ? asked->entry : NULL,
        };
        AccessAnswer answer;
        int number;

        asked_address(asked, &address);
        answer = access_decide(access, &question);
        g_assert_cmpint(answer.verdict, ==, evaluate(rules, asked, &number));
        if (number < 0) {
                g_assert_null(answer.file);
                tally->by_none++;
        } else {
                g_autofree char *name = g_strdup_printf("rule %d", number);

                g_assert_cmpstr(answer.rule, ==, name);
                g_assert_cmpuint(answer.line, ==, (unsigned)number * 4 + 1);
                tally->of_verb[asked->verb]++;
                tally->to[answer.verdict]++;
        }
}

static void test_ten_thousand_mean_what_they_were_drawn_as(void) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree Drawn *rules = g_new(Drawn, N_RULES);
        GRand *random = g_rand_new_with_seed(SEED);
        g_autoptr(Access) access = NULL;
        Tally tally = {0};

        for (int i = 0; i < N_RULES; i++)
                rules[i] = draw_rule(random, i, text);
        access = access_of(text->str);

        for (int i = 0; i < N_QUESTIONS; i++) {
                Asked asked = draw_question(random);

                check_question(access, rules, &asked, &tally);
        }

        g_test_message("connect %u, listen %u, use %u; deny %u, ask %u, allow %u; none %u",
                       tally.of_verb[ACCESS_CONNECT], tally.of_verb[ACCESS_LISTEN],
                       tally.of_verb[ACCESS_USE], tally.to[ACCESS_DENY], tally.to[ACCESS_ASK],
                       tally.to[ACCESS_ALLOW], tally.by_none);
        g_assert_cmpuint(tally.of_verb[ACCESS_CONNECT], >, 200);
        g_assert_cmpuint(tally.of_verb[ACCESS_LISTEN], >, 200);
        g_assert_cmpuint(tally.of_verb[ACCESS_USE], >, 200);
        for (AccessVerdict verdict = ACCESS_DENY; verdict <= ACCESS_ALLOW; verdict++)
                g_assert_cmpuint(tally.to[verdict], >, 1000);
        g_assert_cmpuint(tally.by_none, >, 200);
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
