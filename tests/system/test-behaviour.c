/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What Qt's own tests hold QDtls to, over the bus. The fourteen behaviours, and where each is
 * shown:
 *
 *  1 peers that are none; when a peer may be set   /bad-input/peers-that-cannot-be-are-refused,
 *                                                  /qdtls/the-peer-is-set-and-read,
 *                                                  /states/of/SetPeer
 *  2 when a handshake may begin                    /states/of/DoHandshake/ both of it
 *  3 when a configuration may be set, and which    /states/of/SetConfiguration,
 *                                                  /qdtls/the-configuration-is-set-until-the-start
 *  4 a lost ClientHello and a lost ServerHello     /behaviour/lost-hellos-are-sent-again-by-hand
 *  5 whose order of suites counts                  /behaviour/the-servers-order-of-suites-counts
 *  6 which protocols meet                          /behaviour/protocols-meet-where-they-overlap
 *  7 several errors, what ignores and clears them  /verification/ all of it
 *  8 an error is of a certificate                  /verification/pairs-match-exactly
 *  9 verify modes; a server's certificate          /verify/modes/ all of it,
 *    in a client's hands                           /behaviour/a-servers-certificate-is-no-clients
 * 10 nothing goes before it is encrypted           /states/of/WriteDatagramEncrypted, ReadDatagram,
 *                                                  Shutdown
 * 11 a datagram that is too long                   /behaviour/what-is-too-long-ends-nothing
 * 12 shutdown, here and there                      /behaviour/a-shutdown-is-told-to-the-peer
 * 13 a certificate on the deny list                /revocation/denied-and-revoked-peers-are-told
 * 14 what works clears the error                   /states/ each cell
 *
 * And driving by hand, where nothing goes out that was not told to.
 */

#include "stage.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#define N_READS 3

typedef struct World {
        Service *service;
        sd_bus *bus;
        Ear *ear;
} World;

static void set_up(World *world, const void *unused) {
        world->service = service_start(NULL);
        /* old protocols are asked about, and root is not */
        world->bus = service_bus(world->service, geteuid() == 0 ? 0 : UID_ALICE);
        world->ear = ear_new(world->bus);
}

static void tear_down(World *world, const void *unused) {
        world->ear = ear_free(world->ear);
        (void)bus_leave(world->bus);
        service_stop(world->service);
}

/* ---- both ends ---- */

static void add_text(sd_bus_message *m, const char *key, const char *value) {
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", key, "s", value), >=, 0);
}

static sd_bus_message *begin_listener(World *world) {
        return options_begin(world->bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", (uint16_t)0);
}

static sd_bus_message *begin_client(World *world, uint16_t port) {
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "PeerAddress", "s", "127.0.0.1",
                                              "PeerPort", "q", port),
                        >=, 0);
        return m;
}

static void wait_state(World *world, const char *path, const char *state) {
        wait_string(world->bus, path, CONNECTION, "HandshakeState", state);
}

static void assert_error(World *world, const char *path, const char *beginning) {
        g_autofree char *error = get_error(world->bus, path);

        if (!g_str_has_prefix(error, beginning))
                g_error("Error is '%s', not %s", error, beginning);
}

/* ---- driving by hand ---- */

/* A client at which nothing happens by itself, and its peer, the test. It has three seconds until
 * a timeout, so that what is asked before is before. */
static char *begin_manually(World *world, uint16_t port) {
        sd_bus_message *m = begin_client(world, port);

        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        add_text(m, "Retransmission", "manual");
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "RetransmitInitial", "u", 3000), >=, 0);
        return options_end_path(world->bus, m);
}

static void wait_timeout(World *world, const char *client, unsigned n) {
        g_autofree char *signal = g_strdup_printf("HandshakeTimeout|%s", client);

        while (ear_count(world->ear, signal) < n)
                (void)ear_wait(world->ear, signal);
}

static void assert_handles(World *world, const char *client, bool expected) {
        sd_bus_message *reply = call(world->bus, client, CONNECTION, "HandleTimeout", "");
        int handled;

        g_assert_cmpint(sd_bus_message_read(reply, "b", &handled), >=, 0);
        g_assert_cmpint(handled, ==, expected);
        (void)sd_bus_message_unref(reply);
}

static uint64_t count_received(void *userdata) {
        World *world = userdata;

        return get_statistic(world->bus, "DatagramsReceived");
}

