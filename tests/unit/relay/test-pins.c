/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose keys a client takes: what is pinned for whom it expects, and the first it sees. */

#include "world.h"

#include "relay/private.h"

#include <string.h>

typedef struct Fixture {
        World world;
        TestIdentity *server, *other;
} Fixture;

static void setup(Fixture *fixture, gconstpointer unused) {
        world_open_store(&fixture->world);
        world_setup(&fixture->world, NULL);
        world_start_keyring(&fixture->world);
        fixture->server = test_identity_new("server", NULL, 0, TEST_KEY_ECDSA);
        fixture->other = test_identity_new("server", NULL, 0, TEST_KEY_ECDSA);
}

static void teardown(Fixture *fixture, gconstpointer unused) {
        world_teardown(&fixture->world, NULL);
        test_identity_free(fixture->server);
        test_identity_free(fixture->other);
}

static Listener *listen_as(Fixture *fixture, const TestIdentity *identity) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        g_autoptr(GPtrArray) ders = test_chain_ders(identity, NULL);

        g_assert_cmpint(chain_new(ders, &spec->chain), ==, 0);
        spec->key = world_import_key(&fixture->world, spec->uid, identity);
        return world_listen(&fixture->world, spec);
}

static Spec *first_user(uid_t uid) {
        Spec *spec = spec_new(DTLS_CLIENT, uid, WORLD_OWNER);

        spec->first_use = true;
        g_free(spec->verification_name);
        spec->verification_name = g_strdup("Meter-7.");
        return spec;
}

static guint n_pins(const Fixture *fixture, const Connection *client) {
        g_autoptr(GPtrArray) pins = pins_for(fixture->world.relay, client->spec);

        return pins ? pins->len : 0;
}

static void the_first_key_is_kept_and_counts(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Listener *listener = listen_as(fixture, fixture->server);
        Connection *client = world_start(world, first_user(WORLD_UID), listener, "127.0.0.1");
        Connection *again;
        Reason reason;

        g_assert_cmpuint(n_pins(fixture, client), ==, 0);
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        g_assert_cmpuint(n_pins(fixture, client), ==, 1);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_SIGNING), ==, 0);

        /* the same host at the same port, with the same key and with another */
        again = world_start(world, first_user(WORLD_UID), listener, "127.0.0.1");
        world_wait_state(world, again, HANDSHAKE_COMPLETE);
        g_assert_cmpint(connection_shutdown(again, &reason), ==, 0);
        {
                g_autoptr(GPtrArray) ders = test_chain_ders(fixture->other, NULL);
                Spec *spec = spec_copy(listener->spec);

                g_clear_pointer(&spec->chain, chain_unref);
                key_unref(spec->key);
                g_assert_cmpint(chain_new(ders, &spec->chain), ==, 0);
                spec->key = world_import_key(world, WORLD_UID, fixture->other);
                g_assert_cmpint(listener_set_spec(listener, spec, &reason), ==, 0);
        }
        g_assert_cmpint(connection_do_handshake(again, &reason), ==, 0);
        world_wait_state(world, again, HANDSHAKE_PEER_VERIFICATION_FAILED);
        g_assert_nonnull(strstr(connection_facts(again).error_text, "CertificateRejected"));
        g_assert_cmpuint(n_pins(fixture, again), ==, 1);
}

static void without_a_keyring_nobody_is_the_first(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Listener *listener = listen_as(fixture, fixture->server);
        Connection *client = world_start(world, first_user(WORLD_UID), listener, "127.0.0.1");

        /* it has signed for the server, and then it goes */
        world_wait(world, client->question.open && client->question.want == SESSION_WANTS_PIN);
        world_kill_keyring(world);
        world_wait_state(world, client, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_PEER_VERIFICATION_ERROR);
        g_assert_nonnull(strstr(connection_facts(client).error_text, "could not be pinned"));
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_SIGNING), ==, 0);
}

static void a_name_that_is_no_hosts_cannot_be_pinned(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Listener *listener = listen_as(fixture, fixture->server);
        Spec *spec = first_user(WORLD_UID);
        Connection *client;

        g_free(spec->verification_name);
        spec->verification_name = g_strdup("a name with spaces");
        spec->ssl_options = g_ptr_array_new();
        g_ptr_array_add(spec->ssl_options, SPEC_NO_SERVER_NAME);
        client = world_start(world, spec, listener, "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_NOT_STARTED);
        g_assert_nonnull(strstr(connection_facts(client).error_text, "no host's name"));
}

#define CASE(name, function) g_test_add("/pins/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("the-first-key-is-kept-and-counts", the_first_key_is_kept_and_counts);
        CASE("without-a-keyring-nobody-is-the-first", without_a_keyring_nobody_is_the_first);
        CASE("a-name-that-is-no-hosts-cannot-be-pinned", a_name_that_is_no_hosts_cannot_be_pinned);
        return g_test_run();
}
