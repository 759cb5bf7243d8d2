/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What sessions ask: keys of the keyring, verdicts and PSKs of the owner. */

#include "world.h"

#include "base/cleanup.h"
#include "session/session.h"

#include <string.h>

typedef struct Fixture {
        World world;
        TestIdentity *ca, *server, *client;
} Fixture;

static void setup(Fixture *fixture, gconstpointer unused) {
        world_setup(&fixture->world, NULL);
        world_start_keyring(&fixture->world);
        fixture->ca = test_identity_new("CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        fixture->server = test_identity_new("server.example", fixture->ca, TEST_IDENTITY_LOOPBACK,
                                            TEST_KEY_ECDSA);
        fixture->client = test_identity_new("client.example", fixture->ca, 0, TEST_KEY_ED25519);
}

static void teardown(Fixture *fixture, gconstpointer unused) {
        world_teardown(&fixture->world, NULL);
        test_identity_free(fixture->ca);
        test_identity_free(fixture->server);
        test_identity_free(fixture->client);
}

static void be(Fixture *fixture, Spec *spec, const TestIdentity *identity) {
        g_autoptr(GPtrArray) ders = test_chain_ders(identity, NULL);

        g_assert_cmpint(chain_new(ders, &spec->chain), ==, 0);
        spec->key = world_import_key(&fixture->world, spec->uid, identity);
}

static void trust(Spec *spec, const TestIdentity *ca) {
        g_autoptr(GPtrArray) blobs =
                ca ? test_blobs(test_identity_der(ca), NULL) : g_ptr_array_new();

        g_assert_cmpint(trust_new(blobs, &spec->trust), ==, 0);
}

static Listener *listen_with_certificate(Fixture *fixture) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);

        be(fixture, spec, fixture->server);
        trust(spec, fixture->ca);
        return world_listen(&fixture->world, spec);
}

static Spec *client_that_trusts(const TestIdentity *ca, const char *name) {
        Spec *spec = world_client_spec();

        trust(spec, ca);
        g_free(spec->verification_name);
        spec->verification_name = g_strdup(name);
        return spec;
}

static void signs_with_the_keyring(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Listener *listener = listen_with_certificate(fixture);
        Connection *client = world_start(world, client_that_trusts(fixture->ca, "server.example"),
                                         listener, "127.0.0.1");
        ConnectionFacts facts;

        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        world_wait(world, world->n_announced == 1);
        facts = connection_facts(client);
        g_assert_cmpuint(facts.peer_chain->len, ==, 1);
        g_assert_true(g_bytes_equal(g_ptr_array_index(facts.peer_chain, 0),
                                    test_identity_der(fixture->server)));
        g_assert_cmpuint(facts.verification_errors->len, ==, 0);
        g_assert_null(facts.psk_identity);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_SIGNING), ==, 0);
}

