/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A shared channel's packets, written and read by the test in the service's place: how datagrams
 * are collected, what a full fd does, and what becomes of bytes that no service would send.
 */

#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_MAX 65536
#define HEADER_SIZE 8
#define DATAGRAM_MAX 16384

/* ---- helpers ---- */

typedef struct Pair {
        dtlsd_channel *channel;
        int fd; /* the service's end */
} Pair;

static void set_up(Pair *pair, const void *unused) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                        ==, 0);
        g_assert_cmpint(dtlsd_channel_new(fds[0], 7, &pair->channel), ==, 0);
        pair->fd = fds[1];
}

static void tear_down(Pair *pair, const void *unused) {
        pair->channel = dtlsd_channel_unref(pair->channel);
        if (pair->fd >= 0)
                (void)close(pair->fd);
}

static void append(GByteArray *packet, uint32_t connection, uint16_t kind, const void *data,
                   uint16_t size) {
        static const uint8_t zeros[8];

        g_byte_array_append(packet, (const uint8_t *)&connection, sizeof connection);
        g_byte_array_append(packet, (const uint8_t *)&kind, sizeof kind);
        g_byte_array_append(packet, (const uint8_t *)&size, sizeof size);
        g_byte_array_append(packet, data, size);
        g_byte_array_append(packet, zeros, -packet->len % 8);
}

static void append_field(GByteArray *fields, uint16_t type, const void *value, uint16_t size) {
        static const uint8_t zeros[4];

        g_byte_array_append(fields, (const uint8_t *)&type, sizeof type);
        g_byte_array_append(fields, (const uint8_t *)&size, sizeof size);
        g_byte_array_append(fields, value, size);
        g_byte_array_append(fields, zeros, -fields->len % 4);
}

/* Sends it to the library, and empties it. */
static void deliver(const Pair *pair, GByteArray *packet) {
        g_assert_cmpint(send(pair->fd, packet->data, packet->len, 0), ==, packet->len);
        g_byte_array_set_size(packet, 0);
}

/* The next packet that the library has sent; NULL: none. */
static GByteArray *collect(const Pair *pair) {
        GByteArray *packet = g_byte_array_new();
        ssize_t n;

        g_byte_array_set_size(packet, PACKET_MAX);
        n = recv(pair->fd, packet->data, PACKET_MAX, MSG_TRUNC);
        g_assert_cmpint(n, <=, PACKET_MAX);
        if (n > 0) {
                g_byte_array_set_size(packet, (guint)n);
                return packet;
        }

        g_assert_cmpint(errno, ==, EAGAIN);
        (void)g_byte_array_unref(packet);
        return NULL;
}

static void expect_collected(const Pair *pair, GByteArray *packet) {
        g_autoptr(GByteArray) found = collect(pair);

        g_assert_nonnull(found);
        g_assert_cmpmem(found->data, found->len, packet->data, packet->len);
}

static void expect_nothing_collected(const Pair *pair) {
        g_autoptr(GByteArray) found = collect(pair);

        g_assert_null(found);
}

static void must_send(const Pair *pair, uint32_t connection, const char *text) {
        g_assert_cmpint(dtlsd_channel_send(pair->channel, connection, text, strlen(text)), ==, 0);
}

static void expect_frame(const struct dtlsd_frame *frame, uint32_t connection,
                         enum dtlsd_frame_kind kind, const char *text) {
        g_assert_cmpuint(frame->connection, ==, connection);
        g_assert_cmpint(frame->kind, ==, kind);
        g_assert_cmpmem(frame->data, frame->size, text, strlen(text));
}

static void expect_received(const Pair *pair, uint32_t connection, const char *text) {
        struct dtlsd_frame frame;

        g_assert_cmpint(dtlsd_channel_receive(pair->channel, &frame), ==, 0);
        expect_frame(&frame, connection, DTLSD_FRAME_DATA, text);
}

