/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* place: ranges of addresses and ports, as rules name them. */

#include "access/access.h"

#include <glib.h>

#define ALICE 1000

static AccessVerdict decide(const char *rules, AccessVerb verb, const char *text, uint16_t port) {
        g_autoptr(Access) access = access_new();
        g_autofree char *wrong = NULL;
        AccessQuestion question = {.subject = {.uid = ALICE}, .verb = verb};
        Address address;

        if (access_read(access, "test.conf", rules, &wrong))
                g_error("%s", wrong);
        if (text) {
                g_assert_cmpint(address_parse(text, port, &address), ==, 0);
                question.address = &address;
        }
        return access_decide(access, &question).verdict;
}

typedef struct PlaceCase {
        const char *place;
        const char *address;
        uint16_t port;
        bool is_in;
} PlaceCase;

static const PlaceCase place_cases[] = {
        {"*", "192.0.2.1", 1, true},
        {"*", "2001:db8::1", 65535, true},
        {"*:5684", "192.0.2.1", 5684, true},
        {"*:5684", "192.0.2.1", 5683, false},
        {"192.0.2.1", "192.0.2.1", 1, true},
        {"192.0.2.1", "192.0.2.2", 1, false},
        {"192.0.2.0/24", "192.0.2.255", 1, true},
        {"192.0.2.0/24", "192.0.3.0", 1, false},
        {"192.0.2.128/25", "192.0.2.127", 1, false},
        {"192.0.2.128/25", "192.0.2.128", 1, true},
        {"0.0.0.0/0", "203.0.113.9", 1, true},
        {"0.0.0.0/0", "2001:db8::1", 1, false},
        {"192.0.2.0/24:1024-2048", "192.0.2.1", 1024, true},
        {"192.0.2.0/24:1024-2048", "192.0.2.1", 2048, true},
        {"192.0.2.0/24:1024-2048", "192.0.2.1", 2049, false},
        {"[2001:db8::]/32", "2001:db8:ffff::1", 9, true},
        {"[2001:db8::]/32", "2001:db9::1", 9, false},
        {"[2001:db8::]/33", "2001:db8:8000::1", 9, false},
        {"[2001:db8::1]:5684", "2001:db8::1", 5684, true},
        {"[2001:db8::1]:5684", "2001:db8::1", 5685, false},
        {"192.0.2.0/24", "::ffff:192.0.2.7", 1, true},
};

static void test_places_are_ranges_of_addresses_and_ports(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(place_cases); i++) {
                const PlaceCase *c = &place_cases[i];
                g_autofree char *rules =
                        g_strdup_printf("[p]\nSubjects=any\nVerdict=allow\nConnect=%s\n", c->place);
                AccessVerdict verdict = decide(rules, ACCESS_CONNECT, c->address, c->port);

                g_test_message("%s has %s:%u", c->place, c->address, c->port);
                g_assert_cmpint(verdict == ACCESS_ALLOW, ==, c->is_in);
        }
}

static void test_no_address_is_in_every_address_alone(void) {
        static const char some[] =
                "[p]\nSubjects=any\nVerdict=allow\nConnect=*:1-65535;0.0.0.0/0\n";
        static const char all[] = "[p]\nSubjects=any\nVerdict=allow\nConnect=*\n";

        g_assert_cmpint(decide(some, ACCESS_CONNECT, NULL, 0), ==, ACCESS_DENY);
        g_assert_cmpint(decide(all, ACCESS_CONNECT, NULL, 0), ==, ACCESS_ALLOW);
}

/* Who listens everywhere listens there too. */
static void test_a_wildcard_does_not_get_round_a_denial(void) {
        static const char rules[] = "[no]\nSubjects=any\nVerdict=deny\n"
                                    "Listen=192.0.2.1:5684\n"
                                    "[yes]\nSubjects=any\nVerdict=allow\nListen=*\n";

        g_assert_cmpint(decide(rules, ACCESS_LISTEN, "192.0.2.1", 5684), ==, ACCESS_DENY);
        g_assert_cmpint(decide(rules, ACCESS_LISTEN, "0.0.0.0", 5684), ==, ACCESS_DENY);
        g_assert_cmpint(decide(rules, ACCESS_LISTEN, "::", 5684), ==, ACCESS_DENY);
        g_assert_cmpint(decide(rules, ACCESS_LISTEN, "0.0.0.0", 5685), ==, ACCESS_ALLOW);
        g_assert_cmpint(decide(rules, ACCESS_LISTEN, "192.0.2.2", 5684), ==, ACCESS_ALLOW);
}

static void test_a_wildcard_is_more_than_one_address_allowed(void) {
        static const char rules[] = "[one]\nSubjects=any\nVerdict=allow\nListen=192.0.2.1\n";

        g_assert_cmpint(decide(rules, ACCESS_LISTEN, "192.0.2.1", 5684), ==, ACCESS_ALLOW);
        g_assert_cmpint(decide(rules, ACCESS_LISTEN, "0.0.0.0", 5684), ==, ACCESS_DENY);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/place/is-a-range-of-addresses-and-ports",
                        test_places_are_ranges_of_addresses_and_ports);
        g_test_add_func("/place/no-address-is-in-every-address-alone",
                        test_no_address_is_in_every_address_alone);
        g_test_add_func("/place/a-wildcard-does-not-get-round-a-denial",
                        test_a_wildcard_does_not_get_round_a_denial);
        g_test_add_func("/place/a-wildcard-is-more-than-one-address-allowed",
                        test_a_wildcard_is_more_than_one_address_allowed);
        return g_test_run();
}
