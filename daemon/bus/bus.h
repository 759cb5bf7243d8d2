/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bus: the D-Bus face of relay. Reads a call, asks whether it may be, does one thing, answers.
 */

#include "access/access.h"
#include "keys/keys.h"
#include "relay/relay.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Bus Bus;

/* Who owns the Bus, and what only he can do. */
typedef struct BusHost {
        /* The connection is over: from the loop, once. The Bus may be freed in it. */
        void (*lost)(void *userdata);
        /* Reads rules and configuration again: 0, or what is broken, in words; then all is as it
         * was. */
        int (*reload)(void *userdata, char **ret_text);
        void *userdata;
} BusHost;

typedef enum BusOutcome {
        BUS_E_NAME_TAKEN = 1, /* another dtlsd is on this bus */
        BUS_E_NAME_REFUSED,   /* the bus's policy does not let this user have the name */
} BusOutcome;

/* References @connection, which is open or opening and attached to no loop, puts every object on
 * it, asks for the name and waits for that one answer, and has it read by @event. On a connection
 * without a bus (a socket pair) there is no name to ask for. Relay's observer is the Bus from here
 * on. @access: by its rules; @host: copied. Call it from the thread that runs @event. */
int bus_new(sd_bus *connection, sd_event *event, Relay *relay, Keys *keys, Quota *quota,
            Access *access, const BusHost *host, Bus **ret);
/* The rules or limits are others now. */
void bus_reloaded(Bus *bus);
/* Takes everything off the connection again; does not close it. */
Bus *bus_free(Bus *bus);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bus, bus_free)