static void expect_no_frame(const Pair *pair, int why) {
        struct dtlsd_frame frame;

        g_assert_cmpint(dtlsd_channel_receive(pair->channel, &frame), ==, why);
}

static void fill(const Pair *pair) {
        uint8_t data[1000] = {0};

        while (dtlsd_channel_send(pair->channel, 1, data, sizeof data) == 0)
                ;
        g_assert_cmpint(dtlsd_channel_send(pair->channel, 1, data, sizeof data), ==, -EAGAIN);
}

static gpointer drain(gpointer userdata) {
        const Pair *pair = userdata;
        GByteArray *packet;

        while ((packet = collect(pair)))
                (void)g_byte_array_unref(packet);
        return NULL;
}

/* ---- out ---- */

static void test_what_is_sent_goes_in_one_packet(Pair *pair, const void *unused) {
        g_autoptr(GByteArray) packet = g_byte_array_new();

        must_send(pair, 1, "12345678");
        must_send(pair, 0xffffffff, "a"); /* padded by zeros, whatever was there before */
        must_send(pair, 2, "two");
        g_assert_cmpint(dtlsd_channel_close_connection(pair->channel, 1), ==, 0);
        expect_nothing_collected(pair);

        g_assert_cmpint(dtlsd_channel_flush(pair->channel), ==, 0);
        append(packet, 1, DTLSD_FRAME_DATA, "12345678", 8);
        append(packet, 0xffffffff, DTLSD_FRAME_DATA, "a", 1);
        append(packet, 2, DTLSD_FRAME_DATA, "two", 3);
        append(packet, 1, DTLSD_FRAME_CLOSED, "", 0);
        expect_collected(pair, packet);

        g_assert_cmpint(dtlsd_channel_flush(pair->channel), ==, 0);
        expect_nothing_collected(pair);
        must_send(pair, 3, "b");
        g_assert_cmpint(dtlsd_channel_flush(pair->channel), ==, 0);
        g_byte_array_set_size(packet, 0);
        append(packet, 3, DTLSD_FRAME_DATA, "b", 1);
        expect_collected(pair, packet);
}

static void test_a_full_packet_goes(Pair *pair, const void *unused) {
        g_autofree uint8_t *data = g_malloc0(DATAGRAM_MAX);
        g_autoptr(GByteArray) packet = g_byte_array_new();

        for (size_t i = 0; i < 4; i++) {
                expect_nothing_collected(pair);
                g_assert_cmpint(dtlsd_channel_send(pair->channel, 1, data, DATAGRAM_MAX), ==, 0);
        }

        for (size_t i = 0; i < 3; i++)
                append(packet, 1, DTLSD_FRAME_DATA, data, DATAGRAM_MAX);
        expect_collected(pair, packet);
        expect_nothing_collected(pair);
}

static void test_a_packet_is_filled_to_the_last_byte(Pair *pair, const void *unused) {
        g_autofree uint8_t *data = g_malloc0(DATAGRAM_MAX);
        g_autoptr(GByteArray) packet = NULL;

        for (size_t i = 0; i < 4; i++)
                g_assert_cmpint(
                        dtlsd_channel_send(pair->channel, 1, data, PACKET_MAX / 4 - HEADER_SIZE),
                        ==, 0);
        expect_nothing_collected(pair);
        must_send(pair, 1, "over");
        packet = collect(pair);
        g_assert_cmpuint(packet->len, ==, PACKET_MAX);
}

static void test_it_goes_when_one_turns_to_what_comes(Pair *pair, const void *unused) {
        g_autoptr(GByteArray) packet = g_byte_array_new();
        struct dtlsd_frame frame;
        size_t n;

        append(packet, 1, DTLSD_FRAME_DATA, "question", 8);
        must_send(pair, 1, "question");
        expect_no_frame(pair, -EAGAIN);
        expect_collected(pair, packet);

        must_send(pair, 1, "question");
        g_assert_cmpint(dtlsd_channel_receive_many(pair->channel, &frame, 1, &n), ==, -EAGAIN);
        expect_collected(pair, packet);

        must_send(pair, 1, "question");
        g_assert_cmpint(dtlsd_channel_wait(pair->channel, POLLIN, 0), ==, -ETIMEDOUT);
        expect_collected(pair, packet);
}

