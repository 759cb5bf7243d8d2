/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Server, see server.h. A method reads, does one thing with vault or signer, and answers. Every use
 * of a key leaves a trace in the log with the uid it was for: refusals each, uses summed up by key,
 * user and minute, and of all that no more than so much for each user.
 */

#include "base/brake.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memfd.h"
#include "base/terms.h"
#include "keyring/server-private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

/* D-Bus wants one for each bus; this is none, and nobody tells it from another. */
#define SERVER_ID SD_ID128_MAKE(8f, 4c, 61, 2e, 90, b7, 4d, 35, a2, 1e, 6b, c8, 70, d9, 53, f1)

/* ---- the log ---- */

uint64_t server_now(const Server *server) {
        uint64_t now_usec = 0;

        (void)sd_event_now(server->event, CLOCK_MONOTONIC, &now_usec); /* 0 before the loop runs */
        return now_usec;
}

void server_log(Server *server, int level, const char *message_id, const ServerSubject *subject,
                const char *text) {
        g_autofree char *id = g_strdup_printf("DTLSD_KEY=%" PRIu64, subject->id);
        g_autofree char *uid = g_strdup_printf("DTLSD_UID=%u", subject->uid);
        const char *const fields[] = {uid, subject->id > 0 ? id : NULL, NULL};
        g_autofree char *line = NULL;

        line = subject->id > 0 ? g_strdup_printf("key %" PRIu64 " of uid %u: %s", subject->id,
                                                 subject->uid, text)
                               : g_strdup_printf("uid %u: %s", subject->uid, text);
        brake_write(brakes_of(server->brakes, subject->uid), server_now(server), level, message_id,
                    fields, line);
}

void server_log_entry(Server *server, uid_t uid, const char *what, const char *kind,
                      const char *name) {
        g_autofree char *line = g_strdup_printf("uid %u: %s %s:%s", uid, what, kind, name);
        g_autofree char *entry_field = g_strdup_printf("DTLSD_ENTRY=%s:%s", kind, name);
        g_autofree char *uid_field = g_strdup_printf("DTLSD_UID=%u", uid);
        const char *const fields[] = {uid_field, entry_field, NULL};

        brake_write(brakes_of(server->brakes, uid), server_now(server), LOG_NOTICE,
                    MSG_ENTRY_CHANGED, fields, line);
}

/* ---- refusing ---- */

int server_refuse(Server *server, ServerSubject subject, const char *name, const char *text,
                  sd_bus_error *ret_error) {
        g_autofree char *line = g_strconcat("refused: ", text, NULL);

        server_log(server, LOG_NOTICE, MSG_CALL_REFUSED, &subject, line);
        return sd_bus_error_set(ret_error, name, text);
}

int server_fail(Server *server, ServerSubject subject, int r, sd_bus_error *ret_error) {
        server_log(server, LOG_WARNING, MSG_CALL_FAILED, &subject, g_strerror(-fault(r)));
        return sd_bus_error_set(ret_error, SERVER_ERROR_FAILED, "the keyring failed");
}

static int server_refuse_rate(Server *server, ServerSubject subject, sd_bus_error *ret_error) {
        const char *text = "the key signs more often than the keyring allows";

        server_log(server, LOG_WARNING, MSG_KEY_RATE, &subject, text);
        return sd_bus_error_set(ret_error, SERVER_ERROR_QUOTA_EXCEEDED, text);
}

int server_refuse_vault(Server *server, ServerSubject subject, int r, const char *text,
                        sd_bus_error *ret_error) {
        if (r < 0)
                return server_fail(server, subject, r, ret_error);

        switch ((VaultOutcome)r) {
        case VAULT_E_BAD_SECRET:
                return server_refuse(server, subject, SERVER_ERROR_BAD_SECRET, text, ret_error);
        case VAULT_E_FULL:
                return server_refuse(server, subject, SERVER_ERROR_QUOTA_EXCEEDED, text, ret_error);
        case VAULT_E_UNKNOWN:
                return server_refuse(server, subject, SERVER_ERROR_UNKNOWN_KEY,
                                     "this user has no such key", ret_error);
        case VAULT_E_RATE:
                return server_refuse_rate(server, subject, ret_error);
        }

        g_assert_not_reached();
}

/* ---- methods ---- */

typedef int (*ServerImport)(Vault *vault, uid_t uid, const Secret *secret, VaultKey **ret,
                            const char **ret_text);

