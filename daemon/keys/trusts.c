/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The trust sets that the keyring keeps, as dtlsd knows them: asked for when the connection is
 * ready, and kept in step by the answers to what is changed here. They outlive the connection, so
 * that a keyring that dies takes nobody's trust with it.
 */

#include "base/entry.h"
#include "base/fault.h"
#include "base/terms.h"
#include "keys/private.h"

static KeysTrust *trust_new(const char *name, GPtrArray *anchors) {
        KeysTrust *trust = g_new0(KeysTrust, 1);

        trust->name = g_strdup(name);
        trust->anchors = anchors;
        return trust;
}

void keys_trust_free(void *data) {
        KeysTrust *trust = data;

        g_free(trust->name);
        g_ptr_array_unref(trust->anchors);
        g_free(trust);
}

static void trusts_take(Keys *keys, KeysTrust *trust) {
        (void)g_hash_table_replace(keys->trusts, trust->name, trust);
}

static void trusts_tell(Keys *keys, const char *name) {
        if (keys->trusts_changed)
                keys->trusts_changed(name, keys->trusts_userdata);
}

/* ---- what there is ---- */

/* 1: one was read; 0: there are no more. */
static int read_trust(Keys *keys, sd_bus_message *m) {
        GPtrArray *anchors;
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'r', "saay");
        if (r <= 0)
                return r;

        r = sd_bus_message_read(m, "s", &name);
        if (r >= 0)
                r = read_blobs(m, &anchors);
        if (r < 0)
                return r;

        trusts_take(keys, trust_new(name, anchors));
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

static int on_listed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Keys *keys = userdata;
        int r;

        keys->trusts_listing = sd_bus_slot_unref(keys->trusts_listing);
        if (!keys_connected(keys))
                return 0;

        g_hash_table_remove_all(keys->trusts);
        r = sd_bus_message_is_method_error(m, NULL) ? -EIO : 0;
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(saay)");
        while (r >= 0) {
                r = read_trust(keys, m);
                if (r == 0)
                        break;
        }
        if (r < 0)
                (void)fault(r); /* traced; whose set is missing trusts nobody */

        trusts_tell(keys, NULL);
        return 0;
}

void trusts_ask(Keys *keys) {
        int r;

        r = sd_bus_call_method_async(keys->bus, &keys->trusts_listing, NULL, DTLSD_ROOT_PATH,
                                     DTLSD_INTERFACE_KEYRING, "ListTrusts", on_listed, keys, NULL);
        if (r < 0)
                (void)fault(r); /* traced; the connection is dying */
}

void trusts_forget(Keys *keys) {
        keys->trusts_listing = sd_bus_slot_unref(keys->trusts_listing);
}

const KeysTrust *keys_trust(const Keys *keys, const char *name) {
        return g_hash_table_lookup(keys->trusts, name);
}

GPtrArray *keys_trusts(const Keys *keys) {
        return entry_list(keys->trusts);
}

void keys_observe_trusts(Keys *keys, KeysTrustsChanged changed, void *userdata) {
        keys->trusts_changed = changed;
        keys->trusts_userdata = userdata;
}

/* ---- changing it ---- */

static Ask *trust_ask_new(Keys *keys, const char *name, KeysDone answer, void *userdata) {
        Ask *ask = ask_new(keys, ASK_CHANGE_TRUST, userdata);

        ask->done = answer;
        ask->trust = g_strdup(name);
        return ask;
}

uint64_t keys_add_trust_anchors(Keys *keys, uid_t uid, const char *name, GPtrArray *blobs,
                                KeysDone answer, void *userdata) {
        Ask *ask = trust_ask_new(keys, name, answer, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = ask_message_new(keys, "AddTrustAnchors", uid, name, &m);
        if (r >= 0)
                r = append_blobs(m, blobs);
        return ask_call(ask, m, r);
}

uint64_t keys_remove_trust_anchor(Keys *keys, uid_t uid, const char *name, const void *fingerprint,
                                  size_t size, KeysDone answer, void *userdata) {
        Ask *ask = trust_ask_new(keys, name, answer, userdata);
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = ask_message_new(keys, "RemoveTrustAnchor", uid, name, &m);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', fingerprint, size);
        return ask_call(ask, m, r);
}

int ask_read_trust(Ask *ask, sd_bus_message *m) {
        Keys *keys = ask->keys;
        g_autoptr(GPtrArray) anchors = NULL;
        int r;

        r = read_blobs(m, &anchors);
        if (r < 0)
                return r;

        if (anchors->len > 0)
                trusts_take(keys, trust_new(ask->trust, g_steal_pointer(&anchors)));
        else
                (void)g_hash_table_remove(keys->trusts, ask->trust);

        trusts_tell(keys, ask->trust);
        if (!ask->answered)
                ask->done(0, NULL, ask->userdata);
        return 0;
}
