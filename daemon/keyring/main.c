/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dtlsd-keyring: the process that holds private keys and pre-shared keys, and signs with them. It
 * has no network and no bus name. It serves one connection and ends with it: what it held was for
 * the dtlsd at the other end.
 */

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/seal.h"
#include "base/secret.h"
#include "keyring/journal.h"
#include "keyring/server.h"
#include "keyring/token.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <locale.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#define SEAL_CREDENTIAL "store-key"

typedef struct Options {
        int socket_fd;  /* -1: systemd's socket */
        char *user;     /* NULL: who runs this */
        char *store;    /* NULL: nothing is kept */
        char **modules; /* for keys in tokens; NULL: none */
        gboolean version;
} Options;

static bool options_read(int argc, char **argv, Options *options) {
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(GError) error = NULL;
        const GOptionEntry entries[] = {
                {"socket-fd", 0, 0, G_OPTION_ARG_INT, &options->socket_fd,
                 "A connected UNIX socket with dtlsd at its other end", "N"},
                {"user-id", 0, 0, G_OPTION_ARG_STRING, &options->user,
                 "The user, by name or number, that dtlsd runs as (default: the same as this)",
                 "USER"},
                {"store", 0, 0, G_OPTION_ARG_FILENAME, &options->store,
                 "Keep what has a name in this folder", "DIRECTORY"},
                {"pkcs11-module", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->modules,
                 "Load this PKCS#11 module when a key is in a token; may be given again", "PATH"},
                {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Show the version", NULL},
                {NULL},
        };

        g_option_context_set_summary(
                context, "Holds private keys for dtlsd and signs with them.\n\nIt is started by "
                         "dtlsd with --socket-fd, or by systemd with a listening socket.");
        g_option_context_add_main_entries(context, entries, NULL);
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

static bool options_uid(const Options *options, uid_t *ret) {
        const struct passwd *user;
        guint64 number;

        if (!options->user) {
                *ret = getuid();
                return true;
        }

        if (g_ascii_string_to_unsigned(options->user, 10, 0, UINT32_MAX - 1, &number, NULL)) {
                *ret = (uid_t)number;
                return true;
        }

        user = getpwnam(options->user);
        if (user)
                *ret = user->pw_uid;
        else
                log_error("--user-id: there is no user '%s'", options->user);
        return user != NULL;
}

/* Nor is anything of it there without its dtlsd: whoever stopped it would keep it from seeing that
 * end. */
static int protect_memory(void) {
        return prctl(PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0) < 0 ? fault(-errno)
                                                             : secret_protect_process();
}

/* What GnuTLS and p11-kit would obey: key logs, other modules, weaker priorities. */
static void clear_environment(void) {
        g_auto(GStrv) names = g_listenv();

        for (char **name = names; *name; name++)
                if (g_str_has_prefix(*name, "GNUTLS_") || g_str_has_prefix(*name, "P11_KIT_") ||
                    g_str_has_prefix(*name, "SOFTHSM") || g_str_equal(*name, "SSLKEYLOGFILE"))
                        g_unsetenv(*name);
}

/* The socket unit's: waits for dtlsd to connect. Others that connect are closed again. */
static int door_accept(int listen_fd, uid_t uid) {
        struct pollfd ready = {.fd = listen_fd, .events = POLLIN};

        for (;;) {
                g_autofd int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd >= 0 && server_check_peer(fd, uid) == 0)
                        return autofd_steal(&fd);
                if (fd >= 0)
                        log_write(LOG_WARNING, MSG_STRANGER_AT_DOOR, NULL,
                                  "refused a connection of another user than %u", uid);
                else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                        return fault(-errno);
                else
                        (void)poll(&ready, 1, -1);
        }
}

static int door_open(const Options *options, uid_t uid) {
        int n_fds;

        if (options->socket_fd >= 0) {
                if (server_check_peer(options->socket_fd, uid) == 0)
                        return options->socket_fd;

                log_error("--socket-fd %d is not a socket of user %u", options->socket_fd, uid);
                return -EPERM;
        }

        n_fds = sd_listen_fds(/* unset_environment= */ true);
        if (n_fds == 1 && sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) > 0)
                return door_accept(SD_LISTEN_FDS_START, uid);

        log_error("needs --socket-fd, or one listening UNIX stream socket from systemd; "
                  "dtlsd starts this program by itself");
        return -EINVAL;
}

