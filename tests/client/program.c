/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_USEC (60 * G_USEC_PER_SEC)

struct Program {
        char *line;
        GPid pid; /* 0: ended and reaped */
        int status;
        int in_fd, out_fd, err_fd;
        GString *out, *err;
};

static void die_with_the_test(void *unused) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

Program *program_start(const char *line) {
        Program *program = g_new0(Program, 1);
        char *argv[] = {"sh", "-c", (char *)line, NULL};
        g_autoptr(GError) error = NULL;

        program->line = g_strdup(line);
        program->out = g_string_new(NULL);
        program->err = g_string_new(NULL);
        if (!g_spawn_async_with_pipes(NULL, argv, NULL,
                                      G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                      die_with_the_test, NULL, &program->pid, &program->in_fd,
                                      &program->out_fd, &program->err_fd, &error))
                g_error("%s: %s", line, error->message);
        return program;
}

void program_say(Program *program, const char *text) {
        g_assert_cmpint(write(program->in_fd, text, strlen(text)), ==, (ssize_t)strlen(text));
}

void program_end_input(Program *program) {
        if (program->in_fd >= 0)
                (void)close(program->in_fd);
        program->in_fd = -1;
}

void program_signal(Program *program, int signal) {
        g_assert_cmpint(kill(program->pid, signal), ==, 0);
}

/* False at the end. */
static gboolean take_from(int *fd, GString *text) {
        char buffer[4096];
        ssize_t n;

        n = read(*fd, buffer, sizeof buffer);
        if (n <= 0) {
                (void)close(*fd);
                *fd = -1;
                return FALSE;
        }

        g_string_append_len(text, buffer, n);
        return TRUE;
}

static void fail(const Program *program, const char *what) {
        g_error("`%s` did not %s\nstandard output:\n%s\nstandard error:\n%s", program->line, what,
                program->out->str, program->err->str);
}

/* Takes what comes next of either stream. False when both are at their end. */
static gboolean take(Program *program, gint64 limit) {
        struct pollfd polls[] = {{.fd = program->out_fd, .events = POLLIN},
                                 {.fd = program->err_fd, .events = POLLIN}};
        gint64 left = limit - g_get_monotonic_time();

        if (program->out_fd < 0 && program->err_fd < 0)
                return FALSE;
        if (left <= 0 || poll(polls, 2, (int)(left / 1000) + 1) == 0)
                return TRUE; /* whoever waits sees the limit itself */

        if (polls[0].revents)
                (void)take_from(&program->out_fd, program->out);
        if (polls[1].revents)
                (void)take_from(&program->err_fd, program->err);
        return TRUE;
}

static char *wait_for(Program *program, const GString *text, const char *regex) {
        g_autoptr(GRegex) compiled = g_regex_new(regex, G_REGEX_MULTILINE | G_REGEX_RAW, 0, NULL);
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        gboolean more = TRUE;

        g_assert_nonnull(compiled);
        for (;;) {
                g_autoptr(GMatchInfo) match = NULL;

                if (g_regex_match(compiled, text->str, 0, &match))
                        return g_match_info_fetch(match,
                                                  g_match_info_get_match_count(match) > 1 ? 1 : 0);
                if (!more || g_get_monotonic_time() > limit)
                        fail(program, regex);
                more = take(program, limit);
        }
}

char *program_wait_for(Program *program, const char *regex) {
        return wait_for(program, program->err, regex);
}

char *program_wait_for_output(Program *program, const char *regex) {
        return wait_for(program, program->out, regex);
}

int program_wait(Program *program) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (take(program, limit))
                if (g_get_monotonic_time() > limit)
                        fail(program, "end");

        g_assert_cmpint(waitpid(program->pid, &program->status, 0), ==, program->pid);
        program->pid = 0;
        return WIFEXITED(program->status) ? WEXITSTATUS(program->status)
                                          : 128 + WTERMSIG(program->status);
}

const char *program_output(const Program *program) {
        return program->out->str;
}

const char *program_errors(const Program *program) {
        return program->err->str;
}

Program *program_free(Program *program) {
        if (program->pid > 0) {
                (void)kill(program->pid, SIGKILL);
                (void)waitpid(program->pid, NULL, 0);
        }
        program_end_input(program);
        if (program->out_fd >= 0)
                (void)close(program->out_fd);
        if (program->err_fd >= 0)
                (void)close(program->err_fd);
        (void)g_string_free(program->out, TRUE);
        (void)g_string_free(program->err, TRUE);
        g_free(program->line);
        g_free(program);
        return NULL;
}

int terminal_open(void) {
        int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

        if (fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0 && access(ptsname(fd), F_OK) == 0)
                return fd;

        if (fd >= 0)
                (void)close(fd);
        g_test_skip("no pseudo-terminal can be had: is /dev/pts there?");
        return -1;
}
