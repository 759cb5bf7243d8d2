/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* dtlsctl: the service at the shell. One file a command; this is what they share. */

#include "dtlsd-client.h"

#include <glib.h>
#include <stdbool.h>

/* What the command line says of a connection or a listener. */
typedef struct Settings {
        char **ca_files, **certificate_files;
        char *key_file, *name, *psk_identity, *psk_file, *psk_hint, *profile;
        bool insecure, echo, cookies_off;
        int wait_seconds;
        struct dtlsd_options options; /* made of the above; borrows from them */
        uint8_t psk[64];
} Settings;

/* Fills options from the rest; on failure has said why. */
bool settings_complete(Settings *settings);
void settings_done(Settings *settings);

/* Prints "dtlsctl: WHAT: reason" and returns 1, an exit status. */
int complain(const char *what, int r, const sd_bus_error *error);

/* Each returns an exit status. @arguments: those after the command, NULL-terminated. */
int command_connect(sd_bus *bus, Settings *settings, char **arguments);
int command_listen(sd_bus *bus, Settings *settings, char **arguments);
int command_list(sd_bus *bus, Settings *settings, char **arguments);
int command_show(sd_bus *bus, Settings *settings, char **arguments);

/* Copies: standard input to fd, fd to standard output, one datagram at a time, until either ends.
 * connect and listen have their own ways of choosing fd. Returns false at the end. */
#define DATAGRAM_MAX 65536
bool copy_to_output(int fd, ssize_t *ret_size, uint8_t buffer[static DATAGRAM_MAX]);
