/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The method about pairs that are brought along. A thread reads what was given; it is then put on
 * the disk in its turn, like all changes.
 */

#include "base/fault.h"
#include "base/terms.h"
#include "keyring/server-private.h"

/* A call that waits for its pair to be read. */
typedef struct ImportCall {
        Server *server;
        sd_bus_message *m;
        uid_t uid;
        char *name;
        Chain *chain; /* NULL, like the key: not read yet */
        PrivateKey *key;
} ImportCall;

static void import_call_free(ImportCall *call) {
        sd_bus_message_unref(call->m);
        g_free(call->name);
        chain_unref(call->chain);
        private_key_unref(call->key);
        g_free(call);
}

/* ---- what was read ---- */

static int import_refuse(const ImportCall *call, int outcome, const char *text,
                         sd_bus_error *ret_error) {
        if (outcome == IMPORTER_E_BAD_SECRET)
                return server_refuse(call->server, (ServerSubject){.uid = call->uid},
                                     SERVER_ERROR_BAD_SECRET, text, ret_error);

        return sd_bus_error_set(ret_error, SERVER_ERROR_FAILED, "the key cannot be imported");
}

static int import_keep(const ImportCall *call, sd_bus_error *ret_error) {
        const Identity *identity;
        const char *text = NULL;
        int r;

        r = identities_put(call->server->identities, call->name, call->chain, call->key, &identity,
                           &text);
        if (r)
                return store_refuse(call->server, call->uid, r, text, ret_error);

        server_log_entry(call->server, call->uid, "stored", "identity", call->name);
        return store_reply_pair(call->m, identity);
}

static void import_make(void *userdata, bool stopped) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        ImportCall *call = userdata;
        int r = stopped ? server_refuse_stopped(&error) : import_keep(call, &error);

        if (r < 0)
                server_reply_error(call->m, r, &error);
        import_call_free(call);
}

static void on_imported(int outcome, const char *text, Chain *chain, PrivateKey *key,
                        void *userdata) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        ImportCall *call = userdata;
        int r;

        if (outcome) {
                r = import_refuse(call, outcome, text, &error);
        } else {
                call->chain = chain_ref(chain);
                call->key = private_key_ref(key);
                r = server_put_change(call->server, call->uid, import_make, call, &error);
        }
        if (r == 0)
                return; /* import_make() answers */

        server_reply_error(call->m, r, &error);
        import_call_free(call);
}

/* ---- keys in tokens that were imported before ---- */

void server_note_token(VaultKey *key, int outcome) {
        bool is_absent = outcome == SIGNER_E_ABSENT;

        if ((outcome == 0 || is_absent) && vault_key_note_absent(key, is_absent))
                journal_token(vault_key_entry(key), is_absent);
}

static void on_token_tried(int outcome, const void *signature, size_t size, void *userdata) {
        g_autoptr(VaultKey) key = userdata;

        server_note_token(key, outcome);
}

void server_try_tokens(Server *server) {
        g_autoptr(GPtrArray) list = identities_list(server->identities);

        for (guint i = 0; i < list->len; i++) {
                const Identity *identity = list->pdata[i];

                if (!identity->key || !private_key_token(vault_key_private(identity->key)))
                        continue;

                vault_key_ref(identity->key); /* on_token_tried() gives it back */
                if (signer_try(server->signer, identity->key, on_token_tried, identity->key) != 0)
                        vault_key_unref(identity->key);
        }
}

/* ---- what is asked ---- */

static int import_read_secrets(Server *server, sd_bus_message *m, ImporterRequest *request,
                               sd_bus_error *ret_error) {
        int key_fd, passphrase_fd, r;

        r = sd_bus_message_read(m, "h", &key_fd);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "h");
        if (r < 0)
                return r;

        r = server_read_secret(server, request->uid, key_fd, &request->key, ret_error);
        if (r < 0)
                return r;

        r = sd_bus_message_read(m, "h", &passphrase_fd);
        return r > 0 ? server_read_secret(server, request->uid, passphrase_fd, &request->passphrase,
                                          ret_error)
                     : r;
}

static int import_read(Server *server, sd_bus_message *m, ImporterRequest *request,
                       const char **ret_name, sd_bus_error *ret_error) {
        const char *form;
        uint32_t uid;
        int r;

        r = sd_bus_message_read(m, "us", &uid, ret_name);
        if (r >= 0)
                r = server_check_name(server, uid, *ret_name, ret_error);
        if (r >= 0)
                r = server_read_blobs(m, CHAIN_LENGTH_MAX, &request->blobs);
        if (r >= 0)
                r = sd_bus_message_read(m, "s", &form);
        if (r < 0)
                return r;

        request->uid = uid;
        if (!importer_form_parse(form, &request->form))
                return server_refuse(server, (ServerSubject){.uid = uid}, SERVER_ERROR_BAD_SECRET,
                                     "a key is in the form key, pkcs12 or pkcs11", ret_error);

        /* a token is the machine's, and so are its last tries */
        if (request->form == IMPORTER_PKCS11 && g_str_has_prefix(*ret_name, "u/"))
                return server_refuse(server, (ServerSubject){.uid = uid},
                                     SERVER_ERROR_NOT_AUTHORIZED,
                                     "a key in a token is the administrator's", ret_error);

        return import_read_secrets(server, m, request, ret_error);
}

static int import_begin(Server *server, sd_bus_message *m, ImporterRequest *request,
                        const char *name, sd_bus_error *ret_error) {
        const uid_t uid = request->uid;
        const char *text = NULL;
        ImportCall *call;
        int r;

        r = identities_check(server->identities, name, &text);
        if (r)
                return store_refuse(server, uid, r, text, ret_error);

        call = g_new0(ImportCall, 1);
        call->server = server;
        call->m = sd_bus_message_ref(m);
        call->uid = uid;
        call->name = g_strdup(name);
        r = importer_read(server->importer, request, on_imported, call, &text);
        if (r == 0)
                return 1; /* on_imported() answers */

        import_call_free(call);
        return server_refuse(server, (ServerSubject){.uid = uid}, SERVER_ERROR_QUOTA_EXCEEDED, text,
                             ret_error);
}

int method_store_identity(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        ImporterRequest request = {0};
        const char *name;
        int r;

        r = import_read(userdata, m, &request, &name, ret_error);
        if (r >= 0)
                r = import_begin(userdata, m, &request, name, ret_error);

        importer_request_done(&request);
        return r;
}
