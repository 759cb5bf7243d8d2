/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The examples that were ported from QDtls: a client and a server with sockets of their own, with
 * each other and with OpenSSL's. The server for many peers, with as many as fit into a test. And
 * the one that talks over a serial line, two of it joined by pseudo-terminals and a cable that
 * damages what goes over it.
 */

#include "shell.h"
#include "system/stage.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* ---- helpers ---- */

static Program *start_client(const char *port, const char *ca, const char *message) {
        g_autofree char *line = g_strdup_printf(
                "exec qdtls-client 127.0.0.1 %s \"$F/%s\" localhost '%s'", port, ca, message);

        return program_start(line);
}

/* At @port; "0": any. *ret_port: which. */
static Program *start_server(const char *port, char **ret_port) {
        g_autofree char *line = g_strdup_printf("exec qdtls-server 127.0.0.1 %s \"$F/server.crt\" "
                                                "\"$F/server.key\"",
                                                port);
        Program *program = program_start(line);

        *ret_port = program_wait_for_output(program, "^qdtls-server: listening on port ([0-9]+)$");
        return program;
}

static void expect_answer(Program *client, const char *answer) {
        int status = program_wait(client);

        if (status != 0)
                g_error("the client ended with %d: %s", status, program_errors(client));
        g_assert_cmpstr(program_output(client), ==, answer);
}

/* ---- tests ---- */

static void test_the_two_talk(Scene *scene, const void *unused) {
        g_autofree char *port = NULL;
        g_autoptr(Program) server = start_server("0", &port);
        g_autoptr(Program) client = start_client(port, "ca.crt", "good day");

        expect_answer(client, "good day");
        g_free(program_wait_for_output(server, "^qdtls-server: 127\\.0\\.0\\.1 port [0-9]+ is "
                                               "gone: PeerClosed$"));
}

static void test_a_server_tells_its_clients_apart(Scene *scene, const void *unused) {
        g_autofree char *port = NULL;
        g_autoptr(Program) server = start_server("0", &port);
        Program *clients[4];

        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
                g_autofree char *text = g_strdup_printf("client %zu", i);

                clients[i] = start_client(port, "ca.crt", text);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
                g_autofree char *text = g_strdup_printf("client %zu", i);

                expect_answer(clients[i], text);
                (void)program_free(clients[i]);
        }
}

static void test_a_client_talks_to_openssl(Scene *scene, const void *unused) {
        Peer *peer = peer_start((const char *const[]){
                "openssl", "s_server", "-dtls1_2", "-accept", "127.0.0.1:0", "-cert",
                scene_file(scene, "server.crt"), "-key", scene_file(scene, "server.key"), NULL});
        g_autofree char *port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");
        g_autoptr(Program) client = start_client(port, "ca.crt", "hello openssl\n");

        g_free(peer_wait_for(peer, "^hello openssl$"));
        peer_say(peer, "hello yourself\n");
        expect_answer(client, "hello yourself\n");
        (void)peer_stop(peer);
}

static void test_a_server_talks_to_openssl(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *target = NULL;
        g_autoptr(Program) server = start_server("0", &port);
        Peer *peer;

        target = g_strconcat("127.0.0.1:", port, NULL);
        peer = peer_start((const char *const[]){"openssl", "s_client", "-dtls1_2", "-connect",
                                                target, "-CAfile", scene_file(scene, "ca.crt"),
                                                "-verify_return_error", NULL});
        g_free(program_wait_for_output(server, " is there$"));
        peer_say(peer, "say it again\n");
        g_free(peer_wait_for(peer, "^say it again$"));
        peer_say(peer, "Q\n"); /* as s_client has it: close_notify, and the end */
        g_free(program_wait_for_output(server, " is gone: PeerClosed$"));
        (void)peer_stop(peer);
}

static void test_a_client_distrusts(Scene *scene, const void *unused) {
        g_autofree char *port = NULL;
        g_autoptr(Program) server = start_server("0", &port);
        g_autoptr(Program) client = start_client(port, "client.crt", "never said");

        g_assert_cmpint(program_wait(client), ==, 1);
        g_assert_cmpstr(program_output(client), ==, "");
        g_assert_nonnull(strstr(program_errors(client),
                                "the server's certificate: UnableToGetLocalIssuerCertificate\n"));
        g_free(program_wait_for_output(server, " is gone: Failed$"));
}

/* The first hello goes to somebody who says nothing. */
static void test_a_lost_flight_is_sent_again(Scene *scene, const void *unused) {
        g_autoptr(Program) client = NULL, server = NULL;
        g_autofree char *port = NULL, *same = NULL;
        struct pollfd p = {.events = POLLIN};
        uint16_t number;

        p.fd = udp_bind(&number);
        port = g_strdup_printf("%u", number);
        client = start_client(port, "ca.crt", "at last");
        g_assert_cmpint(poll(&p, 1, (int)(SERVICE_LIMIT_USEC / 1000)), ==, 1);
        (void)close(p.fd);
        server = start_server(port, &same);
        expect_answer(client, "at last");
}