/* Numbered datagrams into an fd that is read now and then only. */
static void test_a_full_fd_loses_and_doubles_nothing(Pair *pair, const void *unused) {
        uint32_t n_sent = 0, n_found = 0;
        unsigned n_full = 0;
        uint8_t data[1000] = {0};

        while (n_sent < 5000 || n_found < n_sent) {
                g_autoptr(GByteArray) packet = NULL;
                int r = 0;

                while (n_sent < 5000 && r == 0) {
                        memcpy(data, &n_sent, sizeof n_sent);
                        r = dtlsd_channel_send(pair->channel, n_sent + 1, data, sizeof data);
                        n_sent += r == 0;
                }
                if (r == 0)
                        r = dtlsd_channel_flush(pair->channel);
                n_full += r < 0;
                g_assert_true(r == 0 || r == -EAGAIN);

                packet = collect(pair);
                for (size_t at = 0; at < packet->len; at += HEADER_SIZE + sizeof data, n_found++) {
                        g_assert_cmpmem(packet->data + at, 4, &(uint32_t){n_found + 1}, 4);
                        g_assert_cmpmem(packet->data + at + HEADER_SIZE, 4, &n_found, 4);
                }
        }

        g_assert_cmpuint(n_found, ==, 5000);
        g_assert_cmpuint(n_full, >, 1);
        expect_nothing_collected(pair);
}

static void test_a_full_fd_is_waited_for(Pair *pair, const void *unused) {
        fill(pair);
        g_assert_cmpint(dtlsd_channel_wait(pair->channel, POLLOUT, 0), ==, -ETIMEDOUT);
        (void)drain(pair);
        g_assert_cmpint(dtlsd_channel_wait(pair->channel, POLLOUT, -1), ==, 0);
        must_send(pair, 1, "there is room again");
        g_assert_cmpint(dtlsd_channel_wait(pair->channel, POLLIN | POLLOUT, -1), ==, 0);
}

static void test_room_ends_the_wait(Pair *pair, const void *unused) {
        for (unsigned i = 0; i < 50; i++) {
                GThread *thread;

                fill(pair);
                thread = g_thread_new("service", drain, pair);
                g_assert_cmpint(dtlsd_channel_wait(pair->channel,
                                                   i % 2 ? POLLOUT : POLLIN | POLLOUT, 10000),
                                ==, 0);
                (void)g_thread_join(thread);
                must_send(pair, 1, "there is room again");
        }
}

static void test_many_go_at_once(Pair *pair, const void *unused) {
        const struct dtlsd_frame frames[] = {
                {1, DTLSD_FRAME_DATA, "one", 3},
                {2, DTLSD_FRAME_DATA, "two", 3},
                {2, DTLSD_FRAME_CLOSED, NULL, 0},
        };
        g_autoptr(GByteArray) packet = g_byte_array_new();
        size_t n = 0;

        g_assert_cmpint(dtlsd_channel_send_many(pair->channel, frames, 3, &n), ==, 0);
        g_assert_cmpuint(n, ==, 3);
        append(packet, 1, DTLSD_FRAME_DATA, "one", 3);
        append(packet, 2, DTLSD_FRAME_DATA, "two", 3);
        append(packet, 2, DTLSD_FRAME_CLOSED, "", 0);
        expect_collected(pair, packet);

        g_assert_cmpint(dtlsd_channel_send_many(pair->channel, NULL, 0, &n), ==, 0);
        g_assert_cmpuint(n, ==, 0);
}

