/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods about trust sets. Each answers with the set as it is now; an empty one is gone. */

#include "base/fault.h"
#include "base/terms.h"
#include "identity/trust.h"
#include "keyring/server-private.h"

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

static int trust_add_anchors(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(GPtrArray) blobs = NULL;
        const TrustSet *set = NULL;
        const char *name, *text = NULL;
        Server *server = userdata;
        uint32_t uid;
        int r;

        r = server_read_name(server, m, &uid, &name, ret_error);
        if (r >= 0)
                r = server_read_blobs(m, TRUST_ANCHORS_MAX, &blobs);
        if (r < 0)
                return r;

        r = trusts_add(server->trusts, name, blobs, &set, &text);
        if (r)
                return store_refuse(server, uid, r, text, ret_error);

        server_log_entry(server, uid, "added anchors to", "trust", name);
        return trust_answer(m, set);
}

int method_add_trust_anchors(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return server_change(userdata, m, trust_add_anchors, ret_error);
}

static int trust_remove_anchor(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
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
                return store_refuse(server, uid, r, text, ret_error);

        server_log_entry(server, uid, set ? "removed an anchor from" : "removed", "trust", name);
        return trust_answer(m, set);
}

int method_remove_trust_anchor(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return server_change(userdata, m, trust_remove_anchor, ret_error);
}

static int append_set(sd_bus_message *m, const void *entry) {
        const TrustSet *set = entry;
        int r;

        r = sd_bus_message_append(m, "s", set->name);
        return r < 0 ? r : server_append_blobs(m, set->anchors);
}

int method_list_trusts(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const Server *server = userdata;
        g_autoptr(GPtrArray) list = trusts_list(server->trusts);

        return server_reply_list(m, list, "saay", append_set);
}
