/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Address, see address.h. Every way in builds the value from nothing, field by field, so that what
 * a sender left in padding, flow label or a meaningless scope never makes one peer two.
 */

#include "base/address.h"

#include <arpa/inet.h>
#include <endian.h>
#include <glib.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static bool address_scope_matters(const struct in6_addr *ip) {
        return IN6_IS_ADDR_LINKLOCAL(ip) || IN6_IS_ADDR_MC_LINKLOCAL(ip);
}

static Address address_of_ipv4(struct in_addr ip, uint16_t port) {
        Address address = {0};

        address.in.sin_family = AF_INET;
        address.in.sin_port = htons(port);
        address.in.sin_addr = ip;
        return address;
}

static Address address_of_ipv6(const struct in6_addr *ip, uint32_t scope, uint16_t port) {
        Address address = {0};

        if (IN6_IS_ADDR_V4MAPPED(ip)) {
                struct in_addr mapped;

                memcpy(&mapped, &ip->s6_addr[12], sizeof(mapped));
                return address_of_ipv4(mapped, port);
        }

        address.in6.sin6_family = AF_INET6;
        address.in6.sin6_port = htons(port);
        address.in6.sin6_addr = *ip;
        address.in6.sin6_scope_id = address_scope_matters(ip) ? scope : 0;
        return address;
}

/* The name first, as the C library does: an interface may be called "2". */
static bool address_parse_scope(const char *text, uint32_t *ret) {
        uint32_t index = 0;
        uint64_t number;

        if (strlen(text) < IF_NAMESIZE)
                index = if_nametoindex(text);

        if (index == 0) {
                if (!g_ascii_string_to_unsigned(text, 10, 1, UINT32_MAX, &number, NULL))
                        return false;
                index = (uint32_t)number;
        }

        *ret = index;
        return true;
}

static int address_parse_ipv6(const char *text, uint16_t port, Address *ret) {
        const char *percent = strchr(text, '%');
        size_t length = percent ? (size_t)(percent - text) : strlen(text);
        char buffer[INET6_ADDRSTRLEN];
        struct in6_addr ip;
        uint32_t scope = 0;

        if (length >= sizeof(buffer))
                return ADDRESS_E_INVALID;

        memcpy(buffer, text, length);
        buffer[length] = '\0';

        if (inet_pton(AF_INET6, buffer, &ip) != 1)
                return ADDRESS_E_INVALID;
        if (percent && (!address_scope_matters(&ip) || !address_parse_scope(percent + 1, &scope)))
                return ADDRESS_E_INVALID;

        *ret = address_of_ipv6(&ip, scope, port);
        return 0;
}

int address_parse(const char *text, uint16_t port, Address *ret) {
        struct in_addr ip;

        if (inet_pton(AF_INET, text, &ip) != 1)
                return address_parse_ipv6(text, port, ret);

        *ret = address_of_ipv4(ip, port);
        return 0;
}

int address_from_sockaddr(const struct sockaddr *sa, socklen_t size, Address *ret) {
        struct sockaddr_in6 in6;
        struct sockaddr_in in;

        if (size < sizeof(sa->sa_family))
                return ADDRESS_E_INVALID;

        if (sa->sa_family == AF_INET && size >= sizeof(in)) {
                memcpy(&in, sa, sizeof(in));
                *ret = address_of_ipv4(in.sin_addr, ntohs(in.sin_port));
                return 0;
        }

        if (sa->sa_family == AF_INET6 && size >= sizeof(in6)) {
                memcpy(&in6, sa, sizeof(in6));
                *ret = address_of_ipv6(&in6.sin6_addr, in6.sin6_scope_id, ntohs(in6.sin6_port));
                return 0;
        }

        return ADDRESS_E_INVALID;
}

Address address_any(int family, uint16_t port) {
        g_assert(family == AF_INET || family == AF_INET6);

        if (family == AF_INET)
                return address_of_ipv4((struct in_addr){INADDR_ANY}, port);

        return address_of_ipv6(&in6addr_any, 0, port);
}

bool address_is_set(const Address *address) {
        return address->sa.sa_family != AF_UNSPEC;
}

int address_family(const Address *address) {
        return address->sa.sa_family;
}

socklen_t address_size(const Address *address) {
        switch (address->sa.sa_family) {
        case AF_INET:
                return sizeof(address->in);
        case AF_INET6:
                return sizeof(address->in6);
        default:
                return 0;
        }
}

