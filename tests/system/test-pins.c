/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Pins: keys that hosts may have, by the word of a user, of the administrator, or of the first
 * time. The peers are OpenSSL's, with certificates that nobody vouches for.
 */

#include "interop/peer.h"
#include "world.h"

#include <gnutls/abstract.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static bool world_new(World *world) {
        if (!world_of_users(world))
                return false;

        world->first = test_identity_new("device", NULL, 0, TEST_KEY_ECDSA);
        world->second = test_identity_new("device", NULL, 0, TEST_KEY_RSA_2048);
        test_identity_write(world->first, world->directory, "first");
        test_identity_write(world->second, world->directory, "second");
        return true;
}

/* ---- peers ---- */

/* At @port, or anywhere with 0; *ret_port is where. */
static Peer *start_server(const World *world, const char *name, uint16_t port, uint16_t *ret_port) {
        g_autofree char *certificate = g_strdup_printf("%s/%s.crt", world->directory, name);
        g_autofree char *key = g_strdup_printf("%s/%s.key", world->directory, name);
        g_autofree char *address = g_strdup_printf("127.0.0.1:%u", port);
        Peer *peer =
                peer_start((const char *const[]){"openssl", "s_server", "-dtls1_2", "-accept",
                                                 address, "-cert", certificate, "-key", key, NULL});
        g_autofree char *where = peer_wait_for(peer, "^ACCEPT(?: 127\\.0\\.0\\.1:([0-9]+))?$");

        if (port == 0) /* else it does not say */
                *ret_port = (uint16_t)g_ascii_strtoull(where, NULL, 10);
        return peer;
}

/* ---- pinning ---- */

static GBytes *pin_of(const TestIdentity *identity) {
        gnutls_x509_crt_t certificate;
        GBytes *der = test_identity_der(identity);
        const gnutls_datum_t data = {(void *)g_bytes_get_data(der, NULL),
                                     (unsigned)g_bytes_get_size(der)};
        uint8_t hash[32];
        size_t size = sizeof(hash);

        g_assert_cmpint(gnutls_x509_crt_init(&certificate), ==, 0);
        g_assert_cmpint(gnutls_x509_crt_import(certificate, &data, GNUTLS_X509_FMT_DER), ==, 0);
        g_assert_cmpint(
                gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, hash, &size), ==,
                0);
        gnutls_x509_crt_deinit(certificate);
        return g_bytes_new(hash, size);
}

static sd_bus_message *pin_begin(sd_bus *bus, const char *method, const char *host, uint16_t port,
                                 const TestIdentity *identity) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, method, "sq", host, port);
        g_autoptr(GBytes) pin = identity ? pin_of(identity) : NULL;

        if (pin)
                options_add_bytes(m, "Fingerprint", g_bytes_get_data(pin, NULL), 32);
        return m;
}

static void pin(sd_bus *bus, const char *host, uint16_t port, const TestIdentity *identity) {
        (void)sd_bus_message_unref(options_end(bus, pin_begin(bus, "Pin", host, port, identity)));
}

static void unpin(sd_bus *bus, const char *host, uint16_t port, const TestIdentity *identity) {
        (void)sd_bus_message_unref(options_end(bus, pin_begin(bus, "Unpin", host, port, identity)));
}

static sd_bus_message *for_all(sd_bus_message *m) {
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Administrator", "b", 1), >=, 0);
        return m;
}

static char *list(sd_bus *bus) {
        return message_text(call(bus, ROOT, MANAGER, "ListPins", ""));
}

/* ---- using ---- */

static sd_bus_message *client_begin(sd_bus *bus, const char *name, uint16_t port) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "VerificationName", "s", name,
                                              "PeerAddress", "s", "127.0.0.1", "PeerPort", "q",
                                              port),
                        >=, 0);
        return m;
}

static char *create(sd_bus *bus, const char *name, uint16_t port) {
        return options_end_path(bus, client_begin(bus, name, port));
}

static char *create_first_use(sd_bus *bus, const char *name, uint16_t port) {
        sd_bus_message *m = client_begin(bus, name, port);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "TrustOnFirstUse", "b", 1), >=, 0);
        return options_end_path(bus, m);
}

static void opens(sd_bus *bus, const char *path) {
        do_handshake(bus, path);
        wait_string(bus, path, CONNECTION, "HandshakeState", "HandshakeComplete");
        (void)sd_bus_message_unref(call(bus, path, CONNECTION, "Shutdown", ""));
}

/* With this among the errors. */
static void fails(sd_bus *bus, const char *path, const char *error) {
        g_autofree char *text = NULL;

        do_handshake(bus, path);
        wait_string(bus, path, CONNECTION, "HandshakeState", "PeerVerificationFailed");
        text = get_error(bus, path);
        if (!strstr(text, error))
                g_error("'%s' does not say '%s'", text, error);
        (void)sd_bus_message_unref(call(bus, path, CONNECTION, "AbortHandshake", ""));
}

