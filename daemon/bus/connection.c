/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection: the interface Connection. Each method reads, asks, does one thing of relay, answers
 * (connection-calls.c, connection-datagrams.c); each getter shows one fact (connection-facts.c).
 * Here is whose call it is; the vtable at the end is the summary.
 */

#include "bus/connection.h"

#include "base/terms.h"

/* ---- what the methods have in common ---- */

int connection_answer(sd_bus_message *m, int r, const Reason *reason, sd_bus_error *error) {
        return r ? bus_refuse(error, r, reason) : sd_bus_reply_method_return(m, NULL);
}

int connection_do(sd_bus_message *m, Connection *connection, sd_bus_error *error,
                  int (*command)(Connection *connection, Reason *reason)) {
        Reason reason;
        int r;

        r = command(connection, &reason);
        return connection_answer(m, r, &reason, error);
}

/* ---- the end ---- */

static int call_shutdown(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        return connection_do(m, connection, error, connection_shutdown);
}

static int method_close(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int r;

        r = bus_may_close(m, connection_facts(userdata).spec, error);
        if (r < 0)
                return r;

        connection_close(userdata, END_CLOSE);
        return sd_bus_reply_method_return(m, NULL);
}

/* ---- whose call it is, and what becomes of it ---- */

/* What comes of a call that its owner may make. */
typedef int (*ConnectionCall)(sd_bus_message *m, Connection *connection, sd_bus_error *error);

/* A call that was refused here left no error on its object yet; one that relay refused did. */
static void connection_keep_error(Connection *connection, BusError what, const char *text) {
        if (what == BUS_E_QUOTA)
                what = BUS_E_TLS_NON_FATAL;
        if (what < (BusError)N_DTLS_ERRORS)
                connection_set_error(connection, (DtlsError)what, text);
}

static int connection_call(sd_bus_message *m, Connection *connection, sd_bus_error *error,
                           ConnectionCall call, unsigned rights) {
        Bus *bus = message_bus(m);
        const Caller *caller = caller_of(bus, m);
        const Spec *spec = connection_facts(connection).spec;
        bool owns = caller_owns(caller, spec);
        int r;

        r = bus_may(bus, caller, spec, rights, error);
        if (r < 0)
                return r;

        r = call(m, connection, error);
        if (r < 0 && owns && sd_bus_error_is_set(error))
                connection_keep_error(connection, (BusError)-r, error->message);
        return r;
}

/* method_x, as sd-bus calls it, of call_x, which is the owner's, and theirs who have one of these
 * rights by a share. */
#define METHOD(name, rights)                                                                       \
        static int method_##name(sd_bus_message *m, void *userdata, sd_bus_error *error) {         \
                return connection_call(m, userdata, error, call_##name, rights);                   \
        }

METHOD(set_peer, 0)
METHOD(set_peer_verification_name, 0)
METHOD(set_mtu_hint, SHARE_CONTROL)
METHOD(set_configuration, 0)
METHOD(set_cookie_generator_parameters, 0)
METHOD(get_cookie_generator_parameters, 0)
METHOD(ignore_verification_errors, 0)
METHOD(do_handshake, SHARE_CONTROL)
METHOD(handle_timeout, SHARE_CONTROL)
METHOD(resume_handshake, SHARE_CONTROL)
METHOD(abort_handshake, SHARE_CONTROL)
METHOD(provide_psk, 0)
METHOD(refuse_psk, 0)
METHOD(write_datagram_encrypted, SHARE_WRITE)
METHOD(read_datagram, 0)
METHOD(decrypt_datagram, 0)
METHOD(open_carrier, 0)
METHOD(open_channel, SHARE_READ | SHARE_WRITE)
METHOD(export_keying_material, 0)
METHOD(get_session_ticket, 0)
METHOD(shutdown, SHARE_CONTROL)
METHOD(share, 0)
METHOD(unshare, 0)

/* ---- the interface ---- */

