/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log: one event is one line of clean text, at the level that was asked for. */

#include "base/log.h"
#include "lib/capture.h"

#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *written(int level, const char *text) {
        capture_begin();
        log_write(level, NULL, NULL, "%s", text);
        return capture_end();
}

static void test_a_line_has_a_name_and_an_end(void) {
        g_autofree char *line = written(LOG_ERR, "hello");

        g_assert_cmpstr(line, ==, "tester: hello\n");
}

static void test_what_strangers_wrote_cannot_forge_or_drive(void) {
        static const struct {
                const char *text, *line;
        } cases[] = {
                {"a\nb", "tester: a\\x0ab\n"},
                {"a\rb\tc", "tester: a\\x0db\\x09c\n"},
                {"\x1b[31mred", "tester: \\x1b[31mred\n"},
                {"\x7f", "tester: \\x7f\n"},
                {"\xff\xfe", "tester: \\xff\\xfe\n"},
                {"half \xe2\x82", "tester: half \\xe2\\x82\n"},
                {"\xc2\x9b"
                 "31m",
                 "tester: \\xc2\\x9b31m\n"}, /* CSI as C1 */
                {"\xe2\x80\xae"
                 "txt",
                 "tester: \\xe2\\x80\\xaetxt\n"},              /* right-to-left override */
                {"\xed\xa0\x80", "tester: \\xed\\xa0\\x80\n"}, /* a surrogate */
                {"\xc0\xaf", "tester: \\xc0\\xaf\n"},          /* overlong */
                {"Zoë 日本", "tester: Zoë 日本\n"},
                {"100% %s %n", "tester: 100% %s %n\n"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *line = written(LOG_ERR, cases[i].text);

                g_assert_cmpstr(line, ==, cases[i].line);
        }
}

static void test_a_line_is_bounded(void) {
        g_autofree char *long_text = g_strnfill(1000000, 'x'), *line = written(LOG_ERR, long_text);

        g_assert_cmpuint(strlen(line), <, 4096);
        g_assert_true(g_str_has_suffix(line, "x...\n"));
        g_assert_true(g_utf8_validate(line, -1, NULL));
}

static void test_only_the_level_asked_for_is_written(void) {
        g_autofree char *info = NULL, *debug = NULL, *error = NULL;

        log_set_level(LOG_INFO);
        info = written(LOG_INFO, "yes");
        debug = written(LOG_DEBUG, "no");
        log_set_level(LOG_ERR);
        error = written(LOG_WARNING, "no");
        log_set_level(LOG_INFO);

        g_assert_cmpstr(info, ==, "tester: yes\n");
        g_assert_cmpstr(debug, ==, "");
        g_assert_cmpstr(error, ==, "");
}

static void test_the_environment_sets_the_level(void) {
        static const struct {
                const char *name;
                int level;
        } cases[] = {{"err", LOG_ERR},
                     {"warning", LOG_WARNING},
                     {"notice", LOG_NOTICE},
                     {"info", LOG_INFO},
                     {"debug", LOG_DEBUG}};

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_setenv("DTLSD_LOG_LEVEL", cases[i].name, TRUE);
                log_open("tester");
                g_assert_cmpint(log_level(), ==, cases[i].level);
        }

        log_set_level(LOG_INFO);
        g_setenv("DTLSD_LOG_LEVEL", "nonsense", TRUE);
        log_open("tester");
        g_assert_cmpint(log_level(), ==, LOG_INFO);
        g_unsetenv("DTLSD_LOG_LEVEL");
}

/* A service's child has JOURNAL_STREAM but may have another standard error. */
static void test_another_stderr_than_the_journals_gets_plain_text(void) {
        static const char *const streams[] = {"1:1", "", "nonsense", "1", ":", "-1:-1"};

        for (size_t i = 0; i < G_N_ELEMENTS(streams); i++) {
                g_autofree char *line = NULL;

                g_setenv("JOURNAL_STREAM", streams[i], TRUE);
                log_open("tester");
                line = written(LOG_INFO, "plain");
                g_assert_cmpstr(line, ==, "tester: plain\n");
        }

        g_unsetenv("JOURNAL_STREAM");
        log_open("tester");
}

/* At the lowest level, because a machine that has a journal will keep this line. */
static void test_a_stderr_that_is_the_journal_gets_no_plain_text(void) {
        const char *const fields[] = {"DTLSD_TEST=a\nb", NULL};
        g_autofree char *stream = NULL, *line = NULL;
        struct stat status;

        capture_begin();
        g_assert_cmpint(fstat(STDERR_FILENO, &status), ==, 0);
        stream = g_strdup_printf("%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
        g_setenv("JOURNAL_STREAM", stream, TRUE);
        log_open("tester");
        log_set_level(LOG_DEBUG);
        log_write(LOG_DEBUG, "0123456789abcdef0123456789abcdef", fields, "to the journal");
        line = capture_end();

        g_unsetenv("JOURNAL_STREAM");
        log_open("tester");
        log_set_level(LOG_INFO);
        g_assert_cmpstr(line, ==, "");
}

static void test_errno_is_kept(void) {
        int saved_fd = dup(STDERR_FILENO), saved_errno;

        close(STDERR_FILENO); /* so that writing fails */
        errno = EBUSY;
        log_info("anything");
        saved_errno = errno;
        g_assert_cmpint(dup2(saved_fd, STDERR_FILENO), ==, STDERR_FILENO);
        close(saved_fd);
        g_assert_cmpint(saved_errno, ==, EBUSY);
}

int main(int argc, char **argv) {
        g_unsetenv("JOURNAL_STREAM");
        g_unsetenv("DTLSD_LOG_LEVEL");
        g_test_init(&argc, &argv, NULL);
        log_open("tester");

        g_test_add_func("/log/a-line-has-a-name-and-an-end", test_a_line_has_a_name_and_an_end);
        g_test_add_func("/log/what-strangers-wrote-cannot-forge-or-drive",
                        test_what_strangers_wrote_cannot_forge_or_drive);
        g_test_add_func("/log/a-line-is-bounded", test_a_line_is_bounded);
        g_test_add_func("/log/level/only-what-was-asked-for-is-written",
                        test_only_the_level_asked_for_is_written);
        g_test_add_func("/log/level/the-environment-sets-it", test_the_environment_sets_the_level);
        g_test_add_func("/log/journal/another-stderr-gets-plain-text",
                        test_another_stderr_than_the_journals_gets_plain_text);
        g_test_add_func("/log/journal/its-stderr-gets-no-plain-text",
                        test_a_stderr_that_is_the_journal_gets_no_plain_text);
        g_test_add_func("/log/errno-is-kept", test_errno_is_kept);

        return g_test_run();
}
