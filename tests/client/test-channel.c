/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Shared channels of the client library, against the real service: many connections of a client,
 * and a server's peers that nobody announces.
 */

#include "interop/scene.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#define N_PEERS 200

static const struct dtlsd_options psk_options = {
        .psk_identity = "alice",
        .psk_identity_size = 5,
        .psk = KEY_TEXT,
        .psk_size = 16,
};

/* ---- helpers ---- */

/* A program of its own: its name on the bus, and its channel. */
typedef struct End {
        sd_bus *bus;
        dtlsd_channel *channel;
} End;

static End end_open(const Scene *scene) {
        End end = {.bus = service_bus(scene->service, UID_ALICE)};
        sd_bus_error error = SD_BUS_ERROR_NULL;

        if (dtlsd_channel_open(end.bus, &end.channel, &error) < 0)
                g_error("open: %s: %s", error.name, error.message);
        return end;
}

static void end_close(End *end) {
        end->channel = dtlsd_channel_unref(end->channel);
        end->bus = bus_leave(end->bus);
}

static dtlsd_listener *end_listen(const End *end, struct dtlsd_options options) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener = NULL;

        options.channel = end->channel;
        if (dtlsd_listen(end->bus, "127.0.0.1", 0, &options, &listener, &error) < 0)
                g_error("listen: %s: %s", error.name, error.message);
        return listener;
}

/* Its handshake has begun. */
static uint32_t end_connect(const End *end, uint16_t port, struct dtlsd_options options) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection = NULL;
        uint32_t number;

        options.channel = end->channel;
        if (dtlsd_connection_create(end->bus, "127.0.0.1", port, &options, &connection, &error) <
                    0 ||
            dtlsd_connection_do_handshake(connection, &error) < 0)
                g_error("connect: %s: %s", error.name, error.message);

        number = dtlsd_connection_number(connection);
        g_assert_cmpuint(number, >, 0);
        g_assert_cmpint(dtlsd_connection_fd(connection), ==, -1);
        (void)dtlsd_connection_unref(connection); /* it goes on: the channel holds it */
        return number;
}

/* Waits, with a limit, for the next frame. */
static struct dtlsd_frame next_frame(const End *end) {
        struct dtlsd_frame frame;
        int r;

        while ((r = dtlsd_channel_receive(end->channel, &frame)) == -EAGAIN)
                g_assert_cmpint(
                        dtlsd_channel_wait(end->channel, POLLIN, (int)(SERVICE_LIMIT_USEC / 1000)),
                        ==, 0);
        g_assert_cmpint(r, ==, 0);
        return frame;
}

static struct dtlsd_facts expect_told(const End *end, enum dtlsd_frame_kind kind,
                                      uint32_t *ret_number) {
        struct dtlsd_frame frame = next_frame(end);
        struct dtlsd_facts facts;

        g_assert_cmpint(frame.kind, ==, kind);
        g_assert_cmpint(dtlsd_frame_facts(&frame, &facts), ==, 0);
        *ret_number = frame.connection;
        return facts;
}

static uint32_t expect_opened(const End *end) {
        uint32_t number;

        (void)expect_told(end, DTLSD_FRAME_OPENED, &number);
        return number;
}

static void expect_closed(const End *end, uint32_t number, const char *reason) {
        uint32_t found;
        struct dtlsd_facts facts = expect_told(end, DTLSD_FRAME_CLOSED, &found);

        g_assert_cmpuint(found, ==, number);
        g_assert_cmpstr(facts.reason, ==, reason);
}

static void expect_dropped(const End *end, uint32_t number, uint32_t n, const char *reason) {
        uint32_t found;
        struct dtlsd_facts facts = expect_told(end, DTLSD_FRAME_DROPPED, &found);

        g_assert_cmpuint(found, ==, number);
        g_assert_cmpuint(facts.n_dropped, ==, n);
        g_assert_cmpstr(facts.reason, ==, reason);
}

static void expect_data(const End *end, uint32_t number, const char *text) {
        struct dtlsd_frame frame = next_frame(end);

        g_assert_cmpint(frame.kind, ==, DTLSD_FRAME_DATA);
        g_assert_cmpuint(frame.connection, ==, number);
        g_assert_cmpmem(frame.data, frame.size, text, strlen(text));
}

