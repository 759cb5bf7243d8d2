/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Identities: certificates with keys that programs use by name and never hold: kept, replaced while
 * connections run, one's own and the administrator's.
 */

#include "identities.h"

#include <gnutls/x509.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_is_used_by_name_and_kept(World *world) {
        g_autofree char *listener = NULL, *path = NULL, *text = NULL, *again = NULL, *name = NULL;
        g_autofree char *log = NULL;
        uint16_t port;

        import(world->root, "gateway", world->first);
        text = options_end_refused("NotAuthorized", world->alice,
                                   listen_with(world->alice, "gateway"));
        g_assert_nonnull(strstr(text, "may not use"));
        let_alice_use(world);
        listener = options_end_path(world->alice, listen_with(world->alice, "gateway"));
        port = get_port(world->alice, listener);
        path = open_to(world, port);
        g_assert_true(peer_is(world->bob, path, world->first));
        name = get_string(world->alice, ROOT "/identity/gateway", IDENTITY, "Name");
        g_assert_cmpstr(name, ==, "gateway");

        /* it is root's, and the keyring says for whom it signed */
        log = service_log(world->service);
        g_assert_nonnull(strstr(log, ", identity:gateway of uid 0: signs for uid 1, 1 since"));

        /* both processes, with everything that is only in their memory */
        world_restart(world);
        again = options_end_path(world->alice, listen_with(world->alice, "gateway"));
        g_free(path);
        path = open_to(world, get_port(world->alice, again));
        g_assert_true(peer_is(world->bob, path, world->first));
}

static void test_a_new_one_is_for_what_comes_and_spares_what_is(World *world) {
        g_autofree char *listener = NULL, *old = NULL, *new = NULL, *text = NULL, *last = NULL;
        uint16_t port;

        import(world->root, "gateway", world->first);
        let_alice_use(world);
        listener = options_end_path(world->alice, listen_with(world->alice, "gateway"));
        port = get_port(world->alice, listener);
        old = open_to(world, port);

        import(world->root, "gateway", world->second);
        new = open_to(world, port);
        g_assert_true(peer_is(world->bob, new, world->second));
        g_assert_true(peer_is(world->bob, old, world->first));
        write_datagram(world->bob, old, "still", 5);

        /* one that does not fit is refused, and the last good pair stays */
        import_refused(world->root, "gateway", world->first, test_identity_key_pem(world->second),
                       "InvalidInputParameters", "not that of the first certificate");
        last = open_to(world, port);
        g_assert_true(peer_is(world->bob, last, world->second));

        (void)sd_bus_message_unref(
                call(world->root, ROOT, MANAGER, "RemoveIdentity", "s", "gateway"));
        text = options_end_refused("InvalidInputParameters", world->alice,
                                   listen_with(world->alice, "gateway"));
        g_assert_nonnull(strstr(text, "no identity 'gateway'"));
}

/* Handshakes go on when the keyring was killed: the key is the store's, not the process's. */
static void test_outlives_its_keyring(World *world) {
        g_autofree char *listener = NULL, *path = NULL;
        pid_t keyring;

        import(world->root, "gateway", world->first);
        let_alice_use(world);
        listener = options_end_path(world->alice, listen_with(world->alice, "gateway"));
        keyring = service_keyring_pid(world->service);
        g_assert_cmpint(kill(keyring, SIGKILL), ==, 0);
        wait_keyring(world->service, keyring, world->alice, "gateway");
        path = open_to(world, get_port(world->alice, listener));
        g_assert_true(peer_is(world->bob, path, world->first));
}

/* ---- keys that are made in the keyring ---- */

/* The request; to be freed. */
static char *generate(sd_bus *bus, const char *name, const char *key_type) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "GenerateIdentity", "s", name);
        sd_bus_message *reply;
        const char *csr;
        char *copy;

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "KeyType", "s", key_type), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "SubjectAltNames", "as", 1, "127.0.0.1"),
                        >=, 0);
        reply = options_end(bus, m);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &csr), >=, 0);
        copy = g_strdup(csr);
        (void)sd_bus_message_unref(reply);
        return copy;
}

