/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * manager: the interface Manager, on the root object: makes connections, listeners and client
 * verifiers, and says what there is to know of the service. The vtable at the end is the summary.
 */

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/memfd.h"
#include "base/terms.h"
#include "bus/private.h"

#include <string.h>

/* ---- making ---- */

static int manager_read_mode(sd_bus_message *m, DtlsRole *ret, sd_bus_error *error) {
        g_autofree char *quoted = NULL;
        const char *mode;
        int r;

        r = sd_bus_message_read(m, "s", &mode);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        for (DtlsRole role = DTLS_CLIENT; role <= DTLS_SERVER; role++)
                if (strcmp(mode, dtls_role_name(role)) == 0) {
                        *ret = role;
                        return 1;
                }

        quoted = text_quote(mode);
        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                               "The mode is '%s'; it has to be 'client' or 'server'", quoted);
}

static int manager_make_connection(Bus *bus, sd_bus_message *m, OptionsFor what, Spec **spec,
                                   Connection **ret, sd_bus_error *error) {
        Reason reason;
        int r;

        r = options_read(bus, m, what, *spec, error);
        if (r <= 0)
                return r;

        r = options_ask(bus, m, what, *spec, error);
        if (r <= 0)
                return r;

        r = relay_create_connection(bus->relay, g_steal_pointer(spec), ret, &reason);
        return r ? bus_refuse(error, r, &reason) : 1;
}

