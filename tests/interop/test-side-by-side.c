/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Qt's QDtls and the service's Connection, side by side: every scenario of side-by-side.scenarios
 * is run on both, each with a QDtls of Qt's as its peer, and what can be observed is compared line
 * by line. The differences are those that the scenario names, no more and no fewer, each with a
 * reason that is in the table of Qt's members in interfaces/README.md.
 *
 * A scenario is lines of these kinds:
 *
 *   scenario NAME, beginning NAME; use NAME: the lines of that beginning
 *   LINE                     to the subject, in the language of subject.h; compared
 *   each LINE                the same after all of the scenario before its first "each", done anew
 *   peer LINE                to the peer; not compared
 *   exchange                 all that either has sent goes to the other until both are silent; then
 *                            the subject is compared
 *   lose|corrupt|repeat subject|peer    the next datagram that this one has sent
 *       FIELD: QT | OURS     (indented) a difference of the line before
 *       because MEMBER: TEXT (indented) its row in the table, and what the row says about it
 *
 * In a line "<" is the next datagram that the other one has sent, "%" the directory of the scene.
 */

#include "puppet.h"
#include "subject.h"

#include "lib/certificates.h"

#include <string.h>

#define EXCHANGE_MAX 200 /* datagrams; no handshake has as many */

typedef struct Step {
        char *line;
        bool each;
        GPtrArray *differences, *reasons; /* of char * */
} Step;

typedef struct Scenario {
        char *name;
        GPtrArray *steps;
} Scenario;

typedef struct End {
        Subject *subject;
        char *state;
        bool waits; /* for its first hello */
} End;

typedef struct Stage {
        End subject, peer;
        GString *signals; /* of the subject during an exchange */
        size_t n_sent;    /* by the subject since it was last observed */
} Stage;

static Scene scene;
static GPtrArray *scenarios;
static GHashTable *beginnings; /* Scenarios by name */

/* ---- reading ---- */

static Step *step_new(const char *line) {
        Step *step = g_new0(Step, 1);

        step->each = g_str_has_prefix(line, "each ");
        step->line = g_strdup(step->each ? line + strlen("each ") : line);
        step->differences = g_ptr_array_new_with_free_func(g_free);
        step->reasons = g_ptr_array_new_with_free_func(g_free);
        return step;
}

static Scenario *scenario_new(const char *name) {
        Scenario *scenario = g_new0(Scenario, 1);

        scenario->name = g_strdup(name);
        scenario->steps = g_ptr_array_new();
        return scenario;
}

static void read_annotation(Step *step, const char *text) {
        if (g_str_has_prefix(text, "because "))
                g_ptr_array_add(step->reasons, g_strdup(text + strlen("because ")));
        else
                g_ptr_array_add(step->differences, g_strdup(text));
}

static void read_use(Scenario *scenario, const char *name) {
        const Scenario *beginning = g_hash_table_lookup(beginnings, name);

        if (!beginning)
                g_error("no beginning %s", name);
        g_ptr_array_extend(scenario->steps, beginning->steps, NULL, NULL);
}

static void read_scenarios(const char *path) {
        g_auto(GStrv) lines = NULL;
        g_autofree char *text = NULL;
        Scenario *scenario = NULL;

        scenarios = g_ptr_array_new();
        beginnings = g_hash_table_new(g_str_hash, g_str_equal);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
                const char *rest = g_strchomp(*line);
                const char *name = rest + strcspn(rest, " ") + 1;

                if (*rest == '\0' || *rest == '#')
                        continue;
                if (g_str_has_prefix(rest, "scenario ")) {
                        scenario = scenario_new(name);
                        g_ptr_array_add(scenarios, scenario);
                } else if (g_str_has_prefix(rest, "beginning ")) {
                        scenario = scenario_new(name);
                        (void)g_hash_table_insert(beginnings, scenario->name, scenario);
                } else if (g_str_has_prefix(rest, "use ")) {
                        read_use(scenario, name);
                } else if (*rest == ' ') {
                        read_annotation(scenario->steps->pdata[scenario->steps->len - 1],
                                        g_strchug(*line));
                } else {
                        g_ptr_array_add(scenario->steps, step_new(rest));
                }
        }
}

