/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dtlsd: reads arguments and the configuration, joins the rooms, runs the loop. What goes wrong
 * here at the start is said in words that name the file or the program it is about.
 */

#include "base/fault.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/terms.h"
#include "bus-link.h"
#include "config.h"
#include "keys/keys.h"
#include "launcher.h"
#include "relay/relay.h"
#include "revocation-files.h"
#include "schedule.h"
#include "session/session.h"

#include <errno.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#define KEYRING_GREETING_USEC (10 * G_USEC_PER_SEC)
#define LARGE_BYTES (1024 * 1024) /* a tenth of a millisecond to copy */

typedef struct Options {
        char *config; /* NULL: the usual one, which need not be there */
        char *policy;
        char *keyring;
        char *keyring_socket;
        char *store;
        char **modules;
        gboolean version;
} Options;

typedef struct Daemon {
        const Options *options;
        uint64_t n_descriptors;
        sd_event *event;
        Quota *quota;
        Access *access;
        Keys *keys;
        Launcher *launcher;
        Relay *relay;
        BusLink *bus_link;
} Daemon;

/* ---- arguments and the process ---- */

static bool options_parse(GOptionContext *context, int argc, char **argv) {
        g_autoptr(GError) error = NULL;

        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                log_error("%s; see --help", error->message);
                return false;
        }
        if (argc > 1) {
                log_error("unexpected argument '%s'; see --help", argv[1]);
                return false;
        }

        return true;
}

static bool options_read(int argc, char **argv, Options *options) {
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        const GOptionEntry entries[] = {
                {"config", 0, 0, G_OPTION_ARG_FILENAME, &options->config,
                 "Read this file instead of " CONFIG_PATH, "FILE"},
                {"policy", 0, 0, G_OPTION_ARG_FILENAME, &options->policy,
                 "Read the rules of this folder instead of " POLICY_PATH, "DIRECTORY"},
                {"keyring", 0, 0, G_OPTION_ARG_FILENAME, &options->keyring,
                 "Start this dtlsd-keyring (default: the one beside this program)", "PATH"},
                {"keyring-socket", 0, 0, G_OPTION_ARG_FILENAME, &options->keyring_socket,
                 "Use the keyring that serves this socket instead of starting one", "PATH"},
                {"store", 0, 0, G_OPTION_ARG_FILENAME, &options->store,
                 "Have the keyring that is started keep what has a name in this folder",
                 "DIRECTORY"},
                {"pkcs11-module", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->modules,
                 "Let it load this PKCS#11 module, for keys in tokens; may be given again", "PATH"},
                {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Show the version", NULL},
                {NULL},
        };

        g_option_context_set_summary(context, "Gives programs DTLS over D-Bus, as " DTLSD_BUS_NAME
                                              " on the system bus.");
        g_option_context_set_description(
                context,
                "It is a system service and stays in the foreground. The bus is the one that\n"
                "DBUS_SYSTEM_BUS_ADDRESS names, or else the system's:\n\n"
                "  DBUS_SYSTEM_BUS_ADDRESS=unix:path=/tmp/bus dtlsd --config=my.conf\n\n"
                "DTLSD_LOG_LEVEL=err|warning|notice|info|debug says how much it tells.");
        g_option_context_add_main_entries(context, entries, NULL);
        return options_parse(context, argc, argv);
}

static void options_done(Options *options) {
        g_free(options->config);
        g_free(options->policy);
        g_free(options->keyring);
        g_free(options->keyring_socket);
        g_free(options->store);
        g_strfreev(options->modules);
}

static void block_signals(void) {
        sigset_t signals;

        (void)signal(SIGPIPE, SIG_IGN);
        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGTERM);
        (void)sigaddset(&signals, SIGINT);
        (void)sigaddset(&signals, SIGHUP);
        (void)sigaddset(&signals, SIGCHLD);
        (void)sigprocmask(SIG_BLOCK, &signals, NULL); /* the loop reads them */
}

static int raise_descriptors(uint64_t *ret) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return fault(-errno);

        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                return fault(-errno);

        *ret = limit.rlim_cur;
        return 0;
}

/* ---- the keyring ---- */

