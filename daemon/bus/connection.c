/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * connection: the interface Connection. Each method reads, asks, does one thing of relay, answers;
 * each getter shows one fact. The vtable at the end is the summary.
 */

#include "base/cleanup.h"
#include "base/terms.h"
#include "bus/private.h"

#include <string.h>

#define CONNECTION_FOLDER DTLSD_ROOT_PATH "/connection/"
#define READ_TIMEOUT_MAX 600000 /* ms */
#define USEC_PER_MSEC UINT64_C(1000)

/* ---- paths ---- */

const char *connection_path(uint32_t id, char buffer[static BUS_PATH_MAX]) {
        (void)g_snprintf(buffer, BUS_PATH_MAX, CONNECTION_FOLDER "%" G_GUINT32_FORMAT, id);
        return buffer;
}

int connection_find(sd_bus *b, const char *path, const char *interface, void *userdata,
                    void **found, sd_bus_error *error) {
        Bus *bus = bus_of(b);
        Connection *connection;
        uint32_t id;

        if (!path_number(path, CONNECTION_FOLDER, &id))
                return 0;

        connection = relay_find_connection(bus->relay, id);
        if (!connection)
                return 0;
        if (!bus_may_see(bus, caller_current(bus), connection_facts(connection).spec))
                return 0;

        *found = connection;
        return 1;
}

/* ---- what the methods have in common ---- */

static int connection_answer(sd_bus_message *m, int r, const Reason *reason, sd_bus_error *error) {
        return r ? bus_refuse(error, r, reason) : sd_bus_reply_method_return(m, NULL);
}

/* A method without arguments that is one command of relay. */
static int connection_do(sd_bus_message *m, Connection *connection, sd_bus_error *error,
                         int (*command)(Connection *connection, Reason *reason)) {
        Reason reason;
        int r;

        r = command(connection, &reason);
        return connection_answer(m, r, &reason, error);
}

/* ---- setting up ---- */