/* ---- running ---- */

static char *field(const char *line, const char *key) {
        const char *at = strstr(line, key);

        g_assert_nonnull(at);
        at += strlen(key);
        return g_strndup(at, strcspn(at, "\t"));
}

/* "<" and "%" replaced. */
static char *complete(const char *line, GQueue *from) {
        g_auto(GStrv) words = g_strsplit(line, " ", -1);

        for (char **word = words; *word; word++) {
                g_auto(GStrv) parts = g_strsplit(*word, "%", 2);
                char *replaced = NULL;

                if (g_str_equal(*word, "<"))
                        replaced = g_queue_pop_head(from);
                else if (parts[1])
                        replaced = g_strdup_printf("%s%s/%s", parts[0], scene.directory, parts[1]);
                else
                        continue;
                if (!replaced)
                        g_error("'%s': nothing was sent", line);
                g_free(*word);
                *word = replaced;
        }
        return g_strjoinv(" ", words);
}

/* To be freed. */
static char *tell(End *end, End *other, const char *line) {
        g_autofree char *whole = complete(line, &other->subject->sent);
        char *answer = end->subject->obey(end->subject, whole);

        g_free(end->state);
        end->state = field(answer, "state=");
        end->waits = (end->waits || g_str_equal(line, "new server")) &&
                     g_str_equal(end->state, "HandshakeNotStarted");
        return answer;
}

static char *tell_subject(Stage *stage, const char *line) {
        guint before = stage->subject.subject->sent.length;
        char *answer = tell(&stage->subject, &stage->peer, line);

        stage->n_sent += stage->subject.subject->sent.length - before;
        return answer;
}

static void tell_peer(Stage *stage, const char *line) {
        g_free(tell(&stage->peer, &stage->subject, line));
}

/* What an application does with a datagram; NULL: nothing. */
static const char *use_of_datagram(const End *end) {
        if (g_str_equal(end->state, "HandshakeComplete"))
                return "decrypt <";
        return end->waits || g_str_equal(end->state, "HandshakeInProgress") ? "do-handshake <"
                                                                            : NULL;
}

static void subject_takes(Stage *stage) {
        const char *use = use_of_datagram(&stage->subject);
        g_autofree char *answer = NULL, *signals = NULL;

        if (!use) {
                g_free(g_queue_pop_head(&stage->peer.subject->sent));
                return;
        }
        answer = tell_subject(stage, use);
        signals = field(answer, "signals=");
        g_string_append_printf(stage->signals, "%s%s", *signals && stage->signals->len ? "+" : "",
                               signals);
}

static void peer_takes(Stage *stage) {
        const char *use = use_of_datagram(&stage->peer);

        if (use)
                tell_peer(stage, use);
        else
                g_free(g_queue_pop_head(&stage->subject.subject->sent));
}

/* The line of "observe", with the signals of all that went before. */
static char *exchange(Stage *stage) {
        g_autofree char *answer = NULL;
        unsigned n = 0;

        (void)g_string_truncate(stage->signals, 0);
        while (stage->subject.subject->sent.length || stage->peer.subject->sent.length) {
                if (stage->subject.subject->sent.length)
                        peer_takes(stage);
                else
                        subject_takes(stage);
                if (++n > EXCHANGE_MAX)
                        g_error("the peers never fall silent");
        }
        answer = tell_subject(stage, "observe");
        return g_strconcat(answer, stage->signals->str, NULL);
}

/* False: @line is none of these. */
static bool harm(Stage *stage, const char *line) {
        static const char *const harms[] = {"lose", "repeat", "corrupt", NULL};
        g_auto(GStrv) words = g_strsplit(line, " ", 2);
        const End *end = g_strcmp0(words[1], "peer") == 0 ? &stage->peer : &stage->subject;
        GQueue *queue = &end->subject->sent;
        char *head = g_queue_peek_head(queue);

        if (!g_strv_contains(harms, words[0]))
                return false;

        g_assert_nonnull(head);
        if (g_str_equal(words[0], "lose"))
                g_free(g_queue_pop_head(queue));
        else if (g_str_equal(words[0], "repeat"))
                g_queue_push_head(queue, g_strdup(head));
        else
                head[strlen(head) - 1] = head[strlen(head) - 1] == '0' ? '1' : '0';
        return true;
}