static int server_import(Server *server, sd_bus_message *m, ServerImport import, VaultKey **ret,
                         sd_bus_error *ret_error) {
        g_autoptr(Secret) secret = NULL;
        ServerSubject subject = {0};
        const char *text = NULL;
        uint32_t uid;
        int fd, r;

        r = sd_bus_message_read(m, "uh", &uid, &fd);
        if (r < 0)
                return r;

        subject.uid = uid;
        r = memfd_read(fd, &secret);
        if (r > 0)
                return server_refuse(server, subject, SERVER_ERROR_BAD_SECRET,
                                     memfd_outcome_text((MemfdOutcome)r), ret_error);
        if (r < 0)
                return server_fail(server, subject, r, ret_error);

        r = import(server->vault, uid, secret, ret, &text);
        if (r)
                return server_refuse_vault(server, subject, r, text, ret_error);

        subject.id = vault_key_id(*ret);
        server_log(server, LOG_INFO, MSG_KEY_HELD, &subject, "imported");
        return 0;
}

static int method_import_private_key(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(sd_bus_message) reply = NULL;
        VaultKey *key = NULL;
        GBytes *spki;
        int r;

        r = server_import(userdata, m, vault_import_private_key, &key, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return fault(r);

        spki = private_key_spki(vault_key_private(key));
        r = sd_bus_message_append(reply, "t", vault_key_id(key));
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', g_bytes_get_data(spki, NULL),
                                                g_bytes_get_size(spki));
        if (r < 0)
                return fault(r);

        return sd_bus_message_send(reply);
}

static int method_import_psk(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        VaultKey *key = NULL;
        int r;

        r = server_import(userdata, m, vault_import_psk, &key, ret_error);
        if (r < 0)
                return r;

        return sd_bus_reply_method_return(m, "t", vault_key_id(key));
}

static int method_remove(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(VaultKey) key = NULL;
        g_autofree char *text = NULL;
        ServerSubject subject = {0};
        Server *server = userdata;
        int r;

        r = sd_bus_message_read(m, "t", &subject.id);
        if (r < 0)
                return r;

        server_run_uses(server); /* it may be among them */
        r = vault_remove(server->vault, subject.id, &key);
        if (r)
                return sd_bus_error_set(ret_error, SERVER_ERROR_UNKNOWN_KEY, "no such key");

        text = g_strdup_printf("removed after %" PRIu64 " uses", vault_key_uses(key));
        subject.uid = vault_key_uid(key);
        server_log(server, LOG_INFO, MSG_KEY_HELD, &subject, text);
        return sd_bus_reply_method_return(m, "");
}

/* ---- the door ---- */

static int on_bus_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Server *server = userdata;

        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected"))
                server->closed(server->userdata);

        return 0;
}

int server_check_peer(int fd, uid_t uid) {
        struct ucred peer;
        socklen_t size = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return fault(-errno);

        return peer.uid == uid ? 0 : SERVER_E_STRANGER;
}

