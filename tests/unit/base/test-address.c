/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* address: one peer has one value, however it was spelled. */

#include "base/address.h"

#include <arpa/inet.h>
#include <glib.h>
#include <net/if.h>
#include <string.h>

static Address address_of(const char *text, uint16_t port) {
        Address address;

        g_assert_cmpint(address_parse(text, port, &address), ==, 0);
        return address;
}

static void assert_format(const char *text, const char *expected) {
        Address address = address_of(text, 5684);
        char buffer[ADDRESS_STRING_MAX];

        g_assert_cmpstr(address_format(&address, buffer), ==, expected);
        g_assert_true(address_format(&address, buffer) == buffer);
}

static void test_parse_reads_numeric_addresses(void) {
        Address address = address_of("192.0.2.1", 5684);

        g_assert_cmpint(address_family(&address), ==, AF_INET);
        g_assert_cmpuint(address_port(&address), ==, 5684);
        g_assert_cmpuint(address_size(&address), ==, sizeof(struct sockaddr_in));
        assert_format("192.0.2.1", "192.0.2.1");
        assert_format("255.100.99.10", "255.100.99.10");
        assert_format("9.0.109.200", "9.0.109.200");

        address = address_of("2001:db8::1", 1);
        g_assert_cmpint(address_family(&address), ==, AF_INET6);
        g_assert_cmpuint(address_size(&address), ==, sizeof(struct sockaddr_in6));
        assert_format("2001:0DB8:0:0::1", "2001:db8::1");
        assert_format("::", "::");
}

static void test_parse_refuses_everything_else(void) {
        static const char *const wrong[] = {
                "",
                " ",
                "localhost",
                "192.0.2",
                "192.0.2.1 ",
                " 192.0.2.1",
                "192.0.2.256",
                "192.0.2.1:80",
                "0x7f.0.0.1",
                "127.1",
                "2130706433",
                "[::1]",
                "::1%",
                "::1%lo",
                "fe80::1%",
                "fe80::1%no-such-link",
                "fe80::1%0",
                "fe80::1%-1",
                "fe80::1%4294967296",
                "fe80::1% 1",
                "%",
                "%lo",
                "192.0.2.1%lo",
                ":::",
                "2001:db8::1%1",
                "\xff",
                "1\xff",
        };
        g_autofree char *endless = g_strnfill(100000, '1');
        Address address, before;

        memset(&address, 0xa5, sizeof(address));
        before = address;
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
                g_assert_cmpint(address_parse(wrong[i], 1, &address), ==, ADDRESS_E_INVALID);
        g_assert_cmpint(address_parse(endless, 1, &address), ==, ADDRESS_E_INVALID);

        g_assert_cmpmem(&address, sizeof(address), &before, sizeof(before));
}

static void test_parse_takes_the_scope_of_a_link(void) {
        unsigned loopback = if_nametoindex("lo");
        Address by_name, by_number;
        g_autofree char *number = g_strdup_printf("fe80::1%%%u", loopback);

        if (loopback == 0) {
                g_test_skip("no interface is called lo");
                return;
        }

        by_name = address_of("fe80::1%lo", 7);
        by_number = address_of(number, 7);
        g_assert_cmpuint(by_name.in6.sin6_scope_id, ==, loopback);
        g_assert_true(address_equal(&by_name, &by_number));
        assert_format("fe80::1%lo", "fe80::1%lo");
        assert_format("fe80::1%4000000000", "fe80::1%4000000000");

        by_number = address_of("fe80::1%4000000000", 7);
        g_assert_false(address_same_host(&by_name, &by_number));
}

static void test_a_mapped_address_is_its_ipv4_address(void) {
        struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
        Address plain = address_of("192.0.2.1", 9), parsed = address_of("::ffff:192.0.2.1", 9);
        Address received;

        g_assert_true(address_equal(&plain, &parsed));
        g_assert_cmpmem(&plain, sizeof(plain), &parsed, sizeof(parsed));

        g_assert_cmpint(inet_pton(AF_INET6, "::ffff:192.0.2.1", &mapped.sin6_addr), ==, 1);
        g_assert_cmpint(
                address_from_sockaddr((struct sockaddr *)&mapped, sizeof(mapped), &received), ==,
                0);
        g_assert_true(address_equal(&plain, &received));
        g_assert_cmpint(address_family(&received), ==, AF_INET);
}

