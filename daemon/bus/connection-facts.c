/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connection's properties, see connection.c: each getter shows one fact. */

#include "bus/connection.h"

/* ---- what it is ---- */

int get_mode(sd_bus *b, const char *path, const char *interface, const char *property,
             sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_text(reply, dtls_role_name(connection_facts(userdata).spec->role));
}

int get_transport(sd_bus *b, const char *path, const char *interface, const char *property,
                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_text(reply, transport_name(connection_facts(userdata).spec));
}

int get_listener(sd_bus *b, const char *path, const char *interface, const char *property,
                 sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Listener *listener = connection_facts(userdata).listener;
        char buffer[BUS_PATH_MAX] = "/";

        if (listener)
                (void)listener_path(listener_facts(listener).id, buffer);

        return sd_bus_message_append_basic(reply, 'o', buffer);
}

int get_owner(sd_bus *b, const char *path, const char *interface, const char *property,
              sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_owner(reply, connection_facts(userdata).spec);
}

int get_configuration(sd_bus *b, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return options_append(reply, connection_facts(userdata).spec);
}

int get_statistics(sd_bus *b, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Counters counters = connection_counters(userdata);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{st}");
        if (r >= 0)
                r = append_counters(reply, &counters);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* ---- where ---- */

int get_peer_address(sd_bus *b, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);

        return append_address(reply, &facts.peer);
}

int get_peer_port(sd_bus *b, const char *path, const char *interface, const char *property,
                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);

        return sd_bus_message_append(reply, "q", address_port(&facts.peer));
}

int get_local_address(sd_bus *b, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);

        return append_address(reply, &facts.local);
}

int get_local_port(sd_bus *b, const char *path, const char *interface, const char *property,
                   sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);

        return sd_bus_message_append(reply, "q", address_port(&facts.local));
}

int get_verification_name(sd_bus *b, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_text(reply, connection_facts(userdata).spec->verification_name);
}

int get_mtu_hint(sd_bus *b, const char *path, const char *interface, const char *property,
                 sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "q", connection_facts(userdata).spec->mtu_hint);
}

int get_data_mtu(sd_bus *b, const char *path, const char *interface, const char *property,
                 sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "u", connection_facts(userdata).data_mtu);
}

/* ---- how it stands ---- */

int get_handshake_state(sd_bus *b, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_text(reply, handshake_state_name(connection_facts(userdata).state));
}

int get_encrypted(sd_bus *b, const char *path, const char *interface, const char *property,
                  sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", (int)connection_facts(userdata).encrypted);
}

int get_error(sd_bus *b, const char *path, const char *interface, const char *property,
              sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);

        return append_error(reply, facts.error, facts.error_text);
}

static int append_verification_error(sd_bus_message *reply, const VerdictError *verdict) {
        int r;

        r = sd_bus_message_open_container(reply, 'r', "say");
        if (r >= 0)
                r = append_text(reply, verdict_code_name(verdict->code));
        if (r >= 0)
                r = append_bytes(reply, verdict->certificate);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int get_peer_verification_errors(sd_bus *b, const char *path, const char *interface,
                                 const char *property, sd_bus_message *reply, void *userdata,
                                 sd_bus_error *error) {
        const GArray *errors = connection_facts(userdata).verification_errors;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(say)");
        for (guint i = 0; r >= 0 && i < errors->len; i++)
                r = append_verification_error(reply, &g_array_index(errors, VerdictError, i));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int get_pending_psk(sd_bus *b, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        PendingPsk psk = connection_facts(userdata).psk;
        int r;

        r = sd_bus_message_open_container(reply, 'r', "bayayuu");
        if (r >= 0)
                r = sd_bus_message_append(reply, "b", (int)psk.pending);
        if (r >= 0)
                r = append_bytes(reply, psk.hint);
        if (r >= 0)
                r = append_bytes(reply, psk.peer_identity);
        if (r >= 0)
                r = sd_bus_message_append(reply, "uu", psk.max_identity, psk.max_key);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* ---- what was agreed ---- */

static int append_cipher(sd_bus_message *reply, const SessionFacts *session) {
        const struct {
                const char *key, *text;
        } members[] = {
                {"Name", session->cipher_name},
                {"Protocol", session->protocol},
                {"KeyExchangeMethod", session->key_exchange},
                {"AuthenticationMethod", session->authentication},
                {"EncryptionMethod", session->encryption},
                {"Mac", session->mac},
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(members); i++)
                r = append_entry_text(reply, members[i].key, members[i].text);
        if (r >= 0)
                r = append_entry_number(reply, "SupportedBits", session->bits);
        if (r >= 0)
                r = append_entry_number(reply, "UsedBits", session->bits);
        if (r >= 0)
                r = append_entry_bool(reply, "ExtendedMasterSecret",
                                      session->extended_master_secret);
        return r;
}

int get_session_cipher(sd_bus *b, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0 && *facts.session.cipher_name)
                r = append_cipher(reply, &facts.session);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int get_session_protocol(sd_bus *b, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_text(reply, connection_facts(userdata).session.protocol);
}

int get_ephemeral_server_key(sd_bus *b, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error) {
        SessionFacts session = connection_facts(userdata).session;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0 && session.curve && *session.curve)
                r = append_entry_text(reply, "Curve", session.curve);
        if (r >= 0 && session.dh_bits > 0)
                r = append_entry_number(reply, "Bits", session.dh_bits);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int get_next_protocol(sd_bus *b, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);

        return sd_bus_message_append_array(reply, 'y', facts.session.next_protocol,
                                           facts.session.next_protocol_size);
}

int get_next_protocol_status(sd_bus *b, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error) {
        return append_text(reply, connection_facts(userdata).session.next_protocol_status);
}

int get_resumed(sd_bus *b, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", (int)connection_facts(userdata).session.resumed);
}

int get_session_ticket_life_time_hint(sd_bus *b, const char *path, const char *interface,
                                      const char *property, sd_bus_message *reply, void *userdata,
                                      sd_bus_error *error) {
        return sd_bus_message_append(reply, "u",
                                     connection_facts(userdata).session.ticket_lifetime);
}

int get_psk_identity(sd_bus *b, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_bytes(reply, connection_facts(userdata).psk_identity);
}

int get_peer_certificate_chain(sd_bus *b, const char *path, const char *interface,
                               const char *property, sd_bus_message *reply, void *userdata,
                               sd_bus_error *error) {
        return append_byte_arrays(reply, connection_facts(userdata).peer_chain);
}
