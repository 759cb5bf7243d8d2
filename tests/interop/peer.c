/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PEER_LIMIT_USEC (60 * G_USEC_PER_SEC)

struct Peer {
        char *name;
        GPid pid;
        int in_fd, out_fd;
        GString *said;
        size_t n_read; /* how much of it was taken by the line */
};

static void run(const char *const *argv, int in_fd, int out_fd) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (dup2(in_fd, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0 ||
            dup2(out_fd, STDERR_FILENO) < 0)
                _exit(126);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
}

Peer *peer_start(const char *const *argv) {
        Peer *peer = g_new0(Peer, 1);
        int in[2], out[2];

        g_assert_cmpint(pipe2(in, O_CLOEXEC), ==, 0);
        g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
        peer->name = g_strdup(argv[0]);
        peer->said = g_string_new(NULL);
        peer->in_fd = in[1];
        peer->out_fd = out[0];
        peer->pid = fork();
        g_assert_cmpint(peer->pid, >=, 0);
        if (peer->pid == 0)
                run(argv, in[0], out[1]);

        (void)close(in[0]);
        (void)close(out[1]);
        return peer;
}

static Peer *peer_free(Peer *peer) {
        (void)waitpid(peer->pid, NULL, 0);
        (void)close(peer->out_fd);
        (void)g_string_free(peer->said, TRUE);
        g_free(peer->name);
        g_free(peer);
        return NULL;
}

Peer *peer_stop(Peer *peer) {
        (void)close(peer->in_fd);
        (void)kill(peer->pid, SIGTERM);
        return peer_free(peer);
}

Peer *peer_kill(Peer *peer) {
        (void)kill(peer->pid, SIGKILL);
        (void)close(peer->in_fd); /* not before: the end of its input would be its goodbye */
        return peer_free(peer);
}

void peer_say(Peer *peer, const char *text) {
        g_assert_cmpint(write(peer->in_fd, text, strlen(text)), ==, (ssize_t)strlen(text));
}

/* Takes what is there; waits at most @limit_usec for something. False when there will be no more.
 */
static gboolean take(Peer *peer, gint64 limit_usec) {
        struct pollfd p = {.fd = peer->out_fd, .events = POLLIN};
        char buffer[4096];
        ssize_t n;

        if (poll(&p, 1, (int)(MAX(limit_usec, 0) / 1000)) <= 0)
                return TRUE;

        n = read(peer->out_fd, buffer, sizeof buffer);
        if (n <= 0)
                return FALSE;

        for (ssize_t i = 0; i < n; i++) /* s_client prints NULs of binary data */
                (void)g_string_append_c(peer->said, buffer[i] ? buffer[i] : '.');
        return TRUE;
}

char *peer_wait_for(Peer *peer, const char *regex) {
        g_autoptr(GRegex) compiled = g_regex_new(regex, G_REGEX_MULTILINE | G_REGEX_RAW, 0, NULL);
        gint64 limit = g_get_monotonic_time() + PEER_LIMIT_USEC;
        gboolean more = TRUE;

        g_assert_nonnull(compiled);
        for (;;) {
                g_autoptr(GMatchInfo) match = NULL;

                if (g_regex_match(compiled, peer->said->str, 0, &match))
                        return g_match_info_fetch(match,
                                                  g_match_info_get_match_count(match) > 1 ? 1 : 0);
                if (!more || g_get_monotonic_time() > limit)
                        g_error("%s did not say /%s/; it said:\n%s", peer->name, regex,
                                peer->said->str);
                more = take(peer, limit - g_get_monotonic_time());
        }
}

char *peer_read_line(Peer *peer) {
        gint64 limit = g_get_monotonic_time() + PEER_LIMIT_USEC;
        const char *line, *end;

        for (;;) {
                line = peer->said->str + peer->n_read;
                end = strchr(line, '\n');
                if (end)
                        break;
                if (g_get_monotonic_time() > limit || !take(peer, limit - g_get_monotonic_time()))
                        g_error("%s said no more; it said:\n%s", peer->name, peer->said->str);
        }
        peer->n_read += (size_t)(end - line) + 1;
        return g_strndup(line, (size_t)(end - line));
}
