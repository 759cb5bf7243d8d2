/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Trust sets: certificates of the store that vouch for peers: kept, changed while connections run,
 * one's own and the administrator's. The servers are OpenSSL's where it is a client that judges.
 */

#include "interop/peer.h"
#include "world.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static void let_alice_use(const World *world) {
        service_rule(world->service, "[Alice]\nSubjects=user:daemon\nVerdict=allow\n"
                                     "Use=trust:field*\n");
}

/* ---- changing ---- */

static sd_bus_message *add_begin(sd_bus *bus, const char *name, const void *data, size_t size) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(
                sd_bus_message_new_method_call(bus, &m, NAME, ROOT, MANAGER, "AddTrustAnchors"), >=,
                0);
        g_assert_cmpint(sd_bus_message_append(m, "s", name), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "ay"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        return m;
}

static sd_bus_message *add_message(sd_bus *bus, const char *name, const TestIdentity *anchor) {
        GBytes *der = test_identity_der(anchor);

        return add_begin(bus, name, g_bytes_get_data(der, NULL), g_bytes_get_size(der));
}

static int add_call(sd_bus *bus, sd_bus_message *m, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r = sd_bus_call(bus, m, CALL_USEC, error, &reply);

        (void)sd_bus_message_unref(reply);
        (void)sd_bus_message_unref(m);
        return r;
}

static void add(sd_bus *bus, const char *name, const TestIdentity *anchor) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        if (add_call(bus, add_message(bus, name, anchor), &error) < 0)
                g_error("%s: %s", error.name, error.message);
}

static void add_refused(sd_bus *bus, sd_bus_message *m, const char *name, const char *expected) {
        g_autofree char *whole = g_strconcat(ERROR_PREFIX, name, NULL);
        sd_bus_error error = SD_BUS_ERROR_NULL;

        g_assert_cmpint(add_call(bus, m, &error), <, 0);
        g_assert_cmpstr(error.name, ==, whole);
        if (!strstr(error.message, expected))
                g_error("'%s' does not say '%s'", error.message, expected);
        sd_bus_error_free(&error);
}

static sd_bus_message *drop_message(sd_bus *bus, const char *name, const TestIdentity *anchor) {
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        GBytes *der = test_identity_der(anchor);
        sd_bus_message *m = NULL;
        uint8_t digest[32];
        gsize size = sizeof(digest);

        g_checksum_update(checksum, g_bytes_get_data(der, NULL), (gssize)g_bytes_get_size(der));
        g_checksum_get_digest(checksum, digest, &size);
        g_assert_cmpint(
                sd_bus_message_new_method_call(bus, &m, NAME, ROOT, MANAGER, "RemoveTrustAnchor"),
                >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", name), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', digest, size), >=, 0);
        return m;
}

static void drop(sd_bus *bus, const char *name, const TestIdentity *anchor) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        if (add_call(bus, drop_message(bus, name, anchor), &error) < 0)
                g_error("%s: %s", error.name, error.message);
}

/* ---- listing ---- */

static char *list_text(sd_bus *bus, const char *member, const char *types, const char *name) {
        return message_text(call(bus, ROOT, MANAGER, member, types, name));
}

static char *list(sd_bus *bus) {
        return list_text(bus, "ListTrusts", "", NULL);
}

static char *list_anchors(sd_bus *bus, const char *name) {
        return list_text(bus, "ListTrustAnchors", "s", name);
}

static bool lists(sd_bus *bus, const char *name, const TestIdentity *anchor) {
        g_autofree char *text = list_anchors(bus, name);
        g_autofree char *fingerprint =
                g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(anchor));

        return strstr(text, fingerprint);
}

/* ---- using ---- */

static sd_bus_message *client_begin(sd_bus *bus, const char *trust, uint16_t port) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}{sv}", "Trust", "s", trust,
                                              "PeerAddress", "s", "127.0.0.1", "PeerPort", "q",
                                              port, "SslOptions", "as", 0),
                        >=, 0);
        return m;
}

static char *create(sd_bus *bus, const char *trust, uint16_t port) {
        return options_end_path(bus, client_begin(bus, trust, port));
}