static void test_say_which_keys_a_host_may_have(World *world) {
        g_autofree char *path = NULL, *by_name = NULL, *text = NULL;
        Peer *peer;
        uint16_t port;

        peer = start_server(world, "first", 0, &port);
        path = create(world->alice, "", port);
        by_name = create(world->alice, "gateway.example", port);
        fails(world->alice, path, "SelfSignedCertificate");

        /* an object that is there already, at its next handshake */
        pin(world->alice, "127.0.0.1", port, world->first);
        opens(world->alice, path);
        fails(world->alice, by_name, "SelfSignedCertificate");
        pin(world->alice, "Gateway.Example.", port, world->first);
        opens(world->alice, by_name);

        /* the peer's key changes: an error, until the next one is pinned beside it */
        peer_stop(peer);
        peer = start_server(world, "second", port, &port);
        fails(world->alice, path, "CertificateRejected");
        pin(world->alice, "127.0.0.1", port, world->second);
        opens(world->alice, path);
        unpin(world->alice, "127.0.0.1", port, world->second);
        fails(world->alice, path, "CertificateRejected");
        unpin(world->alice, "127.0.0.1", port, NULL);
        fails(world->alice, path, "SelfSignedCertificate");
        text = get_error(world->alice, path);
        g_assert_null(strstr(text, "CertificateRejected"));
        peer_stop(peer);
}

static void test_are_kept_and_listed(World *world) {
        g_autofree char *path = NULL, *before = NULL, *after = NULL, *bobs = NULL;
        Peer *peer;
        uint16_t port;

        peer = start_server(world, "first", 0, &port);
        pin(world->alice, "127.0.0.1", port, world->first);
        before = list(world->alice);
        bobs = list(world->bob);
        g_assert_nonnull(strstr(before, "127.0.0.1"));
        g_assert_cmpstr(bobs, ==, "");

        world_restart(world);
        after = list(world->alice);
        g_assert_cmpstr(after, ==, before);
        path = create(world->alice, "", port);
        opens(world->alice, path);
        peer_stop(peer);
}

/* ---- whose ---- */

static void test_a_users_own_are_nobody_elses(World *world) {
        g_autofree char *alices = NULL, *bobs = NULL, *roots = NULL;
        Peer *peer;
        uint16_t port;

        peer = start_server(world, "first", 0, &port);
        alices = create(world->alice, "", port);
        bobs = create(world->bob, "", port);
        roots = create(world->root, "", port);

        /* neither a man in the middle, nor a denial */
        pin(world->alice, "127.0.0.1", port, world->first);
        opens(world->alice, alices);
        fails(world->bob, bobs, "SelfSignedCertificate");
        fails(world->root, roots, "SelfSignedCertificate");
        pin(world->bob, "127.0.0.1", port, world->second);
        fails(world->bob, bobs, "CertificateRejected");
        opens(world->alice, alices);

        /* nor root's own, until it says so for all */
        pin(world->root, "127.0.0.1", port, world->first);
        opens(world->root, roots);
        fails(world->bob, bobs, "CertificateRejected");
        (void)sd_bus_message_unref(options_end(
                world->root,
                for_all(pin_begin(world->root, "Pin", "127.0.0.1", port, world->first))));
        opens(world->bob, bobs);
        unpin(world->bob, "", 0, NULL);
        opens(world->bob, bobs);
        (void)sd_bus_message_unref(options_end(
                world->root, for_all(pin_begin(world->root, "Unpin", "127.0.0.1", port, NULL))));
        fails(world->bob, bobs, "SelfSignedCertificate");
        peer_stop(peer);
}

static void test_those_for_everybody_are_not_everybodys_to_change(World *world) {
        g_autofree char *text = NULL;

        text = options_end_refused(
                "NotAuthorized", world->alice,
                for_all(pin_begin(world->alice, "Pin", "127.0.0.1", 1, world->first)));
        g_assert_nonnull(strstr(text, "may not manage-store"));
        g_free(options_end_refused(
                "NotAuthorized", world->alice,
                for_all(pin_begin(world->alice, "Unpin", "127.0.0.1", 1, world->first))));
}

/* ---- the first time ---- */

static void test_the_first_key_is_kept(World *world) {
        g_autofree char *path = NULL, *bobs = NULL, *plain = NULL, *text = NULL;
        Peer *peer;
        uint16_t port;

        peer = start_server(world, "first", 0, &port);
        path = create_first_use(world->alice, "meter-7", port);
        opens(world->alice, path);
        text = list(world->alice);
        g_assert_nonnull(strstr(text, "meter-7"));
        plain = create(world->alice, "meter-7", port); /* it is a pin like any */
        opens(world->alice, plain);
        opens(world->alice, path);

        peer_stop(peer);
        peer = start_server(world, "second", port, &port);
        fails(world->alice, path, "CertificateRejected");
        fails(world->alice, plain, "CertificateRejected");
        bobs = create_first_use(world->bob, "meter-7", port); /* who has seen no other */
        opens(world->bob, bobs);
        unpin(world->alice, "meter-7", port, NULL);
        opens(world->alice, path);
        peer_stop(peer);
}

