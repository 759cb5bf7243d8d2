/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trust: the Manager's methods about the store's trust sets. */

#include "bus/private.h"
#include "identity/facts.h"

/* ---- changing ---- */

static int add_read(Bus *bus, sd_bus_message *m, const char **ret_name, GPtrArray **ret_blobs,
                    sd_bus_error *error) {
        static const DictKey certificates = {.name = "certificates", .maximum = TRUST_ANCHORS_MAX};
        int r;

        r = store_read_name(bus, m, ret_name, error);
        return r < 0 ? r : certificates_read(m, &certificates, ret_blobs, error);
}

/* @ret_n_bytes: what they will take, also those that are there already. */
static int add_measure(GPtrArray *blobs, uint64_t *ret_n_bytes, sd_bus_error *error) {
        g_autoptr(Trust) trust = NULL;
        int r;

        r = trust_new(blobs, &trust);
        if (r < 0)
                return bus_refuse(error, r, NULL);
        if (r > 0)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS, "certificates: %s",
                                       trust_outcome_text((TrustOutcome)r));

        *ret_n_bytes = trust_memory(trust);
        return 1;
}

int method_add_trust_anchors(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_autoptr(GPtrArray) blobs = NULL;
        Bus *bus = message_bus(m);
        uint64_t n_bytes = 0;
        StoreCall *call;
        const char *name;
        int r;

        r = add_read(bus, m, &name, &blobs, error);
        if (r >= 0)
                r = store_ask(bus, m, ACCESS_MANAGE_STORE, "trust", name, error);
        if (r > 0)
                r = store_check_room(bus, name, certificates_size(blobs), error);
        if (r > 0)
                r = add_measure(blobs, &n_bytes, error);
        if (r > 0)
                r = store_call_new_of(bus, m, name, n_bytes, &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->ticket =
                keys_add_trust_anchors(bus->keys, call->uid, name, blobs, on_store_done, call);
        return 1;
}

static int remove_read(Bus *bus, sd_bus_message *m, const char **ret_name, const void **ret_digest,
                       size_t *ret_size, sd_bus_error *error) {
        int r;

        r = store_read_name(bus, m, ret_name, error);
        if (r < 0)
                return r;

        r = sd_bus_message_read_array(m, 'y', ret_digest, ret_size);
        if (r < 0)
                return bus_refuse(error, r, NULL);
        if (*ret_size != 0 && *ret_size != FINGERPRINT_SIZE)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "The fingerprint has %zu bytes; it has to have %d, those of "
                                       "a certificate's SHA-256, or none, for the whole set",
                                       *ret_size, FINGERPRINT_SIZE);

        return 1;
}

int method_remove_trust_anchor(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        const void *fingerprint;
        StoreCall *call;
        const char *name;
        size_t size;
        int r;

        r = remove_read(bus, m, &name, &fingerprint, &size, error);
        if (r >= 0)
                r = store_begin(bus, m, "trust", name, &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->ticket = keys_remove_trust_anchor(bus->keys, call->uid, name, fingerprint, size,
                                                on_store_done, call);
        return 1;
}

/* ---- listing ---- */

int method_list_trusts(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        g_autoptr(GPtrArray) list = keys_trusts(bus->keys);
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        for (guint i = 0; i < list->len; i++) {
                const KeysTrust *trust = list->pdata[i];

                if (store_may_see(bus, caller_of(bus, m), "trust", trust->name))
                        g_ptr_array_add(names, trust->name);
        }
        g_ptr_array_add(names, NULL);

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, (char **)names->pdata);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int append_anchor(sd_bus_message *reply, GBytes *der) {
        g_autofree char *fingerprint = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, der);
        g_auto(Facts) facts = facts_look(der);

        return sd_bus_message_append(reply, "(sst)", fingerprint, facts.subject,
                                     facts.not_after_usec);
}

static int append_anchors(sd_bus_message *reply, const KeysTrust *trust) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(sst)");
        for (guint i = 0; r >= 0 && i < trust->anchors->len; i++)
                r = append_anchor(reply, trust->anchors->pdata[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int method_list_trust_anchors(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        g_autoptr(sd_bus_message) reply = NULL;
        const KeysTrust *trust;
        const char *name;
        int r;

        r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        trust = keys_trust(bus->keys, name);
        if (!trust || !store_may_see(bus, caller_of(bus, m), "trust", name))
                return store_refuse_unknown("trust set", name, error);

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_anchors(reply, trust);
        return r < 0 ? r : sd_bus_message_send(reply);
}
