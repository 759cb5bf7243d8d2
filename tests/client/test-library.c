/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libdtlsd-client, function by function, against the real service.
 */

#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONNECTION_PREFIX ROOT "/connection/"

static const struct dtlsd_options psk_options = {
        .psk_identity = "alice",
        .psk_identity_size = 5,
        .psk = KEY_TEXT,
        .psk_size = 16,
};

/* ---- helpers ---- */

static void expect_end(const dtlsd_connection *connection) {
        struct pollfd p = {.fd = dtlsd_connection_fd(connection), .events = POLLIN};
        char byte;

        g_assert_cmpint(poll(&p, 1, (int)(SERVICE_LIMIT_USEC / 1000)), ==, 1);
        g_assert_cmpint(p.revents & POLLHUP, ==, POLLHUP);
        g_assert_cmpint(recv(p.fd, &byte, 1, MSG_DONTWAIT), ==, 0);
}

static void wait_accept_readable(const dtlsd_listener *listener) {
        struct pollfd p = {.fd = dtlsd_listener_fd(listener), .events = POLLIN};

        g_assert_cmpint(poll(&p, 1, (int)(SERVICE_LIMIT_USEC / 1000)), ==, 1);
}

static dtlsd_connection *connect_to(const Scene *scene, const dtlsd_listener *listener) {
        g_autofree char *port = g_strdup_printf("%u", dtlsd_listener_port(listener));

        return scene_connect(scene, "127.0.0.1", port, &psk_options);
}

static dtlsd_connection *create_for(const Scene *scene, const dtlsd_listener *listener,
                                    const struct dtlsd_options *options) {
        return create_connection(scene, "127.0.0.1", dtlsd_listener_port(listener), options);
}

static uint16_t get_port(const Scene *scene, const dtlsd_connection *connection,
                         const char *property) {
        uint16_t port = 0;

        g_assert_cmpint(sd_bus_get_property_trivial(scene->bus, NAME,
                                                    dtlsd_connection_path(connection), CONNECTION,
                                                    property, NULL, 'q', &port),
                        >=, 0);
        return port;
}

static size_t count_connections(const Scene *scene) {
        sd_bus_message *reply =
                call(scene->bus, ROOT, MANAGER, "ListConnections", "tua{sv}", UINT64_C(0), 100, 0);
        size_t n = 0;

        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "(oa{sv})"), >=, 0);
        while (sd_bus_message_skip(reply, "(oa{sv})") > 0)
                n++;
        (void)sd_bus_message_unref(reply);
        return n;
}

/* ---- an open connection ---- */

static void test_connect_and_accept_are_two_ends(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *client = connect_to(scene, listener);
        dtlsd_connection *server = scene_accept(listener);
        const void *identity;
        size_t size;

        send_datagram(client, "there");
        expect_datagram(server, "there");
        send_datagram(server, "and back");
        expect_datagram(client, "and back");

        g_assert_true(g_str_has_prefix(dtlsd_connection_path(client), CONNECTION_PREFIX));
        g_assert_true(g_str_has_prefix(dtlsd_connection_path(server), CONNECTION_PREFIX));
        g_assert_true(g_str_has_prefix(dtlsd_listener_path(listener), ROOT "/listener/"));
        g_assert_cmpstr(dtlsd_connection_path(client), !=, dtlsd_connection_path(server));
        g_assert_cmpuint(dtlsd_connection_data_mtu(client), >, 1000);
        g_assert_cmpuint(dtlsd_connection_data_mtu(server), >, 1000);

        g_assert_cmpstr(dtlsd_connection_peer_address(server), ==, "127.0.0.1");
        g_assert_cmpuint(dtlsd_connection_peer_port(server), ==,
                         get_port(scene, client, "LocalPort"));
        identity = dtlsd_connection_psk_identity(server, &size);
        g_assert_cmpmem(identity, size, "alice", 5);

        g_assert_cmpstr(dtlsd_connection_peer_address(client), ==, "");
        g_assert_cmpuint(dtlsd_connection_peer_port(client), ==, 0);
        g_assert_null(dtlsd_connection_psk_identity(client, &size));
        g_assert_cmpuint(size, ==, 0);

        (void)dtlsd_connection_unref(client);
        (void)dtlsd_connection_unref(server);
        (void)dtlsd_listener_unref(listener);
}

