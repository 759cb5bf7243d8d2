/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Certificates that the store takes back: by the administrator of everybody, by a user of itself
 * alone; while connections run, and of sessions that are taken up again.
 */

#include "lib/revocations.h"
#include "world.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* ---- changing ---- */

static sd_bus_message *set_begin(sd_bus *bus, const char *name) {
        return options_begin(bus, ROOT, MANAGER, "SetRevocations", "s", name);
}

static void add_denied(sd_bus_message *m, const TestIdentity *identity) {
        g_autofree char *hash =
                g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(identity));

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Denied", "as", 1, hash), >=, 0);
}

/* @n times the same. */
static void add_lists(sd_bus_message *m, const void *data, size_t size, size_t n) {
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "Lists"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "aay"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "ay"), >=, 0);
        for (size_t i = 0; i < n; i++)
                g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
        for (int i = 0; i < 3; i++)
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
}

static void deny(sd_bus *bus, const char *name, const TestIdentity *identity) {
        sd_bus_message *m = set_begin(bus, name);

        add_denied(m, identity);
        (void)sd_bus_message_unref(options_end(bus, m));
}

static void take_back(sd_bus *bus, const char *name, GBytes *taken_crl) {
        g_autoptr(GBytes) crl = taken_crl;
        sd_bus_message *m = set_begin(bus, name);

        add_lists(m, g_bytes_get_data(crl, NULL), g_bytes_get_size(crl), 1);
        (void)sd_bus_message_unref(options_end(bus, m));
}

static void forget(sd_bus *bus, const char *name) {
        (void)sd_bus_message_unref(call(bus, ROOT, MANAGER, "RemoveRevocations", "s", name));
}

static void set_refused(sd_bus *bus, sd_bus_message *m, const char *error, const char *expected) {
        g_autofree char *text = options_end_refused(error, bus, m);

        if (!strstr(text, expected))
                g_error("'%s' does not say '%s'", text, expected);
}

static char *list(sd_bus *bus) {
        return message_text(call(bus, ROOT, MANAGER, "ListRevocations", ""));
}

static void assert_lists(sd_bus *bus, const char *expected) {
        g_autofree char *text = list(bus);

        g_assert_cmpstr(text, ==, expected);
}

/* ---- using ---- */

static char *create(const World *world, sd_bus *bus, uint16_t port, GBytes *ticket) {
        return options_end_path(bus, world_client_begin(world, bus, port, ticket));
}

/* A new client of this user's; @error NULL: it opens. */
static void check(const World *world, sd_bus *bus, uint16_t port, const char *error) {
        g_autofree char *path = create(world, bus, port, NULL), *text = NULL;

        shake(bus, path, error ? "PeerVerificationFailed" : "HandshakeComplete");
        text = get_error(bus, path);
        if (error && !strstr(text, error))
                g_error("'%s' does not say '%s'", text, error);
        close_object(bus, path, CONNECTION);
}

static void test_the_administrators_count_for_everybody(World *world) {
        Peer *peer;
        uint16_t port;

        peer = world_start_server(world, &port);
        check(world, world->alice, port, NULL);
        deny(world->root, "stolen", world->server);
        check(world, world->alice, port, "CertificateBlacklisted");
        check(world, world->bob, port, "CertificateBlacklisted");
        assert_lists(world->bob, "|stolen|0|1|0");

        world_restart(world); /* with everything that is only in their memory */
        check(world, world->bob, port, "CertificateBlacklisted");
        take_back(world->root, "stolen", test_crl_new(world->ca, NULL, world->server, NULL));
        check(world, world->bob, port, "CertificateRevoked");
        assert_lists(world->alice, "|stolen|1|0|0");
        forget(world->root, "stolen");
        check(world, world->bob, port, NULL);
        peer_stop(peer);
}

