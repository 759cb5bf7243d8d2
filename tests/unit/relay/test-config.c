/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be wrong with a configuration, said before the first datagram. */

#include "world.h"

#include "relay/private.h"

#include <string.h>

typedef struct Fixture {
        World world;
        TestIdentity *identity, *other;
        Spec *spec;
} Fixture;

static void setup(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GPtrArray) ders = NULL;

        world_setup(&fixture->world, NULL);
        world_start_keyring(&fixture->world);
        fixture->identity = test_identity_new("server", NULL, 0, TEST_KEY_ECDSA);
        fixture->other = test_identity_new("other", NULL, 0, TEST_KEY_ECDSA);
        fixture->spec = world_listener_spec("127.0.0.1", 0);
        ders = test_chain_ders(fixture->identity, NULL);
        g_assert_cmpint(chain_new(ders, &fixture->spec->chain), ==, 0);
}

static void teardown(Fixture *fixture, gconstpointer unused) {
        spec_free(fixture->spec);
        world_teardown(&fixture->world, NULL);
        test_identity_free(fixture->identity);
        test_identity_free(fixture->other);
}

static void refuses(Fixture *fixture, int outcome, const char *words) {
        SessionConfig *config = NULL;
        Reason reason = {0};

        g_assert_cmpint(config_make(fixture->world.relay, fixture->spec, &config, &reason), ==,
                        outcome);
        g_assert_nonnull(strstr(reason.text, words));
        g_assert_null(config);
}

static void wants_a_key_to_a_certificate(Fixture *fixture, gconstpointer unused) {
        refuses(fixture, RELAY_E_TLS_INITIALIZATION, "no private key");
}

static void wants_a_certificate_to_a_key(Fixture *fixture, gconstpointer unused) {
        g_clear_pointer(&fixture->spec->chain, chain_unref);
        fixture->spec->key = world_import_key(&fixture->world, WORLD_UID, fixture->identity);
        refuses(fixture, RELAY_E_TLS_INITIALIZATION, "no certificate");
}

static void compares_key_and_certificate(Fixture *fixture, gconstpointer unused) {
        g_autoptr(SessionConfig) config = NULL;
        Reason reason = {0};

        fixture->spec->key = world_import_key(&fixture->world, WORLD_UID, fixture->other);
        refuses(fixture, RELAY_E_TLS_INITIALIZATION, "does not belong");

        key_unref(fixture->spec->key);
        fixture->spec->key = world_import_key(&fixture->world, WORLD_UID, fixture->identity);
        g_assert_cmpint(config_make(fixture->world.relay, fixture->spec, &config, &reason), ==, 0);
        g_assert_nonnull(config);
}

static void says_when_a_key_is_dead(Fixture *fixture, gconstpointer unused) {
        fixture->spec->key = world_import_key(&fixture->world, WORLD_UID, fixture->identity);
        world_kill_keyring(&fixture->world);
        refuses(fixture, RELAY_E_TLS_INITIALIZATION, "keyring process died");
}

static void staples_for_clients_alone(Fixture *fixture, gconstpointer unused) {
        fixture->spec->key = world_import_key(&fixture->world, WORLD_UID, fixture->identity);
        fixture->spec->ocsp_stapling = true;
        refuses(fixture, RELAY_E_TLS_INITIALIZATION, "OcspStapling is for clients");
}

static void wants_an_identity_to_a_psk(Fixture *fixture, gconstpointer unused) {
        g_clear_pointer(&fixture->spec->chain, chain_unref);
        fixture->spec->psk = world_import_psk(&fixture->world, WORLD_UID, "secret");
        refuses(fixture, RELAY_E_TLS_INITIALIZATION, "identity");
}

