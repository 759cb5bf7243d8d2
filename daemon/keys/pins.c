/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pins that the keyring keeps, as dtlsd knows them: as trusts.c has its sets. Whoever is judged
 * before they are known is judged as if no key was the right one; and so is for whom a table counts
 * that is damaged: nobody knows which keys were in it.
 */

#include "base/fault.h"
#include "base/terms.h"
#include "keys/private.h"

#include <errno.h>
#include <string.h>

#define TABLE_OF_ALL "pins"

static char *table_of(uid_t uid) {
        return g_strdup_printf("u/%u/pins", uid);
}

/* What the table of pins is found by. */
static char *place_of(const char *table, const char *host, uint16_t port) {
        return g_strdup_printf("%s %s %u", table, host, port);
}

/* "u/1000/pins  0": all of a table */
static bool place_is_whole(const char *place) {
        return g_str_has_suffix(place, "  0");
}

static bool table_is_damaged(const Keys *keys, const char *table) {
        g_autofree char *whole = place_of(table, "", 0);

        return g_hash_table_contains(keys->pins, whole);
}

static GPtrArray *keys_pins_new(void) {
        return g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
}

GHashTable *pins_table_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                     (GDestroyNotify)g_ptr_array_unref);
}

/* ---- what there is ---- */

static void pins_take(Keys *keys, const char *place, GPtrArray *pins) {
        if (pins->len > 0)
                (void)g_hash_table_replace(keys->pins, g_strdup(place), g_ptr_array_ref(pins));
        else
                (void)g_hash_table_remove(keys->pins, place);
}

/* 1: one was read; 0: there are no more. */
static int read_pins(Keys *keys, sd_bus_message *m) {
        g_autoptr(GPtrArray) pins = NULL;
        g_autofree char *place = NULL;
        const char *table, *host;
        uint16_t port;
        int r;

        r = sd_bus_message_enter_container(m, 'r', "ssqaay");
        if (r <= 0)
                return r;

        r = sd_bus_message_read(m, "ssq", &table, &host, &port);
        if (r >= 0)
                r = read_blobs(m, &pins);
        if (r < 0)
                return r;

        place = place_of(table, host, port);
        if (place_is_whole(place)) /* it is damaged */
                (void)g_hash_table_replace(keys->pins, g_strdup(place), g_ptr_array_ref(pins));
        else
                pins_take(keys, place, pins);
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

static int on_listed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Keys *keys = userdata;
        int r;

        keys->pins_listing = sd_bus_slot_unref(keys->pins_listing);
        if (!keys_connected(keys))
                return 0;

        g_hash_table_remove_all(keys->pins);
        r = sd_bus_message_is_method_error(m, NULL) ? -EIO : 0;
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(ssqaay)");
        while (r >= 0) {
                r = read_pins(keys, m);
                if (r == 0)
                        break;
        }
        if (r < 0)
                (void)fault(r); /* traced */

        keys->pins_known = r >= 0;
        return 0;
}

void pins_ask(Keys *keys) {
        int r;

        r = sd_bus_call_method_async(keys->bus, &keys->pins_listing, NULL, DTLSD_ROOT_PATH,
                                     DTLSD_INTERFACE_KEYRING, "ListPins", on_listed, keys, NULL);
        if (r < 0)
                (void)fault(r); /* traced; the connection is dying */
}

void pins_forget(Keys *keys) {
        keys->pins_listing = sd_bus_slot_unref(keys->pins_listing);
}

static void pins_add_all(const Keys *keys, const char *table, const char *host, uint16_t port,
                         GPtrArray *to) {
        g_autofree char *place = place_of(table, host, port);
        GPtrArray *pins = g_hash_table_lookup(keys->pins, place);

        for (guint i = 0; pins && i < pins->len; i++)
                g_ptr_array_add(to, g_bytes_ref(pins->pdata[i]));
}

