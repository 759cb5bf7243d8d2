/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rests: pre-shared keys of the keyring that rest in a listener for a time, where a rule lets those
 * of its user: its next handshakes need not ask the keyring. What is replaced, removed or under
 * other rules since, or whose keyring or listener is gone, is wiped at once.
 *
 * Knows: rules, keys, time. Does not know: handshakes.
 */

#include "relay/private.h"

typedef struct Rest {
        Listener *listener;
        Key *key;
        char *name; /* in the store; "": the listener's own */
        Secret *psk;
        uint64_t due_usec;
        GList link; /* in relay->rests, which is in the order in which they are due */
} Rest;

static void rest_free(void *data) {
        Rest *rest = data;

        g_queue_unlink(&rest->listener->relay->rests, &rest->link);
        key_unref(rest->key);
        g_free(rest->name);
        secret_free(rest->psk);
        g_free(rest);
}

static void rests_arm(Relay *relay) {
        const Rest *first = g_queue_peek_head(&relay->rests);

        alarm_set(relay, &relay->rests_alarm, first ? first->due_usec : SESSION_NEVER);
}

static void rests_expire(void *owner, uint64_t now_usec) {
        Relay *relay = owner;
        Rest *rest = g_queue_peek_head(&relay->rests);

        while (rest && rest->due_usec <= now_usec) {
                g_hash_table_remove(rest->listener->rests, rest->key);
                rest = g_queue_peek_head(&relay->rests);
        }

        rests_arm(relay);
}

/* Polkit cannot be asked in the middle of a handshake: there ask is deny. */
static bool rests_may(const Listener *listener) {
        const Access *access = listener->relay->access;
        const AccessQuestion question = {
                .subject = spec_subject(listener->spec),
                .verb = ACCESS_REST_PSK,
        };

        return access && access_decide(access, &question).verdict == ACCESS_ALLOW;
}

static bool rests_have_room(const Relay *relay, uid_t uid) {
        unsigned n = 0;

        for (const GList *i = relay->rests.head; i; i = i->next)
                n += ((const Rest *)i->data)->listener->spec->uid == uid;

        return n < RESTS_PER_USER_MAX;
}

/* Under which name a handshake would find it now; NULL: it would find another, or none. */
static const char *rests_name(const Listener *listener, GBytes *identity, const Key *key) {
        const KeysPsk *psk;

        if (listener->spec->psk == key)
                return "";

        psk = psks_find(listener->relay, listener->spec, identity);
        return psk && psk->key == key ? psk->name : NULL;
}

void rests_keep(Listener *listener, GBytes *identity, Key *key, const Secret *psk,
                uint64_t now_usec) {
        Relay *relay = listener->relay;
        const char *name;
        Rest *rest;

        if (!rests_may(listener) || g_hash_table_contains(listener->rests, key))
                return;

        name = rests_name(listener, identity, key);
        if (!name || !rests_have_room(relay, listener->spec->uid))
                return;

        rest = g_new0(Rest, 1);
        rest->listener = listener;
        rest->key = key_ref(key);
        rest->name = g_strdup(name);
        rest->psk = secret_new(secret_peek(psk), secret_size(psk));
        rest->due_usec = now_usec + RESTS_USEC;
        rest->link.data = rest;
        g_queue_push_tail_link(&relay->rests, &rest->link);
        g_hash_table_insert(listener->rests, rest->key, rest);
        rests_arm(relay);
}

const Secret *rests_find(const Listener *listener, const Key *key, uint64_t now_usec) {
        const Rest *rest = g_hash_table_lookup(listener->rests, key);

        return rest && now_usec < rest->due_usec ? rest->psk : NULL;
}

void rests_drop_listener(Listener *listener) {
        g_hash_table_remove_all(listener->rests);
        rests_arm(listener->relay);
}

void rests_drop(const char *name, void *userdata) {
        Relay *relay = userdata;
        GList *next;

        for (GList *i = relay->rests.head; i; i = next) {
                const Rest *rest = i->data;

                next = i->next;
                if (!name || g_str_equal(rest->name, name))
                        g_hash_table_remove(rest->listener->rests, rest->key);
        }

        rests_arm(relay);
}

GHashTable *rests_table_new(void) {
        return g_hash_table_new_full(NULL, NULL, NULL, rest_free);
}

void rests_open(Relay *relay) {
        g_queue_init(&relay->rests);
        relay->rests_alarm = (Alarm){.ring = rests_expire, .owner = relay};
        keys_observe_psks(relay->keys, rests_drop, relay);
}
