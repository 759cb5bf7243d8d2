/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * signals: the messages that news.c sends, built by hand and each sent to one name. sd-bus's own
 * emit functions only broadcast. Knows what each signal looks like, not who hears it.
 */

#include "bus/private.h"

#define SIGNAL_PATH_MAX 256 /* an identity's: its folder, and a name that is escaped */

typedef struct SignalObject {
        char path[SIGNAL_PATH_MAX];
        const char *interface;
        const sd_bus_vtable *vtable;
        void *object; /* Connection, Listener, Verifier or KeysIdentity; NULL: it is gone */
} SignalObject;

typedef enum SignalKind {
        SIGNAL_ADDED,
        SIGNAL_REMOVED,
        SIGNAL_CHANGED,
        SIGNAL_STATE,
        SIGNAL_TIMEOUT,
        SIGNAL_PSK,
        SIGNAL_DATAGRAM,
        SIGNAL_SEND,
        SIGNAL_CLOSED,
        SIGNAL_NEW_CONNECTION,
        SIGNAL_ENDS_SOON,
        N_SIGNAL_KINDS,
} SignalKind;

typedef struct Signal {
        SignalKind kind;
        const SignalObject *object;
        unsigned mask;        /* CHANGED: of ChangeMask */
        const char *words[3]; /* STATE, CLOSED; valid UTF-8 */
        PendingPsk psk;       /* PSK */
        GBytes *datagram;     /* DATAGRAM, SEND */
        uint32_t connection;  /* NEW_CONNECTION */
        const Address *peer;
        uint64_t not_after_usec; /* ENDS_SOON */
        uint32_t days;
} Signal;

SignalObject signal_object(SignalObjectKind kind, uint32_t id, void *object);
SignalObject signal_identity(const char *name, const KeysIdentity *identity);
/* Its path, interfaces and properties, as InterfacesAdded and GetManagedObjects have them:
 * oa{sa{sv}}
 */
int signal_append_object(sd_bus *bus, sd_bus_message *m, const SignalObject *object);
/* CHANGED: whether the mask is about anything that is told. */
bool signal_is_worth_it(const Signal *signal);
/* A signal that cannot be sent is lost, with a line in the journal. */
void signal_send(sd_bus *bus, const Signal *signal, const char *name);