static int method_create_connection(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        g_autoptr(Spec) spec = NULL;
        DtlsRole role = DTLS_CLIENT;
        char path[BUS_PATH_MAX];
        Connection *connection;
        int r;

        r = manager_read_mode(m, &role, error);
        if (r < 0)
                return r;

        spec = options_new(bus, m, OPTIONS_FOR_CREATE, role);
        r = manager_make_connection(bus, m, OPTIONS_FOR_CREATE, &spec, &connection, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        (void)connection_path(connection_id(connection), path);
        return sd_bus_reply_method_return(m, "o", path);
}

static int manager_read_where(sd_bus_message *m, Address *ret, sd_bus_error *error) {
        const char *text;
        uint16_t port;
        int r;

        r = sd_bus_message_read(m, "sq", &text, &port);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        return options_read_peer(text, port, ret, error);
}

static int method_connect(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        g_autoptr(Spec) spec = options_new(bus, m, OPTIONS_FOR_CONNECT, DTLS_CLIENT);
        Connection *connection;
        Reason reason;
        int r;

        r = manager_read_where(m, &spec->peer, error);
        if (r < 0)
                return r;

        r = manager_make_connection(bus, m, OPTIONS_FOR_CONNECT, &spec, &connection, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = connection_do_handshake(connection, &reason);
        if (r) {
                connection_close(connection, END_FAILED);
                return bus_refuse(error, r, &reason);
        }

        pending_connect(bus, m, connection_id(connection));
        return 1;
}

static int manager_read_listen(Bus *bus, sd_bus_message *m, Spec *spec, sd_bus_error *error) {
        const char *text;
        uint16_t port;
        int r;

        r = sd_bus_message_read(m, "sq", &text, &port);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = options_read_local(text, port, &spec->local, error);
        if (r < 0)
                return r;

        r = options_read(bus, m, OPTIONS_FOR_LISTEN, spec, error);
        if (r <= 0)
                return r;

        return options_ask(bus, m, OPTIONS_FOR_LISTEN, spec, error);
}

static int method_listen(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        g_autoptr(Spec) spec = options_new(bus, m, OPTIONS_FOR_LISTEN, DTLS_SERVER);
        char path[BUS_PATH_MAX];
        Listener *listener;
        Reason reason;
        Address bound;
        bool picked;
        int r;

        r = manager_read_listen(bus, m, spec, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        picked = address_port(&spec->local) == 0;
        r = relay_listen(bus->relay, g_steal_pointer(&spec), &listener, &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        bound = listener_facts(listener).local;
        r = picked ? bus_check_port(bus, m, &bound, error) : 1;
        if (r < 0) {
                (void)listener_close(listener);
                return r;
        }

        (void)listener_path(listener_facts(listener).id, path);
        return sd_bus_reply_method_return(m, "o", path);
}

static int method_create_client_verifier(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        const Caller *caller = caller_of(bus, m);
        g_autoptr(Spec) spec = spec_new(DTLS_SERVER, caller->uid, caller->name);
        char path[BUS_PATH_MAX];
        Verifier *verifier;
        Reason reason;
        int r;

        r = options_read(bus, m, OPTIONS_FOR_VERIFIER, spec, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = relay_create_verifier(bus->relay, g_steal_pointer(&spec), &verifier, &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        (void)verifier_path(verifier_facts(verifier).id, path);
        return sd_bus_reply_method_return(m, "o", path);
}

static int method_open_channel(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        static const Dict none = {.call = "OpenChannel", .where = 1};
        Bus *bus = message_bus(m);
        const Caller *caller = caller_of(bus, m);
        g_autofd int app_fd = -1;
        Reason reason;
        uint32_t id;
        int r;

        r = dict_read(m, &none, NULL, error);
        if (r < 0)
                return r;

        r = relay_open_channel(bus->relay, caller->uid, caller->name, &app_fd, &id, &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        return sd_bus_reply_method_return(m, "hu", app_fd, id);
}

/* ---- what is not named ---- */

static int method_set_default_configuration(sd_bus_message *m, void *userdata,
                                            sd_bus_error *error) {
        Bus *bus = message_bus(m);
        g_autoptr(Spec) spec = options_new_defaults(bus, m);
        g_autofree char *why = NULL;
        uid_t uid = spec->uid;
        int r;

        r = options_read(bus, m, OPTIONS_FOR_SET_DEFAULTS, spec, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = caller_set_defaults(bus, m, g_steal_pointer(&spec));
        if (r) {
                why = quota_refusal(bus->quota, uid, QUOTA_BYTES, (QuotaOutcome)r);
                return bus_refuse_text(error, BUS_E_QUOTA, "%s", why);
        }

        return sd_bus_reply_method_return(m, NULL);
}

static int method_get_default_configuration(sd_bus_message *m, void *userdata,
                                            sd_bus_error *error) {
        Bus *bus = message_bus(m);
        g_autoptr(Spec) spec = options_shown_defaults(bus, m);
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = options_append(reply, spec);
        return r < 0 ? r : sd_bus_message_send(reply);
}

/* ---- signals ---- */

static int method_subscribe(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        static const DictKey keys[] = {{"All", "b", 1, dict_read_basic, 0, 0, 0}};
        static const Dict dict = {keys, G_N_ELEMENTS(keys), 1, "Subscribe"};
        Bus *bus = message_bus(m);
        int all = false, r;

        r = dict_read(m, &dict, &all, error);
        if (r < 0)
                return r;

        r = news_watch(bus, caller_of(bus, m), all, error);
        return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

static int method_unsubscribe(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);

        news_unwatch(bus, caller_of(bus, m)->name);
        return sd_bus_reply_method_return(m, NULL);
}

/* ---- the interface ---- */

/* clang-format off */
const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("CreateConnection", SD_BUS_ARGS("s", mode, "a{sv}", options),
                                SD_BUS_RESULT("o", connection), method_create_connection, SECRET),
        SD_BUS_METHOD_WITH_ARGS("Connect",
                                SD_BUS_ARGS("s", address, "q", port, "a{sv}", options),
                                SD_BUS_RESULT("o", connection, "h", channel, "u", data_mtu),
                                method_connect, SECRET),
        SD_BUS_METHOD_WITH_ARGS("Listen",
                                SD_BUS_ARGS("s", address, "q", port, "a{sv}", options),
                                SD_BUS_RESULT("o", listener), method_listen, SECRET),
        SD_BUS_METHOD_WITH_ARGS("CreateClientVerifier", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("o", verifier), method_create_client_verifier,
                                SECRET),
        SD_BUS_METHOD_WITH_ARGS("OpenChannel", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("h", channel, "u", id), method_open_channel, SECRET),
        SD_BUS_METHOD_WITH_ARGS("SetDefaultConfiguration", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_NO_RESULT, method_set_default_configuration, SECRET),
        SD_BUS_METHOD_WITH_ARGS("GetDefaultConfiguration", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a{sv}", options),
                                method_get_default_configuration, OPEN),
        SD_BUS_METHOD_WITH_ARGS("ListConnections",
                                SD_BUS_ARGS("t", after, "u", max, "a{sv}", filter),
                                SD_BUS_RESULT("a(oa{sv})", connections), method_list_connections,
                                SECRET),
        SD_BUS_METHOD_WITH_ARGS("Subscribe", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                method_subscribe, SECRET),
        SD_BUS_METHOD_WITH_ARGS("Unsubscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT,
                                method_unsubscribe, OPEN),
        SD_BUS_METHOD_WITH_ARGS("ImportIdentity",
                                SD_BUS_ARGS("s", name, "aay", chain, "a{sv}", options),
                                SD_BUS_NO_RESULT, method_import_identity, SECRET),
        SD_BUS_METHOD_WITH_ARGS("GenerateIdentity", SD_BUS_ARGS("s", name, "a{sv}", options),
                                SD_BUS_RESULT("s", csr), method_generate_identity, SECRET),
        SD_BUS_METHOD_WITH_ARGS("InstallCertificate", SD_BUS_ARGS("s", name, "aay", chain),
                                SD_BUS_NO_RESULT, method_install_certificate, OPEN),
        SD_BUS_METHOD_WITH_ARGS("RemoveIdentity", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT,
                                method_remove_identity, OPEN),
        SD_BUS_METHOD_WITH_ARGS("AddTrustAnchors", SD_BUS_ARGS("s", trust, "aay", certificates),
                                SD_BUS_NO_RESULT, method_add_trust_anchors, OPEN),
        SD_BUS_METHOD_WITH_ARGS("RemoveTrustAnchor", SD_BUS_ARGS("s", trust, "ay", fingerprint),
                                SD_BUS_NO_RESULT, method_remove_trust_anchor, OPEN),
        SD_BUS_METHOD_WITH_ARGS("ListTrusts", SD_BUS_NO_ARGS, SD_BUS_RESULT("as", trusts),
                                method_list_trusts, OPEN),
        SD_BUS_METHOD_WITH_ARGS("ListTrustAnchors", SD_BUS_ARGS("s", trust),
                                SD_BUS_RESULT("a(sst)", anchors), method_list_trust_anchors,
                                OPEN),
        SD_BUS_METHOD_WITH_ARGS("SetPsk", SD_BUS_ARGS("s", name, "a{sv}", options),
                                SD_BUS_NO_RESULT, method_set_psk, SECRET),
        SD_BUS_METHOD_WITH_ARGS("RemovePsk", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT,
                                method_remove_psk, OPEN),
        SD_BUS_METHOD_WITH_ARGS("ListPsks", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(say)", psks),
                                method_list_psks, OPEN),
        SD_BUS_METHOD_WITH_ARGS("Pin", SD_BUS_ARGS("s", host, "q", port, "a{sv}", options),
                                SD_BUS_NO_RESULT, method_pin, SECRET),
        SD_BUS_METHOD_WITH_ARGS("Unpin", SD_BUS_ARGS("s", host, "q", port, "a{sv}", options),
                                SD_BUS_NO_RESULT, method_unpin, SECRET),
        SD_BUS_METHOD_WITH_ARGS("ListPins", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sqayb)", pins),
                                method_list_pins, OPEN),
        SD_BUS_METHOD_WITH_ARGS("SetRevocations", SD_BUS_ARGS("s", name, "a{sv}", options),
                                SD_BUS_NO_RESULT, method_set_revocations, SECRET),
        SD_BUS_METHOD_WITH_ARGS("RemoveRevocations", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT,
                                method_remove_revocations, OPEN),
        SD_BUS_METHOD_WITH_ARGS("ListRevocations", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a(suub)", revocations), method_list_revocations,
                                OPEN),
        SD_BUS_METHOD_WITH_ARGS("GetRevocations", SD_BUS_ARGS("s", name),
                                SD_BUS_RESULT("a(sttu)", lists, "as", denied),
                                method_get_revocations, OPEN),
        SD_BUS_METHOD_WITH_ARGS("CheckAccess", SD_BUS_ARGS("s", action, "a{sv}", details),
                                SD_BUS_RESULT("s", verdict, "s", rule), method_check_access,
                                SECRET),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_reload, OPEN),

        SD_BUS_PROPERTY("Version", "s", get_version, 0, CONST),
        SD_BUS_PROPERTY("Features", "as", get_features, 0, CONST),
        SD_BUS_PROPERTY("SupportedCiphers", "as", get_supported_ciphers, 0, CONST),
        SD_BUS_PROPERTY("SupportedEllipticCurves", "as", get_supported_curves, 0, CONST),
        SD_BUS_PROPERTY("SupportedProtocols", "as", get_supported_protocols, 0, CONST),
        SD_BUS_PROPERTY("SupportedHashes", "as", get_supported_hashes, 0, CONST),
        SD_BUS_PROPERTY("Limits", "a{st}", get_limits, 0, EXPLICIT),
        SD_BUS_PROPERTY("Statistics", "a{st}", get_service_statistics, 0, EXPLICIT),

        SD_BUS_VTABLE_END,
};
/* clang-format on */
