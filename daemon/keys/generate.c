/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys that the keyring makes: what goes out is a request for a certificate, and what comes back in
 * is the certificate.
 */

#include "keys/private.h"

uint64_t keys_generate_identity(Keys *keys, uid_t uid, const char *name, const char *key_type,
                                const char *subject, char **names, KeysGenerated answer,
                                void *userdata) {
        Ask *ask = ask_new(keys, ASK_GENERATE_IDENTITY, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        ask->generated = answer;
        ask->identity = identity_new(name);

        r = ask_message_new(keys, "GenerateIdentity", uid, name, &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", key_type, subject);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, names);
        return ask_call(ask, m, r);
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

uint64_t keys_install_certificate(Keys *keys, uid_t uid, const char *name, GPtrArray *blobs,
                                  KeysDone answer, void *userdata) {
        Ask *ask = ask_new(keys, ASK_INSTALL_CERTIFICATE, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        ask->done = answer;
        ask->identity = identity_new(name);

        r = ask_message_new(keys, "InstallCertificate", uid, name, &m);
        if (r >= 0)
                r = append_blobs(m, blobs);
        return ask_call(ask, m, r);
}
