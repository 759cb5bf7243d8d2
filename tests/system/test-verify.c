/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Who is verified in which mode and how deep, in both roles; the order of Qt, where the handshake
 * is over before the verdict; and what the peer, which is OpenSSL's, hears of a verdict.
 */

#include "interop/peer.h"
#include "stage.h"

#include <string.h>

#define COMPLETE "HandshakeComplete"
#define FAILED "PeerVerificationFailed"
#define NOT_STARTED "HandshakeNotStarted"
#define EARLY "before the verdict\n"

enum {
        AUTHORITY, /* trusted */
        MIDDLE,    /* below it */
        STRANGER,  /* an authority that nobody trusts */
        GOOD,
        DEEP, /* below the middle */
        UNKNOWN,
        EXPIRED,
        OTHER_NAME,
        OTHER_PURPOSE,
        N_IDENTITIES,
};

static const struct {
        const char *file, *cn;
        int issuer; /* -1: itself */
        TestIdentityFlags flags;
} specs[N_IDENTITIES] = {
        [AUTHORITY] = {"authority", "Trusted CA", -1, TEST_IDENTITY_CA},
        [MIDDLE] = {"middle", "Middle CA", AUTHORITY, TEST_IDENTITY_CA},
        [STRANGER] = {"stranger", "Somebody's CA", -1, TEST_IDENTITY_CA},
        [GOOD] = {"good", "localhost", AUTHORITY, 0},
        [DEEP] = {"deep", "localhost", MIDDLE, 0},
        [UNKNOWN] = {"unknown", "localhost", STRANGER, 0},
        [EXPIRED] = {"expired", "localhost", AUTHORITY, TEST_IDENTITY_EXPIRED},
        [OTHER_NAME] = {"other-name", "other.example", AUTHORITY, 0},
        [OTHER_PURPOSE] = {"other-purpose", "localhost", AUTHORITY, TEST_IDENTITY_CLIENT_ONLY},
};

#define UNKNOWN_ERRORS                                                                             \
        "UnableToGetLocalIssuerCertificate of unknown, UnableToVerifyFirstCertificate of unknown"

typedef struct World {
        Service *service;
        sd_bus *bus;
        Ear *ear;
        char *directory;
        TestIdentity *identities[N_IDENTITIES];
} World;

static void set_up(World *world, const void *unused) {
        world->directory = g_dir_make_tmp("dtlsd-verify.XXXXXX", NULL);
        g_assert_nonnull(world->directory);
        for (int i = 0; i < N_IDENTITIES; i++) {
                const TestIdentity *issuer =
                        specs[i].issuer < 0 ? NULL : world->identities[specs[i].issuer];

                world->identities[i] =
                        test_identity_new(specs[i].cn, issuer, specs[i].flags, TEST_KEY_ECDSA);
                test_identity_write(world->identities[i], world->directory, specs[i].file);
        }
        world->service = service_start(NULL);
        world->bus = service_bus(world->service, UID_ALICE);
        world->ear = ear_new(world->bus);
}

static void tear_down(World *world, const void *unused) {
        world->ear = ear_free(world->ear);
        (void)bus_leave(world->bus);
        service_stop(world->service);
        for (int i = 0; i < N_IDENTITIES; i++)
                (void)test_identity_free(world->identities[i]);
        service_remove_directory(world->directory);
        g_free(world->directory);
}

/* ---- the peer ---- */

static void add_file(GPtrArray *argv, const World *world, const char *option, int identity,
                     const char *suffix) {
        g_autofree char *name = g_strconcat(specs[identity].file, suffix, NULL);

        g_ptr_array_add(argv, g_strdup(option));
        g_ptr_array_add(argv, g_build_filename(world->directory, name, NULL));
}

/* @identity: -1 for none; its issuer is sent along when it is not an anchor. */
static Peer *start_peer(const World *world, const char *program, const char *option,
                        const char *address, int identity) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);

        g_ptr_array_add(argv, g_strdup("openssl"));
        g_ptr_array_add(argv, g_strdup(program));
        g_ptr_array_add(argv, g_strdup("-dtls1_2"));
        g_ptr_array_add(argv, g_strdup(option));
        g_ptr_array_add(argv, g_strdup(address));
        if (identity >= 0) {
                add_file(argv, world, "-cert", identity, ".crt");
                add_file(argv, world, "-key", identity, ".key");
        }
        if (identity == DEEP)
                add_file(argv, world, "-cert_chain", MIDDLE, ".crt");
        g_ptr_array_add(argv, NULL);
        return peer_start((const char *const *)argv->pdata);
}

