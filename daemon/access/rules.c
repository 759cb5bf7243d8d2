/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules: reads one file of them. What it cannot read it names, with file and line, and then takes
 * nothing of the file: a rule that half holds is worse than none.
 */

#include "access/private.h"
#include "base/entry.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>

#define RULES_LIST_MAX 4096 /* words under one key */
#define RULES_NAME_MAX 100  /* bytes: refusals have it in them */

typedef struct RuleReader {
        GKeyFile *file;
        const char *group;
        const char *key; /* NULL: it is about the rule as a whole */
        Rule *rule;
        char *text; /* what is wrong; NULL: nothing */
} RuleReader;

static int reader_refuse(RuleReader *reader, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

static int reader_refuse(RuleReader *reader, const char *format, ...) {
        g_autofree char *what = NULL;
        va_list arguments;

        va_start(arguments, format);
        what = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        reader->text = reader->key ? g_strdup_printf("%s=: %s", reader->key, what)
                                   : g_steal_pointer(&what);
        return ACCESS_E_BROKEN;
}

/* ---- words ---- */

static bool subject_parse_number(const char *text, uint32_t *ret) {
        uint64_t number;

        if (!g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX - 1, &number, NULL))
                return false;

        *ret = (uint32_t)number;
        return true;
}

static bool subject_parse(const char *word, Subject *ret) {
        const char *colon = strchr(word, ':');
        const char *rest = colon ? colon + 1 : "";
        const struct passwd *user;
        const struct group *group;

        *ret = (Subject){.kind = SUBJECT_ANY};
        if (g_str_equal(word, "any"))
                return true;

        if (g_str_has_prefix(word, "uid:")) {
                ret->kind = SUBJECT_UID;
                return subject_parse_number(rest, &ret->id);
        }
        if (g_str_has_prefix(word, "gid:")) {
                ret->kind = SUBJECT_GID;
                return subject_parse_number(rest, &ret->id);
        }
        if (g_str_has_prefix(word, "user:") && (user = getpwnam(rest))) {
                *ret = (Subject){.kind = SUBJECT_UID, .id = user->pw_uid};
                return true;
        }
        if (g_str_has_prefix(word, "group:") && (group = getgrnam(rest))) {
                *ret = (Subject){.kind = SUBJECT_GID, .id = group->gr_gid};
                return true;
        }

        return false;
}

static int read_subject(RuleReader *reader, const char *word) {
        Subject subject;

        if (!subject_parse(word, &subject))
                return reader_refuse(reader,
                                     "'%s' is nobody; say any, user:NAME, group:NAME, uid:NUMBER "
                                     "or gid:NUMBER of a user or group that there is",
                                     word);

        g_array_append_val(reader->rule->subjects, subject);
        return 0;
}

static int read_place(RuleReader *reader, const char *word, GArray **places) {
        char text[ADDRESS_STRING_MAX];
        Address network;
        Place place;

        if (!place_parse(word, &place))
                return reader_refuse(reader,
                                     "'%s' is no place; say *, ADDRESS or ADDRESS/BITS, IPv6 in "
                                     "brackets, and :PORT or :PORT-PORT behind it",
                                     word);

        network = address_network(&place.network, place.n_bits);
        if (!address_equal(&network, &place.network))
                return reader_refuse(reader,
                                     "'%s' is one address, and /%u many: say no /%u, or the "
                                     "network's address, %s",
                                     word, place.n_bits, place.n_bits,
                                     address_format(&network, text));

        if (!*places)
                *places = g_array_new(FALSE, FALSE, sizeof(Place));
        g_array_append_val(*places, place);
        return 0;
}

static int read_connect(RuleReader *reader, const char *word) {
        return read_place(reader, word, &reader->rule->connect);
}

static int read_listen(RuleReader *reader, const char *word) {
        return read_place(reader, word, &reader->rule->listen);
}

static void pattern_destroy(void *pattern) {
        g_pattern_spec_free(pattern);
}

