/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uses of keys: signatures, and PSKs for a handshake. What is asked for in one turn of the loop
 * goes in one call as the next turn begins; answers come in signals, several in one, in whichever
 * order the keyring has them.
 */

#include "base/fault.h"
#include "base/terms.h"
#include "keys/private.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define USE_TYPE "ttusbay"
#define ANSWER_TYPE "tssay"
#define BATCH_MAX 64 /* in one call */

/* ---- asking ---- */

/* Those asked for since @first. */
static void batch_fail(Keys *keys, uint64_t first, int outcome, const char *text) {
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, keys->asks);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                Ask *ask = value;

                if (ask->is_batched && ask->ticket >= first)
                        ask_set_due(ask, 0, outcome, text);
        }
}

void batch_flush(Keys *keys) {
        g_autoptr(sd_bus_message) m = g_steal_pointer(&keys->batch);
        int r;

        if (!m)
                return;

        keys->n_batch = 0;
        r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_send(keys->bus, m, NULL);
        if (r < 0)
                batch_fail(keys, keys->batch_first, KEYS_E_GONE, KEYS_TEXT_GONE);
}

static int on_turn(sd_event_source *source, void *userdata) {
        batch_flush(userdata);
        return 0;
}

static int on_never(sd_event_source *source, uint64_t usec, void *userdata) {
        return 0;
}

int batch_new(Keys *keys) {
        int r;

        /* a timer that never rings, for its preparation alone: ahead of the connection's, which
         * looks as a turn begins for what it could not send */
        r = sd_event_add_time(keys->event, &keys->turn, CLOCK_MONOTONIC, UINT64_MAX, 0, on_never,
                              keys);
        if (r >= 0)
                r = sd_event_source_set_enabled(keys->turn, SD_EVENT_ON);
        if (r >= 0)
                r = sd_event_source_set_priority(keys->turn, SD_EVENT_PRIORITY_NORMAL - 1);
        if (r >= 0)
                r = sd_event_source_set_prepare(keys->turn, on_turn);
        return r < 0 ? fault(r) : 0;
}

static int batch_open(Keys *keys, const Ask *ask) {
        int r;

        keys->batch_first = ask->ticket;
        r = sd_bus_message_new_method_call(keys->bus, &keys->batch, NULL, DTLSD_ROOT_PATH,
                                           DTLSD_INTERFACE_KEYRING, "Use");
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(keys->batch, false);
        if (r >= 0)
                r = sd_bus_message_open_container(keys->batch, 'a', "(" USE_TYPE ")");
        return r;
}

typedef struct Use {
        const Key *key;
        uid_t uid;
        const char *algorithm; /* "": the PSK itself is wanted */
        bool is_hash;
        const void *input;
        size_t size;
} Use;

static int batch_append(Keys *keys, const Ask *ask, const Use *use) {
        int r;

        r = sd_bus_message_open_container(keys->batch, 'r', USE_TYPE);
        if (r >= 0)
                r = sd_bus_message_append(keys->batch, "ttusb", ask->ticket, key_id(use->key),
                                          (uint32_t)use->uid, use->algorithm, (int)use->is_hash);
        if (r >= 0)
                r = sd_bus_message_append_array(keys->batch, 'y', use->input, use->size);
        return r < 0 ? r : sd_bus_message_close_container(keys->batch);
}

static uint64_t batch_put(Ask *ask, const Use *use) {
        Keys *keys = ask->keys;
        uint64_t ticket = ask->ticket;
        int r;

        if (!ask_check_key(ask, use->key))
                return ticket;

        ask->is_batched = true;
        r = keys->batch ? 0 : batch_open(keys, ask);
        if (r >= 0)
                r = batch_append(keys, ask, use);
        (void)ask_begin(ask, r);
        if (r < 0) { /* of a message that broke off nothing can be sent */
                keys->batch = sd_bus_message_unref(keys->batch);
                batch_fail(keys, keys->batch_first, KEYS_E_REFUSED,
                           "the keyring cannot be asked now");
        } else if (++keys->n_batch == BATCH_MAX) {
                batch_flush(keys);
        }

        return ticket;
}

uint64_t keys_sign(Keys *keys, const Key *key, uid_t uid, const char *algorithm, bool is_hash,
                   const void *input, size_t size, KeysSigned answer, void *userdata) {
        Ask *ask = ask_new(keys, ASK_SIGN, userdata);
        const Use use = {key, uid, algorithm, is_hash, input, size};

        ask->signed_ = answer;
        return batch_put(ask, &use);
}

uint64_t keys_fetch_psk(Keys *keys, const Key *key, uid_t uid, KeysFetched answer, void *userdata) {
        Ask *ask = ask_new(keys, ASK_FETCH_PSK, userdata);
        const Use use = {.key = key, .uid = uid, .algorithm = ""};

        ask->fetched = answer;
        return batch_put(ask, &use);
}

void batch_lose(Keys *keys) {
        g_autoptr(GArray) tickets = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, keys->asks);
        while (g_hash_table_iter_next(&iter, NULL, &value))
                if (((const Ask *)value)->is_batched)
                        g_array_append_val(tickets, ((const Ask *)value)->ticket);

        /* who hears of one may forget others */
        for (guint i = 0; i < tickets->len; i++) {
                Ask *ask = g_hash_table_lookup(keys->asks, &g_array_index(tickets, uint64_t, i));

                if (ask)
                        ask_settle(ask, KEYS_E_GONE, KEYS_TEXT_GONE);
        }
}

/* ---- answers ---- */

static void use_done(Ask *ask, const void *data, size_t size) {
        g_autoptr(Secret) psk = NULL;

        if (ask->kind == ASK_SIGN) {
                ask->signed_(0, NULL, data, size, ask->userdata);
                return;
        }

        psk = secret_new(data, size);
        explicit_bzero((void *)data, size); /* the message's own memory, which sd-bus only frees */
        ask->fetched(0, NULL, psk, ask->userdata);
}

/* Nobody waits any more for what was forgotten, or late. */
static void batch_answer(Keys *keys, uint64_t ticket, const sd_bus_error *error, const void *data,
                         size_t size) {
        Ask *ask = g_hash_table_lookup(keys->asks, &ticket);

        if (!ask || !ask->is_batched) {
                explicit_bzero((void *)data, size);
                return;
        }

        if (*error->name) {
                ask_fail_by_error(ask, error);
                return;
        }

        g_hash_table_steal(keys->asks, &ticket);
        use_done(ask, data, size);
        ask_free(ask);
}

/* 1: one was read; 0: there are no more. */
static int batch_read_answer(Keys *keys, sd_bus_message *m) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        const void *data;
        uint64_t ticket;
        size_t size;
        int r;

        r = sd_bus_message_enter_container(m, 'r', ANSWER_TYPE);
        if (r <= 0)
                return r;

        r = sd_bus_message_read(m, "tss", &ticket, &error.name, &error.message);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return r;

        batch_answer(keys, ticket, &error, data, size);
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

void batch_read(Keys *keys, sd_bus_message *m) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(" ANSWER_TYPE ")");
        while (r > 0)
                r = batch_read_answer(keys, m);
        if (r < 0)
                batch_fail(keys, 0, KEYS_E_REFUSED, "the keyring's answer cannot be read");
}
