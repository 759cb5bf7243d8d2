/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * psk: the Manager's methods about the store's pre-shared keys. The key goes from the caller's
 * memfd to the keyring, which reads it.
 */

#include "bus/private.h"

#include <stddef.h>

typedef struct PskOptions {
        GBytes *identity; /* NULL: not given */
        int key_fd;       /* -1: not given; the message's */
} PskOptions;

static int read_identity_bytes(sd_bus_message *m, const DictKey *key, void *userdata,
                               sd_bus_error *error) {
        PskOptions *options = userdata;

        return bytes_read(m, key, &options->identity, error);
}

static int psk_read(Bus *bus, sd_bus_message *m, const char **ret_name, PskOptions *options,
                    sd_bus_error *error) {
        static const DictKey keys[] = {
                {"Identity", "ay", 1, read_identity_bytes, 0, 1, SESSION_PSK_IDENTITY_MAX},
                {"Key", "h", 1, read_secret_fd, offsetof(PskOptions, key_fd), 0, 0},
        };
        static const Dict dict = {keys, G_N_ELEMENTS(keys), 1, "SetPsk"};
        int r;

        r = store_read_name(bus, m, ret_name, error);
        if (r >= 0)
                r = dict_read(m, &dict, options, error);
        if (r < 0)
                return r;

        if (!options->identity || options->key_fd < 0)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Options 'Identity', the bytes that name the key on the "
                                       "wire, and 'Key', a sealed memfd with it, are both needed");
        return 1;
}

static int psk_set(Bus *bus, sd_bus_message *m, PskOptions *options, sd_bus_error *error) {
        StoreCall *call;
        const char *name;
        int r;

        r = psk_read(bus, m, &name, options, error);
        if (r >= 0)
                r = store_begin(bus, m, "psk", name, &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->ticket = keys_store_psk(bus->keys, call->uid, name, options->identity,
                                      options->key_fd, on_store_done, call);
        return 1;
}

int method_set_psk(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        PskOptions options = {.key_fd = -1};
        int r;

        r = psk_set(message_bus(m), m, &options, error);
        g_clear_pointer(&options.identity, g_bytes_unref);
        return r;
}

int method_remove_psk(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return store_remove(m, "psk", keys_remove_psk, error);
}

/* ---- listing ---- */

typedef struct Listing {
        Bus *bus;
        const Caller *caller;
        sd_bus_message *reply;
        int r;
} Listing;

static int append_psk(sd_bus_message *reply, const KeysPsk *psk) {
        int r;

        r = sd_bus_message_open_container(reply, 'r', "say");
        if (r >= 0)
                r = append_text(reply, psk->name);
        if (r >= 0)
                r = append_bytes(reply, psk->identity);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static gboolean list_psk(void *name, void *value, void *userdata) {
        Listing *listing = userdata;

        if (store_may_see(listing->bus, listing->caller, "psk", name))
                listing->r = append_psk(listing->reply, value);
        return listing->r < 0;
}

int method_list_psks(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        Listing listing = {.bus = bus, .caller = caller_of(bus, m)};
        int r;

        r = sd_bus_message_new_method_return(m, &listing.reply);
        if (r >= 0)
                r = sd_bus_message_open_container(listing.reply, 'a', "(say)");
        if (r >= 0) {
                g_tree_foreach(keys_psks(bus->keys), list_psk, &listing);
                r = listing.r;
        }
        if (r >= 0)
                r = sd_bus_message_close_container(listing.reply);
        if (r >= 0)
                r = sd_bus_send(NULL, listing.reply, NULL);

        (void)sd_bus_message_unref(listing.reply);
        return r;
}
