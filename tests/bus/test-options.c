/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options, through real calls over a socket pair. Which there are, of which type and for which call
 * is read from interfaces/README.md, which is what callers are promised.
 */

#include "base/cleanup.h"
#include "base/memfd.h"
#include "seat.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CALLER ":1.7"
#define INVALID ERROR_PREFIX "InvalidInputParameters"
#define LISTENER NAME ".Listener"

/* ---- the table of the README ---- */

typedef struct Row {
        char *key, *type, *calls;
} Row;

static void row_free(gpointer data) {
        Row *row = data;

        g_free(row->key);
        g_free(row->type);
        g_free(row->calls);
        g_free(row);
}

static char *readme(void) {
        char *text;

        g_assert_true(g_file_get_contents(INTERFACES_DIR "/README.md", &text, NULL, NULL));
        return text;
}

static GPtrArray *readme_rows(void) {
        GPtrArray *rows = g_ptr_array_new_with_free_func(row_free);
        g_autoptr(GRegex) pattern =
                g_regex_new("^\\| `(\\w+)` \\| `([a-z(){}]+)` \\| ([CNLVST ]+) \\|",
                            G_REGEX_MULTILINE, 0, NULL);
        g_autoptr(GMatchInfo) match = NULL;
        g_autofree char *text = readme();

        for (g_regex_match(pattern, text, 0, &match); g_match_info_matches(match);
             g_match_info_next(match, NULL)) {
                Row *row = g_new0(Row, 1);

                row->key = g_match_info_fetch(match, 1);
                row->type = g_match_info_fetch(match, 2);
                row->calls = g_match_info_fetch(match, 3);
                if (strpbrk(row->calls, "ST"))
                        row->calls = strcat(g_realloc(row->calls, strlen(row->calls) + 2), "D");
                g_ptr_array_add(rows, row);
        }

        g_assert_cmpuint(rows->len, >, 30);
        return rows;
}

/* ---- calls that take options ---- */

static const char all_calls[] = "CNLVSTD"; /* D: SetDefaultConfiguration, what S or T may */

typedef struct Table {
        Seat *seat;
        Connection *connection;
        Listener *listener;
} Table;

static Table table_new(void) {
        Table table = {.seat = seat_new()};

        seat_enter(table.seat, CALLER, 1000);
        table.connection = fake_connection(table.seat->relay, 1000, CALLER, true);
        table.listener = fake_listener(table.seat->relay, 1000, CALLER);
        return table;
}

static void table_done(Table *table) {
        seat_free(table->seat);
}

static sd_bus_message *start(Table *table, char call) {
        g_autofree char *path = NULL;
        sd_bus_message *m;

        switch (call) {
        case 'C':
                m = seat_message(table->seat, CALLER, ROOT, MANAGER, "CreateConnection");
                g_assert_cmpint(sd_bus_message_append(m, "s", "client"), >=, 0);
                return m;
        case 'N':
        case 'L':
                m = seat_message(table->seat, CALLER, ROOT, MANAGER,
                                 call == 'N' ? "Connect" : "Listen");
                g_assert_cmpint(sd_bus_message_append(m, "sq", "127.0.0.1", 5684), >=, 0);
                return m;
        case 'V':
                return seat_message(table->seat, CALLER, ROOT, MANAGER, "CreateClientVerifier");
        case 'D':
                return seat_message(table->seat, CALLER, ROOT, MANAGER, "SetDefaultConfiguration");
        case 'S':
                path = g_strdup_printf(ROOT "/connection/%u", fake_id(table->connection));
                return seat_message(table->seat, CALLER, path, CONNECTION, "SetConfiguration");
        default:
                path = g_strdup_printf(ROOT "/listener/%u", listener_facts(table->listener).id);
                return seat_message(table->seat, CALLER, path, LISTENER, "SetConfiguration");
        }
}

/* Sends it and waits. The answer's error text, or NULL; it must be InvalidInputParameters. */
static char *finish(Table *table, sd_bus_message *m) {
        g_autoptr(Call) call = seat_send(table->seat, m);
        const sd_bus_error *error;

        seat_run(table->seat);
        g_assert_nonnull(call->reply);
        error = sd_bus_message_get_error(call->reply);
        if (!error)
                return NULL;

        g_assert_cmpstr(error->name, ==, INVALID);
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        return g_strdup(error->message);
}

/* @types and what follows: entries as for sd_bus_message_append(), "a{sv}" and how many. */
static char *refusal(Table *table, char call, const char *types, ...) {
        sd_bus_message *m = start(table, call);
        va_list arguments;

        va_start(arguments, types);
        g_assert_cmpint(sd_bus_message_appendv(m, types, arguments), >=, 0);
        va_end(arguments);
        return finish(table, m);
}

