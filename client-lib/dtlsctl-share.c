/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl share, unshare and attach: one connection, several programs. Subjects and rights are the
 * service's to understand.
 */

#include "dtlsctl.h"

#include <stdlib.h>

/* The connection that is named, NULL: has said why there is none. */
static dtlsd_connection *connection_find(sd_bus *bus, const char *text, int *ret_status) {
        g_autofree char *path = connection_parse(text);
        dtlsd_connection *connection = NULL;
        int r;

        *ret_status = EXIT_USAGE;
        if (!path)
                return NULL;

        r = dtlsd_connection_at(bus, path, &connection);
        if (r < 0)
                *ret_status = complain(text, r, NULL);
        return connection;
}

/* An exit status; lets go of all. */
static int finish(dtlsd_connection *connection, const char *what, int r, sd_bus_error *error) {
        if (r < 0 && sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_OBJECT))
                say("there is no connection %s, or it is not shared with you", what);
        else if (r < 0)
                (void)complain(what, r, error);

        sd_bus_error_free(error);
        (void)dtlsd_connection_unref(connection);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_share(sd_bus *bus, Settings *settings, char **arguments) {
        g_auto(GStrv) rights = g_strsplit(arguments[2], ",", -1);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection;
        int r, status;

        connection = connection_find(bus, arguments[0], &status);
        if (!connection)
                return status;

        r = dtlsd_connection_share(connection, arguments[1], (const char *const *)rights, &error);
        return finish(connection, arguments[0], r, &error);
}

int command_unshare(sd_bus *bus, Settings *settings, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection;
        int r, status;

        connection = connection_find(bus, arguments[0], &status);
        if (!connection)
                return status;

        r = dtlsd_connection_unshare(connection, arguments[1], &error);
        return finish(connection, arguments[0], r, &error);
}

int command_attach(sd_bus *bus, Settings *settings, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection;
        int r, status;

        connection = connection_find(bus, arguments[0], &status);
        if (!connection)
                return status;

        r = dtlsd_connection_open_channel(connection, &error);
        if (r < 0)
                return finish(connection, arguments[0], r, &error);

        say("connection %s, datagrams of up to %u bytes", arguments[0],
            dtlsd_connection_data_mtu(connection));
        status = copy_both(connection, settings_wait_msec(settings), /* is_shared= */ true);
        (void)dtlsd_connection_unref(connection);
        return status;
}
