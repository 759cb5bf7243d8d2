/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A session that asks waits, as long as it takes, in any order with anything else; and it can be
 * ended at any moment of that.
 */

#include "wire.h"

#include <string.h>

#define MINUTE (60 * WIRE_SECOND)

/* How many questions a handshake of each kind asks; all are asked by hand below. */
static const unsigned n_questions[N_WIRE_KINDS] = {
        [WIRE_PSK] = 2,         /* each its key */
        [WIRE_CERTIFICATE] = 2, /* verdict of the client, signature of the server */
        [WIRE_MUTUAL] = 4,      /* both each */
};

static WireSetup setup_of(WireKind kind, WireAnswers answers) {
        /* without trust each side asks for a verdict */
        return (WireSetup){.kind = kind, .distrust = kind != WIRE_PSK, .answers = answers};
}

static void assert_talks(Wire *wire) {
        g_assert_true(wire_is_open(wire));
        g_assert_true(wire_talks(&wire->client, 1));
        g_assert_true(wire_talks(&wire->server, 1));
}

static void test_answers_at_once(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++) {
                WireSetup setup = setup_of(kind, WIRE_ANSWERS_AT_ONCE);
                g_autoptr(Wire) wire = wire_new(&setup);

                wire_start(wire);
                g_assert_true(wire_shake(wire, WIRE_SECOND));
                g_assert_cmpuint(wire->client.n_timeouts + wire->server.n_timeouts, ==, 0);
                assert_talks(wire);
        }
}

static void test_answers_after_minutes_of_retransmissions(void) {
        static const uint64_t delays_usec[] = {1, WIRE_SECOND / 2, 5 * WIRE_SECOND, 10 * MINUTE};

        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (size_t i = 0; i < G_N_ELEMENTS(delays_usec); i++)
                        for (unsigned loss = 0; loss <= 20; loss += 20) {
                                WireSetup setup = setup_of(kind, WIRE_ANSWERS_LATER);
                                g_autoptr(Wire) wire = NULL;

                                setup.answer_delay_usec = delays_usec[i];
                                setup.loss = loss;
                                setup.seed = i;
                                wire = wire_new(&setup);
                                wire_start(wire);
                                g_assert_true(wire_shake(wire, 59 * MINUTE));
                                wire->setup.loss = 0;
                                assert_talks(wire);
                        }
}

/* Goes on until somebody asks; the one who does. */
static WireEnd *until_asked(Wire *wire) {
        for (unsigned i = 0; i < 1000; i++) {
                if (wire->client.session && session_question(wire->client.session))
                        return &wire->client;
                if (wire->server.session && session_question(wire->server.session))
                        return &wire->server;
                if (wire_is_open(wire) || wire_is_over(wire) || !wire_step(wire))
                        break;
        }

        return NULL;
}

/* Up to the question with this number, answering those before it. */
static WireEnd *until_question(Wire *wire, unsigned number) {
        wire_start(wire);

        for (unsigned i = 0; i < number; i++)
                g_assert_true(wire_answer(until_asked(wire)));

        return until_asked(wire);
}

static void test_asks_as_often_as_it_should(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++) {
                WireSetup setup = setup_of(kind, WIRE_ANSWERS_BY_HAND);
                g_autoptr(Wire) wire = wire_new(&setup);

                g_assert_null(until_question(wire, n_questions[kind]));
                assert_talks(wire);
        }
}

static void test_is_freed_at_every_question(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (unsigned number = 0; number < n_questions[kind]; number++) {
                        WireSetup setup = setup_of(kind, WIRE_ANSWERS_BY_HAND);
                        g_autoptr(Wire) wire = wire_new(&setup);

                        g_assert_nonnull(until_question(wire, number));
                }
}

/* The one that is closed says so, and the other hears it. */
static void test_is_closed_at_every_question(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (unsigned number = 0; number < n_questions[kind]; number++) {
                        WireSetup setup = setup_of(kind, WIRE_ANSWERS_BY_HAND);
                        g_autoptr(Wire) wire = wire_new(&setup);
                        WireEnd *end = until_question(wire, number);

                        g_assert_nonnull(end);
                        wire_before(end);
                        session_close(end->session, wire->net);
                        g_assert_cmpint(session_state(end->session), ==, SESSION_OVER);
                        g_assert_null(session_question(end->session));
                        wire_after(end, 0);
                        end->end = SESSION_E_CLOSED;
                        g_assert_cmpint(session_failure(end->session)->alert_sent, ==, 90);

                        wire_pass(wire, 10 * MINUTE);
                        while (wire_answer(end->peer))
                                wire_pass(wire, 10 * MINUTE);
                        g_assert_cmpint(end->peer->end, ==, SESSION_E_FAILED);
                }
}