/* How many datagrams wait to be read; they are read. */
static unsigned drain(int fd, uint16_t *ret_from) {
        struct sockaddr_in from;
        socklen_t size = sizeof(from);
        uint8_t buffer[4096];
        unsigned n = 0;

        while (recvfrom(fd, buffer, sizeof(buffer), MSG_DONTWAIT, (struct sockaddr *)&from, &size) >
               0) {
                *ret_from = ntohs(from.sin_port);
                n++;
        }

        return n;
}

/* Noise, a record of alerts, HelloRequest, half a HelloVerifyRequest, application data in the
 * clear: what comes after the time has run out reminds nobody of it. */
static void test_nothing_is_sent_that_was_not_told_to(World *world, const void *unused) {
        static const struct {
                const char *data;
                size_t size;
        } strays[] = {
                {"x", 1},
                {"\x15\xfe\xfd\0\0\0\0\0\0\0\1\0\2\1\x0a", 15},
                {"\x16\xfe\xfd\0\0\0\0\0\0\0\2\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0", 25},
                {"\x17\xfe\xfd\0\0\0\0\0\0\0\4\0\1x", 14},
        };
        uint16_t port, from = 0, ignored;
        int fd = udp_bind(&port);
        g_autofree char *client = begin_manually(world, port);
        uint64_t n_received;

        do_handshake(world->bus, client);
        assert_handles(world, client, false);
        wait_timeout(world, client, 1);
        g_assert_cmpuint(drain(fd, &from), ==, 1);

        n_received = count_received(world);
        for (size_t i = 0; i < G_N_ELEMENTS(strays); i++) {
                udp_send(fd, from, strays[i].data, strays[i].size);
                wait_statistic_reaches(world->bus, "DatagramsReceived", n_received + i + 1);
        }
        wait_state(world, client, "HandshakeInProgress");
        g_assert_cmpuint(drain(fd, &ignored), ==, 0);

        assert_handles(world, client, true);
        g_assert_cmpuint(drain(fd, &ignored), ==, 1);
        assert_handles(world, client, false);
        g_assert_cmpuint(drain(fd, &ignored), ==, 0);

        /* and the next one is told again */
        wait_timeout(world, client, 2);
        g_assert_cmpuint(drain(fd, &ignored), ==, 0);
        assert_handles(world, client, true);
        g_assert_cmpuint(drain(fd, &ignored), ==, 1);
        (void)close(fd);
}

static void test_a_timeout_is_told_of_in_automatic_mode_too(World *world, const void *unused) {
        uint16_t port, from;
        int fd = udp_bind(&port);
        sd_bus_message *m = begin_client(world, port);
        g_autofree char *client = NULL;

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "RetransmitInitial", "u", 3000), >=, 0);
        client = options_end_path(world->bus, m);
        do_handshake(world->bus, client);
        wait_timeout(world, client, 1);
        assert_handles(world, client, false); /* it is handled already */
        g_assert_cmpuint(drain(fd, &from), >=, 2);
        (void)close(fd);
}

/* ---- 4: a wire that loses what the test says ---- */

typedef struct Lossy {
        World *world;
        const char *client;
        int front_fd, back_fd;
        uint16_t listener_port, client_port;
        unsigned n_hellos, n_server_hellos;
} Lossy;

#define HANDSHAKE_TYPE_AT 13
#define SERVER_HELLO 2

static bool is_server_hello(const uint8_t *data, ssize_t size) {
        return size > HANDSHAKE_TYPE_AT && data[0] == 22 && data[HANDSHAKE_TYPE_AT] == SERVER_HELLO;
}

static void carry_forwards(Lossy *lossy) {
        struct sockaddr_in from;
        socklen_t length = sizeof(from);
        uint8_t data[4096];
        ssize_t size;

        for (;;) {
                size = recvfrom(lossy->front_fd, data, sizeof(data), MSG_DONTWAIT,
                                (struct sockaddr *)&from, &length);
                if (size < 0)
                        return;

                lossy->client_port = ntohs(from.sin_port);
                if (lossy->n_hellos++ > 0)
                        udp_send(lossy->back_fd, lossy->listener_port, data, (size_t)size);
        }
}

static void carry_backwards(Lossy *lossy) {
        uint8_t data[4096];
        ssize_t size;

        for (;;) {
                size = recv(lossy->back_fd, data, sizeof(data), MSG_DONTWAIT);
                if (size < 0)
                        return;

                if (!is_server_hello(data, size) || lossy->n_server_hellos++ > 0)
                        udp_send(lossy->front_fd, lossy->client_port, data, (size_t)size);
        }
}

