/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Journal: lines about connections and listeners, with their numbers, peer and owner as fields.
 * What a stranger can cause is rationed, and the next line says how many were left out.
 *
 * Knows: what an object is called. Does not know: plaintext, secrets.
 */

#include "base/log.h"
#include "relay/private.h"

#define BRAKE_WINDOW_USEC (10 * UINT64_C(1000000))
#define BRAKE_LINES_MAX 20 /* in a window, for one listener */
#define JOURNAL_FIELD_MAX 128

/* Whether one more line may be written; *ret_suppressed: how many were not, since the last. */
static bool brake_lets(Brake *brake, uint64_t now_usec, uint64_t *ret_suppressed) {
        *ret_suppressed = 0;

        if (now_usec - brake->since_usec >= BRAKE_WINDOW_USEC) {
                brake->since_usec = now_usec;
                brake->n_lines = 0;
        }
        if (brake->n_lines >= BRAKE_LINES_MAX) {
                brake->n_suppressed++;
                return false;
        }

        brake->n_lines++;
        *ret_suppressed = brake->n_suppressed;
        brake->n_suppressed = 0;
        return true;
}

static void journal_write(Relay *relay, Brake *brake, int level, const char *message_id,
                          const char *const *fields, const char *text) {
        uint64_t n_suppressed;

        if (!brake_lets(brake, relay_now(relay), &n_suppressed))
                return;

        if (n_suppressed > 0)
                log_write(level, message_id, fields, "%s (%" G_GUINT64_FORMAT " lines left out)",
                          text, n_suppressed);
        else
                log_write(level, message_id, fields, "%s", text);
}

void log_connection(Connection *connection, int level, const char *message_id, const char *format,
                    ...) {
        char id[JOURNAL_FIELD_MAX], peer[JOURNAL_FIELD_MAX], uid[JOURNAL_FIELD_MAX];
        char listener[JOURNAL_FIELD_MAX];
        const char *fields[] = {id, peer, uid, connection->listener ? listener : NULL, NULL};
        char address[ADDRESS_STRING_MAX];
        g_autofree char *text = NULL;
        va_list ap;

        if (level > log_level())
                return;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);

        address_format_port(&connection->spec->peer, address);
        (void)g_snprintf(id, sizeof(id), "DTLSD_CONNECTION=%" G_GUINT32_FORMAT, connection->id);
        (void)g_snprintf(peer, sizeof(peer), "DTLSD_PEER=%s", address);
        (void)g_snprintf(uid, sizeof(uid), "DTLSD_OWNER_UID=%u", connection->spec->uid);
        if (connection->listener)
                (void)g_snprintf(listener, sizeof(listener), "DTLSD_LISTENER=%" G_GUINT32_FORMAT,
                                 connection->listener->id);

        journal_write(connection->relay,
                      connection->listener ? &connection->listener->brake
                                           : &connection->relay->brake,
                      level, message_id, fields, text);
}

void log_listener(Listener *listener, int level, const char *message_id, const char *format, ...) {
        char id[JOURNAL_FIELD_MAX], uid[JOURNAL_FIELD_MAX];
        const char *fields[] = {id, uid, NULL};
        g_autofree char *text = NULL;
        va_list ap;

        if (level > log_level())
                return;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);

        (void)g_snprintf(id, sizeof(id), "DTLSD_LISTENER=%" G_GUINT32_FORMAT, listener->id);
        (void)g_snprintf(uid, sizeof(uid), "DTLSD_OWNER_UID=%u", listener->spec->uid);
        journal_write(listener->relay, &listener->brake, level, message_id, fields, text);
}
