/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The command line, as options of the library. An option that the command has no use for is
 * refused: it was meant to do something.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_SECONDS_DEFAULT 1 /* several round trips of a path that has just shaken hands */
#define WAIT_SECONDS_MAX 86400
#define PSK_TEXT_MAX (2 * PSK_SIZE_MAX + 64) /* and some white space */
#define PASSPHRASE_MAX 1024

/* ---- parsing ---- */

/* One table for the command line, for the help, and for which command has use for what. */
typedef struct Option {
        const char *name;
        char letter;
        GOptionArg type;
        size_t field; /* of Settings */
        unsigned commands;
        const char *text, *value;
} Option;

#define FIELD(name) offsetof(Settings, name)
#define ENDS (COMMAND_CONNECT | COMMAND_LISTEN)

static const Option known_options[] = {
        {"ca", 'a', G_OPTION_ARG_FILENAME_ARRAY, FIELD(ca_files), ENDS,
         "Certificates that vouch for the peer, PEM (default: the system's; listen: clients are "
         "not verified)",
         "FILE"},
        {"name", 'n', G_OPTION_ARG_STRING, FIELD(name), COMMAND_CONNECT,
         "connect: name the server's certificate must have (default: HOST)", "NAME"},
        {"certificate", 'c', G_OPTION_ARG_FILENAME_ARRAY, FIELD(certificate_files),
         ENDS | COMMAND_IMPORT,
         "Own certificate, PEM; its chain in the same file or by repeating this", "FILE"},
        {"key", 'k', G_OPTION_ARG_FILENAME, FIELD(key_file), ENDS | COMMAND_IMPORT,
         "Own private key, PEM", "FILE"},
        {"identity", 0, G_OPTION_ARG_STRING, FIELD(identity), ENDS,
         "Instead of these two: both by their name in the service's store", "NAME"},
        {"user", 0, G_OPTION_ARG_STRING, FIELD(user), COMMAND_POLICY,
         "policy check: about this user (for root)", "NAME"},
        {"psk-identity", 'i', G_OPTION_ARG_STRING, FIELD(psk_identity), ENDS | COMMAND_SET_PSK,
         "Identity of the pre-shared key", "TEXT"},
        {"psk-file", 'p', G_OPTION_ARG_FILENAME, FIELD(psk_file), ENDS | COMMAND_SET_PSK,
         "Pre-shared key, 1 to 512 bytes in hexadecimal", "FILE"},
        {"psks", 0, G_OPTION_ARG_STRING_ARRAY, FIELD(psks), ENDS,
         "Instead of these two: pre-shared keys by their names in the service's store, or "
         "patterns; connect: exactly one",
         "NAME"},
        {"psk-hint", 0, G_OPTION_ARG_STRING, FIELD(psk_hint), COMMAND_LISTEN,
         "listen: identity hint for clients", "TEXT"},
        {"profile", 0, G_OPTION_ARG_STRING, FIELD(profile), ENDS,
         "Cipher suites: default, iot, legacy", "NAME"},
        {"cipher", 0, G_OPTION_ARG_STRING_ARRAY, FIELD(ciphers), ENDS,
         "Instead of a profile: a suite, by IANA's name or OpenSSL's; repeat, best first", "NAME"},
        {"protocol", 0, G_OPTION_ARG_STRING, FIELD(protocol), ENDS,
         "DtlsV1_2, DtlsV1_0, or either with OrLater (default: DtlsV1_2OrLater)", "NAME"},
        {"alpn", 0, G_OPTION_ARG_STRING_ARRAY, FIELD(alpn), ENDS,
         "An application protocol that is spoken; repeat, best first", "NAME"},
        {"session-ticket", 0, G_OPTION_ARG_FILENAME, FIELD(ticket_file), COMMAND_CONNECT,
         "connect: take up the session in this file, and keep the new one there", "FILE"},
        {"dh-parameters", 0, G_OPTION_ARG_FILENAME, FIELD(dh_file), COMMAND_LISTEN,
         "listen: Diffie-Hellman parameters, PEM", "FILE"},
        {"insecure", 0, G_OPTION_ARG_NONE, FIELD(insecure), COMMAND_CONNECT,
         "connect: do not verify the server (for tests)", NULL},
        {"wait", 'w', G_OPTION_ARG_INT, FIELD(wait_seconds), COMMAND_CONNECT | COMMAND_ATTACH,
         "connect, attach: at the end of input go on until the peer was quiet that long (default "
         "1)",
         "SECONDS"},
        {"echo", 'e', G_OPTION_ARG_NONE, FIELD(echo), COMMAND_LISTEN,
         "listen: send every datagram back", NULL},
        {"no-cookies", 0, G_OPTION_ARG_NONE, FIELD(cookies_off), COMMAND_LISTEN,
         "listen: do not ask clients for cookies", NULL},
        {"version", 0, G_OPTION_ARG_NONE, FIELD(version), COMMAND_MISSING, "Print the version",
         NULL},
        {"trust", 0, G_OPTION_ARG_STRING, FIELD(trust), ENDS,
         "Instead of --ca: a trust set, by its name in the service's store", "NAME"},
        {"trust-on-first-use", 0, G_OPTION_ARG_NONE, FIELD(first_use), COMMAND_CONNECT,
         "connect: pin the key that the server has at the first time", NULL},
        {"administrator", 0, G_OPTION_ARG_NONE, FIELD(administrator), COMMAND_PIN,
         "pin, unpin: for everybody", NULL},
        {"share", 0, G_OPTION_ARG_STRING_ARRAY, FIELD(share), ENDS,
         "Share the connection, or the listener's: uid:N or gid:N may read, write, inspect, "
         "control; repeat",
         "SUBJECT=RIGHT,..."},
        {"passphrase-file", 0, G_OPTION_ARG_FILENAME, FIELD(passphrase_file), COMMAND_IMPORT,
         "import: passphrase of the key, one line", "FILE"},
        {"key-uri", 0, G_OPTION_ARG_STRING, FIELD(key_uri), COMMAND_IMPORT,
         "import: instead of --key: one in a token; its PIN is the passphrase", "URI"},
        {"pkcs12", 0, G_OPTION_ARG_FILENAME, FIELD(pkcs12_file), COMMAND_IMPORT,
         "import: PKCS#12 file with key and certificates", "FILE"},
        {"key-type", 0, G_OPTION_ARG_STRING, FIELD(key_type), COMMAND_GENERATE,
         "generate: ECDSA-P256 (default), RSA-2048, RSA-3072, RSA-4096 or Ed25519", "TYPE"},
        {"subject", 0, G_OPTION_ARG_STRING, FIELD(subject), COMMAND_GENERATE,
         "generate: whose certificate it is to be (default: CN=NAME)", "NAME"},
        {"alt-name", 0, G_OPTION_ARG_STRING_ARRAY, FIELD(alt_names), COMMAND_GENERATE,
         "generate: a DNS name or an address for the certificate; repeat for more", "NAME"},
        {"help", 'h', G_OPTION_ARG_NONE, FIELD(help), EVERY_COMMAND,
         "Show this; with a command, what there is for it", NULL},
};

