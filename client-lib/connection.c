/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A connection: its life, its datagrams, and what was known of it when it came. */

#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int dtlsd_connection_new(sd_bus *bus, const char *path, int fd, uint32_t data_mtu,
                         dtlsd_connection **ret) {
        dtlsd_connection *connection;

        connection = calloc(1, sizeof *connection);
        if (!connection)
                return -ENOMEM;

        connection->path = strdup(path);
        if (!connection->path) {
                free(connection);
                return -ENOMEM;
        }

        connection->n_refs = 1;
        connection->bus = sd_bus_ref(bus);
        connection->fd = fd;
        connection->data_mtu = data_mtu;
        *ret = connection;
        return 0;
}

static int take_psk_identity(dtlsd_connection *connection, const struct dtlsd_bytes *identity) {
        connection->psk_identity = malloc(identity->size ? identity->size : 1);
        if (!connection->psk_identity)
                return -ENOMEM;

        memcpy(connection->psk_identity, identity->data, identity->size);
        connection->psk_identity_size = identity->size;
        return 0;
}

int dtlsd_connection_take_facts(dtlsd_connection *connection, const struct dtlsd_facts *facts) {
        connection->data_mtu = facts->data_mtu;
        connection->peer_port = facts->peer_port;
        connection->peer_address = strdup(facts->peer_address);
        if (!connection->peer_address)
                return -ENOMEM;

        return facts->psk_identity.data ? take_psk_identity(connection, &facts->psk_identity) : 0;
}

int dtlsd_connection_at(sd_bus *bus, const char *path, dtlsd_connection **ret) {
        if (!path || !sd_bus_object_path_is_valid(path))
                return -EINVAL;

        return dtlsd_connection_new(bus, path, -1, 0, ret);
}

dtlsd_connection *dtlsd_connection_ref(dtlsd_connection *connection) {
        connection->n_refs++;
        return connection;
}

dtlsd_connection *dtlsd_connection_unref(dtlsd_connection *connection) {
        if (!connection || --connection->n_refs > 0)
                return NULL;

        if (connection->fd >= 0)
                (void)close(connection->fd);
        (void)sd_bus_slot_unref(connection->signals);
        (void)sd_bus_unref(connection->bus);
        free(connection->service);
        free(connection->peer_address);
        free(connection->psk_identity);
        free(connection->path);
        free(connection);
        return NULL;
}

const char *dtlsd_connection_path(const dtlsd_connection *connection) {
        return connection->path;
}

uint32_t dtlsd_path_number(const char *path) {
        const char *last = strrchr(path, '/') + 1;
        unsigned long number;
        char *end;

        if (*last < '0' || *last > '9')
                return 0;

        number = strtoul(last, &end, 10);
        return *end == '\0' && number <= UINT32_MAX ? (uint32_t)number : 0;
}

uint32_t dtlsd_connection_number(const dtlsd_connection *connection) {
        return dtlsd_path_number(connection->path);
}

int dtlsd_connection_fd(const dtlsd_connection *connection) {
        return connection->fd;
}

uint32_t dtlsd_connection_data_mtu(const dtlsd_connection *connection) {
        return connection->data_mtu;
}

const char *dtlsd_connection_peer_address(const dtlsd_connection *connection) {
        return connection->peer_address ? connection->peer_address : "";
}

uint16_t dtlsd_connection_peer_port(const dtlsd_connection *connection) {
        return connection->peer_port;
}

const void *dtlsd_connection_psk_identity(const dtlsd_connection *connection, size_t *ret_size) {
        *ret_size = connection->psk_identity_size;
        return connection->psk_identity;
}

int dtlsd_connection_call_new(const dtlsd_connection *connection, const char *member,
                              sd_bus_message **ret) {
        return sd_bus_message_new_method_call(connection->bus, ret, DTLSD_NAME, connection->path,
                                              DTLSD_CONNECTION, member);
}

int dtlsd_call(sd_bus_message *m, int r, sd_bus_error *error) {
        if (r >= 0)
                r = sd_bus_call(sd_bus_message_get_bus(m), m, DTLSD_CALL_USEC, error, NULL);

        (void)sd_bus_message_unref(m);
        return r < 0 ? r : 0;
}

static int channel_answered(dtlsd_connection *connection, sd_bus_message *reply) {
        uint32_t data_mtu;
        int fd, r;

        r = sd_bus_message_read(reply, "hu", &fd, &data_mtu);
        if (r < 0)
                return r;

        fd = dtlsd_fd_copy(fd);
        if (fd < 0)
                return fd;

        if (connection->fd >= 0)
                (void)close(connection->fd);
        connection->fd = fd;
        connection->data_mtu = data_mtu;
        return 0;
}

int dtlsd_connection_open_channel(dtlsd_connection *connection, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(connection->bus, DTLSD_NAME, connection->path, DTLSD_CONNECTION,
                               "OpenChannel", error, &reply, "a{sv}", 0);
        if (r >= 0)
                r = channel_answered(connection, reply);

        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_connection_write(dtlsd_connection *connection, const void *data, size_t size,
                           sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "WriteDatagramEncrypted", &m);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', data, size);
        return dtlsd_call(m, r, error);
}

int dtlsd_fd_copy(int fd) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        return copy < 0 ? -errno : copy;
}

int dtlsd_bytes_copy(sd_bus_message *reply, void **ret_data, size_t *ret_size) {
        const void *data;
        size_t size;
        void *copy;
        int r;

        r = sd_bus_message_read_array(reply, 'y', &data, &size);
        if (r < 0)
                return r;

        copy = size ? malloc(size) : NULL;
        if (size && !copy)
                return -ENOMEM;

        if (size)
                memcpy(copy, data, size);
        *ret_data = copy;
        *ret_size = size;
        return 0;
}

int dtlsd_connection_read(dtlsd_connection *connection, uint32_t timeout, void **ret_data,
                          size_t *ret_size, sd_bus_error *error) {
        sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "ReadDatagram", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a{sv}", 1, "Timeout", "u", timeout);
        if (r >= 0)
                r = sd_bus_call(connection->bus, m, timeout * UINT64_C(1000) + DTLSD_CALL_USEC,
                                error, &reply);
        if (r >= 0)
                r = dtlsd_bytes_copy(reply, ret_data, ret_size);

        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_connection_share(dtlsd_connection *connection, const char *subject,
                           const char *const *rights, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "Share", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", subject);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **)rights);
        return dtlsd_call(m, r, error);
}

int dtlsd_connection_unshare(dtlsd_connection *connection, const char *subject,
                             sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "Unshare", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", subject);
        return dtlsd_call(m, r, error);
}

int dtlsd_connection_shutdown(dtlsd_connection *connection, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "Shutdown", &m);
        return dtlsd_call(m, r, error);
}

int dtlsd_connection_close(dtlsd_connection *connection, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "Close", &m);
        return dtlsd_call(m, r, error);
}
