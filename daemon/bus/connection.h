/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the interface Connection see of each other; connection.c has the vtable. */

#include "bus/private.h"

#define CONNECTION_CALL(name)                                                                      \
        int name(sd_bus_message *m, Connection *connection, sd_bus_error *error)

/* What a command of relay came to. */
int connection_answer(sd_bus_message *m, int r, const Reason *reason, sd_bus_error *error);
/* A method without arguments that is one command of relay. */
int connection_do(sd_bus_message *m, Connection *connection, sd_bus_error *error,
                  int (*command)(Connection *connection, Reason *reason));

/* ---- connection-calls.c: setting up, and the handshake ---- */

CONNECTION_CALL(call_set_peer);
CONNECTION_CALL(call_set_peer_verification_name);
CONNECTION_CALL(call_set_mtu_hint);
CONNECTION_CALL(call_set_configuration);
CONNECTION_CALL(call_set_cookie_generator_parameters);
CONNECTION_CALL(call_get_cookie_generator_parameters);
CONNECTION_CALL(call_ignore_verification_errors);
CONNECTION_CALL(call_do_handshake);
CONNECTION_CALL(call_handle_timeout);
CONNECTION_CALL(call_resume_handshake);
CONNECTION_CALL(call_abort_handshake);
CONNECTION_CALL(call_provide_psk);
CONNECTION_CALL(call_refuse_psk);

/* ---- connection-datagrams.c: datagrams and channels, and what else is of what was agreed ---- */

CONNECTION_CALL(call_write_datagram_encrypted);
CONNECTION_CALL(call_decrypt_datagram);
CONNECTION_CALL(call_open_carrier);
CONNECTION_CALL(call_read_datagram);
CONNECTION_CALL(call_open_channel);
CONNECTION_CALL(call_export_keying_material);
CONNECTION_CALL(call_get_session_ticket);

/* ---- connection-facts.c: the properties ---- */

BUS_GETTER(get_mode);
BUS_GETTER(get_transport);
BUS_GETTER(get_listener);
BUS_GETTER(get_owner);
BUS_GETTER(get_configuration);
BUS_GETTER(get_statistics);
BUS_GETTER(get_peer_address);
BUS_GETTER(get_peer_port);
BUS_GETTER(get_local_address);
BUS_GETTER(get_local_port);
BUS_GETTER(get_verification_name);
BUS_GETTER(get_mtu_hint);
BUS_GETTER(get_data_mtu);
BUS_GETTER(get_handshake_state);
BUS_GETTER(get_encrypted);
BUS_GETTER(get_error);
BUS_GETTER(get_peer_verification_errors);
BUS_GETTER(get_pending_psk);
BUS_GETTER(get_session_cipher);
BUS_GETTER(get_session_protocol);
BUS_GETTER(get_ephemeral_server_key);
BUS_GETTER(get_next_protocol);
BUS_GETTER(get_next_protocol_status);
BUS_GETTER(get_resumed);
BUS_GETTER(get_session_ticket_life_time_hint);
BUS_GETTER(get_psk_identity);
BUS_GETTER(get_peer_certificate_chain);
