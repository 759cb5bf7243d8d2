/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/cookie.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#define MINUTE_USEC (60 * UINT64_C(1000000))
#define ANSWER_COOKIE_OFFSET 28
#define NOW 1000

typedef struct Stage {
        CookieJar *jar;
        DatagramBatch *net;
        Address peer, local;
        Hello hello;
        uint8_t bytes[512];
        size_t size;
} Stage;

static void stage_up(Stage *stage, const char *hash, const char *secret) {
        *stage = (Stage){};
        g_assert_cmpint(cookie_jar_new(hash, secret, secret ? strlen(secret) : 0, &stage->jar), ==,
                        0);
        stage->net = datagram_batch_new(4, 1024);
        g_assert_cmpint(address_parse("192.0.2.7", 40000, &stage->peer), ==, 0);
        g_assert_cmpint(address_parse("192.0.2.1", 5684, &stage->local), ==, 0);
}

static void stage_down(Stage *stage) {
        cookie_jar_free(stage->jar);
        datagram_batch_free(stage->net);
}

/* A ClientHello with this cookie; @n_behind bytes follow the cookie in the same message. */
static void stage_hello(Stage *stage, const void *cookie, size_t cookie_size, size_t n_behind) {
        size_t body = 2 + 32 + 1 + 1 + cookie_size + n_behind;
        const uint8_t head[] = {22,
                                0xfe,
                                0xff,
                                0,
                                0,
                                0,
                                0,
                                0,
                                9,
                                8,
                                7,
                                0,
                                (uint8_t)(body + 12),
                                1,
                                0,
                                0,
                                (uint8_t)body,
                                0,
                                3,
                                0,
                                0,
                                0,
                                0,
                                0,
                                (uint8_t)body,
                                0xfe,
                                0xfd};
        uint8_t *bytes = stage->bytes;

        g_assert_cmpuint(body + 12, <, 256);
        memset(bytes, 0x33, sizeof(stage->bytes));
        memcpy(bytes, head, sizeof(head));
        bytes[sizeof(head) + 32] = 0;
        bytes[sizeof(head) + 33] = (uint8_t)cookie_size;
        if (cookie_size > 0)
                memcpy(bytes + sizeof(head) + 34, cookie, cookie_size);
        stage->size = 25 + body;
}

static int stage_check(Stage *stage, uint64_t now_usec) {
        Datagram in = {
                .data = stage->bytes,
                .size = stage->size,
                .peer = stage->peer,
                .local = stage->local,
        };

        datagram_batch_reset(stage->net);
        return cookie_check(stage->jar, now_usec, &in, stage->net, &stage->hello);
}

/* Asks without a cookie; what is answered becomes the next hello's. */
static void stage_take_cookie(Stage *stage, uint64_t now_usec) {
        uint8_t cookie[COOKIE_SIZE_MAX];
        Datagram answer;
        size_t size;

        stage_hello(stage, NULL, 0, 100);
        g_assert_cmpint(stage_check(stage, now_usec), ==, COOKIE_E_ASKED);
        g_assert_cmpuint(datagram_batch_count(stage->net), ==, 1);

        answer = datagram_batch_at(stage->net, 0);
        size = answer.data[ANSWER_COOKIE_OFFSET - 1];
        g_assert_cmpuint(answer.size, ==, ANSWER_COOKIE_OFFSET + size);
        g_assert_cmpuint(size, <=, COOKIE_SIZE_MAX);
        memcpy(cookie, answer.data + ANSWER_COOKIE_OFFSET, size);
        stage_hello(stage, cookie, size, 100);
}

static void test_takes_back_what_it_gave(void) {
        static const char *const hashes[] = {"Md5", "Sha1", "Sha224", "Sha256", "Sha384", "Sha512"};

        for (size_t i = 0; i < G_N_ELEMENTS(hashes); i++) {
                Stage stage;

                stage_up(&stage, hashes[i], "secret");
                g_assert_cmpstr(cookie_jar_hash(stage.jar), ==, hashes[i]);
                stage_take_cookie(&stage, NOW);
                g_assert_cmpint(stage_check(&stage, NOW), ==, 0);
                g_assert_cmpuint(datagram_batch_count(stage.net), ==, 0);
                g_assert_cmpuint(stage.hello.message_seq, ==, 3);
                g_assert_cmphex(stage.hello.record_sequence, ==, 0x090807);
                stage_down(&stage);
        }
}

/* Byte for byte what RFC 6347 4.2.1 says, with both numbers of the hello. */
static void test_answers_with_the_numbers_of_the_hello(void) {
        static const uint8_t expected[] = {22, 0xfe, 0xff,    0, 0,  0,    0,    0, 9, 8,
                                           7,  0,    12 + 35, 3, 0,  0,    35,   0, 3, 0,
                                           0,  0,    0,       0, 35, 0xfe, 0xff, 32};
        Stage stage;
        Datagram answer;

        stage_up(&stage, "Sha256", "secret");
        stage_hello(&stage, NULL, 0, 100);
        g_assert_cmpint(stage_check(&stage, NOW), ==, COOKIE_E_ASKED);
        answer = datagram_batch_at(stage.net, 0);
        g_assert_cmpmem(answer.data, sizeof(expected), expected, sizeof(expected));
        g_assert_true(address_equal(&answer.peer, &stage.peer));
        g_assert_true(address_equal(&answer.local, &stage.local));
        stage_down(&stage);
}

