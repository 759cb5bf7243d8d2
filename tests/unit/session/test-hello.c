/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/hello.h"

#include <glib.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <string.h>

#define COOKIE_OFFSET 61 /* of the first cookie byte when there is no session id */

/* A ClientHello as RFC 6347 4.2.2 draws it, up to and with its cookie and some bytes more. */
static GByteArray *hello_make(uint8_t session_id_size, uint8_t cookie_size) {
        static const uint8_t record[] = {22, 0xfe, 0xff, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0};
        static const uint8_t message[] = {1, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 0, 0, 0};
        uint8_t filler[255];
        GByteArray *hello = g_byte_array_new();
        size_t body;

        memset(filler, 0xaa, sizeof(filler));
        g_byte_array_append(hello, record, sizeof(record));
        g_byte_array_append(hello, message, sizeof(message));
        g_byte_array_append(hello, (const uint8_t *)"\xfe\xfd", 2);
        g_byte_array_append(hello, filler, 32);
        g_byte_array_append(hello, &session_id_size, 1);
        g_byte_array_append(hello, filler, session_id_size);
        g_byte_array_append(hello, &cookie_size, 1);
        g_byte_array_append(hello, filler, cookie_size);
        g_byte_array_append(hello, (const uint8_t *)"\x00\x02\xc0\x2b\x01\x00", 6);

        body = hello->len - 25;
        hello->data[11] = (body + 12) >> 8;
        hello->data[12] = (uint8_t)(body + 12);
        hello->data[15] = hello->data[23] = body >> 8;
        hello->data[16] = hello->data[24] = (uint8_t)body;
        return hello;
}

static void test_reads_numbers_and_cookie(void) {
        g_autoptr(GByteArray) bytes = hello_make(0, 20);
        Hello hello;

        g_assert_cmpint(hello_parse(bytes->data, bytes->len, &hello), ==, 0);
        g_assert_cmphex(hello.record_sequence, ==, 0x010203040506);
        g_assert_cmphex(hello.message_seq, ==, 0x1234);
        g_assert_false(hello.fragmented);
        g_assert_true(hello.cookie == bytes->data + COOKIE_OFFSET);
        g_assert_cmpuint(hello.cookie_size, ==, 20);
}

static void test_reads_behind_a_session_id(void) {
        g_autoptr(GByteArray) bytes = hello_make(32, 255);
        Hello hello;

        g_assert_cmpint(hello_parse(bytes->data, bytes->len, &hello), ==, 0);
        g_assert_true(hello.cookie == bytes->data + COOKIE_OFFSET + 32);
        g_assert_cmpuint(hello.cookie_size, ==, 255);
}

static void test_takes_both_record_versions(void) {
        g_autoptr(GByteArray) bytes = hello_make(0, 0);
        Hello hello;

        bytes->data[2] = 0xfd;
        g_assert_cmpint(hello_parse(bytes->data, bytes->len, &hello), ==, 0);
        bytes->data[2] = 0xfe;
        g_assert_cmpint(hello_parse(bytes->data, bytes->len, &hello), ==, HELLO_E_NOT_HELLO);
}

static void test_takes_a_first_fragment_with_its_cookie(void) {
        g_autoptr(GByteArray) bytes = hello_make(0, 32);
        Hello hello;

        bytes->data[15]++; /* the message is 256 bytes longer than the fragment */
        g_assert_cmpint(hello_parse(bytes->data, bytes->len, &hello), ==, 0);
        g_assert_true(hello.fragmented);
        g_assert_cmpuint(hello.cookie_size, ==, 32);
}

static void test_refuses_a_fragment_that_ends_before_the_cookie_does(void) {
        g_autoptr(GByteArray) bytes = hello_make(0, 32);
        Hello hello;

        bytes->data[24] = 34 + 1 + 1 + 31;
        g_assert_cmpint(hello_parse(bytes->data, bytes->len, &hello), ==, HELLO_E_NOT_HELLO);
        bytes->data[24] = 34 + 1 + 1 + 32;
        g_assert_cmpint(hello_parse(bytes->data, bytes->len, &hello), ==, 0);
}

static void test_refuses_every_byte_that_makes_it_something_else(void) {
        static const struct {
                size_t offset;
                uint8_t value;
        } wrong[] = {
                {0, 23},    {0, 0},   {1, 3},  {2, 1},   {3, 1},    {4, 1},  {11, 0xff},
                {13, 2},    {13, 16}, {16, 1}, {19, 1},  {20, 1},   {21, 1}, {22, 1},
                {23, 0x40}, {24, 0},  {25, 3}, {59, 33}, {60, 255},
        };
        Hello hello;

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_autoptr(GByteArray) bytes = hello_make(0, 8);

                /* 59 and 60 are the lengths of session id and cookie */
                bytes->data[wrong[i].offset] = wrong[i].value;
                g_assert_cmpint(hello_parse(bytes->data, bytes->len, &hello), ==,
                                HELLO_E_NOT_HELLO);
        }
}