uint16_t address_port(const Address *address) {
        switch (address->sa.sa_family) {
        case AF_INET:
                return ntohs(address->in.sin_port);
        case AF_INET6:
                return ntohs(address->in6.sin6_port);
        default:
                return 0;
        }
}

void address_set_port(Address *address, uint16_t port) {
        g_assert(address_is_set(address));

        if (address->sa.sa_family == AF_INET)
                address->in.sin_port = htons(port);
        else
                address->in6.sin6_port = htons(port);
}

bool address_is_any(const Address *address) {
        switch (address->sa.sa_family) {
        case AF_INET:
                return address->in.sin_addr.s_addr == htonl(INADDR_ANY);
        case AF_INET6:
                return IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
        default:
                return false;
        }
}

static bool address_is_many(const Address *address) {
        if (address->sa.sa_family == AF_INET6)
                return IN6_IS_ADDR_MULTICAST(&address->in6.sin6_addr);

        return IN_MULTICAST(ntohl(address->in.sin_addr.s_addr)) ||
               address->in.sin_addr.s_addr == htonl(INADDR_BROADCAST);
}

bool address_is_peer(const Address *address) {
        return address_is_set(address) && address_port(address) != 0 && !address_is_any(address) &&
               !address_is_many(address);
}

bool address_same_host(const Address *a, const Address *b) {
        if (a->sa.sa_family != b->sa.sa_family)
                return false;

        switch (a->sa.sa_family) {
        case AF_INET:
                return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
        case AF_INET6:
                return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr) &&
                       a->in6.sin6_scope_id == b->in6.sin6_scope_id;
        default:
                return true;
        }
}

/* Each is built from nothing, so what is the same is so in every byte. */
bool address_equal(const Address *a, const Address *b) {
        return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned n_bits) {
        unsigned n_bytes = n_bits / 8, rest = n_bits % 8;

        if (memcmp(a, b, n_bytes) != 0)
                return false;

        return rest == 0 || ((a[n_bytes] ^ b[n_bytes]) >> (8 - rest)) == 0;
}

bool address_in_network(const Address *address, const Address *network, unsigned n_bits) {
        if (address->sa.sa_family != network->sa.sa_family)
                return false;

        switch (address->sa.sa_family) {
        case AF_INET:
                g_assert(n_bits <= 32);
                return bits_equal((const uint8_t *)&address->in.sin_addr,
                                  (const uint8_t *)&network->in.sin_addr, n_bits);
        case AF_INET6:
                g_assert(n_bits <= 128);
                return bits_equal(address->in6.sin6_addr.s6_addr, network->in6.sin6_addr.s6_addr,
                                  n_bits);
        default:
                return false;
        }
}

static void bits_clear_behind(uint8_t *bytes, unsigned n_bits, unsigned n_all) {
        for (unsigned i = n_bits; i < n_all; i++)
                bytes[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
}

Address address_network(const Address *address, unsigned n_bits) {
        Address network = *address;

        if (network.sa.sa_family == AF_INET)
                bits_clear_behind((uint8_t *)&network.in.sin_addr, n_bits, 32);
        else if (network.sa.sa_family == AF_INET6)
                bits_clear_behind(network.in6.sin6_addr.s6_addr, n_bits, 128);

        return network;
}

/* A byte that tells the families apart, then network order throughout: the same on every host. */
size_t address_canonical(const Address *address, uint8_t buffer[static ADDRESS_CANONICAL_MAX]) {
        uint32_t scope;

        switch (address->sa.sa_family) {
        case AF_INET:
                buffer[0] = 4;
                memcpy(buffer + 1, &address->in.sin_addr, 4);
                memcpy(buffer + 5, &address->in.sin_port, 2);
                return 7;
        case AF_INET6:
                scope = htonl(address->in6.sin6_scope_id);
                buffer[0] = 6;
                memcpy(buffer + 1, &address->in6.sin6_addr, 16);
                memcpy(buffer + 17, &address->in6.sin6_port, 2);
                memcpy(buffer + 19, &scope, 4);
                return 23;
        default:
                buffer[0] = 0;
                return 1;
        }
}

static uint64_t siphash_word(const uint8_t *bytes, size_t size) {
        uint64_t word = 0;

        memcpy(&word, bytes, size);
        return le64toh(word);
}

static uint64_t siphash_rotate(uint64_t word, unsigned bits) {
        return word << bits | word >> (64 - bits);
}

static void siphash_round(uint64_t v[static 4]) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = siphash_rotate(v[1], 13) ^ v[0];
        v[3] = siphash_rotate(v[3], 16) ^ v[2];
        v[0] = siphash_rotate(v[0], 32) + v[3];
        v[2] += v[1];
        v[3] = siphash_rotate(v[3], 21) ^ v[0];
        v[1] = siphash_rotate(v[1], 17) ^ v[2];
        v[2] = siphash_rotate(v[2], 32);
}

