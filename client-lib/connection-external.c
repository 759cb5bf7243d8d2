/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A connection whose datagrams the program carries. */

#include "private.h"

static int state_answered(sd_bus_message *reply, enum dtlsd_handshake_state *ret) {
        enum dtlsd_handshake_state state;
        const char *text;
        int r;

        r = sd_bus_message_read(reply, "s", &text);
        if (r >= 0)
                r = dtlsd_handshake_state_parse(text, &state);
        if (r >= 0 && ret)
                *ret = state;
        return r;
}

int dtlsd_connection_handshake_datagram(dtlsd_connection *connection, const void *datagram,
                                        size_t size, enum dtlsd_handshake_state *ret_state,
                                        sd_bus_error *error) {
        sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "DoHandshake", &m);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', datagram, size);
        if (r >= 0)
                r = sd_bus_call(connection->bus, m, DTLSD_CALL_USEC, error, &reply);
        if (r >= 0)
                r = state_answered(reply, ret_state);

        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_connection_decrypt_datagram(dtlsd_connection *connection, const void *datagram,
                                      size_t size, struct dtlsd_bytes **ret, size_t *ret_n,
                                      sd_bus_error *error) {
        sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "DecryptDatagram", &m);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', datagram, size);
        if (r >= 0)
                r = sd_bus_call(connection->bus, m, DTLSD_CALL_USEC, error, &reply);
        if (r >= 0)
                r = dtlsd_bytes_array_copy(reply, ret, ret_n);

        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_connection_open_carrier(dtlsd_connection *connection, int *ret_fd, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int fd = -1, r;

        r = sd_bus_call_method(connection->bus, DTLSD_NAME, connection->path, DTLSD_CONNECTION,
                               "OpenCarrier", error, &reply, NULL);
        if (r >= 0)
                r = sd_bus_message_read(reply, "h", &fd);
        if (r >= 0)
                r = fd = dtlsd_fd_copy(fd);
        if (r >= 0)
                *ret_fd = fd;

        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_connection_set_cookie_parameters(dtlsd_connection *connection,
                                           const struct dtlsd_cookie_parameters *parameters,
                                           sd_bus_error *error) {
        return dtlsd_cookie_parameters_set(connection->bus, connection->path, DTLSD_CONNECTION,
                                           parameters, error);
}

int dtlsd_connection_cookie_parameters(dtlsd_connection *connection,
                                       struct dtlsd_cookie_parameters *ret, sd_bus_error *error) {
        return dtlsd_cookie_parameters_get(connection->bus, connection->path, DTLSD_CONNECTION, ret,
                                           error);
}