GPtrArray *keys_pins(const Keys *keys, uid_t uid, const char *host, uint16_t port) {
        g_autoptr(GPtrArray) pins = keys_pins_new();
        g_autofree char *own = table_of(uid);

        if (table_is_damaged(keys, own) || table_is_damaged(keys, TABLE_OF_ALL))
                return g_steal_pointer(&pins);

        pins_add_all(keys, own, host, port, pins);
        pins_add_all(keys, TABLE_OF_ALL, host, port, pins);
        return pins->len > 0 || !keys->pins_known ? g_steal_pointer(&pins) : NULL;
}

/* ---- changing them ---- */

static Ask *pins_ask_new(Keys *keys, const KeysPin *pin, KeysDone answer, void *userdata) {
        g_autofree char *own = table_of(pin->uid);
        Ask *ask = ask_new(keys, ASK_CHANGE_PINS, userdata);

        ask->done = answer;
        ask->place = place_of(pin->of_all ? TABLE_OF_ALL : own, pin->host, pin->port);
        return ask;
}

static int pins_call(const Keys *keys, const char *method, const KeysPin *pin,
                     sd_bus_message **ret) {
        g_autofree char *own = table_of(pin->uid);
        const void *data = NULL;
        gsize size = 0;
        int r;

        if (!keys_connected(keys))
                return -ENOTCONN;

        r = sd_bus_message_new_method_call(keys->bus, ret, NULL, DTLSD_ROOT_PATH,
                                           DTLSD_INTERFACE_KEYRING, method);
        if (r >= 0)
                r = sd_bus_message_append(*ret, "ussq", (uint32_t)pin->uid,
                                          pin->of_all ? TABLE_OF_ALL : own, pin->host, pin->port);
        if (pin->key)
                data = g_bytes_get_data(pin->key, &size);
        return r < 0 ? r : sd_bus_message_append_array(*ret, 'y', data, size);
}

uint64_t keys_pin(Keys *keys, const KeysPin *pin, bool first, KeysDone answer, void *userdata) {
        Ask *ask = pins_ask_new(keys, pin, answer, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = pins_call(keys, "Pin", pin, &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "b", (int)first);
        return ask_call(ask, m, r);
}

uint64_t keys_unpin(Keys *keys, const KeysPin *pin, KeysDone answer, void *userdata) {
        Ask *ask = pins_ask_new(keys, pin, answer, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = pins_call(keys, "Unpin", pin, &m);
        return ask_call(ask, m, r);
}

static gboolean place_is_in(void *place, void *pins, void *whole) {
        return strncmp(place, whole, strcspn(whole, " ") + 1) == 0;
}

int ask_read_pins(Ask *ask, sd_bus_message *m) {
        g_autoptr(GPtrArray) pins = NULL;
        Keys *keys = ask->keys;
        int r;

        r = read_blobs(m, &pins);
        if (r < 0)
                return r;

        if (place_is_whole(ask->place))
                (void)g_hash_table_foreach_remove(keys->pins, place_is_in, ask->place);
        else
                pins_take(keys, ask->place, pins);
        if (!ask->answered)
                ask->done(0, NULL, ask->userdata);
        return 0;
}

/* ---- showing them ---- */

void keys_pins_each(const Keys *keys, uid_t uid, KeysPinsEach each, void *userdata) {
        g_autofree char *own = table_of(uid);
        GHashTableIter iter;
        void *key, *pins;

        g_hash_table_iter_init(&iter, keys->pins);
        while (g_hash_table_iter_next(&iter, &key, &pins)) {
                g_auto(GStrv) words = g_strsplit(key, " ", 3); /* as place_of() made it */
                KeysPin place = {.uid = uid, .host = words[1]};

                place.port = (uint16_t)g_ascii_strtoull(words[2], NULL, 10);
                place.of_all = g_str_equal(words[0], TABLE_OF_ALL);
                if (place.of_all || g_str_equal(words[0], own))
                        each(&place, pins, userdata);
        }
}
