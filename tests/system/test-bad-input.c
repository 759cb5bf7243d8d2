/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Nonsense from the bus, from file descriptors and from the network: a clear error, or dropped and
 * counted; the service goes on for everybody.
 */

#include "pair.h"

#include "lib/certificates.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINGER_SECONDS 60
#define PROMPT_USEC (20 * G_USEC_PER_SEC) /* far below what a close() that lingers would take */

static void tear_down(Solo *solo, const void *unused) {
        /* whatever happened, it still serves */
        (void)sd_bus_message_unref(
                call(solo->bus, ROOT, MANAGER, "CreateConnection", "sa{sv}", "client", 0));
        solo_tear_down(solo, NULL);
}

static char *create(Solo *solo) {
        sd_bus_message *reply =
                call(solo->bus, ROOT, MANAGER, "CreateConnection", "sa{sv}", "client", 0);
        const char *path;
        char *copy;

        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
        copy = g_strdup(path);
        (void)sd_bus_message_unref(reply);
        return copy;
}

static void refused(Solo *solo, const char *path, const char *address, uint16_t port) {
        g_free(call_refused("InvalidInputParameters", solo->bus, path, CONNECTION, "SetPeer", "sqs",
                            address, port, ""));
}

static void test_peers_that_cannot_be(Solo *solo, const void *unused) {
        static const char *const addresses[] = {
                "",           "0.0.0.0",         "::",     "224.0.0.1",        "255.255.255.255",
                "ff02::1",    "::ffff:0.0.0.0",  "a.name", "127.0.0.1 ",       "127.0.0.1:5684",
                "127.0.0.0x", "fe80::1%nowhere", "[::1]",  "::ffff:224.0.0.1", "1.2.3.4.5",
        };
        g_autofree char *path = create(solo), *peer = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++)
                refused(solo, path, addresses[i], 5684);
        refused(solo, path, "127.0.0.1", 0);
        peer = get_string(solo->bus, path, CONNECTION, "PeerAddress");
        g_assert_cmpstr(peer, ==, "");
}

static void test_mapped_peer_is_its_ipv4_address(Solo *solo, const void *unused) {
        g_autofree char *path = create(solo), *peer = NULL;

        (void)sd_bus_message_unref(
                call(solo->bus, path, CONNECTION, "SetPeer", "sqs", "::ffff:127.0.0.1", 5684, ""));
        peer = get_string(solo->bus, path, CONNECTION, "PeerAddress");
        g_assert_cmpstr(peer, ==, "127.0.0.1");
}

static void test_methods_out_of_order(Solo *solo, const void *unused) {
        static const struct {
                const char *member, *types;
        } calls[] = {
                {"ResumeHandshake", ""}, {"AbortHandshake", ""},   {"Shutdown", ""},
                {"RefusePsk", ""},       {"OpenChannel", "a{sv}"}, {"ReadDatagram", "a{sv}"},
        };
        g_autofree char *path = create(solo);

        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
                g_free(call_refused("InvalidOperation", solo->bus, path, CONNECTION,
                                    calls[i].member, calls[i].types, 0));
        g_free(call_refused("InvalidOperation", solo->bus, path, CONNECTION,
                            "WriteDatagramEncrypted", "ay", 1, 'x'));
        g_free(call_refused("InvalidOperation", solo->bus, path, CONNECTION, "ProvidePsk", "ayay",
                            1, 'x', 1, 'y'));
        g_free(call_refused("InvalidOperation", solo->bus, path, CONNECTION, "DoHandshake", "ay",
                            0)); /* no peer is set */
        g_free(call_refused("InvalidInputParameters", solo->bus, path, CONNECTION, "DoHandshake",
                            "ay", 1, 22));
}

