/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Der, see der.h.
 */

#include "identity/der.h"

#define DER_LENGTH_SIZE_MAX 3 /* octets of a length; a longer one is of nothing that we take */

static bool der_read_length(Der *der, size_t *ret) {
        size_t length, n_octets = 0;

        if (der->size == 0)
                return false;

        length = der->data[0];
        if (length & 0x80) {
                n_octets = length & 0x7f;
                length = 0;
        }
        if (n_octets > DER_LENGTH_SIZE_MAX || der->size < 1 + n_octets)
                return false;

        for (size_t i = 1; i <= n_octets; i++)
                length = length << 8 | der->data[i];
        der->data += 1 + n_octets;
        der->size -= 1 + n_octets;
        *ret = length;
        return true;
}

bool der_read(Der *der, uint8_t *ret_tag, Der *ret_inside) {
        uint8_t tag;
        size_t length;

        if (der->size == 0)
                return false;

        tag = *der->data++;
        der->size--;
        if (!der_read_length(der, &length) || length > der->size)
                return false;

        *ret_tag = tag;
        *ret_inside = (Der){der->data, length};
        der->data += length;
        der->size -= length;
        return true;
}

bool der_read_tagged(Der *der, uint8_t tag, Der *ret_inside) {
        uint8_t found;

        return der_read(der, &found, ret_inside) && found == tag;
}