static int read_use(RuleReader *reader, const char *word) {
        static const char *const kinds[] = {"identity", "psk", "trust", NULL};
        g_auto(GStrv) parts = g_strsplit(word, ":", 2);
        Rule *rule = reader->rule;

        if (!g_strv_contains(kinds, parts[0]) || !parts[1] || !entry_pattern_can_be(parts[1]))
                return reader_refuse(reader,
                                     "'%s' is no entry of the store; say identity:NAME, psk:NAME "
                                     "or trust:NAME, where NAME may have * and ?",
                                     word);

        if (!rule->use)
                rule->use = g_ptr_array_new_with_free_func(pattern_destroy);
        g_ptr_array_add(rule->use, g_pattern_spec_new(word));
        return 0;
}

static int read_may(RuleReader *reader, const char *word) {
        AccessVerb verb;

        if (!access_verb_from_name(word, &verb))
                return reader_refuse(reader, "'%s' is nothing that one may", word);
        if (verb == ACCESS_CONNECT || verb == ACCESS_LISTEN || verb == ACCESS_USE)
                return reader_refuse(reader, "'%s' has a key of its own, which says to what", word);

        reader->rule->may |= UINT32_C(1) << verb;
        return 0;
}

static int read_verdict(RuleReader *reader, const char *word) {
        for (AccessVerdict verdict = ACCESS_DENY; verdict <= ACCESS_ALLOW; verdict++) {
                if (g_str_equal(word, access_verdict_name(verdict))) {
                        reader->rule->verdict = verdict;
                        return 0;
                }
        }

        return reader_refuse(reader, "'%s' is no verdict; say allow, deny or ask", word);
}

/* ---- keys ---- */

typedef struct RuleKey {
        const char *name;
        int (*read)(RuleReader *reader, const char *word);
        unsigned max; /* words */
} RuleKey;

static const RuleKey rule_keys[] = {
        {"Subjects", read_subject, RULES_LIST_MAX}, {"Verdict", read_verdict, 1},
        {"Connect", read_connect, RULES_LIST_MAX},  {"Listen", read_listen, RULES_LIST_MAX},
        {"Use", read_use, RULES_LIST_MAX},          {"May", read_may, RULES_LIST_MAX},
};

static int read_words(RuleReader *reader, const RuleKey *key) {
        gsize n = 0;
        g_auto(GStrv) words =
                g_key_file_get_string_list(reader->file, reader->group, key->name, &n, NULL);

        if (!words || n == 0)
                return reader_refuse(reader, "it is empty");
        if (n > key->max)
                return reader_refuse(reader, "at most %u may be said", key->max);

        for (gsize i = 0; i < n; i++) {
                int r = key->read(reader, g_strstrip(words[i]));

                if (r)
                        return r;
        }

        return 0;
}

static bool limit_of_key(const char *key, QuotaKind *ret) {
        for (QuotaKind kind = 0; kind < N_QUOTA_KINDS; kind++) {
                const char *name = quota_kind_name(kind);

                if (g_str_has_prefix(key, name) && g_str_equal(key + strlen(name), "PerUser")) {
                        *ret = kind;
                        return true;
                }
        }

        return false;
}

static int read_limit(RuleReader *reader, QuotaKind kind) {
        g_autofree char *value =
                g_key_file_get_string(reader->file, reader->group, reader->key, NULL);

        if (!value || !g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64,
                                                  &reader->rule->limits[kind], NULL))
                return reader_refuse(reader, "'%s' is not a number from 0 on", value ? value : "");

        reader->rule->limited |= UINT32_C(1) << kind;
        return 0;
}

static int read_key(RuleReader *reader) {
        QuotaKind kind;

        for (size_t i = 0; i < G_N_ELEMENTS(rule_keys); i++) {
                if (g_str_equal(rule_keys[i].name, reader->key))
                        return read_words(reader, &rule_keys[i]);
        }

        if (limit_of_key(reader->key, &kind))
                return read_limit(reader, kind);

        return reader_refuse(reader, "there is no such key");
}

/* ---- a rule ---- */

Rule *rule_free(Rule *rule) {
        if (!rule)
                return NULL;

        g_free(rule->name);
        g_free(rule->file);
        g_clear_pointer(&rule->subjects, g_array_unref);
        g_clear_pointer(&rule->connect, g_array_unref);
        g_clear_pointer(&rule->listen, g_array_unref);
        g_clear_pointer(&rule->use, g_ptr_array_unref);
        g_free(rule);
        return NULL;
}

