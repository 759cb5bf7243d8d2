/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "authority.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLKITD "/usr/lib/polkit-1/polkitd"
#define ACTIONS "io.github.dtlsd.dtlsd1.policy"
#define SHIPPED_OWNER "unix-user:dtlsd"

struct Authority {
        pid_t pid;
};

/* Where polkitd looks, and the folder of the service's directory that it finds there. */
static const struct {
        const char *path, *folder;
} authority_folders[] = {
        {"/usr/share/polkit-1/actions", "polkit-actions"},
        {"/usr/share/polkit-1/rules.d", "polkit-none"},
        {"/etc/polkit-1/rules.d", "polkit-rules"},
};

bool authority_is_here(void) {
        int status = -1;

        if (!service_has_users())
                return false;

        if (!g_file_test(POLKITD, G_FILE_TEST_IS_EXECUTABLE)) {
                g_test_skip("polkitd is not installed");
                return false;
        }
        if (!g_spawn_command_line_sync("unshare --mount true", NULL, NULL, &status, NULL) ||
            status != 0) {
                g_test_skip("no mount namespace can be made here");
                return false;
        }

        return true;
}

static void write_into(const Service *service, const char *folder, const char *name,
                       const char *contents) {
        g_autofree char *path = g_build_filename(service_directory(service), folder, name, NULL);

        g_assert_true(g_file_set_contents(path, contents, -1, NULL));
        g_assert_cmpint(g_chmod(path, 0644), ==, 0);
}

static void write_folders(const Service *service, const char *owner, const char *rules) {
        g_autofree char *shipped =
                g_build_filename(g_getenv("DTLSD_POLICY_DIRECTORY"), ACTIONS, NULL);
        g_autofree char *contents = NULL;
        GString *actions;

        for (size_t i = 0; i < G_N_ELEMENTS(authority_folders); i++) {
                g_autofree char *path = g_build_filename(service_directory(service),
                                                         authority_folders[i].folder, NULL);

                g_assert_cmpint(g_mkdir_with_parents(path, 0755), ==, 0);
        }

        g_assert_true(g_file_get_contents(shipped, &contents, NULL, NULL));
        actions = g_string_new(contents);
        g_assert_cmpuint(g_string_replace(actions, SHIPPED_OWNER, owner, 0), >, 0);
        write_into(service, "polkit-actions", ACTIONS, actions->str);
        g_string_free(actions, TRUE);
        write_into(service, "polkit-rules", "50-test.rules", rules);
}

/* Runs in the child. */
static bool see_folders_alone(const Service *service) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return false;

        for (size_t i = 0; i < G_N_ELEMENTS(authority_folders); i++) {
                g_autofree char *folder = g_build_filename(service_directory(service),
                                                           authority_folders[i].folder, NULL);

                if (mount(folder, authority_folders[i].path, NULL, MS_BIND, NULL) < 0)
                        return false;
        }

        return true;
}

/* It ends with its bus, and so with the test. */
static pid_t run(const Service *service) {
        g_autofree char *log = g_build_filename(service_directory(service), "polkit.log", NULL);
        pid_t pid = fork();
        int fd;

        g_assert_cmpint(pid, >=, 0);
        if (pid != 0)
                return pid;

        fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0 ||
            !see_folders_alone(service))
                _exit(126);
        (void)g_setenv("DBUS_SYSTEM_BUS_ADDRESS", service_address(service), TRUE);
        (void)execl(POLKITD, POLKITD, NULL);
        _exit(127);
}

Authority *authority_start(Service *service, const char *owner, const char *rules) {
        Authority *authority = g_new0(Authority, 1);

        write_folders(service, owner ? owner : "unix-user:nobody", rules);
        authority->pid = run(service);
        service_wait_name(service, "org.freedesktop.PolicyKit1");
        return authority;
}

Authority *authority_kill(Authority *authority) {
        if (!authority)
                return NULL;

        (void)kill(authority->pid, SIGKILL);
        (void)waitpid(authority->pid, NULL, 0);
        g_free(authority);
        return NULL;
}
