/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Identities: certificates with keys that programs use by name and never hold: kept, replaced while
 * connections run, one's own and the administrator's.
 */

#include "stage.h"

#include <gnutls/x509.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDENTITY NAME ".Identity"

typedef struct World {
        Service *service;
        sd_bus *root, *alice, *bob;
        TestIdentity *ca, *first, *second;
} World;

static bool world_new(World *world) {
        if (!service_has_users())
                return false;

        *world = (World){.service = service_start(NULL)};
        world->root = service_bus(world->service, 0);
        world->alice = service_bus(world->service, UID_ALICE);
        world->bob = service_bus(world->service, UID_BOB);
        world->ca = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world->first =
                test_identity_new("first", world->ca, TEST_IDENTITY_LOOPBACK, TEST_KEY_ECDSA);
        world->second =
                test_identity_new("second", world->ca, TEST_IDENTITY_LOOPBACK, TEST_KEY_RSA_2048);
        return true;
}

static void world_free(World *world) {
        (void)bus_leave(world->root);
        (void)bus_leave(world->alice);
        (void)bus_leave(world->bob);
        test_identity_free(world->first);
        test_identity_free(world->second);
        test_identity_free(world->ca);
        service_stop(world->service);
}

static void let_alice_use(const World *world) {
        g_autofree char *path =
                g_build_filename(service_directory(world->service), "policy.d", "10-x.conf", NULL);

        g_assert_true(g_file_set_contents(path,
                                          "[Alice]\nSubjects=user:daemon\nVerdict=allow\n"
                                          "Use=identity:gate*\n",
                                          -1, NULL));
        g_assert_cmpint(chmod(path, 0644), ==, 0);
        (void)sd_bus_message_unref(call(world->root, ROOT, MANAGER, "Reload", ""));
}

/* ---- importing ---- */

static sd_bus_message *import_begin(sd_bus *bus, const char *name, const TestIdentity *identity) {
        GBytes *der = test_identity_der(identity);
        sd_bus_message *m = NULL;

        g_assert_cmpint(
                sd_bus_message_new_method_call(bus, &m, NAME, ROOT, MANAGER, "ImportIdentity"), >=,
                0);
        g_assert_cmpint(sd_bus_message_append(m, "s", name), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "ay"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(der, NULL),
                                                    g_bytes_get_size(der)),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        return m;
}

static void add_key(sd_bus_message *m, GBytes *key) {
        options_add_secret(m, "Key", g_bytes_get_data(key, NULL), g_bytes_get_size(key));
}

static void import(sd_bus *bus, const char *name, const TestIdentity *identity) {
        sd_bus_message *m = import_begin(bus, name, identity);

        add_key(m, test_identity_key_pem(identity));
        (void)sd_bus_message_unref(options_end(bus, m));
}

static void import_refused(sd_bus *bus, const char *name, const TestIdentity *identity, GBytes *key,
                           const char *error, const char *expected) {
        sd_bus_message *m = import_begin(bus, name, identity);
        g_autofree char *text = NULL;

        add_key(m, key);
        text = options_end_refused(error, bus, m);
        if (!strstr(text, expected))
                g_error("'%s' does not say '%s'", text, expected);
}

/* ---- using ---- */

static sd_bus_message *listen_with(sd_bus *bus, const char *identity) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Identity", "s", identity), >=, 0);
        return m;
}

/* A client of bob's that trusts the CA; its path. */
static char *open_to(const World *world, uint16_t port) {
        sd_bus_message *m =
                options_begin(world->bob, ROOT, MANAGER, "CreateConnection", "s", "client");
        char *path;

        options_add_certificate(m, "CaCertificates", world->ca);
        path = options_end_path(world->bob, m);
        (void)sd_bus_message_unref(
                call(world->bob, path, CONNECTION, "SetPeer", "sqs", "127.0.0.1", port, ""));
        do_handshake(world->bob, path);
        wait_string(world->bob, path, CONNECTION, "HandshakeState", "HandshakeComplete");
        return path;
}

/* Whether the leaf that the peer of @path showed is @identity's. */
static bool peer_is(sd_bus *bus, const char *path, const TestIdentity *identity) {
        GBytes *der = test_identity_der(identity);
        sd_bus_message *reply = NULL;
        const void *data;
        size_t size;
        bool is;

        g_assert_cmpint(sd_bus_get_property(bus, NAME, path, CONNECTION, "PeerCertificateChain",
                                            NULL, &reply, "aay"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "ay"), >, 0);
        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &data, &size), >, 0);
        is = size == g_bytes_get_size(der) && memcmp(data, g_bytes_get_data(der, NULL), size) == 0;
        (void)sd_bus_message_unref(reply);
        return is;
}