/* clang-format off */
const sd_bus_vtable connection_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("SetPeer",
                                SD_BUS_ARGS("s", address, "q", port, "s", name),
                                SD_BUS_NO_RESULT, method_set_peer, OPEN),
        SD_BUS_METHOD_WITH_ARGS("SetPeerVerificationName", SD_BUS_ARGS("s", name),
                                SD_BUS_NO_RESULT, method_set_peer_verification_name, OPEN),
        SD_BUS_METHOD_WITH_ARGS("SetMtuHint", SD_BUS_ARGS("q", mtu),
                                SD_BUS_NO_RESULT, method_set_mtu_hint, OPEN),
        SD_BUS_METHOD_WITH_ARGS("SetConfiguration", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_NO_RESULT, method_set_configuration, SECRET),
        SD_BUS_METHOD_WITH_ARGS("SetCookieGeneratorParameters",
                                SD_BUS_ARGS("s", hash, "ay", secret), SD_BUS_NO_RESULT,
                                method_set_cookie_generator_parameters, SECRET),
        SD_BUS_METHOD_WITH_ARGS("GetCookieGeneratorParameters", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("s", hash, "ay", secret),
                                method_get_cookie_generator_parameters, SECRET),
        SD_BUS_METHOD_WITH_ARGS("IgnoreVerificationErrors", SD_BUS_ARGS("a(say)", errors),
                                SD_BUS_NO_RESULT, method_ignore_verification_errors, OPEN),
        SD_BUS_METHOD_WITH_ARGS("DoHandshake", SD_BUS_ARGS("ay", datagram),
                                SD_BUS_RESULT("s", state), method_do_handshake, OPEN),
        SD_BUS_METHOD_WITH_ARGS("HandleTimeout", SD_BUS_NO_ARGS, SD_BUS_RESULT("b", handled),
                                method_handle_timeout, OPEN),
        SD_BUS_METHOD_WITH_ARGS("ResumeHandshake", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT,
                                method_resume_handshake, OPEN),
        SD_BUS_METHOD_WITH_ARGS("AbortHandshake", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT,
                                method_abort_handshake, OPEN),
        SD_BUS_METHOD_WITH_ARGS("ProvidePsk", SD_BUS_ARGS("ay", identity, "ay", key),
                                SD_BUS_NO_RESULT, method_provide_psk, SECRET),
        SD_BUS_METHOD_WITH_ARGS("RefusePsk", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT,
                                method_refuse_psk, OPEN),
        SD_BUS_METHOD_WITH_ARGS("WriteDatagramEncrypted", SD_BUS_ARGS("ay", datagram),
                                SD_BUS_RESULT("x", written), method_write_datagram_encrypted,
                                SECRET),
        SD_BUS_METHOD_WITH_ARGS("ReadDatagram", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("ay", datagram), method_read_datagram, SECRET),
        SD_BUS_METHOD_WITH_ARGS("DecryptDatagram", SD_BUS_ARGS("ay", datagram),
                                SD_BUS_RESULT("aay", plaintext), method_decrypt_datagram, SECRET),
        SD_BUS_METHOD_WITH_ARGS("OpenCarrier", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", carrier),
                                method_open_carrier, OPEN),
        SD_BUS_METHOD_WITH_ARGS("OpenChannel", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("h", channel, "u", data_mtu), method_open_channel,
                                SECRET),
        SD_BUS_METHOD_WITH_ARGS("ExportKeyingMaterial",
                                SD_BUS_ARGS("s", label, "ay", context, "u", length),
                                SD_BUS_RESULT("ay", material), method_export_keying_material,
                                SECRET),
        SD_BUS_METHOD_WITH_ARGS("GetSessionTicket", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("ay", ticket, "u", lifetime),
                                method_get_session_ticket, SECRET),
        SD_BUS_METHOD_WITH_ARGS("Shutdown", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_shutdown,
                                OPEN),
        SD_BUS_METHOD_WITH_ARGS("Share", SD_BUS_ARGS("s", subject, "as", rights),
                                SD_BUS_NO_RESULT, method_share, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Unshare", SD_BUS_ARGS("s", subject), SD_BUS_NO_RESULT,
                                method_unshare, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Close", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_close, OPEN),

        SD_BUS_SIGNAL_WITH_ARGS("HandshakeTimeout", SD_BUS_NO_ARGS, 0),
        SD_BUS_SIGNAL_WITH_ARGS("PskRequired",
                                SD_BUS_ARGS("ay", hint, "ay", peer_identity,
                                            "u", max_identity, "u", max_key), 0),
        SD_BUS_SIGNAL_WITH_ARGS("DatagramReceived", SD_BUS_ARGS("ay", datagram), 0),
        SD_BUS_SIGNAL_WITH_ARGS("DatagramToSend", SD_BUS_ARGS("ay", datagram), 0),
        SD_BUS_SIGNAL_WITH_ARGS("StateChanged",
                                SD_BUS_ARGS("s", state, "s", error, "s", text), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Closed", SD_BUS_ARGS("s", reason), 0),

        SD_BUS_PROPERTY("Mode", "s", get_mode, 0, CONST),
        SD_BUS_PROPERTY("Transport", "s", get_transport, 0, CONST),
        SD_BUS_PROPERTY("Listener", "o", get_listener, 0, CONST),
        SD_BUS_PROPERTY("Owner", "(us)", get_owner, 0, CONST),
        SD_BUS_PROPERTY("HandshakeState", "s", get_handshake_state, 0, CHANGES),
        SD_BUS_PROPERTY("Encrypted", "b", get_encrypted, 0, CHANGES),
        SD_BUS_PROPERTY("PeerAddress", "s", get_peer_address, 0, CHANGES),
        SD_BUS_PROPERTY("PeerPort", "q", get_peer_port, 0, CHANGES),
        SD_BUS_PROPERTY("LocalAddress", "s", get_local_address, 0, CHANGES),
        SD_BUS_PROPERTY("LocalPort", "q", get_local_port, 0, CHANGES),
        SD_BUS_PROPERTY("VerificationName", "s", get_verification_name, 0, CHANGES),
        SD_BUS_PROPERTY("MtuHint", "q", get_mtu_hint, 0, CHANGES),
        SD_BUS_PROPERTY("DataMtu", "u", get_data_mtu, 0, CHANGES),
        SD_BUS_PROPERTY("SessionCipher", "a{sv}", get_session_cipher, 0, CHANGES),
        SD_BUS_PROPERTY("SessionProtocol", "s", get_session_protocol, 0, CHANGES),
        SD_BUS_PROPERTY("EphemeralServerKey", "a{sv}", get_ephemeral_server_key, 0, CHANGES),
        SD_BUS_PROPERTY("NextProtocol", "ay", get_next_protocol, 0, CHANGES),
        SD_BUS_PROPERTY("NextProtocolStatus", "s", get_next_protocol_status, 0, CHANGES),
        SD_BUS_PROPERTY("Resumed", "b", get_resumed, 0, CHANGES),
        SD_BUS_PROPERTY("SessionTicketLifeTimeHint", "u", get_session_ticket_life_time_hint, 0,
                        CHANGES),
        SD_BUS_PROPERTY("Error", "(ss)", get_error, 0, CHANGES),
        SD_BUS_PROPERTY("PeerVerificationErrors", "a(say)", get_peer_verification_errors, 0, LONG),
        SD_BUS_PROPERTY("PeerCertificateChain", "aay", get_peer_certificate_chain, 0, LONG),
        SD_BUS_PROPERTY("PskIdentity", "ay", get_psk_identity, 0, CHANGES),
        SD_BUS_PROPERTY("PendingPsk", "(bayayuu)", get_pending_psk, 0, CHANGES),
        SD_BUS_PROPERTY("Configuration", "a{sv}", get_configuration, 0, LONG),
        SD_BUS_PROPERTY("Shares", "a(sas)", get_shares, 0, LONG),
        SD_BUS_PROPERTY("Attached", "a(usast)", get_attached, 0, LONG),
        SD_BUS_PROPERTY("Statistics", "a{st}", get_statistics, 0, EXPLICIT),

        SD_BUS_VTABLE_END,
};
/* clang-format on */
