/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* opened: what is known is a field, and what there is not is none. */

#include "channel/opened.h"

#include <string.h>

/* The value of the one field of a type, by the table of interfaces/README.md; NULL: none. */
static GBytes *field_of(const GByteArray *fields, uint16_t wanted) {
        GBytes *found = NULL;
        uint16_t header[2];
        size_t at = 0;

        while (at < fields->len) {
                memcpy(header, fields->data + at, sizeof(header));
                at += sizeof(header);
                g_assert_cmpuint(header[1], <=, fields->len - at);
                if (header[0] == wanted) {
                        g_assert_null(found);
                        found = g_bytes_new(fields->data + at, header[1]);
                }
                at += (header[1] + 3u) / 4 * 4;
        }

        g_assert_cmpuint(at, ==, fields->len);
        return found;
}

static void assert_field(const GByteArray *fields, uint16_t type, const void *value, size_t size) {
        g_autoptr(GBytes) found = field_of(fields, type);

        g_assert_nonnull(found);
        g_assert_cmpmem(g_bytes_get_data(found, NULL), g_bytes_get_size(found), value, size);
}

static OpenedFacts facts_of(uint32_t connection) {
        OpenedFacts facts = {.connection = connection, .data_mtu = 1400};

        g_assert_cmpint(address_parse("192.0.2.1", 40000, &facts.peer), ==, 0);
        g_assert_cmpint(address_parse("192.0.2.2", 5684, &facts.local), ==, 0);
        return facts;
}

static void test_what_there_is(void) {
        OpenedFacts facts = facts_of(7);
        g_autoptr(GByteArray) fields = NULL;
        uint32_t listener = 3, connection = 7;

        facts.listener = listener;
        facts.next_protocol = (const uint8_t *)"coap";
        facts.next_protocol_size = 4;
        (void)g_strlcpy(facts.server_name, "example.org", sizeof(facts.server_name));
        fields = opened_encode(&facts);

        assert_field(fields, 1, &connection, sizeof(connection));
        assert_field(fields, 2, "192.0.2.1", 9);
        assert_field(fields, 10, &listener, sizeof(listener));
        assert_field(fields, 11, "coap", 4);
        assert_field(fields, 12, "example.org", 11);
}

static void test_what_there_is_not(void) {
        OpenedFacts facts = facts_of(7);
        g_autoptr(GByteArray) fields = opened_encode(&facts);

        for (uint16_t type = OPENED_LISTENER; type < 100; type++)
                g_assert_null(field_of(fields, type));
}

static void test_what_changes(void) {
        g_autoptr(GByteArray) fields = opened_encode_data_mtu(1234);
        uint32_t data_mtu = 1234;

        assert_field(fields, 6, &data_mtu, sizeof(data_mtu));
        g_assert_null(field_of(fields, 1));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/opened/says-what-there-is", test_what_there_is);
        g_test_add_func("/opened/leaves-out-what-there-is-not", test_what_there_is_not);
        g_test_add_func("/opened/says-what-changes", test_what_changes);
        return g_test_run();
}