static void assert_says(const char *text, const char *what) {
        if (!text)
                g_error("nothing was refused; expected: %s", what);
        if (!strstr(text, what))
                g_error("\"%s\" does not say \"%s\"", text, what);
}

/* ---- the table ---- */

static void unknown_ones_are_answered_with_those_there_are(void) {
        Table table = table_new();
        g_autoptr(GPtrArray) rows = readme_rows();

        for (const char *call = all_calls; *call; call++) {
                g_autoptr(GString) expected = g_string_new(NULL);
                g_autofree char *text = refusal(&table, *call, "a{sv}", 1, "Mtu", "q", 1400);

                for (guint i = 0; i < rows->len; i++) {
                        const Row *row = g_ptr_array_index(rows, i);

                        if (strchr(row->calls, *call))
                                g_string_append_printf(expected, "%s%s",
                                                       expected->len > 0 ? ", " : "", row->key);
                }
                assert_says(text, "'Mtu'");
                g_assert_cmpstr(strstr(text, "takes: ") + strlen("takes: "), ==, expected->str);
        }
        table_done(&table);
}

static void a_wrong_type_is_named_with_the_right_one(void) {
        Table table = table_new();
        g_autoptr(GPtrArray) rows = readme_rows();

        for (guint i = 0; i < rows->len; i++) {
                const Row *row = g_ptr_array_index(rows, i);
                g_autofree char *type = g_strdup_printf("'%s'", row->type);
                g_autofree char *key = g_strdup_printf("'%s'", row->key);

                for (const char *call = all_calls; *call; call++) {
                        g_autofree char *text = NULL;

                        if (!strchr(row->calls, *call))
                                continue;

                        text = strcmp(row->type, "s") == 0
                                       ? refusal(&table, *call, "a{sv}", 1, row->key, "t",
                                                 UINT64_C(7))
                                       : refusal(&table, *call, "a{sv}", 1, row->key, "s", "x");
                        assert_says(text, key);
                        assert_says(text, type);
                }
        }
        table_done(&table);
}

static void one_for_another_call_is_refused(void) {
        Table table = table_new();
        g_autoptr(GPtrArray) rows = readme_rows();

        for (guint i = 0; i < rows->len; i++) {
                const Row *row = g_ptr_array_index(rows, i);

                for (const char *call = all_calls; *call; call++) {
                        g_autofree char *text = NULL;

                        if (strchr(row->calls, *call))
                                continue;

                        text = refusal(&table, *call, "a{sv}", 1, row->key, "s", "x");
                        assert_says(text, row->key);
                        assert_says(text, "is not for");
                }
        }
        table_done(&table);
}

static void psks_are_names_or_patterns(void) {
        static const char *const words[] = {"", "a b", "caf\xc3\xa9", "a,b", "[a]"};
        Table table = table_new();
        g_autofree char *long_word = g_strnfill(300, 'x');
        g_autofree char *too_long = refusal(&table, 'L', "a{sv}", 1, "Psks", "as", 1, long_word);
        g_auto(GStrv) patterns = g_new0(char *, 34);
        g_autofree char *many = NULL;
        sd_bus_message *m;

        assert_says(too_long, "'Psks'");
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
                g_autofree char *text = refusal(&table, 'L', "a{sv}", 1, "Psks", "as", 1, words[i]);

                assert_says(text, "names in the store");
        }
        for (size_t i = 0; i < 33; i++)
                patterns[i] = g_strdup("x*");
        m = start(&table, 'L');
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "Psks"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "as"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_strv(m, patterns), >=, 0);
        for (int i = 0; i < 3; i++)
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        many = finish(&table, m);
        assert_says(many, "more than 32");
        table_done(&table);
}

static void one_given_twice_is_refused(void) {
        Table table = table_new();
        g_autofree char *text =
                refusal(&table, 'C', "a{sv}", 2, "MtuHint", "q", 1400, "MtuHint", "q", 1400);

        assert_says(text, "'MtuHint' is given twice");
        table_done(&table);
}

/* A key of any length, in any script, comes back short and whole. */
static void a_long_name_is_quoted_shortly(void) {
        Table table = table_new();
        g_autoptr(GString) name = g_string_new(NULL);
        g_autofree char *text = NULL;

        for (size_t i = 0; i < 50000; i++)
                g_string_append(name, "ж");
        text = refusal(&table, 'C', "a{sv}", 1, name->str, "s", "x");
        g_assert_cmpuint(strlen(text), <, 2000);
        table_done(&table);
}

/* ---- ranges ---- */

typedef struct Number {
        char call;
        const char *key, *type;
        uint32_t value;
        const char *says; /* NULL: it is taken */
} Number;

