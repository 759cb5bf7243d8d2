/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys, see keys.h. An Ask is one question that is under way. When it is due is the one way in
 * which it is answered without the keyring's doing: late, or at once when there was nobody to ask;
 * both come from the loop. Whatever comes first, answer, timer or the end of the connection, ends
 * the ask, so an asker hears exactly once.
 *
 * An import that nobody waits for any more stays until its reply: the key it made must be removed.
 */

#include "keys/private.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/memfd.h"
#include "base/terms.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#define KEYS_ACCURACY_USEC 1000

#define KEYS_TEXT_DEAD_KEY "the key was lost when the keyring died; give it again in a new object"
#define KEYS_TEXT_LATE "the keyring did not answer in time"

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

        batch_flush(keys); /* it may be among them */
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

/* ---- asks ---- */

void ask_free(void *data) {
        Ask *ask = data;

        sd_bus_slot_unref(ask->slot);
        autofd_close(&ask->fd);
        keys_identity_free(ask->identity);
        keys_psk_free(ask->psk);
        g_free(ask->trust);
        g_free(ask->place);
        keys_revoked_free(ask->revoked);
        g_free(ask);
}

/* Says to the asker how it failed, unless it has heard or does not listen. */
static void ask_fail(Ask *ask, int outcome, const char *text) {
        if (ask->answered)
                return;

        ask->answered = true;
        switch (ask->kind) {
        case ASK_IMPORT_PRIVATE_KEY:
        case ASK_IMPORT_PSK:
                ask->imported(outcome, text, NULL, ask->userdata);
                break;
        case ASK_SIGN:
                ask->signed_(outcome, text, NULL, 0, ask->userdata);
                break;
        case ASK_FETCH_PSK:
                ask->fetched(outcome, text, NULL, ask->userdata);
                break;
        case ASK_STORE_IDENTITY:
        case ASK_REMOVE_IDENTITY:
        case ASK_STORE_PSK:
        case ASK_REMOVE_PSK:
        case ASK_CHANGE_TRUST:
        case ASK_CHANGE_PINS:
        case ASK_STORE_REVOCATIONS:
        case ASK_REMOVE_REVOCATIONS:
        case ASK_INSTALL_CERTIFICATE:
                ask->done(outcome, text, ask->userdata);
                break;
        case ASK_GENERATE_IDENTITY:
                ask->generated(outcome, text, NULL, ask->userdata);
                break;
        }
}

static bool ask_is_import(const Ask *ask) {
        return ask->kind == ASK_IMPORT_PRIVATE_KEY || ask->kind == ASK_IMPORT_PSK;
}

static bool ask_changes_store(const Ask *ask) {
        return ask->identity || ask->psk || ask->trust || ask->place || ask->revoked;
}

/* Whether a reply must still be waited for although nobody is to be told: it says what there is. */
static bool ask_owes_reply(const Ask *ask) {
        return (ask_is_import(ask) || ask_changes_store(ask)) && ask->slot;
}

/* Off the table first: the asker may ask, forget or lose interest in others inside its answer. */
void ask_settle(Ask *ask, int outcome, const char *text) {
        Keys *keys = ask->keys;

        g_hash_table_steal(keys->asks, &ask->ticket);
        ask_fail(ask, outcome, text);
        ask_free(ask);
}

static void ask_expire(Ask *ask) {
        ask->due_usec = UINT64_MAX;

        if (ask_owes_reply(ask))
                ask_fail(ask, ask->due_outcome, ask->due_text);
        else
                ask_settle(ask, ask->due_outcome, ask->due_text);
}

/* One timer for all. It is only ever moved forward: asks are answered long before they are due, and
 * a timer that finds none due costs less than moving it twice for each. */
static void keys_arm(Keys *keys, uint64_t due_usec) {
        if (due_usec >= keys->timer_usec)
                return;

        keys->timer_usec = due_usec;
        /* neither can fail for a timer of ours */
        (void)sd_event_source_set_time(keys->timer, due_usec);
        (void)sd_event_source_set_enabled(keys->timer, SD_EVENT_ONESHOT);
}

