/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* host: serves the socket for uses of keys, by a source of the test's loop. */

#include "keys/keys.h"

typedef struct Host {
        sd_event *event;
        Keys *keys;
        sd_event_source *source;
} Host;

/* It lives as long as @keys. */
void host_serve(Host *host, sd_event *event, Keys *keys);