static void test_many_are_taken_as_far_as_they_go(Pair *pair, const void *unused) {
        const struct dtlsd_frame frames[] = {
                {1, DTLSD_FRAME_DATA, "one", 3},
                {1, DTLSD_FRAME_OPENED, "no", 2}, /* is not ours to say */
                {1, DTLSD_FRAME_DATA, "two", 3},
        };
        g_autoptr(GByteArray) packet = g_byte_array_new();
        size_t n = 0;

        g_assert_cmpint(dtlsd_channel_send_many(pair->channel, frames, 3, &n), ==, 0);
        g_assert_cmpuint(n, ==, 1);
        append(packet, 1, DTLSD_FRAME_DATA, "one", 3);
        expect_collected(pair, packet);
        g_assert_cmpint(dtlsd_channel_send_many(pair->channel, frames + 1, 2, &n), ==, -EINVAL);
        g_assert_cmpuint(n, ==, 1);

        fill(pair);
        g_assert_cmpint(dtlsd_channel_send_many(
                                pair->channel,
                                (struct dtlsd_frame[]){{1, DTLSD_FRAME_DATA, frames, 1000}}, 1, &n),
                        ==, -EAGAIN);
}

static void test_what_is_no_datagram_is_refused(Pair *pair, const void *unused) {
        g_autofree uint8_t *data = g_malloc0(DATAGRAM_MAX + 1);

        g_assert_cmpint(dtlsd_channel_send(pair->channel, 1, data, 0), ==, -EINVAL);
        g_assert_cmpint(dtlsd_channel_send(pair->channel, 1, data, DATAGRAM_MAX + 1), ==,
                        -EMSGSIZE);
        g_assert_cmpint(dtlsd_channel_send(pair->channel, 1, data, SIZE_MAX), ==, -EMSGSIZE);
        g_assert_cmpint(dtlsd_channel_flush(pair->channel), ==, 0);
        expect_nothing_collected(pair);
}

/* ---- in ---- */

static void test_frames_come_one_by_one(Pair *pair, const void *unused) {
        g_autoptr(GByteArray) packet = g_byte_array_new();
        struct dtlsd_frame frame;

        expect_no_frame(pair, -EAGAIN);
        append(packet, 1, DTLSD_FRAME_OPENED, "", 0);
        append(packet, 1, DTLSD_FRAME_DATA, "hello", 5);
        deliver(pair, packet);
        append(packet, 2, DTLSD_FRAME_DATA, "12345678", 8);
        append(packet, 1, DTLSD_FRAME_CLOSED, "PeerClosed", 10);
        g_byte_array_set_size(packet, packet->len - 6); /* without the last padding */
        deliver(pair, packet);

        g_assert_cmpint(dtlsd_channel_wait(pair->channel, POLLIN, 0), ==, 0);
        g_assert_cmpint(dtlsd_channel_receive(pair->channel, &frame), ==, 0);
        expect_frame(&frame, 1, DTLSD_FRAME_OPENED, "");
        expect_received(pair, 1, "hello");
        expect_received(pair, 2, "12345678");
        g_assert_cmpint(dtlsd_channel_wait(pair->channel, POLLIN, 0), ==, 0); /* one is left */
        fill(pair);
        g_assert_cmpint(dtlsd_channel_wait(pair->channel, POLLOUT, 0), ==, -ETIMEDOUT);
        (void)drain(pair);
        g_assert_cmpint(dtlsd_channel_receive(pair->channel, &frame), ==, 0);
        expect_frame(&frame, 1, DTLSD_FRAME_CLOSED, "PeerClosed");
        g_assert_cmpint(dtlsd_channel_wait(pair->channel, POLLIN, 0), ==, -ETIMEDOUT);
        expect_no_frame(pair, -EAGAIN);
}

