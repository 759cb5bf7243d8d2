/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What counts for whom of what is taken back, and what becomes of it. */

#include "world.h"

#include "identity/certificate.h"
#include "identity/revocation-text.h"
#include "lib/revocations.h"
#include "relay/private.h"

#define OTHER_NAME "u/1001/own"
#define OWN_NAME "u/1000/own"

typedef struct Fixture {
        World world;
        TestIdentity *first, *second;
} Fixture;

static void setup(Fixture *fixture, gconstpointer unused) {
        world_open_store(&fixture->world);
        world_setup(&fixture->world, NULL);
        fixture->first = test_identity_new("first", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        fixture->second = test_identity_new("second", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
}

static void teardown(Fixture *fixture, gconstpointer unused) {
        world_teardown(&fixture->world, NULL);
        test_identity_free(fixture->first);
        test_identity_free(fixture->second);
}

static void set(Fixture *fixture, const char *name, GPtrArray *lists, GPtrArray *denied) {
        g_autoptr(Revocations) revocations = NULL;
        g_autoptr(GBytes) text = NULL;

        g_assert_cmpint(revocation_text_new(lists, denied, &text), ==, 0);
        g_assert_cmpint(revocation_text_read(text, &revocations), ==, 0);
        (void)keys_store_revocations(fixture->world.keys, 0, name, text, revocations, world_on_done,
                                     &fixture->world);
        world_wait_done(&fixture->world);
}

static void deny(Fixture *fixture, const char *name, const TestIdentity *identity) {
        g_autofree char *hash =
                g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(identity));
        g_autoptr(GPtrArray) none = test_blobs(NULL, NULL);
        g_autoptr(GPtrArray) denied = g_ptr_array_new();

        g_ptr_array_add(denied, hash);
        set(fixture, name, none, denied);
}

static void set_list(Fixture *fixture, const char *name, GBytes *taken) {
        g_autoptr(GBytes) crl = taken;
        g_autoptr(GPtrArray) lists = test_blobs(crl, NULL);
        g_autoptr(GPtrArray) none = g_ptr_array_new();

        set(fixture, name, lists, none);
}

static void forget(Fixture *fixture, const char *name) {
        (void)keys_remove_revocations(fixture->world.keys, 0, name, world_on_done, &fixture->world);
        world_wait_done(&fixture->world);
}

/* "CertificateBlacklisted", "CertificateStatusUnknown", or "" where nobody says anything. */
static const char *verdict(Revocations *revocations, const TestIdentity *identity) {
        g_autoptr(GPtrArray) chain = test_chain_ders(identity, NULL);
        g_autoptr(Trust) trust = NULL;
        const VerdictQuestion question = {
                .revocations = revocations, .chain = chain, .peer_is_server = true};
        VerdictQuestion asked = question;
        GArray *errors;
        const char *said = "";

        g_assert_cmpint(trust_new(chain, &trust), ==, 0);
        asked.trust = trust;
        g_assert_cmpint(verdict_reach(&asked, &errors), ==, 0);
        for (guint i = 0; i < errors->len; i++) {
                VerdictCode code = g_array_index(errors, VerdictError, i).code;

                if (code == VERDICT_CERTIFICATE_BLACKLISTED ||
                    code == VERDICT_CERTIFICATE_STATUS_UNKNOWN)
                        said = verdict_code_name(code);
        }
        g_array_unref(errors);
        return said;
}

static const char *verdict_for(Fixture *fixture, uid_t uid, const TestIdentity *identity) {
        return verdict(revoked_for(fixture->world.relay, uid), identity);
}

static void before_it_is_known_nobody_is(Fixture *fixture, gconstpointer unused) {
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->first), ==,
                        "CertificateStatusUnknown");
        world_start_keyring(&fixture->world);
        world_wait(&fixture->world, keys_revoked_known(fixture->world.keys));
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->first), ==, "");

        /* and what was known stays */
        deny(fixture, "all", fixture->first);
        world_kill_keyring(&fixture->world);
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->first), ==,
                        "CertificateBlacklisted");
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->second), ==, "");
}

static void a_users_own_counts_for_nobody_else(Fixture *fixture, gconstpointer unused) {
        world_start_keyring(&fixture->world);
        deny(fixture, OWN_NAME, fixture->first);
        deny(fixture, OTHER_NAME, fixture->second);
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->first), ==,
                        "CertificateBlacklisted");
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->second), ==, "");
        g_assert_cmpstr(verdict_for(fixture, WORLD_OTHER_UID, fixture->first), ==, "");
        g_assert_cmpstr(verdict_for(fixture, 100, fixture->first), ==, ""); /* u/1000 */
        g_assert_cmpstr(verdict_for(fixture, 0, fixture->first), ==, "");

        forget(fixture, OWN_NAME);
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->first), ==, "");
        g_assert_cmpstr(verdict_for(fixture, WORLD_OTHER_UID, fixture->second), ==,
                        "CertificateBlacklisted");

        /* root's own is not everybody's either */
        deny(fixture, "u/0/own", fixture->first);
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->first), ==, "");
        g_assert_cmpstr(verdict_for(fixture, 0, fixture->first), ==, "CertificateBlacklisted");
}

