/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * dtlsctl: the service at the shell. One file a command; this is what they share: the command line
 * (dtlsctl-settings.c), datagrams in and out (dtlsctl-copy.c), and values from the bus as text
 * (dtlsctl-text.c).
 *
 * Exit statuses: 0, it did what it was asked to; 1, it failed; 2, the command line cannot be;
 * 128 and the signal's number, connect or attach was interrupted. Whatever is not data or a table
 * goes to standard error, each line beginning with "dtlsctl: ".
 */

#include "dtlsd-client.h"

#include <glib.h>
#include <signal.h>
#include <stdbool.h>

#define EXIT_USAGE 2
#define PSK_SIZE_MAX 512

/* The commands that take options, as a set. */
typedef enum CommandKind {
        COMMAND_CONNECT = 1 << 0,
        COMMAND_LISTEN = 1 << 1,
        COMMAND_IMPORT = 1 << 2,
        COMMAND_POLICY = 1 << 3,
        COMMAND_SET_PSK = 1 << 4,
        COMMAND_PIN = 1 << 5, /* and unpin */
        COMMAND_GENERATE = 1 << 6,
        COMMAND_ATTACH = 1 << 7,
        COMMAND_OTHER = 1 << 8,   /* takes none */
        COMMAND_MISSING = 1 << 9, /* for an option that stands alone */
} CommandKind;

#define EVERY_COMMAND (~0u)

/* What the command line says of a connection or a listener. */
typedef struct Settings {
        char **ca_files, **certificate_files, **ciphers, **alpn, **psks, **share;
        char *key_file, *name, *psk_identity, *psk_file, *psk_hint, *profile, *protocol;
        char *identity, *passphrase_file, *pkcs12_file, *key_uri, *user, *ticket_file, *dh_file,
                *trust;
        char *key_type, *subject, **alt_names;
        gboolean insecure, echo, cookies_off, version, help, first_use, administrator;
        int wait_seconds;             /* G_MININT: none was given */
        int passphrase_fd;            /* what passphrase_file is then; 0: a file of its own */
        struct dtlsd_options options; /* made of the above; borrows from them */
        uint8_t psk[PSK_SIZE_MAX];
} Settings;

#define NAME "io.github.dtlsd.Dtlsd1"
#define ROOT "/io/github/dtlsd/Dtlsd1"

/* ---- the command line ---- */

/* What is left after the options is *ret_arguments. False: has said why. */
bool settings_parse(Settings *settings, int argc, char **argv, char ***ret_arguments);
/* A page with the options of @commands, a set of CommandKind. To be freed. */
char *settings_help(unsigned commands, const char *summary, const char *description);
/* Fills options for this command from the rest; false: has said why it cannot be. */
bool settings_complete(Settings *settings, CommandKind kind);
/* How long connect and attach go on after the end of input. */
int settings_wait_msec(const Settings *settings);
void settings_done(Settings *settings);
/* A port from @min on; false: has said why it is none. */
bool port_parse(const char *text, guint64 min, uint16_t *ret);
/* The path of the connection with this number, to be freed; NULL: has said why it is none. */
char *connection_parse(const char *text);

/* ---- what people are told ---- */