static void test_many_come_at_once(Pair *pair, const void *unused) {
        g_autoptr(GByteArray) packet = g_byte_array_new();
        struct dtlsd_frame frames[8];
        size_t n = 0;

        for (uint32_t i = 1; i <= 5; i++)
                append(packet, i, DTLSD_FRAME_DATA, "datagram", 8);
        deliver(pair, packet);
        append(packet, 6, DTLSD_FRAME_DATA, "datagram", 8);
        deliver(pair, packet);

        g_assert_cmpint(dtlsd_channel_receive_many(pair->channel, frames, 3, &n), ==, 0);
        g_assert_cmpuint(n, ==, 3);
        for (uint32_t i = 0; i < 3; i++)
                expect_frame(&frames[i], i + 1, DTLSD_FRAME_DATA, "datagram");
        g_assert_cmpint(dtlsd_channel_receive_many(pair->channel, frames, 8, &n), ==, 0);
        g_assert_cmpuint(n, ==, 2); /* what lies in one packet */
        expect_frame(&frames[1], 5, DTLSD_FRAME_DATA, "datagram");
        g_assert_cmpint(dtlsd_channel_receive_many(pair->channel, frames, 8, &n), ==, 0);
        g_assert_cmpuint(n, ==, 1);
        expect_frame(&frames[0], 6, DTLSD_FRAME_DATA, "datagram");
        g_assert_cmpint(dtlsd_channel_receive_many(pair->channel, frames, 8, &n), ==, -EAGAIN);
}

/* Answers are laid elsewhere than what they answer. */
static void test_what_came_can_be_sent(Pair *pair, const void *unused) {
        g_autoptr(GByteArray) packet = g_byte_array_new(), same = g_byte_array_new();
        struct dtlsd_frame frames[8];
        size_t n = 0;

        append(packet, 1, DTLSD_FRAME_DATA, "one", 3);
        append(packet, 2, DTLSD_FRAME_DATA, "two", 3);
        g_byte_array_append(same, packet->data, packet->len);
        deliver(pair, packet);
        g_assert_cmpint(dtlsd_channel_receive_many(pair->channel, frames, 8, &n), ==, 0);
        g_assert_cmpint(dtlsd_channel_send_many(pair->channel, frames, n, &n), ==, 0);
        expect_collected(pair, same);
}

static void test_what_later_versions_say_is_passed_over(Pair *pair, const void *unused) {
        g_autoptr(GByteArray) packet = g_byte_array_new();
        struct dtlsd_frame frames[8];
        size_t n = 0;

        append(packet, 1, 6, "what is this", 12);
        append(packet, 1, DTLSD_FRAME_DATA, "", 0);
        append(packet, 1, DTLSD_FRAME_DATA, "known", 5);
        append(packet, 1, 0, "zero", 4);
        append(packet, 1, 0xffff, "end", 3);
        append(packet, 1, DTLSD_FRAME_DATA, "known too", 9);
        append(packet, 1, 7, "", 0);
        deliver(pair, packet);
        g_assert_cmpint(dtlsd_channel_receive_many(pair->channel, frames, 8, &n), ==, 0);
        g_assert_cmpuint(n, ==, 2);
        expect_frame(&frames[0], 1, DTLSD_FRAME_DATA, "known");
        expect_frame(&frames[1], 1, DTLSD_FRAME_DATA, "known too");
        expect_no_frame(pair, -EAGAIN);
}

static void test_frames_that_cannot_be_end_their_packet(Pair *pair, const void *unused) {
        g_autoptr(GByteArray) packet = g_byte_array_new();
        struct dtlsd_frame frames[8];
        size_t n = 0;

        for (unsigned cut = 1; cut < HEADER_SIZE + 5; cut++) {
                append(packet, 1, DTLSD_FRAME_DATA, "good", 4);
                append(packet, 1, DTLSD_FRAME_DATA, "is cut", 6);
                g_byte_array_set_size(packet, 2 * HEADER_SIZE + cut);
                deliver(pair, packet);
                append(packet, 2, DTLSD_FRAME_DATA, "next", 4);
                deliver(pair, packet);

                if (cut % 2) {
                        expect_received(pair, 1, "good");
                } else {
                        g_assert_cmpint(dtlsd_channel_receive_many(pair->channel, frames, 8, &n),
                                        ==, 0);
                        g_assert_cmpuint(n, ==, 1);
                }
                expect_no_frame(pair, -EBADMSG);
                expect_received(pair, 2, "next");
                expect_no_frame(pair, -EAGAIN);
        }
}

