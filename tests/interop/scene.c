/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "scene.h"

#include "lib/certificates.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Made once: an RSA key takes longer than many a test. */
static void write_certificates(const char *directory) {
        static const struct {
                const char *name, *cn;
                TestIdentityFlags flags;
                TestKeyType key;
        } kinds[] = {
                {"ca", "Test CA", TEST_IDENTITY_CA, TEST_KEY_ECDSA}, /* of those below */
                {"server", "localhost", TEST_IDENTITY_LOOPBACK, TEST_KEY_ECDSA},
                {"rsa", "localhost", TEST_IDENTITY_LOOPBACK, TEST_KEY_RSA_2048},
                {"ed25519", "localhost", TEST_IDENTITY_LOOPBACK, TEST_KEY_ED25519},
                {"client", "client.example", TEST_IDENTITY_LOOPBACK, TEST_KEY_ECDSA},
        };
        static TestIdentity *made[G_N_ELEMENTS(kinds)];

        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                if (!made[i])
                        made[i] = test_identity_new(kinds[i].cn, made[0], kinds[i].flags,
                                                    kinds[i].key);
                test_identity_write(made[i], directory, kinds[i].name);
        }
}

void scene_set_up(Scene *scene, const void *unused) {
        scene->directory = g_dir_make_tmp("dtlsd-interop.XXXXXX", NULL);
        g_assert_nonnull(scene->directory);
        write_certificates(scene->directory);
        scene->service = service_start(NULL);
        scene->bus = service_bus(scene->service, UID_ALICE);
}

void scene_tear_down(Scene *scene, const void *unused) {
        scene->bus = bus_leave(scene->bus);
        service_stop(scene->service);
        service_remove_directory(scene->directory);
        g_free(scene->directory);
}

const char *scene_file(const Scene *scene, const char *name) {
        g_autofree char *path = g_build_filename(scene->directory, name, NULL);

        return g_intern_string(path);
}

dtlsd_listener *scene_listen(const Scene *scene, const char *address,
                             const struct dtlsd_options *options) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener = NULL;
        int r;

        r = dtlsd_listen(scene->bus, address, 0, options, &listener, &error);
        if (r >= 0)
                r = dtlsd_listener_open_accept_queue(listener, &error);
        if (r < 0)
                g_error("listen: %s: %s", error.name, error.message);

        return listener;
}

static void wait_readable(int fd, const char *what) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (poll(&p, 1, (int)(SERVICE_LIMIT_USEC / 1000)) != 1)
                g_error("no %s within the limit", what);
}

dtlsd_connection *scene_accept(dtlsd_listener *listener) {
        dtlsd_connection *connection = NULL;

        wait_readable(dtlsd_listener_fd(listener), "connection");
        g_assert_cmpint(dtlsd_listener_accept(listener, &connection), ==, 0);
        return connection;
}

void scene_accepts_nobody(const Scene *scene, dtlsd_listener *listener) {
        struct pollfd p = {.fd = dtlsd_listener_fd(listener), .events = POLLIN};

        (void)sd_bus_message_unref(call(scene->bus, ROOT, "org.freedesktop.DBus.Peer", "Ping", ""));
        g_assert_cmpint(poll(&p, 1, 0), ==, 0);
}

void expect_datagram(const dtlsd_connection *connection, const char *text) {
        char buffer[2048];
        ssize_t n;

        wait_readable(dtlsd_connection_fd(connection), "datagram");
        n = recv(dtlsd_connection_fd(connection), buffer, sizeof buffer, MSG_DONTWAIT);
        g_assert_cmpint(n, >=, 0);
        g_assert_cmpmem(buffer, (size_t)n, text, strlen(text));
}

void send_datagram(const dtlsd_connection *connection, const char *text) {
        g_assert_cmpint(send(dtlsd_connection_fd(connection), text, strlen(text), MSG_NOSIGNAL), ==,
                        (ssize_t)strlen(text));
}

void expect_over(const dtlsd_connection *connection) {
        char byte;

        wait_readable(dtlsd_connection_fd(connection), "end");
        g_assert_cmpint(recv(dtlsd_connection_fd(connection), &byte, 1, MSG_DONTWAIT), ==, 0);
}

dtlsd_connection *scene_connect(const Scene *scene, const char *address, const char *port,
                                const struct dtlsd_options *options) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection = NULL;
        guint64 number;
        int r;

        g_assert_true(g_ascii_string_to_unsigned(port, 10, 1, 65535, &number, NULL));
        r = dtlsd_connect(scene->bus, address, (uint16_t)number, options, &connection, &error);
        if (r < 0)
                g_error("connect: %s: %s", error.name, error.message);

        return connection;
}

char *scene_refused(const Scene *scene, const char *port, const struct dtlsd_options *options) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection = NULL;
        char *text;

        g_assert_cmpint(dtlsd_connect(scene->bus, "127.0.0.1",
                                      (uint16_t)g_ascii_strtoull(port, NULL, 10), options,
                                      &connection, &error),
                        <, 0);
        g_assert_true(g_str_has_prefix(error.name, ERROR_PREFIX));
        text = g_strdup_printf("%s: %s", error.name + strlen(ERROR_PREFIX), error.message);
        sd_bus_error_free(&error);
        return text;
}

char *scene_refused_key(const Scene *scene, const char *port, uint32_t deadline) {
        struct dtlsd_options options = {
                .psk_identity = "alice",
                .psk_identity_size = 5,
                .psk = OTHER_KEY_TEXT,
                .psk_size = strlen(OTHER_KEY_TEXT),
                .retransmit_initial = 50,
                .retransmit_max = 50,
                .handshake_deadline = deadline,
        };

        return scene_refused(scene, port, &options);
}
