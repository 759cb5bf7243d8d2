/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/reassembly.h"

#include <glib.h>
#include <string.h>

void reassembly_begin(Reassembly *reassembly, uint8_t type, uint32_t length) {
        size_t n_map = (length + 7) / 8;

        reassembly_clear(reassembly);
        *reassembly = (Reassembly){
                .type = type,
                .length = length,
                .n_missing = length,
        };
        if (length == 0)
                return;

        reassembly->bytes = g_malloc(length + n_map);
        memset(reassembly->bytes + length, 0, n_map);
}

void reassembly_add(Reassembly *reassembly, uint32_t offset, const uint8_t *bytes, uint32_t size) {
        uint8_t *there;

        if (size == 0)
                return;

        there = reassembly->bytes + reassembly->length;
        memcpy(reassembly->bytes + offset, bytes, size);
        if (size == reassembly->length) {
                memset(there, 0xff, (size + 7) / 8);
                reassembly->n_missing = 0;
                return;
        }

        for (uint32_t i = offset; i < offset + size; i++) {
                uint8_t bit = 1 << i % 8;

                reassembly->n_missing -= !(there[i / 8] & bit);
                there[i / 8] |= bit;
        }
}

void reassembly_clear(Reassembly *reassembly) {
        g_free(reassembly->bytes);
        *reassembly = (Reassembly){0};
}

bool reassembly_is_for(const Reassembly *reassembly, uint8_t type, uint32_t length) {
        return reassembly->type == type && reassembly->length == length;
}

bool reassembly_is_whole(const Reassembly *reassembly) {
        return reassembly->type && reassembly->n_missing == 0;
}