static void test_fds_do_not_block_and_are_closed_on_exec(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *client = connect_to(scene, listener);
        dtlsd_connection *server = scene_accept(listener);
        const int fds[] = {dtlsd_connection_fd(client), dtlsd_connection_fd(server),
                           dtlsd_listener_fd(listener)};

        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
                char byte;

                g_assert_cmpint(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
                g_assert_cmpint(recv(fds[i], &byte, 1, 0), ==, -1);
                g_assert_cmpint(errno, ==, EAGAIN);
        }

        (void)dtlsd_connection_unref(client);
        (void)dtlsd_connection_unref(server);
        (void)dtlsd_listener_unref(listener);
}

static void test_close_hangs_up_after_what_was_sent(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *client = connect_to(scene, listener);
        dtlsd_connection *server = scene_accept(listener);

        send_datagram(client, "last words");
        expect_datagram(server, "last words");
        g_assert_cmpint(dtlsd_connection_close(client, NULL), ==, 0);
        expect_end(client);
        expect_end(server);

        (void)dtlsd_connection_unref(client);
        (void)dtlsd_connection_unref(server);
        (void)dtlsd_listener_unref(listener);
}

static void test_last_unref_ends_an_open_connection(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *client = connect_to(scene, listener);
        dtlsd_connection *server = scene_accept(listener);

        g_assert_true(dtlsd_connection_ref(client) == client);
        g_assert_null(dtlsd_connection_unref(client));
        send_datagram(client, "still here");
        expect_datagram(server, "still here");

        g_assert_null(dtlsd_connection_unref(client));
        expect_end(server);
        g_assert_null(dtlsd_connection_unref(NULL));

        (void)dtlsd_connection_unref(server);
        g_assert_true(dtlsd_listener_ref(listener) == listener);
        g_assert_null(dtlsd_listener_unref(listener));
        g_assert_cmpint(dtlsd_listener_fd(listener), >=, 0);
        g_assert_null(dtlsd_listener_unref(listener));
        g_assert_null(dtlsd_listener_unref(NULL));
}

static void test_channel_ends_with_the_service(Scene *scene, const void *unused) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *client = connect_to(scene, listener);
        dtlsd_connection *none = NULL;
        int r;

        g_assert_cmpint(kill(service_pid(scene->service), SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(service_pid(scene->service), NULL, 0), >, 0);
        expect_end(client);
        wait_accept_readable(listener);
        g_assert_cmpint(dtlsd_listener_accept(listener, &none), ==, 0); /* it had been delivered */
        (void)dtlsd_connection_unref(none);
        g_assert_cmpint(dtlsd_listener_accept(listener, &none), ==, -ECONNRESET);

        r = dtlsd_connect(scene->bus, "127.0.0.1", 1, NULL, &none, &error);
        g_assert_cmpint(r, ==, -EHOSTUNREACH);
        expect_refused(r, &error, SD_BUS_ERROR_SERVICE_UNKNOWN);

        (void)dtlsd_connection_unref(client);
        (void)dtlsd_listener_unref(listener);
        service_restart(scene->service);
}

/* ---- the accept queue ---- */

static void test_accept_without_a_queue_is_refused(Scene *scene, const void *unused) {
        dtlsd_connection *none = NULL;
        dtlsd_listener *listener = NULL;

        g_assert_cmpint(dtlsd_listen(scene->bus, "127.0.0.1", 0, &psk_options, &listener, NULL), ==,
                        0);
        g_assert_cmpuint(dtlsd_listener_port(listener), !=, 0);
        g_assert_cmpint(dtlsd_listener_fd(listener), ==, -1);
        g_assert_cmpint(dtlsd_listener_accept(listener, &none), ==, -ENOTCONN);
        g_assert_null(none);
        (void)dtlsd_listener_unref(listener);
}

static void test_accept_does_not_wait(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *none = NULL;

        g_assert_cmpint(dtlsd_listener_accept(listener, &none), ==, -EAGAIN);
        g_assert_null(none);
        (void)dtlsd_listener_unref(listener);
}

static void test_accept_takes_each_connection_once(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *clients[3], *servers[3], *none = NULL;

        for (size_t i = 0; i < 3; i++)
                clients[i] = connect_to(scene, listener);
        for (size_t i = 0; i < 3; i++)
                servers[i] = scene_accept(listener);
        g_assert_cmpint(dtlsd_listener_accept(listener, &none), ==, -EAGAIN);

        for (size_t i = 0; i < 3; i++) { /* in the order of their handshakes */
                g_autofree char *text = g_strdup_printf("to %zu", i);

                send_datagram(servers[i], text);
                expect_datagram(clients[i], text);
                (void)dtlsd_connection_unref(clients[i]);
                (void)dtlsd_connection_unref(servers[i]);
        }
        (void)dtlsd_listener_unref(listener);
}