static void test_a_users_own_are_nobody_elses(World *world) {
        g_autofree char *text = NULL;
        Peer *peer;
        uint16_t port;

        peer = world_start_server(world, &port);
        deny(world->alice, "u/1/mine", world->server);
        check(world, world->alice, port, "CertificateBlacklisted");
        check(world, world->bob, port, NULL);
        check(world, world->root, port, NULL);
        assert_lists(world->alice, "|u/1/mine|0|1|0");
        assert_lists(world->bob, "");
        assert_lists(world->root, "|u/1/mine|0|1|0");
        text = call_refused("InvalidInputParameters", world->bob, ROOT, MANAGER, "GetRevocations",
                            "s", "u/1/mine");
        g_assert_nonnull(strstr(text, "no entry of revocations 'u/1/mine'"));
        set_refused(world->bob, set_begin(world->bob, "u/1/mine"), "NotAuthorized",
                    "another user's");
        g_free(call_refused("NotAuthorized", world->bob, ROOT, MANAGER, "RemoveRevocations", "s",
                            "u/1/mine"));

        /* nor does what is Bob's give back what Alice took */
        deny(world->bob, "u/5/mine", world->other);
        check(world, world->alice, port, "CertificateBlacklisted");
        forget(world->alice, "u/1/mine");
        check(world, world->alice, port, NULL);
        peer_stop(peer);
}

static void test_the_administrators_are_not_everybodys_to_change(World *world) {
        sd_bus_message *m;

        deny(world->root, "stolen", world->server);
        m = set_begin(world->alice, "stolen");
        add_denied(m, world->other);
        set_refused(world->alice, m, "NotAuthorized", "may not manage-store");
        g_free(call_refused("NotAuthorized", world->alice, ROOT, MANAGER, "RemoveRevocations", "s",
                            "stolen"));
        assert_lists(world->root, "|stolen|0|1|0");
}

/* Whoever writes a list in the name of the CA does not speak for it. */
static void test_a_list_is_its_issuers(World *world) {
        TestCrl how = {.n_more = 0};
        Peer *peer;
        uint16_t port;

        how.signer = world->other;
        peer = world_start_server(world, &port);
        take_back(world->alice, "u/1/forged", test_crl_new(world->ca, &how, world->server, NULL));
        check(world, world->alice, port, "CertificateStatusUnknown");
        take_back(world->alice, "u/1/good", test_crl_new(world->ca, NULL, NULL, NULL));
        check(world, world->alice, port, NULL);
        peer_stop(peer);
}

/* ---- a listener ---- */

static char *listen_with(const World *world, uint16_t *ret_port) {
        sd_bus_message *m =
                options_begin(world->alice, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        char *listener;

        options_add_identity(m, world->server);
        options_add_certificate(m, "CaCertificates", world->other);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "PeerVerifyMode", "s",
                                              "VerifyPeer", "AnswerDeadline", "u", 1000,
                                              "SslOptions", "as", 0),
                        >=, 0);
        listener = options_end_path(world->alice, m);
        *ret_port = get_port(world->alice, listener);
        return listener;
}

static void take_bobs(const World *world) {
        deny(world->alice, "u/1/lost", world->first);
}

static void give_back(const World *world) {
        forget(world->alice, "u/1/lost");
}

static void test_a_live_listener_follows_them(World *world) {
        g_autofree char *listener = NULL;
        uint16_t port;

        listener = listen_with(world, &port);
        world_turn_bob_away(world, listener, port, take_bobs, give_back);
}

static char *create_alices(const World *world, uint16_t port, GBytes *ticket) {
        return create(world, world->alice, port, ticket);
}

static void take_the_servers(const World *world) {
        deny(world->alice, "u/1/lost", world->server);
}

static void test_a_ticket_dies_with_its_certificate(World *world) {
        world_turn_ticket_down(world, create_alices, take_the_servers);
}

/* ---- what is given ---- */

static void refuse_lists(const World *world, const void *data, size_t size, size_t n,
                         const char *error, const char *expected) {
        sd_bus_message *m = set_begin(world->alice, "u/1/x");

        add_lists(m, data, size, n);
        set_refused(world->alice, m, error, expected);
}