static void say(const End *end, uint32_t number, const char *text) {
        g_assert_cmpint(dtlsd_channel_send(end->channel, number, text, strlen(text)), ==, 0);
}

static void say_now(const End *end, uint32_t number, const char *text) {
        say(end, number, text);
        g_assert_cmpint(dtlsd_channel_flush(end->channel), ==, 0);
}

/* ---- a client with several connections ---- */

static void test_two_connections_share_a_channel(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *servers[2];
        End client = end_open(scene);
        uint32_t numbers[2];

        g_assert_cmpuint(dtlsd_channel_id(client.channel), >, 0);
        for (size_t i = 0; i < 2; i++) {
                numbers[i] = end_connect(&client, dtlsd_listener_port(listener), psk_options);
                servers[i] = scene_accept(listener);
                g_assert_cmpuint(expect_opened(&client), ==, numbers[i]);
        }

        say(&client, numbers[1], "to the second");
        say(&client, numbers[0], "to the first");
        say_now(&client, numbers[1], "and again");
        expect_datagram(servers[0], "to the first");
        expect_datagram(servers[1], "to the second");
        expect_datagram(servers[1], "and again");
        send_datagram(servers[0], "from the first");
        expect_data(&client, numbers[0], "from the first");
        send_datagram(servers[1], "from the second");
        expect_data(&client, numbers[1], "from the second");

        g_assert_cmpint(dtlsd_channel_close_connection(client.channel, numbers[0]), ==, 0);
        expect_closed(&client, numbers[0], "Close");
        expect_over(servers[0]);
        say_now(&client, numbers[1], "goes on");
        expect_datagram(servers[1], "goes on");

        end_close(&client);
        expect_over(servers[1]);
        for (size_t i = 0; i < 2; i++)
                (void)dtlsd_connection_unref(servers[i]);
        (void)dtlsd_listener_unref(listener);
}

static void test_what_was_said_before_a_close_arrives(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        End client = end_open(scene);
        dtlsd_connection *server;
        uint32_t number;

        number = end_connect(&client, dtlsd_listener_port(listener), psk_options);
        server = scene_accept(listener);
        g_assert_cmpuint(expect_opened(&client), ==, number);
        say(&client, number, "the last word");
        g_assert_cmpint(dtlsd_channel_close_connection(client.channel, number), ==, 0);
        expect_closed(&client, number, "Close");
        expect_datagram(server, "the last word");
        expect_over(server);

        (void)dtlsd_connection_unref(server);
        (void)dtlsd_listener_unref(listener);
        end_close(&client);
}

static void test_what_cannot_be_sent_is_told(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        g_autofree uint8_t *data = g_malloc0(16384);
        End client = end_open(scene), other = end_open(scene);
        dtlsd_connection *server;
        uint32_t number;

        number = end_connect(&client, dtlsd_listener_port(listener), psk_options);
        server = scene_accept(listener);
        g_assert_cmpuint(expect_opened(&client), ==, number);

        g_assert_cmpint(dtlsd_channel_send(client.channel, number, data, 16384), ==, 0);
        say_now(&client, number, "short enough");
        expect_dropped(&client, number, 1, "TooLong");
        say(&client, number + 1000, "to nobody");
        say_now(&client, number + 1000, "to nobody again");
        expect_dropped(&client, number + 1000, 2, "NotOpen");
        say_now(&other, number, "of another channel");
        expect_dropped(&other, number, 1, "NotOpen");
        expect_datagram(server, "short enough");
        send_datagram(server, "nothing else came");
        expect_data(&client, number, "nothing else came");

        (void)dtlsd_connection_unref(server);
        (void)dtlsd_listener_unref(listener);
        end_close(&client);
        end_close(&other);
}

static void test_connect_has_a_channel_of_its_own(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        struct dtlsd_options options = psk_options;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection = NULL;
        End client = end_open(scene);

        options.channel = client.channel;
        g_assert_cmpint(dtlsd_connect(client.bus, "127.0.0.1", dtlsd_listener_port(listener),
                                      &options, &connection, &error),
                        ==, -EIO);
        g_assert_cmpstr(error.name, ==, DTLSD_ERROR("InvalidInputParameters"));
        g_assert_nonnull(strstr(error.message, "Channel"));
        sd_bus_error_free(&error);
        g_assert_null(connection);

        (void)dtlsd_listener_unref(listener);
        end_close(&client);
}

