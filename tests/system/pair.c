/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "pair.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PERSISTENT "Persistent"

static void append_psk(sd_bus_message *m) {
        int fd = sealed_memfd(PSK_KEY, strlen(PSK_KEY));

        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "PreSharedKeyIdentity"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "ay"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', PSK_IDENTITY, strlen(PSK_IDENTITY)), >=,
                        0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "PreSharedKey", "h", fd), >=, 0);
        (void)close(fd);
}

/* Calls Manager.@member(@types…, options with the PSK). */
static int try_with_psk(sd_bus *bus, const char *member, const char *option, uint32_t value,
                        sd_bus_error *error, sd_bus_message **ret, const char *types, va_list ap) {
        sd_bus_message *m = NULL;
        int r;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, NAME, ROOT, MANAGER, member), >=,
                        0);
        g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        append_psk(m);
        if (option)
                g_assert_cmpint(sd_bus_message_append(m, "{sv}", option,
                                                      g_str_equal(option, PERSISTENT) ? "b" : "u",
                                                      value),
                                >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        r = sd_bus_call(bus, m, CALL_USEC, error, ret);
        (void)sd_bus_message_unref(m);
        return r;
}

static sd_bus_message *call_with_psk(sd_bus *bus, const char *member, const char *option,
                                     uint32_t value, const char *types, ...) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        va_list ap;
        int r;

        va_start(ap, types);
        r = try_with_psk(bus, member, option, value, &error, &reply, types, ap);
        va_end(ap);
        if (r < 0)
                g_error("%s: %s: %s", member, error.name, error.message);

        return reply;
}

static char *take_path(sd_bus_message *reply) {
        const char *path;
        char *copy;

        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
        copy = g_strdup(path);
        (void)sd_bus_message_unref(reply);
        return copy;
}

char *listen_psk(sd_bus *bus, uint16_t *ret_port) {
        char *path = take_path(call_with_psk(bus, "Listen", NULL, 0, "sq", "127.0.0.1", 0));

        g_assert_cmpint(sd_bus_get_property_trivial(bus, NAME, path, LISTENER, "LocalPort", NULL,
                                                    'q', ret_port),
                        >=, 0);
        g_assert_cmpint(*ret_port, !=, 0);
        return path;
}

static int take_fd(sd_bus_message *reply) {
        int fd;

        g_assert_cmpint(sd_bus_message_read(reply, "h", &fd), >=, 0);
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        g_assert_cmpint(fd, >=, 0);
        (void)sd_bus_message_unref(reply);
        return fd;
}

char *listen_queue(sd_bus *bus, uint16_t *ret_port, int *ret_queue_fd) {
        char *path = listen_psk(bus, ret_port);

        *ret_queue_fd = take_fd(call(bus, path, LISTENER, "OpenAcceptQueue", ""));
        return path;
}

char *create_client(sd_bus *bus, uint16_t port, bool persistent) {
        char *path = take_path(call_with_psk(bus, "CreateConnection",
                                             persistent ? PERSISTENT : NULL, 1, "s", "client"));

        (void)sd_bus_message_unref(
                call(bus, path, CONNECTION, "SetPeer", "sqs", "127.0.0.1", port, ""));
        return path;
}

char *open_client(sd_bus *bus, uint16_t port, bool persistent) {
        char *path = create_client(bus, port, persistent);

        (void)sd_bus_message_unref(call(bus, path, CONNECTION, "DoHandshake", "ay", 0));
        wait_string(bus, path, CONNECTION, "HandshakeState", "HandshakeComplete");
        return path;
}

char *connect_client_with(sd_bus *bus, uint16_t port, const char *option, uint32_t value,
                          int *ret_fd) {
        sd_bus_message *reply =
                call_with_psk(bus, "Connect", option, value, "sq", "127.0.0.1", port);
        const char *path;
        char *copy;

        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
        copy = g_strdup(path);
        *ret_fd = take_fd(reply);
        return copy;
}

char *connect_client(sd_bus *bus, uint16_t port, int *ret_fd) {
        return connect_client_with(bus, port, NULL, 0, ret_fd);
}

static int try_connect_v(sd_bus *bus, sd_bus_message **ret, const char *types, ...) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        va_list ap;
        int r;

        va_start(ap, types);
        r = try_with_psk(bus, "Connect", NULL, 0, &error, ret, types, ap);
        va_end(ap);
        if (r < 0)
                g_assert_cmpstr(error.name, ==, ERROR_PREFIX "QuotaExceeded");
        sd_bus_error_free(&error);
        return r;
}

int try_connect(sd_bus *bus, uint16_t port, int *ret_fd) {
        sd_bus_message *reply = NULL;
        const char *path;
        int r;

        r = try_connect_v(bus, &reply, "sq", "127.0.0.1", port);
        if (r < 0)
                return r;

        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
        *ret_fd = take_fd(reply);
        return 0;
}

short wait_fd(int fd) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        g_assert_cmpint(poll(&p, 1, (int)(SERVICE_LIMIT_USEC / 1000)), ==, 1);
        return p.revents;
}

int accept_channel(int queue_fd) {
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(sizeof(int))];
        } control;
        uint8_t packet[4096];
        struct iovec iov = {.iov_base = packet, .iov_len = sizeof packet};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
        struct cmsghdr *c;
        int fd;

        (void)wait_fd(queue_fd);
        g_assert_cmpint(recvmsg(queue_fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT), >, 0);
        c = CMSG_FIRSTHDR(&m);
        g_assert_nonnull(c);
        g_assert_cmpint(c->cmsg_type, ==, SCM_RIGHTS);
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
        return fd;
}

void write_datagram(sd_bus *bus, const char *path, const void *data, size_t size) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, NAME, path, CONNECTION,
                                           "WriteDatagramEncrypted");
        g_assert_cmpint(r, >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
        r = sd_bus_call(bus, m, CALL_USEC, &error, NULL);
        if (r < 0)
                g_error("WriteDatagramEncrypted: %s: %s", error.name, error.message);
        (void)sd_bus_message_unref(m);
}

void read_datagram(sd_bus *bus, const char *path, const char *expected) {
        sd_bus_message *reply =
                call(bus, path, CONNECTION, "ReadDatagram", "a{sv}", 1, "Timeout", "u", 30000);
        const void *data;
        size_t size;

        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &data, &size), >=, 0);
        g_assert_cmpmem(data, size, expected, strlen(expected));
        (void)sd_bus_message_unref(reply);
}

int open_channel(sd_bus *bus, const char *path) {
        return take_fd(call(bus, path, CONNECTION, "OpenChannel", "a{sv}", 0));
}
