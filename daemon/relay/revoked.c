/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Revoked: what is taken back of whoever is trusted: by the administrator's files, by the store's
 * entries of the administrator, which count for everybody, and by those of a user, which count for
 * its own connections and listeners alone. A configuration has what is there when it is made.
 *
 * Until the keyring has said what there is, and where an entry is damaged, nobody's status is
 * known.
 */

#include "base/entry.h"
#include "relay/private.h"

static bool revoked_is_of_all(const char *name) {
        return !g_str_has_prefix(name, "u/");
}

static Revocations *revoked_join(const GPtrArray *parts) {
        return revocations_join((Revocations *const *)parts->pdata, parts->len);
}

static Revocations *revoked_make(const Relay *relay, uid_t uid) {
        g_autoptr(GPtrArray) list = keys_revoked_list(relay->keys);
        g_autoptr(Revocations) unknown = revocations_new_unknown();
        g_autoptr(GPtrArray) of_all = g_ptr_array_new(), of_user = g_ptr_array_new();
        g_autoptr(Revocations) all = NULL, own = NULL;
        g_autofree char *prefix = g_strdup_printf("u/%u/", uid);

        if (relay->revocation_files)
                g_ptr_array_add(of_all, relay->revocation_files);
        if (!keys_revoked_known(relay->keys))
                g_ptr_array_add(of_all, unknown);
        for (guint i = 0; i < list->len; i++) {
                const KeysRevoked *revoked = list->pdata[i];

                if (revoked_is_of_all(revoked->name))
                        g_ptr_array_add(of_all, revoked->revocations);
                else if (g_str_has_prefix(revoked->name, prefix))
                        g_ptr_array_add(of_user, revoked->revocations);
        }

        all = revoked_join(of_all);
        if (of_user->len == 0)
                return g_steal_pointer(&all);

        own = revoked_join(of_user);
        return revocations_join_own(all, own);
}

Revocations *revoked_for(Relay *relay, uid_t uid) {
        Revocations *revocations = g_hash_table_lookup(relay->revocations, GUINT_TO_POINTER(uid));

        if (revocations)
                return revocations;

        revocations = revoked_make(relay, uid);
        (void)g_hash_table_insert(relay->revocations, GUINT_TO_POINTER(uid), revocations);
        return revocations;
}

void revoked_set_files(Relay *relay, Revocations *revocations) {
        g_clear_pointer(&relay->revocation_files, revocations_unref);
        relay->revocation_files = revocations_ref(revocations);
        g_hash_table_remove_all(relay->revocations);
}

static bool revoked_has_changed(const Spec *spec, const void *name) {
        return !name || revoked_is_of_all(name) || spec->uid == entry_name_uid(name);
}

static void on_revoked_changed(const char *name, void *userdata) {
        Relay *relay = userdata;

        kept_follow(relay);
        if (!name || revoked_is_of_all(name))
                g_hash_table_remove_all(relay->revocations);
        else
                (void)g_hash_table_remove(relay->revocations,
                                          GUINT_TO_POINTER(entry_name_uid(name)));

        refresh_listeners(relay, revoked_has_changed, name);
}

static void revoked_unref(void *revocations) {
        revocations_unref(revocations);
}

void revoked_open(Relay *relay) {
        relay->revocations = g_hash_table_new_full(NULL, NULL, NULL, revoked_unref);
        keys_observe_revoked(relay->keys, on_revoked_changed, relay);
}

void revoked_close(Relay *relay) {
        keys_observe_revoked(relay->keys, NULL, NULL);
        g_clear_pointer(&relay->revocations, g_hash_table_unref);
        g_clear_pointer(&relay->revocation_files, revocations_unref);
}
