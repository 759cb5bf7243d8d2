/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reassembly: one handshake message, put together from its fragments in any order.
 *
 * It holds one claim, a type and a length, and the bytes that came for it. Where a fragment says
 * what another said before, the later one is kept.
 *
 * Knows: bytes and which of them are there. Does not know: records, who may say what, when; bounds,
 * so its caller checks those before. A value, to be embedded; zeroed it is empty.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Reassembly {
        uint8_t type;    /* 0: empty */
        uint32_t length; /* of the whole message, without its header */
        uint32_t n_missing;
        uint8_t *bytes; /* @length of them, and behind them a bit for each: it is there */
} Reassembly;

/* Forgets what there was and waits for this message, which may have no bytes. @type: not 0. */
void reassembly_begin(Reassembly *reassembly, uint8_t type, uint32_t length);
/* @offset and @size within the length. */
void reassembly_add(Reassembly *reassembly, uint32_t offset, const uint8_t *bytes, uint32_t size);
void reassembly_clear(Reassembly *reassembly);

bool reassembly_is_for(const Reassembly *reassembly, uint8_t type, uint32_t length);
bool reassembly_is_whole(const Reassembly *reassembly);