static int refuse(WireEnd *end, const SessionQuestion *question) {
        Wire *wire = end->wire;
        uint32_t serial = question->serial;

        switch (question->want) {
        case SESSION_WANTS_PSK:
                return session_answer_psk(end->session, serial, wire->now_usec, NULL, NULL,
                                          wire->net, wire->app);
        case SESSION_WANTS_SIGNATURE:
                return session_answer_signature(end->session, serial, wire->now_usec, NULL, 0,
                                                "the key is gone", wire->net, wire->app);
        case SESSION_WANTS_VERDICT:
                return session_answer_verdict(end->session, serial, wire->now_usec,
                                              /* accept= */ false, wire->net, wire->app);
        case SESSION_WANTS_PIN:
                return session_answer_pin(end->session, serial, wire->now_usec, "no room",
                                          wire->net, wire->app);
        }

        g_assert_not_reached();
}

static void test_is_refused_at_every_question(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (unsigned number = 0; number < n_questions[kind]; number++) {
                        WireSetup setup = setup_of(kind, WIRE_ANSWERS_BY_HAND);
                        g_autoptr(Wire) wire = wire_new(&setup);
                        WireEnd *end = until_question(wire, number);
                        const SessionFailure *failure = session_failure(end->session);
                        const SessionQuestion *question = session_question(end->session);
                        SessionWant want = question->want;

                        wire_before(end);
                        wire_after(end, refuse(end, question));
                        /* a server hides it behind a key that is none */
                        if (want == SESSION_WANTS_PSK && end == &wire->server)
                                wire_pass(wire, MINUTE);
                        g_assert_cmpint(end->end, ==, SESSION_E_FAILED);
                        g_assert_cmpint(failure->alert_sent, >=, 0);
                        g_assert_cmpuint(strlen(failure->text), >, 0);
                        if (want == SESSION_WANTS_VERDICT) {
                                g_assert_cmpint(failure->error, ==, DTLS_PEER_VERIFICATION_ERROR);
                                g_assert_cmpint(failure->alert_sent, ==, 48); /* unknown_ca */
                        }
                        if (want == SESSION_WANTS_SIGNATURE)
                                g_assert_nonnull(strstr(failure->text, "the key is gone"));

                        /* the other hears of it, a little later, as nobody vouches for an alert */
                        wire_pass(wire, 10 * MINUTE);
                        g_assert_cmpint(end->peer->end, ==, SESSION_E_FAILED);
                        g_assert_cmpint(session_failure(end->peer->session)->alert_received, ==,
                                        failure->alert_sent);
                }
}

/* Nobody ever answers. */
static void test_ends_when_the_answers_deadline_is_over(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (unsigned number = 0; number < n_questions[kind]; number++) {
                        WireSetup setup = setup_of(kind, WIRE_ANSWERS_BY_HAND);
                        g_autoptr(Wire) wire = NULL;
                        uint64_t asked_usec;
                        WireEnd *end;

                        setup.answer_deadline_usec = 50 * WIRE_SECOND;
                        wire = wire_new(&setup);
                        end = until_question(wire, number);
                        asked_usec = wire->now_usec;
                        wire_pass(wire, 49 * WIRE_SECOND);
                        g_assert_cmpint(end->end, ==, 0);

                        while (!end->end)
                                g_assert_true(wire_step(wire));
                        g_assert_cmpuint(wire->now_usec, ==, asked_usec + 50 * WIRE_SECOND);
                        g_assert_cmpint(end->end, ==, SESSION_E_FAILED);
                        g_assert_cmpint(session_failure(end->session)->alert_sent, >=, 0);
                }
}