static bool is_complete(void *userdata) {
        Lossy *lossy = userdata;
        g_autofree char *state = NULL;

        carry_forwards(lossy);
        carry_backwards(lossy);
        state = get_string(lossy->world->bus, lossy->client, CONNECTION, "HandshakeState");
        return g_str_equal(state, "HandshakeComplete");
}

/* Carries on until the client's time has run out. */
static bool has_timed_out(void *userdata) {
        Lossy *lossy = userdata;
        g_autofree char *signal = g_strdup_printf("HandshakeTimeout|%s", lossy->client);

        g_assert_false(is_complete(lossy));
        return ear_count(lossy->world->ear, signal) > 0;
}

/* The first ClientHello is lost, and the first ServerHello: the listener's service sends the one
 * again by itself, the client the other when it is told to. */
static void test_lost_hellos_are_sent_again_by_hand(World *world, const void *unused) {
        sd_bus_message *m = begin_listener(world);
        g_autofree char *listener = NULL, *client = NULL;
        Lossy lossy = {.world = world};
        uint16_t port;

        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "RetransmitInitial", "u", 50), >=, 0);
        listener = options_end_path(world->bus, m);
        lossy.listener_port = get_port(world->bus, listener);
        lossy.front_fd = udp_bind(&port);
        lossy.back_fd = udp_bind(&(uint16_t){0});
        client = begin_manually(world, port);
        lossy.client = client;

        do_handshake(world->bus, client);
        bus_wait(world->bus, has_timed_out, &lossy, "a timeout");
        assert_handles(world, client, true);
        bus_wait(world->bus, is_complete, &lossy, "the end of the handshake");
        g_assert_cmpuint(lossy.n_server_hellos, >=, 2); /* once in 50 ms until it is answered */
        assert_error(world, client, "NoError: ");
        (void)close(lossy.front_fd);
        (void)close(lossy.back_fd);
}

/* ---- 5, 6: what both ends agree on ---- */

static void add_names(sd_bus_message *m, const char *key, const char *first, const char *second) {
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", key, "as", 2, first, second), >=, 0);
}

static bool has_cipher(World *world, const char *path, const char *name) {
        g_autofree char *entry = g_strdup_printf("|Name|%s|", name);
        g_autofree char *text = get_values(world->bus, path, CONNECTION, "SessionCipher");
        bool has = strstr(text, entry);

        return has;
}

static void test_the_servers_order_of_suites_counts(World *world, const void *unused) {
        static const char first[] = "TLS_PSK_WITH_AES_128_GCM_SHA256";
        static const char second[] = "TLS_PSK_WITH_AES_256_GCM_SHA384";

        for (int of_client = 0; of_client < 2; of_client++) {
                sd_bus_message *m = begin_listener(world);
                g_autofree char *listener = NULL, *client = NULL;

                options_add_psk(m, PSK_IDENTITY, PSK_KEY);
                add_names(m, "Ciphers", first, second);
                if (of_client)
                        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "SslOptions", "as", 1,
                                                              "DisableServerCipherPreference"),
                                        >=, 0);
                listener = options_end_path(world->bus, m);
                m = begin_client(world, get_port(world->bus, listener));
                options_add_psk(m, PSK_IDENTITY, PSK_KEY);
                add_names(m, "Ciphers", second, first);
                client = options_end_path(world->bus, m);
                do_handshake(world->bus, client);
                wait_state(world, client, "HandshakeComplete");
                g_assert_true(has_cipher(world, client, of_client ? second : first));
        }
}

typedef struct Protocol {
        const char *name;
        bool old, current; /* which of 1.0 and 1.2 it takes */
} Protocol;

static void check_protocols(World *world, const Protocol *of_server, const Protocol *of_client) {
        bool both_current = of_server->current && of_client->current;
        bool meet = both_current || (of_server->old && of_client->old);
        sd_bus_message *m = begin_listener(world);
        g_autofree char *listener = NULL, *client = NULL, *protocol = NULL;

        g_test_message("%s at the server, %s at the client", of_server->name, of_client->name);
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        add_text(m, "Protocol", of_server->name);
        add_text(m, "CipherProfile", "legacy");
        listener = options_end_path(world->bus, m);
        m = begin_client(world, get_port(world->bus, listener));
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        add_text(m, "Protocol", of_client->name);
        add_text(m, "CipherProfile", "legacy");
        client = options_end_path(world->bus, m);
        do_handshake(world->bus, client);
        wait_state(world, client, meet ? "HandshakeComplete" : "HandshakeNotStarted");
        if (!meet) {
                assert_error(world, client, "TlsFatalError: ");
                return;
        }

        assert_error(world, client, "NoError: ");
        protocol = get_string(world->bus, client, CONNECTION, "SessionProtocol");
        g_assert_cmpstr(protocol, ==, both_current ? "DtlsV1_2" : "DtlsV1_0");
}