static void append_many(sd_bus_message *m, size_t n) {
        g_autofree char **denied = g_new0(char *, n + 1);

        for (size_t i = 0; i < n; i++)
                denied[i] = (char *)"a";
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_basic(m, 's', "Denied"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "as"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_strv(m, denied), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
}

static void test_what_is_no_list_and_too_much_is_told(World *world) {
        const TestCrl many = {.n_more = 20000};
        g_autofree char *much = g_strnfill(512 * 1024 + 1, 'x');
        g_autoptr(GBytes) good = NULL;
        g_autoptr(GBytes) pem = NULL;
        g_autoptr(GBytes) large = NULL;
        sd_bus_message *m;

        good = test_crl_new(world->ca, NULL, world->server, NULL);
        large = test_crl_new(world->ca, &many, NULL, NULL);
        pem = g_bytes_ref(test_identity_pem(world->ca));
        refuse_lists(world, "noise", 5, 1, "InvalidInputParameters", "Lists: not a revocation");
        refuse_lists(world, g_bytes_get_data(pem, NULL), g_bytes_get_size(pem), 1,
                     "InvalidInputParameters", "Lists: not a revocation list (CRL)");
        refuse_lists(world, g_bytes_get_data(good, NULL), g_bytes_get_size(good) - 1, 1,
                     "InvalidInputParameters", "damaged");
        refuse_lists(world, g_bytes_get_data(good, NULL), g_bytes_get_size(good), 10000,
                     "InvalidInputParameters", "more than");
        refuse_lists(world, g_bytes_get_data(good, NULL), g_bytes_get_size(good), 17,
                     "QuotaExceeded", "16 lists");
        refuse_lists(world, g_bytes_get_data(large, NULL), g_bytes_get_size(large), 1,
                     "InvalidInputParameters", "256 KiB");
        refuse_lists(world, much, 512 * 1024 + 1, 1, "InvalidInputParameters", "524288 bytes");
        set_refused(world->alice, set_begin(world->alice, "u/1/x"), "InvalidInputParameters",
                    "'Lists' and 'Denied'");
        m = set_begin(world->alice, "u/1/x");
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Denied", "as", 1, "ab:cd"), >=, 0);
        set_refused(world->alice, m, "InvalidInputParameters", "Denied: not a SHA-256");
        m = set_begin(world->alice, "u/1/x");
        append_many(m, 4097);
        set_refused(world->alice, m, "InvalidInputParameters",
                    "'Denied' has more than 4096 elements");
        g_free(call_refused("InvalidInputParameters", world->alice, ROOT, MANAGER,
                            "RemoveRevocations", "s", "u/1/x"));
        assert_lists(world->alice, "");
}

static void test_what_is_kept_is_read_back(World *world) {
        g_autofree char *text = NULL, *hash = NULL;
        sd_bus_message *m, *reply;
        g_autoptr(GBytes) crl = NULL;
        const char *issuer;
        uint64_t begin, end;
        uint32_t n;

        hash = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(world->server));
        crl = test_crl_new(world->ca, NULL, world->server, world->other, NULL);
        m = set_begin(world->alice, "u/1/x");
        add_denied(m, world->server);
        add_lists(m, g_bytes_get_data(crl, NULL), g_bytes_get_size(crl), 1);
        (void)sd_bus_message_unref(options_end(world->alice, m));

        reply = call(world->alice, ROOT, MANAGER, "GetRevocations", "s", "u/1/x");
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "(sttu)"), >, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "(sttu)", &issuer, &begin, &end, &n), >, 0);
        g_assert_cmpstr(issuer, ==, "CN=ca");
        g_assert_cmpuint(n, ==, 2);
        g_assert_cmpuint(begin, <, end);
        g_assert_cmpint(sd_bus_message_exit_container(reply), >=, 0);
        text = g_string_free(message_flatten(reply), FALSE);
        g_assert_cmpstr(text + 1, ==, hash);
        (void)sd_bus_message_unref(reply);
}

/* ---- what it costs ---- */

static uint64_t bytes_in_use(sd_bus *bus) {
        return get_statistic(bus, "BytesInUse");
}