static void knows_a_client_by_its_certificate(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Spec *listener_spec = world_listener_spec("127.0.0.1", 0);
        Spec *spec = client_that_trusts(fixture->ca, "server.example");
        Connection *client;
        ConnectionFacts facts;

        be(fixture, listener_spec, fixture->server);
        trust(listener_spec, fixture->ca);
        listener_spec->verify_mode = VERIFY_PEER;
        be(fixture, spec, fixture->client);
        client = world_start(world, spec, world_listen(world, listener_spec), "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        world_wait(world, world->n_announced == 1);
        facts = connection_facts(relay_find_connection(world->relay, world->last_accepted));
        g_assert_cmpuint(facts.peer_chain->len, ==, 1);
        g_assert_true(g_bytes_equal(g_ptr_array_index(facts.peer_chain, 0),
                                    test_identity_der(fixture->client)));
}

static void matches_the_address_when_there_is_no_name(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Spec *spec = world_listener_spec("127.0.0.5", 0);
        Connection *client;
        ConnectionFacts facts;

        client = world_start(world, client_that_trusts(fixture->ca, ""),
                             listen_with_certificate(fixture), "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);

        /* 127.0.0.5 is in no certificate */
        be(fixture, spec, fixture->server);
        client = world_start(world, client_that_trusts(fixture->ca, ""), world_listen(world, spec),
                             "127.0.0.5");
        world_wait_state(world, client, HANDSHAKE_PEER_VERIFICATION_FAILED);
        facts = connection_facts(client);
        g_assert_cmpuint(facts.verification_errors->len, ==, 1);
        g_assert_cmpint(g_array_index(facts.verification_errors, VerdictError, 0).code, ==,
                        VERDICT_HOST_NAME_MISMATCH);
}

static Connection *distrusted(Fixture *fixture) {
        World *world = &fixture->world;
        Connection *client = world_start(world, client_that_trusts(NULL, "other.example"),
                                         listen_with_certificate(fixture), "127.0.0.1");

        world_wait_state(world, client, HANDSHAKE_PEER_VERIFICATION_FAILED);
        return client;
}

static void resumes_when_every_error_is_ignored(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Connection *client = distrusted(fixture);
        g_autoptr(GArray) errors = verdict_errors_new();
        ConnectionFacts facts = connection_facts(client);
        Reason reason = {0};

        g_assert_cmpint(facts.error, ==, DTLS_PEER_VERIFICATION_ERROR);
        g_assert_nonnull(strstr(facts.error_text, "HostNameMismatch"));
        g_assert_cmpuint(facts.verification_errors->len, >=, 2);
        g_assert_cmpuint(facts.peer_chain->len, ==, 1);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_SUSPENDED), ==, 1);
        g_assert_cmpint(connection_do_handshake(client, &reason), ==, RELAY_E_INVALID_OPERATION);
        g_assert_cmpint(connection_resume_handshake(client, &reason), ==, RELAY_E_VERIFICATION);

        for (guint i = 0; i < facts.verification_errors->len; i++) {
                VerdictError *error = &g_array_index(facts.verification_errors, VerdictError, i);

                /* one is missing until the last round */
                g_assert_cmpint(connection_resume_handshake(client, &reason), ==,
                                RELAY_E_VERIFICATION);
                g_assert_cmpint(connection_facts(client).state, ==,
                                HANDSHAKE_PEER_VERIFICATION_FAILED);
                verdict_errors_add(errors, error->code, error->certificate);
                g_assert_cmpint(connection_ignore_errors(client, errors, &reason), ==, 0);
        }

        g_assert_cmpint(connection_resume_handshake(client, &reason), ==, 0);
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        facts = connection_facts(client);
        g_assert_cmpuint(facts.verification_errors->len, ==, 0);
        g_assert_cmpint(facts.error, ==, DTLS_NO_ERROR);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_SUSPENDED), ==, 0);

        /* nothing stays ignored */
        g_assert_cmpint(connection_shutdown(client, &reason), ==, 0);
        g_assert_cmpint(connection_do_handshake(client, &reason), ==, 0);
        world_wait_state(world, client, HANDSHAKE_PEER_VERIFICATION_FAILED);
}

static void forgets_the_peer_when_aborted(Fixture *fixture, gconstpointer unused) {
        Connection *client = distrusted(fixture);
        ConnectionFacts facts;
        Reason reason = {0};

        g_assert_cmpint(connection_abort_handshake(client, &reason), ==, 0);
        facts = connection_facts(client);
        g_assert_cmpint(facts.state, ==, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(facts.error, ==, DTLS_NO_ERROR);
        g_assert_cmpuint(facts.verification_errors->len, ==, 0);
        g_assert_null(facts.peer_chain);
        g_assert_cmpint(connection_resume_handshake(client, &reason), ==,
                        RELAY_E_INVALID_OPERATION);
}

/* A client without a certificate comes to a listener with an accept queue. */
static Connection *come_without_certificate(Fixture *fixture, bool announce, int *ret_queue) {
        World *world = &fixture->world;
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        Listener *listener;
        Reason reason = {0};

        be(fixture, spec, fixture->server);
        trust(spec, fixture->ca);
        spec->verify_mode = VERIFY_PEER;
        spec->announce = announce;
        listener = world_listen(world, spec);
        g_assert_cmpint(listener_open_accept_queue(listener, ret_queue, &reason), ==, 0);
        return world_start(world, client_that_trusts(fixture->ca, "server.example"), listener,
                           "127.0.0.1");
}

static void asks_about_who_is_announced_alone(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        g_autofd int first = -1, second = -1;
        Connection *client = come_without_certificate(fixture, /* announce= */ true, &first);

        world_wait(world, quota_used(world->quota, WORLD_UID, QUOTA_SUSPENDED) == 1);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_IN_PROGRESS);

        client = come_without_certificate(fixture, /* announce= */ false, &second);
        world_wait_state(world, client, HANDSHAKE_NOT_STARTED);
        /* RFC 5246, 7.4.6 */
        g_assert_nonnull(strstr(connection_facts(client).error_text, "handshake_failure"));
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_SUSPENDED), ==, 1);
}

