/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "launcher.h"

#include "base/log.h"
#include "base/memfd.h"
#include "keyring/server.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LIMIT_USEC (30 * G_USEC_PER_SEC)

typedef struct Fixture {
        sd_event *event;
        Keys *keys;
        Launcher *launcher;
        char *folder;
        unsigned n_lost;
        unsigned n_imported;
} Fixture;

static void on_lost(void *userdata) {
        Fixture *f = userdata;

        f->n_lost++;
}

static void on_imported(int outcome, const char *text, Key *key, void *userdata) {
        Fixture *f = userdata;

        if (outcome == 0)
                f->n_imported++;
}

static void fixture_set_up(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(keys_new(f->event, &f->keys), ==, 0);
        f->folder = g_dir_make_tmp("test-launcher.XXXXXX", NULL);
}

static void fixture_tear_down(Fixture *f, gconstpointer data) {
        f->keys = keys_free(f->keys);
        f->launcher = launcher_free(f->launcher);
        sd_event_unref(f->event);
        g_assert_cmpint(g_rmdir(f->folder), ==, 0);
        g_free(f->folder);
}

static int launch(Fixture *f, const char *program, const char *socket_path) {
        const LauncherSpec spec = {
                .program = program,
                .socket_path = socket_path,
                .lost = on_lost,
                .userdata = f,
        };

        return launcher_new(f->event, f->keys, &spec, &f->launcher);
}

static void turn(Fixture *f, gint64 limit) {
        g_assert_cmpint(g_get_monotonic_time(), <, limit);
        g_assert_cmpint(sd_event_run(f->event, 10000), >=, 0);
}

static void wait_for(Fixture *f, const unsigned *count, unsigned n) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (*count < n)
                turn(f, limit);
}

static void wait_connected(Fixture *f) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (!keys_connected(f->keys))
                turn(f, limit);
}

/* A key goes there and back: a keyring answers. */
static void assert_answers(Fixture *f) {
        unsigned n_before = f->n_imported;
        int fd;

        g_assert_cmpint(memfd_new("secret", 6, &fd), ==, 0);
        g_assert_cmpuint(keys_import_psk(f->keys, 1000, fd, on_imported, f), !=, 0);
        (void)close(fd);
        wait_for(f, &f->n_imported, n_before + 1);
}

static pid_t child_pid(void) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", getpid(), getpid());
        g_autofree char *contents = NULL;

        g_assert_true(g_file_get_contents(path, &contents, NULL, NULL));
        return (pid_t)g_ascii_strtoll(contents, NULL, 10);
}

static void test_starts_a_keyring(Fixture *f, gconstpointer data) {
        g_assert_cmpint(launch(f, g_getenv("DTLSD_KEYRING"), NULL), ==, 0);
        assert_answers(f);
}

static void test_says_when_there_is_no_program(Fixture *f, gconstpointer data) {
        g_assert_cmpint(launch(f, "/no/such/program", NULL), ==, -ENOENT);
        g_assert_cmpint(launch(f, f->folder, NULL), ==, -EACCES);
        g_assert_cmpint(launch(f, NULL, "/no/such/socket"), ==, -ENOENT);
        g_assert_false(keys_connected(f->keys));
}

static void test_starts_another_at_once_and_then_later(Fixture *f, gconstpointer data) {
        gint64 died;

        g_assert_cmpint(launch(f, g_getenv("DTLSD_KEYRING"), NULL), ==, 0);
        assert_answers(f);
        g_assert_cmpint(kill(child_pid(), SIGKILL), ==, 0);
        wait_for(f, &f->n_lost, 1);
        wait_connected(f);
        assert_answers(f);

        g_assert_cmpint(kill(child_pid(), SIGKILL), ==, 0);
        died = g_get_monotonic_time();
        wait_for(f, &f->n_lost, 2);
        wait_connected(f);
        g_assert_cmpint(g_get_monotonic_time() - died, >=, G_USEC_PER_SEC);
        assert_answers(f);
}

static void test_does_not_spin_with_a_program_that_ends(Fixture *f, gconstpointer data) {
        gint64 before = g_get_monotonic_time();

        g_assert_cmpint(launch(f, "/bin/true", NULL), ==, 0);
        wait_for(f, &f->n_lost, 3); /* the first, at once, after a second */
        g_assert_cmpint(g_get_monotonic_time() - before, >=, G_USEC_PER_SEC);
}

static void test_replaces_one_that_closes_and_stays(Fixture *f, gconstpointer data) {
        g_autofree char *script = g_build_filename(f->folder, "stays", NULL);
        pid_t pid;

        g_assert_true(g_file_set_contents_full(script, "#!/bin/sh\nexec sleep 60 3<&-\n", -1,
                                               G_FILE_SET_CONTENTS_NONE, 0755, NULL));
        g_assert_cmpint(launch(f, script, NULL), ==, 0);
        pid = child_pid();
        wait_for(f, &f->n_lost, 2);
        g_assert_cmpint(kill(pid, 0), <, 0);
        g_assert_cmpint(g_remove(script), ==, 0);
}

