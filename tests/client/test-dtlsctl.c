/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl as a person at the shell has it: the command line, connections and listeners, and what it
 * shows of them.
 */

#include "lib/certificates.h"
#include "shell.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- helpers ---- */

static Peer *start_server(const Scene *scene, const char *accept) {
        return peer_start((const char *const[]){"openssl", "s_server", "-dtls1_2", "-accept",
                                                accept, "-cert", scene_file(scene, "server.crt"),
                                                "-key", scene_file(scene, "server.key"), NULL});
}

/* An s_server with server.crt, and its port. */
static Peer *start_server_here(const Scene *scene, char **ret_port) {
        Peer *peer = start_server(scene, "127.0.0.1:0");

        *ret_port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");
        return peer;
}

#define OPTIONS_PSK "--psk-identity alice --psk-file \"$F/psk\""

static void write_psk(const Scene *scene) {
        g_assert_true(g_file_set_contents(scene_file(scene, "psk"), KEY_HEX "\n", -1, NULL));
}

static Peer *start_psk_client(const char *port, const char *identity) {
        g_autofree char *target = g_strconcat("127.0.0.1:", port, NULL);

        return peer_start((const char *const[]){"openssl", "s_client", "-dtls1_2", "-connect",
                                                target, "-psk_identity", identity, "-psk", KEY_HEX,
                                                NULL});
}

/* ---- the command line ---- */

static void test_help_has_examples(Scene *scene, const void *unused) {
        expect("dtlsctl --help", 0, "echo hello | dtlsctl connect --ca ca.pem", "");
        expect("dtlsctl --help", 0, "Exit status:", "");
        expect("dtlsctl -h", 0, "listen ADDRESS PORT", "");
        expect("dtlsctl --version", 0, "dtlsctl " DTLSD_VERSION "\n", "");
        expect("LC_ALL=C dtlsctl --help", 0, "COMMAND [ARGUMENT...]", "");
}

/* Whatever there is of others is not there. */
static void expect_no(const char *line, const char *text) {
        g_autoptr(Program) program = program_start(line);

        program_end_input(program);
        g_assert_cmpint(program_wait(program), ==, 0);
        g_assert_null(strstr(program_output(program), text));
}

static void test_help_with_one_command(Scene *scene, const void *unused) {
        static const char *const lines[] = {"dtlsctl listen --help", "dtlsctl help listen",
                                            "dtlsctl -h listen 0.0.0.0"};

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                expect(lines[i], 0, "Usage:\n  dtlsctl listen [OPTION...] ADDRESS PORT\n", "");
                expect(lines[i], 0, "\n  listen ADDRESS PORT  take connections", "");
                expect(lines[i], 0, "\n  --psk-hint=TEXT ", "");
                expect(lines[i], 0, "\n  dtlsctl listen --certificate cert.pem", "");
                expect_no(lines[i], "--insecure");
                expect_no(lines[i], "dtlsctl connect");
        }
        expect("dtlsctl help", 0, "dtlsctl [OPTION...] COMMAND [ARGUMENT...]\n", "");
        expect("dtlsctl help trust remove", 0, "dtlsctl trust add NAME FILE... | remove", "");
        expect_no("dtlsctl help list", "--ca");
}

static void test_usage_errors_name_the_nearest_help(Scene *scene, const void *unused) {
        expect("dtlsctl", 2, "", "\nTry `dtlsctl --help`.\n");
        expect("dtlsctl conect connect 1", 2, "", "\nTry `dtlsctl --help`.\n");
        expect("dtlsctl help conect", 2, "", "no command 'conect'\nTry `dtlsctl --help`.\n");
        expect("dtlsctl --nonsense conect", 2, "", "\nTry `dtlsctl --help`.\n");
        expect("dtlsctl --nonsense list", 2, "", "--nonsense\nTry `dtlsctl list --help`.\n");
        expect("dtlsctl connect h", 2, "", "\nTry `dtlsctl connect --help`.\n");
        expect("dtlsctl --echo connect h 1", 2, "", "\nTry `dtlsctl connect --help`.\n");
        expect("dtlsctl trust x", 2, "", "\nTry `dtlsctl trust --help`.\n");
}

