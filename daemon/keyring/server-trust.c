/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods about trust sets. Each answers with the set as it is now; an empty one is gone. */

#include "base/fault.h"
#include "base/terms.h"
#include "keyring/server-private.h"

static int trust_refuse(Server *server, uid_t uid, int r, const char *text,
                        sd_bus_error *ret_error) {
        const ServerSubject subject = {.uid = uid};

        if (r < 0)
                return server_fail(server, subject, r, ret_error);

        switch ((TrustsOutcome)r) {
        case TRUSTS_E_BAD:
                return server_refuse(server, subject, SERVER_ERROR_BAD_SECRET, text, ret_error);
        case TRUSTS_E_UNKNOWN:
                return server_refuse(server, subject, SERVER_ERROR_UNKNOWN_KEY, text, ret_error);
        case TRUSTS_E_FULL:
                return server_refuse(server, subject, SERVER_ERROR_QUOTA_EXCEEDED, text, ret_error);
        case TRUSTS_E_NO_STORE:
                return server_refuse_no_store(server, uid, ret_error);
        }

        g_assert_not_reached();
}

static int trust_answer(sd_bus_message *m, const TrustSet *set) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0 && set)
                r = server_append_blobs(reply, set->anchors);
        else if (r >= 0)
                r = sd_bus_message_append(reply, "aay", 0);
        return r < 0 ? fault(r) : sd_bus_message_send(reply);
}

int method_add_trust_anchors(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(GPtrArray) blobs = NULL;
        const TrustSet *set = NULL;
        const char *name, *text = NULL;
        Server *server = userdata;
        uint32_t uid;
        int r;

        r = server_read_name(server, m, &uid, &name, ret_error);
        if (r >= 0)
                r = server_read_blobs(m, &blobs);
        if (r < 0)
                return r;

        r = trusts_add(server->trusts, name, blobs, &set, &text);
        if (r)
                return trust_refuse(server, uid, r, text, ret_error);

        server_log_entry(server, uid, "added anchors to", "trust", name);
        return trust_answer(m, set);
}

int method_remove_trust_anchor(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const TrustSet *set = NULL;
        const char *name, *text = NULL;
        Server *server = userdata;
        const void *fingerprint;
        uint32_t uid;
        size_t size;
        int r;

        r = server_read_name(server, m, &uid, &name, ret_error);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &fingerprint, &size);
        if (r < 0)
                return r;

        r = trusts_remove(server->trusts, name, fingerprint, size, &set, &text);
        if (r)
                return trust_refuse(server, uid, r, text, ret_error);

        server_log_entry(server, uid, set ? "removed an anchor from" : "removed", "trust", name);
        return trust_answer(m, set);
}

static int append_set(sd_bus_message *m, const TrustSet *set) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "saay");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", set->name);
        if (r >= 0)
                r = server_append_blobs(m, set->anchors);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int method_list_trusts(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Server *server = userdata;
        g_autoptr(GPtrArray) list = trusts_list(server->trusts);
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(saay)");
        for (guint i = 0; r >= 0 && i < list->len; i++)
                r = append_set(reply, list->pdata[i]);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? fault(r) : sd_bus_message_send(reply);
}
