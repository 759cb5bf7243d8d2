/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl: looks into dtlsd and uses it, from the shell.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct Command {
        const char *name;
        int (*run)(sd_bus *bus, Settings *settings, char **arguments);
} Command;

static const Command commands[] = {
        {"connect", command_connect},
        {"listen", command_listen},
        {"list", command_list},
        {"show", command_show},
};

static const char *const description =
        "Commands:\n"
        "  connect HOST PORT       standard input to the peer, what it answers to standard output\n"
        "  listen ADDRESS PORT     take connections; print what comes, standard input to the last "
        "peer\n"
        "  list                    your connections (root: everybody's)\n"
        "  show NUMBER             everything about one connection\n"
        "\n"
        "Each line of standard input, or block of what is piped in, is one datagram.\n"
        "\n"
        "Examples:\n"
        "  echo hello | dtlsctl connect --ca ca.pem server.example 5684\n"
        "  dtlsctl connect --psk-identity me --psk-file key.hex 192.0.2.1 5684\n"
        "  dtlsctl listen --certificate cert.pem --key key.pem --echo 0.0.0.0 5684\n"
        "  dtlsctl show 17\n";

int complain(const char *what, int r, const sd_bus_error *error) {
        if (error && sd_bus_error_is_set(error))
                (void)fprintf(stderr, "dtlsctl: %s: %s\n", what, error->message);
        else
                (void)fprintf(stderr, "dtlsctl: %s: %s\n", what, strerror(-r));
        if (error && sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN))
                (void)fprintf(stderr, "dtlsctl: dtlsd does not run on this bus; start it with "
                                      "`systemctl start dtlsd`, or try `./run with dtlsctl …`\n");
        return 1;
}

static bool read_psk(Settings *settings) {
        g_autofree char *text = NULL;
        g_autoptr(GError) error = NULL;
        size_t n;

        if (!g_file_get_contents(settings->psk_file, &text, NULL, &error)) {
                (void)fprintf(stderr, "dtlsctl: %s\n", error->message);
                return false;
        }

        (void)g_strstrip(text);
        n = strlen(text);
        if (n == 0 || n % 2 || n / 2 > sizeof settings->psk) {
                (void)fprintf(stderr, "dtlsctl: %s: a key is 1 to 64 bytes in hexadecimal\n",
                              settings->psk_file);
                return false;
        }
        for (size_t i = 0; i < n; i += 2) {
                if (!g_ascii_isxdigit(text[i]) || !g_ascii_isxdigit(text[i + 1])) {
                        (void)fprintf(stderr, "dtlsctl: %s: not hexadecimal at digit %zu\n",
                                      settings->psk_file, i + 1);
                        return false;
                }
                settings->psk[i / 2] = (uint8_t)(g_ascii_xdigit_value(text[i]) << 4 |
                                                 g_ascii_xdigit_value(text[i + 1]));
        }

        explicit_bzero(text, n);
        settings->options.psk = settings->psk;
        settings->options.psk_size = n / 2;
        return true;
}

bool settings_complete(Settings *settings) {
        struct dtlsd_options *options = &settings->options;

        options->ca_files = (const char *const *)settings->ca_files;
        options->certificate_chain_files = (const char *const *)settings->certificate_files;
        options->private_key_file = settings->key_file;
        options->verification_name = settings->name;
        options->psk_identity_hint = settings->psk_hint;
        options->cipher_profile = settings->profile;
        options->no_cookies = settings->cookies_off;
        if (settings->insecure)
                options->peer_verify_mode = "VerifyNone";
        if (settings->psk_identity) {
                options->psk_identity = settings->psk_identity;
                options->psk_identity_size = strlen(settings->psk_identity);
        }
        if (!settings->psk_file != !settings->psk_identity) {
                (void)fprintf(stderr, "dtlsctl: --psk-identity and --psk-file go together\n");
                return false;
        }

        return !settings->psk_file || read_psk(settings);
}

void settings_done(Settings *settings) {
        g_strfreev(settings->ca_files);
        g_strfreev(settings->certificate_files);
        g_free(settings->key_file);
        g_free(settings->name);
        g_free(settings->psk_identity);
        g_free(settings->psk_file);
        g_free(settings->psk_hint);
        g_free(settings->profile);
        explicit_bzero(settings->psk, sizeof settings->psk);
}