/* ---- a server ---- */

static int count_announcement(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *path;

        g_assert_cmpint(sd_bus_message_read(m, "o", &path), >=, 0);
        *(unsigned *)userdata += g_str_has_prefix(path, ROOT "/connection/");
        return 0;
}

static void watch_announcements(sd_bus *bus, unsigned *n) {
        g_assert_cmpint(sd_bus_match_signal(bus, NULL, NAME, NULL,
                                            "org.freedesktop.DBus.ObjectManager", NULL,
                                            count_announcement, n),
                        >=, 0);
        g_assert_cmpint(sd_bus_match_signal(bus, NULL, NAME, NULL, LISTENER, "NewConnection",
                                            count_announcement, n),
                        >=, 0);
}

static void process_all(sd_bus *bus) {
        while (sd_bus_process(bus, NULL) > 0)
                ;
}

/* Answers everything until so many datagrams have come; returns how many opened meanwhile. */
static unsigned answer(const End *server, const dtlsd_listener *listener, unsigned n_wanted) {
        struct dtlsd_frame frames[64];
        unsigned n_opened = 0, n_answered = 0;

        while (n_answered < n_wanted) {
                size_t n = 0, n_sent = 0, n_data = 0;
                int r = dtlsd_channel_receive_many(server->channel, frames, 64, &n);

                if (r == -EAGAIN)
                        r = dtlsd_channel_wait(server->channel, POLLIN,
                                               (int)(SERVICE_LIMIT_USEC / 1000));
                g_assert_cmpint(r, ==, 0);
                for (size_t i = 0; i < n; i++) {
                        struct dtlsd_facts facts;

                        if (frames[i].kind == DTLSD_FRAME_DATA) {
                                frames[n_data++] = frames[i];
                                continue;
                        }
                        g_assert_cmpint(frames[i].kind, ==, DTLSD_FRAME_OPENED);
                        g_assert_cmpint(dtlsd_frame_facts(&frames[i], &facts), ==, 0);
                        g_assert_cmpstr(facts.peer_address, ==, "127.0.0.1");
                        g_assert_cmpuint(facts.local_port, ==, dtlsd_listener_port(listener));
                        g_assert_cmpuint(facts.listener, ==, dtlsd_listener_number(listener));
                        g_assert_cmpmem(facts.psk_identity.data, facts.psk_identity.size, "alice",
                                        5);
                        n_opened++;
                }
                g_assert_cmpint(dtlsd_channel_send_many(server->channel, frames, n_data, &n_sent),
                                ==, 0);
                g_assert_cmpuint(n_sent, ==, n_data);
                n_answered += (unsigned)n_data;
        }

        g_assert_cmpint(dtlsd_channel_flush(server->channel), ==, 0);
        return n_opened;
}

/* All of them on one channel of their own, too. */
static void test_200_peers_are_answered(Scene *scene, const void *unused) {
        End server = end_open(scene), client = end_open(scene);
        dtlsd_listener *listener = end_listen(&server, psk_options);
        g_autoptr(GHashTable) numbers = g_hash_table_new(NULL, NULL);
        unsigned n_announced = 0, n_opened = 0;

        watch_announcements(server.bus, &n_announced);
        for (unsigned i = 0; i < N_PEERS; i++) {
                uint32_t number = end_connect(&client, dtlsd_listener_port(listener), psk_options);

                g_assert_cmpuint(expect_opened(&client), ==, number);
                g_assert_true(g_hash_table_add(numbers, GUINT_TO_POINTER(number)));
        }

        for (unsigned round = 0; round < 3; round++) {
                g_autoptr(GHashTable) answers = g_hash_table_new(NULL, NULL);
                GHashTableIter iter;
                gpointer number;

                g_hash_table_iter_init(&iter, numbers);
                while (g_hash_table_iter_next(&iter, &number, NULL)) {
                        g_autofree char *text =
                                g_strdup_printf("%u of %u", round, GPOINTER_TO_UINT(number));

                        say(&client, GPOINTER_TO_UINT(number), text);
                }
                g_assert_cmpint(dtlsd_channel_flush(client.channel), ==, 0);
                n_opened += answer(&server, listener, N_PEERS);
                for (unsigned i = 0; i < N_PEERS; i++) {
                        struct dtlsd_frame frame = next_frame(&client);
                        g_autofree char *text =
                                g_strdup_printf("%u of %u", round, frame.connection);

                        g_assert_cmpint(frame.kind, ==, DTLSD_FRAME_DATA);
                        g_assert_cmpmem(frame.data, frame.size, text, strlen(text));
                        g_assert_true(
                                g_hash_table_add(answers, GUINT_TO_POINTER(frame.connection)));
                }
        }

        g_assert_cmpuint(n_opened, ==, N_PEERS);
        g_free(get_string(server.bus, dtlsd_listener_path(listener), LISTENER, "LocalAddress"));
        process_all(server.bus);
        g_assert_cmpuint(n_announced, ==, 0);
        (void)dtlsd_listener_unref(listener);
        end_close(&client);
        end_close(&server);
}

