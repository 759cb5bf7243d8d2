/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Brake, see brake.h. */

#include "base/brake.h"
#include "base/log.h"

#define BRAKE_WINDOW_USEC (10 * UINT64_C(1000000))
#define BRAKE_LINES_MAX 20       /* in a window */
#define BRAKES_MAX 4096          /* users */
#define BRAKES_OTHERS UINT32_MAX /* nobody's uid: all for whom there is no room */

bool brake_leaves_out(Brake *brake, uint64_t now_usec, int level) {
        if (level > log_level())
                return true;

        if (now_usec - brake->since_usec >= BRAKE_WINDOW_USEC) {
                brake->since_usec = now_usec;
                brake->n_lines = 0;
        }
        if (brake->n_lines < BRAKE_LINES_MAX)
                return false;

        brake->n_suppressed++;
        return true;
}

void brake_write(Brake *brake, uint64_t now_usec, int level, const char *message_id,
                 const char *const *fields, const char *text) {
        uint64_t n_suppressed = brake->n_suppressed;

        if (brake_leaves_out(brake, now_usec, level))
                return;

        brake->n_lines++;
        brake->n_suppressed = 0;
        if (n_suppressed > 0)
                log_write(level, message_id, fields, "%s (%" G_GUINT64_FORMAT " lines left out)",
                          text, n_suppressed);
        else
                log_write(level, message_id, fields, "%s", text);
}

GHashTable *brakes_new(void) {
        return g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

Brake *brakes_of(GHashTable *brakes, uid_t uid) {
        Brake *brake = g_hash_table_lookup(brakes, GUINT_TO_POINTER(uid));

        if (!brake && g_hash_table_size(brakes) >= BRAKES_MAX) {
                uid = BRAKES_OTHERS;
                brake = g_hash_table_lookup(brakes, GUINT_TO_POINTER(uid));
        }
        if (!brake) {
                brake = g_new0(Brake, 1);
                g_hash_table_insert(brakes, GUINT_TO_POINTER(uid), brake);
        }

        return brake;
}