static void test_a_socket_address_loses_what_is_not_the_peer(void) {
        struct sockaddr_in6 in6;
        struct sockaddr_in in;
        Address address, expected = address_of("2001:db8::1", 5684);

        memset(&in6, 0xff, sizeof(in6));
        in6.sin6_family = AF_INET6;
        in6.sin6_port = htons(5684);
        in6.sin6_addr = expected.in6.sin6_addr;
        g_assert_cmpint(address_from_sockaddr((struct sockaddr *)&in6, sizeof(in6), &address), ==,
                        0);
        g_assert_cmpmem(&address, sizeof(address), &expected, sizeof(expected));

        memset(&in, 0xff, sizeof(in));
        in.sin_family = AF_INET;
        in.sin_port = htons(5684);
        in.sin_addr.s_addr = htonl(0xc0000201);
        expected = address_of("192.0.2.1", 5684);
        g_assert_cmpint(address_from_sockaddr((struct sockaddr *)&in, sizeof(in), &address), ==, 0);
        g_assert_cmpmem(&address, sizeof(address), &expected, sizeof(expected));
}

static void test_a_short_or_foreign_socket_address_is_refused(void) {
        struct sockaddr_storage storage = {.ss_family = AF_INET};
        const struct sockaddr *sa = (const struct sockaddr *)&storage;
        Address address;

        for (socklen_t size = 0; size < sizeof(struct sockaddr_in); size++)
                g_assert_cmpint(address_from_sockaddr(sa, size, &address), ==, ADDRESS_E_INVALID);

        storage.ss_family = AF_INET6;
        for (socklen_t size = 0; size < sizeof(struct sockaddr_in6); size++)
                g_assert_cmpint(address_from_sockaddr(sa, size, &address), ==, ADDRESS_E_INVALID);

        storage.ss_family = AF_UNIX;
        g_assert_cmpint(address_from_sockaddr(sa, sizeof(storage), &address), ==,
                        ADDRESS_E_INVALID);
        storage.ss_family = AF_UNSPEC;
        g_assert_cmpint(address_from_sockaddr(sa, sizeof(storage), &address), ==,
                        ADDRESS_E_INVALID);
}

static void test_a_peer_is_one_host_with_a_port(void) {
        static const char *const peers[] = {"127.0.0.1", "192.0.2.1",       "::1",
                                            "fe80::1%1", "::ffff:10.0.0.1", "223.255.255.255",
                                            "240.0.0.1"};
        static const char *const others[] = {"0.0.0.0",          "::",
                                             "::ffff:0.0.0.0",   "224.0.0.1",
                                             "239.255.255.255",  "255.255.255.255",
                                             "ff02::1",          "ff02::1%1",
                                             "::ffff:224.0.0.1", "::ffff:255.255.255.255"};
        Address address = {0};

        g_assert_false(address_is_peer(&address));

        for (size_t i = 0; i < G_N_ELEMENTS(peers); i++) {
                address = address_of(peers[i], 1);
                g_assert_true(address_is_peer(&address));
                address = address_of(peers[i], 0);
                g_assert_false(address_is_peer(&address));
        }

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                address = address_of(others[i], 1);
                g_assert_false(address_is_peer(&address));
        }
}

static void test_the_wildcard_is_known(void) {
        Address address = address_any(AF_INET, 7), parsed = address_of("0.0.0.0", 7);

        g_assert_true(address_is_any(&address));
        g_assert_true(address_equal(&address, &parsed));

        address = address_any(AF_INET6, 7);
        parsed = address_of("::", 7);
        g_assert_true(address_is_any(&address));
        g_assert_true(address_equal(&address, &parsed));

        address = address_of("127.0.0.1", 7);
        g_assert_false(address_is_any(&address));
        address = (Address){0};
        g_assert_false(address_is_any(&address));
}

static void test_equal_looks_at_all_and_same_host_at_no_port(void) {
        Address a = address_of("192.0.2.1", 1), b = address_of("192.0.2.1", 2), none = {0};
        Address other = address_of("192.0.2.2", 1), six = address_of("2001:db8::1", 1);

        g_assert_false(address_equal(&a, &b));
        g_assert_true(address_same_host(&a, &b));
        address_set_port(&b, 1);
        g_assert_true(address_equal(&a, &b));

        g_assert_false(address_same_host(&a, &other));
        g_assert_false(address_same_host(&a, &six));
        g_assert_false(address_equal(&a, &none));
        g_assert_true(address_equal(&none, &none));

        address_set_port(&six, 77);
        g_assert_cmpuint(address_port(&six), ==, 77);
}