static void asks_nobody_when_the_bus_was_lost(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Spec *spec = world_client_spec();
        g_autofd int queue = -1;
        Connection *client;
        Reason reason = {0};

        g_assert_cmpint(listener_open_accept_queue(listener, &queue, &reason), ==, 0);
        relay_owners_lost(world->relay);
        spec->psk_identity = g_bytes_new_static("device", 6);
        spec->psk = world_import_psk(world, WORLD_UID, "a shared secret");
        client = world_start(world, spec, listener, "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_NOT_STARTED);
        g_assert_cmpuint(world->n_psk_required, ==, 0);
        g_assert_nonnull(strstr(connection_facts(client).error_text, "decrypt_error"));
        g_assert_nonnull(strstr(connection_facts(client).error_text, "or none that it would use"));
}

static void ignores_what_was_said_before(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Spec *spec = client_that_trusts(fixture->ca, "other.example");
        Connection *client;

        verdict_errors_add(spec->ignored, VERDICT_HOST_NAME_MISMATCH,
                           test_identity_der(fixture->server));
        client = world_start(world, spec, listen_with_certificate(fixture), "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);

        /* the same error of another certificate is another error */
        spec = client_that_trusts(fixture->ca, "other.example");
        verdict_errors_add(spec->ignored, VERDICT_HOST_NAME_MISMATCH,
                           test_identity_der(fixture->client));
        client = world_start(world, spec, connection_facts(world_other_end(world, client)).listener,
                             "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_PEER_VERIFICATION_FAILED);
}

static void fetches_psks_of_objects(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Spec *listener_spec = world_listener_spec("127.0.0.1", 0);
        Spec *spec = world_client_spec();
        Connection *client;

        listener_spec->psk_identity = g_bytes_new_static("device", 6);
        listener_spec->psk = world_import_psk(world, WORLD_UID, "a shared secret");
        spec->psk_identity = g_bytes_new_static("device", 6);
        spec->psk = world_import_psk(world, WORLD_UID, "a shared secret");
        client = world_start(world, spec, world_listen(world, listener_spec), "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        g_assert_cmpuint(world->n_psk_required, ==, 0);
}

static void hides_whether_an_identity_exists(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Spec *listener_spec = world_listener_spec("127.0.0.1", 0);
        Connection *client;

        listener_spec->psk_identity = g_bytes_new_static("device", 6);
        listener_spec->psk = world_import_psk(world, WORLD_UID, "a shared secret");
        world_use_psk(world, "intruder", "a shared secret");
        client = world_start(world, world_client_spec(), world_listen(world, listener_spec),
                             "127.0.0.1");
        world_wait(world, world->n_removed == 1);
        world_wait_state(world, client, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(client).error, !=, DTLS_NO_ERROR);
        g_assert_cmpuint(world->n_announced, ==, 0);
}

static void says_when_the_keyring_died(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Listener *listener = listen_with_certificate(fixture);
        Spec *spec = client_that_trusts(fixture->ca, "server.example");
        Connection *alive, *late;
        Reason reason = {0};

        alive = world_start(world, client_that_trusts(fixture->ca, "server.example"), listener,
                            "127.0.0.1");
        world_wait_state(world, alive, HANDSHAKE_COMPLETE);
        be(fixture, spec, fixture->client);

        world_kill_keyring(world);
        world_send(alive, "lives on");
        world_wait(world, world_other_end(world, alive));
        g_autofree char *heard = world_read(world, world_other_end(world, alive));
        g_assert_cmpstr(heard, ==, "lives on");

        /* the listener's key is gone: who comes now is refused, and the object says why */
        late = world_start(world, client_that_trusts(fixture->ca, "server.example"), listener,
                           "127.0.0.1");
        world_wait_state(world, late, HANDSHAKE_NOT_STARTED);
        g_assert_nonnull(strstr(world->states->str, ":TlsInitializationError "));

        /* a client's own key too, before a datagram is sent */
        g_assert_cmpint(address_parse("127.0.0.1", 5684, &spec->peer), ==, 0);
        g_assert_cmpint(relay_create_connection(world->relay, spec, &late, &reason), ==, 0);
        g_assert_cmpint(connection_do_handshake(late, &reason), ==, RELAY_E_TLS_INITIALIZATION);
        g_assert_nonnull(strstr(reason.text, "keyring process died"));

        /* another keyring, another key */
        world_start_keyring(world);
        late = world_start(world, client_that_trusts(fixture->ca, "server.example"),
                           listen_with_certificate(fixture), "127.0.0.1");
        world_wait_state(world, late, HANDSHAKE_COMPLETE);
}

static void fails_what_waits_for_a_dying_keyring(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Spec *spec = world_client_spec();
        Spec *listener_spec = world_listener_spec("127.0.0.1", 0);
        Connection *client;

        world_use_psk(world, "device", "a shared secret");
        spec->psk_identity = g_bytes_new_static("device", 6);
        spec->psk = world_import_psk(world, WORLD_UID, "a shared secret");
        client = world_start(world, spec, world_listen(world, listener_spec), "127.0.0.1");
        world_wait(world, quota_used(world->quota, WORLD_UID, QUOTA_SIGNING) == 1);

        relay_keyring_lost(world->relay);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_NOT_STARTED);
        g_assert_nonnull(strstr(connection_facts(client).error_text, "give the key again"));
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_SIGNING), ==, 0);
        world_spend(world, 20 * 1000); /* the answer that comes now finds nobody */
}

static void does_not_wait_beyond_the_quota(Fixture *unused_fixture, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(4096);
        World world = {0};
        Listener *listener;
        Connection *first, *second;
        Spec *spec;

        limits.per_uid[QUOTA_SUSPENDED] = 1;
        world_setup_limits(&world, &limits);
        spec = world_listener_spec("127.0.0.1", 0);
        spec->uid = WORLD_OTHER_UID;
        listener = world_listen(&world, spec);

        first = world_start(&world, world_client_spec(), listener, "127.0.0.1");
        world_wait(&world, connection_facts(first).psk.pending);
        second = world_start(&world, world_client_spec(), listener, "127.0.0.1");
        world_wait_state(&world, second, HANDSHAKE_NOT_STARTED);
        g_assert_nonnull(strstr(connection_facts(second).error_text, "1 of 1"));
        g_assert_true(connection_facts(first).psk.pending);
        world_teardown(&world, NULL);
}

static Connection *wait_for_a_key(Fixture *fixture, const Listener *listener, uid_t uid) {
        Spec *spec = world_client_spec();

        spec->uid = uid;
        return world_start(&fixture->world, spec, listener, "127.0.0.1");
}

/* Whatever it waits for; and not to and fro between two who have as many. */
static void the_user_with_most_gives_way_to_another(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        QuotaLimits limits = quota_limits_default(4096);
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Connection *first = distrusted(fixture), *hers[3], *his[3];

        limits.total[QUOTA_SUSPENDED] = 1 + G_N_ELEMENTS(hers);
        quota_set_limits(world->quota, &limits);
        for (size_t i = 0; i < G_N_ELEMENTS(hers); i++) {
                hers[i] = wait_for_a_key(fixture, listener, WORLD_UID);
                world_wait(world, connection_facts(hers[i]).psk.pending);
        }
        for (size_t i = 0; i < 2; i++) {
                his[i] = wait_for_a_key(fixture, listener, WORLD_OTHER_UID);
                world_wait(world, connection_facts(his[i]).psk.pending);
        }

        g_assert_cmpint(connection_facts(first).state, ==, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(hers[0]).state, ==, HANDSHAKE_NOT_STARTED);
        g_assert_nonnull(strstr(connection_facts(hers[0]).error_text, "its user has most"));
        his[2] = wait_for_a_key(fixture, listener, WORLD_OTHER_UID);
        world_wait_state(world, his[2], HANDSHAKE_NOT_STARTED);
        g_assert_nonnull(strstr(connection_facts(his[2]).error_text, "4 of 4"));
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_SUSPENDED), ==, 2);
}

