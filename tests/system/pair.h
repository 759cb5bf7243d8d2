/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pair: a listener and a client of the same dtlsd, over loopback UDP with a pre-shared key: the
 * shortest way to an open connection with both ends in the test's hands.
 */

#include "service.h"

#define PSK_IDENTITY "somebody"
#define PSK_KEY "sixteen bytes ok"

/* A listener on 127.0.0.1 that knows PSK_KEY; its path. *ret_port: what the kernel picked. */
char *listen_psk(sd_bus *bus, uint16_t *ret_port);
/* The same with an accept queue open: *ret_queue_fd. */
char *listen_queue(sd_bus *bus, uint16_t *ret_port, int *ret_queue_fd);
/* A client object with PSK_KEY, peer set, not started. */
char *create_client(sd_bus *bus, uint16_t port, bool persistent);
/* The same, shaken hands: HandshakeComplete. */
char *open_client(sd_bus *bus, uint16_t port, bool persistent);
/* Manager.Connect: path, *ret_fd the channel (close it). */
char *connect_client(sd_bus *bus, uint16_t port, int *ret_fd);
/* The same with one more option, of type u. */
char *connect_client_with(sd_bus *bus, uint16_t port, const char *option, uint32_t value,
                          int *ret_fd);
/* The same, which may be refused with QuotaExceeded: negative then. */
int try_connect(sd_bus *bus, uint16_t port, int *ret_fd);
/* Takes one connection off the accept queue within the limit; its channel fd. */
int accept_channel(int queue_fd);

void write_datagram(sd_bus *bus, const char *path, const void *data, size_t size);
/* ReadDatagram with a limit; the datagram must equal @expected. */
void read_datagram(sd_bus *bus, const char *path, const char *expected);
int open_channel(sd_bus *bus, const char *path);
/* Waits, with the limit, until fd is readable or hung up; the poll events. */
short wait_fd(int fd);
