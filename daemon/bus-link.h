/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bus link: sees to it that there is a bus. Connects to the one that DBUS_SYSTEM_BUS_ADDRESS names,
 * or else the system's, and when it is lost tries again: after 1 s, 2 s and so on up to 30 s. What
 * is open goes on meanwhile. What goes wrong is said in words that name the bus.
 */

#include "bus/bus.h"

typedef struct BusLink BusLink;

typedef struct BusLinkSpec {
        sd_event *event;
        Relay *relay;
        Keys *keys;
        Quota *quota;
        Access *access;
        int (*reload)(void *userdata, char **ret_text); /* BusHost's */
        void *userdata;
} BusLinkSpec;

/* The first attempt is made in here, and waited for: 0, or what was said. @spec is copied. */
int bus_link_new(const BusLinkSpec *spec, BusLink **ret);
/* The rules or limits are others now. NULL: nobody has to know. */
void bus_link_reloaded(BusLink *link);
BusLink *bus_link_free(BusLink *link);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusLink, bus_link_free)
