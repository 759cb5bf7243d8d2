/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * intake: secrets that come with a call go to the keyring, unread, before the call has any effect.
 *
 * The call waits as an errand, and its caller's later calls wait behind it, so that "set this key"
 * and "shake hands", sent without waiting, happen in that order. A call with several secrets takes
 * them one after the other, running from the top each time.
 */

#include "base/fault.h"
#include "base/memfd.h"
#include "bus/private.h"

#include <errno.h>
#include <string.h>

typedef struct TakenSecret { /* one secret of the call */
        IntakeKind kind;
        int fd; /* the message's; tells its secrets apart */
        Key *key;
        int outcome; /* of keys; 0 with a key */
        char *text;
} TakenSecret;

struct Taken {
        Errand *errand;
        GPtrArray *secrets; /* of TakenSecret; the last one may still be on its way */
        uint64_t ticket;    /* 0: none is */
};

static void taken_secret_free(gpointer data) {
        TakenSecret *secret = data;

        (void)key_unref(secret->key);
        g_free(secret->text);
        g_free(secret);
}

static Taken *taken_of(Errand *errand) {
        if (!errand->taken) {
                errand->taken = g_new0(Taken, 1);
                errand->taken->errand = errand;
                errand->taken->secrets = g_ptr_array_new_with_free_func(taken_secret_free);
        }

        return errand->taken;
}

Taken *taken_free(Taken *taken) {
        if (!taken)
                return NULL;

        keys_forget(taken->errand->bus->keys, taken->ticket);
        (void)g_ptr_array_unref(taken->secrets);
        g_free(taken);
        return NULL;
}

static TakenSecret *taken_find(const Taken *taken, IntakeKind kind, int fd) {
        if (!taken)
                return NULL;

        for (guint i = 0; i < taken->secrets->len; i++) {
                TakenSecret *secret = g_ptr_array_index(taken->secrets, i);

                if (secret->kind == kind && secret->fd == fd)
                        return secret;
        }

        return NULL;
}

static void on_imported(int outcome, const char *text, Key *key, void *userdata) {
        Taken *taken = userdata;
        TakenSecret *secret = g_ptr_array_index(taken->secrets, taken->secrets->len - 1);

        taken->ticket = 0;
        secret->outcome = outcome;
        secret->text = g_strdup(text);
        secret->key = outcome == 0 ? key_ref(key) : NULL;
        errand_ready(taken->errand);
}

static const char *intake_option(IntakeKind kind) {
        return kind == INTAKE_PSK ? "PreSharedKey" : "PrivateKey";
}

static int intake_answer(const TakenSecret *secret, Key **ret, sd_bus_error *error) {
        const char *text = secret->text ? secret->text : "";

        switch ((KeysOutcome)secret->outcome) {
        case KEYS_E_GONE:
                return bus_refuse_text(error, BUS_E_TLS_INITIALIZATION, "The key: %s", text);
        case KEYS_E_LATE:
                return bus_refuse_text(error, BUS_E_TIMED_OUT, "The key: %s; try again", text);
        case KEYS_E_FULL:
                return bus_refuse_text(error, BUS_E_QUOTA, "The key: %s", text);
        case KEYS_E_REFUSED:
        case KEYS_E_BAD_SECRET:
        case KEYS_E_UNKNOWN:
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS, "Option '%s': %s",
                                       intake_option(secret->kind), text);
        }

        *ret = key_ref(secret->key);
        return 1;
}

static int intake_check(IntakeKind kind, int fd, sd_bus_error *error) {
        int r;

        r = memfd_check(fd);
        if (r < 0)
                return bus_refuse(error, r, NULL);
        if (r > 0)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS, "Option '%s': %s",
                                       intake_option(kind), memfd_outcome_text((MemfdOutcome)r));
        return 0;
}

static void intake_start(Taken *taken, IntakeKind kind, int fd) {
        Errand *errand = taken->errand;
        Keys *keys = errand->bus->keys;
        TakenSecret *secret;

        secret = g_new0(TakenSecret, 1);
        secret->kind = kind;
        secret->fd = fd;
        g_ptr_array_add(taken->secrets, secret);

        if (kind == INTAKE_PSK)
                taken->ticket = keys_import_psk(keys, errand->uid, fd, on_imported, taken);
        else
                taken->ticket = keys_import_private_key(keys, errand->uid, fd, on_imported, taken);
}

int bus_intake(Bus *bus, sd_bus_message *m, IntakeKind kind, int fd, Key **ret,
               sd_bus_error *error) {
        Errand *errand = errand_find(bus, m);
        const TakenSecret *known = taken_find(errand ? errand->taken : NULL, kind, fd);
        int r;

        if (known)
                return intake_answer(known, ret, error);

        r = intake_check(kind, fd, error);
        if (r < 0)
                return r;

        r = errand_of(bus, m, &errand, error);
        if (r < 0)
                return r;

        intake_start(taken_of(errand), kind, fd);
        errand_wait(errand, /* hold= */ true);
        return 0;
}