static void test_a_packet_that_is_too_long_is_lost(Pair *pair, const void *unused) {
        g_autoptr(GByteArray) packet = g_byte_array_new();
        g_autofree uint8_t *data = g_malloc0(DATAGRAM_MAX);

        for (size_t i = 0; i < 4; i++)
                append(packet, 1, DTLSD_FRAME_DATA, data, DATAGRAM_MAX);
        deliver(pair, packet);
        append(packet, 2, DTLSD_FRAME_DATA, "next", 4);
        deliver(pair, packet);
        expect_no_frame(pair, -EBADMSG);
        expect_received(pair, 2, "next");
}

static void test_the_end_comes_after_what_was_said(Pair *pair, const void *unused) {
        g_autoptr(GByteArray) packet = g_byte_array_new();
        struct dtlsd_frame frame;

        append(packet, 1, DTLSD_FRAME_CLOSED, "Failed", 6);
        deliver(pair, packet);
        (void)close(pair->fd);
        pair->fd = -1;

        must_send(pair, 1, "is not heard");
        g_assert_cmpint(dtlsd_channel_flush(pair->channel), ==, -ECONNRESET);
        g_assert_cmpint(dtlsd_channel_receive(pair->channel, &frame), ==, 0);
        expect_frame(&frame, 1, DTLSD_FRAME_CLOSED, "Failed");
        g_assert_cmpint(dtlsd_channel_wait(pair->channel, POLLIN, -1), ==, 0);
        expect_no_frame(pair, -ECONNRESET);
        expect_no_frame(pair, -ECONNRESET);
}

/* ---- what frames tell ---- */

static int facts_of(enum dtlsd_frame_kind kind, const void *data, size_t size,
                    struct dtlsd_facts *ret) {
        const struct dtlsd_frame frame = {1, kind, data, size};

        return dtlsd_frame_facts(&frame, ret);
}

static GByteArray *all_fields(void) {
        GByteArray *fields = g_byte_array_new();
        uint8_t leaf[32];

        memset(leaf, 0xAB, sizeof leaf);
        append_field(fields, 1, &(uint32_t){17}, 4);
        append_field(fields, 2, "fe80::1%eth0", 12);
        append_field(fields, 3, &(uint16_t){5684}, 2);
        append_field(fields, 4, "::1", 3);
        append_field(fields, 5, &(uint16_t){4433}, 2);
        append_field(fields, 6, &(uint32_t){1363}, 4);
        append_field(fields, 7, "al\0ce", 5);
        append_field(fields, 8, leaf, sizeof leaf);
        append_field(fields, 9, &(uint8_t){1}, 1);
        append_field(fields, 10, &(uint32_t){3}, 4);
        append_field(fields, 11, "coap", 4);
        append_field(fields, 12, "server.example", 14);
        append_field(fields, 99, "of a later version", 18);
        return fields;
}