/* Tickets, because who hears of one may forget others. */
static GArray *keys_due(Keys *keys, uint64_t now_usec) {
        GArray *due = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, keys->asks);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                Ask *ask = value;

                if (ask->due_usec <= now_usec)
                        g_array_append_val(due, ask->ticket);
                else
                        keys_arm(keys, ask->due_usec);
        }

        return due;
}

static uint64_t keys_now(const Keys *keys) {
        uint64_t now_usec;
        int r;

        r = sd_event_now(keys->event, CLOCK_MONOTONIC, &now_usec);
        g_assert(r >= 0); /* a clock that the loop knows */
        return now_usec;
}

static int on_asks_due(sd_event_source *source, uint64_t usec, void *userdata) {
        Keys *keys = userdata;
        g_autoptr(GArray) due = NULL;

        keys->timer_usec = UINT64_MAX;
        due = keys_due(keys, keys_now(keys));

        for (guint i = 0; i < due->len; i++) {
                Ask *ask = g_hash_table_lookup(keys->asks, &g_array_index(due, uint64_t, i));

                if (ask)
                        ask_expire(ask);
        }

        return 0;
}

void ask_set_due(Ask *ask, uint64_t delay_usec, int outcome, const char *text) {
        ask->due_outcome = outcome;
        ask->due_text = text;
        ask->due_usec = keys_now(ask->keys) + delay_usec;
        keys_arm(ask->keys, ask->due_usec);
}

Ask *ask_new(Keys *keys, AskKind kind, void *userdata) {
        Ask *ask = g_new0(Ask, 1);

        ask->keys = keys;
        ask->ticket = ++keys->last_ticket;
        ask->kind = kind;
        ask->userdata = userdata;
        ask->due_usec = UINT64_MAX;
        ask->fd = -1;
        g_hash_table_insert(keys->asks, &ask->ticket, ask);
        return ask;
}

uint64_t ask_begin(Ask *ask, int r) {
        uint64_t usec = ask->keys->answer_usec, ticket = ask->ticket;

        if (ask->kind == ASK_GENERATE_IDENTITY || ask->kind == ASK_STORE_IDENTITY)
                usec = MAX(usec, KEYS_GENERATE_USEC);
        if (r >= 0)
                ask_set_due(ask, usec, KEYS_E_LATE, KEYS_TEXT_LATE);
        else if (r == -ENOTCONN || r == -ECONNRESET)
                ask_set_due(ask, 0, KEYS_E_GONE, KEYS_TEXT_GONE);
        else
                ask_set_due(ask, 0, KEYS_E_REFUSED, "the keyring cannot be asked now");

        return ticket;
}

/* ---- replies ---- */

void ask_fail_by_error(Ask *ask, const sd_bus_error *error) {
        int outcome = KEYS_E_REFUSED;

        if (g_strcmp0(error->name, DTLSD_ERROR_PREFIX "BadSecret") == 0)
                outcome = KEYS_E_BAD_SECRET;
        if (g_strcmp0(error->name, DTLSD_ERROR_PREFIX "QuotaExceeded") == 0)
                outcome = KEYS_E_FULL;
        if (ask_changes_store(ask) && g_strcmp0(error->name, DTLSD_ERROR_PREFIX "UnknownKey") == 0)
                outcome = KEYS_E_UNKNOWN;
        ask_settle(ask, outcome, error->message ? error->message : error->name);
}

static int ask_read_imported(Ask *ask, sd_bus_message *m) {
        g_autoptr(Key) key = NULL;
        const void *spki = NULL;
        size_t spki_size = 0;
        uint64_t id;
        int r;

        r = sd_bus_message_read(m, "t", &id);
        if (r >= 0 && ask->kind == ASK_IMPORT_PRIVATE_KEY)
                r = sd_bus_message_read_array(m, 'y', &spki, &spki_size);
        if (r < 0)
                return r;

        key = key_new(ask->keys, id, spki, spki_size); /* goes again when nobody references it */
        if (!ask->answered)
                ask->imported(0, NULL, key, ask->userdata);
        return 0;
}

