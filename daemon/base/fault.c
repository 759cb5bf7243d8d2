/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fault, see fault.h. Each hop is one debug line, so that the journal of a daemon at that level
 * holds the way a fault came up.
 */

#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <glib.h>

int fault_at(int r, const char *file, int line, const char *function) {
        if (r >= 0) {
                log_debug("%s:%d: %s: unhandled outcome %d", file, line, function, r);
                r = -ENOTRECOVERABLE;
        } else {
                log_debug("%s:%d: %s: %s", file, line, function, g_strerror(-r));
        }

        return r;
}
