/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods about denied certificates and revocation lists. */

#include "base/fault.h"
#include "base/terms.h"
#include "keyring/server-private.h"

static int revoked_refuse(Server *server, uid_t uid, int r, const char *text,
                          sd_bus_error *ret_error) {
        const ServerSubject subject = {.uid = uid};

        if (r < 0)
                return server_fail(server, subject, r, ret_error);

        switch ((RevokedOutcome)r) {
        case REVOKED_E_BAD:
                return server_refuse(server, subject, SERVER_ERROR_BAD_SECRET, text, ret_error);
        case REVOKED_E_UNKNOWN:
                return server_refuse(server, subject, SERVER_ERROR_UNKNOWN_KEY,
                                     "there are no revocations of this name", ret_error);
        case REVOKED_E_FULL:
                return server_refuse(server, subject, SERVER_ERROR_QUOTA_EXCEEDED, text, ret_error);
        case REVOKED_E_NO_STORE:
                return server_refuse_no_store(server, uid, ret_error);
        }

        g_assert_not_reached();
}

int method_store_revocations(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(GBytes) text = NULL;
        const char *name, *why = NULL;
        Server *server = userdata;
        const void *data;
        uint32_t uid;
        size_t size;
        int r;

        r = server_read_name(server, m, &uid, &name, ret_error);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return r;

        text = g_bytes_new(data, size);
        r = revoked_put(server->revoked, name, text, &why);
        if (r)
                return revoked_refuse(server, uid, r, why, ret_error);

        server_log_entry(server, uid, "stored", "revocations", name);
        return sd_bus_reply_method_return(m, "");
}

int method_remove_revocations(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Server *server = userdata;
        const char *name;
        uint32_t uid;
        int r;

        r = server_read_name(server, m, &uid, &name, ret_error);
        if (r < 0)
                return r;

        r = revoked_remove(server->revoked, name);
        if (r)
                return revoked_refuse(server, uid, r, NULL, ret_error);

        server_log_entry(server, uid, "removed", "revocations", name);
        return sd_bus_reply_method_return(m, "");
}

static int append_entry(sd_bus_message *m, const RevokedEntry *entry) {
        gsize size = 0;
        const void *data = entry->text ? g_bytes_get_data(entry->text, &size) : NULL;
        int r;

        r = sd_bus_message_open_container(m, 'r', "say");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", entry->name);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', data, size);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int method_list_revocations(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Server *server = userdata;
        g_autoptr(GPtrArray) list = revoked_list(server->revoked);
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(say)");
        for (guint i = 0; r >= 0 && i < list->len; i++)
                r = append_entry(reply, list->pdata[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? fault(r) : sd_bus_message_send(reply);
}
