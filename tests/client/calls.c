/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "calls.h"

#include "system/stage.h"

#include <string.h>

dtlsd_connection *create_connection(const Scene *scene, const char *address, uint16_t port,
                                    const struct dtlsd_options *options) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection = NULL;

        if (dtlsd_connection_create(scene->bus, address, port, options, &connection, &error) < 0)
                g_error("create: %s: %s", error.name, error.message);
        return connection;
}

enum dtlsd_handshake_state state_of(dtlsd_connection *connection) {
        enum dtlsd_handshake_state state = (enum dtlsd_handshake_state)99;

        g_assert_cmpint(dtlsd_connection_handshake_state(connection, &state, NULL), ==, 0);
        return state;
}

void wait_state(const Scene *scene, const dtlsd_connection *connection, const char *state) {
        wait_string(scene->bus, dtlsd_connection_path(connection), CONNECTION, "HandshakeState",
                    state);
}

void expect_refused(int r, sd_bus_error *error, const char *name) {
        if (!sd_bus_error_has_name(error, name))
                g_error("refused with %s (%s), not with %s", error->name, error->message, name);
        g_assert_cmpint(r, ==, -sd_bus_error_get_errno(error));
        g_assert_cmpint(r, <, 0);
        g_assert_cmpint(strlen(error->message), >, 0);
        sd_bus_error_free(error);
}

void expect_last_error(dtlsd_connection *connection, const char *name) {
        sd_bus_error last = SD_BUS_ERROR_NULL;

        g_assert_cmpint(dtlsd_connection_last_error(connection, &last, NULL), ==, 0);
        g_assert_cmpstr(last.name, ==, name);
        g_assert_true(!name || (last.message && *last.message));
        sd_bus_error_free(&last);
}

void expect_configuration(const Scene *scene, const char *path, const char *interface,
                          const char *const *expected) {
        sd_bus_message *reply = NULL;
        GString *text;

        g_assert_cmpint(sd_bus_get_property(scene->bus, NAME, path, interface, "Configuration",
                                            NULL, &reply, "a{sv}"),
                        >=, 0);
        text = message_flatten(reply);
        for (; *expected; expected++)
                if (!strstr(text->str, *expected))
                        g_error("no %s in %s", *expected, text->str);
        (void)g_string_free(text, TRUE);
        (void)sd_bus_message_unref(reply);
}
