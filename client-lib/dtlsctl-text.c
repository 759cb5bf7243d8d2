/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the bus says, as text for people. Some of it was said by peers, who are not to be let at
 * anybody's terminal.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BYTES_SHOWN 48 /* of binary values; longer ones are known by their SHA-256 */

struct Rows {
        GPtrArray *names, *texts;
};

/* ---- values ---- */

static void escape_byte(GString *out, uint8_t byte) {
        g_string_append_printf(out, "\\x%02x", byte);
}

static void escape_character(GString *out, gunichar c) {
        if (c == '\\')
                g_string_append(out, "\\\\");
        else if (g_unichar_isprint(c))
                g_string_append_unichar(out, c);
        else if (c < 0x100)
                escape_byte(out, (uint8_t)c);
        else
                g_string_append_printf(out, "\\u%04x", c);
}

char *text_escape(const char *text, size_t size) {
        GString *out = g_string_sized_new(size);

        for (size_t at = 0; at < size;) {
                gunichar c = g_utf8_get_char_validated(text + at, (gssize)(size - at));

                if (c == (gunichar)-1 || c == (gunichar)-2) {
                        escape_byte(out, (uint8_t)text[at++]);
                        continue;
                }
                escape_character(out, c);
                at += (size_t)g_unichar_to_utf8(c, NULL);
        }

        return g_string_free(out, FALSE);
}

char *text_day(uint64_t usec) {
        gint64 seconds = (gint64)(usec / G_USEC_PER_SEC);
        g_autoptr(GDateTime) time = seconds > 0 ? g_date_time_new_from_unix_utc(seconds) : NULL;

        return time ? g_date_time_format(time, "%Y-%m-%d") : g_strdup("-");
}

char *text_days_left(uint64_t usec) {
        uint64_t now_usec = (uint64_t)g_get_real_time();

        if (usec == 0 || usec == UINT64_MAX)
                return g_strdup("-");
        if (usec <= now_usec)
                return g_strdup("ended");

        return g_strdup_printf("%" G_GUINT64_FORMAT,
                               (usec - now_usec) / (24 * 3600 * (uint64_t)G_USEC_PER_SEC));
}

uint64_t text_number(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? g_ascii_strtoull(slash + 1, NULL, 10) : 0;
}

static void print_text(GString *out, const char *text) {
        g_autofree char *escaped = text_escape(text, strlen(text));

        g_string_append(out, escaped);
}

static bool is_text(const uint8_t *data, size_t size) {
        if (!g_utf8_validate((const char *)data, (gssize)size, NULL))
                return false;

        for (const char *at = (const char *)data; at < (const char *)data + size;
             at = g_utf8_next_char(at))
                if (!g_unichar_isprint(g_utf8_get_char(at)))
                        return false;

        return true;
}

static void print_bytes(GString *out, const uint8_t *data, size_t size) {
        if (is_text(data, size)) {
                g_autofree char *escaped = text_escape((const char *)data, size);

                g_string_append(out, escaped);
        } else if (size > BYTES_SHOWN) {
                g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, size);

                g_string_append_printf(out, "sha256:%s (%zu bytes)", sum, size);
        } else {
                g_string_append(out, "0x");
                for (size_t i = 0; i < size; i++)
                        g_string_append_printf(out, "%02x", data[i]);
        }
}

static int print_basic(GString *out, sd_bus_message *m, char type) {
        union {
                uint8_t y;
                int b;
                uint16_t q;
                uint32_t u;
                int64_t x;
                uint64_t t;
                const char *s;
        } value = {0};
        int r;

        if (!strchr("sobyquxt", type))
                return -EBADMSG;

        r = sd_bus_message_read_basic(m, type, &value);
        if (r < 0)
                return r;

        if (type == 's' || type == 'o')
                print_text(out, value.s);
        else if (type == 'b')
                g_string_append(out, value.b ? "yes" : "no");
        else if (type == 'x')
                g_string_append_printf(out, "%" PRId64, value.x);
        else
                g_string_append_printf(out, "%" PRIu64,
                                       type == 'y'   ? value.y
                                       : type == 'q' ? value.q
                                       : type == 'u' ? value.u
                                                     : value.t);
        return 0;
}

static int print_value(GString *out, sd_bus_message *m);

