/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Address: an IPv4 or IPv6 address with a port, as a value.
 *
 * An IPv4-mapped IPv6 address (::ffff:a.b.c.d) becomes its IPv4 address at every door, so that two
 * spellings of one peer are one peer. A link-local IPv6 address carries its scope.
 *
 * Knows: textual forms, classes of addresses. Does not know: names (resolved by clients), sockets.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%interface-name]:65535" and the NUL */
#define ADDRESS_STRING_MAX 72
/* family, address, port, scope: what a cookie or a hash covers */
#define ADDRESS_CANONICAL_MAX 24
#define ADDRESS_HASH_KEY_SIZE 16

typedef struct Address {
        union {
                struct sockaddr sa; /* sa_family AF_UNSPEC: no address */
                struct sockaddr_in in;
                struct sockaddr_in6 in6;
                uint8_t bytes[sizeof(struct sockaddr_in6)]; /* of what is built from nothing */
        };
} Address;

typedef enum AddressOutcome {
        ADDRESS_E_INVALID = 1, /* not a numeric IPv4 or IPv6 address */
} AddressOutcome;

/* @text: numeric only, IPv6 without brackets, scope as %eth0 or %2. */
int address_parse(const char *text, uint16_t port, Address *ret);
int address_from_sockaddr(const struct sockaddr *sa, socklen_t size, Address *ret);
/* The wildcard of a family. */
Address address_any(int family, uint16_t port);

bool address_is_set(const Address *address);
int address_family(const Address *address);
socklen_t address_size(const Address *address);
uint16_t address_port(const Address *address);
void address_set_port(Address *address, uint16_t port);

bool address_is_any(const Address *address);
/* Whether a datagram can be sent there and answered from there: not the wildcard, not multicast,
 * not 255.255.255.255, port not 0 (QDtls::setPeer). */
bool address_is_peer(const Address *address);

/* Equal in family, address, port and scope. */
bool address_equal(const Address *a, const Address *b);
/* The same without the port. */
bool address_same_host(const Address *a, const Address *b);
/* Whether the first @n_bits are those of @network, of the same family; scopes do not count. */
bool address_in_network(const Address *address, const Address *network, unsigned n_bits);
/* The first @n_bits of it, and behind them 0. */
Address address_network(const Address *address, unsigned n_bits);
/* SipHash-2-4 of the canonical bytes under a secret key: strangers choose addresses. */
uint64_t address_hash(const Address *address, const uint8_t key[static ADDRESS_HASH_KEY_SIZE]);
size_t address_canonical(const Address *address, uint8_t buffer[static ADDRESS_CANONICAL_MAX]);

/* "192.0.2.1", "fe80::1%eth0"; "" when not set. Returns buffer. */
const char *address_format(const Address *address, char buffer[static ADDRESS_STRING_MAX]);
/* "192.0.2.1:5684", "[2001:db8::1]:5684". Returns buffer. */
const char *address_format_port(const Address *address, char buffer[static ADDRESS_STRING_MAX]);
