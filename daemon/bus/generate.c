/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * generate: the Manager's methods about identities whose key is made in the keyring: a request for
 * a certificate goes out, the certificate comes back in.
 */

#include "bus/private.h"

#include <stddef.h>
#include <string.h>

#define GENERATE_KEY_TYPE "ECDSA-P256"
#define ALT_NAMES_MAX 64

typedef struct GenerateOptions {
        const char *key_type, *subject; /* the message's; NULL: not given */
        GPtrArray *names;               /* too; in the end a NULL. NULL: not given */
} GenerateOptions;

static void generate_options_done(GenerateOptions *options) {
        g_clear_pointer(&options->names, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GenerateOptions, generate_options_done)

static int read_names(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        GenerateOptions *options = userdata;
        int r;

        options->names = g_ptr_array_new();
        r = texts_read(m, key, options->names, error);
        g_ptr_array_add(options->names, NULL);
        return r;
}

static int generate_read(Bus *bus, sd_bus_message *m, const char **ret_name,
                         GenerateOptions *options, sd_bus_error *error) {
        static const DictKey keys[] = {
                {"KeyType", "s", 1, dict_read_basic, offsetof(GenerateOptions, key_type), 0, 0},
                {"Subject", "s", 1, dict_read_basic, offsetof(GenerateOptions, subject), 0, 0},
                {"SubjectAltNames", "as", 1, read_names, 0, 0, ALT_NAMES_MAX},
        };
        static const Dict dict = {keys, G_N_ELEMENTS(keys), 1, "GenerateIdentity"};
        int r;

        r = store_read_name(bus, m, ret_name, error);
        return r < 0 ? r : dict_read(m, &dict, options, error);
}

/* Of a name, whose letters need no escape there: its last word. */
static char *generate_subject(const char *name) {
        const char *slash = strrchr(name, '/');

        return g_strconcat("CN=", slash ? slash + 1 : name, NULL);
}

static void on_generated(int outcome, const char *text, const char *csr, void *userdata) {
        StoreCall *call = userdata;

        if (outcome) {
                on_store_done(outcome, text, call);
                return;
        }

        (void)sd_bus_reply_method_return(call->m, "s", csr);
        store_call_end(call);
}

int method_generate_identity(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_auto(GenerateOptions) options = {0};
        g_autofree char *subject = NULL;
        Bus *bus = message_bus(m);
        StoreCall *call;
        const char *name;
        int r;

        r = generate_read(bus, m, &name, &options, error);
        if (r >= 0)
                r = store_begin(bus, m, "identity", name, &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        subject = options.subject ? g_strdup(options.subject) : generate_subject(name);
        call->ticket = keys_generate_identity(
                bus->keys, call->uid, name, options.key_type ? options.key_type : GENERATE_KEY_TYPE,
                subject, options.names ? (char **)options.names->pdata : NULL, on_generated, call);
        return 1;
}

int method_install_certificate(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_autoptr(GPtrArray) blobs = NULL;
        Bus *bus = message_bus(m);
        StoreCall *call;
        const char *name;
        int r;

        r = store_read_name(bus, m, &name, error);
        if (r >= 0)
                r = identity_read_chain(m, &blobs, error);
        if (r >= 0)
                r = store_begin(bus, m, "identity", name, &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        call->ticket =
                keys_install_certificate(bus->keys, call->uid, name, blobs, on_store_done, call);
        return 1;
}
