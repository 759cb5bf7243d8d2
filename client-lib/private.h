/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the library's files see of each other. */

#include "dtlsd-client.h"

#define DTLSD_NAME "io.github.dtlsd.Dtlsd1"
#define DTLSD_ROOT "/io/github/dtlsd/Dtlsd1"
#define DTLSD_MANAGER DTLSD_NAME ".Manager"
#define DTLSD_CONNECTION DTLSD_NAME ".Connection"
#define DTLSD_LISTENER DTLSD_NAME ".Listener"

/* a call that waits for nobody but the service, its keyring and polkit; one that waits for a peer
 * has that time on top */
#define DTLSD_CALL_USEC (60 * UINT64_C(1000000))

enum options_for {
        OPTIONS_FOR_CONNECT,
        OPTIONS_FOR_CREATE,
        OPTIONS_FOR_LISTEN,
};

/* Takes nothing over: @path is copied; an @fd that is not -1 becomes the connection's. */
int dtlsd_connection_new(sd_bus *bus, const char *path, int fd, uint32_t data_mtu,
                         dtlsd_connection **ret);
/* Facts of an accept queue's packet, for its connection. */
int dtlsd_connection_set_peer(dtlsd_connection *connection, const char *address, size_t size,
                              uint16_t port);
int dtlsd_connection_set_psk_identity(dtlsd_connection *connection, const void *identity,
                                      size_t size);

/* Asks for the port. On failure the service's listener is closed. */
int dtlsd_listener_new(sd_bus *bus, const char *path, dtlsd_listener **ret, sd_bus_error *error);

/* Appends the a{sv}. The memfds of secrets are duplicated into the message and closed here. @peer,
 * @port: for OPTIONS_FOR_CREATE, where they are options. @error names a file that cannot be used.
 */
int dtlsd_options_append(sd_bus_message *m, const struct dtlsd_options *options,
                         enum options_for what, const char *peer, uint16_t port,
                         sd_bus_error *error);
