/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl list and show: what the service says of connections, for people.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAME "io.github.dtlsd.Dtlsd1"
#define ROOT "/io/github/dtlsd/Dtlsd1"
#define PAGE 200       /* connections asked for in one call */
#define BYTES_SHOWN 48 /* of binary values */

static void print_value(sd_bus_message *m, GString *out);

static void print_bytes(const uint8_t *data, size_t size, GString *out) {
        bool text = size > 0 && g_utf8_validate((const char *)data, (gssize)size, NULL);

        for (size_t i = 0; text && i < size; i++)
                text = data[i] >= ' ' && data[i] != 0x7f;
        if (text) {
                g_string_append_len(out, (const char *)data, (gssize)size);
                return;
        }

        for (size_t i = 0; i < MIN(size, BYTES_SHOWN); i++)
                g_string_append_printf(out, "%02x", data[i]);
        if (size > BYTES_SHOWN)
                g_string_append_printf(out, "… (%zu bytes)", size);
}

static void print_basic(sd_bus_message *m, char type, GString *out) {
        union {
                uint8_t y;
                int b;
                uint16_t q;
                uint32_t u;
                int32_t i;
                uint64_t t;
                const char *s;
        } value = {0};

        if (sd_bus_message_read_basic(m, type, &value) < 0)
                return;

        switch (type) {
        case 's':
        case 'o':
                g_string_append(out, value.s);
                break;
        case 'b':
                g_string_append(out, value.b ? "yes" : "no");
                break;
        case 'y':
                g_string_append_printf(out, "%u", value.y);
                break;
        case 'q':
                g_string_append_printf(out, "%u", value.q);
                break;
        case 'u':
                g_string_append_printf(out, "%u", value.u);
                break;
        case 't':
                g_string_append_printf(out, "%" G_GUINT64_FORMAT, value.t);
                break;
        default:
                g_string_append_c(out, '?');
        }
}

static void print_container(sd_bus_message *m, char type, const char *contents, GString *out) {
        const char *between = "";

        if (sd_bus_message_enter_container(m, type, contents) < 0)
                return;

        while (sd_bus_message_at_end(m, 0) == 0) {
                g_string_append(out, between);
                print_value(m, out);
                between = type == 'e' ? "=" : type == 'a' ? ", " : " ";
        }
        (void)sd_bus_message_exit_container(m);
}

/* Appends the next value of m, of whatever type. */
static void print_value(sd_bus_message *m, GString *out) {
        const char *contents;
        const void *bytes;
        size_t size;
        char type;

        if (sd_bus_message_peek_type(m, &type, &contents) <= 0)
                return;

        if (type == 'a' && g_str_equal(contents, "y")) {
                if (sd_bus_message_read_array(m, 'y', &bytes, &size) >= 0)
                        print_bytes(bytes, size, out);
        } else if (type == 'a' || type == 'r' || type == 'e' || type == 'v')
                print_container(m, type, contents, out);
        else
                print_basic(m, type, out);
}

/* The a{sv} that comes next as a table of texts. */
static GHashTable *read_properties(sd_bus_message *m) {
        GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

        if (sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
                return table;

        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                GString *value = g_string_new(NULL);
                const char *key;

                if (sd_bus_message_read(m, "s", &key) >= 0) {
                        print_value(m, value);
                        g_hash_table_insert(table, g_strdup(key), g_string_free(value, FALSE));
                } else
                        g_string_free(value, TRUE);
                (void)sd_bus_message_exit_container(m);
        }
        (void)sd_bus_message_exit_container(m);
        return table;
}

static const char *text_of(GHashTable *table, const char *key) {
        const char *text = g_hash_table_lookup(table, key);

        return text && *text ? text : "-";
}

static uint64_t number_of(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? g_ascii_strtoull(slash + 1, NULL, 10) : 0;
}

static void print_row(const char *path, GHashTable *properties) {
        g_autofree char *peer = g_strdup_printf("%s %s", text_of(properties, "PeerAddress"),
                                                text_of(properties, "PeerPort"));

        (void)printf("%-8" G_GUINT64_FORMAT " %-7s %-24s %-28s %s\n", number_of(path),
                     text_of(properties, "Mode"), text_of(properties, "HandshakeState"), peer,
                     text_of(properties, "SessionProtocol"));
}

/* Prints one page; *after becomes its last number. Returns how many, or a negative errno. */
static int print_page(sd_bus *bus, uint64_t *after, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        const char *path;
        int n = 0, r;

        r = sd_bus_call_method(bus, NAME, ROOT, NAME ".Manager", "ListConnections", error, &reply,
                               "tua{sv}", *after, PAGE, 0);
        if (r < 0)
                return r;

        (void)sd_bus_message_enter_container(reply, 'a', "(oa{sv})");
        while (sd_bus_message_enter_container(reply, 'r', "oa{sv}") > 0) {
                g_autoptr(GHashTable) properties = NULL;

                (void)sd_bus_message_read(reply, "o", &path);
                properties = read_properties(reply);
                print_row(path, properties);
                *after = number_of(path);
                (void)sd_bus_message_exit_container(reply);
                n++;
        }
        (void)sd_bus_message_unref(reply);
        return n;
}

int command_list(sd_bus *bus, Settings *settings, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        uint64_t after = 0;
        int r;

        (void)printf("%-8s %-7s %-24s %-28s %s\n", "NUMBER", "MODE", "STATE", "PEER", "PROTOCOL");
        do
                r = print_page(bus, &after, &error);
        while (r > 0);

        if (r < 0)
                (void)complain("list", r, &error);
        sd_bus_error_free(&error);
        return r < 0 ? 1 : 0;
}

static int compare_keys(const void *a, const void *b) {
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_sorted(GHashTable *properties) {
        guint n;
        g_autofree const char **keys =
                (const char **)g_hash_table_get_keys_as_array(properties, &n);

        qsort(keys, n, sizeof *keys, compare_keys);
        for (guint i = 0; i < n; i++)
                (void)printf("%-28s %s\n", keys[i],
                             (const char *)g_hash_table_lookup(properties, keys[i]));
}

int command_show(sd_bus *bus, Settings *settings, char **arguments) {
        g_autofree char *path = NULL;
        g_autoptr(GHashTable) properties = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        guint64 number;
        int r;

        if (g_strv_length(arguments) != 1 ||
            !g_ascii_string_to_unsigned(arguments[0], 10, 1, UINT32_MAX, &number, NULL)) {
                (void)fprintf(stderr, "usage: dtlsctl show NUMBER (`dtlsctl list` has them)\n");
                return 2;
        }

        path = g_strdup_printf(ROOT "/connection/%" G_GUINT64_FORMAT, number);
        r = sd_bus_call_method(bus, NAME, path, "org.freedesktop.DBus.Properties", "GetAll", &error,
                               &reply, "s", NAME ".Connection");
        if (r < 0) {
                (void)complain(arguments[0], r, &error);
                sd_bus_error_free(&error);
                return 1;
        }

        properties = read_properties(reply);
        print_sorted(properties);
        (void)sd_bus_message_unref(reply);
        return 0;
}
