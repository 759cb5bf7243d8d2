/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * SetDefaultConfiguration: what a name says once for all that it makes later.
 */

#include "stage.h"

#include <string.h>
#include <unistd.h>

typedef struct World {
        Service *service;
        sd_bus *bus;
        TestIdentity *authority, *server;
} World;

static void set_up(World *world, const void *unused) {
        world->service = service_start(NULL);
        world->bus = service_bus(world->service, UID_ALICE);
        world->authority = test_identity_new("CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world->server = test_identity_new("localhost", world->authority, TEST_IDENTITY_LOOPBACK,
                                          TEST_KEY_ECDSA);
}

static void tear_down(World *world, const void *unused) {
        (void)bus_leave(world->bus);
        service_stop(world->service);
        (void)test_identity_free(world->authority);
        (void)test_identity_free(world->server);
}

static sd_bus_message *begin(sd_bus *bus) {
        return options_begin(bus, ROOT, MANAGER, "SetDefaultConfiguration", "");
}

static void end(sd_bus *bus, sd_bus_message *m) {
        (void)sd_bus_message_unref(options_end(bus, m));
}

static char *create(sd_bus *bus) {
        return options_end_path(
                bus, options_begin(bus, ROOT, MANAGER, "CreateConnection", "s", "client"));
}

static char *listen_plainly(sd_bus *bus) {
        return options_end_path(
                bus, options_begin(bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", (uint16_t)0));
}

/* An entry of Configuration is there, "KEY|VALUE". */
static void assert_has(sd_bus *bus, const char *path, const char *interface, const char *entry) {
        g_autofree char *text = get_values(bus, path, interface, "Configuration");
        g_autofree char *all = g_strdup_printf("%s|", text);
        g_autofree char *wanted = g_strdup_printf("|%s|", entry);

        if (!strstr(all, wanted))
                g_error("no %s in %s", entry, all);
}

/* ---- the tests ---- */

static void test_are_what_a_later_call_does_not_name(World *world, const void *unused) {
        g_autofree char *before = create(world->bus), *client = NULL, *named = NULL;
        g_autofree char *listener = NULL, *after = NULL;
        sd_bus_message *m = begin(world->bus);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "MtuHint", "q", 1280,
                                              "RetransmitInitial", "u", 250, "Ciphers", "as", 1,
                                              "TLS_PSK_WITH_AES_128_CCM_8"),
                        >=, 0);
        end(world->bus, m);

        client = create(world->bus);
        assert_has(world->bus, client, CONNECTION, "MtuHint|1280");
        assert_has(world->bus, client, CONNECTION, "RetransmitInitial|250");
        assert_has(world->bus, client, CONNECTION, "Ciphers|TLS_PSK_WITH_AES_128_CCM_8");
        assert_has(world->bus, before, CONNECTION, "MtuHint|0");
        listener = listen_plainly(world->bus);
        assert_has(world->bus, listener, LISTENER, "RetransmitInitial|250");

        m = options_begin(world->bus, ROOT, MANAGER, "CreateConnection", "s", "client");
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "MtuHint", "q", 512, "CipherProfile",
                                              "s", "iot"),
                        >=, 0);
        named = options_end_path(world->bus, m);
        assert_has(world->bus, named, CONNECTION, "MtuHint|512");
        assert_has(world->bus, named, CONNECTION, "CipherProfile|iot");
        assert_has(world->bus, named, CONNECTION, "RetransmitInitial|250");

        end(world->bus, begin(world->bus)); /* an empty one forgets */
        after = create(world->bus);
        assert_has(world->bus, after, CONNECTION, "MtuHint|0");
        assert_has(world->bus, after, CONNECTION, "CipherProfile|default");
}

/* A listener is never driven by hand, and no signals go to an object without a name. */
static void test_are_left_out_where_they_do_not_go(World *world, const void *unused) {
        g_autofree char *client = NULL, *listener = NULL, *persistent = NULL;
        sd_bus_message *m = begin(world->bus);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "Retransmission", "s", "manual",
                                              "DatagramSignals", "b", 1),
                        >=, 0);
        end(world->bus, m);
        client = create(world->bus);
        assert_has(world->bus, client, CONNECTION, "Retransmission|manual");
        assert_has(world->bus, client, CONNECTION, "DatagramSignals|1");
        listener = listen_plainly(world->bus);
        assert_has(world->bus, listener, LISTENER, "Retransmission|automatic");
        m = options_begin(world->bus, ROOT, MANAGER, "CreateConnection", "s", "client");
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Persistent", "b", 1), >=, 0);
        persistent = options_end_path(world->bus, m);
        assert_has(world->bus, persistent, CONNECTION, "DatagramSignals|0");
        assert_has(world->bus, persistent, CONNECTION, "IdleTimeout|300000");
        close_object(world->bus, persistent, CONNECTION);
}

