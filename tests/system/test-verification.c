/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A peer that is not trusted, for several reasons at once: what its client is told of it, and what
 * the client can do about it. The peer is OpenSSL's.
 */

#include "interop/peer.h"
#include "stage.h"

#include <string.h>

typedef struct World {
        Service *service;
        sd_bus *bus;
        char *directory;
        TestIdentity *authority, *leaf, *trusted;
        Peer *peer;
        uint16_t port;
} World;

static void start_peer(World *world) {
        g_autofree char *crt = g_build_filename(world->directory, "leaf.crt", NULL);
        g_autofree char *key = g_build_filename(world->directory, "leaf.key", NULL);
        g_autofree char *chain = g_build_filename(world->directory, "authority.crt", NULL);
        g_autofree char *port = NULL;

        world->peer = peer_start((const char *const[]){"openssl", "s_server", "-dtls1_2", "-accept",
                                                       "127.0.0.1:0", "-cert", crt, "-key", key,
                                                       "-cert_chain", chain, NULL});
        port = peer_wait_for(world->peer, "^ACCEPT 127\\.0\\.0\\.1:([0-9]+)$");
        world->port = (uint16_t)g_ascii_strtoull(port, NULL, 10);
}

/* The leaf has expired, has another name, and is issued by who is not trusted. */
static void set_up(World *world, const void *unused) {
        world->directory = g_dir_make_tmp("dtlsd-verification.XXXXXX", NULL);
        g_assert_nonnull(world->directory);
        world->authority =
                test_identity_new("Somebody's CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world->trusted = test_identity_new("Trusted CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world->leaf = test_identity_new("other.example", world->authority, TEST_IDENTITY_EXPIRED,
                                        TEST_KEY_ECDSA);
        test_identity_write(world->authority, world->directory, "authority");
        test_identity_write(world->leaf, world->directory, "leaf");
        world->service = service_start(NULL);
        world->bus = service_bus(world->service, UID_ALICE);
        start_peer(world);
}

static void tear_down(World *world, const void *unused) {
        (void)peer_stop(world->peer);
        (void)bus_leave(world->bus);
        service_stop(world->service);
        (void)test_identity_free(world->authority);
        (void)test_identity_free(world->trusted);
        (void)test_identity_free(world->leaf);
        service_remove_directory(world->directory);
        g_free(world->directory);
}

/* To be ended with options_end_path(). */
static sd_bus_message *create(World *world) {
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        options_add_certificate(m, "CaCertificates", world->trusted);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "PeerAddress", "s", "127.0.0.1",
                                              "PeerPort", "q", world->port, "VerificationName", "s",
                                              "localhost"),
                        >=, 0);
        return m;
}

static void wait_state(World *world, const char *client, const char *state) {
        wait_string(world->bus, client, CONNECTION, "HandshakeState", state);
}

/* As far as the verdict. */
static char *create_rejected(World *world) {
        char *client = options_end_path(world->bus, create(world));

        do_handshake(world->bus, client);
        wait_state(world, client, "PeerVerificationFailed");
        return client;
}

/* ---- errors and certificates ---- */

typedef struct Pair {
        const char *name;
        const TestIdentity *certificate;
} Pair;

#define N_PAIRS 3

/* What is wrong, as API and Qt name it. */
static void expected_errors(const World *world, Pair pairs[N_PAIRS]) {
        pairs[0] = (Pair){"SelfSignedCertificateInChain", world->authority};
        pairs[1] = (Pair){"CertificateExpired", world->leaf};
        pairs[2] = (Pair){"HostNameMismatch", world->leaf};
}

static sd_bus_message *get(World *world, const char *client, const char *property,
                           const char *type) {
        sd_bus_message *reply = NULL;

        g_assert_cmpint(sd_bus_get_property(world->bus, NAME, client, CONNECTION, property, NULL,
                                            &reply, type),
                        >=, 0);
        return reply;
}

static bool is_expected(const Pair *pairs, size_t n, const char *name, const void *der,
                        size_t size) {
        for (size_t i = 0; i < n; i++) {
                GBytes *expected = test_identity_der(pairs[i].certificate);

                if (g_str_equal(pairs[i].name, name) && g_bytes_get_size(expected) == size &&
                    memcmp(g_bytes_get_data(expected, NULL), der, size) == 0)
                        return true;
        }

        return false;
}