/* What an authority that is openssl's makes of it, PEM. */
static GBytes *sign_request(const World *world, const char *csr) {
        const char *directory = service_directory(world->service);
        g_autofree char *request = g_build_filename(directory, "request.csr", NULL);
        g_autofree char *signed_file = g_build_filename(directory, "signed.crt", NULL);
        g_autofree char *certificate = g_build_filename(directory, "ca.crt", NULL);
        g_autofree char *key = g_build_filename(directory, "ca.key", NULL);
        const char *arguments[] = {
                "openssl",          "x509",   "-req", "-in",       request, "-CA",
                certificate,        "-CAkey", key,    "-days",     "1",     "-CAcreateserial",
                "-copy_extensions", "copy",   "-out", signed_file, NULL};
        char *contents;
        gsize size;
        int status;

        test_identity_write(world->ca, directory, "ca");
        g_assert_true(g_file_set_contents(request, csr, -1, NULL));
        g_assert_true(g_spawn_sync(NULL, (char **)arguments, NULL,
                                   G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                                   NULL, NULL, &status, NULL));
        g_assert_cmpint(status, ==, 0);
        g_assert_true(g_file_get_contents(signed_file, &contents, &size, NULL));
        return g_bytes_new_take(contents, size);
}

static bool awaits_certificate(sd_bus *bus, const char *path) {
        int awaits = -1;

        g_assert_cmpint(sd_bus_get_property_trivial(bus, NAME, path, IDENTITY, "AwaitsCertificate",
                                                    NULL, 'b', &awaits),
                        >=, 0);
        return awaits;
}

static void test_a_key_is_made_and_certified(World *world) {
        g_autofree char *csr = NULL, *text = NULL, *listener = NULL, *path = NULL, *type = NULL;
        g_autofree char *empty = NULL;
        g_autoptr(GBytes) certificate = NULL;

        let_alice_use(world);
        csr = generate(world->root, "gateway", "ECDSA-P256");
        g_assert_null(strstr(csr, "PRIVATE"));
        g_assert_true(awaits_certificate(world->root, ROOT "/identity/gateway"));
        empty = get_string(world->root, ROOT "/identity/gateway", IDENTITY, "Fingerprint");
        g_assert_cmpstr(empty, ==, "");
        text = options_end_refused("InvalidInputParameters", world->alice,
                                   listen_with(world->alice, "gateway"));
        g_assert_nonnull(strstr(text, "no certificate yet"));

        /* the key is the store's, not the processes' */
        world_restart(world);
        g_assert_true(awaits_certificate(world->root, ROOT "/identity/gateway"));

        certificate = sign_request(world, csr);
        install_refused(world->root, "gateway", test_identity_der(world->first),
                        "not that of the first certificate");
        install_refused(world->root, "other", certificate, "no identity of this name");
        install(world->root, "gateway", certificate);
        g_assert_false(awaits_certificate(world->root, ROOT "/identity/gateway"));
        type = get_string(world->root, ROOT "/identity/gateway", IDENTITY, "KeyType");
        g_assert_cmpstr(type, ==, "ECDSA");
        listener = options_end_path(world->alice, listen_with(world->alice, "gateway"));
        path = open_to(world, get_port(world->alice, listener));
}

static void test_a_new_key_waits_beside_the_pair_in_use(World *world) {
        g_autofree char *csr = NULL, *listener = NULL, *old = NULL, *still = NULL, *last = NULL;
        g_autoptr(GBytes) certificate = NULL;
        uint16_t port;

        import(world->root, "gateway", world->first);
        let_alice_use(world);
        listener = options_end_path(world->alice, listen_with(world->alice, "gateway"));
        port = get_port(world->alice, listener);
        old = open_to(world, port);

        csr = generate(world->root, "gateway", "Ed25519");
        g_assert_true(awaits_certificate(world->root, ROOT "/identity/gateway"));
        still = open_to(world, port);
        g_assert_true(peer_is(world->bob, still, world->first));

        certificate = sign_request(world, csr);
        install_refused(world->root, "gateway", test_identity_der(world->second),
                        "not that of the first certificate");
        install(world->root, "gateway", certificate);
        last = open_to(world, port);
        g_assert_false(peer_is(world->bob, last, world->first));
        g_assert_true(peer_is(world->bob, old, world->first));
        write_datagram(world->bob, old, "still", 5);
}

/* Read in a time that grows with the square of their number, these would take minutes. */
static void names_refused(sd_bus *bus, const char *name, size_t n) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "GenerateIdentity", "s", name);
        g_autofree char **names = g_new0(char *, n + 1);
        g_autofree char *text = NULL;

        for (size_t i = 0; i < n; i++)
                names[i] = (char *)"a";
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_basic(m, 's', "SubjectAltNames"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "as"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_strv(m, names), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        text = options_end_refused("InvalidInputParameters", bus, m);
        g_assert_nonnull(strstr(text, "'SubjectAltNames' has more than 64 elements"));
}