static void test_is_used_by_name_and_kept(World *world) {
        g_autofree char *path = NULL, *text = NULL, *again = NULL, *names = NULL;
        Peer *peer;
        uint16_t port;

        add(world->root, "field", world->other);
        add(world->root, "field", world->ca);
        peer = world_start_server(world, &port);
        text = options_end_refused("NotAuthorized", world->alice,
                                   client_begin(world->alice, "field", port));
        g_assert_nonnull(strstr(text, "may not use"));
        let_alice_use(world);
        path = create(world->alice, "field", port);
        shake(world->alice, path, "HandshakeComplete");
        shut(world->alice, path);
        names = list(world->alice);
        g_assert_cmpstr(names, ==, "|field");
        g_assert_true(lists(world->alice, "field", world->ca));
        g_assert_true(lists(world->alice, "field", world->other));

        world_restart(world); /* with everything that is only in their memory */
        again = create(world->alice, "field", port);
        shake(world->alice, again, "HandshakeComplete");
        peer_stop(peer);
}

/* What is there already: its next handshake is judged by what is there then. */
static void test_is_as_it_is_when_a_handshake_begins(World *world) {
        g_autofree char *open = NULL, *path = NULL, *text = NULL;
        Peer *peer;
        uint16_t port;

        add(world->alice, "u/1/mine", world->ca);
        add(world->alice, "u/1/mine", world->other);
        peer = world_start_server(world, &port);
        path = create(world->alice, "u/1/mine", port);
        open = create(world->alice, "u/1/mine", port);
        shake(world->alice, open, "HandshakeComplete");

        drop(world->alice, "u/1/mine", world->ca);
        write_datagram(world->alice, open, "still\n", 6);
        g_free(peer_wait_for(peer, "^still$"));
        shut(world->alice, open);
        shake(world->alice, path, "PeerVerificationFailed");
        text = get_error(world->alice, path);
        g_assert_nonnull(strstr(text, "UnableToVerifyFirstCertificate"));
        give_up(world->alice, path);

        /* gone with its last: not the system, and not what it was */
        drop(world->alice, "u/1/mine", world->other);
        shake(world->alice, path, "PeerVerificationFailed");
        give_up(world->alice, path);
        g_free(options_end_refused("InvalidInputParameters", world->alice,
                                   client_begin(world->alice, "u/1/mine", port)));

        add(world->alice, "u/1/mine", world->ca);
        shake(world->alice, path, "HandshakeComplete");
        peer_stop(peer);
}

/* ---- the system's ---- */

#define SYSTEM_TRUST_FILE "/etc/ssl/certs/ca-certificates.crt" /* where Debian's GnuTLS looks */

/* From here on the system trusts the CA alone, for this program and what it starts. The file is
 * laid over the system's in a mount namespace of our own. */
static bool make_system_trust(const World *world) {
        g_autofree char *file =
                test_write(world->directory, "system.crt", test_identity_pem(world->ca));

        g_assert_cmpint(g_chmod(file, 0644), ==, 0);
        if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
            mount(file, SYSTEM_TRUST_FILE, NULL, MS_BIND, NULL) == 0)
                return true;

        g_test_message("%s over %s: %s", file, SYSTEM_TRUST_FILE, g_strerror(errno));
        return false;
}

/* The file is read anew when the service is told to. */
static void test_the_systems_accepts_whom_the_system_trusts(World *world) {
        g_autofree char *path = NULL, *again = NULL;
        Peer *peer;
        uint16_t port;

        if (!make_system_trust(world)) {
                g_test_skip("what the system trusts cannot be replaced here");
                return;
        }
        world_restart(world); /* they are in the new namespace now */
        peer = world_start_server(world, &port);
        path = create(world->alice, "system", port);
        shake(world->alice, path, "HandshakeComplete");
        shut(world->alice, path);

        g_assert_cmpint(umount(SYSTEM_TRUST_FILE), ==, 0);
        (void)sd_bus_message_unref(call(world->root, ROOT, MANAGER, "Reload", ""));
        again = create(world->alice, "system", port);
        shake(world->alice, again, "PeerVerificationFailed");
        peer_stop(peer);
}

/* ---- a listener ---- */

