/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The methods about pins. Those that change answer with what is pinned at the place now. */

#include "base/fault.h"
#include "base/terms.h"
#include "keyring/server-private.h"

#include <inttypes.h>

typedef struct PinCall {
        uint32_t uid;
        PinPlace place;
        GBytes *pin; /* NULL: none was given */
} PinCall;

static int pin_refuse(Server *server, const PinCall *call, int r, const char *text,
                      sd_bus_error *ret_error) {
        const ServerSubject subject = {.uid = call->uid};

        if (r < 0)
                return server_fail(server, subject, r, ret_error);

        switch ((PinsOutcome)r) {
        case PINS_E_BAD:
                return server_refuse(server, subject, SERVER_ERROR_BAD_SECRET, text, ret_error);
        case PINS_E_UNKNOWN:
                return server_refuse(server, subject, SERVER_ERROR_UNKNOWN_KEY, text, ret_error);
        case PINS_E_FULL:
                return server_refuse(server, subject, SERVER_ERROR_QUOTA_EXCEEDED, text, ret_error);
        case PINS_E_TAKEN:
                return server_refuse(server, subject, SERVER_ERROR_NOT_AUTHORIZED,
                                     "another key is pinned for this host and port", ret_error);
        case PINS_E_DAMAGED:
                return server_refuse(server, subject, SERVER_ERROR_FAILED, text, ret_error);
        case PINS_E_NO_STORE:
                return server_refuse_no_store(server, call->uid, ret_error);
        }

        g_assert_not_reached();
}

/* @ret: its pin is to be freed. */
static int pin_read(Server *server, sd_bus_message *m, PinCall *ret, sd_bus_error *ret_error) {
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read(m, "ussq", &ret->uid, &ret->place.table, &ret->place.host,
                                &ret->place.port);
        if (r >= 0)
                r = server_check_name(server, ret->uid, ret->place.table, ret_error);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return r;
        if (size != 0 && size != PIN_SIZE)
                return pin_refuse(server, ret, PINS_E_BAD, "a pin is a SHA-256: 32 bytes",
                                  ret_error);

        ret->pin = size > 0 ? g_bytes_new(data, size) : NULL;
        return 0;
}

static int pin_answer(sd_bus_message *m, GPtrArray *keys) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = server_append_blobs(reply, keys);
        return r < 0 ? fault(r) : sd_bus_message_send(reply);
}

static void pin_log(Server *server, const PinCall *call, const char *what) {
        g_autofree char *text = g_strdup_printf("%s of %s port %" PRIu16 " in", what,
                                                call->place.host, call->place.port);

        server_log_entry(server, call->uid, text, "pins", call->place.table);
}

static int pin_add(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(GPtrArray) keys = NULL;
        g_autoptr(GBytes) pin = NULL;
        const char *text = NULL;
        Server *server = userdata;
        PinCall call = {0};
        int first, r;

        r = pin_read(server, m, &call, ret_error);
        pin = call.pin;
        if (r >= 0)
                r = sd_bus_message_read(m, "b", &first);
        if (r < 0)
                return r;

        r = pin ? pins_add(server->pins, &call.place, pin, first, &keys, &text) : PINS_E_BAD;
        if (r)
                return pin_refuse(server, &call, r, pin ? text : "there is no pin", ret_error);

        pin_log(server, &call, first ? "pinned the first key" : "pinned a key");
        return pin_answer(m, keys);
}

int method_pin(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return server_change(userdata, m, pin_add, ret_error);
}

static int pin_remove(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(GPtrArray) keys = NULL;
        g_autoptr(GBytes) pin = NULL;
        const char *text = NULL;
        Server *server = userdata;
        PinCall call = {0};
        int r;

        r = pin_read(server, m, &call, ret_error);
        pin = call.pin;
        if (r < 0)
                return r;

        r = pins_remove(server->pins, &call.place, pin, &keys, &text);
        if (r)
                return pin_refuse(server, &call, r, text, ret_error);

        pin_log(server, &call, "unpinned what was pinned");
        return pin_answer(m, keys);
}

int method_unpin(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return server_change(userdata, m, pin_remove, ret_error);
}

static int append_place(const PinPlace *place, GPtrArray *keys, void *userdata) {
        sd_bus_message *m = userdata;
        int r;

        r = sd_bus_message_open_container(m, 'r', "ssqaay");
        if (r >= 0)
                r = sd_bus_message_append(m, "ssq", place->table, place->host, place->port);
        if (r >= 0)
                r = server_append_blobs(m, keys);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return MIN(r, 0);
}

int method_list_pins(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(sd_bus_message) reply = NULL;
        Server *server = userdata;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssqaay)");
        if (r >= 0)
                r = pins_each(server->pins, append_place, reply);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? fault(r) : sd_bus_message_send(reply);
}