static int print_container(GString *out, sd_bus_message *m, char type, const char *contents) {
        const char *between = "";
        size_t size;
        int r;

        r = sd_bus_message_enter_container(m, type, contents);
        while (r >= 0) {
                r = sd_bus_message_at_end(m, /* complete= */ 0);
                if (r != 0)
                        break;

                g_string_append(out, between);
                size = out->len;
                r = print_value(out, m);
                if (out->len == size)
                        g_string_append_c(out, '-');
                between = type == 'e' ? "=" : type == 'a' ? ", " : " ";
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* Appends the next value of m, of whatever type. */
static int print_value(GString *out, sd_bus_message *m) {
        const char *contents;
        const void *bytes;
        size_t size;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;

        if (type == 'a' && g_str_equal(contents, "y")) {
                r = sd_bus_message_read_array(m, 'y', &bytes, &size);
                if (r >= 0)
                        print_bytes(out, bytes, size);
                return r;
        }
        if (strchr("arev", type))
                return print_container(out, m, type, contents);

        return print_basic(out, m, type);
}

/* ---- rows ---- */

Rows *rows_new(void) {
        Rows *rows = g_new0(Rows, 1);

        rows->names = g_ptr_array_new_with_free_func(g_free);
        rows->texts = g_ptr_array_new_with_free_func(g_free);
        return rows;
}

Rows *rows_free(Rows *rows) {
        if (!rows)
                return NULL;

        g_ptr_array_unref(rows->names);
        g_ptr_array_unref(rows->texts);
        g_free(rows);
        return NULL;
}

static int rows_read_value(Rows *rows, const char *name, sd_bus_message *m) {
        GString *text = g_string_new(NULL);
        int r;

        r = print_value(text, m);
        g_ptr_array_add(rows->names, g_strdup(name));
        g_ptr_array_add(rows->texts, g_string_free(text, FALSE));
        return r;
}

/* The dictionary that comes next, whose entries are like @entry ("sv", "st"). */
static int rows_read_dictionary(Rows *rows, const char *prefix, const char *entry,
                                sd_bus_message *m) {
        g_autofree char *contents = g_strdup_printf("{%s}", entry);
        const char *key;
        int r;

        r = sd_bus_message_enter_container(m, 'a', contents);
        while (r >= 0) {
                g_autofree char *name = NULL;

                r = sd_bus_message_enter_container(m, 'e', entry);
                if (r <= 0)
                        break;

                r = sd_bus_message_read_basic(m, 's', &key);
                if (r >= 0) {
                        name = g_strconcat(prefix, key, NULL);
                        r = g_str_equal(entry, "sv") ? rows_read_variant(rows, name, m)
                                                     : rows_read_value(rows, name, m);
                }
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int rows_read_variant(Rows *rows, const char *name, sd_bus_message *m) {
        g_autofree char *prefix = g_strconcat(name, ".", NULL);
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'v', contents);
        if (r < 0)
                return r;

        if (g_str_equal(contents, "a{sv}"))
                r = rows_read_dictionary(rows, prefix, "sv", m);
        else if (g_str_equal(contents, "a{st}"))
                r = rows_read_dictionary(rows, prefix, "st", m);
        else
                r = rows_read_value(rows, name, m);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int rows_read_properties(Rows *rows, sd_bus_message *m) {
        return rows_read_dictionary(rows, "", "sv", m);
}

int rows_read_property(Rows *rows, sd_bus *bus, const char *path, const char *interface,
                       const char *property, sd_bus_error *error) {
        g_autofree char *whole = g_strconcat(NAME ".", interface, NULL);
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, NAME, path, "org.freedesktop.DBus.Properties", "Get", error,
                               &reply, "ss", whole, property);
        if (r >= 0)
                r = rows_read_variant(rows, property, reply);
        (void)sd_bus_message_unref(reply);
        return r;
}

static const char *text_or_dash(const char *text) {
        return *text ? text : "-";
}

const char *rows_text(const Rows *rows, const char *name) {
        for (guint i = 0; i < rows->names->len; i++)
                if (g_str_equal(g_ptr_array_index(rows->names, i), name))
                        return text_or_dash(g_ptr_array_index(rows->texts, i));

        return "-";
}

void rows_print(const Rows *rows) {
        size_t width = 0;

        for (guint i = 0; i < rows->names->len; i++)
                width = MAX(width, strlen(g_ptr_array_index(rows->names, i)));
        for (guint i = 0; i < rows->names->len; i++)
                (void)printf("%-*s  %s\n", (int)width,
                             (const char *)g_ptr_array_index(rows->names, i),
                             text_or_dash(g_ptr_array_index(rows->texts, i)));
}
