/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Place: an address range with a port range, as rules name them: "*", "192.0.2.7",
 * "192.0.2.0/24:5684", "[2001:db8::]/32:1024-65535", "*:1-1023". IPv6 stands in brackets, so that
 * its colons are not a port's.
 */

#include "access/private.h"

#include <string.h>

#define PORT_UNPRIVILEGED 1024 /* ip(7) */

static bool place_parse_number(const char *text, uint64_t max, uint64_t *ret) {
        return g_ascii_string_to_unsigned(text, 10, 0, max, ret, NULL);
}

/* "5684", "1024-2048" */
static bool place_parse_ports(const char *text, Place *place) {
        g_auto(GStrv) ends = g_strsplit(text, "-", 2);
        uint64_t first, last;

        if (!ends[0] || !place_parse_number(ends[0], UINT16_MAX, &first))
                return false;
        last = first;
        if (ends[1] && !place_parse_number(ends[1], UINT16_MAX, &last))
                return false;
        if (first > last)
                return false;

        place->first_port = (uint16_t)first;
        place->last_port = (uint16_t)last;
        return true;
}

static bool place_parse_host(const char *text, Place *place) {
        if (address_parse(text, 0, &place->network) != 0)
                return false;

        place->n_bits = address_family(&place->network) == AF_INET ? 32 : 128;
        return true;
}

/* What follows the address: "", "/24", ":5684", "/24:5684". */
static bool place_parse_rest(const char *rest, Place *place) {
        g_autofree char *bits = NULL;
        const char *colon = strchr(rest, ':');
        uint64_t number;

        if (colon && !place_parse_ports(colon + 1, place))
                return false;

        bits = g_strndup(rest, colon ? (size_t)(colon - rest) : strlen(rest));
        if (bits[0] == '\0')
                return true;
        if (bits[0] != '/' || !address_is_set(&place->network) ||
            !place_parse_number(bits + 1, place->n_bits, &number))
                return false;

        place->n_bits = (unsigned)number;
        return true;
}

bool place_parse(const char *text, Place *ret) {
        g_autofree char *host = NULL;
        Place place = {.last_port = UINT16_MAX};
        const char *rest;

        if (text[0] == '*') {
                rest = text + 1;
        } else if (text[0] == '[') {
                const char *bracket = strchr(text, ']');

                if (!bracket)
                        return false;
                host = g_strndup(text + 1, (size_t)(bracket - text - 1));
                rest = bracket + 1;
        } else {
                rest = text + strcspn(text, "/:");
                host = g_strndup(text, (size_t)(rest - text));
        }

        if (host && !place_parse_host(host, &place))
                return false;
        if (!place_parse_rest(rest, &place))
                return false;

        *ret = place;
        return true;
}

/* Port 0 is one that the kernel picks, and it picks none that are privileged. */
static bool place_has_port(const Place *place, uint16_t port) {
        if (port == 0)
                return place->first_port <= PORT_UNPRIVILEGED && place->last_port == UINT16_MAX;

        return port >= place->first_port && port <= place->last_port;
}

bool place_has(const Place *place, const Address *address) {
        if (!address || !address_is_set(address))
                return !address_is_set(&place->network) && place->first_port == 0 &&
                       place->last_port == UINT16_MAX;

        return place_has_port(place, address_port(address)) &&
               (!address_is_set(&place->network) ||
                address_in_network(address, &place->network, place->n_bits));
}

bool place_meets(const Place *place, const Address *address) {
        if (address && address_is_set(address) && address_is_any(address))
                return place_has_port(place, address_port(address));

        return place_has(place, address);
}