static void test_opened_tells_who(void) {
        g_autoptr(GByteArray) fields = all_fields();
        struct dtlsd_facts facts;

        g_assert_cmpint(facts_of(DTLSD_FRAME_OPENED, fields->data, fields->len, &facts), ==, 0);
        g_assert_cmpstr(facts.peer_address, ==, "fe80::1%eth0");
        g_assert_cmpuint(facts.peer_port, ==, 5684);
        g_assert_cmpstr(facts.local_address, ==, "::1");
        g_assert_cmpuint(facts.local_port, ==, 4433);
        g_assert_cmpuint(facts.data_mtu, ==, 1363);
        g_assert_cmpmem(facts.psk_identity.data, facts.psk_identity.size, "al\0ce", 5);
        g_assert_cmpuint(facts.leaf_fingerprint[0], ==, 0xAB);
        g_assert_cmpuint(facts.leaf_fingerprint[31], ==, 0xAB);
        g_assert_cmpint(facts.resumed, ==, 1);
        g_assert_cmpuint(facts.listener, ==, 3);
        g_assert_cmpmem(facts.next_protocol.data, facts.next_protocol.size, "coap", 4);
        g_assert_cmpstr(facts.server_name, ==, "server.example");
        g_assert_cmpstr(facts.reason, ==, "");

        g_assert_cmpint(facts_of(DTLSD_FRAME_OPENED, "", 0, &facts), ==, 0);
        g_assert_cmpstr(facts.peer_address, ==, "");
        g_assert_null(facts.psk_identity.data);
        g_assert_null(facts.leaf_fingerprint);
}

static void test_others_tell_what_happened(void) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        struct dtlsd_facts facts;

        append_field(bytes, 6, &(uint32_t){1280}, 4);
        g_assert_cmpint(facts_of(DTLSD_FRAME_CHANGED, bytes->data, bytes->len, &facts), ==, 0);
        g_assert_cmpuint(facts.data_mtu, ==, 1280);

        g_assert_cmpint(facts_of(DTLSD_FRAME_CLOSED, "IdleTimeout", 11, &facts), ==, 0);
        g_assert_cmpstr(facts.reason, ==, "IdleTimeout");
        g_assert_cmpuint(facts.data_mtu, ==, 0);

        g_byte_array_set_size(bytes, 0);
        g_byte_array_append(bytes, (const uint8_t *)&(uint32_t){12}, 4);
        g_byte_array_append(bytes, (const uint8_t *)"SocketFull", 10);
        g_assert_cmpint(facts_of(DTLSD_FRAME_DROPPED, bytes->data, bytes->len, &facts), ==, 0);
        g_assert_cmpstr(facts.reason, ==, "SocketFull");
        g_assert_cmpuint(facts.n_dropped, ==, 12);
}

static void expect_bad_field(uint16_t type, const void *value, uint16_t size) {
        g_autoptr(GByteArray) fields = g_byte_array_new();
        struct dtlsd_facts facts;

        append_field(fields, type, value, size);
        g_assert_cmpint(facts_of(DTLSD_FRAME_OPENED, fields->data, fields->len, &facts), ==,
                        -EBADMSG);
}

static void test_what_cannot_be_told_is_refused(void) {
        g_autoptr(GByteArray) fields = all_fields();
        struct dtlsd_facts facts = {.n_dropped = 4711};
        char text[256];

        memset(text, 'x', sizeof text);
        expect_bad_field(2, text, 64);
        expect_bad_field(2, "127.0\0.1", 8);
        expect_bad_field(3, text, 4);
        expect_bad_field(6, text, 2);
        expect_bad_field(8, text, 31);
        expect_bad_field(9, text, 0);
        expect_bad_field(12, text, 256);
        g_assert_cmpint(facts_of(DTLSD_FRAME_CLOSED, text, 32, &facts), ==, -EBADMSG);
        g_assert_cmpint(facts_of(DTLSD_FRAME_DROPPED, text, 3, &facts), ==, -EBADMSG);
        g_assert_cmpint(facts_of(DTLSD_FRAME_DATA, text, 3, &facts), ==, -EINVAL);
        g_assert_cmpuint(facts.n_dropped, ==, 4711); /* is untouched */

        /* in the last one's value, and anywhere */
        g_assert_cmpint(facts_of(DTLSD_FRAME_OPENED, fields->data, fields->len - 8, &facts), ==,
                        -EBADMSG);
        for (size_t size = 0; size < fields->len; size++) {
                g_autofree uint8_t *cut = g_memdup2(fields->data, size);
                int r = facts_of(DTLSD_FRAME_OPENED, cut, size, &facts);

                g_assert_true(r == 0 || r == -EBADMSG);
        }
}

