/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the library's files see of each other. */

#include "dtlsd-client.h"

#define DTLSD_NAME "io.github.dtlsd.Dtlsd1"
#define DTLSD_ROOT "/io/github/dtlsd/Dtlsd1"
#define DTLSD_MANAGER DTLSD_NAME ".Manager"
#define DTLSD_CONNECTION DTLSD_NAME ".Connection"
#define DTLSD_LISTENER DTLSD_NAME ".Listener"

/* a handshake may take as long as its deadline; the service answers before this */
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
void dtlsd_connection_set_peer(dtlsd_connection *connection, const char *address, size_t size,
                               uint16_t port);
int dtlsd_connection_set_psk_identity(dtlsd_connection *connection, const void *identity,
                                      size_t size);

int dtlsd_listener_new(sd_bus *bus, const char *path, dtlsd_listener **ret);

/* Appends the a{sv}. The memfds of secrets are duplicated into the message and closed here. */
int dtlsd_options_append(sd_bus_message *m, const struct dtlsd_options *options,
                         enum options_for what);
