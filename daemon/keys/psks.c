/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pre-shared keys that the keyring keeps, as dtlsd knows them: by name and identity, the key by
 * its number alone. They are known and change as identities do, see identities.c.
 */

#include "base/fault.h"
#include "base/terms.h"
#include "keys/private.h"

#include <errno.h>
#include <string.h>

static KeysPsk *psk_new(const char *name, GBytes *identity) {
        KeysPsk *psk = g_new0(KeysPsk, 1);

        psk->name = g_strdup(name);
        psk->identity = identity ? g_bytes_ref(identity) : NULL;
        return psk;
}

void keys_psk_free(void *data) {
        KeysPsk *psk = data;

        if (!psk)
                return;

        g_free(psk->name);
        g_clear_pointer(&psk->identity, g_bytes_unref);
        key_unref(psk->key);
        g_free(psk);
}

static void psks_take(Keys *keys, KeysPsk *psk, uint64_t id) {
        psk->key = key_new(keys, id, NULL, 0);
        g_tree_replace(keys->psks, psk->name, psk);
}

/* ---- what there is ---- */

/* 1: one was read; 0: there are no more. */
static int read_psk(Keys *keys, sd_bus_message *m) {
        g_autoptr(GBytes) identity = NULL;
        const void *data;
        const char *name;
        uint64_t id;
        size_t size;
        int r;

        r = sd_bus_message_enter_container(m, 'r', "stay");
        if (r <= 0)
                return r;

        r = sd_bus_message_read(m, "st", &name, &id);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return r;

        identity = g_bytes_new(data, size);
        psks_take(keys, psk_new(name, identity), id);
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

static int on_listed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Keys *keys = userdata;
        int r;

        keys->psks_listing = sd_bus_slot_unref(keys->psks_listing);
        if (!keys_connected(keys))
                return 0;

        g_tree_remove_all(keys->psks);
        r = sd_bus_message_is_method_error(m, NULL) ? -EIO : 0;
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(stay)");
        while (r >= 0) {
                r = read_psk(keys, m);
                if (r == 0)
                        break;
        }
        if (r < 0)
                (void)fault(r); /* traced; then there are none */
        return 0;
}

void psks_ask(Keys *keys) {
        int r;

        r = sd_bus_call_method_async(keys->bus, &keys->psks_listing, NULL, DTLSD_ROOT_PATH,
                                     DTLSD_INTERFACE_KEYRING, "ListPsks", on_listed, keys, NULL);
        if (r < 0)
                (void)fault(r); /* traced; the connection is dying */
}

void psks_forget(Keys *keys) {
        keys->psks_listing = sd_bus_slot_unref(keys->psks_listing);
}

static int psk_compare(const void *a, const void *b, void *userdata) {
        return strcmp(a, b);
}

GTree *psks_table_new(void) {
        return g_tree_new_full(psk_compare, NULL, NULL, keys_psk_free);
}

GTree *keys_psks(const Keys *keys) {
        return keys->psks;
}

void keys_observe_psks(Keys *keys, KeysPsksChanged changed, void *userdata) {
        keys->psks_changed = changed;
        keys->psks_userdata = userdata;
}

static void psks_tell(Keys *keys, const char *name) {
        if (keys->psks_changed)
                keys->psks_changed(name, keys->psks_userdata);
}

/* ---- changing it ---- */

static int store_message(Keys *keys, uid_t uid, const KeysPsk *psk, int key_fd,
                         sd_bus_message **ret) {
        gsize size;
        const void *identity = g_bytes_get_data(psk->identity, &size);
        int r;

        r = ask_message_new(keys, "StorePsk", uid, psk->name, ret);
        if (r >= 0)
                r = sd_bus_message_append_array(*ret, 'y', identity, size);
        if (r >= 0)
                r = sd_bus_message_append(*ret, "h", key_fd);
        return r;
}

uint64_t keys_store_psk(Keys *keys, uid_t uid, const char *name, GBytes *identity, int key_fd,
                        KeysDone answer, void *userdata) {
        Ask *ask = ask_new(keys, ASK_STORE_PSK, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r = -ENOTCONN;

        ask->done = answer;
        ask->psk = psk_new(name, identity);

        /* a descriptor on a connection that is not ready would have the loop wait */
        if (keys_connected(keys) && sd_bus_is_ready(keys->bus) > 0)
                r = store_message(keys, uid, ask->psk, key_fd, &m);
        return ask_call(ask, m, r);
}

uint64_t keys_remove_psk(Keys *keys, uid_t uid, const char *name, KeysDone answer, void *userdata) {
        Ask *ask = ask_new(keys, ASK_REMOVE_PSK, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        ask->done = answer;
        ask->psk = psk_new(name, NULL);
        r = ask_message_new(keys, "RemovePsk", uid, name, &m);
        return ask_call(ask, m, r);
}

int ask_read_stored_psk(Ask *ask, sd_bus_message *m) {
        uint64_t id;
        int r;

        r = sd_bus_message_read(m, "t", &id);
        if (r < 0)
                return r;

        psks_tell(ask->keys, ask->psk->name);
        psks_take(ask->keys, g_steal_pointer(&ask->psk), id);
        if (!ask->answered)
                ask->done(0, NULL, ask->userdata);
        return 0;
}

int ask_read_removed_psk(Ask *ask) {
        psks_tell(ask->keys, ask->psk->name);
        (void)g_tree_remove(ask->keys->psks, ask->psk->name);
        if (!ask->answered)
                ask->done(0, NULL, ask->userdata);
        return 0;
}
