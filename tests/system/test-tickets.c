/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sessions that are taken up by their tickets, between our own ends and with OpenSSL at the other
 * one; and tickets that are not good: foreign, altered, of another connection, of a peer that is no
 * longer trusted.
 */

#include "interop/peer.h"
#include "stage.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LIFETIME 3600 /* s, of our listeners' tickets (Manager.xml) */

typedef struct World {
        Service *service;
        sd_bus *bus;
        Ear *ear;
        char *directory; /* the service reads there */
        TestIdentity *authority, *server;
} World;

static void write_denied(const World *world, const char *text) {
        g_autoptr(GBytes) contents = g_bytes_new(text, strlen(text));
        g_autofree char *path = test_write(world->directory, "denied.list", contents);

        g_assert_cmpint(g_chmod(path, 0644), ==, 0);
}

static void set_up(World *world, const void *unused) {
        g_autofree char *config = NULL;

        world->directory = g_dir_make_tmp("dtlsd-tickets.XXXXXX", NULL);
        g_assert_nonnull(world->directory);
        g_assert_cmpint(g_chmod(world->directory, 0755), ==, 0);
        world->authority = test_identity_new("CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world->server = test_identity_new("localhost", world->authority, TEST_IDENTITY_LOOPBACK,
                                          TEST_KEY_ECDSA);
        test_identity_write(world->authority, world->directory, "ca");
        test_identity_write(world->server, world->directory, "server");
        write_denied(world, "# nobody\n");
        config = g_strdup_printf("[Trust]\nDenyList=%s/denied.list\n", world->directory);
        world->service = service_start(config);
        world->bus = service_bus(world->service, UID_ALICE);
        world->ear = ear_new(world->bus);
}

static void tear_down(World *world, const void *unused) {
        world->ear = ear_free(world->ear);
        (void)bus_leave(world->bus);
        service_stop(world->service);
        (void)test_identity_free(world->authority);
        (void)test_identity_free(world->server);
        service_remove_directory(world->directory);
        g_free(world->directory);
}

/* ---- the two ends ---- */

static void add_options(sd_bus_message *m, const char *name) {
        if (name)
                g_assert_cmpint(sd_bus_message_append(m, "{sv}", "SslOptions", "as", 1, name), >=,
                                0);
        else
                g_assert_cmpint(sd_bus_message_append(m, "{sv}", "SslOptions", "as", 0), >=, 0);
}

/* @option: of SslOptions, NULL: an empty list. */
static char *listen_with(const World *world, const char *option, uint16_t *ret_port) {
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", (uint16_t)0);
        char *listener;

        options_add_identity(m, world->server);
        add_options(m, option);
        listener = options_end_path(world->bus, m);
        *ret_port = get_port(world->bus, listener);
        return listener;
}

static uint16_t listen_port(const World *world, const char *option) {
        uint16_t port;

        g_free(listen_with(world, option, &port));
        return port;
}

static sd_bus_message *begin_client(const World *world, uint16_t port, const char *name) {
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        options_add_certificate(m, "CaCertificates", world->authority);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "PeerAddress", "s", "127.0.0.1",
                                              "PeerPort", "q", port, "VerificationName", "s", name),
                        >=, 0);
        return m;
}

/* @ticket: NULL: without. */
static char *make_client(const World *world, uint16_t port, const char *name, GBytes *ticket) {
        sd_bus_message *m = begin_client(world, port, name);

        add_options(m, NULL);
        options_add_ticket(m, ticket);
        return options_end_path(world->bus, m);
}

static void wait_state(const World *world, const char *path, const char *state) {
        wait_string(world->bus, path, CONNECTION, "HandshakeState", state);
}

static char *open_client_with(const World *world, uint16_t port, GBytes *ticket) {
        char *path = make_client(world, port, "localhost", ticket);

        do_handshake(world->bus, path);
        wait_state(world, path, "HandshakeComplete");
        return path;
}

static GBytes *get_ticket(const World *world, const char *path, uint32_t *ret_lifetime) {
        sd_bus_message *reply = call(world->bus, path, CONNECTION, "GetSessionTicket", "");
        const void *data;
        GBytes *ticket;
        size_t size;

        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &data, &size), >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "u", ret_lifetime), >=, 0);
        ticket = g_bytes_new(data, size);
        (void)sd_bus_message_unref(reply);
        return ticket;
}

/* Of a connection that is over. */
static GBytes *earn_ticket(const World *world, uint16_t port) {
        g_autofree char *path = open_client_with(world, port, NULL);
        uint32_t lifetime;
        GBytes *ticket = get_ticket(world, path, &lifetime);

        close_object(world->bus, path, CONNECTION);
        return ticket;
}