static void *option_field(const Option *option, Settings *settings) {
        return (uint8_t *)settings + option->field;
}

/* Shows those for any of @commands, and knows all. */
static GOptionContext *settings_context(Settings *settings, unsigned commands) {
        GOptionContext *context = g_option_context_new("COMMAND [ARGUMENT...]");
        GOptionEntry entries[G_N_ELEMENTS(known_options) + 1] = {{0}};

        for (size_t i = 0; i < G_N_ELEMENTS(known_options); i++)
                entries[i] = (GOptionEntry){
                        .long_name = known_options[i].name,
                        .short_name = known_options[i].letter,
                        .flags = known_options[i].commands & commands ? 0 : G_OPTION_FLAG_HIDDEN,
                        .arg = known_options[i].type,
                        .arg_data = option_field(&known_options[i], settings),
                        .description = known_options[i].text,
                        .arg_description = known_options[i].value,
                };

        g_option_context_set_help_enabled(context, FALSE); /* GLib's knows no commands */
        g_option_context_add_main_entries(context, entries, NULL);
        return context;
}

char *settings_help(unsigned commands, const char *summary, const char *description) {
        Settings settings = {0};
        g_autoptr(GOptionContext) context = settings_context(&settings, commands);

        g_option_context_set_summary(context, summary);
        g_option_context_set_description(context, description);
        return g_option_context_get_help(context, /* main_help= */ TRUE, NULL);
}

