/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * opened, see opened.h.
 */

#include "channel/opened.h"

#include <string.h>

#define OPENED_PADDING 4
#define OPENED_USUAL_SIZE 256

static void opened_put(GByteArray *fields, OpenedField type, const void *data, size_t size) {
        static const uint8_t zero[OPENED_PADDING] = {0};
        uint16_t header[2] = {(uint16_t)type, (uint16_t)size};

        g_assert(size <= UINT16_MAX); /* TLS has no longer identity either */

        g_byte_array_append(fields, (const uint8_t *)header, sizeof(header));
        if (size > 0)
                g_byte_array_append(fields, data, (guint)size);
        g_byte_array_append(fields, zero, (guint)(-size % OPENED_PADDING));
}

static void opened_put_bytes(GByteArray *fields, OpenedField type, GBytes *bytes) {
        gsize size;
        const void *data;

        if (!bytes)
                return;

        data = g_bytes_get_data(bytes, &size);
        opened_put(fields, type, data, size);
}

static void opened_put_address(GByteArray *fields, OpenedField type, OpenedField port_type,
                               const Address *address) {
        char text[ADDRESS_STRING_MAX];
        uint16_t port = address_port(address);

        address_format(address, text);
        opened_put(fields, type, text, strlen(text));
        opened_put(fields, port_type, &port, sizeof(port));
}

GByteArray *opened_encode(const OpenedFacts *facts) {
        GByteArray *fields = g_byte_array_sized_new(OPENED_USUAL_SIZE);
        uint8_t resumed = facts->resumed;

        opened_put(fields, OPENED_CONNECTION, &facts->connection, sizeof(facts->connection));
        opened_put_address(fields, OPENED_PEER, OPENED_PEER_PORT, &facts->peer);
        opened_put_address(fields, OPENED_LOCAL, OPENED_LOCAL_PORT, &facts->local);
        opened_put(fields, OPENED_DATA_MTU, &facts->data_mtu, sizeof(facts->data_mtu));
        opened_put_bytes(fields, OPENED_PSK_IDENTITY, facts->psk_identity);
        opened_put_bytes(fields, OPENED_LEAF_SHA256, facts->leaf_sha256);
        opened_put(fields, OPENED_RESUMED, &resumed, sizeof(resumed));
        if (facts->listener > 0)
                opened_put(fields, OPENED_LISTENER, &facts->listener, sizeof(facts->listener));
        if (facts->next_protocol_size > 0)
                opened_put(fields, OPENED_NEXT_PROTOCOL, facts->next_protocol,
                           facts->next_protocol_size);
        if (facts->server_name[0])
                opened_put(fields, OPENED_SERVER_NAME, facts->server_name,
                           strlen(facts->server_name));
        return fields;
}

GByteArray *opened_encode_data_mtu(uint32_t data_mtu) {
        GByteArray *fields = g_byte_array_new();

        opened_put(fields, OPENED_DATA_MTU, &data_mtu, sizeof(data_mtu));
        return fields;
}
