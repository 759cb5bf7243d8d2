/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * asks: an Ask is one question that is under way. When it is due is the one way in which it is
 * answered without the keyring's doing: late, or at once when there was nobody to ask; both come
 * from the loop. Whatever comes first, answer, timer or the end of the connection, ends the ask, so
 * an asker hears exactly once.
 *
 * An import that nobody waits for any more stays until its reply: the key it made must be removed.
 */

#include "keys/private.h"

#include "base/cleanup.h"
#include "base/terms.h"

#include <errno.h>

#define KEYS_TEXT_LATE "the keyring did not answer in time"

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
        keys_stir(keys);
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

/* The loop's clock may stand still where something is asked. */
static uint64_t keys_now(void) {
        return (uint64_t)g_get_monotonic_time();
}

int on_asks_due(sd_event_source *source, uint64_t usec, void *userdata) {
        Keys *keys = userdata;
        g_autoptr(GArray) due = NULL;

        keys->timer_usec = UINT64_MAX;
        due = keys_due(keys, keys_now());

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
        ask->due_usec = keys_now() + delay_usec;
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

int ask_message_new(const Keys *keys, const char *method, uid_t uid, const char *name,
                    sd_bus_message **ret) {
        int r;

        if (!keys_connected(keys))
                return -ENOTCONN;

        r = sd_bus_message_new_method_call(keys->bus, ret, NULL, DTLSD_ROOT_PATH,
                                           DTLSD_INTERFACE_KEYRING, method);
        return r < 0 ? r : sd_bus_message_append(*ret, "us", (uint32_t)uid, name);
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

uint64_t ask_call(Ask *ask, sd_bus_message *m, int r) {
        if (r >= 0)
                r = sd_bus_call_async(ask->keys->bus, &ask->slot, m, on_reply, ask, UINT64_MAX);
        keys_stir(ask->keys);
        return ask_begin(ask, r);
}

void keys_forget(Keys *keys, uint64_t ticket) {
        Ask *ask = g_hash_table_lookup(keys->asks, &ticket);

        if (!ask)
                return;

        ask->answered = true;
        if (!ask_owes_reply(ask))
                g_hash_table_remove(keys->asks, &ticket);
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
