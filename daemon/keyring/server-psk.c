/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods about the pre-shared keys that are kept. */

#include "base/fault.h"
#include "base/terms.h"
#include "keyring/server-private.h"

static int psk_read_identity(sd_bus_message *m, GBytes **ret) {
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r >= 0)
                *ret = g_bytes_new(data, size);
        return r;
}

static int psk_store(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(GBytes) identity = NULL;
        g_autoptr(Secret) key = NULL;
        const StoredPsk *psk = NULL;
        const char *name, *text = NULL;
        Server *server = userdata;
        uint32_t uid;
        int fd, r;

        r = server_read_name(server, m, &uid, &name, ret_error);
        if (r >= 0)
                r = psk_read_identity(m, &identity);
        if (r >= 0)
                r = sd_bus_message_read(m, "h", &fd);
        if (r >= 0)
                r = server_read_secret(server, uid, fd, &key, ret_error);
        if (r < 0)
                return r;

        r = psks_put(server->psks, name, identity, key, &psk, &text);
        if (r)
                return store_refuse(server, uid, r, text, ret_error);

        server_log_entry(server, uid, "stored", "psk", name);
        return sd_bus_reply_method_return(m, "t", vault_key_id(psk->key));
}

int method_store_psk(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return server_change(userdata, m, psk_store, ret_error);
}

static int psk_drop(Server *server, const char *name) {
        return psks_remove(server->psks, name);
}

static int psk_remove(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return store_remove_entry(userdata, m, psk_drop, "psk",
                                  "there is no pre-shared key of this name", ret_error);
}

int method_remove_psk(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return server_change(userdata, m, psk_remove, ret_error);
}

static int append_psk(sd_bus_message *m, const void *entry) {
        const StoredPsk *psk = entry;
        gsize size;
        const void *identity = g_bytes_get_data(psk->identity, &size);
        int r;

        r = sd_bus_message_append(m, "st", psk->name, vault_key_id(psk->key));
        return r < 0 ? r : sd_bus_message_append_array(m, 'y', identity, size);
}

int method_list_psks(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const Server *server = userdata;
        g_autoptr(GPtrArray) list = psks_list(server->psks);

        return server_reply_list(m, list, "stay", append_psk);
}