static void test_accept_says_that_the_listener_is_gone(Scene *scene, const void *unused) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *none = NULL;

        g_assert_cmpint(dtlsd_listener_close(listener, &error), ==, 0);
        wait_accept_readable(listener);
        g_assert_cmpint(dtlsd_listener_accept(listener, &none), ==, -ECONNRESET);
        g_assert_null(none);
        expect_refused(dtlsd_listener_close(listener, &error), &error, SD_BUS_ERROR_UNKNOWN_OBJECT);
        (void)dtlsd_listener_unref(listener);
}

static void test_accept_without_a_free_descriptor_says_so(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *client = connect_to(scene, listener);
        dtlsd_connection *none = NULL;
        struct rlimit limit, low;
        int free_fd, r;

        wait_accept_readable(listener);
        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        free_fd = dup(STDERR_FILENO);
        g_assert_cmpint(free_fd, >, 0);
        low = (struct rlimit){(rlim_t)free_fd, limit.rlim_max};
        (void)close(free_fd);
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
        r = dtlsd_listener_accept(listener, &none);
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);

        g_assert_cmpint(r, ==, -EMFILE);
        g_assert_null(none);
        expect_end(client); /* lost, and told */
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_listener_unref(listener);
}

static void test_a_second_queue_is_refused(Scene *scene, const void *unused) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        int fd = dtlsd_listener_fd(listener);

        expect_refused(dtlsd_listener_open_accept_queue(listener, &error), &error,
                       DTLSD_ERROR("ChannelInUse"));
        g_assert_cmpint(dtlsd_listener_fd(listener), ==, fd);
        (void)dtlsd_listener_unref(listener);
}

/* ---- step by step ---- */

static void test_a_connection_is_driven_step_by_step(Scene *scene, const void *unused) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *client = create_for(scene, listener, &psk_options), *server;
        g_autofree char *data = NULL;
        size_t size;

        g_assert_cmpint(dtlsd_connection_fd(client), ==, -1);
        g_assert_cmpuint(dtlsd_connection_data_mtu(client), ==, 0);
        expect_refused(dtlsd_connection_open_channel(client, &error), &error,
                       DTLSD_ERROR("InvalidOperation"));
        g_assert_cmpint(dtlsd_connection_do_handshake(client, NULL), ==, 0);
        wait_state(scene, client, "HandshakeComplete");
        expect_refused(dtlsd_connection_do_handshake(client, &error), &error,
                       DTLSD_ERROR("InvalidOperation"));
        server = scene_accept(listener);

        /* over the bus */
        g_assert_cmpint(dtlsd_connection_write(client, "a\0b", 3, NULL), ==, 0);
        expect_refused(dtlsd_connection_write(client, "", 0, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));
        expect_refused(dtlsd_connection_read(client, 0, (void **)&data, &size, &error), &error,
                       DTLSD_ERROR("TimedOut"));
        g_assert_null(data);
        send_datagram(server, "to the bus");
        g_assert_cmpint(dtlsd_connection_read(client, 5000, (void **)&data, &size, NULL), ==, 0);
        g_assert_cmpmem(data, size, "to the bus", 10);

        /* over a channel */
        g_assert_cmpint(dtlsd_connection_open_channel(client, NULL), ==, 0);
        g_assert_cmpint(dtlsd_connection_fd(client), >=, 0);
        g_assert_cmpuint(dtlsd_connection_data_mtu(client), >, 1000);
        send_datagram(server, "to the channel");
        expect_datagram(client, "to the channel");
        expect_refused(dtlsd_connection_open_channel(client, &error), &error,
                       DTLSD_ERROR("ChannelInUse"));
        expect_refused(dtlsd_connection_read(client, 0, (void **)&data, &size, &error), &error,
                       DTLSD_ERROR("ChannelInUse"));

        g_assert_cmpint(dtlsd_connection_close(client, NULL), ==, 0);
        expect_refused(dtlsd_connection_close(client, &error), &error, SD_BUS_ERROR_UNKNOWN_OBJECT);
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_connection_unref(server);
        (void)dtlsd_listener_unref(listener);
}

