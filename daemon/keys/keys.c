/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys, see keys.h: the connection to the keyring, the keys that live in it, and what makes them.
 */

#include "keys/private.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/memfd.h"
#include "base/terms.h"

#include <errno.h>
#include <fcntl.h>

#define KEYS_ACCURACY_USEC 1000

#define KEYS_TEXT_DEAD_KEY "the key was lost when the keyring died; give it again in a new object"

struct Key {
        unsigned n_refs;
        uint64_t id;
        Keys *keys; /* NULL: its keyring died */
        GBytes *spki;
};

/* ---- keys ---- */

Key *key_ref(Key *key) {
        key->n_refs++;
        return key;
}

/* A call that expects no reply; when it cannot be sent, the keyring is dying and the key with it.
 */
static void keys_remove(Keys *keys, uint64_t id) {
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        keys_flush_uses(keys); /* it may be among them */
        r = sd_bus_message_new_method_call(keys->bus, &m, NULL, DTLSD_ROOT_PATH,
                                           DTLSD_INTERFACE_KEYRING, "Remove");
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(m, false);
        if (r >= 0)
                r = sd_bus_message_append(m, "t", id);
        if (r >= 0)
                r = sd_bus_send(keys->bus, m, NULL);
        if (r < 0)
                (void)fault(r); /* traced */
        keys_stir(keys);
}

Key *key_unref(Key *key) {
        if (!key || --key->n_refs > 0)
                return NULL;

        if (key->keys) {
                g_hash_table_remove(key->keys->held, key);
                if (keys_connected(key->keys))
                        keys_remove(key->keys, key->id);
        }
        if (key->spki)
                g_bytes_unref(key->spki);
        g_free(key);
        return NULL;
}

uint64_t key_id(const Key *key) {
        return key->id;
}

bool key_is_alive(const Key *key) {
        return key->keys && keys_connected(key->keys);
}

GBytes *key_spki(const Key *key) {
        return key->spki;
}

Key *key_new(Keys *keys, uint64_t id, const void *spki, size_t spki_size) {
        Key *key = g_new0(Key, 1);

        key->n_refs = 1;
        key->id = id;
        key->keys = keys;
        key->spki = spki_size > 0 ? g_bytes_new(spki, spki_size) : NULL;
        g_hash_table_add(keys->held, key);
        return key;
}

/* ---- asking ---- */

static int ask_send_import(Ask *ask) {
        const char *method = ask->kind == ASK_IMPORT_PSK ? "ImportPsk" : "ImportPrivateKey";
        int r;

        r = sd_bus_call_method_async(ask->keys->bus, &ask->slot, NULL, DTLSD_ROOT_PATH,
                                     DTLSD_INTERFACE_KEYRING, method, on_reply, ask, "uh", ask->uid,
                                     ask->fd);
        autofd_close(&ask->fd);
        ask->fd = -1;
        return r;
}

/* On a connection that is not ready sd-bus would wait for it before it sends a descriptor, and the
 * loop with it: such imports are kept until on_keys_ready(). */
static int ask_take_import(Ask *ask, int fd) {
        if (!keys_connected(ask->keys))
                return -ENOTCONN;

        ask->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (ask->fd < 0)
                return -errno;

        return sd_bus_is_ready(ask->keys->bus) > 0 ? ask_send_import(ask) : 0;
}

static uint64_t keys_import(Keys *keys, Ask *ask, uid_t uid, int fd) {
        int r;

        ask->uid = uid;
        r = memfd_check(fd);
        if (r == 0)
                return ask_begin(ask, ask_take_import(ask, fd));

        ask_set_due(ask, 0, KEYS_E_BAD_SECRET,
                    r > 0 ? memfd_outcome_text((MemfdOutcome)r) : "the memfd cannot be looked at");
        return ask->ticket;
}

uint64_t keys_import_private_key(Keys *keys, uid_t uid, int fd, KeysImported answer,
                                 void *userdata) {
        Ask *ask = ask_new(keys, ASK_IMPORT_PRIVATE_KEY, userdata);

        ask->imported = answer;
        return keys_import(keys, ask, uid, fd);
}

uint64_t keys_import_psk(Keys *keys, uid_t uid, int fd, KeysImported answer, void *userdata) {
        Ask *ask = ask_new(keys, ASK_IMPORT_PSK, userdata);

        ask->imported = answer;
        return keys_import(keys, ask, uid, fd);
}

/* Whether @key can be used; else the answer is on its way. */
bool ask_check_key(Ask *ask, const Key *key) {
        g_assert(!key->keys || key->keys == ask->keys);

        if (key_is_alive(key))
                return true;

        ask_set_due(ask, 0, KEYS_E_GONE, key->keys ? KEYS_TEXT_GONE : KEYS_TEXT_DEAD_KEY);
        return false;
}

/* ---- the connection ---- */

void keys_stir(Keys *keys) {
        if (keys->host)
                keys->host->stir(keys->host_userdata);
}

bool keys_connected(const Keys *keys) {
        return keys->bus && sd_bus_is_open(keys->bus) > 0;
}