static void numbers_out_of_range_are_refused_with_the_range(void) {
        static const Number numbers[] = {
                {'C', "MtuHint", "q", 0, NULL},
                {'C', "MtuHint", "q", 1, "256 to 65507"},
                {'C', "MtuHint", "q", 255, "256 to 65507"},
                {'C', "MtuHint", "q", 256, NULL},
                {'C', "MtuHint", "q", 65507, NULL},
                {'C', "MtuHint", "q", 65508, "256 to 65507"},
                {'C', "PeerVerifyDepth", "u", 16, NULL},
                {'C', "PeerVerifyDepth", "u", 17, "0 to 16"},
                {'S', "RetransmitInitial", "u", 9, "10 to 60000"},
                {'S', "RetransmitInitial", "u", 10, NULL},
                {'S', "RetransmitInitial", "u", 60001, "10 to 60000"},
                {'T', "RetransmitMax", "u", 60001, "10 to 60000"},
                {'T', "RetransmitMax", "u", 999, "RetransmitInitial or more"},
                {'T', "RetransmitMax", "u", 1000, NULL},
                {'N', "HandshakeDeadline", "u", 99, "100 to 600000"},
                {'N', "HandshakeDeadline", "u", 600001, "100 to 600000"},
                {'C', "HandshakeDeadline", "u", 600000, NULL},
                {'L', "AnswerDeadline", "u", 0, "100 to 600000"},
                {'L', "AnswerDeadline", "u", 100, NULL},
                {'L', "IdleTimeout", "u", 0, NULL},
                {'L', "IdleTimeout", "u", 99, "0 or 100 to 604800000"},
                {'L', "IdleTimeout", "u", 604800000, NULL},
                {'L', "IdleTimeout", "u", UINT32_MAX, "0 to 604800000"},
                {'C', "PeerPort", "q", 0, "1 to 65535"},
        };
        Table table = table_new();

        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
                const Number *number = &numbers[i];
                g_autofree char *text = refusal(&table, number->call, "a{sv}", 1, number->key,
                                                number->type, number->value);

                g_test_message("%s %u", number->key, number->value);
                if (number->says)
                        assert_says(text, number->says);
                else
                        g_assert_cmpstr(text, ==, NULL);
        }
        table_done(&table);
}

typedef struct Word {
        char call;
        const char *key, *value;
        const char *says; /* NULL: it is taken */
} Word;

static void words_that_are_none_are_refused_with_those_there_are(void) {
        static const Word words[] = {
                {'C', "Transport", "udp", NULL},
                {'C', "Transport", "external", NULL},
                {'N', "Transport", "external", "CreateConnection alone"},
                {'L', "Transport", "external", "CreateConnection alone"},
                {'C', "Transport", "tcp", "'external'"},
                {'C', "Trust", "system", NULL},
                {'C', "Trust", "u/1000/mine", "no trust set 'u/1000/mine'"},
                {'C', "PeerVerifyMode", "VerifyPeer", NULL},
                {'C', "PeerVerifyMode", "verifypeer", "'AutoVerifyPeer'"},
                {'C', "Protocol", "DtlsV1_2", NULL},
                {'C', "Protocol", "TlsV1_2", NULL},
                {'C', "Protocol", "DtlsV1_3", "'DtlsV1_2OrLater'"},
                {'C', "Protocol", "", "'DtlsV1_2OrLater'"},
                {'C', "CipherProfile", "iot", NULL},
                {'C', "CipherProfile", "best", "'legacy'"},
                {'C', "Retransmission", "manual", NULL},
                {'C', "Retransmission", "never", "'manual'"},
                {'L', "CookieHash", "Sha384", NULL},
                {'V', "CookieHash", "Md5", NULL},
                {'V', "CookieHash", "Sha3_256",
                 "it has to be Md5, Sha1, Sha224, Sha256, Sha384 or Sha512"},
                {'L', "CookieHash", "sha384",
                 "it has to be Md5, Sha1, Sha224, Sha256, Sha384 or Sha512"},
                {'C', "LocalAddress", "0.0.0.0", NULL},
                {'C', "LocalAddress", "::1", NULL},
                {'C', "LocalAddress", "224.0.0.1", "224.0.0.1"},
                {'C', "LocalAddress", "localhost", "not a numeric"},
                {'C', "VerificationName", "a.example", NULL},
        };
        Table table = table_new();

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
                const Word *word = &words[i];
                g_autofree char *text =
                        refusal(&table, word->call, "a{sv}", 1, word->key, "s", word->value);

                g_test_message("%s %s", word->key, word->value);
                if (word->says)
                        assert_says(text, word->says);
                else
                        g_assert_cmpstr(text, ==, NULL);
        }
        table_done(&table);
}