static Peer *start_server(const World *world, int identity, uint16_t *ret_port) {
        Peer *peer = start_peer(world, "s_server", "-accept", "127.0.0.1:0", identity);
        g_autofree char *port = peer_wait_for(peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");

        *ret_port = (uint16_t)g_ascii_strtoull(port, NULL, 10);
        return peer;
}

static Peer *start_client(const World *world, int identity, uint16_t port) {
        g_autofree char *address = g_strdup_printf("127.0.0.1:%u", port);

        return start_peer(world, "s_client", "-connect", address, identity);
}

static void expect_alert(Peer *peer, unsigned description) {
        g_autofree char *regex = g_strdup_printf("SSL alert number %u$", description);

        g_free(peer_wait_for(peer, regex));
}

/* ---- ours ---- */

static sd_bus_message *begin_client(const World *world, uint16_t port, const char *mode) {
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        options_add_certificate(m, "CaCertificates", world->identities[AUTHORITY]);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}{sv}", "PeerAddress", "s",
                                              "127.0.0.1", "PeerPort", "q", port,
                                              "VerificationName", "s", "localhost",
                                              "PeerVerifyMode", "s", mode),
                        >=, 0);
        return m;
}

static sd_bus_message *begin_listener(const World *world, const char *mode) {
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", (uint16_t)0);

        options_add_identity(m, world->identities[GOOD]);
        options_add_certificate(m, "CaCertificates", world->identities[AUTHORITY]);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "PeerVerifyMode", "s", mode), >=, 0);
        return m;
}

static void add_number(sd_bus_message *m, const char *key, uint32_t value) {
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", key, "u", value), >=, 0);
}

static void add_flag(sd_bus_message *m, const char *key, bool value) {
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", key, "b", value), >=, 0);
}

static void wait_state(const World *world, const char *connection, const char *state) {
        wait_string(world->bus, connection, CONNECTION, "HandshakeState", state);
}

/* The connection that the listener's first peer has come to, in this state. */
static char *wait_connection(const World *world, const char *state) {
        const GString *first = ear_wait(world->ear, "StateChanged|");
        g_auto(GStrv) fields = g_strsplit(first->str, "|", 3);

        wait_state(world, fields[1], state);
        return g_strdup(fields[1]);
}

static const char *whose(const World *world, const void *der, size_t size) {
        for (int i = 0; i < N_IDENTITIES; i++) {
                GBytes *own = test_identity_der(world->identities[i]);

                if (g_bytes_get_size(own) == size &&
                    memcmp(g_bytes_get_data(own, NULL), der, size) == 0)
                        return specs[i].file;
        }

        return size == 0 ? "nobody" : "somebody";
}

/* PeerVerificationErrors, "NAME of WHOSE, …". */
static char *get_errors(const World *world, const char *connection) {
        GString *text = g_string_new(NULL);
        sd_bus_message *reply = NULL;
        const char *name;
        const void *der;
        size_t size;

        g_assert_cmpint(sd_bus_get_property(world->bus, NAME, connection, CONNECTION,
                                            "PeerVerificationErrors", NULL, &reply, "a(say)"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "(say)"), >=, 0);
        while (sd_bus_message_enter_container(reply, 'r', "say") > 0) {
                g_assert_cmpint(sd_bus_message_read(reply, "s", &name), >=, 0);
                g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &der, &size), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(reply), >=, 0);
                g_string_append_printf(text, "%s%s of %s", text->len > 0 ? ", " : "", name,
                                       whose(world, der, size));
        }
        (void)sd_bus_message_unref(reply);
        return g_string_free(text, FALSE);
}

static void assert_errors(const World *world, const char *connection, const char *expected) {
        g_autofree char *errors = get_errors(world, connection);

        g_assert_cmpstr(errors, ==, expected);
}