/* Whatever comes, it is said within its bounds (a sanitizer sees to it), and the next is heard. */
static void test_noise_does_no_harm(Pair *pair, const void *unused) {
        g_autoptr(GRand) dice = g_rand_new_with_seed(4);
        g_autoptr(GByteArray) packet = g_byte_array_new();
        size_t n_frames = 0, n_facts = 0, n_bad = 0;

        for (unsigned i = 0; i < 20000; i++) {
                struct dtlsd_facts facts;
                struct dtlsd_frame frame;
                int r;

                g_byte_array_set_size(packet, (guint)g_rand_int_range(dice, 1, 64));
                for (guint at = 0; at < packet->len; at++)
                        packet->data[at] =
                                (uint8_t)(g_rand_boolean(dice) ? g_rand_int_range(dice, 0, 8)
                                                               : g_rand_int_range(dice, 0, 256));
                for (guint at = 4; at + 4 <= packet->len; at += 8)
                        memcpy(packet->data + at,
                               (uint8_t[]){packet->data[at] % 8, 0, packet->data[at + 2], 0}, 4);
                deliver(pair, packet);
                while ((r = dtlsd_channel_receive(pair->channel, &frame)) == 0) {
                        n_frames++;
                        n_facts += dtlsd_frame_facts(&frame, &facts) == 0;
                }
                n_bad += r == -EBADMSG;
                if (r == -EBADMSG)
                        expect_no_frame(pair, -EAGAIN);
                else
                        g_assert_cmpint(r, ==, -EAGAIN);
        }

        g_assert_cmpuint(n_frames, >, 1000);
        g_assert_cmpuint(n_facts, >, 100);
        g_assert_cmpuint(n_bad, >, 1000);
}

#define ADD(path, function)                                                                        \
        g_test_add("/channel-packets/" path, Pair, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("out/what-is-sent-goes-in-one-packet", test_what_is_sent_goes_in_one_packet);
        ADD("out/a-full-packet-goes", test_a_full_packet_goes);
        ADD("out/a-packet-is-filled-to-the-last-byte", test_a_packet_is_filled_to_the_last_byte);
        ADD("out/it-goes-when-one-turns-to-what-comes", test_it_goes_when_one_turns_to_what_comes);
        ADD("out/a-full-fd-loses-and-doubles-nothing", test_a_full_fd_loses_and_doubles_nothing);
        ADD("out/a-full-fd-is-waited-for", test_a_full_fd_is_waited_for);
        ADD("out/room-ends-the-wait", test_room_ends_the_wait);
        ADD("out/many-go-at-once", test_many_go_at_once);
        ADD("out/many-are-taken-as-far-as-they-go", test_many_are_taken_as_far_as_they_go);
        ADD("out/what-is-no-datagram-is-refused", test_what_is_no_datagram_is_refused);
        ADD("in/frames-come-one-by-one", test_frames_come_one_by_one);
        ADD("in/many-come-at-once", test_many_come_at_once);
        ADD("in/what-came-can-be-sent", test_what_came_can_be_sent);
        ADD("in/what-later-versions-say-is-passed-over",
            test_what_later_versions_say_is_passed_over);
        ADD("in/frames-that-cannot-be-end-their-packet",
            test_frames_that_cannot_be_end_their_packet);
        ADD("in/a-packet-that-is-too-long-is-lost", test_a_packet_that_is_too_long_is_lost);
        ADD("in/the-end-comes-after-what-was-said", test_the_end_comes_after_what_was_said);
        ADD("in/noise-does-no-harm", test_noise_does_no_harm);
        g_test_add_func("/channel-packets/facts/opened-tells-who", test_opened_tells_who);
        g_test_add_func("/channel-packets/facts/others-tell-what-happened",
                        test_others_tell_what_happened);
        g_test_add_func("/channel-packets/facts/what-cannot-be-told-is-refused",
                        test_what_cannot_be_told_is_refused);
        return g_test_run();
}
