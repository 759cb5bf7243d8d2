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
        const char *text, *examples; /* lines of the help */
} Command;

static const Command commands[] = {
        {"connect", COMMAND_CONNECT, 2, 0, " [OPTION...] HOST PORT", command_connect,
         "  connect HOST PORT    send standard input to a server, print what it answers\n",
         "  echo hello | dtlsctl connect --ca ca.pem server.example 5684\n"
         "  dtlsctl connect --psk-identity me --psk-file key.hex 192.0.2.1 5684\n"
         "  dtlsctl connect --share uid:1000=read --ca ca.pem server.example 5684\n"},
        {"listen", COMMAND_LISTEN, 2, 0, " [OPTION...] ADDRESS PORT", command_listen,
         "  listen ADDRESS PORT  take connections, print what comes; standard input goes to\n"
         "                       the peer that was heard last\n",
         "  dtlsctl listen --certificate cert.pem --key key.pem --echo 0.0.0.0 5684\n"},
        {"list", COMMAND_OTHER, 0, 0, "", command_list,
         "  list                 your connections (of root: everybody's)\n", "  dtlsctl list\n"},
        {"show", COMMAND_OTHER, 1, 0, " NUMBER", command_show,
         "  show NUMBER          everything about one connection\n", "  dtlsctl show 17\n"},
        {"share", COMMAND_OTHER, 3, 0, " NUMBER SUBJECT RIGHT,...", command_share,
         "  share NUMBER SUBJECT RIGHT,...\n"
         "                       let uid:N or gid:N use a connection of yours: read, write,\n"
         "                       inspect, control\n",
         "  dtlsctl share 17 uid:1000 read,write\n"},
        {"unshare", COMMAND_OTHER, 2, 0, " NUMBER SUBJECT", command_unshare,
         "  unshare NUMBER SUBJECT\n"
         "                       no more\n",
         "  dtlsctl unshare 17 uid:1000\n"},
        {"attach", COMMAND_ATTACH, 1, 0, " [--wait SECONDS] NUMBER", command_attach,
         "  attach NUMBER        as connect, by a connection that is shared with you\n",
         "  dtlsctl attach 17\n"},
        {"import", COMMAND_IMPORT, 1, 0,
         " NAME --certificate FILE --key FILE|--key-uri URI | NAME --pkcs12 FILE", command_import,
         "  import NAME          keep a certificate with its key in the service's store\n",
         "  dtlsctl import device --certificate cert.pem --key key.pem\n"
         "  dtlsctl import device --pkcs12 device.p12 --passphrase-file passphrase\n"},
        {"generate", COMMAND_GENERATE, 1, 0, " [OPTION...] NAME", command_generate,
         "  generate NAME        have a key made in the store, print a request for its "
         "certificate\n",
         "  dtlsctl generate device --alt-name device.example >request.pem\n"},
        {"install", COMMAND_OTHER, 2, 15, " NAME FILE...", command_install,
         "  install NAME FILE... the certificate of that key, or a new one of the key in use\n",
         "  dtlsctl install device cert.pem chain.pem\n"},
        {"remove", COMMAND_OTHER, 1, 0, " NAME", command_remove,
         "  remove NAME          forget it\n", "  dtlsctl remove device\n"},
        {"identities", COMMAND_OTHER, 0, 0, "", command_identities,
         "  identities           the certificates of the store that you may use\n",
         "  dtlsctl identities\n"},
        {"set-psk", COMMAND_SET_PSK, 1, 0, " NAME --psk-identity TEXT --psk-file FILE",
         command_set_psk,
         "  set-psk NAME         keep a pre-shared key with its identity in the service's store\n",
         "  dtlsctl set-psk sensor-17 --psk-identity 'sensor 17' --psk-file key.hex\n"},
        {"remove-psk", COMMAND_OTHER, 1, 0, " NAME", command_remove_psk,
         "  remove-psk NAME      forget it\n", "  dtlsctl remove-psk sensor-17\n"},
        {"psks", COMMAND_OTHER, 0, 0, "", command_psks,
         "  psks                 the pre-shared keys of the store that you may use\n",
         "  dtlsctl psks\n"},
        {"trust", COMMAND_OTHER, 1, UINT_MAX / 2,
         " add NAME FILE... | remove NAME [FINGERPRINT] | list", command_trust,
         "  trust add NAME FILE...\n"
         "                       have certificates vouch for the peers of whoever trusts NAME\n"
         "  trust remove NAME [FINGERPRINT]\n"
         "                       no more: one of them, or all\n"
         "  trust list           all that you may use, set by set\n",
         "  dtlsctl trust add partners ca.pem\n"},
        {"revocations", COMMAND_OTHER, 1, UINT_MAX / 2,
         " set NAME FILE|FINGERPRINT... | remove NAME | list [NAME]", command_revocations,
         "  revocations set NAME FILE|FINGERPRINT...\n"
         "                       have no certificate taken that these lists (CRLs) or\n"
         "                       fingerprints (SHA-256) name, whoever vouches for it\n"
         "  revocations remove NAME\n"
         "                       no more\n"
         "  revocations list [NAME]\n"
         "                       those that count for you; or what is in one of them\n",
         "  dtlsctl revocations set lost-devices revoked.crl\n"},
        {"pin", COMMAND_PIN, 3, 0, " HOST PORT FINGERPRINT", command_pin,
         "  pin HOST PORT FINGERPRINT\n"
         "                       take no other key of this server's (SHA-256 of its public key)\n",
         "  dtlsctl pin server.example 5684 \"$(cat key.sha256)\"\n"},
        {"unpin", COMMAND_PIN, 2, 1, " HOST PORT [FINGERPRINT]", command_unpin,
         "  unpin HOST PORT [FINGERPRINT]\n"
         "                       take that back\n",
         "  dtlsctl unpin server.example 5684\n"},
        {"pins", COMMAND_OTHER, 0, 0, "", command_pins,
         "  pins                 the keys that count for you\n", "  dtlsctl pins\n"},
        {"policy", COMMAND_POLICY, 2, 2, " check VERB [ADDRESS PORT | ENTRY] [--user NAME]",
         command_policy,
         "  policy check VERB [ADDRESS PORT | ENTRY]\n"
         "                       whether the rules let you, and which of them says so\n",
         "  dtlsctl policy check use identity:device --user www-data\n"},
};

