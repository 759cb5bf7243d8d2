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
typedef void (*BusLost)(void *userdata);

/* Takes a connection that is open or opening, puts every object on it, then asks for the name.
 * @lost: the connection is over. Relay's observer is the Bus from here on. */
int bus_new(sd_bus *connection, sd_event *event, Relay *relay, Keys *keys, Quota *quota,
            BusLost lost, void *userdata, Bus **ret);
Bus *bus_free(Bus *bus);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bus, bus_free)