static int read_keys(RuleReader *reader) {
        g_auto(GStrv) keys = g_key_file_get_keys(reader->file, reader->group, NULL, NULL);

        for (char **key = keys; *key; key++) {
                int r;

                reader->key = *key;
                /* of two GKeyFile has the last one's value, and what the first said would not hold
                 */
                if (g_strv_contains((const char *const *)key + 1, *key))
                        return reader_refuse(reader, "it is there twice");

                r = read_key(reader);
                if (r)
                        return r;
        }

        reader->key = NULL;
        return 0;
}

static int check_rule(RuleReader *reader) {
        const Rule *rule = reader->rule;
        bool is_about = rule->may || rule->connect || rule->listen || rule->use;

        if (strlen(rule->name) > RULES_NAME_MAX)
                return reader_refuse(reader, "the name of a rule has at most %d bytes",
                                     RULES_NAME_MAX);
        if (rule->subjects->len == 0)
                return reader_refuse(reader, "Subjects= is missing: whom is it about?");
        if (is_about && !g_key_file_has_key(reader->file, reader->group, "Verdict", NULL))
                return reader_refuse(reader, "Verdict= is missing: allow, deny or ask?");
        if (!is_about && rule->limited == 0)
                return reader_refuse(reader, "it is about nothing: Connect=, Listen=, Use=, May= "
                                             "and limits are missing");

        return 0;
}

/* ---- a file ---- */

/* The numbers of the lines that begin a group, in order: GKeyFile does not tell them. */
static GArray *rules_find_lines(const char *contents) {
        GArray *lines = g_array_new(FALSE, FALSE, sizeof(unsigned));
        unsigned line = 1;

        for (const char *at = contents; at; line++) {
                at += strspn(at, " \t");
                if (*at == '[')
                        g_array_append_val(lines, line);
                at = strchr(at, '\n');
                at = at ? at + 1 : NULL;
        }

        return lines;
}

static int rules_read_group(RuleReader *reader, const char *path, unsigned line, GPtrArray *rules,
                            char **ret_text) {
        g_autoptr(Rule) rule = g_new0(Rule, 1);
        int r;

        rule->name = g_strdup(reader->group);
        rule->file = g_strdup(path);
        rule->line = line;
        rule->subjects = g_array_new(FALSE, FALSE, sizeof(Subject));

        reader->rule = rule;
        r = read_keys(reader);
        if (r == 0)
                r = check_rule(reader);
        if (r) {
                *ret_text = g_strdup_printf("%s:%u: [%s] %s", path, line, rule->name, reader->text);
                g_free(reader->text);
                return r;
        }

        g_ptr_array_add(rules, g_steal_pointer(&rule));
        return 0;
}

static void rule_destroy(void *rule) {
        rule_free(rule);
}

static int rules_read(GKeyFile *file, const char *path, const char *contents, GPtrArray *rules,
                      char **ret_text) {
        g_autoptr(GArray) lines = rules_find_lines(contents);
        gsize n = 0;
        g_auto(GStrv) groups = g_key_file_get_groups(file, &n);

        /* GKeyFile makes one of two groups with one name, in which half of each would hold */
        if (n != lines->len) {
                *ret_text = g_strdup_printf("%s: two rules have the same name", path);
                return ACCESS_E_BROKEN;
        }

        for (gsize i = 0; i < n; i++) {
                RuleReader reader = {.file = file, .group = groups[i]};
                int r;

                r = rules_read_group(&reader, path, g_array_index(lines, unsigned, i), rules,
                                     ret_text);
                if (r)
                        return r;
        }

        return 0;
}

int access_read(Access *access, const char *path, const char *contents, char **ret_text) {
        g_autoptr(GPtrArray) rules = g_ptr_array_new_with_free_func(rule_destroy);
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autoptr(GError) error = NULL;
        int r;

        /* else "Verdict[de]" would be passed over */
        if (!g_key_file_load_from_data(file, contents, strlen(contents),
                                       G_KEY_FILE_KEEP_TRANSLATIONS, &error)) {
                /* an empty file is one without rules */
                if (contents[strspn(contents, " \t\r\n")] == '\0')
                        return 0;
                *ret_text = g_strdup_printf("%s: %s", path, error->message);
                return ACCESS_E_BROKEN;
        }

        r = rules_read(file, path, contents, rules, ret_text);
        if (r)
                return r;

        g_ptr_array_extend_and_steal(access->rules, g_steal_pointer(&rules));
        return 0;
}