static void peers_that_are_none_are_refused(void) {
        static const char *const bad[] = {
                "0.0.0.0",     "::",          "255.255.255.255", "224.0.0.251",    "ff02::fb", "",
                "example.org", "127.0.0.1:1", "[::1]",           "::ffff:0.0.0.0", "1.2.3"};
        static const char *const good[] = {"127.0.0.1", "::1", "::ffff:127.0.0.1"};
        Table table = table_new();

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *text = refusal(&table, 'C', "a{sv}", 2, "PeerAddress", "s", bad[i],
                                                "PeerPort", "q", 5684);

                g_test_message("%s: %s", bad[i], text);
                assert_says(text, bad[i]);
                g_assert_null(strstr(text, "port")); /* nothing is wrong with it */
        }
        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                g_autofree char *text = refusal(&table, 'C', "a{sv}", 2, "PeerAddress", "s",
                                                good[i], "PeerPort", "q", 5684);

                g_assert_cmpstr(text, ==, NULL);
        }
        table_done(&table);
}

static void names_and_identities_have_a_length(void) {
        Table table = table_new();
        g_autofree char *long_name = g_strnfill(256, 'n');
        g_autofree char *longest = g_strnfill(255, 'n');
        g_autofree char *too_long =
                refusal(&table, 'C', "a{sv}", 1, "VerificationName", "s", long_name);
        g_autofree char *none = refusal(&table, 'C', "a{sv}", 1, "VerificationName", "s", longest);
        g_autofree char *empty = refusal(&table, 'C', "a{sv}", 1, "PreSharedKeyIdentity", "ay", 0);
        g_autofree char *nul = refusal(&table, 'L', "a{sv}", 1, "PskIdentityHint", "ay", 2, 'a', 0);
        g_autofree char *hint = refusal(&table, 'L', "a{sv}", 1, "PskIdentityHint", "ay", 0);

        assert_says(too_long, "256 bytes");
        g_assert_cmpstr(none, ==, NULL);
        assert_says(empty, "1 to 255");
        assert_says(nul, "NUL");
        g_assert_cmpstr(hint, ==, NULL);
        table_done(&table);
}

static void lists_of_errors_are_read_strictly(void) {
        Table table = table_new();
        g_autofree char *code = refusal(&table, 'C', "a{sv}", 1, "IgnoredErrorsOfAnyCertificate",
                                        "as", 2, "SelfSignedCertificate", "NoError");
        g_autofree char *name =
                refusal(&table, 'C', "a{sv}", 1, "IgnoredErrors", "a(say)", 1, "selfsigned", 0);
        g_autofree char *certificate = refusal(&table, 'C', "a{sv}", 1, "IgnoredErrors", "a(say)",
                                               1, "SelfSignedCertificate", 3, 1, 2, 3);
        g_autofree char *none = refusal(&table, 'C', "a{sv}", 1, "IgnoredErrors", "a(say)", 1,
                                        "NoPeerCertificate", 0);

        assert_says(code, "'NoError'");
        assert_says(name, "'selfsigned'");
        assert_says(certificate, "certificate");
        g_assert_cmpstr(none, ==, NULL);
        table_done(&table);
}

/* ---- what belongs together ---- */

static void halves_are_refused(void) {
        Table table = table_new();
        g_autofd int fd = -1;
        g_autofree char *host = refusal(&table, 'C', "a{sv}", 1, "PeerAddress", "s", "127.0.0.1");
        g_autofree char *port = refusal(&table, 'C', "a{sv}", 1, "PeerPort", "q", 5684);
        g_autofree char *local = refusal(&table, 'C', "a{sv}", 1, "LocalPort", "q", 40000);
        g_autofree char *families =
                refusal(&table, 'C', "a{sv}", 3, "PeerAddress", "s", "127.0.0.1", "PeerPort", "q",
                        5684, "LocalAddress", "s", "::1");
        g_autofree char *trust = refusal(&table, 'C', "a{sv}", 2, "Trust", "s", "system",
                                         "CaCertificates", "aay", 0);
        g_autofree char *identity =
                refusal(&table, 'C', "a{sv}", 1, "PreSharedKeyIdentity", "ay", 1, 'a');
        g_autofree char *key = NULL, *psk = NULL;

        g_assert_cmpint(memfd_new("k", 1, &fd), ==, 0);
        key = refusal(&table, 'L', "a{sv}", 1, "PrivateKey", "h", fd);
        psk = refusal(&table, 'S', "a{sv}", 1, "PreSharedKey", "h", fd);

        assert_says(host, "PeerPort");
        assert_says(port, "PeerAddress");
        assert_says(local, "LocalPort needs");
        assert_says(families, "both IPv4");
        assert_says(trust, "CaCertificates");
        assert_says(identity, "PreSharedKey");
        assert_says(key, "CertificateChain");
        assert_says(psk, "PreSharedKeyIdentity");
        table_done(&table);
}

