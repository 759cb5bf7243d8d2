/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Demux: whose datagram is this? From (peer, local) to what relay put there.
 */

#include "base/address.h"

#include <glib.h>

typedef struct Demux Demux;

Demux *demux_new(void); /* with a random hash key: strangers choose addresses */
Demux *demux_free(Demux *demux);

/* @value: borrowed, not NULL; takes the place of what was there. */
void demux_insert(Demux *demux, const Address *peer, const Address *local, void *value);
/* NULL: nobody's. */
void *demux_find(Demux *demux, const Address *peer, const Address *local);
/* Nothing there: nothing happens. */
void demux_remove(Demux *demux, const Address *peer, const Address *local);
size_t demux_count(const Demux *demux);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Demux, demux_free)