static void test_protocols_meet_where_they_overlap(World *world, const void *unused) {
        static const Protocol protocols[] = {
                {"DtlsV1_0", true, false},
                {"DtlsV1_0OrLater", true, true},
                {"DtlsV1_2", false, true},
                {"DtlsV1_2OrLater", false, true},
        };

        if (geteuid() != 0) {
                g_test_skip("only root may use old protocols without being asked");
                return;
        }

        for (size_t i = 0; i < G_N_ELEMENTS(protocols); i++)
                for (size_t j = 0; j < G_N_ELEMENTS(protocols); j++)
                        check_protocols(world, &protocols[i], &protocols[j]);
}

/* ---- 9, 11, 12 ---- */

static void test_a_servers_certificate_is_no_clients(World *world, const void *unused) {
        g_autoptr(TestIdentity) authority =
                test_identity_new("CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) server = test_identity_new(
                "localhost", authority, TEST_IDENTITY_SERVER_ONLY | TEST_IDENTITY_LOOPBACK,
                TEST_KEY_ECDSA);
        sd_bus_message *m = begin_listener(world), *errors;
        g_autofree char *listener = NULL, *client = NULL;
        GString *text;

        options_add_identity(m, server);
        options_add_certificate(m, "CaCertificates", authority);
        add_text(m, "PeerVerifyMode", "VerifyPeer");
        listener = options_end_path(world->bus, m);
        m = begin_client(world, get_port(world->bus, listener));
        options_add_identity(m, server);
        options_add_certificate(m, "CaCertificates", authority);
        client = options_end_path(world->bus, m);
        do_handshake(world->bus, client);

        /* the first connection is the client's own, the second the listener's */
        (void)ear_wait(world->ear, "StateChanged|" ROOT "/connection/2|PeerVerificationFailed|");
        errors = call(world->bus, ROOT "/connection/2", PROPERTIES, "Get", "ss", CONNECTION,
                      "PeerVerificationErrors");
        text = message_flatten(errors);
        g_assert_true(g_str_has_prefix(text->str, "|InvalidPurpose|"));
        (void)g_string_free(text, TRUE);
        (void)sd_bus_message_unref(errors);
}

static void test_what_is_too_long_ends_nothing(World *world, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_psk(world->bus, &port), *server = NULL, *text = NULL;
        g_autofree char *client = open_client(world->bus, port, false);
        g_autofree char *large = g_strnfill((gsize)17 * 1024, 'x');
        sd_bus_message *m = NULL;

        server = ear_wait_connection(world->ear, listener, 1);
        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME, client, CONNECTION,
                                                       "WriteDatagramEncrypted"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', large, strlen(large)), >=, 0);
        g_assert_cmpint(sd_bus_call(world->bus, m, CALL_USEC, NULL, NULL), <, 0);
        (void)sd_bus_message_unref(m);
        assert_error(world, client, "TlsNonFatalError: ");
        wait_state(world, client, "HandshakeComplete");

        write_datagram(world->bus, client, "small", 5);
        assert_error(world, client, "NoError: ");
        read_datagram(world->bus, server, "small");
}

static void test_a_shutdown_is_told_to_the_peer(World *world, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_psk(world->bus, &port), *server = NULL;
        g_autofree char *client = open_client(world->bus, port, false);
        int encrypted = 1;

        server = ear_wait_connection(world->ear, listener, 1);
        (void)sd_bus_message_unref(call(world->bus, client, CONNECTION, "Shutdown", ""));
        wait_state(world, client, "HandshakeNotStarted");
        g_assert_cmpint(sd_bus_get_property_trivial(world->bus, NAME, client, CONNECTION,
                                                    "Encrypted", NULL, 'b', &encrypted),
                        >=, 0);
        g_assert_false(encrypted);
        assert_error(world, client, "NoError: ");

        wait_state(world, server, "HandshakeNotStarted");
        g_free(call_refused("RemoteClosedConnectionError", world->bus, server, CONNECTION,
                            "ReadDatagram", "a{sv}", 0));
        assert_error(world, server, "RemoteClosedConnectionError: ");
}

