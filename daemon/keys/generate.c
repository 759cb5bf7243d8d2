/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys that the keyring makes: what goes out is a request for a certificate, and what comes back in
 * is the certificate.
 */

#include "base/terms.h"
#include "keys/private.h"

#include <errno.h>

static int generate_message(Keys *keys, uid_t uid, const char *name, const char *key_type,
                            const char *subject, char **names, sd_bus_message **ret) {
        int r;

        r = sd_bus_message_new_method_call(keys->bus, ret, NULL, DTLSD_ROOT_PATH,
                                           DTLSD_INTERFACE_KEYRING, "GenerateIdentity");
        if (r >= 0)
                r = sd_bus_message_append(*ret, "usss", (uint32_t)uid, name, key_type, subject);
        return r < 0 ? r : sd_bus_message_append_strv(*ret, names);
}

uint64_t keys_generate_identity(Keys *keys, uid_t uid, const char *name, const char *key_type,
                                const char *subject, char **names, KeysGenerated answer,
                                void *userdata) {
        Ask *ask = ask_new(keys, ASK_GENERATE_IDENTITY, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r = -ENOTCONN;

        ask->generated = answer;
        ask->identity = identity_new(name);
        if (keys_connected(keys)) {
                r = generate_message(keys, uid, name, key_type, subject, names, &m);
                if (r >= 0)
                        r = sd_bus_call_async(keys->bus, &ask->slot, m, on_reply, ask, UINT64_MAX);
        }
        return ask_begin(ask, r);
}

/* Beside the pair that is in use, or by itself. */
static void generated_take(Keys *keys, const char *name) {
        KeysIdentity *identity = g_hash_table_lookup(keys->identities, name);

        if (!identity) {
                identity = identity_new(name);
                identity->chain = g_ptr_array_new();
                (void)g_hash_table_replace(keys->identities, identity->name, identity);
        }

        identity->awaits_certificate = true;
        identities_tell(keys, name);
}

int ask_read_generated(Ask *ask, sd_bus_message *m) {
        const char *csr;
        int r;

        r = sd_bus_message_read(m, "s", &csr);
        if (r < 0)
                return r;

        generated_take(ask->keys, ask->identity->name);
        if (!ask->answered)
                ask->generated(0, NULL, csr, ask->userdata);
        return 0;
}

static int install_message(Keys *keys, uid_t uid, const char *name, GPtrArray *blobs,
                           sd_bus_message **ret) {
        int r;

        r = sd_bus_message_new_method_call(keys->bus, ret, NULL, DTLSD_ROOT_PATH,
                                           DTLSD_INTERFACE_KEYRING, "InstallCertificate");
        if (r >= 0)
                r = sd_bus_message_append(*ret, "us", (uint32_t)uid, name);
        return r < 0 ? r : append_blobs(*ret, blobs);
}

uint64_t keys_install_certificate(Keys *keys, uid_t uid, const char *name, GPtrArray *blobs,
                                  KeysDone answer, void *userdata) {
        Ask *ask = ask_new(keys, ASK_INSTALL_CERTIFICATE, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r = -ENOTCONN;

        ask->done = answer;
        ask->identity = identity_new(name);
        if (keys_connected(keys)) {
                r = install_message(keys, uid, name, blobs, &m);
                if (r >= 0)
                        r = sd_bus_call_async(keys->bus, &ask->slot, m, on_reply, ask, UINT64_MAX);
        }
        return ask_begin(ask, r);
}
