/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Keys that stay in a PKCS#11 token, SoftHSM's: used, absent, pulled out and back again.
 */

#include "identities.h"
#include "lib/token.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static sd_bus_message *import_uri_begin(sd_bus *bus, const char *name, const TestIdentity *identity,
                                        const char *uri) {
        sd_bus_message *m = import_begin(bus, name, identity);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "KeyUri", "s", uri), >=, 0);
        return m;
}

/* With a token that has the first identity's key; *ret_uri names it. */
static TestToken *world_new_with_token(World *world, char **ret_uri) {
        TestToken *token = test_token_new();

        if (!token)
                return NULL;

        g_setenv(SERVICE_MODULE_VARIABLE, test_token_module(), TRUE);
        if (!world_of_identities(world))
                return test_token_free(token);

        *ret_uri = test_token_import(token, world->first, "tls");
        test_token_give(token, "nobody");
        return token;
}

static void world_free_with_token(World *world, TestToken *token) {
        world_free(world);
        g_unsetenv(SERVICE_MODULE_VARIABLE);
        test_token_free(token);
}

static void import_from_token(const World *world, const char *name, const TestIdentity *identity,
                              const char *uri) {
        sd_bus_message *m = import_uri_begin(world->root, name, identity, uri);

        options_add_secret(m, "Passphrase", TEST_TOKEN_PIN, strlen(TEST_TOKEN_PIN));
        (void)sd_bus_message_unref(options_end(world->root, m));
}

static void test_a_key_stays_in_its_token(void) {
        World world;
        g_autofree char *uri = NULL, *listener = NULL, *path = NULL, *again = NULL, *text = NULL;
        g_autoptr(TestIdentity) renewed = NULL;
        g_autoptr(TestToken) token = world_new_with_token(&world, &uri);
        pid_t keyring;

        if (!token)
                return;

        import_from_token(&world, "gateway", world.first, uri);
        let_alice_use(&world);
        listener = options_end_path(world.alice, listen_with(world.alice, "gateway"));
        path = open_to(&world, get_port(world.alice, listener));
        g_assert_true(peer_is(world.bob, path, world.first));

        /* the certificate is renewed, the key is where it was */
        renewed = test_identity_altered(world.first, world.ca, "first", "fresh", 5);
        install_refused(world.root, "gateway", test_identity_der(world.second),
                        "not that of the first certificate");
        install(world.root, "gateway", test_identity_der(renewed));
        again = open_to(&world, get_port(world.alice, listener));
        g_assert_true(peer_is(world.bob, again, renewed));

        keyring = service_keyring_pid(world.service);
        g_assert_cmpint(kill(keyring, SIGKILL), ==, 0);
        wait_keyring(world.service, keyring, world.alice, "gateway");
        g_free(path);
        path = open_to(&world, get_port(world.alice, listener));
        g_assert_true(peer_is(world.bob, path, renewed));
        text = service_log(world.service);
        g_assert_null(strstr(text, TEST_TOKEN_PIN "\n"));
        world_free_with_token(&world, g_steal_pointer(&token));
}

