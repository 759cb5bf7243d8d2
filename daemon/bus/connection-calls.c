/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connection's methods that set it up and drive its handshake, see connection.c. */

#include "bus/connection.h"

/* ---- setting up ---- */

int call_set_peer(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        bool external = connection_facts(connection).spec->external;
        Bus *bus = message_bus(m);
        const char *text, *name;
        Address peer;
        Reason reason;
        uint16_t port;
        bool is_peer;
        int r;

        r = sd_bus_message_read(m, "sqs", &text, &port, &name);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = options_check_name(name, error);
        if (r < 0)
                return r;

        /* what is no peer's address is for relay to refuse: the object shall keep the error */
        is_peer = address_parse(text, port, &peer) == 0 && address_is_peer(&peer);
        r = is_peer && !external ? bus_ask(bus, m, ACCESS_CONNECT, &peer, error) : 1;
        if (r <= 0)
                return r < 0 ? r : 1;

        r = connection_set_peer(connection, is_peer ? &peer : NULL, name, &reason);
        return connection_answer(m, r, &reason, error);
}

int call_set_peer_verification_name(sd_bus_message *m, Connection *connection,
                                    sd_bus_error *error) {
        const char *name;
        Reason reason;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = options_check_name(name, error);
        if (r < 0)
                return r;

        r = connection_set_verification_name(connection, name, &reason);
        return connection_answer(m, r, &reason, error);
}

int call_set_mtu_hint(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        Reason reason;
        uint16_t mtu;
        int r;

        r = sd_bus_message_read(m, "q", &mtu);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = connection_set_mtu_hint(connection, mtu, &reason);
        return connection_answer(m, r, &reason, error);
}

int call_set_configuration(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        g_autoptr(Spec) spec = NULL;
        Bus *bus = message_bus(m);
        Reason reason;
        int r;

        spec = options_start_from(connection_facts(connection).spec);
        r = options_read(bus, m, OPTIONS_FOR_SET_CONFIGURATION, spec, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = options_ask(bus, m, OPTIONS_FOR_SET_CONFIGURATION, spec, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = connection_set_spec(connection, g_steal_pointer(&spec), &reason);
        return connection_answer(m, r, &reason, error);
}

int call_set_cookie_generator_parameters(sd_bus_message *m, Connection *connection,
                                         sd_bus_error *error) {
        CookieParameters parameters;
        Reason reason;
        int r;

        r = cookie_parameters_read(m, &parameters, error);
        if (r < 0)
                return r;

        r = connection_set_cookie_parameters(connection, &parameters, &reason);
        return connection_answer(m, r, &reason, error);
}

int call_get_cookie_generator_parameters(sd_bus_message *m, Connection *connection,
                                         sd_bus_error *error) {
        CookieParameters parameters;

        if (!connection_cookie_parameters(connection, &parameters))
                return bus_refuse_text(error, BUS_E_INVALID_OPERATION,
                                       "Cookies are a server's, this is a client");

        return cookie_parameters_reply(m, parameters);
}

int call_ignore_verification_errors(sd_bus_message *m, Connection *connection,
                                    sd_bus_error *error) {
        g_autoptr(GArray) errors = NULL;
        Reason reason;
        int r;

        r = ignored_read(m, &errors, error);
        if (r < 0)
                return r;

        if (connection_facts(connection).spec->role == DTLS_CLIENT && errors->len > 0) {
                r = bus_ask(message_bus(m), m, ACCESS_VERIFY_NONE, /* about= */ NULL, error);
                if (r <= 0)
                        return r < 0 ? r : 1;
        }

        r = connection_ignore_errors(connection, errors, &reason);
        return connection_answer(m, r, &reason, error);
}

/* ---- the handshake ---- */

int call_do_handshake(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        const void *datagram;
        Reason reason;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &datagram, &size);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = size > 0 ? connection_continue_handshake(connection, datagram, size, &reason)
                     : connection_do_handshake(connection, &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        return sd_bus_reply_method_return(m, "s",
                                          handshake_state_name(connection_facts(connection).state));
}

int call_handle_timeout(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        bool handled = false;
        Reason reason;
        int r;

        r = connection_handle_timeout(connection, &handled, &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        return sd_bus_reply_method_return(m, "b", (int)handled);
}

int call_resume_handshake(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        return connection_do(m, connection, error, connection_resume_handshake);
}

int call_abort_handshake(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        return connection_do(m, connection, error, connection_abort_handshake);
}

int call_provide_psk(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        size_t identity_size, key_size;
        g_autoptr(GBytes) identity = NULL;
        g_autoptr(Secret) key = NULL;
        const void *data;
        Reason reason;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &identity_size);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        identity = g_bytes_new(data, identity_size);
        r = sd_bus_message_read_array(m, 'y', &data, &key_size);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        /* of another size: for relay to refuse */
        if (key_size > 0 && key_size <= SESSION_PSK_KEY_MAX)
                key = secret_new(data, key_size);

        r = connection_provide_psk(connection, identity, key, &reason);
        return connection_answer(m, r, &reason, error);
}

int call_refuse_psk(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        return connection_do(m, connection, error, connection_refuse_psk);
}
