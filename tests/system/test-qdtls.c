/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a user of QDtls sets, reads and is told, over the bus: the rows of the table of QDtls'
 * members in interfaces/README.md that no other test shows.
 */

#include "stage.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

static char *create(Solo *solo) {
        return options_end_path(solo->bus, options_begin(solo->bus, ROOT, MANAGER,
                                                         "CreateConnection", "s", "client"));
}

/* A property with its values flattened: "|" before each. */
static void assert_property(Solo *solo, const char *path, const char *name, const char *value) {
        g_autofree char *text = get_values(solo->bus, path, CONNECTION, name);

        if (!g_str_equal(text, value))
                g_error("%s is '%s', not '%s'", name, text, value);
}

static void assert_property_has(Solo *solo, const char *path, const char *name,
                                const char *expected) {
        g_autofree char *text = get_values(solo->bus, path, CONNECTION, name);

        if (!strstr(text, expected))
                g_error("'%s' is not in %s: '%s'", expected, name, text);
}

static void assert_reply(sd_bus_message *reply, const char *value) {
        GString *text = message_flatten(reply);

        g_assert_cmpstr(text->str, ==, value);
        (void)g_string_free(text, TRUE);
        (void)sd_bus_message_unref(reply);
}

static void test_a_new_object_is_as_qts(Solo *solo, const void *unused) {
        static const struct {
                const char *name, *value;
        } properties[] = {
                {"Mode", "|client"},    {"HandshakeState", "|HandshakeNotStarted"},
                {"Encrypted", "|0"},    {"PeerAddress", "|"},
                {"PeerPort", "|0"},     {"VerificationName", "|"},
                {"MtuHint", "|0"},      {"SessionProtocol", "|UnknownProtocol"},
                {"SessionCipher", ""},  {"PeerVerificationErrors", ""},
                {"Error", "|NoError|"},
        };
        g_autofree char *path = create(solo);

        for (size_t i = 0; i < G_N_ELEMENTS(properties); i++)
                assert_property(solo, path, properties[i].name, properties[i].value);
}

static void test_the_peer_is_set_and_read(Solo *solo, const void *unused) {
        g_autofree char *path = create(solo), *error = NULL;

        (void)sd_bus_message_unref(call(solo->bus, path, CONNECTION, "SetPeer", "sqs", "127.0.0.1",
                                        5684, "a.example"));
        g_free(call_refused("InvalidInputParameters", solo->bus, path, CONNECTION, "SetPeer", "sqs",
                            "224.0.0.1", 5684, "b.example"));
        error = get_error(solo->bus, path);
        g_assert_true(g_str_has_prefix(error, "InvalidInputParameters: "));
        assert_property(solo, path, "PeerAddress", "|127.0.0.1");
        assert_property(solo, path, "PeerPort", "|5684");
        assert_property(solo, path, "VerificationName", "|a.example");
        (void)sd_bus_message_unref(
                call(solo->bus, path, CONNECTION, "SetPeerVerificationName", "s", "c.example"));
        assert_property(solo, path, "VerificationName", "|c.example");
}

static void test_the_mtu_hint_is_set_and_read(Solo *solo, const void *unused) {
        g_autofree char *path = create(solo);

        (void)sd_bus_message_unref(call(solo->bus, path, CONNECTION, "SetMtuHint", "q", 1280));
        assert_property(solo, path, "MtuHint", "|1280");
        g_free(call_refused("InvalidInputParameters", solo->bus, path, CONNECTION, "SetMtuHint",
                            "q", 255));
        assert_property(solo, path, "MtuHint", "|1280");
}

/* A client in manual mode whose peer, @port, never answers; its handshake has begun. */
static char *begin_manually(Solo *solo, uint16_t port) {
        char *path = create(solo);

        (void)sd_bus_message_unref(
                call(solo->bus, path, CONNECTION, "SetPeer", "sqs", "127.0.0.1", port, ""));
        /* three seconds until a timeout, so that what is asked before is before */
        (void)sd_bus_message_unref(call(solo->bus, path, CONNECTION, "SetConfiguration", "a{sv}", 2,
                                        "Retransmission", "s", "manual", "RetransmitInitial", "u",
                                        3000));
        do_handshake(solo->bus, path);
        return path;
}