/* ---- many peers ---- */

#define N_PEERS 100

static Program *start_crowd_server(char **ret_port) {
        Program *program = program_start("exec crowd-server 127.0.0.1 0 alice '" KEY_TEXT "'");

        *ret_port = program_wait_for_output(program, "^crowd-server: listening on port ([0-9]+)$");
        return program;
}

static void test_a_crowd_is_answered(Scene *scene, const void *unused) {
        static const struct dtlsd_options options = {
                .psk_identity = "alice",
                .psk_identity_size = 5,
                .psk = KEY_TEXT,
                .psk_size = sizeof KEY_TEXT - 1,
        };
        g_autofree char *port = NULL;
        g_autoptr(Program) server = start_crowd_server(&port);
        dtlsd_connection *peers[N_PEERS];

        for (size_t i = 0; i < N_PEERS; i++)
                peers[i] = scene_connect(scene, "127.0.0.1", port, &options);
        g_free(program_wait_for_output(server, "; 100 peers$"));

        for (size_t round = 0; round < 3; round++) {
                for (size_t i = 0; i < N_PEERS; i++) {
                        g_autofree char *text = g_strdup_printf("peer %zu, round %zu", i, round);

                        send_datagram(peers[i], text);
                }
                for (size_t i = 0; i < N_PEERS; i++) {
                        g_autofree char *text = g_strdup_printf("PEER %zu, ROUND %zu", i, round);

                        expect_datagram(peers[i], text);
                }
        }

        for (size_t i = 0; i < N_PEERS; i++)
                (void)dtlsd_connection_unref(peers[i]);
        g_free(program_wait_for_output(server, " has gone: PeerClosed; 0 peers$"));
}

static void test_a_crowd_may_be_openssl(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *target = NULL;
        g_autoptr(Program) server = start_crowd_server(&port);
        Peer *peers[3];

        target = g_strconcat("127.0.0.1:", port, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(peers); i++)
                peers[i] = peer_start((const char *const[]){
                        "openssl", "s_client", "-dtls1_2", "-connect", target, "-psk_identity",
                        "alice", "-psk", KEY_HEX, "-cipher", "PSK-AES128-GCM-SHA256", NULL});
        g_free(program_wait_for_output(server, "; 3 peers$"));
        for (size_t i = 0; i < G_N_ELEMENTS(peers); i++) {
                peer_say(peers[i], "say it louder\n");
                g_free(peer_wait_for(peers[i], "^SAY IT LOUDER$"));
        }
        for (size_t i = 0; i < G_N_ELEMENTS(peers); i++)
                peer_say(peers[i], "Q\n"); /* as s_client has it: close_notify, and the end */
        g_free(program_wait_for_output(server, " has gone: PeerClosed; 0 peers$"));
        for (size_t i = 0; i < G_N_ELEMENTS(peers); i++)
                (void)peer_stop(peers[i]);
}

/* ---- a serial line ---- */

#define NOISE_SIZE 3000     /* longer than any frame */
#define BYTES_PER_FAULT 120 /* a frame of a handshake has about as many */
#define FAULTS_MAX 6        /* each way */

/* One direction of the cable. */
typedef struct Lane {
        int from_fd, to_fd;
        GRand *dice;
        unsigned n_faults;
} Lane;

/* Two terminals, as programs open them, and a thread that carries bytes from one to the other. */
typedef struct Cable {
        char *names[2];
        int fds[2], terminal_fds[2]; /* those of the terminals are open so that it goes on */
        int stop_fds[2];
        Lane lanes[2];
        GThread *thread;
} Cable;

static size_t damage(Lane *lane, uint8_t *bytes, size_t size) {
        size_t n = 0;

        for (size_t i = 0; i < size; i++) {
                uint8_t byte = bytes[i];

                if (lane->n_faults < FAULTS_MAX &&
                    g_rand_int_range(lane->dice, 0, BYTES_PER_FAULT) == 0) {
                        lane->n_faults++;
                        if (g_rand_boolean(lane->dice))
                                continue;
                        byte ^= (uint8_t)(1 << g_rand_int_range(lane->dice, 0, 8));
                }
                bytes[n++] = byte;
        }
        return n;
}