static void test_datagrams_of_every_size(Solo *solo, const void *unused) {
        uint16_t port;
        int queue, server;
        g_autofree char *listener = listen_queue(solo->bus, &port, &queue);
        g_autofree char *client = open_client(solo->bus, port, false);
        g_autofree uint8_t *large = g_malloc0(65536);
        uint8_t buffer[4];

        server = accept_channel(queue);
        g_free(call_refused("InvalidInputParameters", solo->bus, client, CONNECTION,
                            "WriteDatagramEncrypted", "ay", 0));
        {
                sd_bus_error error = SD_BUS_ERROR_NULL;
                sd_bus_message *m = NULL;

                g_assert_cmpint(sd_bus_message_new_method_call(solo->bus, &m, NAME, client,
                                                               CONNECTION,
                                                               "WriteDatagramEncrypted"),
                                >=, 0);
                g_assert_cmpint(sd_bus_message_append_array(m, 'y', large, 65536), >=, 0);
                g_assert_cmpint(sd_bus_call(solo->bus, m, CALL_USEC, &error, NULL), <, 0);
                g_assert_cmpstr(error.name, ==, ERROR_PREFIX "MessageTooLong");
                g_assert_nonnull(strstr(error.message, "16347")); /* the limit */
                sd_bus_error_free(&error);
                (void)sd_bus_message_unref(m);
        }
        /* and it goes on */
        write_datagram(solo->bus, client, "1", 1);
        (void)wait_fd(server);
        g_assert_cmpint(recv(server, buffer, sizeof buffer, 0), ==, 1);

        /* on a channel, too long is dropped and counted, empty is ignored */
        (void)send(server, large, 65536, 0);
        g_assert_cmpint(send(server, large, 0, 0), ==, 0);
        g_assert_cmpint(send(server, "after", 5, 0), ==, 5);
        read_datagram(solo->bus, client, "after");
        (void)close(server);
        (void)close(queue);
}

/* CreateConnection with this fd as private key of a chain; the refusal's text. */
static char *refused_key(Solo *solo, GBytes *chain, int fd) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL;
        gint64 begin = g_get_monotonic_time();
        char *text;
        int r;

        r = sd_bus_message_new_method_call(solo->bus, &m, NAME, ROOT, MANAGER, "CreateConnection");
        g_assert_cmpint(r, >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "client"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "PrivateKey", "h", fd), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "CertificateChain"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "aay"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "ay"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(chain, NULL),
                                                    g_bytes_get_size(chain)),
                        >=, 0);
        for (int i = 0; i < 4; i++)
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);

        r = sd_bus_call(solo->bus, m, CALL_USEC, &error, NULL);
        g_assert_cmpint(r, <, 0);
        g_assert_cmpstr(error.name, ==, ERROR_PREFIX "InvalidInputParameters");
        g_assert_cmpint(g_get_monotonic_time() - begin, <, PROMPT_USEC);
        text = g_strdup(error.message);
        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(m);
        return text;
}

static void test_descriptors_that_are_no_secret(Solo *solo, const void *unused) {
        g_autoptr(TestIdentity) identity = test_identity_new("client", NULL, 0, TEST_KEY_ECDSA);
        g_autofree char *fifo = g_build_filename(service_directory(solo->service), "fifo", NULL);
        int unsealed = memfd_create("unsealed", MFD_ALLOW_SEALING);
        int huge = memfd_create("huge", MFD_ALLOW_SEALING);
        int fds[] = {
                -1,
                open("/", O_RDONLY | O_DIRECTORY),
                open("/dev/zero", O_RDONLY),
                open("/etc/passwd", O_RDONLY),
                socket(AF_INET, SOCK_STREAM, 0),
                unsealed,
                huge,
                sealed_memfd("", 0),
        };

        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        fds[0] = open(fifo, O_RDWR | O_NONBLOCK);
        g_assert_cmpint(write(unsealed, "key", 3), ==, 3);
        g_assert_cmpint(ftruncate(huge, 1 << 30), ==, 0);
        g_assert_cmpint(fcntl(huge, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), ==,
                        0);
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
                g_assert_cmpint(fds[i], >=, 0);
                g_free(refused_key(solo, test_identity_pem(identity), fds[i]));
                (void)close(fds[i]);
        }
}

/* The bus daemon looks at no arguments: the message says that its key is the hundredth descriptor
 * that came with it, and none came. */
