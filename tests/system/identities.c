/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "identities.h"

#include <string.h>

bool world_of_identities(World *world) {
        if (!world_of_users(world))
                return false;

        world->ca = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world->first =
                test_identity_new("first", world->ca, TEST_IDENTITY_LOOPBACK, TEST_KEY_ECDSA);
        world->second =
                test_identity_new("second", world->ca, TEST_IDENTITY_LOOPBACK, TEST_KEY_RSA_2048);
        return true;
}

void let_alice_use(const World *world) {
        service_rule(world->service, "[Alice]\nSubjects=user:daemon\nVerdict=allow\n"
                                     "Use=identity:gate*\n");
}

/* ---- importing ---- */

sd_bus_message *import_begin(sd_bus *bus, const char *name, const TestIdentity *identity) {
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

void import_add_key(sd_bus_message *m, GBytes *key) {
        options_add_secret(m, "Key", g_bytes_get_data(key, NULL), g_bytes_get_size(key));
}

void import(sd_bus *bus, const char *name, const TestIdentity *identity) {
        sd_bus_message *m = import_begin(bus, name, identity);

        import_add_key(m, test_identity_key_pem(identity));
        (void)sd_bus_message_unref(options_end(bus, m));
}

void import_refused(sd_bus *bus, const char *name, const TestIdentity *identity, GBytes *key,
                    const char *error, const char *expected) {
        sd_bus_message *m = import_begin(bus, name, identity);
        g_autofree char *text = NULL;

        import_add_key(m, key);
        text = options_end_refused(error, bus, m);
        if (!strstr(text, expected))
                g_error("'%s' does not say '%s'", text, expected);
}

/* ---- using ---- */

sd_bus_message *listen_with(sd_bus *bus, const char *identity) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Identity", "s", identity), >=, 0);
        return m;
}

char *begin_to(const World *world, uint16_t port) {
        sd_bus_message *m =
                options_begin(world->bob, ROOT, MANAGER, "CreateConnection", "s", "client");
        char *path;

        options_add_certificate(m, "CaCertificates", world->ca);
        path = options_end_path(world->bob, m);
        (void)sd_bus_message_unref(
                call(world->bob, path, CONNECTION, "SetPeer", "sqs", "127.0.0.1", port, ""));
        do_handshake(world->bob, path);
        return path;
}

char *open_to(const World *world, uint16_t port) {
        char *path = begin_to(world, port);

        wait_string(world->bob, path, CONNECTION, "HandshakeState", "HandshakeComplete");
        return path;
}

bool peer_is(sd_bus *bus, const char *path, const TestIdentity *identity) {
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

static sd_bus_message *install_message(sd_bus *bus, const char *name, GBytes *certificate) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(
                sd_bus_message_new_method_call(bus, &m, NAME, ROOT, MANAGER, "InstallCertificate"),
                >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", name), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "ay"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(certificate, NULL),
                                                    g_bytes_get_size(certificate)),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        return m;
}

void install(sd_bus *bus, const char *name, GBytes *certificate) {
        sd_bus_message *m = install_message(bus, name, certificate), *reply = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;

        if (sd_bus_call(bus, m, 0, &error, &reply) < 0)
                g_error("%s: %s", error.name, error.message);
        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(reply);
}

void install_refused(sd_bus *bus, const char *name, GBytes *certificate, const char *what) {
        sd_bus_message *m = install_message(bus, name, certificate);
        sd_bus_error error = SD_BUS_ERROR_NULL;

        g_assert_cmpint(sd_bus_call(bus, m, 0, &error, NULL), <, 0);
        g_assert_cmpstr(error.name, ==, ERROR_PREFIX "InvalidInputParameters");
        g_assert_nonnull(strstr(error.message, what));
        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(m);
}