static void test_ends_when_the_handshakes_deadline_is_over(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (unsigned number = 0; number < n_questions[kind]; number++) {
                        WireSetup setup = setup_of(kind, WIRE_ANSWERS_BY_HAND);
                        g_autoptr(Wire) wire = NULL;
                        uint64_t begun_usec;
                        WireEnd *end;

                        setup.handshake_deadline_usec = 30 * WIRE_SECOND;
                        wire = wire_new(&setup);
                        begun_usec = wire->now_usec;
                        end = until_question(wire, number);
                        while (!wire->client.end)
                                g_assert_true(wire_step(wire));

                        g_assert_cmpuint(wire->now_usec, <=, begun_usec + 31 * WIRE_SECOND);
                        wire_pass(wire, MINUTE);
                        g_assert_cmpint(end->end, ==, SESSION_E_FAILED);
                        g_assert_cmpint(end->peer->end, ==, SESSION_E_FAILED);
                }
}

static void test_a_client_alone_ends_at_its_deadline(void) {
        WireSetup setup = {.kind = WIRE_PSK, .loss = 100, .handshake_deadline_usec = MINUTE};
        g_autoptr(Wire) wire = wire_new(&setup);
        uint64_t begun_usec = wire->now_usec;

        wire_start(wire);
        while (!wire->client.end)
                g_assert_true(wire_step(wire));

        g_assert_cmpuint(wire->now_usec, ==, begun_usec + MINUTE);
        /* at 0, 1, 3, 7, 15, 23, 31, 39, 47, 55 s, and the goodbye */
        g_assert_cmpuint(wire->client.n_sent, ==, 11);
        g_assert_cmpuint(wire->client.n_timeouts, ==, 9);
}

static int answer_with(WireEnd *end, SessionWant want, uint32_t serial) {
        g_autoptr(GBytes) identity = g_bytes_new_static(WIRE_IDENTITY, strlen(WIRE_IDENTITY));
        g_autoptr(Secret) key = secret_new(WIRE_PSK_KEY, strlen(WIRE_PSK_KEY));
        Wire *wire = end->wire;

        switch (want) {
        case SESSION_WANTS_PSK:
                return session_answer_psk(end->session, serial, wire->now_usec, identity, key,
                                          wire->net, wire->app);
        case SESSION_WANTS_SIGNATURE:
                return session_answer_signature(end->session, serial, wire->now_usec, "signature",
                                                9, NULL, wire->net, wire->app);
        case SESSION_WANTS_VERDICT:
                return session_answer_verdict(end->session, serial, wire->now_usec,
                                              /* accept= */ true, wire->net, wire->app);
        case SESSION_WANTS_PIN:
                return session_answer_pin(end->session, serial, wire->now_usec, NULL, wire->net,
                                          wire->app);
        }

        g_assert_not_reached();
}

/* All answers but the one that is asked for, by number and by kind. */
static void assert_others_are_stale(WireEnd *end, const SessionQuestion *question) {
        for (unsigned want = 0; want <= SESSION_WANTS_PIN; want++)
                for (uint32_t serial = 0; serial < 10; serial++) {
                        if (question && want == question->want && serial == question->serial)
                                continue;

                        wire_before(end);
                        g_assert_cmpint(answer_with(end, want, serial), ==, SESSION_E_STALE);
                        g_assert_cmpuint(datagram_batch_count(end->wire->net), ==, 0);
                }
}

static void test_every_other_answer_is_stale(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++) {
                WireSetup setup = setup_of(kind, WIRE_ANSWERS_BY_HAND);
                g_autoptr(Wire) wire = wire_new(&setup);

                wire_start(wire);
                assert_others_are_stale(&wire->client, NULL);
                for (unsigned i = 0; i < n_questions[kind]; i++) {
                        WireEnd *end = until_asked(wire);

                        assert_others_are_stale(end, session_question(end->session));
                        g_assert_true(wire_answer(end));
                        assert_others_are_stale(end, session_question(end->session));
                }
                g_assert_true(wire_shake(wire, WIRE_SECOND));
                assert_others_are_stale(&wire->client, NULL);
                assert_others_are_stale(&wire->server, NULL);
                assert_talks(wire);

                wire_before(&wire->client);
                session_close(wire->client.session, wire->net);
                wire_after(&wire->client, 0);
                assert_others_are_stale(&wire->client, NULL);
        }
}

