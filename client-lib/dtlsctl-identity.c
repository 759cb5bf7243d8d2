/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl import, generate, install, remove and identities: the service's store of certificates.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER ROOT "/identity"
#define ROW "%-32s %-8s %-10s %-5s %-64s %s\n"

/* ---- what changes it ---- */

int command_import(sd_bus *bus, Settings *settings, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (settings->pkcs12_file)
                r = dtlsd_import_pkcs12(bus, arguments[0], settings->pkcs12_file,
                                        settings->passphrase_file, &error);
        else if (settings->key_uri)
                r = dtlsd_import_key_uri(bus, arguments[0],
                                         (const char *const *)settings->certificate_files,
                                         settings->key_uri, settings->passphrase_file, &error);
        else
                r = dtlsd_import_identity(bus, arguments[0],
                                          (const char *const *)settings->certificate_files,
                                          settings->key_file, settings->passphrase_file, &error);
        if (r < 0)
                (void)complain(arguments[0], r, &error);
        sd_bus_error_free(&error);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_generate(sd_bus *bus, Settings *settings, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char *csr = NULL;
        int r;

        r = dtlsd_generate_identity(bus, arguments[0], settings->key_type, settings->subject,
                                    (const char *const *)settings->alt_names, &csr, &error);
        if (r < 0)
                (void)complain(arguments[0], r, &error);
        else
                (void)fputs(csr, stdout);
        free(csr);
        sd_bus_error_free(&error);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_install(sd_bus *bus, Settings *settings, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = dtlsd_install_certificate(bus, arguments[0], (const char *const *)(arguments + 1),
                                      &error);
        if (r < 0)
                (void)complain(arguments[0], r, &error);
        sd_bus_error_free(&error);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_remove(sd_bus *bus, Settings *settings, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = dtlsd_remove_identity(bus, arguments[0], &error);
        if (r < 0)
                (void)complain(arguments[0], r, &error);
        sd_bus_error_free(&error);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- identities ---- */

static void on_element(GMarkupParseContext *context, const char *element, const char **names,
                       const char **values, gpointer userdata, GError **error) {
        GPtrArray *nodes = userdata;

        for (size_t i = 0; g_str_equal(element, "node") && names[i]; i++)
                if (g_str_equal(names[i], "name"))
                        g_ptr_array_add(nodes, g_strdup(values[i]));
}

/* The names of the nodes in what Introspect answers. */
static int parse_nodes(const char *xml, GPtrArray *nodes) {
        const GMarkupParser parser = {.start_element = on_element};
        GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, nodes, NULL);
        gboolean done = g_markup_parse_context_parse(context, xml, -1, NULL);

        g_markup_parse_context_free(context);
        return done ? 0 : -EBADMSG;
}

/* Not by GetManagedObjects: that has every connection too. */
static int list_nodes(sd_bus *bus, GPtrArray *nodes, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        const char *xml;
        int r;

        r = sd_bus_call_method(bus, NAME, FOLDER, "org.freedesktop.DBus.Introspectable",
                               "Introspect", error, &reply, "");
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &xml);
        if (r >= 0)
                r = parse_nodes(xml, nodes);
        (void)sd_bus_message_unref(reply);
        return r;
}

static void print_row(const Rows *rows) {
        uint64_t not_after = g_ascii_strtoull(rows_text(rows, "NotAfter"), NULL, 10);
        g_autofree char *day = text_day(not_after), *days = text_days_left(not_after);

        (void)printf(ROW, rows_text(rows, "Name"), rows_text(rows, "KeyType"), day, days,
                     rows_text(rows, "Fingerprint"), rows_text(rows, "Subject"));
}

static int print_identity(sd_bus *bus, const char *node, sd_bus_error *error) {
        const char *const properties[] = {"Name", "KeyType", "NotAfter", "Fingerprint", "Subject"};
        g_autofree char *path = g_strconcat(FOLDER "/", node, NULL);
        g_autoptr(Rows) rows = rows_new();
        int r = 0;

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(properties); i++)
                r = rows_read_property(rows, bus, path, "Identity", properties[i], error);
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_OBJECT)) {
                sd_bus_error_free(error); /* removed since it was listed */
                return 0;
        }
        if (r >= 0)
                print_row(rows);
        return r;
}

int command_identities(sd_bus *bus, Settings *settings, char **arguments) {
        g_autoptr(GPtrArray) nodes = g_ptr_array_new_with_free_func(g_free);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = list_nodes(bus, nodes, &error);
        if (r >= 0)
                (void)printf(ROW, "NAME", "KEY", "UNTIL", "DAYS", "FINGERPRINT", "SUBJECT");
        for (guint i = 0; r >= 0 && i < nodes->len; i++)
                r = print_identity(bus, nodes->pdata[i], &error);

        if (r < 0)
                (void)complain("identities", r, &error);
        sd_bus_error_free(&error);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