static void test_descriptors_that_did_not_come(Solo *solo, const void *unused) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GDBusConnection) bus = g_dbus_connection_new_for_address_sync(
                service_address(solo->service),
                G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                        G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                NULL, NULL, &error);
        g_autoptr(GVariant) reply = NULL;
        g_autofree char *name = NULL, *log = NULL;

        g_assert_no_error(error);
        reply = g_dbus_connection_call_sync(
                bus, NAME, ROOT, MANAGER, "CreateConnection",
                g_variant_new_parsed("('client', {'PreSharedKey': <handle 99>})"), NULL,
                G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
        g_assert_null(reply);
        name = g_dbus_error_get_remote_error(error);
        g_assert_cmpstr(name, ==, ERROR_PREFIX "InvalidInputParameters");
        /* its own fault is not the administrator's news */
        log = service_log(solo->service);
        g_assert_null(strstr(log, "failed"));
}

static void test_keys_that_do_not_fit(Solo *solo, const void *unused) {
        g_autoptr(TestIdentity) identity = test_identity_new("client", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) other = test_identity_new("other", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(GBytes) garbage = g_bytes_new_static("not PEM\n", 8);
        GBytes *key = test_identity_key_pem(other);
        int fd = sealed_memfd(g_bytes_get_data(key, NULL), g_bytes_get_size(key));
        int not_a_key = sealed_memfd("garbage", 7);
        g_autofree char *mismatch = refused_key(solo, test_identity_pem(identity), fd);
        g_autofree char *no_key = refused_key(solo, test_identity_pem(identity), not_a_key);
        g_autofree char *no_chain = refused_key(solo, garbage, fd);

        g_assert_nonnull(strstr(mismatch, "match"));
        g_assert_nonnull(strstr(no_chain, "CertificateChain"));
        (void)close(fd);
        (void)close(not_a_key);
}

/* A connected TCP socket whose close() would wait: unsent data, and SO_LINGER. */
static int lingering_socket(int *ret_listener, int *ret_peer) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct linger linger = {.l_onoff = 1, .l_linger = LINGER_SECONDS};
        socklen_t size = sizeof address;
        static const char block[65536];
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

        *ret_listener = socket(AF_INET, SOCK_STREAM, 0);
        g_assert_cmpint(bind(*ret_listener, (struct sockaddr *)&address, size), ==, 0);
        g_assert_cmpint(listen(*ret_listener, 1), ==, 0);
        g_assert_cmpint(getsockname(*ret_listener, (struct sockaddr *)&address, &size), ==, 0);
        (void)connect(fd, (struct sockaddr *)&address, size);
        *ret_peer = accept(*ret_listener, NULL, NULL);
        g_assert_cmpint(*ret_peer, >=, 0);
        g_assert_cmpint(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), ==, 0);
        while (send(fd, block, sizeof block, MSG_NOSIGNAL) > 0)
                ;
        return fd;
}

static void assert_prompt(Solo *solo) {
        gint64 begin = g_get_monotonic_time();

        (void)sd_bus_message_unref(
                call(solo->bus, ROOT, MANAGER, "CreateConnection", "sa{sv}", "client", 0));
        g_assert_cmpint(g_get_monotonic_time() - begin, <, PROMPT_USEC);
}

static void test_lingering_socket_does_not_stop_the_loop(Solo *solo, const void *unused) {
        int listener, peer, fd = lingering_socket(&listener, &peer);
        sd_bus_message *m = NULL;

        g_assert_cmpint(
                sd_bus_message_new_method_call(solo->bus, &m, NAME, ROOT, MANAGER, "Subscribe"), >=,
                0);
        g_assert_cmpint(sd_bus_message_append(m, "h", fd), >=, 0);
        (void)close(fd);
        g_assert_cmpint(sd_bus_send(solo->bus, m, NULL), >=, 0);
        g_assert_cmpint(sd_bus_flush(solo->bus), >=, 0);
        /* the bus daemon and the service hold the last copies once ours has gone */
        (void)sd_bus_message_unref(m);
        assert_prompt(solo);
        (void)close(peer);
        (void)close(listener);
}