static const char page_rest[] =
        "  help [COMMAND]       this page; or what there is for one command\n"
        "\n"
        "What one read of standard input gives is one datagram: a line of a terminal, a block of\n"
        "a file or a pipe. Exit status: 0, or 1 when it failed, 2 when the command line is wrong.\n"
        "\n"
        "Examples:\n";

static const Command *asked_for; /* by the command line; NULL: none that there is */

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
        (void)fprintf(stderr, "Try `dtlsctl %s%s--help`.\n", asked_for ? asked_for->name : "",
                      asked_for ? " " : "");
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

/* ---- help ---- */

/* @page is GLib's, whose usage knows no commands. */
static int help_print(const char *usage, const char *arguments, const char *page) {
        const char *rest = strstr(page, "\n\n");

        return printf("Usage:\n  dtlsctl %s%s%s", usage, arguments, rest ? rest : "\n") < 0;
}

static int help_with_command(const Command *command) {
        g_autofree char *examples = g_strconcat("Examples:\n", command->examples, NULL);
        g_autofree char *text = g_strchomp(g_strdup(command->text));
        g_autofree char *page = settings_help(command->kind, text, examples);

        return help_print(command->name, command->arguments, page);
}

/* Examples are of those with options: the others can hardly be said in another way. */
static int help_with_all(void) {
        g_autoptr(GString) text = g_string_new("Commands:\n");
        g_autofree char *page = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
                g_string_append(text, commands[i].text);
        g_string_append(text, page_rest);
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
                if (commands[i].kind != COMMAND_OTHER)
                        g_string_append(text, commands[i].examples);

        page = settings_help(EVERY_COMMAND, "Looks into dtlsd and uses it, from the shell.",
                             text->str);
        return help_print("[OPTION...] COMMAND", " [ARGUMENT...]", page);
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
        unsigned n;

        if (arguments[0] && g_str_equal(arguments[0], "help")) {
                settings->help = true;
                arguments++;
        }

        asked_for = arguments[0] ? command_find(arguments[0]) : NULL;
        if (arguments[0] && !asked_for)
                return say_usage("there is no command '%s'", arguments[0]);
        if (settings->help)
                return asked_for ? help_with_command(asked_for) : help_with_all();
        if (!asked_for)
                return say_usage("a command is missing");

        n = g_strv_length(arguments + 1);
        if (n < asked_for->n_arguments || n > asked_for->n_arguments + asked_for->n_more)
                return say_usage("usage: dtlsctl %s%s", asked_for->name, asked_for->arguments);
        if (!settings_complete(settings, asked_for->kind))
                return EXIT_USAGE;

        return command_run(asked_for, settings, arguments + 1);
}

/* What cannot be written is an error, whatever else happened. */
static int finish_output(int status) {
        if (fflush(stdout) != 0)
                say("standard output: %s", strerror(errno));
        else if (ferror(stdout))
                say("standard output: not all of it could be written");
        else
                return status;

        return EXIT_FAILURE;
}

int main(int argc, char **argv) {
        Settings settings = {.wait_seconds = G_MININT};
        char **arguments = NULL;
        int status = EXIT_USAGE;

        if (!standard_files_open())
                return EXIT_FAILURE;

        (void)setlocale(LC_ALL, "");
        for (int i = 1; i < argc && !asked_for; i++)
                asked_for = command_find(argv[i]); /* most likely, where the options are wrong */
        if (settings_parse(&settings, argc, argv, &arguments)) {
                if (settings.version)
                        status = printf("dtlsctl %s\n", DTLSD_VERSION) < 0;
                else
                        status = run(&settings, arguments);
        }

        settings_done(&settings);
        return finish_output(status);
}
