/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Launcher, see launcher.h. A keyring is lost when its socket is; a child that closed its socket
 * and does not end is ended. The next one is started when both are over.
 */

#include "launcher.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define LAUNCHER_DELAY_FIRST_USEC (1 * UINT64_C(1000000))
#define LAUNCHER_DELAY_MAX_USEC (30 * UINT64_C(1000000))
#define LAUNCHER_HEALTHY_USEC (60 * UINT64_C(1000000)) /* lived that long: begins again at once */
#define LAUNCHER_FAREWELL_MSEC 2000                    /* to end by itself at the end of dtlsd */
#define LAUNCHER_CHILD_FD 3

struct Launcher {
        sd_event *event;
        Keys *keys;
        char *program;
        char *socket_path;
        GPtrArray *arguments; /* of the program; NULL-terminated */
        LauncherLost lost;
        void *userdata;

        pid_t pid;        /* 0: no child */
        bool has_keyring; /* from the connection until it is told lost, which may come later */
        sd_event_source *child;
        sd_event_source *timer;
        uint64_t delay_usec;   /* before the next attempt */
        uint64_t started_usec; /* the present one */
};

static int launcher_start(Launcher *launcher);

static uint64_t launcher_now(const Launcher *launcher) {
        uint64_t now_usec = 0;

        (void)sd_event_now(launcher->event, CLOCK_MONOTONIC, &now_usec);
        return now_usec;
}

/* ---- again ---- */

static int on_launcher_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void launcher_schedule(Launcher *launcher) {
        uint64_t delay_usec;
        int r;

        if (launcher_now(launcher) - launcher->started_usec >= LAUNCHER_HEALTHY_USEC)
                launcher->delay_usec = 0;

        delay_usec = launcher->delay_usec;
        launcher->delay_usec =
                CLAMP(delay_usec * 2, LAUNCHER_DELAY_FIRST_USEC, LAUNCHER_DELAY_MAX_USEC);
        if (delay_usec > 0)
                log_warning("the keyring is started again in %" PRIu64 " s", delay_usec / 1000000);

        launcher->timer = sd_event_source_disable_unref(launcher->timer);
        r = sd_event_add_time_relative(launcher->event, &launcher->timer, CLOCK_MONOTONIC,
                                       delay_usec, 0, on_launcher_timer, launcher);
        if (r < 0)
                log_error("the keyring cannot be started again: %s", g_strerror(-fault(r)));
}

static int on_launcher_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Launcher *launcher = userdata;
        int r;

        r = launcher_start(launcher);
        if (r < 0) {
                log_warning("there is no keyring: %s", g_strerror(-r));
                launcher_schedule(launcher);
        } else {
                log_notice("a new keyring is there");
        }

        return 0;
}

static void on_keys_lost(void *userdata) {
        Launcher *launcher = userdata;

        log_warning("the keyring is lost, and with it the keys of objects; handshakes that need "
                    "them fail, open connections live on");
        launcher->has_keyring = false;
        launcher->lost(launcher->userdata);

        if (launcher->pid > 0)
                (void)kill(launcher->pid, SIGKILL); /* on_launcher_child() goes on */
        else
                launcher_schedule(launcher);
}

static int on_launcher_child(sd_event_source *source, const siginfo_t *info, void *userdata) {
        Launcher *launcher = userdata;

        if (info->si_code == CLD_EXITED)
                log_warning("dtlsd-keyring (pid %d) ended with status %d", launcher->pid,
                            info->si_status);
        else
                log_warning("dtlsd-keyring (pid %d) was killed by signal %d (%s)", launcher->pid,
                            info->si_status, strsignal(info->si_status));

        launcher->pid = 0;
        launcher->child = sd_event_source_unref(launcher->child);
        if (!launcher->has_keyring) /* else on_keys_lost() follows */
                launcher_schedule(launcher);
        return 0;
}

/* ---- a child ---- */

/* What systemd said to us alone, and what the keyring's libraries would obey before its main(). */
static char **launcher_environment(void) {
        static const char *const prefixes[] = {"NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_",
                                               "GNUTLS_",       "P11_KIT_",  "SOFTHSM",
                                               "SSLKEYLOGFILE"};
        char **environment = g_get_environ();
        g_auto(GStrv) names = g_listenv();

        for (char **name = names; *name; name++)
                for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
                        if (g_str_has_prefix(*name, prefixes[i]))
                                environment = g_environ_unsetenv(environment, *name);

        return environment;
}

/* It gets standard output and error, and @fd as its fourth descriptor; everything else is closed.
 */
