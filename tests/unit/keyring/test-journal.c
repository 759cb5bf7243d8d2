/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* journal: the lines that more than one file of the keyring writes. */

#include "keyring/journal.h"

#include "base/log.h"
#include "lib/capture.h"

#include <glib.h>

static void what_is_left_out_is_named(void) {
        g_autofree char *text = NULL;

        capture_begin();
        journal_left_out("/store/psk:x", "it is damaged");
        text = capture_end();
        g_assert_cmpstr(text, ==, "tester: /store/psk:x is left out: it is damaged\n");
}

static void a_token_that_is_absent_is_its_identitys(void) {
        g_autofree char *text = NULL;

        capture_begin();
        journal_token("identity:gateway", true);
        journal_token("identity:gateway", false);
        text = capture_end();
        g_assert_cmpstr(text, ==,
                        "tester: the token with the key of identity:gateway cannot be used; "
                        "handshakes with it fail until it can\n"
                        "tester: the token with the key of identity:gateway can be used again\n");
}

static void a_module_that_cannot_be_loaded_is_named(void) {
        g_autofree char *text = NULL;

        capture_begin();
        journal_module_unusable("/none.so", "no such file");
        text = capture_end();
        g_assert_cmpstr(text, ==,
                        "tester: the PKCS#11 module /none.so cannot be loaded: no such file\n");
}

int main(int argc, char **argv) {
        g_unsetenv("JOURNAL_STREAM");
        g_test_init(&argc, &argv, NULL);
        log_open("tester");
        g_test_add_func("/journal/what-is-left-out-is-named", what_is_left_out_is_named);
        g_test_add_func("/journal/a-token-that-is-absent-is-its-identitys",
                        a_token_that_is_absent_is_its_identitys);
        g_test_add_func("/journal/a-module-that-cannot-be-loaded-is-named",
                        a_module_that_cannot_be_loaded_is_named);
        return g_test_run();
}