static void test_usage_errors_end_with_2(Scene *scene, const void *unused) {
        const struct {
                const char *line, *text;
        } wrong[] = {
                {"dtlsctl", "dtlsctl: a command is missing\n"},
                {"dtlsctl conect h 1", "dtlsctl: there is no command 'conect'\n"},
                {"dtlsctl --nonsense list", "--nonsense"},
                {"dtlsctl connect", "dtlsctl: usage: dtlsctl connect [OPTION...] HOST PORT\n"},
                {"dtlsctl connect h", "dtlsctl: usage: dtlsctl connect [OPTION...] HOST PORT\n"},
                {"dtlsctl connect h 1 x", "dtlsctl: usage: dtlsctl connect"},
                {"dtlsctl connect h 0", "dtlsctl: '0' is not a port: a number from 1 to 65535\n"},
                {"dtlsctl connect h 65536", "'65536' is not a port"},
                {"dtlsctl -- connect h -1", "'-1' is not a port"},
                {"dtlsctl connect h -- -1", "'-1' is not a port"},
                {"dtlsctl connect h coaps", "'coaps' is not a port"},
                {"dtlsctl connect h ''", "'' is not a port"},
                {"dtlsctl listen 127.0.0.1",
                 "dtlsctl: usage: dtlsctl listen [OPTION...] ADDRESS PORT\n"},
                {"dtlsctl listen 127.0.0.1 0",
                 "dtlsctl: listen needs --certificate and --key, --identity, --psk-identity and "
                 "--psk-file, or --psks\n"},
                {"dtlsctl listen " OPTIONS_CERTIFICATE " 127.0.0.1 x",
                 "dtlsctl: 'x' is not a port: a number from 0 to 65535\n"},
                {"dtlsctl list 1", "dtlsctl: usage: dtlsctl list\n"},
                {"dtlsctl show", "dtlsctl: usage: dtlsctl show NUMBER\n"},
                {"dtlsctl show x", "dtlsctl: 'x' is not a connection's number; `dtlsctl list`"},
                {"dtlsctl show 0", "'0' is not a connection's number"},
                {"dtlsctl show 4294967296", "'4294967296' is not a connection's number"},
                {"dtlsctl --echo connect h 1", "dtlsctl: --echo is for listen\n"},
                {"dtlsctl --no-cookies connect h 1", "dtlsctl: --no-cookies is for listen\n"},
                {"dtlsctl --psk-hint x connect h 1", "dtlsctl: --psk-hint is for listen\n"},
                {"dtlsctl --name x listen h 1", "dtlsctl: --name is for connect\n"},
                {"dtlsctl --insecure listen h 1", "dtlsctl: --insecure is for connect\n"},
                {"dtlsctl --session-ticket x listen h 1",
                 "dtlsctl: --session-ticket is for connect\n"},
                {"dtlsctl --dh-parameters x connect h 1",
                 "dtlsctl: --dh-parameters is for listen\n"},
                {"dtlsctl --wait 1 listen h 1", "dtlsctl: --wait is for connect and attach\n"},
                {"dtlsctl --ca x list", "dtlsctl: --ca is for connect and listen\n"},
                {"dtlsctl --wait -1 connect h 1", "--wait is a number of seconds from 0 to 86400"},
                {"dtlsctl --wait 86401 connect h 1", "--wait is a number of seconds"},
                {"dtlsctl --wait soon connect h 1", "--wait"},
                {"dtlsctl --key x connect h 1", "--certificate and --key go together"},
                {"dtlsctl --alpn x list", "dtlsctl: --alpn is for connect and listen\n"},
                {"dtlsctl --protocol x list", "dtlsctl: --protocol is for connect and listen\n"},
                {"dtlsctl --cipher x --profile iot connect h 1",
                 "dtlsctl: --profile and --cipher contradict each other\n"},
                {"dtlsctl --certificate x connect h 1", "--certificate and --key go together"},
                {"dtlsctl --psk-identity x connect h 1", "--psk-identity and --psk-file go"},
                {"dtlsctl --psk-file x connect h 1", "--psk-identity and --psk-file go together"},
                {"dtlsctl import", "dtlsctl: usage: dtlsctl import NAME --certificate FILE"},
                {"dtlsctl import x",
                 "dtlsctl: import needs --certificate and --key, or --pkcs12\n"},
                {"dtlsctl import x --key y", "--certificate and --key go together"},
                {"dtlsctl import x --identity y",
                 "dtlsctl: --identity is for connect and listen\n"},
                {"dtlsctl import x --pkcs12 y --certificate z --key z", "--key, or --pkcs12\n"},
                {"dtlsctl import x --certificate y --key z --key-uri pkcs11:z",
                 "dtlsctl: --key and --key-uri contradict each other\n"},
                {"dtlsctl connect --certificate y --key-uri pkcs11:z h 1",
                 "dtlsctl: --key-uri is for import\n"},
                {"dtlsctl connect --pkcs12 x h 1", "dtlsctl: --pkcs12 is for import\n"},
                {"dtlsctl remove", "dtlsctl: usage: dtlsctl remove NAME\n"},
                {"dtlsctl remove x --key y",
                 "dtlsctl: --key is for connect and listen and import\n"},
                {"dtlsctl identities x", "dtlsctl: usage: dtlsctl identities\n"},
                {"dtlsctl set-psk x", "dtlsctl: set-psk needs --psk-identity and --psk-file\n"},
                {"dtlsctl psks x", "dtlsctl: usage: dtlsctl psks\n"},
                {"dtlsctl connect --psks x --psk-identity y --psk-file z h 1",
                 "--psks and --psk-file contradict each other"},
                {"dtlsctl remove-psk x --psks y", "dtlsctl: --psks is for connect and listen\n"},
                {"dtlsctl trust", "dtlsctl: usage: dtlsctl trust add NAME FILE..."},
                {"dtlsctl trust x", "there is no command 'trust x'"},
                {"dtlsctl trust add x", "dtlsctl: usage: dtlsctl trust add NAME FILE...\n"},
                {"dtlsctl trust remove x 00:g0", "'00:g0' is no fingerprint"},
                {"dtlsctl trust list x", "dtlsctl: usage: dtlsctl trust list\n"},
                {"dtlsctl revocations", "dtlsctl: usage: dtlsctl revocations set NAME"},
                {"dtlsctl revocations x", "there is no command 'revocations x'"},
                {"dtlsctl revocations set x", "usage: dtlsctl revocations set NAME FILE|FINGER"},
                {"dtlsctl revocations remove", "usage: dtlsctl revocations remove NAME\n"},
                {"dtlsctl revocations remove x y", "usage: dtlsctl revocations remove NAME\n"},
                {"dtlsctl revocations list x y", "usage: dtlsctl revocations list [NAME]\n"},
                {"dtlsctl pin h 1", "dtlsctl: usage: dtlsctl pin HOST PORT FINGERPRINT\n"},
                {"dtlsctl pin h 0 x", "'0' is not a port"},
                {"dtlsctl pin h 1 abcd", "'abcd' is no fingerprint"},
                {"dtlsctl unpin h 1 " KEY_HEX KEY_HEX KEY_HEX KEY_HEX KEY_HEX, "is no fingerprint"},
                {"dtlsctl pins x", "dtlsctl: usage: dtlsctl pins\n"},
                {"dtlsctl connect --administrator h 1",
                 "dtlsctl: --administrator is for pin and unpin\n"},
                {"dtlsctl connect --trust x --ca y h 1",
                 "dtlsctl: --trust and --ca contradict each other\n"},
                {"dtlsctl connect --insecure --trust-on-first-use h 1", "--insecure contradicts"},
                {"dtlsctl share 1 uid:5",
                 "dtlsctl: usage: dtlsctl share NUMBER SUBJECT RIGHT,...\n"},
                {"dtlsctl share x uid:5 read", "'x' is not a connection's number"},
                {"dtlsctl unshare 1", "dtlsctl: usage: dtlsctl unshare NUMBER SUBJECT\n"},
                {"dtlsctl attach", "dtlsctl: usage: dtlsctl attach [--wait SECONDS] NUMBER\n"},
                {"dtlsctl attach x", "'x' is not a connection's number"},
                {"dtlsctl attach --wait -1 1", "--wait is a number of seconds"},
                {"dtlsctl attach --share x 1", "dtlsctl: --share is for connect and listen\n"},
                {"dtlsctl policy check", "dtlsctl: usage: dtlsctl policy check VERB"},
                {"dtlsctl policy show use", "dtlsctl: there is no command 'policy show'"},
                {"dtlsctl policy check connect ::1 x", "'x' is not a port"},
                {"dtlsctl list --user x", "dtlsctl: --user is for policy check\n"},
                {"dtlsctl list --passphrase-file x", "dtlsctl: --passphrase-file is for import\n"},
                {"dtlsctl connect --identity x " OPTIONS_CERTIFICATE " h 1",
                 "dtlsctl: --identity and --key contradict each other\n"},
                {"dtlsctl --insecure --ca x connect h 1", "--insecure and --ca contradict"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                expect(wrong[i].line, 2, "", wrong[i].text);
                expect(wrong[i].line, 2, "", " --help`.\n");
        }
}

static void test_a_key_file_that_is_none_is_named(Scene *scene, const void *unused) {
        const struct {
                const char *contents, *text;
        } wrong[] = {
                {"", "/psk: a key is 1 to 512 bytes in hexadecimal"},
                {"\n", "/psk: a key is 1 to 512 bytes in hexadecimal"},
                {"abc", "/psk: a key is 1 to 512 bytes in hexadecimal"},
                {"00zz", "/psk: character 3 is not a hexadecimal digit"},
                {"0\x1b", "/psk: character 2 is not a hexadecimal digit"},
        };
        g_autofree char *long_key = g_strnfill(1026, 'a');
        g_autofree char *longer = g_strnfill(100000, 'a');
        const char *const line = "dtlsctl connect " OPTIONS_PSK " 127.0.0.1 1";

        expect(line, 2, "", "/psk: No such file or directory");
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_assert_true(
                        g_file_set_contents(scene_file(scene, "psk"), wrong[i].contents, -1, NULL));
                expect(line, 2, "", wrong[i].text);
        }
        g_assert_true(g_file_set_contents(scene_file(scene, "psk"), long_key, -1, NULL));
        expect(line, 2, "", "/psk: a key is 1 to 512 bytes in hexadecimal");
        g_assert_true(g_file_set_contents(scene_file(scene, "psk"), longer, -1, NULL));
        expect(line, 2, "", "/psk: too long for a key of at most 512 bytes");
        expect("printf '00\\0fff' | dtlsctl connect -i alice -p /dev/stdin 127.0.0.1 1", 2, "",
               "/dev/stdin: character 3 is not a hexadecimal digit");
        expect("dtlsctl connect -i alice -p /dev/zero 127.0.0.1 1", 2, "", "/dev/zero: too long");
        expect("dtlsctl connect -i alice -p \"$F\" 127.0.0.1 1", 2, "", ": Is a directory");
}