static void test_is_the_hmac_of_both_ends_cut_to_32(void) {
        uint8_t path[2 * ADDRESS_CANONICAL_MAX], hash[64];
        Stage stage;
        Datagram answer;
        size_t size;

        stage_up(&stage, "Sha512", "secret");
        stage_hello(&stage, NULL, 0, 100);
        g_assert_cmpint(stage_check(&stage, NOW), ==, COOKIE_E_ASKED);
        answer = datagram_batch_at(stage.net, 0);

        size = address_canonical(&stage.peer, path);
        size += address_canonical(&stage.local, path + size);
        g_assert_cmpint(gnutls_hmac_fast(GNUTLS_MAC_SHA512, "secret", 6, path, size, hash), ==, 0);
        g_assert_cmpmem(answer.data + ANSWER_COOKIE_OFFSET, answer.size - ANSWER_COOKIE_OFFSET,
                        hash, 32);
        stage_down(&stage);
}

static void test_is_of_no_use_from_elsewhere(void) {
        Stage stage;

        stage_up(&stage, "Sha256", "secret");
        stage_take_cookie(&stage, NOW);

        address_set_port(&stage.peer, 40001);
        g_assert_cmpint(stage_check(&stage, NOW), ==, COOKIE_E_ASKED);
        address_set_port(&stage.peer, 40000);
        g_assert_cmpint(stage_check(&stage, NOW), ==, 0);

        g_assert_cmpint(address_parse("192.0.2.8", 40000, &stage.peer), ==, 0);
        g_assert_cmpint(stage_check(&stage, NOW), ==, COOKIE_E_ASKED);
        g_assert_cmpint(address_parse("192.0.2.7", 40000, &stage.peer), ==, 0);
        g_assert_cmpint(address_parse("192.0.2.2", 5684, &stage.local), ==, 0);
        g_assert_cmpint(stage_check(&stage, NOW), ==, COOKIE_E_ASKED);
        stage_down(&stage);
}

static void test_refuses_any_other_cookie(void) {
        uint8_t longer[COOKIE_SIZE_MAX + 1] = {};
        Stage stage;
        size_t first;

        stage_up(&stage, "Sha256", "secret");
        stage_take_cookie(&stage, NOW);
        first = 25 + 2 + 32 + 1 + 1;

        for (size_t i = 0; i < 32; i++) {
                stage.bytes[first + i] ^= 1;
                g_assert_cmpint(stage_check(&stage, NOW), ==, COOKIE_E_ASKED);
                stage.bytes[first + i] ^= 1;
        }

        /* the right one with a byte more is not the right one */
        memcpy(longer, stage.bytes + first, 32);
        stage_hello(&stage, longer, sizeof(longer), 100);
        g_assert_cmpint(stage_check(&stage, NOW), ==, COOKIE_E_ASKED);
        stage_hello(&stage, longer, 31, 100);
        g_assert_cmpint(stage_check(&stage, NOW), ==, COOKIE_E_ASKED);
        stage_down(&stage);
}

static void test_does_not_cover_what_follows_it(void) {
        uint8_t cookie[32];
        Stage stage;

        stage_up(&stage, "Sha256", "secret");
        stage_take_cookie(&stage, NOW);
        memcpy(cookie, stage.bytes + 61, 32);
        stage_hello(&stage, cookie, 32, 40);
        g_assert_cmpint(stage_check(&stage, NOW), ==, 0);
        stage_down(&stage);
}

static void test_never_says_more_than_it_was_told(void) {
        Stage stage;

        stage_up(&stage, "Sha512", "secret");
        for (size_t n_behind = 0; n_behind < 60; n_behind++) {
                stage_hello(&stage, NULL, 0, n_behind);
                g_assert_cmpint(stage_check(&stage, NOW), ==, COOKIE_E_ASKED);
                g_assert_cmpuint(datagram_batch_count(stage.net), ==, 1);
                g_assert_cmpuint(datagram_batch_at(stage.net, 0).size, <=, stage.size);
        }
        stage_down(&stage);
}

static void test_says_nothing_to_noise(void) {
        Stage stage;

        stage_up(&stage, "Sha256", "secret");
        memset(stage.bytes, 0, sizeof(stage.bytes));
        for (stage.size = 0; stage.size < sizeof(stage.bytes); stage.size++) {
                g_assert_cmpint(stage_check(&stage, NOW), ==, COOKIE_E_NOISE);
                g_assert_cmpuint(datagram_batch_count(stage.net), ==, 0);
        }
        stage_down(&stage);
}

