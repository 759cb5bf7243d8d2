/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* door: a keyring's server, and the other end of its socket. */

#include "base/terms.h"
#include "keyring/server.h"

#include <systemd/sd-bus.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)

typedef struct Door {
        Store *store; /* set before; NULL: nothing is kept. Borrowed */
        sd_event *event;
        Server *server;
        sd_bus *client;
        sd_bus_message *reply; /* the last */
} Door;

/* Of a fixture. */
void door_set_up(Door *door, gconstpointer data);
void door_tear_down(Door *door, gconstpointer data);

sd_bus_message *door_new_call(Door *door, const char *method);
/* The answer is door->reply. */
void door_call(Door *door, sd_bus_message *call);
/* Where keys are used; the caller's. */
int door_open_uses(Door *door);
/* It is this error (a name after DTLSD_ERROR_PREFIX) and says @text. */
void door_refuses(Door *door, sd_bus_message *call, const char *error, const char *text);
/* A method that takes a user and a name refuses every name: what is none, another user's, and, as
 * there is no store, the user's own. */
void door_refuses_names(Door *door, const char *method);
/* A method that lists things of this type lists none. */
void door_lists_nothing(Door *door, const char *method, const char *type);