/* ---- connect ---- */

static void test_connect_is_a_conversation(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *heard = NULL, *said = NULL;
        Peer *peer = start_server_here(scene, &port);
        g_autoptr(Program) program =
                start("exec dtlsctl connect --ca \"$F/ca.crt\" 127.0.0.1 %s", port);
        g_autofree char *connected = program_wait_for(
                program, "^dtlsctl: connection [0-9]+ to 127.0.0.1 port [0-9]+, datagrams of up to "
                         "[0-9]+ bytes$");

        program_say(program, "from dtlsctl\n");
        heard = peer_wait_for(peer, "^from dtlsctl$");
        peer_say(peer, "from openssl\n");
        said = program_wait_for_output(program, "^from openssl$");
        program_end_input(program);
        g_assert_cmpint(program_wait(program), ==, 0);
        g_assert_cmpstr(program_output(program), ==, "from openssl\n");
        (void)peer_stop(peer);
}

static void test_connect_waits_for_the_answer_to_a_pipe(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *ended = NULL;
        g_autoptr(Program) server = start_listener(OPTIONS_CERTIFICATE " --echo", &port);
        g_autofree char *line = g_strdup_printf(
                "printf hello | dtlsctl connect --ca \"$F/ca.crt\" 127.0.0.1 %s", port);

        expect(line, 0, "hello", "dtlsctl: connection ");
        ended = program_wait_for(server, ": gone$"); /* it said goodbye */
}

static void test_connect_ends_with_the_peer(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *connected = NULL;
        g_autoptr(Program) server = start_listener(OPTIONS_CERTIFICATE, &port);
        g_autoptr(Program) program =
                start("exec dtlsctl connect --ca \"$F/ca.crt\" 127.0.0.1 %s", port);

        connected = program_wait_for(program, "connection");
        program_signal(server, SIGTERM); /* says goodbye to its peers */
        g_assert_cmpint(program_wait(program), ==, 0);
        g_assert_cmpstr(program_output(program), ==, "");
}