static void test_ends_one_that_hangs(Fixture *f, gconstpointer data) {
        pid_t pid;

        g_assert_cmpint(launch(f, g_getenv("DTLSD_KEYRING"), NULL), ==, 0);
        assert_answers(f);
        pid = child_pid();
        g_assert_cmpint(kill(pid, SIGSTOP), ==, 0);
        f->keys = keys_free(f->keys);
        f->launcher = launcher_free(f->launcher);
        g_assert_cmpint(kill(pid, 0), <, 0);
        g_assert_cmpint(errno, ==, ESRCH);
}

static void test_gives_away_nothing_else(Fixture *f, gconstpointer data) {
        g_autofree char *script = g_build_filename(f->folder, "tells", NULL);
        g_autofree char *told = g_strconcat(script, ".told", NULL);
        g_autofree char *contents = NULL;
        int leak = dup2(STDERR_FILENO, 57); /* not close-on-exec */

        g_assert_cmpint(leak, ==, 57);
        g_assert_true(g_file_set_contents_full(script,
                                               "#!/bin/sh\n"
                                               "exec >\"$0.part\"\n"
                                               "ls /proc/self/fd\n"
                                               "echo \"arguments $*\"\nenv\n"
                                               "mv \"$0.part\" \"$0.told\"\n",
                                               -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
        g_setenv("NOTIFY_SOCKET", "/no/such/socket", TRUE);
        g_setenv("SSLKEYLOGFILE", "/no/such/file", TRUE);
        g_setenv("GNUTLS_DEBUG_LEVEL", "9", TRUE);
        g_assert_cmpint(launch(f, script, NULL), ==, 0);
        wait_for(f, &f->n_lost, 1);
        g_unsetenv("NOTIFY_SOCKET");
        g_unsetenv("SSLKEYLOGFILE");
        g_unsetenv("GNUTLS_DEBUG_LEVEL");

        g_assert_true(g_file_get_contents(told, &contents, NULL, NULL));
        g_assert_nonnull(strstr(contents, "\n3\n"));
        g_assert_null(strstr(contents, "\n57\n"));
        g_assert_nonnull(strstr(contents, "arguments --socket-fd 3"));
        g_assert_nonnull(strstr(contents, "PATH="));
        g_assert_null(strstr(contents, "NOTIFY_SOCKET"));
        g_assert_null(strstr(contents, "SSLKEYLOGFILE"));
        g_assert_null(strstr(contents, "GNUTLS_DEBUG_LEVEL"));
        (void)close(leak);
        (void)g_remove(told);
        g_assert_cmpint(g_remove(script), ==, 0);
}

static void on_closed(void *userdata) {
}

static void test_uses_a_keyring_that_is_a_service(Fixture *f, gconstpointer data) {
        g_autofree char *path = g_build_filename(f->folder, "socket", NULL);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        g_assert_cmpint(bind(listen_fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
        g_assert_cmpint(listen(listen_fd, 5), ==, 0);
        g_assert_cmpint(launch(f, NULL, path), ==, 0);

        for (unsigned i = 0; i < 2; i++) { /* the second after the first has ended */
                Server *server;
                int fd;

                wait_connected(f);
                fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
                g_assert_cmpint(server_check_peer(fd, getuid()), ==, 0);
                g_assert_cmpint(server_new(f->event, fd, NULL, on_closed, NULL, &server), ==, 0);
                assert_answers(f);
                server_free(server);
                wait_for(f, &f->n_lost, i + 1);
        }
        (void)close(listen_fd);
        g_assert_cmpint(g_remove(path), ==, 0);
}

static void add(const char *name, void (*test)(Fixture *, gconstpointer)) {
        g_test_add(name, Fixture, NULL, fixture_set_up, test, fixture_tear_down);
}

int main(int argc, char **argv) {
        sigset_t signals;

        g_test_init(&argc, &argv, NULL);
        log_set_level(LOG_ERR);
        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGCHLD);
        (void)sigprocmask(SIG_BLOCK, &signals, NULL);

        add("/launcher/start/gives-keys-a-keyring", test_starts_a_keyring);
        add("/launcher/start/says-when-there-is-none", test_says_when_there_is_no_program);
        add("/launcher/start/gives-away-one-descriptor-and-no-secrets-of-the-environment",
            test_gives_away_nothing_else);
        add("/launcher/again/starts-another-at-once-and-then-later",
            test_starts_another_at_once_and_then_later);
        add("/launcher/again/does-not-spin-with-a-program-that-ends",
            test_does_not_spin_with_a_program_that_ends);
        add("/launcher/again/replaces-one-that-closes-its-socket-and-stays",
            test_replaces_one_that_closes_and_stays);
        add("/launcher/end/ends-one-that-hangs", test_ends_one_that_hangs);
        add("/launcher/service/uses-the-one-at-a-socket", test_uses_a_keyring_that_is_a_service);
        return g_test_run();
}
