/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Keying material: equal at both ends, bound to label, context and session, and not to be had where
 * it would prove nothing.
 */

#include "pair.h"
#include "session/private.h"

#define LABEL "EXPORTER-test"

/* As text, "" when refused with @expected. */
static char *material(const Session *session, const char *label, const char *context, size_t size,
                      int expected) {
        g_autoptr(Secret) secret = NULL;
        size_t context_size = context ? strlen(context) : 0;

        g_assert_cmpint(session_export_keying_material(session, label, context, context_size, size,
                                                       &secret),
                        ==, expected);
        if (expected)
                return g_strdup("");

        g_assert_cmpuint(secret_size(secret), ==, size);
        return g_base64_encode(secret_peek(secret), size);
}

static void assert_both(const Pair *pair, const char *label, const char *context, char **ret) {
        g_autofree char *server = material(pair->server.session, label, context, 48, 0);

        *ret = material(pair->client.session, label, context, 48, 0);
        g_assert_cmpstr(*ret, ==, server);
}

static void test_both_ends(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec), other = pair_new(&spec);
        g_autofree char *plain = NULL, *bound = NULL, *empty = NULL, *label = NULL, *session = NULL;

        pair_start(pair);
        pair_start(other);
        assert_both(pair, LABEL, NULL, &plain);
        assert_both(pair, LABEL, "context", &bound);
        assert_both(pair, LABEL, "", &empty);
        assert_both(pair, "EXPORTER-other", NULL, &label);
        assert_both(other, LABEL, NULL, &session);
        g_assert_cmpstr(plain, !=, bound);
        g_assert_cmpstr(plain, !=, empty);
        g_assert_cmpstr(plain, !=, label);
        g_assert_cmpstr(plain, !=, session);
}

static void test_ranges(void) {
        static const char *const bad[] = {
                "",
                "client finished",
                "server finished",
                "master secret",
                "extended master secret",
                "key expansion",
                "tab\there",
                "\xc3\xa4",
        };
        g_autofree char *longest = g_strnfill(128, 'l'), *too_long = g_strnfill(129, 'l');
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        const Session *session = pair->client.session;

        pair_start(pair);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_free(material(session, bad[i], NULL, 16, SESSION_E_BAD_EXPORT));
        g_free(material(session, too_long, NULL, 16, SESSION_E_BAD_EXPORT));
        g_free(material(session, LABEL, NULL, 0, SESSION_E_BAD_EXPORT));
        g_free(material(session, LABEL, NULL, 1025, SESSION_E_BAD_EXPORT));
        g_free(material(session, longest, NULL, 1, 0));
        g_free(material(session, LABEL, NULL, 1024, 0));
}

static void test_longest_context(void) {
        g_autofree char *longest = g_strnfill(65535, 'c'), *too_long = g_strnfill(65536, 'c');
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);
        g_autofree char *bound = NULL;

        pair_start(pair);
        assert_both(pair, LABEL, longest, &bound);
        g_free(material(pair->client.session, LABEL, too_long, 16, SESSION_E_BAD_EXPORT));
}

static void test_only_while_open(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        g_free(material(pair->client.session, LABEL, NULL, 16, SESSION_E_NOT_OPEN));
        pair_start(pair);
        session_close(pair->client.session, pair->client.net);
        g_free(material(pair->client.session, LABEL, NULL, 16, SESSION_E_NOT_OPEN));
}

static void test_extended_master_secret(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = pair_new(&spec);

        /* a peer as there were before RFC 7627 */
        g_assert_cmpint(gnutls_priority_set_direct(
                                pair->server.session->gnutls,
                                "NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+PSK:%NO_SESSION_HASH",
                                NULL),
                        ==, 0);
        pair_start(pair);
        pair_assert_open(pair);
        g_assert_false(session_facts(pair->client.session)->extended_master_secret);
        g_free(material(pair->client.session, LABEL, NULL, 16, SESSION_E_WEAK_MASTER_SECRET));
        g_free(material(pair->server.session, LABEL, NULL, 16, SESSION_E_WEAK_MASTER_SECRET));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/export/is-equal-at-both-ends-and-nowhere-else", test_both_ends);
        g_test_add_func("/session/export/keeps-to-labels-and-sizes", test_ranges);
        g_test_add_func("/session/export/takes-the-longest-context", test_longest_context);
        g_test_add_func("/session/export/works-only-while-open", test_only_while_open);
        g_test_add_func("/session/export/needs-the-extended-master-secret",
                        test_extended_master_secret);
        return g_test_run();
}