static void test_shutdown_leaves_an_object_that_may_connect_again(Scene *scene,
                                                                  const void *unused) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *client = create_for(scene, listener, &psk_options);

        for (int i = 0; i < 2; i++) {
                dtlsd_connection *server;

                g_assert_cmpint(dtlsd_connection_do_handshake(client, NULL), ==, 0);
                wait_state(scene, client, "HandshakeComplete");
                server = scene_accept(listener);
                g_assert_cmpint(dtlsd_connection_shutdown(client, NULL), ==, 0);
                wait_state(scene, client, "HandshakeNotStarted");
                expect_end(server);
                (void)dtlsd_connection_unref(server);
        }
        expect_refused(dtlsd_connection_shutdown(client, &error), &error,
                       DTLSD_ERROR("InvalidOperation"));
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_listener_unref(listener);
}

static void test_create_that_is_refused_leaves_nothing(Scene *scene, const void *unused) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *none = NULL;

        expect_refused(dtlsd_connection_create(scene->bus, "224.0.0.1", 1, NULL, &none, &error),
                       &error, DTLSD_ERROR("InvalidInputParameters"));
        expect_refused(dtlsd_connection_create(scene->bus, NULL, 1, NULL, &none, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));
        g_assert_null(none);
        g_assert_cmpuint(count_connections(scene), ==, 0);
}

static bool psk_is_pending(const Scene *scene, const char *path) {
        sd_bus_message *reply = NULL;
        int pending = 0;

        g_assert_cmpint(sd_bus_get_property(scene->bus, NAME, path, CONNECTION, "PendingPsk", NULL,
                                            &reply, "(bayayuu)"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'r', "bayayuu"), >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "b", &pending), >=, 0);
        (void)sd_bus_message_unref(reply);
        return pending;
}

static void wait_psk_pending(const Scene *scene, const char *path) {
        gint64 limit = g_get_monotonic_time() + (gint64)SERVICE_LIMIT_USEC;

        while (!psk_is_pending(scene, path)) {
                g_assert_cmpint(g_get_monotonic_time(), <, limit);
                while (sd_bus_process(scene->bus, NULL) > 0)
                        ;
                (void)sd_bus_wait(scene->bus, 10000);
        }
}

static void test_a_client_is_asked_for_its_key(Scene *scene, const void *unused) {
        static const char *const nobody[] = {NULL};
        const struct dtlsd_options options = {.ca_files = nobody};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        dtlsd_connection *client = create_for(scene, listener, &options), *server;
        const void *identity;
        size_t size;

        expect_refused(dtlsd_connection_provide_psk(client, "alice", 5, KEY_TEXT, 16, &error),
                       &error, DTLSD_ERROR("InvalidOperation"));
        expect_refused(dtlsd_connection_refuse_psk(client, &error), &error,
                       DTLSD_ERROR("InvalidOperation"));

        g_assert_cmpint(dtlsd_connection_do_handshake(client, NULL), ==, 0);
        wait_psk_pending(scene, dtlsd_connection_path(client));
        expect_refused(dtlsd_connection_provide_psk(client, "alice", 5, "", 0, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));
        g_assert_cmpint(dtlsd_connection_provide_psk(client, "alice", 5, KEY_TEXT, 16, NULL), ==,
                        0);
        wait_state(scene, client, "HandshakeComplete");
        server = scene_accept(listener);
        identity = dtlsd_connection_psk_identity(server, &size);
        g_assert_cmpmem(identity, size, "alice", 5);
        (void)dtlsd_connection_unref(server);
        (void)dtlsd_connection_unref(client);

        client = create_for(scene, listener, &options);
        g_assert_cmpint(dtlsd_connection_do_handshake(client, NULL), ==, 0);
        wait_psk_pending(scene, dtlsd_connection_path(client));
        g_assert_cmpint(dtlsd_connection_refuse_psk(client, NULL), ==, 0);
        wait_state(scene, client, "HandshakeNotStarted");
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_listener_unref(listener);
}