/* The keyring cannot keep it, so it is not trusted. */
static void test_without_a_keyring_nobody_is_the_first(World *world) {
        g_autofree char *path = NULL, *text = NULL;
        sd_bus_message *m;
        pid_t keyring;
        Peer *peer;
        uint16_t port;

        peer = start_server(world, "first", 0, &port);
        keyring = service_keyring_pid(world->service);
        g_assert_cmpint(kill(keyring, SIGSTOP), ==, 0);
        m = client_begin(world->alice, "meter-7", port);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "TrustOnFirstUse", "b", 1,
                                              "AnswerDeadline", "u", 200),
                        >=, 0);
        path = options_end_path(world->alice, m);
        do_handshake(world->alice, path);
        wait_string(world->alice, path, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        text = get_error(world->alice, path);
        g_assert_nonnull(strstr(text, "pin"));
        g_assert_cmpint(kill(keyring, SIGKILL), ==, 0);
        peer_stop(peer);
}

static void test_the_first_time_is_for_policy_to_allow(World *world) {
        g_autofree char *text = NULL, *other = NULL;
        sd_bus_message *m;

        service_rule(world->service,
                     "[Strict]\nSubjects=user:daemon\nVerdict=deny\nMay=trust-first-use\n");
        m = client_begin(world->alice, "meter-7", 1);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "TrustOnFirstUse", "b", 1), >=, 0);
        text = options_end_refused("NotAuthorized", world->alice, m);
        g_assert_nonnull(strstr(text, "may not trust-first-use"));
        g_free(create_first_use(world->bob, "meter-7", 1));

        m = client_begin(world->bob, "meter-7", 1);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "TrustOnFirstUse", "b", 1,
                                              "PeerVerifyMode", "s", "QueryPeer"),
                        >=, 0);
        other = options_end_refused("InvalidInputParameters", world->bob, m);
        g_assert_nonnull(strstr(other, "PeerVerifyMode"));
        g_free(other);

        m = options_begin(world->bob, ROOT, MANAGER, "CreateConnection", "s", "server");
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "TrustOnFirstUse", "b", 1, "Transport",
                                              "s", "external"),
                        >=, 0);
        other = options_end_refused("InvalidInputParameters", world->bob, m);
        g_assert_nonnull(strstr(other, "of a client"));
}

/* ---- what is given ---- */

static void pin_refused(const World *world, const char *method, const char *host, uint16_t port,
                        const char *expected) {
        g_autofree char *text =
                options_end_refused("InvalidInputParameters", world->alice,
                                    pin_begin(world->alice, method, host, port, world->first));

        if (!strstr(text, expected))
                g_error("'%s' does not say '%s'", text, expected);
}

static void test_hosts_are_hosts(World *world) {
        static const char *const hosts[] = {"a b", "../x", "[::1]", "caf\xc3\xa9", ".x", "a\nb",
                                            "a:b", "a;b",  "%"};
        g_autofree char *long_host = g_strnfill(300, 'x');
        g_autofree char *text = NULL;
        sd_bus_message *m;

        for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++)
                pin_refused(world, "Pin", hosts[i], 1, "is no host");
        pin_refused(world, "Pin", long_host, 1, "is no host");
        pin_refused(world, "Pin", "meter", 0, "the port is");
        pin_refused(world, "Pin", "", 0, "is no host");
        pin_refused(world, "Unpin", "meter", 0, "the port is");
        pin_refused(world, "Unpin", "meter", 1, "no such key");
        pin_refused(world, "Unpin", "", 0, "everything");
        text = options_end_refused("InvalidInputParameters", world->alice,
                                   pin_begin(world->alice, "Pin", "meter", 1, NULL));
        g_assert_nonnull(strstr(text, "Fingerprint"));
        m = pin_begin(world->alice, "Pin", "meter", 1, NULL);
        options_add_bytes(m, "Fingerprint", "short", 5);
        g_free(options_end_refused("InvalidInputParameters", world->alice, m));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        world_test("/pins/say-which-keys-a-host-may-have", world_new,
                   test_say_which_keys_a_host_may_have);
        world_test("/pins/are-kept-and-listed", world_new, test_are_kept_and_listed);
        world_test("/pins/a-users-own-are-nobody-elses", world_new,
                   test_a_users_own_are_nobody_elses);
        world_test("/pins/those-for-everybody-are-not-everybodys-to-change", world_new,
                   test_those_for_everybody_are_not_everybodys_to_change);
        world_test("/pins/the-first-key-is-kept", world_new, test_the_first_key_is_kept);
        world_test("/pins/without-a-keyring-nobody-is-the-first", world_new,
                   test_without_a_keyring_nobody_is_the_first);
        world_test("/pins/the-first-time-is-for-policy-to-allow", world_new,
                   test_the_first_time_is_for_policy_to_allow);
        world_test("/pins/hosts-are-hosts", world_new, test_hosts_are_hosts);
        return g_test_run();
}
