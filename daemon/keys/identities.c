/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The identities that the keyring keeps, as dtlsd knows them: asked for when the connection is
 * ready, and kept in step by the answers to what is stored and removed here; nobody else changes
 * them. They outlive the connection, so that a keyring that dies takes no object off the bus; their
 * keys are dead until the next one says what there is.
 */

#include "base/entry.h"
#include "base/fault.h"
#include "base/terms.h"
#include "keys/private.h"

#include <errno.h>

static GPtrArray *blobs_new(void) {
        return g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
}

KeysIdentity *identity_new(const char *name) {
        KeysIdentity *identity = g_new0(KeysIdentity, 1);

        identity->name = g_strdup(name);
        return identity;
}

void keys_identity_free(void *data) {
        KeysIdentity *identity = data;

        if (!identity)
                return;

        g_free(identity->name);
        g_clear_pointer(&identity->chain, g_ptr_array_unref);
        key_unref(identity->key);
        g_free(identity);
}

void identities_tell(Keys *keys, const char *name) {
        if (keys->changed)
                keys->changed(name, keys->changed_userdata);
}

/* ---- what there is ---- */

int read_blobs(sd_bus_message *m, GPtrArray **ret) {
        g_autoptr(GPtrArray) blobs = blobs_new();
        int r;

        r = sd_bus_message_enter_container(m, 'a', "ay");
        while (r >= 0 && sd_bus_message_at_end(m, false) == 0) {
                const void *data;
                size_t size;

                r = sd_bus_message_read_array(m, 'y', &data, &size);
                if (r >= 0)
                        g_ptr_array_add(blobs, g_bytes_new(data, size));
        }
        if (r < 0)
                return r;

        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&blobs);
        return 0;
}

/* What comes beside the name, "tayaayb". */
static int read_pair(Keys *keys, sd_bus_message *m, KeysIdentity *identity) {
        GPtrArray *chain;
        const void *spki;
        uint64_t id;
        size_t size;
        int awaits, r;

        r = sd_bus_message_read(m, "t", &id);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &spki, &size);
        if (r >= 0)
                r = read_blobs(m, &chain);
        if (r < 0)
                return r;

        g_clear_pointer(&identity->chain, g_ptr_array_unref); /* as it was given */
        identity->chain = chain;
        if (id > 0)
                identity->key = key_new(keys, id, spki, size);
        r = sd_bus_message_read(m, "b", &awaits);
        if (r < 0)
                return r;

        identity->awaits_certificate = awaits;
        return 0;
}

/* 1: one was read; 0: there are no more. */
static int read_identity(Keys *keys, sd_bus_message *m) {
        KeysIdentity *identity;
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'r', "stayaayb");
        if (r <= 0)
                return r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;

        identity = identity_new(name);
        r = read_pair(keys, m, identity);
        if (r < 0) {
                keys_identity_free(identity);
                return r;
        }

        (void)g_hash_table_replace(keys->identities, identity->name, identity);
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

static int on_listed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Keys *keys = userdata;
        int r;

        keys->listing = sd_bus_slot_unref(keys->listing);
        if (!keys_connected(keys))
                return 0;

        g_hash_table_remove_all(keys->identities);
        r = sd_bus_message_is_method_error(m, NULL) ? -EIO : 0;
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(stayaayb)");
        while (r >= 0) {
                r = read_identity(keys, m);
                if (r == 0)
                        break;
        }
        if (r < 0)
                (void)fault(r); /* traced; then there are none */

        keys->identities_known = true;
        identities_tell(keys, NULL);
        return 0;
}

void identities_ask(Keys *keys) {
        int r;

        r = sd_bus_call_method_async(keys->bus, &keys->listing, NULL, DTLSD_ROOT_PATH,
                                     DTLSD_INTERFACE_KEYRING, "ListIdentities", on_listed, keys,
                                     NULL);
        if (r < 0)
                (void)fault(r); /* traced; the connection is dying */
}

void identities_forget(Keys *keys) {
        keys->listing = sd_bus_slot_unref(keys->listing);
        keys->identities_known = false;
}

bool keys_identities_known(const Keys *keys) {
        return keys->identities_known;
}

const KeysIdentity *keys_identity(const Keys *keys, const char *name) {
        return g_hash_table_lookup(keys->identities, name);
}

GPtrArray *keys_identities(const Keys *keys) {
        return entry_list(keys->identities);
}

void keys_observe_identities(Keys *keys, KeysIdentitiesChanged changed, void *userdata) {
        keys->changed = changed;
        keys->changed_userdata = userdata;
}

/* ---- changing it ---- */

int append_blobs(sd_bus_message *m, GPtrArray *blobs) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "ay");
        for (guint i = 0; r >= 0 && i < blobs->len; i++) {
                gsize size;
                const void *data = g_bytes_get_data(blobs->pdata[i], &size);

                r = sd_bus_message_append_array(m, 'y', data, size);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int store_message(Keys *keys, uid_t uid, const char *name, const KeysImport *import,
                         sd_bus_message **ret) {
        int r;

        r = ask_message_new(keys, "StoreIdentity", uid, name, ret);
        if (r >= 0)
                r = append_blobs(*ret, import->blobs);
        if (r >= 0)
                r = sd_bus_message_append(*ret, "sh", import->form, import->key_fd);
        if (r >= 0)
                r = sd_bus_message_open_container(*ret, 'a', "h");
        if (r >= 0 && import->passphrase_fd >= 0)
                r = sd_bus_message_append(*ret, "h", import->passphrase_fd);
        if (r >= 0)
                r = sd_bus_message_close_container(*ret);
        return r;
}

uint64_t keys_store_identity(Keys *keys, uid_t uid, const char *name, const KeysImport *import,
                             KeysDone answer, void *userdata) {
        Ask *ask = ask_new(keys, ASK_STORE_IDENTITY, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r = -ENOTCONN;

        ask->done = answer;
        ask->identity = identity_new(name);

        /* a descriptor on a connection that is not ready would have the loop wait */
        if (keys_connected(keys) && sd_bus_is_ready(keys->bus) > 0)
                r = store_message(keys, uid, name, import, &m);
        return ask_call(ask, m, r);
}

uint64_t keys_remove_identity(Keys *keys, uid_t uid, const char *name, KeysDone answer,
                              void *userdata) {
        Ask *ask = ask_new(keys, ASK_REMOVE_IDENTITY, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        ask->done = answer;
        ask->identity = identity_new(name);
        r = ask_message_new(keys, "RemoveIdentity", uid, name, &m);
        return ask_call(ask, m, r);
}

int ask_read_stored(Ask *ask, sd_bus_message *m) {
        KeysIdentity *identity = g_steal_pointer(&ask->identity);
        g_autofree char *name = g_strdup(identity->name);
        Keys *keys = ask->keys;
        int r;

        r = read_pair(keys, m, identity);
        if (r < 0) {
                keys_identity_free(identity);
                return r;
        }

        (void)g_hash_table_replace(keys->identities, identity->name, identity);
        identities_tell(keys, name);
        if (!ask->answered)
                ask->done(0, NULL, ask->userdata);
        return 0;
}

int ask_read_removed(Ask *ask) {
        Keys *keys = ask->keys;

        (void)g_hash_table_remove(keys->identities, ask->identity->name);
        identities_tell(keys, ask->identity->name);
        if (!ask->answered)
                ask->done(0, NULL, ask->userdata);
        return 0;
}