/* GLib leaves the "--" where something like an option follows it. */
static void drop_separator(char **arguments) {
        while (*arguments && !g_str_equal(*arguments, "--"))
                arguments++;
        for (; *arguments; arguments++)
                arguments[0] = arguments[1];
}

bool settings_parse(Settings *settings, int argc, char **argv, char ***ret_arguments) {
        g_autoptr(GOptionContext) context = settings_context(settings, EVERY_COMMAND);
        g_autoptr(GError) error = NULL;

        if (!g_option_context_parse(context, &argc, &argv, &error)) {
                (void)say_usage("%s", error->message);
                return false;
        }

        drop_separator(argv + 1);
        *ret_arguments = argv + 1;
        return true;
}

bool port_parse(const char *text, guint64 min, uint16_t *ret) {
        guint64 number;

        if (!g_ascii_string_to_unsigned(text, 10, min, UINT16_MAX, &number, NULL)) {
                (void)say_usage("'%s' is not a port: a number from %" G_GUINT64_FORMAT " to %u",
                                text, min, UINT16_MAX);
                return false;
        }

        *ret = (uint16_t)number;
        return true;
}

char *connection_parse(const char *text) {
        guint64 number;

        if (g_ascii_string_to_unsigned(text, 10, 1, UINT32_MAX, &number, NULL))
                return g_strdup_printf(ROOT "/connection/%" G_GUINT64_FORMAT, number);

        (void)say_usage("'%s' is not a connection's number; `dtlsctl list` has them", text);
        return NULL;
}

/* ---- the pre-shared key, and the passphrase ---- */

/* Reads all there is, a pipe too; more than @size is refused. Returns how much, or -errno. */
static ssize_t read_short_file(const char *path, char *buffer, size_t size) {
        size_t done = 0;
        ssize_t n = 1;
        int fd, r;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        while (n > 0 && done < size) {
                n = read(fd, buffer + done, size - done);
                if (n > 0)
                        done += (size_t)n;
        }
        r = n < 0 ? -errno : 0;
        (void)close(fd);
        if (r == 0 && done == size)
                return -EFBIG;
        return r < 0 ? r : (ssize_t)done;
}

static bool decode_psk(Settings *settings, const char *text, size_t n) {
        for (; n > 0 && g_ascii_isspace(text[n - 1]); n--)
                ;
        for (; n > 0 && g_ascii_isspace(*text); n--)
                text++;
        if (n == 0 || n % 2 || n / 2 > sizeof settings->psk) {
                say("%s: a key is 1 to 512 bytes in hexadecimal, two digits a byte",
                    settings->psk_file);
                return false;
        }

        for (size_t i = 0; i < n; i++) {
                int digit = g_ascii_xdigit_value(text[i]);

                if (digit < 0) {
                        say("%s: character %zu is not a hexadecimal digit", settings->psk_file,
                            i + 1);
                        return false;
                }
                settings->psk[i / 2] = (uint8_t)(settings->psk[i / 2] << 4 | digit);
        }

        settings->options.psk = settings->psk;
        settings->options.psk_size = n / 2;
        return true;
}