static void test_announced_ones_are_on_it_too(Scene *scene, const void *unused) {
        End server = end_open(scene), client = end_open(scene);
        struct dtlsd_options options = psk_options;
        dtlsd_listener *listener;
        unsigned n_announced = 0;
        uint32_t number;

        watch_announcements(server.bus, &n_announced);
        options.announce = 1;
        listener = end_listen(&server, options);
        number = end_connect(&client, dtlsd_listener_port(listener), psk_options);
        g_assert_cmpuint(expect_opened(&client), ==, number);
        number = expect_opened(&server);
        g_free(get_string(server.bus, dtlsd_listener_path(listener), LISTENER, "LocalAddress"));
        process_all(server.bus);
        g_assert_cmpuint(n_announced, >=, 1);

        (void)dtlsd_listener_unref(listener);
        end_close(&client);
        expect_closed(&server, number, "PeerClosed");
        end_close(&server);
}

static void test_opened_tells_who_it_is(Scene *scene, const void *unused) {
        const char *chain[] = {scene_file(scene, "server.crt"), NULL};
        const char *client_chain[] = {scene_file(scene, "client.crt"), NULL};
        const char *cas[] = {scene_file(scene, "ca.crt"), NULL};
        const char *protocols[] = {"coap", NULL};
        const struct dtlsd_options server_options = {
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, "server.key"),
                .ca_files = cas,
                .next_protocols = protocols,
        };
        const struct dtlsd_options client_options = {
                .certificate_chain_files = client_chain,
                .private_key_file = scene_file(scene, "client.key"),
                .ca_files = cas,
                .verification_name = "localhost",
                .next_protocols = protocols,
        };
        End server = end_open(scene), client = end_open(scene);
        dtlsd_listener *listener = end_listen(&server, server_options);
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        struct dtlsd_bytes *certificates = NULL;
        struct dtlsd_facts facts;
        dtlsd_connection *connection;
        uint32_t numbers[2];
        g_autofree char *path = NULL;
        uint8_t sum[32];
        size_t n = sizeof sum;

        numbers[0] = end_connect(&client, dtlsd_listener_port(listener), client_options);
        g_assert_cmpuint(expect_opened(&client), ==, numbers[0]);
        facts = expect_told(&server, DTLSD_FRAME_OPENED, &numbers[1]);

        g_assert_cmpuint(facts.peer_port, >, 0);
        g_assert_cmpstr(facts.local_address, ==, "127.0.0.1");
        g_assert_cmpuint(facts.data_mtu, >, 1000);
        g_assert_cmpuint(facts.psk_identity.size, ==, 0);
        g_assert_cmpmem(facts.next_protocol.data, facts.next_protocol.size, "coap", 4);
        g_assert_cmpint(facts.resumed, ==, 0);

        /* and its object has the rest, by its number */
        path = g_strdup_printf(ROOT "/connection/%u", numbers[1]);
        g_assert_cmpint(dtlsd_connection_at(server.bus, path, &connection), ==, 0);
        g_assert_cmpint(dtlsd_connection_peer_chain(connection, &certificates, &n, NULL), ==, 0);
        g_checksum_update(checksum, certificates[0].data, (gssize)certificates[0].size);
        n = sizeof sum;
        g_checksum_get_digest(checksum, sum, &n);
        g_assert_cmpmem(facts.leaf_fingerprint, 32, sum, n);

        free(certificates);
        (void)dtlsd_connection_unref(connection);
        (void)dtlsd_listener_unref(listener);
        end_close(&client);
        end_close(&server);
}