static void test_an_address_not_set_is_nothing(void) {
        char buffer[ADDRESS_STRING_MAX];
        Address address = {0};

        g_assert_false(address_is_set(&address));
        g_assert_cmpuint(address_port(&address), ==, 0);
        g_assert_cmpuint(address_size(&address), ==, 0);
        g_assert_cmpstr(address_format(&address, buffer), ==, "");
        g_assert_cmpstr(address_format_port(&address, buffer), ==, "");
}

static void test_a_port_is_written_so_that_it_can_be_told_apart(void) {
        Address address = address_of("192.0.2.1", 5684);
        char buffer[ADDRESS_STRING_MAX];

        g_assert_cmpstr(address_format_port(&address, buffer), ==, "192.0.2.1:5684");

        address = address_of("2001:db8::1", 65535);
        g_assert_cmpstr(address_format_port(&address, buffer), ==, "[2001:db8::1]:65535");

        address = address_of("fe80:1111:2222:3333:4444:5555:6666:7777%4294967295", 65535);
        g_assert_cmpstr(address_format_port(&address, buffer), ==,
                        "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535");
}

/* The first is of the SipHash paper's reference vectors (one byte, 0); the others are what
 * `openssl mac -macopt hexkey:000102…0f -macopt size:8 SIPHASH` says of the canonical bytes. */
static void test_the_hash_is_siphash_of_the_canonical_bytes(void) {
        static const uint8_t key[ADDRESS_HASH_KEY_SIZE] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                           8, 9, 10, 11, 12, 13, 14, 15};
        Address address = {0};

        g_assert_cmphex(address_hash(&address, key), ==, 0x74f839c593dc67fd);
        address = address_of("192.0.2.1", 5684);
        g_assert_cmphex(address_hash(&address, key), ==, 0x58ece013607988f9);
        address = address_of("fe80::1%2", 5684);
        g_assert_cmphex(address_hash(&address, key), ==, 0x3abc9671c2992759);
}

static void test_canonical_bytes_tell_peers_apart(void) {
        static const char *const texts[] = {"192.0.2.1", "192.0.2.2", "::c000:201", "2001:db8::1",
                                            "fe80::1%1", "fe80::1%2", "fe80::1"};
        static const uint8_t ipv4[] = {4, 192, 0, 2, 1, 0x16, 0x34};
        uint8_t a[ADDRESS_CANONICAL_MAX], b[ADDRESS_CANONICAL_MAX];
        Address address = address_of("192.0.2.1", 5684);

        g_assert_cmpmem(a, address_canonical(&address, a), ipv4, sizeof(ipv4));

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                for (size_t j = 0; j < G_N_ELEMENTS(texts); j++) {
                        Address one = address_of(texts[i], 1), two = address_of(texts[j], 1);
                        size_t n_a = address_canonical(&one, a), n_b = address_canonical(&two, b);

                        g_assert_true((n_a == n_b && memcmp(a, b, n_a) == 0) == (i == j));
                }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/address/parse/reads-numeric-addresses",
                        test_parse_reads_numeric_addresses);
        g_test_add_func("/address/parse/refuses-everything-else",
                        test_parse_refuses_everything_else);
        g_test_add_func("/address/parse/takes-the-scope-of-a-link",
                        test_parse_takes_the_scope_of_a_link);
        g_test_add_func("/address/a-mapped-address-is-its-ipv4-address",
                        test_a_mapped_address_is_its_ipv4_address);
        g_test_add_func("/address/from-sockaddr/loses-what-is-not-the-peer",
                        test_a_socket_address_loses_what_is_not_the_peer);
        g_test_add_func("/address/from-sockaddr/refuses-short-and-foreign-ones",
                        test_a_short_or_foreign_socket_address_is_refused);
        g_test_add_func("/address/is-peer/one-host-with-a-port",
                        test_a_peer_is_one_host_with_a_port);
        g_test_add_func("/address/any/the-wildcard-is-known", test_the_wildcard_is_known);
        g_test_add_func("/address/equal/looks-at-all-and-same-host-at-no-port",
                        test_equal_looks_at_all_and_same_host_at_no_port);
        g_test_add_func("/address/not-set-is-nothing", test_an_address_not_set_is_nothing);
        g_test_add_func("/address/format/a-port-can-be-told-apart",
                        test_a_port_is_written_so_that_it_can_be_told_apart);
        g_test_add_func("/address/hash/is-siphash-of-the-canonical-bytes",
                        test_the_hash_is_siphash_of_the_canonical_bytes);
        g_test_add_func("/address/canonical/tells-peers-apart",
                        test_canonical_bytes_tell_peers_apart);

        return g_test_run();
}
