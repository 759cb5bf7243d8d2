/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whom a configuration trusts that names a set of the store, and what becomes of it. */

#include "world.h"

#include "relay/private.h"

#define NAME "field"

typedef struct Fixture {
        World world;
        TestIdentity *ca, *other;
        Spec *spec;
} Fixture;

static void setup(Fixture *fixture, gconstpointer unused) {
        world_open_store(&fixture->world);
        world_setup(&fixture->world, NULL);
        world_start_keyring(&fixture->world);
        fixture->ca = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        fixture->other = test_identity_new("other", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        fixture->spec = world_client_spec();
        fixture->spec->trust_system = false;
        fixture->spec->trust_name = g_strdup(NAME);
}

static void teardown(Fixture *fixture, gconstpointer unused) {
        spec_free(fixture->spec);
        world_teardown(&fixture->world, NULL);
        test_identity_free(fixture->ca);
        test_identity_free(fixture->other);
}

static void add(Fixture *fixture, const TestIdentity *anchor) {
        g_autoptr(GPtrArray) blobs = test_blobs(test_identity_der(anchor), NULL);

        (void)keys_add_trust_anchors(fixture->world.keys, 0, NAME, blobs, world_on_done,
                                     &fixture->world);
        world_wait_done(&fixture->world);
}

static void drop(Fixture *fixture) {
        (void)keys_remove_trust_anchor(fixture->world.keys, 0, NAME, NULL, 0, world_on_done,
                                       &fixture->world);
        world_wait_done(&fixture->world);
}

static bool trusts(const Trust *trust, const TestIdentity *anchor) {
        return trust && trust_has(trust, test_identity_der(anchor));
}

static void a_name_is_what_is_in_the_store_now(Fixture *fixture, gconstpointer unused) {
        Relay *relay = fixture->world.relay;
        Spec *spec = fixture->spec;
        Trust *first;

        g_assert_null(trusts_for(relay, spec));
        add(fixture, fixture->ca);
        first = trusts_for(relay, spec);
        g_assert_true(trusts(first, fixture->ca));
        g_assert_false(trusts(first, fixture->other));
        g_assert_true(trusts_for(relay, spec) == first); /* read once */

        add(fixture, fixture->other);
        g_assert_true(trusts(trusts_for(relay, spec), fixture->ca));
        g_assert_true(trusts(trusts_for(relay, spec), fixture->other));
        drop(fixture);
        g_assert_null(trusts_for(relay, spec));
}

static void what_the_caller_brought_comes_first(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GPtrArray) blobs = test_blobs(test_identity_der(fixture->other), NULL);
        Relay *relay = fixture->world.relay;
        Spec *spec = fixture->spec;

        add(fixture, fixture->ca);
        g_assert_cmpint(trust_new(blobs, &spec->trust), ==, 0);
        g_assert_true(trusts_for(relay, spec) == spec->trust);
        g_clear_pointer(&spec->trust, trust_unref);
        spec->verify_mode = VERIFY_NONE; /* nobody is looked at */
        g_assert_null(trusts_for(relay, spec));
}

static bool listener_trusts(const Listener *listener, const TestIdentity *anchor) {
        return trusts(session_config_spec(listener->config)->trust, anchor);
}

static Listener *listen_with_key(Fixture *fixture) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        g_autoptr(GPtrArray) ders = test_chain_ders(fixture->other, NULL);

        spec->trust_system = false;
        spec->trust_name = g_strdup(NAME);
        g_assert_cmpint(chain_new(ders, &spec->chain), ==, 0);
        spec->key = world_import_key(&fixture->world, WORLD_UID, fixture->other);
        return world_listen(&fixture->world, spec);
}

static void a_listener_follows_its_set(Fixture *fixture, gconstpointer unused) {
        Listener *listener;

        add(fixture, fixture->ca);
        listener = listen_with_key(fixture);
        g_assert_true(listener_trusts(listener, fixture->ca));
        add(fixture, fixture->other);
        g_assert_true(listener_trusts(listener, fixture->other));
        drop(fixture);
        g_assert_false(listener_trusts(listener, fixture->ca));
        g_assert_false(listener_trusts(listener, fixture->other));
}

/* It can sign nothing any more, and still must let nobody in whom it does not trust: a session
 * taken up needs no signature. */
static void a_listener_whose_key_is_dead_does_too(Fixture *fixture, gconstpointer unused) {
        Listener *listener;

        add(fixture, fixture->ca);
        listener = listen_with_key(fixture);
        world_kill_keyring(&fixture->world);
        g_assert_true(listener_trusts(listener, fixture->ca));
        world_start_keyring(&fixture->world);
        g_assert_true(listener_trusts(listener, fixture->ca));
        drop(fixture);
        g_assert_false(listener_trusts(listener, fixture->ca));
}

#define CASE(name, function) g_test_add("/trusts/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("a-name-is-what-is-in-the-store-now", a_name_is_what_is_in_the_store_now);
        CASE("what-the-caller-brought-comes-first", what_the_caller_brought_comes_first);
        CASE("a-listener-follows-its-set", a_listener_follows_its_set);
        CASE("a-listener-whose-key-is-dead-does-too", a_listener_whose_key_is_dead_does_too);
        return g_test_run();
}
