/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* revoked: the Manager's methods about certificates that the store takes back. */

#include "bus/private.h"
#include "identity/revocation-text.h"

#include <string.h>

#define DENIED_MAX (REVOCATION_TEXT_MAX / 64) /* more do not fit, in hexadecimal */

typedef struct RevokedOptions {
        GPtrArray *lists;  /* of GBytes; NULL: not given */
        GPtrArray *denied; /* of text, the message's; NULL: not given */
} RevokedOptions;

static void revoked_options_done(RevokedOptions *options) {
        g_clear_pointer(&options->lists, g_ptr_array_unref);
        g_clear_pointer(&options->denied, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RevokedOptions, revoked_options_done)

/* ---- changing ---- */

static int read_lists(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        RevokedOptions *options = userdata;

        return certificates_read(m, key, &options->lists, error);
}

static int read_denied(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        RevokedOptions *options = userdata;

        options->denied = g_ptr_array_new();
        return texts_read(m, key, options->denied, error);
}

/* Before it is looked at: at least, but for words beside PEM. */
static uint64_t revoked_size(const RevokedOptions *options) {
        uint64_t size = options->lists ? certificates_size(options->lists) : 0;

        for (guint i = 0; options->denied && i < options->denied->len; i++)
                size += strlen(options->denied->pdata[i]) + strlen("\n");

        return size;
}

/* The text of what is given, and what it means. */
static int revoked_make(const RevokedOptions *options, GBytes **ret_text, Revocations **ret,
                        sd_bus_error *error) {
        g_autoptr(GPtrArray) none = g_ptr_array_new();
        GPtrArray *lists = options->lists ? options->lists : none;
        GPtrArray *denied = options->denied ? options->denied : none;
        int r;

        r = revocation_text_new(lists, denied, ret_text);
        if (r == 0)
                r = revocation_text_read(*ret_text, ret);
        if (r < 0)
                return bus_refuse(error, r, NULL);
        if (r > 0)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS, "%s: %s",
                                       r == REVOCATIONS_E_NO_HASH    ? "Denied"
                                       : r == REVOCATIONS_E_TOO_MUCH ? "Lists and Denied"
                                                                     : "Lists",
                                       revocations_outcome_text((RevocationsOutcome)r));

        return 1;
}

static int revoked_read(Bus *bus, sd_bus_message *m, const char **ret_name, RevokedOptions *options,
                        sd_bus_error *error) {
        static const DictKey keys[] = {
                {"Lists", "aay", 1, read_lists, 0, 0, REVOCATIONS_LISTS_MAX},
                {"Denied", "as", 1, read_denied, 0, 0, DENIED_MAX},
        };
        static const Dict dict = {keys, G_N_ELEMENTS(keys), 1, "SetRevocations"};
        int r;

        r = store_read_name(bus, m, ret_name, error);
        if (r >= 0)
                r = dict_read(m, &dict, options, error);
        if (r < 0)
                return r;

        if ((!options->lists || options->lists->len == 0) &&
            (!options->denied || options->denied->len == 0))
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "One of the options 'Lists' and 'Denied' is needed, with "
                                       "something in it; RemoveRevocations takes an entry away");

        return 1;
}

int method_set_revocations(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_auto(RevokedOptions) options = {0};
        g_autoptr(Revocations) revocations = NULL;
        g_autoptr(GBytes) text = NULL;
        Bus *bus = message_bus(m);
        StoreCall *call;
        const char *name;
        int r;

        r = revoked_read(bus, m, &name, &options, error);
        if (r >= 0)
                r = store_ask(bus, m, ACCESS_MANAGE_STORE, "revocations", name, error);
        if (r > 0)
                r = store_check_room(bus, name, revoked_size(&options), error);
        if (r > 0)
                r = revoked_make(&options, &text, &revocations, error);
        if (r > 0)
                r = store_call_new_of(bus, m, name, g_bytes_get_size(text), &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->ticket = keys_store_revocations(bus->keys, call->uid, name, text, revocations,
                                              on_store_done, call);
        return 1;
}

int method_remove_revocations(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return store_remove(m, "revocations", keys_remove_revocations, error);
}

/* ---- listing ---- */

/* What counts for it; root sees all. */
static bool revoked_may_see(const Caller *caller, const char *name) {
        return caller->uid == 0 || store_name_is_for(name, caller->uid);
}

static int append_revoked(sd_bus_message *reply, const KeysRevoked *revoked) {
        return sd_bus_message_append(reply, "(suub)", revoked->name,
                                     (uint32_t)revocations_count_lists(revoked->revocations),
                                     (uint32_t)revocations_count_denied(revoked->revocations),
                                     (int)revoked->damaged);
}

int method_list_revocations(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        const Caller *caller = caller_of(bus, m);
        g_autoptr(GPtrArray) list = keys_revoked_list(bus->keys);
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(suub)");
        for (guint i = 0; r >= 0 && i < list->len; i++) {
                const KeysRevoked *revoked = list->pdata[i];

                if (revoked_may_see(caller, revoked->name))
                        r = append_revoked(reply, revoked);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int append_lists(sd_bus_message *reply, const Revocations *revocations) {
        g_autoptr(GPtrArray) lists = revocations_facts(revocations);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(sttu)");
        for (guint i = 0; r >= 0 && i < lists->len; i++) {
                const RevocationFacts *facts = lists->pdata[i];

                r = sd_bus_message_append(reply, "(sttu)", facts->issuer, facts->begin_usec,
                                          facts->end_usec, (uint32_t)facts->n_certificates);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_hash(sd_bus_message *reply, GBytes *hash) {
        g_autofree char *text = revocations_hash_text(hash);

        return sd_bus_message_append(reply, "s", text);
}

static int append_denied(sd_bus_message *reply, const Revocations *revocations) {
        g_autoptr(GPtrArray) denied = revocations_denied(revocations);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (guint i = 0; r >= 0 && i < denied->len; i++)
                r = append_hash(reply, denied->pdata[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int method_get_revocations(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        g_autoptr(sd_bus_message) reply = NULL;
        const KeysRevoked *revoked;
        const char *name;
        int r;

        r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        revoked = keys_revoked(bus->keys, name);
        if (!revoked || !revoked_may_see(caller_of(bus, m), name))
                return store_refuse_unknown("entry of revocations", name, error);

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_lists(reply, revoked->revocations);
        if (r >= 0)
                r = append_denied(reply, revoked->revocations);
        return r < 0 ? r : sd_bus_message_send(reply);
}