static void test_lingering_socket_on_a_channel_does_not_stop_the_loop(Solo *solo,
                                                                      const void *unused) {
        uint16_t port;
        int queue, server, listener_fd, peer, fd;
        g_autofree char *listener = listen_queue(solo->bus, &port, &queue);
        g_autofree char *client = open_client(solo->bus, port, false);
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        struct iovec iov = {(void *)"x", 1};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);

        server = accept_channel(queue);
        fd = lingering_socket(&listener_fd, &peer);
        *c = (struct cmsghdr){
                .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
        if (sendmsg(server, &m, MSG_NOSIGNAL) < 0)
                g_test_message("the kernel refuses fds on a channel: %s", strerror(errno));
        (void)close(fd);
        assert_prompt(solo);
        (void)close(server);
        (void)close(queue);
        (void)close(peer);
        (void)close(listener_fd);
}

static void test_empty_psk(Solo *solo, const void *unused) {
        int fd = sealed_memfd("", 0);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_call_method(solo->bus, NAME, ROOT, MANAGER, "CreateConnection", &error, NULL,
                               "sa{sv}", "client", 2, "PreSharedKeyIdentity", "ay", 1, 'x',
                               "PreSharedKey", "h", fd);
        g_assert_cmpint(r, <, 0);
        g_assert_cmpstr(error.name, ==, ERROR_PREFIX "InvalidInputParameters");
        sd_bus_error_free(&error);
        (void)close(fd);
}

static void test_calls_whose_replies_are_not_read(Solo *solo, const void *unused) {
        sd_bus *flooder = service_bus(solo->service, UID_BOB);

        for (int i = 0; i < 10000; i++) {
                sd_bus_message *m = NULL;

                g_assert_cmpint(sd_bus_message_new_method_call(flooder, &m, NAME, ROOT,
                                                               "org.freedesktop.DBus.Properties",
                                                               "GetAll"),
                                >=, 0);
                g_assert_cmpint(sd_bus_message_append(m, "s", MANAGER), >=, 0);
                /* the bus may refuse or end the flooder; that is its business */
                if (sd_bus_send(flooder, m, NULL) < 0) {
                        (void)sd_bus_message_unref(m);
                        break;
                }
                (void)sd_bus_message_unref(m);
                if (i % 1000 == 0)
                        assert_prompt(solo);
        }
        assert_prompt(solo);
        (void)sd_bus_close_unref(flooder);
}

static void test_channel_that_is_never_read(Solo *solo, const void *unused) {
        uint16_t port;
        int queue, client_fd, server;
        g_autofree char *listener = listen_queue(solo->bus, &port, &queue);
        g_autofree char *client = connect_client(solo->bus, port, &client_fd);
        g_autofree uint8_t *block = g_malloc0(1200);
        g_autofree char *other = NULL;
        int other_fd, other_server;
        size_t n_received = 0;

        server = accept_channel(queue);
        for (int i = 0; i < 4000; i++) {
                struct pollfd p = {.fd = client_fd, .events = POLLOUT};

                g_assert_cmpint(poll(&p, 1, (int)(SERVICE_LIMIT_USEC / 1000)), ==, 1);
                (void)send(client_fd, block, 1200, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        g_assert_cmpuint(get_counter(solo->bus, ROOT, MANAGER, "Statistics", "DroppedAppFull"), >,
                         0);

        /* its neighbour on the same listener is not delayed */
        other = connect_client(solo->bus, port, &other_fd);
        other_server = accept_channel(queue);
        g_assert_cmpint(send(other_fd, "hello", 5, 0), ==, 5);
        (void)wait_fd(other_server);

        /* what was delivered is still there, up to what the kernel keeps */
        while (recv(server, block, 1200, MSG_DONTWAIT) > 0)
                n_received++;
        g_assert_cmpuint(n_received, >, 0);
        g_assert_cmpuint(n_received, <, 4000);
        (void)close(queue);
        (void)close(server);
        (void)close(other_server);
        (void)close(client_fd);
        (void)close(other_fd);
}

static void test_accept_queue_that_is_never_read(Solo *solo, const void *unused) {
        uint16_t port;
        int queue, n_taken = 0;
        g_autofree char *listener = listen_queue(solo->bus, &port, &queue);
        int fds[80];

        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
                g_free(connect_client(solo->bus, port, &fds[i]));
        assert_prompt(solo);
        /* 64 wait in the queue, the rest in the service until there is room */
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
                (void)close(accept_channel(queue));
                n_taken++;
        }
        g_assert_cmpint(n_taken, ==, 80);
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
                (void)close(fds[i]);
        (void)close(queue);
}

static int udp_to(uint16_t port) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                      .sin_port = htons(port)};
        int fd = socket(AF_INET, SOCK_DGRAM, 0);

        g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
        return fd;
}