static void on_keyring_lost(void *userdata) {
        Daemon *daemon = userdata;

        relay_keyring_lost(daemon->relay);
}

static char *keyring_program(const Options *options) {
        g_autofree char *self = NULL;
        g_autofree char *folder = NULL;

        if (options->keyring)
                return g_strdup(options->keyring);

        self = g_file_read_link("/proc/self/exe", NULL);
        folder = g_path_get_dirname(self ? self : "");
        return g_build_filename(folder, "dtlsd-keyring", NULL);
}

/* Whoever finds the name on the bus finds what the store has too. A keyring that does not say
 * what it keeps keeps nobody waiting for ever, and one that is lost nobody at all: it is started
 * again later. */
static int daemon_hear_keyring(Daemon *daemon) {
        int64_t limit = g_get_monotonic_time() + KEYRING_GREETING_USEC;

        while (!keys_identities_known(daemon->keys) && keys_connected(daemon->keys) &&
               g_get_monotonic_time() < limit) {
                int r = sd_event_run(daemon->event, G_USEC_PER_SEC / 10);

                if (r < 0 || sd_event_get_state(daemon->event) == SD_EVENT_FINISHED)
                        return r < 0 ? fault(r) : 0;
        }

        return 0;
}

static int daemon_start_keyring(Daemon *daemon, const Options *options) {
        g_autofree char *program = keyring_program(options);
        const LauncherSpec spec = {
                .program = program,
                .socket_path = options->keyring_socket,
                .store = options->store,
                .modules = (const char *const *)options->modules,
                .lost = on_keyring_lost,
                .userdata = daemon,
        };
        int r;

        r = launcher_new(daemon->event, daemon->keys, &spec, &daemon->launcher);
        if (r < 0 && options->keyring_socket)
                log_error("no keyring at the socket %s: %s; start dtlsd-keyring.socket",
                          options->keyring_socket, g_strerror(-r));
        else if (r < 0)
                log_error("the keyring %s cannot be started: %s; --keyring says where it is",
                          program, g_strerror(-r));
        return r < 0 ? r : daemon_hear_keyring(daemon);
}

/* ---- the whole ---- */

/* What the administrator wrote: taken all together, or not. */
typedef struct Files {
        Config config;
        Access *access;
        Revocations *revocations;
} Files;

static void files_done(Files *files) {
        config_done(&files->config);
        access_free(files->access);
        revocations_unref(files->revocations);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Files, files_done)

static int daemon_read_files(const Daemon *daemon, Files *files, char **ret_text) {
        const Options *options = daemon->options;
        int r;

        files->access = access_new();
        files->config.limits = quota_limits_default(daemon->n_descriptors);
        files->config.lead_times = LEAD_TIMES_DEFAULT;
        files->config.direct_after = SESSION_DIRECT_AFTER_DEFAULT;
        r = config_read(options->config ? options->config : CONFIG_PATH,
                        /* must_exist= */ options->config != NULL, &files->config, ret_text);
        if (r == 0)
                r = policy_read(options->policy ? options->policy : POLICY_PATH, files->access,
                                ret_text);
        if (r == 0)
                r = revocation_files_read(&files->config, &files->revocations, ret_text);

        return r;
}

static int daemon_reload(void *userdata, char **ret_text) {
        Daemon *daemon = userdata;
        g_auto(Files) files = {.access = NULL};
        int r;

        r = daemon_read_files(daemon, &files, ret_text);
        if (r) {
                log_error("%s; rules, limits and what is taken back are as they were", *ret_text);
                return r;
        }

        access_replace(daemon->access, g_steal_pointer(&files.access));
        relay_set_access(daemon->relay, daemon->access);
        quota_set_limits(daemon->quota, &files.config.limits);
        bus_link_reloaded(daemon->bus_link);
        relay_reload_trust(daemon->relay, files.revocations);
        relay_set_lead_times(daemon->relay, &files.config.lead_times);
        relay_set_direct_after(daemon->relay, files.config.direct_after);
        log_notice("rules, limits, lead times, trust and what is taken back of it are read again");
        return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        g_autofree char *text = NULL;

        (void)daemon_reload(userdata, &text);
        return 0;
}