/* PeerVerificationErrors are these, in any order. */
static void assert_errors(World *world, const char *client, const Pair *pairs, size_t n_pairs) {
        sd_bus_message *reply = get(world, client, "PeerVerificationErrors", "a(say)");
        size_t n = 0;

        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "(say)"), >=, 0);
        while (sd_bus_message_enter_container(reply, 'r', "say") > 0) {
                const char *name;
                const void *der;
                size_t size;

                g_assert_cmpint(sd_bus_message_read(reply, "s", &name), >=, 0);
                g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &der, &size), >=, 0);
                if (!is_expected(pairs, n_pairs, name, der, size))
                        g_error("%s about a certificate of %zu bytes was not expected", name, size);
                g_assert_cmpint(sd_bus_message_exit_container(reply), >=, 0);
                n++;
        }
        g_assert_cmpuint(n, ==, n_pairs);
        (void)sd_bus_message_unref(reply);
}

static void assert_chain(World *world, const char *client, const TestIdentity *const *chain,
                         size_t n_chain) {
        sd_bus_message *reply = get(world, client, "PeerCertificateChain", "aay");
        const void *der;
        size_t size, n = 0;

        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "ay"), >=, 0);
        while (sd_bus_message_read_array(reply, 'y', &der, &size) > 0) {
                g_assert_cmpuint(n, <, n_chain);
                g_assert_cmpmem(der, size, g_bytes_get_data(test_identity_der(chain[n]), NULL),
                                g_bytes_get_size(test_identity_der(chain[n])));
                n++;
        }
        g_assert_cmpuint(n, ==, n_chain);
        (void)sd_bus_message_unref(reply);
}

static void append_pairs(sd_bus_message *m, const Pair *pairs, size_t n) {
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "(say)"), >=, 0);
        for (size_t i = 0; i < n; i++) {
                GBytes *der = test_identity_der(pairs[i].certificate);

                g_assert_cmpint(sd_bus_message_open_container(m, 'r', "say"), >=, 0);
                g_assert_cmpint(sd_bus_message_append(m, "s", pairs[i].name), >=, 0);
                g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(der, NULL),
                                                            g_bytes_get_size(der)),
                                >=, 0);
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        }
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
}