/* ---- a reader that does not read, and a service that does not ---- */

/* A server on a channel with one client on another. */
typedef struct Couple {
        End server, client;
        dtlsd_listener *listener;
        uint32_t at_server, at_client;
} Couple;

static Couple couple_new(const Scene *scene) {
        Couple couple = {.server = end_open(scene), .client = end_open(scene)};

        couple.listener = end_listen(&couple.server, psk_options);
        couple.at_client =
                end_connect(&couple.client, dtlsd_listener_port(couple.listener), psk_options);
        g_assert_cmpuint(expect_opened(&couple.client), ==, couple.at_client);
        couple.at_server = expect_opened(&couple.server);
        return couple;
}

static void couple_end(Couple *couple) {
        (void)dtlsd_listener_unref(couple->listener);
        end_close(&couple->client);
        end_close(&couple->server);
}

/* Takes the next numbered datagram, which has to be a later one; adds up what was dropped. False:
 * it was none. */
static bool take_numbered(const Couple *couple, uint32_t *last, uint32_t *n_dropped) {
        struct dtlsd_frame frame = next_frame(&couple->server);
        struct dtlsd_facts facts;
        uint32_t number;

        g_assert_cmpuint(frame.connection, ==, couple->at_server);
        if (frame.kind == DTLSD_FRAME_DROPPED) {
                g_assert_cmpint(dtlsd_frame_facts(&frame, &facts), ==, 0);
                g_assert_cmpstr(facts.reason, ==, "ChannelFull");
                *n_dropped += facts.n_dropped;
                return false;
        }

        g_assert_cmpint(frame.kind, ==, DTLSD_FRAME_DATA);
        g_assert_cmpuint(frame.size, ==, 1000);
        memcpy(&number, frame.data, sizeof number);
        g_assert_cmpuint(number, >, *last);
        *last = number;
        return true;
}

static int send_numbered(const Couple *couple, uint32_t number) {
        uint8_t data[1000] = {0};

        memcpy(data, &number, sizeof number);
        return dtlsd_channel_send(couple->client.channel, couple->at_client, data, sizeof data);
}

/* The service is stopped, so that the channel fills up. Then all of it arrives, once. */
static void test_a_full_channel_loses_and_doubles_nothing(Scene *scene, const void *unused) {
        Couple couple = couple_new(scene);
        uint32_t n_sent = 0, n_dropped = 0, last = 0;
        int r;

        g_assert_cmpint(kill(service_pid(scene->service), SIGSTOP), ==, 0);
        while ((r = send_numbered(&couple, n_sent + 1)) == 0)
                n_sent++;
        g_assert_cmpint(r, ==, -EAGAIN);
        g_assert_cmpuint(n_sent, >, 100);
        g_assert_cmpint(send_numbered(&couple, n_sent + 1), ==, -EAGAIN);
        g_assert_cmpint(kill(service_pid(scene->service), SIGCONT), ==, 0);

        g_assert_cmpint(dtlsd_channel_wait(couple.client.channel, POLLOUT,
                                           (int)(SERVICE_LIMIT_USEC / 1000)),
                        ==, 0);
        for (uint32_t i = 1; i <= n_sent; i++) {
                g_assert_true(take_numbered(&couple, &last, &n_dropped));
                g_assert_cmpuint(last, ==, i);
        }

        g_assert_cmpint(send_numbered(&couple, n_sent + 1), ==, 0);
        g_assert_cmpint(dtlsd_channel_flush(couple.client.channel), ==, 0);
        g_assert_true(take_numbered(&couple, &last, &n_dropped));
        g_assert_cmpuint(last, ==, n_sent + 1);
        couple_end(&couple);
}

