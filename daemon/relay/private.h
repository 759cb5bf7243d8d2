/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What relay's own files see of each other. No other room includes this.
 */

#include "channel/accept-queue.h"
#include "channel/channel.h"
#include "relay/relay.h"
#include "session/cookie.h"
#include "transport/demux.h"
#include "transport/registry.h"
#include "transport/udp.h"