static void siphash_absorb(uint64_t v[static 4], uint64_t word) {
        v[3] ^= word;
        siphash_round(v);
        siphash_round(v);
        v[0] ^= word;
}

/* SipHash-2-4, Aumasson and Bernstein 2012. */
static uint64_t siphash(const uint8_t *data, size_t size, const uint8_t *key) {
        uint64_t k0 = siphash_word(key, 8), k1 = siphash_word(key + 8, 8);
        uint64_t v[4] = {
                k0 ^ 0x736f6d6570736575u,
                k1 ^ 0x646f72616e646f6du,
                k0 ^ 0x6c7967656e657261u,
                k1 ^ 0x7465646279746573u,
        };
        size_t i = 0;

        for (; i + 8 <= size; i += 8)
                siphash_absorb(v, siphash_word(data + i, 8));
        siphash_absorb(v, siphash_word(data + i, size - i) | (uint64_t)size << 56);

        v[2] ^= 0xff;
        for (i = 0; i < 4; i++)
                siphash_round(v);

        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t address_hash(const Address *address, const uint8_t key[static ADDRESS_HASH_KEY_SIZE]) {
        uint8_t canonical[ADDRESS_CANONICAL_MAX];

        return siphash(canonical, address_canonical(address, canonical), key);
}

static void address_format_scope(uint32_t scope, char buffer[static IF_NAMESIZE]) {
        if (!if_indextoname(scope, buffer))
                g_snprintf(buffer, IF_NAMESIZE, "%" PRIu32, scope);
}

/* As inet_ntop(), which is a printf() inside and takes ten times as long. */
static void address_format_ipv4(const struct in_addr *in, char buffer[static INET_ADDRSTRLEN]) {
        const uint8_t *bytes = (const uint8_t *)in;
        char *at = buffer;

        for (size_t i = 0; i < sizeof(*in); i++) {
                if (bytes[i] >= 100)
                        *at++ = (char)('0' + bytes[i] / 100);
                if (bytes[i] >= 10)
                        *at++ = (char)('0' + bytes[i] / 10 % 10);
                *at++ = (char)('0' + bytes[i] % 10);
                *at++ = '.';
        }
        at[-1] = '\0';
}

const char *address_format(const Address *address, char buffer[static ADDRESS_STRING_MAX]) {
        char ip[INET6_ADDRSTRLEN] = "";
        char scope[IF_NAMESIZE];

        if (address->sa.sa_family == AF_INET)
                address_format_ipv4(&address->in.sin_addr, ip);
        else if (address->sa.sa_family == AF_INET6)
                (void)inet_ntop(AF_INET6, &address->in6.sin6_addr, ip, sizeof(ip));

        if (address->sa.sa_family == AF_INET6 && address->in6.sin6_scope_id != 0) {
                address_format_scope(address->in6.sin6_scope_id, scope);
                g_snprintf(buffer, ADDRESS_STRING_MAX, "%s%%%s", ip, scope);
        } else {
                g_strlcpy(buffer, ip, ADDRESS_STRING_MAX);
        }

        return buffer;
}

const char *address_format_port(const Address *address, char buffer[static ADDRESS_STRING_MAX]) {
        bool bracket = address->sa.sa_family == AF_INET6;
        char host[ADDRESS_STRING_MAX];

        if (!address_is_set(address)) {
                buffer[0] = '\0';
                return buffer;
        }

        g_snprintf(buffer, ADDRESS_STRING_MAX, "%s%s%s:%" PRIu16, bracket ? "[" : "",
                   address_format(address, host), bracket ? "]" : "", address_port(address));
        return buffer;
}
