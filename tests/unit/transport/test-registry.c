/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* registry: one address and port has one holder, and a wildcard is every address of its family. */

#include "transport/registry.h"

#define ALICE 1000
#define BOB 1001

static Address at(const char *text, uint16_t port) {
        Address address;

        g_assert_cmpint(address_parse(text, port, &address), ==, 0);
        return address;
}

static Claim *take(Registry *registry, const char *text, uint16_t port, uid_t uid) {
        Address local = at(text, port);
        Claim *claim = NULL;
        uid_t holder = 4711;

        g_assert_cmpint(registry_claim(registry, &local, uid, &claim, &holder), ==, 0);
        g_assert_nonnull(claim);
        g_assert_cmpuint(holder, ==, 4711);
        return claim;
}

static void drop(gpointer claim) {
        claim_release(claim);
}

/* Claims for the length of a test; declared after the registry, it goes before it. */
static GPtrArray *hold_none(void) {
        return g_ptr_array_new_with_free_func(drop);
}

static void hold(GPtrArray *held, Registry *registry, const char *text, uint16_t port, uid_t uid) {
        g_ptr_array_add(held, take(registry, text, port, uid));
}

static void assert_taken(Registry *registry, const char *text, uint16_t port, uid_t uid, uid_t by) {
        Address local = at(text, port);
        Claim *claim = NULL;
        uid_t holder = 4711;

        g_assert_cmpint(registry_claim(registry, &local, uid, &claim, &holder), ==,
                        REGISTRY_E_TAKEN);
        g_assert_null(claim);
        g_assert_cmpuint(holder, ==, by);
}

static void test_one_address_and_port_has_one_holder(void) {
        g_autoptr(Registry) registry = registry_new();
        g_autoptr(GPtrArray) held = hold_none();

        hold(held, registry, "127.0.0.1", 5684, ALICE);

        assert_taken(registry, "127.0.0.1", 5684, BOB, ALICE);
        assert_taken(registry, "127.0.0.1", 5684, ALICE, ALICE);
}

static void test_a_wildcard_is_in_the_way_of_each_address(void) {
        g_autoptr(Registry) registry = registry_new();
        g_autoptr(GPtrArray) held = hold_none();

        hold(held, registry, "0.0.0.0", 5684, ALICE);
        hold(held, registry, "::", 5684, BOB);

        assert_taken(registry, "127.0.0.1", 5684, BOB, ALICE);
        assert_taken(registry, "0.0.0.0", 5684, BOB, ALICE);
        assert_taken(registry, "::1", 5684, ALICE, BOB);
        assert_taken(registry, "fe80::1%1", 5684, ALICE, BOB);
        assert_taken(registry, "::ffff:127.0.0.1", 5684, BOB, ALICE);
}

static void test_each_address_is_in_the_way_of_a_wildcard(void) {
        g_autoptr(Registry) registry = registry_new();
        g_autoptr(GPtrArray) held = hold_none();

        hold(held, registry, "127.0.0.1", 5684, ALICE);
        hold(held, registry, "::1", 5684, BOB);

        assert_taken(registry, "0.0.0.0", 5684, BOB, ALICE);
        assert_taken(registry, "::", 5684, ALICE, BOB);
}

static void test_families_ports_addresses_and_scopes_are_apart(void) {
        g_autoptr(Registry) registry = registry_new();
        g_autoptr(GPtrArray) held = hold_none();

        hold(held, registry, "127.0.0.1", 5684, ALICE);
        hold(held, registry, "127.0.0.2", 5684, BOB);
        hold(held, registry, "127.0.0.1", 5685, BOB);
        hold(held, registry, "::", 5684, BOB);
        hold(held, registry, "fe80::1%1", 5686, ALICE);
        hold(held, registry, "fe80::1%2", 5686, BOB);
}

static void test_what_is_released_is_free(void) {
        g_autoptr(Registry) registry = registry_new();
        g_autoptr(Claim) one = take(registry, "127.0.0.1", 5684, ALICE);
        g_autoptr(Claim) other = take(registry, "127.0.0.2", 5684, BOB);
        g_autoptr(Claim) all = NULL;

        one = claim_release(one);
        one = take(registry, "127.0.0.1", 5684, BOB);

        one = claim_release(one);
        assert_taken(registry, "0.0.0.0", 5684, ALICE, BOB);
        other = claim_release(other);
        all = take(registry, "0.0.0.0", 5684, ALICE);

        g_assert_null(claim_release(NULL));
        g_assert_null(registry_free(NULL));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/registry/one-address-and-port-has-one-holder",
                        test_one_address_and_port_has_one_holder);
        g_test_add_func("/registry/a-wildcard-is-in-the-way-of-each-address",
                        test_a_wildcard_is_in_the_way_of_each_address);
        g_test_add_func("/registry/each-address-is-in-the-way-of-a-wildcard",
                        test_each_address_is_in_the_way_of_a_wildcard);
        g_test_add_func("/registry/families-ports-addresses-and-scopes-are-apart",
                        test_families_ports_addresses_and_scopes_are_apart);
        g_test_add_func("/registry/what-is-released-is-free", test_what_is_released_is_free);
        return g_test_run();
}
