/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl revocations: certificates that the service's store takes back.
 */

#include "dtlsctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_ROW "%-32s %5s %6s %s\n"
#define LIST_ROW "%-10s %-10s %12s %s\n"

/* ---- changing ---- */

/* Each a fingerprint or else a file. */
static int revocations_set(sd_bus *bus, char **arguments) {
        g_autoptr(GPtrArray) files = g_ptr_array_new();
        g_autoptr(GPtrArray) denied = g_ptr_array_new();
        sd_bus_error error = SD_BUS_ERROR_NULL;
        uint8_t fingerprint[FINGERPRINT_SIZE];
        int r;

        if (!arguments[0] || !arguments[1])
                return say_usage("usage: dtlsctl revocations set NAME FILE|FINGERPRINT...");

        for (char **what = arguments + 1; *what; what++)
                g_ptr_array_add(fingerprint_read(*what, fingerprint) ? denied : files, *what);
        g_ptr_array_add(files, NULL);
        g_ptr_array_add(denied, NULL);

        r = dtlsd_set_revocations(bus, arguments[0], (const char *const *)files->pdata,
                                  (const char *const *)denied->pdata, &error);
        return finish_call(arguments[0], r, &error);
}

static int revocations_remove(sd_bus *bus, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (!arguments[0] || arguments[1])
                return say_usage("usage: dtlsctl revocations remove NAME");

        r = dtlsd_remove_revocations(bus, arguments[0], &error);
        return finish_call(arguments[0], r, &error);
}

/* ---- listing ---- */

static int print_entries(sd_bus_message *reply) {
        uint32_t n_lists, n_denied;
        const char *name;
        int damaged, r;

        (void)printf(ENTRY_ROW, "NAME", "LISTS", "DENIED", "FOR");
        r = sd_bus_message_enter_container(reply, 'a', "(suub)");
        while (r >= 0) {
                g_autofree char *lists = NULL, *denied = NULL;

                r = sd_bus_message_read(reply, "(suub)", &name, &n_lists, &n_denied, &damaged);
                if (r <= 0)
                        break;
                lists = g_strdup_printf("%u", n_lists);
                denied = g_strdup_printf("%u", n_denied);
                (void)printf(ENTRY_ROW, name, damaged ? "?" : lists, damaged ? "?" : denied,
                             damaged                        ? "damaged: set it again, or remove it"
                             : g_str_has_prefix(name, "u/") ? "its user"
                                                            : "everybody");
        }

        return r;
}

static int print_lists(sd_bus_message *reply) {
        uint64_t begin, end;
        uint32_t n_certificates;
        const char *issuer;
        int r;

        (void)printf(LIST_ROW, "FROM", "UNTIL", "CERTIFICATES", "ISSUER");
        r = sd_bus_message_enter_container(reply, 'a', "(sttu)");
        while (r >= 0) {
                g_autofree char *from = NULL, *until = NULL, *escaped = NULL, *n = NULL;

                r = sd_bus_message_read(reply, "(sttu)", &issuer, &begin, &end, &n_certificates);
                if (r <= 0)
                        break;
                from = text_day(begin);
                until = end > 0 ? text_day(end) : g_strdup("-");
                n = g_strdup_printf("%u", n_certificates);
                escaped = text_escape(issuer, strlen(issuer));
                (void)printf(LIST_ROW, from, until, n, escaped);
        }

        return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int print_denied(sd_bus_message *reply) {
        char **denied = NULL;
        int r;

        r = sd_bus_message_read_strv(reply, &denied);
        for (char **hash = denied; r >= 0 && hash && *hash; hash++)
                (void)printf("%s\n", *hash);
        g_strfreev(denied);
        return r;
}

static int print_one(sd_bus_message *reply) {
        int r = print_lists(reply);

        return r < 0 ? r : print_denied(reply);
}

static int revocations_list(sd_bus *bus, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        int r;

        if (arguments[0] && arguments[1])
                return say_usage("usage: dtlsctl revocations list [NAME]");

        if (arguments[0])
                r = sd_bus_call_method(bus, NAME, ROOT, NAME ".Manager", "GetRevocations", &error,
                                       &reply, "s", arguments[0]);
        else
                r = sd_bus_call_method(bus, NAME, ROOT, NAME ".Manager", "ListRevocations", &error,
                                       &reply, "");
        if (r >= 0)
                r = arguments[0] ? print_one(reply) : print_entries(reply);

        (void)sd_bus_message_unref(reply);
        return finish_call(arguments[0] ? arguments[0] : "revocations", r, &error);
}

int command_revocations(sd_bus *bus, Settings *settings, char **arguments) {
        if (g_str_equal(arguments[0], "set"))
                return revocations_set(bus, arguments + 1);
        if (g_str_equal(arguments[0], "remove"))
                return revocations_remove(bus, arguments + 1);
        if (g_str_equal(arguments[0], "list"))
                return revocations_list(bus, arguments + 1);

        return say_usage("there is no command 'revocations %s'; there are 'revocations set', "
                         "'revocations remove' and 'revocations list'",
                         arguments[0]);
}
