/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * values: reading dictionaries of options, and appending what the service knows to replies.
 *
 * One string that is not UTF-8 would make sd-bus refuse a whole reply, and GetManagedObjects with
 * it; so no other file appends text that it has not written itself.
 */

#include "base/terms.h"
#include "bus/private.h"

#include <string.h>

#define QUOTE_UNPRINTABLE ((gunichar)0xfffd) /* a line's end, a change of direction */
#define QUOTE_MAX 64 /* characters of what a caller wrote that an error repeats */

/* ---- in ---- */

char *text_quote(const char *text) {
        GString *quoted = g_string_new(NULL);
        unsigned n = 0;

        for (; *text && n < QUOTE_MAX; text = g_utf8_next_char(text), n++) {
                gunichar c = g_utf8_get_char(text);

                g_string_append_unichar(quoted, g_unichar_isprint(c) ? c : QUOTE_UNPRINTABLE);
        }
        if (*text)
                g_string_append(quoted, "…");

        return g_string_free(quoted, FALSE);
}

static int dict_refuse_unknown(const Dict *dict, const char *name, sd_bus_error *error) {
        g_autoptr(GString) names = g_string_new(NULL);
        g_autofree char *quoted = text_quote(name);

        for (size_t i = 0; i < dict->n_keys; i++)
                if (dict->keys[i].where & dict->where)
                        g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "",
                                               dict->keys[i].name);

        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                               "There is no option '%s'; %s takes: %s", quoted, dict->call,
                               names->len > 0 ? names->str : "none");
}

static int dict_find(const Dict *dict, const char *name, size_t *ret, sd_bus_error *error) {
        for (size_t i = 0; i < dict->n_keys; i++) {
                if (strcmp(dict->keys[i].name, name) != 0)
                        continue;

                if (!(dict->keys[i].where & dict->where))
                        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                               "Option '%s' is not for %s", name, dict->call);

                *ret = i;
                return 1;
        }

        return dict_refuse_unknown(dict, name, error);
}

static int dict_read_value(sd_bus_message *m, const DictKey *key, void *userdata,
                           sd_bus_error *error) {
        const char *contents;
        int r;

        r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        if (strcmp(contents, key->signature) != 0)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option '%s' is of type '%s', it has to be '%s'", key->name,
                                       contents, key->signature);

        r = sd_bus_message_enter_container(m, 'v', contents);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = key->read(m, key, userdata, error);
        if (r < 0)
                return r;

        r = sd_bus_message_exit_container(m);
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}

static int dict_read_entry(sd_bus_message *m, const Dict *dict, uint64_t *seen, void *userdata,
                           sd_bus_error *error) {
        const char *name;
        size_t i = 0;
        int r;

        r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = dict_find(dict, name, &i, error);
        if (r < 0)
                return r;

        if (*seen & (UINT64_C(1) << i))
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option '%s' is given twice", name);

        *seen |= UINT64_C(1) << i;
        return dict_read_value(m, &dict->keys[i], userdata, error);
}

int dict_read(sd_bus_message *m, const Dict *dict, void *userdata, sd_bus_error *error) {
        uint64_t seen = 0;
        int r;

        g_assert(dict->n_keys <= 64);

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return bus_refuse(error, r, NULL);

        for (;;) {
                r = sd_bus_message_enter_container(m, 'e', "sv");
                if (r < 0)
                        return bus_refuse(error, r, NULL);
                if (r == 0)
                        break;

                r = dict_read_entry(m, dict, &seen, userdata, error);
                if (r < 0)
                        return r;

                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return bus_refuse(error, r, NULL);
        }

        r = sd_bus_message_exit_container(m);
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}

int dict_read_basic(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        int r;

        r = sd_bus_message_read_basic(m, key->signature[0], (uint8_t *)userdata + key->offset);
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}

/* Not by sd_bus_message_read_strv(), which takes a time that grows with the square of their number,
 * and a caller sends as many as a message holds. */
int texts_read(sd_bus_message *m, const DictKey *key, GPtrArray *to, sd_bus_error *error) {
        const char *text;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        if (r < 0)
                return bus_refuse(error, r, NULL);

        while ((r = sd_bus_message_read_basic(m, 's', &text)) > 0) {
                if (to->len >= key->maximum)
                        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                               "Option '%s' has more than %" G_GUINT64_FORMAT
                                               " elements",
                                               key->name, key->maximum);
                g_ptr_array_add(to, (char *)text);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}