/* Several handshakes are suspended at once, and answered in whatever order. */
static void test_many_at_once_are_answered_in_any_order(void) {
        enum {
                N = 60
        };
        g_autoptr(GRand) random = g_rand_new_with_seed(11);
        Wire *wires[N];
        unsigned n_open = 0;

        for (unsigned i = 0; i < N; i++) {
                WireSetup setup = setup_of(i % N_WIRE_KINDS, WIRE_ANSWERS_BY_HAND);

                setup.seed = i;
                wires[i] = wire_new(&setup);
                wire_start(wires[i]);
                (void)until_asked(wires[i]);
        }
        for (unsigned round = 0; n_open < N; round++) {
                Wire *wire = wires[g_rand_int_range(random, 0, N)];
                bool was_open = wire_is_open(wire);

                g_assert_cmpuint(round, <, 100000);
                (void)wire_step(wire);
                if (g_rand_boolean(random))
                        (void)wire_answer(g_rand_boolean(random) ? &wire->client : &wire->server);
                n_open += !was_open && wire_is_open(wire);
        }
        for (unsigned i = 0; i < N; i++) {
                assert_talks(wires[i]);
                wire_free(wires[i]);
        }
}

/* What came while the session waited is used when it goes on: no retransmission is needed. */
static void test_what_came_meanwhile_is_kept(void) {
        WireSetup setup = setup_of(WIRE_PSK, WIRE_ANSWERS_BY_HAND);
        g_autoptr(Wire) wire = wire_new(&setup);
        WireEnd *end = until_question(wire, 1);
        unsigned n_client;

        g_assert_true(end == &wire->server);
        wire_pass(wire, WIRE_SECOND / 2); /* the client's Finished has long been there */
        n_client = wire->client.n_sent;
        g_assert_true(wire_answer(end));
        g_assert_cmpint(session_state(end->session), ==, SESSION_OPEN);
        g_assert_true(wire_shake(wire, WIRE_SECOND / 10));
        g_assert_cmpuint(wire->client.n_sent, ==, n_client);
        assert_talks(wire);
}

/* A suspended session is quiet, whatever is thrown at it, and takes no more than its bounds. */
static void test_a_suspended_session_says_nothing(void) {
        for (unsigned kind = 0; kind < N_WIRE_KINDS; kind++)
                for (unsigned number = 0; number < n_questions[kind]; number++) {
                        WireSetup setup = setup_of(kind, WIRE_ANSWERS_BY_HAND);
                        g_autoptr(Wire) wire = wire_new(&setup);
                        WireEnd *end = until_question(wire, number);
                        unsigned n_sent = end->n_sent;

                        for (unsigned i = 0; i < 10000; i++) {
                                uint8_t record[113] = {22,         0xfe, 0xfd, 0, 1,
                                                       0,          0,    0,    0, (uint8_t)(i >> 8),
                                                       (uint8_t)i, 0,    100};

                                wire_inject(end, record, sizeof(record));
                        }
                        wire_pass(wire, 5 * MINUTE);
                        g_assert_cmpuint(end->n_sent, ==, n_sent);
                        g_assert_true(wire_answer(end));
                        for (unsigned i = number + 1; i < n_questions[kind]; i++)
                                g_assert_true(wire_answer(until_asked(wire)));
                        g_assert_true(wire_shake(wire, MINUTE));
                        assert_talks(wire);
                }
}

static void test_a_wrong_key_ends_in_an_alert_and_not_in_silence(void) {
        g_autoptr(Wire) wire = wire_new(&(WireSetup){.kind = WIRE_PSK, .wrong_key = true});
        uint64_t begun_usec = wire->now_usec;

        wire_start(wire);
        g_assert_false(wire_shake(wire, MINUTE));
        wire_pass(wire, 5 * WIRE_SECOND);
        g_assert_cmpuint(wire->now_usec, <, begun_usec + MINUTE);
        g_assert_cmpint(wire->server.end, ==, SESSION_E_FAILED);
        g_assert_cmpint(wire->client.end, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(wire->server.session)->alert_sent, ==, 51);
        g_assert_cmpint(session_failure(wire->client.session)->alert_received, ==, 51);
}

