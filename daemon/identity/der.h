/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Der: so much of DER as finds an element inside others. For identity/ alone, where GnuTLS gives no
 * way to what it has read.
 *
 * Knows: tags of one octet and lengths. Does not know: what anything means.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DER_SEQUENCE 0x30

/* What is left to be read. */
typedef struct Der {
        const uint8_t *data;
        size_t size;
} Der;

/* The next element: its tag, and what is in it. */
bool der_read(Der *der, uint8_t *ret_tag, Der *ret_inside);
/* The same, which must have this tag. */
bool der_read_tagged(Der *der, uint8_t tag, Der *ret_inside);