/* The leaf of PeerCertificateChain. */
static void assert_peer_is(const World *world, const char *connection, const char *expected) {
        sd_bus_message *reply = NULL;
        const void *der = NULL;
        size_t size = 0;

        g_assert_cmpint(sd_bus_get_property(world->bus, NAME, connection, CONNECTION,
                                            "PeerCertificateChain", NULL, &reply, "aay"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "ay"), >=, 0);
        (void)sd_bus_message_read_array(reply, 'y', &der, &size);
        g_assert_cmpstr(whose(world, der, size), ==, expected);
        (void)sd_bus_message_unref(reply);
}

/* The list of errors to ignore is this one; -1: nobody's. */
static void ignore(const World *world, const char *connection, const char *name, int identity) {
        GBytes *der = identity < 0 ? NULL : test_identity_der(world->identities[identity]);
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME, connection, CONNECTION,
                                                       "IgnoreVerificationErrors"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "(say)"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'r', "say"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", name), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y',
                                                    der ? g_bytes_get_data(der, NULL) : NULL,
                                                    der ? g_bytes_get_size(der) : 0),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_call(world->bus, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

static void call_plainly(const World *world, const char *connection, const char *method) {
        (void)sd_bus_message_unref(call(world->bus, connection, CONNECTION, method, ""));
}

static void converse(const World *world, const char *connection, Peer *peer) {
        write_datagram(world->bus, connection, "from dtlsd\n", 11);
        g_free(peer_wait_for(peer, "^from dtlsd"));
        peer_say(peer, "from openssl\n");
        read_datagram(world->bus, connection, "from openssl\n");
}

/* ---- modes ---- */

typedef struct ModeCase {
        const char *mode;
        int peer; /* -1: shows no certificate */
        const char *state, *errors, *leaf;
} ModeCase;

static void check_client(World *world, const ModeCase *c) {
        uint16_t port;
        Peer *peer = start_server(world, c->peer, &port);
        g_autofree char *client = options_end_path(world->bus, begin_client(world, port, c->mode));

        g_test_message("%s, %s", c->mode, specs[c->peer].file);
        do_handshake(world->bus, client);
        wait_state(world, client, c->state);
        assert_errors(world, client, c->errors);
        assert_peer_is(world, client, c->leaf);
        if (g_str_equal(c->state, COMPLETE))
                converse(world, client, peer);
        close_object(world->bus, client, CONNECTION);
        (void)peer_stop(peer);
}

static void test_modes_of_a_client(World *world, const void *unused) {
        static const ModeCase cases[] = {
                {"VerifyNone", UNKNOWN, COMPLETE, "", "unknown"},
                {"QueryPeer", UNKNOWN, COMPLETE, UNKNOWN_ERRORS, "unknown"},
                {"VerifyPeer", UNKNOWN, FAILED, UNKNOWN_ERRORS, "unknown"},
                {"AutoVerifyPeer", UNKNOWN, FAILED, UNKNOWN_ERRORS, "unknown"},
                {"VerifyNone", GOOD, COMPLETE, "", "good"},
                {"QueryPeer", GOOD, COMPLETE, "", "good"},
                {"VerifyPeer", GOOD, COMPLETE, "", "good"},
                {"AutoVerifyPeer", GOOD, COMPLETE, "", "good"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                check_client(world, &cases[i]);
}

static void check_server(World *world, const ModeCase *c) {
        g_autofree char *listener = options_end_path(world->bus, begin_listener(world, c->mode));
        Peer *peer = start_client(world, c->peer, get_port(world->bus, listener));
        g_autofree char *server = NULL;

        g_test_message("%s, %s", c->mode, c->peer < 0 ? "nobody" : specs[c->peer].file);
        server = wait_connection(world, c->state);
        assert_errors(world, server, c->errors);
        assert_peer_is(world, server, c->leaf);
        if (g_str_equal(c->state, COMPLETE))
                converse(world, server, peer);
        close_object(world->bus, listener, LISTENER);
        (void)peer_stop(peer);
        ear_catch_up(world->ear);
        (void)ear_free(world->ear);
        world->ear = ear_new(world->bus);
}

static void test_modes_of_a_server(World *world, const void *unused) {
        static const ModeCase cases[] = {
                {"VerifyNone", GOOD, COMPLETE, "", "nobody"},
                {"QueryPeer", UNKNOWN, COMPLETE, UNKNOWN_ERRORS, "unknown"},
                {"VerifyPeer", UNKNOWN, FAILED, UNKNOWN_ERRORS, "unknown"},
                {"AutoVerifyPeer", UNKNOWN, COMPLETE, UNKNOWN_ERRORS, "unknown"},
                {"QueryPeer", -1, COMPLETE, "", "nobody"},
                {"VerifyPeer", -1, FAILED, "NoPeerCertificate of nobody", "nobody"},
                {"AutoVerifyPeer", -1, COMPLETE, "", "nobody"},
                {"QueryPeer", GOOD, COMPLETE, "", "good"},
                {"VerifyPeer", GOOD, COMPLETE, "", "good"},
                {"AutoVerifyPeer", GOOD, COMPLETE, "", "good"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                check_server(world, &cases[i]);
}

static void test_no_certificate_can_be_forgiven(World *world, const void *unused) {
        g_autofree char *listener =
                options_end_path(world->bus, begin_listener(world, "VerifyPeer"));
        Peer *peer = start_client(world, -1, get_port(world->bus, listener));
        g_autofree char *server = wait_connection(world, FAILED);

        ignore(world, server, "NoPeerCertificate", -1);
        call_plainly(world, server, "ResumeHandshake");
        wait_state(world, server, COMPLETE);
        converse(world, server, peer);
        (void)peer_stop(peer);
}

static void test_no_certificate_can_be_fatal(World *world, const void *unused) {
        static const char *const modes[] = {"QueryPeer", "VerifyPeer", "AutoVerifyPeer"};

        for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
                sd_bus_message *m = begin_listener(world, modes[i]);
                g_autofree char *listener = NULL;
                Peer *peer;

                add_flag(m, "MissingCertificateIsFatal", true);
                listener = options_end_path(world->bus, m);
                peer = start_client(world, -1, get_port(world->bus, listener));
                expect_alert(peer, 40); /* handshake_failure */
                (void)peer_stop(peer);
                close_object(world->bus, listener, LISTENER);
        }
}

/* ---- depth ---- */

static void test_depth_of_a_client(World *world, const void *unused) {
        for (uint32_t depth = 0; depth <= 2; depth++) {
                uint16_t port;
                Peer *peer = start_server(world, DEEP, &port);
                sd_bus_message *m = begin_client(world, port, "VerifyPeer");
                g_autofree char *client = NULL;

                add_number(m, "PeerVerifyDepth", depth);
                client = options_end_path(world->bus, m);
                do_handshake(world->bus, client);
                wait_state(world, client, depth == 1 ? FAILED : COMPLETE);
                assert_errors(world, client, depth == 1 ? "PathLengthExceeded of middle" : "");
                close_object(world->bus, client, CONNECTION);
                (void)peer_stop(peer);
        }
}

static void check_depth_of_a_server(World *world, uint32_t depth, const char *state,
                                    const char *errors) {
        sd_bus_message *m = begin_listener(world, "VerifyPeer");
        g_autofree char *listener = NULL, *server = NULL;
        Peer *peer;

        add_number(m, "PeerVerifyDepth", depth);
        listener = options_end_path(world->bus, m);
        peer = start_client(world, DEEP, get_port(world->bus, listener));
        server = wait_connection(world, state);
        assert_errors(world, server, errors);
        (void)peer_stop(peer);
}

static void test_depth_that_a_client_exceeds(World *world, const void *unused) {
        check_depth_of_a_server(world, 1, FAILED, "PathLengthExceeded of middle");
}

static void test_depth_that_a_client_keeps(World *world, const void *unused) {
        check_depth_of_a_server(world, 2, COMPLETE, "");
}

/* ---- the order of Qt ---- */

typedef struct Late {
        Peer *peer;
        char *connection;
} Late;

static void late_done(Late *late) {
        (void)peer_stop(late->peer);
        g_free(late->connection);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Late, late_done)

static bool has_received(void *userdata) {
        void *const *args = userdata;

        return get_counter(args[0], args[1], CONNECTION, "Statistics", "DatagramsReceived") >
               *(const uint64_t *)args[2];
}

static void assert_cipher_is_told(World *world, const char *connection) {
        g_autofree char *protocol =
                get_string(world->bus, connection, CONNECTION, "SessionProtocol");
        g_autofree char *cipher = get_values(world->bus, connection, CONNECTION, "SessionCipher");

        g_assert_cmpstr(protocol, ==, "DtlsV1_2");
        g_assert_nonnull(strstr(cipher, "|Name|TLS_ECDHE_"));
}

/* The handshake is over for the peer, which then says something; ours waits for a verdict. */
static void late_wait(World *world, Late *late) {
        uint64_t n_received;

        wait_state(world, late->connection, FAILED);
        assert_cipher_is_told(world, late->connection);
        g_free(peer_wait_for(late->peer, "^CIPHER is ECDHE|Cipher is ECDHE"));
        n_received = get_counter(world->bus, late->connection, CONNECTION, "Statistics",
                                 "DatagramsReceived");
        peer_say(late->peer, EARLY);
        bus_wait(world->bus, has_received, (void *[]){world->bus, late->connection, &n_received},
                 "what the peer said");

        wait_state(world, late->connection, FAILED);
        g_free(call_refused("InvalidOperation", world->bus, late->connection, CONNECTION,
                            "ReadDatagram", "a{sv}", 0));
        g_free(call_refused("InvalidOperation", world->bus, late->connection, CONNECTION,
                            "WriteDatagramEncrypted", "ay", 1, 'x'));
        g_free(call_refused("InvalidOperation", world->bus, late->connection, CONNECTION,
                            "OpenChannel", "a{sv}", 0));
}

/* @deadline: AnswerDeadline, ms; 0: long. */
static void late_client(World *world, Late *late, int identity, uint32_t deadline) {
        sd_bus_message *m;
        uint16_t port;

        late->peer = start_server(world, identity, &port);
        m = begin_client(world, port, "VerifyPeer");
        add_flag(m, "HandshakeMustInterruptOnError", false);
        if (deadline > 0)
                add_number(m, "AnswerDeadline", deadline);
        late->connection = options_end_path(world->bus, m);
        do_handshake(world->bus, late->connection);
}

static void late_server(World *world, Late *late, int identity, uint32_t deadline) {
        sd_bus_message *m = begin_listener(world, "VerifyPeer");
        g_autofree char *listener = NULL;

        add_flag(m, "HandshakeMustInterruptOnError", false);
        if (deadline > 0)
                add_number(m, "AnswerDeadline", deadline);
        listener = options_end_path(world->bus, m);
        late->peer = start_client(world, identity, get_port(world->bus, listener));
}

/* Only an exact pair lets go; what came before is there then, and not twice. */
static void late_resume(World *world, Late *late) {
        assert_errors(world, late->connection, "CertificateExpired of expired");
        g_free(call_refused("PeerVerificationError", world->bus, late->connection, CONNECTION,
                            "ResumeHandshake", ""));
        ignore(world, late->connection, "CertificateExpired", EXPIRED);
        call_plainly(world, late->connection, "ResumeHandshake");
        wait_state(world, late->connection, COMPLETE);
        assert_errors(world, late->connection, "");
        read_datagram(world->bus, late->connection, EARLY);
        converse(world, late->connection, late->peer);
}

static void test_late_client_resumes(World *world, const void *unused) {
        g_auto(Late) late = {NULL, NULL};

        late_client(world, &late, EXPIRED, 0);
        late_wait(world, &late);
        late_resume(world, &late);
}

static void test_late_server_resumes(World *world, const void *unused) {
        g_auto(Late) late = {NULL, NULL};

        late_server(world, &late, EXPIRED, 0);
        late.connection = wait_connection(world, FAILED);
        late_wait(world, &late);
        late_resume(world, &late);
}

static void test_late_client_aborts(World *world, const void *unused) {
        g_auto(Late) late = {NULL, NULL};

        late_client(world, &late, EXPIRED, 0);
        late_wait(world, &late);
        call_plainly(world, late.connection, "AbortHandshake");
        wait_state(world, late.connection, NOT_STARTED);
        expect_alert(late.peer, 90); /* user_canceled */
        g_free(call_refused("InvalidOperation", world->bus, late.connection, CONNECTION,
                            "ReadDatagram", "a{sv}", 0));
}

static void test_late_server_aborts(World *world, const void *unused) {
        g_auto(Late) late = {NULL, NULL};

        late_server(world, &late, EXPIRED, 0);
        late.connection = wait_connection(world, FAILED);
        late_wait(world, &late);
        call_plainly(world, late.connection, "AbortHandshake");
        expect_alert(late.peer, 90);
}

static void test_late_client_says_nothing(World *world, const void *unused) {
        g_auto(Late) late = {NULL, NULL};
        g_autofree char *error = NULL;

        late_client(world, &late, EXPIRED, 1000);
        expect_alert(late.peer, 45); /* certificate_expired */
        wait_state(world, late.connection, NOT_STARTED);
        error = get_error(world->bus, late.connection);
        g_assert_nonnull(strstr(error, "was not answered within 1 s"));
}

static void test_late_server_says_nothing(World *world, const void *unused) {
        g_auto(Late) late = {NULL, NULL};

        late_server(world, &late, EXPIRED, 1000);
        expect_alert(late.peer, 45);
        wait_statistic(world->bus, "SuspendedInUse", 0);
}

/* ---- alerts ---- */

/* Manager.Connect asks nobody: the service refuses, and the peer hears why. */
static void check_alert(World *world, int identity, unsigned description) {
        uint16_t port;
        Peer *peer = start_server(world, identity, &port);
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "Connect", "sq", "127.0.0.1", port);

        g_test_message("%s", specs[identity].file);
        options_add_certificate(m, "CaCertificates", world->identities[AUTHORITY]);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "VerificationName", "s", "localhost"), >=,
                        0);
        g_free(options_end_refused("PeerVerificationError", world->bus, m));
        expect_alert(peer, description);
        (void)peer_stop(peer);
}

static void test_the_peer_hears_why(World *world, const void *unused) {
        check_alert(world, UNKNOWN, 48);       /* unknown_ca */
        check_alert(world, EXPIRED, 45);       /* certificate_expired */
        check_alert(world, OTHER_NAME, 42);    /* bad_certificate */
        check_alert(world, OTHER_PURPOSE, 43); /* unsupported_certificate */
}

static void test_the_peer_hears_that_a_user_aborts(World *world, const void *unused) {
        uint16_t port;
        Peer *peer = start_server(world, EXPIRED, &port);
        g_autofree char *client =
                options_end_path(world->bus, begin_client(world, port, "VerifyPeer"));

        do_handshake(world->bus, client);
        wait_state(world, client, FAILED);
        call_plainly(world, client, "AbortHandshake");
        expect_alert(peer, 90); /* user_canceled */
        (void)peer_stop(peer);
}

static void test_the_peer_hears_why_nobody_answered(World *world, const void *unused) {
        sd_bus_message *m = begin_listener(world, "VerifyPeer");
        g_autofree char *listener = NULL;
        Peer *peer;

        add_number(m, "AnswerDeadline", 1000);
        listener = options_end_path(world->bus, m);
        peer = start_client(world, UNKNOWN, get_port(world->bus, listener));
        expect_alert(peer, 48); /* unknown_ca */
        (void)peer_stop(peer);
}

#define ADD(path, function) g_test_add("/verify/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("modes/of-a-client", test_modes_of_a_client);
        ADD("modes/of-a-server", test_modes_of_a_server);
        ADD("modes/no-certificate-can-be-forgiven", test_no_certificate_can_be_forgiven);
        ADD("modes/no-certificate-can-be-fatal", test_no_certificate_can_be_fatal);
        ADD("depth/of-a-client", test_depth_of_a_client);
        ADD("depth/that-a-servers-peer-exceeds", test_depth_that_a_client_exceeds);
        ADD("depth/that-a-servers-peer-keeps", test_depth_that_a_client_keeps);
        ADD("late/a-client-resumes-and-reads-what-came-before", test_late_client_resumes);
        ADD("late/a-server-resumes-and-reads-what-came-before", test_late_server_resumes);
        ADD("late/a-client-aborts", test_late_client_aborts);
        ADD("late/a-server-aborts", test_late_server_aborts);
        ADD("late/a-client-that-says-nothing-refuses", test_late_client_says_nothing);
        ADD("late/a-server-that-says-nothing-refuses", test_late_server_says_nothing);
        ADD("alert/the-peer-hears-why", test_the_peer_hears_why);
        ADD("alert/the-peer-hears-that-a-user-aborts", test_the_peer_hears_that_a_user_aborts);
        ADD("alert/the-peer-hears-why-when-nobody-answered",
            test_the_peer_hears_why_nobody_answered);
        return g_test_run();
}
