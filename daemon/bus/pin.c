/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pin: the Manager's methods about the keys that hosts may have. */

#include "base/host.h"
#include "bus/private.h"

#include <stddef.h>

#define ADMINISTRATORS_ENTRY "pins"

typedef struct PinCall {
        KeysPin pin;
        char *host;    /* owned; pin.host */
        GBytes *key;   /* owned; pin.key */
        int is_of_all; /* pin.of_all, as the bus reads it */
} PinCall;

static void pin_call_done(PinCall *call) {
        g_free(call->host);
        g_clear_pointer(&call->key, g_bytes_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PinCall, pin_call_done)

/* ---- reading ---- */

static int read_fingerprint(sd_bus_message *m, const DictKey *key, void *userdata,
                            sd_bus_error *error) {
        PinCall *call = userdata;
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return bus_refuse(error, r, NULL);
        if (size != FINGERPRINT_SIZE)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option '%s' has %zu bytes; it has to have %d, those of the "
                                       "SHA-256 of a SubjectPublicKeyInfo",
                                       key->name, size, FINGERPRINT_SIZE);

        call->key = g_bytes_new(data, size);
        return 1;
}

static int pin_refuse_host(const char *text, sd_bus_error *error) {
        g_autofree char *quoted = text_quote(text);

        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                               "'%s' is no host: a numeric address, or at most %d of A-Z a-z 0-9 . "
                               "_ - as in VerificationName; and the port is 1 to 65535",
                               quoted, HOST_MAX);
}

static int pin_read(sd_bus_message *m, const char *method, PinCall *call, sd_bus_error *error) {
        static const DictKey keys[] = {
                {"Administrator", "b", 1, dict_read_basic, offsetof(PinCall, is_of_all), 0, 0},
                {"Fingerprint", "ay", 1, read_fingerprint, 0, 0, 0},
        };
        const Dict dict = {keys, G_N_ELEMENTS(keys), 1, method};
        const char *host;
        int r;

        r = sd_bus_message_read(m, "sq", &host, &call->pin.port);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = dict_read(m, &dict, call, error);
        if (r < 0)
                return r;

        call->host = *host ? host_normal(host) : g_strdup("");
        if (!call->host || (*host == '\0') != (call->pin.port == 0))
                return pin_refuse_host(host, error);

        call->pin.uid = caller_of(message_bus(m), m)->uid;
        call->pin.of_all = call->is_of_all;
        call->pin.host = call->host;
        call->pin.key = call->key;
        return 1;
}

static int pin_ask(sd_bus_message *m, const PinCall *call, sd_bus_error *error) {
        return call->pin.of_all ? bus_ask_entry(message_bus(m), m, ACCESS_MANAGE_STORE,
                                                ADMINISTRATORS_ENTRY, error)
                                : 1;
}

/* ---- changing ---- */

static int pin_check(const PinCall *call, sd_bus_error *error) {
        if (*call->host == '\0')
                return pin_refuse_host(call->host, error);
        if (!call->key)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option 'Fingerprint' is missing: the SHA-256 of the "
                                       "SubjectPublicKeyInfo that the host may have");

        return 1;
}

int method_pin(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_auto(PinCall) call = {.host = NULL};
        Bus *bus = message_bus(m);
        StoreCall *waiting;
        int r;

        r = pin_read(m, "Pin", &call, error);
        if (r >= 0)
                r = pin_check(&call, error);
        if (r >= 0)
                r = pin_ask(m, &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = store_call_new(bus, m, &waiting, error);
        if (r < 0)
                return r;

        waiting->ticket =
                keys_pin(bus->keys, &call.pin, /* first= */ false, on_store_done, waiting);
        return 1;
}

int method_unpin(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_auto(PinCall) call = {.host = NULL};
        Bus *bus = message_bus(m);
        StoreCall *waiting;
        int r;

        r = pin_read(m, "Unpin", &call, error);
        if (r >= 0 && *call.host == '\0' && call.key)
                r = bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                    "Option 'Fingerprint' is of one host, and '' with port 0 is "
                                    "everything that is pinned; give one of them");
        if (r >= 0)
                r = pin_ask(m, &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = store_call_new(bus, m, &waiting, error);
        if (r < 0)
                return r;

        waiting->ticket = keys_unpin(bus->keys, &call.pin, on_store_done, waiting);
        return 1;
}

/* ---- listing ---- */

typedef struct PinList {
        sd_bus_message *reply;
        int r;
} PinList;

static int append_pin(sd_bus_message *reply, const KeysPin *place, GBytes *key) {
        int r;

        r = sd_bus_message_open_container(reply, 'r', "sqayb");
        if (r >= 0)
                r = sd_bus_message_append(reply, "sq", place->host, place->port);
        if (r >= 0)
                r = append_bytes(reply, key);
        if (r >= 0)
                r = sd_bus_message_append(reply, "b", (int)place->of_all);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static void append_place(const KeysPin *place, const GPtrArray *pins, void *userdata) {
        PinList *list = userdata;

        for (guint i = 0; list->r >= 0 && i < pins->len; i++)
                list->r = append_pin(list->reply, place, pins->pdata[i]);
}

int method_list_pins(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        PinList list = {.reply = NULL};
        Bus *bus = message_bus(m);

        list.r = sd_bus_message_new_method_return(m, &list.reply);
        if (list.r >= 0)
                list.r = sd_bus_message_open_container(list.reply, 'a', "(sqayb)");
        keys_pins_each(bus->keys, caller_of(bus, m)->uid, append_place, &list);
        if (list.r >= 0)
                list.r = sd_bus_message_close_container(list.reply);
        if (list.r >= 0)
                list.r = sd_bus_send(NULL, list.reply, NULL);

        (void)sd_bus_message_unref(list.reply);
        return list.r;
}