static bool is_resumed(const World *world, const char *path) {
        int resumed;

        g_assert_cmpint(sd_bus_get_property_trivial(world->bus, NAME, path, CONNECTION, "Resumed",
                                                    NULL, 'b', &resumed),
                        >=, 0);
        return resumed;
}

static uint32_t get_hint(const World *world, const char *path) {
        uint32_t hint;

        g_assert_cmpint(sd_bus_get_property_trivial(world->bus, NAME, path, CONNECTION,
                                                    "SessionTicketLifeTimeHint", NULL, 'u', &hint),
                        >=, 0);
        return hint;
}

/* ---- our own listener ---- */

static void test_take_a_session_up_at_our_listener(World *world, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_with(world, NULL, &port);
        g_autofree char *first = open_client_with(world, port, NULL);
        g_autofree char *first_server = ear_wait_connection(world->ear, listener, 1);
        g_autofree char *second = NULL, *second_server = NULL;
        g_autoptr(GBytes) ticket = NULL;
        uint32_t lifetime;

        g_assert_false(is_resumed(world, first));
        g_assert_false(is_resumed(world, first_server));
        ticket = get_ticket(world, first, &lifetime);
        g_assert_cmpuint(lifetime, ==, LIFETIME);
        g_assert_cmpuint(get_hint(world, first), ==, LIFETIME);
        g_assert_cmpuint(get_hint(world, first_server), ==, 0);

        second = open_client_with(world, port, ticket);
        second_server = ear_wait_connection(world->ear, listener, 2);
        g_assert_true(is_resumed(world, second));
        g_assert_true(is_resumed(world, second_server));
        write_datagram(world->bus, second, "there", 5);
        read_datagram(world->bus, second_server, "there");
        write_datagram(world->bus, second_server, "back", 4);
        read_datagram(world->bus, second, "back");
}

/* From session to session, one kept for another time too. */
static void test_a_session_taken_up_has_one_too(World *world, const void *unused) {
        uint16_t port = listen_port(world, NULL);
        g_autoptr(GBytes) ticket = earn_ticket(world, port);

        for (int i = 0; i < 3; i++) {
                g_autofree char *path = open_client_with(world, port, ticket);
                g_autoptr(GBytes) before = g_steal_pointer(&ticket);
                g_autofree char *again = open_client_with(world, port, before);
                uint32_t lifetime;

                g_assert_true(is_resumed(world, path));
                g_assert_true(is_resumed(world, again));
                ticket = get_ticket(world, path, &lifetime);
                g_assert_cmpuint(get_hint(world, path), ==, lifetime);
        }
}

static void test_connect_takes_one_too(World *world, const void *unused) {
        uint16_t port = listen_port(world, NULL);
        g_autoptr(GBytes) ticket = earn_ticket(world, port);
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "Connect", "sq", "127.0.0.1", port);
        sd_bus_message *reply;
        const char *path;

        options_add_certificate(m, "CaCertificates", world->authority);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "VerificationName", "s", "localhost"), >=,
                        0);
        add_options(m, NULL);
        options_add_ticket(m, ticket);
        reply = options_end(world->bus, m);
        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
        g_assert_true(is_resumed(world, path));
        (void)sd_bus_message_unref(reply);
}

/* What is read back is whether there is one; whoever sees the object learns no more. */
static void test_are_not_shown(World *world, const void *unused) {
        uint16_t port = listen_port(world, NULL);
        g_autoptr(GBytes) ticket = earn_ticket(world, port);
        g_autofree char *with = make_client(world, port, "localhost", ticket);
        g_autofree char *without = make_client(world, port, "localhost", NULL);
        const char *const paths[] = {with, without};

        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
                sd_bus_message *reply = NULL;
                GString *text;

                g_assert_cmpint(sd_bus_get_property(world->bus, NAME, paths[i], CONNECTION,
                                                    "Configuration", NULL, &reply, "a{sv}"),
                                >=, 0);
                text = message_flatten(reply);
                g_assert_nonnull(strstr(text->str, i == 0 ? "SessionTicket|1" : "SessionTicket|0"));
                (void)g_string_free(text, TRUE);
                (void)sd_bus_message_unref(reply);
        }
}

static void expect_no_ticket(const World *world, uint16_t port, const char *option) {
        sd_bus_message *m = begin_client(world, port, "localhost");
        g_autofree char *path = NULL;

        if (option)
                add_options(m, *option ? option : NULL);
        path = options_end_path(world->bus, m);
        do_handshake(world->bus, path);
        wait_state(world, path, "HandshakeComplete");
        g_free(call_refused("TlsNonFatalError", world->bus, path, CONNECTION, "GetSessionTicket",
                            ""));
        g_assert_cmpuint(get_hint(world, path), ==, 0);
        close_object(world->bus, path, CONNECTION);
}