static void test_at_takes_object_paths_alone(Scene *scene, const void *unused) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *connection = NULL;

        g_assert_cmpint(dtlsd_connection_at(scene->bus, NULL, &connection), ==, -EINVAL);
        g_assert_cmpint(dtlsd_connection_at(scene->bus, "", &connection), ==, -EINVAL);
        g_assert_cmpint(dtlsd_connection_at(scene->bus, "nonsense", &connection), ==, -EINVAL);
        g_assert_null(connection);

        g_assert_cmpint(dtlsd_connection_at(scene->bus, CONNECTION_PREFIX "4711", &connection), ==,
                        0);
        g_assert_cmpstr(dtlsd_connection_path(connection), ==, CONNECTION_PREFIX "4711");
        g_assert_cmpint(dtlsd_connection_fd(connection), ==, -1);
        expect_refused(dtlsd_connection_shutdown(connection, &error), &error,
                       SD_BUS_ERROR_UNKNOWN_OBJECT);
        g_assert_cmpint(dtlsd_connection_shutdown(connection, NULL), ==, -EBADR);
        (void)dtlsd_connection_unref(connection);
}

/* ---- refusals ---- */

static void test_connect_says_which_error(Scene *scene, const void *unused) {
        const char *const other[] = {scene_file(scene, "client.crt"), NULL};
        const char *const chain[] = {scene_file(scene, "server.crt"), NULL};
        const struct dtlsd_options server = {
                .certificate_chain_files = chain,
                .private_key_file = scene_file(scene, "server.key"),
        };
        const struct dtlsd_options client = {.ca_files = other};
        const struct dtlsd_options short_deadline = {.ca_files = other, .handshake_deadline = 200};
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &server);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_connection *none = NULL;
        uint16_t port = dtlsd_listener_port(listener);

        expect_refused(dtlsd_connect(scene->bus, "localhost", port, &client, &none, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));
        expect_refused(dtlsd_connect(scene->bus, "127.0.0.1", 0, &client, &none, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));
        expect_refused(dtlsd_connect(scene->bus, "127.0.0.1", port, &client, &none, &error), &error,
                       DTLSD_ERROR("PeerVerificationError"));
        /* PSK suites alone are offered to a server that has a certificate alone */
        expect_refused(dtlsd_connect(scene->bus, "127.0.0.1", port, &psk_options, &none, &error),
                       &error, DTLSD_ERROR("TlsFatalError"));
        g_assert_cmpint(dtlsd_listener_close(listener, NULL), ==, 0);
        expect_refused(dtlsd_connect(scene->bus, "127.0.0.1", port, &short_deadline, &none, &error),
                       &error, DTLSD_ERROR("TimedOut"));
        g_assert_null(none);
        g_assert_cmpuint(count_connections(scene), ==, 0);
        (void)dtlsd_listener_unref(listener);
}

static void test_listen_says_which_error(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *none = NULL;

        expect_refused(dtlsd_listen(scene->bus, "127.0.0.1", dtlsd_listener_port(listener),
                                    &psk_options, &none, &error),
                       &error, DTLSD_ERROR("AlreadyExists"));
        expect_refused(dtlsd_listen(scene->bus, "192.0.2.1", 0, &psk_options, &none, &error),
                       &error, DTLSD_ERROR("UnderlyingSocketError"));
        expect_refused(dtlsd_listen(scene->bus, "", 0, &psk_options, &none, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));
        g_assert_null(none);
        (void)dtlsd_listener_unref(listener);
}

/* An option that cannot be is named in the message. */
static void expect_option_refused(const Scene *scene, const struct dtlsd_options *options,
                                  const char *name) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *none = NULL;
        int r = dtlsd_listen(scene->bus, "127.0.0.1", 0, options, &none, &error);

        if (!error.message || !strstr(error.message, name))
                g_error("%s is not named: %s", name, error.message);
        expect_refused(r, &error, DTLSD_ERROR("InvalidInputParameters"));
}

static void test_an_option_that_cannot_be_is_named(Scene *scene, const void *unused) {
        struct dtlsd_options options;

        options = psk_options;
        options.cipher_profile = "strong";
        expect_option_refused(scene, &options, "CipherProfile");
        options = psk_options;
        options.peer_verify_mode = "Maybe";
        expect_option_refused(scene, &options, "PeerVerifyMode");
        options = psk_options;
        options.mtu_hint = 1;
        expect_option_refused(scene, &options, "MtuHint");
        options = psk_options;
        options.handshake_deadline = 1;
        expect_option_refused(scene, &options, "HandshakeDeadline");
        options = psk_options;
        options.idle_timeout = 1;
        expect_option_refused(scene, &options, "IdleTimeout");
        options = psk_options;
        options.psk_identity = NULL; /* a listener's key needs one as well */
        expect_option_refused(scene, &options, "PreSharedKey");
        options = psk_options;
        options.psk_size = 0;
        expect_option_refused(scene, &options, "empty");
        options = psk_options;
        options.private_key_file = scene_file(scene, "server.key"); /* without its certificate */
        expect_option_refused(scene, &options, "CertificateChain");
        options = psk_options;
        options.identity = "of nobody";
        expect_option_refused(scene, &options, "of nobody");
}