static void the_administrators_count_for_everybody(Fixture *fixture, gconstpointer unused) {
        world_start_keyring(&fixture->world);
        deny(fixture, OWN_NAME, fixture->second);
        g_assert_cmpstr(verdict_for(fixture, WORLD_OTHER_UID, fixture->first), ==, "");
        deny(fixture, "all", fixture->first);
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->first), ==,
                        "CertificateBlacklisted");
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->second), ==,
                        "CertificateBlacklisted");
        g_assert_cmpstr(verdict_for(fixture, WORLD_OTHER_UID, fixture->first), ==,
                        "CertificateBlacklisted");
        forget(fixture, "all");
        g_assert_cmpstr(verdict_for(fixture, WORLD_OTHER_UID, fixture->first), ==, "");
}

/* By a newer list of the issuer, in which it is not any more. */
static void a_user_brings_nobody_back(Fixture *fixture, gconstpointer unused) {
        const TestCrl old = {.begin = -9 * TEST_DAY, .end = 9 * TEST_DAY};
        certificate_auto issuer = NULL, certificate = NULL;
        const Revocations *own;

        g_assert_cmpint(certificate_import(test_identity_der(fixture->first), &issuer), ==, 0);
        g_assert_cmpint(certificate_import(test_identity_der(fixture->second), &certificate), ==,
                        0);
        world_start_keyring(&fixture->world);
        set_list(fixture, "all", test_crl_new(fixture->first, &old, fixture->second, NULL));
        set_list(fixture, OWN_NAME, test_crl_new(fixture->first, NULL, NULL, NULL));
        own = revoked_for(fixture->world.relay, WORLD_UID);
        g_assert_cmpint(revocations_ask(own, certificate, issuer), ==, REVOCATIONS_REVOKED);

        /* the administrator may */
        set_list(fixture, "newer", test_crl_new(fixture->first, NULL, NULL, NULL));
        own = revoked_for(fixture->world.relay, WORLD_UID);
        g_assert_cmpint(revocations_ask(own, certificate, issuer), ==, REVOCATIONS_GOOD);
}

static void files_count_beside_it(Fixture *fixture, gconstpointer unused) {
        g_autofree char *hash =
                g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(fixture->second));
        g_autoptr(GBytes) line = g_bytes_new_static(hash, 64);
        g_autoptr(Revocations) files = revocations_new(), none = revocations_new();
        size_t n_bad, bad;

        g_assert_cmpint(revocations_add_denied(files, line, &n_bad, &bad), ==, 0);
        world_start_keyring(&fixture->world);
        deny(fixture, OWN_NAME, fixture->first);
        relay_reload_trust(fixture->world.relay, files);
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->first), ==,
                        "CertificateBlacklisted");
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->second), ==,
                        "CertificateBlacklisted");
        relay_reload_trust(fixture->world.relay, none);
        g_assert_cmpstr(verdict_for(fixture, WORLD_UID, fixture->second), ==, "");
}

static const char *verdict_of(const Listener *listener, const TestIdentity *identity) {
        return verdict(session_config_spec(listener->config)->revocations, identity);
}

static void a_listener_follows_what_counts_for_it(Fixture *fixture, gconstpointer unused) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        g_autoptr(GPtrArray) ders = test_chain_ders(fixture->second, NULL);
        const SessionConfig *before;
        Listener *listener;

        world_start_keyring(&fixture->world);
        g_assert_cmpint(chain_new(ders, &spec->chain), ==, 0);
        spec->key = world_import_key(&fixture->world, WORLD_UID, fixture->second);
        listener = world_listen(&fixture->world, spec);
        g_assert_cmpstr(verdict_of(listener, fixture->first), ==, "");
        deny(fixture, OWN_NAME, fixture->first);
        g_assert_cmpstr(verdict_of(listener, fixture->first), ==, "CertificateBlacklisted");

        /* another's leaves it alone, tickets and all */
        before = listener->config;
        deny(fixture, OTHER_NAME, fixture->first);
        g_assert_true(listener->config == before);

        forget(fixture, OWN_NAME);
        g_assert_cmpstr(verdict_of(listener, fixture->first), ==, "");
        deny(fixture, "all", fixture->first);
        g_assert_cmpstr(verdict_of(listener, fixture->first), ==, "CertificateBlacklisted");
}

#define CASE(name, function) g_test_add("/revoked/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("before-it-is-known-nobody-is", before_it_is_known_nobody_is);
        CASE("a-users-own-counts-for-nobody-else", a_users_own_counts_for_nobody_else);
        CASE("the-administrators-count-for-everybody", the_administrators_count_for_everybody);
        CASE("a-user-brings-nobody-back", a_user_brings_nobody_back);
        CASE("files-count-beside-it", files_count_beside_it);
        CASE("a-listener-follows-what-counts-for-it", a_listener_follows_what_counts_for_it);
        return g_test_run();
}
