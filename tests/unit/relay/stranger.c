/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stranger.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

Stranger *stranger_new(World *world, const Listener *listener, const char *psk) {
        SessionConfigSpec config = {.role = DTLS_CLIENT,
                                    .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                                    .psk = true,
                                    .verify_mode = VERIFY_NONE};
        Address there = listener_facts(listener).local;
        Stranger *stranger = g_new0(Stranger, 1);

        stranger->world = world;
        stranger->psk = psk;
        stranger->fd = world_udp("127.0.0.1", address_port(&there));
        stranger->net = datagram_batch_new(64, 256 * 1024);
        stranger->app = datagram_batch_new(64, 256 * 1024);
        stranger->heard = g_string_new(NULL);
        g_assert_cmpint(session_config_new(&config, &stranger->config), ==, 0);
        return stranger;
}

Stranger *stranger_free(Stranger *stranger) {
        session_free(stranger->session);
        session_config_unref(stranger->config);
        datagram_batch_free(stranger->net);
        datagram_batch_free(stranger->app);
        g_string_free(stranger->heard, TRUE);
        g_clear_pointer(&stranger->last_hello, g_bytes_unref);
        close(stranger->fd);
        g_free(stranger);
        return NULL;
}

static void stranger_note_hello(Stranger *stranger, const Datagram *out) {
        Hello hello;

        if (hello_parse(out->data, out->size, &hello) || hello.cookie_size == 0)
                return;

        g_clear_pointer(&stranger->last_hello, g_bytes_unref);
        stranger->last_hello = g_bytes_new(out->data, out->size);
}

static void stranger_send(Stranger *stranger, const Datagram *out) {
        size_t offset = 0;
        size_t size;

        if (!stranger->apart) {
                (void)send(stranger->fd, out->data, out->size, 0);
                return;
        }

        while (offset + 13 < out->size) {
                size = 13u + ((size_t)out->data[offset + 11] << 8) + out->data[offset + 12];
                (void)send(stranger->fd, out->data + offset, size, 0);
                offset += size;
        }
}

static void stranger_flush(Stranger *stranger) {
        for (size_t i = 0; i < datagram_batch_count(stranger->net); i++) {
                Datagram out = datagram_batch_at(stranger->net, i);

                stranger_note_hello(stranger, &out);
                stranger_send(stranger, &out);
        }
        for (size_t i = 0; i < datagram_batch_count(stranger->app); i++) {
                Datagram plain = datagram_batch_at(stranger->app, i);

                g_string_append_len(stranger->heard, (const char *)plain.data, (gssize)plain.size);
                g_string_append_c(stranger->heard, ' ');
        }

        datagram_batch_reset(stranger->net);
        datagram_batch_reset(stranger->app);
}

void stranger_answer(Stranger *stranger) {
        const SessionQuestion *asked = session_question(stranger->session);
        g_autoptr(GBytes) identity = g_bytes_new("stranger", 8);
        g_autoptr(Secret) key = NULL;

        if (!asked || asked->want != SESSION_WANTS_PSK || !stranger->psk)
                return;

        key = secret_new(stranger->psk, strlen(stranger->psk));
        (void)session_answer_psk(stranger->session, asked->serial, (uint64_t)g_get_monotonic_time(),
                                 identity, key, stranger->net, stranger->app);
        stranger_flush(stranger);
}

void stranger_start(Stranger *stranger) {
        SessionSpec spec = {.config = stranger->config,
                            .retransmit_initial_usec = 200 * 1000,
                            .retransmit_max_usec = 1000 * 1000,
                            .handshake_deadline_usec = 30 * 1000 * 1000,
                            .answer_deadline_usec = 30 * 1000 * 1000};
        uint64_t now_usec = (uint64_t)g_get_monotonic_time();

        stranger->session = session_free(stranger->session);
        g_assert_cmpint(session_new(&spec, now_usec, &stranger->session), ==, 0);
        g_assert_cmpint(session_start(stranger->session, now_usec, stranger->net), ==, 0);
        stranger_flush(stranger);
}

void stranger_step(Stranger *stranger) {
        uint64_t now_usec = (uint64_t)g_get_monotonic_time();
        uint8_t buffer[65536];
        ssize_t n;

        for (;;) {
                n = recv(stranger->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
                if (n < 0)
                        break;
                if (stranger->deaf)
                        continue;

                (void)session_receive(stranger->session, now_usec,
                                      &(Datagram){.data = buffer, .size = (size_t)n}, stranger->net,
                                      stranger->app);
                stranger_answer(stranger);
                stranger_flush(stranger);
        }

        if (session_deadline_usec(stranger->session) <= now_usec) {
                (void)session_expire(stranger->session, now_usec, stranger->net, stranger->app);
                stranger_flush(stranger);
        }
}

bool stranger_is_open(const Stranger *stranger) {
        return session_state(stranger->session) == SESSION_OPEN;
}

void stranger_say(Stranger *stranger, const char *text) {
        g_assert_cmpint(session_send(stranger->session, text, strlen(text), stranger->net), ==, 0);
        stranger_flush(stranger);
}

void stranger_resend_hello(Stranger *stranger) {
        g_assert_nonnull(stranger->last_hello);
        (void)send(stranger->fd, g_bytes_get_data(stranger->last_hello, NULL),
                   g_bytes_get_size(stranger->last_hello), 0);
}