/* ---- options ---- */

/* The file is the problem: errno says how, the text says which. */
static void expect_file_refused(const Scene *scene, const struct dtlsd_options *options,
                                const char *path, int errno_expected) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *none = NULL;
        dtlsd_connection *nothing = NULL;

        g_assert_cmpint(dtlsd_listen(scene->bus, "127.0.0.1", 0, options, &none, &error), ==,
                        -errno_expected);
        g_assert_true(g_str_has_prefix(error.message, path));
        g_assert_null(none);
        sd_bus_error_free(&error);

        g_assert_cmpint(dtlsd_connect(scene->bus, "127.0.0.1", 1, options, &nothing, NULL), ==,
                        -errno_expected);
        g_assert_null(nothing);
}

static void expect_path_refused(const Scene *scene, const char *path, int errno_expected) {
        const char *const list[] = {path, NULL};
        const char *const chain[] = {scene_file(scene, "server.crt"), NULL};
        struct dtlsd_options ca = {.ca_files = list};
        struct dtlsd_options certificate = {.certificate_chain_files = list};
        struct dtlsd_options key = {.certificate_chain_files = chain, .private_key_file = path};

        expect_file_refused(scene, &ca, path, errno_expected);
        expect_file_refused(scene, &certificate, path, errno_expected);
        expect_file_refused(scene, &key, path, errno_expected);
}

static void test_a_file_that_cannot_be_used_is_named(Scene *scene, const void *unused) {
        const char *large = scene_file(scene, "large"), *fifo = scene_file(scene, "fifo");

        expect_path_refused(scene, scene_file(scene, "missing"), ENOENT);
        expect_path_refused(scene, scene->directory, EINVAL);
        expect_path_refused(scene, "/dev/zero", EINVAL);
        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        expect_path_refused(scene, fifo, EINVAL); /* and nobody waits for its writer */

        g_assert_true(g_file_set_contents(large, "", 0, NULL));
        g_assert_cmpint(truncate(large, 1024 * 1024 + 1), ==, 0);
        expect_path_refused(scene, large, EFBIG);
}

static void test_an_empty_file_is_for_the_service_to_refuse(Scene *scene, const void *unused) {
        const char *const list[] = {"/dev/null", NULL};
        const char *const empty[] = {scene_file(scene, "empty"), NULL};
        struct dtlsd_options options = psk_options;

        options.ca_files = list; /* not a regular file either */
        expect_file_refused(scene, &options, "/dev/null", EINVAL);
        g_assert_true(g_file_set_contents(empty[0], "", 0, NULL));
        options.ca_files = empty;
        expect_option_refused(scene, &options, "CaCertificates");
}

static sd_bus_message *configuration(const Scene *scene, const char *path, const char *interface) {
        sd_bus_message *reply = NULL;

        g_assert_cmpint(sd_bus_get_property(scene->bus, NAME, path, interface, "Configuration",
                                            NULL, &reply, "a{sv}"),
                        >=, 0);
        return reply;
}

/* A basic value of the property Configuration, as bytes of its type. */
static void expect_configured(const Scene *scene, const dtlsd_listener *listener, const char *key,
                              char type, uint32_t expected) {
        sd_bus_message *m = configuration(scene, dtlsd_listener_path(listener), LISTENER);
        const char type_text[] = {type, '\0'};
        const char *name;
        bool found = false;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sv}"), >=, 0);
        while (!found && sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                g_assert_cmpint(sd_bus_message_read(m, "s", &name), >=, 0);
                found = g_str_equal(name, key);
                if (!found)
                        g_assert_cmpint(sd_bus_message_skip(m, "v"), >=, 0);
                else if (type == 'q') {
                        uint16_t value;

                        g_assert_cmpint(sd_bus_message_read(m, "v", type_text, &value), >=, 0);
                        g_assert_cmpuint(value, ==, expected);
                } else {
                        uint32_t value;

                        g_assert_cmpint(sd_bus_message_read(m, "v", type_text, &value), >=, 0);
                        g_assert_cmpuint(value, ==, expected);
                }
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        }
        g_assert_true(found);
        (void)sd_bus_message_unref(m);
}

