/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * stray: fds that an application sent along with its datagrams. Nobody wants them, and closing one
 * may block its closer: a TCP socket with SO_LINGER and unsent data waits, and so does a file whose
 * file system is another program.
 *
 * Knows: fds. Does not know: channels.
 */

#include <stdbool.h>
#include <sys/socket.h>

#define STRAY_FDS_MAX 253 /* SCM_MAX_FD of the kernel: more never come in one packet */
#define STRAY_CONTROL_SIZE CMSG_SPACE(STRAY_FDS_MAX * sizeof(int))

/* Asks the kernel to refuse fds at their sender; it can from Linux 6.16 on. False: it cannot; they
 * are received and go to stray_close(). */
bool stray_refuse(int socket_fd);

/* Closes every fd that came with @message, without waiting. Returns how many. */
size_t stray_close(struct msghdr *message);