/* Without its token nothing but that identity stands still, and that goes on when it is back. */
static void test_a_token_may_be_absent(void) {
        World world;
        g_autofree char *uri = NULL, *listener = NULL, *other = NULL, *path = NULL, *log = NULL;
        g_autofree char *failed = NULL, *why = NULL;
        g_autoptr(TestToken) token = world_new_with_token(&world, &uri);
        int status;

        if (!token)
                return;

        import_from_token(&world, "gateway", world.first, uri);
        import(world.root, "gatekeeper", world.second);
        let_alice_use(&world);
        g_assert_cmpint(kill(service_pid(world.service), SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(service_pid(world.service), &status, 0), >, 0);
        test_token_set_present(token, false);
        service_restart(world.service);

        listener = options_end_path(world.alice, listen_with(world.alice, "gateway"));
        other = options_end_path(world.alice, listen_with(world.alice, "gatekeeper"));
        path = open_to(&world, get_port(world.alice, other));
        g_assert_true(peer_is(world.bob, path, world.second));
        failed = begin_to(&world, get_port(world.alice, listener));
        wait_string(world.bob, failed, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        log = service_log(world.service);
        g_assert_nonnull(strstr(log, "the token with the key of identity:gateway cannot be used"));
        g_assert_nonnull(strstr(log, "the token with the key cannot be used; is it there?"));

        test_token_set_present(token, true);
        g_free(path);
        path = open_to(&world, get_port(world.alice, listener));
        g_assert_true(peer_is(world.bob, path, world.first));
        world_free_with_token(&world, g_steal_pointer(&token));
}

static void test_keys_of_each_type_sign(void) {
        static const struct {
                const char *name;
                TestKeyType type;
        } keys[] = {{"gate-rsa", TEST_KEY_RSA_2048}, {"gate-ed25519", TEST_KEY_ED25519}};
        World world;
        g_autofree char *unused = NULL;
        g_autoptr(TestToken) token = world_new_with_token(&world, &unused);

        if (!token)
                return;

        let_alice_use(&world);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                g_autoptr(TestIdentity) identity = test_identity_new(
                        keys[i].name, world.ca, TEST_IDENTITY_LOOPBACK, keys[i].type);
                g_autofree char *uri = test_token_import(token, identity, keys[i].name);
                g_autofree char *listener = NULL, *path = NULL;

                test_token_give(token, "nobody");
                import_from_token(&world, keys[i].name, identity, uri);
                listener = options_end_path(world.alice, listen_with(world.alice, keys[i].name));
                path = open_to(&world, get_port(world.alice, listener));
                g_assert_true(peer_is(world.bob, path, identity));
        }
        world_free_with_token(&world, g_steal_pointer(&token));
}

/* A listener of alice's that asks its clients for certificates; its port. */
static uint16_t listen_asking_certificates(const World *world, const char *identity) {
        sd_bus_message *m = listen_with(world->alice, identity);
        g_autofree char *path = NULL;

        options_add_certificate(m, "CaCertificates", world->ca);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "PeerVerifyMode", "s", "VerifyPeer"), >=,
                        0);
        path = options_end_path(world->alice, m);
        return get_port(world->alice, path);
}

/* A client of alice's with this identity; its path. */
static char *begin_with(const World *world, const char *identity, uint16_t port) {
        sd_bus_message *m =
                options_begin(world->alice, ROOT, MANAGER, "CreateConnection", "s", "client");
        char *path;

        options_add_certificate(m, "CaCertificates", world->ca);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Identity", "s", identity), >=, 0);
        path = options_end_path(world->alice, m);
        (void)sd_bus_message_unref(
                call(world->alice, path, CONNECTION, "SetPeer", "sqs", "127.0.0.1", port, ""));
        do_handshake(world->alice, path);
        return path;
}

static unsigned n_logged(const World *world, const char *text) {
        g_autofree char *log = service_log(world->service);
        g_auto(GStrv) parts = g_strsplit(log, text, -1);

        return g_strv_length(parts) - 1;
}