static void test_options_arrive(Scene *scene, const void *unused) {
        struct dtlsd_options options = psk_options;
        dtlsd_listener *listener;

        options.mtu_hint = 1200;
        options.handshake_deadline = 12345;
        options.idle_timeout = 54321;
        options.no_cookies = 1;
        options.announce = 1;
        listener = scene_listen(scene, "127.0.0.1", &options);
        expect_configured(scene, listener, "MtuHint", 'q', 1200);
        expect_configured(scene, listener, "HandshakeDeadline", 'u', 12345);
        expect_configured(scene, listener, "IdleTimeout", 'u', 54321);
        expect_configured(scene, listener, "CookieVerification", 'b', 0);
        expect_configured(scene, listener, "Announce", 'b', 1);
        (void)dtlsd_listener_unref(listener);

        listener = scene_listen(scene, "127.0.0.1", &psk_options); /* and their defaults */
        expect_configured(scene, listener, "MtuHint", 'q', 0);
        expect_configured(scene, listener, "HandshakeDeadline", 'u', 60000);
        expect_configured(scene, listener, "IdleTimeout", 'u', 0);
        expect_configured(scene, listener, "CookieVerification", 'b', 1);
        expect_configured(scene, listener, "Announce", 'b', 0);
        (void)dtlsd_listener_unref(listener);
}

static void test_a_client_is_bound_and_named_as_asked(Scene *scene, const void *unused) {
        dtlsd_listener *listener = scene_listen(scene, "127.0.0.1", &psk_options);
        struct dtlsd_options options = psk_options;
        dtlsd_connection *client;
        g_autofree char *address = NULL, *name = NULL;

        options.local_address = "127.0.0.7";
        options.verification_name = "server.example";
        client = create_for(scene, listener, &options);
        g_assert_cmpint(dtlsd_connection_do_handshake(client, NULL), ==, 0);
        wait_state(scene, client, "HandshakeComplete");
        address = get_string(scene->bus, dtlsd_connection_path(client), CONNECTION, "LocalAddress");
        name = get_string(scene->bus, dtlsd_connection_path(client), CONNECTION,
                          "VerificationName");
        g_assert_cmpstr(address, ==, "127.0.0.7");
        g_assert_cmpstr(name, ==, "server.example");
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_listener_unref(listener);
}

/* ---- sharing ---- */

/* Bob's own channel to somebody's connection; NULL: he has no such right. */
static dtlsd_connection *open_as(sd_bus *bob, const dtlsd_connection *connection) {
        dtlsd_connection *reader = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;

        g_assert_cmpint(dtlsd_connection_at(bob, dtlsd_connection_path(connection), &reader), ==,
                        0);
        if (dtlsd_connection_open_channel(reader, &error) < 0)
                reader = dtlsd_connection_unref(reader);
        sd_bus_error_free(&error);
        return reader;
}

static void test_whom_it_is_shared_with_reads_along(Scene *scene, const void *unused) {
        static const char *const rights[] = {"read", NULL}, *const none[] = {NULL};
        dtlsd_connection *client, *server, *reader;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener;
        sd_bus *bob;

        if (!service_has_users())
                return;

        bob = service_bus(scene->service, UID_BOB);
        listener = scene_listen(scene, "127.0.0.1", &psk_options);
        client = connect_to(scene, listener);
        server = scene_accept(listener);
        g_assert_null(open_as(bob, client));
        g_assert_cmpint(dtlsd_connection_share(client, "uid:5", rights, NULL), ==, 0);
        reader = open_as(bob, client);
        g_assert_nonnull(reader);
        send_datagram(server, "for both");
        expect_datagram(client, "for both");
        expect_datagram(reader, "for both");
        expect_refused(dtlsd_connection_share(client, "bob", rights, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));
        expect_refused(dtlsd_connection_share(client, "uid:5", none, &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));

        g_assert_cmpint(dtlsd_connection_unshare(client, "uid:5", NULL), ==, 0);
        expect_end(reader);
        expect_refused(dtlsd_connection_unshare(client, "uid:5", &error), &error,
                       DTLSD_ERROR("InvalidInputParameters"));
        send_datagram(client, "it goes on");
        expect_datagram(server, "it goes on");
        (void)dtlsd_connection_unref(reader);
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_connection_unref(server);
        (void)dtlsd_listener_unref(listener);
        (void)bus_leave(bob);
}