static void a_persistent_object_has_an_end(void) {
        Table table = table_new();
        g_autofree char *forever =
                refusal(&table, 'C', "a{sv}", 2, "Persistent", "b", 1, "IdleTimeout", "u", 0);
        g_autofree char *signals =
                refusal(&table, 'C', "a{sv}", 2, "Persistent", "b", 1, "DatagramSignals", "b", 1);

        assert_says(forever, "IdleTimeout");
        assert_says(signals, "DatagramSignals");
        table_done(&table);
}

/* ---- certificates and secrets ---- */

static void what_is_no_certificate_is_refused(void) {
        Table table = table_new();
        g_autofree char *chain = NULL;
        g_autofree char *anchors =
                refusal(&table, 'C', "a{sv}", 1, "CaCertificates", "aay", 2, 0, 3, 'P', 'E', 'M');
        g_autofree char *empty = refusal(&table, 'C', "a{sv}", 1, "CaCertificates", "aay", 0);
        g_autofd int fd = -1;

        g_assert_cmpint(memfd_new("k", 1, &fd), ==, 0);
        chain = refusal(&table, 'L', "a{sv}", 2, "CertificateChain", "aay", 1, 3, 'P', 'E', 'M',
                        "PrivateKey", "h", fd);

        assert_says(anchors, "'CaCertificates'");
        assert_says(chain, "'CertificateChain'");
        g_assert_cmpstr(empty, ==, NULL); /* trusts nobody */
        table_done(&table);
}

static char *cookie_secret(Table *table, int fd) {
        return refusal(table, 'L', "a{sv}", 1, "CookieSecret", "h", fd);
}

static void a_secret_is_a_sealed_memfd_or_nothing(void) {
        Table table = table_new();
        g_autofree char *folder = g_dir_make_tmp(NULL, NULL);
        g_autofree char *large = g_strnfill(1025, 's');
        g_autofree char *texts[6] = {NULL};
        g_autofd int sealed_fd = -1;
        g_autofd int long_fd = -1;
        g_autofd int unsealed_fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        g_autofd int folder_fd = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
        int pipe_fds[2];

        g_assert_cmpint(memfd_new("secret", 6, &sealed_fd), ==, 0);
        g_assert_cmpint(memfd_new(large, strlen(large), &long_fd), ==, 0);
        g_assert_cmpint(write(unsealed_fd, "x", 1), ==, 1);
        g_assert_cmpint(pipe(pipe_fds), ==, 0); /* nothing in it: a read would wait for ever */

        texts[0] = cookie_secret(&table, sealed_fd);
        texts[1] = cookie_secret(&table, long_fd);
        texts[2] = cookie_secret(&table, unsealed_fd);
        texts[3] = cookie_secret(&table, folder_fd);
        texts[4] = cookie_secret(&table, pipe_fds[0]);
        texts[5] = refusal(&table, 'C', "a{sv}", 2, "PreSharedKeyIdentity", "ay", 1, 'a',
                           "PreSharedKey", "h", pipe_fds[0]);

        g_assert_cmpstr(texts[0], ==, NULL);
        assert_says(texts[1], "1 to 1024");
        for (size_t i = 2; i < G_N_ELEMENTS(texts); i++)
                g_assert_nonnull(texts[i]);

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                g_free(texts[i]);
        memset(texts, 0, sizeof(texts));
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);
        (void)rmdir(folder);
        table_done(&table);
}

/* ---- read back ---- */

static char *made_path(Table *table, const char *types, ...) {
        sd_bus_message *m = start(table, 'C');
        g_autoptr(Call) call = NULL;
        va_list arguments;
        const char *path;

        va_start(arguments, types);
        g_assert_cmpint(sd_bus_message_appendv(m, types, arguments), >=, 0);
        va_end(arguments);
        call = seat_send(table->seat, m);
        seat_run(table->seat);
        g_assert_cmpstr(call_error(call), ==, NULL);
        g_assert_cmpint(sd_bus_message_read(call->reply, "o", &path), >, 0);
        return g_strdup(path);
}

/* An "as" or "aay" that comes next, with a comma behind each element. */
static char *joined(sd_bus_message *m, const char *type) {
        GString *text = g_string_new(NULL);
        const char *word;
        const void *data;
        size_t size;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'v', type), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', type + 1), >, 0);
        while (!sd_bus_message_at_end(m, false)) {
                if (strcmp(type, "as") == 0) {
                        g_assert_cmpint(sd_bus_message_read(m, "s", &word), >, 0);
                        g_string_append(text, word);
                } else {
                        g_assert_cmpint(sd_bus_message_read_array(m, 'y', &data, &size), >, 0);
                        g_string_append_len(text, data, (gssize)size);
                }
                g_string_append_c(text, ',');
        }

        return g_string_free(text, FALSE);
}

