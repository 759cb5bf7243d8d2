/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <unistd.h>

/* g_autofd int x_fd = -1: closed at the end of its scope (GLib 2.74 has none of its own). */
static inline void autofd_close(int *fd) {
        if (*fd >= 0)
                (void)close(*fd); /* nothing can be done about a failed close */
}

static inline int autofd_steal(int *fd) {
        int stolen = *fd;

        *fd = -1;
        return stolen;
}

#define g_autofd __attribute__((cleanup(autofd_close)))
