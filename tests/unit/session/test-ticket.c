/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sessions that are taken up again, between two of ours.
 */

#include "pair.h"

#include <gnutls/gnutls.h>
#include <time.h>

static PairSpec spec_with_tickets(void) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));

        spec.client.tickets = true;
        spec.server.tickets = true;
        return spec;
}

/* The server shall know its clients by their certificates. */
static void ask_the_client(PairSpec *spec) {
        spec->server.verify_mode = VERIFY_PEER;
        spec->server_trust = pair_identity(PAIR_CA);
}

static Secret *ticket_of(const Pair *pair) {
        uint32_t lifetime = 0;
        Secret *ticket = NULL;

        g_assert_cmpint(session_ticket(pair->client.session, &ticket, &lifetime), ==, 0);
        g_assert_cmpuint(lifetime, ==, 3600);
        return ticket;
}

static void assert_no_ticket(const Session *session) {
        uint32_t lifetime;
        Secret *ticket;

        g_assert_cmpint(session_ticket(session, &ticket, &lifetime), ==, SESSION_E_NO_TICKET);
}

static void assert_resumed(const Pair *pair, bool resumed) {
        g_assert_cmpint(session_facts(pair->client.session)->resumed, ==, resumed);
        g_assert_cmpint(session_facts(pair->server.session)->resumed, ==, resumed);
}

/* A full handshake, which leaves spec->ticket for the next. */
static Secret *first_session(PairSpec *spec) {
        g_autoptr(Pair) pair = pair_new(spec);

        pair_start(pair);
        pair_assert_open(pair);
        assert_resumed(pair, false);
        pair_assert_talks(pair);
        return ticket_of(pair);
}

static Pair *second_session(const PairSpec *spec) {
        Pair *pair = pair_new(spec);

        pair_start(pair);
        return pair;
}

static void test_takes_up_a_session(void) {
        PairSpec spec = spec_with_tickets();
        g_autoptr(SessionConfig) server = NULL;
        g_autoptr(Secret) ticket = NULL;
        g_autoptr(Pair) pair = NULL;

        spec.server_config = server = pair_server_config(&spec);
        spec.ticket = ticket = first_session(&spec);
        pair = second_session(&spec);
        pair_assert_open(pair);
        assert_resumed(pair, true);
        g_assert_cmpuint(pair->server.n_questions, ==, 0); /* no signature */
        g_assert_cmpuint(session_peer_chain(pair->client.session)->len, ==, 1);
        pair_assert_talks(pair);
}

static time_t an_hour_later(time_t *ret) {
        time_t later = time(NULL) + 3601;

        if (ret)
                *ret = later;
        return later;
}

static void test_is_a_full_handshake_after_an_hour(void) {
        PairSpec spec = spec_with_tickets();
        g_autoptr(SessionConfig) server = NULL;
        g_autoptr(Secret) ticket = NULL;
        g_autoptr(Pair) pair = NULL;

        spec.server_config = server = pair_server_config(&spec);
        spec.ticket = ticket = first_session(&spec);
        gnutls_global_set_time_function(an_hour_later);
        pair = second_session(&spec);
        gnutls_global_set_time_function(time);
        pair_assert_open(pair);
        assert_resumed(pair, false);
        pair_assert_talks(pair);
}

static void test_a_client_certificate_comes_back(void) {
        PairSpec spec = spec_with_tickets();
        g_autoptr(SessionConfig) server = NULL;
        g_autoptr(Secret) ticket = NULL;
        g_autoptr(Pair) pair = NULL;

        ask_the_client(&spec);
        spec.client_identity = pair_identity(PAIR_CLIENT);
        spec.server_config = server = pair_server_config(&spec);
        spec.ticket = ticket = first_session(&spec);
        pair = second_session(&spec);
        pair_assert_open(pair);
        assert_resumed(pair, true);
        g_assert_cmpuint(session_peer_chain(pair->server.session)->len, ==, 1);
}

static void test_the_server_is_judged_again(gconstpointer late) {
        PairSpec spec = spec_with_tickets();
        g_autoptr(SessionConfig) server = NULL;
        g_autoptr(Secret) ticket = NULL;
        g_autoptr(Pair) refused = NULL, accepted = NULL;

        spec.client.server_name_indication = false; /* with another name it is another session */
        spec.server_config = server = pair_server_config(&spec);
        spec.ticket = ticket = first_session(&spec);
        spec.name = "other.test";
        spec.client.interrupt_on_error = late == NULL;
        refused = second_session(&spec);
        g_assert_cmpuint(refused->client.n_verdicts, ==, 1);
        g_assert_cmpint(refused->client.result, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(refused->client.session)->error, ==,
                        DTLS_PEER_VERIFICATION_ERROR);
        g_assert_cmpint(
                g_array_index(session_errors(refused->client.session), VerdictError, 0).code, ==,
                VERDICT_HOST_NAME_MISMATCH);

        accepted = pair_new(&spec);
        accepted->client.accept = true;
        pair_start(accepted);
        pair_assert_open(accepted);
        assert_resumed(accepted, true);
        g_assert_cmpuint(accepted->client.n_verdicts, ==, 1);
        pair_assert_talks(accepted);
}