static void test_the_configuration_is_set_until_the_start(Solo *solo, const void *unused) {
        uint16_t port;
        int fd = udp_bind(&port);
        g_autofree char *path = begin_manually(solo, port);

        assert_property_has(solo, path, "Configuration", "|Retransmission|manual");
        g_free(call_refused("InvalidOperation", solo->bus, path, CONNECTION, "SetConfiguration",
                            "a{sv}", 1, "Retransmission", "s", "automatic"));
        assert_property_has(solo, path, "Configuration", "|Retransmission|manual");
        g_free(call_refused("InvalidOperation", solo->bus, path, CONNECTION, "SetPeer", "sqs",
                            "127.0.0.1", port, ""));
        (void)close(fd);
}

static void assert_initialization_refused(char *text) {
        if (!strstr(text, "'DtlsV1_2OrLater'"))
                g_error("it is not said what can be: %s", text);
        g_free(text);
}

static void check_protocol_of_tls(Solo *solo, const char *listener, uint16_t port,
                                  const char *name) {
        g_autofree char *path = create(solo), *error = NULL;
        g_autofree char *shown = g_strdup_printf("|Protocol|%s", name);

        g_test_message("%s", name);
        (void)sd_bus_message_unref(
                call(solo->bus, path, CONNECTION, "SetPeer", "sqs", "127.0.0.1", port, ""));
        (void)sd_bus_message_unref(call(solo->bus, path, CONNECTION, "SetConfiguration", "a{sv}", 1,
                                        "Protocol", "s", name));
        assert_property_has(solo, path, "Configuration", shown);
        assert_property(solo, path, "Error", "|NoError|");
        assert_initialization_refused(call_refused("TlsInitializationError", solo->bus, path,
                                                   CONNECTION, "DoHandshake", "ay", 0));
        assert_property(solo, path, "HandshakeState", "|HandshakeNotStarted");
        error = get_error(solo->bus, path);
        g_assert_true(g_str_has_prefix(error, "TlsInitializationError: "));

        assert_initialization_refused(call_refused("TlsInitializationError", solo->bus, ROOT,
                                                   MANAGER, "Connect", "sqa{sv}", "127.0.0.1", port,
                                                   1, "Protocol", "s", name));
        assert_initialization_refused(call_refused("TlsInitializationError", solo->bus, ROOT,
                                                   MANAGER, "Listen", "sqa{sv}", "127.0.0.1", 0, 1,
                                                   "Protocol", "s", name));
        assert_initialization_refused(call_refused("TlsInitializationError", solo->bus, listener,
                                                   LISTENER, "SetConfiguration", "a{sv}", 1,
                                                   "Protocol", "s", name));

        /* and with another one it goes on */
        (void)sd_bus_message_unref(call(solo->bus, path, CONNECTION, "SetConfiguration", "a{sv}", 1,
                                        "Protocol", "s", "DtlsV1_2"));
        do_handshake(solo->bus, path);
        assert_property(solo, path, "HandshakeState", "|HandshakeInProgress");
        assert_property(solo, path, "Error", "|NoError|");
        close_object(solo->bus, path, CONNECTION);
}

/* QSsl::SslProtocol, less what begins with Dtls. */
static void test_protocols_of_tls_fail_at_the_handshake(Solo *solo, const void *unused) {
        static const char *const names[] = {"TlsV1_0",         "TlsV1_0OrLater", "TlsV1_1",
                                            "TlsV1_1OrLater",  "TlsV1_2",        "TlsV1_2OrLater",
                                            "TlsV1_3",         "TlsV1_3OrLater", "AnyProtocol",
                                            "SecureProtocols", "UnknownProtocol"};
        uint16_t port, silent;
        int fd = udp_bind(&silent);
        g_autofree char *listener = listen_psk(solo->bus, &port);

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                check_protocol_of_tls(solo, listener, silent, names[i]);

        g_free(open_client(solo->bus, port, false)); /* the listener has not changed */
        (void)close(fd);
}

static ssize_t receive(int fd) {
        char buffer[4096];

        g_assert_true(wait_fd(fd) & POLLIN);
        return recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
}

static void test_a_flight_is_sent_again_when_told(Solo *solo, const void *unused) {
        g_autoptr(Ear) ear = ear_new(solo->bus);
        uint16_t port;
        int fd = udp_bind(&port);
        g_autofree char *path = begin_manually(solo, port), *signal = NULL;

        assert_reply(call(solo->bus, path, CONNECTION, "HandleTimeout", ""), "|0");
        g_assert_cmpint(receive(fd), >, 0);
        signal = g_strdup_printf("HandshakeTimeout|%s", path);
        (void)ear_wait(ear, signal);
        g_assert_cmpint(recv(fd, &port, sizeof port, MSG_DONTWAIT), <, 0); /* nothing by itself */
        assert_reply(call(solo->bus, path, CONNECTION, "HandleTimeout", ""), "|1");
        g_assert_cmpint(receive(fd), >, 0);
        assert_reply(call(solo->bus, path, CONNECTION, "HandleTimeout", ""), "|0");

        (void)sd_bus_message_unref(call(solo->bus, path, CONNECTION, "AbortHandshake", ""));
        assert_property(solo, path, "HandshakeState", "|HandshakeNotStarted");
        (void)close(fd);
}

