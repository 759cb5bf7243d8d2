/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Host, see host.h. */

#include "base/host.h"

#include "base/address.h"

#include <glib.h>
#include <string.h>

static char *host_of_address(const char *text) {
        g_autofree char *plain = g_strndup(text, strcspn(text, "%"));
        char buffer[ADDRESS_STRING_MAX];
        Address address;

        if (address_parse(plain, 0, &address) != 0)
                return NULL;

        return g_strdup(address_format(&address, buffer));
}

char *host_normal(const char *text) {
        size_t length = strlen(text);
        char *address = length < ADDRESS_STRING_MAX ? host_of_address(text) : NULL;

        if (address)
                return address;

        if (length > 0 && text[length - 1] == '.')
                length--;
        if (length == 0 || length > HOST_MAX || text[0] == '.' || text[length - 1] == '.' ||
            strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") <
                    length)
                return NULL;

        return g_ascii_strdown(text, (gssize)length);
}