static void ignore(World *world, const char *client, const Pair *pairs, size_t n) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME, client, CONNECTION,
                                                       "IgnoreVerificationErrors"),
                        >=, 0);
        append_pairs(m, pairs, n);
        g_assert_cmpint(sd_bus_call(world->bus, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

static void refuse_resume(World *world, const char *client) {
        g_free(call_refused("PeerVerificationError", world->bus, client, CONNECTION,
                            "ResumeHandshake", ""));
        wait_state(world, client, "PeerVerificationFailed");
}

static void converse(World *world, const char *client) {
        write_datagram(world->bus, client, "from dtlsd\n", 11);
        g_free(peer_wait_for(world->peer, "^from dtlsd"));
        peer_say(world->peer, "from openssl\n");
        read_datagram(world->bus, client, "from openssl\n");
}

/* ---- the tests ---- */

static void test_each_error_is_told_with_its_certificate(World *world, const void *unused) {
        g_autofree char *client = create_rejected(world), *error = get_error(world->bus, client);
        Pair pairs[N_PAIRS];

        expected_errors(world, pairs);
        assert_errors(world, client, pairs, N_PAIRS);
        assert_chain(world, client, (const TestIdentity *[]){world->leaf, world->authority}, 2);
        g_assert_true(g_str_has_prefix(error, "PeerVerificationError: "));
        for (size_t i = 0; i < N_PAIRS; i++)
                g_assert_nonnull(strstr(error, pairs[i].name));
        g_free(call_refused("InvalidOperation", world->bus, client, CONNECTION,
                            "WriteDatagramEncrypted", "ay", 1, 'x'));
}

static void test_all_must_be_ignored_to_resume(World *world, const void *unused) {
        g_autofree char *client = create_rejected(world), *error = NULL;
        Pair pairs[N_PAIRS];

        expected_errors(world, pairs);
        refuse_resume(world, client);
        ignore(world, client, pairs, N_PAIRS - 1);
        refuse_resume(world, client);
        ignore(world, client, pairs, N_PAIRS);
        (void)sd_bus_message_unref(call(world->bus, client, CONNECTION, "ResumeHandshake", ""));
        wait_state(world, client, "HandshakeComplete");

        assert_errors(world, client, pairs, 0);
        assert_chain(world, client, (const TestIdentity *[]){world->leaf, world->authority}, 2);
        error = get_error(world->bus, client);
        g_assert_cmpstr(error, ==, "NoError: ");
        converse(world, client);
}

/* The right names about another certificate are not the peer's errors. */
static void test_pairs_match_exactly(World *world, const void *unused) {
        g_autofree char *client = create_rejected(world);
        Pair pairs[N_PAIRS];

        expected_errors(world, pairs);
        pairs[2].certificate = world->authority;
        ignore(world, client, pairs, N_PAIRS);
        refuse_resume(world, client);
        pairs[2].certificate = world->trusted;
        ignore(world, client, pairs, N_PAIRS);
        refuse_resume(world, client);
}

static void test_a_later_list_replaces_an_earlier_one(World *world, const void *unused) {
        g_autofree char *client = create_rejected(world);
        Pair pairs[N_PAIRS];

        expected_errors(world, pairs);
        ignore(world, client, pairs, N_PAIRS);
        ignore(world, client, pairs, N_PAIRS - 1);
        refuse_resume(world, client);
        ignore(world, client, pairs + N_PAIRS - 1, 1);
        refuse_resume(world, client);
        ignore(world, client, pairs, 0);
        refuse_resume(world, client);
}

static void test_abort_clears(World *world, const void *unused) {
        g_autofree char *client = create_rejected(world), *error = NULL;
        Pair pairs[N_PAIRS];

        expected_errors(world, pairs);
        ignore(world, client, pairs, N_PAIRS);
        (void)sd_bus_message_unref(call(world->bus, client, CONNECTION, "AbortHandshake", ""));
        wait_state(world, client, "HandshakeNotStarted");
        assert_errors(world, client, pairs, 0);
        assert_chain(world, client, NULL, 0);
        error = get_error(world->bus, client);
        g_assert_cmpstr(error, ==, "NoError: ");
        g_free(call_refused("InvalidOperation", world->bus, client, CONNECTION, "ResumeHandshake",
                            ""));
        /* the peer hears that it is over */
        g_free(peer_wait_for(world->peer, "alert user cancelled"));
}

static void test_ignored_before_the_handshake(World *world, const void *unused) {
        g_autofree char *client = options_end_path(world->bus, create(world));
        Pair pairs[N_PAIRS];

        expected_errors(world, pairs);
        ignore(world, client, pairs, N_PAIRS);
        do_handshake(world->bus, client);
        wait_state(world, client, "HandshakeComplete");
        converse(world, client);
}

static void test_ignored_by_an_option(World *world, const void *unused) {
        sd_bus_message *m = create(world);
        g_autofree char *client = NULL;
        Pair pairs[N_PAIRS];

        expected_errors(world, pairs);
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "IgnoredErrors"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "a(say)"), >=, 0);
        append_pairs(m, pairs, N_PAIRS);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        client = options_end_path(world->bus, m);
        do_handshake(world->bus, client);
        wait_state(world, client, "HandshakeComplete");
        converse(world, client);
}

static void test_silence_ends_the_handshake(World *world, const void *unused) {
        sd_bus_message *m = create(world);
        g_autofree char *client = NULL, *error = NULL;

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "AnswerDeadline", "u", 100), >=, 0);
        client = options_end_path(world->bus, m);
        do_handshake(world->bus, client);
        wait_string(world->bus, client, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        error = get_error(world->bus, client);
        g_assert_nonnull(strstr(error, "was not answered within 0.1 s"));
        g_assert_cmpuint(get_statistic(world->bus, "SuspendedInUse"), ==, 0);
}

#define ADD(path, function)                                                                        \
        g_test_add("/verification/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("each-error-is-told-with-its-certificate",
            test_each_error_is_told_with_its_certificate);
        ADD("all-must-be-ignored-to-resume", test_all_must_be_ignored_to_resume);
        ADD("pairs-match-exactly", test_pairs_match_exactly);
        ADD("a-later-list-replaces-an-earlier-one", test_a_later_list_replaces_an_earlier_one);
        ADD("abort-clears", test_abort_clears);
        ADD("ignored-before-the-handshake", test_ignored_before_the_handshake);
        ADD("ignored-by-an-option", test_ignored_by_an_option);
        ADD("silence-ends-the-handshake", test_silence_ends_the_handshake);
        return g_test_run();
}