/* The value of one entry of Configuration as text. */
static char *in_effect(Table *table, const char *path, const char *key, const char *type) {
        g_autoptr(Call) call =
                seat_call(table->seat, CALLER, path, "org.freedesktop.DBus.Properties", "Get", "ss",
                          CONNECTION, "Configuration");
        const char *name, *text;
        uint32_t number;

        seat_run(table->seat);
        g_assert_cmpstr(call_error(call), ==, NULL);
        g_assert_cmpint(sd_bus_message_enter_container(call->reply, 'v', "a{sv}"), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(call->reply, 'a', "{sv}"), >, 0);
        while (sd_bus_message_enter_container(call->reply, 'e', "sv") > 0) {
                g_assert_cmpint(sd_bus_message_read(call->reply, "s", &name), >, 0);
                if (strcmp(name, key) == 0) {
                        if (type[0] == 'a')
                                return joined(call->reply, type);
                        if (strcmp(type, "s") == 0) {
                                g_assert_cmpint(sd_bus_message_read(call->reply, "v", "s", &text),
                                                >, 0);
                                return g_strdup(text);
                        }
                        g_assert_cmpint(sd_bus_message_read(call->reply, "v", type, &number), >, 0);
                        return g_strdup_printf("%u", number);
                }
                g_assert_cmpint(sd_bus_message_skip(call->reply, "v"), >, 0);
                g_assert_cmpint(sd_bus_message_exit_container(call->reply), >, 0);
        }

        return NULL;
}

static void assert_in_effect(Table *table, const char *path, const char *key, const char *type,
                             const char *expected) {
        g_autofree char *value = in_effect(table, path, key, type);

        g_test_message("%s", key);
        g_assert_cmpstr(value, ==, expected);
}

static void configuration_shows_what_is_in_effect(void) {
        Table table = table_new();
        g_autofree char *defaults = made_path(&table, "a{sv}", 0);
        g_autofree char *chosen =
                made_path(&table, "a{sv}", 6, "OcspStapling", "b", 1, "PeerVerifyMode", "s",
                          "VerifyPeer", "RetransmitInitial", "u", 250, "CaCertificates", "aay", 0,
                          "HandshakeMustInterruptOnError", "b", 0, "Persistent", "b", 1);

        assert_in_effect(&table, defaults, "Transport", "s", "udp");
        assert_in_effect(&table, defaults, "Trust", "s", "system");
        assert_in_effect(&table, defaults, "PeerVerifyMode", "s", "AutoVerifyPeer");
        assert_in_effect(&table, defaults, "RetransmitInitial", "u", "1000");
        assert_in_effect(&table, defaults, "RetransmitMax", "u", "60000");
        assert_in_effect(&table, defaults, "HandshakeDeadline", "u", "60000");
        assert_in_effect(&table, defaults, "AnswerDeadline", "u", "50000");
        assert_in_effect(&table, defaults, "IdleTimeout", "u", "0");
        assert_in_effect(&table, defaults, "HandshakeMustInterruptOnError", "b", "1");
        assert_in_effect(&table, defaults, "OcspStapling", "b", "0");
        assert_in_effect(&table, defaults, "PreSharedKey", "b", "0");
        assert_in_effect(&table, chosen, "PeerVerifyMode", "s", "VerifyPeer");
        assert_in_effect(&table, chosen, "RetransmitInitial", "u", "250");
        assert_in_effect(&table, chosen, "OcspStapling", "b", "1");
        assert_in_effect(&table, chosen, "Trust", "s", NULL);
        assert_in_effect(&table, chosen, "HandshakeMustInterruptOnError", "b", "0");
        assert_in_effect(&table, chosen, "IdleTimeout", "u", "300000");
        table_done(&table);
}

static void application_protocols_are_few_and_short(void) {
        Table table = table_new();
        g_autofree char *path = made_path(&table, "a{sv}", 1, "NextProtocols", "aay", 2, 4, 'c',
                                          'o', 'a', 'p', 1, 'x');
        g_autofree char *none = made_path(&table, "a{sv}", 1, "NextProtocols", "aay", 0);
        g_autofree char *empty = refusal(&table, 'C', "a{sv}", 1, "NextProtocols", "aay", 1, 0);
        g_autofree char *many =
                refusal(&table, 'L', "a{sv}", 1, "NextProtocols", "aay", 9, 1, 'a', 1, 'b', 1, 'c',
                        1, 'd', 1, 'e', 1, 'f', 1, 'g', 1, 'h', 1, 'i');
        g_autofree char *longest =
                refusal(&table, 'S', "a{sv}", 1, "NextProtocols", "aay", 1, 31, 1, 2, 3, 4, 5, 6, 7,
                        8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
                        27, 28, 29, 30, 31);
        g_autofree char *too_long =
                refusal(&table, 'S', "a{sv}", 1, "NextProtocols", "aay", 1, 32, 1, 2, 3, 4, 5, 6, 7,
                        8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
                        27, 28, 29, 30, 31, 32);
        const GPtrArray *protocols =
                connection_facts(relay_find_connection(table.seat->relay, 3)).spec->next_protocols;

        g_assert_cmpstr(strrchr(path, '/'), ==, "/3");
        g_assert_cmpuint(protocols->len, ==, 2);
        g_assert_cmpmem(g_bytes_get_data(protocols->pdata[0], NULL), 4, "coap", 4);
        assert_in_effect(&table, path, "NextProtocols", "aay", "coap,x,");
        assert_in_effect(&table, none, "NextProtocols", "aay", NULL);
        assert_says(empty, "1 to 31");
        assert_says(many, "more than 8");
        assert_says(too_long, "32 bytes");
        g_assert_cmpstr(longest, ==, NULL);
        table_done(&table);
}