static int launcher_spawn_with(const Launcher *launcher, int fd,
                               posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
                               pid_t *ret) {
        g_auto(GStrv) environment = launcher_environment();
        sigset_t none, usual;

        (void)sigemptyset(&none);
        (void)sigemptyset(&usual);
        (void)sigaddset(&usual, SIGPIPE);
        (void)posix_spawnattr_setsigmask(attributes, &none);
        (void)posix_spawnattr_setsigdefault(attributes, &usual);
        (void)posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

        if (posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0) != 0 ||
            posix_spawn_file_actions_adddup2(actions, fd, LAUNCHER_CHILD_FD) != 0 ||
            posix_spawn_file_actions_addclosefrom_np(actions, LAUNCHER_CHILD_FD + 1) != 0)
                return -ENOMEM;

        return -posix_spawn(ret, launcher->program, actions, attributes,
                            (char *const *)launcher->arguments->pdata, environment);
}

static int launcher_spawn(const Launcher *launcher, int fd, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        int r;

        if (posix_spawn_file_actions_init(&actions) != 0)
                return -ENOMEM;
        if (posix_spawnattr_init(&attributes) != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return -ENOMEM;
        }

        r = launcher_spawn_with(launcher, fd, &actions, &attributes, ret);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return r;
}

static void launcher_end_child(Launcher *launcher) {
        launcher->child = sd_event_source_disable_unref(launcher->child);
        (void)kill(launcher->pid, SIGKILL);
        (void)waitpid(launcher->pid, NULL, 0);
        launcher->pid = 0;
}

static int launcher_start_child(Launcher *launcher) {
        g_autofd int ours = -1, theirs = -1;
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;
        ours = pair[0];
        theirs = pair[1];

        r = launcher_spawn(launcher, theirs, &launcher->pid);
        if (r < 0)
                return r;

        r = sd_event_add_child(launcher->event, &launcher->child, launcher->pid, WEXITED,
                               on_launcher_child, launcher);
        if (r >= 0)
                r = keys_connect(launcher->keys, autofd_steal(&ours), on_keys_lost, launcher);
        if (r < 0) {
                launcher_end_child(launcher);
                return fault(r);
        }

        launcher->has_keyring = true;
        log_debug("dtlsd-keyring runs as pid %d", launcher->pid);
        return 0;
}

/* ---- a service ---- */

static int launcher_connect(Launcher *launcher) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        g_autofd int fd = -1;
        int r;

        if (strlen(launcher->socket_path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, launcher->socket_path, strlen(launcher->socket_path));

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -errno;

        r = keys_connect(launcher->keys, autofd_steal(&fd), on_keys_lost, launcher);
        return r < 0 ? fault(r) : 0;
}

static int launcher_start(Launcher *launcher) {
        launcher->started_usec = launcher_now(launcher);

        return launcher->socket_path ? launcher_connect(launcher) : launcher_start_child(launcher);
}

static GPtrArray *launcher_arguments(const LauncherSpec *spec) {
        GPtrArray *arguments = g_ptr_array_new_with_free_func(g_free);

        g_ptr_array_add(arguments, g_strdup(spec->program));
        g_ptr_array_add(arguments, g_strdup("--socket-fd"));
        g_ptr_array_add(arguments, g_strdup(G_STRINGIFY(LAUNCHER_CHILD_FD)));
        if (spec->store)
                g_ptr_array_add(arguments, g_strconcat("--store=", spec->store, NULL));
        for (size_t i = 0; spec->modules && spec->modules[i]; i++)
                g_ptr_array_add(arguments, g_strconcat("--pkcs11-module=", spec->modules[i], NULL));

        g_ptr_array_add(arguments, NULL);
        return arguments;
}

int launcher_new(sd_event *event, Keys *keys, const LauncherSpec *spec, Launcher **ret) {
        Launcher *launcher = g_new0(Launcher, 1);
        int r;

        launcher->event = sd_event_ref(event);
        launcher->keys = keys;
        launcher->program = g_strdup(spec->program);
        launcher->socket_path = g_strdup(spec->socket_path);
        launcher->arguments = launcher_arguments(spec);
        launcher->lost = spec->lost;
        launcher->userdata = spec->userdata;

        r = launcher_start(launcher);
        if (r < 0) {
                launcher_free(launcher);
                return fault(r);
        }

        *ret = launcher;
        return 0;
}

static void launcher_part(Launcher *launcher) {
        g_autofd int pid_fd = pidfd_open(launcher->pid, 0);
        struct pollfd ended = {.fd = pid_fd, .events = POLLIN};

        if (pid_fd >= 0)
                (void)poll(&ended, 1, LAUNCHER_FAREWELL_MSEC);

        launcher_end_child(launcher);
}

Launcher *launcher_free(Launcher *launcher) {
        if (!launcher)
                return NULL;

        if (launcher->pid > 0)
                launcher_part(launcher);
        sd_event_source_disable_unref(launcher->child);
        sd_event_source_disable_unref(launcher->timer);
        sd_event_unref(launcher->event);
        g_free(launcher->program);
        g_free(launcher->socket_path);
        g_ptr_array_unref(launcher->arguments);
        g_free(launcher);
        return NULL;
}