static char *listen_with(const World *world, const char *trust, uint16_t *ret_port) {
        sd_bus_message *m =
                options_begin(world->alice, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        char *listener;

        options_add_identity(m, world->server);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}{sv}", "Trust", "s", trust,
                                              "PeerVerifyMode", "s", "VerifyPeer", "AnswerDeadline",
                                              "u", 1000, "SslOptions", "as", 0),
                        >=, 0);
        listener = options_end_path(world->alice, m);
        *ret_port = get_port(world->alice, listener);
        return listener;
}

/* The set is gone, and with it every way in. */
static void drop_bobs(const World *world) {
        drop(world->alice, "u/1/peers", world->other);
}

static void add_bobs(const World *world) {
        add(world->alice, "u/1/peers", world->other);
}

static void test_a_live_listener_follows_it(World *world) {
        g_autofree char *listener = NULL;
        uint16_t port;

        add_bobs(world);
        listener = listen_with(world, "u/1/peers", &port);
        world_turn_bob_away(world, listener, port, drop_bobs, add_bobs);
}

static char *create_again(const World *world, uint16_t port, GBytes *ticket) {
        sd_bus_message *m = client_begin(world->alice, "u/1/mine", port);

        options_add_ticket(m, ticket);
        return options_end_path(world->alice, m);
}

static void drop_the_ca(const World *world) {
        drop(world->alice, "u/1/mine", world->ca);
}

static void test_a_ticket_dies_with_its_anchor(World *world) {
        add(world->alice, "u/1/mine", world->ca);
        add(world->alice, "u/1/mine", world->other);
        world_turn_ticket_down(world, create_again, drop_the_ca);
}

/* ---- whose ---- */

static void test_a_users_own_are_nobody_elses(World *world) {
        g_autofree char *text = NULL, *names = NULL, *path = NULL, *anchors = NULL;
        Peer *peer;
        uint16_t port;

        add(world->alice, "u/1/x", world->ca);
        peer = world_start_server(world, &port);
        text = options_end_refused("InvalidInputParameters", world->bob,
                                   client_begin(world->bob, "u/1/x", port));
        g_assert_nonnull(strstr(text, "no trust set 'u/1/x'"));
        names = list(world->bob);
        g_assert_cmpstr(names, ==, "");
        anchors = call_refused("InvalidInputParameters", world->bob, ROOT, MANAGER,
                               "ListTrustAnchors", "s", "u/1/x");
        add_refused(world->bob, add_message(world->bob, "u/1/x", world->other), "NotAuthorized",
                    "another user's");
        add_refused(world->bob, drop_message(world->bob, "u/1/x", world->ca), "NotAuthorized",
                    "another user's");

        /* the same name of Bob's own is another set, and the system's is not touched */
        add(world->bob, "u/5/x", world->other);
        path = create(world->bob, "u/5/x", port);
        shake(world->bob, path, "PeerVerificationFailed");
        give_up(world->bob, path);
        g_free(path);
        path = create(world->bob, "system", port);
        shake(world->bob, path, "PeerVerificationFailed");
        give_up(world->bob, path);
        g_free(path);
        path = create(world->alice, "u/1/x", port);
        shake(world->alice, path, "HandshakeComplete");
        peer_stop(peer);
}

static void test_the_administrators_are_not_everybodys_to_change(World *world) {
        add(world->root, "field", world->ca);
        add_refused(world->alice, add_message(world->alice, "field", world->other), "NotAuthorized",
                    "may not manage-store");
        add_refused(world->alice, drop_message(world->alice, "field", world->ca), "NotAuthorized",
                    "may not manage-store");
        g_assert_true(lists(world->root, "field", world->ca));
}

/* ---- what is given ---- */

