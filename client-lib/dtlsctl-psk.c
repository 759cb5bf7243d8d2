/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl set-psk, remove-psk and psks: the service's store of pre-shared keys.
 */

#include "dtlsctl.h"

#include <stdio.h>
#include <stdlib.h>

#define ROW "%-32s %s\n"

int command_set_psk(sd_bus *bus, Settings *settings, char **arguments) {
        const struct dtlsd_options *options = &settings->options;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = dtlsd_set_psk(bus, arguments[0], options->psk_identity, options->psk_identity_size,
                          options->psk, options->psk_size, &error);
        if (r < 0)
                (void)complain(arguments[0], r, &error);
        sd_bus_error_free(&error);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_remove_psk(sd_bus *bus, Settings *settings, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = dtlsd_remove_psk(bus, arguments[0], &error);
        if (r < 0)
                (void)complain(arguments[0], r, &error);
        sd_bus_error_free(&error);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* 1: one was printed; 0: there are no more. */
static int print_psk(sd_bus_message *m) {
        g_autofree char *escaped = NULL;
        const void *identity;
        const char *name;
        size_t size;
        int r;

        r = sd_bus_message_enter_container(m, 'r', "say");
        if (r <= 0)
                return r;

        r = sd_bus_message_read(m, "s", &name);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &identity, &size);
        if (r < 0)
                return r;

        escaped = text_escape(identity, size);
        (void)printf(ROW, name, escaped);
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

int command_psks(sd_bus *bus, Settings *settings, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, NAME, ROOT, NAME ".Manager", "ListPsks", &error, &reply, "");
        if (r >= 0)
                (void)printf(ROW, "NAME", "IDENTITY");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(say)");
        while (r > 0)
                r = print_psk(reply);
        (void)sd_bus_message_unref(reply);

        if (r < 0)
                (void)complain("psks", r, &error);
        sd_bus_error_free(&error);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