static void cable_carry(Lane *lane) {
        uint8_t buffer[512];
        ssize_t n;
        size_t left;

        n = read(lane->from_fd, buffer, sizeof buffer);
        g_assert_cmpint(n, >, 0);
        left = damage(lane, buffer, (size_t)n);
        g_assert_cmpint(write(lane->to_fd, buffer, left), ==, (ssize_t)left);
}

static gpointer cable_run(gpointer userdata) {
        Cable *cable = userdata;
        struct pollfd polls[] = {{.fd = cable->fds[0], .events = POLLIN},
                                 {.fd = cable->fds[1], .events = POLLIN},
                                 {.fd = cable->stop_fds[0], .events = POLLIN}};

        while (poll(polls, 3, -1) >= 0 && !polls[2].revents)
                for (size_t i = 0; i < G_N_ELEMENTS(cable->lanes); i++)
                        if (polls[i].revents)
                                cable_carry(&cable->lanes[i]);
        return NULL;
}

static bool open_terminal(Cable *cable, size_t i) {
        struct termios settings;

        cable->fds[i] = terminal_open();
        if (cable->fds[i] < 0)
                return false;

        cable->names[i] = g_strdup(ptsname(cable->fds[i]));
        cable->terminal_fds[i] = open(cable->names[i], O_RDWR | O_NOCTTY | O_CLOEXEC);
        g_assert_cmpint(tcgetattr(cable->terminal_fds[i], &settings), ==, 0);
        cfmakeraw(&settings);
        g_assert_cmpint(tcsetattr(cable->terminal_fds[i], TCSANOW, &settings), ==, 0);
        return true;
}

/* False: the test is skipped. */
static bool cable_new(Cable *cable) {
        if (!open_terminal(cable, 0) || !open_terminal(cable, 1))
                return false;

        for (size_t i = 0; i < 2; i++)
                cable->lanes[i] = (Lane){cable->fds[i], cable->fds[1 - i],
                                         g_rand_new_with_seed((guint32)i + 1), 0};
        g_assert_cmpint(pipe(cable->stop_fds), ==, 0);
        cable->thread = g_thread_new("cable", cable_run, cable);
        return true;
}

static void cable_free(Cable *cable) {
        g_assert_cmpint(write(cable->stop_fds[1], "", 1), ==, 1);
        (void)g_thread_join(cable->thread);
        for (size_t i = 0; i < 2; i++) {
                (void)close(cable->fds[i]);
                (void)close(cable->terminal_fds[i]);
                (void)close(cable->stop_fds[i]);
                g_free(cable->names[i]);
                g_rand_free(cable->lanes[i].dice);
        }
}

static void make_noise(const Cable *cable, size_t i) {
        uint8_t noise[NOISE_SIZE];

        for (size_t n = 0; n < sizeof noise; n++)
                noise[n] = (uint8_t)(n % 0xC0); /* no end of a frame in it */
        g_assert_cmpint(write(cable->fds[i], noise, sizeof noise), ==, (ssize_t)sizeof noise);
}

static Program *start_at_line(const char *terminal, const char *message) {
        g_autofree char *line =
                g_strdup_printf("exec serial-line %s sensor 'a key of both' %s", terminal, message);

        return program_start(line);
}

static void test_a_bad_line_carries_it(Scene *scene, const void *unused) {
        g_autoptr(Program) server = NULL, client = NULL;
        Cable cable = {0};

        if (!cable_new(&cable))
                return;

        server = start_at_line(cable.names[0], "");
        make_noise(&cable, 0);
        client = start_at_line(cable.names[1], "'over a bad line'");

        expect_answer(client, "OVER A BAD LINE");
        g_assert_cmpint(program_wait(server), ==, 0);
        cable_free(&cable);
        g_assert_cmpuint(cable.lanes[0].n_faults, >, 2);
        g_assert_cmpuint(cable.lanes[1].n_faults, >, 2);
}

#define ADD(path, function)                                                                        \
        g_test_add("/examples/" path, Scene, NULL, shell_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        shell_init("DTLSD_EXAMPLES");
        ADD("qdtls/client-and-server-talk", test_the_two_talk);
        ADD("qdtls/a-server-tells-its-clients-apart", test_a_server_tells_its_clients_apart);
        ADD("qdtls/a-client-talks-to-openssl", test_a_client_talks_to_openssl);
        ADD("qdtls/a-server-talks-to-openssl", test_a_server_talks_to_openssl);
        ADD("qdtls/a-client-distrusts", test_a_client_distrusts);
        ADD("qdtls/a-lost-flight-is-sent-again", test_a_lost_flight_is_sent_again);
        ADD("crowd/is-answered", test_a_crowd_is_answered);
        ADD("crowd/may-be-openssl", test_a_crowd_may_be_openssl);
        ADD("serial-line/a-bad-line-carries-it", test_a_bad_line_carries_it);
        return g_test_run();
}