static void test_a_full_batch_is_a_loss(void) {
        Stage stage;
        Datagram in;
        g_autoptr(DatagramBatch) small = datagram_batch_new(1, 10);

        stage_up(&stage, "Sha256", "secret");
        stage_hello(&stage, NULL, 0, 100);
        in = (Datagram){.data = stage.bytes, .size = stage.size, .peer = stage.peer};
        g_assert_cmpint(cookie_check(stage.jar, NOW, &in, small, &stage.hello), ==, COOKIE_E_ASKED);
        g_assert_cmpuint(datagram_batch_count(small), ==, 0);
        stage_down(&stage);
}

static void test_a_given_secret_stays(void) {
        Stage stage;
        size_t size;

        stage_up(&stage, "Sha256", "secret");
        stage_take_cookie(&stage, NOW);
        g_assert_cmpint(stage_check(&stage, NOW + 1000 * MINUTE_USEC), ==, 0);
        g_assert_cmpmem(cookie_jar_secret(stage.jar, &size), 6, "secret", 6);
        g_assert_cmpuint(size, ==, 6);
        stage_down(&stage);
}

static void test_a_random_secret_is_replaced_and_the_one_before_stays_good(void) {
        Stage stage;
        g_autofree void *before = NULL;
        size_t size;

        stage_up(&stage, "Sha256", NULL);
        before = g_memdup2(cookie_jar_secret(stage.jar, &size), 32);
        g_assert_cmpuint(size, ==, 32);

        stage_take_cookie(&stage, NOW);
        g_assert_cmpint(stage_check(&stage, NOW + 9 * MINUTE_USEC), ==, 0);
        g_assert_cmpmem(cookie_jar_secret(stage.jar, &size), 32, before, 32);

        g_assert_cmpint(stage_check(&stage, NOW + 11 * MINUTE_USEC), ==, 0);
        g_assert_true(memcmp(cookie_jar_secret(stage.jar, &size), before, 32) != 0);

        g_assert_cmpint(stage_check(&stage, NOW + 22 * MINUTE_USEC), ==, COOKIE_E_ASKED);
        stage_down(&stage);
}

static void test_a_pause_ends_what_was_given_before_it(void) {
        Stage stage;

        stage_up(&stage, "Sha256", NULL);
        stage_take_cookie(&stage, NOW);
        g_assert_cmpint(stage_check(&stage, NOW + 25 * MINUTE_USEC), ==, COOKIE_E_ASKED);
        stage_down(&stage);
}

static void test_refuses_what_cannot_be_a_generator(void) {
        CookieJar *jar = NULL;

        g_assert_cmpint(cookie_jar_new("Sha3_256", "secret", 6, &jar), ==, COOKIE_E_BAD_HASH);
        g_assert_cmpint(cookie_jar_new("sha256", "secret", 6, &jar), ==, COOKIE_E_BAD_HASH);
        g_assert_cmpint(cookie_jar_new("", NULL, 0, &jar), ==, COOKIE_E_BAD_HASH);
        g_assert_cmpint(cookie_jar_new("Sha256", "", 0, &jar), ==, COOKIE_E_BAD_SECRET);
        g_assert_null(jar);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/cookie/takes-back-what-it-gave", test_takes_back_what_it_gave);
        g_test_add_func("/cookie/answers-with-the-numbers-of-the-hello",
                        test_answers_with_the_numbers_of_the_hello);
        g_test_add_func("/cookie/is-the-hmac-of-both-ends-cut-to-32",
                        test_is_the_hmac_of_both_ends_cut_to_32);
        g_test_add_func("/cookie/is-of-no-use-from-elsewhere", test_is_of_no_use_from_elsewhere);
        g_test_add_func("/cookie/refuses-any-other-cookie", test_refuses_any_other_cookie);
        g_test_add_func("/cookie/does-not-cover-what-follows-it",
                        test_does_not_cover_what_follows_it);
        g_test_add_func("/cookie/never-says-more-than-it-was-told",
                        test_never_says_more_than_it_was_told);
        g_test_add_func("/cookie/says-nothing-to-noise", test_says_nothing_to_noise);
        g_test_add_func("/cookie/a-full-batch-is-a-loss", test_a_full_batch_is_a_loss);
        g_test_add_func("/cookie/a-given-secret-stays", test_a_given_secret_stays);
        g_test_add_func("/cookie/a-random-secret-is-replaced-and-the-one-before-stays-good",
                        test_a_random_secret_is_replaced_and_the_one_before_stays_good);
        g_test_add_func("/cookie/a-pause-ends-what-was-given-before-it",
                        test_a_pause_ends_what_was_given_before_it);
        g_test_add_func("/cookie/refuses-what-cannot-be-a-generator",
                        test_refuses_what_cannot_be_a_generator);

        return g_test_run();
}
