/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods about keys that are made here: a request for a certificate goes out, and the
 * certificate comes back in. The private key is nowhere else at any time.
 */

#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"
#include "keyring/server-private.h"

#include <errno.h>

/* A call that waits for its key. */
typedef struct GenerateCall {
        Server *server;
        sd_bus_message *m;
        uid_t uid;
        char *name;
} GenerateCall;

static void generate_call_free(GenerateCall *call) {
        sd_bus_message_unref(call->m);
        g_free(call->name);
        g_free(call);
}

static int generate_keep(const GenerateCall *call, int outcome, const Secret *key,
                         sd_bus_error *ret_error) {
        const char *text = NULL;
        int r;

        if (outcome)
                return sd_bus_error_set(ret_error, SERVER_ERROR_FAILED, "the key cannot be made");

        r = identities_wait(call->server->identities, call->name, key, &text);
        if (r)
                return store_refuse(call->server, call->uid, r, text, ret_error);

        server_log_entry(call->server, call->uid, "made a key, which waits for its certificate, of",
                         "identity", call->name);
        return 0;
}

static void on_generated(int outcome, const Secret *key, const char *csr, void *userdata) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        GenerateCall *call = userdata;
        int r;

        if (generate_keep(call, outcome, key, &error) < 0)
                r = sd_bus_reply_method_error(call->m, &error);
        else
                r = sd_bus_reply_method_return(call->m, "s", csr);
        if (r < 0) /* the other end is gone, or reads nothing: then nobody waits for it */
                log_debug("a request was not taken: %s", g_strerror(-r));

        sd_bus_error_free(&error);
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

int method_generate_identity(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_auto(GStrv) names = NULL;
        GeneratorRequest request = {0};
        Server *server = userdata;
        const char *name;
        uint32_t uid;
        int r;

        r = sd_bus_message_read(m, "usss", &uid, &name, &request.key_type, &request.subject);
        if (r >= 0)
                r = sd_bus_message_read_strv(m, &names);
        if (r >= 0)
                r = server_check_name(server, uid, name, ret_error);
        if (r < 0)
                return r;

        request.uid = uid;
        request.names = (const char *const *)names;
        return generate_begin(server, m, &request, name, ret_error);
}

int method_install_certificate(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(GPtrArray) blobs = NULL;
        const Identity *identity;
        Server *server = userdata;
        const char *name, *text = NULL;
        uint32_t uid;
        int r;

        r = server_read_name(server, m, &uid, &name, ret_error);
        if (r >= 0)
                r = server_read_blobs(m, &blobs);
        if (r < 0)
                return r;

        r = identities_install(server->identities, name, blobs, &identity, &text);
        if (r)
                return store_refuse(server, uid, r, text, ret_error);

        server_log_entry(server, uid, "installed a certificate of", "identity", name);
        return store_reply_pair(m, identity);
}