static void test_a_token_may_be_pulled_between_handshakes(void) {
        World world;
        g_autofree char *uri = NULL, *first = NULL, *failed = NULL, *error = NULL, *other = NULL;
        g_autofree char *last = NULL, *again = NULL;
        g_autoptr(TestToken) token = world_new_with_token(&world, &uri);
        uint16_t port;

        if (!token)
                return;

        import_from_token(&world, "gateway", world.first, uri);
        import(world.root, "gatekeeper", world.second);
        let_alice_use(&world);
        port = listen_asking_certificates(&world, "gatekeeper");
        first = begin_with(&world, "gateway", port);
        wait_string(world.alice, first, CONNECTION, "HandshakeState", "HandshakeComplete");

        test_token_set_present(token, false);
        failed = begin_with(&world, "gateway", port);
        wait_string(world.alice, failed, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        error = get_error(world.alice, failed);
        if (!strstr(error, "the token with the key cannot be used; is it there?"))
                g_error("it says '%s'", error);
        other = begin_with(&world, "gatekeeper", port);
        wait_string(world.alice, other, CONNECTION, "HandshakeState", "HandshakeComplete");
        write_datagram(world.alice, first, "still", 5); /* what is open needs no key */

        again = begin_with(&world, "gateway", port);
        wait_string(world.alice, again, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        g_assert_cmpuint(n_logged(&world, "identity:gateway cannot be used"), ==, 1);

        test_token_set_present(token, true);
        last = begin_with(&world, "gateway", port);
        wait_string(world.alice, last, CONNECTION, "HandshakeState", "HandshakeComplete");
        g_assert_cmpuint(n_logged(&world, "identity:gateway can be used again"), ==, 1);
        world_free_with_token(&world, g_steal_pointer(&token));
}

/* Until its handshake is over, one way or the other. */
static bool wait_over(sd_bus *bus, const char *path) {
        gint64 limit = g_get_monotonic_time() + (gint64)SERVICE_LIMIT_USEC;

        for (;;) {
                g_autofree char *state = get_string(bus, path, CONNECTION, "HandshakeState");

                g_assert_cmpint(g_get_monotonic_time(), <, limit);
                if (!g_str_equal(state, "HandshakeInProgress"))
                        return g_str_equal(state, "HandshakeComplete");
        }
}

#define PULLED_HANDSHAKES 12

/* Each handshake of then succeeds or fails, and none hangs. */
static void test_a_token_may_be_pulled_while_it_signs(void) {
        World world;
        g_autofree char *uri = NULL, *listener = NULL, *last = NULL;
        g_autoptr(TestToken) token = world_new_with_token(&world, &uri);
        char *paths[PULLED_HANDSHAKES];
        unsigned n_complete = 0;
        uint16_t port;

        if (!token)
                return;

        import_from_token(&world, "gateway", world.first, uri);
        let_alice_use(&world);
        listener = options_end_path(world.alice, listen_with(world.alice, "gateway"));
        port = get_port(world.alice, listener);
        for (unsigned round = 0; round < 4; round++) {
                for (unsigned i = 0; i < PULLED_HANDSHAKES; i++) {
                        paths[i] = begin_to(&world, port);
                        if (i == round * 3)
                                test_token_set_present(token, false);
                }
                for (unsigned i = 0; i < PULLED_HANDSHAKES; i++) {
                        n_complete += wait_over(world.bob, paths[i]);
                        close_object(world.bob, paths[i], CONNECTION);
                        g_free(paths[i]);
                }

                test_token_set_present(token, true);
                last = open_to(&world, port);
                g_assert_true(peer_is(world.bob, last, world.first));
                g_clear_pointer(&last, g_free);
        }
        g_test_message("%u of %u were faster", n_complete, 4 * PULLED_HANDSHAKES);
        g_assert_cmpuint(n_complete, <, 4 * PULLED_HANDSHAKES);
        world_free_with_token(&world, g_steal_pointer(&token));
}

static void test_a_tokens_key_is_the_administrators(void) {
        World world;
        g_autofree char *uri = NULL, *text = NULL, *wrong = NULL, *both = NULL;
        g_autoptr(TestToken) token = world_new_with_token(&world, &uri);
        sd_bus_message *m;

        if (!token)
                return;

        m = import_uri_begin(world.alice, "u/1/mine", world.first, uri);
        text = options_end_refused("NotAuthorized", world.alice, m);
        g_assert_nonnull(strstr(text, "a token is the administrator's"));
        m = import_uri_begin(world.root, "gateway", world.first, uri);
        options_add_secret(m, "Passphrase", "4711", 4);
        wrong = options_end_refused("InvalidInputParameters", world.root, m);
        g_assert_nonnull(strstr(wrong, "refuses the PIN"));
        m = import_uri_begin(world.root, "gateway", world.first, uri);
        import_add_key(m, test_identity_key_pem(world.first));
        both = options_end_refused("InvalidInputParameters", world.root, m);
        g_assert_nonnull(strstr(both, "One of the options 'Key', 'Pkcs12' and 'KeyUri'"));
        world_free_with_token(&world, g_steal_pointer(&token));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/tokens/a-key-stays-in-its-token", test_a_key_stays_in_its_token);
        g_test_add_func("/tokens/keys-of-each-type-sign", test_keys_of_each_type_sign);
        g_test_add_func("/tokens/one-may-be-absent", test_a_token_may_be_absent);
        g_test_add_func("/tokens/one-may-be-pulled-between-handshakes",
                        test_a_token_may_be_pulled_between_handshakes);
        g_test_add_func("/tokens/one-may-be-pulled-while-it-signs",
                        test_a_token_may_be_pulled_while_it_signs);
        g_test_add_func("/tokens/a-key-of-theirs-is-the-administrators",
                        test_a_tokens_key_is_the_administrators);
        return g_test_run();
}