static void test_connect_takes_any_standard_input(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *heard = NULL, *file = NULL;
        Peer *peer = start_server_here(scene, &port);
        const char *const inputs[] = {"<&-", "</dev/null", "<\"$F/hello\""};

        g_assert_true(g_file_set_contents(scene_file(scene, "hello"), "from a file\n", -1, NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(inputs); i++) {
                g_autofree char *line =
                        g_strdup_printf("dtlsctl connect --wait 0 --ca \"$F/ca.crt\" localhost %s "
                                        "%s",
                                        port, inputs[i]);

                expect(line, 0, "", "dtlsctl: connection ");
        }
        heard = peer_wait_for(peer, "^from a file$");
        (void)peer_stop(peer);
}

static void test_connect_takes_a_terminal(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *first = NULL, *second = NULL, *connected = NULL;
        int terminal = terminal_open();
        g_autoptr(Program) program = NULL;
        Peer *peer;

        if (terminal < 0)
                return;

        peer = start_server_here(scene, &port);
        program = start("exec dtlsctl connect --ca \"$F/ca.crt\" 127.0.0.1 %s <%s", port,
                        ptsname(terminal));
        connected = program_wait_for(program, "connection");
        g_assert_cmpint(write(terminal, "one line\nanother\n", 17), ==, 17);
        first = peer_wait_for(peer, "^one line$");
        second = peer_wait_for(peer, "^another$");
        g_assert_cmpint(write(terminal, "\4", 1), ==, 1); /* ^D */
        g_assert_cmpint(program_wait(program), ==, 0);
        (void)close(terminal);
        (void)peer_stop(peer);
}

static void test_connect_sends_a_file_in_pieces_that_fit(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *contents = g_strnfill(60000, 'x'), *line = NULL;
        g_autofree char *ended = NULL;
        g_autoptr(Program) server = start_listener(OPTIONS_CERTIFICATE, &port);

        g_assert_true(g_file_set_contents(scene_file(scene, "large"), contents, -1, NULL));
        line = g_strdup_printf("dtlsctl connect --ca \"$F/ca.crt\" 127.0.0.1 %s <\"$F/large\"",
                               port);
        expect(line, 0, "", "");
        ended = program_wait_for(server, ": gone$");
        program_signal(server, SIGTERM);
        g_assert_cmpint(program_wait(server), ==, 0);
        g_assert_cmpstr(program_output(server), ==, contents);
}

static void expect_name(Scene *scene, const char *host, const char *port, const char *name) {
        g_autoptr(Program) program =
                start("exec dtlsctl connect --ca \"$F/ca.crt\" %s %s", host, port);
        g_autofree char *number = program_wait_for(program, "connection ([0-9]+) to");
        g_autofree char *path = g_strconcat(ROOT "/connection/", number, NULL);
        sd_bus *bus = service_bus(scene->service, geteuid());
        g_autofree char *value = get_string(bus, path, CONNECTION, "VerificationName");

        g_assert_cmpstr(value, ==, name);
        (void)bus_leave(bus);
        program_end_input(program);
        g_assert_cmpint(program_wait(program), ==, 0);
}

static void test_connect_verifies_the_name_that_was_typed(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *line = NULL;
        Peer *peer = start_server_here(scene, &port);

        expect_name(scene, "localhost", port, "localhost");
        expect_name(scene, "127.0.0.1", port, ""); /* the address itself */
        expect_name(scene, "--name localhost 127.0.0.1", port, "localhost");
        line = g_strdup_printf("dtlsctl connect --ca \"$F/ca.crt\" --name other.example localhost "
                               "%s",
                               port);
        expect(line, 1, "", "HostNameMismatch");
        (void)peer_stop(peer);
}

static void test_connect_to_ipv6(Scene *scene, const void *unused) {
        Peer *peer = start_server(scene, "[::1]:0");
        g_autofree char *port = peer_wait_for(peer, "^ACCEPT \\[::1\\]:([0-9]+)$");

        expect_name(scene, "::1", port, "");
        (void)peer_stop(peer);
        /* of a link: whatever is said of it, it is about the address with its scope */
        expect("dtlsctl connect fe80::1%lo 1", 1, "", "dtlsctl: fe80::1%lo: ");
        expect("dtlsctl connect fe80::1%nosuchlink 1", 1, "", "dtlsctl: fe80::1%nosuchlink: ");
}

static void test_connect_says_why_not(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *line = NULL;
        Peer *peer = start_server_here(scene, &port);

        expect("dtlsctl connect a..b 1", 1, "", "dtlsctl: a..b: ");
        expect("dtlsctl connect 0.0.0.0 1", 1, "", "dtlsctl: 0.0.0.0: ");
        expect("dtlsctl connect 224.0.0.1 1", 1, "", "dtlsctl: 224.0.0.1: ");
        expect("dtlsctl connect --ca nofile 127.0.0.1 1", 1, "",
               "dtlsctl: nofile: No such file or directory\n");
        expect("dtlsctl connect --ca . 127.0.0.1 1", 1, "", "dtlsctl: .: Not a regular file\n");
        expect("dtlsctl connect --ca \"$F/ca.crt\" --profile best 127.0.0.1 1", 1, "",
               "CipherProfile");
        line = g_strdup_printf("dtlsctl connect --ca \"$F/client.crt\" localhost %s", port);
        expect(line, 1, "", "UnableToGetLocalIssuerCertificate");
        (void)peer_stop(peer);
}

static void test_connect_interrupted_ends_the_connection(Scene *scene, const void *unused) {
        const struct {
                int signal, status;
        } signals[] = {{SIGINT, 130}, {SIGTERM, 143}, {SIGHUP, 129}};
        g_autofree char *port = NULL;
        g_autoptr(Program) server = start_listener(OPTIONS_CERTIFICATE, &port);

        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                g_autoptr(Program) program =
                        start("exec dtlsctl connect --ca \"$F/ca.crt\" 127.0.0.1 %s", port);
                g_autofree char *number = program_wait_for(program, "connection ([0-9]+) to");
                g_autofree char *from = NULL, *gone = NULL;

                from = program_wait_for(server, "(connection [0-9]+ of 127.0.0.1 port "
                                                "[0-9]+): connected\n\\z");
                program_signal(program, signals[i].signal);
                g_assert_cmpint(program_wait(program), ==, signals[i].status);
                gone = g_strconcat(from, ": gone$", NULL);
                g_free(program_wait_for(server, gone));
        }
}