static void test_are_off_unless_ssl_options_allow_them(World *world, const void *unused) {
        static const char *const off[] = {"DisableSessionTickets", "DisableSessionPersistence"};
        uint16_t giving = listen_port(world, NULL);

        expect_no_ticket(world, giving, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(off); i++) {
                expect_no_ticket(world, listen_port(world, off[i]), "");
                expect_no_ticket(world, giving, off[i]);
        }
}

static void test_one_that_was_replaced_is_a_full_handshake(World *world, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_with(world, NULL, &port);
        g_autoptr(GBytes) ticket = earn_ticket(world, port);
        g_autofree char *second = NULL;
        sd_bus_message *m;

        m = options_begin(world->bus, listener, LISTENER, "SetConfiguration", "");
        options_add_identity(m, world->server);
        add_options(m, NULL);
        (void)sd_bus_message_unref(options_end(world->bus, m));
        second = open_client_with(world, port, ticket);
        g_assert_false(is_resumed(world, second));
        g_assert_cmpuint(get_hint(world, second), ==, LIFETIME);
}

/* A default is a client's too, and is looked at where it is used. */
static void test_one_can_be_a_default(World *world, const void *unused) {
        uint16_t port = listen_port(world, NULL);
        g_autoptr(GBytes) ticket = earn_ticket(world, port);
        g_autofree char *good = NULL, *none = NULL;
        sd_bus_message *m = options_begin(world->bus, ROOT, MANAGER, "SetDefaultConfiguration", "");

        add_options(m, NULL);
        options_add_ticket(m, ticket);
        (void)sd_bus_message_unref(options_end(world->bus, m));
        good = options_end_path(world->bus, begin_client(world, port, "localhost"));
        do_handshake(world->bus, good);
        wait_state(world, good, "HandshakeComplete");
        g_assert_true(is_resumed(world, good));

        /* an empty one takes its place */
        m = begin_client(world, port, "localhost");
        options_add_bytes(m, "SessionTicket", NULL, 0);
        none = options_end_path(world->bus, m);
        do_handshake(world->bus, none);
        wait_state(world, none, "HandshakeComplete");
        g_assert_false(is_resumed(world, none));

        m = options_begin(world->bus, ROOT, MANAGER, "SetDefaultConfiguration", "");
        add_options(m, NULL);
        options_add_bytes(m, "SessionTicket", "x", 1);
        (void)sd_bus_message_unref(options_end(world->bus, m));
        m = begin_client(world, port, "localhost");
        g_free(options_end_refused("InvalidInputParameters", world->bus, m));
}

/* ---- what is refused ---- */

static void expect_foreign(const World *world, uint16_t port, GBytes *ticket) {
        sd_bus_message *m = begin_client(world, port, "localhost");
        g_autofree char *text = NULL;

        add_options(m, NULL);
        options_add_ticket(m, ticket);
        text = options_end_refused("InvalidInputParameters", world->bus, m);
        g_assert_nonnull(strstr(text, "connect without it"));
}

static void test_an_altered_one_is_refused(World *world, const void *unused) {
        uint16_t port = listen_port(world, NULL);
        g_autofree char *client = make_client(world, port, "localhost", NULL);
        g_autoptr(GBytes) ticket = earn_ticket(world, port);
        g_autoptr(GBytes) altered = NULL, cut = NULL;
        gsize size;
        const uint8_t *good = g_bytes_get_data(ticket, &size);
        g_autofree uint8_t *data = g_memdup2(good, size);
        sd_bus_message *m;

        data[size / 2] ^= 1;
        altered = g_bytes_new(data, size);
        expect_foreign(world, port, altered);
        cut = g_bytes_new_from_bytes(ticket, 0, 20);
        expect_foreign(world, port, cut);

        /* of an object that is there already, too; and the good one is taken */
        m = options_begin(world->bus, client, CONNECTION, "SetConfiguration", "");
        add_options(m, NULL);
        options_add_ticket(m, altered);
        g_free(options_end_refused("InvalidInputParameters", world->bus, m));
        m = options_begin(world->bus, client, CONNECTION, "SetConfiguration", "");
        options_add_certificate(m, "CaCertificates", world->authority);
        add_options(m, NULL);
        options_add_ticket(m, ticket);
        (void)sd_bus_message_unref(options_end(world->bus, m));
        do_handshake(world->bus, client);
        wait_state(world, client, "HandshakeComplete");
        g_assert_true(is_resumed(world, client));
}