/* "dtlsctl: …" */
void say(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* The same, and where to look; returns EXIT_USAGE. */
int say_usage(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* "dtlsctl: WHAT: reason", and what to do about it; returns 1, an exit status. */
int complain(const char *what, int r, const sd_bus_error *error);

/* Text from elsewhere as it may go to a terminal: what is not printable is escaped (\x1b, \u202e),
 * and so are backslashes. To be freed. */
char *text_escape(const char *text, size_t size);
/* The end of a validity, microseconds, as a day; "-" where it is none, or too far away. To be
 * freed. */
char *text_day(uint64_t usec);
/* Whole days until then, or "ended". */
char *text_days_left(uint64_t usec);
/* The number at the end of an object's path. */
uint64_t text_number(const char *path);

/* Named values, in the order they were added. */
typedef struct Rows Rows;

Rows *rows_new(void);
Rows *rows_free(Rows *rows);
/* Adds the a{sv} that comes next in @m: a row a value, and a row "Name.Key" for each entry of a
 * value that is itself a dictionary. Negative errno where @m has something else. */
int rows_read_properties(Rows *rows, sd_bus_message *m);
/* Adds the variant that comes next in @m. */
int rows_read_variant(Rows *rows, const char *name, sd_bus_message *m);
/* Adds this property of an object; @interface without what all of ours begin with. */
int rows_read_property(Rows *rows, sd_bus *bus, const char *path, const char *interface,
                       const char *property, sd_bus_error *error);
/* The value as text; "-" where there is none, or an empty one. */
const char *rows_text(const Rows *rows, const char *name);
void rows_print(const Rows *rows);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rows, rows_free)

/* ---- datagrams ---- */

#define DATAGRAM_MAX 65536

typedef enum CopyOutcome {
        COPY_GOES_ON,
        COPY_ENDED,  /* of the input, or of the connection */
        COPY_FAILED, /* has said why */
} CopyOutcome;

/* One datagram from the channel @fd to standard output. *ret_size: 0 when none was there. */
CopyOutcome copy_to_output(int fd, uint8_t buffer[static DATAGRAM_MAX], size_t *ret_size);
/* What one read of standard input gives, at most @size_max bytes, to the channel @fd as one
 * datagram. */
CopyOutcome copy_from_input(int fd, size_t size_max);
/* Standard input to the channel and back, until either is at its end, or a signal comes.
 * @wait_msec: after the end of input goes on until the peer was quiet that long. @is_shared:
 * somebody else's connection, that may go before we know why. An exit status. */
int copy_both(dtlsd_connection *connection, int wait_msec, bool is_shared);
/* The signals that end dtlsctl, blocked from here on. */
void signals_take(sigset_t *ret);

/* ---- commands ---- */

/* Each returns an exit status. @arguments: those after the command, NULL-terminated. */
int command_connect(sd_bus *bus, Settings *settings, char **arguments);
int command_listen(sd_bus *bus, Settings *settings, char **arguments);
int command_import(sd_bus *bus, Settings *settings, char **arguments);
int command_generate(sd_bus *bus, Settings *settings, char **arguments);
int command_install(sd_bus *bus, Settings *settings, char **arguments);
int command_remove(sd_bus *bus, Settings *settings, char **arguments);
int command_identities(sd_bus *bus, Settings *settings, char **arguments);
int command_set_psk(sd_bus *bus, Settings *settings, char **arguments);
int command_remove_psk(sd_bus *bus, Settings *settings, char **arguments);
int command_psks(sd_bus *bus, Settings *settings, char **arguments);
int command_list(sd_bus *bus, Settings *settings, char **arguments);
int command_policy(sd_bus *bus, Settings *settings, char **arguments);
/* dtlsctl-trust.c: a SHA-256 in hexadecimal, colons allowed. False: it is none. */
#define FINGERPRINT_SIZE 32
bool fingerprint_read(const char *text, uint8_t ret[static FINGERPRINT_SIZE]);
/* The exit status of a call about @what. */
int finish_call(const char *what, int r, sd_bus_error *error);

int command_trust(sd_bus *bus, Settings *settings, char **arguments);
int command_revocations(sd_bus *bus, Settings *settings, char **arguments);
int command_pin(sd_bus *bus, Settings *settings, char **arguments);
int command_unpin(sd_bus *bus, Settings *settings, char **arguments);
int command_pins(sd_bus *bus, Settings *settings, char **arguments);
int command_share(sd_bus *bus, Settings *settings, char **arguments);
int command_unshare(sd_bus *bus, Settings *settings, char **arguments);
int command_attach(sd_bus *bus, Settings *settings, char **arguments);
int command_show(sd_bus *bus, Settings *settings, char **arguments);
