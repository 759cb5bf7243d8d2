/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods about the pre-shared keys that are kept. */

#include "base/fault.h"
#include "base/terms.h"
#include "keyring/server-private.h"

static int psk_refuse(Server *server, uid_t uid, int r, const char *text, sd_bus_error *ret_error) {
        const ServerSubject subject = {.uid = uid};

        if (r < 0)
                return server_fail(server, subject, r, ret_error);

        switch ((PsksOutcome)r) {
        case PSKS_E_BAD_SECRET:
                return server_refuse(server, subject, SERVER_ERROR_BAD_SECRET, text, ret_error);
        case PSKS_E_UNKNOWN:
                return server_refuse(server, subject, SERVER_ERROR_UNKNOWN_KEY,
                                     "there is no pre-shared key of this name", ret_error);
        case PSKS_E_FULL:
                return server_refuse(server, subject, SERVER_ERROR_QUOTA_EXCEEDED, text, ret_error);
        case PSKS_E_NO_STORE:
                return server_refuse_no_store(server, uid, ret_error);
        }

        g_assert_not_reached();
}

static int psk_read_identity(sd_bus_message *m, GBytes **ret) {
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r >= 0)
                *ret = g_bytes_new(data, size);
        return r;
}

int method_store_psk(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
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
                return psk_refuse(server, uid, r, text, ret_error);

        server_log_entry(server, uid, "stored", "psk", name);
        return sd_bus_reply_method_return(m, "t", vault_key_id(psk->key));
}

int method_remove_psk(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Server *server = userdata;
        const char *name;
        uint32_t uid;
        int r;

        r = server_read_name(server, m, &uid, &name, ret_error);
        if (r < 0)
                return r;

        r = psks_remove(server->psks, name);
        if (r)
                return psk_refuse(server, uid, r, NULL, ret_error);

        server_log_entry(server, uid, "removed", "psk", name);
        return sd_bus_reply_method_return(m, "");
}

static int append_psk(sd_bus_message *m, const StoredPsk *psk) {
        gsize size;
        const void *identity = g_bytes_get_data(psk->identity, &size);
        int r;

        r = sd_bus_message_open_container(m, 'r', "stay");
        if (r >= 0)
                r = sd_bus_message_append(m, "st", psk->name, vault_key_id(psk->key));
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', identity, size);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int method_list_psks(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Server *server = userdata;
        g_autoptr(GPtrArray) list = psks_list(server->psks);
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(stay)");
        for (guint i = 0; r >= 0 && i < list->len; i++)
                r = append_psk(reply, list->pdata[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? fault(r) : sd_bus_message_send(reply);
}
