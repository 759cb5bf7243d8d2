/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What an application writes on a shared channel, at the service: whatever it is, what the
 * application reads are whole frames, what the peer reads was in them, and a connection that
 * is on no channel is not touched.
 *
 * The input are frames: a byte that says whose and how honest, one of the kind, two of the length
 * that the header claims, and as many bytes as that, or as the other nibble of the first says.
 */

#include "fuzz.h"

#include "app.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LIES 0x80   /* the header's length is not that of the bytes that follow */
#define APART 0x40  /* a packet ends before it */
#define NUMBERS 0x3 /* which of them */
#define TURNS_MAX 1000

static App app;
static Connection *client, *bystander, *bystander_server;
static uint32_t number; /* the other end of client, on the channel */
static GByteArray *sent;

static void end_all(void) {
        app_teardown(&app, NULL);
        g_byte_array_unref(sent);
}

static void pair(void) {
        Connection *server;

        app_pair(&app, &client, &server);
        number = connection_facts(server).id;
}

static void begin(void) {
        g_assert_cmpint(session_global_init(), ==, 0);
        log_set_level(LOG_ERR);
        sent = g_byte_array_new();
        app_setup(&app, NULL);
        world_pair(&app.world, &bystander, &bystander_server);
        pair();
        (void)atexit(end_all);
}

static void turns(void) {
        for (int i = 0; sd_event_run(app.world.event, 0) > 0; i++)
                g_assert_cmpint(i, <, TURNS_MAX);

        app_read(&app); /* which looks at each frame */
        g_queue_clear_full(app.frames, g_free);
}

static void flush(void) {
        if (app.packet->len > 0)
                g_assert_cmpint(send(app.fd, app.packet->data, app.packet->len, MSG_NOSIGNAL), ==,
                                (ssize_t)app.packet->len);
        g_byte_array_append(sent, app.packet->data, app.packet->len);
        g_byte_array_set_size(app.packet, 0);
        turns();
}

static size_t put(const uint8_t *next, size_t left) {
        const uint32_t numbers[] = {number, connection_facts(bystander).id, 0, UINT32_MAX};
        uint16_t claimed = (uint16_t)(next[2] << 8 | next[3]);
        uint16_t rest[2] = {next[1], claimed};
        size_t size = MIN(next[0] & LIES ? (size_t)next[0] >> 2 & 0xf : claimed, left - 4);
        uint32_t whose = numbers[next[0] & NUMBERS];

        if (next[0] & APART)
                flush();

        g_byte_array_append(app.packet, (const uint8_t *)&whose, sizeof(whose));
        g_byte_array_append(app.packet, (const uint8_t *)rest, sizeof(rest));
        if (size > 0)
                g_byte_array_append(app.packet, next + 4, (guint)size);
        g_byte_array_set_size(app.packet, (app.packet->len + 7) / 8 * 8);
        return 4 + size;
}

/* What came to the peer lies in what was written, as it came. */
static void check_peer(void) {
        for (;;) {
                g_autoptr(GBytes) plain = connection_take_oldest(client);
                const void *bytes;
                gsize n;

                if (!plain)
                        return;

                bytes = g_bytes_get_data(plain, &n);
                g_assert_true(n > 0 && memmem(sent->data, sent->len, bytes, n));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t at = 0;

        if (!app.fd)
                begin();

        g_byte_array_set_size(sent, 0);
        while (size - at >= 4)
                at += put(data + at, size - at);
        flush();
        turns(); /* the peer's */

        check_peer();
        g_assert_cmpint(connection_facts(bystander).state, ==, HANDSHAKE_COMPLETE);
        g_assert_cmpint(connection_facts(bystander_server).state, ==, HANDSHAKE_COMPLETE);
        if (connection_facts(client).state != HANDSHAKE_COMPLETE) {
                connection_close(client, END_CLOSE);
                pair();
        }
        return 0;
}
