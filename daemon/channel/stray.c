/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stray, see stray.h.
 *
 * They must be received, all of them: what does not fit into the control buffer the kernel closes
 * itself, inside our recvmsg(), which may wait as well. Then SO_LINGER is taken off each, and a
 * few threads that do nothing else close them. Beyond STRAY_WAITING_MAX the loop closes them
 * itself: waiting is then the smaller harm than running out of fds.
 */

#include "channel/stray.h"

#include <glib.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define STRAY_THREADS_MAX 4
#define STRAY_WAITING_MAX 512

/* linux/socket.h of 6.16; the same number on every architecture Debian has. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

bool stray_refuse(int socket_fd) {
        int off = 0;

        return setsockopt(socket_fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) == 0;
}

static void on_stray(gpointer data, gpointer userdata) {
        (void)close(GPOINTER_TO_INT(data) - 1); /* nothing can be done about a failed close */
}

/* The one global of this room: threads belong to the process. They end when they are idle. */
static GThreadPool *stray_pool(void) {
        static GThreadPool *pool;

        if (!pool)
                pool = g_thread_pool_new(on_stray, NULL, STRAY_THREADS_MAX, FALSE, NULL);

        return pool;
}

static void stray_close_one(int fd) {
        struct linger off = {0};
        GThreadPool *pool = stray_pool();

        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off)); /* if it is a socket */

        if (g_thread_pool_unprocessed(pool) >= STRAY_WAITING_MAX) {
                (void)close(fd);
                return;
        }

        /* 0 is an fd but no task of a pool, so all are moved by one. Where no thread can be made
         * the task waits in the pool for the next try. */
        (void)g_thread_pool_push(pool, GINT_TO_POINTER(fd + 1), NULL);
}

size_t stray_close(struct msghdr *message) {
        size_t n = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                const uint8_t *fds = CMSG_DATA(c);
                size_t size = c->cmsg_len - CMSG_LEN(0);
                int fd;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;

                for (size_t at = 0; at + sizeof(fd) <= size; at += sizeof(fd)) {
                        memcpy(&fd, fds + at, sizeof(fd));
                        stray_close_one(fd);
                        n++;
                }
        }

        return n;
}