static void test_is_charged_to_its_user(World *world) {
        uint64_t before, after;
        sd_bus_message *m;

        before = bytes_in_use(world->alice);
        deny(world->alice, "u/1/x", world->server);
        after = bytes_in_use(world->alice);
        g_assert_cmpuint(after, ==, before + 65); /* 64 digits and a line's end */
        deny(world->alice, "u/1/x", world->ca);
        g_assert_cmpuint(bytes_in_use(world->alice), ==, after);
        world_restart(world);
        g_assert_cmpuint(bytes_in_use(world->alice), ==, after);

        service_rule(world->service, "[Alice]\nSubjects=user:daemon\nVerdict=allow\n"
                                     "BytesPerUser=100\n");
        m = set_begin(world->alice, "u/1/y");
        add_denied(m, world->other);
        set_refused(world->alice, m, "QuotaExceeded",
                    "This is 65 bytes. User 1 has 65 of 100 bytes");
        forget(world->alice, "u/1/x");
        g_assert_cmpuint(bytes_in_use(world->alice), ==, before);
        deny(world->alice, "u/1/y", world->other);
        deny(world->bob, "u/5/x", world->other);
}

/* ---- death and damage ---- */

static void test_outlive_their_keyring(World *world) {
        Peer *peer;
        uint16_t port;
        pid_t keyring;

        deny(world->alice, "u/1/x", world->server);
        peer = world_start_server(world, &port);
        keyring = service_keyring_pid(world->service);
        g_assert_cmpint(kill(keyring, SIGSTOP), ==, 0);
        check(world, world->alice, port, "CertificateBlacklisted");
        check(world, world->bob, port, NULL);
        g_assert_cmpint(kill(keyring, SIGKILL), ==, 0);
        check(world, world->alice, port, "CertificateBlacklisted");
        check(world, world->bob, port, NULL);
        peer_stop(peer);
}

static void damage(const World *world, const char *file) {
        g_autofree char *path =
                g_build_filename(service_directory(world->service), "store", file, NULL);

        g_assert_cmpint(truncate(path, 20), ==, 0);
}

/* Nobody is trusted again because a file broke; and nobody else is told no for it. */
static void test_a_damaged_one_takes_everybody_back(World *world) {
        g_autofree char *log = NULL;
        Peer *peer;
        uint16_t port;

        deny(world->alice, "u/1/x", world->other);
        peer = world_start_server(world, &port);
        damage(world, "revocations:u,1,x");
        world_restart(world);
        check(world, world->alice, port, "CertificateStatusUnknown");
        check(world, world->bob, port, NULL);
        assert_lists(world->alice, "|u/1/x|0|0|1");
        log = service_log(world->service);
        g_assert_nonnull(strstr(log, "revocations:u,1,x is left out"));

        deny(world->alice, "u/1/x", world->other);
        check(world, world->alice, port, NULL);
        damage(world, "revocations:u,1,x");
        world_restart(world);
        check(world, world->alice, port, "CertificateStatusUnknown");
        forget(world->alice, "u/1/x");
        check(world, world->alice, port, NULL);
        peer_stop(peer);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        world_test("/revoked/the-administrators-count-for-everybody", world_of_trust,
                   test_the_administrators_count_for_everybody);
        world_test("/revoked/a-users-own-are-nobody-elses", world_of_trust,
                   test_a_users_own_are_nobody_elses);
        world_test("/revoked/the-administrators-are-not-everybodys-to-change", world_of_trust,
                   test_the_administrators_are_not_everybodys_to_change);
        world_test("/revoked/a-list-is-its-issuers", world_of_trust, test_a_list_is_its_issuers);
        world_test("/revoked/a-live-listener-follows-them", world_of_trust,
                   test_a_live_listener_follows_them);
        world_test("/revoked/a-ticket-dies-with-its-certificate", world_of_trust,
                   test_a_ticket_dies_with_its_certificate);
        world_test("/revoked/what-is-no-list-and-too-much-is-told", world_of_trust,
                   test_what_is_no_list_and_too_much_is_told);
        world_test("/revoked/what-is-kept-is-read-back", world_of_trust,
                   test_what_is_kept_is_read_back);
        world_test("/revoked/is-charged-to-its-user", world_of_trust, test_is_charged_to_its_user);
        world_test("/revoked/outlive-their-keyring", world_of_trust, test_outlive_their_keyring);
        world_test("/revoked/a-damaged-one-takes-everybody-back", world_of_trust,
                   test_a_damaged_one_takes_everybody_back);
        return g_test_run();
}
