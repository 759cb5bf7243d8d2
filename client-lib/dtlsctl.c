/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl: looks into dtlsd and uses it, from the shell.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Command {
        const char *name;
        CommandKind kind;
        unsigned n_arguments, n_more; /* that there must be; that there may be, too */
        const char *arguments;
        int (*run)(sd_bus *bus, Settings *settings, char **arguments);
} Command;

static const Command commands[] = {
        {"connect", COMMAND_CONNECT, 2, 0, " [OPTION...] HOST PORT", command_connect},
        {"listen", COMMAND_LISTEN, 2, 0, " [OPTION...] ADDRESS PORT", command_listen},
        {"list", COMMAND_OTHER, 0, 0, "", command_list},
        {"show", COMMAND_OTHER, 1, 0, " NUMBER", command_show},
        {"share", COMMAND_OTHER, 3, 0, " NUMBER SUBJECT RIGHT,...", command_share},
        {"unshare", COMMAND_OTHER, 2, 0, " NUMBER SUBJECT", command_unshare},
        {"attach", COMMAND_ATTACH, 1, 0, " [--wait SECONDS] NUMBER", command_attach},
        {"import", COMMAND_IMPORT, 1, 0,
         " NAME --certificate FILE --key FILE|--key-uri URI | NAME --pkcs12 FILE", command_import},
        {"generate", COMMAND_GENERATE, 1, 0, " [OPTION...] NAME", command_generate},
        {"install", COMMAND_OTHER, 2, 15, " NAME FILE...", command_install},
        {"remove", COMMAND_OTHER, 1, 0, " NAME", command_remove},
        {"identities", COMMAND_OTHER, 0, 0, "", command_identities},
        {"set-psk", COMMAND_SET_PSK, 1, 0, " NAME --psk-identity TEXT --psk-file FILE",
         command_set_psk},
        {"remove-psk", COMMAND_OTHER, 1, 0, " NAME", command_remove_psk},
        {"psks", COMMAND_OTHER, 0, 0, "", command_psks},
        {"trust", COMMAND_OTHER, 1, UINT_MAX / 2,
         " add NAME FILE... | remove NAME [FINGERPRINT] | list", command_trust},
        {"revocations", COMMAND_OTHER, 1, UINT_MAX / 2,
         " set NAME FILE|FINGERPRINT... | remove NAME | list [NAME]", command_revocations},
        {"pin", COMMAND_PIN, 3, 0, " HOST PORT FINGERPRINT", command_pin},
        {"unpin", COMMAND_PIN, 2, 1, " HOST PORT [FINGERPRINT]", command_unpin},
        {"pins", COMMAND_OTHER, 0, 0, "", command_pins},
        {"policy", COMMAND_POLICY, 2, 2, " check VERB [ADDRESS PORT | ENTRY] [--user NAME]",
         command_policy},
};

static const char *const description =
        "Commands:\n"
        "  connect HOST PORT    send standard input to a server, print what it answers\n"
        "  listen ADDRESS PORT  take connections, print what comes; standard input goes to\n"
        "                       the peer that was heard last\n"
        "  list                 your connections (of root: everybody's)\n"
        "  show NUMBER          everything about one connection\n"
        "  share NUMBER SUBJECT RIGHT,...\n"
        "                       let uid:N or gid:N use a connection of yours: read, write,\n"
        "                       inspect, control\n"
        "  unshare NUMBER SUBJECT\n"
        "                       no more\n"
        "  attach NUMBER        as connect, by a connection that is shared with you\n"
        "  import NAME          keep a certificate with its key in the service's store\n"
        "  generate NAME        have a key made in the store, print a request for its certificate\n"
        "  install NAME FILE... the certificate of that key, or a new one of the key in use\n"
        "  remove NAME          forget it\n"
        "  identities           the certificates of the store that you may use\n"
        "  set-psk NAME         keep a pre-shared key with its identity in the service's store\n"
        "  remove-psk NAME      forget it\n"
        "  psks                 the pre-shared keys of the store that you may use\n"
        "  trust add NAME FILE...\n"
        "                       have certificates vouch for the peers of whoever trusts NAME\n"
        "  trust remove NAME [FINGERPRINT]\n"
        "                       no more: one of them, or all\n"
        "  trust list           all that you may use, set by set\n"
        "  revocations set NAME FILE|FINGERPRINT...\n"
        "                       have no certificate taken that these lists (CRLs) or\n"
        "                       fingerprints (SHA-256) name, whoever vouches for it\n"
        "  revocations remove NAME\n"
        "                       no more\n"
        "  revocations list [NAME]\n"
        "                       those that count for you; or what is in one of them\n"
        "  pin HOST PORT FINGERPRINT\n"
        "                       take no other key of this server's (SHA-256 of its public key)\n"
        "  unpin HOST PORT [FINGERPRINT]\n"
        "                       take that back\n"
        "  pins                 the keys that count for you\n"
        "  policy check VERB [ADDRESS PORT | ENTRY]\n"
        "                       whether the rules let you, and which of them says so\n"
        "\n"
        "What one read of standard input gives is one datagram: a line of a terminal, a block of\n"
        "a file or a pipe. Exit status: 0, or 1 when it failed, 2 when the command line is wrong.\n"
        "\n"
        "Examples:\n"
        "  echo hello | dtlsctl connect --ca ca.pem server.example 5684\n"
        "  dtlsctl connect --psk-identity me --psk-file key.hex 192.0.2.1 5684\n"
        "  dtlsctl listen --certificate cert.pem --key key.pem --echo 0.0.0.0 5684\n"
        "  dtlsctl show 17\n"
        "  dtlsctl connect --share uid:1000=read --ca ca.pem server.example 5684\n"
        "  dtlsctl attach 17\n"
        "  dtlsctl import device --certificate cert.pem --key key.pem\n"
        "  dtlsctl import device --pkcs12 device.p12 --passphrase-file passphrase\n"
        "  dtlsctl policy check use identity:device --user www-data\n";

