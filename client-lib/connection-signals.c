/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Signals of a connection, to its handlers.
 *
 * They come to the owning name alone, so no match rule is asked of the bus, which allows few; a
 * filter sees them. Anybody may send a signal of any name to anybody: one counts where the
 * service's unique name sent it.
 */

#include "private.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void handle_handshake_timeout(dtlsd_connection *connection, sd_bus_message *m) {
        if (connection->handlers.handshake_timeout)
                connection->handlers.handshake_timeout(connection, connection->handlers_userdata);
}

static void handle_psk_required(dtlsd_connection *connection, sd_bus_message *m) {
        struct dtlsd_psk_request request = {0};

        if (!connection->handlers.psk_required ||
            sd_bus_message_read_array(m, 'y', &request.hint, &request.hint_size) < 0 ||
            sd_bus_message_read_array(m, 'y', &request.peer_identity, &request.peer_identity_size) <
                    0 ||
            sd_bus_message_read(m, "uu", &request.max_identity_size, &request.max_psk_size) < 0)
                return;

        connection->handlers.psk_required(connection, &request, connection->handlers_userdata);
}

static void handle_state_changed(dtlsd_connection *connection, sd_bus_message *m) {
        enum dtlsd_handshake_state state;
        sd_bus_error why = SD_BUS_ERROR_NULL;
        const char *word, *name, *text;

        if (!connection->handlers.state_changed ||
            sd_bus_message_read(m, "sss", &word, &name, &text) < 0 ||
            dtlsd_handshake_state_parse(word, &state) < 0 || dtlsd_error_make(&why, name, text) < 0)
                return;

        connection->handlers.state_changed(connection, state, &why, connection->handlers_userdata);
        sd_bus_error_free(&why);
}

static void handle_closed(dtlsd_connection *connection, sd_bus_message *m) {
        const char *reason;

        if (connection->handlers.closed && sd_bus_message_read(m, "s", &reason) >= 0)
                connection->handlers.closed(connection, reason, connection->handlers_userdata);
}

static void handle_datagram_to_send(dtlsd_connection *connection, sd_bus_message *m) {
        const void *data;
        size_t size;

        if (connection->handlers.datagram_to_send &&
            sd_bus_message_read_array(m, 'y', &data, &size) >= 0)
                connection->handlers.datagram_to_send(connection, data, size,
                                                      connection->handlers_userdata);
}

static const struct {
        const char *member;
        void (*handle)(dtlsd_connection *connection, sd_bus_message *m);
} signals[] = {
        {"HandshakeTimeout", handle_handshake_timeout}, {"PskRequired", handle_psk_required},
        {"StateChanged", handle_state_changed},         {"Closed", handle_closed},
        {"DatagramToSend", handle_datagram_to_send},
};

/* A filter that returns 0 leaves the message to the program's own matches. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        dtlsd_connection *connection = userdata;
        const char *sender = sd_bus_message_get_sender(m);

        if (sd_bus_message_is_signal(m, DTLSD_CONNECTION, NULL) <= 0 || !sender ||
            strcmp(sd_bus_message_get_path(m), connection->path) != 0 ||
            strcmp(sender, connection->service) != 0)
                return 0;

        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
                if (strcmp(sd_bus_message_get_member(m), signals[i].member) == 0) {
                        signals[i].handle(connection, m); /* which may free it */
                        break;
                }
        return 0;
}

/* Whose answer it is that the connection is there. */
static int find_service(dtlsd_connection *connection, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        const char *sender;
        char *name;
        int r;

        r = sd_bus_get_property(connection->bus, DTLSD_NAME, connection->path, DTLSD_CONNECTION,
                                "HandshakeState", error, &reply, "s");
        if (r < 0)
                return r;

        sender = sd_bus_message_get_sender(reply);
        name = sender ? strdup(sender) : NULL;
        (void)sd_bus_message_unref(reply);
        if (!name)
                return sender ? -ENOMEM : -EBADMSG;

        free(connection->service);
        connection->service = name;
        return 0;
}

static bool handlers_are_known(const struct dtlsd_handlers *handlers) {
        for (size_t i = 0; i < sizeof handlers->reserved / sizeof *handlers->reserved; i++)
                if (handlers->reserved[i])
                        return false;

        return true;
}

int dtlsd_connection_set_handlers(dtlsd_connection *connection,
                                  const struct dtlsd_handlers *handlers, void *userdata,
                                  sd_bus_error *error) {
        int r;

        if (!handlers) {
                connection->signals = sd_bus_slot_unref(connection->signals);
                return 0;
        }
        if (!handlers_are_known(handlers))
                return -EINVAL;

        r = find_service(connection, error);
        if (r >= 0 && !connection->signals)
                r = sd_bus_add_filter(connection->bus, &connection->signals, on_message,
                                      connection);
        if (r < 0)
                return r;

        connection->handlers = *handlers;
        connection->handlers_userdata = userdata;
        return 0;
}
