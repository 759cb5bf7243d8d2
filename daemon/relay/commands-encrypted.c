/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of what is encrypted, see commands.h. */

#include "base/fault.h"
#include "relay/commands.h"

static int command_try_again(Reason *reason) {
        return reason_set(reason, RELAY_E_TLS_NON_FATAL,
                          "The datagram could not be sent now; try again");
}

static int command_write(Connection *connection, uid_t uid, const void *data, size_t size,
                         Reason *reason) {
        size_t max;
        int r;

        r = command_check(connection, COMMAND_WRITE, reason);
        if (r)
                return r;
        if (size == 0)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "An empty datagram cannot be sent");
        if (endpoint_is_full(connection->endpoint))
                return command_try_again(reason);

        r = pace_take_one(connection->relay, uid, reason);
        if (r)
                return r;

        connection_follow_path(connection, connection->spec->dont_fragment);
        connection_prepare(connection);
        r = connection_seal(connection, data, size);
        if (r < 0) {
                connection_fail(connection, fault(r));
                return command_failed(connection, reason);
        }
        if (r == SESSION_E_FAILED) {
                connection_finish(connection, r);
                return command_failed(connection, reason);
        }
        endpoint_flush(connection->endpoint);

        if (r == SESSION_E_TOO_LONG) {
                max = connection->spec->dont_fragment ? connection->data_mtu
                                                      : session_payload_max(connection->session);
                return reason_set(reason, RELAY_E_TOO_LONG,
                                  "A datagram of %zu bytes is too long; at most %zu can be sent",
                                  size, max);
        }
        if (r > 0)
                return command_try_again(reason);

        tally_connection(connection, TALLY_COLLECTED, 1);
        tally_direct(connection);
        return 0;
}

int connection_write(Connection *connection, uid_t uid, const void *data, size_t size,
                     Reason *reason) {
        return command_done(connection, command_write(connection, uid, data, size, reason), reason);
}

static int command_read(Connection *connection, GBytes **ret, Reason *reason) {
        GBytes *first = connection_take_oldest(connection);
        int r;

        if (first) {
                *ret = first;
                return 0;
        }
        if (connection->state == HANDSHAKE_NOT_STARTED &&
            connection->error == DTLS_REMOTE_CLOSED_CONNECTION_ERROR)
                return reason_set(reason, RELAY_E_CLOSED, "The peer has closed the connection");

        r = command_check(connection, COMMAND_READ, reason);
        if (r)
                return r;
        if (connection->outlet || connection->trunk)
                return reason_set(reason, RELAY_E_CHANNEL_IN_USE,
                                  "A channel is open, and what arrives goes there");

        return reason_set(reason, RELAY_E_NOTHING, "Nothing has arrived");
}

int connection_read(Connection *connection, GBytes **ret, Reason *reason) {
        int r = command_read(connection, ret, reason);

        /* why it ended stays readable while what came before is read */
        if (r == 0 && connection->state == HANDSHAKE_NOT_STARTED)
                return 0;

        return command_done(connection, r, reason);
}

int connection_shutdown(Connection *connection, Reason *reason) {
        int r;

        r = command_check(connection, COMMAND_SHUTDOWN, reason);
        if (r)
                return command_done(connection, r, reason);

        connection_end(connection, END_SHUTDOWN);
        connection_forget_session(connection);
        return command_done(connection, 0, reason);
}

int command_check_channel(const Connection *connection, Reason *reason) {
        int r;

        r = command_check(connection, COMMAND_OPEN_CHANNEL, reason);
        if (r)
                return r;
        if (connection->spec->external && !connection->carrier)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "With Transport 'external' a channel needs a carrier; call "
                                  "OpenCarrier first");

        return 0;
}

static int command_open_channel(Connection *connection, int *ret_fd, Reason *reason) {
        int r;

        r = command_check_channel(connection, reason);
        if (r)
                return r;
        if (connection->in_backlog)
                return reason_set(reason, RELAY_E_CHANNEL_IN_USE,
                                  "This connection waits to be taken off its listener's accept "
                                  "queue");
        if (connection->trunk)
                return reason_set(reason, RELAY_E_CHANNEL_IN_USE,
                                  "The connection goes over shared channel %" G_GUINT32_FORMAT,
                                  connection->spec->channel);
        if (connection->outlet)
                return reason_set(reason, RELAY_E_CHANNEL_IN_USE,
                                  "A channel is open already; close its fd first");

        return connection_attach_channel(connection, ret_fd, reason);
}

int connection_open_channel(Connection *connection, int *ret_fd, uint32_t *ret_data_mtu,
                            Reason *reason) {
        int r = command_open_channel(connection, ret_fd, reason);

        if (r == 0)
                *ret_data_mtu = connection->data_mtu;

        return command_done(connection, r, reason);
}

static int command_export(Connection *connection, const char *label, GBytes *context, uint32_t size,
                          Secret **ret, Reason *reason) {
        gsize context_size = 0;
        const void *data = context ? g_bytes_get_data(context, &context_size) : NULL;
        int r;

        r = command_check(connection, COMMAND_EXPORT, reason);
        if (r)
                return r;

        r = session_export_keying_material(connection->session, label, data, context_size, size,
                                           ret);
        if (r == SESSION_E_BAD_EXPORT)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "The label must have 1 to %d printable ASCII characters and be "
                                  "none of TLS itself ('key expansion'), the context at most %d "
                                  "bytes, the length 1 to %d",
                                  SESSION_EXPORT_LABEL_MAX, SESSION_EXPORT_CONTEXT_MAX,
                                  SESSION_EXPORT_MAX);
        if (r > 0)
                return reason_set(reason, RELAY_E_TLS_NON_FATAL,
                                  "The peer has no extended master secret (RFC 7627): what would "
                                  "be exported might be another session's too");

        return r < 0 ? fault(r) : 0;
}

int connection_export_keying_material(Connection *connection, const char *label, GBytes *context,
                                      uint32_t size, Secret **ret, Reason *reason) {
        return command_done(connection,
                            command_export(connection, label, context, size, ret, reason), reason);
}

static int command_ticket(Connection *connection, GBytes **ret, uint32_t *ret_lifetime,
                          Reason *reason) {
        g_autoptr(Secret) session = NULL;
        int r;

        r = command_check(connection, COMMAND_TICKET, reason);
        if (r)
                return r;

        r = session_ticket(connection->session, &session, ret_lifetime);
        if (r > 0)
                return reason_set(reason, RELAY_E_TLS_NON_FATAL,
                                  "There is no session ticket: a client gets one with SslOptions "
                                  "that do not disable it, from a server that gives tickets, and "
                                  "not with a pre-shared key");

        return r < 0 ? fault(r) : ticket_seal(connection->relay, connection->spec, session, ret);
}

int connection_session_ticket(Connection *connection, GBytes **ret, uint32_t *ret_lifetime,
                              Reason *reason) {
        int r = command_ticket(connection, ret, ret_lifetime, reason);

        return r ? command_done(connection, r, reason) : 0; /* who reads changes no error */
}