/* ---- what people are told ---- */

static void G_GNUC_PRINTF(1, 0) say_list(const char *format, va_list ap) {
        g_autofree char *text = g_strdup_vprintf(format, ap);
        g_autofree char *escaped = text_escape(text, strlen(text));

        (void)fprintf(stderr, "dtlsctl: %s\n", escaped);
}

void say(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        say_list(format, ap);
        va_end(ap);
}

int say_usage(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        say_list(format, ap);
        va_end(ap);
        (void)fprintf(stderr, "Try `dtlsctl --help`.\n");
        return EXIT_USAGE;
}

int complain(const char *what, int r, const sd_bus_error *error) {
        if (error && error->name && g_str_has_prefix(error->name, DTLSD_ERROR("")))
                say("%s: %s", what, error->message);
        else if (error && sd_bus_error_is_set(error))
                say("%s", error->message); /* of a file, or of the bus: not about @what */
        else
                say("%s: %s", what, strerror(-r));

        if (error && sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN))
                say("dtlsd does not run on this bus; an administrator starts it with "
                    "`systemctl start dtlsd`");
        else if (error && sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED))
                say("the bus refused, not dtlsd: its policy file io.github.dtlsd.Dtlsd1.conf "
                    "belongs in /usr/share/dbus-1/system.d, and then the bus reloaded");
        return EXIT_FAILURE;
}

/* ---- the process ---- */

/* A file descriptor that is closed would become the bus's, and data would go there. */
static bool standard_files_open(void) {
        int fd;

        do
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd < 0)
                return false;

        (void)close(fd);
        return true;
}

static const Command *command_find(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
                if (g_str_equal(name, commands[i].name))
                        return &commands[i];

        return NULL;
}

static int command_run(const Command *command, Settings *settings, char **arguments) {
        sd_bus *bus = NULL;
        int r, status;

        r = sd_bus_open_system(&bus);
        if (r < 0) {
                say("no system bus: %s; start the system's dbus, or name another bus in "
                    "DBUS_SYSTEM_BUS_ADDRESS",
                    strerror(-r));
                return EXIT_FAILURE;
        }

        status = command->run(bus, settings, arguments);
        (void)sd_bus_flush_close_unref(bus);
        return status;
}

static int run(Settings *settings, char **arguments) {
        const Command *command;
        unsigned n;

        if (!arguments[0])
                return say_usage("a command is missing");

        command = command_find(arguments[0]);
        if (!command)
                return say_usage("there is no command '%s'", arguments[0]);
        n = g_strv_length(arguments + 1);
        if (n < command->n_arguments || n > command->n_arguments + command->n_more)
                return say_usage("usage: dtlsctl %s%s", command->name, command->arguments);
        if (!settings_complete(settings, command->kind))
                return EXIT_USAGE;

        return command_run(command, settings, arguments + 1);
}

/* GLib ends the process itself after --help, so this is no part of main(). */
static void finish_output(void) {
        if (fflush(stdout) != 0)
                say("standard output: %s", strerror(errno));
        else if (ferror(stdout))
                say("standard output: not all of it could be written");
        else
                return;

        _exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
        Settings settings = {.wait_seconds = G_MININT};
        char **arguments = NULL;
        int status = EXIT_USAGE;

        if (!standard_files_open())
                return EXIT_FAILURE;

        (void)atexit(finish_output);
        (void)setlocale(LC_ALL, "");
        if (settings_parse(&settings, description, argc, argv, &arguments)) {
                if (settings.version)
                        status = printf("dtlsctl %s\n", DTLSD_VERSION) < 0;
                else
                        status = run(&settings, arguments);
        }

        settings_done(&settings);
        return status;
}