int bytes_read(sd_bus_message *m, const DictKey *key, GBytes **ret, sd_bus_error *error) {
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        if (size < key->minimum || size > key->maximum)
                return bus_refuse_text(
                        error, BUS_E_INVALID_PARAMETERS,
                        "Option '%s' has %zu bytes; it has to have %" G_GUINT64_FORMAT
                        " to %" G_GUINT64_FORMAT,
                        key->name, size, key->minimum, key->maximum);

        g_clear_pointer(ret, g_bytes_unref);
        *ret = g_bytes_new(data, size);
        return 1;
}

int dict_refuse(sd_bus_error *error, const DictKey *key, const char *value, const char *rule) {
        g_autofree char *quoted = text_quote(value);

        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                               "Option '%s' is '%s'; it has to be %s", key->name, quoted, rule);
}

bool path_number(const char *path, const char *folder, uint32_t *ret) {
        guint64 number;

        if (!g_str_has_prefix(path, folder))
                return false;

        path += strlen(folder);
        /* one spelling only: "7", neither "07" nor "+7" */
        if (path[0] < '1' || path[0] > '9')
                return false;
        if (!g_ascii_string_to_unsigned(path, 10, 1, UINT32_MAX, &number, NULL))
                return false;

        *ret = (uint32_t)number;
        return true;
}

/* ---- out ---- */

int append_text(sd_bus_message *reply, const char *text) {
        g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : g_strdup("");

        return sd_bus_message_append_basic(reply, 's', valid);
}

int append_bytes(sd_bus_message *reply, GBytes *bytes) {
        gsize size = 0;
        const void *data = bytes ? g_bytes_get_data(bytes, &size) : NULL;

        return sd_bus_message_append_array(reply, 'y', data, size);
}

int append_byte_arrays(sd_bus_message *reply, GPtrArray *bytes) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "ay");
        if (r < 0)
                return r;

        for (guint i = 0; bytes && i < bytes->len; i++) {
                r = append_bytes(reply, g_ptr_array_index(bytes, i));
                if (r < 0)
                        return r;
        }

        return sd_bus_message_close_container(reply);
}

int append_address(sd_bus_message *reply, const Address *address) {
        char buffer[ADDRESS_STRING_MAX];

        /* the name of an interface, a link-local address's scope, may be any bytes */
        return append_text(reply, address_format(address, buffer));
}

int append_owner(sd_bus_message *reply, const Spec *spec) {
        return sd_bus_message_append(reply, "(us)", (uint32_t)spec->uid,
                                     spec->persistent || !spec->owner ? "" : spec->owner);
}

int append_error(sd_bus_message *reply, DtlsError error, const char *text) {
        int r;

        r = sd_bus_message_open_container(reply, 'r', "ss");
        if (r >= 0)
                r = append_text(reply, dtls_error_name(error));
        if (r >= 0)
                r = append_text(reply, text);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int append_counters(sd_bus_message *reply, const Counters *counters) {
        int r;

        for (size_t i = 0; i < counters->n; i++) {
                r = sd_bus_message_append(reply, "{st}", counters->at[i].name,
                                          counters->at[i].value);
                if (r < 0)
                        return r;
        }

        return 0;
}

int entry_open(sd_bus_message *reply, const char *key, const char *signature) {
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r < 0)
                return r;

        r = sd_bus_message_append_basic(reply, 's', key);
        if (r < 0)
                return r;

        return sd_bus_message_open_container(reply, 'v', signature);
}

int entry_close(sd_bus_message *reply) {
        int r;

        r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int append_entry_text(sd_bus_message *reply, const char *key, const char *text) {
        int r;

        r = entry_open(reply, key, "s");
        if (r >= 0)
                r = append_text(reply, text);
        return r < 0 ? r : entry_close(reply);
}

int append_entry_bool(sd_bus_message *reply, const char *key, bool value) {
        return sd_bus_message_append(reply, "{sv}", key, "b", (int)value);
}

int append_entry_number(sd_bus_message *reply, const char *key, uint64_t value) {
        return sd_bus_message_append(reply, "{sv}", key, "u", (uint32_t)value);
}
