/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * errand: a call that had to wait for somebody (polkit, the keyring), or that takes many turns, and
 * what was found out for it until its handler has run to the end.
 *
 * The handler parked it by returning; when the answer is there the same message is read again from
 * the top. An errand ends when its handler has run without waiting again, or with its caller.
 */

#include "base/fault.h"
#include "base/log.h"
#include "bus/private.h"

#include <string.h>

struct Errands {
        Bus *bus;
        GHashTable *by_message;
        GPtrArray *running; /* messages, not referenced: each is in by_message */
};

static void errand_free(Errand *errand) {
        callers_let_go(errand->bus, errand->m);
        errand->asked = asked_free(errand->asked);
        errand->taken = taken_free(errand->taken);
        errand->managed = managed_reply_free(errand->managed);
        bin_put(errand->bus, errand->m);
        g_free(errand);
}

static void errand_destroy(gpointer data) {
        errand_free(data);
}

int errands_new(Bus *bus, Errands **ret) {
        Errands *errands;

        errands = g_new0(Errands, 1);
        errands->bus = bus;
        errands->by_message = g_hash_table_new_full(NULL, NULL, NULL, errand_destroy);
        errands->running = g_ptr_array_new();
        *ret = errands;
        return 0;
}

Errands *errands_free(Errands *errands) {
        if (!errands)
                return NULL;

        g_hash_table_unref(errands->by_message);
        (void)g_ptr_array_unref(errands->running);
        g_free(errands);
        return NULL;
}

Errand *errand_find(Bus *bus, sd_bus_message *m) {
        return g_hash_table_lookup(bus->errands->by_message, m);
}

static void errand_runs(Errand *errand) {
        errand->state = ERRAND_RUNNING;
        g_ptr_array_add(errand->bus->errands->running, errand->m);
        bus_turn(errand->bus);
}

int errand_of(Bus *bus, sd_bus_message *m, Errand **ret, sd_bus_error *error) {
        Errand *errand = errand_find(bus, m);
        const Caller *caller;
        int r;

        if (errand) {
                *ret = errand;
                return 1;
        }

        caller = caller_of(bus, m);
        g_assert(caller); /* who has none is refused before its handler runs */

        r = callers_keep(bus, m, error);
        if (r < 0)
                return r;

        errand = g_new0(Errand, 1);
        errand->bus = bus;
        errand->m = sd_bus_message_ref(m);
        errand->uid = caller->uid;
        g_hash_table_insert(bus->errands->by_message, m, errand);
        errand_runs(errand);
        *ret = errand;
        return 1;
}

void errand_wait(Errand *errand, bool hold) {
        g_assert(errand->state == ERRAND_RUNNING);

        errand->state = ERRAND_WAITING;
        errand->holds = hold;
        if (hold)
                callers_hold(errand->bus, sd_bus_message_get_sender(errand->m), true);
}

static void errand_drop(Errand *errand, int r) {
        (void)sd_bus_reply_method_errnof(errand->m, r, "The call could not be taken up again");
        g_hash_table_remove(errand->bus->errands->by_message, errand->m);
}

void errand_ready(Errand *errand) {
        Bus *bus = errand->bus;
        bool held = errand->holds;
        g_autofree char *sender = g_strdup(sd_bus_message_get_sender(errand->m));
        int r;

        g_assert(errand->state == ERRAND_WAITING);

        errand->state = ERRAND_READY;
        errand->holds = false;

        r = sd_bus_message_rewind(errand->m, /* complete= */ true);
        if (r >= 0)
                r = sd_bus_enqueue_for_read(bus->bus, errand->m);
        if (r < 0)
                errand_drop(errand, r);

        /* only now: what it held comes behind it */
        if (held)
                callers_hold(bus, sender, false);
}

bool errands_resume(Bus *bus, sd_bus_message *m) {
        Errand *errand = errand_find(bus, m);

        if (!errand || errand->state != ERRAND_READY)
                return false;

        errand_runs(errand);
        return true;
}

void errands_turn_over(Bus *bus) {
        GPtrArray *running = bus->errands->running;

        for (guint i = 0; i < running->len; i++) {
                Errand *errand = errand_find(bus, g_ptr_array_index(running, i));

                if (errand && errand->state == ERRAND_RUNNING)
                        g_hash_table_remove(bus->errands->by_message, errand->m);
        }

        g_ptr_array_set_size(running, 0);
}

unsigned errands_asked(Bus *bus, uid_t uid) {
        const Errand *errand;
        GHashTableIter iter;
        unsigned n = 0;

        g_hash_table_iter_init(&iter, bus->errands->by_message);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&errand))
                n += errand->uid == uid && asked_number(errand->asked);

        return n;
}

Errand *errands_last_asked(Bus *bus) {
        Errand *errand, *last = NULL;
        unsigned n, n_most = 0;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, bus->errands->by_message);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&errand)) {
                if (!asked_number(errand->asked))
                        continue;

                n = errands_asked(bus, errand->uid);
                if (n < n_most ||
                    (n == n_most && asked_number(errand->asked) < asked_number(last->asked)))
                        continue;

                last = errand;
                n_most = n;
        }

        return last;
}

void errand_refuse(Errand *errand, const sd_bus_error *error) {
        g_assert(errand->state == ERRAND_WAITING && !errand->holds);

        (void)sd_bus_reply_method_error(errand->m, error);
        g_hash_table_remove(errand->bus->errands->by_message, errand->m);
}

void errand_end(Errand *errand) {
        Bus *bus = errand->bus;
        bool held = errand->holds;
        g_autofree char *sender = g_strdup(sd_bus_message_get_sender(errand->m));

        g_assert(errand->state == ERRAND_WAITING);

        g_hash_table_remove(bus->errands->by_message, errand->m);
        if (held)
                callers_hold(bus, sender, false);
}

static gboolean errand_is_of(gpointer key, gpointer value, gpointer userdata) {
        const Errand *errand = value;

        return g_strcmp0(sd_bus_message_get_sender(errand->m), userdata) == 0;
}

void errands_caller_gone(Bus *bus, const char *name) {
        (void)g_hash_table_foreach_remove(bus->errands->by_message, errand_is_of, (gpointer)name);
}