/* Certificate, keys and anchors are defaults too: two calls that name none of them shake hands. */
static void test_make_a_handshake(World *world, const void *unused) {
        sd_bus_message *m = begin(world->bus), *reply;
        g_autofree char *listener = NULL, *client = NULL;
        uint16_t port;

        options_add_identity(m, world->server);
        options_add_certificate(m, "CaCertificates", world->authority);
        end(world->bus, m);
        listener = listen_plainly(world->bus);
        port = get_port(world->bus, listener);
        client = create(world->bus);
        (void)sd_bus_message_unref(call(world->bus, client, CONNECTION, "SetPeer", "sqs",
                                        "127.0.0.1", port, "localhost"));
        do_handshake(world->bus, client);
        wait_string(world->bus, client, CONNECTION, "HandshakeState", "HandshakeComplete");

        reply = call(world->bus, ROOT, MANAGER, "Connect", "sqa{sv}", "127.0.0.1", port, 0);
        (void)sd_bus_message_unref(reply);
        /* who names Trust names whom CaCertificates are not */
        g_free(call_refused("PeerVerificationError", world->bus, ROOT, MANAGER, "Connect",
                            "sqa{sv}", "127.0.0.1", port, 1, "Trust", "s", "system"));
}

static char *get_defaults(sd_bus *bus) {
        sd_bus_message *reply = call(bus, ROOT, MANAGER, "GetDefaultConfiguration", "");
        GString *text = message_flatten(reply);

        g_assert_null(memmem(text->str, text->len, PSK_KEY, strlen(PSK_KEY)));
        (void)sd_bus_message_unref(reply);
        return g_string_free(text, FALSE);
}

static void test_are_read_back_without_secrets(World *world, const void *unused) {
        g_autofree char *standard = get_defaults(world->bus), *said = NULL;
        sd_bus_message *m = begin(world->bus);

        g_assert_nonnull(strstr(standard, "|HandshakeDeadline|60000"));
        g_assert_nonnull(strstr(standard, "|PreSharedKey|0"));
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Retransmission", "s", "manual"), >=, 0);
        end(world->bus, m);
        said = get_defaults(world->bus);
        g_assert_nonnull(strstr(said, "|PreSharedKeyIdentity|" PSK_IDENTITY "|PreSharedKey|1"));
        g_assert_nonnull(strstr(said, "|Retransmission|manual"));
}

/* What is refused leaves them as they are. */
static void test_are_read_as_strictly_as_any(World *world, const void *unused) {
        g_autofree char *before = get_defaults(world->bus), *after = NULL;

        g_free(call_refused("InvalidInputParameters", world->bus, ROOT, MANAGER,
                            "SetDefaultConfiguration", "a{sv}", 1, "PeerPort", "q", 5684));
        g_free(call_refused("InvalidInputParameters", world->bus, ROOT, MANAGER,
                            "SetDefaultConfiguration", "a{sv}", 2, "MtuHint", "q", 1280,
                            "RetransmitInitial", "u", 1));
        after = get_defaults(world->bus);
        g_assert_cmpstr(after, ==, before);
}

static void test_go_with_the_name(World *world, const void *unused) {
        sd_bus *other = service_bus(world->service, UID_ALICE), *again;
        g_autofree char *standard = get_defaults(world->bus), *theirs = NULL, *fresh = NULL;
        sd_bus_message *m = begin(other);

        options_add_certificate(m, "CaCertificates", world->authority);
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        end(other, m);
        g_assert_cmpuint(get_statistic(world->bus, "BytesInUse"), >=,
                         g_bytes_get_size(test_identity_der(world->authority)));
        theirs = get_defaults(other);
        g_assert_cmpstr(theirs, !=, standard);
        fresh = get_defaults(world->bus);
        g_assert_cmpstr(fresh, ==, standard);

        (void)bus_leave(other);
        wait_nothing_used(world->bus);
        again = service_bus(world->service, UID_ALICE);
        g_free(fresh);
        fresh = get_defaults(again);
        g_assert_cmpstr(fresh, ==, standard);
        (void)bus_leave(again);
}

static void test_are_charged(World *world, const void *unused) {
        Service *service = service_start("[Limits]\nBytesPerUser=100\n");
        sd_bus *bus = service_bus(service, UID_ALICE);
        sd_bus_message *m = begin(bus);
        const char hint[60] = {[0 ... 59] = 'x'};
        g_autofree char *text = NULL;

        options_add_certificate(m, "CaCertificates", world->authority);
        text = options_end_refused("QuotaExceeded", bus, m);
        g_assert_nonnull(strstr(text, "100"));

        /* those that take the place of others need no room beside them */
        for (int i = 0; i < 2; i++) {
                m = begin(bus);
                options_add_bytes(m, "PskIdentityHint", hint, sizeof hint);
                end(bus, m);
                g_assert_cmpuint(get_statistic(bus, "BytesInUse"), ==, sizeof hint);
        }
        (void)bus_leave(bus);
        service_stop(service);
}

#define ADD(path, function) g_test_add("/defaults/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("are-what-a-later-call-does-not-name", test_are_what_a_later_call_does_not_name);
        ADD("are-left-out-where-they-do-not-go", test_are_left_out_where_they_do_not_go);
        ADD("make-a-handshake", test_make_a_handshake);
        ADD("are-read-back-without-secrets", test_are_read_back_without_secrets);
        ADD("are-read-as-strictly-as-any", test_are_read_as_strictly_as_any);
        ADD("go-with-the-name", test_go_with_the_name);
        ADD("are-charged", test_are_charged);
        return g_test_run();
}
