/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods about denied certificates and revocation lists. */

#include "base/fault.h"
#include "base/terms.h"
#include "keyring/server-private.h"

static int revoked_store(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
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
                return store_refuse(server, uid, r, why, ret_error);

        server_log_entry(server, uid, "stored", "revocations", name);
        return sd_bus_reply_method_return(m, "");
}

int method_store_revocations(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return server_change(userdata, m, revoked_store, ret_error);
}

static int revoked_drop(Server *server, const char *name) {
        return revoked_remove(server->revoked, name);
}

static int revocations_remove(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return store_remove_entry(userdata, m, revoked_drop, "revocations",
                                  "there are no revocations of this name", ret_error);
}

int method_remove_revocations(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return server_change(userdata, m, revocations_remove, ret_error);
}

static int append_entry(sd_bus_message *m, const void *kept) {
        const RevokedEntry *entry = kept;
        gsize size = 0;
        const void *data = entry->text ? g_bytes_get_data(entry->text, &size) : NULL;
        int r;

        r = sd_bus_message_append(m, "s", entry->name);
        return r < 0 ? r : sd_bus_message_append_array(m, 'y', data, size);
}

int method_list_revocations(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const Server *server = userdata;
        g_autoptr(GPtrArray) list = revoked_list(server->revoked);

        return server_reply_list(m, list, "say", append_entry);
}