static void keys_drop_connection(Keys *keys) {
        GHashTableIter iter;
        gpointer value;

        identities_forget(keys);
        psks_forget(keys);
        trusts_forget(keys);
        pins_forget(keys);
        revoked_forget(keys);
        g_hash_table_iter_init(&iter, keys->held);
        while (g_hash_table_iter_next(&iter, &value, NULL))
                ((Key *)value)->keys = NULL;
        g_hash_table_remove_all(keys->held);

        g_hash_table_iter_init(&iter, keys->asks);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                Ask *ask = value;

                if (!ask->slot && ask->fd < 0 && !ask->is_batched)
                        continue; /* its answer is on its way already */
                ask->slot = sd_bus_slot_unref(ask->slot);
                autofd_close(&ask->fd);
                ask->fd = -1;
                ask_set_due(ask, 0, KEYS_E_GONE, KEYS_TEXT_GONE);
        }

        batch_close(keys);
        keys->bus = sd_bus_close_unref(keys->bus);
}

static void on_keys_ready(Keys *keys) {
        GHashTableIter iter;
        gpointer value;

        batch_open(keys); /* first: before there is a key to be used */
        g_hash_table_iter_init(&iter, keys->asks);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                Ask *ask = value;

                if (ask->fd >= 0)
                        ask_begin(ask, ask_send_import(ask));
        }

        psks_ask(keys);
        trusts_ask(keys);
        pins_ask(keys);
        revoked_ask(keys);
        identities_ask(keys); /* last: once they are known everything is */
}

void keys_lose(Keys *keys) {
        batch_lose(keys);
        keys_drop_connection(keys);
        keys->lost(keys->userdata); /* may connect again */
}

static int on_bus_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Keys *keys = userdata;

        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Connected"))
                on_keys_ready(keys);
        if (!sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected"))
                return 0;

        keys_lose(keys); /* sd-bus has answered the calls */
        return 1;
}

static int keys_open(Keys *keys, int *fd) {
        int r;

        r = sd_bus_new(&keys->bus);
        if (r >= 0)
                r = sd_bus_negotiate_fds(keys->bus, true);
        if (r >= 0) /* our own timers say when it is late, also before it has greeted us */
                r = sd_bus_set_method_call_timeout(keys->bus, UINT64_MAX);
        if (r >= 0)
                r = sd_bus_set_connected_signal(keys->bus, true);
        if (r >= 0)
                r = sd_bus_add_filter(keys->bus, NULL, on_bus_message, keys);
        if (r >= 0)
                r = sd_bus_set_fd(keys->bus, *fd, *fd);
        if (r < 0)
                return fault(r);

        autofd_steal(fd); /* closed with the bus */
        r = sd_bus_start(keys->bus);
        if (r >= 0)
                r = sd_bus_attach_event(keys->bus, keys->event, SD_EVENT_PRIORITY_NORMAL);
        return r < 0 ? fault(r) : 0;
}

int keys_connect(Keys *keys, int fd, KeysLost lost, void *userdata) {
        g_autofd int owned = fd;
        int r;

        keys_drop_connection(keys);
        keys->lost = lost;
        keys->userdata = userdata;

        r = keys_open(keys, &owned);
        if (r < 0) {
                keys->bus = sd_bus_close_unref(keys->bus);
                return fault(r);
        }

        return 0;
}

void keys_set_answer_usec(Keys *keys, uint64_t usec) {
        keys->answer_usec = usec;
}

int keys_new(sd_event *event, Keys **ret) {
        g_autoptr(Keys) keys = g_new0(Keys, 1);
        int r;

        keys->event = sd_event_ref(event);
        keys->uses_fd = -1;
        keys->answer_usec = KEYS_ANSWER_USEC;
        keys->asks = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, ask_free);
        keys->held = g_hash_table_new(NULL, NULL);
        keys->identities = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, keys_identity_free);
        keys->psks = psks_table_new();
        keys->trusts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, keys_trust_free);
        keys->pins = pins_table_new();
        keys->revoked = revoked_table_new();

        batch_new(keys);
        keys->timer_usec = UINT64_MAX;
        r = sd_event_add_time(event, &keys->timer, CLOCK_MONOTONIC, UINT64_MAX, KEYS_ACCURACY_USEC,
                              on_asks_due, keys);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&keys);
        return 0;
}

Keys *keys_free(Keys *keys) {
        if (!keys)
                return NULL;

        /* unanswered: who asked is gone before, and so may the loop be */
        g_hash_table_remove_all(keys->asks);
        keys_drop_connection(keys);
        g_hash_table_unref(keys->asks);
        g_hash_table_unref(keys->identities);
        g_tree_unref(keys->psks);
        g_hash_table_unref(keys->trusts);
        g_hash_table_unref(keys->pins);
        g_hash_table_unref(keys->revoked);
        g_hash_table_unref(keys->held);
        sd_event_source_disable_unref(keys->timer);
        batch_free(keys);
        sd_event_unref(keys->event);
        g_free(keys);
        return NULL;
}
