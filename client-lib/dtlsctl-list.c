/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl list and show: what the service says of connections, for people.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define PAGE 200 /* connections asked for in one call */

#define ROW "%-8s %-6s %-22s %-30s %-30s %s\n"

/* What GetAll leaves out, because it is long or always changing. */
static const char *const asked_for[] = {
        "PeerCertificateChain", "PeerVerificationErrors", "Configuration", "Shares", "Attached",
        "Statistics",
};

/* ---- list ---- */

static char *socket_text(const Rows *rows, const char *address, const char *port) {
        const char *host = rows_text(rows, address);

        if (g_str_equal(host, "-"))
                return g_strdup(host);

        return g_strdup_printf("%s %s", host, rows_text(rows, port));
}

static void print_row(uint64_t number, const Rows *rows) {
        g_autofree char *name = g_strdup_printf("%" G_GUINT64_FORMAT, number);
        g_autofree char *peer = socket_text(rows, "PeerAddress", "PeerPort");
        g_autofree char *local = socket_text(rows, "LocalAddress", "LocalPort");

        (void)printf(ROW, name, rows_text(rows, "Mode"), rows_text(rows, "HandshakeState"), peer,
                     local, rows_text(rows, "Owner"));
}

/* Prints the connection that comes next in @m, and says its number. Positive while there is one. */
static int print_next(sd_bus_message *m, uint64_t *ret_number) {
        g_autoptr(Rows) rows = rows_new();
        const char *path;
        int r;

        r = sd_bus_message_enter_container(m, 'r', "oa{sv}");
        if (r <= 0)
                return r;

        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0)
                r = rows_read_properties(rows, m);
        if (r < 0)
                return r;

        *ret_number = text_number(path);
        print_row(*ret_number, rows);
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

/* Prints one page, the first with a heading; *after becomes its last number. Returns whether there
 * was any. */
static int print_page(sd_bus *bus, uint64_t *after, sd_bus_error *error) {
        uint64_t number = 0;
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, NAME, ROOT, NAME ".Manager", "ListConnections", error, &reply,
                               "tua{sv}", *after, PAGE, 0);
        if (r >= 0 && *after == 0)
                (void)printf(ROW, "NUMBER", "MODE", "STATE", "PEER", "LOCAL", "OWNER");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(oa{sv})");
        while (r > 0)
                r = print_next(reply, &number);
        (void)sd_bus_message_unref(reply);
        if (r < 0)
                return r;

        *after = number;
        return number > 0;
}

int command_list(sd_bus *bus, Settings *settings, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        uint64_t after = 0;
        int r;

        do
                r = print_page(bus, &after, &error);
        while (r > 0);

        if (r < 0)
                (void)complain("list", r, &error);
        sd_bus_error_free(&error);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- show ---- */

static int read_all(sd_bus *bus, const char *path, Rows *rows, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, NAME, path, PROPERTIES, "GetAll", error, &reply, "s",
                               NAME ".Connection");
        if (r >= 0)
                r = rows_read_properties(rows, reply);
        (void)sd_bus_message_unref(reply);
        return r;
}

int command_show(sd_bus *bus, Settings *settings, char **arguments) {
        g_autoptr(Rows) rows = rows_new();
        g_autofree char *path = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        path = connection_parse(arguments[0]);
        if (!path)
                return EXIT_USAGE;

        r = read_all(bus, path, rows, &error);
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(asked_for); i++)
                r = rows_read_property(rows, bus, path, "Connection", asked_for[i], &error);

        if (sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT))
                say("there is no connection %" G_GUINT64_FORMAT
                    ", or it is somebody else's; `dtlsctl list` has yours",
                    text_number(path));
        else if (r < 0)
                (void)complain(arguments[0], r, &error);
        else
                rows_print(rows);
        sd_bus_error_free(&error);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
