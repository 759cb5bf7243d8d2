/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What users are charged for of what the store keeps of theirs. */

#include "world.h"

#include "identity/revocation-text.h"
#include "relay/private.h"

#include <string.h>

#define HASH "abcd000000000000000000000000000000000000000000000000000000000001\n"

typedef struct Fixture {
        World world;
        TestIdentity *ca;
} Fixture;

static void setup(Fixture *fixture, gconstpointer unused) {
        world_open_store(&fixture->world);
        world_setup(&fixture->world, NULL);
        world_start_keyring(&fixture->world);
        fixture->ca = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
}

static void teardown(Fixture *fixture, gconstpointer unused) {
        world_teardown(&fixture->world, NULL); /* and asserts that all is given back */
        test_identity_free(fixture->ca);
}

static void trust(Fixture *fixture, const char *name) {
        g_autoptr(GPtrArray) blobs = test_blobs(test_identity_der(fixture->ca), NULL);

        (void)keys_add_trust_anchors(fixture->world.keys, 0, name, blobs, world_on_done,
                                     &fixture->world);
        world_wait_done(&fixture->world);
}

static void distrust(Fixture *fixture, const char *name) {
        (void)keys_remove_trust_anchor(fixture->world.keys, 0, name, NULL, 0, world_on_done,
                                       &fixture->world);
        world_wait_done(&fixture->world);
}

static void deny(Fixture *fixture, const char *name, const char *hashes) {
        g_autoptr(GBytes) text = g_bytes_new(hashes, strlen(hashes));
        g_autoptr(Revocations) revocations = NULL;

        g_assert_cmpint(revocation_text_read(text, &revocations), ==, 0);
        (void)keys_store_revocations(fixture->world.keys, 0, name, text, revocations, world_on_done,
                                     &fixture->world);
        world_wait_done(&fixture->world);
}

static uint64_t used(const Fixture *fixture, uid_t uid) {
        return quota_used(fixture->world.quota, uid, QUOTA_BYTES);
}

static size_t cost(const Fixture *fixture) {
        g_autoptr(GPtrArray) ders = test_blobs(test_identity_der(fixture->ca), NULL);

        return trust_memory_of(ders);
}

static void is_charged_to_whose_it_is(Fixture *fixture, gconstpointer unused) {
        trust(fixture, "u/1000/own");
        g_assert_cmpuint(used(fixture, WORLD_UID), ==, cost(fixture));
        deny(fixture, "u/1000/own", HASH);
        g_assert_cmpuint(used(fixture, WORLD_UID), ==, cost(fixture) + 65);
        deny(fixture, "u/1000/own", HASH HASH);
        g_assert_cmpuint(used(fixture, WORLD_UID), ==, cost(fixture) + 130);
        trust(fixture, "u/1000/own"); /* is there */
        g_assert_cmpuint(used(fixture, WORLD_UID), ==, cost(fixture) + 130);
        g_assert_cmpuint(used(fixture, WORLD_OTHER_UID), ==, 0);
        deny(fixture, "all", HASH);
        g_assert_cmpuint(used(fixture, 0), ==, 65);

        distrust(fixture, "u/1000/own");
        g_assert_cmpuint(used(fixture, WORLD_UID), ==, 130);
}

static void another_keyring_charges_nothing_twice(Fixture *fixture, gconstpointer unused) {
        trust(fixture, "u/1000/own");
        deny(fixture, "u/1000/own", HASH);
        world_kill_keyring(&fixture->world);
        g_assert_cmpuint(used(fixture, WORLD_UID), ==, cost(fixture) + 65);
        world_start_keyring(&fixture->world);
        world_wait(&fixture->world, keys_identities_known(fixture->world.keys));
        g_assert_cmpuint(used(fixture, WORLD_UID), ==, cost(fixture) + 65);
}

/* It cannot be refused any more. */
static void what_is_there_counts_over_the_limit_too(Fixture *fixture, gconstpointer unused) {
        quota_set_user_limit(fixture->world.quota, WORLD_UID, QUOTA_BYTES, 100);
        deny(fixture, "u/1000/own", HASH HASH);
        g_assert_cmpuint(used(fixture, WORLD_UID), ==, 130);
        g_assert_cmpint(quota_charge(fixture->world.quota, WORLD_UID, QUOTA_BYTES, 1), ==,
                        QUOTA_E_UID);
}

#define CASE(name, function) g_test_add("/kept/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("is-charged-to-whose-it-is", is_charged_to_whose_it_is);
        CASE("another-keyring-charges-nothing-twice", another_keyring_charges_nothing_twice);
        CASE("what-is-there-counts-over-the-limit-too", what_is_there_counts_over_the_limit_too);
        return g_test_run();
}
