/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Alerts and texts of failures.
 */

#include "pair.h"

#include <string.h>

static void test_without_anything_in_common_both_say_so(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = NULL;

        spec.server = pair_spec_psk().server;
        spec.server_identity = NULL;
        pair = pair_new(&spec);
        pair_start(pair);
        g_assert_cmpint(pair->server.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->server.session)->alert_sent, ==, 40);
        g_assert_true(pair_expire(pair));
        g_assert_cmpint(session_failure(pair->client.session)->alert_received, ==, 40);
}

static void test_refuses_with_the_alert_of_the_error(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_STRANGER), pair_identity(PAIR_CA));
        g_autoptr(Pair) pair = pair_new(&spec);

        pair_start(pair);
        g_assert_cmpint(pair->client.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->client.session)->error, ==,
                        DTLS_PEER_VERIFICATION_ERROR);
        g_assert_cmpint(session_failure(pair->client.session)->alert_sent, ==, 48);

        /* plaintext, so that the server believes it only when nothing else comes */
        g_assert_cmpint(pair->server.result, ==, 0);
        g_assert_true(pair_expire(pair));
        g_assert_cmpint(pair->server.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(pair->server.session)->alert_received, ==, 48);
        g_assert_nonnull(strstr(session_failure(pair->server.session)->text, "unknown_ca(48)"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/failure/without-anything-in-common-both-say-so",
                        test_without_anything_in_common_both_say_so);
        g_test_add_func("/session/failure/refuses-with-the-alert-of-the-error",
                        test_refuses_with_the_alert_of_the_error);
        return g_test_run();
}