static int daemon_begin_bus(Daemon *daemon) {
        const BusLinkSpec spec = {
                .event = daemon->event,
                .relay = daemon->relay,
                .keys = daemon->keys,
                .quota = daemon->quota,
                .access = daemon->access,
                .reload = daemon_reload,
                .userdata = daemon,
        };

        return bus_link_new(&spec, &daemon->bus_link);
}

static int daemon_build(Daemon *daemon, const Files *files) {
        int r;

        r = session_global_init();
        if (r >= 0)
                r = sd_event_new(
                        &daemon->event); /* the thread's default asks who it is each turn */
        if (r >= 0)
                r = sd_event_set_watchdog(daemon->event, true);
        if (r >= 0)
                r = sd_event_add_signal(daemon->event, NULL, SIGTERM, NULL, NULL); /* exits */
        if (r >= 0)
                r = sd_event_add_signal(daemon->event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(daemon->event, NULL, SIGHUP, on_hangup, daemon);
        if (r >= 0)
                r = quota_new(&files->config.limits, &daemon->quota);
        if (r >= 0)
                r = keys_new(daemon->event, &daemon->keys);
        if (r >= 0)
                r = relay_new(daemon->event, daemon->keys, daemon->quota, &daemon->relay);
        if (r < 0) {
                log_error("cannot start: %s", g_strerror(-fault(r)));
                return r;
        }

        relay_set_access(daemon->relay, daemon->access);
        relay_reload_trust(daemon->relay, files->revocations);
        relay_set_lead_times(daemon->relay, &files->config.lead_times);
        relay_set_direct_after(daemon->relay, files->config.direct_after);
        return 0;
}

static void daemon_done(Daemon *daemon) {
        bus_link_free(daemon->bus_link);
        relay_free(daemon->relay);
        keys_free(daemon->keys);
        launcher_free(daemon->launcher);
        access_free(daemon->access);
        quota_free(daemon->quota);
        sd_event_unref(daemon->event);
}

static int daemon_run(Daemon *daemon, const Options *options) {
        g_autofree char *text = NULL;
        g_auto(Files) files = {.access = NULL};
        int r;

        daemon->options = options;
        r = raise_descriptors(&daemon->n_descriptors);
        if (r < 0) {
                log_error("the limit of open files cannot be set: %s", g_strerror(-r));
                return r;
        }
        r = daemon_read_files(daemon, &files, &text);
        if (r) {
                log_error("%s; nothing was started", text);
                return r;
        }
        daemon->access = g_steal_pointer(&files.access);
        r = daemon_build(daemon, &files);
        if (r)
                return r;
        r = daemon_start_keyring(daemon, options);
        if (r)
                return r;
        r = daemon_begin_bus(daemon);
        if (r)
                return r;

        log_notice("dtlsd " DTLSD_VERSION " serves as %s", DTLSD_BUS_NAME);
        (void)sd_notify(false, "READY=1\nSTATUS=Serving");
        r = relay_run(daemon->relay);
        (void)sd_notify(false, "STOPPING=1");
        log_notice("dtlsd ends");
        return r;
}

/* What grows to megabytes is to be moved by the kernel, and not copied, which takes milliseconds.
 * glibc does so until the first such is freed, and then raises both limits to what that had. */
static void keep_large_apart(void) {
        (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
        (void)mallopt(M_TRIM_THRESHOLD, 2 * LARGE_BYTES);
}

int main(int argc, char **argv) {
        Options options = {0};
        Daemon daemon = {0};
        int r;

        (void)setlocale(LC_CTYPE, ""); /* for --help */
        log_open("dtlsd");
        if (!options_read(argc, argv, &options)) {
                options_done(&options);
                return EXIT_FAILURE;
        }
        if (options.version) {
                puts("dtlsd " DTLSD_VERSION);
                return EXIT_SUCCESS;
        }

        keep_large_apart();
        block_signals();
        schedule_as_batch();
        r = secret_protect_process();
        if (r < 0)
                log_error("cannot protect its memory: %s", g_strerror(-r));
        else
                r = daemon_run(&daemon, &options);

        daemon_done(&daemon);
        options_done(&options);
        return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
