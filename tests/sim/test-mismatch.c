/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Is a wrong pre-shared key told from a bad net?
 */

#include "wire.h"

#include <string.h>

#define MINUTE (60 * WIRE_SECOND)
#define N_SEEDS 500
#define SERVER_HELLO 2

/* A server that does as OpenSSL's: a Finished that does not decrypt is dropped without a word, and
 * the flight before it goes out again by a timer. */
typedef struct Mute {
        GBytes *flight;
        uint64_t due_usec, interval_usec;
} Mute;

static bool tap_mute(Wire *wire, WireEnd *from, unsigned index, WirePacket *packet, void *data) {
        Mute *mute = data;

        if (from->role == DTLS_CLIENT)
                return true;
        if (packet->bytes[0] != 22 || packet->bytes[13] != SERVER_HELLO)
                return false;

        if (!mute->flight) {
                mute->flight = g_bytes_new(packet->bytes, packet->size);
                mute->interval_usec = WIRE_SECOND;
                mute->due_usec = wire->now_usec + WIRE_SECOND;
        }
        return true;
}

static void mute_say_again(Wire *wire, Mute *mute) {
        gsize size;
        const void *bytes = g_bytes_get_data(mute->flight, &size);

        if (g_rand_int_range(wire->random, 0, 100) >= (gint32)wire->setup.loss)
                wire_inject(&wire->client, bytes, size);
        mute->interval_usec = MIN(2 * mute->interval_usec, 60 * WIRE_SECOND);
        mute->due_usec += mute->interval_usec;
}

static void handle_timeout(Wire *wire) {
        WireEnd *client = &wire->client;

        wire_before(client);
        wire_after(client,
                   session_retransmit(client->session, wire->now_usec, wire->net, wire->app));
}

/* Runs until the client is over; how long that took. */
static uint64_t end_of(WireSetup setup) {
        g_autoptr(Wire) wire = NULL;
        uint64_t begun_usec;
        Mute mute = {};

        setup.kind = WIRE_PSK;
        setup.wrong_key = true;
        wire = wire_new(&setup);
        begun_usec = wire->now_usec;
        wire->tap = tap_mute;
        wire->tap_data = &mute;
        wire_start(wire);
        while (!wire->client.end) {
                unsigned n_timeouts = wire->client.n_timeouts;

                g_assert_cmpuint(wire->now_usec, <, begun_usec + 60 * MINUTE);
                wire_pass(wire, WIRE_SECOND / 20);
                if (setup.client_manual && wire->client.n_timeouts > n_timeouts)
                        handle_timeout(wire);
                if (mute.flight && wire->now_usec >= mute.due_usec)
                        mute_say_again(wire, &mute);
        }

        g_assert_cmpint(wire->client.end, ==, SESSION_E_FAILED);
        g_assert_cmpint(session_failure(wire->client.session)->alert_sent, ==, 51);
        g_assert_nonnull(
                strstr(session_failure(wire->client.session)->text, "another pre-shared key"));
        g_bytes_unref(mute.flight);
        return wire->now_usec - begun_usec;
}

static void test_a_wrong_key_ends_within_tries(void) {
        g_assert_cmpuint(end_of((WireSetup){}), <=, 32 * WIRE_SECOND);
        for (unsigned seed = 1; seed <= 50; seed++)
                g_assert_cmpuint(end_of((WireSetup){.seed = seed, .loss = 30}), <=, 10 * MINUTE);
}

static void test_a_wrong_key_ends_within_tries_in_manual_mode(void) {
        g_assert_cmpuint(end_of((WireSetup){.client_manual = true}), <=, 2 * MINUTE);
        for (unsigned seed = 1; seed <= 50; seed++)
                g_assert_cmpuint(
                        end_of((WireSetup){.seed = seed, .loss = 30, .client_manual = true}), <=,
                        10 * MINUTE);
}

static void assert_opens(const WireSetup *setup) {
        g_autoptr(Wire) wire = wire_new(setup);

        wire_start(wire);
        while (!wire_is_open(wire)) {
                unsigned n_timeouts = wire->client.n_timeouts;

                if (wire_is_over(wire))
                        g_error("seed %u: %s, %s", setup->seed,
                                session_failure(wire->client.session)->text,
                                session_failure(wire->server.session)->text);
                g_assert_true(wire_step(wire));
                if (setup->client_manual && wire->client.n_timeouts > n_timeouts)
                        handle_timeout(wire);
        }
}

static void test_a_right_key_opens_whatever_is_lost(void) {
        for (unsigned seed = 1; seed <= N_SEEDS; seed++) {
                bool manual = seed % 4 == 0;

                assert_opens(&(WireSetup){.kind = WIRE_PSK,
                                          .seed = seed,
                                          .cookies = seed % 2,
                                          .loss = 30,
                                          .duplication = seed % 3 ? 20 : 0,
                                          .reordering = seed % 3 ? 30 : 0,
                                          .client_manual = manual});
        }
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        wire_world_make();

        g_test_add_func("/sim/mismatch/a-wrong-key-ends-within-tries",
                        test_a_wrong_key_ends_within_tries);
        g_test_add_func("/sim/mismatch/a-wrong-key-ends-within-tries-in-manual-mode",
                        test_a_wrong_key_ends_within_tries_in_manual_mode);
        g_test_add_func("/sim/mismatch/a-right-key-opens-whatever-is-lost",
                        test_a_right_key_opens_whatever_is_lost);

        r = g_test_run();
        wire_world_free();
        return r;
}