static void names_of_suites_and_curves_are_read_back(void) {
        Table table = table_new();
        g_autofree char *path =
                made_path(&table, "a{sv}", 3, "Ciphers", "as", 3, "ECDHE-ECDSA-AES128-GCM-SHA256",
                          "TLS_PSK_WITH_AES_128_CCM_8", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                          "EllipticCurves", "as", 2, "prime256v1", "X25519", "SslOptions", "as", 2,
                          "DisableServerNameIndication", "DisableCompression");
        g_autofree char *empty =
                made_path(&table, "a{sv}", 2, "Ciphers", "as", 0, "CipherProfile", "s", "iot");

        assert_in_effect(&table, path, "Ciphers", "as",
                         "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_PSK_WITH_AES_128_CCM_8,");
        assert_in_effect(&table, path, "CipherProfile", "s", NULL);
        assert_in_effect(&table, path, "EllipticCurves", "as", "SECP256R1,X25519,");
        assert_in_effect(&table, path, "SslOptions", "as",
                         "DisableServerNameIndication,DisableCompression,");
        assert_in_effect(&table, empty, "Ciphers", "as", NULL);
        assert_in_effect(&table, empty, "CipherProfile", "s", "iot");
        table_done(&table);
}

static void unknown_suites_curves_and_options_are_named(void) {
        Table table = table_new();
        g_autofree char *cipher =
                refusal(&table, 'L', "a{sv}", 1, "Ciphers", "as", 2, "PSK-AES128-CCM", "RC4-MD5");
        g_autofree char *curve =
                refusal(&table, 'C', "a{sv}", 1, "EllipticCurves", "as", 1, "sect163k1");
        g_autofree char *option =
                refusal(&table, 'S', "a{sv}", 1, "SslOptions", "as", 1, "DisableEverything");
        g_autofree char *both = refusal(&table, 'C', "a{sv}", 2, "Ciphers", "as", 1,
                                        "PSK-AES128-CCM", "CipherProfile", "s", "iot");

        assert_says(cipher, "'Ciphers': there is no 'RC4-MD5'");
        assert_says(curve, "'EllipticCurves': there is no 'sect163k1'");
        assert_says(option, "'SslOptions': there is no 'DisableEverything'");
        assert_says(both, "CipherProfile");
        table_done(&table);
}

static void a_list_of_names_is_bounded(void) {
        Table table = table_new();
        sd_bus_message *m = start(&table, 'C');
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        g_autofree char *text = NULL;

        for (size_t i = 0; i < 257; i++)
                g_ptr_array_add(names, (void *)"X25519");
        g_ptr_array_add(names, NULL);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "EllipticCurves"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "as"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_strv(m, (char **)names->pdata), >=, 0);
        for (size_t i = 0; i < 3; i++)
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        text = finish(&table, m);
        assert_says(text, "more than 256");
        table_done(&table);
}

/* No polkit is there to be asked. */
static void old_suites_are_asked_about(void) {
        static const struct {
                const char *cipher, *error;
        } cases[] = {
                {"ECDHE-RSA-AES128-GCM-SHA256", NULL},
                {"ECDHE-RSA-AES128-SHA", ERROR_PREFIX "NotAuthorized"},
                {"DHE-PSK-AES128-CCM", ERROR_PREFIX "NotAuthorized"},
        };
        Table table = table_new();

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                sd_bus_message *m = start(&table, 'C');
                g_autoptr(Call) call = NULL;

                g_assert_cmpint(
                        sd_bus_message_append(m, "a{sv}", 1, "Ciphers", "as", 1, cases[i].cipher),
                        >=, 0);
                call = seat_send(table.seat, m);
                seat_run(table.seat);
                g_assert_cmpstr(call_error(call), ==, cases[i].error);
        }
        table_done(&table);
}