static void test_share_is_an_option_of_all_that_are_made(Scene *scene, const void *unused) {
        static const char *const share[] = {"uid:5=read,write", NULL};
        struct dtlsd_options options = psk_options;
        dtlsd_connection *client, *server, *created, *of_client, *of_server;
        g_autofree char *port = NULL, *state = NULL;
        dtlsd_listener *listener;
        sd_bus *bob;

        if (!service_has_users())
                return;

        options.share = share;
        bob = service_bus(scene->service, UID_BOB);
        listener = scene_listen(scene, "127.0.0.1", &options);
        port = g_strdup_printf("%u", dtlsd_listener_port(listener));
        client = scene_connect(scene, "127.0.0.1", port, &options);
        server = scene_accept(listener);
        of_client = open_as(bob, client);
        of_server = open_as(bob, server);
        g_assert_true(of_client && of_server);
        send_datagram(of_client, "from one guest");
        expect_datagram(of_server, "from one guest");
        expect_datagram(server, "from one guest");

        created = create_for(scene, listener, &options);
        state = get_string(bob, dtlsd_connection_path(created), CONNECTION, "HandshakeState");
        g_assert_cmpstr(state, ==, "HandshakeNotStarted");
        (void)dtlsd_connection_unref(of_client);
        (void)dtlsd_connection_unref(of_server);
        (void)dtlsd_connection_unref(created);
        (void)dtlsd_connection_unref(client);
        (void)dtlsd_connection_unref(server);
        (void)dtlsd_listener_unref(listener);
        (void)bus_leave(bob);
}

#define ADD(path, function)                                                                        \
        g_test_add("/library/" path, Scene, NULL, scene_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("connect/and-accept-are-two-ends", test_connect_and_accept_are_two_ends);
        ADD("connect/says-which-error", test_connect_says_which_error);
        ADD("share/lets-another-user-read-along", test_whom_it_is_shared_with_reads_along);
        ADD("share/is-an-option-of-all-that-are-made",
            test_share_is_an_option_of_all_that_are_made);
        ADD("fd/does-not-block-and-is-closed-on-exec",
            test_fds_do_not_block_and_are_closed_on_exec);
        ADD("close/hangs-up-after-what-was-sent", test_close_hangs_up_after_what_was_sent);
        ADD("unref/ends-an-open-connection-at-last", test_last_unref_ends_an_open_connection);
        ADD("channel/ends-with-the-service", test_channel_ends_with_the_service);
        ADD("accept/without-a-queue-is-refused", test_accept_without_a_queue_is_refused);
        ADD("accept/does-not-wait", test_accept_does_not_wait);
        ADD("accept/takes-each-connection-once", test_accept_takes_each_connection_once);
        ADD("accept/says-that-the-listener-is-gone", test_accept_says_that_the_listener_is_gone);
        ADD("accept/without-a-free-descriptor-says-so",
            test_accept_without_a_free_descriptor_says_so);
        ADD("accept/a-second-queue-is-refused", test_a_second_queue_is_refused);
        ADD("create/is-driven-step-by-step", test_a_connection_is_driven_step_by_step);
        ADD("create/leaves-nothing-when-refused", test_create_that_is_refused_leaves_nothing);
        ADD("create/is-bound-and-named-as-asked", test_a_client_is_bound_and_named_as_asked);
        ADD("shutdown/leaves-an-object-that-may-connect-again",
            test_shutdown_leaves_an_object_that_may_connect_again);
        ADD("psk/a-client-is-asked-for-its-key", test_a_client_is_asked_for_its_key);
        ADD("at/takes-object-paths-alone", test_at_takes_object_paths_alone);
        ADD("listen/says-which-error", test_listen_says_which_error);
        ADD("options/arrive", test_options_arrive);
        ADD("options/one-that-cannot-be-is-named", test_an_option_that_cannot_be_is_named);
        ADD("options/a-file-that-cannot-be-used-is-named",
            test_a_file_that_cannot_be_used_is_named);
        ADD("options/an-empty-file-is-for-the-service-to-refuse",
            test_an_empty_file_is_for_the_service_to_refuse);
        return g_test_run();
}
