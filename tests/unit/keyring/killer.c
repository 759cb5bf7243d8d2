/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "killer.h"

#include <glib.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t killer_start(KillerDeed deed, const void *userdata) {
        pid_t pid = fork();

        g_assert_cmpint(pid, >=, 0);
        if (pid > 0)
                return pid;

        (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        deed(userdata);
        _exit(0);
}

void killer_ready(void) {
        (void)raise(SIGSTOP);
}

static void killer_wait_stop(pid_t pid, int *status) {
        g_assert_cmpint(waitpid(pid, status, 0), ==, pid);
}

bool killer_kills(KillerDeed deed, const void *userdata, unsigned n) {
        pid_t pid = killer_start(deed, userdata);
        int status;

        killer_wait_stop(pid, &status);
        g_assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
        g_assert_cmpint(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL), ==, 0);

        for (unsigned i = 0; i < n; i++) {
                g_assert_cmpint(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), ==, 0);
                killer_wait_stop(pid, &status);
                if (WIFEXITED(status)) {
                        g_assert_cmpint(WEXITSTATUS(status), ==, 0);
                        return false;
                }
        }

        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        killer_wait_stop(pid, &status);
        g_assert_true(WIFSIGNALED(status));
        return true;
}