static void test_bytes_are_certificates(World *world) {
        g_autofree char *much = g_strnfill(512 * 1024 + 1, 'x');
        GBytes *key;
        sd_bus_message *m = NULL;

        key = test_identity_key_pem(world->ca);
        add_refused(world->alice, add_begin(world->alice, "u/1/x", "", 0), "InvalidInputParameters",
                    "not certificates");
        add_refused(world->alice, add_begin(world->alice, "u/1/x", "\0\xff", 2),
                    "InvalidInputParameters", "not certificates");
        add_refused(world->alice,
                    add_begin(world->alice, "u/1/x", g_bytes_get_data(key, NULL),
                              g_bytes_get_size(key)),
                    "InvalidInputParameters", "not certificates");
        add_refused(world->alice, add_begin(world->alice, "u/1/x", much, 512 * 1024),
                    "InvalidInputParameters", "not certificates");
        add_refused(world->alice, add_begin(world->alice, "u/1/x", much, 512 * 1024 + 1),
                    "InvalidInputParameters", "more than 524288 bytes");
        g_assert_cmpint(sd_bus_message_new_method_call(world->alice, &m, NAME, ROOT, MANAGER,
                                                       "RemoveTrustAnchor"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "say", "u/1/x", 3, 1, 2, 3), >=, 0);
        add_refused(world->alice, m, "InvalidInputParameters", "3 bytes");
}

static void test_are_charged_to_their_user(World *world) {
        uint64_t one;

        g_assert_cmpuint(get_statistic(world->alice, "BytesInUse"), ==, 0);
        add(world->alice, "u/1/x", world->ca);
        one = get_statistic(world->alice, "BytesInUse");
        g_assert_cmpuint(one, >, g_bytes_get_size(test_identity_der(world->ca)));
        add(world->alice, "u/1/x", world->ca); /* is there */
        world_restart(world);
        g_assert_cmpuint(get_statistic(world->alice, "BytesInUse"), ==, one);

        service_rule(world->service, "[Alice]\nSubjects=user:daemon\nVerdict=allow\n"
                                     "BytesPerUser=12000\n");
        add_refused(world->alice, add_message(world->alice, "u/1/x", world->other), "QuotaExceeded",
                    "of 12000 bytes; close channels, read what waits, or remove trust sets");
        add(world->bob, "u/5/x", world->other);
        drop(world->bob, "u/5/x", world->other);
        drop(world->alice, "u/1/x", world->ca);
        g_assert_cmpuint(get_statistic(world->alice, "BytesInUse"), ==, 0);
        add(world->alice, "u/1/x", world->other);
}

/* ---- death ---- */

/* Nobody's trust is the keyring's alone; what is changed is. */
static void test_outlives_its_keyring(World *world) {
        g_autofree char *path = NULL;
        Peer *peer;
        uint16_t port;
        pid_t keyring;

        add(world->alice, "u/1/x", world->ca);
        peer = world_start_server(world, &port);
        keyring = service_keyring_pid(world->service);
        g_assert_cmpint(kill(keyring, SIGSTOP), ==, 0);
        path = create(world->alice, "u/1/x", port);
        shake(world->alice, path, "HandshakeComplete");
        shut(world->alice, path);
        g_assert_cmpint(kill(keyring, SIGKILL), ==, 0);
        shake(world->alice, path, "HandshakeComplete");
        peer_stop(peer);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        world_test("/trust/is-used-by-name-and-kept", world_of_trust,
                   test_is_used_by_name_and_kept);
        world_test("/trust/is-as-it-is-when-a-handshake-begins", world_of_trust,
                   test_is_as_it_is_when_a_handshake_begins);
        world_test("/trust/the-systems-accepts-whom-the-system-trusts", world_of_trust,
                   test_the_systems_accepts_whom_the_system_trusts);
        world_test("/trust/a-live-listener-follows-it", world_of_trust,
                   test_a_live_listener_follows_it);
        world_test("/trust/a-ticket-dies-with-its-anchor", world_of_trust,
                   test_a_ticket_dies_with_its_anchor);
        world_test("/trust/a-users-own-are-nobody-elses", world_of_trust,
                   test_a_users_own_are_nobody_elses);
        world_test("/trust/the-administrators-are-not-everybodys-to-change", world_of_trust,
                   test_the_administrators_are_not_everybodys_to_change);
        world_test("/trust/bytes-are-certificates", world_of_trust, test_bytes_are_certificates);
        world_test("/trust/are-charged-to-their-user", world_of_trust,
                   test_are_charged_to_their_user);
        world_test("/trust/outlives-its-keyring", world_of_trust, test_outlives_its_keyring);
        return g_test_run();
}