static int ask_read(Ask *ask, sd_bus_message *m) {
        switch (ask->kind) {
        case ASK_IMPORT_PRIVATE_KEY:
        case ASK_IMPORT_PSK:
                return ask_read_imported(ask, m);
        case ASK_SIGN:
        case ASK_FETCH_PSK:
                break; /* batch.c */
        case ASK_STORE_IDENTITY:
        case ASK_INSTALL_CERTIFICATE:
                return ask_read_stored(ask, m);
        case ASK_GENERATE_IDENTITY:
                return ask_read_generated(ask, m);
        case ASK_REMOVE_IDENTITY:
                return ask_read_removed(ask);
        case ASK_STORE_PSK:
                return ask_read_stored_psk(ask, m);
        case ASK_REMOVE_PSK:
                return ask_read_removed_psk(ask);
        case ASK_CHANGE_TRUST:
                return ask_read_trust(ask, m);
        case ASK_CHANGE_PINS:
                return ask_read_pins(ask, m);
        case ASK_STORE_REVOCATIONS:
                return ask_read_stored_revocations(ask);
        case ASK_REMOVE_REVOCATIONS:
                return ask_read_removed_revocations(ask);
        }

        g_assert_not_reached();
}

int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Ask *ask = userdata;
        int r;

        if (!keys_connected(ask->keys)) {
                ask_settle(ask, KEYS_E_GONE, KEYS_TEXT_GONE);
                return 0;
        }

        if (sd_bus_message_is_method_error(m, NULL)) {
                ask_fail_by_error(ask, sd_bus_message_get_error(m));
                return 0;
        }

        g_hash_table_steal(ask->keys->asks, &ask->ticket);
        r = ask_read(ask, m);
        if (r < 0)
                ask_fail(ask, KEYS_E_REFUSED, "the keyring's answer cannot be read");
        ask_free(ask);
        return 0;
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

void keys_forget(Keys *keys, uint64_t ticket) {
        Ask *ask = g_hash_table_lookup(keys->asks, &ticket);

        if (!ask)
                return;

        ask->answered = true;
        if (!ask_owes_reply(ask))
                g_hash_table_remove(keys->asks, &ticket);
}

/* ---- the connection ---- */

bool keys_connected(const Keys *keys) {
        return keys->bus && sd_bus_is_open(keys->bus) > 0;
}

static void keys_drop_connection(Keys *keys) {
        GHashTableIter iter;
        gpointer value;

        identities_forget(keys);
        psks_drop(keys);
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

        keys->batch = sd_bus_message_unref(keys->batch);
        keys->n_batch = 0;
        keys->bus = sd_bus_close_unref(keys->bus);
}

static void on_keys_ready(Keys *keys) {
        GHashTableIter iter;
        gpointer value;

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

static int on_bus_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Keys *keys = userdata;

        if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Connected"))
                on_keys_ready(keys);
        if (sd_bus_message_is_signal(m, DTLSD_INTERFACE_KEYRING, "Used")) {
                batch_read(keys, m);
                return 1;
        }
        if (!sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected"))
                return 0;

        batch_lose(keys); /* sd-bus has answered the calls */
        keys_drop_connection(keys);
        keys->lost(keys->userdata); /* may connect again */
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
        keys->answer_usec = KEYS_ANSWER_USEC;
        keys->asks = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, ask_free);
        keys->held = g_hash_table_new(NULL, NULL);
        keys->identities = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, keys_identity_free);
        keys->psks = psks_table_new();
        keys->trusts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, keys_trust_free);
        keys->pins = pins_table_new();
        keys->revoked = revoked_table_new();

        keys->timer_usec = UINT64_MAX;
        r = sd_event_add_time(event, &keys->timer, CLOCK_MONOTONIC, UINT64_MAX, KEYS_ACCURACY_USEC,
                              on_asks_due, keys);
        if (r >= 0)
                r = batch_new(keys);
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
        sd_event_source_disable_unref(keys->turn);
        sd_event_unref(keys->event);
        g_free(keys);
        return NULL;
}
