/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands with datagrams that the application carries, see commands.h. */

#include "base/fault.h"
#include "relay/commands.h"

/* May it be, @in has come as if from the network. */
static int command_take(Connection *connection, Command command, const Datagram *in,
                        Reason *reason) {
        int r;

        r = command_check(connection, command, reason);
        if (r)
                return r;

        if (connection->carrier)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "The carrier is open; write the peer's datagrams there");
        if (in->size > DATAGRAM_SIZE_MAX)
                return reason_set(reason, RELAY_E_TOO_LONG,
                                  "The datagram has %zu bytes; none has more than %d", in->size,
                                  DATAGRAM_SIZE_MAX);

        carrier_received(connection, in);
        return 0;
}

static int command_associate_server(Connection *connection, const Hello *hello, Reason *reason) {
        int r;

        r = command_prepare_handshake(connection, COMMAND_CONTINUE, reason);
        if (r)
                return r;

        connection->endpoint = endpoint_new_external(connection);
        r = connection_associate(connection, hello, reason);
        if (r) {
                endpoint_bury(connection->endpoint);
                connection->endpoint = NULL;
        }

        return r;
}

/* A datagram for a handshake that goes on. */
static int command_receive(Connection *connection, const Datagram *in, Reason *reason) {
        Relay *relay = connection->relay;
        int r;

        connection_prepare(connection);
        r = session_receive(connection->session, relay_now(relay), in, relay->net, relay->app);
        connection_finish(connection, r);
        return connection->session ? 0 : command_failed(connection, reason);
}

int connection_begin_server(Connection *connection, const Datagram *in, const Hello *hello,
                            Reason *reason) {
        int r;

        r = command_associate_server(connection, hello, reason);
        if (r)
                return command_done(connection, r, reason);

        (void)command_done(connection, 0, reason);
        connection_set_state(connection, HANDSHAKE_IN_PROGRESS);
        return command_receive(connection, in, reason);
}

/* Qt's own order: nothing is answered, because the hello should have been through a verifier. */
static int command_greet(Connection *connection, const Datagram *in, Reason *reason) {
        Hello hello;
        int r;

        if (!address_is_set(&connection->spec->peer))
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "No peer is set; call SetPeer first");
        if (connection->spec->role == DTLS_CLIENT)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "A client speaks first: start with an empty datagram");

        datagram_batch_reset(connection->relay->net);
        r = carrier_prove(connection, in, &hello);
        datagram_batch_reset(connection->relay->net);
        if (r < 0)
                return fault(r);
        if (r > 0)
                return reason_set(reason, RELAY_E_TLS_FATAL, "This is no client's hello%s",
                                  connection->spec->cookies
                                          ? " with a good cookie; a ClientVerifier with the same "
                                            "cookie parameters asks for one"
                                          : "");

        return connection_begin_server(connection, in, &hello, reason);
}

static int command_continue(Connection *connection, const void *data, size_t size, Reason *reason) {
        Datagram in = {.data = data, .size = size, .peer = connection->spec->peer};
        int r;

        if (!connection->spec->external)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "With Transport 'udp' the service reads the socket: the datagram "
                                  "has to be empty");

        r = command_take(connection, COMMAND_CONTINUE, &in, reason);
        if (r)
                return r;

        return connection->session ? command_receive(connection, &in, reason)
                                   : command_greet(connection, &in, reason);
}

int connection_continue_handshake(Connection *connection, const void *data, size_t size,
                                  Reason *reason) {
        return command_done(connection, command_continue(connection, data, size, reason), reason);
}

static GPtrArray *command_take_plaintext(DatagramBatch *app) {
        GPtrArray *plain = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

        for (size_t i = 0; i < datagram_batch_count(app); i++) {
                Datagram d = datagram_batch_at(app, i);

                g_ptr_array_add(plain, g_bytes_new(d.data, d.size));
        }

        datagram_batch_reset(app);
        return plain;
}

static int command_decrypt(Connection *connection, const void *data, size_t size, GPtrArray **ret,
                           Reason *reason) {
        Datagram in = {.data = data, .size = size, .peer = connection->spec->peer};
        Relay *relay = connection->relay;
        int r;

        if (!connection->spec->external)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "With Transport 'udp' the service reads the socket; what it "
                                  "decrypted is read with ReadDatagram");

        r = command_take(connection, COMMAND_DECRYPT, &in, reason);
        if (r)
                return r;

        connection_prepare(connection);
        if (size > 0)
                r = session_receive(connection->session, relay_now(relay), &in, relay->net,
                                    relay->app);

        *ret = command_take_plaintext(relay->app);
        tally_connection(connection, TALLY_DELIVERED, (*ret)->len);
        connection_finish(connection, r);
        return 0;
}

int connection_decrypt(Connection *connection, const void *data, size_t size, GPtrArray **ret,
                       Reason *reason) {
        g_autoptr(GPtrArray) plain = NULL;
        int r;

        r = command_decrypt(connection, data, size, &plain, reason);
        if (r == 0 && !connection->session) {
                /* why it ended stays the error; what came before it is still the application's */
                r = plain->len > 0 ? 0 : command_failed(connection, reason);
        } else {
                r = command_done(connection, r, reason);
        }

        if (r == 0)
                *ret = g_steal_pointer(&plain);
        return r;
}

static int command_open_carrier(Connection *connection, int *ret_fd, Reason *reason) {
        if (!connection->spec->external)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "A carrier needs Transport 'external'; here the service has a "
                                  "socket");
        if (connection->carrier)
                return reason_set(reason, RELAY_E_CHANNEL_IN_USE,
                                  "A carrier is open already; close its fd first");

        return connection_attach_carrier(connection, ret_fd, reason);
}

int connection_open_carrier(Connection *connection, int *ret_fd, Reason *reason) {
        return command_done(connection, command_open_carrier(connection, ret_fd, reason), reason);
}