static void bounds_the_mtu_hint(Fixture *fixture, gconstpointer unused) {
        g_autofree Spec *plain = g_memdup2(fixture->spec, sizeof(Spec));

        fixture->spec->mtu_hint = 511;
        refuses(fixture, RELAY_E_INVALID_PARAMETERS, "512 with certificates");
        plain->chain = NULL;
        g_assert_cmpint(config_check_mtu(plain, 511, NULL), ==, 0);
        g_assert_cmpint(config_check_mtu(plain, 256, NULL), ==, 0);
        g_assert_cmpint(config_check_mtu(plain, 255, NULL), ==, RELAY_E_INVALID_PARAMETERS);
        g_assert_cmpint(config_check_mtu(plain, 0, NULL), ==, 0);
}

/* ---- clients that are alike ---- */

static SessionConfig *make(Fixture *fixture, Spec *spec) {
        SessionConfig *config = NULL;
        Reason reason;

        g_assert_cmpint(config_make(fixture->world.relay, spec, &config, &reason), ==, 0);
        return config;
}

/* A client that trusts this certificate, which was read for it alone. */
static Spec *client_of(const TestIdentity *ca) {
        g_autoptr(GPtrArray) ders = test_chain_ders(ca, NULL);
        Spec *spec = world_client_spec();

        g_assert_cmpint(trust_new(ders, &spec->trust), ==, 0);
        return spec;
}

static void clients_that_are_alike_share_one(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Spec) first = client_of(fixture->identity), second = client_of(fixture->identity);
        g_autoptr(Spec) third = client_of(fixture->other);
        SessionConfig *one = make(fixture, first), *same = make(fixture, second);
        SessionConfig *other = make(fixture, third);
        Relay *relay = fixture->world.relay;

        g_assert_true(one == same);
        g_assert_true(one != other);
        g_assert_true(first->trust == second->trust); /* was read twice, and is there once */
        g_assert_cmpuint(relay->configs.length, ==, 2);

        /* it goes with the last of them */
        config_release(relay, &one);
        config_release(relay, &other);
        g_assert_cmpuint(relay->configs.length, ==, 1);
        config_release(relay, &same);
        g_assert_cmpuint(relay->configs.length, ==, 0);
}

static void so_many_are_looked_at(Fixture *fixture, gconstpointer unused) {
        Relay *relay = fixture->world.relay;
        SessionConfig *configs[20];

        for (unsigned i = 0; i < G_N_ELEMENTS(configs); i++) {
                g_autoptr(Spec) spec = client_of(fixture->identity);

                spec->verify_depth = i;
                configs[i] = make(fixture, spec);
        }
        g_assert_cmpuint(relay->configs.length, ==, 16);
        for (unsigned i = 0; i < G_N_ELEMENTS(configs); i++)
                config_release(relay, &configs[i]);
        g_assert_cmpuint(relay->configs.length, ==, 0);
}

/* Its tickets are sealed with a key of its own. */
static void a_server_has_its_own(Fixture *fixture, gconstpointer unused) {
        g_autoptr(SessionConfig) one = NULL, other = NULL;

        fixture->spec->key = world_import_key(&fixture->world, WORLD_UID, fixture->identity);
        one = make(fixture, fixture->spec);
        other = make(fixture, fixture->spec);
        g_assert_true(one != other);
        g_assert_cmpuint(fixture->world.relay->configs.length, ==, 0);
}

#define CASE(name, function) g_test_add("/config/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("wants-a-key-to-a-certificate", wants_a_key_to_a_certificate);
        CASE("wants-a-certificate-to-a-key", wants_a_certificate_to_a_key);
        CASE("compares-key-and-certificate", compares_key_and_certificate);
        CASE("says-when-a-key-is-dead", says_when_a_key_is_dead);
        CASE("staples-for-clients-alone", staples_for_clients_alone);
        CASE("wants-an-identity-to-a-psk", wants_an_identity_to_a_psk);
        CASE("bounds-the-mtu-hint", bounds_the_mtu_hint);
        CASE("clients-that-are-alike-share-one", clients_that_are_alike_share_one);
        CASE("so-many-are-looked-at", so_many_are_looked_at);
        CASE("a-server-has-its-own", a_server_has_its_own);
        return g_test_run();
}
