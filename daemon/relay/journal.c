/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Journal: lines about connections and listeners, with their numbers, peer and owner as fields.
 * What a stranger or a user can cause is rationed, for each user whose object it is, and the next
 * line says how many were left out.
 *
 * Knows: what an object is called. Does not know: plaintext, secrets.
 */

#include "base/log.h"
#include "relay/private.h"

#define JOURNAL_FIELD_MAX 128

void log_connection(Connection *connection, int level, const char *message_id, const char *format,
                    ...) {
        char id[JOURNAL_FIELD_MAX], peer[JOURNAL_FIELD_MAX], uid[JOURNAL_FIELD_MAX];
        char listener[JOURNAL_FIELD_MAX];
        const char *fields[] = {id, peer, uid, connection->listener ? listener : NULL, NULL};
        uint64_t now_usec = relay_now(connection->relay);
        char address[ADDRESS_STRING_MAX];
        g_autoptr(GString) text = NULL;
        Brake *brake;
        va_list ap;

        /* each handshake has two lines, and most of them are left out */
        brake = brakes_of(connection->relay->brakes, connection->spec->uid);
        if (brake_leaves_out(brake, now_usec, level))
                return;

        text = g_string_new(NULL);
        address_format_port(&connection->spec->peer, address);
        g_string_printf(text, "Connection %" G_GUINT32_FORMAT " with %s ", connection->id, address);
        va_start(ap, format);
        g_string_append_vprintf(text, format, ap);
        va_end(ap);

        (void)g_snprintf(id, sizeof(id), "DTLSD_CONNECTION=%" G_GUINT32_FORMAT, connection->id);
        (void)g_snprintf(peer, sizeof(peer), "DTLSD_PEER=%s", address);
        (void)g_snprintf(uid, sizeof(uid), "DTLSD_OWNER_UID=%u", connection->spec->uid);
        if (connection->listener)
                (void)g_snprintf(listener, sizeof(listener), "DTLSD_LISTENER=%" G_GUINT32_FORMAT,
                                 connection->listener->id);

        brake_write(brake, now_usec, level, message_id, fields, text->str);
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
        brake_write(brakes_of(listener->relay->brakes, listener->spec->uid),
                    relay_now(listener->relay), level, message_id, fields, text);
}
