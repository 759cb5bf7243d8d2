/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* terms: the names are Qt's, in Qt's order. */

#include "base/terms.h"

#include <glib.h>

static void test_states_are_named_as_in_qt(void) {
        static const char *const names[] = {"HandshakeNotStarted", "HandshakeInProgress",
                                            "PeerVerificationFailed", "HandshakeComplete"};

        g_assert_cmpint(N_HANDSHAKE_STATES, ==, G_N_ELEMENTS(names));
        for (HandshakeState state = 0; state < N_HANDSHAKE_STATES; state++)
                g_assert_cmpstr(handshake_state_name(state), ==, names[state]);
}

static void test_errors_are_named_as_in_qt(void) {
        static const char *const names[] = {
                "NoError",
                "InvalidInputParameters",
                "InvalidOperation",
                "UnderlyingSocketError",
                "RemoteClosedConnectionError",
                "PeerVerificationError",
                "TlsInitializationError",
                "TlsFatalError",
                "TlsNonFatalError",
        };

        g_assert_cmpint(N_DTLS_ERRORS, ==, G_N_ELEMENTS(names));
        for (DtlsError error = 0; error < N_DTLS_ERRORS; error++)
                g_assert_cmpstr(dtls_error_name(error), ==, names[error]);
}

static void test_verify_modes_are_read_by_their_exact_names(void) {
        static const char *const names[] = {"VerifyNone", "QueryPeer", "VerifyPeer",
                                            "AutoVerifyPeer"};
        PeerVerifyMode mode;

        g_assert_cmpint(N_PEER_VERIFY_MODES, ==, G_N_ELEMENTS(names));
        for (PeerVerifyMode i = 0; i < N_PEER_VERIFY_MODES; i++) {
                g_assert_cmpstr(peer_verify_mode_name(i), ==, names[i]);
                g_assert_true(peer_verify_mode_from_name(names[i], &mode));
                g_assert_cmpint(mode, ==, i);
        }

        mode = VERIFY_PEER;
        g_assert_false(peer_verify_mode_from_name("", &mode));
        g_assert_false(peer_verify_mode_from_name("verifynone", &mode));
        g_assert_false(peer_verify_mode_from_name("VerifyNone ", &mode));
        g_assert_cmpint(mode, ==, VERIFY_PEER);
}

static void test_roles_have_names(void) {
        g_assert_cmpstr(dtls_role_name(DTLS_CLIENT), ==, "client");
        g_assert_cmpstr(dtls_role_name(DTLS_SERVER), ==, "server");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/terms/states-are-named-as-in-qt", test_states_are_named_as_in_qt);
        g_test_add_func("/terms/errors-are-named-as-in-qt", test_errors_are_named_as_in_qt);
        g_test_add_func("/terms/verify-modes-are-read-by-their-exact-names",
                        test_verify_modes_are_read_by_their_exact_names);
        g_test_add_func("/terms/roles-have-names", test_roles_have_names);

        return g_test_run();
}