static bool read_psk(Settings *settings) {
        char text[PSK_TEXT_MAX] = {0};
        ssize_t n;
        bool done;

        n = read_short_file(settings->psk_file, text, sizeof text);
        if (n < 0) {
                say("%s: %s", settings->psk_file,
                    n == -EFBIG ? "too long for a key of at most 512 bytes" : strerror((int)-n));
                explicit_bzero(text, sizeof text);
                return false;
        }

        done = decode_psk(settings, text, (size_t)n);
        explicit_bzero(text, sizeof text);
        return done;
}

/* Into a file without a name, which settings_done() closes. */
static bool keep_passphrase(Settings *settings, const char *text, size_t size) {
        int fd = memfd_create("passphrase", MFD_CLOEXEC);

        if (fd < 0 || write(fd, text, size) != (ssize_t)size) {
                say("the passphrase: %s", strerror(errno));
                (void)close(fd);
                return false;
        }

        settings->passphrase_fd = fd;
        g_free(settings->passphrase_file);
        settings->passphrase_file = g_strdup_printf("/proc/self/fd/%d", fd);
        return true;
}

/* The library reads files, and waits for nobody; the answer to a prompt comes by a pipe. */
static bool read_passphrase(Settings *settings) {
        char text[PASSPHRASE_MAX];
        struct stat status;
        ssize_t n;
        bool done;

        if (stat(settings->passphrase_file, &status) < 0 || S_ISREG(status.st_mode))
                return true;

        n = read_short_file(settings->passphrase_file, text, sizeof text);
        if (n < 0)
                say("%s: %s", settings->passphrase_file,
                    n == -EFBIG ? "too long for a passphrase" : strerror((int)-n));
        done = n >= 0 && keep_passphrase(settings, text, (size_t)n);
        explicit_bzero(text, sizeof text);
        return done;
}

/* ---- what goes with what ---- */

/* The commands that an option is for, as people say it. To be freed. */
static char *commands_text(unsigned commands) {
        static const char *const names[] = {"connect", "listen",        "import",   "policy check",
                                            "set-psk", "pin and unpin", "generate", "attach"};
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (commands & 1u << i)
                        g_string_append_printf(text, "%s%s", text->len ? " and " : "", names[i]);

        return g_string_free(text, FALSE);
}

static bool option_is_given(const Option *option, Settings *settings) {
        const void *field = option_field(option, settings);

        if (option->type == G_OPTION_ARG_NONE)
                return *(const gboolean *)field;
        if (option->type == G_OPTION_ARG_INT)
                return *(const int *)field != G_MININT;

        return *(void *const *)field;
}

static bool check_for_command(Settings *settings, CommandKind kind) {
        for (size_t i = 0; i < G_N_ELEMENTS(known_options); i++) {
                const Option *option = &known_options[i];
                g_autofree char *commands = NULL;

                if (option->commands & kind || !option_is_given(option, settings))
                        continue;

                commands = commands_text(option->commands);
                (void)say_usage("--%s is for %s", option->name, commands);
                return false;
        }

        return true;
}

/* NULL, or what is wrong. */
static const char *find_contradiction(const Settings *settings, CommandKind kind) {
        if (!settings->psk_file != !settings->psk_identity)
                return "--psk-identity and --psk-file go together";
        if (!settings->certificate_files != !(settings->key_file || settings->key_uri))
                return "--certificate and --key go together";
        if (settings->key_file && settings->key_uri)
                return "--key and --key-uri contradict each other";
        if (kind == COMMAND_IMPORT && (!settings->certificate_files == !settings->pkcs12_file))
                return "import needs --certificate and --key, or --pkcs12";
        if (kind == COMMAND_SET_PSK && !settings->psk_file)
                return "set-psk needs --psk-identity and --psk-file";
        if (settings->psks && settings->psk_file)
                return "--psks and --psk-file contradict each other";
        if (settings->identity && settings->key_file)
                return "--identity and --key contradict each other";
        if (settings->profile && settings->ciphers)
                return "--profile and --cipher contradict each other";
        if (settings->trust && settings->ca_files)
                return "--trust and --ca contradict each other";
        if (settings->insecure && (settings->trust || settings->first_use))
                return "--insecure contradicts --trust and --trust-on-first-use";
        if (settings->insecure && settings->ca_files)
                return "--insecure and --ca contradict each other";
        if (settings->wait_seconds != G_MININT &&
            (settings->wait_seconds < 0 || settings->wait_seconds > WAIT_SECONDS_MAX))
                return "--wait is a number of seconds from 0 to 86400";
        if (kind == COMMAND_LISTEN && !settings->certificate_files && !settings->identity &&
            !settings->psk_file && !settings->psks)
                return "listen needs --certificate and --key, --identity, --psk-identity and "
                       "--psk-file, or --psks";

        return NULL;
}