static void asks_with_the_hint_of_the_server(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        Connection *client;
        PendingPsk psk;

        spec->psk_hint = g_strdup("which one?");
        client = world_start(world, world_client_spec(), world_listen(world, spec), "127.0.0.1");
        world_wait(world, connection_facts(client).psk.pending);
        psk = connection_facts(client).psk;
        g_assert_cmpmem(g_bytes_get_data(psk.hint, NULL), g_bytes_get_size(psk.hint), "which one?",
                        10);

        world_use_psk(world, "someone", "secret");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        g_assert_false(connection_facts(client).psk.pending);
        g_assert_cmpuint(world->changed & CHANGED_PSK, !=, 0);
}

#define CASE(name, function)                                                                       \
        g_test_add("/questions/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("signs-with-the-keyring", signs_with_the_keyring);
        CASE("knows-a-client-by-its-certificate", knows_a_client_by_its_certificate);
        CASE("matches-the-address-when-there-is-no-name",
             matches_the_address_when_there_is_no_name);
        CASE("resumes-when-every-error-is-ignored", resumes_when_every_error_is_ignored);
        CASE("forgets-the-peer-when-aborted", forgets_the_peer_when_aborted);
        CASE("asks-about-who-is-announced-alone", asks_about_who_is_announced_alone);
        CASE("asks-nobody-when-the-bus-was-lost", asks_nobody_when_the_bus_was_lost);
        CASE("ignores-what-was-said-before", ignores_what_was_said_before);
        CASE("fetches-psks-of-objects", fetches_psks_of_objects);
        CASE("hides-whether-an-identity-exists", hides_whether_an_identity_exists);
        CASE("says-when-the-keyring-died", says_when_the_keyring_died);
        CASE("fails-what-waits-for-a-dying-keyring", fails_what_waits_for_a_dying_keyring);
        CASE("does-not-wait-beyond-the-quota", does_not_wait_beyond_the_quota);
        CASE("the-user-with-most-gives-way-to-another", the_user_with_most_gives_way_to_another);
        CASE("asks-with-the-hint-of-the-server", asks_with_the_hint_of_the_server);
        return g_test_run();
}
