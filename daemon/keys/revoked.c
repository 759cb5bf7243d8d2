/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The certificates that the store takes back, as dtlsd knows them: as trusts.c has its sets. What
 * cannot be read takes back nobody in particular, and so stands for anybody.
 */

#include "base/entry.h"
#include "base/fault.h"
#include "base/terms.h"
#include "identity/revocation-text.h"
#include "keys/private.h"

/* @text NULL: it is to be removed. @revocations NULL: damaged. */
static KeysRevoked *revoked_new(const char *name, GBytes *text, Revocations *revocations) {
        KeysRevoked *revoked = g_new0(KeysRevoked, 1);

        revoked->name = g_strdup(name);
        revoked->damaged = !revocations;
        revoked->revocations =
                revocations ? revocations_ref(revocations) : revocations_new_unknown();
        if (text) {
                revoked->n_bytes = g_bytes_get_size(text);
                revoked->checksum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, text);
        }

        return revoked;
}

void keys_revoked_free(void *data) {
        KeysRevoked *revoked = data;

        if (!revoked)
                return;

        g_free(revoked->name);
        revocations_unref(revoked->revocations);
        g_free(revoked->checksum);
        g_free(revoked);
}

GHashTable *revoked_table_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, NULL, keys_revoked_free);
}

static void revoked_take(GHashTable *table, KeysRevoked *revoked) {
        (void)g_hash_table_replace(table, revoked->name, revoked);
}

static void revoked_tell(Keys *keys, const char *name) {
        if (keys->revoked_changed)
                keys->revoked_changed(name, keys->revoked_userdata);
}

/* ---- what there is ---- */

static KeysRevoked *revoked_read_text(const char *name, const void *data, size_t size) {
        g_autoptr(GBytes) text = g_bytes_new(data, size);
        g_autoptr(Revocations) revocations = NULL;

        (void)revocation_text_read(text, &revocations); /* whatever is wrong, it is damaged */
        return revoked_new(name, text, revocations);
}

/* What another keyring said too, NULL: it said something else. Reading it again takes time. */
static KeysRevoked *revoked_keep(Keys *keys, const char *name, const void *data, size_t size) {
        g_autofree char *checksum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, size);
        KeysRevoked *revoked = g_hash_table_lookup(keys->revoked, name);

        if (!revoked || g_strcmp0(revoked->checksum, checksum) != 0)
                return NULL;

        g_hash_table_steal(keys->revoked, name);
        return revoked;
}

/* 1: one was read; 0: there are no more. */
static int read_revoked(Keys *keys, sd_bus_message *m, GHashTable *to, bool *ret_changed) {
        KeysRevoked *revoked;
        const void *data;
        const char *name;
        size_t size;
        int r;

        r = sd_bus_message_enter_container(m, 'r', "say");
        if (r <= 0)
                return r;

        r = sd_bus_message_read(m, "s", &name);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return r;

        revoked = revoked_keep(keys, name, data, size);
        *ret_changed |= !revoked;
        revoked_take(to, revoked ? revoked : revoked_read_text(name, data, size));
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

static int read_all_revoked(Keys *keys, sd_bus_message *m, GHashTable *to, bool *ret_changed) {
        int r;

        r = sd_bus_message_is_method_error(m, NULL) ? -EIO : 0;
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(say)");
        if (r >= 0)
                do
                        r = read_revoked(keys, m, to, ret_changed);
                while (r > 0);
        return r;
}

static int on_listed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        g_autoptr(GHashTable) found = revoked_table_new();
        Keys *keys = userdata;
        bool was_known = keys->revoked_known, changed = false;
        int r;

        keys->revoked_listing = sd_bus_slot_unref(keys->revoked_listing);
        if (!keys_connected(keys))
                return 0;

        r = read_all_revoked(keys, m, found, &changed);
        if (r < 0)
                (void)fault(r); /* traced; then it is not known */

        /* what is left of those from before is gone */
        changed |= g_hash_table_size(keys->revoked) > 0;
        g_hash_table_unref(keys->revoked);
        keys->revoked = g_steal_pointer(&found);
        keys->revoked_known = r >= 0;
        if (changed || keys->revoked_known != was_known)
                revoked_tell(keys, NULL);
        return 0;
}

void revoked_ask(Keys *keys) {
        int r;

        r = sd_bus_call_method_async(keys->bus, &keys->revoked_listing, NULL, DTLSD_ROOT_PATH,
                                     DTLSD_INTERFACE_KEYRING, "ListRevocations", on_listed, keys,
                                     NULL);
        if (r < 0)
                (void)fault(r); /* traced; the connection is dying */
}

void revoked_forget(Keys *keys) {
        keys->revoked_listing = sd_bus_slot_unref(keys->revoked_listing);
}

const KeysRevoked *keys_revoked(const Keys *keys, const char *name) {
        return g_hash_table_lookup(keys->revoked, name);
}

bool keys_revoked_known(const Keys *keys) {
        return keys->revoked_known;
}

GPtrArray *keys_revoked_list(const Keys *keys) {
        return entry_list(keys->revoked);
}

void keys_observe_revoked(Keys *keys, KeysRevokedChanged changed, void *userdata) {
        keys->revoked_changed = changed;
        keys->revoked_userdata = userdata;
}

/* ---- changing it ---- */

uint64_t keys_store_revocations(Keys *keys, uid_t uid, const char *name, GBytes *text,
                                Revocations *revocations, KeysDone answer, void *userdata) {
        Ask *ask = ask_new(keys, ASK_STORE_REVOCATIONS, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        gsize size;
        const void *data = g_bytes_get_data(text, &size);
        int r;

        ask->done = answer;
        ask->revoked = revoked_new(name, text, revocations);
        r = ask_message_new(keys, "StoreRevocations", uid, name, &m);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', data, size);
        return ask_call(ask, m, r);
}

uint64_t keys_remove_revocations(Keys *keys, uid_t uid, const char *name, KeysDone answer,
                                 void *userdata) {
        Ask *ask = ask_new(keys, ASK_REMOVE_REVOCATIONS, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        ask->done = answer;
        ask->revoked = revoked_new(name, NULL, NULL);
        r = ask_message_new(keys, "RemoveRevocations", uid, name, &m);
        return ask_call(ask, m, r);
}

static int revoked_done(Ask *ask, const char *name) {
        revoked_tell(ask->keys, name);
        if (!ask->answered)
                ask->done(0, NULL, ask->userdata);
        return 0;
}

int ask_read_stored_revocations(Ask *ask) {
        KeysRevoked *revoked = g_steal_pointer(&ask->revoked);

        revoked_take(ask->keys->revoked, revoked);
        return revoked_done(ask, revoked->name);
}

int ask_read_removed_revocations(Ask *ask) {
        (void)g_hash_table_remove(ask->keys->revoked, ask->revoked->name);
        return revoked_done(ask, ask->revoked->name);
}