static void fill_options(Settings *settings, CommandKind kind) {
        struct dtlsd_options *options = &settings->options;

        options->ca_files = (const char *const *)settings->ca_files;
        options->trust = settings->trust;
        options->trust_on_first_use = settings->first_use;
        options->certificate_chain_files = (const char *const *)settings->certificate_files;
        options->private_key_file = settings->key_file;
        options->identity = settings->identity;
        options->verification_name = settings->name;
        options->psks = (const char *const *)settings->psks;
        options->psk_identity_hint = settings->psk_hint;
        options->cipher_profile = settings->profile;
        options->ciphers = (const char *const *)settings->ciphers;
        options->protocol = settings->protocol;
        options->next_protocols = (const char *const *)settings->alpn;
        options->share = (const char *const *)settings->share;
        options->no_cookies = settings->cookies_off;
        options->dh_parameters_file = settings->dh_file;
        if (settings->insecure)
                options->peer_verify_mode = "VerifyNone";
        else if (kind == COMMAND_LISTEN && (settings->ca_files || settings->trust))
                options->peer_verify_mode = "VerifyPeer"; /* or why were they given? */
        if (settings->psk_identity) {
                options->psk_identity = settings->psk_identity;
                options->psk_identity_size = strlen(settings->psk_identity);
        }
}

bool settings_complete(Settings *settings, CommandKind kind) {
        const char *wrong;

        if (!check_for_command(settings, kind))
                return false;
        if (kind == COMMAND_OTHER || kind == COMMAND_PIN)
                return true;

        wrong = find_contradiction(settings, kind);
        if (wrong) {
                (void)say_usage("%s", wrong);
                return false;
        }

        fill_options(settings, kind);
        return (!settings->psk_file || read_psk(settings)) &&
               (!settings->passphrase_file || read_passphrase(settings));
}

int settings_wait_msec(const Settings *settings) {
        int seconds = settings->wait_seconds;

        return (seconds == G_MININT ? WAIT_SECONDS_DEFAULT : seconds) * 1000;
}

void settings_done(Settings *settings) {
        g_strfreev(settings->ca_files);
        g_strfreev(settings->certificate_files);
        g_strfreev(settings->ciphers);
        g_strfreev(settings->alpn);
        g_strfreev(settings->psks);
        g_strfreev(settings->share);
        g_free(settings->key_file);
        g_free(settings->name);
        g_free(settings->psk_identity);
        g_free(settings->psk_file);
        g_free(settings->psk_hint);
        g_free(settings->profile);
        g_free(settings->protocol);
        g_free(settings->identity);
        g_free(settings->key_type);
        g_free(settings->subject);
        g_strfreev(settings->alt_names);
        g_free(settings->passphrase_file);
        if (settings->passphrase_fd > 0)
                (void)close(settings->passphrase_fd);
        g_free(settings->pkcs12_file);
        g_free(settings->key_uri);
        g_free(settings->user);
        g_free(settings->ticket_file);
        g_free(settings->dh_file);
        g_free(settings->trust);
        explicit_bzero(settings->psk, sizeof settings->psk);
}