static long resident_kb(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/status", pid);
        g_autofree char *text = NULL;
        const char *line;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        line = strstr(text, "VmRSS:");
        g_assert_nonnull(line);
        return (long)g_ascii_strtoll(line + 6, NULL, 10);
}

static void test_random_bytes_at_a_listener(Solo *solo, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_psk(solo->bus, &port);
        g_autofree char *client = NULL;
        g_autofree uint8_t *noise = g_malloc(65507);
        int fd = udp_to(port);
        long before = resident_kb(service_pid(solo->service));
        char byte;

        for (int i = 0; i < 65507; i++)
                noise[i] = (uint8_t)g_test_rand_int();
        (void)send(fd, noise, 0, 0);
        for (int i = 0; i < 20000; i++) {
                size_t size = (size_t)g_test_rand_int_range(0, i % 100 == 0 ? 65507 : 600);

                noise[0] = (uint8_t)g_test_rand_int_range(20, 25); /* as if it were a record */
                noise[1] = 0xfe;
                noise[2] = 0xfd;
                (void)send(fd, noise, size, 0);
                if (i % 500 == 0)
                        assert_prompt(solo);
        }
        /* nothing was said to the stranger, nothing kept of it, and the listener works */
        g_assert_cmpint(recv(fd, &byte, 1, MSG_DONTWAIT), ==, -1);
        client = open_client(solo->bus, port, false);
        g_assert_cmpint(resident_kb(service_pid(solo->service)) - before, <, 8 * 1024);
        (void)close(fd);
}

static void test_storm_of_hello_verify_requests(Solo *solo, const void *unused) {
        /* RFC 6347, 4.2.1: record header, handshake header, version, cookie of 4 bytes */
        uint8_t request[] = {22, 254, 255, 0, 0, 0, 0, 0, 0, 0,   0,   0, 19, 3, 0, 0,
                             7,  0,   0,   0, 0, 0, 0, 0, 7, 254, 255, 4, 1,  2, 3, 4};
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        int fd = socket(AF_INET, SOCK_DGRAM, 0), n_hellos = 0;
        g_autofree char *client = NULL;
        uint8_t hello[2048];
        long before;

        request[12] = sizeof request - 13;
        g_assert_cmpint(bind(fd, (struct sockaddr *)&address, size), ==, 0);
        g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &size), ==, 0);
        client = create_client(solo->bus, ntohs(address.sin_port), false);
        (void)sd_bus_message_unref(call(solo->bus, client, CONNECTION, "DoHandshake", "ay", 0));
        (void)wait_fd(fd);
        g_assert_cmpint(recvfrom(fd, hello, sizeof hello, 0, (struct sockaddr *)&address, &size), >,
                        0);
        before = resident_kb(service_pid(solo->service));
        for (int i = 0; i < 20000; i++) {
                request[9] = (uint8_t)(i >> 8); /* record sequence number */
                request[10] = (uint8_t)i;
                request[18] = (uint8_t)(i % 8); /* message_seq */
                request[31] = (uint8_t)i;       /* another cookie each time */
                (void)sendto(fd, request, sizeof request, 0, (struct sockaddr *)&address, size);
                while (recv(fd, hello, sizeof hello, MSG_DONTWAIT) > 0)
                        n_hellos++;
                if (i % 1000 == 0)
                        assert_prompt(solo);
        }
        g_test_message("%d hellos answered 20000 requests", n_hellos);
        /* not an amplifier: a handful, not one each */
        g_assert_cmpint(n_hellos, <, 100);
        g_assert_cmpint(resident_kb(service_pid(solo->service)) - before, <, 4 * 1024);
        (void)sd_bus_message_unref(call(solo->bus, client, CONNECTION, "AbortHandshake", ""));
        (void)close(fd);
}

