/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The examples that were ported from QDtls: a client and a server with sockets of their own, with
 * each other and with OpenSSL's.
 */

#include "interop/scene.h"
#include "program.h"
#include "system/stage.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

/* ---- helpers ---- */

static void set_up(Scene *scene, const void *unused) {
        g_autofree char *address = NULL;

        scene_set_up(scene, NULL);
        address = g_strdup_printf("unix:path=%s/bus", service_directory(scene->service));
        g_assert_true(g_setenv("DBUS_SYSTEM_BUS_ADDRESS", address, TRUE));
        g_assert_true(g_setenv("F", scene->directory, TRUE)); /* "$F/ca.crt" in the lines below */
}

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

#define ADD(path, function)                                                                        \
        g_test_add("/examples/" path, Scene, NULL, set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_autofree char *path =
                g_strconcat(g_getenv("DTLSD_EXAMPLES"), ":", g_getenv("PATH"), NULL);

        g_test_init(&argc, &argv, NULL);
        g_assert_true(g_setenv("PATH", path, TRUE));
        ADD("qdtls/client-and-server-talk", test_the_two_talk);
        ADD("qdtls/a-server-tells-its-clients-apart", test_a_server_tells_its_clients_apart);
        ADD("qdtls/a-client-talks-to-openssl", test_a_client_talks_to_openssl);
        ADD("qdtls/a-server-talks-to-openssl", test_a_server_talks_to_openssl);
        ADD("qdtls/a-client-distrusts", test_a_client_distrusts);
        ADD("qdtls/a-lost-flight-is-sent-again", test_a_lost_flight_is_sent_again);
        return g_test_run();
}