bool copy_to_output(int fd, ssize_t *ret_size, uint8_t buffer[static DATAGRAM_MAX]) {
        ssize_t n = read(fd, buffer, DATAGRAM_MAX);

        *ret_size = n;
        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        if (n == 0)
                return false;

        for (ssize_t done = 0; done < n;) {
                ssize_t w = write(STDOUT_FILENO, buffer + done, (size_t)(n - done));

                if (w < 0)
                        return false;
                done += w;
        }
        return true;
}

/* Parses @argv; what is left after the options is *ret_arguments. False: has said why. */
static bool parse(int argc, char **argv, Settings *settings, char ***ret_arguments) {
        gboolean version = FALSE, insecure = FALSE, echo = FALSE, cookies_off = FALSE;
        const GOptionEntry entries[] = {
                {"ca", 'a', 0, G_OPTION_ARG_FILENAME_ARRAY, &settings->ca_files,
                 "Certificates that vouch for the peer, PEM (default: the system's)", "FILE"},
                {"name", 'n', 0, G_OPTION_ARG_STRING, &settings->name,
                 "Name the peer's certificate must have (default: HOST)", "NAME"},
                {"certificate", 'c', 0, G_OPTION_ARG_FILENAME_ARRAY, &settings->certificate_files,
                 "Own certificate chain, PEM, leaf first", "FILE"},
                {"key", 'k', 0, G_OPTION_ARG_FILENAME, &settings->key_file, "Own private key, PEM",
                 "FILE"},
                {"psk-identity", 'i', 0, G_OPTION_ARG_STRING, &settings->psk_identity,
                 "Identity of the pre-shared key", "TEXT"},
                {"psk-file", 'p', 0, G_OPTION_ARG_FILENAME, &settings->psk_file,
                 "Pre-shared key in hexadecimal", "FILE"},
                {"psk-hint", 0, 0, G_OPTION_ARG_STRING, &settings->psk_hint,
                 "listen: identity hint for clients", "TEXT"},
                {"profile", 0, 0, G_OPTION_ARG_STRING, &settings->profile,
                 "Cipher suites: default, iot, legacy", "NAME"},
                {"insecure", 0, 0, G_OPTION_ARG_NONE, &insecure,
                 "Do not verify the peer (for tests)", NULL},
                {"echo", 'e', 0, G_OPTION_ARG_NONE, &echo, "listen: send every datagram back",
                 NULL},
                {"no-cookies", 0, 0, G_OPTION_ARG_NONE, &cookies_off,
                 "listen: do not ask clients for cookies", NULL},
                {"wait", 'w', 0, G_OPTION_ARG_INT, &settings->wait_seconds,
                 "connect: go on that long after the end of input (default 1)", "SECONDS"},
                {"version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL},
                {0},
        };
        g_autoptr(GOptionContext) context = g_option_context_new("COMMAND ARGUMENT…");
        g_autoptr(GError) error = NULL;

        g_option_context_set_summary(context, "Looks into dtlsd and uses it, from the shell.");
        g_option_context_set_description(context, description);
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                (void)fprintf(stderr, "dtlsctl: %s\nTry `dtlsctl --help`.\n", error->message);
                return false;
        }

        if (version)
                (void)printf("dtlsctl %s\n", DTLSD_VERSION);
        settings->insecure = insecure;
        settings->echo = echo;
        settings->cookies_off = cookies_off;
        *ret_arguments = version ? NULL : argv + 1;
        return true;
}

static int run(Settings *settings, char **arguments) {
        const Command *command = NULL;
        sd_bus *bus = NULL;
        int r, status;

        for (size_t i = 0; arguments[0] && i < G_N_ELEMENTS(commands); i++)
                if (g_str_equal(arguments[0], commands[i].name))
                        command = &commands[i];
        if (!command) {
                (void)fprintf(stderr, "dtlsctl: %s%s\nTry `dtlsctl --help`.\n",
                              arguments[0] ? "no such command: " : "a command is missing",
                              arguments[0] ? arguments[0] : "");
                return 2;
        }

        r = sd_bus_open_system(&bus);
        if (r < 0)
                return complain("no system bus", r, NULL);

        status = settings_complete(settings) ? command->run(bus, settings, arguments + 1) : 2;
        (void)sd_bus_flush_close_unref(bus);
        return status;
}

int main(int argc, char **argv) {
        Settings settings = {.wait_seconds = 1};
        char **arguments = NULL;
        int status = 2;

        if (parse(argc, argv, &settings, &arguments))
                status = arguments ? run(&settings, arguments) : 0;

        settings_done(&settings);
        return status;
}
