/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bus: the D-Bus face of relay. Reads a call, asks whether it may be, does one thing, answers.
 */

#include "access/quota.h"
#include "keys/keys.h"
#include "relay/relay.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Bus Bus;
/* From the loop, once. The Bus may be freed in it. */
typedef void (*BusLost)(void *userdata);

typedef enum BusOutcome {
        BUS_E_NAME_TAKEN = 1, /* another dtlsd is on this bus */
        BUS_E_NAME_REFUSED,   /* the bus's policy does not let this user have the name */
} BusOutcome;

/* References @connection, which is open or opening, puts every object on it, attaches it to @event
 * if it is not attached yet, then asks for the name and waits for that one answer. On a connection
 * without a bus (a socket pair) there is no name to ask for. @lost: the connection is over. Relay's
 * observer is the Bus from here on. Call it from the thread that runs @event. */
int bus_new(sd_bus *connection, sd_event *event, Relay *relay, Keys *keys, Quota *quota,
            BusLost lost, void *userdata, Bus **ret);
/* Takes everything off the connection again; does not close it. */
Bus *bus_free(Bus *bus);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bus, bus_free)