static int call_set_peer(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
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

static int call_set_peer_verification_name(sd_bus_message *m, Connection *connection,
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

static int call_set_mtu_hint(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        Reason reason;
        uint16_t mtu;
        int r;

        r = sd_bus_message_read(m, "q", &mtu);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = connection_set_mtu_hint(connection, mtu, &reason);
        return connection_answer(m, r, &reason, error);
}

static int call_set_configuration(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
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

static int call_set_cookie_generator_parameters(sd_bus_message *m, Connection *connection,
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

static int call_get_cookie_generator_parameters(sd_bus_message *m, Connection *connection,
                                                sd_bus_error *error) {
        CookieParameters parameters;

        if (!connection_cookie_parameters(connection, &parameters))
                return bus_refuse_text(error, "InvalidOperation",
                                       "Cookies are a server's, this is a client");

        return cookie_parameters_reply(m, parameters);
}

static int call_ignore_verification_errors(sd_bus_message *m, Connection *connection,
                                           sd_bus_error *error) {
        g_autoptr(GArray) errors = NULL;
        Reason reason;
        int r;

        r = ignored_read(m, &errors, error);
        if (r < 0)
                return r;

        r = connection_ignore_errors(connection, errors, &reason);
        return connection_answer(m, r, &reason, error);
}

/* ---- the handshake ---- */

static int call_do_handshake(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
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

static int call_handle_timeout(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        bool handled = false;
        Reason reason;
        int r;

        r = connection_handle_timeout(connection, &handled, &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        return sd_bus_reply_method_return(m, "b", (int)handled);
}

static int call_resume_handshake(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        return connection_do(m, connection, error, connection_resume_handshake);
}

static int call_abort_handshake(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        return connection_do(m, connection, error, connection_abort_handshake);
}

static int call_provide_psk(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
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

static int call_refuse_psk(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        return connection_do(m, connection, error, connection_refuse_psk);
}

/* ---- datagrams ---- */

static int call_write_datagram_encrypted(sd_bus_message *m, Connection *connection,
                                         sd_bus_error *error) {
        const void *datagram;
        Reason reason;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &datagram, &size);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = connection_write(connection, caller_of(message_bus(m), m)->uid, datagram, size,
                             &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        return sd_bus_reply_method_return(m, "x", (int64_t)size);
}

static int reply_byte_arrays(sd_bus_message *m, GPtrArray *bytes) {
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_byte_arrays(reply, bytes);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);

        (void)sd_bus_message_unref(reply);
        return r;
}

static int call_decrypt_datagram(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        g_autoptr(GPtrArray) plain = NULL;
        const void *datagram;
        Reason reason;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &datagram, &size);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = connection_decrypt(connection, datagram, size, &plain, &reason);
        return r ? bus_refuse(error, r, &reason) : reply_byte_arrays(m, plain);
}

static int call_open_carrier(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        g_autofd int carrier_fd = -1;
        Reason reason;
        int r;

        r = connection_open_carrier(connection, &carrier_fd, &reason);
        return r ? bus_refuse(error, r, &reason) : sd_bus_reply_method_return(m, "h", carrier_fd);
}

static int read_timeout(sd_bus_message *m, const DictKey *key, void *userdata,
                        sd_bus_error *error) {
        uint32_t *timeout = userdata;
        int r;

        r = sd_bus_message_read_basic(m, 'u', timeout);
        if (r < 0)
                return bus_refuse(error, r, NULL);
        if (*timeout > READ_TIMEOUT_MAX)
                return bus_refuse_text(error, "InvalidInputParameters",
                                       "Option 'Timeout' is %" G_GUINT32_FORMAT
                                       "; it has to be 0 to %d milliseconds",
                                       *timeout, READ_TIMEOUT_MAX);

        return 1;
}

static int reply_bytes(sd_bus_message *m, GBytes *bytes) {
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_bytes(reply, bytes);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);

        (void)sd_bus_message_unref(reply);
        return r;
}

static int call_read_datagram(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        static const DictKey keys[] = {{"Timeout", "u", 1, read_timeout, 0, 0, 0}};
        static const Dict dict = {keys, G_N_ELEMENTS(keys), 1, "ReadDatagram"};
        g_autoptr(GBytes) datagram = NULL;
        uint32_t timeout = 0;
        Reason reason;
        int r;

        r = dict_read(m, &dict, &timeout, error);
        if (r < 0)
                return r;

        r = connection_read(connection, &datagram, &reason);
        if (r == RELAY_E_NOTHING && timeout > 0)
                return pending_read(message_bus(m), m, connection_facts(connection).id,
                                    timeout * USEC_PER_MSEC, error);
        if (r)
                return bus_refuse(error, r, &reason);

        return reply_bytes(m, datagram);
}

/* The owner's, or one by a share; the latter also for other programs of the user whose it is, once
 * one of them has the owner's. */
static int open_channel(const Caller *caller, Connection *connection, int *ret_fd,
                        uint32_t *ret_data_mtu, Reason *reason) {
        ConnectionFacts facts = connection_facts(connection);
        bool is_shared = caller_rights(caller, facts.spec->shares) & (SHARE_READ | SHARE_WRITE);
        Opener opener;

        if (caller_owns(caller, facts.spec) && !(facts.channel_open && is_shared))
                return connection_open_channel(connection, ret_fd, ret_data_mtu, reason);

        opener = (Opener){.subject = caller_subject(caller), .name = caller->name};
        return connection_open_shared_channel(connection, &opener, ret_fd, ret_data_mtu, reason);
}

static int call_open_channel(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        static const Dict none = {NULL, 0, 1, "OpenChannel"};
        g_autofd int channel_fd = -1;
        uint32_t data_mtu;
        Reason reason;
        int r;

        r = dict_read(m, &none, NULL, error);
        if (r < 0)
                return r;

        r = open_channel(caller_of(message_bus(m), m), connection, &channel_fd, &data_mtu, &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        return sd_bus_reply_method_return(m, "hu", channel_fd, data_mtu);
}

static int reply_secret(sd_bus_message *m, const Secret *secret) {
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_sensitive(reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', secret_peek(secret),
                                                secret_size(secret));
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);

        (void)sd_bus_message_unref(reply);
        return r;
}

static int call_export_keying_material(sd_bus_message *m, Connection *connection,
                                       sd_bus_error *error) {
        g_autoptr(Secret) material = NULL;
        g_autoptr(GBytes) context = NULL;
        const char *label;
        const void *data;
        uint32_t length;
        Reason reason;
        size_t size;
        int r;

        r = bus_ask(message_bus(m), m, ACCESS_EXPORT_KEY, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = sd_bus_message_read_basic(m, 's', &label);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r >= 0)
                r = sd_bus_message_read_basic(m, 'u', &length);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        context = size > 0 ? g_bytes_new(data, size) : NULL;
        r = connection_export_keying_material(connection, label, context, length, &material,
                                              &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        return reply_secret(m, material);
}

static int call_get_session_ticket(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        g_autoptr(GBytes) ticket = NULL;
        sd_bus_message *reply = NULL;
        uint32_t lifetime;
        Reason reason;
        int r;

        r = connection_session_ticket(connection, &ticket, &lifetime, &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_bytes(reply, ticket);
        if (r >= 0)
                r = sd_bus_message_append(reply, "u", lifetime);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);

        (void)sd_bus_message_unref(reply);
        return r;
}

/* ---- the end ---- */

static int call_shutdown(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        return connection_do(m, connection, error, connection_shutdown);
}

static int call_close(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        connection_close(connection, END_CLOSE);
        return sd_bus_reply_method_return(m, NULL);
}

/* ---- whose call it is, and what becomes of it ---- */

/* What comes of a call that its owner may make. */
typedef int (*ConnectionCall)(sd_bus_message *m, Connection *connection, sd_bus_error *error);

/* A call that was refused here left no error on its object yet; one that relay refused did. */
static void connection_keep_error(Connection *connection, const sd_bus_error *error) {
        const char *name = error->name;

        if (!name || !g_str_has_prefix(name, DTLSD_ERROR_PREFIX))
                return;

        name += strlen(DTLSD_ERROR_PREFIX);
        if (g_str_equal(name, "QuotaExceeded"))
                name = dtls_error_name(DTLS_TLS_NON_FATAL_ERROR);
        for (DtlsError what = DTLS_NO_ERROR + 1; what < N_DTLS_ERRORS; what++)
                if (g_str_equal(name, dtls_error_name(what)))
                        connection_set_error(connection, what, error->message);
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
        if (r < 0 && owns)
                connection_keep_error(connection, error);
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
METHOD(close, 0)

/* ---- facts: what it is ---- */

static int get_mode(sd_bus *b, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_text(reply, dtls_role_name(connection_facts(userdata).spec->role));
}

static int get_transport(sd_bus *b, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_text(reply, transport_name(connection_facts(userdata).spec));
}

static int get_listener(sd_bus *b, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Listener *listener = connection_facts(userdata).listener;
        char buffer[BUS_PATH_MAX] = "/";

        if (listener)
                (void)listener_path(listener_facts(listener).id, buffer);

        return sd_bus_message_append_basic(reply, 'o', buffer);
}

static int get_owner(sd_bus *b, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_owner(reply, connection_facts(userdata).spec);
}

static int get_configuration(sd_bus *b, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error) {
        return options_append(reply, connection_facts(userdata).spec);
}

static int get_statistics(sd_bus *b, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Counters counters = connection_counters(userdata);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{st}");
        if (r >= 0)
                r = append_counters(reply, &counters);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* ---- facts: where ---- */

static int get_peer_address(sd_bus *b, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);

        return append_address(reply, &facts.peer);
}

static int get_peer_port(sd_bus *b, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);

        return sd_bus_message_append(reply, "q", address_port(&facts.peer));
}

static int get_local_address(sd_bus *b, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);

        return append_address(reply, &facts.local);
}

static int get_local_port(sd_bus *b, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);

        return sd_bus_message_append(reply, "q", address_port(&facts.local));
}

static int get_verification_name(sd_bus *b, const char *path, const char *interface,
                                 const char *property, sd_bus_message *reply, void *userdata,
                                 sd_bus_error *error) {
        return append_text(reply, connection_facts(userdata).spec->verification_name);
}

static int get_mtu_hint(sd_bus *b, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "q", connection_facts(userdata).spec->mtu_hint);
}

static int get_data_mtu(sd_bus *b, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "u", connection_facts(userdata).data_mtu);
}

/* ---- facts: how it stands ---- */

static int get_handshake_state(sd_bus *b, const char *path, const char *interface,
                               const char *property, sd_bus_message *reply, void *userdata,
                               sd_bus_error *error) {
        return append_text(reply, handshake_state_name(connection_facts(userdata).state));
}

static int get_encrypted(sd_bus *b, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", (int)connection_facts(userdata).encrypted);
}

static int get_error(sd_bus *b, const char *path, const char *interface, const char *property,
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

static int get_peer_verification_errors(sd_bus *b, const char *path, const char *interface,
                                        const char *property, sd_bus_message *reply, void *userdata,
                                        sd_bus_error *error) {
        const GArray *errors = connection_facts(userdata).verification_errors;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(say)");
        for (guint i = 0; r >= 0 && i < errors->len; i++)
                r = append_verification_error(reply, &g_array_index(errors, VerdictError, i));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_pending_psk(sd_bus *b, const char *path, const char *interface, const char *property,
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

/* ---- facts: what was agreed ---- */

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

static int get_session_cipher(sd_bus *b, const char *path, const char *interface,
                              const char *property, sd_bus_message *reply, void *userdata,
                              sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0 && *facts.session.cipher_name)
                r = append_cipher(reply, &facts.session);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_session_protocol(sd_bus *b, const char *path, const char *interface,
                                const char *property, sd_bus_message *reply, void *userdata,
                                sd_bus_error *error) {
        return append_text(reply, connection_facts(userdata).session.protocol);
}

static int get_ephemeral_server_key(sd_bus *b, const char *path, const char *interface,
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

static int get_next_protocol(sd_bus *b, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error) {
        ConnectionFacts facts = connection_facts(userdata);

        return sd_bus_message_append_array(reply, 'y', facts.session.next_protocol,
                                           facts.session.next_protocol_size);
}

static int get_next_protocol_status(sd_bus *b, const char *path, const char *interface,
                                    const char *property, sd_bus_message *reply, void *userdata,
                                    sd_bus_error *error) {
        return append_text(reply, connection_facts(userdata).session.next_protocol_status);
}

static int get_resumed(sd_bus *b, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "b", (int)connection_facts(userdata).session.resumed);
}

static int get_session_ticket_life_time_hint(sd_bus *b, const char *path, const char *interface,
                                             const char *property, sd_bus_message *reply,
                                             void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "u",
                                     connection_facts(userdata).session.ticket_lifetime);
}

static int get_psk_identity(sd_bus *b, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error) {
        return append_bytes(reply, connection_facts(userdata).psk_identity);
}

static int get_peer_certificate_chain(sd_bus *b, const char *path, const char *interface,
                                      const char *property, sd_bus_message *reply, void *userdata,
                                      sd_bus_error *error) {
        return append_byte_arrays(reply, connection_facts(userdata).peer_chain);
}

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