/* The line to compare, to be freed, or NULL. */
static char *do_step(Stage *stage, const Step *step) {
        g_autofree char *answer = NULL;
        size_t n_sent;

        if (g_str_has_prefix(step->line, "peer ")) {
                tell_peer(stage, step->line + strlen("peer "));
                return NULL;
        }
        if (harm(stage, step->line))
                return NULL;

        answer = g_str_equal(step->line, "exchange") ? exchange(stage)
                                                     : tell_subject(stage, step->line);
        n_sent = stage->n_sent;
        stage->n_sent = 0;
        return g_strconcat(answer, "\tsent=", n_sent ? "true" : "false", NULL);
}

static void do_again(Stage *stage, const Scenario *scenario) {
        g_queue_clear_full(&stage->subject.subject->sent, g_free);
        g_queue_clear_full(&stage->peer.subject->sent, g_free);
        for (guint i = 0; i < scenario->steps->len; i++) {
                const Step *step = scenario->steps->pdata[i];

                if (step->each)
                        return;
                g_free(do_step(stage, step));
        }
}

/* One char * for each step. Frees @subject. */
static GPtrArray *run(const Scenario *scenario, Subject *subject) {
        GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
        Stage stage = {
                .subject = {.subject = subject},
                .peer = {.subject = subject_qt_new()},
                .signals = g_string_new(NULL),
        };

        for (guint i = 0; i < scenario->steps->len; i++) {
                const Step *step = scenario->steps->pdata[i];

                if (step->each)
                        do_again(&stage, scenario);
                g_ptr_array_add(lines, do_step(&stage, step));
        }
        subject_free(stage.peer.subject);
        subject_free(stage.subject.subject);
        g_free(stage.peer.state);
        g_free(stage.subject.state);
        (void)g_string_free(stage.signals, TRUE);
        return lines;
}

/* ---- comparing ---- */

/* "FIELD: QT | OURS" of each field that is not the same. */
static GPtrArray *differences(const char *qt, const char *ours) {
        GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
        g_auto(GStrv) a = g_strsplit(qt, "\t", -1), b = g_strsplit(ours, "\t", -1);

        g_assert_cmpuint(g_strv_length(a), ==, g_strv_length(b));
        for (guint i = 0; a[i]; i++) {
                size_t key = strcspn(a[i], "=");

                g_assert_cmpint(strncmp(a[i], b[i], key + 1), ==, 0);
                if (!g_str_equal(a[i], b[i]))
                        g_ptr_array_add(
                                found, g_strchomp(g_strdup_printf("%.*s: %s | %s", (int)key, a[i],
                                                                  a[i] + key + 1, b[i] + key + 1)));
        }
        return found;
}

static bool same(const GPtrArray *a, const GPtrArray *b) {
        if (a->len != b->len)
                return false;
        for (guint i = 0; i < a->len; i++)
                if (!g_str_equal(a->pdata[i], b->pdata[i]))
                        return false;
        return true;
}

static void report(const Step *step, const GPtrArray *found, const char *qt) {
        g_test_message("%s", step->line);
        for (guint i = 0; i < found->len; i++)
                g_test_message("    %s", (const char *)found->pdata[i]);
        for (guint i = 0; i < step->differences->len; i++)
                g_test_message("    expected %s", (const char *)step->differences->pdata[i]);
        g_test_message("    Qt: %s", qt);
        g_test_fail();
}