static void test_who_does_not_read_is_told_what_it_lost(Scene *scene, const void *unused) {
        Couple couple = couple_new(scene);
        uint32_t n_read = 0, n_dropped = 0, last = 0;
        const uint32_t n_sent = 2000;

        for (uint32_t i = 1; i <= n_sent; i++) {
                int r;

                while ((r = send_numbered(&couple, i)) == -EAGAIN)
                        g_assert_cmpint(dtlsd_channel_wait(couple.client.channel, POLLOUT,
                                                           (int)(SERVICE_LIMIT_USEC / 1000)),
                                        ==, 0);
                g_assert_cmpint(r, ==, 0);
                /* one packet at a time, so that no socket on the way is what overflows */
                if (i % 50 == 0)
                        g_free(get_string(couple.client.bus, dtlsd_listener_path(couple.listener),
                                          LISTENER, "LocalAddress"));
        }
        while (dtlsd_channel_flush(couple.client.channel) == -EAGAIN)
                g_assert_cmpint(dtlsd_channel_wait(couple.client.channel, POLLOUT,
                                                   (int)(SERVICE_LIMIT_USEC / 1000)),
                                ==, 0);

        while (n_read + n_dropped < n_sent)
                n_read += take_numbered(&couple, &last, &n_dropped);
        g_assert_cmpuint(n_read + n_dropped, ==, n_sent);
        g_assert_cmpuint(n_dropped, >, 100);
        g_assert_cmpuint(n_read, >, 100);
        couple_end(&couple);
}

static void test_a_server_closes_a_peer(Scene *scene, const void *unused) {
        Couple couple = couple_new(scene);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        uint32_t number;

        number = end_connect(&couple.client, dtlsd_listener_port(couple.listener), psk_options);
        g_assert_cmpuint(expect_opened(&couple.client), ==, number);
        (void)expect_opened(&couple.server);

        say(&couple.server, couple.at_server, "good bye");
        g_assert_cmpint(dtlsd_channel_close_connection(couple.server.channel, couple.at_server), ==,
                        0);
        expect_closed(&couple.server, couple.at_server, "Close");
        say_now(&couple.server, couple.at_server, "is said too late");
        expect_dropped(&couple.server, couple.at_server, 1, "NotOpen");
        expect_data(&couple.client, couple.at_client, "good bye");
        expect_closed(&couple.client, couple.at_client, "PeerClosed");

        g_assert_cmpint(dtlsd_listener_open_accept_queue(couple.listener, &error), ==, -EIO);
        g_assert_cmpstr(error.name, ==, DTLSD_ERROR("ChannelInUse"));
        sd_bus_error_free(&error);
        g_assert_cmpint(dtlsd_listener_close(couple.listener, NULL), ==, 0);
        expect_closed(&couple.client, number, "PeerClosed");
        couple_end(&couple);
}

static void test_the_end_comes_with_the_name(Scene *scene, const void *unused) {
        Couple couple = couple_new(scene);
        struct dtlsd_frame frame;
        int r;

        couple.server.bus = bus_leave(couple.server.bus);
        expect_closed(&couple.client, couple.at_client, "PeerClosed");
        expect_closed(&couple.server, couple.at_server, "OwnerGone");
        while ((r = dtlsd_channel_receive(couple.server.channel, &frame)) == -EAGAIN)
                g_assert_cmpint(dtlsd_channel_wait(couple.server.channel, POLLIN,
                                                   (int)(SERVICE_LIMIT_USEC / 1000)),
                                ==, 0);
        g_assert_cmpint(r, ==, -ECONNRESET);
        (void)dtlsd_channel_unref(couple.server.channel);
        couple.server.channel = NULL;
        (void)dtlsd_listener_unref(couple.listener);
        end_close(&couple.client);
}

#define ADD(path, function)                                                                        \
        g_test_add("/channel/" path, Scene, NULL, scene_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("client/two-connections-share-one", test_two_connections_share_a_channel);
        ADD("client/what-was-said-before-a-close-arrives",
            test_what_was_said_before_a_close_arrives);
        ADD("client/what-cannot-be-sent-is-told", test_what_cannot_be_sent_is_told);
        ADD("client/connect-has-one-of-its-own", test_connect_has_a_channel_of_its_own);
        ADD("server/200-peers-are-answered", test_200_peers_are_answered);
        ADD("server/announced-ones-are-on-it-too", test_announced_ones_are_on_it_too);
        ADD("server/opened-tells-who-it-is", test_opened_tells_who_it_is);
        ADD("full/loses-and-doubles-nothing", test_a_full_channel_loses_and_doubles_nothing);
        ADD("full/who-does-not-read-is-told-what-it-lost",
            test_who_does_not_read_is_told_what_it_lost);
        ADD("end/a-server-closes-a-peer", test_a_server_closes_a_peer);
        ADD("end/comes-with-the-name", test_the_end_comes_with_the_name);
        return g_test_run();
}
