/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods about keys that are made here: a request for a certificate goes out, and the
 * certificate comes back in. The private key is nowhere else at any time.
 */

#include "base/fault.h"
#include "base/terms.h"
#include "keyring/server-private.h"

#include <errno.h>

/* A call that waits for its key. */
typedef struct GenerateCall {
        Server *server;
        sd_bus_message *m;
        uid_t uid;
        char *name;
        Secret *key; /* NULL, like what goes out: not made yet */
        char *csr;
} GenerateCall;

static void generate_call_free(GenerateCall *call) {
        sd_bus_message_unref(call->m);
        g_free(call->name);
        secret_free(call->key);
        g_free(call->csr);
        g_free(call);
}

static int generate_keep(const GenerateCall *call, sd_bus_error *ret_error) {
        const char *text = NULL;
        int r;

        r = identities_wait(call->server->identities, call->name, call->key, &text);
        if (r)
                return store_refuse(call->server, call->uid, r, text, ret_error);

        server_log_entry(call->server, call->uid, "made a key, which waits for its certificate, of",
                         "identity", call->name);
        return sd_bus_reply_method_return(call->m, "s", call->csr);
}

static void generate_make(void *userdata, bool stopped) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        GenerateCall *call = userdata;
        int r = stopped ? server_refuse_stopped(&error) : generate_keep(call, &error);

        if (r < 0)
                server_reply_error(call->m, r, &error);
        generate_call_free(call);
}

static void on_generated(int outcome, const Secret *key, const char *csr, void *userdata) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        GenerateCall *call = userdata;
        int r;

        if (outcome) {
                r = sd_bus_error_set(&error, SERVER_ERROR_FAILED, "the key cannot be made");
        } else {
                call->key = secret_new(secret_peek(key), secret_size(key));
                call->csr = g_strdup(csr);
                r = server_put_change(call->server, call->uid, generate_make, call, &error);
        }
        if (r == 0)
                return; /* generate_make() answers */

        server_reply_error(call->m, r, &error);
        generate_call_free(call);
}

static int generate_refuse(Server *server, uid_t uid, int r, const char *text,
                           sd_bus_error *ret_error) {
        return server_refuse(server, (ServerSubject){.uid = uid},
                             r == GENERATOR_E_BUSY ? SERVER_ERROR_QUOTA_EXCEEDED
                                                   : SERVER_ERROR_BAD_SECRET,
                             text, ret_error);
}

static int generate_begin(Server *server, sd_bus_message *m, const GeneratorRequest *request,
                          const char *name, sd_bus_error *ret_error) {
        GenerateCall *call;
        const char *text = NULL;
        int r;

        r = identities_check(server->identities, name, &text);
        if (r)
                return store_refuse(server, request->uid, r, text, ret_error);

        call = g_new0(GenerateCall, 1);
        call->server = server;
        call->m = sd_bus_message_ref(m);
        call->uid = request->uid;
        call->name = g_strdup(name);
        r = generator_make(server->generator, request, on_generated, call, &text);
        if (r == 0)
                return 1; /* on_generated() answers */

        generate_call_free(call);
        return generate_refuse(server, request->uid, r, text, ret_error);
}

/* The message's; one more than there may be is enough to be refused. */
static int generate_read_names(sd_bus_message *m, GPtrArray *names) {
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        while (r > 0 && names->len <= GENERATOR_NAMES_MAX) {
                r = sd_bus_message_read_basic(m, 's', &name);
                if (r > 0)
                        g_ptr_array_add(names, (char *)name);
        }

        g_ptr_array_add(names, NULL);
        return r;
}

int method_generate_identity(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        GeneratorRequest request = {0};
        Server *server = userdata;
        const char *name;
        uint32_t uid;
        int r;

        r = sd_bus_message_read(m, "usss", &uid, &name, &request.key_type, &request.subject);
        if (r >= 0)
                r = generate_read_names(m, names);
        if (r >= 0)
                r = server_check_name(server, uid, name, ret_error);
        if (r < 0)
                return r;

        request.uid = uid;
        request.names = (const char *const *)names->pdata;
        return generate_begin(server, m, &request, name, ret_error);
}

static int certificate_install(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(GPtrArray) blobs = NULL;
        const Identity *identity;
        Server *server = userdata;
        const char *name, *text = UNKNOWN_IDENTITY;
        uint32_t uid;
        int r;

        r = server_read_name(server, m, &uid, &name, ret_error);
        if (r >= 0)
                r = server_read_blobs(m, CHAIN_LENGTH_MAX, &blobs);
        if (r < 0)
                return r;

        r = identities_install(server->identities, name, blobs, &identity, &text);
        if (r)
                return store_refuse(server, uid, r, text, ret_error);

        server_log_entry(server, uid, "installed a certificate of", "identity", name);
        return store_reply_pair(m, identity);
}

int method_install_certificate(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return server_change(userdata, m, certificate_install, ret_error);
}
