/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Crowd: more peers than a process may have file descriptors. All are on one socket, and each has
 * an address of its own in 127/8.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A new peer of the server at @port, the same for all; its number, from 0. */
uint32_t crowd_join(uint16_t port);
/* Readable when there is something for one of them. */
int crowd_fd(void);
void crowd_send(uint32_t peer, const void *data, size_t size);
/* The next datagram, and whose it is; -1 with EAGAIN when none is there. */
ssize_t crowd_receive(uint32_t *ret_peer, void *buffer, size_t size);
