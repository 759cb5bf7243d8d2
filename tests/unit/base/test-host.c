/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host: one spelling of each host's name. */

#include "base/host.h"

#include <glib.h>

static void assert_normal(const char *text, const char *expected) {
        g_autofree char *normal = host_normal(text);

        g_test_message("'%s'", text);
        g_assert_cmpstr(normal, ==, expected);
}

static void names_are_small_and_without_their_dot(void) {
        g_autofree char *longest = g_strnfill(HOST_MAX, 'x');
        g_autofree char *longest_dotted = g_strconcat(longest, ".", NULL);

        assert_normal("Meter-7.Example.ORG", "meter-7.example.org");
        assert_normal("example.org.", "example.org");
        assert_normal("_x", "_x");
        assert_normal(longest, longest);
        assert_normal(longest_dotted, longest);
}

static void addresses_are_as_they_are_formatted(void) {
        assert_normal("192.0.2.1", "192.0.2.1");
        assert_normal("2001:DB8:0::1", "2001:db8::1");
        assert_normal("::ffff:192.0.2.1", "192.0.2.1");
        assert_normal("fe80::1%2", "fe80::1"); /* the scope is this machine's */
}

static void what_is_no_host_is_none(void) {
        g_autofree char *longer = g_strnfill(HOST_MAX + 1, 'x');
        g_autofree char *much = g_strnfill(100000, '1');
        const char *const bad[] = {"",    ".",     "..",  ".x",  "x..",  "a b",
                                   "a\n", "[::1]", "a:b", "a/b", "a%b",  "caf\xc3\xa9",
                                   "a]",  "#a",    "a;b", "a=b", longer, much};

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                assert_normal(bad[i], NULL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/host/names-are-small-and-without-their-dot",
                        names_are_small_and_without_their_dot);
        g_test_add_func("/host/addresses-are-as-they-are-formatted",
                        addresses_are_as_they_are_formatted);
        g_test_add_func("/host/what-is-no-host-is-none", what_is_no_host_is_none);
        return g_test_run();
}