static const sd_bus_vtable server_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("ImportPrivateKey", SD_BUS_ARGS("u", uid, "h", key),
                                SD_BUS_RESULT("t", id, "ay", spki), method_import_private_key,
                                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("ImportPsk", SD_BUS_ARGS("u", uid, "h", key),
                                SD_BUS_RESULT("t", id), method_import_psk,
                                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_ARGS("t", id), SD_BUS_NO_RESULT, method_remove,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenUses", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", socket),
                                method_open_uses, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("StoreIdentity",
                                SD_BUS_ARGS("u", uid, "s", name, "aay", chain, "s", form, "h", key,
                                            "ah", passphrase),
                                SD_BUS_RESULT("t", id, "ay", spki, "aay", ders, "b", waiting),
                                method_store_identity,
                                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("GenerateIdentity",
                                SD_BUS_ARGS("u", uid, "s", name, "s", key_type, "s", subject, "as",
                                            alternative_names),
                                SD_BUS_RESULT("s", csr), method_generate_identity,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("InstallCertificate",
                                SD_BUS_ARGS("u", uid, "s", name, "aay", chain),
                                SD_BUS_RESULT("t", id, "ay", spki, "aay", ders, "b", waiting),
                                method_install_certificate, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RemoveIdentity", SD_BUS_ARGS("u", uid, "s", name),
                                SD_BUS_NO_RESULT, method_remove_identity,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListIdentities", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a(stayaayb)", identities), method_list_identities,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("StorePsk",
                                SD_BUS_ARGS("u", uid, "s", name, "ay", identity, "h", key),
                                SD_BUS_RESULT("t", id), method_store_psk,
                                SD_BUS_VTABLE_UNPRIVILEGED | SD_BUS_VTABLE_SENSITIVE),
        SD_BUS_METHOD_WITH_ARGS("RemovePsk", SD_BUS_ARGS("u", uid, "s", name), SD_BUS_NO_RESULT,
                                method_remove_psk, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListPsks", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(stay)", psks),
                                method_list_psks, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "AddTrustAnchors", SD_BUS_ARGS("u", uid, "s", name, "aay", certificates),
                SD_BUS_RESULT("aay", ders), method_add_trust_anchors, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "RemoveTrustAnchor", SD_BUS_ARGS("u", uid, "s", name, "ay", fingerprint),
                SD_BUS_RESULT("aay", ders), method_remove_trust_anchor, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListTrusts", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(saay)", trusts),
                                method_list_trusts, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Pin",
                SD_BUS_ARGS("u", uid, "s", table, "s", host, "q", port, "ay", pin, "b", first),
                SD_BUS_RESULT("aay", pins), method_pin, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS(
                "Unpin", SD_BUS_ARGS("u", uid, "s", table, "s", host, "q", port, "ay", pin),
                SD_BUS_RESULT("aay", pins), method_unpin, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListPins", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssqaay)", pins),
                                method_list_pins, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("StoreRevocations", SD_BUS_ARGS("u", uid, "s", name, "ay", text),
                                SD_BUS_NO_RESULT, method_store_revocations,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RemoveRevocations", SD_BUS_ARGS("u", uid, "s", name),
                                SD_BUS_NO_RESULT, method_remove_revocations,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListRevocations", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("a(say)", revocations), method_list_revocations,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int server_open(Server *server, int *door) {
        int r;

        r = sd_bus_new(&server->bus);
        if (r >= 0)
                r = sd_bus_set_server(server->bus, true, SERVER_ID);
        if (r >= 0)
                r = sd_bus_negotiate_fds(server->bus, true);
        if (r >= 0)
                r = sd_bus_add_filter(server->bus, NULL, on_bus_message, server);
        if (r >= 0)
                r = sd_bus_add_object_vtable(server->bus, NULL, DTLSD_ROOT_PATH,
                                             DTLSD_INTERFACE_KEYRING, server_vtable, server);
        if (r >= 0)
                r = sd_bus_set_fd(server->bus, *door, *door);
        if (r < 0)
                return fault(r);

        autofd_steal(door); /* closed with the bus */
        r = sd_bus_start(server->bus);
        if (r >= 0)
                r = sd_bus_attach_event(server->bus, server->event, SD_EVENT_PRIORITY_NORMAL);
        return r < 0 ? fault(r) : 0;
}

static void server_wait(StoreWork work, void *data, void *userdata) {
        changes_wait(userdata, work, data);
}

int server_new(sd_event *event, int fd, Store *store, ServerClosed closed, void *userdata,
               Server **ret) {
        g_autoptr(Server) server = g_new0(Server, 1);
        g_autofd int door = fd;
        int r;

        server->event = sd_event_ref(event);
        server->closed = closed;
        server->userdata = userdata;
        server->vault = vault_new();
        server->brakes = brakes_new();
        server->uses_fd = -1;
        server->asked = use_packet_new();
        server->answers = use_packet_new();
        g_queue_init(&server->full);

        r = uses_new(event, server->brakes, USES_PERIOD_USEC, &server->uses);
        if (r == 0)
                r = identities_new(store, server->vault, &server->identities);
        if (r == 0)
                r = psks_new(store, server->vault, &server->psks);
        if (r == 0)
                r = trusts_new(store, &server->trusts);
        if (r == 0)
                r = pins_new(store, &server->pins);
        if (r == 0)
                r = revoked_new(store, &server->revoked);
        if (r == 0)
                r = changes_new(event, &server->changes);
        if (r == 0)
                r = signer_new(event, &server->signer);
        if (r == 0)
                r = generator_new(event, &server->generator);
        if (r == 0)
                r = importer_new(event, &server->importer);
        if (r < 0)
                return fault(r);

        r = server_open(server, &door);
        if (r < 0)
                return fault(r);

        server->store = store;
        if (store)
                store_set_wait(store, server_wait, server->changes);
        server_try_tokens(server);
        *ret = g_steal_pointer(&server);
        return 0;
}

Server *server_free(Server *server) {
        if (!server)
                return NULL;

        /* first: they answer what waits, while there is where to */
        signer_free(server->signer);
        generator_free(server->generator);
        importer_free(server->importer);
        changes_free(server->changes);
        if (server->store)
                store_set_wait(server->store, NULL, NULL);
        server_close_uses(server);
        use_packet_free(server->asked);
        use_packet_free(server->answers);
        sd_bus_close_unref(server->bus);
        revoked_free(server->revoked);
        pins_free(server->pins);
        trusts_free(server->trusts);
        identities_free(server->identities);
        psks_free(server->psks);
        vault_free(server->vault);
        uses_free(server->uses);
        g_hash_table_unref(server->brakes);
        sd_event_unref(server->event);
        g_free(server);
        return NULL;
}
