/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods about what is kept. Whose an entry is follows from its name, and is held against the
 * uid of the call here too: dtlsd's word alone does not let one user write another's.
 */

#include "base/entry.h"
#include "base/fault.h"
#include "base/memfd.h"
#include "base/terms.h"
#include "keyring/server-private.h"

#include <errno.h>

int server_refuse_no_store(Server *server, uid_t uid, sd_bus_error *ret_error) {
        return server_refuse(server, (ServerSubject){.uid = uid}, SERVER_ERROR_FAILED,
                             "the keyring has no store: it was started without --store", ret_error);
}

int store_refuse(Server *server, uid_t uid, int r, const char *text, sd_bus_error *ret_error) {
        const ServerSubject subject = {.uid = uid};

        if (r < 0)
                return server_fail(server, subject, r, ret_error);

        switch ((EntriesOutcome)r) {
        case ENTRIES_E_BAD:
                return server_refuse(server, subject, SERVER_ERROR_BAD_SECRET, text, ret_error);
        case ENTRIES_E_UNKNOWN:
                return server_refuse(server, subject, SERVER_ERROR_UNKNOWN_KEY, text, ret_error);
        case ENTRIES_E_FULL:
                return server_refuse(server, subject, SERVER_ERROR_QUOTA_EXCEEDED, text, ret_error);
        case ENTRIES_E_NO_STORE:
                return server_refuse_no_store(server, uid, ret_error);
        }

        g_assert_not_reached();
}

int server_check_name(Server *server, uid_t uid, const char *name, sd_bus_error *ret_error) {
        const ServerSubject subject = {.uid = uid};
        g_autofree char *own = g_strdup_printf("u/%u/", uid);

        if (!entry_name_is_valid(name))
                return server_refuse(server, subject, SERVER_ERROR_BAD_SECRET, ENTRY_NAME_RULE,
                                     ret_error);
        if (g_str_has_prefix(name, "u/") && !g_str_has_prefix(name, own) && uid != 0)
                return server_refuse(server, subject, SERVER_ERROR_NOT_AUTHORIZED,
                                     "the name is another user's", ret_error);

        return 0;
}

int server_read_name(Server *server, sd_bus_message *m, uint32_t *ret_uid, const char **ret_name,
                     sd_bus_error *ret_error) {
        int r;

        r = sd_bus_message_read(m, "us", ret_uid, ret_name);
        return r < 0 ? r : server_check_name(server, *ret_uid, *ret_name, ret_error);
}

int server_read_blobs(sd_bus_message *m, size_t n_max, GPtrArray **ret) {
        g_autoptr(GPtrArray) blobs = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "ay");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_read_array(m, 'y', &data, &size)) > 0) {
                if (blobs->len >= n_max)
                        return -E2BIG;
                g_ptr_array_add(blobs, g_bytes_new(data, size));
        }
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&blobs);
        return sd_bus_message_exit_container(m);
}

int server_read_secret(Server *server, uid_t uid, int fd, Secret **ret, sd_bus_error *ret_error) {
        const ServerSubject subject = {.uid = uid};
        int r;

        r = memfd_read(fd, ret);
        if (r > 0)
                return server_refuse(server, subject, SERVER_ERROR_BAD_SECRET,
                                     memfd_outcome_text((MemfdOutcome)r), ret_error);

        return r < 0 ? server_fail(server, subject, r, ret_error) : 0;
}

static int append_bytes(sd_bus_message *m, GBytes *bytes) {
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);

        return sd_bus_message_append_array(m, 'y', data, size);
}

int server_append_blobs(sd_bus_message *m, GPtrArray *blobs) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "ay");
        for (guint i = 0; r >= 0 && i < blobs->len; i++)
                r = append_bytes(m, blobs->pdata[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int server_reply_list(sd_bus_message *m, const GPtrArray *list, const char *types,
                      int (*append)(sd_bus_message *m, const void *entry)) {
        g_autofree char *contents = g_strdup_printf("(%s)", types);
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', contents);
        for (guint i = 0; r >= 0 && i < list->len; i++) {
                r = sd_bus_message_open_container(reply, 'r', types);
                if (r >= 0)
                        r = append(reply, list->pdata[i]);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? fault(r) : sd_bus_message_send(reply);
}

static int append_chain(sd_bus_message *m, const Chain *chain) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "ay");
        for (size_t i = 0; r >= 0 && chain && i < chain_count(chain); i++)
                r = append_bytes(m, chain_der(chain, i));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* As "tayaayb": what the other end has to know beside the name. */
static int append_pair(sd_bus_message *m, const Identity *identity) {
        int r;

        r = sd_bus_message_append(m, "t", identity->key ? vault_key_id(identity->key) : 0);
        if (r >= 0)
                r = identity->key
                            ? append_bytes(m, private_key_spki(vault_key_private(identity->key)))
                            : sd_bus_message_append_array(m, 'y', NULL, 0);
        if (r >= 0)
                r = append_chain(m, identity->chain);
        if (r >= 0)
                r = sd_bus_message_append(m, "b", identity->waiting != NULL);
        return r;
}

int store_reply_pair(sd_bus_message *m, const Identity *identity) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_pair(reply, identity);
        return r < 0 ? fault(r) : sd_bus_message_send(reply);
}

int store_remove_entry(Server *server, sd_bus_message *m, StoreRemove remove, const char *kind,
                       const char *unknown, sd_bus_error *ret_error) {
        const char *name;
        uint32_t uid;
        int r;

        r = server_read_name(server, m, &uid, &name, ret_error);
        if (r < 0)
                return r;

        r = remove(server, name);
        if (r)
                return store_refuse(server, uid, r, unknown, ret_error);

        server_log_entry(server, uid, "removed", kind, name);
        return sd_bus_reply_method_return(m, "");
}

static int identity_drop(Server *server, const char *name) {
        return identities_remove(server->identities, name);
}

static int identity_remove(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return store_remove_entry(userdata, m, identity_drop, "identity", UNKNOWN_IDENTITY,
                                  ret_error);
}

int method_remove_identity(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return server_change(userdata, m, identity_remove, ret_error);
}

static int append_identity(sd_bus_message *m, const void *entry) {
        const Identity *identity = entry;
        int r;

        r = sd_bus_message_append(m, "s", identity->name);
        return r < 0 ? r : append_pair(m, identity);
}

int method_list_identities(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const Server *server = userdata;
        g_autoptr(GPtrArray) list = identities_list(server->identities);

        return server_reply_list(m, list, "stayaayb", append_identity);
}