static void test_another_configuration_knows_no_ticket(void) {
        PairSpec spec = spec_with_tickets();
        g_autoptr(SessionConfig) server = NULL, other = NULL;
        g_autoptr(Secret) ticket = NULL;
        g_autoptr(Pair) pair = NULL;

        spec.server_config = server = pair_server_config(&spec);
        spec.ticket = ticket = first_session(&spec);
        spec.server_config = other = pair_server_config(&spec);
        pair = second_session(&spec);
        pair_assert_open(pair);
        assert_resumed(pair, false);
        g_assert_cmpuint(pair->server.n_questions, >, 0);
}

/* From one who asks for no certificate to one who requires it. */
static void test_a_ticket_is_no_certificate(void) {
        PairSpec spec = spec_with_tickets();
        g_autoptr(SessionConfig) server = NULL, other = NULL;
        g_autoptr(Secret) ticket = NULL;
        g_autoptr(Pair) pair = NULL;

        spec.server_config = server = pair_server_config(&spec);
        spec.ticket = ticket = first_session(&spec);
        ask_the_client(&spec);
        spec.server_config = other = pair_server_config(&spec);
        pair = second_session(&spec);
        g_assert_cmpuint(pair->server.n_verdicts, ==, 1);
        g_assert_cmpint(session_state(pair->server.session), ==, SESSION_OVER);
        g_assert_cmpint(session_failure(pair->server.session)->error, ==,
                        DTLS_PEER_VERIFICATION_ERROR);
}

static void test_no_tickets_where_they_are_not_wanted(void) {
        PairSpec spec = spec_with_tickets();
        g_autoptr(Pair) deaf = NULL, mute = NULL, psk = NULL;

        spec.server.tickets = false;
        mute = second_session(&spec);
        pair_assert_open(mute);
        assert_no_ticket(mute->client.session);

        spec.server.tickets = true;
        spec.client.tickets = false;
        deaf = second_session(&spec);
        pair_assert_open(deaf);
        assert_no_ticket(deaf->client.session);

        spec = pair_spec_psk();
        spec.client.tickets = true;
        spec.server.tickets = true;
        psk = second_session(&spec);
        pair_assert_open(psk);
        assert_no_ticket(psk->client.session);
        assert_no_ticket(psk->server.session);
}

/* Each datagram of a second handshake is lost once. */
static void test_loss(gconstpointer of_server) {
        PairSpec spec = spec_with_tickets();
        g_autoptr(SessionConfig) server = NULL;
        g_autoptr(Secret) ticket = NULL;

        spec.server_config = server = pair_server_config(&spec);
        spec.ticket = ticket = first_session(&spec);
        for (size_t n_keep = 0; n_keep < 3; n_keep++) {
                g_autoptr(Pair) pair = pair_new(&spec);
                PairEnd *end = of_server ? &pair->server : &pair->client;

                end->n_keep = n_keep;
                end->n_lose = 1;
                pair_start(pair);
                for (unsigned i = 0;
                     i < 8 && (session_state(pair->client.session) != SESSION_OPEN ||
                               session_state(pair->server.session) != SESSION_OPEN);
                     i++)
                        g_assert_true(pair_expire(pair));
                pair_assert_open(pair);
                assert_resumed(pair, true);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/ticket/takes-up-a-session", test_takes_up_a_session);
        g_test_add_func("/session/ticket/is-a-full-handshake-after-an-hour",
                        test_is_a_full_handshake_after_an_hour);
        g_test_add_func("/session/ticket/a-client-certificate-comes-back",
                        test_a_client_certificate_comes_back);
        g_test_add_data_func("/session/ticket/the-server-is-judged-again", NULL,
                             test_the_server_is_judged_again);
        g_test_add_data_func("/session/ticket/the-server-is-judged-again-in-qts-order", "",
                             test_the_server_is_judged_again);
        g_test_add_func("/session/ticket/another-configuration-knows-no-ticket",
                        test_another_configuration_knows_no_ticket);
        g_test_add_func("/session/ticket/a-ticket-is-no-certificate",
                        test_a_ticket_is_no_certificate);
        g_test_add_func("/session/ticket/none-where-they-are-not-wanted",
                        test_no_tickets_where_they_are_not_wanted);
        g_test_add_data_func("/session/ticket/loss-of-what-the-client-says", NULL, test_loss);
        g_test_add_data_func("/session/ticket/loss-of-what-the-server-says", "", test_loss);
        return g_test_run();
}
