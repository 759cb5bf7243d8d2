/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reader: what is left to read of what a peer said. Every step takes from the front, or fails when
 * there is not enough.
 */

#include <stddef.h>
#include <stdint.h>

typedef struct Reader {
        const uint8_t *next;
        size_t left;
} Reader;

/* Of so many bytes, the first the highest. */
static inline uint64_t number_read(const uint8_t *bytes, size_t size) {
        uint64_t number = 0;

        for (size_t i = 0; i < size; i++)
                number = number << 8 | bytes[i];

        return number;
}

/* NULL: there are not so many. */
static inline const uint8_t *reader_take(Reader *reader, size_t size) {
        const uint8_t *taken = reader->next;

        if (reader->left < size)
                return NULL;

        reader->next += size;
        reader->left -= size;
        return taken;
}

/* A length of @length_size bytes, and as many bytes. NULL: they are not all there. */
static inline const uint8_t *reader_take_vector(Reader *reader, size_t length_size,
                                                size_t *ret_size) {
        const uint8_t *length = reader_take(reader, length_size);
        const uint8_t *bytes;

        if (!length)
                return NULL;

        bytes = reader_take(reader, number_read(length, length_size));
        if (bytes)
                *ret_size = number_read(length, length_size);

        return bytes;
}