static void connect_gives_up_before_its_caller(void) {
        Table table = table_new();
        sd_bus_message *m = start(&table, 'N');
        g_autoptr(GArray) ids = NULL;
        g_autoptr(Call) call = NULL;
        Connection *connection;

        g_assert_cmpint(sd_bus_message_append(m, "a{sv}", 0), >=, 0);
        call = seat_send(table.seat, m);
        seat_run(table.seat);
        ids = relay_list_connections(table.seat->relay, fake_id(table.connection), 10);
        g_assert_cmpuint(ids->len, ==, 1);
        connection = relay_find_connection(table.seat->relay, g_array_index(ids, uint32_t, 0));
        g_assert_cmpuint(connection_facts(connection).spec->handshake_deadline_usec, ==, 20000000);
        g_assert_false(connection_facts(connection).spec->offer_psk);
        fake_removed(connection);
        table_done(&table);
}

static char *with_parameters(Table *table, char call, const uint8_t *data, size_t size) {
        sd_bus_message *m = start(table, call);

        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "DhParameters"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "ay"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
        for (int i = 0; i < 3; i++)
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        return finish(table, m);
}

/* What else can be wrong with them is /session/dh/'s. */
static void diffie_hellman_parameters_are_looked_at(void) {
        static const uint8_t head[] = {0x30, 0x82, 0x01, 0x08, 0x02, 0x82, 0x01, 0x01, 0x00};
        uint8_t der[sizeof head + 256 + 3];
        Table table = table_new();
        g_autofree char *refused = NULL;

        memset(der, 0xff, sizeof der); /* a prime, as far as anybody looks */
        memcpy(der, head, sizeof head);
        memcpy(der + sizeof der - 3, (const uint8_t[]){0x02, 0x01, 0x02}, 3);
        g_assert_null(with_parameters(&table, 'L', der, sizeof der));
        g_assert_null(with_parameters(&table, 'L', der, 0));

        der[sizeof der - 1] = 1;
        refused = with_parameters(&table, 'T', der, sizeof der);
        assert_says(refused, "generator");
        table_done(&table);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/options/unknown-ones-are-answered-with-those-there-are",
                        unknown_ones_are_answered_with_those_there_are);
        g_test_add_func("/options/a-wrong-type-is-named-with-the-right-one",
                        a_wrong_type_is_named_with_the_right_one);
        g_test_add_func("/options/one-for-another-call-is-refused",
                        one_for_another_call_is_refused);
        g_test_add_func("/options/psks-are-names-or-patterns", psks_are_names_or_patterns);
        g_test_add_func("/options/one-given-twice-is-refused", one_given_twice_is_refused);
        g_test_add_func("/options/a-long-name-is-quoted-shortly", a_long_name_is_quoted_shortly);
        g_test_add_func("/options/numbers-out-of-range-are-refused-with-the-range",
                        numbers_out_of_range_are_refused_with_the_range);
        g_test_add_func("/options/words-that-are-none-are-refused-with-those-there-are",
                        words_that_are_none_are_refused_with_those_there_are);
        g_test_add_func("/options/peers-that-are-none-are-refused",
                        peers_that_are_none_are_refused);
        g_test_add_func("/options/names-and-identities-have-a-length",
                        names_and_identities_have_a_length);
        g_test_add_func("/options/lists-of-errors-are-read-strictly",
                        lists_of_errors_are_read_strictly);
        g_test_add_func("/options/halves-are-refused", halves_are_refused);
        g_test_add_func("/options/a-persistent-object-has-an-end", a_persistent_object_has_an_end);
        g_test_add_func("/options/what-is-no-certificate-is-refused",
                        what_is_no_certificate_is_refused);
        g_test_add_func("/options/a-secret-is-a-sealed-memfd-or-nothing",
                        a_secret_is_a_sealed_memfd_or_nothing);
        g_test_add_func("/options/configuration-shows-what-is-in-effect",
                        configuration_shows_what_is_in_effect);
        g_test_add_func("/options/application-protocols-are-few-and-short",
                        application_protocols_are_few_and_short);
        g_test_add_func("/options/names-of-suites-and-curves-are-read-back",
                        names_of_suites_and_curves_are_read_back);
        g_test_add_func("/options/unknown-suites-curves-and-options-are-named",
                        unknown_suites_curves_and_options_are_named);
        g_test_add_func("/options/a-list-of-names-is-bounded", a_list_of_names_is_bounded);
        g_test_add_func("/options/old-suites-are-asked-about", old_suites_are_asked_about);
        g_test_add_func("/options/connect-gives-up-before-its-caller",
                        connect_gives_up_before_its_caller);
        g_test_add_func("/options/diffie-hellman-parameters-are-looked-at",
                        diffie_hellman_parameters_are_looked_at);
        return g_test_run();
}