static void test_the_session_is_told(Solo *solo, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_psk(solo->bus, &port);
        g_autofree char *client = open_client(solo->bus, port, false);

        assert_property(solo, client, "Encrypted", "|1");
        assert_property(solo, client, "SessionProtocol", "|DtlsV1_2");
        assert_property_has(solo, client, "SessionCipher", "|Name|TLS_");
        assert_property_has(solo, client, "SessionCipher", "|Protocol|DtlsV1_2");
        assert_property_has(solo, client, "EphemeralServerKey", "|Curve|");
        (void)sd_bus_message_unref(call(solo->bus, client, CONNECTION, "Shutdown", ""));
        assert_property(solo, client, "Encrypted", "|0");
        assert_property(solo, client, "HandshakeState", "|HandshakeNotStarted");
}

typedef struct Suite {
        const char *name, *key_exchange, *encryption;
        unsigned bits;
        bool is_ephemeral;
} Suite;

static void check_suite(Solo *solo, const char *client, const Suite *suite) {
        g_autofree char *names = g_strdup_printf(
                "|Name|%s|Protocol|DtlsV1_2|KeyExchangeMethod|%s|AuthenticationMethod|PSK|"
                "EncryptionMethod|%s|Mac|",
                suite->name, suite->key_exchange, suite->encryption);
        g_autofree char *bits =
                g_strdup_printf("|SupportedBits|%u|UsedBits|%u|", suite->bits, suite->bits);

        assert_property_has(solo, client, "SessionCipher", names);
        assert_property_has(solo, client, "SessionCipher", bits);
        if (suite->is_ephemeral)
                assert_property_has(solo, client, "EphemeralServerKey", "|Curve|");
        else
                assert_property(solo, client, "EphemeralServerKey", "");
}

/* The words are OpenSSL's, as QSslCipher has them; when it is over there is none again (isNull). */
static void test_the_cipher_has_every_member(Solo *solo, const void *unused) {
        static const Suite suites[] = {
                {"TLS_PSK_WITH_AES_128_GCM_SHA256", "PSK", "AESGCM(128)", 128, false},
                {"TLS_PSK_WITH_AES_128_CCM_8", "PSK", "AESCCM8(128)", 128, false},
                {"TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", "ECDHEPSK",
                 "CHACHA20/POLY1305(256)", 256, true},
        };
        uint16_t port;

        for (size_t i = 0; i < G_N_ELEMENTS(suites); i++) {
                sd_bus_message *m =
                        options_begin(solo->bus, ROOT, MANAGER, "SetDefaultConfiguration", "");
                g_autofree char *client = NULL;

                g_assert_cmpint(
                        sd_bus_message_append(m, "{sv}", "Ciphers", "as", 1, suites[i].name), >=,
                        0);
                (void)sd_bus_message_unref(options_end(solo->bus, m));
                g_free(listen_psk(solo->bus, &port));
                client = open_client(solo->bus, port, false);
                check_suite(solo, client, &suites[i]);

                (void)sd_bus_message_unref(call(solo->bus, client, CONNECTION, "Shutdown", ""));
                assert_property(solo, client, "SessionCipher", "");
                assert_property(solo, client, "SessionProtocol", "|UnknownProtocol");
                assert_property(solo, client, "EphemeralServerKey", "");
        }
}