static void test_another_users_is_refused(World *world, const void *unused) {
        World bob = *world;
        g_autoptr(GBytes) ticket = NULL;
        uint16_t port;

        if (!service_has_users())
                return;

        port = listen_port(world, NULL);
        ticket = earn_ticket(world, port);
        bob.bus = service_bus(world->service, UID_BOB);
        expect_foreign(&bob, port, ticket);
        (void)bus_leave(bob.bus);
}

static void test_one_of_before_the_start_is_refused(World *world, const void *unused) {
        uint16_t port = listen_port(world, NULL);
        g_autoptr(GBytes) ticket = earn_ticket(world, port);
        World other;

        set_up(&other, NULL);
        expect_foreign(&other, port, ticket);
        tear_down(&other, NULL);
}

static void expect_other(const World *world, const char *path) {
        g_autofree char *text = call_refused("TlsInitializationError", world->bus, path, CONNECTION,
                                             "DoHandshake", "ay", 0);

        g_assert_nonnull(strstr(text, "connect without it"));
        wait_state(world, path, "HandshakeNotStarted");
}

static void test_one_of_another_connection_is_refused(World *world, const void *unused) {
        uint16_t port = listen_port(world, NULL);
        g_autoptr(GBytes) ticket = earn_ticket(world, port);
        g_autofree char *named = make_client(world, port, "127.0.0.1", ticket);
        g_autofree char *renamed = make_client(world, port, "localhost", ticket);
        g_autofree char *trusting = NULL, *shallow = NULL;
        sd_bus_message *m;

        expect_other(world, named);
        (void)sd_bus_message_unref(call(world->bus, renamed, CONNECTION, "SetPeerVerificationName",
                                        "s", "other.example"));
        expect_other(world, renamed);

        m = begin_client(world, port, "localhost");
        add_options(m, NULL);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "PeerVerifyMode", "s", "QueryPeer"), >=,
                        0);
        options_add_ticket(m, ticket);
        trusting = options_end_path(world->bus, m);
        expect_other(world, trusting);

        m = begin_client(world, port, "localhost");
        add_options(m, NULL);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "PeerVerifyDepth", "u", 1), >=, 0);
        options_add_ticket(m, ticket);
        shallow = options_end_path(world->bus, m);
        expect_other(world, shallow);

        /* under the name again all is well */
        (void)sd_bus_message_unref(
                call(world->bus, renamed, CONNECTION, "SetPeerVerificationName", "s", "localhost"));
        do_handshake(world->bus, renamed);
        wait_state(world, renamed, "HandshakeComplete");
        g_assert_true(is_resumed(world, renamed));
}

static void test_one_without_ssl_options_is_refused(World *world, const void *unused) {
        sd_bus_message *m = begin_client(world, 5684, "localhost");
        g_autofree char *text = NULL;

        options_add_bytes(m, "SessionTicket", "x", 1);
        text = options_end_refused("InvalidInputParameters", world->bus, m);
        g_assert_nonnull(strstr(text, "SslOptions"));
}

/* ---- OpenSSL ---- */

static Peer *start_server(const World *world, uint16_t *ret_port) {
        g_autofree char *crt = g_build_filename(world->directory, "server.crt", NULL);
        g_autofree char *key = g_build_filename(world->directory, "server.key", NULL);
        Peer *peer =
                peer_start((const char *const[]){"openssl", "s_server", "-dtls1_2", "-accept",
                                                 "127.0.0.1:0", "-cert", crt, "-key", key, NULL});
        g_autofree char *port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");

        *ret_port = (uint16_t)g_ascii_strtoull(port, NULL, 10);
        return peer;
}

static void test_openssl_as_the_server(World *world, const void *unused) {
        uint16_t port;
        Peer *peer = start_server(world, &port);
        g_autofree char *first = open_client_with(world, port, NULL), *second = NULL;
        g_autoptr(GBytes) ticket = NULL;
        uint32_t lifetime;

        ticket = get_ticket(world, first, &lifetime);
        g_assert_cmpuint(lifetime, >, 0);
        g_assert_cmpuint(get_hint(world, first), ==, lifetime);
        g_assert_false(is_resumed(world, first));
        close_object(world->bus, first, CONNECTION);

        g_free(peer_wait_for(peer, "^DONE$"));
        second = open_client_with(world, port, ticket);
        g_assert_true(is_resumed(world, second));
        g_free(peer_wait_for(peer, "^Reused session-id"));
        write_datagram(world->bus, second, "from dtlsd\n", 11);
        g_free(peer_wait_for(peer, "^from dtlsd"));
        peer_say(peer, "from openssl\n");
        read_datagram(world->bus, second, "from openssl\n");
        (void)peer_stop(peer);
}