static void test_only_who_may_has_keys_made(World *world) {
        g_autofree char *text = NULL, *foreign = NULL, *bad = NULL, *own = NULL;
        sd_bus_message *m;

        m = options_begin(world->alice, ROOT, MANAGER, "GenerateIdentity", "s", "gateway");
        text = options_end_refused("NotAuthorized", world->alice, m);
        m = options_begin(world->bob, ROOT, MANAGER, "GenerateIdentity", "s", "u/1/mine");
        foreign = options_end_refused("NotAuthorized", world->bob, m);
        m = options_begin(world->alice, ROOT, MANAGER, "GenerateIdentity", "s", "u/1/mine");
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "KeyType", "s", "RSA-512"), >=, 0);
        bad = options_end_refused("InvalidInputParameters", world->alice, m);
        g_assert_nonnull(strstr(bad, "RSA-4096"));
        names_refused(world->alice, "u/1/mine", 65);
        names_refused(world->alice, "u/1/mine", 500000);
        own = generate(world->alice, "u/1/mine", "ECDSA-P256");
}

/* ---- whose ---- */

static void test_a_users_own_are_nobody_elses(World *world) {
        g_autofree char *listener = NULL, *text = NULL, *hidden = NULL, *taken = NULL;

        import(world->alice, "u/1/mine", world->first);
        listener = options_end_path(world->alice, listen_with(world->alice, "u/1/mine"));
        text = options_end_refused("InvalidInputParameters", world->bob,
                                   listen_with(world->bob, "u/1/mine"));
        g_assert_nonnull(strstr(text, "no identity 'u/1/mine'"));
        hidden =
                call_refused(SD_BUS_ERROR_UNKNOWN_OBJECT, world->bob, ROOT "/identity/u_2f1_2fmine",
                             PROPERTIES, "Get", "ss", IDENTITY, "Name");
        import_refused(world->bob, "u/1/mine", world->second, test_identity_key_pem(world->second),
                       "NotAuthorized", "another user's");
        taken = call_refused("NotAuthorized", world->bob, ROOT, MANAGER, "RemoveIdentity", "s",
                             "u/1/mine");
        g_free(get_string(world->alice, ROOT "/identity/u_2f1_2fmine", IDENTITY, "Fingerprint"));
}

static void test_the_administrators_are_not_everybodys_to_change(World *world) {
        g_autofree char *text = NULL;

        import(world->root, "gateway", world->first);
        import_refused(world->alice, "gateway", world->second, test_identity_key_pem(world->second),
                       "NotAuthorized", "may not manage-store");
        text = call_refused("NotAuthorized", world->alice, ROOT, MANAGER, "RemoveIdentity", "s",
                            "gateway");
}

/* A listener has the chain that the store has, and pays for that one. */
static void test_a_chain_costs_what_it_is(World *world) {
        g_autofree char *listener = NULL;

        import(world->alice, "u/1/gateway", world->first);
        listener = options_end_path(world->alice, listen_with(world->alice, "u/1/gateway"));
        wait_statistic(world->alice, "BytesInUse",
                       g_bytes_get_size(test_identity_der(world->first)));
        import(world->alice, "u/1/gateway", world->second);
        wait_statistic(world->alice, "BytesInUse",
                       g_bytes_get_size(test_identity_der(world->second)));
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

static void test_a_uri_has_a_length(World *world) {
        g_autofree char *too_long = g_strnfill(1025, 'x');
        const char *const uris[] = {"", too_long};

        for (size_t i = 0; i < G_N_ELEMENTS(uris); i++) {
                sd_bus_message *m = import_begin(world->root, "x", world->first);
                g_autofree char *text = NULL;

                g_assert_cmpint(sd_bus_message_append(m, "{sv}", "KeyUri", "s", uris[i]), >=, 0);
                text = options_end_refused("InvalidInputParameters", world->root, m);
                g_assert_nonnull(strstr(text, "1 to 1024"));
        }
}

static void test_an_encrypted_key_needs_its_passphrase(World *world) {
        g_autoptr(GBytes) key = NULL;
        g_autofree char *text = NULL;
        sd_bus_message *m;

        key = encrypted(world->first, "open sesame");
        import_refused(world->root, "x", world->first, key, "InvalidInputParameters", "encrypted");
        m = import_begin(world->root, "x", world->first);
        import_add_key(m, key);
        options_add_secret(m, "Passphrase", "open barley", 11);
        text = options_end_refused("InvalidInputParameters", world->root, m);
        g_assert_nonnull(strstr(text, "passphrase"));

        m = import_begin(world->root, "x", world->first);
        import_add_key(m, key);
        options_add_secret(m, "Passphrase", "open sesame", 11);
        (void)sd_bus_message_unref(options_end(world->root, m));
}

/* ---- very many ---- */

#ifdef __SANITIZE_ADDRESS__
#define N_MANY 200 /* each is slower by an order of magnitude */
#else
#define N_MANY 2000
#endif
#define N_AT_ONCE 4 /* the keyring reads no more of a user's */

static int on_imported(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_error(m, NULL))
                g_error("ImportIdentity: %s", sd_bus_message_get_error(m)->message);
        (*(unsigned *)userdata)++;
        return 1;
}