static void test_refuses_a_message_longer_than_its_record(void) {
        g_autoptr(GByteArray) bytes = hello_make(0, 32);
        Hello hello;

        bytes->data[16]++;
        bytes->data[24]++;
        g_assert_cmpint(hello_parse(bytes->data, bytes->len, &hello), ==, HELLO_E_NOT_HELLO);
}

static void test_refuses_a_session_id_longer_than_32(void) {
        g_autoptr(GByteArray) bytes = hello_make(33, 8);
        Hello hello;

        g_assert_cmpint(hello_parse(bytes->data, bytes->len, &hello), ==, HELLO_E_NOT_HELLO);
}

/* Each prefix in memory of its exact size, so that ASan sees a read beyond it. */
static void test_refuses_every_prefix(void) {
        g_autoptr(GByteArray) bytes = hello_make(4, 32);
        Hello hello = {.message_seq = 77};

        for (size_t size = 0; size < bytes->len; size++) {
                g_autofree uint8_t *prefix = g_memdup2(bytes->data, size);

                g_assert_cmpint(hello_parse(prefix, size, &hello), ==, HELLO_E_NOT_HELLO);
        }
        g_assert_cmpuint(hello.message_seq, ==, 77); /* untouched */
}

static void test_survives_any_single_byte(void) {
        g_autoptr(GByteArray) bytes = hello_make(4, 32);
        Hello hello;

        for (size_t i = 0; i < bytes->len; i++) {
                g_autofree uint8_t *copy = g_memdup2(bytes->data, bytes->len);

                for (unsigned value = 0; value < 256; value++) {
                        copy[i] = (uint8_t)value;
                        if (hello_parse(copy, bytes->len, &hello) != 0)
                                continue;

                        g_assert_true(hello.cookie >= copy);
                        g_assert_true(hello.cookie + hello.cookie_size <= copy + bytes->len);
                }
        }
}

typedef struct Capture {
        uint8_t bytes[2048];
        size_t size;
} Capture;

static ssize_t capture_push(gnutls_transport_ptr_t pointer, const void *data, size_t size) {
        Capture *capture = pointer;

        g_assert_cmpuint(size, <=, sizeof(capture->bytes));
        if (capture->size == 0) {
                memcpy(capture->bytes, data, size);
                capture->size = size;
        }
        return size;
}

static ssize_t capture_pull(gnutls_transport_ptr_t pointer, void *data, size_t size) {
        errno = EAGAIN;
        return -1;
}

static int capture_pull_timeout(gnutls_transport_ptr_t pointer, unsigned milliseconds) {
        return 0;
}

static void test_reads_what_gnutls_says_first(void) {
        gnutls_session_t gnutls;
        Capture capture = {};
        Hello hello;

        g_assert_cmpint(gnutls_init(&gnutls, GNUTLS_CLIENT | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK), ==,
                        0);
        g_assert_cmpint(gnutls_set_default_priority(gnutls), ==, 0);
        gnutls_transport_set_ptr(gnutls, &capture);
        gnutls_transport_set_push_function(gnutls, capture_push);
        gnutls_transport_set_pull_function(gnutls, capture_pull);
        gnutls_transport_set_pull_timeout_function(gnutls, capture_pull_timeout);
        g_assert_cmpint(gnutls_handshake(gnutls), ==, GNUTLS_E_AGAIN);
        gnutls_deinit(gnutls);

        g_assert_cmpint(hello_parse(capture.bytes, capture.size, &hello), ==, 0);
        g_assert_cmpuint(hello.message_seq, ==, 0);
        g_assert_cmpuint(hello.cookie_size, ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/hello/reads-numbers-and-cookie", test_reads_numbers_and_cookie);
        g_test_add_func("/hello/reads-behind-a-session-id", test_reads_behind_a_session_id);
        g_test_add_func("/hello/takes-both-record-versions", test_takes_both_record_versions);
        g_test_add_func("/hello/takes-a-first-fragment-with-its-cookie",
                        test_takes_a_first_fragment_with_its_cookie);
        g_test_add_func("/hello/refuses-a-fragment-that-ends-before-the-cookie-does",
                        test_refuses_a_fragment_that_ends_before_the_cookie_does);
        g_test_add_func("/hello/refuses-every-byte-that-makes-it-something-else",
                        test_refuses_every_byte_that_makes_it_something_else);
        g_test_add_func("/hello/refuses-a-message-longer-than-its-record",
                        test_refuses_a_message_longer_than_its_record);
        g_test_add_func("/hello/refuses-a-session-id-longer-than-32",
                        test_refuses_a_session_id_longer_than_32);
        g_test_add_func("/hello/refuses-every-prefix-that-ends-before-the-cookie",
                        test_refuses_every_prefix);
        g_test_add_func("/hello/stays-inside-whatever-one-byte-says",
                        test_survives_any_single_byte);
        g_test_add_func("/hello/reads-what-gnutls-says-first", test_reads_what_gnutls_says_first);

        return g_test_run();
}