static Peer *start_client(const World *world, uint16_t port, const char *option,
                          const char *session) {
        g_autofree char *target = g_strdup_printf("127.0.0.1:%u", port);
        g_autofree char *ca = g_build_filename(world->directory, "ca.crt", NULL);

        return peer_start((const char *const[]){"openssl", "s_client", "-dtls1_2", "-connect",
                                                target, "-CAfile", ca, "-verify_return_error",
                                                option, session, NULL});
}

static void test_openssl_as_the_client(World *world, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_with(world, NULL, &port);
        g_autofree char *session = g_build_filename(world->directory, "session.pem", NULL);
        Peer *peer = start_client(world, port, "-sess_out", session);
        g_autofree char *first = ear_wait_connection(world->ear, listener, 1), *second = NULL;

        g_assert_false(is_resumed(world, first));
        g_free(peer_wait_for(peer, "TLS session ticket lifetime hint: 3600"));
        (void)peer_stop(peer);

        peer = start_client(world, port, "-sess_in", session);
        second = ear_wait_connection(world->ear, listener, 2);
        g_assert_true(is_resumed(world, second));
        g_free(peer_wait_for(peer, "^Reused, TLSv1.2"));
        peer_say(peer, "from openssl\n");
        read_datagram(world->bus, second, "from openssl\n");
        write_datagram(world->bus, second, "from dtlsd\n", 11);
        g_free(peer_wait_for(peer, "^from dtlsd"));
        (void)peer_stop(peer);
}

static bool was_read_again(void *userdata) {
        const World *world = userdata;
        g_autofree char *log = service_log(world->service);

        return strstr(log, "are read again") != NULL;
}

/* A ticket is no way around the deny list. */
static void test_a_peer_denied_since_is_not_taken_up(World *world, const void *unused) {
        uint16_t port;
        Peer *peer = start_server(world, &port);
        g_autoptr(GBytes) ticket = earn_ticket(world, port);
        g_autofree char *hash =
                g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(world->server));
        g_autofree char *path = make_client(world, port, "localhost", ticket);
        sd_bus_message *reply = NULL;
        GString *errors;

        g_free(peer_wait_for(peer, "^DONE$"));
        write_denied(world, hash);
        g_assert_cmpint(kill(service_pid(world->service), SIGHUP), ==, 0);
        bus_wait(world->bus, was_read_again, world, "the files to be read again");
        do_handshake(world->bus, path);
        wait_state(world, path, "PeerVerificationFailed");
        g_assert_cmpint(sd_bus_get_property(world->bus, NAME, path, CONNECTION,
                                            "PeerVerificationErrors", NULL, &reply, "a(say)"),
                        >=, 0);
        errors = message_flatten(reply);
        g_assert_true(g_str_has_prefix(errors->str, "|CertificateBlacklisted|"));
        (void)g_string_free(errors, TRUE);
        (void)sd_bus_message_unref(reply);
        (void)peer_stop(peer);
}

#define ADD(name, function) g_test_add("/tickets/" name, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("take-a-session-up-at-our-listener", test_take_a_session_up_at_our_listener);
        ADD("a-session-taken-up-has-one-too", test_a_session_taken_up_has_one_too);
        ADD("connect-takes-one-too", test_connect_takes_one_too);
        ADD("are-not-shown", test_are_not_shown);
        ADD("are-off-unless-ssl-options-allow-them", test_are_off_unless_ssl_options_allow_them);
        ADD("one-that-was-replaced-is-a-full-handshake",
            test_one_that_was_replaced_is_a_full_handshake);
        ADD("one-can-be-a-default", test_one_can_be_a_default);
        ADD("an-altered-one-is-refused", test_an_altered_one_is_refused);
        ADD("another-users-is-refused", test_another_users_is_refused);
        ADD("one-of-before-the-start-is-refused", test_one_of_before_the_start_is_refused);
        ADD("one-of-another-connection-is-refused", test_one_of_another_connection_is_refused);
        ADD("one-without-ssl-options-is-refused", test_one_without_ssl_options_is_refused);
        ADD("openssl-as-the-server", test_openssl_as_the_server);
        ADD("openssl-as-the-client", test_openssl_as_the_client);
        ADD("a-peer-denied-since-is-not-taken-up", test_a_peer_denied_since_is_not_taken_up);
        return g_test_run();
}