static void import_very_many(sd_bus *bus, const TestIdentity *identity) {
        unsigned n_asked = 0, n_kept = 0;

        while (n_kept < N_MANY) {
                int r;

                for (; n_asked < N_MANY && n_asked - n_kept < N_AT_ONCE; n_asked++) {
                        g_autofree char *name = g_strdup_printf("x%u", n_asked);
                        sd_bus_message *m = import_begin(bus, name, identity);

                        import_add_key(m, test_identity_key_pem(identity));
                        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
                        g_assert_cmpint(sd_bus_call_async(bus, NULL, m, on_imported, &n_kept, 0),
                                        >=, 0);
                        (void)sd_bus_message_unref(m);
                }
                r = sd_bus_process(bus, NULL);
                g_assert_cmpint(r, >=, 0);
                if (r == 0)
                        g_assert_cmpint(sd_bus_wait(bus, SERVICE_LIMIT_USEC), >, 0);
        }
}

static unsigned count_managed(sd_bus *bus) {
        g_autofree char *text =
                message_text(call(bus, ROOT, OBJECT_MANAGER, "GetManagedObjects", ""));
        unsigned n = 0;

        for (const char *at = text; (at = strstr(at, "|" ROOT "/identity/")); at++)
                n++;
        return n;
}

/* In one message, to whom may use them or ask to, also while another keyring says what there is. */
static void test_very_many_are_listed(World *world) {
        pid_t keyring = service_keyring_pid(world->service);

        import_very_many(world->root, world->first);
        import(world->alice, "u/1/mine", world->second);
        g_assert_cmpuint(count_managed(world->root), ==, N_MANY + 1);
        g_assert_cmpuint(count_managed(world->alice), ==, N_MANY + 1);
        g_assert_cmpuint(count_managed(world->bob), ==, N_MANY);

        g_assert_cmpint(kill(keyring, SIGKILL), ==, 0);
        wait_keyring(world->service, keyring, world->alice, "u/1/mine");
        g_assert_cmpuint(count_managed(world->root), ==, N_MANY + 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        world_test("/identities/is-used-by-name-and-kept", world_of_identities,
                   test_is_used_by_name_and_kept);
        world_test("/identities/a-new-one-is-for-what-comes-and-spares-what-is",
                   world_of_identities, test_a_new_one_is_for_what_comes_and_spares_what_is);
        world_test("/identities/outlives-its-keyring", world_of_identities,
                   test_outlives_its_keyring);
        world_test("/identities/a-key-is-made-and-certified", world_of_identities,
                   test_a_key_is_made_and_certified);
        world_test("/identities/a-new-key-waits-beside-the-pair-in-use", world_of_identities,
                   test_a_new_key_waits_beside_the_pair_in_use);
        world_test("/identities/only-who-may-has-keys-made", world_of_identities,
                   test_only_who_may_has_keys_made);
        world_test("/identities/a-users-own-are-nobody-elses", world_of_identities,
                   test_a_users_own_are_nobody_elses);
        world_test("/identities/the-administrators-are-not-everybodys-to-change",
                   world_of_identities, test_the_administrators_are_not_everybodys_to_change);
        world_test("/identities/a-chain-costs-what-it-is", world_of_identities,
                   test_a_chain_costs_what_it_is);
        world_test("/identities/a-uri-has-a-length", world_of_identities, test_a_uri_has_a_length);
        world_test("/identities/an-encrypted-key-needs-its-passphrase", world_of_identities,
                   test_an_encrypted_key_needs_its_passphrase);
        world_test("/identities/very-many-are-listed", world_of_identities,
                   test_very_many_are_listed);
        return g_test_run();
}