static void test_bytes_that_are_no_text(Solo *solo, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_psk(solo->bus, &port);
        g_autofree char *client = NULL;
        sd_bus_message *reply;

        /* an identity of \xff and NUL, and ignored errors about a certificate of the same */
        reply = call(solo->bus, ROOT, MANAGER, "CreateConnection", "sa{sv}", "client", 1,
                     "VerificationName", "s", "\x7f\x01");
        (void)sd_bus_message_unref(reply);
        reply = call(solo->bus, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
                     "");
        (void)sd_bus_message_unref(reply);
}

/* A call that brings descriptors comes to the service: it is refused for its signature, and not by
 * the bus, which would say that the service has left. */
static void assert_takes_descriptors(sd_bus *bus) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL;

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, NAME, ROOT, MANAGER, "Unsubscribe"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "hhhhhhhh", fd, fd, fd, fd, fd, fd, fd, fd), >=,
                        0);
        g_assert_cmpint(sd_bus_call(bus, m, CALL_USEC, &error, NULL), <, 0);
        g_assert_cmpstr(error.name, ==, SD_BUS_ERROR_INVALID_ARGS);
        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(m);
        (void)close(fd);
}

static void test_descriptors_at_the_limit(Solo *solo, const void *unused) {
        /* the service keeps some back, so a call that brings some is answered at every number; one
         * user alone may get there here */
        Service *limited = service_start_limited("[Limits]\nFdsPerUser=600\n", 600);
        sd_bus *bus = service_bus(limited, UID_ALICE);
        uint16_t port;
        int queue, fds[600];
        g_autofree char *listener = listen_queue(bus, &port, &queue);
        size_t n = 0;
        int r = 0;

        for (; r >= 0 && n < G_N_ELEMENTS(fds); n++) {
                r = try_connect(bus, port, &fds[n]);
                (void)sd_bus_message_unref(call(bus, ROOT, MANAGER, "Unsubscribe", ""));
                assert_takes_descriptors(bus);
        }
        g_test_message("%zu connections with a channel each", n);
        g_assert_cmpuint(n, >, 20);
        g_assert_cmpuint(n, <, G_N_ELEMENTS(fds));
        for (size_t i = 0; i + 1 < n; i++)
                (void)close(fds[i]);
        (void)close(queue);
        (void)bus_leave(bus);
        service_stop(limited);
}

#define ADD(path, function)                                                                        \
        g_test_add("/bad-input/" path, Solo, NULL, solo_set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("peers-that-cannot-be-are-refused", test_peers_that_cannot_be);
        ADD("a-mapped-peer-is-its-ipv4-address", test_mapped_peer_is_its_ipv4_address);
        ADD("methods-out-of-order-are-invalid-operations", test_methods_out_of_order);
        ADD("datagrams-of-every-size", test_datagrams_of_every_size);
        ADD("descriptors-that-are-no-secret-are-refused-unread",
            test_descriptors_that_are_no_secret);
        ADD("descriptors-that-did-not-come-are-refused", test_descriptors_that_did_not_come);
        ADD("keys-that-do-not-fit-are-refused", test_keys_that_do_not_fit);
        ADD("a-lingering-socket-does-not-stop-the-loop",
            test_lingering_socket_does_not_stop_the_loop);
        ADD("a-lingering-socket-on-a-channel-does-not-stop-the-loop",
            test_lingering_socket_on_a_channel_does_not_stop_the_loop);
        ADD("an-empty-psk-is-refused", test_empty_psk);
        ADD("calls-whose-replies-are-not-read-stop-nobody", test_calls_whose_replies_are_not_read);
        ADD("a-channel-that-is-never-read-loses-only-its-own", test_channel_that_is_never_read);
        ADD("an-accept-queue-that-is-never-read-is-bounded", test_accept_queue_that_is_never_read);
        ADD("random-bytes-at-a-listener-are-dropped", test_random_bytes_at_a_listener);
        ADD("a-storm-of-hello-verify-requests-is-bounded", test_storm_of_hello_verify_requests);
        ADD("bytes-that-are-no-text-break-no-getter", test_bytes_that_are_no_text);
        ADD("descriptors-at-the-limit-leave-the-service-on-the-bus", test_descriptors_at_the_limit);
        return g_test_run();
}