/* The key that entries are sealed with, of systemd's credential "store-key": whatever it is made
 * of, a hash of it. None: they are not sealed. */
static int read_seal_key(Secret **ret) {
        const char *folder = g_getenv("CREDENTIALS_DIRECTORY");
        g_autofree char *path = folder ? g_build_filename(folder, SEAL_CREDENTIAL, NULL) : NULL;
        g_autofree char *contents = NULL;
        gsize size;
        int r;

        if (!path || !g_file_test(path, G_FILE_TEST_EXISTS))
                return 0;
        if (!g_file_get_contents(path, &contents, &size, NULL))
                return fault(-EIO);

        if (size < SEAL_KEY_SIZE) {
                log_write(LOG_ERR, MSG_STORE_UNUSABLE, NULL,
                          "the credential " SEAL_CREDENTIAL " has %zu bytes; it has to have %d",
                          size, SEAL_KEY_SIZE);
                r = -EINVAL;
        } else {
                *ret = secret_new_zero(SEAL_KEY_SIZE);
                r = gnutls_hash_fast(GNUTLS_DIG_SHA256, contents, size, secret_data(*ret)) < 0
                            ? fault(-EIO)
                            : 0;
        }
        explicit_bzero(contents, size);
        return r;
}

static int open_store(const Options *options, Store **ret) {
        g_autoptr(Secret) seal_key = NULL;
        g_autofree char *text = NULL;
        int r;

        if (!options->store)
                return 0;

        r = read_seal_key(&seal_key);
        if (r < 0)
                return r;

        r = store_open(options->store, seal_key, ret, &text);
        if (r)
                log_write(LOG_ERR, MSG_STORE_UNUSABLE, NULL, "the store cannot be used: %s",
                          text ? text : g_strerror(-r));
        else if (!seal_key)
                log_write(LOG_NOTICE, MSG_STORE_NOT_SEALED, NULL,
                          "the store %s is not sealed: there is no credential " SEAL_CREDENTIAL,
                          options->store);
        return r ? -EINVAL : 0;
}

static void on_closed(void *userdata) {
        (void)sd_event_exit(userdata, 0);
}

static int run(int fd, Store *store) {
        g_autoptr(Server) server = NULL;
        sd_event *event;
        int r;

        r = sd_event_new(&event);
        if (r < 0)
                return fault(r);

        r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL); /* no handler: exits */
        if (r >= 0)
                r = server_new(event, fd, store, on_closed, event, &server);
        if (r >= 0)
                r = sd_event_loop(event);

        server = server_free(server);
        sd_event_unref(event);
        return r < 0 ? fault(r) : r;
}

int main(int argc, char **argv) {
        Options options = {.socket_fd = -1};
        g_autoptr(Store) store = NULL;
        sigset_t signals;
        uid_t uid;
        int fd, r;

        (void)setlocale(LC_CTYPE, ""); /* for --help */
        log_open("dtlsd-keyring");
        if (!options_read(argc, argv, &options) || !options_uid(&options, &uid))
                return EXIT_FAILURE;
        if (options.version) {
                puts("dtlsd-keyring " DTLSD_VERSION);
                return EXIT_SUCCESS;
        }

        /* a terminal's ^C is for dtlsd, which lets go of us when it is done */
        (void)signal(SIGINT, SIG_IGN);
        (void)signal(SIGPIPE, SIG_IGN);
        (void)sigemptyset(&signals);
        (void)sigaddset(&signals, SIGTERM);
        (void)sigprocmask(SIG_BLOCK, &signals, NULL); /* before there are threads */

        clear_environment();
        r = protect_memory();
        if (r < 0) {
                log_error("cannot protect its memory: %s", g_strerror(-r));
                return EXIT_FAILURE;
        }

        token_allow_modules(options.modules);
        /* before the door: who waits there is told at once */
        if (open_store(&options, &store) < 0)
                return EXIT_FAILURE;

        fd = door_open(&options, uid);
        if (fd < 0)
                return EXIT_FAILURE;

        r = run(fd, store);
        g_free(options.user);
        g_free(options.store);
        g_strfreev(options.modules);
        if (r < 0)
                log_error("stops: %s", g_strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
