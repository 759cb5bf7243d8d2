/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uses of keys: signatures, and PSKs for a handshake. What is asked for in one turn of the host's
 * goes in one packet as it ends, on a socket of its own; answers come in packets too, in whichever
 * order the keyring has them.
 */

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/terms.h"
#include "keys/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BATCH_MAX 64 /* in one packet */

/* ---- watching ---- */

/* Events 0: not any more, not even for its end. */
static int batch_watch(Keys *keys, int fd, uint32_t events) {
        return keys->host ? keys->host->watch(fd, events, keys->host_userdata) : 0;
}

void keys_set_host(Keys *keys, const KeysHost *host, void *userdata) {
        g_assert(!host || keys->uses_fd < 0);
        (void)batch_watch(keys, -1, 0);
        keys->host = host;
        keys->host_userdata = userdata;
}

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

/* What the socket does not hold now waits until it does. */
void keys_flush_uses(Keys *keys) {
        int r;

        if (keys->uses_fd < 0)
                return;

        r = use_send(keys->batch, keys->uses_fd, MSG_DONTWAIT);
        if (keys->is_stalled != (r == -EAGAIN)) {
                keys->is_stalled = r == -EAGAIN;
                (void)batch_watch(keys, keys->uses_fd,
                                  keys->is_stalled ? EPOLLIN | EPOLLOUT : EPOLLIN);
        }
        if (r == 0 || r == -EAGAIN)
                return;

        use_drop(keys->batch);
        batch_fail(keys, keys->batch_first, KEYS_E_GONE, KEYS_TEXT_GONE);
}

static int batch_add(Keys *keys, const Use *use, const char *algorithm, const void *input) {
        if (keys->uses_fd < 0)
                return -ENOTCONN;
        if (use_put(keys->batch, use, algorithm, input))
                return 0;

        keys_flush_uses(keys); /* what is in it may be all that is in the way */
        return use_put(keys->batch, use, algorithm, input) ? 0 : -ENOBUFS;
}

/* @algorithm "": the PSK itself is wanted. */
static uint64_t batch_put(Ask *ask, const Key *key, const Use *use, const char *algorithm,
                          const void *input) {
        Keys *keys = ask->keys;
        uint64_t ticket = ask->ticket;
        int r;

        if (!ask_check_key(ask, key))
                return ticket;

        r = batch_add(keys, use, algorithm, input);
        ask->is_batched = r == 0;
        if (ask->is_batched && use_count(keys->batch) == 1)
                keys->batch_first = ticket;
        (void)ask_begin(ask, r);
        if (use_count(keys->batch) >= BATCH_MAX)
                keys_flush_uses(keys);

        return ticket;
}

uint64_t keys_sign(Keys *keys, const Key *key, uid_t uid, const char *algorithm, bool is_hash,
                   const void *input, size_t size, KeysSigned answer, void *userdata) {
        Ask *ask = ask_new(keys, ASK_SIGN, userdata);
        const Use use = {
                .ticket = ask->ticket,
                .key = key_id(key),
                .uid = uid,
                .size = (uint32_t)MIN(size, UINT32_MAX),
                .is_hash = is_hash,
        };

        ask->signed_ = answer;
        return batch_put(ask, key, &use, algorithm, input);
}

uint64_t keys_fetch_psk(Keys *keys, const Key *key, uid_t uid, KeysFetched answer, void *userdata) {
        Ask *ask = ask_new(keys, ASK_FETCH_PSK, userdata);
        const Use use = {.ticket = ask->ticket, .key = key_id(key), .uid = uid};

        ask->fetched = answer;
        return batch_put(ask, key, &use, /* algorithm= */ "", NULL);
}

/* ---- answers ---- */

static void use_done(Ask *ask, const void *bytes, size_t size) {
        g_autoptr(Secret) psk = NULL;

        if (ask->kind == ASK_SIGN) {
                ask->signed_(0, NULL, bytes, size, ask->userdata);
                return;
        }

        psk = secret_new(bytes, size);
        ask->fetched(0, NULL, psk, ask->userdata);
}

static void use_failed(Ask *ask, const Use *use, const void *bytes) {
        g_autofree char *name = g_strconcat(DTLSD_ERROR_PREFIX, use->word, NULL);
        g_autofree char *text = g_strndup(bytes, use->size);
        const sd_bus_error error = {.name = name, .message = text};

        ask_fail_by_error(ask, &error);
}

/* Nobody waits any more for what was forgotten, or late. */
static void batch_answer(Keys *keys, const Use *use, const void *bytes) {
        Ask *ask = g_hash_table_lookup(keys->asks, &use->ticket);

        if (!ask || !ask->is_batched)
                return;

        if (*use->word) {
                use_failed(ask, use, bytes);
                return;
        }

        g_hash_table_steal(keys->asks, &use->ticket);
        use_done(ask, bytes, use->size);
        ask_free(ask);
}

/* False: there is none. */
static bool batch_read(Keys *keys) {
        void *bytes;
        Use use;

        if (keys->uses_fd < 0 || use_receive(keys->answers, keys->uses_fd) < 0)
                return false;

        while (use_next(keys->answers, &use, &bytes))
                batch_answer(keys, &use, bytes);
        if (use_has_more(keys->answers))
                batch_fail(keys, 0, KEYS_E_REFUSED, "the keyring's answer cannot be read");
        use_drop(keys->answers); /* pre-shared keys too */
        return true;
}

void batch_lose(Keys *keys) {
        g_autoptr(GArray) tickets = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        GHashTableIter iter;
        gpointer value;

        while (batch_read(keys)) /* what it had said is heard */
                ;
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

/* What is over is told by the bus too, which then closes this. Room is used as the turn ends. */
void keys_serve_uses(Keys *keys, uint32_t events) {
        if (!batch_read(keys) && events & (EPOLLHUP | EPOLLERR))
                (void)batch_watch(keys, keys->uses_fd, 0);
}

/* ---- the socket ---- */

static int batch_take_socket(Keys *keys, sd_bus_message *m) {
        int fd, r;

        if (sd_bus_message_is_method_error(m, NULL))
                return -EIO;

        r = sd_bus_message_read(m, "h", &fd);
        if (r < 0)
                return r;

        keys->uses_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (keys->uses_fd < 0)
                return -errno;

        return batch_watch(keys, keys->uses_fd, EPOLLIN);
}

static int on_opened(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Keys *keys = userdata;
        int r;

        keys->uses_opening = sd_bus_slot_unref(keys->uses_opening);
        if (!keys_connected(keys))
                return 0;

        r = batch_take_socket(keys, m);
        if (r < 0) {
                (void)fault(r);  /* traced */
                keys_lose(keys); /* another one may do better */
        }
        return 0;
}

void batch_open(Keys *keys) {
        int r;

        r = sd_bus_call_method_async(keys->bus, &keys->uses_opening, NULL, DTLSD_ROOT_PATH,
                                     DTLSD_INTERFACE_KEYRING, "OpenUses", on_opened, keys, NULL);
        if (r < 0)
                (void)fault(r); /* traced; the connection is dying */
}

void batch_close(Keys *keys) {
        keys->uses_opening = sd_bus_slot_unref(keys->uses_opening);
        (void)batch_watch(keys, -1, 0);
        autofd_close(&keys->uses_fd);
        keys->uses_fd = -1;
        keys->is_stalled = false;
        if (keys->batch)
                use_drop(keys->batch);
}

void batch_new(Keys *keys) {
        keys->batch = use_packet_new();
        keys->answers = use_packet_new();
}

void batch_free(Keys *keys) {
        use_packet_free(keys->batch);
        use_packet_free(keys->answers);
}