/* Nothing else wakes the service meanwhile. */
static void test_a_read_ends_when_its_time_is_over(World *world, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_psk(world->bus, &port);
        g_autofree char *client = open_client(world->bus, port, false);

        for (int i = 0; i < N_READS; i++)
                g_free(call_refused("TimedOut", world->bus, client, CONNECTION, "ReadDatagram",
                                    "a{sv}", 1, "Timeout", "u", 1));
}

/* ---- what the table of members needs besides ---- */

static void test_an_address_that_is_not_here_is_an_error_of_the_socket(World *world,
                                                                       const void *unused) {
        sd_bus_message *m = begin_client(world, 5684);
        g_autofree char *client = NULL;

        add_text(m, "LocalAddress", "192.0.2.1");
        client = options_end_path(world->bus, m);
        g_free(call_refused("UnderlyingSocketError", world->bus, client, CONNECTION, "DoHandshake",
                            "ay", 0));
        assert_error(world, client, "UnderlyingSocketError: ");
        wait_state(world, client, "HandshakeNotStarted");
}

/* With a cookie to be returned nothing else would come of one hello. */
static void test_no_cookie_is_asked_for_when_told_so(World *world, const void *unused) {
        for (int cookies = 0; cookies < 2; cookies++) {
                sd_bus_message *m = begin_listener(world);
                uint64_t n_asked = get_statistic(world->bus, "CookiesAsked");
                g_autofree char *listener = NULL, *client = NULL;

                options_add_psk(m, PSK_IDENTITY, PSK_KEY);
                g_assert_cmpint(
                        sd_bus_message_append(m, "{sv}", "CookieVerification", "b", cookies), >=,
                        0);
                listener = options_end_path(world->bus, m);
                client = open_client(world->bus, get_port(world->bus, listener), false);
                g_assert_cmpuint(get_statistic(world->bus, "CookiesAsked"), ==,
                                 n_asked + (uint64_t)cookies);
        }
}

/* A server speaks its list and nothing else; a client takes no suite that it did not list. */
static void test_suites_that_are_not_listed_are_not_spoken(World *world, const void *unused) {
        sd_bus_message *m = begin_listener(world);
        g_autofree char *listener = NULL, *client = NULL;

        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Ciphers", "as", 1,
                                              "TLS_PSK_WITH_AES_128_GCM_SHA256"),
                        >=, 0);
        listener = options_end_path(world->bus, m);
        m = begin_client(world, get_port(world->bus, listener));
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Ciphers", "as", 1,
                                              "TLS_PSK_WITH_AES_256_GCM_SHA384"),
                        >=, 0);
        client = options_end_path(world->bus, m);
        do_handshake(world->bus, client);
        wait_state(world, client, "HandshakeNotStarted");
        assert_error(world, client, "TlsFatalError: ");
}

#define ADD(path, function) g_test_add("/behaviour/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("nothing-is-sent-that-was-not-told-to", test_nothing_is_sent_that_was_not_told_to);
        ADD("a-timeout-is-told-of-in-automatic-mode-too",
            test_a_timeout_is_told_of_in_automatic_mode_too);
        ADD("lost-hellos-are-sent-again-by-hand", test_lost_hellos_are_sent_again_by_hand);
        ADD("the-servers-order-of-suites-counts", test_the_servers_order_of_suites_counts);
        ADD("protocols-meet-where-they-overlap", test_protocols_meet_where_they_overlap);
        ADD("a-servers-certificate-is-no-clients", test_a_servers_certificate_is_no_clients);
        ADD("what-is-too-long-ends-nothing", test_what_is_too_long_ends_nothing);
        ADD("a-shutdown-is-told-to-the-peer", test_a_shutdown_is_told_to_the_peer);
        ADD("a-read-ends-when-its-time-is-over", test_a_read_ends_when_its_time_is_over);
        ADD("an-address-that-is-not-here-is-an-error-of-the-socket",
            test_an_address_that_is_not_here_is_an_error_of_the_socket);
        ADD("no-cookie-is-asked-for-when-told-so", test_no_cookie_is_asked_for_when_told_so);
        ADD("suites-that-are-not-listed-are-not-spoken",
            test_suites_that_are_not_listed_are_not_spoken);
        return g_test_run();
}