static void test_an_unknown_identity_looks_like_a_wrong_key(void) {
        WireSetup setup = setup_of(WIRE_PSK, WIRE_ANSWERS_BY_HAND);
        g_autoptr(Wire) wire = wire_new(&setup);
        WireEnd *end = until_question(wire, 1);

        wire_before(end);
        wire_after(end, session_answer_psk(end->session, session_question(end->session)->serial,
                                           wire->now_usec, NULL, NULL, wire->net, wire->app));
        g_assert_cmpint(end->end, ==, 0);
        wire_pass(wire, MINUTE);
        g_assert_cmpint(wire->server.end, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(wire->server.session)->alert_sent, ==, 51);
}

static void test_a_hint_and_an_identity_arrive(void) {
        WireSetup setup = setup_of(WIRE_PSK, WIRE_ANSWERS_BY_HAND);
        g_autoptr(Wire) wire = NULL;
        gsize size;

        setup.hint = "which-house";
        wire = wire_new(&setup);
        (void)until_question(wire, 0);
        g_assert_cmpmem(g_bytes_get_data(session_question(wire->client.session)->hint, &size), 11,
                        "which-house", 11);
        g_assert_cmpuint(size, ==, 11);
        g_assert_true(wire_answer(&wire->client));
        g_assert_true(until_asked(wire) == &wire->server);
        g_assert_cmpmem(g_bytes_get_data(session_question(wire->server.session)->identity, &size),
                        strlen(WIRE_IDENTITY), WIRE_IDENTITY, strlen(WIRE_IDENTITY));
        g_assert_cmpuint(size, ==, strlen(WIRE_IDENTITY));
}

static void test_a_goodbye_is_heard(void) {
        for (unsigned role = 0; role < 2; role++) {
                g_autoptr(Wire) wire = wire_new(&(WireSetup){.kind = WIRE_MUTUAL});
                WireEnd *end = role == DTLS_CLIENT ? &wire->client : &wire->server;

                wire_start(wire);
                g_assert_true(wire_shake(wire, WIRE_SECOND));
                wire_before(end);
                session_close(end->session, wire->net);
                wire_after(end, 0);
                wire_pass(wire, WIRE_SECOND);
                g_assert_cmpint(end->peer->end, ==, SESSION_E_CLOSED);
        }
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        wire_world_make();

#define SUSPEND_TEST(name, function) g_test_add_func("/sim/suspend/" name, function)
        SUSPEND_TEST("answers-at-once", test_answers_at_once);
        SUSPEND_TEST("answers-after-minutes-of-retransmissions",
                     test_answers_after_minutes_of_retransmissions);
        SUSPEND_TEST("asks-as-often-as-it-should", test_asks_as_often_as_it_should);
        SUSPEND_TEST("is-freed-at-every-question", test_is_freed_at_every_question);
        SUSPEND_TEST("is-closed-at-every-question", test_is_closed_at_every_question);
        SUSPEND_TEST("is-refused-at-every-question", test_is_refused_at_every_question);
        SUSPEND_TEST("ends-when-the-answers-deadline-is-over",
                     test_ends_when_the_answers_deadline_is_over);
        SUSPEND_TEST("ends-when-the-handshakes-deadline-is-over",
                     test_ends_when_the_handshakes_deadline_is_over);
        SUSPEND_TEST("a-client-alone-ends-at-its-deadline",
                     test_a_client_alone_ends_at_its_deadline);
        SUSPEND_TEST("every-other-answer-is-stale", test_every_other_answer_is_stale);
        SUSPEND_TEST("many-at-once-are-answered-in-any-order",
                     test_many_at_once_are_answered_in_any_order);
        SUSPEND_TEST("what-came-meanwhile-is-kept", test_what_came_meanwhile_is_kept);
        SUSPEND_TEST("a-suspended-session-says-nothing", test_a_suspended_session_says_nothing);
        SUSPEND_TEST("a-wrong-key-ends-in-an-alert-and-not-in-silence",
                     test_a_wrong_key_ends_in_an_alert_and_not_in_silence);
        SUSPEND_TEST("an-unknown-identity-looks-like-a-wrong-key",
                     test_an_unknown_identity_looks_like_a_wrong_key);
        SUSPEND_TEST("a-hint-and-an-identity-arrive", test_a_hint_and_an_identity_arrive);
        SUSPEND_TEST("a-goodbye-is-heard", test_a_goodbye_is_heard);

        r = g_test_run();
        wire_world_free();
        return r;
}