static void test_what_is_supported_is_listed(Solo *solo, const void *unused) {
        static const struct {
                const char *name, *one;
        } lists[] = {
                {"SupportedCiphers", "|TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
                {"SupportedEllipticCurves", "X25519"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
                g_autofree char *text = get_values(solo->bus, ROOT, MANAGER, lists[i].name);

                if (!strstr(text, lists[i].one))
                        g_error("%s has no %s: '%s'", lists[i].name, lists[i].one, text);
        }
}

static void test_the_end_by_the_peer_is_told(Solo *solo, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_psk(solo->bus, &port);
        g_autofree char *client = open_client(solo->bus, port, false), *error = NULL;

        close_object(solo->bus, listener, LISTENER);
        wait_string(solo->bus, client, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        error = get_error(solo->bus, client);
        g_assert_true(g_str_has_prefix(error, "RemoteClosedConnectionError: "));
}

static void test_cookie_parameters_are_the_listeners(Solo *solo, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_psk(solo->bus, &port), *client = create(solo);

        (void)sd_bus_message_unref(call(solo->bus, listener, LISTENER,
                                        "SetCookieGeneratorParameters", "say", "Sha512", 3, 'a',
                                        'b', 'c'));
        assert_reply(call(solo->bus, listener, LISTENER, "GetCookieGeneratorParameters", ""),
                     "|Sha512|abc");
        g_free(call_refused("InvalidInputParameters", solo->bus, listener, LISTENER,
                            "SetCookieGeneratorParameters", "say", "Blake2b_512", 1, 'a'));
        g_free(call_refused("InvalidInputParameters", solo->bus, listener, LISTENER,
                            "SetCookieGeneratorParameters", "say", "Sha256", 0));
        assert_reply(call(solo->bus, listener, LISTENER, "GetCookieGeneratorParameters", ""),
                     "|Sha512|abc");
        g_free(call_refused("InvalidOperation", solo->bus, client, CONNECTION,
                            "GetCookieGeneratorParameters", ""));
        g_free(call_refused("InvalidOperation", solo->bus, client, CONNECTION,
                            "SetCookieGeneratorParameters", "say", "Sha256", 1, 'a'));
}

/* Error has this name, and says why. */
static void assert_error(Solo *solo, const char *path, const char *name) {
        g_autofree char *error = get_error(solo->bus, path);
        g_autofree char *begins = g_strconcat(name, ": ", NULL);

        g_assert_true(g_str_has_prefix(error, begins));
        if (!g_str_equal(name, "NoError"))
                g_assert_cmpuint(strlen(error), >, strlen(begins));
}

static void test_an_error_stays_until_something_works(Solo *solo, const void *unused) {
        g_autofree char *path = create(solo);

        g_free(call_refused("InvalidOperation", solo->bus, path, CONNECTION, "Shutdown", ""));
        assert_error(solo, path, "InvalidOperation");
        (void)sd_bus_message_unref(
                call(solo->bus, path, CONNECTION, "SetPeer", "sqs", "127.0.0.1", 5684, ""));
        assert_property(solo, path, "Error", "|NoError|");
}

/* Takes @text, which a call was refused with: Error says the same, or its beginning, if it is very
 * long. What works next clears it. */
static void assert_kept(Solo *solo, const char *path, const char *name, char *text) {
        g_autofree char *error = get_error(solo->bus, path);
        g_autofree char *expected = g_strdup_printf("%s: %s", name, text);

        g_assert_true(g_str_has_prefix(expected, error));
        g_assert_cmpuint(strlen(error), >=, MIN(strlen(expected), 255));
        (void)sd_bus_message_unref(call(solo->bus, path, CONNECTION, "SetMtuHint", "q", 1280));
        assert_error(solo, path, "NoError");
        g_free(text);
}

/* In whichever part of the service it is found out. */
static void test_a_bad_argument_is_an_error_too(Solo *solo, const void *unused) {
        static const char bad[] = "InvalidInputParameters";
        g_autofree char *path = create(solo), *name = g_strnfill(256, 'n');
        sd_bus *bus = solo->bus;

        assert_kept(solo, path, bad,
                    call_refused(bad, bus, path, CONNECTION, "SetPeer", "sqs", "0.0.0.0", 1, ""));
        assert_kept(
                solo, path, bad,
                call_refused(bad, bus, path, CONNECTION, "SetPeer", "sqs", "127.0.0.1", 1, name));
        assert_kept(solo, path, bad,
                    call_refused(bad, bus, path, CONNECTION, "SetPeerVerificationName", "s", name));
        assert_kept(solo, path, bad,
                    call_refused(bad, bus, path, CONNECTION, "SetMtuHint", "q", 1));
        assert_kept(solo, path, bad,
                    call_refused(bad, bus, path, CONNECTION, "SetConfiguration", "a{sv}", 1,
                                 "Nonsense", "b", 1));
        assert_kept(solo, path, bad,
                    call_refused(bad, bus, path, CONNECTION, "IgnoreVerificationErrors", "a(say)",
                                 1, "Nonsense", 0));
        assert_kept(solo, path, bad,
                    call_refused(bad, bus, path, CONNECTION, "DoHandshake", "ay", 1, 'x'));
        assert_kept(solo, path, bad,
                    call_refused(bad, bus, path, CONNECTION, "ReadDatagram", "a{sv}", 1, "Timeout",
                                 "u", 600001));
        assert_kept(solo, path, bad,
                    call_refused(bad, bus, path, CONNECTION, "OpenChannel", "a{sv}", 1, "Nonsense",
                                 "b", 1));
        assert_kept(solo, path, "InvalidOperation",
                    call_refused("InvalidOperation", bus, path, CONNECTION,
                                 "GetCookieGeneratorParameters", ""));
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        char **ret_name = userdata;

        *ret_name = g_strdup(sd_bus_message_get_error(m)->name);
        return 0;
}

static bool is_there(void *userdata) {
        return *(char **)userdata;
}

/* Who waits to read hears of it, but made no call after the end that could have failed. */
static void test_the_end_leaves_no_error_of_waiting_calls(Solo *solo, const void *unused) {
        uint16_t port;
        g_autofree char *client = NULL, *refused = NULL;

        g_free(listen_psk(solo->bus, &port));
        client = open_client(solo->bus, port, false);
        g_assert_cmpint(sd_bus_call_method_async(solo->bus, NULL, NAME, client, CONNECTION,
                                                 "ReadDatagram", on_reply, &refused, "a{sv}", 1,
                                                 "Timeout", "u", 600000),
                        >=, 0);
        (void)sd_bus_message_unref(call(solo->bus, client, CONNECTION, "Shutdown", ""));
        bus_wait(solo->bus, is_there, &refused, "an answer of ReadDatagram");
        g_assert_cmpstr(refused, ==, ERROR_PREFIX "InvalidOperation");
        assert_error(solo, client, "NoError");
}

static void test_a_datagram_is_no_call(Solo *solo, const void *unused) {
        g_autoptr(Ear) ear = ear_new(solo->bus);
        uint16_t port;
        g_autofree char *listener = listen_psk(solo->bus, &port);
        g_autofree char *client = create_client(solo->bus, port, false), *server = NULL;
        sd_bus_message *m = options_begin(solo->bus, client, CONNECTION, "SetConfiguration", "");

        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "DatagramSignals", "b", 1), >=, 0);
        (void)sd_bus_message_unref(options_end(solo->bus, m));
        do_handshake(solo->bus, client);
        server = ear_wait_connection(ear, listener, 1);
        wait_string(solo->bus, client, CONNECTION, "HandshakeState", "HandshakeComplete");

        g_free(call_refused("InvalidInputParameters", solo->bus, client, CONNECTION, "SetMtuHint",
                            "q", 1));
        write_datagram(solo->bus, server, "hello", 5);
        (void)ear_wait(ear, "DatagramReceived|");
        assert_error(solo, client, "InvalidInputParameters");
}

#define ADD(path, function)                                                                        \
        g_test_add("/qdtls/" path, Solo, NULL, solo_set_up, function, solo_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("a-new-object-is-as-qts", test_a_new_object_is_as_qts);
        ADD("the-peer-is-set-and-read", test_the_peer_is_set_and_read);
        ADD("the-mtu-hint-is-set-and-read", test_the_mtu_hint_is_set_and_read);
        ADD("the-configuration-is-set-until-the-start",
            test_the_configuration_is_set_until_the_start);
        ADD("protocols-of-tls-fail-at-the-handshake", test_protocols_of_tls_fail_at_the_handshake);
        ADD("a-flight-is-sent-again-when-told", test_a_flight_is_sent_again_when_told);
        ADD("the-session-is-told", test_the_session_is_told);
        ADD("the-cipher-has-every-member", test_the_cipher_has_every_member);
        ADD("what-is-supported-is-listed", test_what_is_supported_is_listed);
        ADD("the-end-by-the-peer-is-told", test_the_end_by_the_peer_is_told);
        ADD("cookie-parameters-are-the-listeners", test_cookie_parameters_are_the_listeners);
        ADD("an-error-stays-until-something-works", test_an_error_stays_until_something_works);
        ADD("a-bad-argument-is-an-error-too", test_a_bad_argument_is_an_error_too);
        ADD("the-end-leaves-no-error-of-waiting-calls",
            test_the_end_leaves_no_error_of_waiting_calls);
        ADD("a-datagram-is-no-call", test_a_datagram_is_no_call);
        return g_test_run();
}