static void test_is_used_by_name_and_kept(void) {
        World world;
        g_autofree char *listener = NULL, *path = NULL, *text = NULL, *again = NULL, *name = NULL;
        uint16_t port;
        int status;

        if (!world_new(&world))
                return;

        import(world.root, "gateway", world.first);
        text = options_end_refused("NotAuthorized", world.alice,
                                   listen_with(world.alice, "gateway"));
        g_assert_nonnull(strstr(text, "may not use"));
        let_alice_use(&world);
        listener = options_end_path(world.alice, listen_with(world.alice, "gateway"));
        port = get_port(world.alice, listener);
        path = open_to(&world, port);
        g_assert_true(peer_is(world.bob, path, world.first));
        name = get_string(world.alice, ROOT "/identity/gateway", IDENTITY, "Name");
        g_assert_cmpstr(name, ==, "gateway");

        /* both processes, with everything that is only in their memory */
        g_assert_cmpint(kill(service_keyring_pid(world.service), SIGKILL), ==, 0);
        g_assert_cmpint(kill(service_pid(world.service), SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(service_pid(world.service), &status, 0), >, 0);
        service_restart(world.service);
        again = options_end_path(world.alice, listen_with(world.alice, "gateway"));
        g_free(path);
        path = open_to(&world, get_port(world.alice, again));
        g_assert_true(peer_is(world.bob, path, world.first));
        world_free(&world);
}

static void test_a_new_one_is_for_what_comes_and_spares_what_is(void) {
        World world;
        g_autofree char *listener = NULL, *old = NULL, *new = NULL, *text = NULL, *last = NULL;
        uint16_t port;

        if (!world_new(&world))
                return;

        import(world.root, "gateway", world.first);
        let_alice_use(&world);
        listener = options_end_path(world.alice, listen_with(world.alice, "gateway"));
        port = get_port(world.alice, listener);
        old = open_to(&world, port);

        import(world.root, "gateway", world.second);
        new = open_to(&world, port);
        g_assert_true(peer_is(world.bob, new, world.second));
        g_assert_true(peer_is(world.bob, old, world.first));
        write_datagram(world.bob, old, "still", 5);

        /* one that does not fit is refused, and the last good pair stays */
        import_refused(world.root, "gateway", world.first, test_identity_key_pem(world.second),
                       "InvalidInputParameters", "not that of the first certificate");
        last = open_to(&world, port);
        g_assert_true(peer_is(world.bob, last, world.second));

        (void)sd_bus_message_unref(
                call(world.root, ROOT, MANAGER, "RemoveIdentity", "s", "gateway"));
        text = options_end_refused("InvalidInputParameters", world.alice,
                                   listen_with(world.alice, "gateway"));
        g_assert_nonnull(strstr(text, "no identity 'gateway'"));
        world_free(&world);
}

typedef struct Return {
        const World *world;
        pid_t old;
} Return;

/* The next keyring has said what it keeps. */
static bool has_returned(void *userdata) {
        const Return *r = userdata;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        pid_t now = service_keyring_pid(r->world->service); /* first: then the old one's are gone */
        char *name = NULL;
        bool is_there;

        is_there = sd_bus_get_property_string(r->world->alice, NAME, ROOT "/identity/gateway",
                                              IDENTITY, "Name", &error, &name) >= 0;
        sd_bus_error_free(&error);
        free(name);
        return is_there && now > 0 && now != r->old;
}

/* Handshakes go on when the keyring was killed: the key is the store's, not the process's. */
static void test_outlives_its_keyring(void) {
        World world;
        g_autofree char *listener = NULL, *path = NULL;
        pid_t keyring;

        if (!world_new(&world))
                return;

        import(world.root, "gateway", world.first);
        let_alice_use(&world);
        listener = options_end_path(world.alice, listen_with(world.alice, "gateway"));
        keyring = service_keyring_pid(world.service);
        g_assert_cmpint(kill(keyring, SIGKILL), ==, 0);
        bus_wait(world.alice, has_returned, &(Return){&world, keyring}, "the next keyring");
        path = open_to(&world, get_port(world.alice, listener));
        g_assert_true(peer_is(world.bob, path, world.first));
        world_free(&world);
}

/* ---- whose ---- */

static void test_a_users_own_are_nobody_elses(void) {
        World world;
        g_autofree char *listener = NULL, *text = NULL, *hidden = NULL, *taken = NULL;

        if (!world_new(&world))
                return;

        import(world.alice, "u/1/mine", world.first);
        listener = options_end_path(world.alice, listen_with(world.alice, "u/1/mine"));
        text = options_end_refused("InvalidInputParameters", world.bob,
                                   listen_with(world.bob, "u/1/mine"));
        g_assert_nonnull(strstr(text, "no identity 'u/1/mine'"));
        hidden = call_refused(SD_BUS_ERROR_UNKNOWN_OBJECT, world.bob, ROOT "/identity/u_2f1_2fmine",
                              PROPERTIES, "Get", "ss", IDENTITY, "Name");
        import_refused(world.bob, "u/1/mine", world.second, test_identity_key_pem(world.second),
                       "NotAuthorized", "another user's");
        taken = call_refused("NotAuthorized", world.bob, ROOT, MANAGER, "RemoveIdentity", "s",
                             "u/1/mine");
        g_free(get_string(world.alice, ROOT "/identity/u_2f1_2fmine", IDENTITY, "Fingerprint"));
        world_free(&world);
}

static void test_the_administrators_are_not_everybodys_to_change(void) {
        World world;
        g_autofree char *text = NULL;

        if (!world_new(&world))
                return;

        import(world.root, "gateway", world.first);
        import_refused(world.alice, "gateway", world.second, test_identity_key_pem(world.second),
                       "NotAuthorized", "may not manage-store");
        text = call_refused("NotAuthorized", world.alice, ROOT, MANAGER, "RemoveIdentity", "s",
                            "gateway");
        world_free(&world);
}

/* A listener has the chain that the store has, and pays for that one. */
static void test_a_chain_costs_what_it_is(void) {
        World world;
        g_autofree char *listener = NULL;

        if (!world_new(&world))
                return;

        import(world.alice, "u/1/gateway", world.first);
        listener = options_end_path(world.alice, listen_with(world.alice, "u/1/gateway"));
        wait_statistic(world.alice, "BytesInUse", g_bytes_get_size(test_identity_der(world.first)));
        import(world.alice, "u/1/gateway", world.second);
        wait_statistic(world.alice, "BytesInUse",
                       g_bytes_get_size(test_identity_der(world.second)));
        world_free(&world);
}

/* ---- what is given ---- */

static GBytes *encrypted(const TestIdentity *identity, const char *passphrase) {
        gnutls_datum_t pem;
        GBytes *bytes;

        g_assert_cmpint(gnutls_x509_privkey_export2_pkcs8(test_identity_key(identity),
                                                          GNUTLS_X509_FMT_PEM, passphrase,
                                                          GNUTLS_PKCS_PBES2_AES_256, &pem),
                        ==, 0);
        bytes = g_bytes_new(pem.data, pem.size);
        gnutls_free(pem.data);
        return bytes;
}

static void test_an_encrypted_key_needs_its_passphrase(void) {
        World world;
        g_autoptr(GBytes) key = NULL;
        g_autofree char *text = NULL;
        sd_bus_message *m;

        if (!world_new(&world))
                return;

        key = encrypted(world.first, "open sesame");
        import_refused(world.root, "x", world.first, key, "InvalidInputParameters", "encrypted");
        m = import_begin(world.root, "x", world.first);
        add_key(m, key);
        options_add_secret(m, "Passphrase", "open barley", 11);
        text = options_end_refused("InvalidInputParameters", world.root, m);
        g_assert_nonnull(strstr(text, "passphrase"));

        m = import_begin(world.root, "x", world.first);
        add_key(m, key);
        options_add_secret(m, "Passphrase", "open sesame", 11);
        (void)sd_bus_message_unref(options_end(world.root, m));
        world_free(&world);
}

static void test_names_are_words(void) {
        static const char *const names[] = {"",    "../x",     ".x",         "a b",
                                            "u/1", "u/1/../y", "caf\xc3\xa9"};
        World world;
        g_autofree char *long_name = g_strnfill(300, 'x');

        if (!world_new(&world))
                return;

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                import_refused(world.root, names[i], world.first,
                               test_identity_key_pem(world.first), "InvalidInputParameters",
                               "a name is 1 to 64");
        import_refused(world.root, long_name, world.first, test_identity_key_pem(world.first),
                       "InvalidInputParameters", "a name is 1 to 64");
        /* who may not is not asked about what cannot be */
        import_refused(world.alice, "../x", world.first, test_identity_key_pem(world.first),
                       "InvalidInputParameters", "a name is 1 to 64");
        world_free(&world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/identities/is-used-by-name-and-kept", test_is_used_by_name_and_kept);
        g_test_add_func("/identities/a-new-one-is-for-what-comes-and-spares-what-is",
                        test_a_new_one_is_for_what_comes_and_spares_what_is);
        g_test_add_func("/identities/outlives-its-keyring", test_outlives_its_keyring);
        g_test_add_func("/identities/a-users-own-are-nobody-elses",
                        test_a_users_own_are_nobody_elses);
        g_test_add_func("/identities/the-administrators-are-not-everybodys-to-change",
                        test_the_administrators_are_not_everybodys_to_change);
        g_test_add_func("/identities/a-chain-costs-what-it-is", test_a_chain_costs_what_it_is);
        g_test_add_func("/identities/an-encrypted-key-needs-its-passphrase",
                        test_an_encrypted_key_needs_its_passphrase);
        g_test_add_func("/identities/names-are-words", test_names_are_words);
        return g_test_run();
}