static void test_connect_says_that_the_service_has_ended(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *connected = NULL;
        Peer *peer = start_server_here(scene, &port);
        g_autoptr(Program) program =
                start("exec dtlsctl connect --ca \"$F/ca.crt\" 127.0.0.1 %s", port);

        connected = program_wait_for(program, "connection");
        g_assert_cmpint(kill(service_pid(scene->service), SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(service_pid(scene->service), NULL, 0), >, 0);
        g_assert_cmpint(program_wait(program), ==, 1);
        g_assert_nonnull(strstr(program_errors(program),
                                "dtlsctl: the connection has ended, and dtlsd with "
                                "it"));
        service_restart(scene->service);
        (void)peer_stop(peer);
}

static void test_an_output_that_is_full_is_a_failure(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *line = NULL;
        g_autoptr(Program) server = start_listener(OPTIONS_CERTIFICATE " --echo", &port);

        line = g_strdup_printf("printf hello | dtlsctl connect --ca \"$F/ca.crt\" 127.0.0.1 %s "
                               ">/dev/full",
                               port);
        expect(line, 1, "", "dtlsctl: standard output: No space left on device\n");
        expect("dtlsctl list >/dev/full", 1, "", "dtlsctl: standard output: No space left");
        expect("dtlsctl --help >/dev/full", 1, "", "dtlsctl: standard output: ");
}

static void test_a_list_that_fails_prints_no_heading(Scene *scene, const void *unused) {
        static const char *const lists[] = {"list",       "identities",       "psks",
                                            "trust list", "revocations list", "pins"};

        g_assert_cmpint(kill(service_pid(scene->service), SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(service_pid(scene->service), NULL, 0), >, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
                g_autofree char *line = g_strconcat("dtlsctl ", lists[i], NULL);

                expect(line, 1, "", "dtlsd does not run on this bus");
        }
        service_restart(scene->service);
}

/* ---- listen ---- */

static void test_listen_echoes_to_openssl(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *connected = NULL, *back = NULL, *printed = NULL;
        g_autofree char *gone = NULL;
        g_autoptr(Program) program = NULL;
        Peer *peer;

        write_psk(scene);
        program = start_listener(OPTIONS_PSK " --echo", &port);
        peer = start_psk_client(port, "alice");
        connected = program_wait_for(
                program, "^dtlsctl: connection [0-9]+ of 127.0.0.1 port [0-9]+: connected, "
                         "identity alice$");
        peer_say(peer, "say it again\n");
        printed = program_wait_for_output(program, "^say it again$");
        back = peer_wait_for(peer, "^say it again$");
        peer_say(peer, "Q\n"); /* as s_client has it: close_notify, and the end */
        gone = program_wait_for(program, ": gone$");
        (void)peer_stop(peer);
}

static void test_listen_keeps_standard_input_for_the_first_peer(Scene *scene, const void *unused) {
        const char *const inputs[] = {"<\"$F/hello\"", "</dev/null"};

        write_psk(scene);
        g_assert_true(g_file_set_contents(scene_file(scene, "hello"), "from a file\n", -1, NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(inputs); i++) {
                g_autoptr(Program) program =
                        start("exec dtlsctl listen " OPTIONS_PSK " 127.0.0.1 0 %s", inputs[i]);
                g_autofree char *port = program_wait_for(program, "port ([0-9]+)$");
                Peer *peer = start_psk_client(port, "alice");
                g_autofree char *heard = NULL, *printed = NULL;

                if (i == 0)
                        heard = peer_wait_for(peer, "^from a file$");
                peer_say(peer, "after the end of input\n"); /* which ended nothing */
                printed = program_wait_for_output(program, "^after the end of input$");
                (void)peer_stop(peer);
        }
}

/* Who connects is heard too: the second comes once the first has its answer. */
static void test_listen_answers_who_was_heard_last(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *one = NULL, *two = NULL, *three = NULL;
        g_autofree char *heard_1 = NULL, *heard_2 = NULL, *heard_3 = NULL;
        g_autoptr(Program) program = NULL;
        Peer *first, *second;

        write_psk(scene);
        program = start_listener(OPTIONS_PSK, &port);
        first = start_psk_client(port, "alice");
        peer_say(first, "first\n");
        one = program_wait_for_output(program, "^first$");
        program_say(program, "to the first\n");
        heard_1 = peer_wait_for(first, "^to the first$");
        second = start_psk_client(port, "alice");
        peer_say(second, "second\n");
        two = program_wait_for_output(program, "^second$");
        program_say(program, "to the second\n");
        heard_2 = peer_wait_for(second, "^to the second$");
        peer_say(first, "again\n");
        three = program_wait_for_output(program, "^again$");
        program_say(program, "back to the first\n");
        heard_3 = peer_wait_for(first, "^back to the first$");
        (void)peer_stop(first);
        (void)peer_stop(second);
}

static void test_listen_ends_by_a_signal_with_0(Scene *scene, const void *unused) {
        const int signals[] = {SIGINT, SIGTERM};

        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                g_autofree char *port = NULL, *line = NULL;
                g_autoptr(Program) program = start_listener(OPTIONS_CERTIFICATE, &port),
                                   again = NULL;

                program_signal(program, signals[i]);
                g_assert_cmpint(program_wait(program), ==, 0);
                g_assert_cmpstr(program_output(program), ==, "");

                /* and its port is free */
                again = start("exec dtlsctl listen " OPTIONS_CERTIFICATE " 127.0.0.1 %s", port);
                g_free(program_wait_for(again, "listening on"));
        }
}

static void test_listen_says_why_not(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *line = NULL;
        g_autoptr(Program) program = start_listener(OPTIONS_CERTIFICATE, &port);

        line = g_strdup_printf("dtlsctl listen " OPTIONS_CERTIFICATE " 127.0.0.1 %s", port);
        expect(line, 1, "", "dtlsctl: 127.0.0.1: ");
        expect("dtlsctl listen " OPTIONS_CERTIFICATE " 192.0.2.1 0", 1, "", "dtlsctl: 192.0.2.1: ");
        expect("dtlsctl listen " OPTIONS_CERTIFICATE " a..b 0", 1, "", "dtlsctl: a..b: ");
        expect("dtlsctl listen --certificate \"$F/server.crt\" --key \"$F/client.key\" 127.0.0.1 0",
               1, "", "dtlsctl: 127.0.0.1: ");
        expect("dtlsctl listen --certificate \"$F/server.crt\" --key nofile 127.0.0.1 0", 1, "",
               "dtlsctl: nofile: No such file or directory\n");
}

static void test_listen_takes_a_name(Scene *scene, const void *unused) {
        g_autoptr(Program) program =
                start("exec dtlsctl listen " OPTIONS_CERTIFICATE " localhost 0");

        g_free(program_wait_for(program, "^dtlsctl: listening on (127\\.0\\.0\\.1|::1) port"));
}

static Peer *start_certificate_client(const Scene *scene, const char *port, const char *name) {
        g_autofree char *target = g_strconcat("127.0.0.1:", port, NULL);
        g_autofree char *crt = g_strconcat(name, ".crt", NULL);
        g_autofree char *key = g_strconcat(name, ".key", NULL);
        Peer *peer = peer_start((const char *const[]){"openssl", "s_client", "-dtls1_2", "-connect",
                                                      target, "-cert", scene_file(scene, crt),
                                                      "-key", scene_file(scene, key), NULL});

        peer_say(peer, name);
        peer_say(peer, "\n");
        return peer;
}

static void test_listen_verifies_clients_with_a_ca(Scene *scene, const void *unused) {
        g_autoptr(TestIdentity) other = test_identity_new("other", NULL, 0, TEST_KEY_ECDSA);
        g_autofree char *port = NULL, *connected = NULL, *done = NULL;
        g_autoptr(Program) program =
                start_listener(OPTIONS_CERTIFICATE " --ca \"$F/ca.crt\"", &port);
        Peer *stranger, *client;

        test_identity_write(other, scene->directory, "other");
        stranger = start_certificate_client(scene, port, "other");
        done = peer_wait_for(stranger, "SSL alert number 48$"); /* unknown_ca */
        client = start_certificate_client(scene, port, "client");
        connected = program_wait_for_output(program, "^client$");
        client = peer_stop(client);
        client = start_certificate_client(scene, port, "client");
        g_free(program_wait_for_output(program, "^client\nclient$"));
        g_assert_cmpstr(program_output(program), ==, "client\nclient\n");
        (void)peer_stop(client);
        (void)peer_stop(stranger);
}

static void test_listen_says_that_the_service_has_ended(Scene *scene, const void *unused) {
        g_autofree char *port = NULL;
        g_autoptr(Program) program = start_listener(OPTIONS_CERTIFICATE, &port);

        g_assert_cmpint(kill(service_pid(scene->service), SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(service_pid(scene->service), NULL, 0), >, 0);
        g_assert_cmpint(program_wait(program), ==, 1);
        g_assert_nonnull(strstr(program_errors(program), "dtlsctl: the listener is gone"));
        service_restart(scene->service);
}

/* ---- list and show ---- */

static void test_list_and_show_say_everything(Scene *scene, const void *unused) {
        const char *const shown[] = {"\nHandshakeState ",
                                     "\nSessionCipher.Name ",
                                     "\nPeerCertificateChain ",
                                     " sha256:",
                                     "\nConfiguration.CipherProfile ",
                                     "\nStatistics.BytesSent ",
                                     " HandshakeComplete\n"};
        g_autofree char *port = NULL, *number = NULL, *row = NULL, *line = NULL;
        Peer *peer = start_server_here(scene, &port);
        g_autoptr(Program) program = NULL;

        expect("dtlsctl list", 0, "NUMBER ", "");
        expect("dtlsctl show 1", 1, "", "dtlsctl: there is no connection 1, or it is somebody");
        program = start("exec dtlsctl connect --ca \"$F/ca.crt\" 127.0.0.1 %s", port);
        number = program_wait_for(program, "connection ([0-9]+) to");

        row = g_strdup_printf("client HandshakeComplete      127.0.0.1 %s ", port);
        expect("dtlsctl list", 0, row, "");
        line = g_strconcat("dtlsctl show ", number, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(shown); i++)
                expect(line, 0, shown[i], "");
        (void)peer_stop(peer);
}

static void test_what_is_spoken_is_chosen(Scene *scene, const void *unused) {
        const char *const chosen[] = {" coap\n", " TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\n",
                                      " DtlsV1_2\n"};
        g_autofree char *port = NULL, *number = NULL, *line = NULL;
        g_autoptr(Program) server = start_listener(OPTIONS_CERTIFICATE " --alpn coap", &port);
        g_autoptr(Program) program =
                start("exec dtlsctl connect --ca \"$F/ca.crt\" --alpn h3 --alpn coap "
                      "--protocol DtlsV1_2 --cipher ECDHE-ECDSA-AES256-GCM-SHA384 127.0.0.1 %s",
                      port);

        number = program_wait_for(program, "connection ([0-9]+) to");
        line = g_strconcat("dtlsctl show ", number, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(chosen); i++)
                expect(line, 0, chosen[i], "");
        expect("dtlsctl connect --protocol TlsV1_2 127.0.0.1 1", 1, "", "Protocol");
        expect("dtlsctl connect --cipher NULL 127.0.0.1 1", 1, "", "Ciphers");
}

static void connect_and_show(const char *port, const char *resumed) {
        g_autofree char *line = NULL, *number = NULL;
        g_autoptr(Program) program =
                start("exec dtlsctl connect --ca \"$F/ca.crt\" --session-ticket \"$F/session\" "
                      "127.0.0.1 %s",
                      port);

        number = program_wait_for(program, "connection ([0-9]+) to");
        line = g_strconcat("dtlsctl show ", number, NULL);
        expect(line, 0, resumed, "");
        program_end_input(program);
        g_assert_cmpint(program_wait(program), ==, 0);
}

static void test_connect_takes_its_session_up(Scene *scene, const void *unused) {
        g_autofree char *port = NULL;
        Peer *peer = start_server_here(scene, &port);
        const char *file = scene_file(scene, "session");
        struct stat status;

        connect_and_show(port, " no\n");
        g_assert_cmpint(stat(file, &status), ==, 0);
        g_assert_cmpuint(status.st_mode & 0777, ==, 0600);
        connect_and_show(port, " yes\n");

        g_assert_true(g_file_set_contents(file, "nonsense", -1, NULL));
        connect_and_show(port, " no\n");
        connect_and_show(port, " yes\n"); /* which it has written anew */
        (void)peer_stop(peer);
}

static void test_listen_takes_diffie_hellman_parameters(Scene *scene, const void *unused) {
        g_autofree char *port = NULL;
        g_autoptr(Program) good = NULL;

        expect("openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048 -out \"$F/dh\"", 0,
               "", "");
        good = start_listener(OPTIONS_CERTIFICATE " --dh-parameters \"$F/dh\"", &port);
        expect("dtlsctl listen " OPTIONS_CERTIFICATE " --dh-parameters \"$F/ca.crt\" 127.0.0.1 0",
               1, "", "DhParameters");
        expect("dtlsctl listen " OPTIONS_CERTIFICATE " --dh-parameters \"$F/no\" 127.0.0.1 0", 1,
               "", "/no: No such file");
}

/* What a peer names itself goes to whoever looks. */
static void test_a_peers_control_characters_are_escaped(Scene *scene, const void *unused) {
        const char *const evil = "\x1b[31mred\\\xc2\x9b";
        g_autofree char *port = NULL, *number = NULL, *line = NULL;
        g_autoptr(Program) program = NULL, show = NULL;
        Peer *peer;

        write_psk(scene);
        g_assert_true(g_setenv("EVIL", evil, TRUE));
        program = start("exec dtlsctl listen --psk-identity \"$EVIL\" --psk-file \"$F/psk\" "
                        "127.0.0.1 0");
        port = program_wait_for(program, "port ([0-9]+)$");
        peer = start_psk_client(port, evil);
        number = program_wait_for(program, "connection ([0-9]+) of .*: connected, identity "
                                           "\\\\x1b\\[31mred\\\\\\\\\\\\x9b$");
        expect_plain(program_errors(program));

        line = g_strconcat("dtlsctl show ", number, NULL);
        show = program_start(line);
        g_assert_cmpint(program_wait(show), ==, 0);
        expect_plain(program_output(show));
        g_assert_nonnull(strstr(program_output(show), " 0x1b5b33316d7265645cc29b\n"));
        (void)peer_stop(peer);

        expect("dtlsctl \"$EVIL\"", 2, "", "there is no command '\\x1b[31mred");
        expect("dtlsctl connect \"$EVIL\" 1", 1, "", "dtlsctl: \\x1b[31mred");
        expect("dtlsctl --profile \"$EVIL\" -i x -p \"$F/psk\" connect 127.0.0.1 1", 1, "",
               "CipherProfile");
}

/* ---- sharing ---- */

/* `dtlsctl` with these arguments as the user games, where any user can run it. */
static Program *start_as_games(const char *arguments) {
        expect("cp \"$DTLSD_PROGRAMS/dtlsctl\" \"$DTLSD_PROGRAMS/libdtlsd-client.so.0\" \"$F\" && "
               "chmod 755 \"$F\"",
               0, "", "");
        return start("exec setpriv --reuid games --regid games --init-groups "
                     "env LD_LIBRARY_PATH=\"$F\" \"$F/dtlsctl\" %s",
                     arguments);
}

static void test_another_user_reads_along(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *number = NULL, *attach = NULL, *shown = NULL, *show = NULL;
        g_autoptr(Program) server = NULL;
        g_autoptr(Program) client = NULL;
        g_autoptr(Program) guest = NULL;

        if (!service_has_users())
                return;

        server = start_listener("--share uid:5=read --share gid:0=inspect " OPTIONS_CERTIFICATE,
                                &port);
        client = start("exec dtlsctl connect --ca \"$F/ca.crt\" 127.0.0.1 %s", port);
        number = program_wait_for(server, "connection ([0-9]+) of .*: connected$");
        attach = g_strconcat("attach ", number, NULL);
        guest = start_as_games(attach);
        g_free(program_wait_for(guest, "^dtlsctl: connection [0-9]+, datagrams of up to"));
        show = g_strconcat("dtlsctl show ", number, NULL);
        expect(show, 0, "uid:5", "");
        expect(show, 0, "\nAttached ", "");

        program_say(client, "for both\n");
        g_free(program_wait_for_output(server, "^for both$"));
        g_free(program_wait_for_output(guest, "^for both$"));
        program_say(guest, "not mine to say\n");
        g_free(program_wait_for(guest, "was not sent: you may read the connection, not write$"));
        program_say(server, "from its owner\n");
        shown = program_wait_for_output(client, "^from its owner$");
        g_assert_cmpstr(program_output(client), ==, "from its owner\n");

        program_end_input(client); /* its goodbye ends them all */
        g_assert_cmpint(program_wait(client), ==, 0);
        g_assert_cmpint(program_wait(guest), ==, 0);
        g_assert_cmpstr(program_output(guest), ==, "for both\n");
}

static void test_another_user_writes_and_leaves(Scene *scene, const void *unused) {
        g_autofree char *port = NULL, *number = NULL, *attach = NULL;
        g_autoptr(Program) server = start_listener("--echo " OPTIONS_CERTIFICATE, &port);
        g_autoptr(Program) client = NULL;
        g_autoptr(Program) guest = NULL;

        if (!service_has_users())
                return;

        client = start("exec dtlsctl connect --share uid:5=read,write --ca \"$F/ca.crt\" "
                       "127.0.0.1 %s",
                       port);
        number = program_wait_for(client, "connection ([0-9]+) to");
        attach = g_strconcat("attach --wait 5 ", number, NULL);
        guest = start_as_games(attach);
        program_say(guest, "from the guest\n");
        g_free(program_wait_for_output(guest, "^from the guest$"));
        g_free(program_wait_for_output(client, "^from the guest$"));
        program_signal(guest, SIGINT);
        g_assert_cmpint(program_wait(guest), ==, 130);

        program_say(client, "still here\n");
        g_free(program_wait_for_output(client, "^still here$"));
        program_end_input(client);
        g_assert_cmpint(program_wait(client), ==, 0);
}

static void test_share_and_unshare_what_is_ones_own(Scene *scene, const void *unused) {
        sd_bus *bus = service_bus(scene->service, geteuid());
        sd_bus_message *reply = call(bus, ROOT, MANAGER, "CreateConnection", "sa{sv}", "client", 1,
                                     "Persistent", "b", 1);
        g_autofree char *share = NULL, *wrong = NULL, *unshare = NULL, *show = NULL, *attach = NULL;
        const char *path, *number;

        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >, 0);
        number = strrchr(path, '/') + 1;
        share = g_strdup_printf("dtlsctl share %s gid:20 read,inspect", number);
        wrong = g_strdup_printf("dtlsctl share %s gid:20 read,fly", number);
        unshare = g_strdup_printf("dtlsctl unshare %s gid:20", number);
        show = g_strdup_printf("dtlsctl show %s", number);
        attach = g_strdup_printf("dtlsctl attach %s", number);

        expect(share, 0, "", "");
        expect(show, 0, "gid:20", "");
        expect(wrong, 1, "", "'fly' is no right");
        expect(unshare, 0, "", "");
        expect(unshare, 1, "", "not shared with gid:20");
        expect(attach, 1, "", "dtlsctl: ");
        expect("dtlsctl share 4294967295 uid:5 read", 1, "",
               "dtlsctl: there is no connection 4294967295, or it is not shared with you\n");

        (void)sd_bus_message_unref(call(bus, path, CONNECTION, "Close", ""));
        (void)sd_bus_message_unref(reply);
        (void)bus_leave(bus);
}

/* ---- policy ---- */

static void write_rules(const Scene *scene, const char *rules) {
        g_autofree char *path =
                g_build_filename(service_directory(scene->service), "policy.d", "10-x.conf", NULL);
        sd_bus *root = service_bus(scene->service, 0);

        g_assert_true(g_file_set_contents_full(path, rules, -1, G_FILE_SET_CONTENTS_CONSISTENT,
                                               0644, NULL));
        (void)sd_bus_message_unref(call(root, ROOT, MANAGER, "Reload", ""));
        (void)bus_leave(root);
}

static void test_policy_check_says_the_rule_and_where_it_stands(Scene *scene, const void *unused) {
        if (!service_has_users())
                return;

        write_rules(scene, "[Games]\nSubjects=group:games\nVerdict=allow\n"
                           "Use=identity:device\nConnect=192.0.2.0/24:5684\n\n"
                           "[Nobody \\x1b else]\nSubjects=any\nVerdict=deny\n"
                           "Use=identity:*\nConnect=192.0.2.0/24\n");
        expect("dtlsctl policy check use identity:device", 0, "allow: root may do everything\n",
               "");
        expect("dtlsctl policy check use identity:device --user games", 0,
               "/policy.d/10-x.conf:1: Games\n", "");
        expect("dtlsctl policy check use identity:other --user games", 0, "deny: /", "");
        expect("dtlsctl policy check use identity:device --user daemon", 0,
               "/policy.d/10-x.conf:7: Nobody ", "");
        expect("dtlsctl policy check connect 192.0.2.7 5684 --user games", 0, "allow: /", "");
        expect("dtlsctl policy check connect 192.0.2.7 5685 --user games", 0, "deny: /", "");
        expect("dtlsctl policy check reload --user games", 0, "ask: /", "");
        expect("dtlsctl policy check fly", 1, "", "dtlsctl: fly: There is no action 'fly'");
        expect("dtlsctl policy check use --user nobody-of-that-name", 1, "",
               "dtlsctl: there is no user 'nobody-of-that-name'\n");
}

/* ---- no service, no bus ---- */

static void test_no_service_says_how_to_start_it(Scene *scene, const void *unused) {
        const char *const lines[] = {
                "dtlsctl list",
                "dtlsctl show 1",
                "dtlsctl connect 127.0.0.1 1",
                "dtlsctl identities",
                "dtlsctl remove x",
                "dtlsctl policy check use",
                "dtlsctl listen " OPTIONS_CERTIFICATE " 127.0.0.1 0",
        };

        g_assert_cmpint(kill(service_pid(scene->service), SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(service_pid(scene->service), NULL, 0), >, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_autoptr(Program) program = program_start(lines[i]);

                g_assert_cmpint(program_wait(program), ==, 1);
                g_assert_nonnull(strstr(program_errors(program), "`systemctl start dtlsd`"));
        }
        service_restart(scene->service);
}

static void test_no_bus_says_which(Scene *scene, const void *unused) {
        expect("DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent/bus dtlsctl list", 1, "",
               "dtlsctl: no system bus: No such file or directory; start the system's dbus, or "
               "name another bus in DBUS_SYSTEM_BUS_ADDRESS\n");
}

#define ADD(path, function)                                                                        \
        g_test_add("/dtlsctl/" path, Scene, NULL, shell_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        shell_init("DTLSD_PROGRAMS");

        ADD("help/has-examples", test_help_has_examples);
        ADD("help/with-one-command-is-about-that", test_help_with_one_command);
        ADD("help/is-named-by-errors", test_usage_errors_name_the_nearest_help);
        ADD("usage/errors-end-with-2", test_usage_errors_end_with_2);
        ADD("usage/a-key-file-that-is-none-is-named", test_a_key_file_that_is_none_is_named);
        ADD("connect/is-a-conversation", test_connect_is_a_conversation);
        ADD("connect/waits-for-the-answer-to-a-pipe", test_connect_waits_for_the_answer_to_a_pipe);
        ADD("connect/ends-with-the-peer", test_connect_ends_with_the_peer);
        ADD("connect/takes-any-standard-input", test_connect_takes_any_standard_input);
        ADD("connect/takes-a-terminal", test_connect_takes_a_terminal);
        ADD("connect/sends-a-file-in-pieces-that-fit",
            test_connect_sends_a_file_in_pieces_that_fit);
        ADD("connect/verifies-the-name-that-was-typed",
            test_connect_verifies_the_name_that_was_typed);
        ADD("connect/to-ipv6", test_connect_to_ipv6);
        ADD("connect/takes-its-session-up", test_connect_takes_its_session_up);
        ADD("listen/takes-diffie-hellman-parameters", test_listen_takes_diffie_hellman_parameters);
        ADD("connect/says-why-not", test_connect_says_why_not);
        ADD("connect/interrupted-ends-the-connection",
            test_connect_interrupted_ends_the_connection);
        ADD("connect/says-that-the-service-has-ended",
            test_connect_says_that_the_service_has_ended);
        ADD("output/that-is-full-is-a-failure", test_an_output_that_is_full_is_a_failure);
        ADD("output/of-a-list-that-fails-is-nothing", test_a_list_that_fails_prints_no_heading);
        ADD("share/another-user-reads-along", test_another_user_reads_along);
        ADD("share/another-user-writes-and-leaves", test_another_user_writes_and_leaves);
        ADD("share/and-unshare-what-is-ones-own", test_share_and_unshare_what_is_ones_own);
        ADD("policy/check-says-the-rule-and-where-it-stands",
            test_policy_check_says_the_rule_and_where_it_stands);
        ADD("listen/echoes-to-openssl", test_listen_echoes_to_openssl);
        ADD("listen/keeps-standard-input-for-the-first-peer",
            test_listen_keeps_standard_input_for_the_first_peer);
        ADD("listen/answers-who-was-heard-last", test_listen_answers_who_was_heard_last);
        ADD("listen/ends-by-a-signal-with-0", test_listen_ends_by_a_signal_with_0);
        ADD("listen/says-why-not", test_listen_says_why_not);
        ADD("listen/takes-a-name", test_listen_takes_a_name);
        ADD("listen/verifies-clients-with-a-ca", test_listen_verifies_clients_with_a_ca);
        ADD("listen/says-that-the-service-has-ended", test_listen_says_that_the_service_has_ended);
        ADD("list/and-show-say-everything", test_list_and_show_say_everything);
        ADD("show/has-what-was-chosen-to-be-spoken", test_what_is_spoken_is_chosen);
        ADD("show/escapes-a-peers-control-characters", test_a_peers_control_characters_are_escaped);
        ADD("service/none-says-how-to-start-it", test_no_service_says_how_to_start_it);
        ADD("bus/none-says-which", test_no_bus_says_which);
        return g_test_run();
}