static void test_scenario(gconstpointer data) {
        const Scenario *scenario = data;
        g_autoptr(GPtrArray) qt = run(scenario, subject_qt_new());
        g_autoptr(GPtrArray) ours = run(scenario, subject_dtlsd_new(scene.bus));

        for (guint i = 0; i < scenario->steps->len; i++) {
                const Step *step = scenario->steps->pdata[i];
                g_autoptr(GPtrArray) found = NULL;

                if (!qt->pdata[i])
                        continue;
                found = differences(qt->pdata[i], ours->pdata[i]);
                if (!same(found, step->differences) || !found->len != !step->reasons->len)
                        report(step, found, qt->pdata[i]);
        }
}

/* ---- the table of Qt's members ---- */

/* Whether a row for @member says @text in its last column. */
static bool table_says(char *const *rows, const char *member, const char *text) {
        const char *name = strrchr(member, ':') + 1;

        for (char *const *row = rows; *row; row++) {
                g_auto(GStrv) cells = g_strsplit(*row, " | ", -1);
                g_autofree char *whole = g_strdup_printf("`%s`", member);
                g_autofree char *short_name = g_strdup_printf("`%s`", name);
                g_autofree char *class = g_strdup_printf("`%.*s", (int)(name - member), member);

                if (g_strv_length(cells) == 5 && strstr(cells[0], class) &&
                    (strstr(cells[0], whole) || strstr(cells[0], short_name)) &&
                    strstr(cells[4], text))
                        return true;
        }
        return false;
}

static void check_reasons(char *const *rows, const Scenario *scenario) {
        for (guint i = 0; i < scenario->steps->len; i++) {
                const Step *step = scenario->steps->pdata[i];

                for (guint j = 0; j < step->reasons->len; j++) {
                        g_auto(GStrv) parts = g_strsplit(step->reasons->pdata[j], ": ", 2);

                        if (!table_says(rows, parts[0], parts[1])) {
                                g_test_message("%s: %s does not say: %s", scenario->name, parts[0],
                                               parts[1]);
                                g_test_fail();
                        }
                }
        }
}

static void test_reasons(void) {
        g_autofree char *readme = g_build_filename(g_getenv("DTLSD_INTERFACES"), "README.md", NULL);
        g_autofree char *text = NULL;
        g_auto(GStrv) rows = NULL;

        g_assert_true(g_file_get_contents(readme, &text, NULL, NULL));
        rows = g_strsplit(text, "\n", -1);
        for (guint i = 0; i < scenarios->len; i++)
                check_reasons(rows, scenarios->pdata[i]);
}

/* stranger, of nobody; other-ca, and by it only-server, expired; chain: only-server with other-ca
 */
static void write_others(void) {
        g_autoptr(TestIdentity) stranger =
                test_identity_new("stranger.example", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) ca =
                test_identity_new("Other CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) only_server =
                test_identity_new("localhost", ca, TEST_IDENTITY_SERVER_ONLY, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) expired =
                test_identity_new("localhost", ca, TEST_IDENTITY_EXPIRED, TEST_KEY_ECDSA);
        g_autoptr(GBytes) chain = test_chain_pem(only_server, ca, NULL);

        test_identity_write(stranger, scene.directory, "stranger");
        test_identity_write(ca, scene.directory, "other-ca");
        test_identity_write(only_server, scene.directory, "only-server");
        test_identity_write(expired, scene.directory, "expired");
        g_free(test_write(scene.directory, "chain.crt", chain));
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        if (!puppet_is_built(QDTLS_SUBJECT)) {
                puppet_add_skip("/side-by-side/is-there", QDTLS_SUBJECT);
                return g_test_run();
        }

        read_scenarios(g_getenv("DTLSD_SCENARIOS"));
        for (guint i = 0; i < scenarios->len; i++) {
                const Scenario *scenario = scenarios->pdata[i];
                g_autofree char *path = g_strconcat("/side-by-side/", scenario->name, NULL);

                g_test_add_data_func(path, scenario, test_scenario);
        }
        g_test_add_func("/side-by-side/differences-are-in-the-table", test_reasons);
        scene_set_up(&scene, NULL);
        write_others();
        r = g_test_run();
        scene_tear_down(&scene, NULL);
        return r;
}
